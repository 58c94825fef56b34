"""Text for messages and tables: short, in one line, with nothing hidden in it.

Widths are in columns of a terminal: a Chinese letter takes two, an accent that is a
letter of its own takes none.
"""

import sys
from reprlib import Repr
from unicodedata import category, east_asian_width

_DOTS = "..."
_MOST_SHOWN = 5  # of a list of names
_MOST_MARKS = 3  # on one letter; they can be piled up without end


def width_of(text):
    """Return the width of a text in columns."""
    return sum(map(_columns, text))


def pad(text, width, *, right=False):
    """Fill a text with blanks up to a width: on its right, or on its left."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def wrap(text, width):
    """Break a text into lines: at its blanks, or in words wider than a line."""
    lines = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        while word:
            part = "".join(_take(word, width)) or word[0]
            lines.append(part)
            word = word[len(part) :]
    return lines


def shorten(name, width=32):
    r"""Make one line of a name: without its middle, control characters as \x1b."""
    try:
        text = str(name)
    except Exception:  # of an object of the user's
        text = _describe(name)
    most = (1 + _MOST_MARKS) * width
    if len(text) > 2 * most:  # the middle may be huge, and nobody sees it
        text = text[:most] + text[-most:]
    letters = list(_escape(text))
    whole = "".join(letters)
    if width_of(whole) <= width:
        return whole
    width -= len(_DOTS)
    head = _take(letters, width // 2)
    tail = _take(letters[::-1], width - width_of("".join(head)))[::-1]
    while tail and width_of(tail[0]) == 0:  # marks of a letter that is left out
        tail.pop(0)
    return "".join([*head, _DOTS, *tail])


def brief(value, width=200):
    """Write a value as ``repr`` does, but in one short line; never raise."""
    try:
        text = _SHORT.repr(value)
    except Exception:  # of an object of the user's, or an int with too many digits
        text = _describe(value)
    if "\n" in text:  # a layout, as line breaks in strings are escaped
        text = " ".join(text.split())
    return shorten(text, width)


def brief_list(values):
    """Write the first of many names or labels, and how many there are."""
    values = values.tolist() if hasattr(values, "tolist") else list(values)
    shown = [brief(value, 40) for value in values[:_MOST_SHOWN]]
    if len(values) > len(shown):
        shown.append(f"{_DOTS} {len(values)} in all")
    return f"[{', '.join(shown)}]"


def printable(text):
    """Escape the letters that the encoding of the standard output does not have."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except (LookupError, TypeError):  # of a stream that is no file
        return text.encode("ascii", "backslashreplace").decode("ascii")


def _columns(letter):
    code = ord(letter)
    if code < 0x300:  # quick, for most
        return 1
    # Korean letters take in the vowels and finals that follow
    if category(letter) in ("Mn", "Me") or 0x1160 <= code <= 0x11FF:
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1


def _escape(text):
    """List the letters, or escapes of what cannot be seen and of piled-up marks."""
    n_marks = 0
    for letter in text:
        n_marks = 0 if _columns(letter) else n_marks + 1
        if category(letter) == "Zs":  # also that of Japanese
            yield " "
        elif letter.isprintable() and n_marks <= _MOST_MARKS:
            yield letter
        else:
            yield ascii(letter)[1:-1]


def _take(letters, width):
    """Return the first letters, or escapes, that fit into a width."""
    columns = 0
    for place, letter in enumerate(letters):
        columns += width_of(letter)
        if columns > width:
            return letters[:place]
    return letters


def _describe(value):
    return f"<{type(value).__name__} that cannot be shown>"


class _ShortRepr(Repr):
    """Abbreviates arrays beside the types of Python."""

    def repr_ndarray(self, array, level):
        """Write the first items, the shape and the type."""
        items = self.repr1(array.ravel()[: self.maxlist + 1].tolist(), level)
        return f"array({items}, shape={array.shape}, dtype={array.dtype})"


_SHORT = _ShortRepr()
_SHORT.maxlevel = 4
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 10
_SHORT.maxstring = _SHORT.maxlong = 60
_SHORT.maxother = 200
