"""Functions that take an estimator or the whole pipeline that ends in it."""

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skchaosprune._affine import Affine, compose
from skchaosprune._files import write_file
from skchaosprune._text import brief_list, shorten
from skchaosprune._to_c import write_c
from skchaosprune.compact import CompactMLP, serialize_onnx


def to_onnx(estimator, path):
    """Write a fitted network as an ONNX file.

    Parameters
    ----------
    estimator : estimator, CompactMLP or Pipeline
        A fitted :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, its compact form, or a fitted Pipeline
        of one of these behind a :class:`~sklearn.preprocessing.StandardScaler`.
    path : str or path-like
        The file. An old one is replaced in one step, when the new one is complete.

    Raises
    ------
    ImportError
        If onnx is not installed.
    OSError
        If the file or its folder cannot be written; an old file stays as it was.
    TypeError
        If ``estimator`` is none of these, or a Pipeline has other steps.
    ValueError
        If class labels are neither valid Unicode nor whole numbers, or a number is too
        large for single precision.
    NotFittedError
        If ``estimator`` is not fitted.

    Notes
    -----
    The graph is the compact network in single precision (operator set 17). Its input
    ``X`` is a float32 tensor ``(n_samples, n_features_in_)``; a scaler works in double
    precision. A classifier has the outputs ``label``, int64 or string
    ``(n_samples,)``, and ``probabilities``, float32 ``(n_samples, n_classes)``; bools
    become 0 and 1. A regressor has the output ``prediction``, float32 ``(n_samples,)``.
    Weight matrices of which few entries are left are stored as values and places, and
    put together once, when the file is loaded.

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
    scaler, network = _split(estimator)
    if hasattr(network, "compact"):
        network = network.compact()
    if not isinstance(network, CompactMLP):
        raise TypeError(
            "to_onnx takes a fitted ChaosCausalPrunedMLP, its regressor, a CompactMLP, "
            "or a Pipeline of a StandardScaler and one of these (of a search its "
            f"best_estimator_). Got {shorten(type(network).__name__)} instead."
        )
    write_file(path, serialize_onnx(network, scaler))


def _split(estimator):
    """Split into mean and scale of a scaler, or None, and what comes last."""
    if not isinstance(estimator, Pipeline):
        return None, estimator
    steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    before = steps[:-1]
    if len(before) > 1 or not all(type(step) is StandardScaler for step in before):
        names = brief_list([type(step).__name__ for step in steps])
        raise TypeError(
            "to_onnx takes a Pipeline of a StandardScaler and one of our "
            f"estimators. Got the steps {names}. Export the last step alone, and "
            "do what comes before outside of ONNX."
        )
    if not before:
        return None, steps[-1] if steps else None
    scaler, network = steps
    check_is_fitted(scaler)
    return (scaler.mean_ if scaler.with_mean else None, scaler.scale_), network


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
    X : array-like of shape (n_samples, n_features) or None, default=None
        Rows that integers are fitted to, like those of the training, as ``model`` takes
        them. Needed for "int8" and "int16", not used for "float32".
    y : array-like of shape (n_samples,) or None, default=None
        Their targets, to warn of a loss of accuracy; None takes what ``model`` predicts
        for the truth.
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
        If ``dtype`` or ``name`` is not valid, ``X`` is needed or does not fit, a number
        is too large for single precision, or a class label is no string in C.
    NotFittedError
        If ``model`` is not fitted.

    Warns
    -----
    UserWarning
        If integers cost more than half a point of accuracy, or .005 of R2, on ``X``.

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
    bits, and sums have 32, which none can leave, whatever the row. Inputs and hidden
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
    before, network = _split_steps(model)
    if hasattr(network, "compact"):
        network = network.compact()
    if not isinstance(network, CompactMLP):
        raise TypeError(
            "to_c takes a fitted ChaosCausalPrunedMLP, its regressor, a CompactMLP, or "
            "a Pipeline of scalers and one of these (of a search its best_estimator_). "
            f"Got {shorten(type(network).__name__)} instead."
        )
    write_c(model, network, _read_scalers(before, network), path, X, y, name, dtype)


def _split_steps(model):
    """List what a Pipeline does before its last step, and return that step."""
    before = []
    while isinstance(model, Pipeline):
        *others, (_, model) = model.steps
        before += [step for _, step in others]
    return [step for step in before if step not in (None, "passthrough")], model


def _read_scalers(steps, network):
    """Return the affine map of the steps before a network."""
    first = steps[0] if steps else network
    check_is_fitted(first)
    affine = Affine.identity(first)
    for step in steps:
        affine = compose(affine, step)
        if affine is None:
            raise TypeError(
                "to_c takes StandardScaler, MinMaxScaler, MaxAbsScaler and "
                "RobustScaler before the network, none of which clips, selectors of "
                "features, and ColumnTransformers of these. Got the step "
                f"{shorten(type(step).__name__)}. Export the last step alone, and do "
                "what comes before outside of C, or use to_onnx."
            )
    return affine
