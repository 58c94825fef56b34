"""The ONNX file: two judges run it and compare it with the estimator."""

import sys
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    CompactMLP,
    to_onnx,
)
from skchaosprune._export import onnx as ours
from skchaosprune.compact import serialize_onnx
from tests.helpers import small
from tests.test_compact import (
    ACTIVATIONS,
    KINDS,
    LABELS,
    fit,
    make_network,
    make_rows,
    random_masks,
)

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx.reference import ReferenceEvaluator  # noqa: E402


def run(path, X):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # quicker to start
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"X": np.asarray(X, dtype=np.float32)})


def run_reference(path, X):
    # its sigmoid overflows in the branch that is not taken
    with np.errstate(over="ignore", invalid="ignore"):
        return ReferenceEvaluator(str(path)).run(None, {"X": np.float32(X)})


def assert_same_outputs(outputs, model, X, tolerance=1e-5):
    """Compare with the estimator on the same single-precision rows."""
    rows = np.float32(X).astype(np.float64)
    expected = model.predict(rows)
    if not hasattr(model, "predict_proba"):
        (prediction,) = outputs
        assert prediction.shape == (len(X),)
        largest = np.abs(expected).max()
        assert_allclose(prediction, expected, rtol=0, atol=tolerance * largest)
        return
    labels, probabilities = outputs
    right = model.predict_proba(rows)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == right.shape
    assert_allclose(probabilities, right, rtol=0, atol=tolerance)
    assert labels.shape == (len(X),)
    second, first = np.sort(right, axis=1)[:, -2:].T
    clear = first - second > tolerance
    assert clear.any() or len(X) == 1
    assert_array_equal(labels[clear], expected[clear])


