"""From scores to masks: which weights stay, and what is left connected.

Weights and masks are flat: layer by layer, each layer's ``(fan_in, fan_out)`` matrix
raveled in C order; True = kept. ``layer_sizes`` is ``(n_inputs, hidden...,
n_outputs)``. What looks at paths takes one matrix per layer.
"""

import numpy as np

from skchaosprune._network.mlp import split_layers


def rank_weights(scores, magnitudes, pruned_in_round=0):
    """Order the weights from the best to the worst.

    Parameters
    ----------
    scores : ndarray of shape (n_weights,)
        Larger = keep; -inf ranks last.
    magnitudes : ndarray of shape (n_weights,)
        Absolute weights; the larger one wins a tie of scores, then the lower index.
    pruned_in_round : int or ndarray of int of shape (n_weights,), default=0
        The earlier round that pruned a weight, 0 for those that live. The living rank
        above all others, then those that lived longest.

    Returns
    -------
    order : ndarray of shape (n_weights,)
        Flat indices, best first.

    Raises
    ------
    ValueError
        If a score is NaN.
    """
    n_nan = np.isnan(scores).sum()
    if n_nan:
        raise ValueError(
            f"scores contain {n_nan} NaN of {len(scores)}; scores must be numbers, "
            "use -inf to rank a weight last."
        )
    lived = np.broadcast_to(
        np.where(np.equal(pruned_in_round, 0), np.inf, pruned_in_round), len(scores)
    )
    return np.lexsort((-np.asarray(magnitudes), -np.asarray(scores), -lived))


def keep_best(order, n_kept, layer_sizes, *, keep_connected, inputs=None):
    """Keep a given number of the best weights, exactly.

    Parameters
    ----------
    order : ndarray of int of shape (n_weights,)
        Flat indices, best first.
    n_kept : ndarray of int of shape (1,) or (n_layers,)
        How many stay in the net, or in each layer; at least one for each layer.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.
    keep_connected : bool
        Whether to spend no kept weight on hidden units without input or output.
    inputs : ndarray of bool of shape (n_inputs,) or None, default=None
        The inputs that may keep weights; None is all of them. Where they have fewer
        weights than ``n_kept``, so many stay.

    Returns
    -------
    mask : ndarray of bool of shape (n_weights,)
        True = kept.

    Notes
    -----
    Connectivity repair protects the best path, then repeats: keep the protected
    weights and the best others between living units. Each living hidden unit now
    without a kept input or a kept output is a casualty. From the worst (whose best
    kept weight ranks worst) to the best, it dies for good if the weights between the
    others still fill the count. If none may die, every unit gets its best input and
    its best output protected, the connected ones first, then the casualties from the
    best to the worst. A casualty for which the count has no room even for that dies
    too: weights of dead units are kept only where the living ones are used up, because
    the count is a promise. Every turn a unit dies or a weight is protected, so this
    ends. Units of the input and the output layer never die.
    """
    if inputs is not None and not inputs.all():
        place, order, sizes = _leave_out(inputs, order, layer_sizes)
        n_kept = np.minimum(n_kept, count_in_groups(sizes, len(n_kept)))
        kept = keep_best(order, n_kept, sizes, keep_connected=keep_connected)
        return _put_back(kept, place)
    orders = _split_order(order, layer_sizes, n_groups=len(n_kept))
    if keep_connected:
        return _choose_connected(orders, n_kept, layer_sizes)
    nothing, everything = np.zeros(len(order), bool), np.ones(len(order), bool)
    return _fill(orders, n_kept, protected=nothing, living=everything)


