"""The estimators: their parameters, their documentation, and what ``y`` means."""

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder

from skchaosprune import _validation, _weights
from skchaosprune._base import PrunedMLP
from skchaosprune._names import take_snapshot
from skchaosprune._network import mlp
from skchaosprune._network.importance import IMPORTANCES
from skchaosprune._text import brief, brief_list
from skchaosprune._validation import check_bool, choice, number

# Adam takes squares of gradients, which have to stay finite.
_LARGEST_ALPHA = 1e100

# Valid values of the parameters that both have. Others are checked with the rows.
_VALID = {
    "hidden_layer_sizes": _validation.check_hidden_layer_sizes,
    "prune_ratio": _validation.check_prune_ratio,
    "prune_scope": choice("global", "layer"),
    "keep_connected": check_bool,
    "max_features": _validation.check_max_features,
    "retrain": choice("auto", "rewind", "finetune", "descent"),
    "n_rounds": number("int", 1, also=("auto",)),
    "n_swaps": number("int", 0, also=("auto",)),
    "activation": choice(*mlp.ACTIVATIONS),
    "solver": choice("sgd", "adam"),
    "learning_rate": choice("cosine", "constant"),
    "learning_rate_init": number("float", 0, closed="neither"),
    "momentum": number("float", 0, 1, "left"),
    "alpha": number("float", 0, _LARGEST_ALPHA),
    "batch_size": number("int", 1, also=("auto",)),
    "max_iter": number("int", 1),
    "shuffle": check_bool,
    "dense_fraction": number("float", 0, 1, "right"),
    "target_score": number("float", also=(None,)),
    "validation_fraction": number("float", 0, 1, "neither", also=(None,)),
    "importance": choice(*IMPORTANCES),
    "callbacks": _validation.check_callbacks,
    "engine": choice("auto", "numba", "torch"),
    "n_jobs": _validation.check_n_jobs,
    "verbose": _validation.check_verbose,
}