def assert_exports(model, path, X, tolerance=1e-5):
    """Both judges agree with the estimator, for one row and for all of them."""
    to_onnx(model, path)
    for judge in (run, run_reference):
        for rows in (X, X[:1]):
            assert_same_outputs(judge(path, rows), model, rows, tolerance)
    return onnx.load(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


@pytest.fixture(scope="module")
def X():
    return make_rows(1000, seed=3)[0]


# The same outputs


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_networks(path, X, kind):
    for activation in ACTIVATIONS:
        place = list(KINDS).index(kind) + ACTIVATIONS.index(activation)
        hidden = [(), (9,), (20, 15), (9, 8, 7)][place % 4]
        ratio = [0.0, 0.5, 0.9][place % 3]  # pairs of all kinds, not all products

        assert_exports(fit(kind, hidden, ratio=ratio, activation=activation), path, X)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_network(path, X, kind):
    model = fit(kind, ratio=1.1)
    assert model.compact().layer_sizes_[0] == 0
    to_onnx(model, path)

    # onnxruntime 1.19 refuses a product over nothing
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert not operators & {"MatMul", "Gemm"}
    for judge in (run, run_reference):
        *labels, values = judge(path, X)
        assert np.ptp(values, axis=0).max() == 0
        if labels:
            assert_allclose(values, model.predict_proba(X), atol=1e-6)
            assert_array_equal(labels[0], model.predict(X))
        else:
            assert_allclose(values, model.predict(X), rtol=1e-6)


@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_all_types(path, X, labels):
    labels = LABELS[labels]
    kind = {2: "two classes", 3: "three classes"}[len(labels)]
    model = fit(kind, labels=labels, ratio=0.3)

    proto = assert_exports(model, path, X)

    found, _ = run(path, X)
    is_text = labels.dtype.kind in "OU"
    assert 1 < len(set(found)) and set(found) <= set(labels.tolist())
    assert found.dtype == (object if is_text else np.int64)
    kinds = onnx.TensorProto
    stated = proto.graph.output[0].type.tensor_type.elem_type
    assert stated == (kinds.STRING if is_text else kinds.INT64)


def test_labels_that_onnx_does_not_have_are_refused(path):
    for classes in (
        np.array([0, 1, 2**63], dtype=np.uint64),
        np.array([0.0, 1.0, 2.0**63]),
        np.array(["a", 1, 2], dtype=object),
        np.array([(1,), 2, 3], dtype=object),
        np.array([1, 2, 3], dtype="datetime64[ns]"),
        np.array([1, 2, 3], dtype="timedelta64[ns]"),
    ):
        with pytest.raises(ValueError, match="labels are strings or 64-bit integers"):
            to_onnx(make_network(classes=classes), path)
    assert not path.exists()


def test_labels_that_end_in_nul(path, X):
    labels = np.array(["a", "a\0", "\0"], dtype=object)
    to_onnx(make_network(classes=labels), path)
    found, _ = run(path, np.resize(X, (1000, 8)))
    assert set(found) == set(labels)


def test_labels_that_are_no_unicode_are_refused_by_name(path):
    path.write_text("of yesterday", encoding="utf-8")
    for dtype in object, "U3":
        network = make_network(classes=np.array(["a", "b\ud800", "c"], dtype=dtype))
        for export in (network.to_onnx, partial(to_onnx, network)):
            with pytest.raises(ValueError, match=r"label 'b\\ud800' has half of a su"):
                export(path)
    assert path.read_text(encoding="utf-8") == "of yesterday"


@pytest.mark.parametrize("kind", KINDS)
def test_a_saturated_network(path, X, kind):
    model = fit(kind, (), ratio=0.0, max_iter=1)
    scale = 300.0 / np.abs(X @ model.coefs_[0] + model.intercepts_[0]).max()
    model.coefs_[0] *= scale
    model.intercepts_[0] *= scale
    network = model.compact()

    assert_exports(network, path, X)
    if kind != "regressor":
        probabilities = network.predict_proba(X)
        assert (probabilities == 1).any() or "four" in kind
        assert (probabilities < 1e-30).any()


def test_all_outputs_may_vanish(path):
    # every logistic output of this row is 0 in single precision
    network = make_network(
        (1, 3),
        "logistic",
        coefs=[np.array([[-150.0, -140.0, -300.0]])],
        intercepts=[np.zeros(3)],
        n_features_in=1,
        selected_features=[0],
    )
    expected = np.exp([-10.0, 0.0, -160.0])
    to_onnx(network, path)

    for judge in (run, run_reference):
        labels, probabilities = judge(path, [[1.0]])
        assert_allclose(probabilities[0], expected / expected.sum(), atol=1e-6)
        assert labels == [1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, ratio", [("iris", 0.5), ("cancer", 0.99), ("diabetes", 0.99)]
)
def test_trained_networks(request, path, name, ratio):
    X, y = request.getfixturevalue(name)
    kind = ChaosCausalPrunedMLPRegressor if name == "diabetes" else ChaosCausalPrunedMLP
    options = {"hidden_layer_sizes": (30, 10), "n_rounds": 1}
    model = small(kind, max_iter=5, prune_ratio=ratio, **options).fit(X, y)

    assert_exports(model, path, np.resize(X, (1000, X.shape[1])))


# The file


@pytest.mark.parametrize("kind", ["two classes", "four classes, squared", "regressor"])
def test_the_file_says_what_it_is(path, kind):
    assert to_onnx(fit(kind), str(path)) is None

    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert proto.ir_version in (8, 9)
    assert proto.producer_name == "skchaosprune"

    def shape(value):
        return [
            part.dim_value or part.dim_param
            for part in value.type.tensor_type.shape.dim
        ]

    (rows,) = proto.graph.input
    assert (rows.name, shape(rows)) == ("X", ["n", 6])
    assert rows.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    outputs = {value.name: shape(value) for value in proto.graph.output}
    n_classes = {"two classes": 2, "four classes, squared": 4}.get(kind)
    if n_classes is None:
        assert outputs == {"prediction": ["n"]}
    else:
        assert outputs == {"label": ["n"], "probabilities": ["n", n_classes]}


def test_unused_features_have_no_say(path, X):
    model = fit(ratio=0.95, seed=1)
    unused = model.compact().unused_features_
    assert 0 < len(unused) < 6
    other = X.copy()
    other[:, unused] = 1e6
    to_onnx(model, path)

    assert_array_equal(run(path, other)[1], run(path, X)[1])


def test_a_large_layer_with_few_weights_is_stored_as_places(tmp_path):
    X = np.random.RandomState(0).standard_normal((1000, 302))
    sparse = make_network((300, 300, 3), density=0.03, activation="tanh")
    dense = make_network((300, 300, 3), density=1.0, activation="tanh")

    proto = assert_exports(sparse, tmp_path / "sparse.onnx", X)
    to_onnx(dense, tmp_path / "dense.onnx")

    operators = [node.op_type for node in proto.graph.node]
    assert operators.count("ScatterElements") == 2
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("sparse", "dense")]
    assert sizes[0] < 4 * 300 * 300 / 10 < sizes[1]
    operators = [node.op_type for node in onnx.load(tmp_path / "dense.onnx").graph.node]
    assert "ScatterElements" not in operators


