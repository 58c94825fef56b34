"""Curvature of the loss by Gauss and Newton, and pruning by it.

In place of the Hessian of the loss by the parameters, ``G`` is the weighted mean over
the rows of ``J' H J``: ``J`` are the slopes of what enters the output activation by the
parameters, ``H`` the curvature of the row's loss there, of which a squared error keeps
the slopes of the outputs only. ``G`` is never negative, and exact where the network is
linear in its parameters.

N. N. Schraudolph (2002). Neural Computation 14, 1723-1738.
"""

import numpy as np

from skchaosprune._network import mlp

# Rows handled at once: their slopes by all parameters take up to 4 MB.
_BLOCK_ELEMENTS = 500_000

# What the diagonal of the curvature gains before it is inverted, in units of its mean
# where that is above 1: biases have no penalty, and units that no row activates no
# curvature.
_DAMPING = 1e-4


def gauss_newton_diagonal(params, network, data):
    """Diagonal of the Gauss-Newton matrix for all weights, pruned ones included.

    Parameters
    ----------
    params : ndarray of shape (n_parameters,)
        Flat parameters, weights before biases.
    network : Network
        What is computed, and the loss.
    data : TrainingData
        Rows to average over: ``X``, ``targets`` and ``sample_weight`` with mean 1.

    Returns
    -------
    curvatures : ndarray of shape (n_weights,)
        Second derivatives of the mean loss, without the penalty; never negative.
    """
    coefs, _ = mlp.unflatten(params, network.layer_sizes)
    sums = [np.zeros(W.shape) for W in coefs]
    n_rows = data.n_rows
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in mlp.row_blocks(n_rows, network.layer_sizes):
            layers, diagonal, factor = _forward(params, network, data, rows)
            weights = data.sample_weight[rows, np.newaxis] / n_rows
            slopes = [mlp.activation_slope(h, network.activation) for h in layers[1:]]
            parts = _curve_units(coefs, slopes, diagonal, factor)
            for part, inputs, curvature in zip(sums, layers, parts, strict=True):
                part += (inputs**2).T @ (weights * curvature)
    # rounding may leave less than nothing of a difference
    return np.maximum(np.concatenate([part.ravel() for part in sums]), 0.0)


