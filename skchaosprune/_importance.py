"""How much each input feature drives the outputs of a network."""

import warnings

import numpy as np

from skchaosprune import _mlp


def gradient_importances(X, sample_weight, coefs, intercepts, activation):
    """Mean absolute gradient times input, summed over the outputs.

    Feature ``j`` gets the weighted mean over rows of
    ``|(x_j - mean_j) * d logit_k / d x_j|``, summed over the outputs ``k``.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Training rows.
    sample_weight : ndarray of shape (n_samples,)
        Their weights.
    coefs, intercepts : list of ndarray
        The network.
    activation : str
        Of the hidden units.

    Returns
    -------
    importances : ndarray of shape (n_features,)
        Not normalised.
    """
    layer_sizes = [W.shape[0] for W in coefs] + [coefs[-1].shape[1]]
    # not np.average, which makes a weighted copy of X
    mean = sample_weight @ X / sample_weight.sum()
    importances = np.zeros(X.shape[1])
    for rows in _mlp.row_blocks(X.shape[0], layer_sizes):
        layers = _mlp.hidden_outputs(X[rows], coefs, intercepts, activation)
        slopes = [_mlp.activation_slope(layer, activation) for layer in layers[1:]]
        distance = np.abs(X[rows] - mean) * sample_weight[rows, np.newaxis]
        for output in range(coefs[-1].shape[1]):
            gradient = np.broadcast_to(
                coefs[-1][:, output], (len(distance), coefs[-1].shape[0])
            )
            for W, slope in zip(coefs[-2::-1], slopes[::-1], strict=True):
                gradient = (gradient * slope) @ W.T
            importances += np.sum(distance * np.abs(gradient), axis=0)
    return importances / sample_weight.sum()


IMPORTANCES = {"gradient": gradient_importances}


def normalise_importances(importances, has_path):
    """Scale to a sum of 1; uniform, with a warning, where all are zero.

    ``has_path`` says whether kept weights lead from an input to an output.
    """
    total = importances.sum()
    if total > 0.0:
        return importances / total
    if has_path:
        reason = (
            "its hidden units are dead or saturated in all training rows. Scale X, or "
            "use more hidden units, another random_state, activation='tanh' or a "
            "smaller learning_rate_init."
        )
    else:
        reason = (
            "no path of kept weights is left. Lower prune_ratio or use "
            "keep_connected=True."
        )
    warnings.warn(
        "The outputs of the pruned network do not depend on any input, and all "
        f"features are reported as equally important: {reason}",
        stacklevel=4,  # the caller of fit
    )
    return np.full(importances.size, 1.0 / importances.size)
