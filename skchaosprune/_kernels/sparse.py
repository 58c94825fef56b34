"""Stochastic gradient descent under a mask, which touches kept weights only."""

import numpy as np

from skchaosprune._kernels.jit import jit
from skchaosprune._kernels.sgd import (
    _activate,
    _multiply_by_derivative,
    _offsets,
    _output_delta,
    _step_biases,
    network_codes,
)

# Multiply-adds per kernel call: about a tenth of a second, so that Ctrl-C is heard.
_KERNEL_CALL_SIZE = 50_000_000


@jit
def _train_kept(
    values,
    velocity,
    biases,
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
    values, velocity : ndarray of shape (n_kept,)
        Kept weights in the order of the flat parameters, and their momentum; updated
        in place.
    biases : ndarray of shape (2, n_biases)
        All biases, layer by layer, and their momentum; updated in place.
    kept, ends : ndarrays
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
    _, _, units = _offsets(sizes)
    sources, columns, sums_of = kept[0], kept[1], kept[2]
    outputs = np.empty(units[n_layers + 1])
    deltas = np.empty(units[n_layers + 1])
    sums = np.empty(4 * units[n_layers + 1])
    n_inputs = sizes[0]
    loss = 0.0
    for position in range(start, stop):
        row = order[position]
        outputs[:n_inputs] = X[row]
        outputs[n_inputs:] = biases[0]
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

        sums[4 * n_inputs :] = 0.0
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
                        velocity[k] = momentum * velocity[k] + slope
                        slope = velocity[k]
                    values[k] -= rate * slope
            if layer > 0:
                for i in range(units[layer], units[layer + 1]):
                    deltas[i] = (sums[4 * i] + sums[4 * i + 1]) + (
                        sums[4 * i + 2] + sums[4 * i + 3]
                    )
                unit = slice(units[layer], units[layer + 1])
                _multiply_by_derivative(deltas[unit], outputs[unit], activation)
        _step_biases(biases[0], biases[1], deltas[n_inputs:], rate, momentum)
    return loss


def list_kept(mask, layer_sizes):
    """List the kept weights for ``_train_kept``.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_weights,)
        True = kept.
    layer_sizes : sequence of int
        Units per layer, inputs and outputs included.

    Returns
    -------
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
    return np.concatenate(parts, axis=1).astype(np.uint32), ends


def train_kept(plan, data, params, mask, *, n_epochs, seed, largest):
    """Train under a mask in the sparse kernel.

    Parameters
    ----------
    plan : TrainingPlan
        Architecture and optimiser, which has to be SGD with one row per step.
    data : TrainingData
        Training rows.
    params : ndarray of shape (n_parameters,)
        Flat initial parameters.
    mask : ndarray of bool of shape (n_weights,)
        True for the weights that are trained; the others are 0 throughout.
    n_epochs : int
        Passes over the data.
    seed : int
        Of the row order.
    largest : float
        A weight beyond this at the end of an epoch has diverged.

    Returns
    -------
    params : ndarray of shape (n_parameters,) or None
        The same numbers as those of ``_training.net.train``, or None where the training
        diverges.
    """
    sizes = np.array(plan.layer_sizes)
    weights, biases = np.split(params, [plan.n_weights])
    values, velocity = weights[mask], np.zeros(np.count_nonzero(mask))
    biases = np.stack([biases, np.zeros_like(biases)])
    kept, ends = list_kept(mask, plan.layer_sizes)
    n_at_once = max(1, _KERNEL_CALL_SIZE // (3 * values.size + sizes.sum()))
    rng, squares = np.random.RandomState(seed), data.squared_norms()
    for epoch in range(n_epochs):
        order = plan.draw_order(data.n_rows, rng)
        rate = plan.decay(epoch, n_epochs) * plan.learning_rate_init
        of_rows = plan.measure_rows(squares, order, data.total_weight)
        step_weights = plan.weigh_steps(
            data.sample_weight, of_rows, rate, plan.momentum
        )
        for first in range(0, order.size, n_at_once):
            _train_kept(
                values,
                velocity,
                biases,
                kept,
                ends,
                sizes,
                network_codes(plan),
                data.X,
                data.targets,
                data.sample_weight,
                step_weights,
                order,
                first,
                min(first + n_at_once, order.size),
                rate,
                plan.momentum,
                plan.alpha / data.total_weight,
            )
        # written so that NaN has diverged, too
        if not all((np.abs(part) <= largest).all() for part in (values, biases[0])):
            return None
    trained = np.zeros_like(params)
    trained[: mask.size][mask], trained[mask.size :] = values, biases[0]
    return trained
