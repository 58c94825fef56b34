"""A network as C code holds it: small numbers in arrays, sparse or dense."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skchaosprune._network import mlp

DTYPES = ("float32", "int8", "int16")

# Integer inputs and activations are in [-LIMIT, LIMIT]; the sums of their products with
# weights stay within 32 bits.
LIMIT = 2**15 - 1
_LARGEST_SUM = 2**31 - 2**19  # the rest is for rounding
_LARGEST_SHIFT = 17
_MARGIN = 2.0  # rows may be as much further out than those of the calibration
_MOST_UNITS = 2**16 - 1


@dataclass(frozen=True, eq=False)
class Layer:
    """Weights and biases of one layer.

    Attributes
    ----------
    weights : ndarray of shape (n_units, n_inputs)
        In single precision or integers.
    biases : ndarray of shape (n_units,)
        Of the same kind; integers have 32 bits.
    scales : ndarray of float32 of shape (n_units,) or None
        What one step of an integer sum is worth; where numbers leave the integers.
    shifts : ndarray of uint8 of shape (n_units,) or None
        Bits by which an integer sum is shifted to become an integer activation.
    """

    weights: np.ndarray
    biases: np.ndarray
    scales: np.ndarray | None = None
    shifts: np.ndarray | None = None

    @cached_property
    def counts(self):
        """Weights of each unit that are not zero."""
        return _shrink(np.count_nonzero(self.weights, axis=1))

    @cached_property
    def columns(self):
        """Their inputs, unit by unit."""
        return _shrink(np.nonzero(self.weights)[1])

    @cached_property
    def values(self):
        """Their values, or all weights where that takes fewer bytes."""
        values = self.weights[np.nonzero(self.weights)]
        as_sparse = (values, self.columns, self.counts)
        is_smaller = _count_bytes(*as_sparse) < self.weights.nbytes
        return values if is_smaller and values.size else self.weights.ravel()

    @property
    def is_dense(self):
        """Whether all weights are stored."""
        return self.values.size == self.weights.size

    @property
    def arrays(self):
        """All that is stored."""
        places = () if self.is_dense else (self.columns, self.counts)
        return (self.values, *places, self.biases, self.scales, self.shifts)


@dataclass(frozen=True, eq=False)
class Embedded:
    """A network, with what is done to its inputs, in numbers of one type.

    Attributes
    ----------
    dtype : {"float32", "int8", "int16"}
        Of the weights.
    n_features : int
        Values of a row.
    columns : ndarray of unsigned int of shape (n_inputs,) or None
        The values that become inputs; None for all, in their order.
    centre : ndarray of float32 of shape (n_inputs,) or None
        What is subtracted from them.
    steps : ndarray of float32 of shape (n_inputs,) or (1,), or None
        Steps of the integer inputs in one unit of a value.
    layers : tuple of Layer
        From the inputs to the outputs.
    activation : str
        Of the hidden units.
    """

    dtype: str
    n_features: int
    columns: np.ndarray | None
    centre: np.ndarray | None
    steps: np.ndarray | None
    layers: tuple
    activation: str

    @property
    def n_inputs(self):
        """Inputs of the first layer."""
        return self.layers[0].weights.shape[1]

    @property
    def nbytes(self):
        """Bytes of all arrays."""
        parts = [part for layer in self.layers for part in layer.arrays]
        if self.steps is not None and self.steps.size > 1:  # one is part of the code
            parts.append(self.steps)
        return _count_bytes(self.columns, self.centre, *parts)

    @property
    def n_multiply_adds(self):
        """Products of a weight and an input for one row."""
        return sum(layer.values.size for layer in self.layers)


def embed(coefs, intercepts, activation, affine):
    """Fold scalers into a network and round it to single precision.

    Parameters
    ----------
    coefs : list of ndarray of shape (fan_in, fan_out)
        Weights.
    intercepts : list of ndarray of shape (fan_out,)
        Biases.
    activation : str
        Of the hidden units.
    affine : Affine
        What makes the inputs of a row.

    Returns
    -------
    network : Embedded
        In single precision. The mean is subtracted in the input, as folded into the
        biases it would cost digits; the factor is in the weights.

    Raises
    ------
    ValueError
        If a number is too large for single precision, or a layer has too many units.
    """
    _check_sizes(coefs, affine.n_columns)
    centre = single(affine.mean, "the mean of a column")
    coefs, intercepts = _fold(coefs, intercepts, affine, centre)
    layers = [
        Layer(single(W.T, "a weight"), single(b, "a bias"))
        for W, b in zip(coefs, intercepts, strict=True)
    ]
    columns = affine.columns
    if not centre.any():
        centre = None
        if _is_smaller_spread(layers[0], affine):
            layers[0] = _spread(layers[0], affine)
            columns = np.arange(affine.n_columns)
    return Embedded(
        "float32",
        affine.n_columns,
        _places(columns, affine.n_columns),
        centre,
        None,
        tuple(layers),
        activation,
    )


def quantise(coefs, intercepts, activation, affine, X, dtype):
    """Round a network to integers, in steps that fit what it meets in some rows.

    Parameters
    ----------
    coefs, intercepts, activation, affine
        As in :func:`embed`.
    X : ndarray of float32 of shape (n_samples, n_features)
        Rows that inputs and hidden units are measured on.
    dtype : {"int8", "int16"}
        Of the weights. Activations have 16 bits.

    Returns
    -------
    network : Embedded
        In integers, each unit in steps of its own. No sum leaves 32 bits, whatever the
        row; inputs and activations twice as far out as in ``X`` are cut off.

    Raises
    ------
    ValueError
        If a number is too large for single precision, or a layer has too many units.
    """
    _check_sizes(coefs, affine.n_columns)
    rows = X[:, affine.columns]  # values that are too large have been refused
    centre = _choose_centre(rows, affine)
    coefs, intercepts = _fold(coefs, intercepts, affine, centre)
    rows = rows.astype(np.float64) - centre
    steps = _choose_steps(rows, affine)
    return Embedded(
        dtype,
        affine.n_columns,
        _places(affine.columns, affine.n_columns),
        centre if centre.any() else None,
        steps,
        tuple(_quantise_layers(coefs, intercepts, activation, rows, steps, dtype)),
        activation,
    )


def compute_logits(network, X):
    """Compute what an integer network makes of rows, bit for bit as its C code does.

    A compiler that fuses a product and a sum into one operation, which ISO C does not,
    may round an input in another way. The tanh and exp of C have other last digits.

    Parameters
    ----------
    network : Embedded
        Of integers.
    X : ndarray of float32 of shape (n_samples, n_features)
        Rows.

    Returns
    -------
    z : ndarray of float32 of shape (n_samples, n_outputs)
        What enters the output activation.
    """
    values = X if network.columns is None else X[:, network.columns]
    with np.errstate(over="ignore"):
        if network.centre is not None:
            values = values - network.centre
        values = _round(values * network.steps)
    for layer in network.layers:
        # whole numbers below 2^31 at each step, so exact in double precision
        products = values.astype(np.float64) @ layer.weights.T.astype(np.float64)
        sums = products.astype(np.int64) + layer.biases
        if layer.shifts is not None:
            half = (1 << layer.shifts.astype(np.int64)) >> 1
            size = np.minimum((np.abs(sums) + half) >> layer.shifts, LIMIT)
            is_kept = sums > 0 if network.activation == "relu" else True
            values = np.where(is_kept, np.sign(sums) * size, 0)
            continue
        z = sums.astype(np.float32) * layer.scales
        if layer is not network.layers[-1]:
            z = mlp.activate(z, network.activation) * np.float32(LIMIT)
            values = _round(z)
    return z


def single(values, what):
    """Round to single precision; raise ValueError where ``what`` is too large."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(values).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"{what} is too large for the single precision of C; use other units for "
            "X, and for the target of a regressor."
        )
    return rounded


