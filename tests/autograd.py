"""Networks, losses and curvatures in torch alone: an independent judge."""

import numpy as np
import torch

from skchaosprune._network import mlp

TORCH_ACTIVATION = {
    "identity": torch.nn.Identity(),
    "logistic": torch.nn.Sigmoid(),
    "tanh": torch.nn.Tanh(),
    "relu": torch.nn.ReLU(),
}


def torch_layers(flat, plan, **options):
    """Split flat parameters into weight matrices and biases of torch."""
    return [
        [torch.tensor(part, **options) for part in parts]
        for parts in mlp.unflatten(flat, plan.layer_sizes)
    ]


def torch_row_losses(plan, z, t):
    if plan.loss == "log_loss" and plan.out_activation == "softmax":
        classes = t.argmax(dim=1)
        return torch.nn.functional.cross_entropy(z, classes, reduction="none")
    if plan.loss == "log_loss":
        log = torch.nn.functional.logsigmoid
        return -(t * log(z) + (1 - t) * log(-z)).sum(dim=1)
    p = torch.sigmoid(z) if plan.out_activation == "logistic" else z
    errors = (p - t).abs()
    squares = errors**2
    if plan.loss == "huber":
        squares = torch.where(errors > 1.35, 2.7 * errors - 1.35**2, squares)
    return squares.mean(dim=1)


def torch_logits(plan, X, W, b):
    """What enters the output activation."""
    z = torch.tensor(X)
    for layer, (matrix, bias) in enumerate(zip(W, b, strict=True)):
        z = z @ matrix + bias
        if layer < len(W) - 1:
            z = TORCH_ACTIVATION[plan.activation](z)
    return z


def torch_losses(plan, data, rows, W, b):
    """Weighted losses of the rows of a batch."""
    z = torch_logits(plan, data.X[rows], W, b)
    losses = torch_row_losses(plan, z, torch.tensor(data.targets[rows]))
    return torch.tensor(data.sample_weight[rows]) * losses


def objective(params, plan, data, mask):
    """Mean loss plus prior of the weights, and its gradient by all kept parameters."""
    W, b = torch_layers(params, plan, requires_grad=True)
    loss = torch_losses(plan, data, slice(None), W, b).sum() / len(data.X)
    prior = plan.alpha / (2.0 * data.total_weight) * sum((part**2).sum() for part in W)
    (loss + prior).backward()
    gradient = np.concatenate([part.grad.numpy().ravel() for part in (*W, *b)])
    gradient[: mask.size][~mask] = 0.0
    return (loss + prior).item(), loss.item(), gradient


def gauss_newton(params, plan, data):
    """Curvature of the mean loss by all parameters: J' H J, row by row.

    J is derived one output of one row at a time, H by autograd of the row's loss; for
    squared errors of logistic outputs, H keeps the slopes of the outputs only.
    """
    curvature = 0.0
    for x, target, weight in zip(data.X, data.targets, data.sample_weight, strict=True):
        W, b = torch_layers(params, plan, requires_grad=True)
        z = torch_logits(plan, x[np.newaxis], W, b)[0]
        slopes = []
        for output in z:
            parts = torch.autograd.grad(
                output, [*W, *b], retain_graph=True, allow_unused=True
            )
            slopes.append(np.concatenate([part.numpy().ravel() for part in parts]))
        J, t = np.array(slopes), torch.tensor(target[np.newaxis])
        if plan.loss == "log_loss" or plan.out_activation == "identity":
            H = torch.autograd.functional.hessian(
                lambda z, t=t: torch_row_losses(plan, z[np.newaxis], t)[0], z.detach()
            ).numpy()
        else:
            p = torch.sigmoid(z.detach()).numpy()
            H = np.diag(2.0 / len(p) * (p * (1.0 - p)) ** 2)
        curvature += weight / len(data.X) * J.T @ H @ J
    return curvature
