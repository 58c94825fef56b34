"""Names and types of the columns of raw rows."""

import math
from numbers import Real

import numpy as np

from skchaosprune._text import brief, brief_list

_OUTPUTS = ("label", "probabilities", "prediction")


def describe_columns(X):
    """Describe the inputs that a file needs for such rows.

    Parameters
    ----------
    X : DataFrame, ndarray or sparse array of shape (n_samples, n_features)
        At least one row.

    Returns
    -------
    inputs : list of (name, is_text, n_columns)
        One input for each column of a frame, or one for all.

    Raises
    ------
    ValueError
        If there is no row, or a column is neither all numbers nor all strings.
    """
    if not hasattr(X, "iloc"):
        if X.ndim != 2 or X.shape[0] == 0:
            raise ValueError(
                f"X has the shape {X.shape}; pass at least one row of shape "
                "(n_samples, n_features)."
            )
        return [("X", _is_text(X, "X"), X.shape[1])]
    if X.ndim != 2:
        raise ValueError(f"X is a {type(X).__name__}; pass a frame, X.to_frame().T.")
    if X.size == 0 or not X.columns.is_unique:
        raise ValueError(
            f"X has {len(X)} rows and the columns {brief_list(list(X.columns))}; pass "
            "at least one row and one column, all with different names."
        )
    for name in map(str, X.columns):
        if name in _OUTPUTS or not name:
            raise ValueError(
                f"X has a column called {name!r}, as no input of an ONNX file may be. "
                "Rename it, and fit again."
            )
    return [
        (str(name), _is_text(X[name], f"X[{brief(name, 40)}]"), 1) for name in X.columns
    ]


def feed_columns(X, inputs):
    """Return what a file is given for such rows, by the names of its inputs.

    Parameters
    ----------
    X : DataFrame, ndarray or sparse array of shape (n_samples, n_features)
        Rows.
    inputs : list of (name, is_text, n_columns)
        From :func:`describe_columns`.

    Returns
    -------
    feed : dict
        Arrays of shape (n_samples, n_columns): single precision with NaN for missing
        values, or objects.
    """
    if not hasattr(X, "iloc"):
        ((name, is_text, _),) = inputs
        X = X.toarray() if hasattr(X, "toarray") else X
        return {name: X.astype(object if is_text else np.float32)}
    return {
        name: X.iloc[:, [place]].to_numpy(object)
        if is_text
        else X.iloc[:, [place]].to_numpy(np.float32, na_value=np.nan)
        for place, (name, is_text, _) in enumerate(inputs)
    }


def _is_text(values, name):
    """Tell strings from numbers; missing values are neither."""
    if values.dtype.kind in "biuf":
        return False
    present = values.dropna() if hasattr(values, "dropna") else values.ravel()
    present = [value for value in present.tolist() if not _is_missing(value)]
    for kind in str, Real:
        if all(isinstance(value, kind) for value in present):
            return kind is str
    raise ValueError(
        f"{name} has the dtype {values.dtype} and is neither all numbers nor all "
        "strings; convert it, or pass a data frame with one type per column."
    )


def _is_missing(value):
    return value is None or (isinstance(value, float) and math.isnan(value))
