"""What a fit shows of its criterion: snapshots, twins, placebos, fixed masks."""

import copy
import pickle

import cloudpickle
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import log_loss

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    granger_causality,
)
from skchaosprune._training import net as _network
from skchaosprune._training.plan import Watch
from skchaosprune.criteria import (
    CRITERIA,
    POINTS,
    ChaosCausality,
    FixedMasks,
    GrangerUpdates,
    Intervention,
    LossRegression,
    Movement,
)


def small(**changes):
    options = {
        "hidden_layer_sizes": (6,),
        "max_iter": 20,
        "prune_criterion": "intervention",
        "random_state": 0,
    }
    return ChaosCausalPrunedMLP(**options | changes)


def flat(parts):
    return np.concatenate([np.ravel(part) for part in parts])


def predict_at(model, params, X, n_features):
    """Probabilities of the network with the given flat parameters."""
    other = copy.copy(model)
    sizes = (n_features, *(W.shape[1] for W in model.coefs_))
    pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
    ends = np.cumsum([a * b for a, b in pairs] + list(sizes[1:]))[:-1]
    parts = np.split(params, ends)
    other.coefs_ = [
        part.reshape(pair) for part, pair in zip(parts, pairs, strict=False)
    ]
    other.intercepts_ = parts[len(pairs) :]
    return other.predict_proba(X)


@pytest.mark.slow
@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("n_rounds", [1, 3])
def test_every_criterion_obeys_ratio_scope_repair_and_rounds(iris, name, n_rounds):
    model = small(prune_criterion=name, prune_ratio=0.75, n_rounds=n_rounds)
    other = clone(model).set_params(prune_scope="layer", keep_connected=False)

    model.fit(*iris)
    other.fit(*iris)

    assert model.n_rounds_ == n_rounds
    assert model.effective_sparsity_ == model.sparsity_ == round(0.75 * 42) / 42
    np.testing.assert_allclose(other.layer_sparsity_, [18 / 24, 14 / 18])
    again = clone(model).fit(*iris)
    np.testing.assert_array_equal(flat(again.coefs_), flat(model.coefs_))
    np.testing.assert_array_equal(again.weight_scores_, model.weight_scores_)
    assert np.isfinite(model.predict_proba(iris[0])).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_ranks_a_regressor(diabetes, name):
    model = ChaosCausalPrunedMLPRegressor(
        (4,), max_iter=5, prune_criterion=name, random_state=0
    )
    assert model.fit(*diabetes).score(*diabetes) > 0.3
    assert model.sparsity_ == 0.5


def test_intervention_by_brute_force(iris):
    X, y = iris
    weights = np.linspace(0.5, 1.5, len(y))
    model = small().fit(X, y, sample_weight=weights)

    assert model.snapshots_.shape == (len(POINTS), model.n_parameters_)
    dense = np.concatenate([flat(model.dense_coefs_), flat(model.dense_intercepts_)])
    np.testing.assert_array_equal(model.snapshots_[-1], dense)
    weights = weights / weights.mean()
    for weight in (0, 13, 23, 24, 41):
        rises = []
        for params in model.snapshots_:
            without = params.copy()
            without[weight] = 0.0
            losses = [
                log_loss(y, predict_at(model, p, X, 4), sample_weight=weights)
                for p in (params, without)
            ]
            rises.append(losses[1] - losses[0])
        assert model.weight_scores_[weight] == pytest.approx(np.mean(rises), abs=1e-10)


def test_points_that_an_early_stop_never_reached_are_left_out(iris):
    stopped = small(target_score=0.97, max_iter=40).fit(*iris)

    share = stopped.n_iter_dense_ / 40
    assert 0.2 < share < 0.9
    n_reached = sum(point <= share for point in POINTS)
    assert len(stopped.snapshots_) == n_reached
    whole = small(max_iter=40).fit(*iris)
    np.testing.assert_array_equal(stopped.snapshots_, whole.snapshots_[:n_reached])


