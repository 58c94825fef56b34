"""Criteria of windows: one value per window and weight, and a target beside it."""

import numpy as np

from skchaosprune._text import shorten
from skchaosprune._training.recording import epochs_for_windows
from skchaosprune._validation import check_number
from skchaosprune.criteria._base import Criterion, way_out

TARGETS = ("auto", "loss")


class WindowCriterion(Criterion):
    """What criteria of windows share: one value per window and weight, and a target.

    A child has ``window_size``, ``window_overlap``, ``record_every``, ``target``,
    ``target_rows`` and ``reduce_window(window, out, n_jobs=None)``, which writes one
    number per weight from a window of consecutive records ``(window_size, n_weights)``.
    """

    needs = ("trajectories",)
    has_significance_rule = True

    def _check_series(self):
        check_number(self.window_size, "window_size", "int", 1)
        check_number(self.window_overlap, "window_overlap", "float", 0, 1, "left")
        every = self.record_every
        if not (isinstance(every, str) and every == "auto"):
            other = ", or 'auto'"
            check_number(every, "record_every", "int", 1, other=other)
        if self.target_rows is not None:
            check_number(self.target_rows, "target_rows", "int", 1, other=", or None")

    def too_few_windows(
        self, n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
    ):
        """Say that ``n_windows`` are too few, with the way out, or None.

        Parameters
        ----------
        n_windows, n_windows_planned : int
            Whole windows recorded; those of a training that nothing ends early.
        iterations_per_epoch : int
            Optimiser steps per epoch.
        dense_fraction : float
            Share of ``max_iter`` that the dense network trains.

        Returns
        -------
        problem : str or None
            A sentence, or None where there are enough.
        """
        if n_windows >= self._needed():
            return None
        sizes = n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
        return (
            f"too few windows for {self._purpose}: {self._facts(*sizes)}. Train "
            f"longer, {self._ways_out()}."
        )

    def _ways_out(self):
        return "use a smaller window_size, or record more often"

    def _facts(
        self, n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
    ):
        n_iter = epochs_for_windows(
            self._needed(),
            self.window_size,
            self.window_overlap,
            self.record_every,
            iterations_per_epoch,
            dense_fraction,
        )
        return (
            f"the record has {n_windows} windows of {self.window_size} records; "
            f"{self._demand(n_windows)}; "
            f"{self._describe_epochs(n_iter, n_windows, n_windows_planned)}"
        )

    def _describe_epochs(self, n_iter, n_windows, n_windows_planned):
        """Say what a training of ``n_iter`` epochs, where there is one, would give."""
        needed = self._needed()
        if n_iter is None:
            return (
                "no max_iter gives so many with record_every='auto', record_every=1 may"
            )
        if n_windows >= needed:
            return f"max_iter={n_iter} would already do"
        if n_windows_planned >= needed:
            return (
                f"max_iter={n_iter} is enough, but target_score or a callback ended "
                "the training early"
            )
        return f"max_iter={n_iter} would give {needed} windows"

    def _demand(self, n_windows):
        """Say what the needed number of windows comes from."""
        return f"{self._needed()} are needed"

    def _sees_loss(self, record):
        """Whether the target series is the mean loss; that of a regressor is."""
        is_regressor = not record.network.is_classifier
        return self.target == "loss" or (self.target == "auto" and is_regressor)

    def _obstacle(self, record):
        """Say why nothing can be tested, with the facts and the way out, or None."""
        series, sizes = record.target_series, _sizes(record)
        problem = self.too_few_windows(*sizes)
        if problem is None and np.ptp(series) == 0.0:
            # without errors there is nothing left to learn, otherwise nothing is learnt
            way = f"a {'smaller' if series[0] == 0.0 else 'larger'} learning_rate_init"
            if not self._sees_loss(record):
                way = f"{shorten(type(self).__name__)}(target='loss') or {way}"
            problem = (
                f"the target series never moves (it is {series[0]:.6g} in every "
                f"window), so nothing can cause it: {self._facts(*sizes)}, but the "
                f"target has to move as well. {way_out(record, f'Use {way}.')}"
            )
        return problem


def _sizes(record):
    return (
        len(record.target_series),
        record.n_windows_planned,
        record.iterations_per_epoch,
        record.dense_fraction,
    )
