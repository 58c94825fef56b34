"""What the loss of each row does without one weight, and squared loss gradients.

Zeroing a weight shifts the input of one unit. Up to there nothing changes, so each
row's forward pass is done once per snapshot and only the shift is carried on.
"""

import math

import numpy as np

from skchaosprune._kernels import sgd
from skchaosprune._kernels.blocks import count_threads, run_in_threads
from skchaosprune._kernels.jit import jit, jit_inner
from skchaosprune._kernels.sgd import (
    _activate,
    _copy,
    _error_loss,
    _forward_layer,
    _logistic,
    _offsets,
)
from skchaosprune._network import mlp

# Rows handled at once: their effects, one per weight, take up to 32 MB.
_BLOCK_ELEMENTS = 4_000_000

# Work per kernel call, in about a nanosecond: a twentieth of a second, so that Ctrl-C
# is heard. A unit costs an exp or a tanh, as much as this many multiply-adds.
_KERNEL_CALL_SIZE = 50_000_000
_UNIT_WORK = 20

# Multiply-adds per task of a thread, about a tenth of a second.
_WORK_PER_TASK = 100_000_000

# Weights from this many inputs to one unit are taken away side by side: the innermost
# loops run over them and vectorise.
_LANES = 64


def ablate_weights(snapshots, network, data, on_progress=None, n_jobs=None):
    r"""Measure what the loss gains when each weight in turn is set to zero.

    Parameters
    ----------
    snapshots : ndarray of shape (n_points, n_parameters)
        Flat parameters, weights before biases; at least one point.
    network : object
        With attributes ``layer_sizes``, ``activation``, ``out_activation``, ``loss``.
    data : object
        Rows to measure on, as TrainingData: ``take(rows)`` returns some of their inputs
        (n_rows, n_features), ``targets`` has the shape (n_rows, n_outputs),
        ``sample_weight`` (n_rows,) and mean 1, and ``total_weight`` is the number of
        rows that they stand for.
    on_progress : callable or None, default=None
        Called with the share done, in (0, 1], after some rows.
    n_jobs : int or None, default=None
        Threads, as joblib counts jobs, for a tenth of a second of work each at least.

    Returns
    -------
    effects : ndarray of shape (n_weights,)
        Mean loss without the weight minus mean loss with it: positive for a weight
        that helps, exactly 0.0 for one that no row can notice.
    standard_errors : ndarray of shape (n_weights,)
        Of ``effects``, over the rows; NaN where they stand for one row only.

    Notes
    -----
    With :math:`e_{rk}` the change of row :math:`r`'s loss without weight :math:`k`,
    averaged over the snapshots, :math:`s_r` the row's sample weight and :math:`N` the
    ``total_weight``, the effect is the weighted mean :math:`\bar e_k` of the changes,
    and the square of its standard error their weighted variance by :math:`N - 1`:
    weights that are whole numbers give what as many copies of the rows would. The
    snapshots share the rows, so they do not count as observations of their own.

    The changes are exact, not a Taylor expansion. Their rounding error is that of the
    network's own values: about 2.2e-16 times the largest input of a unit. Parameters
    that are not finite, or overflow on the way, give NaN or infinite effects.

    Results are the same bits whatever the blocks, threads or BLAS.
    """
    n_rows, n_weights = data.n_rows, mlp.count_weights(network.layer_sizes)
    size = min(n_rows, max(1, _BLOCK_ELEMENTS // n_weights))
    effects, squares, total = np.zeros(n_weights), np.zeros(n_weights), 0.0
    for first in range(0, n_rows, size):
        rows = slice(first, min(first + size, n_rows))

        def show(part, first=first):
            if on_progress is not None:
                on_progress((first + part.stop) / n_rows)

        changes = _measure_changes(snapshots, network, data, rows, show, n_jobs)
        scale, weights = 1.0 / len(snapshots), data.sample_weight[rows]
        total = _accumulate(changes, scale, weights, total, effects, squares)

    if data.total_weight <= 1.0:
        return effects, np.full(n_weights, np.nan)
    return effects, np.sqrt(squares / (data.total_weight - 1.0) / n_rows)


def squared_gradients(params, network, data):
    """Mean squared gradient of the rows' losses: the diagonal empirical Fisher.

    Parameters
    ----------
    params : ndarray of shape (n_parameters,)
        Flat parameters, weights before biases.
    network : object
        With attributes ``layer_sizes``, ``activation``, ``out_activation``, ``loss``.
    data : object
        Rows to average over, as TrainingData: ``take(rows)`` returns some of their
        inputs (n_rows, n_features), ``targets`` has the shape (n_rows, n_outputs),
        ``sample_weight`` (n_rows,) and mean 1.

    Returns
    -------
    squares : ndarray of shape (n_weights,)
        Weighted mean over rows of ``(d row_loss / d weight)**2``; the row's sample
        weight is not squared.
    """
    return _sum_over_rows(
        params,
        network,
        data,
        # a row's gradient is the product input * delta, and so is its square
        lambda inputs, delta, weights: (inputs**2).T @ (weights * delta**2),
    )


def mean_gradient(params, network, data):
    """Gradient of the mean loss by the weights; pruned ones count like all others.

    Parameters
    ----------
    params : ndarray of shape (n_parameters,)
        Flat parameters, weights before biases.
    network : object
        With attributes ``layer_sizes``, ``activation``, ``out_activation``, ``loss``.
    data : object
        Rows to average over, as TrainingData: ``take(rows)`` returns some of their
        inputs (n_rows, n_features), ``targets`` has the shape (n_rows, n_outputs),
        ``sample_weight`` (n_rows,) and mean 1.

    Returns
    -------
    gradient : ndarray of shape (n_weights,)
        Of the weighted mean loss, without the L2 penalty.
    """
    return _sum_over_rows(
        params,
        network,
        data,
        lambda inputs, delta, weights: inputs.T @ (weights * delta),
    )


def _sum_over_rows(params, network, data, product):
    """Sum over blocks of rows what ``product`` makes of each layer, flat.

    It is called with the inputs of a layer, the gradient of each row's loss by what
    enters the layer's units, and the weights of the rows, which sum to 1.
    """
    n_rows = data.n_rows
    coefs, intercepts = mlp.unflatten(params, network.layer_sizes)
    sums = [np.zeros(W.shape) for W in coefs]
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in mlp.row_blocks(n_rows, network.layer_sizes):
            X, targets = data.take(rows), data.targets[rows]
            weights = data.sample_weight[rows, np.newaxis] / n_rows
            layers = mlp.hidden_outputs(X, coefs, intercepts, network.activation)
            z = layers[-1] @ coefs[-1] + intercepts[-1]
            delta = _loss_gradient(z, targets, network.out_activation, network.loss)
            for layer in range(len(coefs) - 1, -1, -1):
                sums[layer] += product(layers[layer], delta, weights)
                if layer > 0:
                    slope = mlp.activation_slope(layers[layer], network.activation)
                    delta = (delta @ coefs[layer].T) * slope
    return np.concatenate([part.ravel() for part in sums])


def _loss_gradient(z, targets, out_activation, loss):
    """Gradient of each row's loss by what enters the output activation."""
    outputs = mlp.outputs_from_logits(z, out_activation)
    errors = outputs - targets
    if loss == "log_loss":
        return errors
    if loss == "huber":
        errors = np.clip(errors, -mlp.HUBER_DELTA, mlp.HUBER_DELTA)
    gradient = 2.0 * errors / z.shape[1]
    if out_activation == "logistic":
        return gradient * outputs * (1.0 - outputs)
    return gradient


def _measure_changes(snapshots, network, data, rows, on_result, n_jobs):
    """Sum over the snapshots what the loss of each row gains without each weight."""
    X, targets = data.take(rows), data.targets[rows]
    changes = np.zeros((len(X), mlp.count_weights(network.layer_sizes)))
    n_weights = np.multiply(network.layer_sizes[:-1], network.layer_sizes[1:])
    work = len(snapshots) * int(
        np.dot(_work_per_weight(network.layer_sizes), n_weights)
    )
    size = max(1, _WORK_PER_TASK // work)
    parts = [slice(k, min(k + size, len(X))) for k in range(0, len(X), size)]

    def ablate(part):
        for params in snapshots:
            _ablate_block(params, network, X[part], targets[part], changes[part])

    run_in_threads(ablate, parts, count_threads(n_jobs, len(parts)), on_result)
    return changes


def _ablate_block(params, network, X, targets, changes):
    """Add one snapshot's changes, in kernel calls short enough for Ctrl-C."""
    params = np.ascontiguousarray(params)
    sizes = np.array(network.layer_sizes, dtype=np.int64)
    codes = sgd.network_codes(network)
    n_rows = len(X)
    before = np.empty((n_rows, sizes.sum()))
    after = np.empty((n_rows, sizes.sum()))
    step = max(1, _KERNEL_CALL_SIZE // params.size)
    for row in range(0, n_rows, step):
        rows = slice(row, row + step)
        _forward_rows(params, sizes, codes[0], X[rows], before[rows], after[rows])

    for layer, work in enumerate(_work_per_weight(network.layer_sizes)):
        fan_in, fan_out = network.layer_sizes[layer : layer + 2]
        n_tasks = -(-fan_in // _LANES) * fan_out
        task_step = max(1, _KERNEL_CALL_SIZE // (work * min(fan_in, _LANES)))
        row_step = max(1, _KERNEL_CALL_SIZE // (work * fan_in * fan_out))
        for row in range(0, n_rows, row_step):
            rows = slice(row, row + row_step)
            for first in range(0, n_tasks, task_step):
                _ablate_rows(
                    params,
                    sizes,
                    codes,
                    before[rows],
                    after[rows],
                    targets[rows],
                    layer,
                    first,
                    min(first + task_step, n_tasks),
                    changes[rows],
                )


def _work_per_weight(layer_sizes):
    """Estimate the cost of one row without one weight, for each layer's weights."""
    work = []
    for layer in range(len(layer_sizes) - 1):
        later = layer_sizes[layer + 2 :]
        products = sum(a * b for a, b in zip(later[:-1], later[1:], strict=True))
        work.append(_UNIT_WORK * (1 + sum(later or layer_sizes[-1:])) + products)
    return work


@jit
def _forward_rows(params, sizes, activation, X, before, after):
    """Write what enters and what leaves every unit's activation, row by row.

    Nothing enters the input units, and what leaves the output units is not needed.
    """
    weights, biases, units = _offsets(sizes)
    n_layers = sizes.size - 1
    for row in range(X.shape[0]):
        _copy(X[row], after[row])
        for layer in range(n_layers):
            shape = (sizes[layer], sizes[layer + 1])
            inputs = after[row, units[layer] : units[layer + 1]]
            z = before[row, units[layer + 1] : units[layer + 2]]
            W = params[weights[layer] : weights[layer + 1]].reshape(shape)
            _forward_layer(inputs, W, params[biases[layer] : biases[layer + 1]], z)
            if layer < n_layers - 1:
                outputs = after[row, units[layer + 1] : units[layer + 2]]
                _copy(z, outputs)
                _activate(outputs, activation)


@jit
def _ablate_rows(
    params, sizes, codes, before, after, targets, layer, first, last, changes
):
    """Add the changes of the rows' losses without weights of one layer.

    Parameters
    ----------
    params : ndarray of shape (n_parameters,)
        One snapshot.
    sizes : ndarray of shape (n_layers + 1,)
        Units per layer, inputs and outputs included.
    codes : tuple of three int
        Hidden activation, output activation and loss.
    before, after : ndarray of shape (n_rows, n_units)
        From ``_forward_rows``; left as they were.
    targets : ndarray of shape (n_rows, n_outputs)
        What the outputs should be.
    layer, first, last : int
        The tasks ``first:last`` of this layer. Task ``block * fan_out + j`` are the
        weights from the ``block``-th ``_LANES`` inputs to unit ``j``.
    changes : ndarray of shape (n_rows, n_weights)
        Added to.
    """
    offsets = _offsets(sizes)
    weights, _, units = offsets
    n_layers = sizes.size - 1
    scratch = np.empty((units[n_layers + 1], _LANES))
    for row in range(before.shape[0]):
        if layer == n_layers - 1:
            _ablate_output_layer(
                params[weights[layer] : weights[layer + 1]],
                codes,
                after[row, units[layer] : units[layer + 1]],
                before[row, units[n_layers] :],
                targets[row],
                first,
                last,
                changes[row, weights[layer] :],
            )
        else:
            _ablate_hidden_layer(
                params,
                offsets,
                sizes,
                codes,
                before[row],
                after[row],
                targets[row],
                layer,
                first,
                last,
                scratch,
                changes[row, weights[layer] :],
            )


@jit_inner
def _ablate_hidden_layer(
    params,
    offsets,
    sizes,
    codes,
    before,
    after,
    target,
    layer,
    first,
    last,
    scratch,
    changes,
):
    """Add one row's changes without weights that lead to hidden units."""
    activation, out_activation, loss = codes
    weights, _, units = offsets
    W = params[weights[layer] : weights[layer + 1]]
    inputs = after[units[layer] : units[layer + 1]]
    z = before[units[layer + 1] : units[layer + 2]]
    outputs = after[units[layer + 1] : units[layer + 2]]
    lanes = np.empty(_LANES, dtype=np.int64)
    shifts = np.empty(_LANES)
    losses = np.empty(_LANES)
    logits = before[units[sizes.size - 1] :]
    _losses(logits.reshape(logits.size, 1), 1, target, out_activation, loss, losses)
    base = losses[0]
    changed_logits = scratch[units[sizes.size - 1] :]

    for task in range(first, last):
        block, j = divmod(task, z.size)
        n_lanes = 0
        for i in range(block * _LANES, min((block + 1) * _LANES, inputs.size)):
            k = i * z.size + j
            if inputs[i] != 0.0 and W[k] != 0.0:
                lanes[n_lanes] = k
                shifts[n_lanes] = z[j] - inputs[i] * W[k]
                n_lanes += 1
        _activate(shifts[:n_lanes], activation)

        n_moved = 0
        for lane in range(n_lanes):
            shift = shifts[lane] - outputs[j]
            if shift != 0.0:
                lanes[n_moved] = lanes[lane]
                shifts[n_moved] = shift
                n_moved += 1
        if n_moved == 0:
            continue

        _carry_on(
            params,
            offsets,
            sizes,
            activation,
            before,
            after,
            layer + 1,
            j,
            shifts[:n_moved],
            scratch,
        )
        _losses(changed_logits, n_moved, target, out_activation, loss, losses)
        for lane in range(n_moved):
            changes[lanes[lane]] += losses[lane] - base


@jit_inner
def _carry_on(
    params, offsets, sizes, activation, before, after, layer, unit, shifts, scratch
):
    """Write the logits after each of several shifts of one hidden unit's output.

    ``layer`` is the layer that the unit is an input of. Shifts are carried on, not
    values: later units that no shift reaches cost nothing.
    """
    weights, _, units = offsets
    n_lanes = shifts.size
    fan_out = sizes[layer + 1]
    for v in range(fan_out):
        weight = params[weights[layer] + unit * fan_out + v]
        here = units[layer + 1] + v
        for lane in range(n_lanes):
            scratch[here, lane] = before[here] + shifts[lane] * weight

    for later in range(layer + 1, sizes.size - 1):
        fan_out = sizes[later + 1]
        there = units[later + 1]
        for v in range(fan_out):
            for lane in range(n_lanes):
                scratch[there + v, lane] = before[there + v]
        for u in range(sizes[later]):
            here = units[later] + u
            moved = scratch[here, :n_lanes]
            _activate(moved, activation)
            any_moved = False
            for lane in range(n_lanes):
                moved[lane] -= after[here]
                any_moved |= moved[lane] != 0.0
            if any_moved:
                for v in range(fan_out):
                    weight = params[weights[later] + u * fan_out + v]
                    for lane in range(n_lanes):
                        scratch[there + v, lane] += moved[lane] * weight


@jit_inner
def _ablate_output_layer(W, codes, inputs, z, target, first, last, changes):
    """Add one row's changes without weights that lead to outputs: one logit moves."""
    _, out_activation, loss = codes
    logits = z.reshape(z.size, 1)
    losses = np.empty(1)
    _losses(logits, 1, target, out_activation, loss, losses)
    base = losses[0]
    terms = np.empty(z.size)
    top, total = _output_terms(z, target, out_activation, loss, terms)
    target_sum = target.sum()

    for task in range(first, last):
        block, j = divmod(task, z.size)
        for i in range(block * _LANES, min((block + 1) * _LANES, inputs.size)):
            k = i * z.size + j
            if inputs[i] == 0.0 or W[k] == 0.0:
                continue
            logit = z[j]
            moved = logit - inputs[i] * W[k]
            if out_activation != 2:
                new = _output_loss(moved, target[j], out_activation, loss, z.size)
                changes[k] += new - terms[j]
            elif j != top and moved <= z[top]:
                # the largest logit stays the largest: one term of the sum is replaced
                gain = math.log1p((math.exp(moved - z[top]) - terms[j]) / total)
                changes[k] += target_sum * gain - target[j] * (moved - logit)
            else:
                z[j] = moved
                _losses(logits, 1, target, out_activation, loss, losses)
                changes[k] += losses[0] - base
                z[j] = logit


@jit_inner
def _output_terms(z, target, out_activation, loss, terms):
    """Write what each output adds to the loss, or to the softmax's denominator.

    Returns the largest logit's index and the denominator; both mean nothing without
    softmax.
    """
    top = 0
    total = 0.0
    if out_activation != 2:
        for j in range(z.size):
            terms[j] = _output_loss(z[j], target[j], out_activation, loss, z.size)
        return top, total
    for j in range(1, z.size):
        if z[j] > z[top]:
            top = j
    for j in range(z.size):
        terms[j] = math.exp(z[j] - z[top])
        total += terms[j]
    return top, total


@jit_inner
def _losses(logits, n_lanes, target, out_activation, loss, losses):
    """Write one row's losses for each of several logits, as ``mlp.row_losses``.

    ``logits`` is ``(n_outputs, n_lanes)`` or wider.
    """
    n_outputs = target.size
    for lane in range(n_lanes):
        losses[lane] = 0.0
    if out_activation != 2:
        for j in range(n_outputs):
            for lane in range(n_lanes):
                losses[lane] += _output_loss(
                    logits[j, lane], target[j], out_activation, loss, n_outputs
                )
        return

    largest, total = np.empty(n_lanes), np.empty(n_lanes)
    for lane in range(n_lanes):
        largest[lane], total[lane] = -math.inf, 0.0
    for j in range(n_outputs):
        for lane in range(n_lanes):
            largest[lane] = max(largest[lane], logits[j, lane])
    for j in range(n_outputs):
        for lane in range(n_lanes):
            total[lane] += math.exp(logits[j, lane] - largest[lane])
    for lane in range(n_lanes):
        total[lane] = math.log(total[lane])
    for j in range(n_outputs):
        for lane in range(n_lanes):
            below = largest[lane] - logits[j, lane]
            losses[lane] += target[j] * (total[lane] + below)


@jit_inner
def _output_loss(z, target, out_activation, loss, n_outputs):
    """What one output adds to its row's loss; not for softmax."""
    if loss == 0:
        # softplus(z) - t z, without overflow
        return max(z, 0.0) - target * z + math.log1p(math.exp(-abs(z)))
    output = _logistic(z) if out_activation == 1 else z
    return _error_loss(output - target, loss) / n_outputs


@jit
def _accumulate(changes, scale, row_weights, n_before, means, squares):
    """Add rows to running means and sums of squared deviations (West's update).

    Row by row, so that the bits do not depend on the blocks. Returns the sum of the
    weights so far.

    D. H. D. West (1979). Communications of the ACM 22, 532-535.
    """
    total = n_before
    for row in range(changes.shape[0]):
        weight = row_weights[row]
        total += weight
        share = weight / total
        for k in range(means.size):
            value = scale * changes[row, k]
            deviation = value - means[k]
            means[k] += share * deviation
            squares[k] += weight * (deviation * (value - means[k]))
    return total
