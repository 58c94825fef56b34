"""Swaps after a descent: an oracle for their steps, and what they do in a fit."""

import itertools

import numpy as np
import pytest
from sklearn.base import clone

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    pruning_path,
)
from skchaosprune._fit import saliencies, swaps
from skchaosprune._fit.counts import count_down
from skchaosprune._fit.descent import State
from skchaosprune._fit.results import Pruning
from skchaosprune._kernels.full_batch import Objective, bound_far_rows
from skchaosprune._network.masks import effective_masks
from skchaosprune._network.mlp import flatten, split_layers
from skchaosprune._training.plan import Divergence
from skchaosprune.criteria import FixedMasks
from tests import autograd, naive
from tests.helpers import assert_same_fit, count_trainings, flat
from tests.test_descent import SCOPES, masked, sparse, weigh
from tests.test_descent import WAYS as WAYS_OF_DESCENTS

KINDS = [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor]
SIZES = (4, 5, 3)
N_WEIGHTS = 35


def swapping(kind=ChaosCausalPrunedMLP, **changes):
    """Try six swaps among 42 weights, of which a fifth stays."""
    return sparse(kind, **{"n_swaps": 6} | changes)


# Step by step.


@pytest.mark.parametrize("kind", KINDS)
def test_swaps_take_the_steps_of_the_oracle(kind, iris, rounds, monkeypatch):
    monkeypatch.setattr(saliencies, "_MOST_WEIGHTS", 15)
    for scope in SCOPES:
        rounds.clear()
        assert_swaps_are_naive(kind, scope, iris, rounds)


def assert_swaps_are_naive(kind, scope, iris, rounds):
    X, y = (part[::5] for part in iris)
    options = {"keep_connected": False, "hidden_layer_sizes": (5,), "alpha": 1.0}
    options |= {"prune_scope": scope, "prune_ratio": 0.85, "activation": "tanh"}
    model = swapping(kind, **options).fit(X, y)

    plan = model._plan(X, y, None)
    network = plan.training.network
    data, sizes = bound_far_rows(network, plan.training.data), network.layer_sizes
    names, n_kept = naive.name_weights(sizes), plan.schedule.cuts[-1].n_kept
    groups = naive.group_weights(names, scope)
    rng = np.random.RandomState(plan.training.score_seed)
    steps = iter(rounds[model.n_rounds_ - 1 :])
    _, best, _, end = next(steps)
    curve = [end.value]
    for number in range(1, 7):
        share = 1.5 - 1.2 * (number - 1) / 5
        n_added = rng.randint(1, min(int(share * best.sum()), (~best).sum()) + 1)
        noise = rng.gumbel(size=best.size)
        gains = gain(masked(end.params, best), network, data)
        grown = naive.swap(best, gains, noise, n_added, sizes)

        start, mask, n_iterations, result = next(steps)
        assert mask.tolist() == grown
        np.testing.assert_array_equal(masked(start, mask), masked(end.params, best))
        assert n_iterations == 20
        n_now = np.array([sum(mask[names.index(w)] for w in group) for group in groups])
        counts = count_down(n_now, n_kept, 0.1)
        for left in counts:
            params, alive = result.params, mask
            scores, moved = weigh(params, alive, plan, scope, n_now - left)
            magnitudes = np.abs(params[: alive.size])
            order = naive.rank(np.where(alive, scores, -1.0), magnitudes)
            whole = np.array([len(group) for group in groups])
            kept = naive.choose([names[k] for k in order], whole - left, scope)
            start, mask, n_iterations, result = next(steps)
            assert mask.tolist() == [name in kept for name in names]
            starts = [masked(params, mask)]
            starts += [] if moved is None else [masked(moved, mask)]
            values = [autograd.objective(s, network, data, mask)[0] for s in starts]
            expected = starts[np.argmin(values)]
            np.testing.assert_allclose(
                masked(start, mask), expected, rtol=1e-5, atol=1e-8
            )
            assert n_iterations == (60 if left is counts[-1] else 20)
            n_now = left
        if result.value < curve[-1] - 1e-7:
            best, end = mask, result
        curve.append(end.value)
    assert curve == model.search_loss_curve_
    start, mask, n_iterations, result = next(steps)
    assert mask.tolist() == best.tolist() == flat(model.masks_).tolist()
    np.testing.assert_array_equal(start, end.params)
    assert n_iterations == 200
    assert next(steps, None) is None
    np.testing.assert_array_equal(
        flatten(model.coefs_, model.intercepts_), masked(result.params, mask)
    )


