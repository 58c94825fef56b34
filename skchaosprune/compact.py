"""A smaller network with the same outputs: dead units dropped, constants folded."""

from contextlib import contextmanager

import numpy as np
from scipy.sparse import csc_array, csr_array, issparse
from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags
from sklearn.utils.metaestimators import available_if

from skchaosprune import _validation
from skchaosprune._export import npz, onnx
from skchaosprune._export.skl2onnx import Convertible
from skchaosprune._files import check_size, read_file, write_file
from skchaosprune._network import mlp
from skchaosprune._network.parts import find_faults
from skchaosprune._persistence import Versioned
from skchaosprune._text import brief_list, shorten

# From benchmarks/bench_compact.py: a sparse product is at least as fast as a dense one,
# for one row and for a thousand, from so many weights on and up to such a density.
_CSR_FROM_SIZE = 65_536
_CSR_UP_TO_DENSITY = 0.08


def compact_layers(coefs, intercepts, activation):
    """Remove what cannot change the outputs of a network.

    Hidden units that no input reaches are constant: what they add goes into the biases
    of the next layer. Hidden units from which nothing leads on are dropped, and so are
    inputs that are not used. One sweep forwards and one backwards reach the fixpoint:
    dropping a unit takes no input from any other that is left.

    Parameters
    ----------
    coefs : list of ndarray of shape (fan_in, fan_out)
        Weights; pruned ones are 0.
    intercepts : list of ndarray of shape (fan_out,)
        Biases.
    activation : str
        Of the hidden units.

    Returns
    -------
    coefs, intercepts : list of ndarray
        The smaller network. A network whose outputs are constant is one layer without
        inputs.
    selected_features : ndarray of int of shape (n_selected,)
        The inputs that it uses, in their order.
    """
    coefs = [np.array(W, dtype=np.float64) for W in coefs]
    intercepts = [np.array(b, dtype=np.float64) for b in intercepts]
    for layer in range(len(coefs) - 1):
        constant = ~coefs[layer].any(axis=0)
        outputs = mlp.activate(intercepts[layer][constant], activation)
        intercepts[layer + 1] += outputs @ coefs[layer + 1][constant]
        coefs[layer + 1][constant] = 0.0
    for layer in range(len(coefs) - 2, -1, -1):
        used = coefs[layer + 1].any(axis=1)
        coefs[layer] = coefs[layer][:, used]
        intercepts[layer] = intercepts[layer][used]
        coefs[layer + 1] = coefs[layer + 1][used]
    selected = np.flatnonzero(coefs[0].any(axis=1))
    if selected.size == 0:
        return [np.zeros((0, len(intercepts[-1])))], intercepts[-1:], selected
    coefs[0] = coefs[0][selected]
    return coefs, intercepts, selected


def _is_classifier(compact):
    return compact.out_activation_ != "identity"


