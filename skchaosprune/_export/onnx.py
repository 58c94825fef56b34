"""An ONNX graph of a network, and of a scaler before it, from arrays."""

from functools import partial
from string import ascii_lowercase

import numpy as np

from skchaosprune._text import brief, brief_list

OPSET, _IR_VERSION = 17, 8

_ACTIVATIONS = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}

# Bytes of a weight in single precision, and of the nodes that put a matrix together.
_BYTES_PER_WEIGHT, _BYTES_OF_NODES = 4, 150


def serialize(*args, **kwargs):
    """Return the bytes of the ONNX file that :func:`skchaosprune.to_onnx` describes.

    Parameters
    ----------
    *args, **kwargs : object
        Those of :func:`build_model`.

    Returns
    -------
    content : bytes
        Of the file.
    """
    model = build_model(*args, **kwargs)
    _import_onnx().checker.check_model(model, full_check=True)
    return model.SerializeToString()


def build_model(
    coefs,
    intercepts,
    *,
    activation,
    out_activation,
    n_features_in,
    selected_features,
    classes=None,
    target=(0.0, 1.0),
    scaler=None,
):
    """Build the model that :func:`skchaosprune.to_onnx` writes.

    Parameters
    ----------
    coefs : list of ndarray of shape (fan_in, fan_out)
        Weights; the first matrix has one row per selected feature.
    intercepts : list of ndarray of shape (fan_out,)
        Biases.
    activation, out_activation : str
        Of the hidden units and of the outputs.
    n_features_in : int
        Columns of the rows.
    selected_features : ndarray of int of shape (n_selected,)
        The columns that are used.
    classes : ndarray of shape (n_classes,) or None, default=None
        Class labels; None for a regressor.
    target : tuple of two float, default=(0.0, 1.0)
        Mean and scale of a regressor's target.
    scaler : tuple of two ndarray or None, default=None
        Mean and scale of the columns, each of shape (n_features_in,) or None, of a
        scaler before the network.

    Returns
    -------
    model : onnx.ModelProto
        Not checked. Its input is X; its outputs are label and probabilities, or
        prediction.
    """
    graph = _Graph(_import_onnx())
    value = "X"
    if 0 < len(selected_features) < n_features_in:
        columns = graph.integers(selected_features)
        value = graph.add("Gather", value, columns, axis=1)
    if scaler is not None and len(selected_features) > 0:
        used = (
            None if part is None else np.asarray(part)[selected_features]
            for part in scaler
        )
        value = _add_scaler(graph, value, *used)
    value = _add_layers(graph, value, coefs, intercepts, activation)
    if classes is None:
        outputs = _add_prediction(graph, value, *target)
    else:
        outputs = _add_probabilities(graph, value, out_activation, len(intercepts[-1]))
        outputs = _add_labels(graph, classes) | outputs
    return graph.finish(n_features_in, outputs)


def _import_onnx():
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx; install it with: pip install 'skchaosprune[export]'"
        ) from error
    return onnx


class _Graph:
    """Nodes and constants of an ONNX graph in the making, with short names."""

    def __init__(self, onnx):
        self.onnx = onnx
        self.nodes = []
        self.constants = []
        self._n_names = 0

    def add(self, operator, *inputs, output=None, **attributes):
        """Add a node with one output and return the name of this."""
        output = self._name() if output is None else output
        self.nodes.append(
            self.onnx.helper.make_node(operator, list(inputs), [output], **attributes)
        )
        return output

    def number(self, values, what):
        """Add a constant array in single precision and return its name."""
        with np.errstate(over="ignore"):
            single = np.asarray(values).astype(np.float32)
        if not np.isfinite(single).all():
            raise ValueError(
                f"{what} is too large for the single precision of the ONNX file; scale "
                "X, and the target of a regressor."
            )
        return self.constant(single)

    def integers(self, values):
        """Add a constant array of whole numbers and return its name."""
        return self.keep(self.pack_integers(values))

    def constant(self, values):
        """Add a constant array as it is and return its name."""
        return self.keep(self.onnx.numpy_helper.from_array(values))

    def pack_integers(self, values):
        """Return a tensor, in which small numbers take one byte each."""
        kind = self.onnx.TensorProto.INT64
        return self.onnx.helper.make_tensor("", kind, [len(values)], values)

    def keep(self, tensor):
        """Add a tensor and return its name."""
        tensor.name = self._name()
        self.constants.append(tensor)
        return tensor.name

    def _name(self):
        """Return a name that is not in use: a, b, ..., z, a1, b1, ..."""
        turn, letter = divmod(self._n_names, len(ascii_lowercase))
        self._n_names += 1
        return ascii_lowercase[letter] + (str(turn) if turn else "")

    def finish(self, n_features, outputs):
        """Make the model; ``outputs`` maps names to (element type, trailing shape)."""
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        rows = helper.make_tensor_value_info("X", kinds.FLOAT, ["n", n_features])
        results = [
            helper.make_tensor_value_info(name, getattr(kinds, kind), ["n", *shape])
            for name, (kind, shape) in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, "g", [rows], results, self.constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="skchaosprune",
        )


