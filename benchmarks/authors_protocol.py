"""How the authors measure a network, and what they record of its training.

For reproduce_paper.py and paper_mnist.py.
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from scipy.special import expit
from sklearn.metrics import f1_score

from skchaosprune import legcnet_params
from skchaosprune.criteria import ChaosCausality

EXTRA_EPOCHS = 50
# What gives back the published masks where legcnet_params differs: exponents and lags.
# Found by search, on these masks.
AUTHORS_EXPONENTS = {
    "FT": {"n_steps": 20, "max_lag": 20},
    "PT": {"n_steps": 3, "max_lag": 14},
}


@dataclass(frozen=True)
class Table:
    """Scaled rows and class codes, and how a prediction counts as right."""

    name: str
    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    rule: str

    @property
    def benchmark(self):
        """Training accuracy to reach."""
        return legcnet_params(self.name, "ft")["target_score"]

    @property
    def max_iter(self):
        """Epochs that the authors allow for reaching it."""
        return legcnet_params(self.name, "ft")["max_iter"] + EXTRA_EPOCHS


def logits(coefs, intercepts, X):
    """What enters the output units of a network of logistic units."""
    *hidden, last = zip(coefs, intercepts, strict=True)
    for W, b in hidden:
        X = expit(X @ W + b)
    return X @ last[0] + last[1]


def predict_classes(z):
    return (z[:, 0] > 0.0).astype(int) if z.shape[1] == 1 else np.argmax(z, axis=1)


def accuracy(z, y, rule):
    """Share of right rows; with "all outputs" every output has to round to its target.

    A logistic unit rounds to 1 where its logit is above 0.
    """
    if rule == "arg-max":
        return np.mean(predict_classes(z) == y)
    targets = y[:, np.newaxis] == ([1] if z.shape[1] == 1 else np.arange(z.shape[1]))
    return np.mean(np.all((z > 0.0) == targets, axis=1))


def macro_f1(z, y):
    """Macro F1 over arg-max classes."""
    return f1_score(y, predict_classes(z), average="macro", zero_division=0.0)


class AuthorsRecord(ChaosCausality):
    """Chaos-causality as the authors recorded it.

    The weights before every step (ours: after it), and the misclassification on the
    test rows, which a package must not look at. :func:`make_authors_record` sets the
    attributes.
    """

    needs = ("trajectories", "snapshots")

    def reduce_window(self, window, out, n_jobs=None):
        """Shift a window by one step before its exponents are estimated."""
        if self.is_before_step:
            earlier = np.vstack([self.previous, window[:-1]])
            self.previous = window[self.stride - 1].copy()
            window = earlier
        super().reduce_window(window, out, n_jobs)

    def score(self, record):
        """Test against the misclassification of the snapshots."""
        series = np.array([self.misclassification(point) for point in record.snapshots])
        return super().score(replace(record, target_series=series))


def make_authors_record(
    criterion, table, initial, n_epochs, rows, is_before_step, batch_size=1
):
    """Make the authors' criterion out of ours, for one initialisation."""
    coefs, intercepts = initial
    record = AuthorsRecord(**criterion.get_params() | {"record_every": 1})
    record.is_before_step = is_before_step
    record.stride = round((1.0 - record.window_overlap) * record.window_size)
    n_iterations = n_epochs * ceil(len(table.X_train) / batch_size)
    ends = np.arange(record.window_size, n_iterations + 1, record.stride)
    record.points = tuple((ends - is_before_step) / n_iterations)
    record.previous = np.concatenate([W.ravel() for W in coefs])
    X, y = table.X_test, table.y_test
    if rows == "training":
        X, y = table.X_train, table.y_train
    shapes = [part.shape for part in [*coefs, *intercepts]]
    cuts = np.cumsum([np.prod(shape) for shape in shapes])[:-1]

    def misclassification(params):
        parts = zip(np.split(params, cuts), shapes, strict=True)
        parts = [part.reshape(shape) for part, shape in parts]
        z = logits(parts[: len(coefs)], parts[len(coefs) :], X)
        return 1.0 - accuracy(z, y, table.rule)

    record.misclassification = misclassification
    return record
