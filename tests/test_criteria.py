"""The registry: every criterion keeps the contract, whatever is added to it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from skchaosprune import granger_causality, largest_lyapunov_exponent
from skchaosprune._recording import TrainingRecord
from skchaosprune.criteria import (
    CRITERIA,
    ChaosCausality,
    Magnitude,
    WeightScores,
    get_criterion,
    score_weights,
)

USER_GUIDE = Path(__file__).parents[1] / "docs" / "user_guide.md"
N_WINDOWS = 60


@pytest.fixture
def record():
    """A record of 3-2-2 weights, of which the first one drives the target."""
    rng = np.random.RandomState(0)
    exponents = rng.normal(size=(N_WINDOWS, 10))
    exponents[:, 4] = 0.0  # a static weight
    target = rng.normal(size=N_WINDOWS)
    target[1:] += 2.0 * exponents[:-1, 0]
    return TrainingRecord(
        layer_sizes=(3, 2, 2),
        initial_weights=rng.normal(size=10),
        weights=rng.normal(size=10),
        lyapunov_exponents=exponents,
        target_series=target,
        record_every=1,
        n_windows_planned=N_WINDOWS,
        iterations_per_epoch=100,
        seed=3,
    )


@pytest.mark.parametrize("name", CRITERIA)
def test_contract(name, record):
    criterion = get_criterion(name)

    result = score_weights(criterion, record)

    assert type(criterion) is CRITERIA[name]
    assert isinstance(result, WeightScores)
    assert result.scores.shape == (10,)
    assert not np.isnan(result.scores).any()
    assert criterion.needs in ((), ("trajectories",))
    assert (result.keep is not None) == criterion.has_significance_rule
    again = score_weights(clone(criterion), replace(record, n_jobs=2))
    np.testing.assert_array_equal(again.scores, result.scores)
    assert clone(criterion).get_params() == criterion.get_params()
    assert repr(criterion).startswith(type(criterion).__name__)


@pytest.mark.parametrize("name", CRITERIA)
def test_the_user_guide_lists_it(name):
    row = f'| `"{name}"` | `{CRITERIA[name].__name__}` |'
    assert row in USER_GUIDE.read_text()


def test_objects_and_functions_are_criteria():
    magnitude = Magnitude()
    assert get_criterion(magnitude) is magnitude
    function = get_criterion(np.abs)
    assert function.needs == ()
    assert not function.has_significance_rule
    assert repr(function) == repr(np.abs)


@pytest.mark.parametrize("test", ["ssr_ftest", "ssr_chi2test"])
@pytest.mark.parametrize("lag_rule, factor", [("bonferroni", 4), ("min", 1)])
def test_scores_are_the_tests_of_the_public_function(record, test, lag_rule, factor):
    criterion = ChaosCausality(max_lag=4, test=test, lag_rule=lag_rule)

    result = criterion.score(record)

    expected = granger_causality(
        record.target_series, record.lyapunov_exponents, max_lag=4, test=test
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
    exponents = record.lyapunov_exponents.copy()
    target = np.roll(exponents[:, 0], 1)
    rng = np.random.RandomState(1)
    for column, noise in ((1, 1e-9), (2, 1e-8)):
        exponents[:, column] = exponents[:, 0] + noise * rng.normal(size=N_WINDOWS)
    target = target + 1e-12 * rng.normal(size=N_WINDOWS)
    strong = replace(record, lyapunov_exponents=exponents, target_series=target)

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
def test_windows_become_exponents(decimals):
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
    criterion.reduce_window(window, threads, n_jobs=2)
    np.testing.assert_array_equal(threads, out)
