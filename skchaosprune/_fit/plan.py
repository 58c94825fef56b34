"""What a fit is going to do, settled before the first training."""

import os
from collections import namedtuple
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from joblib import Memory
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_memory

from skchaosprune import __version__, _scale, _validation, _weights
from skchaosprune._fit.schedule import Schedule
from skchaosprune._network import mlp
from skchaosprune._network.rows import check_dense_size
from skchaosprune._text import brief, shorten
from skchaosprune._training.copies import CallbackCopies
from skchaosprune._training.engine import (
    check_device,
    explain_obstacle,
    first_obstacle_to_kernel,
)
from skchaosprune._training.plan import Divergence, TrainingPlan
from skchaosprune._training.recording import count_windows, resolve_record_every
from skchaosprune.criteria import Criterion, check_dense_rows, runs_only_our_code

# With batch_size="auto": up to so many rows a step takes all of them; an epoch has so
# many steps at least.
_SMALL_SET = 32
_FEWEST_STEPS = 32
_TORCH_BATCH = 32

_COMPUTE = "numpy", "scipy", "numba", "torch", "skorch", "scikit-learn"

# Of initial weights, row orders, scores and the validation split.
Seeds = namedtuple("Seeds", "init order score split")


@dataclass(frozen=True)
class ScoredTraining:
    """A training and its scores: all that they depend on, the key of ``memory``.

    Attributes
    ----------
    network : TrainingPlan
        Architecture and optimiser.
    data, validation : TrainingData
        Training rows, and rows held out (or None).
    criterion : Criterion
        Says what is recorded, and scores the record.
    params : ndarray of shape (n_parameters,)
        Flat initial parameters.
    mask : ndarray of bool of shape (n_weights,)
        True for the weights that live.
    n_epochs : int
        Passes over the data, at most.
    dense_fraction : float
        Share of ``max_iter`` that these are.
    target_score : float or None
        Training score that ends the training.
    order_seed, score_seed : int
        Of the row orders, and of criteria that draw.
    versions : str
        Of the package, and of those that numbers depend on.
    """

    network: TrainingPlan
    data: mlp.TrainingData
    validation: mlp.TrainingData | None
    criterion: Criterion
    params: np.ndarray
    mask: np.ndarray
    n_epochs: int
    dense_fraction: float
    target_score: float | None
    order_seed: int
    score_seed: int
    versions: str

    @property
    def iterations_per_epoch(self):
        """Optimiser steps per epoch."""
        return self.network.count_steps(self.data.n_rows)

    @property
    def n_iterations(self):
        """Optimiser steps of the planned training."""
        return self.n_epochs * self.iterations_per_epoch

    @property
    def record_every(self):
        """Iterations from one record to the next, of a criterion with windows."""
        criterion = self.criterion
        return resolve_record_every(
            criterion.record_every,
            self.n_iterations,
            criterion.window_size,
            criterion.window_overlap,
        )

    @property
    def n_windows(self):
        """Windows that are planned, of a criterion with windows."""
        criterion, n_records = self.criterion, self.n_iterations // self.record_every
        return count_windows(n_records, criterion.window_size, criterion.window_overlap)


@dataclass(frozen=True)
class Resources:
    """What changes no result of a training: see the parameters of the estimators.

    ``memory`` is None where it cannot be used.
    """

    callbacks: CallbackCopies | None
    n_jobs: int | None
    memory: Memory | None

    def copy_callbacks(self, name):
        """Return the callbacks for a training of this name, or None."""
        return None if self.callbacks is None else self.callbacks.copy(name)


