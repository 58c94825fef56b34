"""Rows that are not scaled, rows unlike those of the fit, rows far from all others.

The thresholds were measured: see ``benchmarks/check_scale.md``.
"""

import numpy as np
from scipy.sparse import issparse
from scipy.stats import betabinom, binom

from skchaosprune._network.rows import as_dense, column_blocks, map_columns
from skchaosprune._text import brief

# A column is too large if its root mean square and the median size of what is not 0
# are above this. After a StandardScaler the first is 1; after a QuantileTransformer
# both are at most 5.2; of a heavy tail the second is small, of rare amounts it is not.
_LARGEST_SIZE = 6.0

# All columns are too small below this root of their summed variances, if none ranges
# over as much as the second number.
_SMALLEST_SPREAD, _SMALLEST_RANGE = 0.1, 0.5

# A column is unlike that of the fit if more than this share of the rows is above its
# range there, or below, by more than this share of its width, and chance would hardly
# do that.
_SHARE, _MARGIN, _CHANCE = 0.5, 0.5, 0.01
_NO_WIDTH = 1e-9  # of the largest value: rounding, as in the last component of a PCA

# A step may make a training diverge if the rate times the squared norm of the row is
# above this, where the gradient of the loss is bounded and where it is not; a row or
# target is far out if it is so many times what is usual. It is not alone if this share
# of the rows is.
_LARGEST_STEP, _LARGEST_UNBOUNDED = 2.0, 0.25
_FAR, _MANY = 10.0, 0.01

_N_NAMED = 3  # columns in a message


def is_scaled(X):
    """Return whether the columns have a size that the network is made for.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_rows, n_features)
        Finite.
    """
    return not (_typical_sizes(X) > _LARGEST_SIZE).any() and not _is_tiny(X)


def _typical_sizes(X):
    """Median absolute value of what is not 0, of large columns; 0 for the others."""
    return map_columns(_sizes_of_columns, X)


def _sizes_of_columns(X):
    sizes = np.zeros(X.shape[1])
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->j", X, X)
        for column in np.flatnonzero(squares > len(X) * _LARGEST_SIZE**2):
            values = np.abs(X[:, column])
            sizes[column] = np.median(values[values > 0.0])
    return sizes


def _is_tiny(X):
    """Return whether rows differ by far less than the network is made for."""
    for rows in (X[:100], X):  # the first of which nearly always suffice
        widths = _widths(rows)
        if widths.max() >= _SMALLEST_RANGE:
            return False
    if not widths.any():
        return False
    variances = (np.var(column) for _, part in column_blocks(X) for column in part.T)
    return bool(sum(variances) < _SMALLEST_SPREAD**2)


@np.errstate(over="ignore")
def _widths(X):
    """Range of each column."""
    return map_columns(lambda part: np.ptp(part, axis=0), X)


def explain_scale(X, names=None):
    """Say which columns are not scaled, and what to do; None where all are.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_rows, n_features)
        Finite.
    names : sequence of str or None, default=None
        Of the columns; None numbers them from 0.

    Returns
    -------
    text : str or None
        The worst columns, with the median sizes of what is not 0.
    """
    text = _explain_large(X, names)
    if text is None and _is_tiny(X):
        widest = np.argmax(_widths(X))
        text = (
            f"all columns vary little; the widest, {_name(widest, names)}, ranges from "
            f"{_range(as_dense(X[:, [widest]]))}"
        )
    if text is None:
        return None
    return (
        f"X is not scaled: {text}. A network learns little from such rows, or nothing. "
        f"Put a StandardScaler right before it: make_pipeline({_scaler(X)}, ...)."
    )


def _scaler(X):
    """Write the scaler for such rows, which it cannot center if they are sparse."""
    return f"StandardScaler({'with_mean=False' if issparse(X) else ''})"


def _explain_large(X, names):
    sizes = _typical_sizes(X)
    largest = np.argsort(-sizes, kind="stable")
    largest = largest[sizes[largest] > _LARGEST_SIZE]
    if largest.size == 0:
        return None
    shown = [
        f"{_name(column, names)} (about {_round(sizes[column])})"
        for column in largest[:_N_NAMED]
    ]
    more = _count_more(largest.size, X.shape[1])
    return f"values are far above 1 in {', '.join(shown)}{more}"


def describe_rows(X):
    """Return what new rows are compared with.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_rows, n_features)
        Rows of a fit.

    Returns
    -------
    seen : dict
        ``low`` and ``high``, the range of each column, and ``n_rows``.
    """
    low, high = map_columns(lambda part: np.stack([part.min(0), part.max(0)]), X)
    return {"low": low, "high": high, "n_rows": X.shape[0]}


