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
# Parts that Criterion has by default.
_DEFAULTS = {name for name in vars(Criterion) if not name.startswith("_")}
_DEFAULTS -= {"check_parameters", "has_placebo", "score"}

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

    Parameters
    ----------
    own : object
        What it has of the parts of a criterion takes the place of the defaults.
    """

    def __init__(self, own):
        self.own = own
        parts = set(object.__dir__(own))
        # one that looks at the layers has masks for them, unless it says otherwise
        self.chooses_masks = "check_layer_sizes" in parts
        for name in _DEFAULTS & parts:
            setattr(self, name, getattr(own, name))

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
        self.__init__(self.own.set_params(**params))
        return self

    def check_parameters(self):
        """Let the object check its parameters; it may change while it does."""
        if "check_parameters" in object.__dir__(self.own):
            self.own.check_parameters()
            self.__init__(self.own)

    @property
    def has_placebo(self):
        """Whether the object has one, and p-values to compare."""
        has_own = "make_placebo" in object.__dir__(self.own)
        return has_own and self.significance_level is not None

    def score(self, record):
        """Ask the object; see :class:`ChaosCausality` for the parameters."""
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