@dataclass(frozen=True)
class FitPlan:
    """A whole fit: the first training, what comes after it, and what is known before.

    ``known`` are the fitted attributes that need no training, like ``classes_``. For
    messages there are ``prune_criterion`` as the user gave it, and ``places``, the rows
    of the user's ``X`` that are trained on.
    """

    training: ScoredTraining
    schedule: Schedule
    resources: Resources
    known: dict
    prune_criterion: object
    places: np.ndarray

    @property
    def feature_names(self):
        """Names of the columns, or None."""
        return self.known.get("feature_names_in_")

    @property
    def warnings(self):
        """What the user should know before all else, as texts: are rows scaled?"""
        text = _scale.explain_scale(self.training.data.X, self.feature_names)
        return [] if text is None else [text]

    @contextmanager
    def explain_divergence(self):
        """Say what in the rows may be the cause, where a training diverges."""
        try:
            yield
        except Divergence as error:
            network = self.training.network
            cause = _scale.explain_divergence(
                self.training.data,
                network.learning_rate_init / (1.0 - network.momentum),
                places=self.places,
                names=self.feature_names,
                grows_with_error=(network.out_activation, network.loss)
                == ("identity", "squared_error"),
                is_bounded=(network.learning_rate, network.solver) == ("cosine", "sgd"),
            )
            facts, advice, is_sure = error.args
            if cause is None or is_sure:
                raise
            advice = f"If that does not help, {advice[0].lower()}{advice[1:]}"
            raise Divergence(f"{facts} {cause}", advice) from None

    @property
    def n_phases(self):
        """Phases of the fit, at most."""
        return 2 * self.schedule.n_trainings + 1 + (self.schedule.n_swaps > 0)

    def with_ratio(self, prune_ratio):
        """Return the plan of the same fit with another ratio, if that is feasible."""
        plan = replace(self, schedule=replace(self.schedule, prune_ratio=prune_ratio))
        check_feasible(plan)
        return plan

    def start(self, params):
        """Return where sparse trainings start, if the last one ended at ``params``."""
        return self.training.params if self.schedule.retrain == "rewind" else params

    def as_fitted(self, params):
        """Return the attributes with which the network of ``params`` predicts."""
        network = self.training.network
        coefs, intercepts = mlp.unflatten(params.copy(), network.layer_sizes)
        return self.known | {
            "coefs_": coefs,
            "intercepts_": intercepts,
            "activation_": network.activation,
            "out_activation_": network.out_activation,
        }


def draw_seeds(random_state):
    """Draw the seeds of all random numbers of a fit."""
    rng = _validation.check_rng(random_state)
    return Seeds(*map(int, rng.randint(np.iinfo(np.int32).max, size=4)))


def drop_absent(X, y, sample_weight):
    """Return what is left without rows of weight 0, and the places of these rows."""
    is_there = sample_weight > 0.0
    places = np.flatnonzero(is_there)
    if is_there.all():
        return X, y, sample_weight, places
    return X[is_there], y[is_there], sample_weight[is_there], places


def split_rows(y, validation_fraction, seed, *, stratify):
    """Choose rows to train on and rows to hold out (None without validation)."""
    if validation_fraction is None:
        return slice(None), None
    try:
        return train_test_split(
            np.arange(len(y)),
            test_size=validation_fraction,
            random_state=seed,
            stratify=y if stratify else None,
        )
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={shorten(validation_fraction)} cannot split the "
            f"{len(y)} rows: {shorten(error, 300)} Use another fraction, or None."
        ) from error


def take_rows(rows, places, sample_weight, X, y, targets, weights):
    """Return the chosen rows that count, and their places; None for no rows.

    Parameters
    ----------
    rows : slice, ndarray of int or None
        Which, from :func:`split_rows`.
    places : ndarray of int of shape (n_rows,)
        Where each row is in the user's ``X``.
    sample_weight, weights : ndarray of shape (n_rows,)
        As the user gave them, and times ``class_weight``.
    X, y, targets : ndarrays
        All rows.

    Returns
    -------
    data : TrainingData or None
        Without the rows whose weight is 0.
    places : ndarray of int or None
        Where they are in the user's ``X``.
    """
    if rows is None:
        return None, None
    weights = weights[rows]
    weights = weights / (weights.max() or 1.0)  # nothing is left of far smaller ones
    counts = weights > 0.0
    if not counts.any():
        raise ValueError(
            "class_weight (times sample_weight) is zero for all of the "
            f"{counts.size} training or validation rows; at least one sample of each "
            "part needs a positive weight."
        )
    parts = [part[rows] for part in (X, y, targets, sample_weight, places)]
    if not counts.all():
        weights, *parts = (part[counts] for part in (weights, *parts))
    *parts, sample_weight, places = parts
    weights = _weights.normalise_weights(weights)
    total = _weights.sum_weights(sample_weight)
    return mlp.TrainingData(*parts, weights, total), places


