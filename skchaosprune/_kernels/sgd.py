"""One epoch of stochastic gradient descent for a dense MLP, recording as it goes.

The parameters are one flat float64 array: every weight matrix, raveled in C order with
shape ``(fan_in, fan_out)``, layer by layer, then every bias vector. A record of all
weights is then one copy of the array's front.
"""

import math

import numpy as np

from skchaosprune._kernels.jit import jit, jit_inner
from skchaosprune._network.mlp import HUBER_DELTA

ACTIVATIONS = {"identity": 0, "logistic": 1, "tanh": 2, "relu": 3}
OUTPUT_ACTIVATIONS = {"identity": 0, "logistic": 1, "softmax": 2}
LOSSES = {"log_loss": 0, "squared_error": 1, "huber": 2}

# Once the factor of the first layer's weights (see `lists`) is below this, it is
# multiplied in and starts again from 1.
_SMALLEST_SCALE = 1e-100


def network_codes(network):
    """Name a network's activations, hidden and output, and its loss for kernels."""
    return (
        ACTIVATIONS[network.activation],
        OUTPUT_ACTIVATIONS[network.out_activation],
        LOSSES[network.loss],
    )


@jit_inner
def _logistic(z):
    """Logistic function, without overflow."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    growth = math.exp(z)
    return growth / (1.0 + growth)


@jit_inner
def _activate(values, activation):
    """Apply the hidden activation in place to a 1-D array."""
    if activation == 1:
        for j in range(values.size):
            values[j] = _logistic(values[j])
    elif activation == 2:
        for j in range(values.size):
            values[j] = math.tanh(values[j])
    elif activation == 3:
        for j in range(values.size):
            # not max(): a NaN has to stay one, or a diverged net looks healthy
            if values[j] < 0.0:
                values[j] = 0.0


@jit_inner
def _multiply_by_derivative(delta, outputs, activation):
    """Multiply by the activation's derivative, written in terms of its output."""
    if activation == 1:
        for j in range(delta.size):
            delta[j] *= outputs[j] * (1.0 - outputs[j])
    elif activation == 2:
        for j in range(delta.size):
            delta[j] *= 1.0 - outputs[j] * outputs[j]
    elif activation == 3:
        for j in range(delta.size):
            if outputs[j] <= 0.0:
                delta[j] = 0.0


@jit_inner
def _error_loss(error, loss):
    """Squared error, or Huber's loss."""
    size = abs(error)
    if loss == 2 and size > HUBER_DELTA:
        return HUBER_DELTA * (2.0 * size - HUBER_DELTA)
    return error * error


@jit_inner
def _output_delta(z, target, delta, scale, output_activation, loss):
    """Write d loss / d z of one row, times ``scale``, and return the row's loss."""
    n_outputs = z.size
    value = 0.0
    if output_activation == 2:
        largest = z[0]
        for j in range(1, n_outputs):
            if z[j] > largest:
                largest = z[j]
        total = 0.0
        for j in range(n_outputs):
            delta[j] = math.exp(z[j] - largest)
            total += delta[j]
        for j in range(n_outputs):
            value += target[j] * (math.log(total) + largest - z[j])
            delta[j] = scale * (delta[j] / total - target[j])
        return value
    for j in range(n_outputs):
        if output_activation == 1:
            output = _logistic(z[j])
        else:
            output = z[j]
        error = output - target[j]
        if loss == 0:
            # softplus(z) - t z, without overflow
            value += max(z[j], 0.0) - target[j] * z[j]
            value += math.log1p(math.exp(-abs(z[j])))
            delta[j] = scale * error
        else:
            value += _error_loss(error, loss) / n_outputs
            slope = 2.0 * error / n_outputs
            if loss == 2 and abs(error) > HUBER_DELTA:
                slope = math.copysign(2.0 * HUBER_DELTA / n_outputs, error)
            if output_activation == 1:
                slope *= output * (1.0 - output)
            delta[j] = scale * slope
    return value