class CompactMLP(Versioned, Convertible):
    """The network of a fitted estimator without what does nothing, in plain numpy.

    Made by :meth:`ChaosCausalPrunedMLP.compact` and by :meth:`load_npz`. Its outputs
    are those of the estimator, to rounding. It takes the same rows, in all their
    columns, and picks those that it uses. A final step of a fitted Pipeline may be
    replaced by it.

    Parameters
    ----------
    coefs : list of ndarray or sparse array of shape (fan_in, fan_out)
        Weights of the layers that are left. Sparse ones have no entry twice, and stay
        sparse.
    intercepts : list of ndarray of shape (fan_out,)
        Biases.
    activation : {"identity", "logistic", "tanh", "relu"}
        Of the hidden units.
    out_activation : {"identity", "logistic", "softmax"}
        Of the output units.
    loss : {"log_loss", "squared_error", "huber"}
        What the network was trained to make small. Identity outputs are trained on
        "squared_error" or "huber", softmax outputs on "log_loss".
    n_features_in : int
        Columns of the rows that it takes.
    selected_features : ndarray of int of shape (n_selected,)
        The columns that are used.
    classes : ndarray of shape (n_classes,) or None, default=None
        Class labels, all different; None for a regressor.
    feature_names_in : ndarray of str of shape (n_features_in,) or None, default=None
        Names of the columns.
    target_mean, target_scale : float, default=0.0, 1.0
        A regressor's prediction is its output times the scale, which is positive, plus
        the mean.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; not there for a regressor.
    n_features_in_ : int
        Columns of the rows that it takes.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where they are known.
    selected_features_, unused_features_ : ndarray of int
        Columns that are used, and those that are not.
    layer_sizes_ : tuple of int
        Units per layer, used inputs and outputs included.
    storage_ : tuple of {"dense", "csr"}
        How each weight matrix is stored, whichever multiplies faster.
    n_weights_, n_parameters_ : int
        Weights that are not zero; these and the biases.
    nbytes : int
        Bytes of the weights, biases and ``selected_features_``, as they are stored.

    Raises
    ------
    ValueError
        If the parts do not fit together.

    See Also
    --------
    to_c : Write it, with the scalers before it, as a C header.
    to_onnx : Write it, with the scaler before it, as an ONNX file.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((32,), prune_ratio=0.9, max_iter=20,
    ...                              prune_criterion="magnitude", random_state=0)
    >>> compact = model.fit(scale(X), y).compact()
    >>> compact.n_parameters_ < model.n_parameters_ / 4
    True
    >>> bool((compact.predict(scale(X)) == model.predict(scale(X))).all())
    True
    """

    _learned = frozenset(
        ["_weights", "activation_", "intercepts_", "loss_", "n_features_in_"]
        + ["out_activation_", "selected_features_", "target_mean_", "target_scale_"]
    )

    def __init__(
        self,
        coefs,
        intercepts,
        *,
        activation,
        out_activation,
        loss,
        n_features_in,
        selected_features,
        classes=None,
        feature_names_in=None,
        target_mean=0.0,
        target_scale=1.0,
    ):
        for part in (*coefs, *intercepts):
            _validation.refuse_times(part, "a weight or bias")
        # copies, so that nobody else can change the network
        coefs = [_copy(W) for W in coefs]
        self.activation_ = activation
        self.out_activation_ = out_activation
        self.loss_ = loss
        self.n_features_in_ = n_features_in
        selected = np.array(selected_features)
        if selected.size == 0 or selected.dtype.kind == "u":
            selected = selected.astype(np.intp)
        self.selected_features_ = selected
        if classes is not None:
            self.classes_ = np.array(classes)
        if feature_names_in is not None:
            self.feature_names_in_ = np.array(feature_names_in)
        self.target_mean_ = target_mean
        self.target_scale_ = target_scale
        self.intercepts_ = [np.array(b, dtype=np.float64) for b in intercepts]
        faults = find_faults(self, coefs)
        if faults:
            raise ValueError(f"the {' and '.join(faults)} do not make a network.")
        self.target_mean_, self.target_scale_ = float(target_mean), float(target_scale)
        self.selected_features_ = selected.astype(np.intp)
        # transposed, so that sparse and dense products read their operands in order
        self._weights = [_store(W.T) for W in coefs]

    def predict(self, X):
        """Predict the class, or the target, of each row.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features_in_)
            Rows, scaled like the training rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of ``classes_``, or values in the units of the training target.

        Raises
        ------
        ValueError
            If rows are not finite or so large that the outputs overflow.
        """
        if _is_classifier(self):
            return self.classes_[np.argmax(self.predict_proba(X), axis=1)]
        z = self._logits(X)
        return mlp.in_target_units(z, self.target_mean_, self.target_scale_)

    @available_if(_is_classifier)
    def predict_proba(self, X):
        """Estimate the probability of each class; not there for a regressor.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features_in_)
            Rows, scaled like the training rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.

        Raises
        ------
        ValueError
            If rows are not finite or so large that the outputs overflow.
        """
        z = mlp.check_outputs(self._logits(X))
        return mlp.class_probabilities(z, self.out_activation_)

    def score(self, X, y, sample_weight=None):
        """Accuracy of a classifier, coefficient of determination R2 of a regressor.

        Parameters
        ----------
        X : array-like or sparse array of shape (n_samples, n_features_in_)
            Rows, scaled like the training rows.
        y : array-like of shape (n_samples,)
            True targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        score : float
            The best is 1.
        """
        from sklearn.metrics import accuracy_score, r2_score

        if not _is_classifier(self):
            _validation.refuse_times(y, "y")
        _validation.refuse_times(sample_weight, "sample_weight")
        metric = accuracy_score if _is_classifier(self) else r2_score
        return metric(y, self.predict(X), sample_weight=sample_weight)

    def fit(self, X, y=None):
        """Refuse: the network is finished. Pipelines look for this method.

        Parameters
        ----------
        X, y : object
            Not used.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "a CompactMLP is a finished network and cannot be fitted. Fit the "
            "estimator that it comes from, or train the net that to_skorch() returns."
        )

    def save_npz(self, path, *, dtype="float64"):
        """Write the network to a compressed file of plain arrays, without pickle.

        Parameters
        ----------
        path : str or path-like
            The file; written as it is named. An old one is replaced in one step, when
            the new one is complete.
        dtype : {"float64", "float32"}, default="float64"
            Precision of the weights and biases in the file. "float32" takes half of the
            bytes and rounds; the loaded network computes in float64 all the same.

        Raises
        ------
        OSError
            If the file or its folder cannot be written; an old file stays as it was.
        ValueError
            If ``dtype`` is another one, or too small for a weight or bias; if class
            labels or feature names are neither numbers, bools nor strings, or a string
            ends in NUL.
        TypeError
            If ``dtype`` is no string.

        Notes
        -----
        The file has two arrays of bytes: ``header``, in JSON, and ``data``. Matrices
        with few weights left are stored as values and places. A file of up to five
        layers has at most 600 bytes more than the numbers, places, labels and names.
        Earlier versions of the package cannot read it.

        The file is written to a temporary one in the same folder, which then takes its
        place; a process that is killed may leave that hidden ``.tmp`` file behind.
        """
        _validation.check_choice(dtype, "dtype", ("float64", "float32"))
        write_file(path, serialize_npz(self, dtype))

    @classmethod
    def load_npz(cls, path, *, max_bytes=2**30):
        """Read a network that :meth:`save_npz` wrote; runs no code from the file.

        Parameters
        ----------
        path : str or path-like
            The file.
        max_bytes : int, default=2**30
            Limit in bytes, for the file and for all of its arrays, inflated and in
            memory. Both are known before any array is inflated: a small file may hold a
            huge one. Loading takes up to three times as much memory.

        Returns
        -------
        compact : CompactMLP
            The network. Class labels and feature names of dtype object come back as
            numpy strings, numbers or bools.

        Raises
        ------
        MemoryError
            If the memory does not suffice.
        OSError
            If the file cannot be read.
        ValueError
            If the file is larger than ``max_bytes``, is not one of :meth:`save_npz`, or
            is damaged.
        """
        _validation.check_number(max_bytes, "max_bytes", "int", 1)
        content = read_file(path, max_bytes)
        with _explain_damage(path):
            stored = npz.read_header(content)
        check_size(path, stored.nbytes, max_bytes)
        with _explain_damage(path):
            return cls(**stored.read())

    def to_onnx(self, path):
        """Write the network as an ONNX file; see :func:`skchaosprune.to_onnx`.

        Parameters
        ----------
        path : str or path-like
            The file. An old one is replaced in one step, when the new one is complete.
        """
        write_file(path, serialize_onnx(self))

    def to_c(self, path, X=None, y=None, *, name=None, dtype="float32"):
        """Write the network as a C header; see :func:`skchaosprune.to_c`.

        Parameters
        ----------
        path : str or path-like
            The file. An old one is replaced in one step, when the new one is complete.
        X : array-like of shape (n_samples, n_features_in_) or None, default=None
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

        write_c(self, self, Affine.identity(self), path, X, y, name, dtype)

    def to_torch(self):
        """Build the network as a torch module.

        Returns
        -------
        module : torch.nn.Module
            Takes a tensor with all ``n_features_in_`` columns. Returns what
            enters the output activation, ``(n_samples, n_outputs)``; a regressor's
            predictions. Weights that are zero stay zero when it is trained.
        """
        from skchaosprune._training.export import MaskedMLP

        coefs = self.coefs_
        return MaskedMLP(
            coefs,
            self.intercepts_,
            masks=[W != 0.0 for W in coefs],
            activation=self.activation_,
            selected_features=self.selected_features_,
            target=(self.target_mean_, self.target_scale_),
        )

    def to_skorch(self, **settings):
        """Build an initialised skorch net, to train the compact network further.

        Parameters
        ----------
        **settings : dict
            Parameters of the skorch net, like ``lr``, ``max_epochs`` or ``callbacks``.
            The defaults are skorch's, but for ``train_split=None``.

        Returns
        -------
        net : skorch.NeuralNetClassifier or skorch.NeuralNetRegressor
            With the weights of this network. Trains on arrays (a data frame needs
            ``to_numpy()``) and class codes (0 to n_classes - 1), or targets in their
            units; ``fit`` and ``partial_fit`` both go on from these weights.
        """
        from skchaosprune._training.export import make_trainable_net

        return make_trainable_net(
            self.to_torch(), self.loss_, self.out_activation_, **settings
        )

    @property
    def coefs_(self):
        """Copies of the weights, dense and ``(fan_in, fan_out)`` as in scikit-learn."""
        return [
            (W if isinstance(W, np.ndarray) else W.toarray()).T.copy()
            for W in self._weights
        ]

    @property
    def storage_(self):
        """How each weight matrix is stored: "dense" or "csr".

        Sparse where the product is as fast or faster for one row and for a thousand:
        from 65,536 weights on, at most 8 % of them not zero (measured on one thread,
        see ``benchmarks/bench_compact.md``).
        """
        return tuple(
            "dense" if isinstance(W, np.ndarray) else "csr" for W in self._weights
        )

    @property
    def layer_sizes_(self):
        """Units per layer, used inputs and outputs included."""
        return (self._weights[0].shape[1], *(W.shape[0] for W in self._weights))

    @property
    def unused_features_(self):
        """Columns that change nothing."""
        return np.setdiff1d(np.arange(self.n_features_in_), self.selected_features_)

    @property
    def n_weights_(self):
        """Weights that are not zero."""
        return int(
            sum(
                np.count_nonzero(W if isinstance(W, np.ndarray) else W.data)
                for W in self._weights
            )
        )

    @property
    def n_parameters_(self):
        """Weights that are not zero, and biases."""
        return self.n_weights_ + sum(self.layer_sizes_[1:])

    @property
    def nbytes(self):
        """Bytes of weights, biases and selected features, as they are stored."""
        total = self.selected_features_.nbytes + sum(b.nbytes for b in self.intercepts_)
        for W in self._weights:
            parts = [W] if isinstance(W, np.ndarray) else [W.data, W.indices, W.indptr]
            total += sum(part.nbytes for part in parts)
        return total

    def __repr__(self):
        sizes = "-".join(str(size) for size in self.layer_sizes_)
        return (
            f"<CompactMLP {sizes}: {len(self.selected_features_)} of "
            f"{self.n_features_in_} inputs, {self.n_parameters_} parameters, "
            f"{self.nbytes} bytes, stored {' and '.join(self.storage_)}>"
        )

    def _build_onnx(self):
        return onnx.build_model(**_describe_for_onnx(self))

    def _logits(self, X):
        X = self._check_rows(X)
        n_rows = X.shape[0]
        if n_rows == 1:  # nothing to cut or to put together
            return self._forward(X)
        z = np.empty((n_rows, len(self.intercepts_[-1])))
        for rows in mlp.row_blocks(n_rows, self.layer_sizes_):
            z[rows] = self._forward(X[rows])
        return z

    # huge rows overflow here as they do in the estimator
    @np.errstate(over="ignore", invalid="ignore")
    def _forward(self, X):
        if isinstance(X, np.ndarray):
            columns = X.T.take(self.selected_features_, axis=0)
        else:
            columns = X[:, self.selected_features_].T.toarray(order="C")
        for W, b in zip(self._weights[:-1], self.intercepts_[:-1], strict=True):
            columns = W @ columns
            columns += b[:, np.newaxis]
            columns = mlp.activate(columns, self.activation_)
        columns = self._weights[-1] @ columns
        columns += self.intercepts_[-1][:, np.newaxis]
        return columns.T

    def _check_rows(self, X):
        names = [name for name in getattr(X, "columns", ()) if isinstance(name, str)]
        known = list(vars(self).get("feature_names_in_", names))
        if names and names != known:
            pairs = enumerate(zip(names, known, strict=False))
            n_same = min(len(names), len(known))
            place = next((i for i, (a, b) in pairs if a != b), n_same)
            raise ValueError(
                f"X has the columns {brief_list(names)}; the network was fitted on "
                f"{brief_list(known)}, and column {place} is the first that differs. "
                "Select and order the columns as in fit."
            )
        is_sparse = issparse(X)
        if not is_sparse:
            X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_ or X.shape[0] == 0:
            raise ValueError(
                f"X has the shape {X.shape}; it must be (n_samples, "
                f"{self.n_features_in_}), with at least one row and all columns of "
                "fit, also the unused ones."
            )
        if X.dtype.kind == "c":
            raise ValueError("X is complex; the network takes real numbers.")
        if X.dtype != np.float64:
            _validation.refuse_times(X, "X")
            with np.errstate(over="ignore"):
                X = X.astype(np.float64)
        values = X
        if is_sparse:
            X = _validation.canonical(X)
            values = X.data
        # all() takes twice as long for one row
        if np.count_nonzero(np.isfinite(values)) < values.size:
            raise ValueError(
                "X contains NaN or infinity; impute or remove these values first."
            )
        return X

    def _expected(self):
        outputs = vars(self).get("out_activation_", "identity")
        return super()._expected() | ({"classes_"} if outputs != "identity" else set())

    def __sklearn_is_fitted__(self):
        return True

    def __sklearn_clone__(self):
        return self

    def __sklearn_tags__(self):
        is_classifier = _is_classifier(self)
        return Tags(
            estimator_type="classifier" if is_classifier else "regressor",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if is_classifier else None,
            regressor_tags=None if is_classifier else RegressorTags(),
            input_tags=InputTags(sparse=True),
        )