def test_no_point_is_reached(iris):
    model = small(target_score=0.1, max_iter=100)

    with pytest.warns(UserWarning, match="ranked by magnitude.*first of points"):
        model.fit(*iris)

    assert model.snapshots_.shape == (0, model.n_parameters_)
    np.testing.assert_array_equal(
        model.weight_scores_, np.abs(flat(model.dense_coefs_))
    )
    assert model.n_untested_ == 42
    with pytest.raises(ValueError, match="nothing to compare"):
        model.placebo_test(*iris)
    with pytest.raises(ValueError, match="prune_ratio=None cannot decide"):
        model.set_params(prune_ratio=None).fit(*iris)


def test_significant_effects_decide(iris):
    model = small(prune_ratio=None, keep_connected=False).fit(*iris)

    np.testing.assert_array_equal(flat(model.masks_), model.weight_scores_ > 0.0)
    assert 0.0 < model.sparsity_ < 1.0


def test_updates_are_those_of_the_training(iris):
    every = GrangerUpdates(record_every=1, target="loss")
    model = small(prune_criterion=every, max_iter=2).fit(*iris)

    assert model.n_windows_ == 2 * 150 - 1
    assert model.lyapunov_exponents_ is None
    assert model.mean_lyapunov_exponents_ is None
    # from the first record to the last
    total = model.window_series_.sum(axis=0, dtype=float)
    one = small(prune_criterion=Intervention(points=(1 / 300,)), max_iter=2).fit(*iris)
    start = one.snapshots_[0, :42]
    np.testing.assert_allclose(
        total, flat(model.dense_coefs_) - start, rtol=1e-4, atol=1e-6
    )
    auto = small(prune_criterion="granger_updates").fit(*iris)
    assert 100 <= auto.n_windows_ <= 225


def test_loss_regression_adds_up_squared_updates(iris):
    every = small(
        prune_criterion=GrangerUpdates(record_every=1, target="loss"), max_iter=2
    ).fit(*iris)
    model = small(prune_criterion=LossRegression(window_size=10), max_iter=2).fit(*iris)

    squares = every.window_series_.astype(float) ** 2
    for window in range(model.n_windows_):
        expected = squares[9 * window : 9 * window + 9].sum(axis=0)
        np.testing.assert_allclose(model.window_series_[window], expected, rtol=1e-5)
        last = 9 * window + 8
        assert model.target_series_[window] == every.target_series_[last]


def test_movement_needs_two_networks(iris):
    model = small(prune_criterion=Movement()).fit(*iris)

    before, after = flat(model.initial_coefs_), flat(model.dense_coefs_)
    np.testing.assert_array_equal(model.weight_scores_, after**2 - before**2)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_perturbation_gives_exponents_of_the_distance(iris, solver):
    criterion = ChaosCausality(trajectory="perturbation", window_size=10)
    options = {"solver": solver, "engine": "auto", "batch_size": 10}
    model = small(prune_criterion=criterion, **options).fit(*iris)
    plain = small(prune_criterion=ChaosCausality(window_size=10), **options).fit(*iris)

    np.testing.assert_array_equal(flat(model.dense_coefs_), flat(plain.dense_coefs_))
    assert np.any(model.lyapunov_exponents_ != plain.lyapunov_exponents_)
    # tiny differences are not static
    assert np.mean(model.lyapunov_exponents_ == 0.0) < 0.5
    again = clone(model).fit(*iris)
    np.testing.assert_array_equal(again.lyapunov_exponents_, model.lyapunov_exponents_)
    other = clone(model).set_params(prune_criterion__random_state=7).fit(*iris)
    assert np.any(other.lyapunov_exponents_ != model.lyapunov_exponents_)


def test_one_living_weight_is_perturbed():
    criterion = ChaosCausality(trajectory="perturbation", perturbation_size=0.5)
    params, alive = np.arange(14.0), np.arange(10) > 6

    moved = [criterion.perturb(params, alive, seed) - params for seed in range(40)]

    changed = [np.flatnonzero(difference) for difference in moved]
    assert {tuple(weights) for weights in changed} == {(7,), (8,), (9,)}
    assert all(difference.max() == 0.5 for difference in moved)
    assert ChaosCausality().perturb(params, alive, 0) is None


