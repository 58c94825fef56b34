"""The registry: every criterion keeps the contract, whatever is added to it."""

import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone

from skchaosprune import granger_causality, largest_lyapunov_exponent
from skchaosprune._kernels import blocks
from skchaosprune._network.mlp import Network, TrainingData
from skchaosprune._training.recording import TrainingRecord, window_stride
from skchaosprune.criteria import (
    CORRECTIONS,
    CRITERIA,
    NEEDS,
    ChaosCausality,
    ChaosCausalMagnitude,
    Criterion,
    FixedMasks,
    GrangerUpdates,
    Intervention,
    LossRegression,
    Movement,
    Random,
    Saliency,
    WeightScores,
    get_criterion,
    score_weights,
)
from tests import naive

USER_GUIDE = Path(__file__).parents[1] / "docs" / "user_guide.md"
N_WINDOWS = 60


def make_rows(rng, n_rows=40):
    targets = np.eye(2)[rng.randint(2, size=n_rows)]
    X, weights = rng.normal(size=(n_rows, 3)), rng.uniform(0.5, 1.5, size=n_rows)
    weights /= weights.mean()
    return TrainingData(X, targets.argmax(axis=1), targets, weights, float(n_rows))


@pytest.fixture
def record():
    """A record of 3-2-2 weights, of which the first one drives the target."""
    rng = np.random.RandomState(0)
    exponents = rng.normal(size=(N_WINDOWS, 10))
    exponents[:, 4] = 0.0  # a static weight
    target = rng.normal(size=N_WINDOWS)
    target[1:] += 2.0 * exponents[:-1, 0]
    return TrainingRecord(
        network=Network((3, 2, 2), "tanh", "softmax", "log_loss", True),
        initial_params=rng.normal(size=14),
        params=rng.normal(size=14),
        alive=np.ones(10, dtype=bool),
        window_series=exponents,
        snapshots=rng.normal(size=(3, 14)),
        data=make_rows(rng),
        target_series=target,
        record_every=1,
        n_windows_planned=N_WINDOWS,
        iterations_per_epoch=100,
        seed=3,
    )


@pytest.mark.parametrize("name", CRITERIA)
def test_contract(name, record, thread_counts):
    criterion = get_criterion(name)

    result = score_weights(criterion, record)

    assert type(criterion) is CRITERIA[name]
    assert isinstance(criterion, Criterion)
    assert isinstance(result, WeightScores)
    assert result.scores.shape == (10,)
    assert not np.isnan(result.scores).any()
    assert set(criterion.needs) <= set(NEEDS)
    assert (result.keep is not None) == criterion.has_significance_rule
    again = score_weights(clone(criterion), replace(record, n_jobs=2))
    np.testing.assert_array_equal(again.scores, result.scores)
    assert clone(criterion).get_params() == criterion.get_params()
    assert repr(criterion).startswith(type(criterion).__name__)


def test_the_user_guide_lists_them():
    guide = USER_GUIDE.read_text(encoding="utf-8")
    for name, kind in CRITERIA.items():
        assert f'| `"{name}"` | `{kind.__name__}` |' in guide


def test_pickles_name_the_public_module():
    for kind in [*CRITERIA.values(), FixedMasks, WeightScores, Criterion]:
        assert pickle.dumps(kind, protocol=0).startswith(b"cskchaosprune.criteria\n")


@pytest.mark.parametrize(
    "test, lag_rule, factor",
    [("ssr_ftest", "bonferroni", 4), ("ssr_chi2test", "min", 1)],
)
def test_scores_are_the_tests_of_the_public_function(record, test, lag_rule, factor):
    criterion = ChaosCausality(max_lag=4, test=test, lag_rule=lag_rule)

    result = criterion.score(record)

    expected = granger_causality(
        record.target_series, record.window_series, max_lag=4, test=test
    )
    tested = np.arange(10) != 4
    smallest = expected.log_p_value[:, tested].min(axis=0)
    np.testing.assert_allclose(
        result.scores[tested], -(smallest + np.log(factor)), rtol=1e-12
    )
    p_values = np.minimum(1.0, factor * np.exp(smallest))
    np.testing.assert_allclose(result.p_values[tested], p_values, rtol=1e-12)
    np.testing.assert_array_equal(result.keep, result.p_values < 0.05)
    assert result.scores.argmax() == 0
    assert result.keep[0]
    assert np.isneginf(result.scores[4])
    assert np.isnan(result.p_values[4])
    assert not result.keep[4]