def make_plan(settings, criterion, seeds, data, validation, *, network, known, places):
    """Settle all that a fit will do.

    Parameters
    ----------
    settings : dict
        Valid parameters of the estimator.
    criterion : Criterion
        Scores the weights.
    seeds : Seeds
        From :func:`draw_seeds`.
    data, validation : TrainingData
        Training rows, and rows held out (or None).
    network : Network
        What it computes.
    known : dict
        Fitted attributes that need no training.
    places : ndarray of int of shape (n_rows,)
        Which rows of the user's ``X`` are trained on.

    Returns
    -------
    plan : FitPlan
        Of the fit; it can succeed.

    Raises
    ------
    ValueError
        If ``device`` cannot be used or ``engine="numba"`` cannot be honoured, and as
        :func:`check_feasible` says.
    """
    network = _plan_network(settings, network, n_rows=data.n_rows)
    plan = FitPlan(
        _plan_training(settings, network, data, validation, criterion, seeds),
        _plan_schedule(settings, network.layer_sizes, criterion),
        _plan_resources(settings, criterion),
        known,
        settings["prune_criterion"],
        places,
    )
    check_feasible(plan)
    return plan


def _plan_network(settings, network, n_rows):
    """Describe how a network is trained.

    Where there are callbacks, these may still change the engine before an epoch.
    """
    check_device(settings["device"])
    plan = TrainingPlan(
        **vars(network),
        solver=settings["solver"],
        learning_rate=settings["learning_rate"],
        learning_rate_init=float(settings["learning_rate_init"]),
        momentum=float(settings["momentum"]),
        alpha=float(settings["alpha"]),
        batch_size=n_rows,
        n_passes=1,
        shuffle=bool(settings["shuffle"]),
        engine=settings["engine"],
        device=str(settings["device"]),
    )
    callbacks = settings["callbacks"]
    obstacle = first_obstacle_to_kernel(plan, callbacks)
    if obstacle is not None and plan.engine == "numba":
        raise ValueError(explain_obstacle(obstacle))
    if callbacks is None:  # nothing else can change what runs an epoch
        plan = replace(plan, engine="numba" if obstacle is None else "torch")
    batch_size, n_passes = _choose_batches(
        settings["batch_size"], n_rows, in_kernel=obstacle is None
    )
    return replace(plan, batch_size=batch_size, n_passes=n_passes)


