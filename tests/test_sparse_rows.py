"""Sparse rows: the bits of dense ones, in memory that grows with what is not 0."""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)
from skorch.callbacks import Callback, EpochScoring

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    feature_importances,
    pruning_path,
    pruning_report,
    to_c,
    to_onnx,
)
from skchaosprune._kernels import ablation, curvature, full_batch
from skchaosprune._network import mlp, rows
from skchaosprune._scale import describe_rows, explain_scale, explain_unlike
from skchaosprune._training import epoch
from skchaosprune.criteria import ChaosCausality, Intervention
from skchaosprune.display import EffectDisplay
from tests.helpers import count_trainings, small

pytestmark = pytest.mark.filterwarnings(
    "ignore:The weights are ranked by magnitude", "ignore:Persisting input arguments"
)

N_ROWS, N_FEATURES = 60, 7
DEEP = {"prune_ratio": 0.8, "hidden_layer_sizes": (5, 4), "n_swaps": 2}


def make_table(seed=0):
    """Rows of which a third is not 0, labels of three classes, a target, weights."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(N_ROWS, N_FEATURES))
    X *= rng.uniform(size=X.shape) < 0.3
    target = X @ rng.normal(size=N_FEATURES) + 0.1 * rng.normal(size=N_ROWS)
    labels = np.digitize(target, [-0.5, 0.5])
    return X, labels, target, rng.randint(3, size=N_ROWS).astype(float)


def small_blocks():
    """Cut rows and columns into blocks of a few rows."""
    stack = ExitStack()
    for module, name, n_rows in (
        (mlp, "_BLOCK_ELEMENTS", 16),
        (rows, "BLOCK_ELEMENTS", 2 * N_ROWS / N_FEATURES),
        (epoch, "BLOCK_ELEMENTS", 9),
        (full_batch, "BLOCK_ELEMENTS", 11),
        (curvature, "_BLOCK_ELEMENTS", 12),
        (ablation, "_BLOCK_ELEMENTS", 90),
    ):
        stack.enter_context(patch.object(module, name, int(n_rows * N_FEATURES)))
    return stack


def assert_same(a, b, name):
    """Compare values of any kind, bit for bit."""
    if isinstance(a, dict):
        a, b = [a[key] for key in sorted(a)], [b[key] for key in sorted(b)]
    if isinstance(a, list | tuple):
        assert len(a) == len(b), name
        for one, other in zip(a, b, strict=True):
            assert_same(one, other, name)
    else:
        np.testing.assert_array_equal(a, b, err_msg=name)


def assert_same_attributes(a, b):
    names = [name for name in vars(a) if name.endswith("_") or name in a._learned]
    assert set(names) == {name for name in vars(b) if name in names}
    for name in names:
        assert_same(getattr(a, name), getattr(b, name), name)


SETTINGS = {
    "default": {"prune_criterion": "chaos_causal_magnitude"},
    "descent": DEEP,
    "by layer": DEEP | {"prune_scope": "layer", "importance": "connection"},
    "few inputs": DEEP | {"max_features": 3},
    "intervention": {"prune_criterion": "intervention", "prune_ratio": None},
    "torch": {"engine": "torch", "max_iter": 3, "validation_fraction": 0.2},
    "adam": {"solver": "adam", "batch_size": 16, "max_iter": 3},
    "batches": {"batch_size": 8, "prune_criterion": "saliency", "max_iter": 4},
    "all rows": {"batch_size": N_ROWS, "importance": "permutation"},
    "weights": {"class_weight": "balanced", "importance": "permutation"},
    "held out": {"validation_fraction": 0.2, "prune_criterion": "loss_regression"},
    "twin": {"prune_criterion": ChaosCausality(trajectory="perturbation")},
}


def test_the_bits_are_those_of_dense_rows():
    X, labels, target, sample_weight = make_table()
    for kind, y in (
        (ChaosCausalPrunedMLP, labels),
        (ChaosCausalPrunedMLPRegressor, target),
    ):
        for name, settings in SETTINGS.items():
            settings = {k: settings[k] for k in settings.keys() & kind().get_params()}
            weights = sample_weight if name in ("weights", "by layer") else None
            dense = small(kind, **settings).fit(X, y, weights)
            found = small(kind, **settings).fit(sparse.csr_array(X), y, weights)
            assert_same_attributes(dense, found)
            assert_same_outputs(dense, found, X, y)
            with small_blocks():
                dense = small(kind, **settings).fit(X, y, weights)
                with watch_dense() as sizes:
                    found = small(kind, **settings)
                    found.fit(sparse.csr_array(X), y, weights).score(X, y)
                assert_same_attributes(dense, found)
                assert_same_outputs(dense, found, X, y)
            # never dense as a whole, if no step takes all rows
            assert max(sizes) < X.size / 2 or name == "all rows"
        reports = [dense.report(X, y), found.report(sparse.csr_array(X), y)]
        assert_same(*map(drop_times, reports), "report")


@contextmanager
def watch_dense():
    """Give a list that grows by the size of each part that is made dense."""
    sizes = []
    with ExitStack() as stack:
        for kind in sparse.csr_array, sparse.csc_array, sparse.coo_array:

            def spy(part, *args, toarray=kind.toarray, **kwargs):
                sizes.append(np.prod(part.shape))
                return toarray(part, *args, **kwargs)

            stack.enter_context(patch.object(kind, "toarray", spy))
        yield sizes


def assert_same_outputs(dense, found, X, y):
    some = sparse.coo_array(X)
    pair = dense, found
    for model, other in (pair, [network.compact() for network in pair]):
        np.testing.assert_array_equal(other.predict(some), model.predict(X))
    assert found.score(some, y) == dense.score(X, y)


def drop_times(report):
    report = report.to_dict()
    for part in report["before"], report["after"], report["ratio"]:
        for name in [name for name in part if name.startswith("latency")]:
            del part[name]
    return report


def test_all_formats_are_one():
    X, y = make_table()[:2]
    X = np.round(3.0 * X)
    expected = small().fit(X, y)
    doubled = sparse.coo_array(
        (
            np.concatenate([X.ravel() - 1.0, np.ones(X.size)]),
            tuple(np.tile(part.ravel(), 2) for part in np.indices(X.shape)),
        ),
        shape=X.shape,
    )  # each place twice, zeros included
    unsorted = sparse.csr_array(X)[:, ::-1]
    unsorted.indices = N_FEATURES - 1 - unsorted.indices  # in falling order
    twice = sparse.csr_array(
        (
            np.repeat(unsorted.data / 2.0, 2),
            np.repeat(unsorted.indices, 2),
            2 * unsorted.indptr,
        ),
        shape=X.shape,
    )
    wide = sparse.csr_array(X)
    wide.indices, wide.indptr = (
        part.astype(np.int64) for part in (wide.indices, wide.indptr)
    )
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(X))
    formats = [getattr(sparse, f"{kind}_array")(X) for kind in FORMATS]
    formats += [getattr(sparse, f"{kind}_matrix")(X) for kind in FORMATS]
    formats += [sparse.csr_array(X.astype(int)), doubled, unsorted, twice, wide]
    for rows_ in formats:
        before = rows_.copy()
        found = small().fit(rows_, y)
        assert_same_attributes(expected, found)
        np.testing.assert_array_equal(
            found.predict_proba(rows_), expected.predict_proba(X)
        )
        np.testing.assert_array_equal(
            found.compact().predict_proba(rows_), expected.compact().predict_proba(X)
        )
        for name in {"data", "indices", "indptr", "row", "col"} & vars(rows_).keys():
            np.testing.assert_array_equal(getattr(rows_, name), getattr(before, name))
    assert small().fit(frame, y).score(frame, y) == expected.score(X, y)
    twice.data = np.full(twice.nnz, 1e308)  # finite, but for their sums
    for use in small().fit, expected.score, expected.compact().score:
        with pytest.raises(ValueError, match="X contains infinity"):
            use(twice, y)


FORMATS = "csr csc coo bsr dia dok lil".split()


def make_frame():
    """Raw rows: strings, which one-hot encoding leaves sparse, and numbers."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "town": rng.choice([f"town {i}" for i in range(30)], 200),
            "size": rng.normal(50.0, 9.0, 200),
            "kind": rng.choice(list("abcde"), 200),
        }
    )
    return frame, (frame["size"] + 9.0 * (frame["kind"] == "b") > 52.0).to_numpy()