def test_scores_keep_their_order_where_p_values_underflow(record):
    exponents = record.window_series.copy()
    target = np.roll(exponents[:, 0], 1)
    rng = np.random.RandomState(1)
    for column, noise in ((1, 1e-9), (2, 1e-8)):
        exponents[:, column] = exponents[:, 0] + noise * rng.normal(size=N_WINDOWS)
    target = target + 1e-12 * rng.normal(size=N_WINDOWS)
    strong = replace(record, window_series=exponents, target_series=target)

    result = ChaosCausality(max_lag=1).score(strong)

    assert np.all(result.p_values[:3] < 1e-250)
    assert result.scores[0] > result.scores[1] > result.scores[2]
    assert np.isfinite(result.scores[:3]).all()


def test_causal_pruning_keeps_untested_weights(record):
    result = ChaosCausality(prune="causal").score(record)

    assert not result.keep[0]
    assert result.keep[4]
    assert np.isneginf(result.scores[4])  # though it ranks last


@pytest.mark.parametrize("decimals", [None, 2])
def test_windows_become_exponents(decimals, thread_counts):
    rng = np.random.RandomState(0)
    window = rng.normal(size=(50, 600))  # more than one block
    window[:, 7] *= 1e-9
    criterion = ChaosCausality(decimals=decimals)
    out = np.full(600, np.nan)

    criterion.reduce_window(window, out)

    seen = window if decimals is None else np.round(window, decimals)
    expected = largest_lyapunov_exponent(seen, static_tolerance=1e-5)
    np.testing.assert_array_equal(out, expected)
    assert out[7] == 0.0
    threads = np.full(600, np.nan)
    assert not thread_counts
    criterion.reduce_window(window, threads, n_jobs=2)
    np.testing.assert_array_equal(threads, out)
    assert thread_counts == [2]


def test_small_nets_take_no_threads(monkeypatch):
    monkeypatch.setattr(blocks, "ThreadPoolExecutor", None)
    window = np.random.RandomState(0).normal(size=(50, 600))
    out, alone = np.empty(600), np.empty(600)

    ChaosCausality().reduce_window(window, out, n_jobs=2)

    ChaosCausality().reduce_window(window, alone)
    np.testing.assert_array_equal(out, alone)


def test_threads_leave_the_warning_filters(thread_counts):
    filters = list(warnings.filters)
    window = np.random.RandomState(0).normal(size=(12, 64))

    for _ in range(20):
        ChaosCausality().reduce_window(window, np.empty(64), n_jobs=2)

    assert warnings.filters == filters
    assert thread_counts == [2] * 20


def test_bic_tests_one_lag(record):
    from statsmodels.tsa.ar_model import ar_select_order

    result = ChaosCausality(lag_rule="bic", max_lag=4).score(record)

    bic = ar_select_order(record.target_series, 4, ic="bic").bic
    lag = len(min((lags for lags in bic if lags != 0), key=bic.get))
    expected = granger_causality(record.target_series, record.window_series, max_lag=4)
    tested = np.arange(10) != 4
    log_p = expected.log_p_value[lag - 1, tested]
    np.testing.assert_allclose(result.scores[tested], -log_p, rtol=1e-12)
    np.testing.assert_array_equal(result.best_lags[tested], lag)
    assert result.best_lags[4] == 0
    assert np.isneginf(result.scores[4])