@jit_inner
def _step(params, velocity, mask, gradient, rate, momentum, decay):
    """Update a block of weights, then mask it; all arrays are 1-D and equally long."""
    if momentum == 0.0:
        for k in range(params.size):
            slope = gradient[k] + decay * params[k]
            params[k] = (params[k] - rate * slope) * mask[k]
    else:
        for k in range(params.size):
            slope = gradient[k] + decay * params[k]
            velocity[k] = momentum * velocity[k] + slope
            params[k] = (params[k] - rate * velocity[k]) * mask[k]


@jit_inner
def _step_layer(W, velocity, mask, inputs, delta, rate, momentum, decay):
    """As ``_step`` for one layer's matrices, in a step of a single row."""
    if momentum == 0.0:
        for i in range(W.shape[0]):
            value = inputs[i]
            for j in range(W.shape[1]):
                slope = value * delta[j] + decay * W[i, j]
                W[i, j] = (W[i, j] - rate * slope) * mask[i, j]
    else:
        for i in range(W.shape[0]):
            value = inputs[i]
            for j in range(W.shape[1]):
                slope = value * delta[j] + decay * W[i, j]
                velocity[i, j] = momentum * velocity[i, j] + slope
                W[i, j] = (W[i, j] - rate * velocity[i, j]) * mask[i, j]


@jit_inner
def _forward_layer(inputs, W, bias, z):
    """Write ``inputs @ W + bias`` of one row, input by input."""
    for j in range(W.shape[1]):
        z[j] = bias[j]
    for i in range(W.shape[0]):
        value = inputs[i]
        for j in range(W.shape[1]):
            z[j] += value * W[i, j]


@jit_inner
def _backward_layer(W, delta, back):
    """Write ``W @ delta``, in four interleaved sums: quick, and always in one order."""
    whole = W.shape[1] - W.shape[1] % 4
    for i in range(W.shape[0]):
        s0 = s1 = s2 = s3 = 0.0
        for j in range(0, whole, 4):
            s0 += W[i, j] * delta[j]
            s1 += W[i, j + 1] * delta[j + 1]
            s2 += W[i, j + 2] * delta[j + 2]
            s3 += W[i, j + 3] * delta[j + 3]
        for j in range(whole, W.shape[1]):
            s0 += W[i, j] * delta[j]
        back[i] = (s0 + s1) + (s2 + s3)


@jit_inner
def _forward_listed(entries, columns, W, scale, bias, z):
    """As ``_forward_layer`` for ``scale * W`` and the entries of a row."""
    for j in range(z.size):
        z[j] = bias[j]
    for k in range(entries.size):
        value, i = scale * entries[k], columns[k]
        for j in range(z.size):
            z[j] += value * W[i, j]


@jit_inner
def _step_listed(entries, columns, W, mask, delta, rate):
    """Update the weights of the inputs that are not 0 in a row, without a penalty."""
    for k in range(entries.size):
        value, i = entries[k], columns[k]
        for j in range(delta.size):
            W[i, j] = (W[i, j] - rate * (value * delta[j])) * mask[i, j]


@jit_inner
def _step_biases(params, velocity, gradient, rate, momentum):
    """Update the biases of one layer; they carry no penalty and no mask."""
    for k in range(params.size):
        if momentum == 0.0:
            params[k] -= rate * gradient[k]
        else:
            velocity[k] = momentum * velocity[k] + gradient[k]
            params[k] -= rate * velocity[k]


@jit_inner
def _copy(values, target):
    """Copy a 1-D array; a slice assignment would take a second to compile."""
    for k in range(values.size):
        target[k] = values[k]


@jit_inner
def _write_scaled(values, scale, target):
    """Write ``scale * values``, 1-D."""
    for k in range(values.size):
        target[k] = scale * values[k]


@jit_inner
def _offsets(sizes):
    """Where each layer's weights and biases begin, and each layer's units."""
    n_layers = sizes.size - 1
    weights = np.zeros(n_layers + 1, dtype=np.int64)
    for layer in range(n_layers):
        weights[layer + 1] = weights[layer] + sizes[layer] * sizes[layer + 1]
    biases = np.zeros(n_layers + 1, dtype=np.int64)
    biases[0] = weights[n_layers]
    units = np.zeros(n_layers + 2, dtype=np.int64)
    for layer in range(n_layers):
        biases[layer + 1] = biases[layer] + sizes[layer + 1]
    for layer in range(n_layers + 1):
        units[layer + 1] = units[layer] + sizes[layer]
    return weights, biases, units


