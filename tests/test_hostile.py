"""Whatever the arrays: a right answer or a clean error, and no idle warning."""

import re

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    granger_causality,
    largest_lyapunov_exponent,
)
from skchaosprune.criteria import CRITERIA

# What fit may say of hostile rows: each of them tells what to change.
ACTIONABLE = [
    "The weights are ranked by magnitude instead",
    "The outputs of the pruned network do not depend on any input",
    "The training loss of the pruned network does not rise",
    "The number of unique classes is greater than 50%",
]
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:UserWarning") for text in ACTIONABLE
]
if numba.config.DISABLE_JIT:  # numpy warns where the kernels run as plain Python
    pytestmark += [
        pytest.mark.filterwarnings(f"ignore:{text} encountered in:RuntimeWarning")
        for text in ("overflow", "invalid value", "divide by zero")
    ]

# What went wrong, and the way out.
CLEAN = re.compile(
    "no longer finite.*(smaller learning_rate_init.*scale X)"
    "|too large for float64.*scale"
    "|too far for float64.*scale",
    re.DOTALL,
)
LARGEST = np.finfo(float).max
KINDS = ["classifier", "regressor"]
ENGINES = ["numba", "torch"]

rng = np.random.RandomState(0)
# float16 holds these values exactly
X = rng.standard_normal((36, 3)).astype(np.float16).astype(float)
LABELS = np.arange(36) % 3
Y = {"classifier": LABELS, "regressor": X[:, 0] + LABELS}


def make(kind, **options):
    estimator = {
        "classifier": ChaosCausalPrunedMLP,
        "regressor": ChaosCausalPrunedMLPRegressor,
    }[kind]
    defaults = {
        "hidden_layer_sizes": (3,),
        "max_iter": 4,
        "prune_criterion": "magnitude",
        "random_state": 0,
    }
    return estimator(**defaults | options)


def assert_right(model, X):
    """What a fit learned and predicts makes sense."""
    importances = model.feature_importances_
    assert np.all(importances >= 0.0)
    assert importances.sum() == pytest.approx(1.0)
    assert not np.isnan(model.weight_scores_).any()
    assert all(np.isfinite(W).all() for W in model.coefs_)
    predictions = model.predict(X)
    assert predictions.shape == (len(X),)
    if hasattr(model, "classes_"):
        probabilities = model.predict_proba(X)
        assert np.all(probabilities >= 0.0)
        assert_allclose(probabilities.sum(axis=1), 1.0)
        assert np.isin(predictions, model.classes_).all()
    else:
        assert np.isfinite(predictions).all()


def assert_right_or_clean(model, X, y, sample_weight=None):
    before = dict(vars(model))
    try:
        model.fit(X, y, sample_weight)
    except ValueError as error:
        assert CLEAN.search(str(error))
        assert vars(model) == before
        return
    try:
        assert_right(model, X)
    except ValueError as error:
        assert CLEAN.search(str(error))


# Same values, same bits


def to_memmap(values, folder):
    path = folder / "values"
    values.tofile(path)
    return np.memmap(path, dtype=values.dtype, mode="r", shape=values.shape)


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


