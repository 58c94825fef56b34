"""A regressor's loss for targets with outliers."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, special, stats
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    CompactMLP,
    to_onnx,
)
from skchaosprune._weights import check_robust_spread
from skchaosprune.criteria import ChaosCausality
from tests.helpers import small


def huber(**changes):
    return small(ChaosCausalPrunedMLPRegressor, **{"loss": "huber"} | changes)


def make_rows(n_rows=60, seed=0):
    X, y = make_friedman1(n_rows, 5, noise=0.5, random_state=seed)
    return scale(X), y


# Centre and spread of the target


@pytest.mark.parametrize("n_rows", [4, 5, 6, 101])
def test_centre_and_spread_are_those_of_numpy_and_scipy(n_rows):
    y = np.random.RandomState(n_rows).standard_cauchy(n_rows)
    centre, spread = check_robust_spread(y, np.ones(n_rows))
    assert centre == np.median(y)
    assert spread == pytest.approx(stats.iqr(y) / 1.349, rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 4)), min_size=2, max_size=9),
    st.sampled_from([1.0, 0.1, 2.0**-900]),
)
def test_weights_are_copies_of_rows(pairs, unit):
    y, counts = np.array(pairs).T
    repeated = y.repeat(counts.astype(int))
    expected = check_robust_spread(repeated, np.ones(repeated.size))
    if unit < 1.0:  # weights of one size below 1 are those of single rows
        expected, counts = (
            check_robust_spread(y, np.ones(y.size)),
            np.full(y.size, unit),
        )
    assert_allclose(check_robust_spread(y, counts), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("noise", [0.0, 1e-16, 1e-13])
def test_a_target_that_is_mostly_one_value_has_the_spread_of_the_others(noise):
    rng = np.random.RandomState(0)
    y = noise * rng.normal(size=400)
    y[::6] += rng.normal(size=67)
    spread = np.diff(np.quantile(y, [0.05, 0.95]))[0] / 3.29
    for outlier in (0.0, 1e4, 1e300):
        y[1] = outlier
        centre, found = check_robust_spread(y, np.ones(400))
        assert abs(centre) <= 10.0 * noise
        assert found == pytest.approx(spread, rel=0.1)

    y = np.r_[np.zeros(97), 1.0, -2.0, 7.0]
    assert check_robust_spread(y, np.ones(100)) == (0.0, pytest.approx(np.std(y)))
    assert check_robust_spread(np.full(9, 3.5), np.ones(9)) == (3.5, 1.0)


@pytest.mark.parametrize("size", [1e-310, 1e17, 1e308])
def test_weights_of_one_size_are_none(size):
    y = np.random.RandomState(0).normal(size=101)
    centre, spread = check_robust_spread(y, np.full(101, size))
    assert centre == np.median(y)
    assert spread == pytest.approx(stats.iqr(y) / 1.349, rel=0.05)


def test_a_target_too_wide_for_float64_is_refused():
    X, _ = make_rows(4)
    with pytest.raises(
        ValueError, match="y ranges from -1.7e.308 to 1.7e.308, too far"
    ):
        huber().fit(X, np.array([-1.7e308, -1e308, 1e308, 1.7e308]))


def test_the_fit_knows_centre_and_spread():
    X, y = make_rows()
    y[3] = 1e6
    for weights in (None, np.arange(60) % 3):
        model = huber().fit(X, y, weights)
        rows = y.repeat(np.ones(60, dtype=int) if weights is None else weights)
        assert model.target_mean_ == np.median(rows)
        assert model.target_scale_ == pytest.approx(stats.iqr(rows) / 1.349)


# The loss


def test_a_linear_model_has_the_minimum_of_scipy():
    X, y = make_rows(40)
    y[::8] += 60.0
    weights = np.random.RandomState(1).uniform(0.5, 2.0, size=40)
    centre, spread = check_robust_spread(y, weights)
    target, alpha = (y - centre) / spread, 8.0

    def objective(params):
        errors = X @ params[1:] + params[0] - target
        loss = np.average(2.0 * special.huber(1.35, errors), weights=weights)
        return loss + alpha / (2.0 * weights.sum()) * np.sum(params[1:] ** 2)

    expected = optimize.minimize(objective, np.zeros(6), tol=1e-10).x
    for engine in ("numba", "torch"):
        options = {"hidden_layer_sizes": (), "prune_ratio": 0.0, "engine": engine}
        options |= {"batch_size": 40, "max_iter": 1500, "alpha": alpha}
        model = huber(learning_rate_init=0.02, **options).fit(X, y, weights)
        found = np.r_[model.intercepts_[0], model.coefs_[0].ravel()]
        assert_allclose(found, expected, atol=0.01)


def test_outliers_in_the_target_do_little():
    X, y = make_friedman1(700, noise=1.0, random_state=0)
    X = scale(X)
    spoilt = y[:400].copy()
    spoilt[[7, 70, 170, 370]] += 20.0 * np.std(y) * np.array([1, -1, 1, 1])
    scores = {}
    for loss in ("huber", "squared_error"):
        model = ChaosCausalPrunedMLPRegressor(
            loss=loss, prune_criterion="magnitude", random_state=0
        )
        scores[loss] = model.fit(X[:400], spoilt).score(X[400:], y[400:])
    assert scores["huber"] > 0.75
    assert scores["huber"] > scores["squared_error"] + 0.1


def test_units_of_the_target_do_not_matter():
    X, y = make_rows()
    model = huber().fit(X, y)
    shifted = huber().fit(X, 1e6 + 1e3 * y)
    assert_allclose((shifted.predict(X) - 1e6) / 1e3, model.predict(X), rtol=1e-6)


def test_the_target_of_causality_is_the_loss():
    X, y = make_rows()
    y[3] = 1e3
    criterion = ChaosCausality(window_size=10, max_lag=1)
    model = huber(prune_criterion=criterion, prune_ratio=0.0).fit(X, y)
    errors = (model.predict(X) - y) / model.target_scale_
    loss = np.mean(2.0 * special.huber(1.35, errors))
    assert model.target_series_[-1] == pytest.approx(loss, rel=0.05)
    same = huber(
        prune_criterion=criterion.set_params(target="loss"), prune_ratio=0.0
    ).fit(X, y)
    assert_array_equal(same.target_series_, model.target_series_)


def test_target_score_is_r2():
    X, y = make_rows(100)
    y *= np.where(np.arange(100) % 9 == 0, 3.0, 1.0)  # not of variance 1 any more
    options = {"hidden_layer_sizes": (16,), "prune_ratio": 0.0, "max_iter": 200}
    options |= {"learning_rate": "constant"}
    model = huber(target_score=0.15, **options).fit(X, y)
    assert 1 < model.n_iter_ < 200
    assert model.score(X, y) >= 0.15
    earlier = huber(**options | {"max_iter": model.n_iter_ - 1}).fit(X, y)
    assert earlier.score(X, y) < 0.15


def test_a_target_of_any_size_has_a_score():
    X, y = make_rows()
    for outlier in (1e160, 1e300):
        y[3] = outlier
        model = huber(target_score=0.9, max_iter=3).fit(X, y)
        assert model.n_iter_ == 3  # R2 of 0, and no warning


# What comes after a fit


def test_the_network_leaves_as_any_other(tmp_path):
    X, y = make_rows()
    model = huber().fit(X, y)
    compact = model.compact()
    compact.save_npz(tmp_path / "network.npz")
    loaded = CompactMLP.load_npz(tmp_path / "network.npz")
    assert compact.loss_ == loaded.loss_ == "huber"
    for network in (compact, loaded):
        assert_allclose(network.predict(X), model.predict(X), rtol=1e-12)

    to_onnx(model, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    rows = {session.get_inputs()[0].name: X.astype(np.float32)}
    assert_allclose(np.ravel(session.run(None, rows)[0]), model.predict(X), rtol=1e-4)


@pytest.mark.parametrize("form", ["whole", "compact"])
def test_a_skorch_net_goes_on_with_the_same_loss(form):
    X, y = make_rows()
    y[3] = 1e3
    model = huber().fit(X, y)
    net = (model if form == "whole" else model.compact()).to_skorch(
        lr=1e-12, max_epochs=1, batch_size=60, verbose=0
    )
    net.partial_fit(X, y)
    errors = (model.predict(X) - y) / model.target_scale_
    loss = np.mean(2.0 * special.huber(1.35, errors))
    assert net.history[-1, "train_loss"] == pytest.approx(loss)


def test_only_a_regressor_has_it():
    X, y = make_rows()
    with pytest.raises(ValueError, match="loss='huber'.*'log_loss'.*'squared_error'"):
        small().set_params(loss="huber").fit(X, y > np.median(y))
    with pytest.raises(ValueError, match="loss='log_loss'.*'squared_error'.*'huber'"):
        huber(loss="log_loss").fit(X, y)
    assert ChaosCausalPrunedMLP().loss == "log_loss"