def gauss_newton_matrix(params, is_free, network, data):
    """Gauss-Newton matrix of some of the parameters.

    Parameters
    ----------
    params : ndarray of shape (n_parameters,)
        Flat parameters, weights before biases.
    is_free : ndarray of bool of shape (n_parameters,)
        Which of them; the others are constants.
    network : Network
        What is computed, and the loss.
    data : TrainingData
        Rows to average over: ``X``, ``targets`` and ``sample_weight`` with mean 1.

    Returns
    -------
    matrix : ndarray of shape (n_free, n_free)
        Second derivatives of the mean loss, without the penalty.
    """
    coefs, _ = mlp.unflatten(params, network.layer_sizes)
    weights_free, biases_free = mlp.unflatten(is_free, network.layer_sizes)
    places = [np.nonzero(part) for part in weights_free]
    n_free = np.count_nonzero(is_free)
    n_rows, matrix = data.n_rows, np.zeros((n_free, n_free))
    size = max(1, _BLOCK_ELEMENTS // max(n_free, *network.layer_sizes))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, n_rows, size):
            rows = slice(first, first + size)
            layers, diagonal, factor = _forward(params, network, data, rows)
            slopes = [mlp.activation_slope(h, network.activation) for h in layers[1:]]
            weights = data.sample_weight[rows, np.newaxis] / n_rows
            mean = np.zeros((len(weights), n_free))
            for output in range(diagonal.shape[1]):
                backs = _backward(coefs, slopes, output)
                of_outputs = np.zeros_like(diagonal)
                of_outputs[:, output] = 1.0
                backs.append(of_outputs)
                by_weights = [
                    inputs[:, sources] * back[:, units]
                    for inputs, back, (sources, units) in zip(
                        layers, backs, places, strict=True
                    )
                ]
                by_biases = [
                    back[:, part] for back, part in zip(backs, biases_free, strict=True)
                ]
                J = np.concatenate(by_weights + by_biases, axis=1)
                matrix += J.T @ (weights * diagonal[:, [output]] * J)
                mean += factor[:, [output]] * J
            matrix -= mean.T @ (weights * mean)
    return matrix


def eliminate(free, matrix, penalty, groups, n_removed):
    """Remove weights one at a time, each time the one that costs least.

    Parameters
    ----------
    free : ndarray of shape (n_free,)
        Weights, then biases, at the minimum of the objective.
    matrix : ndarray of shape (n_free, n_free)
        From :func:`gauss_newton_matrix`.
    penalty : float
        Second derivative of the penalty by a weight, ``alpha / N``.
    groups : ndarray of int of shape (n_weights,)
        The group of each weight.
    n_removed : ndarray of int of shape (n_groups,)
        How many go in each group.

    Returns
    -------
    free : ndarray of shape (n_free,)
        With 0 for the removed weights; all others make up for them.
    order : ndarray of int of shape (n_weights,)
        The weights that went, in their order, then the others from the one whose
        removal would cost least.

    Notes
    -----
    The optimal brain surgeon [1]_: with ``A`` the inverse of the curvature of the
    objective, removing weight ``q`` costs ``w_q**2 / A_qq / 2`` once all others have
    moved by ``-w_q / A_qq * A[:, q]``; the inverse without it is
    ``A - A[:, q] A[q] / A_qq``.

    References
    ----------
    .. [1] B. Hassibi, D. G. Stork (1993). Second order derivatives for network pruning.
       Advances in Neural Information Processing Systems 5.
    """
    n_weights = len(groups)
    damping = _DAMPING * max(1.0, np.diagonal(matrix).mean())
    curvature = matrix + damping * np.eye(len(free))
    curvature[np.diag_indices(n_weights)] += penalty
    inverse = np.linalg.inv(curvature)
    free, left, gone = free.copy(), np.array(n_removed), []
    is_left = np.ones(n_weights, dtype=bool)
    for _ in range(left.sum()):
        costs = _removal_costs(free, inverse, is_left)
        weight = int(np.where(left[groups] > 0, costs, np.inf).argmin())
        column = inverse[:, weight]
        free -= free[weight] / column[weight] * column
        inverse -= np.outer(column, column / column[weight])
        gone.append(weight)
        is_left[weight] = False
        left[groups[weight]] -= 1
        free[gone] = 0.0  # rounding may leave a little
    others = np.argsort(_removal_costs(free, inverse, is_left), kind="stable")
    return free, np.array([*gone, *others[: n_weights - len(gone)]], dtype=int)


def _removal_costs(free, inverse, is_left):
    """Return twice what the objective gains without each weight; inf for the gone."""
    costs, weights = np.full(is_left.size, np.inf), np.flatnonzero(is_left)
    costs[weights] = free[weights] ** 2 / np.diagonal(inverse)[weights]
    return costs


def _forward(params, network, data, rows):
    """Return the outputs of all layers but the last, and the curvature of the losses.

    By what enters the output activation, that of a row is ``diag(diagonal)`` minus
    ``outer(factor, factor)``.
    """
    coefs, intercepts = mlp.unflatten(params, network.layer_sizes)
    layers = mlp.hidden_outputs(data.take(rows), coefs, intercepts, network.activation)
    z = layers[-1] @ coefs[-1] + intercepts[-1]
    outputs = mlp.outputs_from_logits(z, network.out_activation)
    factor = np.zeros_like(z)
    if network.out_activation == "softmax":
        return layers, outputs, outputs
    if network.loss == "log_loss":
        return layers, outputs * (1.0 - outputs), factor
    diagonal = np.full_like(z, 2.0 / z.shape[1])
    if network.loss == "huber":
        diagonal[np.abs(outputs - data.targets[rows]) > mlp.HUBER_DELTA] = 0.0
    if network.out_activation == "logistic":
        diagonal *= (outputs * (1.0 - outputs)) ** 2
    return layers, diagonal, factor


def _curve_units(coefs, slopes, diagonal, factor):
    """Return the curvature of each row's loss by what enters the units, by layers."""
    *hidden, W = coefs
    if not hidden:
        return [diagonal - factor**2]
    # all outputs at once for the last hidden layer, one by one before
    curvatures = [diagonal @ (W**2).T - (factor @ W.T) ** 2]
    if len(hidden) > 1:
        squares, means = ([np.zeros_like(s) for s in slopes[:-1]] for _ in range(2))
        for output in range(diagonal.shape[1]):
            for layer, back in enumerate(_backward(coefs, slopes, output)[:-1]):
                squares[layer] += diagonal[:, [output]] * back**2
                means[layer] += factor[:, [output]] * back
        curvatures = [
            s - m**2 for s, m in zip(squares, means, strict=True)
        ] + curvatures
    curvatures[-1] *= slopes[-1] ** 2
    return [*curvatures, diagonal - factor**2]


def _backward(coefs, slopes, output):
    """Return the slopes of one output by what enters the units of each hidden layer."""
    backs, back = [], None
    for W, slope in zip(coefs[:0:-1], slopes[::-1], strict=True):
        back = (W[:, output] if back is None else back @ W.T) * slope
        backs.insert(0, back)
    return backs
