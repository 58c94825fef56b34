"""Checks of parameters and rows, with errors that say the way out."""

import math
from collections.abc import Mapping, Set
from contextlib import contextmanager, suppress
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Number, Real

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import (
    assert_all_finite,
    check_random_state,
    check_scalar,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from skchaosprune._text import brief, shorten


def check_choice(value, name, choices):
    """Refuse a value that is not one of ``choices``, which the error lists."""
    if not isinstance(value, str) or value not in choices:
        valid = ", ".join(repr(choice) for choice in choices)
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name}={brief(value)} is not known; use one of {valid}.")


def check_number(value, name, kind, low=None, high=None, closed="both", other=""):
    """Refuse a number of the wrong type, out of its interval, or not finite.

    ``kind`` is "int" or "float"; ``closed`` says which ends of the interval
    ``[low, high]`` are valid: "both", "left", "right" or "neither"; ``other`` is the
    wording of what else is valid, for the error.
    """
    left = "(" if low is None or closed in ("right", "neither") else "["
    right = ")" if high is None or closed in ("left", "neither") else "]"
    ends = "-inf" if low is None else low, "inf" if high is None else high
    what = "an int" if kind == "int" else "a number"
    text = f"{name}={brief(value)} must be {what} in "
    text += f"{left}{ends[0]}, {ends[1]}{right}{other}."
    if isinstance(value, bool | np.bool_):
        raise TypeError(text)
    try:
        number = Integral if kind == "int" else Real
        check_scalar(
            value, name, number, min_val=low, max_val=high, include_boundaries=closed
        )
    except (TypeError, ValueError) as error:
        raise type(error)(text) from None
    if kind == "float" and not is_finite(value):
        raise ValueError(text)


def check_shape(values, shape, name, other):
    """Check that an array has the shape that goes with another one."""
    if np.shape(values) != shape:
        raise ValueError(
            f"{name} has shape {np.shape(values)}; it must have {shape} to go with "
            f"{other}."
        )


def is_finite(value):
    """Tell whether a number of any type, like a large int, is a finite float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_bool(value, name):
    """Refuse anything but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={brief(value)} must be True or False.")


def number(kind, low=None, high=None, closed="both", also=()):
    """Make the check of a parameter: a number, or one of the values ``also``.

    The check is called with the value and the name of the parameter; see
    :func:`check_number` for the rest.
    """
    other = "".join(f", or {value!r}" for value in also)

    def check(value, name):
        if value is None or isinstance(value, str):
            if value in also:
                return
        check_number(value, name, kind, low, high, closed, other)

    return check


def choice(*choices):
    """Make the check of a parameter that is one of ``choices``."""
    return lambda value, name: check_choice(value, name, choices)


def check_verbose(value, name):
    """Refuse anything but a bool and an int of at least 0."""
    if not isinstance(value, bool):
        check_number(value, name, "int", 0)


def check_prune_ratio(prune_ratio, name="prune_ratio"):
    """Refuse a share that is outside [0, 1)."""
    if prune_ratio is None:
        return
    text = (
        f"{name}={brief(prune_ratio)} must be the share of weights to remove, at "
        "least 0 and below 1 (0.5 removes half of them), or None for the "
        "significance rule of the criterion."
    )
    if isinstance(prune_ratio, bool | np.bool_) or not isinstance(prune_ratio, Real):
        raise TypeError(text)
    if not 0.0 <= prune_ratio < 1.0:
        raise ValueError(text)


def check_max_features(max_features, name="max_features"):
    """Refuse what is neither a number of inputs nor a share of them."""
    if max_features is None:
        return
    text = (
        f"{name}={brief(max_features)} must be the number of inputs that may be in "
        "use, an int of at least 1, a share of them, a float in (0, 1], or None for no "
        "limit."
    )
    if isinstance(max_features, bool | np.bool_) or not isinstance(max_features, Real):
        raise TypeError(text)
    is_count = isinstance(max_features, Integral)
    if not (max_features >= 1 if is_count else 0.0 < max_features <= 1.0):
        raise ValueError(text)


