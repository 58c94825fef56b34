"""Criteria of the user: functions, and objects that do not inherit from Criterion."""

from sklearn.base import clone

from skchaosprune._text import brief
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
        """Call the function; see :class:`Criterion` for the parameters."""
        return self.function(record)


def _own_or_default(name):
    """Make a property: the part of the user's object, or the default of Criterion."""

    def get(self):
        if hasattr(self.own, name):
            return getattr(self.own, name)
        return getattr(super(ForeignCriterion, self), name)

    return property(get)


class ForeignCriterion(Criterion):
    """Stand for a user's object that does not inherit from Criterion.

    Parameters
    ----------
    own : object
        Whatever it has of a criterion takes the place of the default, at any time.
    """

    needs = _own_or_default("needs")
    has_significance_rule = _own_or_default("has_significance_rule")
    significance_level = _own_or_default("significance_level")
    target = _own_or_default("target")
    target_rows = _own_or_default("target_rows")
    placebo = _own_or_default("placebo")
    has_exponents = _own_or_default("has_exponents")
    check_parameters = _own_or_default("check_parameters")
    check_layer_sizes = _own_or_default("check_layer_sizes")
    perturb = _own_or_default("perturb")
    make_placebo = _own_or_default("make_placebo")

    def __init__(self, own):
        self.own = own

    def __repr__(self):
        return repr(self.own)

    def __getattr__(self, name):
        # what no criterion has by default, like window_size
        if name == "own":  # not set yet, as in a copy
            raise AttributeError(name)
        return getattr(self.own, name)

    def __sklearn_clone__(self):
        return ForeignCriterion(clone(self.own))

    def set_params(self, **params):
        """Set parameters of the object."""
        self.own.set_params(**params)
        return self

    @property
    def has_placebo(self):
        """Whether the object has one, and p-values to compare."""
        has_own = hasattr(self.own, "make_placebo")
        return has_own and self.significance_level is not None

    @property
    def chooses_masks(self):
        """Whether masks are final; by default if the object looks at the layers."""
        looks = hasattr(self.own, "check_layer_sizes")
        return getattr(self.own, "chooses_masks", looks)

    def score(self, record):
        """Ask the object; see :class:`Criterion` for the parameters."""
        return self.own.score(record)


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
                f"prune_criterion={brief(candidate)} with "
                f"needs={brief(candidate.needs)} has no valid {', '.join(missing)}. "
                f"{OWN_PARTS}"
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