def keep_significant(significant, order, layer_sizes, *, keep_connected, inputs=None):
    """Keep the significant weights, however many they are.

    Parameters
    ----------
    significant : ndarray of bool of shape (n_weights,)
        True = keep.
    order : ndarray of int of shape (n_weights,)
        Flat indices, best first; decides the best path only.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.
    keep_connected : bool
        Whether to add the best path, in which every significant weight ranks before
        the others, and to remove the weights of hidden units without input or output.
    inputs : ndarray of bool of shape (n_inputs,) or None, default=None
        The inputs that may keep weights; None is all of them.

    Returns
    -------
    mask : ndarray of bool of shape (n_weights,)
        True = kept.
    """
    if inputs is not None and not inputs.all():
        place, order, sizes = _leave_out(inputs, order, layer_sizes)
        kept = keep_significant(
            significant[place], order, sizes, keep_connected=keep_connected
        )
        return _put_back(kept, place)
    if not keep_connected:
        return np.array(significant)
    costs = _rank_costs([_move_first(order, significant)], [1])
    path = best_path(split_layers(costs, layer_sizes))
    masks = split_layers(significant, layer_sizes)
    return _ravel(
        effective_masks([mask | step for mask, step in zip(masks, path, strict=True)])
    )


def weights_of(inputs, layer_sizes):
    """Flag all weights but those of other inputs.

    Parameters
    ----------
    inputs : ndarray of bool of shape (n_inputs,)
        Some of the inputs.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.

    Returns
    -------
    flags : ndarray of bool of shape (n_weights,)
        False for the weights of the inputs that are not flagged.
    """
    (n_others,) = count_in_groups(layer_sizes[1:], 1)
    return np.append(np.repeat(inputs, layer_sizes[1]), np.ones(n_others, dtype=bool))


def count_in_groups(layer_sizes, n_groups):
    """Count the weights of each group: of the whole net, or of each layer.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.
    n_groups : int
        1, or the number of layers.

    Returns
    -------
    n_weights : ndarray of int of shape (n_groups,)
        Counts.
    """
    sizes = np.asarray(layer_sizes)
    return (sizes[:-1] * sizes[1:]).reshape(n_groups, -1).sum(axis=1)


def best_path(costs):
    """Find the input-to-output path whose most costly weight is the cheapest.

    Parameters
    ----------
    costs : list of ndarray of shape (fan_in, fan_out)
        Smaller = better.

    Returns
    -------
    path : list of ndarray of bool of shape (fan_in, fan_out)
        One True per layer. Of several such paths the one with the smallest sum, then
        with the lowest unit indices, compared from the output back.
    """
    bottleneck, _ = _cheapest_path(costs, np.maximum)
    within = [np.where(cost <= bottleneck, cost, np.inf) for cost in costs]
    _, path = _cheapest_path(within, np.add)
    return path


def effective_masks(masks):
    """Leave out the kept weights that lie on no path from an input to an output.

    Parameters
    ----------
    masks : list of ndarray of bool of shape (fan_in, fan_out)
        True = kept.

    Returns
    -------
    effective : list of ndarray of bool of shape (fan_in, fan_out)
        True = kept and on a path of kept weights.
    """
    reached = _reachable(masks)
    reaching = _reachable([mask.T for mask in reversed(masks)])[::-1]
    return [
        mask & np.outer(reached[layer], reaching[layer + 1])
        for layer, mask in enumerate(masks)
    ]


def between_living(mask, layer_sizes):
    """Flag the weights between units that are alive.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_weights,)
        True = kept.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.

    Returns
    -------
    between_living : ndarray of bool of shape (n_weights,)
        True where both units are alive: hidden units with a kept input and a kept
        output, and all others.
    """
    masks = split_layers(mask, layer_sizes)
    alive = [
        before.any(axis=0) & after.any(axis=1)
        for before, after in zip(masks[:-1], masks[1:], strict=True)
    ]
    first, last = np.ones(layer_sizes[0], bool), np.ones(layer_sizes[-1], bool)
    return _between([first, *alive, last])


def sparsity(masks):
    """Return the share of pruned weights.

    Parameters
    ----------
    masks : list of ndarray of bool of shape (fan_in, fan_out)
        True = kept.

    Returns
    -------
    sparsity : float
        In [0, 1].
    """
    n_pruned = sum(mask.size - np.count_nonzero(mask) for mask in masks)
    return float(n_pruned / sum(mask.size for mask in masks))


