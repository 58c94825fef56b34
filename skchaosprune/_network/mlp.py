"""A multi-layer perceptron in plain numpy: layout, initial weights, outputs, losses.

Everything that only needs a forward pass is here, so that prediction, targets of the
causality test and importances need no torch. The flat layout of the parameters is the
one of :mod:`skchaosprune._kernels.sgd`.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit, log_expit, log_softmax

from skchaosprune._network.rows import as_dense

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")

# Beyond this, errors count by their size and no longer by their square. Where they are
# normal, that is 95 % as efficient as squares.
HUBER_DELTA = 1.35

# Rows handled at once, so that activations of wide nets stay within a few megabytes.
_BLOCK_ELEMENTS = 500_000


@dataclass(frozen=True)
class Network:
    """What a network computes, and what it is trained to make small.

    There are five kinds of outputs: logistic with log loss for two classes (one
    output), softmax with log loss for more, logistic with squared error for any
    number of classes, and one identity output with squared error or Huber's loss for
    regression.
    """

    layer_sizes: tuple
    activation: str
    out_activation: str
    loss: str
    is_classifier: bool

    @property
    def n_weights(self):
        """Number of weights, biases not counted."""
        return count_weights(self.layer_sizes)


@dataclass(frozen=True)
class TrainingData:
    """Rows of one data set: inputs, labels for skorch, targets and weights for us.

    ``X`` is an array or a CSR array, whose rows :meth:`take` makes dense. ``y`` is what
    callbacks see: class codes, or the standardised target as a column. ``targets`` is
    ``(n_rows, n_outputs)`` float64. ``sample_weight`` is positive and has mean 1;
    ``total_weight`` is the number of rows that the weights stand for, by
    :func:`skchaosprune._weights.sum_weights`. ``order``, "C" or "F", is that in
    memory of the rows that are taken, as sums may depend on it.
    """

    X: np.ndarray | csr_array
    y: np.ndarray
    targets: np.ndarray
    sample_weight: np.ndarray
    total_weight: float
    order: str = "C"

    @property
    def n_rows(self):
        """Number of rows."""
        return self.X.shape[0]

    def take(self, rows):
        """Return some of the rows as an array; often a view, if ``X`` is an array."""
        return np.asarray(as_dense(self.X[rows]), order=self.order)

    def densify(self):
        """Return the same rows with ``X`` as an array."""
        return replace(self, X=as_dense(self.X))

    def squared_norms(self):
        """Squared norms of the rows, ``(n_rows,)``."""
        squares = np.empty(self.n_rows)
        with np.errstate(over="ignore"):
            for rows in row_blocks(self.n_rows, self.X.shape[1:]):
                X = self.take(rows)
                squares[rows] = np.einsum("ij,ij->i", X, X)
        return squares

    def logits(self, params, network):
        """What the net computes for these rows, before the output activation."""
        coefs, intercepts = unflatten(params, network.layer_sizes)
        return logits(self.X, coefs, intercepts, network.activation)

    def mean_loss(self, params, network):
        """Weighted mean loss of the rows, without the L2 penalty."""
        z = self.logits(params, network)
        losses = row_losses(z, self.targets, network.out_activation, network.loss)
        return float(np.average(losses, weights=self.sample_weight))

    def mean_error(self, params, network):
        """Weighted misclassification rate; for a regressor the mean loss."""
        if not network.is_classifier:
            return self.mean_loss(params, network)
        errors = row_errors(self.logits(params, network), self.targets)
        return float(np.average(errors, weights=self.sample_weight))

    def score(self, params, network):
        """Weighted accuracy; for a regressor R2."""
        if network.is_classifier:
            return 1.0 - self.mean_error(params, network)
        y, weights = self.targets[:, 0], self.sample_weight
        errors = self.logits(params, network)[:, 0] - y
        deviations = y - np.average(y, weights=weights)
        largest = np.abs(deviations).max() or 1.0  # whose square may overflow
        with np.errstate(over="ignore"):
            errors, spread = (
                np.average((part / largest) ** 2, weights=weights)
                for part in (errors, deviations)
            )
        return 1.0 - float(errors / (spread or 1.0))


def count_weights(layer_sizes):
    """Count the entries of all weight matrices; biases are not weights."""
    return sum(a * b for a, b in zip(layer_sizes[:-1], layer_sizes[1:], strict=True))


def count_parameters(layer_sizes):
    """Count weights and biases."""
    return count_weights(layer_sizes) + sum(layer_sizes[1:])


def split_layers(flat, layer_sizes):
    """View a flat array as one matrix per layer.

    Parameters
    ----------
    flat : ndarray of shape (n_weights,)
        Layer by layer, raveled in C order.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.

    Returns
    -------
    layers : list of ndarray of shape (fan_in, fan_out)
        Views, not copies.
    """
    shapes = list(zip(layer_sizes[:-1], layer_sizes[1:], strict=True))
    ends = np.cumsum([fan_in * fan_out for fan_in, fan_out in shapes])
    parts = np.split(flat, ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def unflatten(params, layer_sizes):
    """Split the flat parameters into ``(coefs, intercepts)``, lists of views."""
    n_weights = count_weights(layer_sizes)
    coefs = split_layers(params[:n_weights], layer_sizes)
    ends = np.cumsum(layer_sizes[1:])[:-1]
    return coefs, np.split(params[n_weights:], ends)


def flatten(coefs, intercepts):
    """Join weight matrices and bias vectors into one new float64 array."""
    parts = [np.asarray(part, dtype=np.float64).ravel() for part in coefs]
    parts += [np.asarray(part, dtype=np.float64).ravel() for part in intercepts]
    return np.concatenate(parts)


def initial_parameters(layer_sizes, weight_init, activation, rng):
    """Draw the flat initial parameters.

    "glorot_uniform" is the rule of scikit-learn's MLP (biases included), "normal" the
    paper's N(0, 1). A pair ``(coefs, intercepts)`` is taken as it is.
    """
    if not isinstance(weight_init, str):
        return flatten(*weight_init)
    if weight_init == "normal":
        return rng.standard_normal(count_parameters(layer_sizes))
    factor = 2.0 if activation == "logistic" else 6.0
    params = np.empty(count_parameters(layer_sizes))
    for W, b in zip(*unflatten(params, layer_sizes), strict=True):
        bound = np.sqrt(factor / sum(W.shape))
        W[...] = rng.uniform(-bound, bound, W.shape)
        b[...] = rng.uniform(-bound, bound, b.shape)
    return params


def activate(z, activation):
    """Apply a hidden activation, in place."""
    if activation == "logistic":
        expit(z, out=z)
    elif activation == "tanh":
        np.tanh(z, out=z)
    elif activation == "relu":
        np.maximum(z, 0.0, out=z)
    return z


def hidden_outputs(X, coefs, intercepts, activation):
    """Return the outputs of the inputs and of every hidden layer, as a list."""
    layers = [X]
    for W, b in zip(coefs[:-1], intercepts[:-1], strict=True):
        z = layers[-1] @ W
        z += b  # in place, as a new array of this size is slow to get
        layers.append(activate(z, activation))
    return layers


def row_blocks(n_rows, layer_sizes):
    """Slices of rows whose widest activations fit into a few megabytes."""
    size = max(1, _BLOCK_ELEMENTS // max(layer_sizes))
    return [slice(first, first + size) for first in range(0, n_rows, size)]


def logits(X, coefs, intercepts, activation):
    """Compute what enters the output activation, ``(n_rows, n_outputs)``."""
    layer_sizes = [W.shape[0] for W in coefs] + [coefs[-1].shape[1]]
    z = np.empty((X.shape[0], layer_sizes[-1]))
    # a net that diverges overflows here; the caller looks for that and explains it
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in row_blocks(X.shape[0], layer_sizes):
            layers = hidden_outputs(as_dense(X[rows]), coefs, intercepts, activation)
            z[rows] = layers[-1] @ coefs[-1] + intercepts[-1]
    return z


@np.errstate(over="ignore")  # the largest of a row may be far above the others
def softmax(z):
    """Softmax of each row: scipy's to the bit, in half the time for one row."""
    outputs = np.exp(z - z.max(axis=1, keepdims=True))
    outputs /= outputs.sum(axis=1, keepdims=True)
    return outputs


