"""An npz file of a compact network: plain arrays, without pickle."""

import io

import numpy as np
from scipy.sparse import csr_array

_FORMAT = "skchaosprune.CompactMLP/1"


def serialize(weights, intercepts, *, classes, feature_names_in, **values):
    """Return a file of weights ``(fan_out, fan_in)``, dense or sparse, and the rest.

    ``values`` are numbers, strings or arrays; ``classes`` and ``feature_names_in`` may
    be None.
    """
    arrays = {"format": np.array(_FORMAT), "n_layers": np.array(len(weights))}
    arrays |= {name: np.array(value) for name, value in values.items()}
    if classes is not None:
        arrays["classes"] = _as_plain(classes, "class labels")
    if feature_names_in is not None:
        arrays["feature_names_in"] = _as_plain(feature_names_in, "feature names")
    for layer, (W, b) in enumerate(zip(weights, intercepts, strict=True)):
        arrays[f"intercept_{layer}"] = b
        if isinstance(W, np.ndarray):
            arrays[f"weights_{layer}"] = W
            continue
        for part in ("data", "indices", "indptr"):
            arrays[f"{part}_{layer}"] = getattr(W, part)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def load(content):
    """Return the arguments of the network in a file of :func:`serialize`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return _read_arrays(dict(stored))


def _as_plain(values, what):
    """Return an array that needs no pickle."""
    if values.dtype != object:
        return values
    plain = np.array(values.tolist())
    if plain.dtype == object or plain.tolist() != values.tolist():
        raise ValueError(
            f"{what} of dtype object can be saved where all are strings, all numbers "
            f"or all bools. Got {values.tolist()[:5]} instead."
        )
    return plain


def _read_arrays(arrays):
    """Turn the arrays of a file into arguments of CompactMLP."""
    take = arrays.pop
    format_ = str(take("format"))
    if format_ != _FORMAT:
        raise ValueError(f"its format is {format_!r}, not {_FORMAT!r}.")
    weights, intercepts = [], []
    selected = take("selected_features")
    fan_in = selected.size
    for layer in range(int(take("n_layers"))):
        intercepts.append(take(f"intercept_{layer}"))
        fan_out = intercepts[-1].size
        if f"weights_{layer}" in arrays:
            weights.append(take(f"weights_{layer}"))
        else:
            weights.append(_read_csr(take, layer, (fan_out, fan_in)))
        fan_in = fan_out
    if any(part.dtype.kind != "f" for part in (*weights, *intercepts)):
        raise ValueError("its weights are not real numbers.")
    target_mean, target_scale = take("target").tolist()
    arguments = {
        "coefs": [W.T for W in weights],
        "intercepts": intercepts,
        "activation": str(take("activation")),
        "out_activation": str(take("out_activation")),
        "loss": str(take("loss")),
        "n_features_in": int(take("n_features_in")),
        "selected_features": selected,
        "classes": take("classes", None),
        "feature_names_in": take("feature_names_in", None),
        "target_mean": target_mean,
        "target_scale": target_scale,
    }
    if arrays:
        raise ValueError(f"it also holds {', '.join(arrays)}.")
    return arguments


def _read_csr(take, layer, shape):
    """Read one sparse weight matrix, as a dense array."""
    data, indices, indptr = (
        take(f"{part}_{layer}") for part in ("data", "indices", "indptr")
    )
    if {indices.dtype.kind, indptr.dtype.kind} != {"i"}:
        raise ValueError(f"the places in its layer {layer} are not integers.")
    W = csr_array((data, indices, indptr), shape=shape)
    W.check_format(full_check=True)
    return W.toarray()
