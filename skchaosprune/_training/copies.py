"""Copies of the user's callbacks, with folders, for each training of a fit."""

import copy
import os
import re
from functools import partial
from inspect import ismethod
from itertools import count
from pathlib import Path
from pickle import PickleError

from skorch.callbacks import Callback, LoadInitState

_NEVER_LOADED = (
    "LoadInitState had nothing to load: each training of a fit has a folder of its own "
    "for checkpoints, and starts from the weights that the fit gives it. Leave the "
    "callback out; to start from weights of yours, use weight_init=(coefs, intercepts)."
)


class CallbackCopies:
    """Copies callbacks for each training of a fit.

    Callbacks that refer to each other do so in the copies. One with a ``dirname``, like
    a Checkpoint, gets a new folder in it: ``fit-1/01-dense`` for the first training of
    the first fit that writes there. So no training reads or replaces the files of
    another, of this fit or of one that runs beside it.

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
        If a callback cannot be copied, names files outside of its ``dirname``, or
        loads files that no callback of the list writes.
    """

    def __init__(self, callbacks):
        self._callbacks = callbacks
        self._n_copied, self._folders = 0, {}
        copies = self._copy()
        for callback in _find_all(copies):
            _check_files(callback)
        loads = [each for each in _find_all(copies) if isinstance(each, LoadInitState)]
        for callback in loads:
            _check_listed(callback.checkpoint, copies)
        self.warnings = [_NEVER_LOADED] if loads else []

    def copy(self, name):
        """Return a list of copies for a training, whose folders bear its name."""
        self._n_copied += 1
        copies = self._copy()
        for callback in _find_all(copies):
            if _has_dirname(callback):
                self._give_folder(callback, f"{self._n_copied:02d}-{name}")
        return copies

    def _copy(self):
        """Copy the list as one, so that what it refers to is copied once."""
        try:
            copies = copy.deepcopy(list(self._callbacks))
        except (TypeError, RuntimeError, PickleError) as error:  # a lock, a file, ...
            raise ValueError(
                f"callbacks={self._callbacks!r} cannot be copied, and each training of "
                f"a fit needs copies of its own: {error}. Let a callback make in its "
                "on_train_begin what cannot be copied."
            ) from error
        copies = [_instantiate(callback) for callback in copies]
        _link(copies)
        return copies

    def _give_folder(self, callback, name):
        """Let a callback write into a new folder, below the one of this fit."""
        dirname = callback.dirname
        parent = os.path.abspath(dirname)
        if parent not in self._folders:
            self._folders[parent] = _make_folder(os.fspath(dirname))
        folder = Path(self._folders[parent], name)
        folder.mkdir(exist_ok=True)
        callback.dirname = folder if isinstance(dirname, Path) else str(folder)


def _instantiate(callback):
    """Make an instance of a class, as skorch does, also in a pair with a name."""
    if isinstance(callback, tuple | list):
        return callback[0], _instantiate(callback[1])
    return callback() if isinstance(callback, type) else callback


def _listed(callbacks):
    """Take the callbacks out of their pairs with names."""
    return [cb[1] if isinstance(cb, tuple) else cb for cb in callbacks]


def _find_all(value, found=None):
    """Find callbacks in lists, dicts and methods, and in parameters of each other."""
    found = [] if found is None else found
    if isinstance(value, Callback):
        if any(value is other for other in found):
            return found
        found.append(value)
        value = _params(value)
    elif isinstance(value, partial):
        value = [value.func, *value.args, value.keywords]
    elif ismethod(value):
        value = [value.__self__]
    if isinstance(value, dict):
        value = list(value.values())
    for part in value if isinstance(value, list | tuple) else ():
        _find_all(part, found)
    return found


def _params(callback):
    """Return what skorch takes for the parameters of a callback."""
    return {name: x for name, x in vars(callback).items() if not name.endswith("_")}


def _link(callbacks):
    """Let callbacks refer to those of the list again.

    scikit-learn's ``clone`` copies the callbacks of an estimator one by one: what two
    of them share is then there twice.
    """
    listed = _listed(callbacks)
    same = {id(callback): callback for callback in listed}
    twins = {
        id(inner): twin
        for inner in _find_all(callbacks)
        if id(inner) not in same
        for twin in listed[::-1]  # the first one stays
        if type(twin) is type(inner) and _describe(twin) == _describe(inner)
    }
    if twins:
        memo = same | twins
        for callback in listed:
            vars(callback).update(copy.deepcopy(vars(callback), memo))


def _describe(callback):
    """Return the parameters of a callback as text, without addresses of objects."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(_params(callback)))


def _check_listed(checkpoint, callbacks):
    """Refuse to load what no training of the fit has written."""
    if not any(checkpoint is other for other in _listed(callbacks)):
        kind = type(checkpoint).__name__
        raise ValueError(
            f"callback LoadInitState refers to a {kind} that is not in callbacks, and "
            "each training of a fit starts from the weights that the fit gives it. "
            "Leave the callback out; to start from weights of yours, use "
            "weight_init=(coefs, intercepts)."
        )


def _has_dirname(callback):
    return isinstance(getattr(callback, "dirname", None), str | os.PathLike)


def _check_files(callback):
    """Refuse files that a private folder cannot hold."""
    if not _has_dirname(callback):
        return
    kind, prefix = type(callback).__name__, getattr(callback, "fn_prefix", "")
    try:
        callback.dirname = callback.dirname
    except AttributeError as error:
        raise ValueError(
            f"callback {kind} has dirname={callback.dirname!r}, which cannot be set, "
            "and each training of a fit needs a folder of its own. Let dirname be an "
            "attribute."
        ) from error
    for name, value in vars(callback).items():
        if not name.startswith("f_") or value is None:
            continue
        if name == "f_pickle":
            raise ValueError(
                f"callback {kind} has f_pickle={value!r}, but a net cannot be pickled "
                "while it trains inside of a fit. Leave f_pickle out; f_params saves "
                "the weights."
            )
        if hasattr(value, "write") or isinstance(value, os.PathLike):
            raise ValueError(
                f"callback {kind} has {name}={value!r}, which all trainings of a fit "
                "would share. Give the name of a file as a string, and its folder as "
                "dirname."
            )
        path = f"{prefix}{value}"
        if os.path.isabs(path) or os.pardir in Path(path).parts:
            raise ValueError(
                f"callback {kind} has {name}={value!r} and writes {path!r}, outside of "
                "the folder that each training of a fit gets. Give a name without a "
                "folder, and the folder as dirname."
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