def outputs_from_logits(z, out_activation):
    """Apply the output activation."""
    if out_activation == "softmax":
        return softmax(z)
    return expit(z) if out_activation == "logistic" else z


def check_outputs(outputs):
    """Return the outputs of given rows; refuse them where the rows are too large."""
    finite = np.isfinite(outputs)
    # all() takes twice as long for one row
    if np.count_nonzero(finite) < finite.size:
        finite = finite.reshape(len(outputs), -1).all(axis=1)
        raise ValueError(
            f"the outputs of {np.sum(~finite)} of the {len(finite)} rows of X are too "
            f"large for float64, first of row {np.argmin(finite)}; scale X like the "
            "training rows, and a regressor's y."
        )
    return outputs


@np.errstate(over="ignore")
def in_target_units(z, mean, scale):
    """Turn the outputs of a regressor into its predictions."""
    return check_outputs(z[:, 0] * scale + mean)


def class_probabilities(z, out_activation):
    """Turn what enters the output activation into one probability per class."""
    outputs = outputs_from_logits(z, out_activation)
    if z.shape[1] == 1:
        return np.concatenate([1.0 - outputs, outputs], axis=1)
    if out_activation == "softmax":
        return outputs
    # in logarithms, as all outputs of a row may vanish
    return softmax(log_expit(z))


def row_losses(z, targets, out_activation, loss):
    """Loss of each row, ``(n_rows,)``; errors are averaged over the outputs."""
    with np.errstate(over="ignore", invalid="ignore"):
        if loss != "log_loss":
            errors = outputs_from_logits(z, out_activation) - targets
            return np.mean(huber(errors) if loss == "huber" else errors**2, axis=1)
        if out_activation == "softmax":
            return -np.sum(targets * log_softmax(z, axis=1), axis=1)
        return np.sum(np.logaddexp(0.0, z) - targets * z, axis=1)


def huber(errors):
    """Huber's loss of errors: their squares, beyond ``HUBER_DELTA`` straight lines.

    Twice the textbook's, so that near 0 it is the squared error.

    P. J. Huber (1964). Annals of Mathematical Statistics 35, 73-101.
    """
    size = np.abs(errors)
    near = np.minimum(size, HUBER_DELTA)
    return near * (2.0 * size - near)


def row_errors(z, targets):
    """1.0 for each misclassified row.

    With one output a row is called positive when its logit is above 0.
    """
    if z.shape[1] == 1:
        wrong = (z[:, 0] > 0.0) != (targets[:, 0] > 0.5)
    else:
        wrong = np.argmax(z, axis=1) != np.argmax(targets, axis=1)
    return wrong.astype(np.float64)


def activation_slope(outputs, activation):
    """Derivative of a hidden activation, written in terms of its output."""
    if activation == "logistic":
        return outputs * (1.0 - outputs)
    if activation == "tanh":
        return 1.0 - outputs**2
    if activation == "relu":
        return (outputs > 0.0).astype(np.float64)
    return np.ones_like(outputs)
