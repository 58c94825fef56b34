"""Rows of a table as tensors on a device, batch by batch."""

import numpy as np
import torch
from scipy.sparse import issparse


class Batches:
    """The rows of a training or validation, which move to a device once.

    Sparse ``X`` stays on the CPU; its batches move, dense.

    Parameters
    ----------
    data : TrainingData
        The rows.
    device : str
        Torch device.
    """

    def __init__(self, data, device):
        self._device = device
        self._is_sparse = issparse(data.X)
        self._X = data.X if self._is_sparse else as_tensor(data.X, device)
        parts = data.y, data.targets, data.sample_weight
        self._parts = [as_tensor(part, device) for part in parts]

    def run(self, order, batch_size, *per_row):
        """Yield the batches of an epoch.

        Parameters
        ----------
        order : ndarray of int
            Rows, in the order of their visits.
        batch_size : int
            Rows per batch; the last one may have fewer.
        *per_row : torch.Tensor or None
            More of each row, on the device.

        Yields
        ------
        batch : list of torch.Tensor
            ``X``, ``y``, targets and weights of the rows, then what ``per_row`` has of
            them, or None.
        """
        rows = as_tensor(order, self._device)
        # once per epoch: on a GPU, starting an operation takes longer than doing it
        parts = [
            None if part is None else part[rows] for part in (*self._parts, *per_row)
        ]
        for first in range(0, len(order), batch_size):
            batch = slice(first, first + batch_size)
            if self._is_sparse:
                X = self._take_dense(order[batch])
            else:
                X = self._X[rows[batch]]
            yield [X, *(None if part is None else part[batch] for part in parts)]

    def _take_dense(self, rows):
        """Return rows of a sparse ``X``, dense."""
        # memory of torch, as of the others: sums may depend on where it begins
        batch = torch.empty((len(rows), self._X.shape[1]), dtype=torch.float64)
        self._X[rows].toarray(out=batch.numpy())
        return batch.to(self._device)


def as_tensor(array, device):
    """Return an array as a tensor on a device; on the CPU they share the memory."""
    # torch warns about memory that it may not write
    return torch.from_numpy(np.require(array, requirements="W")).to(device)
