"""Weights of rows: 0 is no row, 2 is two rows, and the penalty knows how many."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
)

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._weights import sum_weights
from skchaosprune.criteria import CRITERIA, ChaosCausality, Criterion, Intervention
from tests.helpers import PLAIN, assert_same_fit, flat, small

# Fits are compared here; what they are worth is not asked.
pytestmark = [
    pytest.mark.filterwarnings("ignore:X is not scaled"),
    pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude"),
    pytest.mark.filterwarnings("ignore:The outputs of the pruned network do not"),
    pytest.mark.filterwarnings("ignore:The training loss of the pruned network"),
    pytest.mark.filterwarnings("ignore:No path of kept weights has evidence"),
]

KINDS = [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor]
ARRAYS = ["weight_scores_", "feature_importances_", "dense_feature_importances_"]
ARRAYS += ["loss_curve_", "dense_loss_curve_", "p_values_", "target_series_"]
FULL_BATCH = 10**6


def make_rows(kind, n_rows=45, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, 4))
    z = X @ [2.0, -1.0, 0.5, 0.0] + 0.3 * rng.normal(size=n_rows)
    return X, z if kind is ChaosCausalPrunedMLPRegressor else np.digitize(z, [-1, 1])


def arrays(model):
    """All that a fit found out, by name, where there is any."""
    found = {name: getattr(model, name) for name in ARRAYS}
    return {name: np.array(part) for name, part in found.items() if part is not None}


# Weight 0: the same bits as without the row.

WAYS = {
    "one row per step": {},
    "small batches, momentum": {"batch_size": 7, "momentum": 0.5, "alpha": 2.0},
    "full batch": {"batch_size": FULL_BATCH, "alpha": 1.0},
    "torch": {"engine": "torch", "batch_size": 7, "alpha": 2.0},
    "adam": {"solver": "adam", "batch_size": 7, "alpha": 2.0},
    "held-out rows": {"validation_fraction": 0.3, "prune_criterion": "loss_regression"},
    "rounds": {"n_rounds": 2, "prune_ratio": 0.8},
    "target_score": {"target_score": 0.5, "max_iter": 40},
    "permutation": {"importance": "permutation"},
    "connection": {"importance": "connection"},
    "causal": {"importance": "causal", "prune_criterion": "chaos_causality"},
    "sampled rows": {"prune_criterion": Intervention(n_rows=10)},
    "a twin": {"prune_criterion": ChaosCausality(trajectory="perturbation")},
    "auto": {"batch_size": "auto", "rows": 30},
    "descent": {"prune_ratio": 0.8, "hidden_layer_sizes": (6,)},
} | {name: {"prune_criterion": name} for name in CRITERIA}


@pytest.mark.parametrize("way", WAYS)
def test_a_row_of_weight_0_is_absent(way):
    for kind in KINDS:
        assert_absent(kind, **WAYS[way])


def assert_absent(kind, **options):
    options = {"batch_size": 1, "max_iter": 25} | options
    X, y = make_rows(kind, options.pop("rows", 45))
    weights = np.random.RandomState(1).uniform(0.5, 2.0, size=len(X))
    rng = np.random.RandomState(2)
    places = rng.randint(len(X) + 1, size=20)
    # rows without a say say the worst
    with_others = np.insert(X, places, 1e9, axis=0), np.insert(y, places, y.max())
    zeros = np.insert(weights, places, 0.0)

    a = small(kind, **options).fit(*with_others, sample_weight=zeros)
    b = small(kind, **options).fit(X, y, sample_weight=weights)

    assert_same_fit(a, b)
    for name, values in arrays(b).items():
        assert_array_equal(arrays(a)[name], values, err_msg=name)
    assert a.history_ == b.history_


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.0, 2: 0.5}])
def test_a_row_of_weight_0_is_absent_for_class_weights(class_weight):
    X, y = make_rows(ChaosCausalPrunedMLP)
    weights = np.where(np.arange(45) % 3 == 0, 0.0, 1.0)
    there = weights > 0.0
    for fraction in (None, 0.3):
        model = small(
            class_weight=class_weight, validation_fraction=fraction, alpha=1.0
        )
        weighted = model.fit(X, y, sample_weight=weights).predict_proba(X)
        assert_array_equal(weighted, model.fit(X[there], y[there]).predict_proba(X))


def test_a_class_without_weight_is_absent():
    X, y = make_rows(ChaosCausalPrunedMLP)
    weights = np.where(y == 1, 0.0, 1.0)

    assert small().fit(X, y, sample_weight=weights).classes_.tolist() == [0, 2]
    with pytest.raises(ValueError, match="only one class"):
        small().fit(X, y, sample_weight=y == 1)


def test_a_class_of_class_weight_0_is_known_but_its_rows_are_absent():
    X, y = make_rows(ChaosCausalPrunedMLP)
    options = {"prune_criterion": "intervention", "batch_size": 1, "alpha": 5.0}
    model = small(class_weight={0: 0.0, 1: 1.0, 2: 1.0}, **options)
    elsewhere = np.where(y[:, np.newaxis] == 0, -9.0, X)
    alone = np.r_[np.flatnonzero(y == 0)[:1], np.flatnonzero(y > 0)]

    fitted = model.fit(X, y)

    assert fitted.classes_.tolist() == [0, 1, 2]
    for rows, labels in ((elsewhere, y), (X[alone], y[alone])):
        other = small(**model.get_params()).fit(rows, labels)
        assert_same_fit(other, fitted)
        assert_array_equal(other.p_values_, fitted.p_values_)


# Whole numbers: the same as copies of the rows, at full batch.

SEEING = ["saliency", "intervention", "loss_regression", "chaos_causality"]
FULL = {
    "magnitude": {},
    "momentum": {"momentum": 0.5, "alpha": 2.0},
    "penalty": {"alpha": 10.0},
    "torch": {"engine": "torch", "alpha": 2.0},
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "alpha": 2.0},
    "one round": {"prune_ratio": 0.7},
    "connection": {"importance": "connection"},
    "target_score": {"target_score": 0.4, "max_iter": 100},
    "loss as target": {"prune_criterion": ChaosCausality(target="loss")},
} | {name: {"prune_criterion": name} for name in SEEING}


@pytest.mark.parametrize("way", FULL)
def test_a_row_of_weight_3_is_three_rows(way):
    for kind in KINDS:
        assert_three_rows(kind, **FULL[way])


def assert_three_rows(kind, **options):
    options = {"learning_rate_init": 0.1, "max_iter": 60, "shuffle": False} | options
    X, y = make_rows(kind)
    repeats = np.random.RandomState(3).randint(0, 4, size=len(X))
    model = small(kind, batch_size=FULL_BATCH, **options)

    weighted = arrays(model.fit(X, y, sample_weight=repeats))
    predicted = model.predict(X)

    repeated = arrays(model.fit(X.repeat(repeats, axis=0), y.repeat(repeats)))
    assert_allclose(predicted, model.predict(X), rtol=1e-6, atol=1e-8)
    for name, values in repeated.items():
        assert_allclose(weighted[name], values, 1e-5, 1e-8, err_msg=name)
    unweighted = arrays(model.fit(X, y))["feature_importances_"]
    assert np.abs(unweighted - repeated["feature_importances_"]).max() > 1e-3


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(0, 3), min_size=20, max_size=20).filter(lambda r: sum(r) > 9),
    st.sampled_from(KINDS),
    st.sampled_from([0.0, 3.0]),
)
def test_any_whole_numbers(repeats, kind, alpha):
    X, y = make_rows(kind, 20)
    repeats = np.array(repeats)
    if len(np.unique(y[repeats > 0])) < 2:
        return
    model = small(kind, batch_size=FULL_BATCH, learning_rate_init=0.1, alpha=alpha)
    predicted = model.fit(X, y, sample_weight=repeats).predict(X)

    model.fit(X.repeat(repeats, axis=0), y.repeat(repeats))
    assert_allclose(predicted, model.predict(X), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("criterion", ["magnitude", "saliency", "chaos_causality"])
def test_scikit_learns_check_at_full_batch(kind, solver, criterion):
    model = kind(
        solver=solver, prune_criterion=criterion, alpha=1.0, batch_size=FULL_BATCH
    )
    check_sample_weight_equivalence_on_dense_data(kind.__name__, model)


def test_balanced_classes_weigh_the_same():
    X, y = make_rows(ChaosCausalPrunedMLP)
    weights = np.random.RandomState(4).uniform(0.1, 5.0, size=len(X))
    sums = np.bincount(y, weights)

    # the number of rows, which the prior knows, is that of sample_weight
    balanced = small(class_weight="balanced", alpha=0.0)
    balanced.fit(X, y, sample_weight=weights)
    by_hand = small(alpha=0.0).fit(X, y, sample_weight=weights / sums[y])
    assert_allclose(flat(balanced.coefs_), flat(by_hand.coefs_), rtol=1e-9)

    judge = compute_sample_weight("balanced", y)
    balanced = small(class_weight="balanced", alpha=0.0).fit(X, y)
    by_hand = small(alpha=0.0).fit(X, y, sample_weight=judge)
    assert_allclose(flat(balanced.coefs_), flat(by_hand.coefs_), rtol=1e-9)


def test_a_callable_target_gets_the_weights_if_it_takes_them():
    X, y = make_rows(ChaosCausalPrunedMLP)
    weights = np.random.RandomState(5).uniform(0.1, 5.0, size=len(X))

    def series(target):
        criterion = ChaosCausality(target=target, window_size=10)
        model = small(prune_criterion=criterion, batch_size=1)
        return model.fit(X, y, sample_weight=weights).target_series_

    assert_allclose(series(log_loss), series("loss"), rtol=1e-9)
    for unaware in (
        lambda targets, outputs: log_loss(targets, outputs),
        lambda targets, sample_weight, /: log_loss(targets, sample_weight),
    ):
        assert np.abs(series(unaware) - series("loss")).max() > 1e-3


# The penalty: alpha / (2 N) times the sum of squares.


@pytest.mark.parametrize(
    "weights, total",
    [
        ([1.0, 1.0, 1.0], 3.0),
        ([2.0, 1.0, 3.0], 6.0),
        ([0.5, 0.25, 0.25], 2.0),
        ([1e-300, 1e-300], 2.0),
        ([0.5, 3.0], 3.5),
        ([1e308, 1e308, 1e308], np.finfo(float).max),
        ([7.0], 7.0),
    ],
)
def test_rows_that_weights_stand_for(weights, total):
    assert sum_weights(np.array(weights)) == pytest.approx(total)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": FULL_BATCH, "learning_rate_init": 0.1, "max_iter": 3000},
        {"batch_size": 8, "learning_rate_init": 0.02, "max_iter": 2000},
        {"batch_size": 1, "learning_rate_init": 0.005, "max_iter": 1000},
        {"batch_size": 8, "learning_rate_init": 0.02, "engine": "torch"}
        | {"learning_rate": "constant"},
        {"batch_size": FULL_BATCH, "learning_rate_init": 0.03, "engine": "torch"}
        | {"max_iter": 1500},
        {"batch_size": FULL_BATCH, "solver": "adam", "learning_rate_init": 0.05},
    ],
    ids=["full batch", "batches", "rows", "torch, constant", "torch", "adam"],
)
def test_a_linear_model_has_the_minimum_of_scikit_learns(kind, options):
    X, y = make_rows(kind, 40)
    weights = np.random.RandomState(6).uniform(0.5, 2.0, size=40)
    alpha = 8.0
    model = kind(
        (),
        prune_ratio=0.0,
        prune_criterion="magnitude",
        alpha=alpha,
        random_state=0,
        **{"max_iter": 250} | options,
    )
    if kind is ChaosCausalPrunedMLP:
        y = (y > 0).astype(int)
        # sum of losses + w^2 / (2 C)
        judge = LogisticRegression(C=1.0 / alpha, tol=1e-9)
        judge.fit(X, y, sample_weight=weights)
        expected = judge.coef_[0]
    else:
        mean = np.average(y, weights=weights)
        scale = np.sqrt(np.average((y - mean) ** 2, weights=weights))
        # sum of squared errors + penalty w^2, of a target with variance 1
        judge = Ridge(alpha=alpha / 2.0).fit(X, (y - mean) / scale, weights)
        expected = judge.coef_

    found = model.fit(X, y, sample_weight=weights).coefs_[0].ravel()

    assert_allclose(found, expected, rtol=0.02, atol=0.01)
    free = model.set_params(alpha=0.0).fit(X, y, sample_weight=weights).coefs_[0]
    assert np.abs(free.ravel() - expected).max() > 0.03


def test_weights_that_sum_to_1_do_not_make_the_penalty_everything(iris):
    X, y = iris
    shares = np.full(150, 1.0 / 150)
    model = small(alpha=2.0, max_iter=40)
    assert_same_fit(small(alpha=2.0, max_iter=40).fit(X, y), model.fit(X, y, shares))

    boosted = AdaBoostClassifier(model, n_estimators=3, random_state=0)
    assert boosted.fit(X, y).score(X, y) > 0.8


def test_the_penalty_counts_rows_without_class_weights(iris):
    X, y = iris
    doubled = small(alpha=20.0, class_weight={0: 2.0, 1: 2.0, 2: 2.0}).fit(X, y)
    assert_same_fit(doubled, small(alpha=20.0).fit(X, y))
    heavier = small(alpha=20.0).fit(X, y, sample_weight=np.full(150, 2.0))
    assert_same_fit(heavier, small(alpha=10.0).fit(X, y))


# Odd weights.


def test_weights_of_opposite_extremes_meet():
    X, y = make_rows(ChaosCausalPrunedMLP)
    options = {"alpha": 0.0}  # a prior knows how many rows weights stand for
    plain = small(**options).fit(X, y)
    balanced = small(class_weight="balanced", **options)
    extremes = (1e300, 1e300), (1e-300, 1e-300), (1e300, 1e-300), (5e-324, 1.7e308)
    for a, b in extremes:
        model = small(class_weight=dict.fromkeys(range(3), a), **options)
        assert_same_fit(model.fit(X, y, sample_weight=np.full(45, b)), plain)
        balanced_too = small(class_weight="balanced", **options)
        model = balanced_too.fit(X, y, sample_weight=np.full(45, b))
        assert_allclose(flat(model.coefs_), flat(balanced.fit(X, y).coefs_), rtol=1e-9)
        # the class has what its rows lack
        a, b = 2.0 ** np.round(np.log2([a, b]).clip(-1000, 1000))
        by_row, by_class = np.where(y == 0, a, b), {0: b, 1: a, 2: a}
        model = small(class_weight=by_class, **options)
        model.fit(X, y, sample_weight=by_row)
        assert_same_fit(model, plain)
        model = clone(balanced_too).fit(X, y, sample_weight=by_row)
        assert_allclose(flat(model.coefs_), flat(balanced.coefs_), rtol=1e-9)


@pytest.mark.parametrize("class_weight", [None, {0: 1.0, 1: 1.0, 2: 1.0}, "balanced"])
def test_held_out_rows_have_a_scale_of_their_own(class_weight):
    X, y = make_rows(ChaosCausalPrunedMLP)
    weights = np.full(45, 1e-200)
    for row in (0, 1, 2):
        weights[row] = 1e200
        options = {"class_weight": class_weight, "validation_fraction": 0.3}
        model = small(**options).fit(X, y, sample_weight=weights)
        assert np.isfinite(flat(model.coefs_)).all()


def test_rows_that_weigh_nothing_beside_others_are_absent():
    X, y = make_rows(ChaosCausalPrunedMLPRegressor)
    weights = np.where(np.arange(45) < 20, 1e-300, 1e300)
    options = {"kind": ChaosCausalPrunedMLPRegressor, "prune_criterion": "intervention"}
    options |= PLAIN  # prior and bound know how many rows weights stand for
    for order in (slice(None), slice(None, None, -1)):
        model = small(**options).fit(X[order], y[order], weights[order])
        alone = small(**options).fit(X[20:][order], y[20:][order])
        assert_allclose(flat(model.coefs_), flat(alone.coefs_), rtol=1e-12)


@pytest.mark.parametrize("value", [0.1, 0.3, 3.7, 1e6 + 0.1, -1e300, 0.0])
def test_a_constant_target_is_known_in_spite_of_rounding(value):
    X, _ = make_rows(ChaosCausalPrunedMLPRegressor)
    for weights in (None, np.arange(1.0, 46.0)):
        model = small(ChaosCausalPrunedMLPRegressor).fit(X, np.full(45, value), weights)
        assert (model.target_mean_, model.target_scale_) == (value, 1.0)


def test_class_weight_may_be_a_series(iris):
    weights = {0: 1.0, 1: 5.0, 2: 0.1}
    series = small(class_weight=pd.Series(weights)).fit(*iris)
    assert_same_fit(series, small(class_weight=weights).fit(*iris))
    with pytest.raises(ValueError, match="got the weight -1.0"):
        small(class_weight=pd.Series({0: -1.0, 1: 1.0, 2: 1.0})).fit(*iris)
    with pytest.raises(ValueError, match="two weights for one class"):
        small(class_weight=pd.Series([1.0, 2.0, 3.0, 4.0], [0, 1, 2, 0])).fit(*iris)
    with pytest.raises(ValueError, match="not in class_weight"):
        small(class_weight=pd.Series({0: 1.0, 7: 1.0})).fit(*iris)


@pytest.mark.parametrize(
    "number",
    [1.0, 3, np.float32(2.0), np.int64(5), 1e-300, np.array(2.0), Decimal(2), True],
)
def test_sample_weight_may_be_a_number(iris, number):
    weights = np.full(150, float(np.asarray(number)))
    expected = small().fit(*iris, sample_weight=weights)
    assert_same_fit(small().fit(*iris, sample_weight=number), expected)


def test_what_is_no_weight(iris):
    for number, words in (
        (0.0, "zero for all of the 150"),
        (-1.0, "negative"),
        (np.nan, "NaN"),
        (np.inf, "infinity"),
        ("balanced", "sample_weight='balanced'"),
        (10**400, "too large"),
        ([b"\xff"] * 150, "sample_weight=.* must be None, a number"),
        ({1.0}, "sample_weight={1.0} must be None, a number, or one number per sample"),
        (["a"] * 150, r"sample_weight=.*could not convert string to float: 'a'"),
        (np.arange(150).astype("m8[s]"), "sample_weight has dates or durations"),
        (pd.date_range("2020", periods=150), "sample_weight has dates or durations"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            small().fit(*iris, sample_weight=number)


@pytest.mark.parametrize("weight", [10**400, np.inf, np.nan, -1.0, "1", None])
def test_what_is_no_class_weight(iris, weight):
    with pytest.raises(ValueError, match="class_weight=.*got the weight"):
        small(class_weight={0: weight, 1: 1.0, 2: 1.0}).fit(*iris)


def test_a_penalty_that_makes_steps_too_large_is_named():
    X, y = make_rows(ChaosCausalPrunedMLP)
    with pytest.raises(
        ValueError, match=r"and alpha=100000.0\. Use an alpha below 2 /"
    ):
        small(alpha=1e5).fit(X, y)
    with pytest.raises(ValueError, match=r"alpha=1e\+200 must be a number in \[0, 1e"):
        small(alpha=1e200, solver="adam").fit(X, y)
    options = {"solver": "adam", "learning_rate": "constant", "max_iter": 300}
    shrunk = small(alpha=1e100, **options).fit(X, y)
    assert np.abs(flat(shrunk.coefs_)).max() < 1e-5


def test_the_sample_of_an_intervention_stands_for_its_rows():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(2000, 3)), (np.arange(2000) < 23) * 1
    seen = []

    def look(record):
        rows = Intervention()._sample_rows(record, np.random.default_rng(0))
        seen.append(rows.total_weight)
        return np.abs(record.weights)

    class Look(Criterion):
        needs = ("data",)

        def score(self, record):
            return look(record)

    small(prune_criterion=Look(), class_weight="balanced", max_iter=1).fit(X, y)
    assert seen == [200.0]
