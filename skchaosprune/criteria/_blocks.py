"""Blocks of weights, on one thread or several."""

from joblib import Parallel, delayed, effective_n_jobs

# Weights per task: enough to hide the dispatch, few enough for a progress display.
_BLOCK_SIZE = 256
_WEIGHTS_PER_THREAD = 10_000
_BLOCKS_PER_THREAD = 4


def map_blocks(function, n_weights, n_jobs):
    """Yield what ``function`` returns for slices of the weights, first to last.

    In threads where there are several jobs and enough to do for each, as a thread that
    starts takes as long as the exponents of some thousand windows. Never through
    scikit-learn's ``delayed``: it sets the process's warning filters in every thread.
    """
    n_threads = min(effective_n_jobs(n_jobs), n_weights // _WEIGHTS_PER_THREAD)
    size = _BLOCK_SIZE
    if n_threads > 1:
        size = max(size, n_weights // (_BLOCKS_PER_THREAD * n_threads))
    blocks = [slice(first, first + size) for first in range(0, n_weights, size)]
    if n_threads <= 1:
        return map(function, blocks)
    return Parallel(n_threads, require="sharedmem", return_as="generator")(
        delayed(function)(block) for block in blocks
    )