@pytest.mark.parametrize("kind", [ChaosCausality, GrangerUpdates])
def test_placebo_is_the_shuffled_series(record, kind):
    real = kind().score(record)
    placebo = kind(placebo=True, random_state=5).score(record)

    again = kind(placebo=True, random_state=5).score(record)
    other = kind(placebo=True).score(record)  # the record's seed
    np.testing.assert_array_equal(placebo.scores, again.scores)
    assert np.any(placebo.scores != other.scores)
    assert real.scores[0] > 10 > placebo.scores[0]
    # what it shuffles is time, weight by weight
    rng = np.random.default_rng(5)
    shuffled = replace(record, window_series=rng.permuted(record.window_series, axis=0))
    np.testing.assert_array_equal(placebo.scores, kind().score(shuffled).scores)


def test_untested_weights_are_counted_by_reason(record):
    series = record.window_series.copy()
    series[7, 2] = np.nan
    series[:, 3] = record.target_series  # adds nothing to the target's own past
    alive = record.alive.copy()
    alive[5] = False  # though its series moves

    result = ChaosCausality().score(replace(record, window_series=series, alive=alive))

    assert result.untested == {
        "the series never moves": 1,
        "the series is not finite": 1,
        "the series tells nothing that the target's past does not": 1,
    }
    untested = np.isin(range(10), [2, 3, 4, 5])
    np.testing.assert_array_equal(np.isnan(result.p_values), untested)
    np.testing.assert_array_equal(result.best_lags == 0, untested)


def test_corrections_leave_out_what_is_not_tested(record):
    plain = ChaosCausality().score(record)
    tested = ~np.isnan(plain.p_values)
    assert 0 < tested.sum() < 10

    for correction in CORRECTIONS:
        corrected = ChaosCausality(correction=correction).score(record)
        from statsmodels.stats.multitest import multipletests

        expected = multipletests(plain.p_values[tested], method=correction)[1]
        np.testing.assert_array_equal(corrected.p_values[tested], expected)
        np.testing.assert_array_equal(corrected.scores, plain.scores)


def test_chaos_causal_magnitude_weighs_by_rank(record):
    alive = record.alive.copy()
    alive[[1, 6]] = False
    record = replace(record, alive=alive)

    result = ChaosCausalMagnitude().score(record)

    evidence = ChaosCausality().score(record).scores
    living = np.flatnonzero(alive & (np.arange(10) != 4))
    expected = np.abs(record.weights)
    for place, weight in enumerate(sorted(living, key=evidence.__getitem__), start=1):
        expected[weight] *= 1 + place / 7  # 8 living weights; the untested one is last
    np.testing.assert_allclose(result.scores[alive], expected[alive])
    assert result.p_values[0] < 0.05


def test_its_significance_rule_is_that_of_chaos_causality(record):
    for prune in ("noncausal", "causal"):
        options = {"prune": prune, "significance_level": 0.3}

        result = ChaosCausalMagnitude(**options).score(record)

        expected = ChaosCausality(**options).score(record)
        np.testing.assert_array_equal(result.keep, expected.keep)
        np.testing.assert_array_equal(result.p_values, expected.p_values)
        np.testing.assert_array_equal(result.rule_scores, expected.scores)
        assert 0 < result.keep.sum() < 10


def test_what_cannot_be_tested_counts_by_magnitude(record):
    series = record.window_series.copy()
    series[:, [2, 4, 7]] = 0.5
    for alive in (np.ones(10, dtype=bool), np.arange(10) == 3):
        living = replace(record, window_series=series, alive=alive)
        scores = ChaosCausalMagnitude().score(living).scores
        sizes = np.abs(record.weights)
        np.testing.assert_array_equal(scores[[2, 4, 7]], sizes[[2, 4, 7]])
        assert np.isfinite(scores).all()


class Rule(ChaosCausalMagnitude):
    """Returns what it is given."""

    def __init__(self, verdict):
        self.verdict = verdict

    def score(self, record):
        return self.verdict


