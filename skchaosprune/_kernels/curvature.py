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

# Rows handled at once: their slopes by all parameters take up to 32 MB.
_BLOCK_ELEMENTS = 4_000_000

# What the diagonal of the curvature gains before it is inverted: biases have no
# penalty, and units that no row activates no curvature.
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
    n_rows = len(data.X)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in mlp.row_blocks(n_rows, network.layer_sizes):
            layers, own, shared = _forward(params, network, data, rows)
            weights = data.sample_weight[rows, np.newaxis] / n_rows
            squares = [np.zeros_like(units) for units in layers[1:]] + [own]
            means = [np.zeros_like(units) for units in layers[1:]] + [shared]
            for output in range(own.shape[1]):
                backs = _backward(coefs, layers, network.activation, output)
                for layer, back in enumerate(backs):
                    squares[layer] += own[:, [output]] * back**2
                    means[layer] += shared[:, [output]] * back
            for layer, inputs in enumerate(layers):
                curvature = squares[layer] - means[layer] ** 2
                sums[layer] += (inputs**2).T @ (weights * curvature)
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
    n_rows, matrix = len(data.X), np.zeros((n_free, n_free))
    size = max(1, _BLOCK_ELEMENTS // max(1, n_free))
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, n_rows, size):
            rows = slice(first, first + size)
            layers, own, shared = _forward(params, network, data, rows)
            weights = data.sample_weight[rows, np.newaxis] / n_rows
            mean = np.zeros((len(weights), n_free))
            for output in range(own.shape[1]):
                backs = _backward(coefs, layers, network.activation, output)
                is_own = np.zeros_like(own)
                is_own[:, output] = 1.0
                backs.append(is_own)
                by_weights = [
                    inputs[:, sources] * back[:, units]
                    for inputs, back, (sources, units) in zip(
                        layers, backs, places, strict=True
                    )
                ]
                by_biases = [
                    back[:, part] for back, part in zip(backs, biases_free, strict=True)
                ]
                slopes = np.concatenate(by_weights + by_biases, axis=1)
                matrix += slopes.T @ (weights * own[:, [output]] * slopes)
                mean += shared[:, [output]] * slopes
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
    curvature = matrix + _DAMPING * np.eye(len(free))
    curvature[np.diag_indices(n_weights)] += penalty
    inverse = np.linalg.inv(curvature)
    free, left, gone = free.copy(), np.array(n_removed), []
    is_left = np.ones(n_weights, dtype=bool)
    for _ in range(left.sum()):
        costs = _removal_costs(free, inverse, is_left)
        weight = int(np.where(left[groups] > 0, costs, np.inf).argmin())
        column = inverse[:, weight].copy()
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

    That of a row is ``diag(own) - outer(shared, shared)``, by what enters the output
    activation.
    """
    coefs, intercepts = mlp.unflatten(params, network.layer_sizes)
    layers = mlp.hidden_outputs(data.X[rows], coefs, intercepts, network.activation)
    z = layers[-1] @ coefs[-1] + intercepts[-1]
    outputs = mlp.outputs_from_logits(z, network.out_activation)
    shared = np.zeros_like(z)
    if network.out_activation == "softmax":
        return layers, outputs, outputs
    if network.loss == "log_loss":
        return layers, outputs * (1.0 - outputs), shared
    own = np.full_like(z, 2.0 / z.shape[1])
    if network.loss == "huber":
        own[np.abs(outputs - data.targets[rows]) > mlp.HUBER_DELTA] = 0.0
    if network.out_activation == "logistic":
        own *= (outputs * (1.0 - outputs)) ** 2
    return layers, own, shared


def _backward(coefs, layers, activation, output):
    """Return the slopes of one output by what enters the units of each hidden layer."""
    backs, back = [], None
    for W, units in zip(coefs[:0:-1], layers[:0:-1], strict=True):
        back = W[:, output] if back is None else back @ W.T
        back = back * mlp.activation_slope(units, activation)
        backs.insert(0, back)
    return backs