@jit
def train_rows(
    params,
    velocity,
    mask,
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
    iteration,
    record_every,
    records,
    n_records,
    lists,
):
    """Train on ``order[start:stop]`` with one row per step (batch size 1).

    Parameters
    ----------
    params, velocity : ndarray of shape (n_parameters,)
        Updated in place; ``velocity`` is not touched where ``momentum`` is 0.
    mask : ndarray of shape (n_weights,)
        1.0 for a kept weight, 0.0 for a pruned one.
    sizes : ndarray of shape (n_layers + 1,)
        Units per layer, inputs and outputs included.
    codes : tuple of three int
        Hidden activation, output activation and loss.
    X, targets, row_weights, step_weights, order : ndarrays
        The training rows, their targets ``(n_rows, n_outputs)``, their weights in the
        loss (mean 1) and in the gradient, and the order in which they are visited.
    start, stop : int
        Positions in ``order``.
    rate, momentum, penalty : float
        Learning rate, momentum, and what the gradient of a weight gains per unit of the
        weight: ``alpha / total_weight``.
    iteration : int
        Steps already done.
    record_every : int
        A record is taken after each step whose number it divides; 0 takes none.
    records : ndarray of shape (window_size, n_weights)
        The window that is being filled.
    n_records : int
        Rows of ``records`` already filled. The kernel returns once all are.
    lists : tuple of four ndarrays or None
        The rows as lists of what is not zero in them, where ``X`` is not read:
        ``starts`` (n_rows + 1,), ``columns`` and ``entries`` (n_entries,) of a CSR
        array. The penalty must be below ``1 / rate`` and the momentum 0, as the step
        of a row only touches the weights of its inputs: those of the first layer are
        a matrix times a factor that falls in each step. Both are in the fourth array,
        ``(sizes[0] * sizes[1] + 1,)``, which is updated in place; it begins as the
        weights and 1.0. Without a penalty the bits are those without lists.

    Returns
    -------
    position, iteration, n_records : int
        Where to go on.
    loss : float
        Sum of the weighted losses of the rows visited.
    """
    # long, as forward pass, backward pass and step share scratch arrays, which numba
    # would pass to functions of their own one by one
    activation, output_activation, loss_code = codes
    n_layers = sizes.size - 1
    weights, biases, units = _offsets(sizes)
    outputs = np.empty(units[n_layers + 1])
    deltas = np.empty(units[n_layers + 1])
    if lists is not None:
        starts, columns, entries, scaled = lists
        n_listed = weights[1]
        scale = scaled[n_listed]
        listed_W = scaled[:n_listed].reshape(sizes[0], sizes[1])
        listed_mask = mask[:n_listed].reshape(sizes[0], sizes[1])
        listed_z = outputs[units[1] : units[2]]
        listed_delta = deltas[units[1] : units[2]]
        bias = params[biases[0] : biases[1]]
    loss = 0.0
    position = start
    while position < stop:
        row = order[position]
        if lists is None:
            first_layer = 0
            _copy(X[row], outputs)
        else:
            first_layer = 1
            values = entries[starts[row] : starts[row + 1]]
            places = columns[starts[row] : starts[row + 1]]
            _forward_listed(values, places, listed_W, scale, bias, listed_z)
            if n_layers > 1:
                _activate(listed_z, activation)
        for layer in range(first_layer, n_layers):
            fan_in, fan_out = sizes[layer], sizes[layer + 1]
            inputs = outputs[units[layer] : units[layer + 1]]
            z = outputs[units[layer + 1] : units[layer + 2]]
            W = params[weights[layer] : weights[layer + 1]].reshape(fan_in, fan_out)
            _forward_layer(inputs, W, params[biases[layer] : biases[layer + 1]], z)
            if layer < n_layers - 1:
                _activate(z, activation)

        loss += row_weights[row] * _output_delta(
            outputs[units[n_layers] :],
            targets[row],
            deltas[units[n_layers] :],
            step_weights[row],
            output_activation,
            loss_code,
        )

        for layer in range(n_layers - 1, first_layer - 1, -1):
            shape = (sizes[layer], sizes[layer + 1])
            first, last = weights[layer], weights[layer + 1]
            W = params[first:last].reshape(shape)
            inputs = outputs[units[layer] : units[layer + 1]]
            back = deltas[units[layer] : units[layer + 1]]
            delta = deltas[units[layer + 1] : units[layer + 2]]
            if layer > 0:
                _backward_layer(W, delta, back)
            _step_layer(
                W,
                velocity[first:last].reshape(shape),
                mask[first:last].reshape(shape),
                inputs,
                delta,
                rate,
                momentum,
                penalty,
            )
            first, last = biases[layer], biases[layer + 1]
            _step_biases(
                params[first:last], velocity[first:last], delta, rate, momentum
            )
            if layer > 0:
                _multiply_by_derivative(back, inputs, activation)

        if lists is not None:
            scale *= 1.0 - rate * penalty
            at_scale = rate / scale
            _step_listed(values, places, listed_W, listed_mask, listed_delta, at_scale)
            _step_biases(bias, bias, listed_delta, rate, 0.0)
            if scale < _SMALLEST_SCALE:
                _write_scaled(scaled[:n_listed], scale, scaled[:n_listed])
                scale = 1.0

        position += 1
        iteration += 1
        if record_every > 0 and iteration % record_every == 0:
            if lists is not None:
                _write_scaled(scaled[:n_listed], scale, params[:n_listed])
            _copy(params[: weights[n_layers]], records[n_records])
            n_records += 1
            if n_records == records.shape[0]:
                break
    if lists is not None:
        scaled[n_listed] = scale
        _write_scaled(scaled[:n_listed], scale, params[:n_listed])
    return position, iteration, n_records, loss