def test_scores_of_a_rule_are_checked(record):
    scores, keep = np.arange(10.0), [True] * 10
    for rule_scores in (np.full(10, np.nan), np.zeros(9)):
        verdict = WeightScores(scores, keep=keep, rule_scores=rule_scores)
        with pytest.raises(ValueError, match="must return 10 rule_scores without NaN"):
            score_weights(Rule(verdict), record)
    verdict = WeightScores(scores, keep=keep, rule_scores=list(range(10)))
    checked = score_weights(Rule(verdict), record).rule_scores
    np.testing.assert_array_equal(checked, scores)
    with pytest.raises(ValueError, match="need keep .* has_significance_rule = False"):
        score_weights(Rule(scores), record)


def test_the_loss_is_advised_where_it_is_another_target(record):
    still = replace(record, target_series=np.full(N_WINDOWS, 0.25))
    regressor = Network((3, 2, 2), "tanh", "identity", "squared_error", False)
    for network, criterion, is_advised in (
        (record.network, ChaosCausalMagnitude(), True),
        (record.network, ChaosCausalMagnitude(target="loss"), False),
        (regressor, ChaosCausalMagnitude(), False),
        (regressor, ChaosCausalMagnitude(target=np.dot), True),
    ):
        problem = criterion.score(replace(still, network=network)).problem
        assert "never moves" in problem
        assert ("ChaosCausalMagnitude(target='loss')" in problem) == is_advised
        static = replace(record, window_series=np.zeros((N_WINDOWS, 10)))
        problem = criterion.score(replace(static, network=network)).problem
        assert "none of the 10 weights could be tested" in problem
        assert ("use target='loss'" in problem) == is_advised


def test_updates_are_differences_of_neighbours():
    window, out = np.random.RandomState(0).normal(size=(2, 5)), np.empty(5)

    GrangerUpdates().reduce_window(window, out)

    np.testing.assert_array_equal(out, window[1] - window[0])


def test_loss_regression_finds_the_weights_that_lower_the_loss(record):
    rng = np.random.RandomState(0)
    series = rng.chisquare(1, size=(N_WINDOWS, 10)) * 10.0 ** rng.uniform(
        -6, 0, size=10
    )
    series[:, 4] = 0.0
    gamma = np.zeros(10)
    gamma[[2, 7]] = 3.0, 1.0
    gamma /= np.maximum(series.std(axis=0), 1e-300)
    falls = series @ gamma
    driven = replace(
        record, window_series=series, target_series=100.0 - np.cumsum(falls)
    )

    result = LossRegression(penalty=1e-3).score(driven)

    np.testing.assert_array_equal(result.scores.argsort()[::-1][:2], [2, 7])
    scales = np.sqrt(np.mean(series[1:] ** 2, axis=0))
    np.testing.assert_allclose(result.scores, gamma * scales, atol=0.05)
    np.testing.assert_array_equal(result.keep, result.scores > 0)
    assert result.untested == {"the weight never moves": 1}
    sparse = LossRegression(penalty=0.8).score(driven)
    np.testing.assert_array_equal(np.flatnonzero(sparse.keep), [2])


def test_loss_regression_is_solved_exactly(record):
    rng = np.random.RandomState(0)
    n_weights = 80  # more than windows, and nearly collinear
    network = replace(record.network, layer_sizes=(10, 8))
    base = rng.chisquare(1, size=(N_WINDOWS, 5))
    series = base @ rng.uniform(size=(5, n_weights))
    series *= rng.uniform(0.9, 1.1, size=series.shape)
    series[:, 1] = series[:, 0]  # equal regressors
    driven = replace(
        record,
        network=network,
        params=rng.normal(size=88),
        alive=np.ones(80, dtype=bool),
        window_series=series,
        target_series=-np.cumsum(base[:, 0] + 0.1 * rng.normal(size=N_WINDOWS)),
    )

    result = LossRegression().score(driven)

    scales = np.sqrt(np.mean(series[1:] ** 2, axis=0))
    regressors, falls = series[1:] / scales, -np.diff(driven.target_series)
    penalty = 0.01 * (falls @ regressors).max() / len(falls)
    gradient = (falls - regressors @ result.scores) @ regressors / len(falls)
    kept = result.scores > 0.0
    assert 1 < kept.sum() < N_WINDOWS
    assert result.scores.min() == 0.0
    # the conditions of Karush, Kuhn and Tucker
    np.testing.assert_allclose(gradient[kept], penalty, rtol=1e-4)
    assert np.all(gradient[~kept] <= penalty * (1 + 1e-4))


