"""Do the parts of a network from outside fit together?"""

from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse

_ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
# Output activations, and the losses that networks with them are trained on.
_OUTPUTS = (
    ("identity", "squared_error"),
    ("identity", "huber"),
    ("logistic", "log_loss"),
    ("logistic", "squared_error"),
    ("softmax", "log_loss"),
)


def find_faults(network, coefs):
    """Name the parts of a network that do not fit.

    Parameters
    ----------
    network : CompactMLP
        With all attributes but its weights.
    coefs : list of ndarray or sparse array of shape (fan_in, fan_out)
        Weights.

    Returns
    -------
    faults : list of str
        Names of parts; empty for a network that is one.
    """
    fits = {
        "activation": _is_one_of(network.activation_, _ACTIVATIONS),
        "out_activation": _is_one_of(network.out_activation_, dict(_OUTPUTS)),
        "loss": (network.out_activation_, network.loss_) in _OUTPUTS,
        "coefs and intercepts": _are_layers(coefs, network.intercepts_),
        "numbers": _are_finite(coefs, network),
    }
    if all(fits.values()):
        n_outputs = network.intercepts_[-1].size
        fits |= {
            "n_features_in and selected_features": _are_inputs(network, coefs),
            "outputs": n_outputs == 1 or network.out_activation_ != "identity",
            "classes": _are_classes(network, n_outputs),
            "feature_names_in": _are_names(network),
            "target_scale": network.target_scale_ > 0,
        }
    return [name for name, is_right in fits.items() if not is_right]


def _is_one_of(name, names):
    return isinstance(name, str) and name in names


def _are_layers(coefs, intercepts):
    if len(coefs) == 0 or len(coefs) != len(intercepts):
        return False
    for W, b in zip(coefs, intercepts, strict=True):
        if W.ndim != 2 or b.ndim != 1 or W.shape[1:] != b.shape:
            return False
        if issparse(W) and not W.has_canonical_format:  # an entry is there twice
            return False
    inner = zip(coefs[:-1], coefs[1:], strict=True)
    has_outputs = intercepts[-1].size > 0
    return has_outputs and all(W.shape[1] == V.shape[0] for W, V in inner)


def _are_finite(coefs, network):
    numbers = [W.data if issparse(W) else W for W in coefs]
    numbers += network.intercepts_
    targets = network.target_mean_, network.target_scale_
    return (
        all(np.isfinite(part).all() for part in numbers)
        and all(isinstance(value, Real) for value in targets)
        and bool(np.isfinite(np.array(targets, dtype=np.float64)).all())
    )


def _are_inputs(network, coefs):
    n_features, selected = network.n_features_in_, network.selected_features_
    if not isinstance(n_features, Integral) or isinstance(n_features, bool):
        return False
    return (
        0 < n_features <= np.iinfo(np.intp).max
        and selected.dtype.kind == "i"
        and selected.shape == coefs[0].shape[:1]
        and bool(np.all((selected >= 0) & (selected < n_features)))
        and bool(np.all(np.diff(selected) > 0))
    )


def _are_names(network):
    names = getattr(network, "feature_names_in_", None)
    return names is None or names.shape == (network.n_features_in_,)


def _are_classes(network, n_outputs):
    classes = getattr(network, "classes_", None)
    if network.out_activation_ == "identity":
        return classes is None
    n_classes = max(2, n_outputs)
    return classes is not None and classes.shape == (n_classes,) and _differ(classes)


def _differ(labels):
    """Return whether labels are all different, and none is missing or infinite."""
    kind = labels.dtype.kind
    if kind == "O":
        return _differ_as_objects(labels)
    if kind in "fcmM" and not np.isfinite(labels).all():
        return False
    return kind != "V" and len(np.unique(labels)) == len(labels)


def _differ_as_objects(labels):
    others = (None, np.inf, -np.inf)
    try:
        # NaN is not equal to itself
        known = {each for each in labels if each == each and each not in others}
    except (TypeError, ArithmeticError):  # no labels: pandas' NA, lists, sNaN
        return False
    return len(known) == len(labels)
