"""Weights of rows and classes, and what is measured with them of a target."""

from numbers import Real

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_class_weight

from skchaosprune import _validation
from skchaosprune._text import brief, brief_list, shorten


def check_sample_weight(sample_weight, n_samples):
    """Return non-negative weights of shape ``(n_samples,)`` that do not all vanish.

    One number stands for as many.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    text = (
        f"sample_weight={brief(sample_weight)} must be None, a number, or one number "
        "per sample; class_weight='balanced' weighs the classes"
    )
    _validation.refuse_times(sample_weight, "sample_weight")
    if isinstance(sample_weight, str):
        raise ValueError(f"{text}.")
    if _validation.is_scalar(sample_weight):
        sample_weight = [sample_weight] * n_samples
    try:
        with _validation.as_float64("sample_weight"):
            weights = check_array(
                sample_weight,
                dtype=np.float64,
                ensure_2d=False,
                ensure_all_finite=True,
                input_name="sample_weight",
            )
    except (TypeError, ValueError) as error:
        if "sample_weight" in str(error) and "no number" not in str(error):
            raise
        # not of the type of the error, which may need more than a text
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{text}: {shorten(error, 200)}") from error
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight.shape == {weights.shape}, expected {(n_samples,)}: give "
            "one weight per sample."
        )
    if np.any(weights < 0.0):
        raise ValueError(
            f"sample_weight has negative values (smallest {weights.min()}); weights "
            "must be 0 or positive."
        )
    if not weights.any():
        raise ValueError(
            f"sample_weight is zero for all of the {n_samples} samples; a sample of "
            "weight 0 counts as absent, so at least one needs a positive weight."
        )
    return weights


def normalise_weights(weights):
    """Scale positive weights to mean 1."""
    weights = weights / weights.max()  # a sum of huge weights would be infinite
    return weights * (weights.size / weights.sum())


def sum_weights(weights):
    """Count the rows that positive weights stand for: weight 2 is two rows.

    The sum of the weights, divided by their maximum where that is below 1: weights that
    sum to 1, like AdaBoost's, do not stand for a single row.
    """
    largest = weights.max()
    with np.errstate(over="ignore"):
        total = (weights / largest).sum() * max(1.0, largest)
    return float(min(total, np.finfo(np.float64).max))


def weigh_classes(class_weight, classes, codes, sample_weight, train):
    """Return the weights of rows, times those of their classes.

    Parameters
    ----------
    class_weight : dict, Series, "balanced" or None
        The parameter. "balanced" makes the weights of all classes add up to the same in
        the training rows.
    classes : ndarray of shape (n_classes,)
        Labels.
    codes : ndarray of int of shape (n_samples,)
        The class of each row, ``classes[codes]``.
    sample_weight : ndarray of shape (n_samples,)
        Positive.
    train : slice or ndarray of int
        The training rows.

    Returns
    -------
    weights : ndarray of shape (n_samples,)
        Of any scale.
    """
    if class_weight is None:
        return sample_weight
    text = (
        f"class_weight={brief(class_weight)} must be None, 'balanced', or a dict from "
        f"class labels (here {brief_list(classes)}) to finite weights of at least 0"
    )
    if isinstance(class_weight, str) or not hasattr(class_weight, "items"):
        if not isinstance(class_weight, str) or class_weight != "balanced":
            raise ValueError(f"{text}.")
        factors = _balance(classes, codes[train], sample_weight[train])
    else:
        factors = np.frexp(_look_up(class_weight, classes, codes[train], text))
    in_train = np.zeros(len(codes), dtype=bool)
    in_train[train] = True
    weights = np.zeros(len(codes))
    for part in (in_train, ~in_train):  # which are scaled separately
        of_row = [factor[codes[part]] for factor in factors]
        weights[part] = _multiply(np.frexp(sample_weight[part]), of_row)
    return weights


def _look_up(class_weight, classes, codes, text):
    """Return the weight of each class; ``text`` says what is valid."""
    pairs = list(class_weight.items())  # of a pandas Series, too
    class_weight = dict(pairs)
    if len(class_weight) < len(pairs):
        raise ValueError(f"{text}; got two weights for one class.")
    for weight in class_weight.values():
        is_number = isinstance(weight, Real) and _validation.is_finite(weight)
        if not is_number or weight < 0.0:
            raise ValueError(f"{text}; got the weight {brief(weight)}.")
    try:
        return compute_class_weight(class_weight, classes=classes, y=classes[codes])
    except ValueError as error:
        raise ValueError(f"{text}. {shorten(error, 200)}.") from error


def _balance(classes, codes, sample_weight):
    """Return 1 by the sum of the weights of each class, as mantissas and exponents."""
    mantissas, exponents = np.frexp(sample_weight)
    factors = np.empty(len(classes)), np.empty(len(classes), dtype=int)
    for code, label in enumerate(classes):
        of_class = codes == code
        if not of_class.any():
            raise ValueError(
                "class_weight='balanced' needs training rows of each class, and there "
                f"is none of {brief(label)}; use another validation_fraction."
            )
        largest = exponents[of_class].max()  # first, as sums may overflow
        total = np.ldexp(mantissas[of_class], exponents[of_class] - largest).sum()
        factors[0][code], factors[1][code] = 1.0 / total, -largest
    return factors


def _multiply(a, b):
    """Multiply mantissas and exponents, but for one power of 2.

    So products of huge or tiny weights are not lost.
    """
    product, exponents = a[0] * b[0], a[1] + b[1]
    largest = exponents[product > 0.0].max(initial=-9999)
    return np.ldexp(product, np.minimum(exponents - largest, 0))


_TOO_FAR = "y ranges from {} to {}, too far for float64 arithmetic; scale it."
_NO_SPREAD = 1e-12  # of a wider range: rounding
_MOST_ROWS = 2.0**50  # that one row may stand for, to tell rows apart


def check_spread(y, sample_weight):
    """Return weighted mean and standard deviation of a target (1.0 for a constant)."""
    if y.min() == y.max():  # which rounding could hide
        return float(y[0]), 1.0
    weights = normalise_weights(sample_weight)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.mean(y * weights)
        distance = y - mean
        largest = np.abs(distance).max()
        scale = 0.0
        if largest > 0.0:
            # relative to the largest, as squares of huge or tiny numbers are lost
            shares = distance / largest
            scale = largest * np.sqrt(np.mean(weights * shares**2))
        scale = scale or 1.0
        reach = largest / scale
    if not np.isfinite(scale) or not np.isfinite(reach):
        raise ValueError(_TOO_FAR.format(y.min(), y.max()))
    return float(mean), float(scale)


def check_robust_spread(y, sample_weight):
    """Return the median of a target, and a spread that outliers do not change.

    That is the interquartile range divided by 1.349, the standard deviation of normal
    numbers. Where it is 0, but for rounding, as in a target that is mostly one value,
    it is the range from the 5 % to the 95 % quantile divided by 3.29, and at last the
    standard deviation.
    """
    _, scale = check_spread(y, sample_weight)
    shares = [0.05, 0.25, 0.5, 0.75, 0.95]
    lowest, low, median, high, highest = _weighted_quantiles(y, sample_weight, shares)
    with np.errstate(over="ignore"):
        spread, wide = (high - low) / 1.349, (highest - lowest) / 3.29
        if spread <= _NO_SPREAD * wide:
            spread = wide or scale
        reach = np.abs(y - median).max() / spread
    if not np.isfinite(spread) or not np.isfinite(reach):
        raise ValueError(_TOO_FAR.format(y.min(), y.max()))
    return float(median), float(spread)


def _weighted_quantiles(values, weights, shares):
    """Return numpy's quantiles of the rows that positive weights stand for.

    Whole numbers give what as many copies of the rows give; numpy's own weights do so
    only without interpolation.
    """
    order, largest = np.argsort(values), weights.max()
    unit = min(max(1.0, largest), _MOST_ROWS)
    ends = np.cumsum(weights[order] / largest * unit)
    places = np.array(shares) * max(0.0, ends[-1] - 1.0)
    last = len(values) - 1
    lower, upper = (
        values[order[np.minimum(np.searchsorted(ends, place, side="right"), last)]]
        for place in (np.floor(places), np.floor(places) + 1.0)
    )
    return lower + (places - np.floor(places)) * (upper - lower)
