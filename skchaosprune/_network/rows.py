"""Dense rows and columns of a table that may be sparse, a block at a time.

A table is an array or a CSR array. What computes takes its rows from here, block by
block, so that dense and sparse tables give the same bits, and a sparse one is never
dense as a whole.
"""

import numpy as np
from scipy.sparse import issparse

# Numbers of a block: of columns, and of the rows that a kernel takes in one call.
BLOCK_ELEMENTS = 2_000_000

# Where a part of a sparse table has to be dense at once, it may take up to 1 GiB.
MOST_DENSE_BYTES = 2**30


def as_dense(part):
    """Return a part of a table as an array: itself, unless it is sparse."""
    return part.toarray() if issparse(part) else part


def column_blocks(X):
    """Yield slices of columns, and these columns of all rows as an array.

    Columns of an array come as one block, a view.
    """
    if not issparse(X):
        yield slice(0, X.shape[1]), X
        return
    by_columns, size = X.tocsc(), max(1, BLOCK_ELEMENTS // max(1, X.shape[0]))
    for first in range(0, X.shape[1], size):
        columns = slice(first, min(first + size, X.shape[1]))
        yield columns, by_columns[:, columns].toarray()


def map_columns(function, X):
    """Join what a function makes of blocks of columns, along the last axis."""
    return np.concatenate([function(part) for _, part in column_blocks(X)], axis=-1)


def check_dense_size(X, n_rows, what, way_out):
    """Refuse rows of a sparse table that are dense at once and too large.

    Parameters
    ----------
    X : ndarray or csr_array of shape (n_samples, n_features)
        The table.
    n_rows : int
        How many of its rows are made dense.
    what : str
        What makes them so, for the error.
    way_out : str
        What to do, as a sentence.

    Raises
    ------
    ValueError
        If these rows would take more than ``MOST_DENSE_BYTES``.
    """
    n_bytes = 8 * n_rows * X.shape[1]
    if issparse(X) and n_bytes > MOST_DENSE_BYTES:
        raise ValueError(
            f"{what} makes {n_rows} rows of the sparse X with {X.shape[1]} columns "
            f"dense at once, which takes {n_bytes / 2**30:.3g} GiB; at most "
            f"{MOST_DENSE_BYTES / 2**30:g} GiB is allowed. {way_out}"
        )
