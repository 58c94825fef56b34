"""Functions that take an estimator or a whole model that contains one."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skchaosprune._affine import Affine, compose
from skchaosprune._export import runtime, skl2onnx
from skchaosprune._export.columns import describe_columns, feed_columns
from skchaosprune._files import write_file
from skchaosprune._text import shorten
from skchaosprune._to_c import write_c
from skchaosprune._unwrap import list_steps, put_network
from skchaosprune._warn import warn_all
from skchaosprune.compact import CompactMLP, serialize_onnx
from skchaosprune.estimators import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
)

# Rows that a file of skl2onnx is compared on, and the largest difference that is not
# worth a warning: of probabilities, or as a share of the largest prediction.
_N_COMPARED, _LARGEST_DIFFERENCE = 1_000, 1e-4


def to_c(model, path, X=None, y=None, *, name=None, dtype="float32"):
    """Write a fitted network as one C header, for a microcontroller.

    Parameters
    ----------
    model : estimator, CompactMLP or Pipeline
        A fitted :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, its compact form, or a fitted Pipeline
        of one of these behind scalers: StandardScaler, MinMaxScaler, MaxAbsScaler,
        RobustScaler, selectors of features, ``"passthrough"``, and ColumnTransformers
        and Pipelines of these.
    path : str or path-like
        The file. An old one is replaced in one step, when the new one is complete.
    X : array-like or sparse array of shape (n_samples, n_features), default=None
        Rows like those of the training, as ``model`` takes them. Integers are fitted to
        them, so "int8" and "int16" need some; and a warning says if the numbers of the
        file cost accuracy on them.
    y : array-like of shape (n_samples,) or None, default=None
        Their targets, for that warning; None takes what ``model`` predicts for true.
    name : str or None, default=None
        What all names in the file start with: a letter, then letters, digits and
        underscores. None takes the name of the file, ``my_net`` of ``my-net.h``.
    dtype : {"float32", "int8", "int16"}, default="float32"
        Numbers of the weights. With integers the products and sums are integers, too.

    Raises
    ------
    OSError
        If the file or its folder cannot be written; an old file stays as it was.
    TypeError
        If ``model`` is none of these, or a Pipeline has other steps.
    ValueError
        If ``dtype`` or ``name`` is not valid, ``X`` is needed, or ``X`` or ``y`` does
        not fit, a number is too large for single precision, or a class label is no
        string in C.
    NotFittedError
        If ``model`` is not fitted.

    Warns
    -----
    UserWarning
        If integers, or single precision of the rows, cost more than half a point of
        accuracy on ``X``; of a regressor .005 of the variance of the training target.

    Notes
    -----
    The file is C99 and C++, without malloc and static variables, and includes
    ``math.h`` and ``stdint.h`` only. It defines, here for the name ``net``:

    - ``int net_predict(const float *x)``, the index of the class in ``classes_``; of a
      regressor ``float``, the value in units of the target;
    - ``void net_predict_proba(const float *x, float *p)``, one probability per class;
    - the macros ``NET_N_FEATURES``, ``NET_N_CLASSES`` and ``NET_CLASS_LABELS``, an
      initialiser of strings.

    ``x`` holds a row as ``model`` takes it, unscaled where scalers are part of the
    file. NaN is not looked for.

    The network is the compact one. Each layer stores the number, the columns and the
    values of the weights that are left, or all weights where that is smaller. Scalers
    cost no more than the means, which are subtracted in the input.

    In single precision, probabilities agree with those of ``model`` to 2e-6 where the
    sums of a unit stay below 30. Integers have one scale per unit, activations have 16
    bits, and sums have 32, which none can leave, whatever the row: in layers of
    thousands of inputs "int16" is therefore no better than "int8". Inputs and hidden
    units may be twice as far out as on ``X``; beyond that they are cut off. The other
    activations than relu and identity are computed in single precision.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skchaosprune import ChaosCausalPrunedMLP, to_c
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = ChaosCausalPrunedMLP((8,), max_iter=40, random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     to_c(model, f"{folder}/iris.h")
    """
    *before, network = list_steps(model)
    if not _is_network(network):
        raise TypeError(
            "to_c takes a fitted ChaosCausalPrunedMLP, its regressor, a CompactMLP, or "
            "a Pipeline of scalers and one of these (of a search its best_estimator_). "
            f"Got {_name_type(network)} instead."
        )
    compact = _make_compact(network)
    affine = _read_scalers(before, compact)
    write_c(model, compact, affine, path, X, y, name, dtype)


def to_onnx(model, path, X=None):
    """Write a fitted network, or a whole model that contains one, as an ONNX file.

    Parameters
    ----------
    model : estimator, CompactMLP, Pipeline or ensemble
        A fitted :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, its compact form, a fitted Pipeline
        with one of these behind a :class:`~sklearn.preprocessing.StandardScaler`, or
        any other fitted model with one of these in it that skl2onnx can convert.
    path : str or path-like
        The file. An old one is replaced in one step, when the new one is complete.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Raw rows, like those of ``predict``, that show the columns and their types; one
        row suffices where it has no missing values. Only for models beyond an
        estimator, a CompactMLP or one of these behind a StandardScaler, which ignore
        it.

    Raises
    ------
    ImportError
        If onnx is not installed, or skl2onnx where it is needed.
    OSError
        If the file or its folder cannot be written; an old file stays as it was.
    TypeError
        If ``model`` contains none of our networks, or is a search.
    ValueError
        If class labels are neither valid Unicode nor whole numbers, a number is too
        large for single precision, ``X`` is needed and missing, a column is neither
        numbers nor strings, or skl2onnx cannot convert a part of the model.
    NotFittedError
        If ``model`` is not fitted.

    Warns
    -----
    UserWarning
        If a file that skl2onnx made predicts otherwise than ``model`` on ``X``: other
        labels, or numbers that differ by more than 1e-4.

    Notes
    -----
    The graph is the compact network in single precision (operator set 17). Its input
    ``X`` is a float32 tensor ``(n_samples, n_features_in_)``; a scaler works in double
    precision. A classifier has the outputs ``label``, int64 or string
    ``(n_samples,)``, and ``probabilities``, float32 ``(n_samples, n_classes)``; bools
    become 0 and 1. A regressor has the output ``prediction``, float32 ``(n_samples,)``.
    Weight matrices of which few entries are left are stored as values and places, and
    put together once, when the file is loaded.

    Other models are converted by skl2onnx, with the same outputs. Their inputs follow
    ``X``: an array is the input ``X``, a data frame has one input ``(n_samples, 1)``
    for each column, with its name. Numbers and bools are float32, with NaN for missing
    values; strings are string tensors, with ``"nan"`` for NaN and ``"None"`` for None.
    Where onnxruntime is installed, the file is run on up to 1,000 rows of ``X`` and
    compared with the model. The user guide says what is not supported.

    The file is written to a temporary one in the same folder, which then takes its
    place; a process that is killed may leave that hidden ``.tmp`` file behind.

    Probabilities agree with those of the estimator to 1e-5, usually to 1e-6, unless
    rows lose digits in single precision or the network computes with values in the
    hundreds, as without a scaler. A regressor's predictions have six to seven digits.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skchaosprune import ChaosCausalPrunedMLP, to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = ChaosCausalPrunedMLP((8,), max_iter=40, random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     to_onnx(model, f"{folder}/iris.onnx")
    """
    parts = _split(model)
    if parts is not None:
        scaler, network = parts
        write_file(path, serialize_onnx(network, scaler))
        return
    networks = _list_networks(model)
    if X is None:
        raise ValueError(
            f"X=None is not enough for this {_name_type(model)}: pass raw "
            "rows, to_onnx(model, path, X), that show the columns and their types."
        )
    write_file(path, _serialize_by_skl2onnx(model, X, networks))


def to_compact(model):
    """Return a fitted model with the compact form of the network at its end.

    Parameters
    ----------
    model : estimator, CompactMLP or Pipeline
        A fitted :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, its compact form, or a fitted Pipeline,
        also of Pipelines, that ends in one of these. It stays as it is.

    Returns
    -------
    compact : CompactMLP or Pipeline
        Of a Pipeline a new one. It shares the fitted transformers, all of them, with
        the old one; its last step is a :class:`CompactMLP`.

    Raises
    ------
    TypeError
        If ``model`` is none of these.
    NotFittedError
        If the network is not fitted.

    See Also
    --------
    to_onnx : Write a whole model as an ONNX file.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skchaosprune import ChaosCausalPrunedMLP, to_compact
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = ChaosCausalPrunedMLP((8,), max_iter=40, random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> compact = to_compact(model)
    >>> compact[-1].n_features_in_
    4
    >>> bool((compact.predict(X) == model.predict(X)).all())
    True
    """
    last = list_steps(model)[-1]
    if not _is_network(last):
        raise TypeError(
            "to_compact takes a fitted ChaosCausalPrunedMLP, its regressor, a "
            "CompactMLP, or a Pipeline that ends in one of these (of a search its "
            f"best_estimator_). Got {_name_type(last)} instead."
        )
    return put_network(model, _make_compact(last))


def register_onnx_converters():
    """Let skl2onnx find our networks in ensembles.

    Only for calls of ``skl2onnx.to_onnx`` with an ensemble of our estimators, like a
    :class:`~sklearn.ensemble.VotingClassifier`: call it once before.
    :func:`skchaosprune.to_onnx` does it itself, and pipelines do not need it. All of
    these let skl2onnx convert a :class:`~sklearn.impute.SimpleImputer` of doubles or of
    strings with missing values, too, unless it has been given another converter.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    """
    for kind in ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor, CompactMLP:
        skl2onnx.register(kind)


def _is_network(model):
    return isinstance(model, CompactMLP) or hasattr(type(model), "weight_table")


def _name_type(model):
    return shorten(type(model).__name__)


def _make_compact(network):
    return network if isinstance(network, CompactMLP) else network.compact()


def _split(model):
    """Split into mean and scale of a scaler, or None, and a compact network.

    None for what is not a network, or one behind a StandardScaler.
    """
    *before, network = list_steps(model)
    is_scaled = [type(step) for step in before] == [StandardScaler]
    if not _is_network(network) or not (is_scaled or not before):
        return None
    scale = None
    if before:
        (scaler,) = before
        check_is_fitted(scaler)
        scale = scaler.mean_ if scaler.with_mean else None, scaler.scale_
    return scale, _make_compact(network)


def _list_networks(model):
    """List the classes of the networks in a model."""
    is_search = hasattr(model, "best_estimator_")
    parts = [model]
    if isinstance(model, BaseEstimator) and not is_search:
        parts += model.get_params().values()
    # skl2onnx cannot convert these, and says so
    parts += [part.estimator for part in parts if isinstance(part, FrozenEstimator)]
    kinds = {type(part) for part in parts if _is_network(part)}
    if not kinds:
        raise TypeError(
            "to_onnx takes a fitted ChaosCausalPrunedMLP, its regressor, a CompactMLP, "
            "or a Pipeline or an ensemble with one of these (of a search its "
            f"best_estimator_). Got {_name_type(list_steps(model)[-1])} instead."
        )
    return kinds


def _serialize_by_skl2onnx(model, X, networks):
    if not hasattr(X, "iloc"):
        X = X.tocsr() if issparse(X) else np.asarray(X)
    name = _name_type(model)
    inputs = describe_columns(X)
    first, some = (
        X.iloc[:n_rows] if hasattr(X, "iloc") else X[:n_rows]
        for n_rows in (1, _N_COMPARED)
    )
    model.predict(first)  # asks scikit-learn whether it is fitted, on such columns
    joined = model
    if len({is_text for _, is_text, _ in inputs}) == 1:
        joined = skl2onnx.join_columns(model, first)
    try:
        content = skl2onnx.serialize(joined, inputs, networks)
        outputs = runtime.run(content, feed_columns(some, inputs))
    except ImportError:
        raise
    except Exception as error:  # neither has a class of its own for all of its errors
        raise ValueError(
            f"to_onnx cannot convert this {name}: {shorten(error, 500).rstrip('.')}. "
            "Replace this part, put a ColumnTransformer before an ensemble and not in "
            "it, or export the network alone, and do the rest outside of ONNX."
        ) from error
    if outputs is not None:
        warn_all(_describe_differences(model, some, outputs))
    return content


def _describe_differences(model, X, outputs):
    """Say if a file predicts otherwise than the model."""
    expected = model.predict(X)
    if "prediction" in outputs:
        what, differs = "values", _differ(outputs["prediction"], expected, expected)
    else:
        what, found = "labels", outputs["label"]
        clear = np.ones(len(found), dtype=bool)
        if hasattr(model, "predict_proba"):
            right = model.predict_proba(X)
            second, first = np.sort(right, axis=1)[:, -2:].T
            clear = first - second > 2.0 * _LARGEST_DIFFERENCE
        differs = clear & (found != expected.astype(found.dtype))
        if hasattr(model, "predict_proba") and not differs.any():
            what = "probabilities"
            differs = _differ(outputs["probabilities"], right, np.ones(1)).any(axis=1)
    if not differs.any():
        return []
    return [
        f"the ONNX file gives other {what} than the {_name_type(model)} for "
        f"{differs.sum()} of {len(differs)} rows of X. Look for a part whose converter "
        "in skl2onnx is not exact, or for numbers that single precision rounds."
    ]


def _differ(found, expected, scale):
    """Tell which numbers differ by more than the tolerance, as a share of a scale."""
    scale = np.abs(scale).max(initial=np.finfo(np.float32).tiny)
    return ~(np.abs(found - expected) <= _LARGEST_DIFFERENCE * scale)


def _read_scalers(steps, network):
    """Return the affine map of the steps before a network."""
    first = steps[0] if steps else network
    check_is_fitted(first)
    # a transformer of the user's may have no such attribute, and is refused below
    affine = Affine.identity(first if hasattr(first, "n_features_in_") else network)
    for step in steps:
        affine = compose(affine, step)
    return affine