@jit_inner
def _block(flat, first, n_rows, width):
    """View a part of a flat array as a matrix."""
    return flat[first : first + n_rows * width].reshape(n_rows, width)


@jit_inner
def _forward_batch(
    params, offsets, sizes, outputs, batch_size, n_rows, activation, first_layer
):
    """Write what enters the activation of each layer, and what it puts out.

    Of the last layer that is left as it enters; layers before ``first_layer`` are done.
    """
    weights, biases, units = offsets
    for layer in range(first_layer, sizes.size - 1):
        fan_in, fan_out = sizes[layer], sizes[layer + 1]
        inputs = _block(outputs, batch_size * units[layer], n_rows, fan_in)
        first = batch_size * units[layer + 1]
        z = _block(outputs, first, n_rows, fan_out)
        np.dot(inputs, _block(params, weights[layer], fan_in, fan_out), z)
        bias = params[biases[layer] : biases[layer + 1]]
        for r in range(n_rows):
            for j in range(fan_out):
                z[r, j] += bias[j]
        if layer < sizes.size - 2:
            _activate(outputs[first : first + n_rows * fan_out], activation)


@jit_inner
def _forward_batch_listed(lists, rows, W, bias, z):
    """Write ``X[rows] @ W + bias`` of rows that are lists."""
    starts, columns, entries = lists
    for r in range(rows.size):
        first, last = starts[rows[r]], starts[rows[r] + 1]
        _forward_listed(entries[first:last], columns[first:last], W, 1.0, bias, z[r])


@jit_inner
def _gradient_listed(lists, rows, delta, gradient):
    """Write ``X[rows].T @ delta`` of rows that are lists."""
    starts, columns, entries = lists
    for i in range(gradient.shape[0]):
        for j in range(gradient.shape[1]):
            gradient[i, j] = 0.0
    for r in range(rows.size):
        for k in range(starts[rows[r]], starts[rows[r] + 1]):
            value, i = entries[k], columns[k]
            for j in range(gradient.shape[1]):
                gradient[i, j] += value * delta[r, j]


