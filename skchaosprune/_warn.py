"""Warnings that point at whoever called the package."""

import inspect
import sys
import warnings


def warn_all(texts, category=UserWarning):
    """Warn whoever called the package, directly or through scikit-learn.

    In a worker of joblib's nobody has, and the warning points at ``fit``.

    Parameters
    ----------
    texts : iterable of str
        One warning each.
    category : type, default=UserWarning
        Of all of them.
    """
    level, frame = 1, inspect.currentframe()
    while frame.f_back is not None and _is_inside(frame):
        level, frame = level + 1, frame.f_back
    if _package(frame) in sys.stdlib_module_names:
        level = 2
    for text in texts:
        warnings.warn(text, category, stacklevel=level)


def _is_inside(frame):
    return _package(frame) in ("skchaosprune", "sklearn", "joblib")


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
