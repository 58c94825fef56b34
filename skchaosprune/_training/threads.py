"""Limits on the threads of BLAS and torch during a fit, and Ctrl-C inside numba."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

import threadpoolctl
import torch

_fits_lock = threading.Lock()
_fits_running = {}  # fit: the thread that it runs in
_threads_before = None  # noted by the first fit in, until the last one out has restored


def _forget_fits():
    """Reset in a forked child, where the threads that were fitting do not exist."""
    global _fits_lock
    _fits_lock = threading.Lock()
    _fits_running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_fits)


@contextmanager
def one_thread_per_fit():
    """Limit BLAS and torch to one thread while any fit of this process is running.

    The nets are too small for more, and results must not depend on the number of
    threads. The first fit in notes the limits and the last one out restores them, as
    overlapping ``threadpool_limits`` would leave the process at one thread for ever.
    torch keeps a number for each thread beside the one that new threads get, so every
    fit also sets its own, and the last one out of a thread restores it.
    """
    fit = object()
    try:
        _enter(fit)
        yield
    finally:
        _leave(fit)


@contextmanager
def unwrap_ctrl_c():
    """Raise KeyboardInterrupt where numba turned it into a SystemError."""
    try:
        yield
    except SystemError as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__cause__
        if cause is None:
            raise
        raise KeyboardInterrupt from error


def _enter(fit):
    global _threads_before
    with _fits_lock:
        if _threads_before is None:
            libraries = _find_blas(len(sys.modules))
            pools = [(library, library.num_threads) for library in libraries]
            _threads_before = pools, _count_torch_threads()
        _fits_running[fit] = threading.get_ident()
        for pool, _ in _threads_before[0]:
            pool.set_num_threads(1)
        _let_any_thread_set_blas()
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _find_blas(n_modules):
    """List the BLAS libraries of the process, anew when modules were imported since.

    That takes milliseconds, a fifth of a small fit: it reads the map of all memory.
    """
    return threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers


def _count_torch_threads():
    """Return how many threads torch may use while no fit is running.

    A thread that first used torch during another's fit has kept the limit of that fit;
    a new one has not.
    """
    if threading.current_thread() is threading.main_thread():
        return torch.get_num_threads()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


def _leave(fit):
    global _threads_before
    with _fits_lock:
        if fit not in _fits_running:
            return  # interrupted before anything was changed, or in a forked child
        del _fits_running[fit]
        pools, n_torch = _threads_before
        if threading.get_ident() not in _fits_running.values():
            torch.set_num_threads(n_torch)
        if not _fits_running:
            for pool, n_threads in pools:
                pool.set_num_threads(n_threads)
            _let_any_thread_set_blas()
            _threads_before = None  # not earlier: the next fit restores what is left


def _let_any_thread_set_blas():
    """Allow later calls from other threads, which newer threadpoolctl ignores."""
    controller = threadpoolctl.OpenBLASController
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=True)
