"""Text for messages and tables."""

import sys


def shorten(name, length=32):
    """Make one short line of a name, without control characters or its middle."""
    name = "".join(letter if letter.isprintable() else " " for letter in str(name))
    name = " ".join(name.split())
    if len(name) > length:
        half = (length - 3) // 2
        name = f"{name[:half]}...{name[half + 3 - length :]}"
    return name


def printable(text):
    """Escape the letters that the encoding of the standard output does not have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except (LookupError, TypeError):  # of a stream that is no file
        return text.encode("ascii", "backslashreplace").decode("ascii")
