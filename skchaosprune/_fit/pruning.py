"""Prune in rounds, and train what is left: by the solver, or by a descent."""

from dataclasses import replace

import numpy as np

from skchaosprune._fit.descent import descend
from skchaosprune._fit.inputs import choose_inputs
from skchaosprune._fit.results import Outcome, Pruning
from skchaosprune._fit.scoring import train_and_score
from skchaosprune._fit.swaps import swap_weights
from skchaosprune._kernels.full_batch import Objective
from skchaosprune._network.masks import keep_best, keep_significant, rank_weights
from skchaosprune._training import net


def prune_and_retrain(plan, scored, progress):
    """Do all that comes after the first scores.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.
    scored : Scored
        The first training and its scores.
    progress : Progress
        Told of the phases.

    Returns
    -------
    outcome : Outcome
        All that the fit found out.
    """
    if scored.verdict.is_final:  # which a criterion of the user's need not say before
        schedule = replace(plan.schedule, chooses_masks=True)
        plan = replace(plan, schedule=schedule)
    limit = plan.schedule.explain_limit()
    if limit is not None:
        progress.say(limit)
    pruning = _prune_in_rounds(plan, scored, progress)
    if plan.schedule.retrain != "descent":
        return Outcome(plan, scored, pruning, _train_sparse(plan, pruning, progress))
    objective = Objective(
        plan.training.network, plan.training.data, plan.resources.n_jobs
    )
    state = descend(plan, pruning, objective, progress)
    if plan.schedule.n_swaps > 0:
        state = swap_weights(plan, objective, state, progress)
    return Outcome(plan, scored, state.pruning, state.run)


def _train_sparse(plan, pruning, progress):
    """Train under the mask of the last round, by the solver."""
    training, schedule = plan.training, plan.schedule
    n_epochs = schedule.n_epochs
    with progress.training("sparse training", n_epochs, may_stop=True) as epochs:
        return net.train(
            training.network,
            training.data,
            plan.start(pruning.params),
            n_epochs=n_epochs,
            mask=pruning.mask,
            seed=training.order_seed,
            validation=training.validation,
            target_score=schedule.target_score,
            callbacks=plan.resources.copy_callbacks("sparse"),
            epochs=epochs,
        )


def _prune_in_rounds(plan, scored, progress):
    """Prune; then train what is left, score it and prune again, round by round."""
    verdict = scored.verdict
    if plan.schedule.prune_ratio is None and verdict.rule_scores is not None:
        scored = replace(scored, verdict=replace(verdict, scores=verdict.rule_scores))
    n_trainings = 1 if scored.verdict.is_final else plan.schedule.n_trainings
    n_weights = scored.record.n_weights
    pruning = Pruning(
        mask=scored.record.alive,
        scores=scored.verdict.scores,
        pruned_in_round=np.zeros(n_weights, dtype=int),
        params=scored.run.params,
        n_rounds=n_trainings,
        problems={},
    )
    for number in range(1, n_trainings + 1):
        if number > 1:
            training = replace(
                plan.training, mask=pruning.mask, params=plan.start(pruning.params)
            )
            scored = train_and_score(training, plan.resources, progress, number)
        pruning = _prune_once(plan, scored, pruning, number)
    return pruning


def _prune_once(plan, scored, before, number):
    """Choose the mask of one round from its scores and those of the rounds before.

    Weights that are gone rank below all others, the latest and best of them first, in
    case the connectivity repair needs one.
    """
    alive, verdict = scored.record.alive, scored.verdict
    scores = np.where(alive, verdict.scores, before.scores)
    order = rank_weights(scores, np.abs(scored.record.weights), before.pruned_in_round)
    mask = _choose_mask(plan, scored, order, number)
    problem = {} if verdict.problem is None else {number: verdict.problem}
    return before.cut(
        mask,
        number,
        scores=scores,
        params=scored.run.params,
        problems=before.problems | problem,
    )


def _choose_mask(plan, scored, order, number):
    schedule, verdict = plan.schedule, scored.verdict
    if verdict.is_final:
        return verdict.keep
    if schedule.prune_ratio is not None:
        n_kept, n_inputs = schedule.cuts[number - 1]
        limits = _choose_limits(plan, scored, scored.record.alive, n_inputs)
        return keep_best(order, n_kept, schedule.layer_sizes, **limits)
    _check_significance(verdict)
    limits = _choose_limits(plan, scored, verdict.keep, schedule.most_inputs)
    return keep_significant(verdict.keep, order, schedule.layer_sizes, **limits)


def _choose_limits(plan, scored, mask, n_inputs):
    """Return what holds for a mask besides its count."""
    network, data = plan.training.network, plan.training.data
    inputs = choose_inputs(network, data, scored.run.params, mask, n_inputs)
    return {"keep_connected": plan.schedule.keep_connected, "inputs": inputs}


def _check_significance(verdict):
    """Raise an error if the significance rule leaves nothing."""
    if verdict.problem is not None:
        raise ValueError(f"prune_ratio=None cannot decide: {verdict.problem}")
    if not verdict.keep.any():
        raise ValueError(
            "prune_ratio=None keeps the significant weights, and none of the "
            f"{verdict.keep.size} weights is significant. Give a prune_ratio in "
            "[0, 1), raise the criterion's significance_level, or train longer with a "
            "larger max_iter."
        )
