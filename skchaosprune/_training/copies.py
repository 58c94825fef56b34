"""Copies of the user's callbacks, with folders, for each training of a fit."""

import copy
import os
from itertools import count

from skorch.callbacks import Callback, LoadInitState

_NEVER_LOADED = (
    "LoadInitState had nothing to load: each training of a fit has a folder of its own "
    "for checkpoints, and starts from the weights that the fit gives it. Leave the "
    "callback out; to start from weights of yours, use weight_init=(coefs, intercepts)."
)


class CallbackCopies:
    """Copies callbacks for each training of a fit.

    Callbacks that refer to each other do so in the copies. One with a ``dirname``, like
    a Checkpoint, gets a new folder in it: ``fit-1/1-dense`` for the first training of
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
        instances = _instances(self._copy())
        for callback in instances:
            _check_files(callback)
        loads = any(isinstance(callback, LoadInitState) for callback in instances)
        self.warnings = [_NEVER_LOADED] if loads else []

    def copy(self, name):
        """Return a list of copies for a training, whose folders bear its name."""
        self._n_copied += 1
        copies = self._copy()
        for callback in _instances(copies):
            if hasattr(callback, "dirname"):
                folder = self._find_folder(callback.dirname)
                callback.dirname = os.path.join(folder, f"{self._n_copied}-{name}")
        return copies

    def _copy(self):
        """Copy the list as one, so that what it refers to is copied once."""
        try:
            copies = copy.deepcopy(list(self._callbacks))
        except TypeError as error:  # holds a lock, a file, a connection
            raise ValueError(
                f"callbacks={self._callbacks!r} cannot be copied, and each training of "
                f"a fit needs copies of its own: {error}. Let a callback make in its "
                "on_train_begin what cannot be copied."
            ) from error
        copies = [_instantiate(callback) for callback in copies]
        _link(_instances(copies))
        return copies

    def _find_folder(self, dirname):
        """Return the folder of this fit in ``dirname``, made when it is first asked."""
        if dirname not in self._folders:
            self._folders[dirname] = _make_folder(dirname)
        return self._folders[dirname]


def _instantiate(callback):
    """Make an instance of a class, as skorch does, also in a pair with a name."""
    if isinstance(callback, tuple | list):
        return callback[0], _instantiate(callback[1])
    return callback() if isinstance(callback, type) else callback


def _instances(callbacks):
    return [cb[1] if isinstance(cb, tuple) else cb for cb in callbacks]


def _link(callbacks):
    """Let callbacks refer to those of the list again.

    scikit-learn's ``clone`` copies the callbacks of an estimator one by one: what two
    of them share is then there twice.
    """
    for callback in callbacks:
        for name, value in vars(callback).items():
            is_listed = any(value is other for other in callbacks)
            if not isinstance(value, Callback) or is_listed:
                continue
            twins = [other for other in callbacks if _is_clone(other, value)]
            if not twins:
                raise ValueError(
                    f"callback {type(callback).__name__} refers to a "
                    f"{type(value).__name__} that is not in callbacks. Put that into "
                    "the list, too, or use weight_init=(coefs, intercepts) to start "
                    "from given weights."
                )
            setattr(callback, name, twins[0])


def _is_clone(one, other):
    return type(one) is type(other) and _describe(one) == _describe(other)


def _describe(callback):
    """Return the parameters of a callback as text, which can always be compared."""
    return repr(callback.get_params(deep=False))


def _check_files(callback):
    """Refuse files that a private folder cannot hold."""
    if not hasattr(callback, "dirname"):
        return
    prefix = getattr(callback, "fn_prefix", "")
    for name, value in vars(callback).items():
        if not name.startswith("f_") or value is None:
            continue
        kind = type(callback).__name__
        if name == "f_pickle":
            raise ValueError(
                f"callback {kind} has f_pickle={value!r}, but a net cannot be pickled "
                "while it trains inside of a fit. Leave f_pickle out; f_params saves "
                "the weights."
            )
        if not isinstance(value, str):
            raise ValueError(
                f"callback {kind} has {name}={value!r}, which all trainings of a fit "
                "would share. Give the name of a file, and its folder as dirname."
            )
        path = f"{prefix}{value}"
        if os.path.isabs(path) or os.pardir in path.replace(os.sep, "/").split("/"):
            raise ValueError(
                f"callback {kind} has {name}={value!r}, outside of the folder that "
                "each training of a fit gets. Give a name without a folder, and the "
                "folder as dirname."
            )


def _make_folder(dirname):
    """Make the next free ``fit-N`` in a folder, also where others do so at once."""
    os.makedirs(dirname or os.curdir, exist_ok=True)
    for number in count(1):
        folder = os.path.join(dirname, f"fit-{number}")
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        return folder