def _add_scaler(graph, value, mean, scale):
    # in double precision, as differences of large numbers are small
    value = graph.add("Cast", value, to=graph.onnx.TensorProto.DOUBLE)
    if mean is not None:
        value = graph.add("Sub", value, graph.constant(mean))
    if scale is not None:
        value = graph.add("Div", value, graph.constant(scale))
    return graph.add("Cast", value, to=graph.onnx.TensorProto.FLOAT)


def _add_layers(graph, value, coefs, intercepts, activation):
    """Add the layers; returns the name of what enters the output activation."""
    for layer, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        bias = graph.number(b, f"bias_{layer}")
        if len(W) == 0:
            value = _repeat_for_rows(graph, bias, len(b))
        else:
            weights = _add_weights(graph, W, f"weights_{layer}")
            value = graph.add("Gemm", value, weights, bias)
        if layer < len(coefs) - 1 and activation in _ACTIVATIONS:
            value = graph.add(_ACTIVATIONS[activation], value)
    return value


def _repeat_for_rows(graph, bias, n_outputs):
    """Add what a network without inputs says: not every runtime has empty products."""
    n_rows = graph.add("Shape", "X", start=0, end=1)
    shape = graph.add("Concat", n_rows, graph.integers([n_outputs]), axis=0)
    return graph.add("Expand", bias, shape)


def _add_weights(graph, W, what):
    """Add a weight matrix, as it is or, where that is smaller, as values and places."""
    places = np.flatnonzero(W)
    # from one place to the next, as small numbers take fewer bytes
    gaps = graph.pack_integers(np.diff(places, prepend=0))
    n_bytes = _BYTES_PER_WEIGHT * places.size + gaps.ByteSize() + _BYTES_OF_NODES
    if n_bytes >= _BYTES_PER_WEIGHT * W.size:
        return graph.number(np.ascontiguousarray(W), what)
    axis = np.array(0, dtype=np.int32)  # without a shape, as the operator asks
    index = graph.add("CumSum", graph.keep(gaps), graph.constant(axis))
    values = graph.number(W.ravel()[places], what)
    zeros = graph.add("ConstantOfShape", graph.integers([W.size]))
    flat = graph.add("ScatterElements", zeros, index, values)
    return graph.add("Reshape", flat, graph.integers(W.shape))


def _add_prediction(graph, value, mean, scale):
    if 0.0 < scale < float(np.finfo(np.float32).tiny):
        raise ValueError(
            "target_scale is too small for the single precision of the ONNX file; "
            "scale the target."
        )
    value = graph.add("Mul", value, graph.number([scale], "target_scale"))
    value = graph.add("Add", value, graph.number([mean], "target_mean"))
    graph.add("Squeeze", value, graph.integers([1]), output="prediction")
    return {"prediction": ("FLOAT", [])}


def _add_probabilities(graph, value, out_activation, n_outputs):
    if n_outputs == 1:
        positive = graph.add("Sigmoid", value)
        negative = graph.add("Sub", graph.number([1.0], "one"), positive)
        graph.add("Concat", negative, positive, output="probabilities", axis=1)
        return {"probabilities": ("FLOAT", [2])}
    if out_activation != "softmax":
        value = _add_log_outputs(graph, value)
    graph.add("Softmax", value, output="probabilities")
    return {"probabilities": ("FLOAT", [n_outputs])}


def _add_log_outputs(graph, value):
    """Add logarithms of logistic outputs, as all may vanish; softmax scales them to 1.

    As min(z, 0) - softplus(-|z|): not every runtime has softplus of large numbers.
    """
    rest = graph.add("Softplus", graph.add("Neg", graph.add("Abs", value)))
    value = graph.add("Min", value, graph.number([0.0], "zero"))
    return graph.add("Sub", value, rest)


def _add_labels(graph, classes):
    labels, kind = _labels(classes)
    find_code = partial(graph.add, "ArgMax", "probabilities", axis=1, keepdims=0)
    if labels == list(range(len(labels))):  # they are their own codes
        find_code(output="label")
        return {"label": (kind, [])}
    if kind == "STRING":
        names = graph.constant(np.array(labels, dtype=object))
    else:
        names = graph.integers(labels)
    graph.add("Gather", names, find_code(), output="label")
    return {"label": (kind, [])}


def _labels(classes):
    """Class labels as ONNX has them, and their element type."""
    labels = classes.tolist()
    if all(isinstance(label, str) for label in labels):
        _check_encoding(labels)
        return labels, "STRING"
    int64 = np.iinfo(np.int64)
    is_time = classes.dtype.kind in "mM"  # a list has int for nanoseconds
    # floats too are whole numbers, as a fit takes no others for labels
    if not is_time and all(
        isinstance(label, int | float | np.integer) and int64.min <= label <= int64.max
        for label in labels
    ):
        return [int(label) for label in labels], "INT64"
    raise ValueError(
        "ONNX labels are strings or 64-bit integers, and the classes are "
        f"{brief_list(classes)} of dtype {classes.dtype}. Fit on such labels."
    )


def _check_encoding(labels):
    for label in labels:
        try:
            label.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the class label {brief(label, 40)} has half of a surrogate pair, and "
                "ONNX files hold UTF-8 only. Fit on labels without it."
            ) from error
