"""The ONNX file: two judges run it and compare it with the estimator."""

import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    CompactMLP,
    to_onnx,
)
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
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
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


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_networks(path, X, kind, activation, ratio):
    model = fit(kind, ratio=ratio, activation=activation)

    assert_exports(model, path, X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [(), (9,), (9, 8, 7)])
def test_all_depths(path, X, kind, hidden):
    assert_exports(fit(kind, hidden, ratio=0.4), path, X)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_network(path, X, kind):
    model = fit(kind, ratio=1.1)
    assert model.compact().layer_sizes_[0] == 0
    to_onnx(model, path)

    # onnxruntime 1.19 refuses a product over nothing
    assert "MatMul" not in {node.op_type for node in onnx.load(path).graph.node}
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


@pytest.mark.parametrize(
    "classes",
    [
        np.array([0, 1, 2**63], dtype=np.uint64),
        np.array([0.0, 1.0, 2.0**63]),
        np.array(["a", 1, 2], dtype=object),
        np.array([(1,), 2, 3], dtype=object),
    ],
    ids=["uint64", "float", "mixed", "tuple"],
)
def test_labels_that_onnx_does_not_have_are_refused(path, classes):
    with pytest.raises(ValueError, match="labels are strings or 64-bit integers"):
        to_onnx(make_network(classes=classes), path)
    assert not path.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saturated_network(path, X, kind):
    model = fit(kind, (), ratio=0.0, activation="identity", max_iter=1)
    small = model.compact()
    scale = 300.0 / np.abs(small._logits(X)).max()
    small._weights[0] *= scale
    small.intercepts_[0] *= scale

    assert np.abs(small._logits(X)).max() > 290
    assert_exports(small, path, X)
    if kind != "regressor":
        probabilities = small.predict_proba(X)
        assert (probabilities == 1).any() or "four" in kind
        assert (probabilities < 1e-30).any()


def test_all_outputs_may_vanish(path):
    # every logistic output of this row is 0 in single precision
    small = make_network(
        (1, 3),
        "logistic",
        coefs=[np.array([[-150.0, -140.0, -300.0]])],
        intercepts=[np.zeros(3)],
        n_features_in=1,
        selected_features=[0],
    )
    expected = np.exp([-10.0, 0.0, -160.0])
    to_onnx(small, path)

    for judge in (run, run_reference):
        labels, probabilities = judge(path, [[1.0]])
        assert_allclose(probabilities[0], expected / expected.sum(), atol=1e-6)
        assert labels == [1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "cancer", "diabetes"])
@pytest.mark.parametrize("ratio", [0.5, 0.99])
def test_trained_networks(request, path, name, ratio):
    X, y = request.getfixturevalue(name)
    kind = ChaosCausalPrunedMLPRegressor if name == "diabetes" else ChaosCausalPrunedMLP
    model = kind(
        (30, 10),
        max_iter=5,
        prune_ratio=ratio,
        prune_criterion="magnitude",
        n_rounds=1,
        random_state=0,
    ).fit(X, y)

    assert_exports(model, path, np.resize(X, (1000, X.shape[1])))


# The file


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("kind", ["two classes", "four classes, squared", "regressor"])
def test_the_file_says_what_it_is(path, kind, as_text):
    model = fit(kind)
    place = str(path) if as_text else path

    assert to_onnx(model, place) is None

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


@pytest.mark.parametrize("n_kept", [447, 448, 449, 450, 451])
def test_places_are_used_where_they_make_the_file_smaller(tmp_path, n_kept):
    # 1000 weights of 4 bytes against a value and a place each, and some nodes
    W = np.zeros((1000, 1))
    W[:n_kept] = 1.0
    small = make_network((1000, 1), "logistic", coefs=[W])
    to_onnx(small, tmp_path / "net.onnx")

    proto = onnx.load(tmp_path / "net.onnx")

    operators = {node.op_type for node in proto.graph.node}
    assert ("ScatterElements" in operators) == (n_kept < 450)


def test_methods_and_functions_write_the_same_file(tmp_path):
    model = fit(labels=["ant", "bee", "cow"])
    small = model.compact()
    small.save_npz(tmp_path / "net.npz")
    pipeline = Pipeline([("none", "passthrough"), ("net", model), ("also", None)])

    to_onnx(model, tmp_path / "0")
    small.to_onnx(tmp_path / "1")
    to_onnx(small, tmp_path / "2")
    to_onnx(CompactMLP.load_npz(tmp_path / "net.npz"), tmp_path / "3")
    to_onnx(pipeline, tmp_path / "4")

    files = [(tmp_path / str(number)).read_bytes() for number in range(5)]
    assert set(files) == {files[0]}


# Pipelines


@pytest.mark.parametrize("with_mean", [True, False])
@pytest.mark.parametrize("with_std", [True, False])
@pytest.mark.parametrize("is_compact", [False, True])
def test_pipelines_with_a_scaler(path, X, with_mean, with_std, is_compact):
    X = X * [0.1, 1, 10, 3, 1, 5] + np.arange(6)
    y = (X[:, 0] > 0) * 1 + (X[:, 1] > 1)
    model = ChaosCausalPrunedMLP(
        (5,), max_iter=2, prune_criterion="magnitude", random_state=0
    )
    scaler = StandardScaler(with_mean=with_mean, with_std=with_std)
    pipeline = make_pipeline(scaler, model).fit(X[:60], y[:60])
    if is_compact:
        pipeline = make_pipeline(pipeline[0], pipeline[1].compact())

    proto = assert_exports(pipeline, path, X)

    operators = {node.op_type for node in proto.graph.node}
    assert ("Sub" in operators) == with_mean
    assert ("Div" in operators) == with_std