def _round(values):
    """Round to integers, halves away from zero, within the limits."""
    values = np.clip(values, -LIMIT, LIMIT)
    return np.trunc(values + np.copysign(np.float32(0.5), values)).astype(np.int64)


def _fold(coefs, intercepts, affine, centre):
    """Return the network of inputs ``x - centre``."""
    W, b = coefs[0] * affine.factor[:, np.newaxis], intercepts[0]
    b = b + affine.offset @ coefs[0] + (centre - affine.mean) @ W
    return [W, *coefs[1:]], [b, *intercepts[1:]]


def _is_smaller_spread(layer, affine):
    """Tell whether columns of rows take less than columns of inputs and their list."""
    places = _places(affine.columns, affine.n_columns)
    if places is None:
        return False
    n_weights = np.count_nonzero(layer.weights)
    n_bytes = layer.counts.nbytes + n_weights * (4 + places.itemsize)
    n_bytes = min(n_bytes, 4 * len(layer.weights) * affine.n_columns)
    return n_bytes + layer.biases.nbytes <= _count_bytes(*layer.arrays, places)


def _spread(layer, affine):
    """Let a layer read its inputs from the row itself."""
    weights = np.zeros((len(layer.weights), affine.n_columns), dtype=np.float32)
    np.add.at(weights, (slice(None), affine.columns), layer.weights)
    return Layer(weights, layer.biases)


