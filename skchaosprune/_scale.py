"""Rows that are not scaled, rows unlike those of the fit, rows far from all others.

The thresholds were measured: see ``benchmarks/check_scale.md``.
"""

import numpy as np

from skchaosprune._text import brief

# A column is too large above this mean absolute value, of values cut at the second
# number, so that heavy tails do not count. After a StandardScaler, MinMaxScaler or
# MaxAbsScaler it is at most 1, after a QuantileTransformer 5.2.
_LARGEST_SIZE, _CUT = 6.0, 100.0

# All columns are too small below this root of their summed variances, if none ranges
# over as much as the second number.
_SMALLEST_SPREAD, _SMALLEST_RANGE = 0.1, 0.5

# A column is unlike that of the fit if more than this share of the rows is out of its
# range there by more than this share of its width, more for a fit on few rows.
_SHARE, _MARGIN, _MARGIN_OF_ONE_ROW = 0.5, 0.5, 5.0
_FEWEST_OUT = 2

# All columns are unlike if each varies less than this share of what it did in the fit.
_SPREAD, _FEWEST_SPREAD = 1.0 / 3.0, 10

_FAR = 5.0  # a row whose norm is so many medians may make a training diverge
_HEAVY = 10.0  # as may one whose weight is so many means

_N_NAMED = 3  # columns in a message
_BLOCK_ELEMENTS = 500_000


