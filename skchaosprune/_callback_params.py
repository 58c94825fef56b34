"""Parameters of the user's callbacks, under skorch's names: ``callbacks__e__patience``.

A pair ``("e", callback)`` is called e, a callback alone by its class; several of one
name are counted from 1: ``EarlyStopping_1``, ``EarlyStopping_2``.
"""

from skchaosprune._text import brief, brief_list

_PREFIX = "callbacks__"


def is_callback_param(name):
    """Return whether a parameter is a callback, or one of its parameters."""
    return name.startswith(_PREFIX)


def get_callback_params(callbacks):
    """Return the callbacks of a list, and their parameters, by their full names."""
    params = {}
    for name, place in _find_places(callbacks).items():
        callback = _unnamed(callbacks[place])
        params[f"{_PREFIX}{name}"] = callback
        if hasattr(callback, "get_params") and not isinstance(callback, type):
            for param, value in (callback.get_params() or {}).items():
                params[f"{_PREFIX}{name}__{param}"] = value
    return params


def check_callback_params(callbacks, names):
    """Raise a ValueError if one of the full names is of no callback in a list."""
    known = _find_places(callbacks)
    for name in names:
        if _split(name, known)[0] not in known:
            valid = brief_list([f"{_PREFIX}{other}" for other in known])
            raise ValueError(
                f"{brief(name)} is of no callback in callbacks; there are {valid}. "
                "Give callbacks=[(name, callback), ...] first."
            )


def set_callback_params(callbacks, params):
    """Return a list with other callbacks, or other parameters of them.

    Parameters
    ----------
    callbacks : list
        The user's: instances, classes, or pairs of a name and one of these.
    params : dict
        From full names, which :func:`check_callback_params` knows, to values. A
        callback that is None is left out, one that is a class is made.

    Returns
    -------
    callbacks : list
        A new list; parameters are set on the callbacks themselves.
    """
    places, others = _find_places(callbacks), list(callbacks)
    split = {name: _split(name, places) for name in params}
    for name, (callback, param) in sorted(split.items(), key=lambda item: item[1][1]):
        place = places[callback]  # callbacks come first, then their parameters
        new = params[name]
        if param:
            new = _set_param(_unnamed(others[place]), param, params[name])
        others[place] = _renamed(callbacks[place], new)
    return [each for each in others if _unnamed(each) is not None]


def _set_param(callback, param, value):
    """Set a parameter, and return the callback; made, if it was a class."""
    callback = callback() if isinstance(callback, type) else callback
    if not hasattr(callback, "set_params"):
        raise ValueError(f"{brief(callback)} is no callback with a {brief(param)}.")
    callback.set_params(**{param: value})
    return callback


def _split(name, known):
    """Split into the name of a callback and that of its parameter, or ""."""
    name = name.removeprefix(_PREFIX)
    for callback in sorted(known, key=len, reverse=True):  # names may have "__"
        param = name.removeprefix(f"{callback}__")
        if name == callback:
            return callback, ""
        if param not in (name, ""):
            return callback, param
    return name, ""


def _find_places(callbacks):
    """Map the name of each callback to its place in the list."""
    if not isinstance(callbacks, list | tuple):
        return {}
    names = [_name(callback) for callback in callbacks]
    places = {}
    for place, name in enumerate(names):
        if names.count(name) > 1:
            name = f"{name}_{1 + names[:place].count(name)}"
        places[name] = place
    return places


def _name(callback):
    if _is_pair(callback):
        return str(callback[0])
    return (callback if isinstance(callback, type) else type(callback)).__name__


def _is_pair(callback):
    return isinstance(callback, list | tuple) and len(callback) == 2


def _unnamed(callback):
    return callback[1] if _is_pair(callback) else callback


def _renamed(old, new):
    return (old[0], new) if _is_pair(old) else new
