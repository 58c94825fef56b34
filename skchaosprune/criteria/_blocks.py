"""Blocks of weights, on one thread or several."""

from concurrent.futures import ThreadPoolExecutor

from joblib import effective_n_jobs

# Weights per task: enough to hide the dispatch, few enough for a progress display.
_BLOCK_SIZE = 256
_WEIGHTS_PER_THREAD = 10_000
_BLOCKS_PER_THREAD = 4


def run_in_blocks(function, n_weights, n_jobs, on_progress=None):
    """Call ``function`` with slices of the weights, first to last.

    In threads where there are several jobs and enough to do for each, as a thread that
    starts takes as long as the exponents of some thousand windows. After an error or
    Ctrl-C each thread ends the block that it has begun, and no other is begun. Once the
    main thread has ended, pools refuse new tasks, and the calling thread does all.

    Parameters
    ----------
    function : callable
        Gets a slice; what it returns is ignored.
    n_weights : int
        Weights in all.
    n_jobs : int or None
        Threads, as joblib counts jobs.
    on_progress : callable or None, default=None
        Gets the number of weights that are done, in this thread.
    """
    n_threads = min(effective_n_jobs(n_jobs), n_weights // _WEIGHTS_PER_THREAD)
    size = _BLOCK_SIZE
    if n_threads > 1:
        size = max(size, n_weights // (_BLOCKS_PER_THREAD * n_threads))
    blocks = [slice(first, first + size) for first in range(0, n_weights, size)]
    if n_threads <= 1:
        _consume(map(function, blocks), blocks, n_weights, on_progress)
        return
    pool = ThreadPoolExecutor(n_threads)
    try:
        try:
            results = pool.map(function, blocks)  # starts no task later than here
        except RuntimeError:
            results = map(function, blocks)
        _consume(results, blocks, n_weights, on_progress)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _consume(results, blocks, n_weights, on_progress):
    for block, _ in zip(blocks, results, strict=True):
        if on_progress is not None:
            on_progress(min(block.stop, n_weights))