def gain(params, network, data):
    """What the objective would gain by each weight, by a parabola, times 2."""
    everything = np.ones(network.n_weights, dtype=bool)
    _, _, slopes = autograd.objective(params, network, data, everything)
    penalty = network.alpha / data.total_weight
    n_weights = network.n_weights
    slopes = slopes[:n_weights] - penalty * params[:n_weights]
    curvature = np.diag(autograd.gauss_newton(params, network, data))[:n_weights]
    return slopes**2 / (curvature + penalty + 1e-3)


def test_counts_back_by_hand():
    counts = [
        count.tolist() for count in count_down(np.array([20]), np.array([12]), 0.1)
    ]
    assert counts == [[18], [16], [15], [13], [12]]
    by_layer = count_down(np.array([10, 4]), np.array([6, 4]), 0.1)
    assert [count.tolist() for count in by_layer] == [[9, 4], [8, 4], [7, 4], [6, 4]]
    assert [int(n[0]) for n in count_down(np.array([3]), np.array([2]), 0.1)] == [2]


# one hidden unit is alive, with one input and one output
PATH = [np.zeros((4, 5), bool), np.zeros((5, 3), bool)]
PATH[0][0, 0] = PATH[1][0, 0] = True


def draw_added(gains, share, n_draws, mask=None):
    """Masks of what is added, time after time."""
    mask, rng = flat(PATH) if mask is None else mask, np.random.RandomState(7)
    added = np.zeros((n_draws, N_WEIGHTS), dtype=bool)
    for row in added:
        row[swaps._choose_added(mask, gains, share, SIZES, rng)] = True
    assert not (added & mask).any()
    return added


def test_additions_follow_the_gains():
    gains = np.zeros(N_WEIGHTS)
    gains[[5, 10, 22]] = np.log(8.0), -np.inf, np.log(2.0)
    added = draw_added(gains, 0.5, 3000)

    # one of five weights of the unit, whose gains sum to 12
    assert (added.sum(axis=1) == 1).all()
    shares = added.mean(axis=0)
    assert shares[10] == 0
    np.testing.assert_allclose(shares[[5, 22, 21]], np.array([8, 2, 1]) / 12, atol=0.03)


def test_living_units_come_first():
    alive = [1, 0, 0, 0, 0]
    living = flat([np.outer([1] * 4, alive), np.outer(alive, [1] * 3)]).astype(bool)
    gains = np.linspace(0.0, 9.0, N_WEIGHTS)

    assert not draw_added(gains, 2.5, 50)[:, ~living].any()
    assert draw_added(gains, 9.0, 50)[:, ~living].any()


def test_all_may_be_added_but_not_more():
    mask = np.arange(N_WEIGHTS) < 30
    n_added = draw_added(np.zeros(N_WEIGHTS), 1.5, 200, mask).sum(axis=1)
    assert set(n_added) == {1, 2, 3, 4, 5}
    assert set(draw_added(np.zeros(N_WEIGHTS), 0.3, 20).sum(axis=1)) == {1}


def test_the_first_swap_is_the_largest(iris, monkeypatch):
    shares, choose = [], swaps._choose_added

    def spy(mask, gains, share, *args):
        shares.append(share)
        return choose(mask, gains, share, *args)

    monkeypatch.setattr(swaps, "_choose_added", spy)
    swapping(n_swaps=1, max_iter=2).fit(*iris)
    swapping(n_swaps=3, max_iter=2).fit(*iris)
    np.testing.assert_allclose(shares, [1.5, 1.5, 0.9, 0.3])


def test_what_goes_in_a_swap_went_last(iris, monkeypatch):
    numbers, prune = [], swaps.prune

    def spy(plan, objective, state, cut, number):
        numbers.append(number)
        return prune(plan, objective, state, cut, number)

    monkeypatch.setattr(swaps, "prune", spy)
    model = swapping(max_iter=2).fit(*iris)
    assert min(numbers) == model.n_rounds_ + 1
    assert max(numbers) > model.n_rounds_ + 2


def test_a_finished_state_keeps_the_parameters_of_the_pruned():
    mask, nothing = np.array([True, False]), np.zeros(2)
    pruning = Pruning(mask, nothing, nothing, np.ones(3), 1, {})
    state = State(pruning, np.ones(3), nothing, [], [])
    assert state.run.params.tolist() == [1.0, 0.0, 1.0]
    assert state.params.tolist() == [1.0, 1.0, 1.0]


