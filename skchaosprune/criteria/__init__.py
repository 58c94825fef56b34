"""How much each weight matters: the pruning criteria and their registry.

A criterion is a small parameter object with one method, ``score(record)``, from the
record of the dense training to one score per weight; larger means keep. It declares
what it needs in ``needs`` ("trajectories", "snapshots", "data") and whether it can
decide by itself how many weights go in ``has_significance_rule``.
"""

from inspect import getattr_static

from skchaosprune._validation import check_choice
from skchaosprune.criteria._base import NEEDS, WeightScores, score_weights
from skchaosprune.criteria._baselines import (
    FixedMasks,
    Magnitude,
    Movement,
    Random,
    Saliency,
)
from skchaosprune.criteria._chaos import (
    TRAJECTORIES,
    ChaosCausality,
    ChaosCausalMagnitude,
)
from skchaosprune.criteria._granger import CORRECTIONS, LAG_RULES, GrangerUpdates
from skchaosprune.criteria._intervention import POINTS, Intervention
from skchaosprune.criteria._loss_regression import LossRegression
from skchaosprune.criteria._windows import TARGETS

__all__ = [
    "CORRECTIONS",
    "CRITERIA",
    "LAG_RULES",
    "NEEDS",
    "POINTS",
    "TARGETS",
    "TRAJECTORIES",
    "ChaosCausalMagnitude",
    "ChaosCausality",
    "FixedMasks",
    "FunctionCriterion",
    "GrangerUpdates",
    "Intervention",
    "LossRegression",
    "Magnitude",
    "Movement",
    "Random",
    "Saliency",
    "WeightScores",
    "get_criterion",
    "score_weights",
]


class FunctionCriterion:
    """Make a criterion of a function ``record -> scores``.

    Parameters
    ----------
    function : callable
        Gets the record of the dense training; returns one score per weight.
    """

    needs = ()
    has_significance_rule = False

    def __init__(self, function):
        self.function = function

    def __repr__(self):
        return repr(self.function)

    def score(self, record):
        """Call the function; see :class:`ChaosCausality` for the parameters."""
        return self.function(record)


CRITERIA = {
    "chaos_causality": ChaosCausality,
    "chaos_causal_magnitude": ChaosCausalMagnitude,
    "granger_updates": GrangerUpdates,
    "loss_regression": LossRegression,
    "intervention": Intervention,
    "magnitude": Magnitude,
    "movement": Movement,
    "saliency": Saliency,
    "random": Random,
}


def get_criterion(prune_criterion):
    """Return the criterion object behind a name, an object or a function.

    Parameters
    ----------
    prune_criterion : str, object or callable
        A key of ``CRITERIA``, a criterion, or a function from a record to scores.

    Returns
    -------
    criterion : object
        With ``needs``, ``has_significance_rule`` and ``score``.

    Raises
    ------
    ValueError
        If the name is not in the registry.
    TypeError
        If it is neither a name, a criterion nor a function.
    """
    if isinstance(prune_criterion, str):
        check_choice(prune_criterion, "prune_criterion", CRITERIA)
        return CRITERIA[prune_criterion]()
    if not isinstance(prune_criterion, type):
        if _is_criterion(prune_criterion):
            return prune_criterion
        if callable(prune_criterion):
            return FunctionCriterion(prune_criterion)
    valid = ", ".join(repr(name) for name in CRITERIA)
    raise TypeError(
        f"prune_criterion={prune_criterion!r} must be one of {valid}, a criterion "
        "object like ChaosCausality(max_lag=3), or a function from a training record "
        "to one score per weight. An object of your own has score, needs (a tuple of "
        f"{', '.join(map(repr, NEEDS))}, or empty) and has_significance_rule; with "
        "trajectories it is easiest to inherit from ChaosCausality, with snapshots it "
        "has points."
    )


def _is_criterion(candidate):
    parts = ["score", "needs", "has_significance_rule"]
    if not _has(candidate, parts) or not isinstance(candidate.needs, tuple | list):
        return False
    parts = ["points"] if "snapshots" in candidate.needs else []
    if "trajectories" in candidate.needs:
        parts += ["window_size", "window_overlap", "record_every", "reduce_window"]
        parts += ["target", "too_few_windows"]
    return set(candidate.needs) <= set(NEEDS) and _has(candidate, parts)


def _has(candidate, parts):
    """Whether all parts are there, without calling properties of unchecked values."""
    missing = object()
    return all(
        getattr_static(candidate, part, missing) is not missing for part in parts
    )


# Pickles name the public home of a class, not the file it is in.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
