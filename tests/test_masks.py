"""Which weights stay, and what is left connected, against sets and paths."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skchaosprune._network.masks import (
    best_path,
    between_living,
    effective_masks,
    effective_sparsity,
    keep_best,
    keep_significant,
    layer_sparsity,
    rank_weights,
    sparsity,
)
from skchaosprune._network.mlp import split_layers
from tests import naive

# Change the following manually to check seed insensitivity:
SEED_RANGE = range(1)
SCOPES = ["global", "layer"]
SCORES = ["distinct", "ties", "static", "by_unit"]

nets = st.builds(
    lambda n_inputs, hidden, n_outputs: (n_inputs, *hidden, n_outputs),
    st.integers(1, 5),
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.integers(1, 3),
)
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0, 1)
scopes = st.sampled_from(SCOPES)
kinds = st.sampled_from(SCORES)


def count_weights(layer_sizes):
    return np.array([before * after for before, after in pairwise(layer_sizes)])


def make_scores(layer_sizes, kind, seed):
    """Draw scores of a kind, and magnitudes with a few ties."""
    rng = np.random.default_rng(seed)
    n_weights = count_weights(layer_sizes).sum()
    scores = {
        "distinct": rng.permutation(n_weights).astype(float),
        "ties": rng.integers(0, 3, n_weights).astype(float),
        "static": np.where(rng.random(n_weights) < 0.5, -np.inf, rng.random(n_weights)),
        # A bad unit is bad in all its weights, so that units die.
        "by_unit": np.concatenate(
            [
                np.outer(rng.random(before), rng.random(after)).ravel()
                for before, after in pairwise(layer_sizes)
            ]
        ),
    }[kind]
    return scores, rng.integers(0, 5, n_weights) / 4


def feasible_ratio(share, layer_sizes, prune_scope):
    """Spread [0, 1] over the ratios that surely leave one weight per layer."""
    n_weights = count_weights(layer_sizes)
    if prune_scope == "global":
        return share * (1 - len(n_weights) / n_weights.sum())
    return share * (1 - 1 / n_weights.min())


def count_kept(layer_sizes, prune_ratio, prune_scope):
    """Weights that stay in the net, or in each layer."""
    n_weights = count_weights(layer_sizes)
    if prune_scope == "global":
        n_weights = n_weights.sum(keepdims=True)
    return n_weights - [round(prune_ratio * n) for n in n_weights.tolist()]


def choose(
    scores,
    layer_sizes,
    prune_ratio,
    prune_scope="global",
    *,
    magnitudes=None,
    keep_connected=True,
):
    """Choose a mask by scores, as matrices."""
    scores = np.asarray(scores, dtype=float)
    mask = keep_best(
        rank_weights(scores, scores if magnitudes is None else magnitudes),
        count_kept(layer_sizes, prune_ratio, prune_scope),
        layer_sizes,
        keep_connected=keep_connected,
    )
    assert mask.shape == scores.shape and mask.dtype == bool
    return split_layers(mask, layer_sizes)


def to_set(masks):
    return {
        (layer, int(source), int(target))
        for layer, mask in enumerate(masks)
        for source, target in np.argwhere(mask)
    }


def assert_same_masks(masks, expected):
    for mask, expected_mask in zip(masks, expected, strict=True):
        assert_array_equal(mask, expected_mask)


# Ranking


@pytest.mark.parametrize("seed", SEED_RANGE)
def test_rank_matches_sorted_tuples(seed):
    for kind in SCORES:
        scores, magnitudes = make_scores((7, 8, 9), kind, seed)
        comp = rank_weights(scores, magnitudes)
        assert comp.tolist() == naive.rank(scores, magnitudes)


def test_ties_go_to_the_larger_then_to_the_earlier_weight():
    scores = np.array([1.0, -np.inf, 1.0, 2.0, 1.0, -np.inf])
    magnitudes = np.array([0.1, 0.5, 0.3, 0.0, 0.3, 0.6])
    assert rank_weights(scores, magnitudes).tolist() == [3, 2, 4, 0, 5, 1]


def test_the_living_rank_first_then_those_that_lived_longest():
    scores, pruned_in_round = np.array([1.0, 2.0, 3.0, 9.0]), np.array([0, 2, 2, 1])
    order = rank_weights(scores, np.zeros(4), pruned_in_round=pruned_in_round)
    assert order.tolist() == [0, 2, 1, 3]


def test_nan_scores_are_refused():
    with pytest.raises(ValueError, match="scores contain 1 NaN of 3; .* use -inf"):
        rank_weights(np.array([1.0, np.nan, -np.inf]), np.ones(3))


# Against the oracles


@given(nets, seeds, st.integers(1, 40))
@settings(deadline=None)
def test_best_path_matches_all_paths(layer_sizes, seed, n_values):
    rng = np.random.default_rng(seed)
    costs = [rng.integers(0, n_values, shape) for shape in pairwise(layer_sizes)]
    assert to_set(best_path(costs)) == naive.best_path([c.tolist() for c in costs])


@given(nets, seeds, shares)
@settings(deadline=None)
def test_effective_masks_match_all_paths(layer_sizes, seed, density):
    rng = np.random.default_rng(seed)
    masks = [rng.random(shape) < density for shape in pairwise(layer_sizes)]
    comp = effective_masks(masks)
    ref = naive.effective(to_set(masks), layer_sizes)
    assert to_set(comp) == ref
    n_weights = count_weights(layer_sizes).sum()
    assert_allclose(effective_sparsity(masks), 1 - len(ref) / n_weights)
    assert_allclose(sparsity(masks), 1 - len(to_set(masks)) / n_weights)
    assert effective_sparsity(masks) >= sparsity(masks)


@pytest.mark.parametrize("prune_scope", SCOPES)
@given(nets, seeds, shares, kinds)
@example((1, 5, 2, 1), 313, 0.76, "ties")  # room for the better casualty only
@example((3, 6, 6, 1), 867, 0.82, "static")  # a unit without kept weights dies first
@settings(deadline=None, max_examples=150)
def test_connected_masks_match_sets(prune_scope, layer_sizes, seed, share, kind):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    prune_ratio = feasible_ratio(share, layer_sizes, prune_scope)
    masks = choose(scores, layer_sizes, prune_ratio, prune_scope, magnitudes=magnitudes)

    names = naive.name_weights(layer_sizes)
    ranked = [names[index] for index in naive.rank(scores, magnitudes)]
    groups = naive.group_weights(ranked, prune_scope)
    n_pruned = [round(prune_ratio * len(group)) for group in groups]
    # The path has its own oracle; here it only has to be the same one.
    costs = np.zeros(len(names))
    for group, n in zip(groups, n_pruned, strict=True):
        for place, weight in enumerate(group):
            costs[names.index(weight)] = (place + 1) / (len(group) - n)
    path = to_set(best_path(split_layers(costs, layer_sizes)))
    assert path <= to_set(masks)
    assert to_set(masks) == naive.choose_connected(
        ranked, n_pruned, layer_sizes, prune_scope, path
    )


@given(nets, seeds, shares, kinds, scopes)
@settings(deadline=None)
def test_masks_without_repair_match_sets(layer_sizes, seed, share, kind, prune_scope):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    prune_ratio = feasible_ratio(share, layer_sizes, prune_scope)
    options = {"magnitudes": magnitudes, "keep_connected": False}
    masks = choose(scores, layer_sizes, prune_ratio, prune_scope, **options)

    names = naive.name_weights(layer_sizes)
    ranked = [names[index] for index in naive.rank(scores, magnitudes)]
    groups = naive.group_weights(ranked, prune_scope)
    n_pruned = [round(prune_ratio * len(group)) for group in groups]
    assert to_set(masks) == naive.choose(ranked, n_pruned, prune_scope)


@given(nets, seeds, shares, kinds)
@settings(deadline=None)
def test_significant_masks_match_all_paths(layer_sizes, seed, density, kind):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    significant = np.random.default_rng(seed).random(len(scores)) < density
    order = rank_weights(scores, magnitudes)
    mask = keep_significant(significant, order, layer_sizes, keep_connected=True)

    names = naive.name_weights(layer_sizes)
    ranked = naive.rank(scores, magnitudes)
    ranked.sort(key=lambda index: not significant[index])
    places = np.empty(len(ranked), dtype=int)
    places[ranked] = range(len(ranked))
    path = naive.best_path([c.tolist() for c in split_layers(places, layer_sizes)])
    wanted = {name for name, keep in zip(names, significant, strict=True) if keep}
    expected = naive.effective(wanted | path, layer_sizes)
    assert to_set(split_layers(mask, layer_sizes)) == expected


@pytest.mark.parametrize("layer_sizes", [(3, 2), (4, 5, 3), (3, 4, 4, 2)])
def test_weights_between_living_units(layer_sizes):
    for seed in range(5):
        rng = np.random.RandomState(seed)
        mask = rng.uniform(size=count_weights(layer_sizes).sum()) < 0.2

        found = between_living(mask, layer_sizes)

        expected = naive.weights_between_living(mask, layer_sizes)
        assert set(np.flatnonzero(found)) == expected


# Laws


@given(nets, seeds, shares, kinds, scopes, st.booleans())
@settings(deadline=None, max_examples=200)
def test_count_is_exact(layer_sizes, seed, share, kind, prune_scope, keep_connected):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    prune_ratio = feasible_ratio(share, layer_sizes, prune_scope)
    options = {"magnitudes": magnitudes, "keep_connected": keep_connected}
    masks = choose(scores, layer_sizes, prune_ratio, prune_scope, **options)
    n_kept = np.array([np.count_nonzero(mask) for mask in masks])
    expected = count_kept(layer_sizes, prune_ratio, prune_scope)
    assert n_kept.reshape(len(expected), -1).sum(axis=1).tolist() == expected.tolist()


@given(nets, seeds, shares, shares, kinds, scopes)
@settings(deadline=None)
def test_masks_are_nested_before_repair(
    layer_sizes, seed, one_share, other_share, kind, prune_scope
):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    options = {"magnitudes": magnitudes, "keep_connected": False}
    more, fewer = (
        to_set(
            choose(
                scores,
                layer_sizes,
                feasible_ratio(share, layer_sizes, prune_scope),
                prune_scope,
                **options,
            )
        )
        for share in sorted([one_share, other_share])
    )
    assert fewer <= more


@given(nets, seeds, shares, kinds)
@settings(deadline=None, max_examples=200)
def test_global_repair_wastes_no_weight(layer_sizes, seed, share, kind):
    # Where a death would break the count, n_kept exceeds the weights between the
    # others, and two lifelines per unit fit - unless units have only two weights.
    assume(layer_sizes[0] + layer_sizes[-1] >= 3)
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    prune_ratio = feasible_ratio(share, layer_sizes, "global")
    masks = choose(scores, layer_sizes, prune_ratio, magnitudes=magnitudes)
    assert_same_masks(effective_masks(masks), masks)
    for before, after in pairwise(masks):
        assert_array_equal(before.any(axis=0), after.any(axis=1))


two_layers = st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(1, 3))


@given(two_layers, seeds, shares, kinds)
@settings(deadline=None)
def test_layer_repair_wastes_only_what_the_counts_force(layer_sizes, seed, share, kind):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    prune_ratio = feasible_ratio(share, layer_sizes, "layer")
    masks = choose(scores, layer_sizes, prune_ratio, "layer", magnitudes=magnitudes)
    n_kept = [np.count_nonzero(mask) for mask in masks]
    n_effective = sum(np.count_nonzero(mask) for mask in effective_masks(masks))
    assert n_effective == naive.most_effective(*layer_sizes, n_kept)


@given(nets, seeds, st.floats(0, 0.6), kinds, scopes)
@settings(deadline=None)
def test_repair_leaves_connected_masks_alone(
    layer_sizes, seed, share, kind, prune_scope
):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    ratio = feasible_ratio(share, layer_sizes, prune_scope)
    repaired, masks = (
        choose(
            scores,
            layer_sizes,
            ratio,
            prune_scope,
            magnitudes=magnitudes,
            keep_connected=keep_connected,
        )
        for keep_connected in (True, False)
    )
    assume(effective_sparsity(masks) == sparsity(masks))
    assert_same_masks(repaired, masks)


@given(nets, seeds, shares, kinds, scopes)
@settings(deadline=None)
def test_repair_is_idempotent(layer_sizes, seed, share, kind, prune_scope):
    scores, magnitudes = make_scores(layer_sizes, kind, seed)
    options = {"magnitudes": magnitudes, "prune_scope": prune_scope}
    options["prune_ratio"] = feasible_ratio(share, layer_sizes, prune_scope)
    masks = choose(scores, layer_sizes, **options)
    assume(effective_sparsity(masks) == sparsity(masks))
    kept = np.concatenate([mask.ravel() for mask in masks])
    assert_same_masks(choose(kept, layer_sizes, **options), masks)


# Repair


def test_all_kept_needs_no_repair():
    for prune_scope, keep_connected in product(SCOPES, [True, False]):
        masks = choose(
            np.full(24, -np.inf),
            (3, 4, 3),
            0.0,
            prune_scope,
            magnitudes=np.zeros(24),
            keep_connected=keep_connected,
        )
        assert all(mask.all() for mask in masks)


def test_the_smallest_count_leaves_one_path():
    masks = choose(np.arange(24), (3, 4, 3), 22 / 24)
    # Weights into the last hidden unit and from it rank best; the last input and the
    # last output are the best ends.
    assert to_set(masks) == {(0, 2, 3), (1, 3, 2)}


@pytest.mark.parametrize("cut", [20, 21])
def test_a_cut_output_does_not_take_ten_inputs_with_it(cut):
    scores = np.arange(22, 0, -1).astype(float)
    scores[[7, cut]] = -1.0
    masks = choose(scores, (10, 2, 1), 0.1)
    assert sum(mask.sum() for mask in masks) == 20
    assert masks[1].all()
    assert not masks[0].ravel()[7]
    # The worst-ranked other weight, the last input's to the second unit, pays.
    assert not masks[0].ravel()[19]


def test_a_leftover_weight_is_useless_and_counted():
    masks = choose([4.0, 3.0, 2.0, 1.0], (1, 2, 1), 0.25)
    assert to_set(masks) == {(0, 0, 0), (0, 0, 1), (1, 0, 0)}
    assert sparsity(masks) == 0.25
    assert effective_sparsity(masks) == 0.5


def test_the_weights_of_a_dead_unit_go_to_the_living():
    # Units 0 and 1 are connected, unit 2 has good inputs and the worst output.
    to_hidden = [[9.0, 8.0, 7.5], [7.0, 3.0, 6.5]]
    to_output = [[5.0], [4.0], [0.0]]
    scores = np.concatenate([np.ravel(to_hidden), np.ravel(to_output)])
    before = choose(scores, (2, 3, 1), 1 / 3, keep_connected=False)
    assert to_set(before) == {(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (0, 1, 2)} | {
        (1, 0, 0)
    }
    after = choose(scores, (2, 3, 1), 1 / 3)
    assert to_set(after) == {(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)} | {
        (1, 0, 0),
        (1, 1, 0),
    }


def test_a_connected_path_is_kept_where_none_survives():
    # All good weights are in the first layer; the best way out costs the least.
    scores = np.concatenate([np.arange(100, 112), [1.0, 5.0, 3.0, 2.0]])
    masks = choose(scores, (3, 4, 1), 0.75, keep_connected=False)
    assert effective_sparsity(masks) == 1.0
    masks = choose(scores, (3, 4, 1), 0.75)
    assert sparsity(masks) == effective_sparsity(masks) == 0.75
    assert np.flatnonzero(masks[1]).tolist() == [1]


def test_outputs_and_inputs_may_lose_everything():
    masks = choose([9.0, 8.0, 1.0, 2.0, 7.0, 0.0, 6.0, 0.5], (2, 2, 2), 0.5)
    assert to_set(masks) == {(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0)}


def test_layer_scope_counts_per_layer():
    scores = np.concatenate([np.arange(100, 140), np.arange(20)])
    masks = choose(scores, (8, 5, 4), 0.5, "layer")
    assert [int(mask.sum()) for mask in masks] == [20, 10]
    assert_allclose(layer_sparsity(masks), [0.5, 0.5])


def test_layer_scope_compares_ranks_by_their_counts():
    # Kept are 3 of 4 and 1 of 2. The path over unit 0 takes places 3 and 1 and is
    # kept already; the one over unit 1 takes places 1 and 2, and is not.
    masks = choose([2.0, 4.0, 1.0, 3.0, 9.0, 8.0], (2, 2, 1), 0.3, "layer")
    assert masks[1].ravel().tolist() == [True, False]
    # The counts leave one output only, so unit 1 is dead and gets what unit 0 leaves.
    assert masks[0].tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("prune_scope", SCOPES)
def test_a_net_without_hidden_layer_keeps_the_best(prune_scope):
    masks = choose([1.0, 4.0, 3.0, 2.0], (4, 1), 0.5, prune_scope)
    assert masks[0].ravel().tolist() == [False, True, True, False]


@pytest.mark.parametrize("prune_scope", SCOPES)
def test_a_large_net_is_repaired(prune_scope):
    layer_sizes = (100, 500, 300, 3)
    for kind, ratio in zip(SCORES, [0.99, 0.5, 0.99, 0.99], strict=True):
        scores, magnitudes = make_scores(layer_sizes, kind, 0)
        masks = choose(scores, layer_sizes, ratio, prune_scope, magnitudes=magnitudes)
        n_kept = sum(np.count_nonzero(mask) for mask in masks)
        assert n_kept == count_kept(layer_sizes, ratio, prune_scope).sum()
        if prune_scope == "global":
            assert effective_sparsity(masks) == sparsity(masks)


# Significance


def significant_weights(significant, scores, layer_sizes, *, keep_connected=True):
    """Choose a mask by significance, as a set."""
    scores = np.asarray(scores, dtype=float)
    mask = keep_significant(
        np.asarray(significant),
        rank_weights(scores, scores),
        layer_sizes,
        keep_connected=keep_connected,
    )
    return to_set(split_layers(mask, layer_sizes))


def test_nothing_significant_leaves_the_best_path():
    rows = np.zeros(24, dtype=bool), np.arange(24), (3, 4, 3)
    assert significant_weights(*rows) == {(0, 2, 3), (1, 3, 2)}
    assert significant_weights(*rows, keep_connected=False) == set()


def test_significant_weights_of_dead_units_go():
    # Unit 0 is significant throughout, unit 1 on its input side only.
    rows = [True, True, True, False], [1.0, 9.0, 2.0, 0.0], (1, 2, 1)
    assert significant_weights(*rows) == {(0, 0, 0), (1, 0, 0)}
    unrepaired = {(0, 0, 0), (0, 0, 1), (1, 0, 0)}
    assert significant_weights(*rows, keep_connected=False) == unrepaired


def test_a_significant_path_wins_over_a_better_score():
    # Unit 1 scores better, yet nothing may be added beside the significant unit 0.
    rows = [True, False, True, False], [1.0, 9.0, 1.0, 9.0], (1, 2, 1)
    assert significant_weights(*rows) == {(0, 0, 0), (1, 0, 0)}


# Views and shares


def test_split_layers_are_views_in_c_order():
    flat = np.arange(12)
    first, second = split_layers(flat, (2, 4, 1))
    assert first.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert second.tolist() == [[8], [9], [10], [11]]
    second[0] = -1
    assert flat[8] == -1


def test_shares_by_hand():
    masks = [np.array([[True, False], [True, False]]), np.array([[False], [True]])]
    assert sparsity(masks) == 0.5
    assert_allclose(layer_sparsity(masks), [0.5, 0.5])
    assert effective_sparsity(masks) == 1.0
