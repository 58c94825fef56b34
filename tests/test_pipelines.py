"""Whole models as ONNX files, which onnxruntime judges."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_transformer,
)
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    CompactMLP,
    register_onnx_converters,
    to_compact,
    to_onnx,
)
from skchaosprune._export import runtime
from tests.helpers import small
from tests.test_paper import DATA

onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

SCALED = "ignore:X is not scaled"
NUMBERS, TEXTS = ["age", "fare (GBP)"], ["sex", "port"]


def regressor(**changes):
    return small(ChaosCausalPrunedMLPRegressor, **changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).standard_normal((90, 5))


@pytest.fixture(scope="module")
def y(X):
    """Three classes; their names; two; numbers."""
    codes = (X[:, 0] > 0) * 1 + (X[:, 1] > 0.5)
    words = np.array(["ant", "bee", "cow"])[codes]
    return {"codes": codes, "words": words, "bools": codes > 0, "numbers": X[:, 0] * 30}


@pytest.fixture(scope="module")
def frame():
    """Numbers, ints, bools, strings and categories, with gaps, and a useless column."""
    rng = np.random.RandomState(0)
    table = pd.DataFrame({name: rng.standard_normal(90) for name in NUMBERS})
    table["class"] = pd.array(rng.randint(1, 4, 90), dtype="Int64")
    table["alone"] = rng.rand(90) > 0.5
    table["sex"] = pd.Series(rng.choice(["male", "female"], 90), dtype=object)
    table["port"] = pd.Series(rng.choice(["C", "Q", "S"], 90), dtype="category")
    table["name"] = [f"passenger {i}" for i in range(90)]
    for name in [*NUMBERS, "class", "port"]:
        table.loc[rng.rand(90) < 0.2, name] = None
    return table


def run(model, X):
    """Outputs by name; ``model`` is a path or a proto, ``X`` an array or a frame."""
    content = model if isinstance(model, bytes) else model.read_bytes()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    if isinstance(X, pd.DataFrame):
        texts = [i.name for i in session.get_inputs() if i.type == "tensor(string)"]
        feed = {
            name: X[[name]].to_numpy(object)
            if name in texts
            else X[[name]].to_numpy(np.float32, na_value=np.nan)
            for name in X
        }
    else:
        feed = {session.get_inputs()[0].name: X}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feed), strict=True))


def assert_same(found, model, X, tolerance=1e-5):
    if hasattr(model, "predict_proba"):
        expected = model.predict_proba(X)
        assert found["probabilities"].dtype == np.float32
        assert_allclose(found["probabilities"], expected, rtol=0, atol=tolerance)
        assert_array_equal(found["label"], model.predict(X))
        return
    expected = model.predict(X)
    assert found["prediction"].shape == expected.shape
    scale = np.abs(expected).max()
    assert_allclose(found["prediction"], expected, rtol=0, atol=tolerance * scale)


def assert_exports(model, path, X):
    to_onnx(model, path, X.head(60) if isinstance(X, pd.DataFrame) else X[:60])
    is_array = not isinstance(X, pd.DataFrame) and X.dtype != object
    rows = np.float32(X) if is_array else X
    assert_same(run(path, rows), model, X)


# Whole pipelines in ONNX


@pytest.mark.filterwarnings(SCALED)
def test_pipelines_of_matrices(path, X, y):
    bare = pd.DataFrame(X, columns=["label one", "b", "c", "d", "X"])
    bare.index = bare.index + 1.5
    scaled = make_pipeline(StandardScaler(), PCA(2))
    for steps, target in [
        ([MinMaxScaler(), small()], "words"),
        ([MinMaxScaler(), StandardScaler(), small()], "bools"),
        ([make_union(MinMaxScaler(), scaled), StandardScaler(), small()], "codes"),
        ([StandardScaler(), SelectFromModel(small()), small()], "codes"),
        ([MinMaxScaler(), make_pipeline(StandardScaler(), regressor())], "numbers"),
    ]:
        for rows in X, bare:
            model = make_pipeline(*steps).fit(rows, y[target])
            assert_exports(model, path, rows)
            assert_exports(to_compact(model), path, rows)


@pytest.mark.filterwarnings(SCALED)
def test_pipelines_of_mixed_columns(path, frame, y):
    encode = OneHotEncoder()
    most = SimpleImputer(strategy="most_frequent")
    none = SimpleImputer(strategy="constant", fill_value="none")
    for fill in (encode, make_pipeline(most, encode), make_pipeline(none, encode)):
        for scaler, target in (StandardScaler(), "words"), (MinMaxScaler(), "numbers"):
            columns = make_column_transformer(
                (make_pipeline(SimpleImputer(), scaler), [*NUMBERS, "class"]),
                (encode, ["alone"]),
                (fill, TEXTS),
            )
            last = small() if target == "words" else regressor()
            model = make_pipeline(columns, last).fit(frame, y[target])
            assert_exports(model, path, frame)
            assert_exports(to_compact(model), path, frame.drop(columns="name"))

    # a missing string is what str() says
    words = frame["port"].astype(object)
    assert words.isna().any()
    told = frame.assign(port=words.where(words.notna(), "nan"))
    assert_same(run(path, told.drop(columns="name")), model, frame)

    # strings alone, with gaps
    texts = frame[TEXTS].astype(object)
    model = make_pipeline(most, encode, small()).fit(texts, y["words"])
    assert_exports(model, path, texts)
    assert_exports(model.fit(texts.to_numpy(), y["words"]), path, texts.to_numpy())

    # columns by name, where all are numbers
    columns = make_column_transformer((MinMaxScaler(), ["fare", "age"]))
    rows = pd.DataFrame(np.eye(90, 3), columns=["age", "class", "fare"])
    assert_exports(make_pipeline(columns, small()).fit(rows, y["words"]), path, rows)


def test_ensembles(path, X, y):
    two = [("one", small()), ("two", make_pipeline(MinMaxScaler(), small(max_iter=5)))]
    three = [*two, ("none", "drop"), ("other", LogisticRegression())]
    pairs = [("one", regressor()), ("two", Ridge())]
    for model, target in [
        (VotingClassifier(three, voting="soft", weights=[1, 2, 9, 3]), "words"),
        (make_pipeline(MinMaxScaler(), VotingClassifier(two, voting="soft")), "codes"),
        (CalibratedClassifierCV(small(), cv=2), "words"),
        (CalibratedClassifierCV(two[1][1], cv=2, ensemble=False), "bools"),
        (StackingClassifier(two, cv=2), "words"),
        (StackingClassifier(three, small(), cv=2, passthrough=True), "bools"),
        (BaggingClassifier(small(), 2, random_state=0), "codes"),
        (VotingRegressor(pairs, weights=[1, 2]), "numbers"),
        (StackingRegressor(pairs, cv=2), "numbers"),
    ]:
        assert_exports(model.fit(X, y[target]), path, X)

    hard = VotingClassifier(two).fit(X, y["words"])
    to_onnx(hard, path, X)
    assert_array_equal(run(path, np.float32(X))["label"], hard.predict(X))


def test_skl2onnx_alone(monkeypatch, X, y, frame):
    known = skl2onnx._supported_operators.sklearn_operator_name_map
    kinds = ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor, CompactMLP
    for kind in kinds:
        monkeypatch.delitem(known, kind, raising=False)
    words = make_pipeline(MinMaxScaler(), small()).fit(X, y["words"])
    bools = small().fit(X, y["bools"])
    numbers = make_pipeline(StandardScaler(), regressor()).fit(X, y["numbers"])
    for model, rows in [
        (model, rows)
        for fitted in (words, bools, numbers)
        for model in (fitted, to_compact(fitted))
        for rows in (X, np.float32(X))
    ]:
        proto = skl2onnx.to_onnx(model, rows[:1])
        *label, values = run(proto.SerializeToString(), rows).values()
        if label:  # one dictionary per row, as of any classifier
            assert list(values[0]) == model.classes_.tolist()
            assert_allclose(pd.DataFrame(values), model.predict_proba(X), atol=1e-5)
            assert_array_equal(label[0], model.predict(X))
            proto = skl2onnx.to_onnx(model, rows[:1], options={"zipmap": False})
            arrays = run(proto.SerializeToString(), rows)["probabilities"]
            assert arrays.dtype == rows.dtype
            assert_allclose(arrays, model.predict_proba(X), atol=1e-5)
        else:
            assert_allclose(values[:, 0], model.predict(X), rtol=1e-4, atol=1e-4)

    # doubles and strings with gaps, which skl2onnx alone does not impute
    table = frame[[*NUMBERS, *TEXTS]].astype({"port": object})
    fill = SimpleImputer(strategy="most_frequent")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()), NUMBERS),
        (make_pipeline(fill, OneHotEncoder()), TEXTS),
    )
    model = make_pipeline(columns, small()).fit(table, y["words"])
    proto = skl2onnx.to_onnx(model, table[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    names = [part.name for part in session.get_inputs()]  # skl2onnx changes some
    feed = {
        name: table[[column]].to_numpy()
        for name, column in zip(names, table, strict=True)
    }
    _, arrays = session.run(None, feed)
    assert_allclose(arrays, model.predict_proba(table), rtol=0, atol=1e-5)

    for options in {"nocl": True}, {"zipmap": "columns"}:
        with pytest.raises(ValueError, match="has one option of skl2onnx, zipmap=True"):
            skl2onnx.to_onnx(words, X[:1], options=options)
    with pytest.raises(ValueError, match="target_opset=13 is too old .* needs 17 or a"):
        skl2onnx.to_onnx(words, X[:1], target_opset=13)

    # the user's own converter stays
    from skl2onnx.common import _registration

    name = "SklearnSimpleImputer"
    ours = _registration.get_converter(name)

    def convert(scope, operator, container):
        raise NotImplementedError

    _registration.register_converter(name, convert, overwrite=True)
    register_onnx_converters()
    theirs = _registration.get_converter(name)
    _registration.register_converter(name, ours._fct, overwrite=True)
    assert theirs._fct is convert

    for kind in kinds:
        known.pop(kind, None)
    pair = [("one", words), ("two", small())]
    voting = VotingClassifier(pair, voting="soft", flatten_transform=False)
    voting.fit(X, y["words"])
    with pytest.raises(KeyError, match="ChaosCausalPrunedMLP"):
        skl2onnx.to_onnx(voting, X[:1])
    register_onnx_converters()
    proto = skl2onnx.to_onnx(voting, X[:1], options={"zipmap": False})
    probabilities = run(proto.SerializeToString(), X)["probabilities"]
    assert_allclose(probabilities, voting.predict_proba(X), atol=1e-5)


ALONE = """
import sys
import numpy as np
import onnxruntime
import pandas as pd

