"""What classifier and regressor share: validate, plan, run, keep; and the methods."""

import copy
import inspect

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier

from skchaosprune import _scale, _validation, _weights
from skchaosprune._callback_params import (
    check_callback_params,
    get_callback_params,
    is_callback_param,
    set_callback_params,
)
from skchaosprune._export.skl2onnx import Convertible
from skchaosprune._fit.progress import CallbackSupportMixin, Progress, with_callbacks
from skchaosprune._names import name_target, name_units, take_snapshot
from skchaosprune._network import mlp
from skchaosprune._persistence import Versioned
from skchaosprune._text import brief, shorten
from skchaosprune._warn import warn_all
from skchaosprune.compact import CompactMLP, compact_layers

# All that a fit learns; feature_names_in_ only where X has names.
_LEARNED = """
activation_ best_lags_ coefs_ dense_coefs_ dense_feature_importances_ dense_flops_
dense_history_ dense_intercepts_ dense_loss_curve_ effective_sparsity_ engine_
feature_directions_ feature_importances_ flops_ history_ initial_coefs_
initial_intercepts_ intercepts_ layer_sparsity_ loss_curve_ lyapunov_exponents_
magnitude_rounds_ masks_ mean_lyapunov_exponents_ n_active_parameters_ n_features_in_
n_iter_ n_iter_dense_ n_layers_ n_outputs_ n_parameters_ n_rounds_ n_untested_
n_weights_ n_windows_ objective_curve_ out_activation_ p_values_ pruned_in_round_
record_every_ retrain_ search_loss_curve_ snapshots_ sparsity_ target_series_
untested_reasons_ weight_scores_ window_series_
_criterion_name _criterion_params _importance _loss _rows_of_fit _score_seed
_target_name
""".split()

# What neither prediction nor explanation needs, and takes most of a pickle.
_OF_TRAINING = """
dense_coefs_ dense_intercepts_ lyapunov_exponents_ snapshots_ window_series_
""".split()


