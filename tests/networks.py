"""Small plans, rows and initial weights for tests of single trainings."""

import numpy as np

from skchaosprune._network import mlp
from skchaosprune._network.mlp import TrainingData
from skchaosprune._training.net import train
from skchaosprune._training.plan import TrainingPlan
from skchaosprune._training.threads import one_thread_per_fit

OUTPUTS = {
    "binary": ("logistic", "log_loss", 1),
    "multiclass": ("softmax", "log_loss", 3),
    "binary, squared error": ("logistic", "squared_error", 1),
    "multiclass, squared error": ("logistic", "squared_error", 3),
    "regression": ("identity", "squared_error", 1),
    "regression, Huber": ("identity", "huber", 1),
}
N_ROWS = 43  # the last batch is a small one


def make_plan(hidden=(5,), output="multiclass", **changes):
    out_activation, loss, n_outputs = OUTPUTS[output]
    values = {
        "layer_sizes": (4, *hidden, n_outputs),
        "activation": "tanh",
        "out_activation": out_activation,
        "loss": loss,
        "is_classifier": out_activation != "identity",
        "solver": "sgd",
        "learning_rate": "constant",
        "learning_rate_init": 0.05,
        "momentum": 0.0,
        "alpha": 0.0,
        "batch_size": 1,
        "n_passes": 1,
        "shuffle": True,
        "engine": "numba",
        "device": "cpu",
    }
    return TrainingPlan(**values | changes)


def make_data(plan, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((N_ROWS, plan.layer_sizes[0]))
    weights = rng.uniform(size=N_ROWS)
    weights /= weights.mean()
    n_outputs = plan.layer_sizes[-1]
    if not plan.is_classifier:
        y = rng.standard_normal((N_ROWS, 1))
        y -= np.average(y[:, 0], weights=weights)
        y = targets = y / np.sqrt(np.average(y[:, 0] ** 2, weights=weights))
    elif n_outputs == 1:
        y = rng.randint(2, size=N_ROWS)
        targets = y[:, np.newaxis].astype(float)
    else:
        y = rng.randint(n_outputs, size=N_ROWS)
        targets = np.eye(n_outputs)[y]
    return TrainingData(X, y, targets, weights, total_weight=17.0)


def initial(plan, seed=1):
    rng = np.random.RandomState(seed)
    return mlp.initial_parameters(plan.layer_sizes, "glorot_uniform", "tanh", rng)


def random_mask(plan, seed=2):
    return np.random.RandomState(seed).uniform(size=plan.n_weights) > 0.3


@one_thread_per_fit()  # two would wait for one another, longer than they compute
def train_plan(plan, callbacks=None, **options):
    """Train for six epochs, unpruned, unless ``options`` of ``train`` say otherwise."""
    defaults = {
        "data": make_data(plan),
        "params": initial(plan),
        "n_epochs": 6,
        "mask": np.ones(plan.n_weights, dtype=bool),
        "seed": 0,
    }
    return train(plan, callbacks=callbacks, **defaults | options)
