"""Swaps after a descent: grow the network, train, prune it back, keep the better."""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from skchaosprune._fit.counts import Cut, count_down
from skchaosprune._fit.descent import prune, train
from skchaosprune._kernels.ablation import mean_gradient
from skchaosprune._kernels.curvature import gauss_newton_diagonal
from skchaosprune._network.masks import between_living, count_in_groups
from skchaosprune._training.plan import Divergence

# Most weights that a swap adds, as a share of those kept: at the first and the last.
_GROWTH = 1.5, 0.3

# What a swap has to win, in units of the objective.
_LEAST_GAIN = 1e-7

# The share that goes in each round of pruning back.
_SHARE_OF_ROUND = 0.1

# Iterations of L-BFGS at most: in a swap, after its last round, and after all swaps.
_OTHER, _LAST, _END = 20, 60, 200

# Added to the curvature by a weight, which may be 0.
_DAMPING = 1e-3


def swap_weights(plan, objective, state, progress):
    """Try swaps of kept against pruned weights; keep those that lower the objective.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.
    objective : Objective
        Of the training rows.
    state : State
        After the descent.
    progress : Progress
        Told of the swaps.

    Returns
    -------
    state : State
        After the last swap. Its curves are those of the descent and of the swaps that
        were kept.

    Notes
    -----
    A swap adds pruned weights, trains, and prunes as many kept or added ones:

    1. A random number is added, uniform up to 1.5 times as many as are kept at the
       first swap and .3 times at the last, or all. Weights between living units come
       first. They are drawn without replacement, with probabilities in proportion to
       the squared gradient over the curvature: by a parabola, twice what a weight
       lowers the objective by (Gumbel noise on the logarithms).
    2. The grown network is trained, and pruned as in a descent, 10 % at a time.
    3. If the objective is lower than before, the next swaps start from there.
    """
    network, schedule = plan.training.network, plan.schedule
    rng = np.random.RandomState(plan.training.score_seed)
    before, values = state.pruning, [state.objectives[-1]]
    gains = _measure_gains(network, objective, state)
    with progress.swaps("swaps", schedule.n_swaps) as on_swap:
        for number in range(1, schedule.n_swaps + 1):
            share = np.interp(number, (1, max(2, schedule.n_swaps)), _GROWTH)
            added = _choose_added(state.mask, gains, share, schedule.layer_sizes, rng)
            with suppress(Divergence):
                found = _prune_back(plan, objective, _grow(objective, state, added))
                if found.objectives[-1] < state.objectives[-1] - _LEAST_GAIN:
                    state = found
                    gains = _measure_gains(network, objective, state)
            values.append(state.objectives[-1])
            on_swap(number, state.losses[-1])
    state = train(objective, state, _END)
    swapped_out = before.n_rounds + 1
    pruning = before.cut(state.mask, swapped_out, swap_objectives=values)
    return replace(state, pruning=pruning)


def _measure_gains(network, objective, state):
    """Return the log of the squared gradient over the curvature for all weights.

    By a parabola, it is twice what adding a pruned weight lowers the objective by.
    """
    params = state.masked_params
    gradient = mean_gradient(params, network, objective.data)
    curvature = gauss_newton_diagonal(params, network, objective.data)
    with np.errstate(divide="ignore"):
        slopes = np.log(np.abs(gradient))
    return 2.0 * slopes - np.log(curvature + objective.penalty + _DAMPING)


def _choose_added(mask, gains, share, layer_sizes, rng):
    """Draw pruned weights to add: those between living units first, then by gains."""
    n_kept = np.count_nonzero(mask)
    most = min(max(1, int(share * n_kept)), mask.size - n_kept)
    n_added = rng.randint(1, most + 1)
    wanted = gains + rng.gumbel(size=mask.size)
    living = between_living(mask, layer_sizes)
    return np.lexsort((-wanted, ~living, mask))[:n_added]


def _grow(objective, state, added):
    """Add weights, at 0, and train."""
    mask, params = state.mask.copy(), state.params.copy()
    mask[added], params[added] = True, 0.0
    pruning = state.pruning.cut(mask, 0)
    return train(objective, replace(state, pruning=pruning, params=params), _OTHER)


def _prune_back(plan, objective, state):
    """Prune in rounds until as many weights are left as before.

    The numbers of the rounds start again in each swap.
    """
    cuts = _plan_back(state.mask, plan.schedule)
    for number, cut in enumerate(cuts, start=1):
        state = prune(plan, objective, state, cut, state.pruning.n_rounds + number)
        n_iterations = _LAST if number == len(cuts) else _OTHER
        state = train(objective, state, n_iterations)
    return state


def _plan_back(mask, schedule):
    """Count what stays after each round, in each group that competes."""
    n_kept, n_inputs = schedule.cuts[-1]
    sizes = count_in_groups(schedule.layer_sizes, len(n_kept))
    parts = np.split(mask, np.cumsum(sizes)[:-1])
    n_grown = np.array([np.count_nonzero(part) for part in parts])
    counts = count_down(n_grown, n_kept, _SHARE_OF_ROUND)
    return [Cut(count, n_inputs) for count in counts]
