"""Functions that take an estimator or the whole pipeline that ends in it."""

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skchaosprune._files import write_file
from skchaosprune._text import brief_list, shorten
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
