"""Descent by curvature: prune a little, let L-BFGS make up for it, never rewind."""

from dataclasses import dataclass, replace

import numpy as np

from skchaosprune._fit.inputs import choose_inputs
from skchaosprune._fit.results import Pruning
from skchaosprune._fit.saliencies import measure_saliencies
from skchaosprune._network.masks import keep_best, rank_weights, weights_of
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


@dataclass(frozen=True)
class State:
    """Where a descent has come to.

    Attributes
    ----------
    pruning : Pruning
        What is kept, and when the others went.
    params : ndarray of shape (n_parameters,)
        Flat parameters; those of pruned weights stay as they were, in case the
        connectivity repair needs one again.
    saliencies : ndarray of shape (n_weights,)
        What ranked each weight last.
    objectives, losses : list of float
        The objective after each iteration, and the part of it that is the loss.
    """

    pruning: Pruning
    params: np.ndarray
    saliencies: np.ndarray
    objectives: list
    losses: list

    @property
    def mask(self):
        """Mask of the kept weights, ``(n_weights,)``, True = kept."""
        return self.pruning.mask

    @property
    def masked_params(self):
        """Flat parameters with pruned weights at 0."""
        params = self.params.copy()
        params[: self.mask.size][~self.mask] = 0.0
        return params

    @property
    def run(self):
        """The descent as a finished training."""
        return DescentRun(self.masked_params, self.objectives, self.losses)


def descend(plan, pruning, objective, progress):
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
    objective : Objective
        Of the training rows.
    progress : Progress
        Told of the rounds.

    Returns
    -------
    state : State
        After the last round.

    Raises
    ------
    Divergence
        If the network overflows on the training rows.

    References
    ----------
    .. [1] Y. LeCun, J. S. Denker, S. A. Solla (1989). Optimal brain damage. Advances in
       Neural Information Processing Systems 2.
    """
    cuts = plan.schedule.cuts
    state = State(pruning, pruning.params, pruning.scores, [], [])
    if pruning.mask.all() and len(cuts) > 1:
        progress.say("the first cut leaves all weights: the criterion decides nothing")
    with progress.descent("descent", cuts) as on_round:
        for number, n_iterations in enumerate(_plan_iterations(len(cuts)), start=1):
            if number > 1:
                state = prune(plan, objective, state, cuts[number - 1], number)
            state = train(objective, state, n_iterations)
            on_round(number, state.losses[-1])
    return replace(state, pruning=replace(state.pruning, n_rounds=len(cuts)))


def _plan_iterations(n_cuts):
    """Return how many iterations may follow each cut."""
    n_more = n_cuts - 1
    return [_FIRST, *[_OTHER] * (n_more - 1), *[_LAST] * min(1, n_more)]


def train(objective, state, n_iterations):
    """Lower the objective over what is kept, by so many iterations at most."""
    minimum = objective.minimise(state.params, state.mask, n_iterations)
    _check_finite(minimum.value)
    return replace(
        state,
        params=minimum.params,
        objectives=state.objectives + minimum.objectives,
        losses=state.losses + minimum.losses,
    )


def prune(plan, objective, state, cut, number):
    """Remove the weights whose removal costs least, those of lost inputs first.

    Weights that are gone keep the saliencies with which they went: the latest and best
    of them come first, in case the connectivity repair needs one.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.
    objective : Objective
        Of the training rows.
    state : State
        At a minimum of it.
    cut : Cut
        How many weights stay, and of how many inputs.
    number : int
        The round. Of weights that are gone, those with the largest come first.

    Returns
    -------
    state : State
        From where the training goes on.
    """
    network, schedule = plan.training.network, plan.schedule
    inputs = choose_inputs(
        network, objective.data, state.masked_params, state.mask, cut.n_inputs
    )
    alive = state.mask & weights_of(inputs, network.layer_sizes)
    found, moved = measure_saliencies(
        network, objective, state.params, alive, cut.n_kept
    )
    _check_finite(found)
    saliencies = np.where(alive, found, state.saliencies)
    magnitudes = np.abs(state.params[: saliencies.size])
    order = rank_weights(saliencies, magnitudes, state.pruning.pruned_in_round)
    mask = keep_best(
        order,
        cut.n_kept,
        schedule.layer_sizes,
        keep_connected=schedule.keep_connected,
        inputs=inputs,
    )
    params = state.params
    if moved is not None:  # for the mask without repair, and by a parabola
        params = objective.choose_start((params, moved), mask)
    pruning = state.pruning.cut(mask, number)
    return replace(state, pruning=pruning, params=params, saliencies=saliencies)


def _check_finite(values):
    if not np.isfinite(values).all():
        raise Divergence(
            "The network overflows on rows of the training, so the descent cannot go "
            "on.",
            "Use retrain='rewind'.",
        )