def test_loss_regression_sums_squared_changes():
    window = np.array([[0.0, 1.0], [2.0, 1.0], [-1.0, 1.5]])
    out = np.empty(2)
    criterion = LossRegression(window_size=3)

    criterion.reduce_window(window, out)

    np.testing.assert_array_equal(out, [4 + 9, 0.25])
    for size in (2, 3, 50, 200):  # neighbours share one record
        overlap = LossRegression(window_size=size).window_overlap
        assert window_stride(size, overlap) == size - 1


def test_loss_regression_says_when_there_is_nothing_to_explain(record):
    rising = replace(record, target_series=np.arange(N_WINDOWS) * 1.0)
    short = replace(
        record,
        target_series=record.target_series[:9],
        window_series=record.window_series[:9],
    )
    for case, words in ((rising, "no weight moves more"), (short, "10 are needed")):
        result = LossRegression().score(
            replace(case, window_series=case.window_series**2)
        )
        assert words in result.problem
        np.testing.assert_array_equal(result.scores, np.abs(record.weights))
        assert result.untested == {result.problem: 10}
        assert result.p_values is None  # it never has any
        assert result.best_lags is None


def test_movement_and_saliency_by_hand(record):
    movement = Movement().score(record).scores
    saliency = Saliency().score(record).scores

    expected = record.weights**2 - record.initial_weights**2
    np.testing.assert_array_equal(movement, expected)
    squares = naive.squared_gradients(record.params, record.network, record.data)
    np.testing.assert_allclose(saliency, record.weights**2 * squares, atol=1e-12)


def test_intervention_is_the_rise_of_the_loss(record):
    result = Intervention().score(record)  # 40 rows, fewer than 200

    for weight in range(10):
        rises = []
        for params in record.snapshots:
            without = params.copy()
            without[weight] = 0.0
            rises.append(
                record.data.mean_loss(without, record.network)
                - record.data.mean_loss(params, record.network)
            )
        assert result.scores[weight] == pytest.approx(np.mean(rises), abs=1e-12)
    np.testing.assert_array_equal(result.keep, result.scores > 0.0)
    strict = Intervention(significance_level=0.05).score(record)
    np.testing.assert_array_equal(strict.keep, result.p_values < 0.05)


def test_intervention_tests_the_effect_over_rows(record):
    result = Intervention().score(record)

    data = record.data
    rises = changes_of_rows(record, data)
    mean = np.average(rises, axis=0, weights=data.sample_weight)
    squares = np.average((rises - mean) ** 2, axis=0, weights=data.sample_weight)
    expected = stats.t(39).sf(mean / np.sqrt(squares / 39))
    np.testing.assert_allclose(result.p_values, expected, rtol=1e-8)


def test_an_intervention_counts_a_row_of_weight_3_as_three_rows(record):
    repeats = np.random.RandomState(0).randint(1, 4, size=40)
    rows = np.repeat(np.arange(40), repeats)
    data = record.data
    weighted = replace(
        data, sample_weight=repeats / repeats.mean(), total_weight=float(len(rows))
    )
    repeated = TrainingData(
        data.X[rows],
        data.y[rows],
        data.targets[rows],
        np.ones(len(rows)),
        float(len(rows)),
    )

    found = Intervention().score(replace(record, data=weighted))

    expected = Intervention().score(replace(record, data=repeated))
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-10)
    np.testing.assert_allclose(found.p_values, expected.p_values, rtol=1e-8)
    judge = stats.ttest_1samp(changes_of_rows(record, repeated), 0.0).pvalue
    two_sided = 2 * np.minimum(found.p_values, 1 - found.p_values)
    np.testing.assert_allclose(two_sided, judge, rtol=1e-8)