def _choose_centre(rows, affine):
    """Take the mean of the scalers, or the middle of a range that does not have it."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    centre = single(affine.mean, "the mean of a column")
    is_outside = (centre < low) | (high < centre)
    return np.where(is_outside, low / 2 + high / 2, centre)


def _choose_steps(rows, affine):
    """Integer steps in one unit of each column, or one number for all of them."""
    factor = np.abs(affine.factor)
    reach = np.abs(rows).max(axis=0, initial=0.0)
    # a constant column moves by a unit of its scaler, but not more than all others
    largest = (reach * factor).max(initial=0.0)
    unit = min(1.0, largest) if largest > 0.0 else 1.0
    reach = np.where(reach > 0.0, reach, unit / factor) * _MARGIN
    if reach.size and reach.max() <= 4.0 * reach.min():
        reach = reach.max(keepdims=True)  # costs at most two bits
    return single(LIMIT / reach, "the scale of a column")


def _quantise_layers(coefs, intercepts, activation, rows, steps, dtype):
    """Yield the layers in integers, each unit in steps of its own."""
    largest = _measure_units(rows, coefs, intercepts, activation)
    sizes = np.broadcast_to(1.0 / steps.astype(np.float64), rows.shape[1])
    for depth, (W, b) in enumerate(zip(coefs, intercepts, strict=True), start=1):
        W = W * sizes[:, np.newaxis]  # of inputs that are integers
        units = _choose_units(W, b, dtype)
        weights = np.rint(W / units).T.astype(dtype)
        biases = np.rint(b / units).astype(np.int32)
        if depth < len(coefs) and activation in ("relu", "identity"):
            shifts = _choose_shifts(largest[depth - 1], units)
            sizes = units * 2.0**shifts
            yield Layer(weights, biases, shifts=shifts)
        else:
            sizes = np.full(len(b), 1.0 / LIMIT)
            scales = single(units, "the scale of a unit")
            yield Layer(weights, biases, scales=scales)


def _choose_units(W, b, dtype):
    """What one step of the sums of each unit is worth, so that all numbers fit."""
    rounding = np.count_nonzero(W, axis=0) * LIMIT / 2 + 1
    worst = np.abs(W).sum(axis=0) * LIMIT + np.abs(b)
    units = worst / (_LARGEST_SUM - rounding)
    largest = np.abs(W).max(axis=0, initial=0.0)
    units = np.maximum(units, largest / np.iinfo(dtype).max)
    return np.where(units > 0.0, units, 1.0)


def _measure_units(rows, coefs, intercepts, activation):
    """Return the largest size of the output of each hidden unit, layer by layer."""
    largest = [np.zeros(len(b)) for b in intercepts[:-1]]
    for block in mlp.row_blocks(len(rows), [len(b) for b in intercepts]):
        _, *hidden = mlp.hidden_outputs(rows[block], coefs, intercepts, activation)
        for sizes, outputs in zip(largest, hidden, strict=True):
            np.maximum(sizes, np.abs(outputs).max(axis=0), out=sizes)
    return largest


def _choose_shifts(largest, units):
    """Bits to drop so that sums up to ``largest``, and a margin, become activations.

    A unit that never answers may do so for other rows. It gets the steps of the
    coarsest unit: larger ones would leave no bits to the weights that follow.
    """
    answers = largest > 0.0
    steps = np.where(answers, largest, units) * _MARGIN / LIMIT
    if answers.any():
        steps[~answers] = steps[answers].max()
    n_bits = np.ceil(np.log2(steps / units))
    return np.clip(n_bits, 0, _LARGEST_SHIFT).astype(np.uint8)


def _check_sizes(coefs, n_columns):
    if min(len(W) for W in coefs) == 0 < len(coefs) - 1:
        raise ValueError(
            "to_c takes no hidden layer without units; make the network by compact()."
        )
    largest = max(n_columns, *(size for W in coefs for size in W.shape))
    if largest > _MOST_UNITS:
        raise ValueError(
            f"to_c takes up to {_MOST_UNITS} features and units per layer, and the "
            f"model has {largest}."
        )


def _places(columns, n_columns):
    """Columns as they are stored; None for all of them in their order."""
    if np.array_equal(columns, np.arange(n_columns)):
        return None
    return _shrink(columns)


def _shrink(values):
    """Store integers in 8 bits where all fit, else in 16."""
    return values.astype(np.uint8 if values.max(initial=0) <= 255 else np.uint16)


def _count_bytes(*arrays):
    return sum(array.nbytes for array in arrays if array is not None)
