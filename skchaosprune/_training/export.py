"""Export of a pruned network as a torch module or a skorch net."""

import numpy as np
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor

from skchaosprune._training.module import MLPLoss, error_losses, nonlinearity


class _MaskedLinear(torch.nn.Linear):
    """Linear layer whose pruned weights stay zero in any training."""

    def __init__(self, coef, intercept, mask):
        super().__init__(*coef.shape, dtype=torch.float64, device="cpu")
        mask = np.array(mask.T, dtype=np.float64)
        self.register_buffer("mask", torch.from_numpy(mask))
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(np.array(coef.T)))
            self.bias.copy_(torch.from_numpy(np.array(intercept)))

    def reset_parameters(self):
        # torch would draw weights from its global generator
        pass

    def forward(self, X):
        return torch.nn.functional.linear(X, self.weight * self.mask, self.bias)


_TORCH_MODULES = {
    "identity": torch.nn.Identity,
    "logistic": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
}


class MaskedMLP(torch.nn.Module):
    """Pruned network for torch: selects its features, keeps pruned weights zero.

    ``forward`` returns what enters the output activation, ``(n_rows, n_outputs)``. For
    a regressor that is the prediction: the output times scale plus mean.
    """

    @torch.inference_mode(False)  # or nobody could train it
    def __init__(
        self, coefs, intercepts, *, masks, activation, selected_features, target
    ):
        super().__init__()
        self.n_outputs = len(intercepts[-1])
        self.target_mean, self.target_scale = target
        selected = torch.from_numpy(np.array(selected_features))
        self.register_buffer("selected_features", selected)
        layers = []
        for coef, intercept, mask in zip(coefs, intercepts, masks, strict=True):
            layers.append(_MaskedLinear(coef, intercept, mask))
            layers.append(_TORCH_MODULES[activation]())
        self.layers = torch.nn.Sequential(*layers[:-1])

    def forward(self, X):
        """Return the outputs for rows with all columns, ``(n_rows, n_outputs)``."""
        X = X[:, self.selected_features].to(self.layers[0].weight.dtype)
        z = self.layers(X)
        return z * self.target_scale + self.target_mean


class ScaledLoss(torch.nn.Module):
    """Mean loss of a regressor whose target was divided by ``scale``."""

    def __init__(self, loss, scale):
        super().__init__()
        self.loss = loss
        self.scale = scale

    def forward(self, z, y):
        """Return the mean over rows."""
        errors = (z - y.reshape(z.shape)) / self.scale
        return torch.mean(error_losses(errors, self.loss))


@torch.inference_mode(False)
def make_trainable_net(module, loss, out_activation, **settings):
    """Return an initialised skorch net that trains a module.

    Parameters
    ----------
    module : MaskedMLP
        The network; trained in place.
    loss : {"log_loss", "squared_error", "huber"}
        Loss to minimise.
    out_activation : {"identity", "logistic", "softmax"}
        Output activation; "identity" makes a regressor.
    **settings : dict
        Further parameters of the skorch net.

    Returns
    -------
    net : NeuralNetClassifier or NeuralNetRegressor
        Has no validation split unless ``settings`` contain a ``train_split``.
    """
    is_classifier = out_activation != "identity"
    if is_classifier:
        net_class = NeuralNetClassifier
        criterion = {
            "criterion": MLPLoss,
            "criterion__loss": loss,
            "criterion__out_activation": out_activation,
            "criterion__n_outputs": module.n_outputs,
        }
    else:
        net_class = NeuralNetRegressor
        criterion = {
            "criterion": ScaledLoss,
            "criterion__loss": loss,
            "criterion__scale": module.target_scale,
        }
    if "criterion" in settings:
        criterion = {}  # ours takes parameters that others do not
    defaults = {
        "train_split": None,
        "predict_nonlinearity": nonlinearity(is_classifier, out_activation),
        # data loaders draw from torch's global generator unless they have their own
        "iterator_train__generator": torch.Generator("cpu"),
        "iterator_valid__generator": torch.Generator("cpu"),
    }
    return net_class(module, **(defaults | criterion | settings)).initialize()
