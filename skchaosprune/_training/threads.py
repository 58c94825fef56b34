"""Limits on threads during a fit, and what ends it: Ctrl-C, or the exit of Python."""

import atexit
import gc
import os
import sys
import threading
import time
import traceback
import weakref
from contextlib import contextmanager
from functools import lru_cache

import threadpoolctl
import torch

_fits_lock = threading.Lock()
_fits_running = weakref.WeakSet()
_threads_before = None  # noted by the first fit in, until the last one out has restored
_thread = threading.local()  # n_torch: what torch had here, until that is restored
_is_exiting = False
_LONGEST_WAIT = 10.0  # seconds at the exit of Python, for fits in daemon threads


class _Fit:
    """The thread of a fit, and the frame in which it runs."""

    def __init__(self, frame):
        self.thread, self.frame = threading.get_ident(), frame

    def is_running(self):
        """Return whether the frame is still on the stack of its thread."""
        frame = sys._current_frames().get(self.thread)
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return frame is not None


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

    Ctrl-C may come at any moment, also in here. What leaves does so once more then;
    where it had no chance to, the next fit drops it. For a ``with`` statement only, as
    the frame of that stands for the fit.
    """
    fit = _Fit(sys._getframe(2))  # 1 is contextlib's, which has called this one
    try:
        _enter(fit)
        yield
    except SystemExit as error:
        if _is_exiting:
            _free_tensors(error)
        raise
    finally:
        try:
            _leave(fit)
        except BaseException:
            _leave(fit)
            raise


def _free_tensors(error):
    """Free what an ended fit held, while the exit of Python still waits for it.

    A tensor that is freed gives the interpreter away and asks for it again.
    """
    traceback.clear_frames(error.__traceback__)
    gc.collect()


@atexit.register
def _end_fits():
    """End the fits of daemon threads, and wait until they are out of torch.

    joblib leaves them running after an error of another, or Ctrl-C. Python before 3.14
    unwinds a daemon thread that asks for the interpreter during the exit; inside of
    torch, C++ then aborts the process.
    """
    global _is_exiting
    with _fits_lock:
        _is_exiting = True
    end = time.monotonic() + _LONGEST_WAIT
    while _others_are_fitting() and time.monotonic() < end:
        time.sleep(0.01)


def _others_are_fitting():
    here = threading.get_ident()
    with _fits_lock:
        return any(fit.thread != here and fit.is_running() for fit in _fits_running)


def stop_at_exit():
    """Raise SystemExit in the fit of a daemon thread while Python exits."""
    if _is_exiting and threading.current_thread() is not threading.main_thread():
        raise SystemExit


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
        stop_at_exit()
        _drop_finished()
        if _threads_before is None:
            libraries = _find_blas(len(sys.modules))
            pools = [(library, library.num_threads) for library in libraries]
            _threads_before = pools, _count_torch_threads()
        _fits_running.add(fit)
        for pool, _ in _threads_before[0]:
            pool.set_num_threads(1)
        _let_any_thread_set_blas()
        _thread.n_torch = _threads_before[1]
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
    a new one has not. A thread that Ctrl-C kept from restoring has kept its own.
    """
    known = getattr(_thread, "n_torch", None)
    if known is not None and torch.get_num_threads() == 1:  # not set anew since
        return known
    if threading.current_thread() is threading.main_thread():
        return torch.get_num_threads()
    counts = []  # a pool would refuse where the main thread has ended
    thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return counts[0]


def _leave(fit):
    """Restore what no other fit needs; may be called again where it was interrupted."""
    global _threads_before
    with _fits_lock:
        _fits_running.discard(fit)
        _drop_finished()
        if _threads_before is None:
            return  # interrupted before anything was changed
        pools, n_torch = _threads_before
        here = threading.get_ident()
        if not any(other.thread == here for other in _fits_running):
            torch.set_num_threads(n_torch)
            _thread.n_torch = None
        if not _fits_running:
            for pool, n_threads in pools:
                pool.set_num_threads(n_threads)
            _let_any_thread_set_blas()
            _threads_before = None  # not earlier: the next fit restores what is left


def _drop_finished():
    """Forget fits that Ctrl-C kept from leaving."""
    for fit in list(_fits_running):
        if not fit.is_running():
            _fits_running.discard(fit)


def _let_any_thread_set_blas():
    """Allow later calls from other threads, which newer threadpoolctl ignores."""
    controller = threadpoolctl.OpenBLASController
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=True)
