"""Orders of the units of a network, layer by layer, in which few edges cross."""

import numpy as np

_N_SWEEPS = 12  # there and back


def order_units(edges, fixed=()):
    """Order the units of all layers by the barycentres of their neighbours.

    Parameters
    ----------
    edges : list of ndarray of bool of shape (fan_in, fan_out)
        True = there is an edge.
    fixed : collection of int, default=()
        Layers that keep their order; the inputs are layer 0.

    Returns
    -------
    orders : list of ndarray of int
        Units from the top to the bottom, layer by layer. No more edges cross than in
        the order given.

    Notes
    -----
    The barycentre method [1]_: a sweep goes through the layers and sorts each by the
    mean heights of its neighbours. Sweeps go there and back, first with the neighbours
    in the layer just passed, then with those on both sides, a fixed number of times
    each. The orders with the fewest crossings are returned.

    References
    ----------
    .. [1] K. Sugiyama, S. Tagawa, M. Toda (1981). IEEE Transactions on Systems, Man,
       and Cybernetics 11, 109-125.
    """
    sizes = [len(edges[0]), *(part.shape[1] for part in edges)]
    orders = [np.arange(size) for size in sizes]
    best, fewest = list(orders), _count_all(edges, orders)
    for sweep in _plan_sweeps(len(sizes)):
        for layer, others in sweep:
            if layer not in fixed:
                orders[layer] = _sort_layer(edges, orders, layer, others)
        n_crossings = _count_all(edges, orders)
        if n_crossings < fewest:
            best, fewest = list(orders), n_crossings
    return best


def count_crossings(edges):
    """Count the pairs of edges that cross between two layers, in the order given."""
    # of each place: edges that start at it or above, and end at it or below
    counts = edges[:, ::-1].cumsum(axis=1)[:, ::-1].cumsum(axis=0)
    return int(counts[:-1, 1:][edges[1:, :-1]].sum())


def _count_all(edges, orders):
    return sum(
        count_crossings(part[np.ix_(above, below)])
        for part, above, below in zip(edges, orders[:-1], orders[1:], strict=True)
    )


def _plan_sweeps(n_layers):
    """List the sweeps: layers, and the layers whose units each is sorted by."""
    layers = range(n_layers)
    forth = [(layer, [layer - 1]) for layer in layers[1:]]
    back = [(layer, [layer + 1]) for layer in layers[-2::-1]]
    sides = [
        (layer, [other for other in (layer - 1, layer + 1) if other in layers])
        for layer in layers
    ]
    return [forth, back] * _N_SWEEPS + [sides, sides[::-1]] * _N_SWEEPS


def _sort_layer(edges, orders, layer, others):
    """Sort units by their barycentres; those without a neighbour keep their height."""
    between = [edges[layer] if layer < other else edges[other].T for other in others]
    degrees = sum(part.sum(axis=1) for part in between)
    totals = sum(
        part @ _find_heights(orders[other])
        for part, other in zip(between, others, strict=True)
    )
    order = orders[layer]
    heights = np.where(
        degrees > 0, totals / np.maximum(degrees, 1), _find_heights(order)
    )
    return order[np.argsort(heights[order], kind="stable")]


def _find_heights(order):
    """Heights of the units of a layer, by unit, from 0 for the top to 1."""
    heights = np.empty(len(order))
    heights[order] = (np.arange(len(order)) + 0.5) / max(len(order), 1)
    return heights
