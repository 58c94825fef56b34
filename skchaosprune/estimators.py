"""The estimators: validate, compose the steps of the method, keep the results."""

import copy
import warnings
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from joblib import Memory
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted, check_memory

from skchaosprune import __version__, _validation
from skchaosprune._fit.plan import count_kept
from skchaosprune._fit.progress import CallbackSupportMixin, Progress, with_callbacks
from skchaosprune._names import name_units
from skchaosprune._network import masks as _pruning
from skchaosprune._network import mlp as _mlp
from skchaosprune._network.importance import (
    IMPORTANCES,
    Explainable,
    normalise_importances,
    warn_of_uniform,
)
from skchaosprune._network.mlp import split_layers
from skchaosprune._persistence import Versioned
from skchaosprune._training.plan import Watch
from skchaosprune._training.recording import (
    SnapshotRecorder,
    TrainingRecord,
    WindowRecorder,
    count_windows,
    resolve_record_every,
    snapshot_iterations,
)
from skchaosprune.compact import CompactMLP, compact_layers

# Series of windows and snapshots above this size are not kept by a fitted estimator.
_KEEP_BYTES = 50e6

# What n_rounds="auto" means: with most criteria rounds pay where few weights are left.
_ONE_ROUND_UP_TO = 0.7
_N_ROUNDS_ABOVE = 5

_SMALL_SET = 32  # "auto" trains on the whole set at once up to so many rows


