"""Compile kernels lazily, and keep them on disk where that is possible."""

from contextlib import suppress

import numba

try:
    from skchaosprune._kernels.cache import CheckedCache
except (ImportError, AttributeError):  # it builds on parts of numba that may change
    CheckedCache = None


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
