"""Compile kernels lazily, and keep them on disk where that is possible."""

import hashlib
import pickle
import warnings
from contextlib import suppress

import numba
from numba.core import caching, serialize

_has_warned = False


def jit(function):
    """Compile ``function`` with numba when it is first called.

    The kernel releases the interpreter lock and is cached on disk. Where no cache
    directory is writable it is compiled anew in every process. Never ``fastmath`` (it
    changes exponents where distances tie) and never ``parallel`` (it aborts the process
    when two threads enter at once).
    """
    kernel = numba.njit(nogil=True)(function)
    if kernel is not function:  # as it is where compilation is disabled
        with suppress(RuntimeError, OSError):  # no directory is writable
            kernel._cache = _Cache(function)  # cache=True takes numba's own
    return kernel


class _Result(caching.CompileResultCacheImpl):
    """A compiled kernel in a file, behind its digest: no damaged code is ever run.

    Attributes
    ----------
    signature : tuple
        Types of the arguments of the kernel that is loaded or saved.
    """

    def reduce(self, cres):
        """Return the digest and the content of a file."""
        content = serialize.dumps(super().reduce(cres))
        return self._digest(content), content

    def rebuild(self, target_context, payload):
        """Return the kernel of a file; raise ValueError if it is another."""
        digest, content = payload
        if digest != self._digest(content):
            raise ValueError("the file of a compiled kernel is damaged")
        return super().rebuild(target_context, pickle.loads(content))

    def _digest(self, content):
        return hashlib.sha256(repr(self.signature).encode() + content).digest()


class _Cache(caching.FunctionCache):
    """numba's cache of a kernel, without trust in the files and the disk."""

    _impl_class = _Result

    def load_overload(self, sig, target_context):
        """Return a kernel, or None if there is none; what is damaged is forgotten."""
        self._impl.signature = sig
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # whatever a damaged file leads to
            self._try_to(self.flush)
            return None

    def save_overload(self, sig, data):
        """Save a kernel; where that fails, warn once and go on."""
        self._impl.signature = sig
        self._try_to(super().save_overload, sig, data)

    def _try_to(self, write, *arguments):
        global _has_warned
        try:
            write(*arguments)
        except Exception as error:
            if not _has_warned:
                _has_warned = True
                warnings.warn(
                    f"Compiled kernels cannot be kept in {self.cache_path}, and are "
                    f"compiled anew in every process: {error}. Free space there, or "
                    "set NUMBA_CACHE_DIR to a folder that can be written.",
                    stacklevel=2,
                )
