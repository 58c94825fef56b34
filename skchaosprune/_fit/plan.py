"""What a fit is going to do, settled before the first training."""

import numpy as np

from skchaosprune._network.masks import count_in_groups


def count_kept(layer_sizes, prune_ratio, prune_scope, n_rounds):
    """Count the weights that stay after each round, in each group that competes.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.
    prune_ratio : float
        Share removed in the end, in [0, 1).
    prune_scope : {"global", "layer"}
        Whether all weights compete, or those of each layer.
    n_rounds : int
        Rounds. Each keeps the same share of what is left.

    Returns
    -------
    n_kept : list of ndarray of int of shape (1,) or (n_layers,)
        One array per round, ``round(n_weights * (n_kept / n_weights) ** (i / n))`` of
        the net or of each layer in round ``i`` of ``n``. In the end
        ``round(prune_ratio * n_weights)`` are gone.

    Raises
    ------
    ValueError
        If fewer than one weight per layer would remain.
    """
    n_layers = len(layer_sizes) - 1
    n_weights = count_in_groups(
        layer_sizes, n_groups=1 if prune_scope == "global" else n_layers
    )
    if not _is_feasible(n_weights, prune_ratio, n_layers):
        # walked down so that the value in the message is itself accepted
        largest = next(
            ratio / 10_000
            for ratio in range(9_999, -1, -1)
            if _is_feasible(n_weights, ratio / 10_000, n_layers)
        )
        raise ValueError(
            f"prune_ratio={prune_ratio} with prune_scope={prune_scope!r} leaves fewer "
            f"than one weight per layer; the largest feasible ratio is {largest}. "
            "Lower prune_ratio or use larger hidden_layer_sizes."
        )
    kept = _count_left(n_weights, prune_ratio) / n_weights
    return [
        np.round(n_weights * kept ** (number / n_rounds)).astype(int)
        for number in range(1, n_rounds + 1)
    ]


def _count_left(n_weights, prune_ratio):
    """Round what goes as Python does (half to even), group by group."""
    return n_weights - np.array([round(prune_ratio * int(n)) for n in n_weights])


def _is_feasible(n_weights, prune_ratio, n_layers):
    """Tell whether each group keeps at least one weight per layer in it."""
    n_left = _count_left(n_weights, prune_ratio)
    return bool((n_left >= n_layers // len(n_weights)).all())