table = pd.read_csv(sys.argv[1])
session = onnxruntime.InferenceSession(sys.argv[2])
feed = {
    part.name: table[[part.name]].to_numpy(
        object if part.type == "tensor(string)" else np.float32
    )
    for part in session.get_inputs()
}
label, probabilities = session.run(None, feed)
np.save(sys.argv[3], probabilities)
print(sorted({"torch", "skchaosprune", "sklearn", "skl2onnx"} & set(sys.modules)))
"""


@pytest.mark.filterwarnings(SCALED, "ignore:Found unknown categories")
@pytest.mark.skipif(
    not (DATA / "titanic_train.csv").is_file(), reason="the Titanic is not here"
)
def test_titanic_without_us(path, tmp_path):
    table = pd.read_csv(DATA / "titanic_train.csv")
    encode = OneHotEncoder(drop="if_binary", handle_unknown="ignore")
    most = SimpleImputer(strategy="most_frequent")
    columns = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            ["Age", "SibSp", "Parch", "Fare"],
        ),
        (encode, ["Pclass", "Cabin"]),
        (make_pipeline(most, encode), ["Sex", "Embarked"]),
        sparse_threshold=0,
    )
    model = make_pipeline(columns, small(hidden_layer_sizes=(16,), batch_size=32))
    table, survived = table.drop(columns="Survived"), table["Survived"]
    to_onnx(model.fit(table, survived), path, table)

    # those of the test, too, which have other cabins, and one of them no fare
    for name in "titanic_train", "titanic_test":
        source, result = tmp_path / f"{name}.csv", tmp_path / f"{name}.npy"
        rows = pd.read_csv(DATA / f"{name}.csv").drop(
            columns="Survived", errors="ignore"
        )
        rows.to_csv(source, index=False)
        done = subprocess.run(
            [sys.executable, "-c", ALONE, source, path, result],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("[]\n", "")
        expected = model.predict_proba(rows)
        assert_allclose(np.load(result), expected, rtol=0, atol=1e-5)


# What single precision and skl2onnx make of the numbers


@pytest.mark.filterwarnings(SCALED)
def test_columns_that_are_far_from_zero(path, y):
    rows = np.round(np.random.RandomState(0).normal(1e7, 100.0, (90, 3)))
    frame = pd.DataFrame(rows, columns=["zip", "b", "c"])
    for scaler in StandardScaler(), MinMaxScaler((-2, 2)):
        for steps in (
            [SimpleImputer(), scaler],
            [make_column_transformer((scaler, ["zip", "c"]), remainder="drop")],
        ):
            model = make_pipeline(*steps, small()).fit(frame, y["words"])
            assert_exports(model, path, frame)
    clipped = make_pipeline(MinMaxScaler(clip=True), small())
    rows = pd.DataFrame(
        np.random.RandomState(0).standard_normal((90, 3)), columns=list("abc")
    )
    assert_exports(clipped.fit(rows, y["words"]), path, 2 * rows)


def test_files_that_predict_otherwise_warn(monkeypatch, path, X, y):
    """skl2onnx drops a threshold, and cuts labels to 32 bits."""
    model = make_pipeline(StandardScaler(), small())
    tuned = TunedThresholdClassifierCV(model, scoring="recall", cv=2)
    tuned.fit(X, y["bools"].astype(int))
    wrong = np.sum((tuned.predict_proba(X)[:, 1] > 0.5) != tuned.predict(X))
    assert wrong > 0
    far = CalibratedClassifierCV(model, cv=2).fit(X, y["codes"] + 3_000_000_000)
    with pytest.warns(UserWarning, match="^the ONNX file gives") as found:
        to_onnx(tuned, path, X)
    assert len(found) == 1 and found[0].filename == __file__
    text = f"gives other labels than the TunedThresholdClassifierCV for {wrong} of 90"
    assert text in str(found[0].message)
    assert path.exists()
    # some versions see it themselves
    text = "other labels than the CalibratedClassifierCV for 90 of 90 rows|out of range"
    with pytest.raises((UserWarning, ValueError), match=text):
        to_onnx(far, path, X)

    # a converter that is off by a little, and one of a regressor
    number = make_pipeline(MinMaxScaler(), regressor()).fit(X, y["numbers"])
    word = make_pipeline(MinMaxScaler(), small()).fit(X, y["words"])
    run_file = runtime.run
    for model, name, what in (
        (word, "probabilities", "probabilities"),
        (number, "prediction", "values"),
    ):

        def run_off(content, feed, name=name):
            outputs = run_file(content, feed)
            outputs[name][3] += 2e-4 * np.abs(outputs[name]).max()
            return outputs

        monkeypatch.setattr(runtime, "run", run_off)
        text = f"other {what} than the Pipeline for 1 of 90"
        with pytest.warns(UserWarning, match=text):
            to_onnx(model, path, X)
        monkeypatch.setattr(runtime, "run", lambda content, feed: None)
        to_onnx(model, path, X)  # cannot tell without onnxruntime
        monkeypatch.setattr(runtime, "run", run_file)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert runtime.run(b"", {}) is None


# Errors


@pytest.mark.filterwarnings(SCALED, "ignore:Skipping features without any")
def test_what_cannot_be_exported(monkeypatch, path, X, y, frame):
    path.write_text("of yesterday", encoding="utf-8")
    codes = y["codes"]
    network = small().fit(X, codes)
    fitted = make_pipeline(MinMaxScaler(), small()).fit(X, codes)
    isotonic = CalibratedClassifierCV(small(), method="isotonic", cv=2).fit(X, codes)
    scaled = TransformedTargetRegressor(regressor(), transformer=StandardScaler())
    gaps = X.copy()
    gaps[3, 1] = np.nan
    marked = make_pipeline(SimpleImputer(add_indicator=True), small()).fit(gaps, codes)
    gaps[:, 1] = np.nan
    with warnings.catch_warnings(action="ignore"):
        empty = make_pipeline(SimpleImputer(), small()).fit(gaps, codes)
    frozen = CalibratedClassifierCV(FrozenEstimator(network), cv=2).fit(X, codes)
    pair = [("one", small()), ("two", small())]
    stacked = StackingClassifier(pair, stack_method="predict", cv=2).fit(X, codes)
    grid = GridSearchCV(small(), {"alpha": [0.1]}, cv=2).fit(X, codes)
    dates = pd.DataFrame({"when": pd.to_datetime(["2020-01-01"])})
    mixed = np.array([["a", 1]], dtype=object)
    bare = pd.DataFrame(X)
    odd = make_pipeline(MinMaxScaler(), network.compact())
    odd[-1].classes_ = np.array([0, 1, "x"], dtype=object)
    odd[0].fit(X)
    for model, rows, kind, match in [
        (fitted, None, ValueError, r"this Pipeline: pass raw rows, to_onnx\(model, pa"),
        (fitted, X[:0], ValueError, r"shape \(0, 5\); pass at least one row"),
        (fitted, X[0], ValueError, r"shape \(5,\); pass at least one row"),
        (fitted, frame[[]], ValueError, "X has 90 rows and the columns"),
        (
            fitted,
            frame[["age", "age"]],
            ValueError,
            "X has 90 rows .* all with different names",
        ),
        (fitted, dates, ValueError, r"X\['when'\] has the dtype datetime64.* convert"),
        (fitted, mixed, ValueError, "X has the dtype object and is neither all numb"),
        *[
            (fitted, bare.rename(columns={0: name}), ValueError, "no input of an ONNX")
            for name in ("label", "prediction", "")
        ],
        (
            fitted,
            bare.assign(**{"x" * 900: dates}),
            ValueError,
            r"X\['xx.{,60} has the",
        ),
        (fitted, X[:, :2], ValueError, "X has 2 features, but MinMaxScaler is expec"),
        (isotonic, X, ValueError, "no exact .*isotonic.*calibrate with method='sigm"),
        (scaled.fit(X, y["numbers"]), X, ValueError, "cannot convert this Transform"),
        (marked, X, ValueError, r"no SimpleImputer\(add_indicator=True\)"),
        (odd, X, ValueError, "ONNX labels are strings or 64-bit integers"),
        (empty, gaps, ValueError, "drops a column that had no value in fit"),
        (frozen, X, ValueError, "cannot convert this Calibrated.*FrozenEstimator"),
        (
            stacked,
            X,
            (ValueError, UserWarning),
            "cannot convert this Stacking.* put a ColumnTransf|other labels than",
        ),
        (fitted, bare.iloc[0], ValueError, r"X is a Series; pass a frame"),
        (grid, X, TypeError, r"best_estimator_\). Got GridSearchCV instead"),
        (make_pipeline(MinMaxScaler(), Ridge()), X, TypeError, "Got Ridge instead"),
        (make_pipeline(MinMaxScaler(), small()), X, NotFittedError, "not fitted yet"),
    ]:
        with pytest.raises(kind, match=match):
            to_onnx(model, path, rows)
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    for call in (lambda: to_onnx(fitted, path, X), register_onnx_converters):
        with pytest.raises(ImportError, match=r"pip install 'skchaosprune\[export\]'"):
            call()
    assert path.read_text(encoding="utf-8") == "of yesterday"
    to_onnx(make_pipeline(StandardScaler().fit(X), network), path)  # needs no skl2onnx
