"""Write a compact network, and a scaler before it, as an ONNX file."""

from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skchaosprune.compact import CompactMLP

_OPSET, _IR_VERSION = 17, 8

_ACTIVATIONS = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}

# Bytes of a weight in the file, as a value alone and as value and place, and of the
# nodes that put them together.
_BYTES_PER_WEIGHT, _BYTES_PER_PLACED_WEIGHT, _BYTES_OF_NODES = 4, 8, 400


def to_onnx(estimator, path):
    """Write a fitted network as an ONNX file.

    Parameters
    ----------
    estimator : estimator, CompactMLP or Pipeline
        A fitted :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, its compact form, or a fitted Pipeline
        of one of these behind a :class:`~sklearn.preprocessing.StandardScaler`.
    path : str or path-like
        The file.

    Raises
    ------
    ImportError
        If onnx is not installed.
    TypeError
        If ``estimator`` is none of these, or a Pipeline has other steps.
    ValueError
        If class labels are neither strings nor whole numbers, or a number is too large
        for single precision.
    NotFittedError
        If ``estimator`` is not fitted.

    Notes
    -----
    The graph is the compact network in single precision (operator set 17). Its input
    ``X`` is a float32 tensor ``(n_samples, n_features_in_)``; a scaler works in double
    precision. A classifier has the outputs ``label``, int64 or string
    ``(n_samples,)``, and ``probabilities``, float32 ``(n_samples, n_classes)``; bools
    become 0 and 1. A regressor has the output ``prediction``, float32 ``(n_samples,)``.
    Weight matrices of which few entries are left are stored as values and places, and
    put together once, when the file is loaded.

    Probabilities agree with those of the estimator to 1e-5, usually to 1e-6, unless
    rows lose digits in single precision or the network computes with values in the
    hundreds, as without a scaler. A regressor's predictions have six to seven digits.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skchaosprune import ChaosCausalPrunedMLP, to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = ChaosCausalPrunedMLP((8,), max_iter=40, random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     to_onnx(model, f"{folder}/iris.onnx")
    """
    # written in one step at the end, so that a failure leaves no half of a file
    Path(path).write_bytes(serialize(estimator))


