"""Compile kernels lazily, and keep them on disk where that is possible."""

from contextlib import suppress

import numba
from numba.core import event

try:
    from skchaosprune._kernels.cache import CheckedCache
except (ImportError, AttributeError):  # it builds on parts of numba that may change
    CheckedCache = None


def jit_inner(function):
    """Compile ``function`` for kernels alone: Python cannot call it.

    The kernels that call it include its code, so it needs neither wrappers nor a file
    in the cache. That saves much of the time that kernels take to compile.
    """
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def jit(function):
    """Compile ``function`` with numba when it is first called.

    The kernel releases the interpreter lock and is cached on disk. Where no cache
    directory is writable it is compiled anew in every process. Never ``fastmath`` (it
    changes exponents where distances tie) and never ``parallel`` (it aborts the process
    when two threads enter at once).
    """
    kernel = numba.njit(nogil=True)(function)
    if kernel is function:  # compilation is disabled
        return kernel
    with suppress(RuntimeError, OSError):  # no directory is writable
        if CheckedCache is None:
            kernel.enable_caching()
        else:
            kernel._cache = CheckedCache(function)
    return kernel


class _Compilations(event.Listener):
    """Listens to numba, and tells of this package's kernels."""

    def __init__(self, tell):
        self._tell = tell

    def on_start(self, start):
        """Tell of a kernel of ours that Python calls."""
        kernel = start.data["dispatcher"]
        is_inner = kernel.targetoptions.get("no_cpython_wrapper", False)
        module = kernel.py_func.__module__ or ""  # code of others may have none
        if module.startswith("skchaosprune.") and not is_inner:
            self._tell(kernel.stats.cache_path is not None)

    def on_end(self, end):
        """Do nothing."""


def hear_compilations(tell):
    """Call a function before each kernel that is compiled, not taken from the cache.

    Parameters
    ----------
    tell : callable
        Called with whether the kernel is going to be kept, in the thread that needs it.
        Not of the functions that it calls, which have no file of their own.

    Returns
    -------
    hearing : context manager
        Until it is left, ``tell`` hears of the kernels of all threads.
    """
    return event.install_listener("numba:compile", _Compilations(tell))