def changes_of_rows(record, data):
    """Return what the loss of each row does without each weight."""
    changes = []
    for row in range(len(data.X)):
        one = TrainingData(
            data.X[[row]], data.y[[row]], data.targets[[row]], np.ones(1), 1.0
        )
        changes.append(Intervention().score(replace(record, data=one)).scores)
    return np.array(changes)


def test_intervention_takes_a_fixed_sample_of_rows(record):
    few = Intervention(n_rows=15)
    scores = few.score(record).scores

    np.testing.assert_array_equal(few.score(record).scores, scores)
    assert np.any(few.score(replace(record, seed=4)).scores != scores)
    seeded = Intervention(n_rows=15, random_state=1)
    np.testing.assert_array_equal(
        seeded.score(record).scores, seeded.score(replace(record, seed=4)).scores
    )
    rows = few.make_placebo(record, np.random.default_rng(0)).data
    drawn = [record.data.X.tolist().index(row) for row in rows.X.tolist()]
    weights = record.data.sample_weight[drawn]
    np.testing.assert_allclose(rows.sample_weight, weights / weights.mean())
    assert rows.total_weight == 15.0


def test_placebo_of_an_intervention_permutes_the_labels(record):
    criterion = Intervention(placebo=True)
    rows = criterion.make_placebo(record, np.random.default_rng(5)).data

    np.testing.assert_array_equal(rows.X, record.data.X)
    assert np.any(rows.targets != record.data.targets)
    np.testing.assert_array_equal(
        rows.targets.sum(axis=0), record.data.targets.sum(axis=0)
    )
    seeded = Intervention(placebo=True, random_state=5).score(record)
    permuted = Intervention().score(replace(record, data=rows))
    np.testing.assert_array_equal(seeded.scores, permuted.scores)
    assert np.any(criterion.score(record).scores != seeded.scores)


def test_an_intervention_needs_a_point(record):
    result = Intervention().score(replace(record, snapshots=record.snapshots[:0]))

    assert "before the first of points=(0.1, " in result.problem
    np.testing.assert_array_equal(result.scores, np.abs(record.weights))
    assert np.isnan(result.p_values).all()
    assert not result.keep.any()


def test_one_row_has_no_spread_to_test(record):
    data = record.data
    row = TrainingData(data.X[:1], data.y[:1], data.targets[:1], np.ones(1), 1.0)
    one = replace(record, data=row)

    result = Intervention().score(one)

    assert result.untested == {"its effect does not vary over the sample": 10}
    assert np.isnan(result.p_values).all()
    assert np.all(result.scores != 0.0)


def test_weights_that_no_row_feels_are_not_tested(record):
    snapshots = record.snapshots.copy()
    snapshots[:, 3] = 0.0

    result = Intervention().score(replace(record, snapshots=snapshots))

    assert result.untested == {"no row of the sample feels it": 1}
    assert result.scores[3] == 0.0
    assert np.isnan(result.p_values[3])


