"""Recording of a training: windows of weights, snapshots, and the final record."""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np

# "auto" spaces the records so that the planned training fills about this many windows.
N_WINDOWS_AUTO = 150


def window_stride(window_size, window_overlap):
    """Return the records from the start of one window to the start of the next."""
    return max(1, round((1.0 - window_overlap) * window_size))


def count_windows(n_records, window_size, window_overlap):
    """Count the whole windows in a series of ``n_records``."""
    if n_records < window_size:
        return 0
    stride = window_stride(window_size, window_overlap)
    return 1 + (n_records - window_size) // stride


def count_records(n_windows, window_size, window_overlap):
    """Count the records that fill ``n_windows`` windows."""
    return window_size + (n_windows - 1) * window_stride(window_size, window_overlap)


def resolve_record_every(record_every, n_iterations, window_size, window_overlap):
    """Return the number of iterations from one record to the next.

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
    """Return a ``max_iter`` whose dense training just fills ``n_windows`` windows.

    None if there is none: with "auto", longer trainings are recorded less often.
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
    """Record weights in overlapping windows, and reduce each window to one row.

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
    has_twin : bool, default=False
        Whether a second training is recorded beside the first; windows then hold how
        far the two are apart.
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
        has_twin=False,
    ):
        self.record_every = record_every
        self.buffer = np.empty((window_size, n_weights))
        self.twin_buffer = np.empty((window_size, n_weights)) if has_twin else None
        self.n_filled = 0
        self.n_windows = 0
        self._stride = window_stride(window_size, window_overlap)
        self._reduce_window = reduce_window
        self._reduced = np.empty(n_weights)
        # half the memory, and what is tested is what a fitted estimator keeps
        self._series = np.empty((n_windows, n_weights), dtype=np.float32)
        self._target_series = np.empty(n_windows)

    def close_window(self, target):
        """Reduce the full window, store the target's value, start the next window."""
        window = self.buffer
        if self.twin_buffer is not None:
            window = self.twin_buffer - self.buffer
        self._reduce_window(window, self._reduced)
        self._series[self.n_windows] = self._reduced
        self._target_series[self.n_windows] = target
        self.n_windows += 1
        self.n_filled = self.buffer.shape[0] - self._stride
        for buffer in (self.buffer, self.twin_buffer):
            if buffer is not None:
                buffer[: self.n_filled] = buffer[self._stride :]

    @property
    def n_windows_planned(self):
        """Number of windows unless the training ends early."""
        return len(self._series)

    @property
    def window_series(self):
        """One row per window, ``(n_windows, n_weights)``, float32."""
        return self._series[: self.n_windows]

    @property
    def target_series(self):
        """The target at the end of each window, ``(n_windows,)``."""
        return self._target_series[: self.n_windows]


class SnapshotRecorder:
    """Copy all parameters at given iterations.

    Parameters
    ----------
    iterations : sequence of int
        Increasing, counted from 1; those that the training never reaches are missing
        from ``snapshots``.
    n_parameters : int
        Weights and biases.
    """

    def __init__(self, iterations, n_parameters):
        self._iterations = list(iterations)
        self._snapshots = np.empty((len(self._iterations), n_parameters))
        self._n_taken = 0

    @property
    def next_iteration(self):
        """Iteration of the next snapshot, or None when all are taken."""
        if self._n_taken == len(self._iterations):
            return None
        return self._iterations[self._n_taken]

    def take(self, params):
        """Take the snapshot that is due."""
        self._snapshots[self._n_taken] = params
        self._n_taken += 1

    @property
    def snapshots(self):
        """Snapshots taken so far, ``(n_points, n_parameters)``."""
        return self._snapshots[: self._n_taken]


def snapshot_iterations(points, n_iterations):
    """Return the iterations at given shares of a training, each once, sorted."""
    return sorted({max(1, round(point * n_iterations)) for point in points})


@dataclass(frozen=True)
class TrainingRecord:
    """What a criterion sees of the dense training.

    Attributes
    ----------
    network : Network
        ``layer_sizes``, ``activation``, ``out_activation``, ``loss`` and
        ``is_classifier``.
    initial_params, params : ndarray of shape (n_parameters,)
        Flat: all weight matrices, raveled, layer by layer, then all biases; before
        training and when scored.
    alive : ndarray of bool of shape (n_weights,)
        False for weights that earlier rounds pruned; their scores do not count.
    window_series : ndarray of float32 of shape (n_windows, n_weights) or None
        What the criterion's ``reduce_window`` made of every window, for
        chaos-causality the largest Lyapunov exponents. None where the criterion asked
        for no trajectories.
    target_series : ndarray of shape (n_windows,) or None
        The target at the end of each window.
    snapshots : ndarray of shape (n_points, n_parameters) or None
        Parameters at the criterion's ``points``, as far as the training came.
    data : TrainingData or None
        The training rows: ``X``, ``targets``, ``sample_weight`` and the methods
        ``logits``, ``mean_loss`` and ``mean_error`` of ``(params, network)``. None
        where the criterion did not ask. Sparse ``X`` is an array for criteria of the
        user's, and for ours a CSR array, whose rows ``take`` makes dense.
    record_every : int or None
        Iterations from one record to the next.
    n_windows_planned : int
        Windows of a dense training that nothing ends early.
    iterations_per_epoch : int
        Optimiser steps per epoch.
    dense_fraction : float
        Share of ``max_iter`` that the dense network trains.
    is_scaled : bool
        Of a record with trajectories, False where columns of the training rows are far
        larger, or all vary far less, than a network is made for.
    seed : int
        For criteria that draw random numbers.
    n_jobs : int or None
        Threads for scoring; changes no result.
    on_progress : callable or None
        Called with the number of weights scored so far.
    """

    network: object
    initial_params: np.ndarray
    params: np.ndarray
    alive: np.ndarray
    window_series: np.ndarray | None = None
    target_series: np.ndarray | None = None
    snapshots: np.ndarray | None = None
    data: object = None
    record_every: int | None = None
    n_windows_planned: int = 0
    iterations_per_epoch: int = 1
    dense_fraction: float = 1.0
    is_scaled: bool = True
    seed: int = 0
    n_jobs: int | None = None
    on_progress: object = None

    @property
    def n_weights(self):
        """Number of weights, biases not counted."""
        return self.network.n_weights

    @property
    def layer_sizes(self):
        """Units per layer, inputs and outputs included."""
        return self.network.layer_sizes

    @property
    def weights(self):
        """Weights when scored, ``(n_weights,)``: ``coefs_`` raveled."""
        return self.params[: self.n_weights]

    @property
    def initial_weights(self):
        """Weights before training, ``(n_weights,)``."""
        return self.initial_params[: self.n_weights]

    def read_only(self):
        """Return the same record; who writes into its arrays gets an error.

        Sparse rows are dense in it.
        """
        data = None if self.data is None else _lock_arrays(self.data.densify())
        return _lock_arrays(replace(self, data=data))


def _lock_arrays(values):
    """Return a dataclass whose arrays are views that cannot be written."""
    locked = {
        name: lock(value)
        for name, value in vars(values).items()
        if isinstance(value, np.ndarray)
    }
    return replace(values, **locked)


def lock(array):
    """Return a view of an array that cannot be written."""
    view = array.view()
    view.flags.writeable = False
    return view