@dataclass(frozen=True)
class _DenseTask:
    """All that the dense training and its scores depend on: the key of ``memory``."""

    plan: object
    data: object
    validation: object
    criterion: object
    params: np.ndarray
    mask: np.ndarray
    n_epochs: int
    dense_fraction: float
    target_score: float | None
    order_seed: int
    score_seed: int
    version: str = __version__

    @property
    def iterations_per_epoch(self):
        return self.plan.count_batches(len(self.data.X))

    @property
    def n_iterations(self):
        """Optimiser steps of the planned dense training."""
        return self.n_epochs * self.iterations_per_epoch

    def resolve_record_every(self):
        """Iterations from one record to the next, and the windows that are planned."""
        window = self.criterion.window_size, self.criterion.window_overlap
        every = resolve_record_every(
            self.criterion.record_every, self.n_iterations, *window
        )
        return every, count_windows(self.n_iterations // every, *window)


@dataclass(frozen=True)
class _DensePhase:
    """The dense training, what it recorded, and what the criterion says of it."""

    run: object
    record: TrainingRecord
    scores: object


@dataclass(frozen=True)
class _Pruning:
    """Where the rounds have come to.

    ``mask`` is that of the last round, ``scores`` each weight's in the last round in
    which it lived, ``pruned_in_round`` the round that pruned it or 0, ``params`` those
    that the next training would start from without rewinding. ``search_losses`` are
    the lowest losses of a mask search so far, at its start and after each swap.
    """

    mask: np.ndarray
    scores: np.ndarray
    pruned_in_round: np.ndarray
    params: np.ndarray
    n_rounds: int
    search_losses: list | None = None


def _run_dense_phase(task, callbacks, n_jobs, names, progress):
    """Train the dense network, record it, and score its weights.

    ``names`` are those of the two phases. Without callbacks, no number depends on
    anything but ``task``, so that the result can be cached.
    """
    from skchaosprune._training import net as _network
    from skchaosprune.criteria import score_weights

    watch = _make_watch(task, n_jobs)
    training, scoring = names
    # not may_stop: the record is planned for the whole training
    with progress.training(training, task.n_epochs) as epochs:
        run = _network.train(
            task.plan,
            task.data,
            task.params,
            n_epochs=task.n_epochs,
            mask=task.mask,
            seed=task.order_seed,
            validation=task.validation,
            target_score=task.target_score,
            callbacks=callbacks,
            watch=watch,
            epochs=epochs,
        )
    record = _make_record(task, run, watch.recorder, watch.snapshots)
    with progress.scoring(scoring, task.plan.n_weights) as on_progress:
        seen = replace(
            record,
            data=task.data if "data" in task.criterion.needs else None,
            n_jobs=n_jobs,
            on_progress=on_progress,
        )
        scores = score_weights(task.criterion, seen)
        on_progress(task.plan.n_weights)
    return _DensePhase(run, record, scores)


def _make_watch(task, n_jobs):
    """What is recorded of the dense training."""
    criterion, watch = task.criterion, Watch()
    if "trajectories" in criterion.needs:
        candidates = task.mask & _can_act(task)
        twin_params = criterion.perturb(task.params, candidates, task.score_seed)
        rows = task.validation or task.data
        watch = Watch(
            recorder=_make_recorder(task, n_jobs, twin_params is not None),
            target=_make_target(criterion, task.plan, rows),
            twin_params=twin_params,
        )
    if "snapshots" in criterion.needs:
        iterations = snapshot_iterations(criterion.points, task.n_iterations)
        snapshots = SnapshotRecorder(iterations, task.params.size)
        watch = replace(watch, snapshots=snapshots)
    return watch


def _make_record(task, run, recorder, snapshots):
    """What the criterion sees of the dense training, but for the rows."""
    record = TrainingRecord(
        network=task.plan,
        initial_params=task.params,
        params=run.params,
        alive=task.mask,
        snapshots=None if snapshots is None else snapshots.snapshots,
        iterations_per_epoch=task.iterations_per_epoch,
        dense_fraction=task.dense_fraction,
        seed=task.score_seed,
    )
    if recorder is None:
        return record
    return replace(
        record,
        window_series=recorder.window_series,
        target_series=recorder.target_series,
        record_every=recorder.record_every,
        n_windows_planned=recorder.n_windows_planned,
    )


def _can_act(task):
    """Flag the weights that a perturbation reaches others from: not those of zeros."""
    can_act = np.ones(task.plan.n_weights, dtype=bool)
    fan_in, fan_out = task.plan.layer_sizes[:2]
    can_act[: fan_in * fan_out] = np.repeat(np.any(task.data.X != 0.0, axis=0), fan_out)
    return can_act


def _make_recorder(task, n_jobs, has_twin):
    criterion = task.criterion
    record_every, n_windows_planned = task.resolve_record_every()
    return WindowRecorder(
        n_windows_planned,
        task.plan.n_weights,
        window_size=criterion.window_size,
        window_overlap=criterion.window_overlap,
        record_every=record_every,
        reduce_window=lambda window, out: criterion.reduce_window(window, out, n_jobs),
        has_twin=has_twin,
    )


def _make_target(criterion, plan, rows):
    """Build the function from flat parameters to the target's value."""
    if criterion.target == "loss":
        return lambda params: rows.mean_loss(params, plan)
    if not callable(criterion.target):
        return lambda params: rows.mean_error(params, plan)

    def call(params):
        z = rows.logits(params, plan)
        outputs = _mlp.outputs_from_logits(z, plan.out_activation)
        value = criterion.target(rows.targets, outputs)
        if np.ndim(value) != 0 or not np.isfinite(value):
            raise ValueError(
                f"target={criterion.target!r} returned {value!r}; it must return one "
                "finite number from the targets and the outputs of the network."
            )
        return float(value)

    return call


class _PrunedMLP(Versioned, CallbackSupportMixin, BaseEstimator):
    """Everything but the target: what classifier and regressor share."""

    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Train, score, prune, rewind and train again.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows, scaled.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Non-negative weights of the rows.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data are not valid, if ``prune_ratio`` leaves fewer
            weights than layers, if the training diverges, or, with
            ``prune_ratio=None``, if nothing could be tested or nothing is significant.

        Notes
        -----
        All results are kept in one last step. After an error or Ctrl-C the estimator
        is as it was before: unfitted, or as an earlier fit left it.

        scikit-learn's callbacks (``set_callbacks``) see the phases as tasks of the fit,
        and the epochs as tasks of the trainings. One that asks for a stop at the end of
        an epoch ends the last training, that of the sparse network, and no other; it
        does not end a mask search.
        """
        from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c

        task, learned = self._prepare(X, y, sample_weight)
        with one_thread_per_fit(), unwrap_ctrl_c():
            rows = X, y, sample_weight
            progress = self._make_progress(task, learned, rows, self._count_phases())
            dense = self._train_and_score(task, progress)
            found, sparse = self._prune_and_retrain(task, dense, progress)
            learned |= found
            learned |= self._collect_importances(task, dense, sparse, learned)
            progress.end(learned)
        self._keep(learned)
        return self

    def weight_table(self):
        """Tell the story of every weight, one row each.

        Returns
        -------
        table : pandas.DataFrame or structured ndarray
            ``n_weights_`` rows, layer by layer, with the columns layer (from 1), from,
            to, initial, dense, final, mean_lyapunov_exponent, p_value, best_lag,
            score, pruned_in_round (0 = kept), kept. Inputs carry the feature names,
            hidden units are called ``h1_0`` (layer 1, unit 0), outputs are the class
            labels. A structured array where pandas is not installed. What the criterion
            does not compute is NaN (``best_lag``: 0).
        """
        check_is_fitted(self)
        sources, targets, layers = [], [], []
        names = name_units(self)
        for layer, (above, below) in enumerate(
            zip(names[:-1], names[1:], strict=True), start=1
        ):
            sources.append(np.repeat(above, len(below)))
            targets.append(np.tile(below, len(above)))
            layers.append(np.full(len(above) * len(below), layer))
        missing = np.full(self.n_weights_, np.nan)
        exponents, p_values = self.mean_lyapunov_exponents_, self.p_values_
        lags = self.best_lags_
        columns = {
            "layer": np.concatenate(layers),
            "from": np.concatenate(sources),
            "to": np.concatenate(targets),
            "initial": _ravel(self.initial_coefs_),
            "dense": _ravel(self.dense_coefs_),
            "final": _ravel(self.coefs_),
            "mean_lyapunov_exponent": missing if exponents is None else exponents,
            "p_value": missing if p_values is None else p_values,
            "best_lag": np.zeros(self.n_weights_, dtype=int) if lags is None else lags,
            "score": self.weight_scores_,
            "pruned_in_round": self.pruned_in_round_,
            "kept": _ravel(self.masks_),
        }
        try:
            import pandas as pd
        except ImportError:
            return np.rec.fromarrays(list(columns.values()), names=list(columns))
        return pd.DataFrame(columns)

    def compact(self):
        """Drop what does nothing: a smaller network with the same outputs.

        Hidden units that lead nowhere and inputs that are not used are left out, and
        units without inputs become part of the biases.

        Returns
        -------
        compact : CompactMLP
            A predictor in plain numpy; its ``selected_features_`` are the inputs that
            are left. Predicts as this estimator does, to rounding.
        """
        check_is_fitted(self)
        return self._compact(self.coefs_, self.intercepts_)

    def to_torch(self):
        """Build the pruned network as a torch module, in its full shape.

        ``compact().to_torch()`` is the smaller one.

        Returns
        -------
        module : torch.nn.Module
            Takes a tensor of rows. Returns what enters the output activation,
            ``(n_samples, n_outputs_)``; a regressor's predictions. Pruned weights stay
            zero when it is trained.
        """
        from skchaosprune._training.export import MaskedMLP

        check_is_fitted(self)
        return MaskedMLP(
            self.coefs_,
            self.intercepts_,
            masks=self.masks_,
            activation=self.activation_,
            selected_features=np.arange(self.n_features_in_),
            target=self._target_units(),
        )

    def to_skorch(self, **settings):
        """Build an initialised skorch net, to train the pruned network further.

        Parameters
        ----------
        **settings : dict
            Parameters of the skorch net. The defaults follow ``learning_rate_init``,
            ``solver``, ``momentum``, ``batch_size`` ("auto" is 32), ``max_iter``,
            ``device`` and ``verbose``; ``alpha`` and ``class_weight`` have none.

        Returns
        -------
        net : skorch.NeuralNetClassifier or skorch.NeuralNetRegressor
            With the weights of this network; pruned ones stay zero. Trains on arrays
            (a data frame needs ``to_numpy()``) and class codes (0 to n_classes - 1), or
            targets in their units; ``fit`` and ``partial_fit`` both go on from these
            weights.
        """
        from skchaosprune._training.export import make_trainable_net
        from skchaosprune._training.module import optimizer_settings

        module = self.to_torch()
        _, _, loss, _ = self._fitted_with
        defaults = {
            "lr": self.learning_rate_init,
            "batch_size": 32 if _is_auto(self.batch_size) else self.batch_size,
            "max_epochs": self.max_iter,
            "device": self.device,
            "verbose": self.verbose,
            "iterator_train__shuffle": self.shuffle,
            **optimizer_settings(self.solver, self.momentum),
        }
        return make_trainable_net(
            module, loss, self.out_activation_, **(defaults | settings)
        )

    def report(self, X, y, *, feature_names=None):
        """Compare the network before and after pruning, in one table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to score on, best held-out ones, scaled like the training rows.
        y : array-like of shape (n_samples,)
            Their targets.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.

        Returns
        -------
        report : PruningReport
            Prints as a table, is one in notebooks, and has ``to_dict()``.

        Notes
        -----
        "Before" is the dense network when it was scored: after its whole training,
        unless ``dense_fraction`` is below 1.
        """
        from skchaosprune.report import make_report

        check_is_fitted(self)
        return make_report(self, X, y, feature_names)

    def placebo_test(self, X=None, y=None, *, n_repeats=20, random_state=0):
        """Compare the share of causal weights with what its placebo calls causal.

        The placebo of a Granger test is the series of each weight shuffled in time,
        that of an intervention permuted labels. It knows nothing of the error: a
        criterion that calls no more weights causal has found nothing. One that does
        has found more than its placebo, but not yet a cause: shuffling also destroys
        the trend that exponents and error share while a training settles, and the
        exponents of one training "cause" the error of another, independent one just as
        often. An intervention's placebo share is not small: random labels have a loss,
        too, that rises without some weights and falls without others.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or None, default=None
            Rows to intervene on, those of the training or others. Only for criteria
            that need data (``"intervention"``); all rows count alike.
        y : array-like of shape (n_samples,) or None, default=None
            Their targets.
        n_repeats : int, default=20
            Placebos drawn.
        random_state : int, RandomState or None, default=0
            Seed of the placebos.

        Returns
        -------
        result : Bunch
            ``causal_share``, the share of the weights of the dense network with a
            p-value below the criterion's ``significance_level``; ``placebo_shares``, an
            ndarray of shape (n_repeats,), the same for each placebo; ``placebo_share``,
            their mean; ``p_value``, the share of placebos, the real scores included,
            that call at least as many weights causal.

        Raises
        ------
        ValueError
            If the criterion has no placebo or could test nothing, if it needs data and
            there is none or the targets are all the same, or if its series were too
            large to be kept.
        """
        from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c

        check_is_fitted(self)
        _validation.check_number(n_repeats, "n_repeats", "int", 1)
        rng = np.random.default_rng(_validation.check_rng(random_state).randint(2**31))
        criterion = self._recall_criterion()
        record = self._recall_record(criterion, X, y)

        def causal_share(record):
            p_values = criterion.score(record).p_values
            if p_values is None or np.isnan(p_values).all():
                raise ValueError(
                    "placebo_test has nothing to compare, as none of the "
                    f"{self.n_weights_} weights could be tested on these rows."
                )
            return float(np.mean(p_values < criterion.significance_level))

        with one_thread_per_fit(), unwrap_ctrl_c():
            share = causal_share(record)
            placebo_shares = np.array(
                [
                    causal_share(criterion.make_placebo(record, rng))
                    for _ in range(n_repeats)
                ]
            )
        return Bunch(
            causal_share=share,
            placebo_share=float(placebo_shares.mean()),
            placebo_shares=placebo_shares,
            p_value=float((1 + np.sum(placebo_shares >= share)) / (1 + n_repeats)),
        )

    def set_params(self, **params):
        """Set parameters of this estimator and of a criterion object.

        Parameters
        ----------
        **params : dict
            ``prune_criterion__max_lag=3`` reaches into a criterion object.

        Returns
        -------
        self : object
            The estimator.
        """
        nested = [name for name in params if name.startswith("prune_criterion__")]
        criterion = params.get("prune_criterion", self.prune_criterion)
        if nested and (
            isinstance(criterion, type) or not hasattr(criterion, "set_params")
        ):
            raise ValueError(
                f"{nested[0]} needs a criterion object, but prune_criterion="
                f"{criterion!r}. Set prune_criterion=ChaosCausality() (from "
                "skchaosprune.criteria) first."
            )
        return super().set_params(**params)

    def _prepare(self, X, y, sample_weight):
        """Check everything and draw all random numbers, before the first epoch.

        Returns the task of the dense training, and what is already learned.
        """
        self._check_parameters()
        criterion = self._criterion()
        criterion.check_parameters()
        rng = _validation.check_rng(self.random_state)
        init_seed, order_seed, score_seed, split_seed = map(
            int, rng.randint(np.iinfo(np.int32).max, size=4)
        )
        # a copy takes n_features_in_, so that a failure leaves nothing on self
        shadow = copy.copy(self)
        X, y = self._validate_rows(shadow, X, y)
        # a single column may have any strides, and the key of memory has them, too
        X = X.ravel().reshape(X.shape)
        weights = _validation.check_sample_weight(sample_weight, len(X))
        train, held_out = self._split(y, split_seed)
        y, targets, weights, learned = self._encode(y, weights, train)
        learned["n_features_in_"] = shadow.n_features_in_
        if hasattr(shadow, "feature_names_in_"):
            learned["feature_names_in_"] = shadow.feature_names_in_

        parts = [
            None
            if rows is None
            else _mlp.TrainingData(
                X[rows],
                y[rows],
                targets[rows],
                _validation.normalise_weights(weights[rows]),
            )
            for rows in (train, held_out)
        ]
        plan = self._make_plan((X.shape[1], targets.shape[1]), len(parts[0].X))
        weight_init = _validation.check_weight_init(self.weight_init, plan.layer_sizes)
        task = _DenseTask(
            plan,
            *parts,
            criterion=criterion,
            params=_mlp.initial_parameters(
                plan.layer_sizes,
                weight_init,
                self.activation,
                np.random.RandomState(init_seed),
            ),
            mask=np.ones(plan.n_weights, dtype=bool),
            n_epochs=max(1, round(self.dense_fraction * self.max_iter)),
            dense_fraction=float(self.dense_fraction),
            target_score=self._dense_target_score(criterion),
            order_seed=order_seed,
            score_seed=score_seed,
        )
        self._check_feasible(task)
        return task, learned

    def _dense_target_score(self, criterion):
        """The target score, where it may end the dense training before its record."""
        records_all = "trajectories" in criterion.needs and _is_auto(
            criterion.record_every
        )
        if records_all or self.target_score is None:
            return None
        return float(self.target_score)

    def _recall_criterion(self):
        """Return the criterion of the fit, not itself a placebo."""
        from skchaosprune.criteria import CRITERIA

        name, params, *_ = self._fitted_with
        criterion = self._criterion() if name is None else CRITERIA[name](**params)
        if not criterion.has_placebo:
            raise ValueError(
                f"{criterion!r} has no placebo; fit with a criterion that has one, "
                "like 'chaos_causality' or 'intervention'. One of your own needs "
                "make_placebo and significance_level."
            )
        if self.n_untested_ == self.n_weights_:
            raise ValueError(
                "placebo_test has nothing to compare, as no weight could be tested: "
                f"{', '.join(self.untested_reasons_)}"
            )
        if criterion.placebo:
            criterion = clone(criterion).set_params(placebo=False)
        return criterion

    def _recall_record(self, criterion, X, y):
        """Rebuild what the criterion saw of the dense training, with rows of today."""
        data, too_large = None, None
        if "snapshots" in criterion.needs and self.snapshots_ is None:
            too_large = "snapshots"
        if "trajectories" in criterion.needs and self.window_series_ is None:
            too_large = "windows"
        if "data" in criterion.needs:
            if X is None or y is None:
                raise ValueError(
                    f"placebo_test of prune_criterion={self.prune_criterion!r} needs "
                    "data: call placebo_test(X, y) with the training rows, or others."
                )
            data = self._recode(
                *_validation.check_rows(self, X, y, order="C", reset=False)
            )
        if too_large is not None:
            raise ValueError(
                f"the {too_large} of this fit took more than "
                f"{_KEEP_BYTES / 1e6:.0f} MB and were not kept; fit with a placebo in "
                f"place of the criterion instead: {type(criterion).__name__}"
                "(placebo=True)."
            )
        layer_sizes = (self.n_features_in_, *(W.shape[1] for W in self.coefs_))
        _, _, loss, seed = self._fitted_with
        return TrainingRecord(
            network=_mlp.Network(
                layer_sizes,
                self.activation_,
                self.out_activation_,
                loss,
                self._is_classifier,
            ),
            initial_params=_mlp.flatten(self.initial_coefs_, self.initial_intercepts_),
            params=_mlp.flatten(self.dense_coefs_, self.dense_intercepts_),
            alive=np.ones(self.n_weights_, dtype=bool),
            window_series=self.window_series_,
            target_series=self.target_series_,
            snapshots=self.snapshots_,
            data=data,
            seed=seed,
            n_jobs=self.n_jobs,
        )

    def _criterion(self):
        from skchaosprune.criteria import get_criterion

        return get_criterion(self.prune_criterion)

    def _check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        number, choice = _validation.check_number, _validation.check_choice
        _validation.check_hidden_layer_sizes(self.hidden_layer_sizes)
        choice(self.activation, "activation", ("identity", "logistic", "tanh", "relu"))
        choice(self.solver, "solver", ("sgd", "adam"))
        rate = self.learning_rate_init
        number(rate, "learning_rate_init", "float", 0, closed="neither")
        number(self.momentum, "momentum", "float", 0, 1, "left")
        number(self.alpha, "alpha", "float", 0)
        if not _is_auto(self.batch_size):
            number(self.batch_size, "batch_size", "int", 1, other=", or 'auto'")
        number(self.max_iter, "max_iter", "int", 1)
        _validation.check_prune_ratio(self.prune_ratio)
        choice(self.prune_scope, "prune_scope", ("global", "layer"))
        number(self.dense_fraction, "dense_fraction", "float", 0, 1, "right")
        if not _is_auto(self.n_rounds):
            number(self.n_rounds, "n_rounds", "int", 1, other=", or 'auto'")
        if self.prune_ratio is None and not _is_auto(self.n_rounds):
            if self.n_rounds > 1:
                raise ValueError(
                    f"n_rounds={self.n_rounds} needs a prune_ratio, as the "
                    "significance rule of prune_ratio=None decides in one round. Give "
                    "a prune_ratio in [0, 1), or use n_rounds='auto'."
                )
        number(self.n_search, "n_search", "int", 0)
        choice(self.importance, "importance", IMPORTANCES)
        if self.target_score is not None:
            number(self.target_score, "target_score", "float", other=", or None")
        if self.validation_fraction is not None:
            fraction, name = self.validation_fraction, "validation_fraction"
            number(fraction, name, "float", 0, 1, "neither", ", or None")
        _validation.check_callbacks(self.callbacks)
        choice(self.engine, "engine", ("auto", "numba", "torch"))
        _validation.check_n_jobs(self.n_jobs)
        for name in ("shuffle", "keep_connected", "rewind"):
            _validation.check_bool(getattr(self, name), name)
        if not isinstance(self.verbose, bool):
            number(self.verbose, "verbose", "int", 0)

    def _make_plan(self, ends, n_rows):
        """Describe the network between its ``ends`` (inputs, outputs)."""
        from skchaosprune._training import engine
        from skchaosprune._training.plan import TrainingPlan

        engine.check_device(self.device)
        hidden = _validation.check_hidden_layer_sizes(self.hidden_layer_sizes)
        loss, out_activation = self._output_layer(ends[1])
        plan = TrainingPlan(
            layer_sizes=(ends[0], *hidden, ends[1]),
            activation=self.activation,
            out_activation=out_activation,
            loss=loss,
            is_classifier=self._is_classifier,
            solver=self.solver,
            learning_rate=float(self.learning_rate_init),
            momentum=float(self.momentum),
            alpha=float(self.alpha),
            batch_size=n_rows,
            shuffle=bool(self.shuffle),
            engine=self.engine,
            device=str(self.device),
        )
        obstacle = engine.first_obstacle_to_kernel(plan, self.callbacks)
        if obstacle is not None and self.engine == "numba":
            raise ValueError(engine.explain_obstacle(obstacle))
        if self.callbacks is None:  # nothing else can change what runs an epoch
            plan = replace(plan, engine="numba" if obstacle is None else "torch")
        if not _is_auto(self.batch_size):
            return replace(plan, batch_size=min(int(self.batch_size), n_rows))
        if n_rows <= _SMALL_SET:
            return plan
        return replace(plan, batch_size=1 if obstacle is None else 32)

    def _split(self, y, seed):
        """Rows to train on and rows to hold out (None without validation)."""
        if self.validation_fraction is None:
            return slice(None), None
        try:
            return train_test_split(
                np.arange(len(y)),
                test_size=self.validation_fraction,
                random_state=seed,
                stratify=y if self._is_classifier else None,
            )
        except ValueError as error:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} cannot split the "
                f"{len(y)} rows: {error} Use another fraction, or None."
            ) from error

    def _check_feasible(self, task):
        """Refuse, before any training, what cannot succeed after it."""
        criterion, layer_sizes = task.criterion, task.plan.layer_sizes
        if self.importance == "causal" and criterion.significance_level is None:
            raise ValueError(
                "importance='causal' needs a criterion with p-values and a "
                f"significance_level, and prune_criterion={self.prune_criterion!r} has "
                "none. Use 'gradient', 'connection' or 'permutation', or a criterion "
                "like 'chaos_causality' or 'intervention'."
            )
        criterion.check_layer_sizes(layer_sizes)
        if criterion.chooses_masks:
            return
        if self.prune_ratio is not None:
            self._count_kept(layer_sizes)
            return
        if not criterion.has_significance_rule:
            raise ValueError(
                f"prune_ratio=None needs a criterion with a significance rule, and "
                f"prune_criterion={self.prune_criterion!r} has none. Give a "
                "prune_ratio in [0, 1), or use a criterion that has one, like "
                "'chaos_causality' or 'intervention'."
            )
        if "trajectories" in criterion.needs:
            _, n_planned = task.resolve_record_every()
            problem = criterion.too_few_windows(
                n_planned, n_planned, task.iterations_per_epoch, task.dense_fraction
            )
            if problem is not None:
                raise ValueError(f"prune_ratio=None cannot decide: {problem}")

    @with_callbacks
    def _fit_ratios(self, X, y, prune_ratios):
        """Fit copies that differ in ``prune_ratio`` alone, from one dense training.

        They have no importances. In place of a fit that fails after the dense training
        stands its ValueError.
        """
        from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c

        models = [clone(self).set_params(prune_ratio=ratio) for ratio in prune_ratios]
        task, learned = models[0]._prepare(X, y, None)
        for model in models[1:]:
            model._check_parameters()
            model._check_feasible(task)
        # all share the first two phases
        n_phases = 2 + sum(model._count_phases() - 2 for model in models)
        with one_thread_per_fit(), unwrap_ctrl_c():
            progress = self._make_progress(task, learned, (X, y, None), n_phases)
            dense = self._train_and_score(task, progress)
            for place, model in enumerate(models):
                try:
                    found, _ = model._prune_and_retrain(task, dense, progress)
                    model._keep(learned | found)
                except ValueError as error:
                    progress.abandon_phase()
                    models[place] = error
            progress.end()
        return models

    def _make_progress(self, task, learned, rows, n_phases):
        def as_fitted(params):
            """Attributes to predict with, as the network of these parameters does."""
            coefs, intercepts = _mlp.unflatten(params.copy(), task.plan.layer_sizes)
            return learned | {
                "coefs_": coefs,
                "intercepts_": intercepts,
                "activation_": task.plan.activation,
                "out_activation_": task.plan.out_activation,
            }

        return Progress(self, rows, n_phases=n_phases, as_fitted=as_fitted)

    def _prune_and_retrain(self, task, dense, progress):
        """Prune, train what is left; return what is learned, and the last training."""
        pruning = self._prune_in_rounds(task, dense, progress)
        if self.n_search > 0:
            pruning = self._search(task, pruning, progress)
        sparse = self._retrain(task, pruning, progress)
        learned = self._collect_networks(task, dense, sparse)
        learned |= self._collect_evidence(dense, pruning)
        return learned | self._collect_sizes(task, pruning.mask), sparse

    def _train_and_score(self, task, progress, round_number=1):
        names = "dense training", "scoring"
        if round_number > 1:
            names = f"round {round_number}: training", f"round {round_number}: scoring"
        arguments = task, self.callbacks, self.n_jobs, names, progress
        memory = check_memory(self.memory)
        if round_number > 1 or not self._can_use(memory, task.criterion):
            return _run_dense_phase(*arguments)
        ignored = ["callbacks", "n_jobs", "names", "progress"]
        dense = memory.cache(_run_dense_phase, ignore=ignored)(*arguments)
        if not progress.phases:
            progress.say("dense training and scoring: taken from memory")
            for name in names:
                progress.skip(name)
        return dense

    def _can_use(self, memory, criterion):
        """Whether a cached phase is the same: no code of the user's takes part."""
        from skchaosprune.criteria import runs_only_our_code

        return (
            isinstance(memory, Memory)
            and memory.location is not None
            and self.random_state is not None
            and self.callbacks is None
            and runs_only_our_code(criterion)
        )

    def _prune_in_rounds(self, task, dense, progress):
        """Prune; then train what is left, score it and prune again, round by round."""
        n_rounds = 1 if dense.scores.is_final else self._plan_rounds()
        pruning, problems = None, {}
        for number in range(1, n_rounds + 1):
            if pruning is not None:
                start = task.params if self.rewind else pruning.params
                rest = replace(task, mask=pruning.mask, params=start)
                dense = self._train_and_score(rest, progress, number)
            if dense.scores.problem is not None:
                problems[number] = dense.scores.problem
            pruning = self._prune_once(dense, pruning, number, n_rounds)
        if problems:
            first, *others = problems
            where = "" if n_rounds == 1 else f" in round {first} of {n_rounds}"
            more = f" (Also in round {', '.join(map(str, others))}.)" if others else ""
            warnings.warn(
                f"The weights are ranked by magnitude instead{where}: "
                f"{problems[first]}{more}",
                stacklevel=5,  # the caller of fit
            )
        return pruning

    def _count_phases(self):
        """Phases of a fit, at most."""
        return 2 * self._plan_rounds() + 1 + (self.n_search > 0)

    def _plan_rounds(self):
        """Rounds, unless the first scores turn out to be final."""
        if self.prune_ratio is None:
            return 1
        if _is_auto(self.n_rounds):
            return 1 if self.prune_ratio <= _ONE_ROUND_UP_TO else _N_ROUNDS_ABOVE
        return self.n_rounds

    def _prune_once(self, dense, before, number, n_rounds):
        """Choose the mask of one round from its scores and those of the rounds before.

        Weights that are gone rank below all others, the latest and best of them first,
        in case the connectivity repair needs one.
        """
        alive, scores = dense.record.alive, dense.scores.scores
        gone_in = np.zeros(alive.size, dtype=int)
        if before is not None:
            scores = np.where(alive, scores, before.scores)
            gone_in = before.pruned_in_round
        order = _pruning.rank_weights(scores, np.abs(dense.record.weights), gone_in)
        mask = self._choose_mask(dense, order, number)
        return _Pruning(
            mask,
            scores,
            np.where(mask, 0, np.where(alive, number, gone_in)),
            dense.run.params,
            n_rounds,
        )

    def _choose_mask(self, dense, order, number):
        layer_sizes, keep = dense.record.layer_sizes, dense.scores.keep
        if dense.scores.is_final:
            return keep
        if self.prune_ratio is not None:
            n_kept = self._count_kept(layer_sizes)[number - 1]
            return _pruning.keep_best(
                order, n_kept, layer_sizes, keep_connected=self.keep_connected
            )
        if dense.scores.problem is not None:
            raise ValueError(f"prune_ratio=None cannot decide: {dense.scores.problem}")
        if not keep.any():
            raise ValueError(
                "prune_ratio=None keeps the significant weights, and none of the "
                f"{keep.size} weights is significant. Give a prune_ratio in "
                "[0, 1), raise the criterion's significance_level, or train longer "
                "with a larger max_iter."
            )
        return _pruning.keep_significant(
            keep, order, layer_sizes, keep_connected=self.keep_connected
        )

    def _count_kept(self, layer_sizes):
        return count_kept(
            layer_sizes, self.prune_ratio, self.prune_scope, self._plan_rounds()
        )

    def _search(self, task, pruning, progress):
        """Swap weights, starting from the masks of the last round."""
        from skchaosprune._fit import search as _search
        from skchaosprune._kernels import ablation as _ablation

        plan, judge = task.plan, task.validation or task.data
        before = pruning.mask
        counts = [
            np.count_nonzero(part) for part in split_layers(before, plan.layer_sizes)
        ]
        n_kept = np.array([sum(counts)] if self.prune_scope == "global" else counts)

        def choose(order):
            return _pruning.keep_best(
                order, n_kept, plan.layer_sizes, keep_connected=self.keep_connected
            )

        can_connect = (n_kept >= len(counts) // len(n_kept)).all()
        with progress.search("mask search", self.n_search) as on_swap:
            found, losses = _search.search_masks(
                before,
                plan.layer_sizes,
                n_search=self.n_search if can_connect else 0,
                train=self._make_trial(task, pruning),
                judge=lambda params: judge.mean_loss(params, plan),
                gradient=lambda params: _ablation.mean_gradient(
                    params, plan, task.data
                ),
                choose=choose,
                rng=np.random.RandomState(task.score_seed),
                on_swap=on_swap,
            )
        gone_in = np.where(before, pruning.n_rounds + 1, pruning.pruned_in_round)
        return replace(
            pruning,
            mask=found,
            pruned_in_round=np.where(found, 0, gone_in),
            search_losses=losses,
        )

    def _make_trial(self, task, pruning):
        """Return the function that trains a mask as the last training will."""
        from skchaosprune._kernels.sparse import train_kept
        from skchaosprune._training.plan import LARGEST_WEIGHT, Divergence

        def train(mask):
            try:
                return self._train_sparse(task, pruning, mask).params
            except Divergence:
                return None

        in_kernel = task.plan.engine == "numba" and task.plan.batch_size == 1
        if not in_kernel or self.callbacks is not None or self.target_score is not None:
            return train
        return partial(
            train_kept,
            task.plan,
            task.data,
            self._sparse_start(task, pruning),
            n_epochs=self.max_iter,
            seed=task.order_seed,
            largest=LARGEST_WEIGHT,
        )

    def _retrain(self, task, pruning, progress):
        with progress.training("sparse training", self.max_iter, may_stop=True) as (
            epochs
        ):
            return self._train_sparse(
                task,
                pruning,
                pruning.mask,
                epochs=epochs,
            )

    def _train_sparse(self, task, pruning, mask, epochs=None):
        from skchaosprune._training import net as _network

        return _network.train(
            task.plan,
            task.data,
            self._sparse_start(task, pruning),
            n_epochs=self.max_iter,
            mask=mask,
            seed=task.order_seed,
            validation=task.validation,
            target_score=self.target_score,
            callbacks=self.callbacks,
            epochs=epochs,
        )

    def _sparse_start(self, task, pruning):
        """Flat parameters from which sparse networks are trained."""
        return task.params if self.rewind else pruning.params

    def _collect_networks(self, task, dense, sparse):
        """Weights and history of the initial, the dense and the sparse network."""
        learned = {}
        for prefix, params in (
            ("", sparse.params),
            ("initial_", task.params),
            ("dense_", dense.run.params),
        ):
            # a sum is a copy, plain memory even from a memory map, without -0.0
            coefs, intercepts = _mlp.unflatten(params + 0.0, task.plan.layer_sizes)
            learned[f"{prefix}coefs_"] = [np.array(W) for W in coefs]
            learned[f"{prefix}intercepts_"] = [np.array(b) for b in intercepts]
        for prefix, run in (("", sparse), ("dense_", dense.run)):
            learned[f"{prefix}history_"] = run.history
            learned[f"{prefix}loss_curve_"] = [row["train_loss"] for row in run.history]
        return learned | {
            "n_iter_": len(sparse.history),
            "n_iter_dense_": len(dense.run.history),
            "engine_": sparse.engine,
            "activation_": task.plan.activation,
            "out_activation_": task.plan.out_activation,
        }

    def _collect_evidence(self, dense, pruning):
        """What the criterion recorded and computed."""
        record, scores, criterion = dense.record, dense.scores, self._criterion()
        series = record.window_series
        if series is not None and len(series) == 0:
            series = None
        kept_series = _copy_if_small(series)
        exponents, mean = None, None
        if series is not None and criterion.has_exponents:
            exponents = kept_series
            mean = np.array(series.mean(axis=0, dtype=np.float64))
        copies = {
            "target_series_": record.target_series,
            "weight_scores_": pruning.scores,
            "pruned_in_round_": pruning.pruned_in_round,
            "p_values_": scores.p_values,
            "best_lags_": scores.best_lags,
        }
        targets = record.target_series
        return {
            # for placebo_test, in plain values
            "_fitted_with": (
                *_describe(criterion),
                record.network.loss,
                record.seed,
            ),
            "n_rounds_": pruning.n_rounds,
            "search_loss_curve_": pruning.search_losses,
            "n_windows_": None if targets is None else len(targets),
            "n_untested_": sum(scores.untested.values()),
            "untested_reasons_": dict(scores.untested),
            "record_every_": record.record_every,
            "window_series_": kept_series,
            "lyapunov_exponents_": exponents,
            "mean_lyapunov_exponents_": mean,
            "snapshots_": _copy_if_small(record.snapshots),
        } | {
            name: None if value is None else np.array(value)
            for name, value in copies.items()
        }

    def _collect_sizes(self, task, mask):
        """Masks, and how small the network has become."""
        sizes = task.plan.layer_sizes
        masks = split_layers(mask, sizes)
        n_weights, n_biases = task.plan.n_weights, sum(sizes[1:])
        n_kept = int(mask.sum())
        return {
            "masks_": [np.array(mask) for mask in masks],
            "sparsity_": _pruning.sparsity(masks),
            "effective_sparsity_": _pruning.effective_sparsity(masks),
            "layer_sparsity_": _pruning.layer_sparsity(masks),
            "n_weights_": n_weights,
            "n_parameters_": n_weights + n_biases,
            "n_active_parameters_": n_kept + n_biases,
            "flops_": n_kept,
            "dense_flops_": n_weights,
            "n_layers_": len(sizes),
            "n_outputs_": sizes[-1],
        }

    def _collect_importances(self, task, dense, sparse, learned):
        """What drives the sparse network, and what drove the dense one."""
        rule = IMPORTANCES[self.importance]
        everything = [np.ones_like(mask) for mask in learned["masks_"]]
        dense_found, found = (
            rule(
                Explainable(
                    network=task.plan,
                    params=params,
                    data=task.data,
                    masks=masks,
                    p_values=dense.scores.p_values,
                    seed=task.score_seed,
                )
            )
            for params, masks in (
                (dense.run.params, everything),
                (sparse.params, learned["masks_"]),
            )
        )
        if not found.any():
            has_path = learned["effective_sparsity_"] < 1.0
            warn_of_uniform(self.importance, has_path)
        return {
            "feature_importances_": normalise_importances(found),
            "dense_feature_importances_": normalise_importances(dense_found),
        }

    def _keep(self, learned):
        """Replace what an earlier fit learned, in one step that cannot be cut."""
        rest = {
            name: value
            for name, value in vars(self).items()
            if name.startswith("_") or not name.endswith("_")
        }
        self.__dict__ = rest | learned

    def _logits(self, X):
        check_is_fitted(self)
        X = _validation.check_rows(self, X, reset=False)
        z = _mlp.logits(X, self.coefs_, self.intercepts_, self.activation_)
        return _mlp.check_outputs(z)

    def _compact(self, coefs, intercepts):
        """Make the compact form of a network with our inputs and outputs."""
        coefs, intercepts, selected = compact_layers(
            coefs, intercepts, self.activation_
        )
        _, _, loss, _ = self._fitted_with
        mean, scale = self._target_units()
        return CompactMLP(
            coefs,
            intercepts,
            activation=self.activation_,
            out_activation=self.out_activation_,
            loss=loss,
            n_features_in=self.n_features_in_,
            selected_features=selected,
            classes=getattr(self, "classes_", None),
            feature_names_in=getattr(self, "feature_names_in_", None),
            target_mean=mean,
            target_scale=scale,
        )

    def _target_units(self):
        """Mean and scale of a regressor's target; 0 and 1 for a classifier."""
        return getattr(self, "target_mean_", 0.0), getattr(self, "target_scale_", 1.0)


def _describe(criterion):
    """Name and parameters of a criterion of the registry; None for any other."""
    from skchaosprune.criteria import CRITERIA

    for name, kind in CRITERIA.items():
        if type(criterion) is kind:
            return name, criterion.get_params()
    return None, None


def _copy_if_small(array):
    """Copy an array, which may be a memory map; None for none and for large ones."""
    return None if array is None or array.nbytes > _KEEP_BYTES else np.array(array)


def _ravel(parts):
    return np.concatenate([part.ravel() for part in parts])


def _one_hot(codes, n_classes):
    """One column per class, or one column in all for two classes."""
    if n_classes == 2:
        return codes[:, np.newaxis].astype(np.float64)
    targets = np.zeros((len(codes), n_classes))
    targets[np.arange(len(codes)), codes] = 1.0
    return targets


def _is_auto(value):
    return isinstance(value, str) and value == "auto"


class ChaosCausalPrunedMLP(ClassifierMixin, _PrunedMLP):
    """Multi-layer perceptron classifier, pruned by chaos and causality.

    ``fit`` trains a dense network and records its weights, estimates the largest
    Lyapunov exponent of every weight in windows of the training, tests whether these
    exponents Granger-cause the misclassification rate, removes the weights with the
    least evidence, and trains the sparse network again from the same initial weights.
    ``X`` should be scaled, for example with
    :class:`~sklearn.preprocessing.StandardScaler`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(64,)
        Units of each hidden layer; an empty sequence is a linear model.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation of the hidden units.
    loss : {"log_loss", "squared_error"}, default="log_loss"
        "log_loss" with one logistic output for two classes and a softmax above;
        "squared_error" as in the paper, with one logistic output per class (one for
        two classes), averaged over the outputs.
    solver : {"sgd", "adam"}, default="sgd"
        Optimiser. "sgd" on the CPU trains in one compiled kernel per epoch.
    learning_rate_init : float, default=0.01
        Constant learning rate.
    momentum : float, default=0.0
        Momentum of "sgd", in [0, 1).
    alpha : float, default=0.0
        L2 penalty on the weights, as in scikit-learn's MLP (divided by the rows of the
        batch). Not the significance level.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" takes all rows up to 32; above that 1 with the compiled
        kernel and 32 with torch.
    max_iter : int, default=100
        Epochs of each training, dense and sparse, at most.
    shuffle : bool, default=True
        Visit the rows in a new order in each epoch. The sparse training repeats the
        orders of the dense one.
    weight_init : {"glorot_uniform", "normal"} or (coefs, intercepts), \
            default="glorot_uniform"
        Initial weights: scikit-learn's rule, N(0, 1) as in the paper, or given arrays.
    target_score : float or None, default=None
        A training ends with the epoch in which its training score reaches this value.
        With ``record_every="auto"`` the dense training goes on until its record is
        complete, that is, to its end.
    prune_criterion : str, criterion or callable, default="chaos_causality"
        What ranks the weights: a name of :data:`skchaosprune.criteria.CRITERIA`, a
        criterion object, or a function from a training record to one score per weight
        (larger = keep).
    prune_ratio : float or None, default=0.5
        Share of the weights to remove, in [0, 1). None: the criterion's own
        significance rule decides.
    prune_scope : {"global", "layer"}, default="global"
        Rank all weights together, or remove the same share of each layer.
    keep_connected : bool, default=True
        Give weights of units that lost all inputs or all outputs to better places.
        False is the paper.
    dense_fraction : float, default=1.0
        Share of ``max_iter`` that the dense network trains before it is scored, in
        (0, 1]: 1.0 is the paper's LEGCNet-FT, 0.1 its LEGCNet-PT.
    n_rounds : int or "auto", default="auto"
        Rounds of training, scoring and pruning, before the last training. Each round
        keeps the same share of the weights that are left. "auto" is 1 up to
        ``prune_ratio=0.7`` (the paper) and 5 above. With ``prune_ratio=None`` there is
        one round.
    n_search : int, default=0
        Swaps of kept against pruned weights that are tried after the last round. Each
        trains two sparse networks at most, one of them with more weights, and is kept
        if it lowers the training loss, or with ``validation_fraction`` the loss of the
        rows held out. Pays above ``prune_ratio=0.9``, most with many classes; 15 swaps
        win most of what 60 do.
    rewind : bool, default=True
        Retrain from the initial weights; False goes on from the dense ones.
    importance : {"gradient", "connection", "permutation", "causal"}, \
            default="gradient"
        Rule of ``feature_importances_``. "gradient": the mean over the training rows of
        ``|(x - mean) * d logit / d x|``, summed over the outputs; closest to SHAP.
        "connection": products of absolute weights, summed over all paths; looks at no
        row. "permutation": the mean rise of the training loss when a column is
        shuffled; costs five passes over the rows per feature, for the dense and for the
        pruned network. "causal": like "connection", with ``-log(p_value)`` of the first
        round in place of the weights; a diagnostic of a criterion that tests for
        causality, no explanation.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``.
    validation_fraction : float or None, default=None
        Share of the rows that is held out of all trainings, in (0, 1). The target
        series is then taken on these rows, the mask search goes by their loss, and
        callbacks see a ``valid_loss``.
    callbacks : list or None, default=None
        Of skorch, cloned for each training; scikit-learn's are no parameter but go to
        ``set_callbacks``. Those that monitor ``valid_loss`` (skorch's default)
        need ``validation_fraction``.
    engine : {"auto", "numba", "torch"}, default="auto"
        What runs an epoch: the compiled kernel wherever it does the same as torch
        ("sgd", CPU, no callback that acts inside a batch), else a torch loop.
    device : str, default="cpu"
        Torch device.
    n_jobs : int or None, default=None
        Threads for exponents and causality, for 10,000 weights each at least; changes
        no result.
    memory : str, joblib.Memory or None, default=None
        Caches the dense training and its scores (of the first round), which do not
        depend on ``prune_ratio``, ``prune_scope``, ``keep_connected``, ``n_rounds``,
        ``n_search``, ``rewind`` or ``importance``. Needs a
        ``random_state``; not used where code of yours takes part: ``callbacks``, own
        criteria, a callable ``target``.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, row orders, splits and random scores. None draws a
        fresh one; the global generators of numpy and torch are never touched.
    verbose : int, default=0
        1 prints the phases and how far they are. scikit-learn's callbacks, like its
        ``ProgressBar``, hear of the same: ``set_callbacks``, from scikit-learn 1.9 on.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where ``X`` has string column names.
    coefs_, intercepts_ : list of ndarray
        The pruned network, in scikit-learn's layout ``(fan_in, fan_out)``. Pruned
        weights are exactly 0.
    initial_coefs_, initial_intercepts_ : list of ndarray
        As drawn or given, before callbacks or training change them.
    dense_coefs_, dense_intercepts_ : list of ndarray
        The dense network when it was scored.
    masks_ : list of ndarray of bool
        Shaped like ``coefs_``; True = kept.
    weight_scores_ : ndarray of shape (n_weights_,)
        Larger = keep; flat, layer by layer, ``coefs_`` raveled. Of the last round in
        which the weight lived. Absolute values of the weights where a warning said that
        nothing could be tested.
    pruned_in_round_ : ndarray of int of shape (n_weights_,)
        The round, from 1, that pruned the weight; 0 for those kept. ``n_rounds_ + 1``
        for those that the mask search swapped out.
    n_rounds_ : int
        Rounds of training, scoring and pruning. The dense attributes and what the
        criterion recorded and tested are those of the first one.
    search_loss_curve_ : list of float or None
        Mean loss of the best network of the mask search so far: at its start, and after
        each swap; it falls where one is kept. Of the training rows, or of those held
        out, and of finished networks, not a mean over an epoch as in ``loss_curve_``.
        Empty where there is nothing to swap, None without ``n_search``.
    p_values_, best_lags_ : ndarray of shape (n_weights_,) or None
        Of "is not causal" ("does not Granger-cause the target"), after corrections, and
        the lag that gave it. NaN and 0 for weights that could not be tested.
    n_untested_ : int
        Weights that could not be tested; 0 for criteria that do not test.
    untested_reasons_ : dict
        Why, and how many of them.
    n_windows_ : int or None
        Windows of the record.
    window_series_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        What the criterion made of every window: exponents for chaos-causality. None
        also where it would take more than 50 MB.
    lyapunov_exponents_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        The same, where it holds largest Lyapunov exponents, in nats per record.
    mean_lyapunov_exponents_ : ndarray of shape (n_weights_,) or None
        Their mean over the windows.
    snapshots_ : ndarray of shape (n_points, n_parameters_) or None
        Weights, then biases, raveled, at the points of the training that the criterion
        looked at. None also above 50 MB.
    target_series_ : ndarray of shape (n_windows_,) or None
        The target at the end of each window.
    record_every_ : int or None
        Iterations from one record to the next.
    history_, dense_history_ : list of dict
        What the network and the callbacks recorded in each epoch.
    loss_curve_, dense_loss_curve_ : list of float
        Mean training loss of each epoch, without the L2 penalty.
    n_iter_, n_iter_dense_ : int
        Epochs trained.
    engine_ : str
        "numba" or "torch": what ran the sparse training.
    sparsity_, effective_sparsity_ : float
        Share of weights pruned; share pruned or on no path from input to output.
    layer_sparsity_ : ndarray of shape (n_layers_ - 1,)
        Share pruned in each weight matrix.
    n_weights_, n_parameters_, n_active_parameters_ : int
        Weights; weights and biases; kept weights and biases.
    flops_, dense_flops_ : int
        Weights kept and weights in all: the paper's count of multiplications per row.
    feature_importances_, dense_feature_importances_ : ndarray of shape \
            (n_features_in_,)
        Non-negative, sum to 1; of the pruned network, and of the dense one.
    n_layers_, n_outputs_ : int
        Layers, input and output included; output units.
    activation_, out_activation_ : str
        Activations of the fitted network.

    See Also
    --------
    ChaosCausalPrunedMLPRegressor : The same for a numeric target.
    skchaosprune.criteria.ChaosCausality : Options of the default criterion.

    Notes
    -----
    Measured, half of the weights go at hardly any loss of accuracy whatever ranks them,
    and chaos-causality ranks them no better than its own placebo; magnitude is the
    better ranking above 70 %. Long trainings amplify rounding, so masks may
    differ between engines and between machines; on one machine the same
    ``random_state`` gives the same bits.

    Not offered: ``warm_start`` and ``partial_fit`` (a mask belongs to one initial
    draw and one record of training), ``decision_function`` (``predict_proba`` ranks
    the same), multi-label and multi-output targets.

    References
    ----------
    .. [1] R. Sahu, S. Chadha, N. Nagaraj, A. Mathur, S. Saha (2023). "To prune or not
       to prune: a chaos-causality approach to principled pruning of dense neural
       networks". arXiv:2308.09955.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), ChaosCausalPrunedMLP(random_state=0))
    >>> model.fit(X, y)[-1].sparsity_
    0.5
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        activation="relu",
        *,
        loss="log_loss",
        solver="sgd",
        learning_rate_init=0.01,
        momentum=0.0,
        alpha=0.0,
        batch_size="auto",
        max_iter=100,
        shuffle=True,
        weight_init="glorot_uniform",
        target_score=None,
        prune_criterion="chaos_causality",
        prune_ratio=0.5,
        prune_scope="global",
        keep_connected=True,
        dense_fraction=1.0,
        n_rounds="auto",
        n_search=0,
        rewind=True,
        importance="gradient",
        class_weight=None,
        validation_fraction=None,
        callbacks=None,
        engine="auto",
        device="cpu",
        n_jobs=None,
        memory=None,
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.weight_init = weight_init
        self.target_score = target_score
        self.prune_criterion = prune_criterion
        self.prune_ratio = prune_ratio
        self.prune_scope = prune_scope
        self.keep_connected = keep_connected
        self.dense_fraction = dense_fraction
        self.n_rounds = n_rounds
        self.n_search = n_search
        self.rewind = rewind
        self.importance = importance
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.callbacks = callbacks
        self.engine = engine
        self.device = device
        self.n_jobs = n_jobs
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X):
        """Predict the class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, scaled like the training rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Labels out of ``classes_``.
        """
        codes = np.argmax(self.predict_proba(X), axis=1)
        return self.classes_[codes]

    def predict_proba(self, X):
        """Estimate the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, scaled like the training rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``. With ``loss="squared_error"`` the outputs of
            more than two classes are scaled to a sum of 1.

        Raises
        ------
        ValueError
            If rows are not finite or so large that the outputs overflow.
        """
        return _mlp.class_probabilities(self._logits(X), self.out_activation_)

    _is_classifier = True

    def _check_parameters(self):
        super()._check_parameters()
        _validation.check_choice(self.loss, "loss", ("log_loss", "squared_error"))

    def _validate_rows(self, shadow, X, y):
        X, y = _validation.check_rows(shadow, X, y, order="C")
        _validation.check_labels(y)
        return X, y

    def _encode(self, y, sample_weight, train):
        encoder = LabelEncoder()
        codes = encoder.fit_transform(y)
        classes = encoder.classes_
        if len(classes) < 2:
            raise ValueError(
                f"y has only one class, {classes.tolist()[0]!r}; a classifier needs "
                "samples of at least two classes."
            )
        of_class = _validation.check_class_weight(self.class_weight, classes, y[train])
        weights = sample_weight * of_class[codes]
        targets = _one_hot(codes, len(classes))
        return codes.astype(np.int64), targets, weights, {"classes_": classes}

    def _recode(self, X, y):
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y has labels that were not there in fit: {unknown.tolist()}; the "
                f"known ones are {self.classes_.tolist()}."
            )
        codes = np.searchsorted(self.classes_, y)
        targets = _one_hot(codes, len(self.classes_))
        return _mlp.TrainingData(X, codes, targets, np.ones(len(X)))

    def _output_layer(self, n_outputs):
        if self.loss == "squared_error" or n_outputs == 1:
            return self.loss, "logistic"
        return self.loss, "softmax"


class ChaosCausalPrunedMLPRegressor(RegressorMixin, _PrunedMLP):
    """Multi-layer perceptron regressor, pruned by chaos and causality.

    As :class:`ChaosCausalPrunedMLP`, for one numeric target and the squared error.
    ``y`` is standardised inside; the target of causality is the mean squared error.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(64,)
        Units of each hidden layer; an empty sequence is a linear model.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation of the hidden units.
    solver : {"sgd", "adam"}, default="sgd"
        Optimiser. "sgd" on the CPU trains in one compiled kernel per epoch.
    learning_rate_init : float, default=0.002
        Constant learning rate.
    momentum : float, default=0.0
        Momentum of "sgd", in [0, 1).
    alpha : float, default=0.0
        L2 penalty on the weights, as in scikit-learn's MLP (divided by the rows of the
        batch). Not the significance level.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" takes all rows up to 32; above that 1 with the compiled
        kernel and 32 with torch.
    max_iter : int, default=100
        Epochs of each training, dense and sparse, at most.
    shuffle : bool, default=True
        Visit the rows in a new order in each epoch. The sparse training repeats the
        orders of the dense one.
    weight_init : {"glorot_uniform", "normal"} or (coefs, intercepts), \
            default="glorot_uniform"
        Initial weights: scikit-learn's rule, N(0, 1) as in the paper, or given arrays.
    target_score : float or None, default=None
        A training ends with the epoch in which its training score reaches this value.
        With ``record_every="auto"`` the dense training goes on until its record is
        complete, that is, to its end.
    prune_criterion : str, criterion or callable, default="chaos_causality"
        What ranks the weights: a name of :data:`skchaosprune.criteria.CRITERIA`, a
        criterion object, or a function from a training record to one score per weight
        (larger = keep).
    prune_ratio : float or None, default=0.5
        Share of the weights to remove, in [0, 1). None: the criterion's own
        significance rule decides.
    prune_scope : {"global", "layer"}, default="global"
        Rank all weights together, or remove the same share of each layer.
    keep_connected : bool, default=True
        Give weights of units that lost all inputs or all outputs to better places.
        False is the paper.
    dense_fraction : float, default=1.0
        Share of ``max_iter`` that the dense network trains before it is scored, in
        (0, 1]: 1.0 is the paper's LEGCNet-FT, 0.1 its LEGCNet-PT.
    n_rounds : int or "auto", default="auto"
        Rounds of training, scoring and pruning, before the last training. Each round
        keeps the same share of the weights that are left. "auto" is 1 up to
        ``prune_ratio=0.7`` (the paper) and 5 above. With ``prune_ratio=None`` there is
        one round.
    n_search : int, default=0
        Swaps of kept against pruned weights that are tried after the last round. Each
        trains two sparse networks at most, one of them with more weights, and is kept
        if it lowers the training loss, or with ``validation_fraction`` the loss of the
        rows held out. Pays above ``prune_ratio=0.9``, most with many classes; 15 swaps
        win most of what 60 do.
    rewind : bool, default=True
        Retrain from the initial weights; False goes on from the dense ones.
    importance : {"gradient", "connection", "permutation", "causal"}, \
            default="gradient"
        Rule of ``feature_importances_``. "gradient": the mean over the training rows of
        ``|(x - mean) * d logit / d x|``, summed over the outputs; closest to SHAP.
        "connection": products of absolute weights, summed over all paths; looks at no
        row. "permutation": the mean rise of the training loss when a column is
        shuffled; costs five passes over the rows per feature, for the dense and for the
        pruned network. "causal": like "connection", with ``-log(p_value)`` of the first
        round in place of the weights; a diagnostic of a criterion that tests for
        causality, no explanation.
    validation_fraction : float or None, default=None
        Share of the rows that is held out of all trainings, in (0, 1). The target
        series is then taken on these rows, the mask search goes by their loss, and
        callbacks see a ``valid_loss``.
    callbacks : list or None, default=None
        Of skorch, cloned for each training; scikit-learn's are no parameter but go to
        ``set_callbacks``. Those that monitor ``valid_loss`` (skorch's default)
        need ``validation_fraction``.
    engine : {"auto", "numba", "torch"}, default="auto"
        What runs an epoch: the compiled kernel wherever it does the same as torch
        ("sgd", CPU, no callback that acts inside a batch), else a torch loop.
    device : str, default="cpu"
        Torch device.
    n_jobs : int or None, default=None
        Threads for exponents and causality, for 10,000 weights each at least; changes
        no result.
    memory : str, joblib.Memory or None, default=None
        Caches the dense training and its scores (of the first round), which do not
        depend on ``prune_ratio``, ``prune_scope``, ``keep_connected``, ``n_rounds``,
        ``n_search``, ``rewind`` or ``importance``. Needs a
        ``random_state``; not used where code of yours takes part: ``callbacks``, own
        criteria, a callable ``target``.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, row orders, splits and random scores. None draws a
        fresh one; the global generators of numpy and torch are never touched.
    verbose : int, default=0
        1 prints the phases and how far they are. scikit-learn's callbacks, like its
        ``ProgressBar``, hear of the same: ``set_callbacks``, from scikit-learn 1.9 on.

    Attributes
    ----------
    target_mean_, target_scale_ : float
        Weighted mean and standard deviation of ``y``; the network works on the
        standardised target.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where ``X`` has string column names.
    coefs_, intercepts_ : list of ndarray
        The pruned network, in scikit-learn's layout ``(fan_in, fan_out)``. Pruned
        weights are exactly 0.
    initial_coefs_, initial_intercepts_ : list of ndarray
        As drawn or given, before callbacks or training change them.
    dense_coefs_, dense_intercepts_ : list of ndarray
        The dense network when it was scored.
    masks_ : list of ndarray of bool
        Shaped like ``coefs_``; True = kept.
    weight_scores_ : ndarray of shape (n_weights_,)
        Larger = keep; flat, layer by layer, ``coefs_`` raveled. Of the last round in
        which the weight lived. Absolute values of the weights where a warning said that
        nothing could be tested.
    pruned_in_round_ : ndarray of int of shape (n_weights_,)
        The round, from 1, that pruned the weight; 0 for those kept. ``n_rounds_ + 1``
        for those that the mask search swapped out.
    n_rounds_ : int
        Rounds of training, scoring and pruning. The dense attributes and what the
        criterion recorded and tested are those of the first one.
    search_loss_curve_ : list of float or None
        Mean loss of the best network of the mask search so far: at its start, and after
        each swap; it falls where one is kept. Of the training rows, or of those held
        out, and of finished networks, not a mean over an epoch as in ``loss_curve_``.
        Empty where there is nothing to swap, None without ``n_search``.
    p_values_, best_lags_ : ndarray of shape (n_weights_,) or None
        Of "is not causal" ("does not Granger-cause the target"), after corrections, and
        the lag that gave it. NaN and 0 for weights that could not be tested.
    n_untested_ : int
        Weights that could not be tested; 0 for criteria that do not test.
    untested_reasons_ : dict
        Why, and how many of them.
    n_windows_ : int or None
        Windows of the record.
    window_series_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        What the criterion made of every window: exponents for chaos-causality. None
        also where it would take more than 50 MB.
    lyapunov_exponents_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        The same, where it holds largest Lyapunov exponents, in nats per record.
    mean_lyapunov_exponents_ : ndarray of shape (n_weights_,) or None
        Their mean over the windows.
    snapshots_ : ndarray of shape (n_points, n_parameters_) or None
        Weights, then biases, raveled, at the points of the training that the criterion
        looked at. None also above 50 MB.
    target_series_ : ndarray of shape (n_windows_,) or None
        The target at the end of each window.
    record_every_ : int or None
        Iterations from one record to the next.
    history_, dense_history_ : list of dict
        What the network and the callbacks recorded in each epoch.
    loss_curve_, dense_loss_curve_ : list of float
        Mean training loss of each epoch, without the L2 penalty.
    n_iter_, n_iter_dense_ : int
        Epochs trained.
    engine_ : str
        "numba" or "torch": what ran the sparse training.
    sparsity_, effective_sparsity_ : float
        Share of weights pruned; share pruned or on no path from input to output.
    layer_sparsity_ : ndarray of shape (n_layers_ - 1,)
        Share pruned in each weight matrix.
    n_weights_, n_parameters_, n_active_parameters_ : int
        Weights; weights and biases; kept weights and biases.
    flops_, dense_flops_ : int
        Weights kept and weights in all: the paper's count of multiplications per row.
    feature_importances_, dense_feature_importances_ : ndarray of shape \
            (n_features_in_,)
        Non-negative, sum to 1; of the pruned network, and of the dense one.
    n_layers_, n_outputs_ : int
        Layers, input and output included; output units.
    activation_, out_activation_ : str
        Activations of the fitted network.

    See Also
    --------
    ChaosCausalPrunedMLP : The classifier; its notes hold here too.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from skchaosprune import ChaosCausalPrunedMLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ChaosCausalPrunedMLPRegressor(random_state=0, max_iter=20)
    >>> model.fit(scale(X), y).n_outputs_
    1
    """

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        activation="relu",
        *,
        solver="sgd",
        learning_rate_init=0.002,
        momentum=0.0,
        alpha=0.0,
        batch_size="auto",
        max_iter=100,
        shuffle=True,
        weight_init="glorot_uniform",
        target_score=None,
        prune_criterion="chaos_causality",
        prune_ratio=0.5,
        prune_scope="global",
        keep_connected=True,
        dense_fraction=1.0,
        n_rounds="auto",
        n_search=0,
        rewind=True,
        importance="gradient",
        validation_fraction=None,
        callbacks=None,
        engine="auto",
        device="cpu",
        n_jobs=None,
        memory=None,
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.weight_init = weight_init
        self.target_score = target_score
        self.prune_criterion = prune_criterion
        self.prune_ratio = prune_ratio
        self.prune_scope = prune_scope
        self.keep_connected = keep_connected
        self.dense_fraction = dense_fraction
        self.n_rounds = n_rounds
        self.n_search = n_search
        self.rewind = rewind
        self.importance = importance
        self.validation_fraction = validation_fraction
        self.callbacks = callbacks
        self.engine = engine
        self.device = device
        self.n_jobs = n_jobs
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    def predict(self, X):
        """Predict the target of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, scaled like the training rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            In the units of the training target.

        Raises
        ------
        ValueError
            If rows are not finite or so large that the outputs overflow.
        """
        z = self._logits(X)
        return _mlp.in_target_units(z, self.target_mean_, self.target_scale_)

    _is_classifier = False

    def _validate_rows(self, shadow, X, y):
        X, y = _validation.check_rows(shadow, X, y, order="C", y_numeric=True)
        return X, _validation.check_target(y)

    def _encode(self, y, sample_weight, train):
        mean, scale = _validation.check_spread(y[train], sample_weight[train])
        y = ((y - mean) / scale)[:, np.newaxis]
        learned = {"target_mean_": mean, "target_scale_": scale}
        return y, y, sample_weight, learned

    def _recode(self, X, y):
        y = _validation.check_target(y)
        targets = (y - self.target_mean_) / self.target_scale_
        targets = targets[:, np.newaxis]
        return _mlp.TrainingData(X, targets, targets, np.ones(len(X)))

    def _output_layer(self, n_outputs):
        return "squared_error", "identity"
