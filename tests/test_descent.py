"""The descent by curvature: its rounds, its objective, and when a fit takes it."""

import itertools

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_friedman1
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale
from skorch.callbacks import LRScheduler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    pruning_path,
)
from skchaosprune._fit import descent, pruning, saliencies
from skchaosprune._fit.counts import Cut, count_kept_in_descent
from skchaosprune._fit.results import Pruning
from skchaosprune._kernels.full_batch import Minimum, Objective, bound_far_rows
from skchaosprune._network.mlp import flatten
from skchaosprune.criteria import FixedMasks, Magnitude, WeightScores
from tests import autograd, naive
from tests.helpers import assert_same_fit, count_trainings, flat, small

SCOPES = ["global", "layer"]


def sparse(kind=ChaosCausalPrunedMLP, **changes):
    """Keep a fifth of 42 weights, by a descent without swaps."""
    options = {"hidden_layer_sizes": (6,), "prune_ratio": 0.8, "retrain": "descent"}
    return small(kind, **options | {"n_swaps": 0} | changes)


# How many weights stay.


def test_counts_by_hand():
    for sizes, ratio, scope in itertools.product(
        [(30, 64, 1), (64, 64, 10), (4, 6, 3), (5, 9, 8, 2), (40, 40, 1)],
        [0.0, 0.005, 0.03, 0.3, 0.5, 0.74, 0.8, 0.85],
        SCOPES,
    ):
        counts = count_kept_in_descent(sizes, ratio, scope)
        shapes = list(itertools.pairwise(sizes))
        groups = [a * b for a, b in shapes]
        groups = [sum(groups)] if scope == "global" else groups
        ends = [n - round(ratio * n) for n in groups]
        assert counts[-1].tolist() == ends
        assert counts[0].tolist() == [
            min(4 * end, n) for end, n in zip(ends, groups, strict=True)
        ]
        for before, after in itertools.pairwise(counts):
            assert (after <= before).all() and (after < before).any()
            # 5 %, give or take a weight
            assert (after >= 0.94 * before - 1.0).all()
        assert len(counts) <= 1 + 27


# Round by round.


def weigh(params, alive, plan, scope, n_removed):
    """Each weight's saliency, and where the others move once the least are gone."""
    network = plan.training.network
    data = bound_far_rows(network, plan.training.data)
    n_weights, sizes = alive.size, network.layer_sizes
    params = masked(params, alive)
    curvature = autograd.gauss_newton(params, network, data)
    if alive.sum() > 15:
        return params[:n_weights] ** 2 * np.diag(curvature)[:n_weights], None
    names = naive.name_weights(sizes)
    units = [(layer, unit) for layer in (1, 2) for unit in range(sizes[layer])]
    into = {(layer + 1, unit) for layer, _, unit in np.array(names)[alive].tolist()}
    free = [k for k in range(n_weights) if alive[k]]
    n_free = len(free)
    free += [
        n_weights + place
        for place, unit in enumerate(units)
        if unit in into or unit[0] == 2
    ]
    groups = [names[k][0] if scope == "layer" else 0 for k in free[:n_free]]
    block, penalty = curvature[np.ix_(free, free)], network.alpha / data.total_weight
    args = params[free], block, penalty, groups, n_removed
    values, order = naive.eliminate(*args, damping=1e-4 * max(1, np.diag(block).mean()))
    moved, ranks = params.copy(), np.zeros(n_weights)
    moved[free] = values
    for rank, place in enumerate(order):
        ranks[free[place]] = rank
    return ranks, moved


def masked(params, mask):
    """Set pruned weights to 0."""
    params = params.copy()
    params[: mask.size][~mask] = 0.0
    return params


@pytest.mark.parametrize("kind", [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor])
def test_every_round_prunes_by_curvature_and_goes_on(kind, iris, rounds, monkeypatch):
    monkeypatch.setattr(saliencies, "_MOST_WEIGHTS", 15)
    for scope in SCOPES:
        rounds.clear()
        assert_rounds_are_naive(kind, scope, iris, rounds)


