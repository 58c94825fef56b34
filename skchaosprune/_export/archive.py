"""The zip archive of an npz file: what is in it is known before it is inflated."""

import io
import math
import zipfile
from dataclasses import dataclass

import numpy as np

from skchaosprune._text import shorten

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A member of an archive takes a kilobyte of memory even where it is empty.
_ENTRY, _MOST_ENTRIES = b"PK\x01\x02", 100_000
_LONGEST_HEADER = 1_000  # those of numpy have 118 or 182 characters


@dataclass(frozen=True)
class Header:
    """What a file says of an array before its values."""

    member: zipfile.ZipInfo
    dtype: np.dtype
    shape: tuple


class Archive:
    """The arrays of an npz file.

    Parameters
    ----------
    content : bytes
        The file.

    Attributes
    ----------
    headers : dict
        From the name of an array to its :class:`Header`.
    nbytes : int
        Size of all arrays together.
    """

    def __init__(self, content):
        if content.count(_ENTRY) > _MOST_ENTRIES:
            raise ValueError("it has too many parts.")
        self._zip = zipfile.ZipFile(io.BytesIO(content))
        self.headers = {}
        for member in self._zip.infolist():
            name, _, suffix = member.filename.rpartition(".")
            if suffix != "npy" or name in self.headers:
                raise ValueError(
                    f"it holds {shorten(member.filename)}, which is no part of a "
                    "network, or is there twice."
                )
            self.headers[name] = self._read_header(shorten(name), member)
        self.nbytes = sum(each.member.file_size for each in self.headers.values())

    def read(self, name):
        """Read the values of an array."""
        with self._zip.open(self.headers[name].member) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)

    def _read_header(self, name, member):
        """Read a header and compare it with the size of the values."""
        if member.flag_bits & 1 or member.compress_type not in _COMPRESSIONS:
            raise ValueError(f"its {name} is encrypted or of another compression.")
        with self._zip.open(member) as stream:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError(f"its {name} has a header of another version.")
            shape, _, dtype = np.lib.format.read_array_header_1_0(
                stream, max_header_size=_LONGEST_HEADER
            )
            size = stream.tell() + math.prod(shape) * dtype.itemsize
        if size != member.file_size or min(shape, default=0) < 0:
            raise ValueError(f"its {name} is shorter or longer than it says.")
        return Header(member, dtype, shape)


def pack(arrays):
    """Return the bytes of an npz file; ``arrays`` maps names to arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, values, allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy")  # without the time of today
            member.external_attr = 0o600 << 16  # as of numpy's own files
            archive.writestr(member, part.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
