"""What a training is given, and what it returns, in plain values."""

import math
from dataclasses import dataclass

import numpy as np

from skchaosprune._network.mlp import Network

# A weight above this has diverged: the next float64 is 0.1 away, so no step of an
# ordinary size moves it.
LARGEST_WEIGHT = 1e15

# Squared norm of a row that is not far out, by its columns: of scaled rows it is 1.
_ORDINARY_SIZE = 10.0


@dataclass(frozen=True)
class TrainingPlan(Network):
    """A network and how to train it, the same in all trainings of a fit.

    The attributes are named like the parameters of the estimators. An epoch of a small
    table goes through its rows ``n_passes`` times.
    """

    solver: str
    learning_rate: str
    learning_rate_init: float
    momentum: float
    alpha: float
    batch_size: int
    n_passes: int
    shuffle: bool
    engine: str
    device: str

    @property
    def is_on_cpu(self):
        """Whether the device is the CPU, which may have a number."""
        return self.device.split(":")[0] == "cpu"

    def count_steps(self, n_rows):
        """Return the number of optimiser steps per epoch."""
        return -(-self.n_passes * n_rows // self.batch_size)

    def draw_order(self, n_rows, rng):
        """Return the rows in the order in which an epoch visits them."""
        order = rng.permutation(n_rows) if self.shuffle else np.arange(n_rows)
        return np.tile(order, self.n_passes)

    def decay(self, epoch, n_epochs):
        """Return the share of the learning rate in an epoch, counted from 0."""
        if self.learning_rate == "constant":
            return 1.0
        epoch = min(epoch, n_epochs - 1)  # a callback may have lowered n_epochs
        return 0.5 * (1.0 + math.cos(math.pi * epoch / n_epochs))

    def measure_rows(self, squares, order, total_weight):
        """Return the sizes of rows by which their steps in an epoch are bounded.

        Where a step takes one row this is the row's squared norm ``s``. Of ``n`` rows
        in a step, those of an ordinary size share it: it is ``s / n``, plus what ``s``
        has beyond that size.

        Parameters
        ----------
        squares : ndarray of shape (n_rows,)
            Squared norms of the rows.
        order : ndarray of int of shape (n_passes * n_rows,)
            From :meth:`draw_order`; the last step may have fewer rows.
        total_weight : float
            Number of rows that the weights stand for; counts where a step takes all, so
            that whole numbers give what as many copies of the rows do.

        Returns
        -------
        sizes : ndarray of shape (n_rows,)
            ``s - (1 - 1 / n) min(s, 10 n_features)``.
        """
        n_rows = np.full(squares.size, float(self.batch_size))
        if self.batch_size == squares.size:
            n_rows[:] = total_weight
        elif n_last := order.size % self.batch_size:
            n_rows[order[-n_last:]] = n_last
        ordinary = np.minimum(squares, _ORDINARY_SIZE * self.layer_sizes[0])
        return squares - (1.0 - 1.0 / n_rows) * ordinary

    def bound_rows(self, sizes, rate, momentum):
        """Return the factors by which the gradients of single rows are bounded.

        Weights have no part in it, as a weight of 2 has to do what two rows do.

        Parameters
        ----------
        sizes : ndarray or torch.Tensor
            From :meth:`measure_rows`.
        rate, momentum : float
            Those of the step.

        Returns
        -------
        factors : ndarray or torch.Tensor, shaped like sizes, or None
            ``1 / (1 + rate * sizes / (1 - momentum))``, the rate of normalised least
            mean squares. None where nothing is bounded.
        """
        if self.learning_rate == "constant" or not rate > 0.0 or momentum >= 1.0:
            return None
        rest = 1.0 - momentum
        with np.errstate(over="ignore"):  # infinity divides to 0
            return rest / (rest + rate * sizes)

    def weigh_steps(self, sample_weight, sizes, rate, momentum):
        """Return the weights of rows in the gradient; see :meth:`bound_rows`."""
        factors = self.bound_rows(sizes, rate, momentum)
        return sample_weight if factors is None else sample_weight * factors


@dataclass(frozen=True)
class Watch:
    """What is recorded while a network trains.

    Parameters
    ----------
    recorder : WindowRecorder or None
        Gets the weights, window by window.
    target : callable or None
        From flat parameters to the value that is noted at the end of each window;
        needed with a recorder.
    snapshots : SnapshotRecorder or None
        Gets all parameters at its iterations.
    twin_params : ndarray of shape (n_parameters,) or None
        Initial parameters of a second network that takes the same steps beside the
        first; the recorder's windows then hold the difference of the two.
    """

    recorder: object = None
    target: object = None
    snapshots: object = None
    twin_params: np.ndarray | None = None


@dataclass(frozen=True)
class TrainingRun:
    """Result of a training: flat parameters, one plain dict per epoch, the engine."""

    params: np.ndarray
    history: list
    engine: str
    objective_curve = None

    @property
    def loss_curve(self):
        """Mean training loss of each epoch."""
        return [row["train_loss"] for row in self.history]


class Divergence(ValueError):
    """Raised when weights or the target series are not finite, or too large.

    ``args`` are what was seen, what the user can do, and whether that is sure to be the
    cause.
    """

    def __init__(self, facts, advice, is_sure=False):
        super().__init__(facts, advice, is_sure)

    def __str__(self):
        return " ".join(self.args[:2])