def assert_rounds_are_naive(kind, scope, iris, rounds):
    X, y = (part[::5] for part in iris)
    options = {"keep_connected": False, "hidden_layer_sizes": (5,), "alpha": 1.0}
    options |= {"prune_scope": scope, "prune_ratio": 0.85, "activation": "tanh"}
    model = sparse(kind, **options).fit(X, y)

    plan = model._plan(X, y, None)
    network = plan.training.network
    data, sizes = bound_far_rows(network, plan.training.data), network.layer_sizes
    counts = count_kept_in_descent(sizes, 0.85, scope)
    assert len(rounds) == len(counts) == model.n_rounds_
    names = naive.name_weights(sizes)
    params = flatten(model.dense_coefs_, model.dense_intercepts_)
    alive = np.ones(len(names), dtype=bool)
    scores = np.abs(params[: alive.size])  # magnitude makes the first cut
    np.testing.assert_array_equal(model.weight_scores_, scores)
    in_round, n_before = np.zeros(alive.size, dtype=int), counts[0]
    whole = np.array([len(group) for group in naive.group_weights(names, scope)])
    for number, (start, mask, n_iterations, result) in enumerate(rounds, start=1):
        n_kept, moved = counts[number - 1], None
        if number > 1:
            scores, moved = weigh(params, alive, plan, scope, n_before - n_kept)
        scores = np.where(alive, scores, -1.0)
        order = naive.rank(scores, np.abs(params[: alive.size]))
        kept = naive.choose([names[k] for k in order], whole - n_kept, scope)
        assert mask.tolist() == [name in kept for name in names], number
        starts = [masked(params, mask)]
        starts += [] if moved is None else [masked(moved, mask)]
        best = min(starts, key=lambda s: autograd.objective(s, network, data, mask)[0])
        np.testing.assert_allclose(masked(start, mask), best, rtol=1e-5, atol=1e-8)
        assert n_iterations == {1: 30, len(rounds): 50}.get(number, 10)
        in_round[alive & ~mask] = number
        params, alive, n_before = result.params, mask, n_kept
    final = flatten(model.coefs_, model.intercepts_)
    np.testing.assert_array_equal(final, masked(params, alive))
    np.testing.assert_array_equal(flat(model.masks_), alive)
    np.testing.assert_array_equal(model.pruned_in_round_, in_round)


def test_the_repair_brings_back_what_went_last_and_was_worth_most(monkeypatch):
    # three inputs, two hidden units; the second one has lost its inputs and dies, which
    # leaves a place for the second or the third input of the first
    model = sparse(hidden_layer_sizes=(2,), prune_ratio=0.6)
    X = np.eye(3)[np.arange(30) % 3]
    plan = model._plan(X, np.arange(30) % 2, None)
    objective = Objective(plan.training.network, plan.training.data)
    mask = np.isin(np.arange(8), [0, 6, 7])
    found = np.where(mask, [9.0] * 7 + [0.1], 0.0)
    monkeypatch.setattr(descent, "measure_saliencies", lambda *_: (found, None))
    for second, third, worths, expected in (
        (2, 2, (0.2, 0.1), 2),
        (2, 2, (0.1, 0.2), 4),
        (3, 2, (0.1, 0.2), 2),
    ):
        gone_in, worth = np.where(mask, 0, 1), np.zeros(8)
        gone_in[[2, 4]], worth[[2, 4]] = (second, third), worths
        params = np.arange(11.0)[::-1] if expected == 4 else np.arange(11.0)
        before = Pruning(mask, worth, gone_in, params, 1, {})
        state = descent.State(before, params, worth, [], [])

        after = descent.prune(plan, objective, state, Cut(np.array([3]), 3), 4)

        assert np.flatnonzero(after.mask).tolist() == sorted([0, 6, expected])
        assert after.pruning.pruned_in_round[7] == 4


WAYS = {
    "defaults": {},
    "layers": {"prune_scope": "layer"},
    "mild": {"prune_ratio": 0.4},
    "nothing": {"prune_ratio": 0.0},
    "extreme": {"prune_ratio": 0.95},
    "deep": {"hidden_layer_sizes": (6, 5), "activation": "tanh"},
    "linear": {"hidden_layer_sizes": (), "prune_ratio": 0.5},
    "squares": {"loss": "squared_error", "activation": "logistic"},
    "no prior": {"alpha": 0.0},
    "partial": {"dense_fraction": 0.5},
    "held out": {"validation_fraction": 0.2},
    "adam": {"solver": "adam"},
    "torch": {"engine": "torch"},
    "callbacks": {"callbacks": [LRScheduler("StepLR", step_size=3)]},
    "default criterion": {"prune_criterion": "chaos_causal_magnitude", "max_iter": 20},
    "intervention": {"prune_criterion": "intervention"},
}


