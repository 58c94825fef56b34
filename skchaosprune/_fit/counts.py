"""How many weights and inputs stay after each round of pruning."""

from typing import NamedTuple

import numpy as np

from skchaosprune._network.masks import count_in_groups
from skchaosprune._text import shorten

# A descent: so many times the weights that stay in the end are left by the first cut;
# then this share goes in each round.
_FIRST_CUT = 4
_SHARE_OF_ROUND = 0.05


class Cut(NamedTuple):
    """What a round of pruning leaves.

    ``n_kept`` are the weights that stay in the net or in each layer, an ndarray of int
    of shape (1,) or (n_layers,); ``n_inputs`` is the number of inputs that may have
    some of them.
    """

    n_kept: np.ndarray
    n_inputs: int


def plan_cuts(layer_sizes, prune_ratio, prune_scope, most_inputs, n_rounds):
    """Count what stays after each round of training and scoring.

    Each round keeps the same share of the weights, and of the inputs, of which there
    are ``most_inputs`` in the end; see :func:`count_kept`, also for the error.

    Returns
    -------
    cuts : list of Cut
        One per round.
    """
    n_kept = count_kept(layer_sizes, prune_ratio, prune_scope, n_rounds, most_inputs)
    return _add_inputs(n_kept, layer_sizes, most_inputs)


def plan_descent(layer_sizes, prune_ratio, prune_scope, most_inputs):
    """Count what stays after each round of a descent.

    As :func:`plan_cuts`, with the weights of :func:`count_kept_in_descent`. The inputs
    shrink by the same share in each round, the first one included.
    """
    n_kept = count_kept_in_descent(layer_sizes, prune_ratio, prune_scope, most_inputs)
    return _add_inputs(n_kept, layer_sizes, most_inputs)


def _add_inputs(n_kept, layer_sizes, most_inputs):
    """Count the inputs of each round, which may have fewer weights than stay."""
    shares = np.arange(1, len(n_kept) + 1) / len(n_kept)
    left = layer_sizes[0] * (most_inputs / layer_sizes[0]) ** shares
    n_inputs = np.round(left).astype(int).tolist()
    return [
        Cut(np.minimum(left, count_room(layer_sizes, inputs, len(left))), inputs)
        for left, inputs in zip(n_kept, n_inputs, strict=True)
    ]


def count_room(layer_sizes, n_inputs, n_groups):
    """Count the weights of each group that a network of so many inputs has."""
    return count_in_groups((n_inputs, *layer_sizes[1:]), n_groups)


def count_beyond(layer_sizes, prune_ratio, prune_scope, most_inputs):
    """Count the weights that go beyond the ratio, as they belong to other inputs."""
    shape = layer_sizes, prune_ratio, prune_scope
    _, asked = _count_ends(*shape, layer_sizes[0])
    _, left = _count_ends(*shape, most_inputs)
    return int((asked - left).sum())


def count_kept(layer_sizes, prune_ratio, prune_scope, n_rounds, most_inputs=None):
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
    most_inputs : int or None, default=None
        Inputs that may be in use in the end; None is all of them.

    Returns
    -------
    n_kept : list of ndarray of int of shape (1,) or (n_layers,)
        One array per round, ``round(n_weights * (n_kept / n_weights) ** (i / n))`` of
        the net or of each layer in round ``i`` of ``n``. In the end
        ``round(prune_ratio * n_weights)`` are gone, or more, if the inputs that may be
        in use have fewer.

    Raises
    ------
    ValueError
        If fewer than one weight per layer would remain.
    """
    n_weights, n_left = _count_ends(layer_sizes, prune_ratio, prune_scope, most_inputs)
    return [
        np.round(n_weights * (n_left / n_weights) ** (number / n_rounds)).astype(int)
        for number in range(1, n_rounds + 1)
    ]


def count_kept_in_descent(layer_sizes, prune_ratio, prune_scope, most_inputs=None):
    """Count the weights that stay after each round of a descent.

    As :func:`count_kept`; the first round leaves four times the weights that stay in
    the end, or all, and each of the others takes about 5 % of what is left.
    """
    n_weights, n_left = _count_ends(layer_sizes, prune_ratio, prune_scope, most_inputs)
    first = np.minimum(_FIRST_CUT * n_left, n_weights)
    return [first, *count_down(first, n_left, _SHARE_OF_ROUND)]


def count_down(n_weights, n_left, share):
    """Count the weights that stay after each of the rounds from one count to another.

    Parameters
    ----------
    n_weights, n_left : ndarray of int of shape (1,) or (n_layers,)
        Weights of the net, or of each layer, and how many stay in the end.
    share : float
        Share that goes in a round, about; one weight may be more.

    Returns
    -------
    n_kept : list of ndarray of int
        One array per round; empty if none has to go.
    """
    n_rounds = np.log((n_left / n_weights).min()) / np.log(1.0 - share)
    n_rounds = max(1, round(n_rounds))
    counts = [n_weights]
    for number in range(1, n_rounds + 1):
        left = n_weights * (n_left / n_weights) ** (number / n_rounds)
        count = np.round(left).astype(int)
        if (count < counts[-1]).any():
            counts.append(count)
    return counts[1:]


def _count_ends(layer_sizes, prune_ratio, prune_scope, most_inputs):
    """Count the weights of each group, and those that stay in the end."""
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
            f"prune_ratio={shorten(prune_ratio)} with prune_scope={prune_scope!r} "
            "leaves fewer than one weight per layer; the largest feasible ratio is "
            f"{largest}. Lower prune_ratio or use larger hidden_layer_sizes."
        )
    n_left = _count_left(n_weights, prune_ratio)
    if most_inputs is not None:
        room = count_room(layer_sizes, most_inputs, len(n_weights))
        n_left = np.minimum(n_left, room)
    return n_weights, n_left


def _count_left(n_weights, prune_ratio):
    """Round what goes as Python does (half to even), group by group."""
    return n_weights - np.array([round(prune_ratio * int(n)) for n in n_weights])


def _is_feasible(n_weights, prune_ratio, n_layers):
    """Tell whether each group keeps at least one weight per layer in it."""
    n_left = _count_left(n_weights, prune_ratio)
    return bool((n_left >= n_layers // len(n_weights)).all())
