"""What the removal of each weight would cost, by the curvature of the loss."""

from dataclasses import dataclass, replace

import numpy as np

from skchaosprune._kernels.curvature import (
    eliminate,
    gauss_newton_diagonal,
    gauss_newton_matrix,
)
from skchaosprune._network.masks import count_in_groups
from skchaosprune._network.mlp import Network, TrainingData, split_layers

# The inverse of the curvature decides up to so many weights, if a row takes no more
# than so many multiply-adds; else its diagonal does.
_MOST_WEIGHTS = 100
_MOST_WORK = 500_000


@dataclass(frozen=True)
class _Part:
    """The part of a network that kept weights touch, as a network of its own.

    ``params`` and ``mask`` are flat; ``place`` flags in the flat parameters of the
    whole network those that the part has.
    """

    network: Network
    data: TrainingData
    params: np.ndarray
    mask: np.ndarray
    place: np.ndarray

    @property
    def is_free(self):
        """The kept weights, and the biases of the outputs and of units with inputs."""
        masks = split_layers(self.mask, self.network.layer_sizes)
        is_free = np.concatenate([self.mask, *(part.any(axis=0) for part in masks)])
        is_free[-self.network.layer_sizes[-1] :] = True
        return is_free

    @property
    def work(self):
        """Multiply-adds per row for the curvature by all that is free."""
        return self.network.layer_sizes[-1] * np.count_nonzero(self.is_free) ** 2


def measure_saliencies(network, objective, params, mask, n_kept):
    """Weigh what the objective gains without each weight.

    Parameters
    ----------
    network : Network
        What is computed.
    objective : Objective
        Of the fit, lowest at ``params``.
    params : ndarray of shape (n_parameters,)
        Flat parameters; pruned weights count as 0.
    mask : ndarray of bool of shape (n_weights,)
        True = kept.
    n_kept : ndarray of int of shape (1,) or (n_layers,)
        How many are to stay in the net, or in each layer; more than there are: all.

    Returns
    -------
    saliencies : ndarray of shape (n_weights,)
        Larger = keep; they compare with one another alone. 0 for pruned weights, NaN
        where the network overflows.
    moved : ndarray of shape (n_parameters,) or None
        Where all others have gone once those with the smallest saliencies are pruned,
        which stay as they were. None where the diagonal decides.
    """
    part = _cut_out(network, objective.data, params, mask)
    saliencies = np.zeros(mask.size)
    if np.count_nonzero(mask) > _MOST_WEIGHTS or part.work > _MOST_WORK:
        curvatures = gauss_newton_diagonal(part.params, part.network, part.data)
        saliencies[mask] = params[: mask.size][mask] ** 2 * curvatures[part.mask]
        return saliencies, None
    n_in_groups = count_in_groups(network.layer_sizes, len(n_kept))
    groups = np.repeat(np.arange(len(n_kept)), n_in_groups)[mask]
    n_removed = np.bincount(groups, minlength=len(n_kept)) - n_kept
    n_removed = np.maximum(n_removed, 0)
    is_free, penalty = part.is_free, objective.penalty
    matrix = gauss_newton_matrix(part.params, is_free, part.network, part.data)
    if not np.isfinite(matrix).all():
        return np.full(mask.size, np.nan), None
    free, order = eliminate(part.params[is_free], matrix, penalty, groups, n_removed)
    order = np.flatnonzero(mask)[order]
    saliencies[order] = np.arange(order.size)
    moved, gone = params.copy(), order[: n_removed.sum()]
    moved[np.flatnonzero(part.place)[is_free]] = free
    moved[gone] = params[gone]
    return saliencies, moved


def _cut_out(network, data, params, mask):
    """Leave out the units that no kept weight touches; a layer has one at least."""
    masks = split_layers(mask, network.layer_sizes)
    touched = [part.any(axis=1) for part in masks] + [True]
    touched[1:] = [
        unit | part.any(axis=0) for unit, part in zip(touched[1:], masks, strict=True)
    ]
    for units in touched[:-1]:
        units[0] |= not units.any()
    pairs = zip(touched[:-1], touched[1:], strict=True)
    weights = [np.outer(before, after).ravel() for before, after in pairs]
    place = np.concatenate([*weights, *touched[1:]])
    kept = np.append(np.where(mask, params[: mask.size], 0.0), params[mask.size :])
    return _Part(
        replace(network, layer_sizes=tuple(int(units.sum()) for units in touched)),
        replace(data, X=data.X[:, touched[0]], order="F"),  # as numpy picks columns
        kept[place],
        mask[place[: mask.size]],
        place,
    )