# In a fit.


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS_OF_DESCENTS if way != "nothing"])
def test_the_network_is_the_best_one_found(way, iris, monkeypatch):
    trained = count_trainings(monkeypatch)
    X, y = (part[::3] for part in iris)
    weights = np.random.RandomState(0).uniform(0.5, 2.0, size=50)
    model = swapping(**WAYS_OF_DESCENTS[way]).fit(X, y, weights)
    assert len(trained) == 1
    plain = clone(model).set_params(n_swaps=0).fit(X, y, weights)

    curve = model.search_loss_curve_
    assert len(curve) == 1 + 6
    assert curve[0] == plain.objective_curve_[-1]
    assert curve == sorted(curve, reverse=True)
    assert model.objective_curve_[-1] <= curve[-1]
    n_before = plain.n_iter_
    assert model.objective_curve_[:n_before] == plain.objective_curve_
    assert model.n_iter_ == len(model.loss_curve_) == len(model.objective_curve_)
    assert model.n_iter_ > n_before
    assert plain.search_loss_curve_ is None

    assert model.sparsity_ == plain.sparsity_
    if model.prune_scope == "layer":
        np.testing.assert_array_equal(model.layer_sparsity_, plain.layer_sparsity_)
    assert model.effective_sparsity_ == model.sparsity_
    kept = flat(model.masks_)
    np.testing.assert_array_equal(flat(model.coefs_) != 0.0, kept)
    plan = model._plan(X, y, weights)
    network, params = plan.training.network, flatten(model.coefs_, model.intercepts_)
    data = bound_far_rows(network, plan.training.data)
    value, loss, _ = autograd.objective(params, network, data, kept)
    assert value == pytest.approx(model.objective_curve_[-1], rel=1e-9)
    assert loss == pytest.approx(model.loss_curve_[-1], rel=1e-9)
    assert_same_evidence(model, plain)
    assert_same_fit(model, clone(model).fit(X, y, weights))


def assert_same_evidence(model, plain):
    """Swaps change masks, and say so in ``pruned_in_round_``."""
    kept, before = flat(model.masks_), flat(plain.masks_)
    in_round = plain.pruned_in_round_.copy()
    in_round[before & ~kept] = plain.n_rounds_ + 1
    in_round[kept] = 0
    np.testing.assert_array_equal(model.pruned_in_round_, in_round)
    np.testing.assert_array_equal(model.weight_scores_, plain.weight_scores_)
    assert model.n_rounds_ == plain.n_rounds_
    assert model.dense_history_ == plain.dense_history_


def test_swaps_find_better_masks(cancer, diabetes):
    for kind, (X, y) in zip(KINDS, (cancer, diabetes), strict=True):
        rows = X[::2], y[::2]
        model = swapping(kind, hidden_layer_sizes=(12,), prune_ratio=0.96).fit(*rows)

        curve = model.search_loss_curve_
        assert curve[-1] < 0.98 * curve[0]
        assert (model.pruned_in_round_ == model.n_rounds_ + 1).any()
        other = clone(model).set_params(random_state=1).fit(*rows)
        assert curve != other.search_loss_curve_


def test_auto_swaps_where_few_weights_are_left_per_output(iris):
    X, y = iris
    for kind, ratio, hidden, expected in (
        (ChaosCausalPrunedMLP, 0.8, 100, 5),  # 140 of 700 weights, three outputs
        (ChaosCausalPrunedMLP, 0.75, 100, 0),  # 175
        (ChaosCausalPrunedMLPRegressor, 0.9, 100, 5),  # 50 of 500, one
        (ChaosCausalPrunedMLPRegressor, 0.898, 100, 0),  # 51
        (ChaosCausalPrunedMLP, 0.7, 6, 0),  # no descent
    ):
        model = swapping(kind, n_swaps="auto", retrain="auto", max_iter=2)
        model.set_params(prune_ratio=ratio, hidden_layer_sizes=(hidden,)).fit(X, y)
        curve = model.search_loss_curve_
        assert (0 if curve is None else len(curve) - 1) == expected
        named = clone(model).set_params(n_swaps=expected).fit(X, y)
        assert_same_fit(model, named)


