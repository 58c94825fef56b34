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
from sklearn.base import clone

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    granger_causality,
    largest_lyapunov_exponent,
)
from skchaosprune.criteria import CRITERIA
from tests.helpers import PLAIN, assert_same_fit, small

# What fit may say of hostile rows: each of them tells what to change.
ACTIONABLE = [
    "X is not scaled",
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

# The outcomes: a right fit, or an error that says what went wrong and the way out.
RIGHT = None
DIVERGES = "no longer finite.*smaller learning_rate_init"
OF_ROWS = "no longer finite.*(X is not scaled|Row 35 of X ).* smaller learning_rate"
UNSCORED = "weights cannot be scored.* too large for float64; scale X"
UNEXPLAINED = "importances of the features are too large for float64; scale X"
UNPREDICTED = "outputs of .* rows of X are too large for float64.* scale X"
TOO_FAR = "y ranges from .* too far for float64 arithmetic; scale it"

LARGEST = np.finfo(float).max
KINDS = {"classifier": ChaosCausalPrunedMLP, "regressor": ChaosCausalPrunedMLPRegressor}
ENGINES = ["numba", "torch"]

rng = np.random.RandomState(0)
# float16 holds these values exactly
X = rng.standard_normal((36, 3)).astype(np.float16).astype(float)
LABELS = np.arange(36) % 3
Y = {"classifier": LABELS, "regressor": X[:, 0] + LABELS}


def make(kind, **options):
    return small(KINDS[kind], **{"max_iter": 4} | options)


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


def assert_refused(model, message, *rows):
    """A fit ends in an error that matches, and leaves nothing behind."""
    before = dict(vars(model))
    # scikit-learn 1.6 still takes bytes, with a warning that is an error here
    with pytest.raises((ValueError, TypeError, FutureWarning), match=f"(?s){message}"):
        model.fit(*rows)
    assert vars(model) == before


def assert_outcome(model, outcome, X, y):
    if outcome is RIGHT:
        assert_right(model.fit(X, y), X)
    else:
        assert_refused(model, outcome, X, y)


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


@pytest.fixture(scope="module")
def plain():
    """Fits of ordinary arrays, one of each kind and engine."""
    options = {"prune_criterion": "chaos_causality", "max_iter": 30}
    return [
        make(kind, engine=engine, **options).fit(X, Y[kind])
        for kind, engine in zip(KINDS, ENGINES, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("container", CONTAINERS)
def test_same_values_give_the_same_bits(container, plain, tmp_path):
    hostile = CONTAINERS[container](X, tmp_path)
    for expected, kind in zip(plain, KINDS, strict=True):
        model = clone(expected).fit(hostile, Y[kind])

        assert_same_fit(model, expected)
        assert_array_equal(model.feature_importances_, expected.feature_importances_)
        rows = hostile
        if container == "backwards":  # older numpy multiplies such rows without BLAS
            rows = np.ascontiguousarray(hostile)
        assert_array_equal(model.predict(rows), expected.predict(X))
        assert model.score(rows, Y[kind]) == expected.score(X, Y[kind])


@pytest.mark.parametrize(
    "container", ["every other", "backwards", "read-only", "memmap", "big-endian"]
)
def test_targets_and_weights_in_any_memory(container, tmp_path):
    change = CONTAINERS[container]
    for kind in KINDS:
        y, weights = Y[kind].astype(float), 1.0 + LABELS
        folders = [tmp_path / f"{kind} {name}" for name in ("y", "weights")]
        for folder in folders:
            folder.mkdir()

        model = make(kind).fit(X, change(y, folders[0]), change(weights, folders[1]))

        assert_same_fit(model, make(kind).fit(X, y, weights))


# Huge and tiny

# Rows, and what comes of them: where the errors of the outputs are unbounded (log loss
# and regressors), and where they are bounded (squared error of probabilities), there
# also with squared gradients as scores.
ALWAYS_RIGHT, DIVERGENT = (RIGHT, RIGHT, RIGHT), (OF_ROWS, OF_ROWS, OF_ROWS)
BOUNDED_ERRORS_HELP = OF_ROWS, RIGHT, RIGHT
SQUARES_OVERFLOW = OF_ROWS, RIGHT, UNSCORED
SIZES = {
    "1e8": (1e8 * X, BOUNDED_ERRORS_HELP),
    "1e150": (1e150 * X, BOUNDED_ERRORS_HELP),
    "1e300": (1e300 * X, SQUARES_OVERFLOW),
    "float max": (np.where(X > 0.0, LARGEST, -LARGEST), DIVERGENT),
    "a quarter of float max": (
        np.where(X > 0.0, LARGEST / 4, -LARGEST / 4),
        (OF_ROWS, UNEXPLAINED, UNSCORED),
    ),
    "one huge constant": (np.full_like(X, 1e300), SQUARES_OVERFLOW),
    "one huge row": (np.r_[X[:-1], 1e155 * X[-1:]], SQUARES_OVERFLOW),
    "one huge column": (np.c_[X[:, :2], 1e300 * X[:, 2]], SQUARES_OVERFLOW),
    "1e-300": (1e-300 * X, ALWAYS_RIGHT),
    "denormal": (np.where(X > 0.0, 5e-324, -5e-324), ALWAYS_RIGHT),
    "negative zeros": (np.where(X > 0.0, -0.0, 0.0), ALWAYS_RIGHT),
}
BOUNDED = {"loss": "squared_error"}
# One of each way to watch a training.
WATCHING = ["chaos_causality", "loss_regression", "saliency"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", SIZES)
def test_rows_of_any_size(size, engine):
    rows, (unbounded, bounded, of_squares) = SIZES[size]
    options = {"engine": engine, "max_iter": 10}
    for criterion in WATCHING:
        for kind in KINDS:
            model = make(kind, prune_criterion=criterion, **PLAIN, **options)
            assert_outcome(model, unbounded, rows, Y[kind])
    for criterion in CRITERIA if engine == "numba" else WATCHING:
        model = make("classifier", prune_criterion=criterion, **BOUNDED, **options)
        model.set_params(**PLAIN)
        outcome = of_squares if criterion == "saliency" else bounded
        assert_outcome(model, outcome, rows, LABELS)


@pytest.mark.parametrize("rule", ["connection", "permutation"])
@pytest.mark.parametrize("size", SIZES)
def test_importances_of_rows_of_any_size(size, rule):
    rows, (_, bounded, _) = SIZES[size]
    outcome = RIGHT if bounded == UNEXPLAINED else bounded  # no gradients here
    assert_outcome(
        make("classifier", importance=rule, **BOUNDED), outcome, rows, LABELS
    )


any_size = st.floats(allow_nan=False, allow_infinity=False, width=64)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=40, deadline=None)
@given(
    rows=arrays(np.float64, (8, 2), elements=st.floats(-1.0, 1.0) | any_size),
    kind=st.sampled_from(list(KINDS)),
    criterion=st.sampled_from(list(CRITERIA)),
    activation=st.sampled_from(["identity", "logistic", "tanh", "relu"]),
)
def test_any_finite_rows(engine, rows, kind, criterion, activation):
    """Rows from -1 to 1 are right; others, too, or refused, and right once scaled."""
    options = {"prune_criterion": criterion, "activation": activation}
    model, y = make(kind, engine=engine, **options), np.arange(8) % 3
    largest = np.abs(rows).max()
    try:
        assert_right(model.fit(rows, y), rows)
    except ValueError as error:
        assert largest > 1.0
        errors = DIVERGES, UNSCORED, UNEXPLAINED, UNPREDICTED
        assert re.search(f"(?s){'|'.join(errors)}", str(error))
        assert_right(model.fit(rows / largest, y), rows / largest)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=30, deadline=None)
@given(
    y=arrays(np.float64, 8, elements=st.floats(-1.0, 1.0) | any_size),
    weights=arrays(np.float64, 8, elements=st.floats(0.0, LARGEST)),
)
def test_any_finite_targets_and_weights(engine, y, weights):
    """Right, but for targets near the float maximum or 150 magnitudes apart."""
    rows, labels = X[:8], LABELS[:8]
    weights[:3] = np.maximum(weights[:3], 5e-324)  # a class without weight is absent
    assert_right(make("classifier", engine=engine).fit(rows, labels, weights), rows)
    try:
        assert_right(make("regressor", engine=engine).fit(rows, y, weights), rows)
    except ValueError as error:
        sizes = np.abs(y[y != 0.0])
        assert sizes.max() > 1e306 or sizes.max() / 1e150 > sizes.min()
        assert re.search(f"(?s){TOO_FAR}|{DIVERGES}|{UNPREDICTED}", str(error))


@pytest.fixture(scope="module")
def trained():
    """A small fit of each kind."""
    return {kind: make(kind).fit(X, Y[kind]) for kind in KINDS}


@pytest.fixture(scope="module")
def predictors(trained):
    """The fits, and the networks that are left of them."""
    return [*trained.values(), *(model.compact() for model in trained.values())]


@settings(max_examples=60, deadline=None)
@given(rows=arrays(np.float64, (3, 3), elements=any_size))
def test_prediction_for_any_finite_rows(predictors, rows):
    """Right for rows up to 1e300; larger ones may be refused."""
    for model in predictors:
        try:
            predictions = model.predict(rows)
        except ValueError as error:
            assert np.abs(rows).max() > 1e300
            assert re.search(UNPREDICTED, str(error))
            continue
        if hasattr(model, "classes_"):
            assert_allclose(model.predict_proba(rows).sum(axis=1), 1.0)
        assert np.isfinite(predictions).all()


def test_prediction_names_the_row_that_overflows(predictors):
    rows = np.where(X[:4] > 0.0, 0.5, -0.5)
    rows[2:] = LARGEST
    for model in predictors:
        with pytest.raises(ValueError, match="of the 4 rows of X .* first of row 2"):
            model.predict(rows)


def test_report_and_placebo_refuse_rows_that_overflow():
    model = make("classifier", prune_criterion="intervention").fit(X, LABELS)
    rows, _ = SIZES["float max"]
    for method, message in (
        (model.report, UNPREDICTED),
        (model.placebo_test, UNSCORED),
    ):
        with pytest.raises(ValueError, match=message):
            method(rows, LABELS)


def test_weights_that_run_away_are_a_divergence():
    model = make("classifier", max_iter=1, engine="torch", **PLAIN)
    assert_refused(model, r"beyond 1e\+15, in epoch 1.*diverges", 1e20 * X, LABELS)


def test_a_target_that_overflows_is_a_divergence():
    # not shuffled, so that the first windows end before the last row is seen
    rows = np.r_[X[:-1], 1e160 * X[-1:]]
    model = make("regressor", prune_criterion="granger_updates", shuffle=False)
    message = "target series is no longer finite.*Row 35 of X .* has the norm inf"
    assert_refused(model, message, rows, Y["regressor"])


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


@pytest.mark.parametrize("shape", SHAPES)
def test_odd_columns(shape):
    for kind in KINDS:
        for criterion in ("chaos_causality", "intervention", "magnitude"):
            model = make(kind, prune_criterion=criterion).fit(SHAPES[shape], Y[kind])
            assert_right(model, SHAPES[shape])


def test_unchanging_columns_have_no_importance():
    rows = SHAPES["constant column"]
    model = make("classifier", prune_ratio=0.0).fit(rows, LABELS)
    assert model.feature_importances_[3] == 0.0
    assert model.feature_importances_[:3].all()


@pytest.mark.parametrize(
    "kind, n_rows",
    [("regressor", 1), ("classifier", 2), ("regressor", 2), ("classifier", 3)],
)
def test_few_rows(kind, n_rows):
    for criterion in CRITERIA:
        model = make(kind, prune_criterion=criterion)
        assert_right(model.fit(X[:n_rows], Y[kind][:n_rows]), X)


def test_one_row_has_one_class():
    assert_refused(make("classifier"), "only one class", X[:1], LABELS[:1])


@pytest.mark.slow
def test_two_thousand_classes_of_one_row():
    rows = rng.standard_normal((2000, 2))
    options = {"hidden_layer_sizes": (2,), "max_iter": 1, "batch_size": 1000}
    model = make("classifier", importance="connection", **options)
    model.fit(rows, np.arange(2000)[::-1])
    assert_array_equal(model.classes_, np.arange(2000))
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
def test_refused_rows(rows, trained):
    if rows == "longdouble" and np.longdouble is np.float64:
        return
    rows, message = ROWS[rows]
    for kind, model in trained.items():
        assert_refused(make(kind), message, rows, Y[kind])
        with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
            model.predict(rows)


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
    "spread": ("regressor", np.where(X[:, 0] > 0.0, LARGEST, -LARGEST), TOO_FAR),
    "mixed labels": ("classifier", MIXED, r"types int, str .*y\.astype\(str\)"),
    "bytes": ("classifier", LABELS.astype("S"), r"bytes, like .*b'0'.*decode them"),
    "fractions": ("classifier", LABELS + 0.5 * (LABELS > 1) * X[:, 0], "continuous"),
    "NaN": ("classifier", np.where(LABELS == 0, np.nan, 1.0), "y contains NaN"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_refused_targets(target):
    kind, y, message = TARGETS[target]
    assert_refused(make(kind), message, X, y)


@pytest.mark.parametrize(
    "weights, message",
    [
        (np.full(36, 10**400, dtype=object), "sample_weight.*too large.*scale it"),
        (np.r_[np.full(35, LARGEST), -LARGEST], "sample_weight has negative values"),
        (np.full(36, None), "sample_weight contains NaN"),
        (np.full(36, "heavy"), "could not convert"),
        ("balanced", "sample_weight='balanced' must be"),
        (1.0 + 1j * LABELS, "Complex"),
    ],
    ids=["huge int", "huge of both signs", "None", "text", "a word", "complex"],
)
def test_refused_weights(weights, message):
    assert_refused(make("classifier"), message, X, LABELS, weights)


def test_predictions_that_overflow():
    model = make("regressor", prune_ratio=0.0)
    model.fit(X, np.where(X[:, 0] > 0.0, LARGEST / 100, -LARGEST / 100))
    with pytest.raises(ValueError, match=UNPREDICTED):
        model.predict(1e4 * X)


# Series


def test_series_of_any_size():
    for power in (-1000, -300, 300, 1000):
        series, effect = rng.standard_normal((2, 60))
        scaled = np.ldexp(series, power)
        assert largest_lyapunov_exponent(scaled) == largest_lyapunov_exponent(series)
        for pair, other in (
            ((effect, series), (effect, scaled)),
            ((series, effect), (scaled, effect)),
        ):
            expected = granger_causality(*pair, max_lag=2).p_value
            assert_allclose(granger_causality(*other, max_lag=2).p_value, expected)


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