def check_hidden_layer_sizes(hidden_layer_sizes, name="hidden_layer_sizes"):
    """Return the hidden layer sizes as a tuple of positive int; one int is enough."""
    sizes = hidden_layer_sizes
    if isinstance(sizes, Integral) and not isinstance(sizes, bool):
        sizes = (sizes,)
    text = (
        f"{name}={brief(hidden_layer_sizes)} must be a positive int or a "
        "sequence of positive ints, one per hidden layer, like (64,) or (50, 30)."
    )
    no_sequences = str | bytes | bytearray | Set | Mapping
    if isinstance(sizes, no_sequences) or not hasattr(sizes, "__len__"):
        raise TypeError(text)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, Integral):
            raise TypeError(text)
        if size < 1:
            raise ValueError(text)
    return tuple(int(size) for size in sizes)


def check_weight_init(weight_init, layer_sizes):
    """Return ``weight_init``: a known name, or arrays of the right shapes."""
    if isinstance(weight_init, str):
        check_choice(weight_init, "weight_init", ("glorot_uniform", "normal"))
        return weight_init
    shapes = list(zip(layer_sizes[:-1], layer_sizes[1:], strict=True))
    text = (
        "weight_init must be 'glorot_uniform', 'normal', or a pair (coefs, "
        f"intercepts) of finite arrays with shapes {brief(shapes)} and "
        f"{brief([(fan_out,) for _, fan_out in shapes])}"
    )
    try:
        coefs, intercepts = weight_init
        for part in (*coefs, *intercepts):
            refuse_times(part, "weight_init")
        coefs = [np.asarray(W, dtype=np.float64) for W in coefs]
        intercepts = [np.asarray(b, dtype=np.float64) for b in intercepts]
    except (TypeError, ValueError) as error:
        raise TypeError(f"{text}; got {brief(weight_init)}.") from error
    got = [W.shape for W in coefs], [b.shape for b in intercepts]
    if got != (shapes, [(fan_out,) for _, fan_out in shapes]):
        raise ValueError(f"{text}; got shapes {brief(got[0])} and {brief(got[1])}.")
    if not all(np.isfinite(part).all() for part in [*coefs, *intercepts]):
        raise ValueError(f"{text}; got NaN or infinite values.")
    return coefs, intercepts


@contextmanager
def as_float64(names):
    """Name what holds a number that float64 cannot; be silent about infinite sums."""
    # scikit-learn looks at a sum first, and a cast to infinity is refused after it
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            yield
        except OverflowError as error:
            raise ValueError(
                f"{names} has a number that is too large for float64 ({error}); "
                "scale it, or remove its row."
            ) from error
        except TypeError as error:
            if "float()" not in str(error):
                raise
            raise TypeError(
                f"{names} has a value that is no number ({shorten(error, 200)})."
            ) from error


_OBJECT = np.dtype(object)


def refuse_times(values, name):
    """Raise TypeError for dates and durations, which numpy turns into huge numbers."""
    if not (hasattr(values, "iloc") and hasattr(values, "columns")):
        found = [(_find_time(values), "")]
    elif any(kind == _OBJECT or _is_time(kind) for kind in set(values.dtypes)):
        found = (
            (_find_time_in_column(values, place, kind), f", in column {brief(label)}")
            for place, (label, kind) in enumerate(values.dtypes.items())
        )
    else:  # quick, as columns may be many
        return
    for kind, where in found:
        if kind is not None:
            raise TypeError(
                f"{name} has dates or durations (of type {kind}{where}), and a network "
                "needs numbers: give the hour, the weekday or the days since a date."
            )


def _find_time_in_column(frame, place, kind):
    if kind == _OBJECT:
        return _find_time(frame.iloc[:, place])
    return kind if _is_time(kind) else None