@pytest.mark.parametrize("way", WAYS)
def test_all_ways(way, iris, rounds, monkeypatch):
    trained = count_trainings(monkeypatch)
    X, y = (part[::3] for part in iris)
    weights = np.random.RandomState(0).uniform(0.5, 2.0, size=50)
    model = sparse(**WAYS[way]).fit(X, y, weights)

    assert len(trained) == 1
    kept, n_weights = flat(model.masks_), model.n_weights_
    assert kept.sum() == n_weights - round(model.prune_ratio * n_weights) or (
        model.prune_scope == "layer"
    )
    assert model.effective_sparsity_ == model.sparsity_  # all of them are on paths
    np.testing.assert_array_equal(flat(model.coefs_) != 0.0, kept)
    assert model.retrain_ == "descent"
    assert model.history_ == []
    assert model.engine_ == "numba"
    curves = [result.objectives for *_, result in rounds]
    assert model.objective_curve_ == sum(curves, [])
    assert model.n_iter_ == len(model.loss_curve_) == len(model.objective_curve_)
    for curve in curves:  # never rises between two cuts
        assert curve == sorted(curve, reverse=True)
    plan = model._plan(X, y, weights)
    network = plan.training.network
    data = bound_far_rows(network, plan.training.data)
    params = flatten(model.coefs_, model.intercepts_)
    value, loss, _ = autograd.objective(params, network, data, kept)
    assert value == pytest.approx(model.objective_curve_[-1], rel=1e-9)
    assert loss == pytest.approx(model.loss_curve_[-1], rel=1e-9)
    assert (model.pruned_in_round_ == 0).tolist() == kept.tolist()
    assert_same_fit(model, clone(model).fit(X, y, weights))


# When a fit takes it.


AUTO = [
    ({"prune_ratio": 0.7}, "rewind"),
    ({"prune_ratio": 0.71}, "descent"),
    ({"prune_ratio": 0.9, "retrain": "finetune"}, "finetune"),
    ({"prune_ratio": 0.9, "n_rounds": 1}, "rewind"),
    ({"prune_ratio": 0.9, "target_score": 2.0}, "rewind"),
    ({"prune_ratio": None, "prune_criterion": "intervention"}, "rewind"),
    ({"prune_ratio": 0.9, "prune_criterion": "masks"}, "rewind"),
]


def test_auto(iris):
    masks = FixedMasks(sparse(max_iter=2).fit(*iris).masks_)
    for options, expected in AUTO:
        options = {"retrain": "auto", "max_iter": 2} | options
        if options.get("prune_criterion") == "masks":
            options["prune_criterion"] = masks

        model = sparse(**options).fit(*iris)

        assert model.retrain_ == expected, options
        assert (model.objective_curve_ is None) == (expected != "descent")
        if options["retrain"] == "auto":
            named = clone(model).set_params(retrain=expected).fit(*iris)
            assert_same_fit(model, named)


def test_a_verdict_that_turns_out_to_be_final_is_kept(iris):
    def keep_half(record):
        scores = np.abs(record.weights)
        return WeightScores(scores, keep=scores > np.median(scores), is_final=True)

    model = sparse(retrain="auto", prune_criterion=keep_half).fit(*iris)

    assert (model.retrain_, model.n_rounds_, model.sparsity_) == ("rewind", 1, 0.5)
    kept = np.abs(flat(model.dense_coefs_)) > np.median(
        np.abs(flat(model.dense_coefs_))
    )
    np.testing.assert_array_equal(flat(model.masks_), kept)
    with pytest.raises(ValueError, match="prune_criterion chooses the weights itself"):
        sparse(prune_criterion=keep_half).fit(*iris)


def test_what_a_descent_cannot_follow_is_an_error(iris):
    masks = FixedMasks(sparse(max_iter=2).fit(*iris).masks_)
    for options, text in (
        ({"n_rounds": 3}, "n_rounds=3 counts trainings by the solver"),
        ({"target_score": 0.9}, "target_score=0.9 ends trainings by the solver"),
        ({"prune_ratio": None}, "prune_ratio=None keeps what is significant"),
        ({"prune_criterion": masks}, "prune_criterion chooses the weights itself"),
    ):
        model = sparse(**options)
        with pytest.raises(ValueError, match=f"retrain='descent'.*{text}"):
            model.fit(*iris)
        assert not hasattr(model, "coefs_")
    with pytest.raises(ValueError, match="retrain='descent'.*prune_ratio=None"):
        pruning_path(sparse(), *iris, [0.5, None])