FAULTS = [
    (ChaosCausality, {"lag_rule": "aic"}, "lag_rule='aic'.*'bic'"),
    (ChaosCausality, {"trajectory": "twin"}, "trajectory='twin'"),
    (ChaosCausality, {"decimals": 16}, r"decimals=16.*\[0, 15\]"),
    (
        ChaosCausality,
        {"trajectory": "perturbation", "decimals": 6},
        "decimals=6.*perturbation.*decimals=None",
    ),
    (ChaosCausality, {"perturbation_size": 0.0}, "perturbation_size=0.0"),
    (ChaosCausality, {"random_state": -1}, "random_state=-1.*None"),
    (GrangerUpdates, {"max_lag": 0}, "max_lag=0"),
    (GrangerUpdates, {"record_every": 0}, "record_every=0.*'auto'"),
    (GrangerUpdates, {"target_rows": 0}, "target_rows=0.*or None"),
    (LossRegression, {"penalty": 1.0}, r"penalty=1.0.*\(0, 1\)"),
    (LossRegression, {"window_size": 1}, "window_size=1"),
    (LossRegression, {"window_size": 0}, "window_size=0"),
    (Intervention, {"points": ()}, r"points=\(\).*\(0, 1\]"),
    (Intervention, {"points": (0.0, 1.0)}, r"points=\(0.0, 1.0\)"),
    (Intervention, {"points": (0.5, np.nan)}, "points=.0.5, nan"),
    (Intervention, {"n_rows": 1}, "n_rows=1"),
    (Intervention, {"significance_level": 0}, "significance_level=0"),
]
WRONG_TYPES = [
    (ChaosCausality, {"placebo": 1}, "placebo=1"),
    (ChaosCausality, {"random_state": "x"}, "random_state='x'"),
    (LossRegression, {"window_size": "50"}, "window_size='50'"),
    (LossRegression, {"record_every": np.ones(2)}, "record_every=array"),
    (Intervention, {"points": 0.5}, "points=0.5"),
    (Intervention, {"points": ("a",)}, "points=.'a'"),
    (Intervention, {"points": [[0.5]]}, "points=..0.5"),
    (Intervention, {"points": None}, "points=None"),
    (Intervention, {"points": "all"}, "points='all'"),
    (Random, {"random_state": 1.5}, "random_state=1.5"),
]


@pytest.mark.parametrize(
    "error, cases", [(ValueError, FAULTS), (TypeError, WRONG_TYPES)]
)
def test_parameters_are_checked(error, cases):
    for kind, params, words in cases:
        criterion = kind(**params)
        assert get_criterion(criterion) is criterion
        with pytest.raises(error, match=words):
            criterion.check_parameters()


@pytest.mark.slow
@pytest.mark.parametrize("n_windows", [40, 200])
def test_tests_are_calibrated_on_noise(record, n_windows):
    """White noise in place of exponents, an autocorrelated target."""
    n_weights = 10_000
    rng = np.random.RandomState(n_windows)
    target = rng.normal(size=n_windows)
    for t in range(1, n_windows):
        target[t] += 0.8 * target[t - 1]
    noise = replace(
        record,
        network=replace(record.network, layer_sizes=(100, 100)),
        params=rng.normal(size=n_weights + 100),
        alive=np.ones(n_weights, dtype=bool),
        window_series=rng.normal(size=(n_windows, n_weights)),
        target_series=target,
    )
    low, high = stats.binom.interval(0.999, n_weights, 0.05)

    result = granger_causality(target, noise.window_series, max_lag=5)
    for causal in (result.p_value < 0.05).sum(axis=1):
        assert low <= causal <= high
    # over five lags at most that, and with the lag that BIC picks exactly that
    assert 0.02 * n_weights < ChaosCausality().score(noise).keep.sum() < high
    assert low <= ChaosCausality(lag_rule="bic").score(noise).keep.sum() <= high


@pytest.mark.parametrize(
    "kind, way_out",
    [
        (ChaosCausality, "lower max_lag or window_size, or record more often"),
        (ChaosCausalMagnitude, "lower max_lag or window_size, or record more often"),
        (GrangerUpdates, "lower max_lag, or record more often"),
    ],
)
def test_too_few_windows_rank_by_magnitude(record, kind, way_out):
    short = replace(
        record,
        target_series=record.target_series[:10],
        window_series=record.window_series[:10],
    )

    result = kind().score(short)

    assert "max_lag=5 needs 17 (max_lag=2 would fit)" in result.problem
    assert way_out in result.problem
    np.testing.assert_array_equal(result.scores, np.abs(record.weights))
    assert not result.keep.any()
    assert result.untested == {result.problem: 10}
