"""Stochastic gradient descent under a mask, which touches kept weights only."""

import numpy as np

from skchaosprune._kernels.jit import jit, jit_inner
from skchaosprune._kernels.sgd import (
    _activate,
    _copy,
    _multiply_by_derivative,
    _offsets,
    _output_delta,
    _step_biases,
)


@jit_inner
def _take(flat, places, values):
    """Write ``flat[places]``."""
    for k in range(places.size):
        values[k] = flat[places[k]]


@jit_inner
def _put(values, places, flat):
    """Write ``values`` to ``flat[places]``."""
    for k in range(places.size):
        flat[places[k]] = values[k]


@jit
def train_kept(
    params,
    velocity,
    places,
    kept,
    ends,
    sizes,
    codes,
    X,
    targets,
    row_weights,
    step_weights,
    order,
    start,
    stop,
    rate,
    momentum,
    penalty,
):
    """Train on ``order[start:stop]`` as ``sgd.train_rows``, touching kept weights only.

    The numbers are the same: every sum is taken in the same order, and the terms left
    out are zeros. Only zeros may differ in sign.

    Parameters
    ----------
    params, velocity : ndarray of shape (n_parameters,)
        Updated in place, but for pruned weights and their momentum.
    places, kept, ends : ndarrays
        From :func:`list_kept`.
    sizes, codes, X, targets, row_weights, step_weights, order, start, stop, rate, \
            momentum, penalty
        See ``sgd.train_rows``.

    Returns
    -------
    loss : float
        Sum of the weighted losses of the rows visited.
    """
    # long, as ``sgd.train_rows`` is
    activation, output_activation, loss_code = codes
    n_layers = sizes.size - 1
    weights, _, units = _offsets(sizes)
    biases, bias_velocity = params[weights[n_layers] :], velocity[weights[n_layers] :]
    values, speeds = np.empty(places.size), np.empty(places.size)
    _take(params, places, values)
    _take(velocity, places, speeds)
    sources, columns, sums_of = kept[0], kept[1], kept[2]
    outputs = np.empty(units[n_layers + 1])
    deltas = np.empty(units[n_layers + 1])
    sums = np.empty(4 * units[n_layers + 1])
    n_inputs = sizes[0]
    loss = 0.0
    for position in range(start, stop):
        row = order[position]
        _copy(X[row], outputs)
        _copy(biases, outputs[n_inputs:])
        for layer in range(n_layers):
            for k in range(ends[layer], ends[layer + 1]):
                outputs[columns[k]] += outputs[sources[k]] * values[k]
            if layer < n_layers - 1:
                _activate(outputs[units[layer + 1] : units[layer + 2]], activation)

        loss += row_weights[row] * _output_delta(
            outputs[units[n_layers] :],
            targets[row],
            deltas[units[n_layers] :],
            step_weights[row],
            output_activation,
            loss_code,
        )

        for i in range(4 * n_inputs, sums.size):
            sums[i] = 0.0
        for layer in range(n_layers - 1, -1, -1):
            first, last = ends[layer], ends[layer + 1]
            if layer > 0:
                for k in range(first, last):
                    sums[sums_of[k]] += values[k] * deltas[columns[k]]
            if momentum == 0.0 and penalty == 0.0:
                for k in range(first, last):
                    values[k] -= rate * (outputs[sources[k]] * deltas[columns[k]])
            else:
                for k in range(first, last):
                    slope = outputs[sources[k]] * deltas[columns[k]]
                    slope += penalty * values[k]
                    if momentum != 0.0:
                        speeds[k] = momentum * speeds[k] + slope
                        slope = speeds[k]
                    values[k] -= rate * slope
            if layer > 0:
                for i in range(units[layer], units[layer + 1]):
                    deltas[i] = (sums[4 * i] + sums[4 * i + 1]) + (
                        sums[4 * i + 2] + sums[4 * i + 3]
                    )
                first, last = units[layer], units[layer + 1]
                _multiply_by_derivative(
                    deltas[first:last], outputs[first:last], activation
                )
        _step_biases(biases, bias_velocity, deltas[n_inputs:], rate, momentum)
    _put(values, places, params)
    _put(speeds, places, velocity)
    return loss


def list_kept(mask, layer_sizes):
    """List the kept weights for :func:`train_kept`.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_weights,)
        True = kept.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.

    Returns
    -------
    places : ndarray of int of shape (n_kept,)
        Where they are in the flat parameters.
    kept : ndarray of uint32 of shape (3, n_kept)
        Source and target unit, counted through all layers, and where the sum of
        ``_backward_layer`` is kept in which the weight takes part. Unsigned, as
        kernels check signed indices for negative ones.
    ends : ndarray of int of shape (n_layers + 1,)
        Where each layer begins, and the number of kept weights.
    """
    parts, first_unit, first = [], 0, 0
    for fan_in, fan_out in zip(layer_sizes[:-1], layer_sizes[1:], strict=True):
        last = first + fan_in * fan_out
        sources, columns = np.divmod(np.flatnonzero(mask[first:last]), fan_out)
        parts.append(
            (
                first_unit + sources,
                first_unit + fan_in + columns,
                4 * (first_unit + sources)
                + np.where(columns < fan_out - fan_out % 4, columns % 4, 0),
            )
        )
        first_unit, first = first_unit + fan_in, last
    ends = np.cumsum([0, *(len(sources) for sources, _, _ in parts)])
    return np.flatnonzero(mask), np.concatenate(parts, axis=1).astype(np.uint32), ends