def test_swaps_without_a_descent_are_an_error(iris):
    masks = FixedMasks(sparse(max_iter=2).fit(*iris).masks_)
    for options, text in (
        ({"retrain": "rewind"}, "retrain='rewind'. Set retrain='descent', or"),
        ({"retrain": "finetune"}, "retrain='finetune'. Set retrain='descent', or"),
        ({"prune_ratio": 0.5}, "as prune_ratio=0.5 is not above 0.7. Set retrain="),
        ({"n_rounds": 3}, "n_rounds=3 counts trainings by the solver. Change that"),
        ({"prune_criterion": masks}, "chooses the weights itself. Change that"),
    ):
        model = swapping(**{"retrain": "auto"} | options)
        with pytest.raises(ValueError, match=f"n_swaps=6 needs a descent.*{text}"):
            model.fit(*iris)
        assert not hasattr(model, "coefs_")
        model.set_params(n_swaps=0, max_iter=2).fit(*iris)
    with pytest.raises(
        ValueError, match="n_swaps=6 needs a descent.*prune_ratio=0.5 is not"
    ):
        pruning_path(swapping(retrain="auto"), *iris, [0.9, 0.5])


def test_nothing_to_swap(iris):
    model = swapping(prune_ratio=0.0).fit(*iris)
    assert model.search_loss_curve_ is None
    assert_same_fit(model, clone(model).set_params(n_swaps=0).fit(*iris))


def test_a_swap_that_overflows_is_not_kept(iris, monkeypatch):
    plain, n_calls = swapping(n_swaps=0).fit(*iris), itertools.count()
    minimise = Objective.minimise

    def overflow(self, params, mask, n_iterations):
        if n_iterations == 20:
            next(n_calls)
            raise Divergence("It overflows.", "Try less.")
        return minimise(self, params, mask, n_iterations)

    monkeypatch.setattr(Objective, "minimise", overflow)
    model = swapping().fit(*iris)

    assert next(n_calls) == 6
    assert model.search_loss_curve_ == [plain.objective_curve_[-1]] * 7
    np.testing.assert_array_equal(flat(model.masks_), flat(plain.masks_))


@pytest.mark.slow
def test_deep_masks_stay_connected(iris):
    model = swapping(hidden_layer_sizes=(8, 7), prune_ratio=0.9).fit(*iris)

    assert (model.pruned_in_round_ == model.n_rounds_ + 1).any()
    effective = effective_masks(split_layers(flat(model.masks_), (4, 8, 7, 3)))
    np.testing.assert_array_equal(flat(effective), flat(model.masks_))


def test_swaps_are_printed(iris, capsys):
    model = swapping(verbose=1, n_swaps=np.int8(120), alpha=20.0).fit(*iris)

    lines = [line for line in capsys.readouterr().out.splitlines() if "swap " in line]
    assert len(lines) == 11
    assert "swaps: swap 1/120, loss 0." in lines[0]
    assert "swaps: swap 120/120, loss 0." in lines[-1]
    assert len(model.search_loss_curve_) == 121
    last = float(lines[-1].rpartition(" ")[2])
    assert last in np.round(model.loss_curve_, 4)
    assert last != round(model.search_loss_curve_[-1], 4)


def test_a_path_swaps_at_every_ratio(iris, monkeypatch):
    trained = count_trainings(monkeypatch)
    rows = [(np.arange(0, 150, 2), np.arange(1, 150, 2))]
    path = pruning_path(swapping(), *iris, [0.8, 0.9], cv=rows)

    assert len(trained) == 1
    for ratio, score in zip([0.8, 0.9], path.scores[:, 0], strict=True):
        model = swapping(prune_ratio=ratio).fit(iris[0][::2], iris[1][::2])
        assert model.score(iris[0][1::2], iris[1][1::2]) == score


@pytest.mark.filterwarnings("ignore:X is not scaled")
def test_curves_are_of_the_weights_that_are_kept(iris):
    # L-BFGS takes steps back here, where rows with gross values saturate the units
    X, y = iris[0].copy(), iris[1] + iris[0][:, 0]
    X[::3] *= 1e20
    model = swapping(ChaosCausalPrunedMLPRegressor, hidden_layer_sizes=(8,), n_swaps=2)
    model.set_params(learning_rate="constant", activation="tanh", max_iter=5)
    model.set_params(prune_ratio=0.85).fit(X, y)

    plan = model._plan(X, y, None)
    params = flatten(model.coefs_, model.intercepts_)
    rows = plan.training.network, plan.training.data
    value, *_ = autograd.objective(params, *rows, flat(model.masks_))
    assert model.objective_curve_[-1] == pytest.approx(value, rel=1e-9)
    assert model.objective_curve_[-1] <= model.search_loss_curve_[-1]