def test_places_are_used_where_they_make_the_file_smaller(monkeypatch):
    # of 1000 weights all, with 4 bytes each, or some, with 5 bytes each, and nodes
    for n_kept in (600, 760, 780, 900):
        W = np.zeros((1000, 1))
        W[:n_kept] = 1.0
        network = make_network((1000, 1), "logistic", coefs=[W])
        sizes = [len(serialize_onnx(network))]
        for n_bytes in (-1e6, 1e6):
            with monkeypatch.context() as patch:
                patch.setattr(ours, "_BYTES_OF_NODES", n_bytes)
                sizes.append(len(serialize_onnx(network)))

        assert sizes[0] == min(sizes) and sizes[1] != sizes[2]
        assert (sizes[1] < sizes[2]) == (n_kept < 770)


def test_files_have_few_bytes_above_the_numbers(path):
    for network, most in [
        (make_network((5, 7, 1), "logistic"), 420),
        (make_network((5, 7, 1), "identity"), 340),
        (make_network((5, 7, 6, 5, 4, 3), classes=["a", "b", "c"]), 570),
        (make_network((5, 3), n_features_in=5, selected_features=range(5)), 260),
    ]:
        network.to_onnx(path)

        assert path.stat().st_size - 4 * network.n_parameters_ <= most, network


def test_methods_and_functions_write_the_same_file(tmp_path):
    model = fit(labels=["ant", "bee", "cow"])
    network = model.compact()
    network.save_npz(tmp_path / "net.npz")
    pipeline = Pipeline([("none", "passthrough"), ("net", model), ("also", None)])

    to_onnx(model, tmp_path / "0")
    network.to_onnx(tmp_path / "1")
    to_onnx(network, tmp_path / "2")
    to_onnx(CompactMLP.load_npz(tmp_path / "net.npz"), tmp_path / "3")
    to_onnx(pipeline, tmp_path / "4")

    files = [(tmp_path / str(number)).read_bytes() for number in range(5)]
    assert set(files) == {files[0]}


# Pipelines


@pytest.mark.filterwarnings("ignore:X is not scaled")
def test_pipelines_with_a_scaler(path, X):
    X = X * [0.1, 1, 10, 3, 1, 5] + np.arange(6)
    y = (X[:, 0] > 0) * 1 + (X[:, 1] > 1)
    for with_mean, with_std in product([True, False], repeat=2):
        scaler = StandardScaler(with_mean=with_mean, with_std=with_std)
        pipeline = make_pipeline(scaler, small(max_iter=2)).fit(X[:60], y[:60])

        for last in (pipeline[1], pipeline[1].compact()):
            proto = assert_exports(make_pipeline(pipeline[0], last), path, X)

            operators = {node.op_type for node in proto.graph.node}
            assert ("Sub" in operators) == with_mean
            assert ("Div" in operators) == with_std


def test_a_regressor_behind_a_scaler(path, X):
    X, y = X * 100 - 500, X[:, 0] * 3000 + 1e4
    pipeline = make_pipeline(
        StandardScaler(),
        small(ChaosCausalPrunedMLPRegressor, max_iter=2),
    ).fit(X[:60], y[:60])

    assert_exports(pipeline, path, X)