@pytest.mark.slow
def test_a_twin_of_pruned_weights_is_perturbed_in_a_living_one(iris, monkeypatch):
    starts = []
    train = _network.train

    def spy(plan, data, params, **options):
        twin_params = options.get("watch", Watch()).twin_params
        if twin_params is not None:
            starts.append((twin_params - params, options["mask"]))
        return train(plan, data, params, **options)

    monkeypatch.setattr(_network, "train", spy)
    criterion = ChaosCausality(trajectory="perturbation", random_state=0)
    X, y = iris
    X = X.copy()
    X[:, 2] = 0.0  # its weights reach nothing
    small(prune_criterion=criterion, prune_ratio=0.8, n_rounds=4).fit(X, y)

    assert len(starts) == 4
    for difference, mask in starts:
        (weight,) = np.flatnonzero(difference)
        assert mask[weight]
        assert difference[weight] == pytest.approx(1e-6)
        assert weight not in range(12, 18)


def test_a_lost_perturbation_is_refused(iris):
    criterion = ChaosCausality(trajectory="perturbation", perturbation_size=1e-30)
    with pytest.raises(ValueError, match="perturbation_size=1e-30 is lost"):
        small(prune_criterion=criterion).fit(*iris)


def test_nothing_to_perturb(iris):
    X, y = iris
    criterion = ChaosCausality(trajectory="perturbation")
    model = small(prune_criterion=criterion, hidden_layer_sizes=())
    with pytest.raises(ValueError, match="no weight to perturb"):
        model.fit(np.zeros_like(X), y)


@pytest.mark.slow
def test_a_twin_freezes_what_we_freeze(iris):
    from skorch.callbacks import Freezer

    model = small(
        prune_criterion=ChaosCausality(trajectory="perturbation", random_state=1),
        callbacks=[Freezer("coefs.0")],
    ).fit(*iris)

    frozen = model.lyapunov_exponents_[:, :24]  # apart by a constant, or not at all
    assert np.all(frozen == 0.0)
    assert np.any(model.lyapunov_exponents_[:, 24:] != 0.0)


# numpy warns where the kernels run as plain Python
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_twin_that_diverges_is_told(diabetes):
    criterion = ChaosCausality(trajectory="perturbation", perturbation_size=1e3)
    model = ChaosCausalPrunedMLPRegressor(
        (4,), max_iter=5, activation="identity", prune_criterion=criterion
    )
    with pytest.raises(ValueError, match="twin's weights.*or perturbation_size"):
        model.fit(*diabetes)


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_a_twin_refuses_callbacks_that_change_weights(iris, event):
    from skorch.callbacks import Callback

    def change(self, net, **kwargs):
        if len(net.history) < 4:
            net.module_.flat.mul_(0.9)

    callback = type("Shrink", (Callback,), {event: change})()
    model = small(
        prune_criterion=ChaosCausality(trajectory="perturbation"), callbacks=[callback]
    )
    with pytest.raises(
        ValueError, match="a callback changed weights, for one of the two"
    ):
        model.fit(*iris)
    model.set_params(prune_criterion="intervention").fit(*iris)


def test_a_twin_refuses_callbacks_that_act_in_batches(iris):
    from skorch.callbacks import GradientNormClipping

    model = small(
        prune_criterion=ChaosCausality(trajectory="perturbation"),
        callbacks=[GradientNormClipping(1.0)],
    )
    with pytest.raises(ValueError, match="twin.*GradientNormClipping"):
        model.fit(*iris)


@pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude:UserWarning")
@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_twin_follows_the_learning_rate(iris, engine):
    from skorch.callbacks import LRScheduler

    def fit(callbacks):
        criterion = ChaosCausality(trajectory="perturbation", window_size=10)
        return small(
            prune_criterion=criterion,
            callbacks=callbacks,
            engine=engine,
            batch_size=10,
            learning_rate_init=0.1,
        ).fit(*iris)

    # a rate of 0 from the second epoch on: the distance no longer changes
    frozen = fit([LRScheduler("StepLR", step_size=1, gamma=0.0)])

    assert np.all(frozen.lyapunov_exponents_[3:] == 0.0)
    assert np.any(fit(None).lyapunov_exponents_[3:] != 0.0)


def test_fixed_masks_are_pruned_exactly(iris):
    rng = np.random.RandomState(0)
    masks = [rng.uniform(size=(4, 6)) < 0.3, rng.uniform(size=(6, 3)) < 0.3]
    options = {"prune_ratio": 0.9, "n_rounds": 3}  # have no say

    model = small(prune_criterion=FixedMasks(masks), **options).fit(*iris)

    np.testing.assert_array_equal(flat(model.masks_), flat(masks))
    assert model.n_rounds_ == 1
    lists = FixedMasks([mask.tolist() for mask in masks])
    again = small(prune_criterion=lists, prune_ratio=None).fit(*iris)
    np.testing.assert_array_equal(flat(again.coefs_), flat(model.coefs_))
    clone(model).fit(*iris)


@pytest.mark.parametrize(
    "masks, error, words",
    [
        (None, TypeError, "masks must be a list"),
        ([np.ones((4, 6), bool)], ValueError, r"\(6, 3\).*got shapes \[\(4, 6\)\]"),
        ([np.ones((6, 4), bool), np.ones((6, 3), bool)], ValueError, r"\(6, 4\)"),
        ([np.ones((4, 6)), np.ones((6, 3), bool)], TypeError, "float64"),
        ([[[True], [True, False]], np.ones((6, 3), bool)], TypeError, "masks must be"),
    ],
)
def test_masks_that_do_not_fit(iris, masks, error, words, monkeypatch):
    monkeypatch.setattr(_network, "train", None)  # refused before any training
    with pytest.raises(error, match=words):
        small(prune_criterion=FixedMasks(masks)).fit(*iris)


@pytest.mark.slow
def test_windows_and_untested_weights_are_counted(iris):
    X, y = iris
    X = X.copy()
    X[:, 2] = 0.0  # its weights never move
    model = small(prune_criterion="chaos_causality").fit(X, y)

    assert model.n_windows_ == len(model.target_series_)
    assert model.n_untested_ == 6 == np.isnan(model.p_values_).sum()
    assert model.untested_reasons_ == {"the series never moves": 6}
    short = small(prune_criterion="chaos_causality", max_iter=1)
    with pytest.warns(UserWarning, match="ranked by magnitude"):
        short.fit(X, y)
    assert short.n_windows_ == 3
    assert short.n_untested_ == 42
    assert "too few windows" in next(iter(short.untested_reasons_))
    plain = small(prune_criterion="magnitude").fit(X, y)
    assert plain.n_windows_ is None
    assert plain.n_untested_ == 0
    assert plain.untested_reasons_ == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "criterion",
    [
        "chaos_causality",
        "granger_updates",
        "chaos_causal_magnitude",
        ChaosCausality(lag_rule="bic", target="loss"),
        ChaosCausality(placebo=True),
    ],
)
def test_placebo_test_of_a_recorded_series(iris, criterion):
    model = small(prune_criterion=criterion).fit(*iris)

    result = model.placebo_test(n_repeats=5)

    if getattr(criterion, "placebo", False):  # the share is that of the real series
        own = granger_causality(model.target_series_, model.lyapunov_exponents_)
        p_values = np.minimum(1.0, 5 * own.p_value.min(axis=0))
    else:
        p_values = model.p_values_
    assert result.causal_share == np.mean(p_values < 0.05)
    assert result.placebo_shares.shape == (5,)
    assert result.placebo_share == result.placebo_shares.mean()
    n_above = np.sum(result.placebo_shares >= result.causal_share)
    assert result.p_value == (1 + n_above) / 6
    again = model.placebo_test(n_repeats=5)
    np.testing.assert_array_equal(again.placebo_shares, result.placebo_shares)
    other = model.placebo_test(n_repeats=5, random_state=1)
    assert np.any(other.placebo_shares != result.placebo_shares)
    copied = pickle.loads(pickle.dumps(model)).placebo_test(n_repeats=5)
    np.testing.assert_array_equal(copied.placebo_shares, result.placebo_shares)


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


