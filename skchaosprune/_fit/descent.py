"""Descent by curvature: prune a little, let L-BFGS make up for it, never rewind."""

from dataclasses import dataclass, replace

import numpy as np

from skchaosprune._kernels.curvature import (
    eliminate,
    gauss_newton_diagonal,
    gauss_newton_matrix,
)
from skchaosprune._kernels.full_batch import Objective
from skchaosprune._network import mlp
from skchaosprune._network.masks import count_in_groups, keep_best, rank_weights
from skchaosprune._training.plan import Divergence

# Iterations of L-BFGS at most: after the first cut, after the last one, after others.
_FIRST, _LAST, _OTHER = 100, 50, 20

# Up to so many weights the inverse of the curvature prunes, above its diagonal.
_MOST_FOR_SURGEON = 100


@dataclass(frozen=True)
class DescentRun:
    """A finished descent, with what a TrainingRun has.

    Attributes
    ----------
    params : ndarray of shape (n_parameters,)
        Flat parameters; pruned weights are 0.
    objective_curve, loss_curve : list of float
        The objective after each iteration, and the part of it that is the loss.
    """

    params: np.ndarray
    objective_curve: list
    loss_curve: list
    history = ()
    engine = "numba"


def descend(plan, pruning, progress):
    """Prune further, round by round, and train what is left.

    Each round removes the weights whose removal costs least and lowers the objective
    again. The cost is ``w**2`` times the curvature of the loss by the weight (optimal
    brain damage [1]_); where few weights are left, that of the optimal brain surgeon,
    which moves all others, too.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.
    pruning : Pruning
        After the first cut, which is round 1.
    progress : Progress
        Told of the rounds.

    Returns
    -------
    pruning : Pruning
        After the last round.
    run : DescentRun
        What it led to.

    Raises
    ------
    Divergence
        If the network overflows on the training rows.

    References
    ----------
    .. [1] Y. LeCun, J. S. Denker, S. A. Solla (1989). Optimal brain damage. Advances in
       Neural Information Processing Systems 2.
    """
    network, schedule = plan.training.network, plan.schedule
    objective = Objective(network, plan.training.data)
    params, saliencies = pruning.params, pruning.scores
    objectives, losses = [], []
    if pruning.mask.all() and len(schedule.n_kept) > 1:
        progress.say("the first cut leaves all weights: the criterion decides nothing")
    with progress.descent("descent", schedule.n_kept) as on_round:
        for number, n_iterations in enumerate(_plan_iterations(schedule), start=1):
            if number > 1:
                before, n_kept = pruning.mask, schedule.n_kept[number - 1]
                params, found = _weigh(network, objective, params, before, n_kept)
                saliencies = np.where(before, found, saliencies)
                mask = _choose_mask(schedule, saliencies, params, pruning, n_kept)
                pruning = pruning.cut(mask, number, n_rounds=number)
            minimum = objective.minimise(params, pruning.mask, n_iterations)
            if not np.isfinite(minimum.value):
                raise Divergence(
                    "The network overflows on rows of the training, so no descent can "
                    "start.",
                    "Use retrain='rewind'.",
                )
            params = minimum.params
            objectives += minimum.objectives
            losses += minimum.losses
            on_round(number, minimum.loss)
    return replace(pruning, params=params), DescentRun(params, objectives, losses)


def _plan_iterations(schedule):
    """Return how many iterations may follow each cut."""
    n_more = len(schedule.n_kept) - 1
    return [_FIRST, *[_OTHER] * (n_more - 1), *[_LAST] * min(1, n_more)]


def _weigh(network, objective, params, mask, n_kept):
    """Return the parameters before a cut, and the saliencies of the kept weights."""
    data = objective.data
    if np.count_nonzero(mask) > _MOST_FOR_SURGEON:
        curvatures = gauss_newton_diagonal(params, network, data)
        return params, params[: mask.size] ** 2 * curvatures
    sizes = network.layer_sizes
    has_input = [part.any(axis=0) for part in mlp.split_layers(mask, sizes)]
    is_free = np.concatenate([mask, *has_input])
    is_free[-sizes[-1] :] = True
    n_in_groups = count_in_groups(sizes, len(n_kept))
    groups = np.repeat(np.arange(len(n_kept)), n_in_groups)[mask]
    n_removed = np.bincount(groups, minlength=len(n_kept)) - n_kept
    matrix = gauss_newton_matrix(params, is_free, network, data)
    penalty = objective.penalty
    free, order = eliminate(params[is_free], matrix, penalty, groups, n_removed)
    moved, ranks = params.copy(), np.zeros(mask.size)
    moved[is_free] = free
    ranks[np.flatnonzero(mask)[order]] = np.arange(order.size)
    return moved, ranks


def _choose_mask(schedule, saliencies, params, pruning, n_kept):
    """Keep the weights with the largest saliencies, in each group as many as told."""
    magnitudes = np.abs(params[: saliencies.size])
    order = rank_weights(saliencies, magnitudes, pruning.pruned_in_round)
    sizes, keep_connected = schedule.layer_sizes, schedule.keep_connected
    return keep_best(order, n_kept, sizes, keep_connected=keep_connected)