CONTAINERS = {
    "fortran": lambda values, folder: np.asfortranarray(values),
    "every other": lambda values, folder: np.repeat(values, 2, axis=0)[::2],
    "backwards": lambda values, folder: values[::-1].copy()[::-1],
    "read-only": lambda values, folder: read_only(values),
    "memmap": to_memmap,
    "float16": lambda values, folder: values.astype(np.float16),
    "float32": lambda values, folder: values.astype(np.float32),
    "longdouble": lambda values, folder: values.astype(np.longdouble),
    "big-endian": lambda values, folder: values.astype(">f8"),
    "objects": lambda values, folder: values.astype(object),
    "strings": lambda values, folder: values.astype(str),
    "list": lambda values, folder: values.tolist(),
    "frame": lambda values, folder: pd.DataFrame(values),
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_same_values_give_the_same_bits(container, kind, engine, tmp_path):
    hostile = CONTAINERS[container](X, tmp_path)
    options = {"prune_criterion": "chaos_causality", "max_iter": 30}
    plain = make(kind, engine=engine, **options).fit(X, Y[kind])

    model = make(kind, engine=engine, **options).fit(hostile, Y[kind])

    for W, expected in zip(model.coefs_, plain.coefs_, strict=True):
        assert_array_equal(W, expected)
    assert_array_equal(model.weight_scores_, plain.weight_scores_)
    assert_array_equal(model.feature_importances_, plain.feature_importances_)
    if container == "backwards":  # older numpy multiplies such rows without BLAS
        hostile = np.ascontiguousarray(hostile)
    assert_array_equal(model.predict(hostile), plain.predict(X))
    assert model.score(hostile, Y[kind]) == plain.score(X, Y[kind])


@pytest.mark.parametrize(
    "container", ["every other", "backwards", "read-only", "memmap", "big-endian"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_targets_and_weights_in_any_memory(container, kind, tmp_path):
    y, weights = Y[kind].astype(float), 1.0 + LABELS
    (tmp_path / "y").mkdir()
    plain = make(kind).fit(X, y, weights)

    model = make(kind).fit(
        X,
        CONTAINERS[container](y, tmp_path / "y"),
        CONTAINERS[container](weights, tmp_path),
    )

    assert_array_equal(model.predict(X), plain.predict(X))
    assert_array_equal(model.coefs_[0], plain.coefs_[0])


# Huge and tiny


SIZES = {
    "1e8": 1e8 * X,
    "1e150": 1e150 * X,
    "1e300": 1e300 * X,
    "float max": np.where(X > 0.0, LARGEST, -LARGEST),
    "a quarter of float max": np.where(X > 0.0, LARGEST / 4, -LARGEST / 4),
    "one huge constant": np.full_like(X, 1e300),
    "one huge row": np.r_[X[:-1], 1e155 * X[-1:]],
    "one huge column": np.c_[X[:, :2], 1e300 * X[:, 2]],
    "1e-300": 1e-300 * X,
    "denormal": np.where(X > 0.0, 5e-324, -5e-324),
    "negative zeros": np.where(X > 0.0, -0.0, 0.0),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("size", SIZES)
def test_rows_of_any_size(size, criterion, engine):
    rows = SIZES[size]
    options = {"prune_criterion": criterion, "engine": engine, "max_iter": 10}
    for loss in ("log_loss", "squared_error"):
        model = make("classifier", loss=loss, **options)
        assert_right_or_clean(model, rows, LABELS)
    assert_right_or_clean(make("regressor", **options), rows, Y["regressor"])


@pytest.mark.parametrize("rule", ["gradient", "connection", "permutation"])
@pytest.mark.parametrize("size", SIZES)
def test_importances_of_rows_of_any_size(size, rule):
    for loss in ("log_loss", "squared_error"):
        model = make("classifier", importance=rule, loss=loss, max_iter=10)
        assert_right_or_clean(model, SIZES[size], LABELS)


any_size = st.floats(allow_nan=False, allow_infinity=False, width=64)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(
    rows=arrays(np.float64, (8, 2), elements=any_size),
    criterion=st.sampled_from(list(CRITERIA)),
    activation=st.sampled_from(["identity", "logistic", "tanh", "relu"]),
)
def test_any_finite_rows(kind, engine, rows, criterion, activation):
    model = make(kind, engine=engine, prune_criterion=criterion, activation=activation)
    assert_right_or_clean(model, rows, np.arange(8) % 3)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=30, deadline=None)
@given(
    y=arrays(np.float64, 8, elements=any_size),
    weights=arrays(np.float64, 8, elements=st.floats(0.0, LARGEST)),
)
def test_any_finite_targets_and_weights(engine, y, weights):
    weights[0] = max(weights[0], 5e-324)
    assert_right_or_clean(make("regressor", engine=engine), X[:8], y, weights)
    assert_right_or_clean(make("classifier", engine=engine), X[:8], LABELS[:8], weights)


@pytest.fixture(scope="module", params=KINDS)
def trained(request):
    return make(request.param).fit(X, Y[request.param])


@settings(max_examples=60, deadline=None)
@given(rows=arrays(np.float64, (3, 3), elements=any_size))
def test_prediction_for_any_finite_rows(trained, rows):
    for model in (trained, trained.compact()):
        try:
            predictions = model.predict(rows)
        except ValueError as error:
            assert CLEAN.search(str(error))
            assert np.abs(rows).max() > 1e300
            continue
        if hasattr(model, "classes_"):
            assert_allclose(model.predict_proba(rows).sum(axis=1), 1.0)
        assert np.isfinite(predictions).all() or hasattr(model, "classes_")


def test_prediction_names_the_row_that_overflows(trained):
    rows = np.where(X[:4] > 0.0, 0.5, -0.5)
    rows[2:] = LARGEST
    for model in (trained, trained.compact()):
        with pytest.raises(ValueError, match="of the 4 rows of X .* first of row 2"):
            model.predict(rows)


def test_report_and_placebo_refuse_rows_that_overflow():
    model = make("classifier", prune_criterion="intervention").fit(X, LABELS)
    rows = SIZES["float max"]
    for method in (model.report, model.placebo_test):
        with pytest.raises(ValueError, match=CLEAN):
            method(rows, LABELS)


def test_weights_that_run_away_are_a_divergence():
    model = make("classifier", max_iter=1, engine="torch")
    with pytest.raises(ValueError, match=r"beyond 1e\+15, in epoch 1.*diverges"):
        model.fit(1e20 * X, LABELS)


def test_a_target_that_overflows_is_a_divergence():
    # not shuffled, so that the first windows end before the last row is seen
    rows = np.r_[X[:-1], 1e160 * X[-1:]]
    model = make("regressor", prune_criterion="granger_updates", shuffle=False)
    with pytest.raises(ValueError, match="target series is no longer finite.*scale X"):
        model.fit(rows, Y["regressor"])


# Degenerate shapes


def test_one_row_with_all_the_weight():
    weights = np.zeros(36)
    weights[5] = 1.0
    model = make("regressor").fit(X, Y["regressor"], weights)
    assert model.target_mean_ == pytest.approx(Y["regressor"][5])
    assert_right(model, X)


SHAPES = {
    "constant column": np.c_[X, np.full(36, 7.0)],
    "all constant": np.ones((36, 3)),
    "all zero": np.zeros((36, 3)),
    "duplicate columns": np.c_[X, X, X],
    "one feature": X[:, :1],
    "bools": X > 0.0,
    "ints": np.round(3 * X).astype(np.int8),
}


@pytest.mark.parametrize("criterion", ["chaos_causality", "intervention", "magnitude"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_odd_columns(kind, shape, criterion):
    model = make(kind, prune_criterion=criterion).fit(SHAPES[shape], Y[kind])
    assert_right(model, SHAPES[shape])


def test_unchanging_columns_have_no_importance():
    rows = SHAPES["constant column"]
    model = make("classifier", prune_ratio=0.0).fit(rows, LABELS)
    assert model.feature_importances_[3] == 0.0
    assert model.feature_importances_[:3].all()


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("n_rows", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_few_rows(kind, n_rows, criterion):
    model = make(kind, prune_criterion=criterion)
    if kind == "classifier" and n_rows == 1:
        with pytest.raises(ValueError, match="only one class"):
            model.fit(X[:1], LABELS[:1])
        return
    assert_right(model.fit(X[:n_rows], Y[kind][:n_rows]), X)


@pytest.mark.slow
def test_ten_thousand_classes_of_one_row():
    rows = rng.standard_normal((10_000, 2))
    model = make(
        "classifier",
        hidden_layer_sizes=(2,),
        max_iter=1,
        batch_size=1000,
        importance="connection",
    )
    model.fit(rows, np.arange(10_000)[::-1])
    assert_array_equal(model.classes_, np.arange(10_000))
    assert_right(model, rows[:5])


# Refused


def with_cell(cell):
    rows = X.astype(object)
    rows[3, 1] = cell
    return rows


ROWS = {
    "None": (with_cell(None), "X contains NaN.*imput"),
    "text": (with_cell("low"), "could not convert string to float: 'low'"),
    "list": (with_cell([1.0]), "sequence"),
    "dict": (with_cell({}), "not 'dict'"),
    "pandas.NA": (with_cell(pd.NA), "not 'NAType'"),
    "complex number": (with_cell(1j), "not 'complex'"),
    "complex": (X + 0j, "Complex data not supported"),
    "huge int": (with_cell(10**400), "X.* too large for float64.* scale it"),
    "float16": (with_cell(np.float16(np.inf)).astype(np.float16), "X contains inf"),
    "float16 of both signs": (np.sign(X).astype(np.float16) * np.inf, "X contains inf"),
    "longdouble": (X.astype(np.longdouble) * np.longdouble("1e400"), "X contains inf"),
    "no rows": (X[:0], r"0 sample\(s\)"),
    "no columns": (X[:, :0], r"0 feature\(s\)"),
    "one row as 1-D": (X[0], "Expected 2D array.*reshape"),
    "3-D": (X[:, :, np.newaxis], "dim 3"),
    "ragged": ([[1.0, 2.0], [3.0]], "inhomogeneous"),
    "scalar": (3.0, "Expected 2D array"),
}


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", KINDS)
def test_refused_rows(kind, rows):
    if rows == "longdouble" and np.longdouble is np.float64:
        return
    rows, message = ROWS[rows]
    model = make(kind)
    before = dict(vars(model))
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        model.fit(rows, Y[kind])
    assert vars(model) == before
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        make(kind).fit(X, Y[kind]).predict(rows)


MIXED = LABELS.astype(object)
MIXED[::2] = "a"
TARGETS = {
    "None": ("regressor", np.where(LABELS == 0, None, 1.0), "y contains NaN"),
    "infinite object": (
        "regressor",
        np.where(LABELS == 0, np.inf, X[:, 0]).astype(object),
        "y contains infinity",
    ),
    "huge int": (
        "regressor",
        with_cell(10**400)[:, 1],
        "y.* too large for float64.* scale it",
    ),
    "spread": ("regressor", SIZES["float max"][:, 0], "too far for float64.*scale it"),
    "mixed labels": ("classifier", MIXED, r"types int, str .*y\.astype\(str\)"),
    "bytes": ("classifier", LABELS.astype("S"), "Convert the labels to a string"),
    "fractions": ("classifier", LABELS + 0.5 * (LABELS > 1) * X[:, 0], "continuous"),
    "NaN": ("classifier", np.where(LABELS == 0, np.nan, 1.0), "y contains NaN"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_refused_targets(target):
    kind, y, message = TARGETS[target]
    model = make(kind)
    before = dict(vars(model))
    # scikit-learn 1.6 still takes bytes, with a warning that is an error here
    with pytest.raises((ValueError, TypeError, FutureWarning), match=f"(?s){message}"):
        model.fit(X, y)
    assert vars(model) == before


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.full(36, 10**400, dtype=object), "sample_weight.*too large.*scale it"),
        (np.r_[np.full(35, LARGEST), -LARGEST], "sample_weight has negative values"),
        (np.full(36, None), "sample_weight contains NaN"),
        (np.full(36, "heavy"), "could not convert"),
        (1.0 + 1j * LABELS, "Complex"),
    ],
    ids=["huge int", "huge of both signs", "None", "text", "complex"],
)
def test_refused_weights(weights, message):
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        make("classifier").fit(X, LABELS, weights)


def test_predictions_that_overflow():
    model = make("regressor", prune_ratio=0.0)
    model.fit(X, np.where(X[:, 0] > 0.0, LARGEST / 100, -LARGEST / 100))
    with pytest.raises(ValueError, match=CLEAN):
        model.predict(1e4 * X)


# Series


@pytest.mark.parametrize("power", [-1000, -300, 300, 1000])
def test_series_of_any_size(power):
    series, effect = rng.standard_normal((2, 60))
    scaled = np.ldexp(series, power)
    assert largest_lyapunov_exponent(scaled) == largest_lyapunov_exponent(series)
    plain = granger_causality(effect, series, max_lag=2).p_value
    assert_allclose(granger_causality(effect, scaled, max_lag=2).p_value, plain)
    plain = granger_causality(series, effect, max_lag=2).p_value
    assert_allclose(granger_causality(scaled, effect, max_lag=2).p_value, plain)


@settings(deadline=None)
@given(
    series=arrays(np.float64, (30, 2), elements=st.floats(width=64)),
    effect=arrays(np.float64, 30, elements=any_size),
)
def test_any_series(series, effect):
    exponents = largest_lyapunov_exponent(series)
    broken = ~np.isfinite(series).all(axis=0)
    constant = np.all(series == series[0], axis=0)
    assert np.isnan(exponents[broken]).all()
    assert_array_equal(exponents[constant & ~broken], 0.0)
    p_values = granger_causality(effect, series, max_lag=2).p_value
    assert np.isnan(p_values[:, broken | constant]).all()
    tested = ~np.isnan(p_values)
    assert np.all((p_values[tested] >= 0.0) & (p_values[tested] <= 1.0))
