"""From a compact network to a C header: its numbers, and what rounding them costs."""

import numpy as np
from scipy.sparse import issparse

from skchaosprune._affine import Affine
from skchaosprune._export import c, embedded
from skchaosprune._files import write_file
from skchaosprune._network import mlp
from skchaosprune._network.rows import as_dense, check_dense_size
from skchaosprune._text import brief_list
from skchaosprune._validation import check_choice, check_target
from skchaosprune._warn import warn_all

_MOST_LOST = 0.005  # accuracy, or the variance of the target


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
    name = c.choose_name(name, path)
    parts = _parts(compact, affine)
    if X is None:
        _refuse_without_rows(dtype, y)
        network = embedded.embed(*parts)
    else:
        truth, expected = _check_truth(model, compact, X, y)
        rows = _read_rows(X, parts[-1])
        network = _choose_numbers(parts, rows, dtype)
        warn_all(_describe_losses(compact, parts, network, rows, truth, expected, y))
    content = c.serialize(
        network,
        name=name,
        out_activation=compact.out_activation_,
        classes=getattr(compact, "classes_", None),
        target=_target(compact),
        feature_names=affine.names,
    )
    write_file(path, content)


def embed(compact):
    """Round a compact network to single precision.

    Parameters
    ----------
    compact : CompactMLP
        The network.

    Returns
    -------
    network : Embedded
        What a C header holds.
    """
    return embedded.embed(*_parts(compact, Affine.identity(compact)))


def _parts(compact, affine):
    """Weights, biases, activation, and how the used inputs come from a row."""
    n_features = len(affine.columns)
    if n_features != compact.n_features_in_:
        raise ValueError(
            f"the steps before the network make {n_features} features, and it takes "
            f"{compact.n_features_in_}. Fit them together."
        )
    inputs = affine.select(compact.selected_features_)
    return compact.coefs_, compact.intercepts_, compact.activation_, inputs


def _target(compact):
    """Mean and scale of the target in single precision."""
    mean = embedded.single(compact.target_mean_, "the mean of the target")
    scale = embedded.single(compact.target_scale_, "the scale of the target")
    if scale < np.finfo(np.float32).tiny:
        raise ValueError(
            f"target_scale_={compact.target_scale_} is too small for the single "
            "precision of C; use other units for the target."
        )
    return mean[()], scale[()]


# Rows that integers are fitted to, and that tell what rounding costs.


def _refuse_without_rows(dtype, y):
    if dtype != "float32":
        raise ValueError(
            f"dtype={dtype!r} needs X, rows like those of the training, to choose the "
            f"steps of the integers: to_c(model, path, X, dtype={dtype!r})."
        )
    if y is not None:
        raise ValueError("y is given without X; pass both, or neither of them.")


def _check_truth(model, compact, X, y):
    """Return what counts as true for rows, and what the model predicts."""
    expected = model.predict(X)  # checks the rows, too
    if y is None:
        return expected, expected
    y = np.asarray(y)
    if y.shape != expected.shape:
        raise ValueError(
            f"y has the shape {y.shape}, and X has {len(expected)} rows; pass one "
            "target for each row."
        )
    if not hasattr(compact, "classes_"):
        return check_target(y), expected
    unknown = set(y.tolist()).difference(compact.classes_.tolist())
    if unknown:
        raise ValueError(
            f"y has labels that the model does not know, {brief_list(list(unknown))}; "
            f"its classes_ are {brief_list(compact.classes_)}."
        )
    return y, expected


def _read_rows(X, inputs):
    """Return the values that are used, in single precision; the others are 0."""
    columns = np.unique(inputs.columns)
    if hasattr(X, "columns") and inputs.names is not None:
        X = X[[inputs.names[column] for column in columns]]
        values = np.asarray(X, dtype=np.float64)
    else:
        X = X.tocsr() if issparse(X) else np.asarray(X)
        check_dense_size(X, X.shape[0], "to_c", "Pass fewer rows.")
        values = as_dense(X[:, columns]).astype(np.float64)
    rows = np.zeros((len(values), inputs.n_columns), dtype=np.float32)
    rows[:, columns] = embedded.single(values, "a value of X")
    return rows


def _choose_numbers(parts, rows, dtype):
    if dtype == "float32":
        return embedded.embed(*parts)
    return embedded.quantise(*parts, rows, dtype)


def _describe_losses(compact, parts, network, rows, truth, expected, y):
    """Say what single precision of the rows costs, and what integers cost."""
    exact = _predict(compact, _compute_logits(parts, rows))
    errors = [_mean_error(compact, truth, part) for part in (expected, exact)]
    steps = [
        (
            "single precision, in which C takes rows,",
            "Subtract a constant from columns that are far from 0, and fit again.",
        )
    ]
    if network.dtype != "float32":
        blocks = mlp.row_blocks(len(rows), [len(b) for b in parts[1]])
        z = [embedded.compute_logits(network, rows[block]) for block in blocks]
        found = _predict(compact, np.concatenate(z))
        errors.append(_mean_error(compact, truth, found))
        other = "'float32'" if network.dtype == "int16" else "'int16' or 'float32'"
        steps.append((f"dtype={network.dtype!r}", f"Take dtype={other}."))
    what = "of the variance of the target"
    if hasattr(compact, "classes_"):
        what = "of accuracy"
    against = "y" if y is not None else "what the model predicts"
    return [
        f"{cause} costs {after - before:.3f} {what} on the {len(rows)} rows of X, "
        f"measured against {against}. {advice}"
        for (cause, advice), before, after in zip(
            steps, errors[:-1], errors[1:], strict=True
        )
        if round(after - before, 9) > _MOST_LOST
    ]


def _compute_logits(parts, rows):
    """Compute what the network makes of rows, in double precision."""
    coefs, intercepts, activation, inputs = parts
    values = rows[:, inputs.columns].astype(np.float64)
    values = (values - inputs.mean) * inputs.factor + inputs.offset
    return mlp.logits(values, coefs, intercepts, activation)


def _predict(compact, z):
    """Predict from what enters the output activation."""
    if not hasattr(compact, "classes_"):
        return mlp.in_target_units(z, compact.target_mean_, compact.target_scale_)
    codes = z[:, 0] > 0.0 if z.shape[1] == 1 else np.argmax(z, axis=1)
    return compact.classes_[codes.astype(np.intp)]


def _mean_error(compact, truth, predicted):
    """Share of wrong labels, or squared error in variances of the training target."""
    if hasattr(compact, "classes_"):
        return float(np.mean(truth != predicted))
    return float(np.mean(((truth - predicted) / compact.target_scale_) ** 2))