def test_a_path_costs_one_dense_training_and_its_descents(iris, monkeypatch):
    trained, descents, descend = count_trainings(monkeypatch), [], pruning.descend

    def spy(plan, *args):
        descents.append(plan.schedule.prune_ratio)
        return descend(plan, *args)

    monkeypatch.setattr(pruning, "descend", spy)
    ratios = [0.72, 0.75, 0.8, 0.85, 0.9, 0.93]
    rows = [(np.arange(0, 150, 2), np.arange(1, 150, 2))]

    path = pruning_path(sparse(retrain="auto"), *iris, ratios, cv=rows)

    assert len(trained) == 1
    assert descents == ratios
    for ratio, score in zip(ratios, path.scores[:, 0], strict=True):
        model = sparse(prune_ratio=ratio).fit(iris[0][::2], iris[1][::2])
        assert model.score(iris[0][1::2], iris[1][1::2]) == score


def test_memory_is_shared_with_all_other_ways(iris, tmp_path, monkeypatch):
    trained = count_trainings(monkeypatch)
    for retrain in ("descent", "rewind", "finetune", "descent"):
        model = sparse(retrain=retrain, memory=tmp_path).fit(*iris)
    assert sum(mask.all() for mask in trained) == 1
    assert_same_fit(model, sparse().fit(*iris))


class Untestable(Magnitude):
    """Cannot test anything."""

    def score(self, record):
        return WeightScores(np.abs(record.weights), problem="no windows")


def test_a_fallback_is_that_of_the_first_cut(iris):
    with pytest.warns(UserWarning, match="by magnitude instead for the first cut: no"):
        model = sparse(prune_criterion=Untestable()).fit(*iris)
    assert model.magnitude_rounds_ == {1: "no windows"}


def test_weights_left_are_printed(iris, capsys):
    model = sparse(verbose=1).fit(*iris)

    lines = [line for line in capsys.readouterr().out.splitlines() if "left" in line]
    assert 8 <= len(lines) <= 12
    left = [int(line.split("descent: ")[1].split(" weights")[0]) for line in lines]
    assert left == sorted(left, reverse=True)
    assert (left[0], left[-1]) == (4 * 8, model.flops_)
    assert lines[-1].endswith(f"8 weights left, loss {model.loss_curve_[-1]:.4f}")


def test_a_criterion_that_decides_nothing_is_told(iris, capsys):
    text = "the first cut leaves all weights: the criterion decides nothing"
    for ratio, is_told in ((0.0, False), (0.5, True), (0.74, True), (0.8, False)):
        by_magnitude = sparse(prune_ratio=ratio, verbose=1).fit(*iris)
        assert (text in capsys.readouterr().out) == is_told
        by_chance = sparse(prune_ratio=ratio, prune_criterion="random").fit(*iris)
        same = (flat(by_magnitude.coefs_) == flat(by_chance.coefs_)).all()
        assert same == (ratio < 0.8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_gross_cells_do_no_harm():
    X, y = make_friedman1(1500, noise=1.0, random_state=0)
    X = scale(X)
    for cell in (X[7, 0], 1e3, 1e12, 1e200):
        rows = X[:1000].copy()
        rows[7, 0] = cell
        model = sparse(ChaosCausalPrunedMLPRegressor, hidden_layer_sizes=(16,))
        model.set_params(prune_ratio=0.7).fit(rows, y[:1000])
        assert model.score(X[1000:], y[1000:]) > 0.8, cell


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:X is not scaled")
def test_a_gross_cell_and_a_constant_rate_are_an_error(iris):
    X = scale(iris[0])
    X[7, 0] = 1e160
    for ratio in (0.75, 0.8):  # by the diagonal, and by the inverse
        model = sparse(hidden_layer_sizes=(40,), prune_ratio=ratio, activation="tanh")
        model.set_params(learning_rate="constant")
        with pytest.raises(ValueError, match="descent cannot go on. Row 7 of X"):
            model.fit(X, iris[1])


def test_equal_columns_are_no_problem():
    rng = np.random.RandomState(0)
    column = 1e10 * rng.standard_normal((100, 1))
    X, y = np.repeat(column, 2, axis=1), rng.randint(2, size=100)
    with pytest.warns(UserWarning, match="X is not scaled"):
        model = sparse(solver="adam", learning_rate="constant").fit(X, y)
    assert model.flops_ == 18 - round(0.8 * 18)


@pytest.mark.slow
def test_deep_networks_do_not_collapse():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 6))
    y = X[:, 2] + 0.1 * rng.standard_normal(300)
    for seed in (2, 4):
        model = sparse(ChaosCausalPrunedMLPRegressor, hidden_layer_sizes=(6,) * 4)
        model.set_params(prune_ratio=0.95, activation="tanh", max_iter=50)
        model.set_params(random_state=seed).fit(X, y)
        assert model.score(X, y) > 0.9


