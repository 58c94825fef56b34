"""Gradients of the outputs by the inputs, on the device that has trained a network."""

import numpy as np
import torch

from skchaosprune._network import mlp
from skchaosprune._network.importance import (
    GradientTotals,
    mean_row,
    summarise_gradients,
)
from skchaosprune._training.batches import as_tensor
from skchaosprune._training.module import MLPModule


@torch.inference_mode(False)  # the caller's may be on; this enables gradients, too
@np.errstate(over="ignore", invalid="ignore")
def gradient_effects(subject, device):
    """Return what :func:`skchaosprune._network.importance.gradient_effects` does.

    Parameters
    ----------
    subject : Explainable
        The network and its rows.
    device : str
        Torch device; not worth it on the CPU.

    Returns
    -------
    importances : ndarray of shape (n_features,)
        Mean absolute gradient times input, summed over the outputs.
    directions : ndarray of shape (n_features, n_outputs)
        Mean gradients, as shares of their mean absolute values.
    """
    network, data = subject.network, subject.data
    module = MLPModule(network.layer_sizes, network.activation)
    module.flat.copy_(as_tensor(subject.params, "cpu"))
    module.to(device)
    mean = as_tensor(mean_row(data), device)
    totals = GradientTotals(network, _zeros_on(device))
    for rows in mlp.row_blocks(data.n_rows, network.layer_sizes[:-1]):
        X = as_tensor(data.take(rows), device)
        weights = as_tensor(data.sample_weight[rows], device)
        distance = (X - mean).abs() * weights.unsqueeze(1)
        for output, gradient in enumerate(_differentiate(module, X)):
            totals.add(output, gradient, distance, weights)
    return summarise_gradients([part.cpu().numpy() for part in totals.parts], data)


def _zeros_on(device):
    """Return a function that makes zeros of a shape on a device."""
    return lambda shape: torch.zeros(shape, dtype=torch.float64, device=device)


def _differentiate(module, X):
    """Yield the gradient of each output by the inputs, ``(n_rows, n_features)``."""
    X = X.detach().requires_grad_()
    for z in module(X).sum(dim=0):
        yield torch.autograd.grad(z, X, retain_graph=True)[0]