def column_sizes(X, sample_weight, *, cut=np.inf, centre=0.0):
    """Return the weighted mean absolute value of each column.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Finite.
    sample_weight : ndarray of shape (n_rows,)
        Positive.
    cut : float, default=inf
        Absolute values above it count as this.
    centre : float or ndarray of shape (n_features,), default=0.0
        Subtracted first.

    Returns
    -------
    sizes : ndarray of shape (n_features,)
        At most 1 after a StandardScaler, whatever the columns: the mean absolute value
        is at most the standard deviation.
    """
    shares = sample_weight / sample_weight.sum()  # first, as sums may overflow
    sizes = np.zeros(X.shape[1])
    step = max(1, _BLOCK_ELEMENTS // X.shape[1])
    with np.errstate(over="ignore"):  # near the largest float
        for first in range(0, len(X), step):
            rows = slice(first, first + step)
            sizes += shares[rows] @ np.minimum(np.abs(X[rows] - centre), cut)
    return sizes


def is_scaled(X, sample_weight):
    """Return whether the columns have a size that the network is made for."""
    sizes = column_sizes(X, sample_weight, cut=_CUT)
    return bool((sizes <= _LARGEST_SIZE).all()) and not _is_tiny(X, sample_weight)


def _is_tiny(X, sample_weight):
    """Return whether rows differ by far less than the network is made for."""
    with np.errstate(over="ignore"):
        widths = np.ptp(X, axis=0)
    if not widths.any() or widths.max() >= _SMALLEST_RANGE:
        return False
    shares = sample_weight / sample_weight.sum()
    variances = shares @ (X - shares @ X) ** 2
    return bool(variances.sum() < _SMALLEST_SPREAD**2)


def explain_scale(X, sample_weight, names=None):
    """Say which columns are not scaled, and what to do; None where all are.

    Parameters
    ----------
    X, sample_weight : ndarrays
        As in :func:`column_sizes`.
    names : sequence of str or None, default=None
        Of the columns; None numbers them from 0.

    Returns
    -------
    text : str or None
        The worst columns, with their mean absolute values.
    """
    too_large = column_sizes(X, sample_weight, cut=_CUT) > _LARGEST_SIZE
    if too_large.any():
        sizes = np.where(too_large, column_sizes(X, sample_weight), 0.0)
        largest = np.argsort(-sizes, kind="stable")[:_N_NAMED]
        shown = [
            f"{_name(column, names)} (about {_round(sizes[column])})"
            for column in largest
            if too_large[column]
        ]
        more = _count_more(np.count_nonzero(too_large) - len(shown), len(sizes))
        what = f"the mean absolute value is far above 1 in {', '.join(shown)}{more}"
    elif _is_tiny(X, sample_weight):
        widest = np.argmax(np.ptp(X, axis=0))
        what = (
            f"no column varies as much as {_name(widest, names)}, from "
            f"{_range(X[:, widest].min(), X[:, widest].max())}"
        )
    else:
        return None
    return (
        f"X is not scaled: {what}. A network learns little from such rows, or nothing. "
        "Put a StandardScaler before it: make_pipeline(StandardScaler(), ...)."
    )


def describe_rows(X):
    """Return what new rows are compared with.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows of a fit.

    Returns
    -------
    seen : dict
        ``low``, ``high`` and ``spread`` of each column, its mean absolute deviation,
        and ``n_rows``.
    """
    return {
        "low": X.min(axis=0),
        "high": X.max(axis=0),
        "spread": _spread(X),
        "n_rows": len(X),
    }


def _spread(X):
    """Mean absolute deviation of each column."""
    ones = np.ones(len(X))
    with np.errstate(over="ignore"):
        centre = (ones / len(X)) @ X
    return column_sizes(X, ones, centre=centre)


def explain_unlike(X, seen, names=None):
    """Say in which columns rows are unlike those of a fit; None if in none.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        New rows.
    seen : dict
        From :func:`describe_rows`.
    names : sequence of str or None, default=None
        Of the columns; None numbers them from 0.

    Returns
    -------
    text : str or None
        The worst columns, with their values and those of the fit.
    """
    low, high = seen["low"], seen["high"]
    varies = high > low  # a constant column has no range to compare with
    with np.errstate(over="ignore", invalid="ignore"):
        reach = (_MARGIN + _MARGIN_OF_ONE_ROW / seen["n_rows"]) * (high - low)
        is_out = (X < low - reach) | (X > high + reach)
    n_out = np.sum(is_out & varies, axis=0)
    worst = np.argsort(-n_out, kind="stable")
    worst = worst[(n_out[worst] > _SHARE * len(X)) & (n_out[worst] >= _FEWEST_OUT)]
    if worst.size:
        what = f"{n_out[worst[0]]} of {len(X)} rows are far out of the range"
    elif len(X) >= _FEWEST_SPREAD and varies.any():
        if not np.all(_spread(X)[varies] < _SPREAD * seen["spread"][varies]):
            return None
        worst, what = np.flatnonzero(varies), "all columns vary far less"
    else:
        return None
    shown = [
        f"{_name(column, names)} ({_range(X[:, column].min(), X[:, column].max())}; "
        f"in fit {_range(low[column], high[column])})"
        for column in worst[:_N_NAMED]
    ]
    more = _count_more(worst.size - len(shown), X.shape[1])
    return (
        f"X is unlike the rows of fit: {what}, as {', '.join(shown)}{more}. Scale X as "
        "in fit: the last step of a pipeline takes pipeline[:-1].transform(X)."
    )


def explain_divergence(data, places, names=None):
    """Say what in the rows may have made a training diverge; None if nothing does.

    Parameters
    ----------
    data : TrainingData
        Training rows.
    places : ndarray of int of shape (n_rows,)
        Which rows of the ``X`` given to ``fit`` they are.
    names : sequence of str or None, default=None
        Of the columns; None numbers them from 0.

    Returns
    -------
    text : str or None
        Unscaled columns, or else the row that is farthest out and its column, or the
        row with the largest weight.
    """
    text = explain_scale(data.X, data.sample_weight, names)
    if text is not None:
        return text
    with np.errstate(over="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", data.X, data.X))
    row, usual = np.argmax(norms), np.median(norms)
    if norms[row] > _FAR * usual:
        column = np.argmax(np.abs(data.X[row]))
        return (
            f"Row {places[row]} of X has the norm {norms[row]:.3g}, where the median "
            f"is {usual:.3g}, with {data.X[row, column]:.3g} in {_name(column, names)}"
            f"{_count_far(norms, usual)}. A row that far out makes steps too large, "
            "also behind a scaler: correct, clip or drop the value."
        )
    row = np.argmax(data.sample_weight)
    if data.sample_weight[row] > _HEAVY:
        return (
            f"Row {places[row]} of X has {data.sample_weight[row]:.3g} times the mean "
            "weight, which makes steps too large: use more even weights."
        )
    return None


def _count_far(norms, usual):
    n_others = np.count_nonzero(norms > _FAR * usual) - 1
    return f" ({n_others} more rows are beyond {_FAR:g} medians)" if n_others else ""


def _name(column, names):
    return f"column {column if names is None else brief(names[column], 40)}"


def _count_more(n_more, n_columns):
    if n_more == 0:
        return ""
    return f" and {n_more} more of {n_columns} columns"


def _round(size):
    """Write a size with one digit that counts, as more differ from fold to fold."""
    size = float(f"{size:.0e}")
    return f"{size:,.0f}" if size < 1e6 else f"{size:.0e}"


def _range(low, high):
    return f"{low:.3g} to {high:.3g}"