def _find_time(values):
    """Return the type of dates or durations in an array-like, or None."""
    if not hasattr(values, "dtype"):
        try:
            values = np.asarray(values)
        except ValueError:  # ragged: scikit-learn has a better error
            return None
    if _is_time(values.dtype):
        return values.dtype
    if values.dtype != object:
        return None
    for kind in set(map(type, np.ravel(values).tolist())):  # quick, as cells are many
        if issubclass(kind, np.datetime64 | np.timedelta64 | date | time | timedelta):
            return kind.__name__
    return None


def _is_time(kind):
    """Return whether a dtype is of times, or a category of them."""
    kind = getattr(getattr(kind, "categories", None), "dtype", kind)
    return getattr(kind, "kind", None) in ("m", "M")


def check_rows(estimator, X, y="no_validation", **options):
    """Return ``X``, and ``y`` where there is one, as scikit-learn validates them.

    Sparse rows of any format become a :func:`canonical` CSR array.
    """
    if isinstance(X, list | tuple):
        with suppress(ValueError):  # ragged: scikit-learn has a better error
            X = np.asarray(X)
    refuse_times(X, "X")
    if options.get("y_numeric"):
        refuse_times(y, "y")
    with as_float64("X" if isinstance(y, str) else "X or y"):
        checked = validate_data(
            estimator, X, y, dtype=np.float64, accept_sparse="csr", **options
        )
        if not isinstance(checked, tuple):
            return canonical(checked) if issparse(checked) else checked
        X, y = checked
        return (canonical(X) if issparse(X) else X), y


def canonical(X):
    """Return sparse rows as a CSR array that has each place once, in order.

    Parameters
    ----------
    X : sparse array or matrix of shape (n_rows, n_features)
        Of any format; it stays as it is.

    Returns
    -------
    rows : csr_array of float64
        Shares the numbers of ``X`` where these are in order.

    Raises
    ------
    ValueError
        If numbers of the same place have no finite sum.
    """
    rows = csr_array(X, dtype=np.float64)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
        assert_all_finite(rows.data, input_name="X")  # as a sum may overflow
    return rows


def check_target(y):
    """Return a regressor's target as float64; refuse NaN (or None) and infinity."""
    with as_float64("y"):
        y = y.astype(np.float64)
        assert_all_finite(y, input_name="y")
    return y


def check_labels(y):
    """Refuse targets that are no classes, or cannot be sorted."""
    first = None
    if y.dtype.kind in "SO":
        kinds = bytes, bytearray
        first = next((label for label in y if isinstance(label, kinds)), None)
    if first is not None:
        raise TypeError(
            f"y has labels that are bytes, like {brief(first)}; decode them, as in "
            "[label.decode() for label in y], or use integers."
        )
    try:
        check_classification_targets(y)
    except TypeError as error:
        kinds = sorted({shorten(type(label).__name__) for label in y})
        raise TypeError(
            f"y has labels that cannot be sorted, of the types {', '.join(kinds)} "
            f"({shorten(error, 200)}); use labels of one type, like y.astype(str)."
        ) from error


def is_scalar(value):
    """Return whether a value is one number, of any type."""
    return isinstance(value, Number) or getattr(value, "ndim", None) == 0


def check_rng(random_state):
    """Return a generator; None gives a fresh one, never numpy's global one."""
    if random_state is None:
        return np.random.RandomState()
    try:
        if isinstance(random_state, Integral | np.random.RandomState):
            return check_random_state(random_state)
    except ValueError:  # out of bounds
        pass
    raise ValueError(
        f"random_state={brief(random_state)} must be None, an int from 0 to 2**32 - 1, "
        "or a numpy RandomState."
    )


def check_n_jobs(n_jobs, name="n_jobs"):
    """Refuse anything but None and a non-zero int."""
    if n_jobs is None:
        return
    check_number(n_jobs, name, "int")
    if n_jobs == 0:
        raise ValueError(
            f"{name}=0 is not valid; use None or 1 for one thread, 2 or more for as "
            "many, -1 for all processors."
        )


