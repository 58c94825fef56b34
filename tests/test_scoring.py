"""What a fit records for its criterion: snapshots, updates, twins; fixed masks."""

import copy
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.metrics import log_loss
from skorch.callbacks import Callback, Freezer, GradientNormClipping, LRScheduler

from skchaosprune import ChaosCausalPrunedMLPRegressor
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
from tests.helpers import assert_same_fit, count_trainings, flat, small

TWINS = ChaosCausality(trajectory="perturbation", random_state=0)

# of three hidden units, too many die
medium = partial(small, hidden_layer_sizes=(6,), max_iter=20)


@pytest.fixture(scope="module")
def intervened(iris):
    """A fit with the effects of interventions; tests read it and never change it."""
    return medium(prune_criterion="intervention").fit(*iris)


def predict_at(model, params, X):
    """Probabilities of the network with the given flat parameters."""
    other = copy.copy(model)
    shapes = [part.shape for part in model.coefs_ + model.intercepts_]
    parts = np.split(params, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
    parts = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    other.coefs_, other.intercepts_ = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    return other.predict_proba(X)


@pytest.mark.slow
@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_obeys_ratio_scope_repair_and_rounds(iris, name):
    options = {"prune_ratio": 0.75, "n_rounds": 2, "max_iter": 20}
    model = medium(prune_criterion=name, **options).fit(*iris)

    assert model.n_rounds_ == 2
    assert model.effective_sparsity_ == model.sparsity_ == round(0.75 * 42) / 42
    assert_same_fit(clone(model).fit(*iris), model)
    assert np.isfinite(model.predict_proba(iris[0])).all()
    layers = clone(model).set_params(prune_scope="layer", keep_connected=False)
    np.testing.assert_allclose(layers.fit(*iris).layer_sparsity_, [18 / 24, 14 / 18])


@pytest.mark.slow
@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_ranks_a_regressor(diabetes, name):
    model = medium(ChaosCausalPrunedMLPRegressor, prune_criterion=name, max_iter=5)
    assert model.fit(*diabetes).score(*diabetes) > 0.2
    assert model.sparsity_ == 0.5


def test_intervention_by_brute_force(iris):
    X, y = iris
    weights = np.linspace(0.5, 1.5, len(y))
    model = medium(prune_criterion="intervention").fit(X, y, sample_weight=weights)

    assert model.snapshots_.shape == (len(POINTS), model.n_parameters_)
    dense = np.concatenate([flat(model.dense_coefs_), flat(model.dense_intercepts_)])
    np.testing.assert_array_equal(model.snapshots_[-1], dense)
    for weight in (0, 13, 23, 24, 41):
        rises = []
        for params in model.snapshots_:
            without = params.copy()
            without[weight] = 0.0
            losses = [
                log_loss(y, predict_at(model, p, X), sample_weight=weights)
                for p in (params, without)
            ]
            rises.append(losses[1] - losses[0])
        assert model.weight_scores_[weight] == pytest.approx(np.mean(rises), abs=1e-10)


def test_points_that_an_early_stop_never_reached_are_left_out(iris, intervened):
    stopped = clone(intervened).set_params(target_score=0.93).fit(*iris)

    share = stopped.n_iter_dense_ / 20
    assert 0.2 < share < 0.9
    n_reached = sum(point <= share for point in POINTS)
    assert len(stopped.snapshots_) == n_reached
    np.testing.assert_array_equal(stopped.snapshots_, intervened.snapshots_[:n_reached])


def test_no_point_is_reached(iris):
    model = medium(prune_criterion="intervention", target_score=0.1, max_iter=100)

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


def test_significant_effects_decide(iris, intervened):
    decided = {"prune_ratio": None, "keep_connected": False}
    model = clone(intervened).set_params(**decided).fit(*iris)

    np.testing.assert_array_equal(flat(model.masks_), model.weight_scores_ > 0.0)
    assert 0.0 < model.sparsity_ < 1.0


def test_updates_are_those_of_the_training(iris):
    every = GrangerUpdates(record_every=1, target="loss")
    model = medium(prune_criterion=every, max_iter=2).fit(*iris)

    assert model.n_windows_ == 2 * 150 - 1
    assert model.lyapunov_exponents_ is None
    assert model.mean_lyapunov_exponents_ is None
    # from the first record to the last
    total = model.window_series_.sum(axis=0, dtype=float)
    one = medium(prune_criterion=Intervention(points=(1 / 300,)), max_iter=2).fit(*iris)
    start = one.snapshots_[0, :42]
    np.testing.assert_allclose(
        total, flat(model.dense_coefs_) - start, rtol=1e-4, atol=1e-6
    )
    auto = medium(prune_criterion="granger_updates").fit(*iris)
    assert 100 <= auto.n_windows_ <= 225

    regression = LossRegression(window_size=10)
    sums = medium(prune_criterion=regression, max_iter=2).fit(*iris)
    squares = model.window_series_.astype(float) ** 2
    for window in range(sums.n_windows_):
        expected = squares[9 * window : 9 * window + 9].sum(axis=0)
        np.testing.assert_allclose(sums.window_series_[window], expected, rtol=1e-5)
        last = 9 * window + 8
        assert sums.target_series_[window] == model.target_series_[last]


def test_target_rows_are_a_sample_of_the_rows(iris, capsys):
    X, y = iris
    seen = []

    def misclassification(targets, outputs):
        seen.append(targets.tobytes())
        assert targets.shape == outputs.shape == (40, 3)
        return float(np.mean(targets.argmax(axis=1) != outputs.argmax(axis=1)))

    def fit(criterion, X=X, **params):
        return medium(prune_criterion=criterion, **params).fit(X, y)

    for kind in (ChaosCausality, GrangerUpdates, LossRegression):
        assert kind().target_rows == 20_000
        whole, sample = fit(kind(target_rows=None)), fit(kind(target_rows=40))

        for same in fit(kind()), fit(kind(target_rows=150)):  # of no more rows
            np.testing.assert_array_equal(same.target_series_, whole.target_series_)
        again = fit(kind(target_rows=40), X=csr_array(X))
        np.testing.assert_array_equal(again.target_series_, sample.target_series_)
        assert np.mean(sample.target_series_ != whole.target_series_) > 0.5
        # all else that is recorded stays
        np.testing.assert_array_equal(sample.window_series_, whole.window_series_)
        np.testing.assert_array_equal(
            flat(sample.dense_coefs_), flat(whole.dense_coefs_)
        )

    sample = fit(ChaosCausality(target_rows=40))
    own = fit(ChaosCausality(target_rows=40, target=misclassification))
    np.testing.assert_array_equal(own.target_series_, sample.target_series_)
    held_out = {"validation_fraction": 0.4}  # 60 rows
    fit(ChaosCausality(target_rows=40, target=misclassification), **held_out)
    fit(ChaosCausality(target_rows=40, target=misclassification), random_state=1)
    assert len(set(seen)) == 3  # one sample in each of three fits
    some, whole = (
        fit(ChaosCausality(target_rows=rows), **held_out) for rows in (70, None)
    )
    np.testing.assert_array_equal(some.target_series_, whole.target_series_)

    told = "target_rows=40: the target is taken on a sample of 150 rows\n"
    for most in (40, 150, None):
        fit(ChaosCausality(target_rows=most), verbose=1)
        assert (told in capsys.readouterr().out) == (most == 40)


def test_target_rows_are_drawn_in_proportion_to_their_weights(iris):
    X, y = iris
    drawn = []

    def count(targets, outputs, sample_weight):
        assert sample_weight.mean() == pytest.approx(1.0)
        counts = sample_weight / sample_weight.min()
        drawn[:] = [counts, counts @ targets]
        return float(len(drawn[0]) + outputs[0, 0])

    heavy, rare = np.ones(150), np.r_[0:50, 50:56, 100:109]
    heavy[7] = 50.0  # of 199, so about 10 of 40 draws
    criterion = ChaosCausality(target_rows=40, target=count)
    model = medium(prune_criterion=criterion).fit(X, y, sample_weight=heavy)
    assert model.target_series_[0] > 30.0
    assert np.sort(drawn[0])[:-1].tolist() == [1.0] * (len(drawn[0]) - 1)
    assert max(drawn[0]) == 40 - (len(drawn[0]) - 1) in (10, 11)
    some, whole = (
        medium(prune_criterion=ChaosCausality(target_rows=rows))
        .fit(X, y, sample_weight=heavy)
        .target_series_
        for rows in (150, None)
    )
    np.testing.assert_array_equal(some, whole)  # no draws where all rows may be taken

    model = medium(prune_criterion=criterion, class_weight="balanced")
    model.fit(X[rare], y[rare])
    np.testing.assert_allclose(drawn[1], 40 / 3, atol=4.0)  # not 40 * 6 / 65


def test_movement_needs_two_networks(iris):
    model = medium(prune_criterion=Movement()).fit(*iris)

    before, after = flat(model.initial_coefs_), flat(model.dense_coefs_)
    np.testing.assert_array_equal(model.weight_scores_, after**2 - before**2)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_perturbation_gives_exponents_of_the_distance(iris, solver):
    criterion = ChaosCausality(trajectory="perturbation", window_size=10)
    options = {"solver": solver, "engine": "auto", "batch_size": 15}
    model = medium(prune_criterion=criterion, **options).fit(*iris)
    plain = medium(prune_criterion=ChaosCausality(window_size=10), **options).fit(*iris)

    np.testing.assert_array_equal(flat(model.dense_coefs_), flat(plain.dense_coefs_))
    assert np.any(model.lyapunov_exponents_ != plain.lyapunov_exponents_)
    # tiny differences are not static
    assert np.mean(model.lyapunov_exponents_ == 0.0) < 0.5
    again = clone(model).fit(*iris)
    np.testing.assert_array_equal(again.lyapunov_exponents_, model.lyapunov_exponents_)
    other = clone(model).set_params(prune_criterion__random_state=7).fit(*iris)
    assert np.any(other.lyapunov_exponents_ != model.lyapunov_exponents_)


class Spy(ChaosCausality):
    """Notes which weights may be moved, and by how much the twin's are."""

    def perturb(self, params, candidates, seed):
        twin = super().perturb(params, candidates, seed)
        self.calls = [*getattr(self, "calls", []), (candidates, twin - params)]
        return twin


@pytest.mark.slow
def test_a_twin_of_pruned_weights_is_perturbed_in_a_living_one(iris):
    X, y = iris
    X = X.copy()
    X[:, 2] = 0.0  # its weights reach nothing
    spy = Spy(trajectory="perturbation", random_state=0)
    model = medium(prune_criterion=spy, n_rounds=4, keep_connected=False).fit(X, y)

    assert len(spy.calls) == 4
    gone = model.pruned_in_round_
    for number, (candidates, difference) in enumerate(spy.calls, start=1):
        living = (gone == 0) | (gone >= number)
        living[12:18] = False
        np.testing.assert_array_equal(candidates, living)
        (weight,) = np.flatnonzero(difference)
        assert living[weight]
        assert difference[weight] == pytest.approx(1e-6)


def test_one_candidate_is_perturbed():
    criterion = ChaosCausality(trajectory="perturbation", perturbation_size=0.5)
    params, candidates = np.arange(14.0), np.arange(10) > 6

    moved = [criterion.perturb(params, candidates, seed) - params for seed in range(40)]

    changed = {tuple(np.flatnonzero(difference)) for difference in moved}
    assert changed == {(7,), (8,), (9,)}
    assert all(difference.max() == 0.5 for difference in moved)
    assert ChaosCausality().perturb(params, candidates, 0) is None


def test_what_cannot_be_perturbed(iris):
    X, y = iris
    lost = clone(TWINS).set_params(perturbation_size=1e-30)
    with pytest.raises(ValueError, match="perturbation_size=1e-30 is lost"):
        medium(prune_criterion=lost).fit(X, y)
    linear = medium(prune_criterion=TWINS, hidden_layer_sizes=())
    with pytest.raises(ValueError, match="no weight to perturb"):
        linear.fit(np.zeros_like(X), y)


@pytest.mark.slow
def test_a_twin_freezes_what_we_freeze(iris):
    criterion = clone(TWINS).set_params(window_size=10)
    options = {"batch_size": 10, "callbacks": [Freezer("coefs.0")]}
    model = medium(prune_criterion=criterion, **options).fit(*iris)

    # the first layer is apart by a constant, or not at all
    assert np.all(model.lyapunov_exponents_[:, :24] == 0.0)
    assert np.any(model.lyapunov_exponents_[:, 24:] != 0.0)


# numpy warns where the kernels run as plain Python
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_twin_that_diverges_is_told(diabetes):
    far = clone(TWINS).set_params(perturbation_size=1e3)
    model = medium(
        ChaosCausalPrunedMLPRegressor, prune_criterion=far, activation="identity"
    )
    with pytest.raises(ValueError, match="twin's weights.*or perturbation_size"):
        model.fit(*diabetes)


def test_a_twin_refuses_callbacks_that_change_weights(iris):
    def change(self, net, **kwargs):
        if len(net.history) < 4:
            net.module_.flat.mul_(0.9)

    model = medium(prune_criterion=TWINS, max_iter=5)
    for event in ("on_train_begin", "on_epoch_begin", "on_epoch_end"):
        callback = type("Shrink", (Callback,), {event: change})()
        model.set_params(callbacks=[callback], prune_criterion=TWINS)
        with pytest.raises(ValueError, match="a callback changed weights or momentum"):
            model.fit(*iris)
        model.set_params(prune_criterion="intervention").fit(*iris)


def test_a_twin_refuses_callbacks_that_act_in_batches(iris):
    model = medium(prune_criterion=TWINS, callbacks=[GradientNormClipping(1.0)])
    with pytest.raises(ValueError, match="twin.*GradientNormClipping"):
        model.fit(*iris)


@pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude:UserWarning")
@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_twin_follows_the_learning_rate(iris, engine):
    model = medium(
        prune_criterion=ChaosCausality(trajectory="perturbation", window_size=10),
        engine=engine,
        batch_size=10,
        learning_rate_init=0.1,
    )
    # a rate of 0 from the second epoch on: the distance no longer changes
    rates = LRScheduler("StepLR", step_size=1, gamma=0.0)
    frozen = clone(model).set_params(callbacks=[rates]).fit(*iris)

    assert np.all(frozen.lyapunov_exponents_[3:] == 0.0)
    assert np.any(model.fit(*iris).lyapunov_exponents_[3:] != 0.0)


def test_fixed_masks_are_pruned_exactly(iris):
    rng = np.random.RandomState(0)
    masks = [rng.uniform(size=(4, 6)) < 0.3, rng.uniform(size=(6, 3)) < 0.3]
    options = {"prune_ratio": 0.9, "n_rounds": 3}  # have no say

    model = medium(prune_criterion=FixedMasks(masks), **options).fit(*iris)

    np.testing.assert_array_equal(flat(model.masks_), flat(masks))
    assert model.n_rounds_ == 1
    lists = FixedMasks([mask.tolist() for mask in masks])
    again = medium(prune_criterion=lists, prune_ratio=None).fit(*iris)
    np.testing.assert_array_equal(flat(again.coefs_), flat(model.coefs_))
    clone(model).fit(*iris)


def test_masks_that_do_not_fit(iris, monkeypatch):
    trainings = count_trainings(monkeypatch)
    last = np.ones((6, 3), bool)
    for masks, error, words in (
        (None, TypeError, "masks must be a list"),
        ([np.ones((4, 6), bool)], ValueError, r"\(6, 3\).*got shapes \[\(4, 6\)\]"),
        ([np.ones((6, 4), bool), last], ValueError, r"shapes \[\(6, 4\)"),
        ([np.ones((4, 6)), last], TypeError, "float64"),
        ([[[True], [True, False]], last], TypeError, "masks must be"),
    ):
        with pytest.raises(error, match=words):
            medium(prune_criterion=FixedMasks(masks)).fit(*iris)
    assert trainings == []


@pytest.mark.slow
def test_windows_and_untested_weights_are_counted(iris):
    X, y = iris
    X = X.copy()
    X[:, 2] = 0.0  # its weights never move, but by a prior
    model = medium(prune_criterion="chaos_causality", alpha=0.0).fit(X, y)

    assert model.n_windows_ == len(model.target_series_)
    assert model.n_untested_ == 6 == np.isnan(model.p_values_).sum()
    assert model.untested_reasons_ == {"the series never moves": 6}
    short = medium(prune_criterion="chaos_causality", max_iter=1)
    with pytest.warns(UserWarning, match="ranked by magnitude"):
        short.fit(X, y)
    assert short.n_windows_ == 3
    assert short.n_untested_ == 42
    assert "too few windows" in next(iter(short.untested_reasons_))
    plain = medium().fit(X, y)
    assert plain.n_windows_ is None
    assert plain.n_untested_ == 0
    assert plain.untested_reasons_ == {}
