"""Networks inside the graphs of skl2onnx, and whole models through skl2onnx."""

import copy
from functools import partial

import numpy as np
from sklearn.base import is_classifier

from skchaosprune._export.onnx import OPSET
from skchaosprune._text import shorten

# Of the operators for strings, missing values and categories; as old as OPSET.
_ML_OPSET = 3


class Convertible:
    """What skl2onnx asks a model for; a child has ``_build_onnx()``."""

    def onnx_parser(self):
        """Return the function that declares the outputs; skl2onnx calls this.

        Returns
        -------
        parser : callable
            Takes ``scope`` and ``inputs``.
        """
        register(type(self))
        return partial(_declare_outputs, self)

    def onnx_shape_calculator(self):
        """Return the function that sets types and shapes; skl2onnx calls this.

        Returns
        -------
        shape_calculator : callable
            Takes an operator of skl2onnx.
        """
        return _calculate_shapes

    def onnx_converter(self):
        """Return the function that adds the compact network; skl2onnx calls this.

        Returns
        -------
        converter : callable
            Takes ``scope``, ``operator`` and ``container``.
        """
        return _convert


def register(kind):
    """Let skl2onnx know a class of networks, and convert more imputers."""
    _import_skl2onnx().update_registered_converter(
        kind,
        f"SkChaosPrune{kind.__name__}",
        _calculate_shapes,
        _convert,
        options="passthrough",  # _declare_outputs checks them
    )
    from skl2onnx.common import _registration
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer

    # under the old name, which a pipeline that is being converted has read already
    name = "SklearnSimpleImputer"
    known = _registration.get_converter(name)
    if getattr(known, "_fct", known) is convert_sklearn_imputer:  # not the user's own
        _registration.register_converter(name, _convert_imputer, overwrite=True)
        _registration.register_shape_calculator(
            name, _calculate_imputed_shape, overwrite=True
        )


def serialize(model, inputs, networks):
    """Return the bytes of the ONNX file of a fitted model.

    Parameters
    ----------
    model : estimator
        A model of scikit-learn whose parts skl2onnx can convert.
    inputs : list of (name, is_text, n_columns)
        Names, types and columns of the inputs.
    networks : iterable of class
        Classes of the networks in the model.

    Returns
    -------
    content : bytes
        Of the file.
    """
    skl2onnx = _import_skl2onnx()
    import onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import VotingClassifier, VotingRegressor
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    for kind in networks:
        register(kind)
    with_labels = is_classifier(model)
    outputs = ["label", "probabilities"] if with_labels else ["prediction_column"]
    proto = skl2onnx.convert_sklearn(
        model,
        name="skchaosprune",
        initial_types=[
            (name, (StringTensorType if is_text else FloatTensorType)([None, size]))
            for name, is_text, size in inputs
        ],
        final_types=[(name, None) for name in outputs],
        options={id(model): {"zipmap": False}} if with_labels else None,
        target_opset={"": OPSET, "ai.onnx.ml": _ML_OPSET},
        custom_conversion_functions={
            StandardScaler: _convert_scaler,
            MinMaxScaler: _convert_scaler,
            CalibratedClassifierCV: _convert_calibration,
            VotingClassifier: _convert_voting,
            VotingRegressor: _convert_voting,
        },
    )
    _rename_inputs(proto.graph, [name for name, _, _ in inputs])
    if not with_labels:
        _flatten(proto.graph, outputs[0], "prediction")
    _drop_unused(proto.graph)
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def join_columns(model, X):
    """Put what makes a matrix of a frame before a model that selects no columns."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    parts = [model, *model.get_params().values()]
    if not hasattr(X, "iloc") or any(isinstance(p, ColumnTransformer) for p in parts):
        return model
    join = ColumnTransformer([("join", "passthrough", list(range(X.shape[1])))])
    return Pipeline([("join", join.fit(X)), ("model", model)])


def _import_skl2onnx():
    try:
        import skl2onnx
    except ImportError as error:
        raise ImportError(
            "ONNX files of whole pipelines need skl2onnx; install it with: "
            "pip install 'skchaosprune[export]'"
        ) from error
    return skl2onnx


def _declare_outputs(network, scope, inputs):
    """Declare labels and probabilities, as arrays or one dictionary per row."""
    from skl2onnx.common import data_types as types

    numbers = types.guess_tensor_type(inputs[0].type)
    if not hasattr(network, "classes_"):
        return [scope.declare_local_variable("variable", numbers)]
    options = scope.get_options(network, {"zipmap": True})
    if options.keys() != {"zipmap"} or options["zipmap"] not in (True, False):
        raise ValueError(
            "the converter of a network has one option of skl2onnx, zipmap=True or "
            f"zipmap=False. Got {options}."
        )
    if not options["zipmap"]:
        label = scope.declare_local_variable("label", types.Int64TensorType())
        return [label, scope.declare_local_variable("probabilities", numbers)]
    label = scope.declare_local_variable("output_label", types.Int64TensorType())
    single = types.FloatTensorType()  # ZipMap takes no other
    rows = types.SequenceType(types.DictionaryType(_label_type(network), single))
    return [label, scope.declare_local_variable("output_probability", rows)]


def _label_type(network):
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    return StringTensorType() if _has_text_labels(network) else Int64TensorType()


def _has_text_labels(network):
    return all(isinstance(label, str) for label in network.classes_)


def _calculate_shapes(operator):
    """Set the types and shapes of the outputs."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    network = operator.raw_operator
    *labels, numbers = operator.outputs
    n_rows = operator.inputs[0].get_first_dimension()
    for label in labels:
        kind = _label_type(network)
        kind.shape = [n_rows]
        label.set_type(kind)
    if not _is_zipmap(numbers):
        is_double = isinstance(numbers.type, DoubleTensorType)
        n_columns = len(network.classes_) if labels else 1
        kind = DoubleTensorType if is_double else FloatTensorType
        numbers.set_type(kind([n_rows, n_columns]))


