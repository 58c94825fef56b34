"""An ONNX graph of a network, and of a scaler before it, from arrays."""

import numpy as np

from skchaosprune._text import brief, brief_list

_OPSET, _IR_VERSION = 17, 8

_ACTIVATIONS = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}

# Bytes of a weight in the file, as a value alone and as value and place, and of the
# nodes that put them together.
_BYTES_PER_WEIGHT, _BYTES_PER_PLACED_WEIGHT, _BYTES_OF_NODES = 4, 8, 400


def serialize(
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
    """Return the bytes of the ONNX file that :func:`skchaosprune.to_onnx` describes.

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
    content : bytes
        Of the file.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx; install it with: pip install 'skchaosprune[export]'"
        ) from error

    graph = _Graph(onnx)
    value = "X"
    if scaler is not None:
        value = _add_scaler(graph, value, *scaler)
    if 0 < len(selected_features) < n_features_in:
        value = _add_selection(graph, value, selected_features)
    value = _add_layers(graph, value, coefs, intercepts, activation)
    if classes is None:
        outputs = _add_prediction(graph, value, *target)
    else:
        outputs = _add_probabilities(graph, value, out_activation, len(intercepts[-1]))
        outputs = _add_labels(graph, classes) | outputs
    model = graph.finish(n_features_in, outputs)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


class _Graph:
    """Nodes and constants of an ONNX graph in the making."""

    def __init__(self, onnx):
        self.onnx = onnx
        self.nodes = []
        self.constants = []

    def add(self, operator, *inputs, name, **attributes):
        """Add a node with one output, ``name``, and return that name."""
        self.nodes.append(
            self.onnx.helper.make_node(
                operator, list(inputs), [name], name=name, **attributes
            )
        )
        return name

    def number(self, values, name):
        """Add a constant array in single precision and return its name."""
        with np.errstate(over="ignore"):
            single = np.asarray(values).astype(np.float32)
        if not np.isfinite(single).all():
            raise ValueError(
                f"{name} is too large for the single precision of the ONNX file; scale "
                "X, and the target of a regressor."
            )
        return self.constant(single, name)

    def constant(self, values, name):
        """Add a constant array as it is and return its name."""
        self.constants.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def finish(self, n_features, outputs):
        """Make the model; ``outputs`` maps names to (element type, trailing shape)."""
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        rows = helper.make_tensor_value_info("X", kinds.FLOAT, ["n", n_features])
        results = [
            helper.make_tensor_value_info(name, getattr(kinds, kind), ["n", *shape])
            for name, (kind, shape) in outputs.items()
        ]
        graph = helper.make_graph(
            self.nodes, "skchaosprune", [rows], results, self.constants
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="skchaosprune",
        )


def _add_scaler(graph, value, mean, scale):
    # in double precision, as differences of large numbers are small
    value = graph.add(
        "Cast", value, name="rows_double", to=graph.onnx.TensorProto.DOUBLE
    )
    if mean is not None:
        mean = graph.constant(mean, "mean")
        value = graph.add("Sub", value, mean, name="centred")
    if scale is not None:
        scale = graph.constant(scale, "scale")
        value = graph.add("Div", value, scale, name="scaled_double")
    return graph.add("Cast", value, name="scaled", to=graph.onnx.TensorProto.FLOAT)


def _add_selection(graph, value, selected_features):
    columns = graph.constant(selected_features.astype(np.int64), "selected_features")
    return graph.add("Gather", value, columns, name="selected", axis=1)


def _add_layers(graph, value, coefs, intercepts, activation):
    """Add the layers; returns the name of what enters the output activation."""
    for layer, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        bias = graph.number(b, f"bias_{layer}")
        if len(W) == 0:
            value = _repeat_for_rows(graph, bias, len(b))
        else:
            weights = _add_weights(graph, W, f"weights_{layer}")
            value = graph.add("MatMul", value, weights, name=f"product_{layer}")
            value = graph.add("Add", value, bias, name=f"sum_{layer}")
        if layer < len(coefs) - 1 and activation in _ACTIVATIONS:
            operator = _ACTIVATIONS[activation]
            value = graph.add(operator, value, name=f"hidden_{layer}")
    return value


def _repeat_for_rows(graph, bias, n_outputs):
    """Add what a network without inputs says: not every runtime has empty products."""
    n_rows = graph.add("Shape", "X", name="n_rows", start=0, end=1)
    n_columns = graph.constant(np.array([n_outputs]), "n_columns")
    shape = graph.add("Concat", n_rows, n_columns, name="shape", axis=0)
    return graph.add("Expand", bias, shape, name="constant_rows")


def _add_weights(graph, W, name):
    """Add a weight matrix, as it is or, where that is smaller, as values and places."""
    places = np.flatnonzero(W).astype(np.int32)
    as_places = places.size * _BYTES_PER_PLACED_WEIGHT + _BYTES_OF_NODES
    if as_places >= _BYTES_PER_WEIGHT * W.size:
        return graph.number(np.ascontiguousarray(W), name)
    size = graph.constant(np.array([W.size], dtype=np.int64), f"{name}_size")
    shape = graph.constant(np.array(W.shape, dtype=np.int64), f"{name}_shape")
    index = graph.constant(places, f"{name}_places")
    values = graph.number(W.ravel()[places], f"{name}_values")
    zeros = graph.add("ConstantOfShape", size, name=f"{name}_zeros")
    flat = graph.add("ScatterElements", zeros, index, values, name=f"{name}_flat")
    return graph.add("Reshape", flat, shape, name=name)


def _add_prediction(graph, value, mean, scale):
    if 0.0 < scale < float(np.finfo(np.float32).tiny):
        raise ValueError(
            "target_scale is too small for the single precision of the ONNX file; "
            "scale the target."
        )
    scale = graph.number([scale], "target_scale")
    mean = graph.number([mean], "target_mean")
    value = graph.add("Mul", value, scale, name="in_units")
    value = graph.add("Add", value, mean, name="prediction_column")
    axis = graph.constant(np.array([1]), "column_axis")
    graph.add("Squeeze", value, axis, name="prediction")
    return {"prediction": ("FLOAT", [])}


def _add_probabilities(graph, value, out_activation, n_outputs):
    if n_outputs == 1:
        positive = graph.add("Sigmoid", value, name="positive")
        one = graph.number([1.0], "one")
        negative = graph.add("Sub", one, positive, name="negative")
        graph.add("Concat", negative, positive, name="probabilities", axis=1)
        return {"probabilities": ("FLOAT", [2])}
    if out_activation != "softmax":
        value = _add_log_outputs(graph, value)
    graph.add("Softmax", value, name="probabilities", axis=1)
    return {"probabilities": ("FLOAT", [n_outputs])}


def _add_log_outputs(graph, value):
    """Add logarithms of logistic outputs, as all may vanish; softmax scales them to 1.

    As min(z, 0) - softplus(-|z|): not every runtime has softplus of large numbers.
    """
    size = graph.add("Abs", value, name="size")
    size = graph.add("Neg", size, name="minus_size")
    rest = graph.add("Softplus", size, name="rest")
    zero = graph.number([0.0], "zero")
    value = graph.add("Min", value, zero, name="negative_part")
    return graph.add("Sub", value, rest, name="log_output")


def _add_labels(graph, classes):
    codes = graph.add("ArgMax", "probabilities", name="codes", axis=1, keepdims=0)
    labels, kind = _labels(classes)
    classes = graph.constant(labels, "classes")
    graph.add("Gather", classes, codes, name="label")
    return {"label": (kind, [])}


def _labels(classes):
    """Class labels as ONNX has them, and their element type."""
    labels = classes.tolist()
    if all(isinstance(label, str) for label in labels):
        _check_encoding(labels)
        return np.array(labels, dtype=object), "STRING"
    int64 = np.iinfo(np.int64)
    is_time = classes.dtype.kind in "mM"  # a list has int for nanoseconds
    # floats too are whole numbers, as a fit takes no others for labels
    if not is_time and all(
        isinstance(label, int | float | np.integer) and int64.min <= label <= int64.max
        for label in labels
    ):
        return np.array([int(label) for label in labels], dtype=np.int64), "INT64"
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