def _choose_batches(batch_size, n_rows, in_kernel):
    """Choose how many rows a step takes, and how often an epoch visits each row."""
    if batch_size != "auto":
        return min(int(batch_size), n_rows), 1
    if n_rows <= _SMALL_SET:
        return n_rows, _FEWEST_STEPS
    return (1 if in_kernel else min(_TORCH_BATCH, n_rows // _FEWEST_STEPS)), 1


def _plan_training(settings, network, data, validation, criterion, seeds):
    """Describe the dense training and its scores, initial parameters included."""
    sizes, fraction = network.layer_sizes, settings["dense_fraction"]
    weight_init = _validation.check_weight_init(settings["weight_init"], sizes)
    rng = np.random.RandomState(seeds.init)
    target_score = settings["target_score"]
    if "trajectories" in criterion.needs and criterion.record_every == "auto":
        target_score = None  # the record is planned for the whole training
    return ScoredTraining(
        network,
        data,
        validation,
        criterion,
        params=mlp.initial_parameters(sizes, weight_init, network.activation, rng),
        mask=np.ones(network.n_weights, dtype=bool),
        n_epochs=max(1, round(fraction * settings["max_iter"])),
        dense_fraction=float(fraction),
        target_score=None if target_score is None else float(target_score),
        order_seed=seeds.order,
        score_seed=seeds.score,
        versions=list_versions(),
    )


@cache
def list_versions():
    """List the packages that the numbers of a fit depend on, each with its version."""
    found = {"skchaosprune": __version__}
    for name in _COMPUTE:
        with suppress(PackageNotFoundError):  # an application that brings its own
            found[name] = version(name)
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _plan_schedule(settings, layer_sizes, criterion):
    """Describe what comes after the first scores."""
    names = (
        "prune_ratio",
        "prune_scope",
        "keep_connected",
        "max_features",
        "target_score",
        "importance",
    )
    return Schedule(
        layer_sizes,
        retrain_asked=settings["retrain"],
        n_rounds_asked=settings["n_rounds"],
        n_swaps_asked=settings["n_swaps"],
        n_epochs=settings["max_iter"],
        chooses_masks=criterion.chooses_masks,
        **{name: settings[name] for name in names},
    )


def _plan_resources(settings, criterion):
    """Gather what changes no result.

    A cached training would not be the same where code of the user's takes part, or
    where nothing fixes the seeds: there is no ``memory`` then.
    """
    callbacks, memory = settings["callbacks"], _open_memory(settings["memory"])
    copies = None if callbacks is None else CallbackCopies(callbacks)
    is_fixed = settings["random_state"] is not None and callbacks is None
    if not (_is_cache(memory) and is_fixed and runs_only_our_code(criterion)):
        memory = None
    return Resources(copies, settings["n_jobs"], memory)


def _is_cache(memory):
    return isinstance(memory, Memory) and memory.location is not None


def _open_memory(memory):
    """Return the cache, with a folder; raise an error if that cannot be made."""
    text = (
        "Give the path of a folder that can be made and written, a joblib.Memory, or "
        "None for no cache."
    )
    is_path = isinstance(memory, str | os.PathLike)
    if memory is not None and not is_path and not hasattr(memory, "cache"):
        raise ValueError(f"memory={brief(memory)} is no folder. {text}")
    try:
        opened = check_memory(os.fspath(memory) if is_path else memory)
        if _is_cache(opened) and opened.backend == "local":
            os.makedirs(opened.store_backend.location, exist_ok=True)
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"memory={brief(memory)} cannot be used as a folder: "
            f"{shorten(error, 300)}. {text}"
        ) from error
    return opened


def check_feasible(plan):
    """Raise an error before any training if the parameters are infeasible.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.

    Raises
    ------
    ValueError
        If the criterion lacks what other parameters ask of it, if the ratio leaves too
        few weights, if the training is too short for the significance rule, or if too
        many sparse rows would be dense at once.
    """
    training, schedule = plan.training, plan.schedule
    criterion = training.criterion
    _check_sparse_rows(training, plan.prune_criterion)
    if schedule.importance == "causal" and criterion.significance_level is None:
        raise ValueError(
            "importance='causal' needs a criterion with p-values and a "
            f"significance_level, and prune_criterion={brief(plan.prune_criterion)} "
            "has none. Use 'gradient', 'connection' or 'permutation', or a criterion "
            "like 'chaos_causal_magnitude' or 'intervention'."
        )
    criterion.check_layer_sizes(schedule.layer_sizes)
    if criterion.chooses_masks:
        return
    if schedule.prune_ratio is None:
        _check_significance_rule(plan)
    else:
        schedule.cuts  # noqa: B018 - raises where the ratio is infeasible


def _check_sparse_rows(training, prune_criterion):
    """Refuse sparse rows of which too many would be dense at once."""
    X, batch_size = training.data.X, training.network.batch_size
    way_out = "Use a smaller batch_size."
    check_dense_size(X, batch_size, f"batch_size={batch_size}", way_out)
    check_dense_rows(training.criterion, X, prune_criterion)


def _check_significance_rule(plan):
    """Refuse ``prune_ratio=None`` where no significance rule can decide."""
    training, criterion = plan.training, plan.training.criterion
    if not criterion.has_significance_rule:
        raise ValueError(
            "prune_ratio=None needs a criterion with a significance rule, and "
            f"prune_criterion={brief(plan.prune_criterion)} has none. Give a "
            "prune_ratio in [0, 1), or use a criterion that has one, like "
            "'chaos_causal_magnitude' or 'intervention'."
        )
    if "trajectories" in criterion.needs:
        n_windows = training.n_windows
        problem = criterion.too_few_windows(
            n_windows,
            n_windows,
            training.iterations_per_epoch,
            training.dense_fraction,
        )
        if problem is not None:
            raise ValueError(f"prune_ratio=None cannot decide: {problem}")