def _is_zipmap(variable):
    from skl2onnx.common.data_types import SequenceType

    return isinstance(variable.type, SequenceType)


def _convert(scope, operator, container):
    """Add the nodes of the compact network under new names."""
    from onnx.helper import get_attribute_value

    opset = container.target_opset_any_domain("")
    if opset < OPSET:
        raise ValueError(
            f"target_opset={opset} is too old for the network, which needs {OPSET} or "
            "a newer one. Set target_opset, or leave it out."
        )
    graph = operator.raw_operator._build_onnx().graph
    names = {"X": _join_inputs(scope, operator, container)}
    for tensor in graph.initializer:
        name = scope.get_unique_variable_name(f"mlp_{tensor.name}")
        names[tensor.name] = tensor.name = name
        container.initializers.append(tensor)
    for node in graph.node:
        for name in node.output:
            names[name] = scope.get_unique_variable_name(f"mlp_{name}")
        container.add_node(
            node.op_type,
            [names[name] for name in node.input],
            [names[name] for name in node.output],
            name=scope.get_unique_operator_name(node.op_type),
            **{part.name: get_attribute_value(part) for part in node.attribute},
        )
    _connect_outputs(
        scope, operator, container, [names[output.name] for output in graph.output]
    )


def _convert_scaler(scope, operator, container):
    """Scale in double precision, as differences of large numbers are small."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import guess_proto_type

    from skchaosprune._affine import Affine, compose

    scaler = operator.raw_operator
    if getattr(scaler, "clip", False):
        _convert_as_skl2onnx(scope, operator, container)
        return
    affine = compose(Affine.identity(scaler), scaler)
    name = _join_inputs(scope, operator, container)
    name = _add(scope, container, "Cast", [name], to=TensorProto.DOUBLE)
    numbers = ("Sub", affine.mean), ("Mul", affine.factor), ("Add", affine.offset)
    for node, values in numbers:
        constant = scope.get_unique_variable_name(node)
        shape = [1, values.size]
        container.add_initializer(constant, TensorProto.DOUBLE, shape, values)
        name = _add(scope, container, node, [name, constant])
    (output,) = operator.outputs
    kind = guess_proto_type(output.type)
    _add(scope, container, "Cast", [name], output.full_name, to=kind)


def _join_inputs(scope, operator, container):
    """Add what joins the inputs to one matrix in single precision; return its name."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    names = []
    for variable in operator.inputs:
        name = variable.full_name
        if isinstance(variable.type, StringTensorType):
            raise ValueError(
                f"the network takes numbers, and {shorten(name)} has strings. Encode "
                "them in a step before it."
            )
        if not isinstance(variable.type, FloatTensorType):
            name = _add(scope, container, "Cast", [name], to=TensorProto.FLOAT)
        names.append(name)
    if len(names) == 1:
        return names[0]
    return _add(scope, container, "Concat", names, axis=1)


def _add(scope, container, operator, inputs, output=None, **attributes):
    """Add a node with one output and return its name."""
    output = output or scope.get_unique_variable_name(operator)
    name = scope.get_unique_operator_name(operator)
    container.add_node(operator, inputs, [output], name=name, **attributes)
    return output