@jit_inner
def _sum_rows(matrix, sums):
    """Write the column sums, row by row."""
    for j in range(sums.size):
        sums[j] = 0.0
    for r in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            sums[j] += matrix[r, j]


@jit
def train_batches(
    params,
    velocity,
    mask,
    sizes,
    codes,
    X,
    targets,
    row_weights,
    step_weights,
    order,
    start,
    stop,
    batch_size,
    rate,
    momentum,
    penalty,
    iteration,
    record_every,
    records,
    n_records,
    lists,
):
    """Train on ``order[start:stop]`` in batches, through BLAS.

    As :func:`train_rows`, with ``batch_size`` rows per step; the last batch of an
    epoch may be smaller. A batch's loss is divided by its number of rows. ``lists``
    has no fourth array, and any penalty and momentum is fine.
    """
    # long, as forward pass, backward pass and step share scratch arrays, which numba
    # would pass to functions of their own one by one
    activation, output_activation, loss_code = codes
    n_layers = sizes.size - 1
    offsets = _offsets(sizes)
    weights, biases, units = offsets
    outputs = np.empty(batch_size * units[n_layers + 1])
    deltas = np.empty(batch_size * units[n_layers + 1])
    largest = 0
    for layer in range(n_layers):
        largest = max(largest, sizes[layer] * sizes[layer + 1])
    gradient = np.empty(largest)
    bias_gradient = np.empty(units[n_layers + 1])
    loss = 0.0
    position = start
    while position < stop:
        rows = order[position : min(position + batch_size, stop)]
        n_rows = rows.size
        if lists is None:
            first_layer = 0
            for r in range(n_rows):
                _copy(X[rows[r]], outputs[r * sizes[0] : (r + 1) * sizes[0]])
        else:
            first_layer, first = 1, batch_size * units[1]
            _forward_batch_listed(
                lists,
                rows,
                _block(params, 0, sizes[0], sizes[1]),
                params[biases[0] : biases[1]],
                _block(outputs, first, n_rows, sizes[1]),
            )
            if n_layers > 1:
                _activate(outputs[first : first + n_rows * sizes[1]], activation)
        _forward_batch(
            params,
            offsets,
            sizes,
            outputs,
            batch_size,
            n_rows,
            activation,
            first_layer,
        )
        n_outputs = sizes[n_layers]
        for r in range(n_rows):
            first = batch_size * units[n_layers] + r * n_outputs
            row = rows[r]
            loss += row_weights[row] * _output_delta(
                outputs[first : first + n_outputs],
                targets[row],
                deltas[first : first + n_outputs],
                step_weights[row] / n_rows,
                output_activation,
                loss_code,
            )

        for layer in range(n_layers - 1, -1, -1):
            fan_in, fan_out = sizes[layer], sizes[layer + 1]
            first = batch_size * units[layer]
            flat = outputs[first : first + n_rows * fan_in]
            delta = _block(deltas, batch_size * units[layer + 1], n_rows, fan_out)
            inputs = _block(outputs, first, n_rows, fan_in)
            product = _block(gradient, 0, fan_in, fan_out)
            if lists is None or layer > 0:
                np.dot(inputs.T, delta, product)
            else:
                _gradient_listed(lists, rows, delta, product)
            if layer > 0:
                W = _block(params, weights[layer], fan_in, fan_out)
                np.dot(delta, W.T, _block(deltas, first, n_rows, fan_in))
                back = deltas[first : first + n_rows * fan_in]
                _multiply_by_derivative(back, flat, activation)
            sums = bias_gradient[:fan_out]
            _sum_rows(delta, sums)
            first, last = weights[layer], weights[layer + 1]
            _step(
                params[first:last],
                velocity[first:last],
                mask[first:last],
                gradient,
                rate,
                momentum,
                penalty,
            )
            first, last = biases[layer], biases[layer + 1]
            _step_biases(params[first:last], velocity[first:last], sums, rate, momentum)

        position += n_rows
        iteration += 1
        if record_every > 0 and iteration % record_every == 0:
            _copy(params[: weights[n_layers]], records[n_records])
            n_records += 1
            if n_records == records.shape[0]:
                break
    return position, iteration, n_records, loss
