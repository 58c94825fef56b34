"""An npz file of a compact network: plain arrays, without pickle."""

import io
import math
import zipfile
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from skchaosprune._text import brief, brief_list, shorten

_FORMAT = "skchaosprune.CompactMLP/1"

# Kinds of dtype, and number of dimensions, of the arrays of a file; those that end in
# "_" are there for each layer.
_LABELS = ("biufcmMSU", 1)
_ARRAYS = {
    "format": ("U", 0),
    "n_layers": ("iu", 0),
    "activation": ("U", 0),
    "out_activation": ("U", 0),
    "loss": ("U", 0),
    "n_features_in": ("iu", 0),
    "selected_features": ("i", 1),
    "target": ("fiu", 1),
    "classes": _LABELS,
    "feature_names_in": _LABELS,
    "intercept_": ("f", 1),
    "weights_": ("f", 2),
    "data_": ("f", 1),
    "indices_": ("i", 1),
    "indptr_": ("i", 1),
}

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A member of an archive takes a kilobyte of memory even where it is empty.
_ENTRY, _MOST_ENTRIES = b"PK\x01\x02", 100_000
_LONGEST_TEXT = 256  # bytes; those of labels are not limited
_LONGEST_HEADER = 1_000  # those of numpy have 118 or 182 characters


def serialize(weights, intercepts, *, classes, feature_names_in, target, **values):
    """Return a file of weights ``(fan_out, fan_in)``, dense or sparse, and the rest.

    ``values`` are numbers, strings or arrays; ``classes`` and ``feature_names_in`` may
    be None.
    """
    arrays = {"format": np.array(_FORMAT), "n_layers": np.array(len(weights))}
    arrays |= {name: np.array(value) for name, value in values.items()}
    arrays["target"] = np.array(target, dtype=np.float64)
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


def _as_plain(values, what):
    """Return an array that needs no pickle."""
    if not values.dtype.hasobject:
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


@dataclass(frozen=True)
class _Header:
    """What a file says of an array before its values."""

    member: zipfile.ZipInfo
    shape: tuple