def layer_sparsity(masks):
    """Return the share of pruned weights in each layer.

    Parameters
    ----------
    masks : list of ndarray of bool of shape (fan_in, fan_out)
        True = kept.

    Returns
    -------
    layer_sparsity : ndarray of shape (n_layers,)
        In [0, 1].
    """
    return np.array([sparsity([mask]) for mask in masks])


def effective_sparsity(masks):
    """Return the share of weights pruned or on no path from an input to an output.

    Parameters
    ----------
    masks : list of ndarray of bool of shape (fan_in, fan_out)
        True = kept.

    Returns
    -------
    effective_sparsity : float
        In [0, 1], at least ``sparsity(masks)``.
    """
    return sparsity(effective_masks(masks))


# A network of some of the inputs.


def _leave_out(inputs, order, layer_sizes):
    """Return where its weights are, their order, and its layer sizes."""
    place = weights_of(inputs, layer_sizes)
    number = np.cumsum(place) - 1
    sizes = np.count_nonzero(inputs), *layer_sizes[1:]
    return place, number[order[place[order]]], sizes


def _put_back(kept, place):
    """Return a mask of its weights as one of all weights."""
    mask = np.zeros(place.size, dtype=bool)
    mask[place] = kept
    return mask


# Orders of weights, and costs on a path.


def _split_order(order, layer_sizes, n_groups):
    """Split a ranking into one ranking per group."""
    starts = np.concatenate([[0], np.cumsum(count_in_groups(layer_sizes, n_groups))])
    if n_groups == 1:
        return [order]
    return [
        order[(order >= start) & (order < end)]
        for start, end in zip(starts[:-1], starts[1:], strict=True)
    ]


def _move_first(order, flags):
    """Move the flagged weights to the front, each part in its order."""
    flagged = flags[order]
    return np.concatenate([order[flagged], order[~flagged]])


def _rank_costs(orders, n_kept):
    """Express each rank in units of its group's count: kept by rank if at most 1.

    Ranks of layers with different counts compare only so: a path with no cost above
    1 is already kept, and is found before any other.
    """
    costs = np.empty(sum(len(order) for order in orders))
    for order, count in zip(orders, n_kept, strict=True):
        costs[order] = np.arange(1, len(order) + 1) / count
    return costs


def _fill(orders, n_kept, protected, living):
    """Keep the protected weights, then the best living ones, then the best others."""
    kept = protected.copy()
    for order, count in zip(orders, n_kept, strict=True):
        free = _move_first(order[~protected[order]], living)
        n_protected = len(order) - len(free)
        kept[free[: count - n_protected]] = True
    return kept


# Connectivity repair: paths and units.


def _cheapest_path(costs, combine):
    """Minimise costs combined along a path, by a dynamic programme over the layers."""
    total, parents = np.zeros(len(costs[0])), []
    for cost in costs:
        totals = combine(total[:, np.newaxis], cost)
        parents.append(totals.argmin(axis=0))
        total = totals.min(axis=0)

    path = [np.zeros(cost.shape, dtype=bool) for cost in costs]
    unit = total.argmin()
    for step, parent in zip(reversed(path), reversed(parents), strict=True):
        step[parent[unit], unit] = True
        unit = parent[unit]
    return total.min(), path


def _reachable(masks):
    """Flag, layer by layer, the units that kept weights reach from the first layer."""
    reached = [np.ones(len(masks[0]), dtype=bool)]
    for mask in masks:
        reached.append(mask[reached[-1]].any(axis=0))
    return reached


def _choose_connected(orders, n_kept, layer_sizes):
    """Choose the kept weights with connectivity repair; see keep_best."""
    flat_costs = _rank_costs(orders, n_kept)
    costs = split_layers(flat_costs, layer_sizes)
    alive = [np.ones(size, dtype=bool) for size in layer_sizes]
    protected = _ravel(best_path(costs))
    while True:
        living = _between(alive)
        protected = protected & living
        kept = _fill(orders, n_kept, protected, living)
        casualties = _find_casualties(
            split_layers(kept & living, layer_sizes), costs, alive
        )
        if not casualties:
            return kept
        alive, any_died = _let_die(casualties, alive, n_kept)
        if not any_died:
            alive, protected = _rescue(casualties, alive, protected, costs, n_kept)