def serialize(estimator):
    """Return the bytes of the ONNX file; see :func:`to_onnx`."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx; install it with: pip install 'skchaosprune[export]'"
        ) from error

    scaler, compact = _split(estimator)
    graph = _Graph(onnx)
    value = "X"
    if scaler is not None:
        value = _add_scaler(graph, value, scaler)
    value = _add_network(graph, value, compact)
    if hasattr(compact, "classes_"):
        outputs = _add_classes(graph, value, compact)
    else:
        outputs = _add_prediction(graph, value, compact)
    model = graph.finish(compact.n_features_in_, outputs)
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


def _split(estimator):
    """Split into a scaler, or None, and the compact network."""
    scaler = None
    if isinstance(estimator, Pipeline):
        steps = [
            step for _, step in estimator.steps if step not in (None, "passthrough")
        ]
        before, estimator = steps[:-1], steps[-1] if steps else None
        if len(before) > 1 or not all(type(step) is StandardScaler for step in before):
            names = ", ".join(type(step).__name__ for step in steps)
            raise TypeError(
                "to_onnx takes a Pipeline of a StandardScaler and one of our "
                f"estimators. Got the steps {names}. Export the last step alone, and "
                "do what comes before outside of ONNX."
            )
        scaler = before[0] if before else None
        if scaler is not None:
            check_is_fitted(scaler)
    if hasattr(estimator, "compact"):
        estimator = estimator.compact()
    if not isinstance(estimator, CompactMLP):
        raise TypeError(
            "to_onnx takes a fitted ChaosCausalPrunedMLP, its regressor, a CompactMLP, "
            "or a Pipeline of a StandardScaler and one of these (of a search its "
            f"best_estimator_). Got {type(estimator).__name__} instead."
        )
    return scaler, estimator


def _add_scaler(graph, value, scaler):
    # in double precision, as differences of large numbers are small
    value = graph.add(
        "Cast", value, name="rows_double", to=graph.onnx.TensorProto.DOUBLE
    )
    if scaler.mean_ is not None and scaler.with_mean:
        mean = graph.constant(scaler.mean_, "mean")
        value = graph.add("Sub", value, mean, name="centred")
    if scaler.scale_ is not None:
        scale = graph.constant(scaler.scale_, "scale")
        value = graph.add("Div", value, scale, name="scaled_double")
    return graph.add("Cast", value, name="scaled", to=graph.onnx.TensorProto.FLOAT)


def _add_network(graph, value, compact):
    """Add the layers; returns the name of what enters the output activation."""
    selected = compact.selected_features_.astype(np.int64)
    if 0 < len(selected) < compact.n_features_in_:
        columns = graph.constant(selected, "selected_features")
        value = graph.add("Gather", value, columns, name="selected", axis=1)
    last = len(compact.intercepts_) - 1
    for layer, (W, b) in enumerate(
        zip(compact.coefs_, compact.intercepts_, strict=True)
    ):
        bias = graph.number(b, f"bias_{layer}")
        if len(W) == 0:
            value = _repeat_for_rows(graph, bias, len(b))
        else:
            weights = _add_weights(graph, W, f"weights_{layer}")
            value = graph.add("MatMul", value, weights, name=f"product_{layer}")
            value = graph.add("Add", value, bias, name=f"sum_{layer}")
        if layer < last and compact.activation_ in _ACTIVATIONS:
            operator = _ACTIVATIONS[compact.activation_]
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


def _add_prediction(graph, value, compact):
    if 0.0 < compact.target_scale_ < float(np.finfo(np.float32).tiny):
        raise ValueError(
            "target_scale is too small for the single precision of the ONNX file; "
            "scale the target."
        )
    scale = graph.number([compact.target_scale_], "target_scale")
    mean = graph.number([compact.target_mean_], "target_mean")
    value = graph.add("Mul", value, scale, name="in_units")
    value = graph.add("Add", value, mean, name="prediction_column")
    axis = graph.constant(np.array([1]), "column_axis")
    graph.add("Squeeze", value, axis, name="prediction")
    return {"prediction": ("FLOAT", [])}


def _add_classes(graph, value, compact):
    n_classes = len(compact.classes_)
    if compact.intercepts_[-1].size == 1:
        positive = graph.add("Sigmoid", value, name="positive")
        one = graph.number([1.0], "one")
        negative = graph.add("Sub", one, positive, name="negative")
        graph.add("Concat", negative, positive, name="probabilities", axis=1)
    elif compact.out_activation_ == "softmax":
        graph.add("Softmax", value, name="probabilities", axis=1)
    else:
        # logistic outputs scaled to a sum of 1, in logarithms as all may vanish:
        # min(z, 0) - softplus(-|z|), as not every runtime has softplus of large numbers
        size = graph.add("Abs", value, name="size")
        size = graph.add("Neg", size, name="minus_size")
        rest = graph.add("Softplus", size, name="rest")
        zero = graph.number([0.0], "zero")
        value = graph.add("Min", value, zero, name="negative_part")
        value = graph.add("Sub", value, rest, name="log_output")
        graph.add("Softmax", value, name="probabilities", axis=1)
    codes = graph.add("ArgMax", "probabilities", name="codes", axis=1, keepdims=0)
    labels, kind = _labels(compact.classes_)
    classes = graph.constant(labels, "classes")
    graph.add("Gather", classes, codes, name="label")
    return {"label": (kind, []), "probabilities": ("FLOAT", [n_classes])}


def _labels(classes):
    """Class labels as ONNX has them, and their element type."""
    labels = classes.tolist()
    if all(isinstance(label, str) for label in labels):
        return np.array(labels, dtype=object), "STRING"
    int64 = np.iinfo(np.int64)
    # floats too are whole numbers, as a fit takes no others for labels
    if all(
        isinstance(label, int | float | np.integer) and int64.min <= label <= int64.max
        for label in labels
    ):
        return np.array([int(label) for label in labels], dtype=np.int64), "INT64"
    raise ValueError(
        "ONNX labels are strings or 64-bit integers, and the classes are "
        f"{labels[:5]} of dtype {classes.dtype}. Fit on such labels."
    )
