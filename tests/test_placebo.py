"""The test of a fit against placebos of its criterion."""

import copy
import pickle
from functools import partial

import cloudpickle
import numpy as np
import pytest
from sklearn import config_context

from skchaosprune import ChaosCausalPrunedMLPRegressor, granger_causality
from skchaosprune.criteria import (
    ChaosCausality,
    GrangerUpdates,
    Intervention,
    Movement,
)
from tests.helpers import small

# of three hidden units, too many die
medium = partial(small, hidden_layer_sizes=(6,), max_iter=20)


@pytest.fixture(scope="module")
def intervened(iris):
    """A fit with the effects of interventions; tests read it and never change it."""
    return medium(prune_criterion="intervention").fit(*iris)


@pytest.mark.slow
@pytest.mark.parametrize(
    "criterion",
    [
        GrangerUpdates(),
        "chaos_causal_magnitude",
        ChaosCausality(lag_rule="bic", target="loss"),
        ChaosCausality(placebo=True),
    ],
)
def test_of_a_recorded_series(iris, criterion):
    model = medium(prune_criterion=criterion).fit(*iris)

    result = model.placebo_test(n_repeats=3)

    if getattr(criterion, "placebo", False):  # the share is that of the real series
        own = granger_causality(model.target_series_, model.lyapunov_exponents_)
        p_values = np.minimum(1.0, 5 * own.p_value.min(axis=0))
    else:
        p_values = model.p_values_
    assert result.causal_share == np.mean(p_values < 0.05)
    assert result.placebo_shares.shape == (3,)
    assert result.placebo_share == result.placebo_shares.mean()
    n_above = np.sum(result.placebo_shares >= result.causal_share)
    assert result.p_value == (1 + n_above) / 4
    copied = pickle.loads(pickle.dumps(model)).set_params(n_jobs=2)
    in_threads = copied.placebo_test(n_repeats=3)
    np.testing.assert_array_equal(in_threads.placebo_shares, result.placebo_shares)


def test_repeats_and_seeds(fitted):
    first, again = (fitted.placebo_test(n_repeats=n) for n in (5, 6))
    other = fitted.placebo_test(n_repeats=5, random_state=1)

    np.testing.assert_array_equal(again.placebo_shares[:5], first.placebo_shares)
    assert np.any(other.placebo_shares != first.placebo_shares)


@pytest.mark.slow
def test_placebo_of_noise_is_calibrated(fitted):
    model = copy.copy(fitted)
    rng = np.random.RandomState(0)
    shape = 120, fitted.n_weights_
    model.target_series_ = np.cumsum(rng.normal(size=120)) / 5
    model.window_series_ = rng.normal(size=shape).astype(np.float32)

    result = model.placebo_test(n_repeats=100)

    assert 0.01 < result.placebo_share < 0.05
    assert result.p_value > 0.05


def test_of_an_intervention(iris, intervened):
    X, y = iris
    model = intervened

    result = model.placebo_test(X, y, n_repeats=5)

    assert result.causal_share == np.mean(model.weight_scores_ > 0.0)
    assert result.causal_share > 0.6 > 0.5 > result.placebo_share
    with pytest.raises(ValueError, match=r"placebo_test\(X, y\)"):
        model.placebo_test()
    with pytest.raises(ValueError, match="labels.*not there in fit.*\\[7\\]"):
        model.placebo_test(X, np.where(y == 1, 7, y))
    with pytest.raises(ValueError, match="3 features, but .* is expecting 4"):
        model.placebo_test(X[:, :3], y)
    some = model.placebo_test(X[::2], y[::2], n_repeats=2)  # not those of the fit
    assert some.causal_share != result.causal_share
    with pytest.raises(ValueError, match="nothing to compare.*on these rows"):
        model.placebo_test(X[:1], y[:1])
    with pytest.raises(ValueError, match="all 50 rows.*same target"):
        model.placebo_test(X[:50], y[:50])


def test_the_rows_are_those_of_the_fit(cancer):
    model = medium(prune_criterion=Intervention(n_rows=50), max_iter=5).fit(*cancer)

    shares = [
        model.placebo_test(*cancer, n_repeats=1, random_state=seed).causal_share
        for seed in range(3)
    ]

    assert shares == [np.mean(model.weight_scores_ > 0.0)] * 3


def mean_error(targets, outputs):
    """Target of a criterion: pickled by name."""
    return float(np.mean((targets > 0.5) != (outputs > 0.5)))


@pytest.mark.parametrize("target", ["loss", mean_error, lambda t, z: np.mean(t * z)])
def test_it_is_about_the_fit(iris, target):
    model = medium(prune_criterion=ChaosCausality(target=target), max_iter=8)
    model.fit(*iris)
    expected = model.placebo_test(n_repeats=2)

    copied = cloudpickle.loads(cloudpickle.dumps(model))
    with config_context(print_changed_only=False):
        again = [copied.placebo_test(n_repeats=2)]
    model.set_params(prune_criterion="intervention", loss="squared_error")
    again += [model.placebo_test(n_repeats=2)]

    for result in again:
        assert result.causal_share == expected.causal_share
        np.testing.assert_array_equal(result.placebo_shares, expected.placebo_shares)


class Own(ChaosCausality):
    """Of the user: not in the registry."""


class Foreign:
    """Does the same, and inherits nothing."""

    needs = ("trajectories",)
    has_significance_rule = True
    significance_level, target = 0.05, "auto"
    window_size, window_overlap, record_every = 50, 0.1, "auto"
    same = ChaosCausality()
    too_few_windows, reduce_window = same.too_few_windows, same.reduce_window
    score, make_placebo = same.score, same.make_placebo


class Bare(Movement):
    """Has a placebo, but tests nothing."""

    significance_level = 0.05

    def make_placebo(self, record, rng):
        return record


@pytest.mark.slow
def test_own_criteria_have_placebos(iris):
    model = medium(prune_criterion=ChaosCausality(), max_iter=8)
    expected = model.fit(*iris).placebo_test(n_repeats=2)

    for own in (Own(), Foreign()):
        model.set_params(prune_criterion=own).fit(*iris)
        result = model.placebo_test(n_repeats=2)
        assert result.causal_share == expected.causal_share
        np.testing.assert_array_equal(result.placebo_shares, expected.placebo_shares)
    with pytest.raises(ValueError, match="nothing to compare"):
        medium(prune_criterion=Bare()).fit(*iris).placebo_test()


def test_of_a_regressor(diabetes):
    kind = ChaosCausalPrunedMLPRegressor
    model = medium(kind, max_iter=5, prune_criterion="intervention").fit(*diabetes)

    result = model.placebo_test(*diabetes, n_repeats=3)

    assert result.causal_share == np.mean(model.weight_scores_ > 0.0)
    assert result.placebo_shares.shape == (3,)


def test_it_needs_what_it_compares(iris, fitted, intervened):
    with pytest.raises(ValueError, match="Magnitude.. has no placebo.*'intervention'"):
        medium().fit(*iris).placebo_test()
    with pytest.raises(ValueError, match="make_placebo and significance_level"):
        medium(prune_criterion=lambda record: record.weights).fit(*iris).placebo_test()
    with pytest.raises(ValueError, match="n_repeats=0"):
        fitted.placebo_test(n_repeats=0)
    for model, name in ((fitted, "window_series_"), (intervened, "snapshots_")):
        large = copy.copy(model)
        setattr(large, name, None)  # as those of a large fit
        with pytest.raises(ValueError, match="not kept.*placebo=True"):
            large.placebo_test(*iris)
