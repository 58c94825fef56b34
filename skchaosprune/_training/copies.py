"""Copies of the user's callbacks, with folders, for each training of a fit."""

import copy
import os
from itertools import count
from pathlib import Path

from skorch.callbacks import Callback, LoadInitState

from skchaosprune._text import brief, shorten

_NEVER_LOADED = (
    "LoadInitState loads nothing here: each training of a fit has a folder of its own "
    "for checkpoints, and starts from the weights that the fit gives it. Leave the "
    "callback out; to start from weights of yours, use weight_init=(coefs, intercepts)."
)


class CallbackCopies:
    """Copies callbacks for each training of a fit.

    Callbacks that refer to each other do so in the copies. One with a ``dirname``, like
    a Checkpoint, gets a new folder in it: ``fit-1/01-dense`` for the first training of
    the first fit that writes there. So no training reads or replaces the files of
    another, of this fit or of one that runs beside it. LoadInitState is left out.

    Parameters
    ----------
    callbacks : list
        The user's: instances, classes, or pairs of a name and one of these.

    Attributes
    ----------
    warnings : list of str
        What the user should know.

    Raises
    ------
    ValueError
        If a callback cannot be copied, or names files outside of its ``dirname``.
    """

    def __init__(self, callbacks):
        self._callbacks = [each for each in callbacks if not _only_loads(each)]
        self.warnings = []
        if len(self._callbacks) < len(callbacks):
            self.warnings = [_NEVER_LOADED]
        self._n_copied, self._folders = 0, {}
        for callback in self._copy()[1]:
            _check_files(callback)

    def copy(self, name):
        """Return a list of copies for a training, whose folders bear its name."""
        self._n_copied += 1
        copies, found = self._copy()
        for callback in found:
            if _has_dirname(callback):
                self._give_folder(callback, f"{self._n_copied:02d}-{name}")
        return copies

    def _copy(self):
        """Copy the list as one; return the copies, and all callbacks wherever held."""
        memo = {}
        try:
            copies = copy.deepcopy(self._callbacks, memo)
        except Exception as error:  # a lock, a file, ...
            raise ValueError(
                f"callbacks={brief(self._callbacks)} cannot be copied, and each "
                f"training of a fit needs copies of its own: {shorten(error, 300)}. "
                "Let a callback make in its on_train_begin what cannot be copied."
            ) from error
        copies = [_instantiate(callback) for callback in copies]
        found = [*memo.values(), *map(_unnamed, copies)]
        found = {id(each): each for each in found if isinstance(each, Callback)}
        return copies, list(found.values())

    def _give_folder(self, callback, name):
        """Let a callback write into a new folder, below the one of this fit."""
        dirname = callback.dirname
        parent = os.path.abspath(dirname)
        if parent not in self._folders:
            self._folders[parent] = _make_folder(os.fspath(dirname))
        folder = Path(self._folders[parent], name)
        folder.mkdir(exist_ok=True)
        callback.dirname = folder if isinstance(dirname, Path) else str(folder)


def _unnamed(callback):
    """Take a callback out of a pair with a name."""
    return callback[1] if isinstance(callback, tuple | list) else callback


def _only_loads(callback):
    callback = _unnamed(callback)
    return callback is LoadInitState or type(callback) is LoadInitState


def _instantiate(callback):
    """Make an instance of a class, as skorch does, also in a pair with a name."""
    if isinstance(callback, tuple | list):
        return callback[0], _instantiate(callback[1])
    return callback() if isinstance(callback, type) else callback


def _has_dirname(callback):
    return isinstance(getattr(callback, "dirname", None), str | os.PathLike)


def _check_files(callback):
    """Refuse files that a private folder cannot hold."""
    if not _has_dirname(callback):
        return
    kind, prefix = shorten(type(callback).__name__), getattr(callback, "fn_prefix", "")
    try:
        callback.dirname = callback.dirname
    except AttributeError as error:
        raise ValueError(
            f"callback {kind} has dirname={brief(callback.dirname)}, which cannot be "
            "set, and each training of a fit needs a folder of its own. Let dirname be "
            "an attribute."
        ) from error
    for name, value in vars(callback).items():
        if not name.startswith("f_") or value is None:
            continue
        if name == "f_pickle":
            raise ValueError(
                f"callback {kind} has f_pickle={brief(value)}, but a net cannot be "
                "pickled while it trains inside of a fit. Leave f_pickle out; f_params "
                "saves the weights."
            )
        if hasattr(value, "write") or isinstance(value, os.PathLike):
            raise ValueError(
                f"callback {kind} has {name}={brief(value)}, which all trainings of a "
                "fit would share. Give the name of a file as a string, and its folder "
                "as dirname."
            )
        path = f"{prefix}{value}"
        if os.path.basename(path) != path:
            raise ValueError(
                f"callback {kind} has {name}={brief(value)} and writes {brief(path)}, "
                "and not into the folder that each training of a fit gets. Give a name "
                "without a folder, and the folder as dirname."
            )


def _make_folder(dirname):
    """Make the next free ``fit-N`` in a folder, also where others do so at once."""
    os.makedirs(dirname or os.curdir, exist_ok=True)
    n_before = sum(1 for _ in Path(dirname).glob("fit-*"))
    for number in count(1 + n_before):
        folder = os.path.join(dirname, f"fit-{number}")
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        return folder
