"""Tasks and blocks of weights, on one thread or several."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from joblib import effective_n_jobs

# Weights per task: enough to hide the dispatch, few enough for a progress display.
_BLOCK_SIZE = 256
_WEIGHTS_PER_THREAD = 10_000
_BLOCKS_PER_THREAD = 4


def count_threads(n_jobs, most):
    """Return how many threads may work: as joblib counts jobs, at most ``most``."""
    if most <= 1:
        return 1  # without the warnings of joblib, where it allows no processes
    return min(effective_n_jobs(n_jobs), most)


@contextmanager
def open_threads(n_threads):
    """Yield a ``map`` that works in threads.

    After an error or Ctrl-C each thread ends the task that it has begun, and no other
    is begun. Once the main thread has ended, pools refuse new tasks, and the calling
    thread does all.

    Parameters
    ----------
    n_threads : int
        Threads; 1 is the calling thread alone.

    Yields
    ------
    run : callable
        From a function and a list of tasks to an iterator over the results, in the
        order of the tasks.
    """
    if n_threads <= 1:
        yield map
        return
    pool = ThreadPoolExecutor(n_threads)

    def run(function, tasks):
        try:
            return pool.map(function, tasks)  # starts no task later than here
        except RuntimeError:
            return map(function, tasks)

    try:
        yield run
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def run_in_threads(function, tasks, n_threads, on_result=None):
    """Call ``function`` with each task, in threads as :func:`open_threads` opens them.

    Parameters
    ----------
    function : callable
        Gets a task.
    tasks : list
        What it is called with.
    n_threads : int
        Threads; 1 is the calling thread alone.
    on_result : callable or None, default=None
        Gets each task, in their order and in this thread, once it is done.

    Returns
    -------
    results : list
        What ``function`` returned, in the order of the tasks.
    """
    results = []
    with open_threads(n_threads) as run:
        for task, result in zip(tasks, run(function, tasks), strict=True):
            results.append(result)
            if on_result is not None:
                on_result(task)
    return results


def run_in_blocks(function, n_weights, n_jobs, on_progress=None):
    """Call ``function`` with slices of the weights, first to last.

    In threads where there are several jobs and enough to do for each, as a thread that
    starts takes as long as the exponents of some thousand windows.

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

    def show(block):
        if on_progress is not None:
            on_progress(min(block.stop, n_weights))

    n_threads = count_threads(n_jobs, n_weights // _WEIGHTS_PER_THREAD)
    size = _BLOCK_SIZE
    if n_threads > 1:
        size = max(size, n_weights // (_BLOCKS_PER_THREAD * n_threads))
    blocks = [slice(first, first + size) for first in range(0, n_weights, size)]
    run_in_threads(function, blocks, n_threads, show)
