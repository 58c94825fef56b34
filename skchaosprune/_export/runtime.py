"""Run an ONNX file where onnxruntime is installed."""


def run(content, feed):
    """Compute the outputs of an ONNX file.

    Parameters
    ----------
    content : bytes
        The file.
    feed : dict
        From the names of the inputs to arrays.

    Returns
    -------
    outputs : dict or None
        From the names of the outputs to arrays; None without onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # quicker to start
    options.log_severity_level = 4  # its errors are raised, too
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))