def explain_unlike(X, seen, names=None):
    """Say in which columns rows are unlike those of a fit; None if in none.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_rows, n_features)
        New rows.
    seen : dict
        From :func:`describe_rows`.
    names : sequence of str or None, default=None
        Of the columns; None numbers them from 0.

    Returns
    -------
    text : str or None
        The worst columns, with their ranges and those in the fit.
    """
    low, high, n_rows = seen["low"], seen["high"], X.shape[0]
    n_out = np.empty((2, X.shape[1]), dtype=int)
    with np.errstate(over="ignore", invalid="ignore"):
        width = high - low
        reach = _MARGIN * width
        top, bottom = high + reach, low - reach
        for columns, part in column_blocks(X):
            n_out[0, columns] = np.sum(part > top[columns], axis=0)
            n_out[1, columns] = np.sum(part < bottom[columns], axis=0)
        usual = np.median(np.maximum(np.abs(low), np.abs(high)))
    n_out[:, width <= _NO_WIDTH * usual] = 0  # a constant column has no range
    side, n_out = np.argmax(n_out, axis=0), n_out.max(axis=0)
    # of rows of the same kind, and of those that are wider without being shifted, as
    # behind a PCA of few rows
    same = betabinom.sf(n_out - 1, n_rows, 1, seen["n_rows"])
    wider = binom.sf(n_out - 1, n_rows, 0.5)
    by_chance = 2.0 * X.shape[1] * np.maximum(same, wider)
    worst = np.argsort(-n_out, kind="stable")
    is_unlike = (n_out > _SHARE * n_rows) & (by_chance < _CHANCE)
    worst = worst[is_unlike[worst]]
    if worst.size == 0:
        return None
    shown = [
        f"{_name(column, names)} ({_range(as_dense(X[:, [column]]))}; in fit "
        f"{_range([low[column], high[column]])})"
        for column in worst[:_N_NAMED]
    ]
    more = _count_more(worst.size, X.shape[1])
    where = "below" if side[worst[0]] else "above"
    return (
        f"X is unlike the rows of fit: {n_out[worst[0]]} of {n_rows} rows are far "
        f"{where} their range in {', '.join(shown)}{more}. Either they are not scaled "
        "as in fit (the last step of a pipeline takes pipeline[:-1].transform(X)), or "
        "the data have changed."
    )


def explain_divergence(
    data, rate, *, places, names=None, grows_with_error=False, is_bounded=False
):
    """Say what in the rows may have made a training diverge; None if nothing does.

    Parameters
    ----------
    data : TrainingData
        Training rows.
    rate : float
        Learning rate, by ``1 - momentum``.
    places : ndarray of int of shape (n_rows,)
        Which rows of the user's ``X`` they are.
    names : sequence of str or None, default=None
        Of the columns; None numbers them from 0.
    grows_with_error : bool, default=False
        Whether the gradient of the loss does, as of squares.
    is_bounded : bool, default=False
        Whether the steps of rows that are far out are bounded: then targets and weights
        are the likelier causes.

    Returns
    -------
    text : str or None
        Unscaled columns; or else, where the rate suits most rows, one that it does not
        suit, with its column, its weight or its target.
    """
    text = _explain_large(data.X, names)
    if text is not None:
        return (
            f"X is not scaled: {text}. Put a {_scaler(data.X)} right before the "
            "estimator."
        )
    norms = data.squared_norms()
    limit = _LARGEST_UNBOUNDED if grows_with_error else _LARGEST_STEP
    # of scaled rows the squared norm is about the number of columns
    usual = max(np.median(norms), data.X.shape[1])
    if rate * max(np.median(data.sample_weight * norms), data.X.shape[1]) > limit:
        return None
    texts = [
        _explain_far_row(data, norms, rate, limit, places, names),
        _explain_target(data, places) if grows_with_error else None,
    ]
    if is_bounded:
        near = np.minimum(norms, usual)
        by_weight = _explain_far_row(data, near, rate, limit, places, names)
        texts = [by_weight, *texts[::-1]]
    return next((text for text in texts if text is not None), None)


def _explain_target(data, places):
    """Name the row whose target is gross, if there is one."""
    targets = np.abs(data.targets[:, 0])
    row = np.argmax(targets)
    if targets[row] <= _FAR:
        return None
    return (
        f"{_row(places[row])} has a target {targets[row]:.3g} standard deviations from "
        "the mean: use loss='huber', or correct, clip or transform y."
    )


def _explain_far_row(data, norms, rate, limit, places, names):
    """Name the row whose step is too large, if there is one."""
    with np.errstate(over="ignore"):
        steps = data.sample_weight * norms
        usual = max(np.median(steps), data.X.shape[1])
        is_far = (rate * steps > limit) & (steps > _FAR * usual)
    if not is_far.any():
        return None
    return _explain_row(data, norms, np.argmax(steps), is_far.sum(), places, names)


def _explain_row(data, norms, row, n_far, places, names):
    """Say why the step of a row is large: by its weight, or by a value."""
    weight, usual = data.sample_weight[row], np.median(norms)
    if weight * max(usual, data.X.shape[1]) > norms[row]:
        return (
            f"{_row(places[row])} has {weight:.3g} times the mean weight, which makes "
            "steps too large: use more even weights."
        )
    column = np.argmax(np.abs(data.take([row])))
    fact = (
        f"{_row(places[row])} has the norm {np.sqrt(norms[row]):.3g}, where the median "
        f"is {np.sqrt(usual):.3g}, with {data.X[row, column]:.3g} in "
        f"{_name(column, names)}"
    )
    if n_far > max(3.0, _MANY * len(norms)):
        return (
            f"{fact}, and {n_far - 1} more rows are like it: scale, clip or impute the "
            "column."
        )
    return (
        f"{fact}. A row that far out makes steps too large, also behind a scaler: "
        "correct, clip or drop the value."
    )


def _row(place):
    return f"Row {place} of X (counted from 0)"


def _name(column, names):
    return f"column {column if names is None else brief(names[column], 40)}"


def _count_more(n_found, n_columns):
    if n_found <= _N_NAMED:
        return ""
    return f" and {n_found - _N_NAMED} more of {n_columns} columns"


def _round(size):
    """Write a size with one digit that counts."""
    size = float(f"{size:.0e}")
    return f"{size:,.0f}" if size < 1e6 else f"{size:.0e}"


def _range(values):
    low, high = np.min(values), np.max(values)
    return f"{low:.3g} to {high:.3g}"
