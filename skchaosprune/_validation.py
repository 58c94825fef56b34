"""Checks of parameters and weights, with errors that say the way out."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array, check_scalar
from sklearn.utils.class_weight import compute_sample_weight


def check_choice(value, name, choices):
    """Refuse a value that is not one of ``choices``, which the error lists."""
    if not isinstance(value, str) or value not in choices:
        valid = ", ".join(repr(choice) for choice in choices)
        kind = ValueError if isinstance(value, str) else TypeError
        raise kind(f"{name}={value!r} is not known; use one of {valid}.")


def check_number(value, name, kind, low=None, high=None, closed="both"):
    """Refuse a number of the wrong type, out of its interval, or not finite.

    ``kind`` is "int" or "float"; ``closed`` says which ends of the interval
    ``[low, high]`` are valid: "both", "left", "right" or "neither".
    """
    number = Integral if kind == "int" else Real
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r} must be a number of type {kind}, not bool.")
    check_scalar(
        value, name, number, min_val=low, max_val=high, include_boundaries=closed
    )
    if not np.isfinite(value):
        raise ValueError(f"{name}={value!r} must be finite.")


def check_bool(value, name):
    """Refuse anything but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}={value!r} must be True or False.")


def check_prune_ratio(prune_ratio):
    """Refuse a share that is outside [0, 1)."""
    if prune_ratio is None:
        return
    text = (
        f"prune_ratio={prune_ratio!r} must be the share of weights to remove, at "
        "least 0 and below 1 (0.5 removes half of them), or None for the "
        "significance rule of the criterion."
    )
    if isinstance(prune_ratio, bool | np.bool_) or not isinstance(prune_ratio, Real):
        raise TypeError(text)
    if not 0.0 <= prune_ratio < 1.0:
        raise ValueError(text)


def check_hidden_layer_sizes(hidden_layer_sizes):
    """Return the hidden layer sizes as a tuple of positive int; one int is enough."""
    sizes = hidden_layer_sizes
    if isinstance(sizes, Integral) and not isinstance(sizes, bool):
        sizes = (sizes,)
    text = (
        f"hidden_layer_sizes={hidden_layer_sizes!r} must be a positive int or a "
        "sequence of positive ints, one per hidden layer, like (32,) or (50, 30)."
    )
    if isinstance(sizes, str) or not hasattr(sizes, "__len__") or len(sizes) == 0:
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
        f"intercepts) of finite arrays with shapes {shapes} and "
        f"{[(fan_out,) for _, fan_out in shapes]}"
    )
    try:
        coefs, intercepts = weight_init
        coefs = [np.asarray(W, dtype=np.float64) for W in coefs]
        intercepts = [np.asarray(b, dtype=np.float64) for b in intercepts]
    except (TypeError, ValueError) as error:
        raise TypeError(f"{text}; got {weight_init!r}.") from error
    got = [W.shape for W in coefs], [b.shape for b in intercepts]
    if got != (shapes, [(fan_out,) for _, fan_out in shapes]):
        raise ValueError(f"{text}; got shapes {got[0]} and {got[1]}.")
    if not all(np.isfinite(part).all() for part in [*coefs, *intercepts]):
        raise ValueError(f"{text}; got NaN or infinite values.")
    return coefs, intercepts


def check_sample_weight(sample_weight, n_samples):
    """Return non-negative weights of shape ``(n_samples,)`` that do not all vanish."""
    if sample_weight is None:
        return np.ones(n_samples)
    weights = check_array(
        sample_weight,
        dtype=np.float64,
        ensure_2d=False,
        ensure_all_finite=True,
        input_name="sample_weight",
    )
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
    return weights


def combine_weights(sample_weight, class_weight, y):
    """Multiply sample and class weights and scale their mean to 1."""
    weights = sample_weight
    if class_weight is not None:
        weights = weights * compute_sample_weight(class_weight, y)
    total = weights.sum()
    if total <= 0.0:
        raise ValueError(
            f"sample_weight (times class_weight) sums to {total}, so every weight is "
            "zero; at least one sample needs a positive weight."
        )
    return weights * (weights.size / total)


def check_callbacks(callbacks):
    """Refuse anything but None or a list of skorch callbacks."""
    if callbacks is None:
        return
    if not isinstance(callbacks, list | tuple):
        raise TypeError(
            f"callbacks={callbacks!r} must be None or a list of skorch callbacks, "
            "each an instance, a class or a pair (name, callback)."
        )