def serialize_npz(compact, dtype="float64"):
    """Return the bytes of an npz file."""
    return npz.serialize(
        compact._weights,
        compact.intercepts_,
        dtype=dtype,
        activation=compact.activation_,
        out_activation=compact.out_activation_,
        loss=compact.loss_,
        n_features_in=compact.n_features_in_,
        selected_features=compact.selected_features_,
        classes=getattr(compact, "classes_", None),
        feature_names_in=getattr(compact, "feature_names_in_", None),
        target=[compact.target_mean_, compact.target_scale_],
    )


def serialize_onnx(compact, scaler=None):
    """Return the bytes of an ONNX file, with ``scaler`` (mean, scale) before it."""
    return onnx.serialize(**_describe_for_onnx(compact), scaler=scaler)


def _describe_for_onnx(compact):
    """Arguments of ``onnx.build_model``."""
    return {
        "coefs": compact.coefs_,
        "intercepts": compact.intercepts_,
        "activation": compact.activation_,
        "out_activation": compact.out_activation_,
        "n_features_in": compact.n_features_in_,
        "selected_features": compact.selected_features_,
        "classes": getattr(compact, "classes_", None),
        "target": (compact.target_mean_, compact.target_scale_),
    }


@contextmanager
def _explain_damage(path):
    """Turn what a file raises that is no network into one error."""
    try:
        yield
    except MemoryError:
        raise
    # what a damaged file raises depends on the damage: BadZipFile, zlib.error, ...
    except Exception as error:
        raise ValueError(
            f"{shorten(path, 300)} is not a network that CompactMLP.save_npz wrote, or "
            f"it is damaged: {shorten(error, 300)}"
        ) from error


def _copy(W):
    """Copy weights in double precision; those that are sparse stay sparse."""
    if not issparse(W):
        return np.asarray(W, dtype=np.float64) + 0.0  # -0.0 becomes 0.0
    W = csc_array(W, dtype=np.float64, copy=True)
    W.check_format(full_check=True)
    W.sort_indices()
    return W


def _store(W):
    """Store a matrix dense or sparse, whichever multiplies faster, or as it is."""
    if issparse(W):
        return W
    if W.size >= _CSR_FROM_SIZE and np.count_nonzero(W) <= _CSR_UP_TO_DENSITY * W.size:
        return csr_array(W)
    return np.ascontiguousarray(W)