def test_a_regressor_behind_a_scaler(path, X):
    X, y = X * 100 - 500, X[:, 0] * 3000 + 1e4
    pipeline = make_pipeline(
        StandardScaler(),
        ChaosCausalPrunedMLPRegressor((5,), max_iter=2, prune_criterion="magnitude"),
    ).fit(X[:60], y[:60])

    assert_exports(pipeline, path, X)


def test_large_means_keep_their_precision(path, X):
    X = X + 1e6
    y = (X[:, 0] > 1e6).astype(int)
    X[:, 5] = 1234567.8  # constant: scale 1
    pipeline = make_pipeline(
        StandardScaler(),
        ChaosCausalPrunedMLP((5,), max_iter=3, prune_criterion="magnitude"),
    ).fit(X[:60], y[:60])
    assert pipeline[0].scale_[5] == 1

    assert_exports(pipeline, path, X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pipelines_fitted_on_frames(path, X, dtype):
    frame = pd.DataFrame(X[:60].astype(dtype), columns=list("abcdef"))
    y = np.where(X[:60, 0] > 0, "up", "down")
    pipeline = make_pipeline(
        StandardScaler().set_output(transform="pandas"),
        ChaosCausalPrunedMLP((5,), max_iter=2, prune_criterion="magnitude"),
    ).fit(frame, y)
    assert pipeline[1].feature_names_in_.tolist() == list("abcdef")

    to_onnx(pipeline, path)

    labels, probabilities = run(path, frame.to_numpy())
    expected = pipeline.predict_proba(frame.astype(np.float32).astype(np.float64))
    assert_allclose(probabilities, expected, atol=1e-5)
    assert set(labels) <= {"up", "down"}


# Errors


@pytest.mark.parametrize(
    "estimator",
    [
        ChaosCausalPrunedMLP(),
        ChaosCausalPrunedMLPRegressor(),
        make_pipeline(StandardScaler(), ChaosCausalPrunedMLP()),
        make_pipeline(StandardScaler(), make_network()),
    ],
    ids=["classifier", "regressor", "pipeline", "scaler"],
)
def test_unfitted_estimators_are_refused(path, estimator):
    with pytest.raises(NotFittedError):
        to_onnx(estimator, path)
    assert not path.exists()


SCALER = StandardScaler().fit(np.random.RandomState(0).standard_normal((9, 8)))


@pytest.mark.parametrize(
    "estimator, match",
    [
        (LogisticRegression(), "Got LogisticRegression instead"),
        (SCALER, "Got StandardScaler instead"),
        (None, "Got NoneType instead"),
        ("net", "Got str instead"),
        (make_pipeline(SCALER, LogisticRegression()), "Got LogisticRegression"),
        (make_pipeline(SCALER), "Got StandardScaler instead"),
        (Pipeline([("none", "passthrough")]), "or a Pipeline"),
        (
            make_pipeline(MinMaxScaler(), make_network()),
            "Got the steps MinMaxScaler, CompactMLP. Export the last step alone",
        ),
        (
            make_pipeline(SCALER, SCALER, make_network()),
            "Got the steps StandardScaler, StandardScaler, CompactMLP",
        ),
    ],
    ids=str,
)
def test_other_objects_are_refused(path, estimator, match):
    with pytest.raises(TypeError, match=match):
        to_onnx(estimator, path)
    assert not path.exists()


def test_without_onnx_the_error_says_what_to_install(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    small = make_network()
    for export in (small.to_onnx, lambda path: to_onnx(small, path)):
        with pytest.raises(ImportError, match=r"pip install 'skchaosprune\[export\]'"):
            export(path)


def test_a_failure_leaves_an_old_file_alone(monkeypatch, path):
    path.write_text("of yesterday")
    with pytest.raises(TypeError):
        to_onnx(LogisticRegression(), path)

    def complain(*args, **kwargs):
        raise onnx.checker.ValidationError("not a model")

    monkeypatch.setattr(onnx.checker, "check_model", complain)
    with pytest.raises(onnx.checker.ValidationError):
        to_onnx(make_network(), path)

    assert path.read_text() == "of yesterday"


def test_masks_of_a_whole_layer_leave_a_file(path):
    masks = random_masks((6, 4, 3), 0.0, np.random.RandomState(0))
    masks[1][:, 1:] = False
    assert_exports(fit(hidden=(4,), masks=masks), path, make_rows(40)[0])


def test_numbers_beyond_single_precision_are_refused(tmp_path, diabetes):
    X, y = diabetes
    model = ChaosCausalPrunedMLPRegressor((3,), max_iter=2, prune_criterion="magnitude")
    path = tmp_path / "net.onnx"

    with pytest.raises(ValueError, match="target_scale is too large for the single"):
        to_onnx(model.fit(X, y * 1e40), path)
    with pytest.raises(ValueError, match="target_scale is too small for the single"):
        to_onnx(model.fit(X, y * 1e-45), path)
    assert not path.exists()