class Stored:
    """The arrays of a file that :func:`serialize` made.

    Names, shapes and types are read and checked at once, values by :meth:`read`.

    Parameters
    ----------
    content : bytes
        The file.

    Attributes
    ----------
    nbytes : int
        Size of all arrays together.
    """

    def __init__(self, content):
        if content.count(_ENTRY) > _MOST_ENTRIES:
            raise ValueError("it has too many parts.")
        self._archive = zipfile.ZipFile(io.BytesIO(content))
        self._headers = {}
        for member in self._archive.infolist():
            name, _, suffix = member.filename.rpartition(".")
            if suffix != "npy" or name in self._headers or _kind(name) not in _ARRAYS:
                raise ValueError(
                    f"it holds {shorten(member.filename)}, which is no part of a "
                    "network, or is there twice."
                )
            self._headers[name] = self._read_header(name, member)
        self.nbytes = sum(each.member.file_size for each in self._headers.values())

    def read(self):
        """Return the arguments of the network."""
        format_ = str(self._read("format"))
        if format_ != _FORMAT:
            raise ValueError(f"its format is {brief(format_, 40)}, not {_FORMAT!r}.")
        n_layers = int(self._read("n_layers"))
        n_features = int(self._read("n_features_in"))
        self._check_shapes(n_layers, n_features)
        target_mean, target_scale = self._read("target").tolist()
        layers = range(n_layers)
        return {
            "coefs": [self._read_weights(layer).T for layer in layers],
            "intercepts": [self._read(f"intercept_{layer}") for layer in layers],
            "activation": str(self._read("activation")),
            "out_activation": str(self._read("out_activation")),
            "loss": str(self._read("loss")),
            "n_features_in": n_features,
            "selected_features": self._read("selected_features"),
            "classes": self._read_if_there("classes"),
            "feature_names_in": self._read_if_there("feature_names_in"),
            "target_mean": float(target_mean),
            "target_scale": float(target_scale),
        }

    def _shape_of(self, name):
        """Return the shape of an array that must be there."""
        if name not in self._headers:
            raise ValueError(f"it has no {name}.")
        return self._headers[name].shape

    def _read_header(self, name, member):
        """Read a header and compare it with what is written under this name."""
        if member.flag_bits & 1 or member.compress_type not in _COMPRESSIONS:
            raise ValueError(f"its {name} is encrypted or of another compression.")
        with self._archive.open(member) as stream:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError(f"its {name} has a header of another version.")
            shape, _, dtype = np.lib.format.read_array_header_1_0(
                stream, max_header_size=_LONGEST_HEADER
            )
            size = stream.tell() + math.prod(shape) * dtype.itemsize
        kinds, n_dimensions = _ARRAYS[_kind(name)]
        is_known = dtype.kind in kinds and _is_usual(dtype, kinds)
        if not is_known or len(shape) != n_dimensions or min(shape, default=0) < 0:
            raise ValueError(f"its {name} has the dtype {dtype} and the shape {shape}.")
        if size != member.file_size:
            raise ValueError(f"its {name} is shorter or longer than it says.")
        return _Header(member, shape)

    def _check_shapes(self, n_layers, n_features):
        """Refuse arrays that do not fit together, before their values are read."""
        expected = self._expect_shapes(n_layers, n_features)
        for name in sorted(self._headers.keys() | expected.keys()):
            shape = self._shape_of(name)
            if shape != expected.get(name):
                raise ValueError(f"its {shorten(name)} has the shape {shape}.")

    def _expect_shapes(self, n_layers, n_features):
        """Shapes that all arrays must have, judged by the sizes of the biases."""
        expected = {name: () for name, (_, n_axes) in _ARRAYS.items() if n_axes == 0}
        expected["target"] = (2,)
        (fan_in,) = self._shape_of("selected_features")
        expected["selected_features"] = (min(fan_in, n_features),)  # not more
        for layer in range(n_layers):
            (fan_out,) = self._shape_of(f"intercept_{layer}")
            expected[f"intercept_{layer}"] = (fan_out,)
            if f"data_{layer}" in self._headers:
                (n_values,) = self._shape_of(f"data_{layer}")
                expected[f"data_{layer}"] = expected[f"indices_{layer}"] = (n_values,)
                expected[f"indptr_{layer}"] = (fan_out + 1,)
            else:
                expected[f"weights_{layer}"] = (fan_out, fan_in)
            fan_in = fan_out
        sizes = {"classes": max(2, fan_in), "feature_names_in": n_features}
        return expected | {
            name: (size,) for name, size in sizes.items() if name in self._headers
        }

    def _read(self, name):
        """Read the values of an array that must be there."""
        self._shape_of(name)
        with self._archive.open(self._headers[name].member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def _read_if_there(self, name):
        return self._read(name) if name in self._headers else None

    def _read_weights(self, layer):
        """Read one weight matrix, dense or sparse as it is."""
        if f"weights_{layer}" in self._headers:
            return self._read(f"weights_{layer}")
        data, indices, indptr = (
            self._read(f"{part}_{layer}") for part in ("data", "indices", "indptr")
        )
        if indptr[-1] != data.size:
            raise ValueError(f"its layer {layer} has more values than places.")
        above = f"intercept_{layer - 1}" if layer else "selected_features"
        (fan_in,) = self._headers[above].shape
        return csr_array((data, indices, indptr), shape=(indptr.size - 1, fan_in))


def _is_usual(dtype, kinds):
    """Tell the sizes of items that are written; others grow when they are read."""
    if kinds == _LABELS[0]:
        return dtype.itemsize > 0
    if dtype.kind == "U":
        return 0 < dtype.itemsize <= _LONGEST_TEXT
    return dtype.itemsize == 8 or (dtype.kind in "iu" and dtype.itemsize == 4)


def _kind(name):
    """Name of an array without the number of its layer."""
    return name.rstrip("0123456789")
