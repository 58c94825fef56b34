"""What a training is given, and what it returns, in plain values."""

from dataclasses import dataclass

import numpy as np

from skchaosprune._network.mlp import Network

# A weight above this has diverged: the next float64 is 0.1 away, so no step of an
# ordinary size moves it.
LARGEST_WEIGHT = 1e15


@dataclass(frozen=True)
class TrainingPlan(Network):
    """A network and how to train it, the same in all trainings of a fit."""

    solver: str
    learning_rate: float
    momentum: float
    alpha: float
    batch_size: int
    shuffle: bool
    engine: str
    device: str

    def count_batches(self, n_rows):
        """Return the number of optimiser steps per epoch."""
        return -(-n_rows // self.batch_size)


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


class Divergence(ValueError):
    """Raised when weights or the target series are not finite, or too large.

    ``args`` are what was seen, what the user can do, and whether that is sure to be the
    cause.
    """

    def __init__(self, facts, advice, is_sure=False):
        super().__init__(facts, advice, is_sure)

    def __str__(self):
        return " ".join(self.args[:2])
