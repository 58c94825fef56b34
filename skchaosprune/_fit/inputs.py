"""Which inputs a network goes on with, where ``max_features`` is a limit."""

import numpy as np

from skchaosprune._network.importance import Explainable, ablation_importances
from skchaosprune._network.mlp import split_layers


def choose_inputs(network, data, params, mask, n_inputs):
    """Choose the inputs whose loss would cost most.

    Parameters
    ----------
    network : Network
        What is computed.
    data : TrainingData
        Training rows.
    params : ndarray of shape (n_parameters,)
        Flat parameters; those of pruned weights are 0.
    mask : ndarray of bool of shape (n_weights,)
        True = kept.
    n_inputs : int
        How many are chosen.

    Returns
    -------
    inputs : ndarray of bool of shape (n_features,)
        True = chosen: those without which the training loss rises most, of those with
        a kept weight; then others. Ties go to the lower index.

    Notes
    -----
    Chosen on the tables for choosing of ``benchmarks/compare_features.py``: ranked by
    the mean gradient times input, the rule of ``feature_importances_``, the last inputs
    of ``friedman1`` are the wrong ones.
    """
    n_features = network.layer_sizes[0]
    if n_inputs >= n_features:
        return np.ones(n_features, dtype=bool)
    masks = split_layers(mask, network.layer_sizes)
    subject = Explainable(network, params, data, masks, p_values=None, seed=0)
    lost = ~masks[0].any(axis=1)
    order = np.lexsort((-ablation_importances(subject), lost))
    inputs = np.zeros(n_features, dtype=bool)
    inputs[order[:n_inputs]] = True
    return inputs
