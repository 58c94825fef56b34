"""Objective of a sparse network over all rows: value, gradient and minimum.

The objective is that of every training, the weighted mean of the row losses plus
``alpha / (2 N)`` times the sum of the squared weights. Only kept weights and biases
take part, at three multiply-adds per kept weight and row. Outputs are stored unit by
unit, so that the innermost loops run over rows and vectorise.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import issparse

from skchaosprune._kernels.blocks import count_threads, open_threads
from skchaosprune._kernels.jit import jit, jit_inner
from skchaosprune._kernels.sgd import (
    _activate,
    _multiply_by_derivative,
    _output_delta,
    network_codes,
)
from skchaosprune._kernels.sparse import list_kept
from skchaosprune._network.rows import BLOCK_ELEMENTS

# Rows handled at once, so that what the units put out stays in the processor's cache.
_BLOCK = 512

# Rows of a chunk, at most: larger tables can be divided among threads.
_CHUNK = 16 * _BLOCK

# Multiply-adds per kernel call: less than a tenth of a second, so that Ctrl-C is heard,
# up to a million kept weights.
_KERNEL_CALL_SIZE = 100_000_000
_UNIT_WORK = 20  # an exp or a tanh, and the loops over the rows of a unit

# L-BFGS: the pairs of changes that it remembers, and the smallest gain of an iteration
# that it goes on with, relative to the objective where that is above 1.
_MEMORY = 10
_TOLERANCE = 1e-6


class Minimum(NamedTuple):
    """Where a minimisation ended.

    ``params`` are flat, ``value`` is the objective there and ``loss`` the part of it
    without the penalty; ``objectives`` and ``losses`` are the same after each
    iteration. The objective never rises.
    """

    params: np.ndarray
    value: float
    loss: float
    objectives: list
    losses: list


class Objective:
    """Objective of all sparse networks of one fit.

    Parameters
    ----------
    plan : TrainingPlan
        Architecture, ``alpha``, and what bounds the rows.
    data : TrainingData
        Training rows.
    n_jobs : int or None, default=None
        Threads, as joblib counts jobs, for 8,192 rows each at least; changes no result.

    Attributes
    ----------
    data : TrainingData
        With smaller weights for rows that are far out, by :func:`bound_far_rows`.
    penalty : float
        What the gradient of a weight gains per unit of the weight: ``alpha / N``.
    """

    def __init__(self, plan, data, n_jobs=None):
        self._plan, self._n_jobs = plan, n_jobs
        self.data = bound_far_rows(plan, data)
        self.penalty = plan.alpha / data.total_weight
        X, self._columns = self.data.X, None
        if not issparse(X):
            self._columns = np.ascontiguousarray(X.T)

    def restrict(self, mask, run=map):
        """Build the function of the free parameters: kept weights, then all biases.

        Parameters
        ----------
        mask : ndarray of bool of shape (n_weights,)
            True = kept.
        run : callable, default=map
            From a function and chunks of rows to the results, in their order.

        Returns
        -------
        evaluate : callable
            From free parameters ``(n_kept + n_biases,)`` to the objective and its
            gradient; not finite where the network overflows.
        """
        sizes = np.array(self._plan.layer_sizes)
        _, kept, ends = list_kept(mask, self._plan.layer_sizes)
        sources, units = kept[0].astype(np.intp), kept[1].astype(np.intp) - sizes[0]
        n_kept, n_units = sources.size, sizes[1:].sum()
        is_read = np.zeros(n_units, dtype=bool)
        is_read[sources[ends[1] :] - sizes[0]] = True
        is_read[-sizes[-1] :] = True
        n_rows = self.data.n_rows
        used = np.unique(sources[: ends[1]])
        step = _rows_per_chunk(n_kept, np.count_nonzero(is_read), used.size)
        shape = 2, n_units, min(_BLOCK, step, n_rows)
        columns, take = self._cut(used, step)
        sources[: ends[1]] = columns[sources[: ends[1]]]

        def add(free, first):
            gradient = np.zeros(free.size)
            loss = _add_rows(
                free,
                sources,
                units,
                ends,
                is_read,
                sizes,
                network_codes(self._plan),
                *take(first),
                np.empty(shape),  # scratch
                gradient,
            )
            return loss, gradient

        def evaluate(free):
            loss, gradient = 0.0, np.zeros(free.size)
            for part in run(partial(add, free), range(0, n_rows, step)):
                loss += part[0]
                gradient += part[1]
            loss /= n_rows
            gradient /= n_rows
            gradient[:n_kept] += self.penalty * free[:n_kept]
            return loss + self._penalise(free, n_kept), gradient

        return evaluate

    def _cut(self, used, step):
        """Cut the rows into chunks, with their inputs as columns.

        Parameters
        ----------
        used : ndarray of int
            The inputs that are read.
        step : int
            Rows of a chunk.

        Returns
        -------
        places : ndarray of int of shape (n_inputs,)
            Where the columns of the inputs are in those of the chunks.
        take : callable
            From the first row of a chunk to the arguments of :func:`_add_rows` from
            ``X`` to ``stop``. Sparse rows are made dense; a single chunk is kept.
        """
        data = self.data
        places = np.arange(data.X.shape[1])
        if self._columns is not None:
            whole = self._columns, data.targets, data.sample_weight
            return places, lambda first: (
                *whole,
                first,
                min(first + step, data.n_rows),
            )

        X = data.X[:, used]
        places[used] = np.arange(used.size)

        def make(first):
            rows = slice(first, first + step)
            columns = X[rows].T.toarray(order="C")
            parts = columns, data.targets[rows], data.sample_weight[rows]
            return *parts, 0, columns.shape[1]

        if step < data.n_rows:
            return places, make
        only = make(0)
        return places, lambda first: only

    def minimise(self, params, mask, n_iterations):
        """Lower the objective by L-BFGS, full steps over all rows.

        Parameters
        ----------
        params : ndarray of shape (n_parameters,)
            Where to start; weights that the mask prunes count as 0, and stay.
        mask : ndarray of bool of shape (n_weights,)
            True = kept.
        n_iterations : int
            Iterations at most, at least one; fewer where another one gains next to
            nothing.

        Returns
        -------
        minimum : Minimum
            Where it ended. Where no iteration gains anything, its curves still have one
            entry.
        """
        is_free = _flag_free(mask, params.size)
        n_kept, path = np.count_nonzero(mask), []
        n_threads = count_threads(self._n_jobs, self.data.n_rows // _CHUNK)

        def split(value, free):
            return float(value), float(value) - self._penalise(free, n_kept)

        def note(intermediate_result):
            path.append(split(intermediate_result.fun, intermediate_result.x))

        with open_threads(n_threads) as run:
            evaluate = self.restrict(mask, run)
            free = minimize(
                evaluate,
                params[is_free],
                jac=True,
                method="L-BFGS-B",
                callback=note,
                options={
                    "maxiter": n_iterations,
                    "maxcor": _MEMORY,
                    "ftol": _TOLERANCE,
                },
            ).x
            # what scipy returns beside it may be of a step that was taken back
            end = split(evaluate(free)[0], free)
        objectives, losses = map(list, zip(*(path or [end]), strict=True))
        found = params.copy()
        found[is_free] = free
        return Minimum(found, *end, objectives, losses)

    def choose_start(self, starts, mask):
        """Return the flat parameters where the objective is lowest, out of several."""
        evaluate = self.restrict(mask)
        values = [evaluate(start[_flag_free(mask, start.size)])[0] for start in starts]
        return starts[np.argmin(np.nan_to_num(values, nan=np.inf))]

    def _penalise(self, free, n_kept):
        """Return the part of the objective that is the penalty of the weights."""
        return 0.5 * self.penalty * float(free[:n_kept] @ free[:n_kept])


def _flag_free(mask, n_parameters):
    """Flag the parameters that a mask leaves free: kept weights, and all biases."""
    return np.append(mask, np.ones(n_parameters - mask.size, dtype=bool))


def _rows_per_chunk(n_kept, n_read, n_inputs):
    """Return the rows of one kernel call: quick enough, and not too large if dense."""
    work = 3 * n_kept + _UNIT_WORK * n_read
    rows = min(_KERNEL_CALL_SIZE // work, BLOCK_ELEMENTS // max(1, n_inputs), _CHUNK)
    return max(1, rows)


def bound_far_rows(plan, data):
    """Weigh rows that are far out as little as the steps of a training do.

    Parameters
    ----------
    plan : TrainingPlan
        What is trained, and how.
    data : TrainingData
        Training rows.

    Returns
    -------
    data : TrainingData
        As in the gradient of a step of endlessly many rows: those of an ordinary size
        have their weights, unless the rate is constant others weigh less. Those that
        weigh nothing, as their squares overflow, are left out, unless all do.
    """
    n_rows = data.n_rows
    plan = replace(plan, batch_size=n_rows)
    sizes = plan.measure_rows(data.squared_norms(), np.arange(n_rows), np.inf)
    rate, momentum = plan.learning_rate_init, plan.momentum
    weights = plan.weigh_steps(data.sample_weight, sizes, rate, momentum)
    counts = weights > 0.0
    if counts.all() or not counts.any():
        return replace(data, sample_weight=weights)
    return replace(
        data,
        X=data.X[counts],
        y=data.y[counts],
        targets=data.targets[counts],
        sample_weight=weights[counts] * np.mean(counts),
    )


@jit_inner
def _add_scaled(sums, factor, terms):
    """Add ``factor * terms`` to ``sums``."""
    for r in range(sums.size):
        sums[r] += factor * terms[r]


@jit
def _add_rows(
    free,
    sources,
    units,
    ends,
    is_read,
    sizes,
    codes,
    X,
    targets,
    row_weights,
    start,
    stop,
    scratch,
    gradient,
):
    """Return the weighted loss of ``X[:, start:stop]``, and add to its gradient.

    Parameters
    ----------
    free : ndarray of shape (n_kept + n_units,)
        Kept weights, layer by layer, and the biases of all units but the inputs.
    sources, units : ndarray of int of shape (n_kept,)
        Where a weight comes from, inputs included in the count, and the unit it leads
        to, inputs not included.
    ends : ndarray of int of shape (n_layers + 1,)
        Where each layer begins in ``sources``, and ``n_kept``.
    is_read : ndarray of bool of shape (n_units,)
        False for hidden units without a kept output: nothing of them is computed.
    sizes : ndarray of int of shape (n_layers + 1,)
        Units per layer, inputs and outputs included.
    codes : tuple of three int
        Hidden activation, output activation and loss.
    X : ndarray of shape (n_inputs, n_rows)
        Rows as columns.
    targets, row_weights : ndarrays
        As in ``sgd.train_rows``.
    start, stop : int
        The rows to go through.
    scratch : ndarray of shape (2, n_units, block_size)
        Overwritten.
    gradient : ndarray of shape (n_kept + n_units,)
        Added to.
    """
    # long, as forward and backward pass share scratch arrays
    activation, output_activation, loss_code = codes
    n_layers, n_inputs, n_units = sizes.size - 1, sizes[0], is_read.size
    n_kept, n_outputs = ends[n_layers], sizes[n_layers]
    first_output = n_units - n_outputs
    z, delta = np.empty(n_outputs), np.empty(n_outputs)
    ones = np.empty(scratch.shape[2])
    for r in range(ones.size):
        ones[r] = 1.0
    loss = 0.0
    for first in range(start, stop, scratch.shape[2]):
        n_rows = min(scratch.shape[2], stop - first)
        last = first + n_rows
        for unit in range(n_units):
            for r in range(n_rows):
                scratch[0, unit, r] = free[n_kept + unit]
                scratch[1, unit, r] = 0.0
        end = 0
        for layer in range(n_layers):
            for k in range(ends[layer], ends[layer + 1]):
                if is_read[units[k]]:
                    if layer == 0:
                        inputs = X[sources[k], first:last]
                    else:
                        inputs = scratch[0, sources[k] - n_inputs, :n_rows]
                    _add_scaled(scratch[0, units[k], :n_rows], free[k], inputs)
            begin, end = end, end + sizes[layer + 1]
            if layer < n_layers - 1:
                for unit in range(begin, end):
                    if is_read[unit]:
                        _activate(scratch[0, unit, :n_rows], activation)

        for r in range(n_rows):
            weight = row_weights[first + r]
            for j in range(n_outputs):
                z[j] = scratch[0, first_output + j, r]
            loss += weight * _output_delta(
                z, targets[first + r], delta, weight, output_activation, loss_code
            )
            for j in range(n_outputs):
                scratch[1, first_output + j, r] = delta[j]

        for layer in range(n_layers - 1, -1, -1):
            for k in range(ends[layer], ends[layer + 1]):
                if is_read[units[k]]:
                    slopes = scratch[1, units[k], :n_rows]
                    if layer == 0:
                        inputs = X[sources[k], first:last]
                    else:
                        inputs = scratch[0, sources[k] - n_inputs, :n_rows]
                        back = scratch[1, sources[k] - n_inputs, :n_rows]
                        _add_scaled(back, free[k], slopes)
                    gradient[k] += np.dot(inputs, slopes)
            if layer > 0:
                begin, end = begin - sizes[layer], begin
                for unit in range(begin, end):
                    if is_read[unit]:
                        _multiply_by_derivative(
                            scratch[1, unit, :n_rows],
                            scratch[0, unit, :n_rows],
                            activation,
                        )
        for unit in range(n_units):
            gradient[n_kept + unit] += np.dot(ones[:n_rows], scratch[1, unit, :n_rows])
    return loss