def _between(alive):
    """Flag the weights whose two units are alive, flat."""
    layers = zip(alive[:-1], alive[1:], strict=True)
    return _ravel([np.outer(before, after) for before, after in layers])


def _ravel(matrices):
    """Join matrices, one per layer, into a flat array."""
    return np.concatenate([matrix.ravel() for matrix in matrices])


def _find_casualties(masks, costs, alive):
    """List the living hidden units without kept input or output, the worst first.

    Returns (layer, unit) pairs. The worst has the most costly best kept weight, or
    no kept weight at all; ties go by layer and unit.
    """
    found = []
    for layer in range(1, len(masks)):
        inputs, outputs = masks[layer - 1], masks[layer]
        lost = alive[layer] & ~(inputs.any(axis=0) & outputs.any(axis=1))
        units = np.flatnonzero(lost)
        best = np.minimum(
            costs[layer - 1][:, units].min(
                axis=0, where=inputs[:, units], initial=np.inf
            ),
            costs[layer][units].min(axis=1, where=outputs[units], initial=np.inf),
        )
        found += [(-cost, layer, unit) for cost, unit in zip(best, units, strict=True)]
    return [(layer, unit) for _, layer, unit in sorted(found)]


def _let_die(casualties, alive, n_kept):
    """Let each casualty die without which living weights still fill the count."""
    alive = [units.copy() for units in alive]
    sizes = np.array([np.count_nonzero(units) for units in alive])
    any_died = False
    for layer, unit in casualties:
        fewer = sizes.copy()
        fewer[layer] -= 1
        if (count_in_groups(fewer, len(n_kept)) >= n_kept).all():
            alive[layer][unit] = False
            sizes, any_died = fewer, True
    return alive, any_died


def _rescue(casualties, alive, protected, costs, n_kept):
    """Protect the best input and output of every living hidden unit.

    Connected units come first, theirs are kept already; so no rescue cuts them off.
    Then the casualties, the best first; one for which the count has no room dies.
    """
    alive, protected = [units.copy() for units in alive], protected.copy()
    masks = split_layers(protected, [len(units) for units in alive])
    n_protected = np.array([np.count_nonzero(mask) for mask in masks])
    for layer, unit in _list_connected(casualties, alive) + casualties[::-1]:
        wanted = _find_lifelines(layer, unit, masks, costs, alive)
        n_wanted = n_protected.copy()
        n_wanted[[where for where, _, _ in wanted]] += 1
        if (n_wanted.reshape(len(n_kept), -1).sum(axis=1) > n_kept).any():
            alive[layer][unit] = False
            continue
        n_protected = n_wanted
        for where, source, target in wanted:
            masks[where][source, target] = True
    return alive, protected


def _list_connected(casualties, alive):
    """List the living hidden units that are no casualties."""
    lost = set(casualties)
    return [
        (layer, unit)
        for layer in range(1, len(alive) - 1)
        for unit in np.flatnonzero(alive[layer])
        if (layer, unit) not in lost
    ]


def _find_lifelines(layer, unit, masks, costs, alive):
    """Name the best input and output of a unit, where none is protected.

    Returns (layer, source, target) triples between living units.
    """
    lifelines = []
    if not masks[layer - 1][:, unit].any():
        inputs = np.where(alive[layer - 1], costs[layer - 1][:, unit], np.inf)
        lifelines.append((layer - 1, inputs.argmin(), unit))
    if not masks[layer][unit].any():
        outputs = np.where(alive[layer + 1], costs[layer][unit], np.inf)
        lifelines.append((layer, unit, outputs.argmin()))
    return lifelines
