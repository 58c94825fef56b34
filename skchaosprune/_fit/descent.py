"""Descent by curvature: prune a little, let L-BFGS make up for it, never rewind."""

from dataclasses import dataclass

import numpy as np

from skchaosprune._fit.saliencies import measure_saliencies
from skchaosprune._kernels.full_batch import Objective
from skchaosprune._network.masks import keep_best, rank_weights
from skchaosprune._training.plan import Divergence

# Iterations of L-BFGS at most: after the first cut, after the last one, after others.
# More of them cost more, and were not better on the tables for choosing.
_FIRST, _LAST, _OTHER = 30, 50, 10


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
    schedule, data = plan.schedule, plan.training.data
    objective = Objective(plan.training.network, data)
    # those of pruned weights stay as they were, in case the repair needs one again
    params, saliencies = pruning.params, pruning.scores
    objectives, losses = [], []
    if pruning.mask.all() and len(schedule.n_kept) > 1:
        progress.say("the first cut leaves all weights: the criterion decides nothing")
    with progress.descent("descent", schedule.n_kept) as on_round:
        for number, n_iterations in enumerate(_plan_iterations(schedule), start=1):
            if number > 1:
                pruning, params, saliencies = _prune(
                    plan, objective, pruning, params, saliencies, number
                )
            minimum = objective.minimise(params, pruning.mask, n_iterations)
            _check_finite(minimum.value)
            params = minimum.params
            objectives += minimum.objectives
            losses += minimum.losses
            on_round(number, minimum.loss)
    params = params.copy()
    params[: pruning.mask.size][~pruning.mask] = 0.0
    return pruning, DescentRun(params, objectives, losses)


def _plan_iterations(schedule):
    """Return how many iterations may follow each cut."""
    n_more = len(schedule.n_kept) - 1
    return [_FIRST, *[_OTHER] * (n_more - 1), *[_LAST] * min(1, n_more)]


def _check_finite(values):
    if not np.isfinite(values).all():
        raise Divergence(
            "The network overflows on rows of the training, so the descent cannot go "
            "on.",
            "Use retrain='rewind'.",
        )


def _prune(plan, objective, before, params, saliencies, number):
    """Prune in one round; return what is left, and where to go on from.

    Weights that are gone keep the saliencies with which they went: the latest and best
    of them come first, in case the connectivity repair needs one.
    """
    network, schedule = plan.training.network, plan.schedule
    n_kept = schedule.n_kept[number - 1]
    found, moved = measure_saliencies(network, objective, params, before.mask, n_kept)
    _check_finite(found)
    saliencies = np.where(before.mask, found, saliencies)
    magnitudes = np.abs(params[: saliencies.size])
    order = rank_weights(saliencies, magnitudes, before.pruned_in_round)
    mask = keep_best(
        order, n_kept, schedule.layer_sizes, keep_connected=schedule.keep_connected
    )
    if moved is not None:  # for the mask without repair, and by a parabola
        params = objective.choose_start((params, moved), mask)
    return before.cut(mask, number, n_rounds=number), params, saliencies