def check_callbacks(callbacks, name="callbacks"):
    """Refuse anything but None or a list of skorch callbacks."""
    if callbacks is None:
        return
    text = (
        f"{name}={brief(callbacks)} must be None or a list of skorch callbacks, each "
        "an instance, a class or a pair (name, callback)."
    )
    if not isinstance(callbacks, list | tuple):
        raise TypeError(text)
    for callback in callbacks:
        if isinstance(callback, tuple | list):
            if len(callback) != 2 or not isinstance(callback[0], str):
                raise TypeError(text)
            callback = callback[1]
        if not hasattr(callback, "on_epoch_end"):
            raise TypeError(text)


def check_series(values, name, columns=None):
    """Return series of real numbers as float64; what is missing is NaN.

    Parameters
    ----------
    values : array-like of shape (n_times,) or (n_times, n_columns)
        Numbers, bools, or objects that are one of these. None, pandas' NA and masked
        values are missing.
    name : str
        Of the parameter.
    columns : str or None, default=None
        Of the size of the second axis; None where there must be one series.

    Returns
    -------
    series : ndarray of float64
        Not always a copy.
    """
    if issparse(values):
        raise TypeError(f"{name} is sparse; pass {name}.toarray().")
    mask = np.ma.getmask(values)
    try:
        values = np.asarray(values)
    except OverflowError as error:  # a huge int beside floats
        raise _too_large(name) from error
    except ValueError as error:  # lists of several lengths
        raise ValueError(f"{name} is no array ({shorten(error, 200)}).") from error
    _check_dimensions(values, name, columns)
    if np.any(mask):
        values = np.where(mask, None, values.astype(object))
    if values.dtype == object:
        return _convert_objects(values, name)
    if values.dtype.kind not in "biuf":
        raise _no_real_numbers(name, f"dtype {values.dtype}")
    with np.errstate(over="ignore"):
        series = values.astype(np.float64, copy=False)
    # a wider float, which may be finite where float64 is not
    if values.dtype.itemsize > 8 and np.any(np.isinf(series) & np.isfinite(values)):
        raise _too_large(name)
    return series


def _check_dimensions(values, name, columns):
    """Refuse all but one series, or several in ``columns``."""
    shapes, advice = "(n_times,)", "Pass one series."
    if columns is not None:
        shapes += f" or (n_times, {columns})"
        advice = "Pass one column per series."
    if values.ndim not in (1, 1 if columns is None else 2):
        raise ValueError(
            f"{name} must have shape {shapes}; got {values.shape}. {advice}"
        )


def _convert_objects(values, name):
    """Return real numbers of any types as float64, what is missing as NaN."""
    series = np.empty(values.shape)
    for place, value in np.ndenumerate(values):
        # NAType is that of pandas' NA
        if value is None or type(value).__name__ == "NAType":
            series[place] = np.nan
            continue
        # numpy calls a span of time a number
        is_number = isinstance(value, Real | Decimal | np.bool_)
        if not is_number or isinstance(value, np.timedelta64):
            raise _no_real_numbers(name, f"the value {brief(value, 60)}")
        try:
            series[place] = float(value)
        except OverflowError as error:
            raise _too_large(name) from error
        except (TypeError, ValueError) as error:  # a signaling NaN, say
            raise _no_real_numbers(name, f"the value {brief(value, 60)}") from error
        if np.isinf(series[place]) and value != series[place]:
            raise _too_large(name)
    return series


def _no_real_numbers(name, what):
    return TypeError(
        f"{name} has {what}, but real numbers are needed; convert what stands for "
        "numbers, and pass the real part of complex ones."
    )


def _too_large(name):
    return ValueError(
        f"{name} has a number that is too large for float64; scale the series."
    )