@pytest.mark.filterwarnings("error")
def test_a_raw_table_with_sparse_columns(tmp_path, pyplot):
    frame, y = make_frame()

    def fit(sparse_output):
        columns = make_column_transformer(
            (OneHotEncoder(sparse_output=sparse_output), ["town", "kind"]),
            (StandardScaler(), ["size"]),
        )
        return make_pipeline(columns, small(max_iter=30)).fit(frame, y)

    model, dense = fit(True), fit(False)
    assert sparse.issparse(model[0].transform(frame))
    assert_same_attributes(dense[-1], model[-1])
    assert model.score(frame, y) == dense.score(frame, y) > 0.9
    for importances in (
        feature_importances(model),
        feature_importances(model, frame, y, "permutation"),
    ):
        assert set(importances.index) == {"town", "size", "kind"}
        assert importances.idxmax() == "size"
    report = pruning_report(model, frame, y, scoring="neg_log_loss")
    assert report.after["accuracy"] == model.score(frame, y)
    to_onnx(model, tmp_path / "model.onnx", frame)
    EffectDisplay.from_estimator(model, frame, features=["size", "kind"])


@pytest.mark.filterwarnings("error")
def test_tools_take_sparse_rows(tmp_path, pyplot):
    X, y = load_iris(return_X_y=True)
    S = sparse.csr_array(X)
    model = make_pipeline(MaxAbsScaler(), small(max_iter=40)).fit(S, y)
    to_c(model, tmp_path / "a.h", S, y, name="net", dtype="int16")
    to_c(model, tmp_path / "b.h", X, y, name="net", dtype="int16")
    assert (tmp_path / "a.h").read_bytes() == (tmp_path / "b.h").read_bytes()
    to_onnx(model, tmp_path / "model.onnx", S.tocoo())
    other = make_pipeline(Normalizer(), small()).fit(S, y)  # converted by skl2onnx
    to_onnx(other, tmp_path / "other.onnx", S.tobsr())
    found = EffectDisplay.from_estimator(model, S, features=[2], max_samples=40)
    expected = EffectDisplay.from_estimator(model, X, features=[2], max_samples=40)
    np.testing.assert_array_equal(found.effects, expected.effects)
    paths = [pruning_path(model, rows_, y, [0.5, 0.9], cv=2) for rows_ in (S, X)]
    np.testing.assert_array_equal(paths[0].scores, paths[1].scores)
    causal = small(prune_criterion="intervention").fit(S / 7.0, y)
    tests = [causal.placebo_test(rows_ / 7.0, y, n_repeats=2) for rows_ in (S, X)]
    assert_same(dict(tests[0]), dict(tests[1]), "placebo")