class PrunedMLP(Versioned, Convertible, CallbackSupportMixin, BaseEstimator):
    """Base class of both estimators.

    A child has its own ``__init__`` and ``_valid``, the checks of its parameters, and
    says what ``y`` means: ``_check_rows``, ``_encode``, ``_recode``, ``_output_layer``,
    ``_target_units`` and ``_classes``.
    """

    _learned = frozenset(_LEARNED)
    # Parameters that earlier versions lacked, and what these did.
    _added = {"learning_rate": "constant", "n_swaps": 0, "max_features": None}

    @with_callbacks
    def fit(self, X, y, sample_weight=None):
        """Train, score, prune and train again.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
            Training rows, scaled.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Non-negative weights of the rows; a number is the weight of all. A row of
            weight 0 counts as absent, also in the split, the batches and ``classes_``,
            but has to be valid.

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
        Weights count wherever rows do: in losses, penalty, target series, scores,
        importances, and the mean and spread of a regressor's target. Where each step
        takes all rows, of the copies, too, whole numbers give the same as so many
        copies, to rounding, which a descent may amplify.
        Splits, batches and draws go by rows: with smaller batches,
        ``validation_fraction``, the sample of an intervention or
        ``importance="permutation"``, copies of rows are other draws.

        All results are kept in one last step. After an error or Ctrl-C the estimator
        is as it was before: unfitted, or as an earlier fit left it.

        scikit-learn's callbacks (``set_callbacks``) see the phases as tasks of the fit,
        and the epochs as tasks of the trainings. One that asks for a stop at the end of
        an epoch ends the last training, that of the sparse network, and no other; it
        ends no descent and no swap.
        """
        from skchaosprune._fit.pruning import prune_and_retrain
        from skchaosprune._fit.results import explain
        from skchaosprune._fit.scoring import train_and_score
        from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c

        with one_thread_per_fit(), unwrap_ctrl_c():
            plan = self._plan(X, y, sample_weight)  # asks torch for the device, too
            warn_all(plan.warnings)
            if _validation.is_scalar(sample_weight):
                sample_weight = np.full(len(y), sample_weight)  # callbacks score by it
            with plan.explain_divergence():
                progress = Progress(self, (X, y, sample_weight), [plan])
                scored = train_and_score(plan.training, plan.resources, progress)
                outcome = prune_and_retrain(plan, scored, progress)
                explanation = explain(outcome)
                learned = outcome.attributes() | explanation.attributes
                progress.end(learned)
        warn_all(outcome.warnings + explanation.warnings)
        self._keep(learned)
        return self

    @property
    def criterion_(self):
        """The criterion that ranked the weights, with the parameters of the fit.

        For ``FixedMasks`` and criteria of your own: made from ``prune_criterion`` as it
        is now; objects and functions come wrapped.
        """
        from skchaosprune.criteria import CRITERIA, get_criterion

        fitted = take_snapshot(self)
        if fitted._criterion_name is None:
            return get_criterion(fitted.prune_criterion)
        return CRITERIA[fitted._criterion_name](**fitted._criterion_params)

    @property
    def features_in_use_(self):
        """Mask of the inputs that can change an output, shape ``(n_features_in_,)``.

        A path of weights other than 0 leads from each of them to an output. They are
        what :meth:`compact` and all exports read, at most ``max_features``.
        """
        fitted = take_snapshot(self)
        layers = fitted.coefs_, fitted.intercepts_
        *_, selected = compact_layers(*layers, fitted.activation_)
        in_use = np.zeros(fitted.n_features_in_, dtype=bool)
        in_use[selected] = True
        return in_use

    def get_feature_names_in_use(self, feature_names=None):
        """Return the names of the inputs that can change an output.

        Parameters
        ----------
        feature_names : sequence of str or None, default=None
            Names of all features; None takes those seen in fit, or x0, x1, ... Of the
            last step of a pipeline those are ``pipeline[:-1].get_feature_names_out()``.

        Returns
        -------
        names : ndarray of str objects of shape (n_features_in_use,)
            In the order of the columns; those of :attr:`features_in_use_`.

        Raises
        ------
        TypeError, ValueError
            If ``feature_names`` is no sequence, or has not one name for each feature.
        """
        fitted = take_snapshot(self)
        names = name_units(fitted, feature_names)[0]
        return np.array(names, dtype=object)[fitted.features_in_use_]

    def weight_table(self):
        """Return a table with one row per weight.

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
        from skchaosprune._placebo import tabulate_weights

        fitted = take_snapshot(self)
        return tabulate_weights(fitted, name_units(fitted))

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
        fitted = take_snapshot(self)
        return fitted._compact(fitted.coefs_, fitted.intercepts_)

    def to_c(self, path, X=None, y=None, *, name=None, dtype="float32"):
        """Write the pruned network as a C header; see :func:`skchaosprune.to_c`.

        Parameters
        ----------
        path : str or path-like
            The file. An old one is replaced in one step, when the new one is complete.
        X : array-like or sparse array of shape (n_samples, n_features), default=None
            Rows that integers are fitted to, scaled like the training rows.
        y : array-like of shape (n_samples,) or None, default=None
            Their targets.
        name : str or None, default=None
            What all names in the file start with; None takes the name of the file.
        dtype : {"float32", "int8", "int16"}, default="float32"
            Numbers of the weights.
        """
        from skchaosprune._affine import Affine
        from skchaosprune._to_c import write_c

        fitted = take_snapshot(self)
        affine = Affine.identity(fitted)
        write_c(fitted, fitted.compact(), affine, path, X, y, name, dtype)

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

        fitted = take_snapshot(self)
        return MaskedMLP(
            fitted.coefs_,
            fitted.intercepts_,
            masks=fitted.masks_,
            activation=fitted.activation_,
            selected_features=np.arange(fitted.n_features_in_),
            target=fitted._target_units(),
        )

    def to_skorch(self, **settings):
        """Build an initialised skorch net, to train the pruned network further.

        It starts from the trained weights. What a descent has found is no lottery
        ticket: trained from the initial weights, its masks reach a lower accuracy.

        Parameters
        ----------
        **settings : dict
            Parameters of the skorch net. The defaults follow ``learning_rate_init``,
            ``solver``, ``momentum``, ``batch_size`` ("auto" is 32), ``max_iter``,
            ``device`` and ``verbose``; the rate is constant, and ``alpha`` and
            ``class_weight`` have no part.

        Returns
        -------
        net : skorch.NeuralNetClassifier or skorch.NeuralNetRegressor
            With the weights of this network; pruned ones stay zero. Trains on arrays
            (a data frame needs ``to_numpy()``) and class codes (0 to n_classes - 1), or
            targets in their units; ``fit`` and ``partial_fit`` both go on from these
            weights.
        """
        from skchaosprune._training.export import make_trainable_net
        from skchaosprune._training.net import optimizer_settings

        fitted = take_snapshot(self)
        module = fitted.to_torch()
        defaults = {
            "lr": fitted.learning_rate_init,
            "batch_size": 32 if fitted.batch_size == "auto" else fitted.batch_size,
            "max_epochs": fitted.max_iter,
            "device": fitted.device,
            "verbose": fitted.verbose,
            "iterator_train__shuffle": fitted.shuffle,
            **optimizer_settings(fitted.solver, fitted.momentum),
        }
        return make_trainable_net(
            module, fitted._loss, fitted.out_activation_, **(defaults | settings)
        )

    def report(self, X, y, *, feature_names=None, scoring=None):
        """Compare the network before and after pruning, in one table.

        Warn if most rows of ``X`` are far out of the range of a column in ``fit``, for
        example because the scaler of a pipeline was left out.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
            Rows to score on, best held-out ones, scaled like the training rows.
        y : array-like of shape (n_samples,)
            Their targets.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        scoring : str, callable, list, dict or None, default=None
            Scores to add, as in scikit-learn.

        Returns
        -------
        report : PruningReport
            Prints as a table, is one in notebooks, and has ``to_dict()``.

        Raises
        ------
        ValueError
            If ``X``, ``y``, ``feature_names`` or ``scoring`` are not valid or do not
            fit.

        See Also
        --------
        skchaosprune.pruning_report : The same for a whole Pipeline, on raw rows.

        Notes
        -----
        "Before" is the dense network when it was scored: after its whole training,
        unless ``dense_fraction`` is below 1.
        """
        from skchaosprune.report import make_report

        return make_report(take_snapshot(self), X, y, feature_names, scoring)

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
        X : array-like or sparse array of shape (n_samples, n_features), default=None
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
            large to be kept or were dropped by :meth:`forget_training`.
        """
        from skchaosprune._placebo import run_placebo_test

        fitted = take_snapshot(self)
        _validation.check_number(n_repeats, "n_repeats", "int", 1)
        result = run_placebo_test(fitted, X, y, n_repeats, random_state)
        if "data" in fitted.criterion_.needs:
            fitted._warn_if_unlike(X)
        return result

    def forget_training(self):
        """Drop the record of the training and the dense network, for a small pickle.

        All that predicts, exports and explains the pruned network stays. Of what needs
        the rest, ``placebo_test`` and ``LyapunovDisplay`` raise an error, ``report``
        leaves out the measures of the dense network, and the column "dense" of
        ``weight_table`` is NaN. Another ``fit`` brings all of it back.

        Returns
        -------
        self : object
            The estimator; ``window_series_``, ``lyapunov_exponents_``, ``snapshots_``,
            ``dense_coefs_`` and ``dense_intercepts_`` are None.
        """
        # in one step, as other threads may read
        self.__dict__ = vars(take_snapshot(self)) | dict.fromkeys(_OF_TRAINING)
        return self

    def set_params(self, **params):
        """Set parameters of this estimator, of a criterion object and of callbacks.

        Parameters
        ----------
        **params : dict
            ``prune_criterion__max_lag=3`` reaches into a criterion object,
            ``callbacks__e__patience=3`` into the callback of this name, as in skorch: e
            of ``callbacks=[("e", EarlyStopping())]``. A callback without a name is
            called by its class. ``callbacks__e=None`` removes it.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If a parameter is not known, ``prune_criterion`` is not an object that has
            the parameter, or ``callbacks`` has no callback of the name.
        """
        nested = [name for name in params if name.startswith("prune_criterion__")]
        criterion = params.get("prune_criterion", self.prune_criterion)
        if nested and (
            isinstance(criterion, type) or not hasattr(criterion, "set_params")
        ):
            raise ValueError(
                f"{nested[0]} needs a criterion object, but prune_criterion="
                f"{brief(criterion)}. Set prune_criterion={_object_of(criterion)} "
                "(from skchaosprune.criteria) first, or another with this parameter."
            )
        of_callbacks = {
            name: params.pop(name) for name in list(params) if is_callback_param(name)
        }
        check_callback_params(params.get("callbacks", self.callbacks), of_callbacks)
        super().set_params(**params)
        if of_callbacks:
            self.callbacks = set_callback_params(self.callbacks, of_callbacks)
        return self

    def get_params(self, deep=True):
        """Return the parameters, by name.

        Parameters
        ----------
        deep : bool, default=True
            Also those of a criterion object and of callbacks, and the callbacks by
            their names, as :meth:`set_params` takes them.

        Returns
        -------
        params : dict
            From names to values.
        """
        params = super().get_params(deep)
        return params | get_callback_params(self.callbacks) if deep else params

    def __sklearn_clone__(self):
        """Clone the callbacks as one list, as some may refer to others."""
        if self.callbacks is None:
            return super().__sklearn_clone__()
        others = copy.copy(self)
        others.callbacks = None
        cloned = super(PrunedMLP, others).__sklearn_clone__()
        cloned.callbacks = copy.deepcopy(self.callbacks)
        return cloned

    def _expected(self):
        # not those of a child, which may forget one
        package = __name__.partition(".")[0]
        ours = next(
            kind
            for kind in type(self).__mro__
            if kind.__module__.partition(".")[0] == package
        )
        return super()._expected() | inspect.signature(ours).parameters.keys()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __setstate__(self, state):
        state = dict(state)
        if "_fitted_with" in state:  # how these four were kept before
            names = "_criterion_name", "_criterion_params", "_loss", "_score_seed"
            state |= zip(names, state.pop("_fitted_with"), strict=True)
        if "rewind" in state:
            state["retrain"] = "rewind" if state.pop("rewind") else "finetune"
        state.pop("n_search", None)
        super().__setstate__(self._added | state)

    def _plan(self, X, y, sample_weight):
        """Validate, encode, split, draw all seeds, and check what can be checked."""
        from skchaosprune._fit import plan as planning
        from skchaosprune.criteria import get_criterion

        self._check_parameters()
        criterion = get_criterion(self.prune_criterion)
        criterion.check_parameters()
        seeds = planning.draw_seeds(self.random_state)
        target_name = name_target(y)
        X, y, known = self._validate_rows(X, y)
        sample_weight = _weights.check_sample_weight(sample_weight, len(y))
        X, y, sample_weight, places = planning.drop_absent(X, y, sample_weight)
        train, held_out = planning.split_rows(
            y, self.validation_fraction, seeds.split, stratify=is_classifier(self)
        )
        y, targets, weights, learned = self._encode(y, sample_weight, train)
        (data, places), (validation, _) = (
            planning.take_rows(rows, places, sample_weight, X, y, targets, weights)
            for rows in (train, held_out)
        )
        return planning.make_plan(
            self.get_params(deep=False),
            criterion,
            seeds,
            data,
            validation,
            network=self._describe_network(X.shape[1], targets.shape[1]),
            known=known
            | learned
            | {"_rows_of_fit": _scale.describe_rows(X), "_target_name": target_name},
            places=places,
        )

    def _describe_network(self, n_inputs, n_outputs):
        """Describe what the network computes."""
        hidden = _validation.check_hidden_layer_sizes(self.hidden_layer_sizes)
        loss, out_activation = self._output_layer(n_outputs)
        return mlp.Network(
            layer_sizes=(n_inputs, *hidden, n_outputs),
            activation=self.activation,
            out_activation=out_activation,
            loss=loss,
            is_classifier=is_classifier(self),
        )

    def _check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        for name, check in self._valid.items():
            check(getattr(self, name), name)

    def _validate_rows(self, X, y):
        """Return valid rows and targets, and the attributes that describe them."""
        # a copy takes n_features_in_, so that a failure leaves nothing on self
        shadow = copy.copy(self)
        X, y = self._check_rows(shadow, X, y)
        names = "n_features_in_", "feature_names_in_"
        known = {name: value for name, value in vars(shadow).items() if name in names}
        if not issparse(X):
            # a single column may have any strides, and the key of memory has them, too
            X = X.ravel().reshape(X.shape)
        return X, y, known

    def _keep(self, learned):
        """Replace what an earlier fit learned, in one step that cannot be cut."""
        rest = {
            name: value
            for name, value in vars(self).items()
            if name != "_lacking" and (name.startswith("_") or not name.endswith("_"))
        }
        self.__dict__ = rest | learned

    def _recall_network(self):
        """Describe what the fitted network computes."""
        return mlp.Network(
            (self.n_features_in_, *(W.shape[1] for W in self.coefs_)),
            self.activation_,
            self.out_activation_,
            self._loss,
            is_classifier(self),
        )

    def _recall_rows(self, X, y):
        """Return rows as the criterion saw those of the fit."""
        if X is None or y is None:
            raise ValueError(
                f"placebo_test of prune_criterion={brief(self.prune_criterion)} needs "
                "data: call placebo_test(X, y) with the training rows, or others."
            )
        X, y = _validation.check_rows(self, X, y, order="C", reset=False)
        return mlp.TrainingData(X, *self._recode(y), np.ones(len(y)), float(len(y)))

    def _warn_if_unlike(self, X, sample_weight=None):
        """Warn if rows that count are unlike those of the fit."""
        rows_of_fit = vars(self).get("_rows_of_fit")  # older pickles have none
        if rows_of_fit is None:
            return
        X = _validation.check_rows(self, X, reset=False)
        if sample_weight is not None:
            X = X[np.asarray(sample_weight) > 0.0]
        names = getattr(self, "feature_names_in_", None)
        text = _scale.explain_unlike(X, rows_of_fit, names)
        warn_all([] if text is None else [text])

    def _logits(self, X):
        X = _validation.check_rows(self, X, reset=False)
        z = mlp.logits(X, self.coefs_, self.intercepts_, self.activation_)
        return mlp.check_outputs(z)

    def _build_onnx(self):
        return self.compact()._build_onnx()

    def _compact(self, coefs, intercepts):
        """Make the compact form of a network with our inputs and outputs."""
        coefs, intercepts, selected = compact_layers(
            coefs, intercepts, self.activation_
        )
        mean, scale = self._target_units()
        return CompactMLP(
            coefs,
            intercepts,
            activation=self.activation_,
            out_activation=self.out_activation_,
            loss=self._loss,
            n_features_in=self.n_features_in_,
            selected_features=selected,
            classes=self._classes(),
            feature_names_in=getattr(self, "feature_names_in_", None),
            target_mean=mean,
            target_scale=scale,
        )


def _object_of(criterion):
    """Write the object that belongs to a name or a class, or else the default's."""
    from skchaosprune.criteria import CRITERIA

    if not isinstance(criterion, type):
        is_name = isinstance(criterion, str) and criterion in CRITERIA
        criterion = CRITERIA[criterion if is_name else "chaos_causal_magnitude"]
    return f"{shorten(criterion.__name__)}()"
