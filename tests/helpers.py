"""What many test files need: a quick estimator, flat arrays, equal fits, trainings."""

import numpy as np

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._training import net

# The training as published: without a prior, a schedule and bounded steps.
PLAIN = {"learning_rate": "constant", "alpha": 0.0}

LAYERS = ["coefs_", "intercepts_", "masks_", "dense_coefs_", "dense_intercepts_"]
LAYERS += ["initial_coefs_", "initial_intercepts_"]


def small(kind=ChaosCausalPrunedMLP, **changes):
    """Train in a blink: three hidden units, a dozen epochs, a quick criterion."""
    options = {
        "hidden_layer_sizes": (3,),
        "max_iter": 12,
        "prune_criterion": "magnitude",
        "random_state": 0,
    }
    return kind(**options | changes)


def flat(parts):
    """Join arrays into one."""
    return np.concatenate([np.ravel(part) for part in parts])


def assert_same_fit(a, b):
    """Compare two fitted estimators bit for bit."""
    for name in LAYERS:
        np.testing.assert_array_equal(flat(getattr(a, name)), flat(getattr(b, name)))
    np.testing.assert_array_equal(a.weight_scores_, b.weight_scores_)


def count_trainings(monkeypatch):
    """Return a list that grows by the mask of each training from now on."""
    masks, train = [], net.train

    def spy(*args, **kwargs):
        masks.append(kwargs["mask"])
        return train(*args, **kwargs)

    monkeypatch.setattr(net, "train", spy)
    return masks
