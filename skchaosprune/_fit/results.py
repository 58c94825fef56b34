"""What a fit found out, as fitted attributes and as warnings."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from skchaosprune._fit.plan import FitPlan
from skchaosprune._fit.scoring import Scored
from skchaosprune._network import masks, mlp
from skchaosprune._network.importance import (
    Explainable,
    explain_uniform,
    normalise_importances,
    rank_inputs,
)
from skchaosprune._scale import is_scaled
from skchaosprune._training.gradients import gradient_effects
from skchaosprune._training.plan import TrainingRun
from skchaosprune.criteria import CRITERIA

# Series of windows and snapshots above this size are not kept by a fitted estimator.
KEEP_BYTES = 50e6


@dataclass(frozen=True)
class Pruning:
    """Where the rounds have come to.

    Attributes
    ----------
    mask : ndarray of bool of shape (n_weights,)
        Of the last round; True = kept.
    scores : ndarray of shape (n_weights,)
        Of each weight in the last round in which it lived.
    pruned_in_round : ndarray of int of shape (n_weights,)
        The round that pruned it, or 0.
    params : ndarray of shape (n_parameters,)
        Where the next training would start without rewinding.
    n_rounds : int
        Rounds in all.
    problems : dict
        Rounds that ranked by magnitude instead, and why.
    swap_objectives : list of float or None
        Objective before the swaps, and the lowest so far after each of them.
    """

    mask: np.ndarray
    scores: np.ndarray
    pruned_in_round: np.ndarray
    params: np.ndarray
    n_rounds: int
    problems: dict
    swap_objectives: list | None = None

    def cut(self, mask, number, **changes):
        """Return what is left after round ``number``, whose mask this is."""
        gone_in = np.where(self.mask, number, self.pruned_in_round)
        return replace(
            self, mask=mask, pruned_in_round=np.where(mask, 0, gone_in), **changes
        )


@dataclass(frozen=True)
class Outcome:
    """A finished fit: its plan, the first scores, the pruning, the last training."""

    plan: FitPlan
    scored: Scored
    pruning: Pruning
    sparse: TrainingRun

    @property
    def warnings(self):
        """What the user should know, as texts."""
        callbacks = self.plan.resources.callbacks
        return self._problems() + ([] if callbacks is None else callbacks.warnings)

    def _problems(self):
        """Say in which rounds magnitudes decided, and why."""
        if not self.pruning.problems:
            return []
        first, *others = self.pruning.problems
        n_rounds = self.pruning.n_rounds
        where = "" if n_rounds == 1 else f" in round {first} of {n_rounds}"
        if self.plan.schedule.retrain == "descent":
            where = " for the first cut"
        more = f" (Also in round {', '.join(map(str, others))}.)" if others else ""
        return [
            f"The weights are ranked by magnitude instead{where}: "
            f"{self.pruning.problems[first]}{more}"
        ]

    def attributes(self):
        """Return all fitted attributes but the importances."""
        return (
            self.plan.known
            | self._networks()
            | self._histories()
            | self._rounds()
            | self._evidence()
            | self._record()
            | self._sizes()
        )

    def _networks(self):
        """Weights and biases of the initial, the dense and the sparse network."""
        network = self.plan.training.network
        learned = {
            "activation_": network.activation,
            "out_activation_": network.out_activation,
        }
        for prefix, params in (
            ("", self.sparse.params),
            ("initial_", self.plan.training.params),
            ("dense_", self.scored.run.params),
        ):
            # a sum is a copy, without -0.0
            coefs, intercepts = mlp.unflatten(params + 0.0, network.layer_sizes)
            learned[f"{prefix}coefs_"] = [np.array(W) for W in coefs]
            learned[f"{prefix}intercepts_"] = [np.array(b) for b in intercepts]
        return learned

    def _histories(self):
        """What was recorded in each epoch of the dense and of the sparse training."""
        learned = {
            "n_iter_": len(self.sparse.loss_curve),
            "n_iter_dense_": len(self.scored.run.history),
            "engine_": self.sparse.engine,
            "retrain_": self.plan.schedule.retrain,
            "objective_curve_": self.sparse.objective_curve,
        }
        for prefix, run in (("", self.sparse), ("dense_", self.scored.run)):
            learned[f"{prefix}history_"] = list(run.history)
            learned[f"{prefix}loss_curve_"] = run.loss_curve
        return learned

    def _rounds(self):
        """Which weights went when, and why."""
        return {
            "weight_scores_": np.array(self.pruning.scores),
            "pruned_in_round_": np.array(self.pruning.pruned_in_round),
            "n_rounds_": self.pruning.n_rounds,
            "magnitude_rounds_": dict(self.pruning.problems),
            "search_loss_curve_": self.pruning.swap_objectives,
        }

    def _evidence(self):
        """What the criterion computed, and what it takes to ask it again."""
        training, verdict = self.plan.training, self.scored.verdict
        name, params = _describe(training.criterion)
        return {
            "_criterion_name": name,
            "_criterion_params": params,
            "_loss": training.network.loss,
            "_score_seed": training.score_seed,
            "p_values_": _copy(verdict.p_values),
            "best_lags_": _copy(verdict.best_lags),
            "n_untested_": sum(verdict.untested.values()),
            "untested_reasons_": dict(verdict.untested),
        }

    def _record(self):
        """What was recorded of the dense training."""
        record = self.scored.record
        series, targets = record.window_series, record.target_series
        if series is not None and len(series) == 0:
            series = None
        kept_series = _copy_if_small(series)
        exponents, mean = None, None
        if series is not None and self.plan.training.criterion.has_exponents:
            exponents = kept_series
            mean = np.array(series.mean(axis=0, dtype=np.float64))
        return {
            "n_windows_": None if targets is None else len(targets),
            "record_every_": record.record_every,
            "target_series_": _copy(targets),
            "window_series_": kept_series,
            "lyapunov_exponents_": exponents,
            "mean_lyapunov_exponents_": mean,
            "snapshots_": _copy_if_small(record.snapshots),
        }

    def _sizes(self):
        """Masks, and how small the network has become."""
        network, sizes = self.plan.training.network, self.plan.schedule.layer_sizes
        kept = mlp.split_layers(self.pruning.mask, sizes)
        n_weights, n_biases = network.n_weights, sum(sizes[1:])
        n_kept = int(self.pruning.mask.sum())
        return {
            "masks_": [np.array(mask) for mask in kept],
            "sparsity_": masks.sparsity(kept),
            "effective_sparsity_": masks.effective_sparsity(kept),
            "layer_sparsity_": masks.layer_sparsity(kept),
            "n_weights_": n_weights,
            "n_parameters_": n_weights + n_biases,
            "n_active_parameters_": n_kept + n_biases,
            "flops_": n_kept,
            "dense_flops_": n_weights,
            "n_layers_": len(sizes),
            "n_outputs_": sizes[-1],
        }


@dataclass(frozen=True)
class Explanation:
    """What drives the sparse network, and what drove the dense one."""

    attributes: dict
    warnings: list


def explain(outcome):
    """Compute the feature importances of the dense and of the sparse network.

    Parameters
    ----------
    outcome : Outcome
        Of the fit.

    Returns
    -------
    explanation : Explanation
        The fitted attributes, and a warning where a rule found nothing.
    """
    rule = outcome.plan.schedule.importance
    mask = outcome.pruning.mask
    params = outcome.scored.run.params
    dense, _ = _rank_inputs(outcome, params, np.ones_like(mask))
    sparse, directions = _rank_inputs(outcome, outcome.sparse.params, mask)
    texts = []
    if not sparse.any():
        kept = mlp.split_layers(mask, outcome.plan.schedule.layer_sizes)
        has_path = masks.effective_sparsity(kept) < 1.0
        scaled = is_scaled(outcome.plan.training.data.X)
        texts = [explain_uniform(rule, has_path, scaled)]
    attributes = {
        "feature_importances_": normalise_importances(sparse),
        "dense_feature_importances_": normalise_importances(dense),
        "feature_directions_": directions,
        "_importance": rule,
    }
    return Explanation(attributes, texts)


def _rank_inputs(outcome, params, mask):
    """Return the importances of the inputs of a network, and their directions."""
    training, rule = outcome.plan.training, outcome.plan.schedule.importance
    subject = Explainable(
        network=training.network,
        params=params,
        data=training.data,
        masks=mlp.split_layers(mask, outcome.plan.schedule.layer_sizes),
        p_values=outcome.scored.verdict.p_values,
        seed=training.score_seed,
    )
    if training.network.is_on_cpu:
        return rank_inputs(rule, subject)
    there = partial(gradient_effects, device=training.network.device)
    return rank_inputs(rule, subject, there)


def _describe(criterion):
    """Name and parameters of a criterion of the registry; None for any other."""
    for name, kind in CRITERIA.items():
        if type(criterion) is kind:
            return name, criterion.get_params()
    return None, None


def _copy(array):
    return None if array is None else np.array(array)


def _copy_if_small(array):
    """Copy an array, as fits of a path share it; None for none and for large ones."""
    return None if array is None or array.nbytes > KEEP_BYTES else np.array(array)