@pytest.mark.slow
def test_weights_that_the_repair_brings_back_are_as_they_were(iris, rounds):
    n_back = 0
    for seed in range(6):
        rounds.clear()
        model = sparse(hidden_layer_sizes=(6, 6, 6), prune_ratio=0.85, max_iter=5)
        model.set_params(random_state=seed, activation="tanh").fit(*iris)
        for (start, mask, _, end), (after, new, *_) in itertools.pairwise(rounds):
            np.testing.assert_array_equal(
                end.params[: mask.size][~mask], start[: mask.size][~mask]
            )
            back = np.flatnonzero(new & ~mask)
            np.testing.assert_array_equal(after[back], end.params[back])
            n_back += back.size
        assert not flat(model.coefs_)[~flat(model.masks_)].any()
    assert n_back > 0


@pytest.mark.slow
def test_the_inverse_decides_where_few_weights_are_left(iris, monkeypatch):
    n_weights, measure = [], saliencies.gauss_newton_matrix

    def spy(params, is_free, network, data):
        n_weights.append(np.count_nonzero(is_free[: network.n_weights]))
        return measure(params, is_free, network, data)

    monkeypatch.setattr(saliencies, "gauss_newton_matrix", spy)
    model = sparse(hidden_layer_sizes=(40,), prune_ratio=0.9).fit(*iris)
    counts = [
        int(count.sum()) for count in count_kept_in_descent((4, 40, 3), 0.9, "global")
    ]
    assert model.n_weights_ == 280
    assert n_weights == [count for count in counts[:-1] if count <= 100]

    n_weights.clear()
    y = np.arange(150) // 2  # 75 classes: a row would take more than half a million
    sparse(hidden_layer_sizes=(2,), prune_ratio=0.85).fit(iris[0], y)
    assert n_weights == []


def test_an_overflow_is_an_error(iris, monkeypatch):
    def overflow(self, params, mask, n_iterations):
        return Minimum(params, np.nan, np.nan, [np.nan], [np.nan])

    monkeypatch.setattr(Objective, "minimise", overflow)
    with pytest.raises(ValueError, match="overflows.*Use retrain='rewind'"):
        sparse().fit(*iris)


def test_whole_weights_are_copies_but_for_amplified_rounding(iris):
    for kind in (ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor):
        assert_copies_are_weights(kind, *iris)


def assert_copies_are_weights(kind, X, y):
    repeats = np.random.RandomState(3).randint(0, 4, size=150)
    options = {"batch_size": 10**6, "learning_rate_init": 0.1, "max_iter": 60}
    model = sparse(kind, shuffle=False, **options)

    weighted = clone(model).fit(X, y, repeats)
    copied = clone(model).fit(X.repeat(repeats, axis=0), y.repeat(repeats))

    assert weighted.objective_curve_[-1] == pytest.approx(
        copied.objective_curve_[-1], rel=0.05
    )
    np.testing.assert_allclose(
        weighted.feature_importances_, copied.feature_importances_, rtol=0, atol=0.05
    )


def test_older_pickles_have_rewind(iris):
    for was, expected in ((True, "rewind"), (False, "finetune")):
        assert_older_pickle_is_read(iris, was, expected)


def assert_older_pickle_is_read(iris, was, expected):
    state = sparse(retrain=expected, max_iter=2).fit(*iris).__getstate__()
    del state["retrain"], state["n_swaps"]
    model = ChaosCausalPrunedMLP.__new__(ChaosCausalPrunedMLP)
    model.__setstate__(state | {"rewind": was, "n_search": 7})

    assert (model.retrain, model.n_swaps) == (expected, 0)
    assert not {"rewind", "n_search"} & (model.get_params().keys() | vars(model).keys())


def test_a_linear_model_ends_at_the_minimum_of_scikit_learns():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((300, 5))
    y = (X @ [3.0, -2.0, 1.0, 0.0, 0.0] + rng.standard_normal(300) > 0).astype(int)
    model = sparse(hidden_layer_sizes=(), prune_ratio=0.6, alpha=2.0).fit(X, y)

    kept = flat(model.masks_)
    assert kept.tolist() == [True, True, False, False, False]
    judge = LogisticRegression(C=1 / 2.0, tol=1e-8).fit(X[:, kept], y)
    np.testing.assert_allclose(flat(model.coefs_)[kept], judge.coef_[0], rtol=2e-3)