class ChaosCausalPrunedMLP(ClassifierMixin, PrunedMLP):
    """Multi-layer perceptron classifier, pruned by chaos and causality.

    ``fit`` trains a dense network and records its weights, estimates the largest
    Lyapunov exponent of every weight in windows of the training, tests whether these
    exponents Granger-cause the misclassification rate, removes the smallest weights,
    weighed with that evidence, and trains the rest again from the same initial weights.
    ``X`` should be scaled, for example with
    :class:`~sklearn.preprocessing.StandardScaler`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(64,)
        Units of each hidden layer; an empty sequence is a linear model.
    prune_ratio : float or None, default=0.5
        Share of the weights to remove, in [0, 1). None: the criterion's own
        significance rule decides.
    prune_criterion : str, criterion or callable, default="chaos_causal_magnitude"
        What ranks the weights: a name of :data:`skchaosprune.criteria.CRITERIA`, a
        criterion object, or a function from a training record to one score per weight
        (larger = keep). "chaos_causality" is the paper's.
    prune_scope : {"global", "layer"}, default="global"
        Rank all weights together, or remove the same share of each layer.
    keep_connected : bool, default=True
        Give weights of units that lost all inputs or all outputs to better places.
        ``False`` reproduces the paper.
    max_features : int, float or None, default=None
        Most inputs that the pruned network may use: a number, or a share in (0, 1].
        The weights of the others go first, so ``prune_ratio`` is a minimum. Each round
        drops some, those with the smallest gradient importance in its network.
        ``features_in_use_`` says which are left.
    retrain : {"auto", "rewind", "finetune", "descent"}, default="auto"
        How what is left is trained: "rewind" from the initial weights (the paper),
        "finetune" on from the dense ones, both by ``solver``. "descent" cuts to four
        times the weights that stay, as the criterion ranks them; then the curvature of
        the loss prunes 5 % at a time, and L-BFGS trains all rows in between. Where at
        most 0.75 go in the end, the first cut leaves all weights, so the criterion
        decides nothing. "auto": "descent" above ``prune_ratio=0.7`` or where
        ``max_features`` is a limit; "rewind" otherwise, and always with an integer
        ``n_rounds``, ``target_score``, ``prune_ratio=None`` or a criterion with masks
        of its own.
    n_rounds : int or "auto", default="auto"
        Rounds of training, scoring and pruning, before the last training, of "rewind"
        and "finetune". Each round keeps the same share of the weights that are left.
        "auto" is 1 up to ``prune_ratio=0.7`` (the paper), and 5 above or where
        ``max_features`` is a limit. With ``prune_ratio=None`` there is one round.
    n_swaps : int or "auto", default="auto"
        Number of swaps to try after a descent. Each adds pruned weights, trains, prunes
        as many by curvature, and is kept if it lowers the objective, on the training
        rows. "auto" is 5 where at most 50 weights per output are kept, else 0. A number
        above 0 needs a descent.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation of the hidden units.
    loss : {"log_loss", "squared_error"}, default="log_loss"
        "log_loss" with one logistic output for two classes and a softmax above;
        "squared_error" as in the paper, with one logistic output per class (one for
        two classes), averaged over the outputs.
    solver : {"sgd", "adam"}, default="sgd"
        Optimiser. "sgd" on the CPU trains in one compiled kernel per epoch.
    learning_rate : {"cosine", "constant"}, default="cosine"
        "cosine": in each training the rate falls from epoch to epoch towards 0, along
        half a cosine. With "sgd" rows with gross values cannot make large steps either:
        the gradient of a row ``x`` is divided by ``1 + rate * |x|^2 / (1 - momentum)``,
        in steps of several rows by less, if ``x`` is not far out. This moves the
        minimum away from such rows, which also weigh less in a descent.
        "constant" (the paper) does neither.
    learning_rate_init : float, default=0.01
        Learning rate of the first epoch.
    momentum : float, default=0.0
        Momentum of "sgd", in [0, 1).
    alpha : float, default=2.0
        L2 penalty on the weights, not the biases: the precision of a Gaussian prior.
        All trainings minimise the weighted mean of the row losses plus
        ``alpha / (2 N)`` times the sum of the squared weights. ``N`` is the sum of
        ``sample_weight``, divided by its maximum where that is below 1; without weights
        the number of rows. Without hidden layers this is
        ``LogisticRegression(C=1 / alpha)``; the ``alpha`` of ``MLPClassifier`` is
        ``batch_size / N`` times as large. Not the significance level.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" takes one with the compiled kernel, up to 32 with torch;
        of 32 rows or fewer it takes all, 32 times per epoch.
    max_iter : int, default=100
        Epochs of each training, dense and sparse, at most; not of a descent.
    shuffle : bool, default=True
        Visit the rows in a new order in each epoch. The sparse training repeats the
        orders of the dense one.
    weight_init : {"glorot_uniform", "normal"} or (coefs, intercepts), \
            default="glorot_uniform"
        Initial weights: scikit-learn's rule, N(0, 1) as in the paper, or given arrays.
    dense_fraction : float, default=1.0
        Share of ``max_iter`` that the dense network trains before it is scored, in
        (0, 1]: 1.0 is the paper's LEGCNet-FT, 0.1 its LEGCNet-PT.
    target_score : float or None, default=None
        A training ends with the epoch in which its training score (accuracy or R2)
        reaches this value. With ``record_every="auto"`` the dense training goes on to
        its end, until its record is complete.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, multiplied with ``sample_weight``. "balanced" makes the
        sum of the weights the same in all classes. A pandas Series is a dict, too.
    validation_fraction : float or None, default=None
        Share of the rows, whatever their weights, that is held out of all trainings, in
        (0, 1). The target series is then taken on these rows, and callbacks see a
        ``valid_loss``. Descents and swaps go by the training rows.
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
    callbacks : list or None, default=None
        Of skorch, copied for each training by ``solver``; one with a ``dirname``, like
        a Checkpoint, writes to a new folder below it, ``fit-1/01-dense`` and so on. Set
        scikit-learn's callbacks with ``set_callbacks``.
        Those that monitor ``valid_loss`` (skorch's default) need
        ``validation_fraction``.
    engine : {"auto", "numba", "torch"}, default="auto"
        What runs an epoch: the compiled kernel wherever it does the same as torch
        ("sgd", CPU, no callback that acts inside a batch), else a torch loop.
    device : str, default="cpu"
        Torch device with float64 that trains the networks, like "cuda" for a GPU.
        Scores, a descent and predictions stay on the CPU; fitted attributes are numpy.
    n_jobs : int or None, default=None
        Threads for exponents and tests of causality (10,000 weights each at least),
        a descent (8,192 rows each), interventions and placebos; changes no result.
    memory : str or path-like, joblib.Memory or None, default=None
        Caches the dense training and its scores (of the first round), which do not
        depend on ``prune_ratio``, ``prune_scope``, ``keep_connected``,
        ``max_features``, ``retrain``, ``n_rounds``, ``n_swaps`` or ``importance``.
        Needs a ``random_state``; not used where code of yours takes part:
        ``callbacks``, own criteria, a callable ``target``. Entries are pickles: use a
        folder that you trust.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, row orders, splits and random scores. None draws a
        fresh one; the global generators of numpy and torch are never touched.
    verbose : int, default=0
        1 prints the phases and how far they are, and says when kernels have to be
        compiled first. scikit-learn's callbacks, like its ``ProgressBar``, hear of the
        same: ``set_callbacks``, from scikit-learn 1.9 on.

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
        As drawn or given, before callbacks or training change them. Not a lottery
        ticket after a descent: trained from here, its masks lose up to 4 points.
    dense_coefs_, dense_intercepts_ : list of ndarray or None
        The dense network when it was scored. None after ``forget_training()``.
    masks_ : list of ndarray of bool
        Shaped like ``coefs_``; True = kept.
    weight_scores_ : ndarray of shape (n_weights_,)
        Larger = keep; flat, layer by layer, ``coefs_`` raveled. Of the last round in
        which the weight lived, in a descent of the first cut. Absolute values of the
        weights where a warning said that nothing could be tested; evidence alone with
        ``prune_ratio=None``.
    features_in_use_ : ndarray of bool of shape (n_features_in_,)
        The inputs that can change an output: a path of weights other than 0 leads from
        them to one. ``get_feature_names_in_use()`` names them.
    pruned_in_round_ : ndarray of int of shape (n_weights_,)
        The round, from 1, that pruned the weight; 0 for those kept. ``n_rounds_ + 1``
        for those that were swapped out. Round 1 of a descent is its first cut.
    criterion_ : Criterion
        What ranked the weights, with the parameters of the fit; for ``FixedMasks`` and
        criteria of your own made from ``prune_criterion`` as it is now.
    retrain_ : {"rewind", "finetune", "descent"}
        How what is left was trained.
    n_rounds_ : int
        Rounds of training, scoring and pruning, or of pruning in a descent. The dense
        attributes and what the criterion recorded and tested are of the first one.
    magnitude_rounds_ : dict
        Rounds, from 1, that ranked the weights by magnitude instead, as nothing could
        be tested, and why. Empty where there was none.
    search_loss_curve_ : list of float or None
        Lowest objective before the swaps, and after each of them. It never rises, and
        iterations after the last swap lower it a little more. None without swaps.
    p_values_, best_lags_ : ndarray of shape (n_weights_,) or None
        Of "is not causal" ("does not Granger-cause the target"), after corrections, and
        the lag that gave it. NaN and 0 for weights that could not be tested.
    n_untested_ : int
        Weights that could not be tested in the first round; 0 without tests.
    untested_reasons_ : dict
        Why, and how many of them.
    n_windows_ : int or None
        Windows of the record.
    window_series_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        What the criterion made of every window: exponents for chaos-causality. None
        also where it would take more than 50 MB, and after ``forget_training()``.
    lyapunov_exponents_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        The same, where it holds largest Lyapunov exponents, in nats per record. None
        after ``forget_training()``.
    mean_lyapunov_exponents_ : ndarray of shape (n_weights_,) or None
        Their mean over the windows.
    snapshots_ : ndarray of shape (n_points, n_parameters_) or None
        Weights, then biases, raveled, at the points of the training that the criterion
        looked at. None also above 50 MB, and after ``forget_training()``.
    target_series_ : ndarray of shape (n_windows_,) or None
        The target at the end of each window, on at most ``target_rows`` rows (a
        parameter of the criterion).
    record_every_ : int or None
        Iterations from one record to the next.
    history_, dense_history_ : list of dict
        What the network and the callbacks recorded in each epoch; empty of a descent.
    loss_curve_, dense_loss_curve_ : list of float
        Mean training loss of each epoch, without the L2 penalty. Of a descent, and of
        the swaps that were kept, after each iteration, with rows that are far out
        weighing less.
    objective_curve_ : list of float or None
        The same with the L2 penalty. It rises where a round prunes, and nowhere else.
        None without a descent.
    n_iter_, n_iter_dense_ : int
        Epochs trained; those up to the best one where a callback loads that. Iterations
        of L-BFGS in a descent, and in the swaps that were kept.
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
    feature_directions_ : ndarray of shape (n_features_in_, n_outputs_) or None
        In [-1, 1]: 1 where a larger value of the feature always raises the output of
        the pruned network (of two classes, the second), -1 where it lowers it. By the
        mean gradient over the training rows, or with ``importance="connection"`` the
        products of weights, each as a share of the absolute ones; None with the others.
    n_layers_, n_outputs_ : int
        Layers, input and output included; output units.
    activation_, out_activation_ : str
        Activations of the fitted network.

    See Also
    --------
    ChaosCausalPrunedMLPRegressor : The same for a numeric target.
    skchaosprune.criteria.ChaosCausalMagnitude : The default criterion.

    Notes
    -----
    Where it was measured, half of the weights go at hardly any loss of accuracy
    whatever ranks them. The default criterion ranks like magnitude up to nine tenths,
    and so does its placebo; chaos-causality alone is no better than its own. Long
    trainings amplify rounding, so masks may differ between engines and machines; on one
    machine the same ``random_state`` gives the same bits.

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

    _valid = _VALID | {"loss": choice("log_loss", "squared_error")}
    _learned = PrunedMLP._learned | {"classes_"}

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        *,
        prune_ratio=0.5,
        prune_criterion="chaos_causal_magnitude",
        prune_scope="global",
        keep_connected=True,
        max_features=None,
        retrain="auto",
        n_rounds="auto",
        n_swaps="auto",
        activation="relu",
        loss="log_loss",
        solver="sgd",
        learning_rate="cosine",
        learning_rate_init=0.01,
        momentum=0.0,
        alpha=2.0,
        batch_size="auto",
        max_iter=100,
        shuffle=True,
        weight_init="glorot_uniform",
        dense_fraction=1.0,
        target_score=None,
        class_weight=None,
        validation_fraction=None,
        importance="gradient",
        callbacks=None,
        engine="auto",
        device="cpu",
        n_jobs=None,
        memory=None,
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.prune_ratio = prune_ratio
        self.prune_criterion = prune_criterion
        self.prune_scope = prune_scope
        self.keep_connected = keep_connected
        self.max_features = max_features
        self.retrain = retrain
        self.n_rounds = n_rounds
        self.n_swaps = n_swaps
        self.activation = activation
        self.loss = loss
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.weight_init = weight_init
        self.dense_fraction = dense_fraction
        self.target_score = target_score
        self.class_weight = class_weight
        self.validation_fraction = validation_fraction
        self.importance = importance
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
        X : array-like or sparse array of shape (n_samples, n_features)
            Rows, scaled like the training rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Labels out of ``classes_``.
        """
        fitted = take_snapshot(self)
        return fitted.classes_[np.argmax(fitted.predict_proba(X), axis=1)]

    def predict_proba(self, X):
        """Estimate the probability of each class.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
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
        fitted = take_snapshot(self)
        return mlp.class_probabilities(fitted._logits(X), fitted.out_activation_)

    def score(self, X, y, sample_weight=None):
        """Return the accuracy of the predictions for rows.

        Warn if most rows of ``X`` are far out of the range of a column in ``fit``, for
        example because the scaler of a pipeline was left out.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
            Rows, scaled like the training rows.
        y : array-like of shape (n_samples,)
            Their targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Accuracy, in [0, 1].
        """
        fitted = take_snapshot(self)
        _validation.refuse_times(sample_weight, "sample_weight")
        score = ClassifierMixin.score(fitted, X, y, sample_weight)
        fitted._warn_if_unlike(X, sample_weight)
        return score

    def _check_rows(self, shadow, X, y):
        X, y = _validation.check_rows(shadow, X, y, order="C")
        _validation.check_labels(y)
        return X, y

    def _encode(self, y, sample_weight, train):
        encoder = LabelEncoder()
        codes = encoder.fit_transform(y)
        classes = encoder.classes_
        if len(classes) < 2:
            raise ValueError(
                f"y has only one class, {brief(classes.tolist()[0])}; a classifier "
                "needs samples of at least two classes."
            )
        weights = _weights.weigh_classes(
            self.class_weight, classes, codes, sample_weight, train
        )
        targets = _one_hot(codes, len(classes))
        return codes.astype(np.int64), targets, weights, {"classes_": classes}

    def _recode(self, y):
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y has labels that were not there in fit: {brief_list(unknown)}; the "
                f"known ones are {brief_list(self.classes_)}."
            )
        codes = np.searchsorted(self.classes_, y)
        return codes, _one_hot(codes, len(self.classes_))

    def _output_layer(self, n_outputs):
        if self.loss == "squared_error" or n_outputs == 1:
            return self.loss, "logistic"
        return self.loss, "softmax"

    def _target_units(self):
        return 0.0, 1.0

    def _classes(self):
        return self.classes_


def _one_hot(codes, n_classes):
    """One column per class, or one column in all for two classes."""
    if n_classes == 2:
        return codes[:, np.newaxis].astype(np.float64)
    targets = np.zeros((len(codes), n_classes))
    targets[np.arange(len(codes)), codes] = 1.0
    return targets


class ChaosCausalPrunedMLPRegressor(RegressorMixin, PrunedMLP):
    """Multi-layer perceptron regressor, pruned by chaos and causality.

    As :class:`ChaosCausalPrunedMLP`, for one numeric target, which is standardised
    inside; the target of causality is the mean loss.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(64,)
        Units of each hidden layer; an empty sequence is a linear model.
    prune_ratio : float or None, default=0.5
        Share of the weights to remove, in [0, 1). None: the criterion's own
        significance rule decides.
    prune_criterion : str, criterion or callable, default="chaos_causal_magnitude"
        What ranks the weights: a name of :data:`skchaosprune.criteria.CRITERIA`, a
        criterion object, or a function from a training record to one score per weight
        (larger = keep). "chaos_causality" is the paper's.
    prune_scope : {"global", "layer"}, default="global"
        Rank all weights together, or remove the same share of each layer.
    keep_connected : bool, default=True
        Give weights of units that lost all inputs or all outputs to better places.
        ``False`` reproduces the paper.
    max_features : int, float or None, default=None
        Most inputs that the pruned network may use: a number, or a share in (0, 1].
        The weights of the others go first, so ``prune_ratio`` is a minimum. Each round
        drops some, those with the smallest gradient importance in its network.
        ``features_in_use_`` says which are left.
    retrain : {"auto", "rewind", "finetune", "descent"}, default="auto"
        How what is left is trained: "rewind" from the initial weights (the paper),
        "finetune" on from the dense ones, both by ``solver``. "descent" cuts to four
        times the weights that stay, as the criterion ranks them; then the curvature of
        the loss prunes 5 % at a time, and L-BFGS trains all rows in between. Where at
        most 0.75 go in the end, the first cut leaves all weights, so the criterion
        decides nothing. "auto": "descent" above ``prune_ratio=0.7`` or where
        ``max_features`` is a limit; "rewind" otherwise, and always with an integer
        ``n_rounds``, ``target_score``, ``prune_ratio=None`` or a criterion with masks
        of its own.
    n_rounds : int or "auto", default="auto"
        Rounds of training, scoring and pruning, before the last training, of "rewind"
        and "finetune". Each round keeps the same share of the weights that are left.
        "auto" is 1 up to ``prune_ratio=0.7`` (the paper), and 5 above or where
        ``max_features`` is a limit. With ``prune_ratio=None`` there is one round.
    n_swaps : int or "auto", default="auto"
        Number of swaps to try after a descent. Each adds pruned weights, trains, prunes
        as many by curvature, and is kept if it lowers the objective, on the training
        rows. "auto" is 5 where at most 50 weights per output are kept, else 0. A number
        above 0 needs a descent.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation of the hidden units.
    loss : {"squared_error", "huber"}, default="squared_error"
        "huber" for targets with outliers: the squared error up to 1.35, a straight line
        beyond. The target is centred by its median and divided by a spread that
        outliers do not change. Predicts less than the mean of skewed targets.
    solver : {"sgd", "adam"}, default="sgd"
        Optimiser. "sgd" on the CPU trains in one compiled kernel per epoch.
    learning_rate : {"cosine", "constant"}, default="cosine"
        "cosine": in each training the rate falls from epoch to epoch towards 0, along
        half a cosine. With "sgd" rows with gross values cannot make large steps either:
        the gradient of a row ``x`` is divided by ``1 + rate * |x|^2 / (1 - momentum)``,
        in steps of several rows by less, if ``x`` is not far out. This moves the
        minimum away from such rows, which also weigh less in a descent.
        "constant" (the paper) does neither.
    learning_rate_init : float, default=0.002
        Learning rate of the first epoch.
    momentum : float, default=0.0
        Momentum of "sgd", in [0, 1).
    alpha : float, default=10.0
        L2 penalty on the weights, not the biases: the precision of a Gaussian prior.
        All trainings minimise the weighted mean of the row losses plus
        ``alpha / (2 N)`` times the sum of the squared weights. ``N`` is the sum of
        ``sample_weight``, divided by its maximum where that is below 1; without weights
        the number of rows. Without hidden layers this is ``Ridge(alpha / 2)`` on the
        standardised target; the ``alpha`` of ``MLPRegressor`` is ``batch_size / 2 / N``
        times as large. Not the significance level.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" takes one with the compiled kernel, up to 32 with torch;
        of 32 rows or fewer it takes all, 32 times per epoch.
    max_iter : int, default=100
        Epochs of each training, dense and sparse, at most; not of a descent.
    shuffle : bool, default=True
        Visit the rows in a new order in each epoch. The sparse training repeats the
        orders of the dense one.
    weight_init : {"glorot_uniform", "normal"} or (coefs, intercepts), \
            default="glorot_uniform"
        Initial weights: scikit-learn's rule, N(0, 1) as in the paper, or given arrays.
    dense_fraction : float, default=1.0
        Share of ``max_iter`` that the dense network trains before it is scored, in
        (0, 1]: 1.0 is the paper's LEGCNet-FT, 0.1 its LEGCNet-PT.
    target_score : float or None, default=None
        A training ends with the epoch in which its training score (accuracy or R2)
        reaches this value. With ``record_every="auto"`` the dense training goes on to
        its end, until its record is complete.
    validation_fraction : float or None, default=None
        Share of the rows, whatever their weights, that is held out of all trainings, in
        (0, 1). The target series is then taken on these rows, and callbacks see a
        ``valid_loss``. Descents and swaps go by the training rows.
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
    callbacks : list or None, default=None
        Of skorch, copied for each training by ``solver``; one with a ``dirname``, like
        a Checkpoint, writes to a new folder below it, ``fit-1/01-dense`` and so on. Set
        scikit-learn's callbacks with ``set_callbacks``.
        Those that monitor ``valid_loss`` (skorch's default) need
        ``validation_fraction``.
    engine : {"auto", "numba", "torch"}, default="auto"
        What runs an epoch: the compiled kernel wherever it does the same as torch
        ("sgd", CPU, no callback that acts inside a batch), else a torch loop.
    device : str, default="cpu"
        Torch device with float64 that trains the networks, like "cuda" for a GPU.
        Scores, a descent and predictions stay on the CPU; fitted attributes are numpy.
    n_jobs : int or None, default=None
        Threads for exponents and tests of causality (10,000 weights each at least),
        a descent (8,192 rows each), interventions and placebos; changes no result.
    memory : str or path-like, joblib.Memory or None, default=None
        Caches the dense training and its scores (of the first round), which do not
        depend on ``prune_ratio``, ``prune_scope``, ``keep_connected``,
        ``max_features``, ``retrain``, ``n_rounds``, ``n_swaps`` or ``importance``.
        Needs a ``random_state``; not used where code of yours takes part:
        ``callbacks``, own criteria, a callable ``target``. Entries are pickles: use a
        folder that you trust.
    random_state : int, RandomState or None, default=None
        Seed of initial weights, row orders, splits and random scores. None draws a
        fresh one; the global generators of numpy and torch are never touched.
    verbose : int, default=0
        1 prints the phases and how far they are, and says when kernels have to be
        compiled first. scikit-learn's callbacks, like its ``ProgressBar``, hear of the
        same: ``set_callbacks``, from scikit-learn 1.9 on.

    Attributes
    ----------
    target_mean_, target_scale_ : float
        Weighted mean and standard deviation of ``y``; the network works on the
        standardised target. With ``loss="huber"`` the median and the interquartile
        range divided by 1.349; where that is 0, the range from the 5 % to the 95 %
        quantile divided by 3.29, or at last the standard deviation.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where ``X`` has string column names.
    coefs_, intercepts_ : list of ndarray
        The pruned network, in scikit-learn's layout ``(fan_in, fan_out)``. Pruned
        weights are exactly 0.
    initial_coefs_, initial_intercepts_ : list of ndarray
        As drawn or given, before callbacks or training change them. Not a lottery
        ticket after a descent: trained from here, its masks lose up to 4 points.
    dense_coefs_, dense_intercepts_ : list of ndarray or None
        The dense network when it was scored. None after ``forget_training()``.
    masks_ : list of ndarray of bool
        Shaped like ``coefs_``; True = kept.
    weight_scores_ : ndarray of shape (n_weights_,)
        Larger = keep; flat, layer by layer, ``coefs_`` raveled. Of the last round in
        which the weight lived, in a descent of the first cut. Absolute values of the
        weights where a warning said that nothing could be tested; evidence alone with
        ``prune_ratio=None``.
    features_in_use_ : ndarray of bool of shape (n_features_in_,)
        The inputs that can change an output: a path of weights other than 0 leads from
        them to one. ``get_feature_names_in_use()`` names them.
    pruned_in_round_ : ndarray of int of shape (n_weights_,)
        The round, from 1, that pruned the weight; 0 for those kept. ``n_rounds_ + 1``
        for those that were swapped out. Round 1 of a descent is its first cut.
    criterion_ : Criterion
        What ranked the weights, with the parameters of the fit; for ``FixedMasks`` and
        criteria of your own made from ``prune_criterion`` as it is now.
    retrain_ : {"rewind", "finetune", "descent"}
        How what is left was trained.
    n_rounds_ : int
        Rounds of training, scoring and pruning, or of pruning in a descent. The dense
        attributes and what the criterion recorded and tested are of the first one.
    magnitude_rounds_ : dict
        Rounds, from 1, that ranked the weights by magnitude instead, as nothing could
        be tested, and why. Empty where there was none.
    search_loss_curve_ : list of float or None
        Lowest objective before the swaps, and after each of them. It never rises, and
        iterations after the last swap lower it a little more. None without swaps.
    p_values_, best_lags_ : ndarray of shape (n_weights_,) or None
        Of "is not causal" ("does not Granger-cause the target"), after corrections, and
        the lag that gave it. NaN and 0 for weights that could not be tested.
    n_untested_ : int
        Weights that could not be tested in the first round; 0 without tests.
    untested_reasons_ : dict
        Why, and how many of them.
    n_windows_ : int or None
        Windows of the record.
    window_series_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        What the criterion made of every window: exponents for chaos-causality. None
        also where it would take more than 50 MB, and after ``forget_training()``.
    lyapunov_exponents_ : ndarray of float32 of shape (n_windows_, n_weights_) or None
        The same, where it holds largest Lyapunov exponents, in nats per record. None
        after ``forget_training()``.
    mean_lyapunov_exponents_ : ndarray of shape (n_weights_,) or None
        Their mean over the windows.
    snapshots_ : ndarray of shape (n_points, n_parameters_) or None
        Weights, then biases, raveled, at the points of the training that the criterion
        looked at. None also above 50 MB, and after ``forget_training()``.
    target_series_ : ndarray of shape (n_windows_,) or None
        The target at the end of each window, on at most ``target_rows`` rows (a
        parameter of the criterion).
    record_every_ : int or None
        Iterations from one record to the next.
    history_, dense_history_ : list of dict
        What the network and the callbacks recorded in each epoch; empty of a descent.
    loss_curve_, dense_loss_curve_ : list of float
        Mean training loss of each epoch, without the L2 penalty. Of a descent, and of
        the swaps that were kept, after each iteration, with rows that are far out
        weighing less.
    objective_curve_ : list of float or None
        The same with the L2 penalty. It rises where a round prunes, and nowhere else.
        None without a descent.
    n_iter_, n_iter_dense_ : int
        Epochs trained; those up to the best one where a callback loads that. Iterations
        of L-BFGS in a descent, and in the swaps that were kept.
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
    feature_directions_ : ndarray of shape (n_features_in_, n_outputs_) or None
        In [-1, 1]: 1 where a larger value of the feature always raises the output of
        the pruned network (of two classes, the second), -1 where it lowers it. By the
        mean gradient over the training rows, or with ``importance="connection"`` the
        products of weights, each as a share of the absolute ones; None with the others.
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

    _valid = _VALID | {"loss": choice("squared_error", "huber")}
    _learned = PrunedMLP._learned | {"target_mean_", "target_scale_"}
    _added = PrunedMLP._added | {"loss": "squared_error"}

    def __init__(
        self,
        hidden_layer_sizes=(64,),
        *,
        prune_ratio=0.5,
        prune_criterion="chaos_causal_magnitude",
        prune_scope="global",
        keep_connected=True,
        max_features=None,
        retrain="auto",
        n_rounds="auto",
        n_swaps="auto",
        activation="relu",
        loss="squared_error",
        solver="sgd",
        learning_rate="cosine",
        learning_rate_init=0.002,
        momentum=0.0,
        alpha=10.0,
        batch_size="auto",
        max_iter=100,
        shuffle=True,
        weight_init="glorot_uniform",
        dense_fraction=1.0,
        target_score=None,
        validation_fraction=None,
        importance="gradient",
        callbacks=None,
        engine="auto",
        device="cpu",
        n_jobs=None,
        memory=None,
        random_state=None,
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.prune_ratio = prune_ratio
        self.prune_criterion = prune_criterion
        self.prune_scope = prune_scope
        self.keep_connected = keep_connected
        self.max_features = max_features
        self.retrain = retrain
        self.n_rounds = n_rounds
        self.n_swaps = n_swaps
        self.activation = activation
        self.loss = loss
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.momentum = momentum
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.weight_init = weight_init
        self.dense_fraction = dense_fraction
        self.target_score = target_score
        self.validation_fraction = validation_fraction
        self.importance = importance
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
        X : array-like or sparse array of shape (n_samples, n_features)
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
        fitted = take_snapshot(self)
        z = fitted._logits(X)
        return mlp.in_target_units(z, fitted.target_mean_, fitted.target_scale_)

    def score(self, X, y, sample_weight=None):
        """Return the coefficient of determination, R2, of the predictions for rows.

        Warn if most rows of ``X`` are far out of the range of a column in ``fit``, for
        example because the scaler of a pipeline was left out.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features)
            Rows, scaled like the training rows.
        y : array-like of shape (n_samples,)
            Their targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        score : float
            At most 1; 0 is what the mean of ``y`` would have.
        """
        fitted = take_snapshot(self)
        _validation.refuse_times(y, "y")
        _validation.refuse_times(sample_weight, "sample_weight")
        score = RegressorMixin.score(fitted, X, y, sample_weight)
        fitted._warn_if_unlike(X, sample_weight)
        return score

    def _check_rows(self, shadow, X, y):
        X, y = _validation.check_rows(shadow, X, y, order="C", y_numeric=True)
        return X, _validation.check_target(y)

    def _encode(self, y, sample_weight, train):
        measure = _weights.check_spread
        if self.loss == "huber":
            measure = _weights.check_robust_spread
        mean, scale = measure(y[train], sample_weight[train])
        y = ((y - mean) / scale)[:, np.newaxis]
        learned = {"target_mean_": mean, "target_scale_": scale}
        return y, y, sample_weight, learned

    def _recode(self, y):
        y = _validation.check_target(y)
        targets = (y - self.target_mean_) / self.target_scale_
        return targets[:, np.newaxis], targets[:, np.newaxis]

    def _output_layer(self, n_outputs):
        return self.loss, "identity"

    def _target_units(self):
        return self.target_mean_, self.target_scale_

    def _classes(self):
        return None
