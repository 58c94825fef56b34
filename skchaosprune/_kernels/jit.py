"""Compile kernels lazily, and keep them on disk where that is possible."""

import numba


def jit(function):
    """Compile ``function`` with numba when it is first called.

    The kernel releases the interpreter lock and is cached on disk. Where no cache
    directory is writable numba refuses to cache, and the kernel is compiled anew in
    every process. Never ``fastmath`` (it changes exponents where distances tie) and
    never ``parallel`` (it aborts the process when two threads enter at once).
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)
