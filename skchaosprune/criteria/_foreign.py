"""Criteria of the user: functions, and objects that do not inherit from Criterion."""

from sklearn.base import clone

from skchaosprune.criteria._base import NEEDS, Criterion

# What a criterion has in any case, and what it has beside that for what it needs.
_ALWAYS = ("score", "needs", "has_significance_rule")
_PARTS = {
    "trajectories": (
        "window_size",
        "window_overlap",
        "record_every",
        "reduce_window",
        "target",
        "too_few_windows",
    ),
    "snapshots": ("points",),
    "data": (),
}
OWN_PARTS = (
    "An object of your own has score, needs (a tuple of "
    f"{', '.join(map(repr, NEEDS))}, or empty) and has_significance_rule; with "
    "trajectories it is easiest to inherit from ChaosCausality, with snapshots it has "
    "points."
)


class FunctionCriterion(Criterion):
    """Make a criterion of a function ``record -> scores``.

    Parameters
    ----------
    function : callable
        Gets the record of the dense training; returns one score per weight.
    """

    def __init__(self, function):
        self.function = function

    def __repr__(self):
        return repr(self.function)

    def score(self, record):
        """Call the function; see :class:`ChaosCausality` for the parameters."""
        return self.function(record)


class ForeignCriterion(Criterion):
    """Stand for a user's object that does not inherit from Criterion.

    Every part is looked up in the object first, and then in :class:`Criterion`.
    """

    def __init__(self, own):
        self._own = own

    def __repr__(self):
        return repr(self._own)

    def __getattribute__(self, name):
        if name.startswith("_") or name in vars(ForeignCriterion):
            return super().__getattribute__(name)
        try:
            return getattr(self._own, name)
        except AttributeError:
            return super().__getattribute__(name)

    def __sklearn_clone__(self):
        return ForeignCriterion(clone(self._own))

    def set_params(self, **params):
        self._own.set_params(**params)
        return self

    @property
    def has_placebo(self):
        has_own = hasattr(self._own, "make_placebo")
        return has_own and self.significance_level is not None

    @property
    def chooses_masks(self):
        return getattr(
            self._own, "chooses_masks", hasattr(self._own, "check_layer_sizes")
        )

    def score(self, record):
        return self._own.score(record)


def wrap(candidate):
    """Return what the user gave as a criterion; None if it is none."""
    if isinstance(candidate, type):
        return None
    if isinstance(candidate, ForeignCriterion):
        return candidate
    missing = _find_missing_parts(candidate)
    if isinstance(candidate, Criterion):
        if missing:
            raise TypeError(
                f"prune_criterion={candidate!r} with needs={candidate.needs!r} has no "
                f"valid {', '.join(missing)}. {OWN_PARTS}"
            )
        return candidate
    if not missing:
        return ForeignCriterion(candidate)
    return FunctionCriterion(candidate) if callable(candidate) else None


def _find_missing_parts(candidate):
    """Name the parts that are missing from a criterion, or not valid.

    Of the parts, only ``needs`` is read: a property may fail before parameters are
    checked, and the ``dir`` of scikit-learn's classes calls them all.
    """
    names = set(object.__dir__(candidate))
    missing = [part for part in _ALWAYS if part not in names]
    if missing:
        return missing
    needs = candidate.needs
    if not isinstance(needs, tuple | list) or any(need not in NEEDS for need in needs):
        return ["needs"]
    return [part for need in needs for part in _PARTS[need] if part not in names]
