"""Epochs of a training in the numba kernels: which kernel, and its rows."""

import numpy as np
from scipy.sparse import csr_array, issparse

from skchaosprune._kernels import sgd, sparse
from skchaosprune._network.rows import BLOCK_ELEMENTS

# Multiply-adds per kernel call: about a tenth of a second, so Ctrl-C is heard.
_KERNEL_CALL_SIZE = 100_000_000

# Rows become lists of their nonzero entries where at most this share of the table is
# nonzero: batches then take at most .85 of the time, single rows .6.
_LARGEST_LISTED_SHARE = 0.25

# Kept weights alone are touched where at most this share is kept: steps of single rows
# then take at most .85 of the time.
_LARGEST_KEPT_SHARE = 0.15

# Single rows are lists only where a step's penalty shrinks weights by less than this.
_LARGEST_LISTED_DECAY = 0.5


class KernelEpochs:
    """The kernel that trains a network, epoch by epoch, and what it takes of the rows.

    Parameters
    ----------
    plan : TrainingPlan
        Architecture and optimiser.
    data : TrainingData
        Training rows.
    mask : ndarray of shape (n_weights,)
        1.0 for the weights that are trained, 0.0 for those that stay zero.
    penalty : float
        What the gradient of a weight gains per unit of the weight.
    shows_result_only : bool
        Whether nothing is recorded, and no callback can see the momentum of pruned
        weights.
    """

    def __init__(self, plan, data, mask, penalty, *, shows_result_only):
        self._plan, self._data, self._mask = plan, data, mask
        self._penalty = penalty
        self._sizes, self._codes = np.array(plan.layer_sizes), sgd.network_codes(plan)
        self._lists, self._kept = _list_entries(data.X), None
        is_sparse = mask.mean() <= _LARGEST_KEPT_SHARE
        if shows_result_only and is_sparse and plan.batch_size == 1:
            self._kept = sparse.list_kept(mask != 0.0, plan.layer_sizes)

    def begin(self, learners, order, step_weights, rate, momentum):
        """Begin an epoch of networks that take the same steps.

        Parameters
        ----------
        learners : list of Learner
            The networks.
        order : ndarray of int
            From :meth:`TrainingPlan.draw_order`.
        step_weights : ndarray of shape (n_rows,)
            Weights of the rows in the gradient.
        rate, momentum : float
            Those of all steps of the epoch.
        """
        self._order, self._step_weights = order, step_weights
        self._how = rate, momentum, self._penalty
        self._gathered, self._scaled = None, {}
        self._takes_lists = self._lists is not None
        if self._takes_lists and self._plan.batch_size == 1:
            decay = rate * self._penalty
            self._takes_lists = momentum == 0.0 and 0.0 <= decay < _LARGEST_LISTED_DECAY
            size = self._sizes[0] * self._sizes[1]
            for learner in learners:
                self._scaled[learner] = np.append(learner.weights.numpy()[:size], 1.0)
        self._takes_kept = self._kept is not None and not self._takes_lists

    def next_stop(self, position):
        """Return the place in the order up to which the kernel may run in one call."""
        batch = self._plan.batch_size
        stop = max(1, _KERNEL_CALL_SIZE // (batch * self._count_work())) * batch
        if not self._takes_lists:
            block = self._rows_per_block()
            stop = min(stop, block - position % block)
        return min(position + stop, self._order.size)

    def _count_work(self):
        """Return about how many multiply-adds a row takes."""
        work = 3 * self._plan.n_weights
        if self._takes_lists:
            n_first = self._sizes[0] * self._sizes[1]
            share = self._lists[0][-1] / (self._data.n_rows * self._sizes[0])
            work -= int(3 * n_first * (1.0 - share))
        elif self._takes_kept:
            work = 6 * self._kept[0].size + 2 * self._sizes.sum()
        return max(1, work)

    def run(self, learner, start, stop, iteration, recorder):
        """Train a network on ``order[start:stop]``, or until the records are full.

        Parameters
        ----------
        learner : Learner
            The network, updated in place, and its buffer of records.
        start, stop : int
            Places in the order; ``stop`` at most :meth:`next_stop`.
        iteration : int
            Steps already done.
        recorder : WindowRecorder or None
            Says how often weights are recorded, and how many records there are.

        Returns
        -------
        position, iteration, n_records : int
            Where to go on.
        loss : float
            Sum of the weighted losses of the rows visited.
        """
        if self._takes_kept:
            loss = self._run_kept(learner, start, stop)
            return stop, iteration + stop - start, 0, loss
        rows, lists, first = self._rows(learner, start)
        single = self._plan.batch_size == 1
        kernel = sgd.train_rows if single else sgd.train_batches
        if recorder is None:
            records, n_records = np.empty((1, self._plan.n_weights)), 0
            record_every = 0
        else:
            records, n_records = learner.buffer, recorder.n_filled
            record_every = recorder.record_every
        position, *others = kernel(
            learner.module.flat.numpy(),
            learner.velocity.numpy(),
            self._mask,
            self._sizes,
            self._codes,
            *rows,
            start - first,
            stop - first,
            *(() if single else (self._plan.batch_size,)),
            *self._how,
            iteration,
            record_every,
            records,
            n_records,
            lists,
        )
        return first + position, *others

    def _run_kept(self, learner, start, stop):
        """Train kept weights alone; return the loss."""
        rows, _, first = self._rows(learner, start)
        return sparse.train_kept(
            learner.module.flat.numpy(),
            learner.velocity.numpy(),
            *self._kept,
            self._sizes,
            self._codes,
            *rows,
            start - first,
            stop - first,
            *self._how,
        )

    def _rows(self, learner, start):
        """Return what the kernel takes of the rows from a place in the order on.

        Returns
        -------
        rows : tuple
            ``X``, targets, weights, weights in the gradient, and the order. That is all
            rows, or where they are sparse and no lists those of the block of ``start``,
            dense and in order. Windows may end a call anywhere in a block.
        lists : tuple or None
            The rows as lists, where they are taken so; then ``X`` is empty.
        first : int
            How many places of the order are left out before.
        """
        data, order = self._data, self._order
        parts = data.targets, data.sample_weight, self._step_weights
        if self._takes_lists:
            scaled = [self._scaled[learner]] if self._plan.batch_size == 1 else []
            return (np.empty((0, 0)), *parts, order), (*self._lists, *scaled), 0
        if not issparse(data.X):
            return (data.X, *parts, order), None, 0
        block = self._rows_per_block()
        first = start - start % block
        if self._gathered is None or self._gathered[0] != first:
            rows = order[first : first + block]
            parts = data.take(rows), *(part[rows] for part in parts)
            self._gathered = first, (*parts, np.arange(rows.size))
        return self._gathered[1], None, first

    def _rows_per_block(self):
        """Return how many places of an order, in whole batches, make a block."""
        batch = self._plan.batch_size
        return max(1, BLOCK_ELEMENTS // (batch * self._sizes[0])) * batch


def _list_entries(X):
    """Return a table as lists of what is not zero in its rows.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_rows, n_features)
        The table.

    Returns
    -------
    lists : tuple of three ndarrays or None
        ``starts``, ``columns`` and ``entries``, as the kernels take them; None where
        that is more than ``_LARGEST_LISTED_SHARE`` of the table.
    """
    n_entries = np.count_nonzero(X.data if issparse(X) else X)
    if n_entries > _LARGEST_LISTED_SHARE * X.shape[0] * X.shape[1]:
        return None
    rows = csr_array(X)
    indices = rows.indptr, rows.indices
    if X.shape[1] < 2**31 and rows.nnz < 2**31:  # one type for numba to compile
        indices = (part.astype(np.int32, copy=False) for part in indices)
    return *indices, rows.data
