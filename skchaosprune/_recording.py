"""Watch the weights while a net trains: windows, the one-window buffer, the record."""

from dataclasses import dataclass
from math import ceil

import numpy as np

# "auto" spaces the records so that the planned training fills about this many windows.
N_WINDOWS_AUTO = 150


def window_stride(window_size, window_overlap):
    """Records from the start of one window to the start of the next."""
    return max(1, round((1.0 - window_overlap) * window_size))


def count_windows(n_records, window_size, window_overlap):
    """Whole windows in a series of ``n_records``."""
    if n_records < window_size:
        return 0
    stride = window_stride(window_size, window_overlap)
    return 1 + (n_records - window_size) // stride


def count_records(n_windows, window_size, window_overlap):
    """Records that fill ``n_windows`` windows."""
    return window_size + (n_windows - 1) * window_stride(window_size, window_overlap)


def resolve_record_every(record_every, n_iterations, window_size, window_overlap):
    """Iterations from one record to the next.

    "auto" spreads about 150 windows over the planned ``n_iterations``; a training too
    short for that is recorded at every iteration.
    """
    if record_every != "auto":
        return record_every
    wanted = count_records(N_WINDOWS_AUTO, window_size, window_overlap)
    return max(1, round(n_iterations / wanted))


def epochs_for_windows(
    n_windows,
    window_size,
    window_overlap,
    record_every,
    iterations_per_epoch,
    dense_fraction,
):
    """A ``max_iter`` whose dense training just fills ``n_windows`` windows.

    None where no training does: "auto" thins the records of a longer one.
    """
    step = 1 if record_every == "auto" else record_every
    n_iterations = step * count_records(n_windows, window_size, window_overlap)
    n_epochs = ceil(n_iterations / iterations_per_epoch)
    planned = n_epochs * iterations_per_epoch
    every = resolve_record_every(record_every, planned, window_size, window_overlap)
    if count_windows(planned // every, window_size, window_overlap) < n_windows:
        return None
    return ceil(n_epochs / dense_fraction)


class WindowRecorder:
    """Keep one window of weights, reduce it when it is full, slide on.

    Memory is ``(window_size + n_windows) x n_weights``, however long the training is.

    Parameters
    ----------
    n_windows, n_weights : int
        Windows of the planned training; weights of the net.
    window_size, record_every : int
        Records per window; iterations from one record to the next.
    window_overlap : float
        Share of a window that its successor sees again.
    reduce_window : callable
        ``(window, out)``: writes one number per weight, from the window
        ``(window_size, n_weights)`` into ``out`` ``(n_weights,)``.
    """

    def __init__(
        self,
        n_windows,
        n_weights,
        *,
        window_size,
        window_overlap,
        record_every,
        reduce_window,
    ):
        self.record_every = record_every
        self.buffer = np.empty((window_size, n_weights))
        self.n_filled = 0
        self.n_windows = 0
        self._stride = window_stride(window_size, window_overlap)
        self._reduce_window = reduce_window
        self._reduced = np.empty((n_windows, n_weights))
        self._target_series = np.empty(n_windows)

    def close_window(self, target):
        """Reduce the full window, note the target's value, and slide on."""
        self._reduce_window(self.buffer, self._reduced[self.n_windows])
        self._target_series[self.n_windows] = target
        self.n_windows += 1
        self.n_filled = self.buffer.shape[0] - self._stride
        self.buffer[: self.n_filled] = self.buffer[self._stride :]

    @property
    def reduced(self):
        """One row per window, ``(n_windows, n_weights)``."""
        return self._reduced[: self.n_windows]

    @property
    def target_series(self):
        """The target at the end of each window, ``(n_windows,)``."""
        return self._target_series[: self.n_windows]


@dataclass(frozen=True)
class TrainingRecord:
    """What a criterion sees of the dense training.

    Attributes
    ----------
    layer_sizes : tuple of int
        Units per layer, inputs and outputs included.
    initial_weights, weights : ndarray of shape (n_weights,)
        Flat, layer by layer, ``coefs_`` raveled; before training and when scored.
    lyapunov_exponents : ndarray of shape (n_windows, n_weights) or None
        None where the criterion asked for no trajectories.
    target_series : ndarray of shape (n_windows,) or None
        The target at the end of each window.
    record_every : int or None
        Iterations from one record to the next.
    n_windows_planned : int
        Windows of a dense training that nothing ends early.
    iterations_per_epoch : int
        Optimiser steps per epoch.
    dense_fraction : float
        Share of ``max_iter`` that the dense network trains.
    seed : int
        For criteria that draw random numbers.
    n_jobs : int or None
        Threads for scoring; changes no result.
    on_progress : callable or None
        Called with the number of weights scored so far.
    """

    layer_sizes: tuple
    initial_weights: np.ndarray
    weights: np.ndarray
    lyapunov_exponents: np.ndarray | None = None
    target_series: np.ndarray | None = None
    record_every: int | None = None
    n_windows_planned: int = 0
    iterations_per_epoch: int = 1
    dense_fraction: float = 1.0
    seed: int = 0
    n_jobs: int | None = None
    on_progress: object = None

    @property
    def n_weights(self):
        """Number of weights, biases not counted."""
        return self.weights.size
