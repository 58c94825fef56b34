"""Mask search: grow a mask, train, prune it back; keep it if the net fits better."""

from dataclasses import dataclass, replace

import numpy as np

from skchaosprune._fit.retraining import make_trial
from skchaosprune._kernels.ablation import mean_gradient
from skchaosprune._network.masks import between_living, keep_best
from skchaosprune._network.mlp import split_layers

# Weights that a swap adds at most, in kept ones: at the first swap and at the last.
_GROWTH = 1.0, 0.2


@dataclass(frozen=True)
class _Trained:
    """A mask, what its training led to, and the loss that decides."""

    mask: np.ndarray
    params: np.ndarray
    loss: float


def search(plan, pruning, progress):
    """Swap weights, starting from the mask of the last round.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.
    pruning : Pruning
        Where the rounds have come to.
    progress : Progress
        Told of the swaps.

    Returns
    -------
    pruning : Pruning
        With the mask that was found, and its losses.
    """
    training, schedule = plan.training, plan.schedule
    network, before = training.network, pruning.mask
    judge = training.validation or training.data
    n_kept, can_connect = _count_groups(schedule, before)
    with progress.search("mask search", schedule.n_search) as on_swap:
        found, losses = search_masks(
            before,
            schedule.layer_sizes,
            n_search=schedule.n_search if can_connect else 0,
            train=make_trial(plan, plan.start(pruning.params)),
            judge=lambda params: judge.mean_loss(params, network),
            gradient=lambda params: mean_gradient(params, network, training.data),
            choose=lambda order: keep_best(
                order,
                n_kept,
                schedule.layer_sizes,
                keep_connected=schedule.keep_connected,
            ),
            rng=np.random.RandomState(training.score_seed),
            on_swap=on_swap,
        )
    gone_in = np.where(before, pruning.n_rounds + 1, pruning.pruned_in_round)
    return replace(
        pruning,
        mask=found,
        pruned_in_round=np.where(found, 0, gone_in),
        search_losses=losses,
    )


def _count_groups(schedule, mask):
    """Count what is kept where weights compete, and whether that can be connected."""
    parts = split_layers(mask, schedule.layer_sizes)
    counts = [np.count_nonzero(part) for part in parts]
    n_kept = np.array([sum(counts)] if schedule.prune_scope == "global" else counts)
    return n_kept, bool((n_kept >= len(counts) // len(n_kept)).all())


def search_masks(
    mask, layer_sizes, *, n_search, train, judge, gradient, choose, rng, on_swap
):
    """Try swaps of kept against pruned weights; keep those that lower the loss.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_weights,)
        Where to start, True = kept.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.
    n_search : int
        Swaps to try.
    train : callable
        From a mask to the flat parameters after a training, or None if it diverges.
    judge : callable
        From flat parameters to the loss that decides.
    gradient : callable
        From flat parameters to the gradient of the training loss by all weights.
    choose : callable
        From an order of all weights, best first, to a mask with as many kept.
    rng : numpy.random.RandomState
        Draws all random numbers.
    on_swap : callable
        ``(number, loss)``, called after each swap with the lowest loss so far.

    Returns
    -------
    mask : ndarray of bool of shape (n_weights,)
        The one with the lowest loss.
    losses : list of float
        The lowest loss at the start and after each swap; empty if there are no swaps
        to try, nothing is pruned, or the training of ``mask`` diverges.

    Notes
    -----
    A swap adds pruned weights, trains, and prunes as many kept or added ones:

    1. Added are up to as many weights as are kept (a fifth in the end) or pruned, a
       uniform number; between living units first, then by the size of the gradient of
       the training loss at the best network so far: a sample without replacement, with
       probabilities in proportion to it (Gumbel noise on the logarithms).
    2. The grown network is trained. As many weights go as were added, those with the
       smallest magnitudes; connectivity is repaired.
    3. A mask that was not tried before is trained. If its loss is lower than all
       before, the next swaps start from it.
    """
    nothing_to_do = n_search == 0 or mask.all()
    best = None if nothing_to_do else _train(mask, train, judge)
    if best is None:
        return mask, []
    losses, tried, slopes = [best.loss], {_key(mask)}, None
    for number in range(1, n_search + 1):
        if slopes is None:
            slopes = np.abs(gradient(best.params))
        share = np.interp(number, (1, max(2, n_search)), _GROWTH)
        swapped = _swap(best.mask, slopes, share, layer_sizes, train, choose, rng)
        if swapped is not None and _key(swapped) not in tried:
            tried.add(_key(swapped))
            found = _train(swapped, train, judge)
            if found is not None and found.loss < best.loss:
                best, slopes = found, None
        losses.append(best.loss)
        on_swap(number, best.loss)
    return best.mask, losses


def _key(mask):
    """Stand for a mask in a set."""
    return np.packbits(mask).tobytes()


def _train(mask, train, judge):
    """Train a mask; None if that diverges."""
    params = train(mask)
    return None if params is None else _Trained(mask, params, judge(params))


def _swap(mask, slopes, share, layer_sizes, train, choose, rng):
    """Add weights, train, and prune as many; None if the training diverges."""
    n_kept = np.count_nonzero(mask)
    most = min(max(1, round(share * n_kept)), mask.size - n_kept)
    n_added = rng.randint(1, most + 1)
    with np.errstate(divide="ignore"):
        wanted = np.log(slopes) + rng.gumbel(size=mask.size)
    living = between_living(mask, layer_sizes)
    grown = mask.copy()
    grown[np.lexsort((-wanted, ~living, mask))[:n_added]] = True
    params = train(grown)
    if params is None:
        return None
    scores = np.where(grown, np.abs(params[: mask.size]), wanted)
    # those outside stand by for the connectivity repair
    return choose(np.lexsort((-scores, ~grown)))