def _connect_outputs(scope, operator, container, names):
    """Give the outputs of the network the names, types and shapes that are declared."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import guess_proto_type

    *labels, numbers = operator.outputs
    for label in labels:
        _add(scope, container, "Identity", names[:1], label.full_name)
    if _is_zipmap(numbers):
        network = operator.raw_operator
        is_text = _has_text_labels(network)
        key = "classlabels_strings" if is_text else "classlabels_int64s"
        values = [str(c) if is_text else int(c) for c in network.classes_.tolist()]
        options = {"op_domain": "ai.onnx.ml", key: values}
        _add(scope, container, "ZipMap", names[-1:], numbers.full_name, **options)
        return
    name = names[-1]
    if not labels:
        shape = scope.get_unique_variable_name("column_shape")
        container.add_initializer(shape, TensorProto.INT64, [2], [-1, 1])
        name = _add(scope, container, "Reshape", [name, shape])
    kind = guess_proto_type(numbers.type)
    _add(scope, container, "Cast", [name], numbers.full_name, to=kind)


def _convert_imputer(scope, operator, container):
    """Take NaN as missing in strings, and doubles, which skl2onnx does not.

    A missing string is what str() makes of ``missing_values``.
    """
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
    from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer

    imputer = operator.raw_operator
    if imputer.add_indicator and imputer.indicator_.features_.size:
        raise NotImplementedError(
            "skl2onnx has no SimpleImputer(add_indicator=True) where values were "
            "missing in fit; leave the indicator out."
        )
    if any(value != value for value in imputer.statistics_.tolist()):
        raise NotImplementedError(
            "SimpleImputer drops a column that had no value in fit; leave it out."
        )
    kind = operator.inputs[0].type
    missing = imputer.missing_values
    is_nan = isinstance(missing, float) and np.isnan(missing)
    if isinstance(kind, DoubleTensorType) and is_nan:
        _impute_doubles(scope, operator, container)
        return
    if isinstance(kind, StringTensorType):
        missing = str(missing)
    operator.raw_operator = _copy(imputer, missing_values=missing)
    convert_sklearn_imputer(scope, operator, container)


def _calculate_imputed_shape(operator):
    """Set the type and shape of the output; skl2onnx takes some strings for numbers."""
    first = operator.inputs[0]
    n_columns = sum(part.type.shape[1] or 0 for part in operator.inputs)
    kind = type(first.type)([first.get_first_dimension(), n_columns])
    operator.outputs[0].set_type(kind)


def _impute_doubles(scope, operator, container):
    """Fill in without the operator, which onnxruntime has for single precision."""
    from onnx import TensorProto
    from skl2onnx.operator_converters.common import concatenate_variables

    values = operator.raw_operator.statistics_.astype(np.float64)
    name = scope.get_unique_variable_name("statistics")
    container.add_initializer(name, TensorProto.DOUBLE, [1, values.size], values)
    rows = concatenate_variables(scope, operator.inputs, container)
    is_missing = _add(scope, container, "IsNaN", [rows])
    filled = [is_missing, name, rows]
    _add(scope, container, "Where", filled, operator.outputs[0].full_name)


def _convert_voting(scope, operator, container):
    """Take weights from a list, too; flatten_transform says nothing of predictions."""
    voting = operator.raw_operator
    weights = voting.weights
    if weights is not None:
        pairs = zip(weights, voting.estimators, strict=True)
        weights = np.array([w for w, (_, each) in pairs if each != "drop"])
    operator.raw_operator = _copy(voting, weights=weights, flatten_transform=False)
    _convert_as_skl2onnx(scope, operator, container)


def _convert_calibration(scope, operator, container):
    """Refuse methods of which skl2onnx makes other numbers."""
    method = operator.raw_operator.method
    if method != "sigmoid":
        raise NotImplementedError(
            f"skl2onnx has no exact CalibratedClassifierCV(method={method!r}); "
            "calibrate with method='sigmoid'."
        )
    _convert_as_skl2onnx(scope, operator, container)


def _copy(part, **changes):
    """Return a copy of a part of scikit-learn with some attributes changed."""
    part = copy.copy(part)
    vars(part).update(changes)
    return part


def _convert_as_skl2onnx(scope, operator, container):
    from skl2onnx.common._registration import get_converter

    get_converter(operator.type)(scope, operator, container)


def _rename_inputs(graph, names):
    """Give inputs the names of the columns; skl2onnx has letters and digits alone."""
    renamed = dict(zip((rows.name for rows in graph.input), names, strict=True))
    for rows in graph.input:
        rows.name = renamed[rows.name]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _flatten(graph, column, name):
    """Turn the output of shape (n_samples, 1) into one of shape (n_samples,)."""
    from onnx import helper, numpy_helper

    axes = numpy_helper.from_array(np.array([1]), f"{name}_axes")
    graph.initializer.append(axes)
    graph.node.append(helper.make_node("Squeeze", [column, axes.name], [name]))
    output = helper.make_tensor_value_info(name, helper.TensorProto.FLOAT, ["n"])
    graph.output[0].CopyFrom(output)


def _drop_unused(graph):
    """Drop constants that no node takes, of which onnxruntime warns."""
    used = {name for node in graph.node for name in node.input}
    for tensor in list(graph.initializer):
        if tensor.name not in used:
            graph.initializer.remove(tensor)
