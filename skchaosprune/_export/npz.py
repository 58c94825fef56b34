"""An npz file of a compact network: a header, and all numbers in one block of bytes."""

import json
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from skchaosprune._export import npz_1
from skchaosprune._export.archive import Archive, pack
from skchaosprune._text import brief, brief_list

_FORMAT = "skchaosprune.CompactMLP/2"
_KINDS_OF_LABELS = "biufcmMSU"
_LONGEST_HEADER = 100_000  # JSON takes up to twenty times as much memory
_LONGEST_DTYPE = 30


@dataclass(frozen=True)
class _Header:
    """All but the numbers and texts, as it stands in the file.

    ``classes`` and ``feature_names_in`` are the dtypes of these arrays, or None.
    """

    activation: str
    out_activation: str
    loss: str
    n_features_in: int
    layer_sizes: list
    storage: list  # of each layer in memory: "dense" or "csr"
    n_values: list  # of each layer; None: all
    dtype: str  # of weights and biases
    target: list
    classes: str | None
    feature_names_in: str | None
    format: str = _FORMAT

    def layers(self):
        """Number, sizes, storage and number of values of each layer."""
        sizes, others = self.layer_sizes, (self.storage, self.n_values)
        rows = zip(sizes[:-1], sizes[1:], *others, strict=True)
        return [(layer, *row) for layer, row in enumerate(rows)]

    def labels(self):
        """Name, dtype and length of the arrays of labels."""
        lengths = {
            "classes": max(2, self.layer_sizes[-1]),
            "feature_names_in": self.n_features_in,
        }
        return [
            (name, np.dtype(getattr(self, name)), n)
            for name, n in lengths.items()
            if getattr(self, name) is not None
        ]

    def layout(self):
        """Name, dtype and length of each array in the block, in their order.

        Of texts these are the lengths; their letters follow at the end, in UTF-8.
        """
        arrays, number = [], _little(self.dtype)
        if self.layer_sizes[0] < self.n_features_in:
            places = _little(np.min_scalar_type(self.n_features_in - 1))
            arrays.append(("selected_features", places, self.layer_sizes[0]))
        for layer, fan_in, fan_out, _, n_values in self.layers():
            arrays.append((f"intercept_{layer}", number, fan_out))
            if n_values is None:
                arrays.append((f"weights_{layer}", number, fan_in * fan_out))
                continue
            arrays.append((f"weights_{layer}", number, n_values))
            count, place = _types_of_places(fan_in)
            arrays.append((f"counts_{layer}", count, fan_out))
            arrays.append((f"columns_{layer}", place, n_values))
        for name, dtype, length in self.labels():
            if dtype.kind == "U":
                dtype = _little(np.min_scalar_type(dtype.itemsize // 4))
            arrays.append((name, dtype, length))
        return arrays

    def n_inflated(self):
        """Bytes of all arrays in memory, but the letters of texts as they stand."""
        n_numbers = sum(self.layer_sizes)  # inputs and biases
        for _, fan_in, fan_out, storage, n_values in self.layers():
            if storage == "dense":
                n_numbers += fan_in * fan_out
            if n_values is not None:  # values and places, before they become dense
                n_numbers += 2 * n_values + fan_out + 1
        n_bytes_of_labels = (n * dtype.itemsize for _, dtype, n in self.labels())
        return 8 * n_numbers + sum(n_bytes_of_labels)


def serialize(
    weights,
    intercepts,
    *,
    dtype,
    n_features_in,
    selected_features,
    classes,
    feature_names_in,
    **values,
):
    """Return a file of weights ``(fan_out, fan_in)``, dense or sparse, and the rest.

    ``dtype`` is that of weights and biases. ``values`` are strings and numbers for the
    header; ``classes`` and ``feature_names_in`` may be None.
    """
    arrays = {"selected_features": selected_features}
    storage, n_values = [], []
    for layer, (W, b) in enumerate(zip(weights, intercepts, strict=True)):
        arrays[f"intercept_{layer}"] = _round(b, dtype)
        parts = _split(W, dtype)
        arrays |= {f"{name}_{layer}": part for name, part in parts.items()}
        storage.append("dense" if isinstance(W, np.ndarray) else "csr")
        n_values.append(parts["weights"].size if "counts" in parts else None)
    labels = {
        "classes": _as_plain(classes, "class labels"),
        "feature_names_in": _as_plain(feature_names_in, "feature names"),
    }
    header = _Header(
        n_features_in=int(n_features_in),
        layer_sizes=[weights[0].shape[1], *(b.size for b in intercepts)],
        storage=storage,
        n_values=n_values,
        dtype=dtype,
        **{name: None if a is None else a.dtype.str for name, a in labels.items()},
        **values,
    )
    letters = b""
    for name, kind, _ in header.labels():
        arrays[name] = labels[name]
        if kind.kind == "U":
            arrays[name], text = _encode(labels[name])
            letters += text
    block = [arrays[name].astype(kind).tobytes() for name, kind, _ in header.layout()]
    text = json.dumps(vars(header), separators=(",", ":"))
    return pack(
        {
            "header": np.frombuffer(text.encode(), dtype=np.uint8),
            "data": np.frombuffer(b"".join(block) + letters, dtype=np.uint8),
        }
    )


def read_header(content):
    """Return what has ``nbytes``, the size of all arrays in memory, and ``read``.

    Parameters
    ----------
    content : bytes
        A file that :func:`serialize` made, or an earlier version of it.

    Returns
    -------
    stored : Stored
        Checked as far as the header tells; no array has been inflated.
    """
    archive = Archive(content)
    is_new = archive.headers.keys() == {"header", "data"}
    return (Stored if is_new else npz_1.Stored)(archive)


class Stored:
    """A network as a header and a block.

    The header is read and checked at once, the block by :meth:`read`.

    Parameters
    ----------
    archive : Archive
        The file.

    Attributes
    ----------
    nbytes : int
        Size of all arrays together, in the file or in memory.
    """

    def __init__(self, archive):
        for name, header in archive.headers.items():
            if header.dtype != np.uint8 or len(header.shape) != 1:
                raise ValueError(f"its {name} is not made of bytes.")
        if archive.headers["header"].shape[0] > _LONGEST_HEADER:
            raise ValueError("its header is too long.")
        self._archive = archive
        self._header = _parse(archive.read("header").tobytes())
        (n_bytes,) = archive.headers["data"].shape
        parts = (n * dtype.itemsize for _, dtype, n in self._header.layout())
        n_letters = n_bytes - sum(parts)  # or fewer, as some take several bytes
        has_texts = any(dtype.kind == "U" for _, dtype, _ in self._header.labels())
        if n_letters < 0 or (n_letters and not has_texts):
            raise ValueError("its data are shorter or longer than the header says.")
        self.nbytes = max(archive.nbytes, self._header.n_inflated() + 4 * n_letters)

    def read(self):
        """Return the arguments of the network."""
        header, block = self._header, self._archive.read("data")
        arrays, start = {}, 0
        for name, dtype, length in header.layout():
            end = start + length * dtype.itemsize
            arrays[name] = block[start:end].view(dtype).astype(dtype.newbyteorder("="))
            start = end
        letters = _decode(block[start:])
        for name, dtype, _ in header.labels():
            if dtype.kind == "U":
                arrays[name], letters = _take_texts(letters, arrays[name], dtype)
            else:
                arrays[name] = arrays[name].astype(dtype)
        if letters.size:
            raise ValueError("its texts are longer than it says.")
        mean, scale = header.target
        return {
            "coefs": [_join(arrays, *layer).T for layer in header.layers()],
            "intercepts": [arrays[f"intercept_{row[0]}"] for row in header.layers()],
            "activation": header.activation,
            "out_activation": header.out_activation,
            "loss": header.loss,
            "n_features_in": header.n_features_in,
            "selected_features": arrays.get(
                "selected_features", np.arange(header.layer_sizes[0])
            ),
            "classes": arrays.get("classes"),
            "feature_names_in": arrays.get("feature_names_in"),
            "target_mean": float(mean),
            "target_scale": float(scale),
        }


# The header.


def _parse(text):
    """Return a header whose sizes and types fit together."""
    values = json.loads(text)
    names = _Header.__dataclass_fields__.keys()
    if not isinstance(values, dict) or "format" not in values:
        raise ValueError("its header has no format.")
    if values["format"] != _FORMAT:
        format_ = brief(values["format"], 40)
        raise ValueError(f"its format is {format_}, not {_FORMAT!r}.")
    if values.keys() != names:
        wrong = brief_list(sorted(values.keys() ^ names))
        raise ValueError(f"its header lacks, or should not have, {wrong}.")
    header = _Header(**values)
    n_layers = len(header.layer_sizes) - 1
    if n_layers < 1 or not len(header.storage) == len(header.n_values) == n_layers:
        raise ValueError("its layer_sizes, storage and n_values do not fit together.")
    _check_sizes(header)
    for name in "classes", "feature_names_in":
        _check_dtype(name, getattr(header, name))
    if header.dtype not in ("float32", "float64"):
        raise ValueError(f"its dtype is {brief(header.dtype, 40)}.")
    return header


def _check_sizes(header):
    given = [n for n in header.n_values if n is not None]
    sizes = [header.n_features_in, *header.layer_sizes, *given]
    largest = np.iinfo(np.intp).max
    if not all(type(size) is int and 0 <= size <= largest for size in sizes):
        raise ValueError(f"its sizes are {brief_list(sizes)}.")
    if header.layer_sizes[0] > header.n_features_in:
        raise ValueError("it uses more inputs than it has.")
    for layer, fan_in, fan_out, storage, n_values in header.layers():
        known = ["dense", "csr"] if n_values is not None else ["dense"]
        if storage not in known:
            raise ValueError(f"its layer {layer} is stored as {brief(storage, 40)}.")
        if n_values is not None and n_values > fan_in * fan_out:
            raise ValueError(f"its layer {layer} has more values than places.")


def _check_dtype(name, dtype):
    if dtype is None:
        return
    is_text = isinstance(dtype, str) and len(dtype) <= _LONGEST_DTYPE
    kind = np.dtype(dtype) if is_text else None
    if kind is None or kind.kind not in _KINDS_OF_LABELS or kind.itemsize == 0:
        raise ValueError(f"its {name} have the dtype {brief(dtype, 40)}.")


# Weights.


def _little(dtype):
    return np.dtype(dtype).newbyteorder("<")


def _types_of_places(fan_in):
    """Types of the numbers of values in a row, and of their columns."""
    largest = fan_in, max(fan_in - 1, 0)
    return [_little(np.min_scalar_type(number)) for number in largest]


def _round(values, dtype):
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"a weight or bias is too large for dtype={dtype!r}; save the network with "
            "dtype='float64', or scale X, and the target of a regressor."
        )
    return rounded


def _split(W, dtype):
    """Return the values of a matrix; of one with few of them also their places."""
    if isinstance(W, np.ndarray):
        values = _round(W, dtype)
        kept = values != 0
        parts = {"weights": values[kept], "counts": kept.sum(axis=1)}
        parts["columns"] = np.nonzero(kept)[1]
        count, place = _types_of_places(W.shape[1])
        n_bytes = parts["weights"].nbytes + len(W) * count.itemsize
        n_bytes += parts["columns"].size * place.itemsize
        return parts if n_bytes < values.nbytes else {"weights": values.ravel()}
    values = _round(W.data, dtype)
    return {"weights": values, "counts": np.diff(W.indptr), "columns": W.indices}


def _join(arrays, layer, fan_in, fan_out, storage, n_values):
    """Put a matrix ``(fan_out, fan_in)`` together."""
    values = arrays[f"weights_{layer}"].astype(np.float64, copy=False)
    if n_values is None:
        return values.reshape(fan_out, fan_in)
    indptr = np.append(0, np.cumsum(arrays[f"counts_{layer}"].astype(np.int64)))
    if indptr[-1] != n_values:
        raise ValueError(f"its layer {layer} has more values than places.")
    is_small = max(fan_in, fan_out, n_values) <= np.iinfo(np.int32).max
    kind = np.int32 if is_small else np.int64  # as scipy has it
    indptr, columns = indptr.astype(kind), arrays[f"columns_{layer}"].astype(kind)
    W = csr_array((values, columns, indptr), shape=(fan_out, fan_in))
    W.check_format(full_check=True)
    if storage == "csr":
        return W
    if not W.has_canonical_format:
        raise ValueError(f"its layer {layer} has two values for one place.")
    dense = np.zeros(W.shape)
    dense[np.repeat(np.arange(fan_out), np.diff(indptr)), columns] = values
    return dense


# Labels.


def _as_plain(values, what):
    """Return an array that needs no pickle; None for None."""
    if values is None or not values.dtype.hasobject:
        return values
    given = values.tolist()
    try:
        plain = np.array(given)
    except ValueError:  # of sequences of several lengths
        plain = values
    pairs = zip(given, plain.tolist(), strict=True)
    lost = [a for a, b in pairs if plain.dtype == object or a != b]
    if lost:
        raise ValueError(
            f"{what} of dtype object can be saved where all are strings without a NUL "
            f"at their end, all numbers or all bools. Got {brief_list(given)} instead, "
            f"of which {brief(lost[0], 40)} would not come back."
        )
    return plain


def _encode(texts):
    """Return the lengths of texts, and their letters in UTF-8."""
    lengths = np.strings.str_len(texts)
    text = "".join(texts.tolist())
    return lengths, text.encode("utf-8", "surrogatepass")


def _decode(block):
    """Return the numbers of the letters."""
    text = block.tobytes().decode("utf-8", "surrogatepass")
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _take_texts(letters, lengths, dtype):
    """Return an array of texts, and the letters that are left."""
    width, n_letters = dtype.itemsize // 4, int(lengths.sum())
    if lengths.max(initial=0) > width or n_letters > letters.size:
        raise ValueError("its texts are shorter than it says.")
    table = np.zeros((lengths.size, width), dtype="<u4")
    table[np.arange(width) < lengths[:, np.newaxis]] = letters[:n_letters]
    texts = table.view(f"<U{width}")[:, 0]
    return texts.astype(dtype), letters[n_letters:]
