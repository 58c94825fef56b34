"""Torch module of an MLP, its loss, and what skorch needs to know of both."""

import inspect
from functools import partial
from types import MethodType

import torch

from skchaosprune._network.mlp import HUBER_DELTA


class MLPModule(torch.nn.Module):
    """MLP whose parameters are views of one flat float64 buffer.

    ``forward`` returns what enters the output activation.
    """

    def __init__(self, layer_sizes, activation):
        super().__init__()
        self.layer_sizes = tuple(layer_sizes)
        self.activation = activation
        shapes = list(zip(layer_sizes[:-1], layer_sizes[1:], strict=True))
        self.coefs = torch.nn.ParameterList(map(_zeros, shapes))
        self.intercepts = torch.nn.ParameterList(_zeros(n) for _, n in shapes)
        self._share_one_buffer()

    def _share_one_buffer(self):
        """Move all parameters into one buffer: weights first, then biases."""
        parts = [*self.coefs, *self.intercepts]
        self.flat = torch.cat([part.detach().reshape(-1) for part in parts])
        first = 0
        for part in parts:
            last = first + part.numel()
            part.data = self.flat[first:last].view(part.shape)
            first = last

    def _apply(self, fn, recurse=True):
        # .to(), .double() and their kin give every parameter storage of its own
        super()._apply(fn, recurse)
        self._share_one_buffer()
        return self

    def __setstate__(self, state):
        # and so do copy.deepcopy and pickle
        super().__setstate__(state)
        self._share_one_buffer()

    def forward(self, X):
        """Return the logits of the rows of ``X``, ``(n_rows, n_outputs)``."""
        # slices of a ParameterList are new modules, too slow to make in every step
        *hidden, (W_out, b_out) = zip(
            list(self.coefs), list(self.intercepts), strict=True
        )
        for W, b in hidden:
            X = _TORCH_ACTIVATIONS[self.activation](torch.addmm(b, X, W))
        return torch.addmm(b_out, X, W_out)


def _zeros(shape):
    """Return zeros of a fixed type and place, whatever torch's defaults are."""
    return torch.zeros(shape, dtype=torch.float64, device="cpu")


_TORCH_ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
}


def _torch_outputs(z, out_activation):
    if out_activation == "softmax":
        return torch.softmax(z, dim=1)
    return torch.sigmoid(z) if out_activation == "logistic" else z


class MLPLoss(torch.nn.Module):
    """Mean loss over rows, from logits and either targets or class codes."""

    def __init__(self, loss, out_activation, n_outputs):
        super().__init__()
        self.loss = loss
        self.out_activation = out_activation
        self.n_outputs = n_outputs

    def forward(self, z, y, sample_weight=None):
        """Return the weighted sum of the row losses, divided by the number of rows."""
        targets = self._targets(y)
        if self.loss == "log_loss" and self.out_activation == "softmax":
            return _cross_entropy(z, targets, sample_weight)
        losses = self._row_losses(z, targets)
        return torch.mean(losses if sample_weight is None else losses * sample_weight)

    def _targets(self, y):
        if y.ndim == 2:
            return y
        if self.n_outputs == 1:
            return y.double().unsqueeze(1)
        return torch.nn.functional.one_hot(y.long(), self.n_outputs).double()

    def _row_losses(self, z, targets):
        if self.loss != "log_loss":
            errors = _torch_outputs(z, self.out_activation) - targets
            return torch.mean(error_losses(errors, self.loss), dim=1)
        return torch.nn.functional.binary_cross_entropy_with_logits(
            z, targets, reduction="none"
        ).sum(dim=1)


def _cross_entropy(z, targets, sample_weight):
    """Return the loss of a softmax in few operations, forward and backward."""
    if sample_weight is not None:
        targets = targets * sample_weight.unsqueeze(1)
    logs = torch.log_softmax(z, dim=1)
    # a net of to_skorch may be in single precision, and dot takes one type
    return torch.dot(logs.flatten(), targets.to(logs.dtype).flatten()) / -len(z)


def error_losses(errors, loss):
    """Squared errors, or Huber's loss, as ``mlp.huber``."""
    if loss == "squared_error":
        return errors**2
    size = errors.abs()
    near = size.clamp(max=HUBER_DELTA)
    return near * (2.0 * size - near)


def _class_probabilities(z, out_activation):
    """Turn what enters the output activation into one probability per class."""
    outputs = _torch_outputs(z, out_activation)
    if z.shape[1] == 1:
        return torch.cat([1.0 - outputs, outputs], dim=1)
    if out_activation == "softmax":
        return outputs
    return torch.softmax(torch.nn.functional.logsigmoid(z), dim=1)


def nonlinearity(is_classifier, out_activation):
    """Return what a skorch net applies to the outputs of its module to predict."""
    if not is_classifier:
        return None
    return partial(_class_probabilities, out_activation=out_activation)


def optimizer_settings(solver, momentum, sgd=torch.optim.SGD):
    """Return the optimiser of a skorch net, in one setting: another replaces it."""
    if solver == "adam":
        return {"optimizer": torch.optim.Adam}
    return {"optimizer": partial(sgd, momentum=momentum)}


def make_optimizer(kind, parts, **settings):
    """Return an optimiser of torch without importing torch's compiler.

    The import takes longer than most fits. Torch needs it only to keep
    ``add_param_group`` out of compiled code.
    """
    optimizer = kind.__new__(kind)
    method = inspect.unwrap(kind.add_param_group)
    optimizer.add_param_group = MethodType(method, optimizer)
    optimizer.__init__(parts, **settings)
    del optimizer.add_param_group
    return optimizer
