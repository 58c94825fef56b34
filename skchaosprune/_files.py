"""Files that are written in one step, and read up to a size."""

import errno
import io
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from skchaosprune._text import shorten

_NOT_PERMITTED = (errno.EACCES, errno.EPERM, errno.EROFS)
_DESCRIPTORS = ("/dev/fd/", "/dev/std", "/proc/")
_BLOCK_SIZE = 2**20


def write_file(path, content):
    """Write a file in one step: whatever fails leaves an old file as it was.

    The bytes go to a temporary file in the same folder, which takes the place of the
    target when it is complete, with the owner and the mode of an old file. So the
    folder must be one that can be written, and another name of an old file (a hard
    link) or a handle on it keeps the old content. Symbolic links are followed. What
    cannot be replaced, like a pipe or a mount point, is written directly.

    Parameters
    ----------
    path : str or path-like
        The file.
    content : bytes
        All of it.

    Raises
    ------
    OSError
        If the file or its folder cannot be written; names ``path``.
    """
    path = Path(path)
    old = _look_at(path)
    # a private folder further up has no name for us, and needs none
    target = os.path.realpath(path) if path.is_symlink() else path
    try:
        if old is None or _is_replaceable(path, old):
            _write_and_replace(target, content, old)
        else:
            path.write_bytes(content)
    except OSError as error:
        if error.errno == errno.EBUSY:  # a mount point, like a volume that is a file
            path.write_bytes(content)
            return
        text = error.strerror or str(error)
        if error.errno in _NOT_PERMITTED:
            text += " (its folder must allow a new file that takes its place)"
        raise OSError(error.errno, text, str(path)) from error


def read_file(path, max_bytes):
    """Return the bytes of a file, unless there are more than ``max_bytes``."""
    buffer = io.BytesIO()
    with Path(path).open("rb") as file:
        check_size(path, os.fstat(file.fileno()).st_size, max_bytes)
        while block := file.read(min(_BLOCK_SIZE, max_bytes + 1 - buffer.tell())):
            buffer.write(block)
    check_size(path, buffer.tell(), max_bytes)
    return buffer.getvalue()


def check_size(path, n_bytes, max_bytes):
    """Raise ValueError if a file, or what is in it, is larger than allowed."""
    if n_bytes > max_bytes:
        raise ValueError(
            f"max_bytes={shorten(max_bytes)} is less than the size of "
            f"{shorten(path, 300)} or of its "
            f"arrays, {n_bytes} bytes at least; give a larger max_bytes if you trust "
            "the file."
        )


def _look_at(path):
    """Return the status of a file that may be written; None if there is none."""
    try:
        old = path.stat()
        if stat.S_ISREG(old.st_mode):  # one that is read-only is not to be replaced
            with path.open("r+b"):
                pass
        return old
    except FileNotFoundError:
        return None


def _is_replaceable(path, old):
    """Tell a regular file with a name from pipes, devices and descriptors."""
    is_descriptor = str(path).startswith(_DESCRIPTORS)
    return stat.S_ISREG(old.st_mode) and old.st_nlink > 0 and not is_descriptor


def _write_and_replace(target, content, old):
    # a short name, as that of the target may be as long as names can be
    folder, name = os.path.dirname(target), f".{secrets.token_hex(8)}.tmp"
    temporary = os.path.join(folder, name)
    try:
        # not with the tempfile module, whose files nobody else may read
        with open(temporary, "xb") as file:
            if old is not None:
                _take_over_rights(temporary, old)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _take_over_rights(path, old):
    """Give a file the owner and group of another, as far as permitted, and its mode."""
    if hasattr(os, "chown"):
        for user, group in (old.st_uid, -1), (-1, old.st_gid):
            with suppress(OSError):
                os.chown(path, user, group)
    with suppress(OSError):  # not all file systems have modes
        os.chmod(path, stat.S_IMODE(old.st_mode))
