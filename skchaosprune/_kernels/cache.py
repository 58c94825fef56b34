"""numba's cache of kernels on disk, without trust in the files and the disk."""

import hashlib
import pickle
import warnings
from contextlib import suppress
from pathlib import Path

from numba.core import caching, serialize
from numba.core.runtime import rtsys

_has_warned = False


def _hash_sources():
    """Hash all kernels, as one compiles those in that it calls, from other files, too.

    numba's own stamp is that of the one file.
    """
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("[!.]*.py")):
        with suppress(OSError):
            digest.update(path.read_bytes())
    return digest.hexdigest()


_SOURCES = _hash_sources()


class _Result(caching.CompileResultCacheImpl):
    """A compiled kernel in a file, behind its digest: no other code is ever run.

    The digest is that of the content and of all that it must be the kernel of. An index
    of numba's may name a file that is damaged, of another kernel, or of an earlier
    version, whose successor could not be written.

    Attributes
    ----------
    signature : tuple
        Types of the arguments of the kernel that is loaded or saved.
    """

    def __init__(self, py_func):
        super().__init__(py_func)
        self._kernel = self.filename_base, self.locator.get_source_stamp(), _SOURCES

    def get_filename_base(self, fullname, abiflags):
        """Return the name of the files; not that of numba, whose content is another."""
        return f"{super().get_filename_base(fullname, abiflags)}-checked"

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
        kernel = repr((*self._kernel, self.signature)).encode()
        return hashlib.sha256(kernel + content).digest()


class _LoadingContext:
    """A target context that is prepared to run kernels, but not to compile them.

    The latter takes longer than most fits.
    """

    def __init__(self, context):
        self._context = context

    def refresh(self):
        """Prepare what kernels allocate arrays with."""
        try:
            rtsys.initialize(self._context)
        except (AttributeError, TypeError):  # a part of numba that may change
            self._context.refresh()

    def __getattr__(self, name):
        return getattr(self._context, name)


class CheckedCache(caching.FunctionCache):
    """Take what is damaged as a miss, and what cannot be saved as a warning."""

    _impl_class = _Result

    def load_overload(self, sig, target_context):
        """Return a kernel, or None if there is none; what is damaged is forgotten."""
        self._impl.signature = sig
        try:
            return super().load_overload(sig, _LoadingContext(target_context))
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
                    f"compiled anew in every process: {error}. Clear that folder, or "
                    "set NUMBA_CACHE_DIR to another that can be written.",
                    stacklevel=2,
                )
