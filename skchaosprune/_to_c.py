"""From a compact network to a C file: its numbers, its labels, what rounding costs."""

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from skchaosprune._affine import Affine
from skchaosprune._export import c, embedded
from skchaosprune._files import write_file
from skchaosprune._network import mlp
from skchaosprune._validation import check_choice
from skchaosprune._warn import warn_all

_MOST_LOST = 0.005  # accuracy or R2


def write_c(model, compact, affine, path, X, y, name, dtype):
    """Write a network as a C header; see :func:`skchaosprune.to_c`.

    Parameters
    ----------
    model : estimator, CompactMLP or Pipeline
        What predicts from rows.
    compact : CompactMLP
        Its last step.
    affine : Affine
        The steps before it.
    path, X, y, name, dtype
        As in :func:`skchaosprune.to_c`.
    """
    check_choice(dtype, "dtype", embedded.DTYPES)
    name = c.name_from(path) if name is None else name
    c.check_name(name)
    if dtype == "float32":
        network = embed(compact, affine)
    else:
        network = _quantise(model, compact, affine, X, y, dtype)
    content = c.serialize(
        network,
        name=name,
        out_activation=compact.out_activation_,
        classes=getattr(compact, "classes_", None),
        target=_target(compact),
        feature_names=affine.names,
    )
    write_file(path, content)


def embed(compact, affine=None):
    """Round a compact network, and the scalers before it, to single precision.

    Parameters
    ----------
    compact : CompactMLP
        The network.
    affine : Affine or None, default=None
        What comes before it.

    Returns
    -------
    network : Embedded
        What a C file holds.
    """
    return embedded.embed(*_parts(compact, affine))


def _parts(compact, affine):
    if affine is None:
        affine = Affine.identity(compact)
    inputs = affine.select(compact.selected_features_)
    return compact.coefs_, compact.intercepts_, compact.activation_, inputs


def _target(compact):
    """Mean and scale of the target in single precision."""
    mean = embedded.single(compact.target_mean_, "the mean of the target")
    scale = embedded.single(compact.target_scale_, "the scale of the target")
    if scale < np.finfo(np.float32).tiny:
        raise ValueError(
            f"target_scale_={compact.target_scale_} is too small for the single "
            "precision of C; scale the target."
        )
    return mean[()], scale[()]


def _quantise(model, compact, affine, X, y, dtype):
    """Round to integers, and warn if that costs much on ``X``."""
    if X is None:
        raise ValueError(
            f"dtype={dtype!r} needs X, rows like those of the training, to choose the "
            f"steps of the integers: to_c(model, path, X, dtype={dtype!r})."
        )
    parts = _parts(compact, affine)
    expected = model.predict(X)  # checks the rows, too
    rows = np.asarray(X)[:, parts[-1].columns].astype(np.float64)
    X = np.zeros((len(rows), parts[-1].n_columns), dtype=np.float32)
    X[:, parts[-1].columns] = rows
    network = embedded.quantise(*parts, X, dtype)
    _warn_of_loss(compact, expected, _predict(compact, network, X), y, dtype)
    return network


def _predict(compact, network, X):
    z = embedded.compute_logits(network, X)
    if compact.out_activation_ == "identity":
        mean, scale = _target(compact)
        return mlp.in_target_units(z, mean, scale)
    codes = z[:, 0] > 0.0 if z.shape[1] == 1 else np.argmax(z, axis=1)
    return compact.classes_[codes.astype(np.intp)]


def _warn_of_loss(compact, expected, predicted, y, dtype):
    """Warn if integers cost more than half a point, or .005 of R2."""
    is_regressor = compact.out_activation_ == "identity"
    metric, unit = (r2_score, "R2") if is_regressor else (accuracy_score, "accuracy")
    truth = expected if y is None else y
    if is_regressor and len(truth) < 2:
        return
    before, after = metric(truth, expected), metric(truth, predicted)
    if before - after <= _MOST_LOST:
        return
    against = "the network's own predictions" if y is None else "y"
    other = "'float32'" if dtype == "int16" else "'int16' or 'float32'"
    warn_all(
        [
            f"dtype={dtype!r} costs {before - after:.3f} of {unit} on the "
            f"{len(truth)} rows of X, measured against {against}: {after:.3f} instead "
            f"of {before:.3f}. Take dtype={other}."
        ]
    )
