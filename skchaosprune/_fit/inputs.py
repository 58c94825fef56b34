"""Which inputs a network goes on with, where ``max_features`` is a limit."""

import numpy as np

from skchaosprune._network.importance import Explainable, gradient_importances
from skchaosprune._network.mlp import split_layers


def choose_inputs(network, data, params, mask, n_inputs):
    """Choose the inputs that drive the outputs most.

    Parameters
    ----------
    network : Network
        What is computed.
    data : TrainingData
        Training rows.
    params : ndarray of shape (n_parameters,)
        Flat parameters; those of pruned weights are 0.
    mask : ndarray of bool of shape (n_weights,)
        True = kept, or to be kept if its input is.
    n_inputs : int
        How many are chosen.

    Returns
    -------
    inputs : ndarray of bool of shape (n_features,)
        True = chosen: those with the largest mean gradient times input, of those with
        a flagged weight; then others. Ties go to the lower index.
    """
    n_features = network.layer_sizes[0]
    if n_inputs >= n_features:
        return np.ones(n_features, dtype=bool)
    masks = split_layers(mask, network.layer_sizes)
    subject = Explainable(network, params, data, masks, p_values=None, seed=0)
    lost = ~masks[0].any(axis=1)
    order = np.lexsort((-gradient_importances(subject), lost))
    inputs = np.zeros(n_features, dtype=bool)
    inputs[order[:n_inputs]] = True
    return inputs