def test_placebo_test_of_an_intervention(iris):
    X, y = iris
    model = small().fit(X, y)

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


def test_placebo_test_takes_the_rows_of_the_fit(cancer):
    model = small(prune_criterion=Intervention(n_rows=50), max_iter=5).fit(*cancer)

    shares = [
        model.placebo_test(*cancer, n_repeats=1, random_state=seed).causal_share
        for seed in range(3)
    ]

    assert shares == [np.mean(model.weight_scores_ > 0.0)] * 3


def mean_error(targets, outputs):
    """Target of a criterion: pickled by name."""
    return float(np.mean((targets > 0.5) != (outputs > 0.5)))


@pytest.mark.parametrize("target", ["loss", mean_error, lambda t, z: np.mean(t * z)])
def test_placebo_test_is_about_the_fit(iris, target):
    model = small(prune_criterion=ChaosCausality(target=target)).fit(*iris)
    expected = model.placebo_test(n_repeats=2)

    copied = cloudpickle.loads(cloudpickle.dumps(model))
    with config_context(print_changed_only=False):
        again = [copied.placebo_test(n_repeats=2)]
    model.set_params(prune_criterion="intervention", loss="squared_error")
    again += [model.placebo_test(n_repeats=2)]

    for result in again:
        assert result.causal_share == expected.causal_share
        np.testing.assert_array_equal(result.placebo_shares, expected.placebo_shares)


def test_own_criterion_with_a_placebo(iris):
    class Own(ChaosCausality):
        """Of the user: not in the registry."""

    model = small(prune_criterion=Own()).fit(*iris)
    same = small(prune_criterion=ChaosCausality()).fit(*iris)
    for first, second in zip(
        model.placebo_test(n_repeats=2).values(),
        same.placebo_test(n_repeats=2).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)

    class Bare(Movement):
        """Has a placebo, but tests nothing."""

        significance_level = 0.05

        def make_placebo(self, record, rng):
            return record

    with pytest.raises(ValueError, match="nothing to compare"):
        small(prune_criterion=Bare()).fit(*iris).placebo_test()
    with pytest.raises(ValueError, match="make_placebo and significance_level"):
        small(prune_criterion=abs_weights).fit(*iris).placebo_test()


def abs_weights(record):
    return np.abs(record.weights)


def test_placebo_test_of_a_regressor(diabetes):
    model = ChaosCausalPrunedMLPRegressor(
        (4,), max_iter=5, prune_criterion="intervention", random_state=0
    ).fit(*diabetes)

    result = model.placebo_test(*diabetes, n_repeats=3)

    assert result.causal_share == np.mean(model.weight_scores_ > 0.0)
    assert result.placebo_shares.shape == (3,)


def test_placebo_test_needs_what_it_compares(iris, fitted, monkeypatch):
    with pytest.raises(ValueError, match="Magnitude.. has no placebo.*'intervention'"):
        small(prune_criterion="magnitude").fit(*iris).placebo_test()
    with pytest.raises(ValueError, match="n_repeats=0"):
        fitted.placebo_test(n_repeats=0)
    monkeypatch.setattr("skchaosprune.estimators._KEEP_BYTES", 100)
    for criterion in ("chaos_causality", "intervention"):
        large = small(prune_criterion=criterion).fit(*iris)
        with pytest.raises(ValueError, match="not kept.*placebo=True"):
            large.placebo_test(*iris)