def test_large_means_keep_their_precision(path, X):
    X = X + 1e6
    y = (X[:, 0] > 1e6).astype(int)
    X[:, 5] = 1234567.8  # constant: scale 1
    pipeline = make_pipeline(StandardScaler(), small()).fit(X[:60], y[:60])
    assert pipeline[0].scale_[5] == 1

    assert_exports(pipeline, path, X)


def test_pipelines_fitted_on_frames(path, X):
    y = np.where(X[:60, 0] > 0, "up", "down")
    for dtype in np.float32, np.float64:
        frame = pd.DataFrame(X[:60].astype(dtype), columns=list("abcdef"))
        pipeline = make_pipeline(
            StandardScaler().set_output(transform="pandas"),
            small(max_iter=2),
        ).fit(frame, y)
        assert pipeline[1].feature_names_in_.tolist() == list("abcdef")

        to_onnx(pipeline, path)

        labels, probabilities = run(path, frame.to_numpy())
        expected = pipeline.predict_proba(frame.astype(np.float32).astype(np.float64))
        assert_allclose(probabilities, expected, atol=1e-5)
        assert set(labels) <= {"up", "down"}


# Errors


def test_unfitted_estimators_are_refused(path):
    for estimator in (
        ChaosCausalPrunedMLP(),
        ChaosCausalPrunedMLPRegressor(),
        make_pipeline(StandardScaler(), ChaosCausalPrunedMLP()),
        make_pipeline(StandardScaler(), make_network()),
    ):
        with pytest.raises(NotFittedError):
            to_onnx(estimator, path)
    assert not path.exists()


def test_other_objects_are_refused(path):
    scaler = StandardScaler().fit(np.random.RandomState(0).standard_normal((9, 8)))
    none = Pipeline([("none", "passthrough")])
    for estimator, match in [
        (LogisticRegression(), "Got LogisticRegression instead"),
        (scaler, "Got StandardScaler instead"),
        (None, "Got NoneType instead"),
        ("net", "Got str instead"),
        (make_pipeline(scaler, LogisticRegression()), "Got LogisticRegression"),
        (make_pipeline(scaler), "Got StandardScaler instead"),
        (none, "Got Pipeline instead"),
    ]:
        with pytest.raises(TypeError, match=match):
            to_onnx(estimator, path)
    assert not path.exists()


def test_without_onnx_the_error_says_what_to_install(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    network = make_network()
    for export in (network.to_onnx, lambda path: to_onnx(network, path)):
        with pytest.raises(ImportError, match=r"pip install 'skchaosprune\[export\]'"):
            export(path)


def test_a_failure_leaves_an_old_file_alone(monkeypatch, path):
    path.write_text("of yesterday", encoding="utf-8")
    with pytest.raises(TypeError):
        to_onnx(LogisticRegression(), path)

    def complain(*args, **kwargs):
        raise onnx.checker.ValidationError("not a model")

    monkeypatch.setattr(onnx.checker, "check_model", complain)
    with pytest.raises(onnx.checker.ValidationError):
        to_onnx(make_network(), path)

    assert path.read_text(encoding="utf-8") == "of yesterday"


def test_masks_of_a_whole_layer_leave_a_file(path):
    masks = random_masks((6, 4, 3), 0.0, np.random.RandomState(0))
    masks[1][:, 1:] = False
    assert_exports(fit(hidden=(4,), masks=masks), path, make_rows(40)[0])


def test_numbers_beyond_single_precision_are_refused(path, diabetes):
    X, y = diabetes
    model = small(ChaosCausalPrunedMLPRegressor, max_iter=2)

    with pytest.raises(ValueError, match="target_scale is too large for the single"):
        to_onnx(model.fit(X, y * 1e40), path)
    with pytest.raises(ValueError, match="target_scale is too small for the single"):
        to_onnx(model.fit(X, y * 1e-45), path)
    assert not path.exists()
