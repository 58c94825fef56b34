"""Files of the first format, which are read but not written any more."""

from scipy.sparse import csr_array

from skchaosprune._text import brief, shorten

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

_LONGEST_TEXT = 256  # bytes; those of labels are not limited


class Stored:
    """A network as arrays of an archive, one for each part.

    Names, shapes and types are checked at once, values are read by :meth:`read`.

    Parameters
    ----------
    archive : Archive
        The file.

    Attributes
    ----------
    nbytes : int
        Size of all arrays together.
    """

    def __init__(self, archive):
        self._archive = archive
        self._headers = archive.headers
        for name, header in archive.headers.items():
            _check_header(name, header)
        self.nbytes = archive.nbytes

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
        return self._archive.read(name)

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


def _check_header(name, header):
    """Refuse what is not written under this name."""
    if _kind(name) not in _ARRAYS:
        raise ValueError(f"it holds {shorten(name)}, which is no part of a network.")
    dtype, shape = header.dtype, header.shape
    kinds, n_dimensions = _ARRAYS[_kind(name)]
    is_known = dtype.kind in kinds and _is_usual(dtype, kinds)
    if not is_known or len(shape) != n_dimensions:
        raise ValueError(f"its {name} has the dtype {dtype} and the shape {shape}.")


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