class Rows(Callback):
    """Note the rows that callbacks get."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        Rows.seen = X


def test_callbacks_and_memory(tmp_path, monkeypatch):
    X, y = make_table()[:2]
    scores = []
    for table in (X, sparse.csr_array(X)):
        train = EpochScoring("accuracy", on_train=True, name="train_accuracy")
        valid = EpochScoring("accuracy", name="held_out_accuracy")
        model = small(callbacks=[train, valid, Rows()], validation_fraction=0.2)
        scores.append(model.fit(table, y).history_)
        assert sparse.issparse(Rows.seen) == sparse.issparse(table)
    assert_same(*scores, "history")

    masks = count_trainings(monkeypatch)
    model = small(memory=tmp_path / "cache")
    first = model.fit(sparse.csr_array(X), y).coefs_
    n_first = len(masks)
    again = model.fit(sparse.csc_matrix(X), y).coefs_  # any format
    assert_same(first, again, "coefs_")
    assert len(masks) == 2 * n_first - 1


def test_what_would_be_dense_and_too_large_is_refused(tmp_path, pyplot):
    X, y = make_table()[:2]
    S = sparse.csr_array(X)
    with patch.object(rows, "MOST_DENSE_BYTES", 8 * 9 * N_FEATURES):
        for settings, words in (
            ({"batch_size": 10}, "batch_size=10 makes 10 rows of the sparse X with 7"),
            ({"prune_criterion": Own()}, r"prune_criterion=Own\(\), which needs data"),
        ):
            with pytest.raises(ValueError, match=words):
                small(**settings).fit(S, y)
            small(**settings).fit(X, y)
        small(batch_size=9).fit(S, y)
        model = small().fit(S, y)
        with pytest.raises(ValueError, match="max_samples=10 makes 10 rows"):
            EffectDisplay.from_estimator(model, S, features=[0], max_samples=10)
        with pytest.raises(ValueError, match="to_c makes 60 rows .* Pass fewer rows"):
            to_c(model, tmp_path / "net.h", S)
        own = small(prune_criterion=OwnIntervention()).fit(X, y)
        with pytest.raises(ValueError, match=r"OwnIntervention\(\), which needs data"):
            own.placebo_test(S, y)
        small(prune_criterion=lambda record: np.abs(record.weights)).fit(S, y)
    assert Own.seen.shape == X.shape
    small(prune_criterion=Own()).fit(S, y)
    np.testing.assert_array_equal(Own.seen, X)


class Own:
    """A criterion of the user's, which looks at the rows."""

    needs, has_significance_rule = ("data",), False

    def __repr__(self):
        return "Own()"

    def get_params(self, deep=True):
        return {}

    def score(self, record):
        Own.seen = record.data.X
        return np.abs(record.weights) + 0.0 * record.data.X.sum()


class OwnIntervention(Intervention):
    """A child of one of ours."""


def test_scale_of_sparse_rows():
    words = ["red apple", "green apple", "red wine", "green tea"] * 20
    counts = CountVectorizer().fit_transform(words)
    for scaler in (StandardScaler(with_mean=False), MaxAbsScaler()):
        assert explain_scale(sparse.csr_array(scaler.fit_transform(counts))) is None
    large = sparse.csr_array(50.0 * counts)
    text = explain_scale(large)
    assert "StandardScaler(with_mean=False)" in text
    expected = explain_scale(large.toarray())
    assert text.replace("with_mean=False", "") == expected
    with pytest.warns(UserWarning, match=r"X is not scaled: .*\(with_mean=False\)"):
        small().fit(large, np.arange(80) % 2)

    X = np.random.RandomState(0).gamma(2.0, size=(80, N_FEATURES))
    X[::9] = 0.0
    seen = describe_rows(sparse.csr_array(X))
    assert_same(seen, describe_rows(X), "rows of fit")
    far = 50.0 * X
    with small_blocks():
        text = explain_unlike(sparse.csr_array(far), seen)
    assert text == explain_unlike(far, seen)
    assert "71 of 80 rows are far above their range in column" in text
