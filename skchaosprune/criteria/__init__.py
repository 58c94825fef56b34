"""How much each weight matters: the pruning criteria and their registry.

A criterion is a small parameter object, a :class:`Criterion`, with one method,
``score(record)``, from the record of the dense training to one score per weight; larger
means keep. It declares what it needs in ``needs`` ("trajectories", "snapshots", "data")
and whether it can decide by itself how many weights go in ``has_significance_rule``.
"""

from skchaosprune._network.rows import check_dense_size
from skchaosprune._text import brief
from skchaosprune._validation import check_choice
from skchaosprune.criteria._base import NEEDS, Criterion, WeightScores, score_weights
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
from skchaosprune.criteria._foreign import OWN_PARTS, FunctionCriterion, wrap
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
    "Criterion",
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
    "runs_only_our_code",
    "score_weights",
]


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
    """Return the criterion behind a name, an object or a function.

    Parameters
    ----------
    prune_criterion : str, Criterion, object or callable
        A key of ``CRITERIA``, a criterion, an object with ``score``, ``needs`` and
        ``has_significance_rule``, or a function from a record to scores.

    Returns
    -------
    criterion : Criterion
        The given one, or one that calls the given object or function.

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
    criterion = wrap(prune_criterion)
    if criterion is not None:
        return criterion
    valid = ", ".join(repr(name) for name in CRITERIA)
    raise TypeError(
        f"prune_criterion={brief(prune_criterion)} must be one of {valid}, a criterion "
        "object like ChaosCausalMagnitude(max_lag=3), or a function from a training "
        f"record to one score per weight. {OWN_PARTS}"
    )


def runs_only_our_code(criterion):
    """Whether no code of the user's takes part, so that a verdict can be cached.

    Parameters
    ----------
    criterion : Criterion
        From :func:`get_criterion`.

    Returns
    -------
    only_ours : bool
        False for functions, objects, children and callable targets of the user.
    """
    ours = type(criterion) in [*CRITERIA.values(), FixedMasks]
    return ours and not callable(criterion.target)


def check_dense_rows(criterion, X, prune_criterion):
    """Refuse sparse rows that code of the user's is to see dense, if they are many.

    Parameters
    ----------
    criterion : Criterion
        From :func:`get_criterion`.
    X : ndarray or csr_array of shape (n_rows, n_features)
        The rows that it scores by.
    prune_criterion : object
        The parameter, for the error.

    Raises
    ------
    ValueError
        If they would take more than 1 GiB.
    """
    if "data" in criterion.needs and not runs_only_our_code(criterion):
        what = f"prune_criterion={brief(prune_criterion)}, which needs data,"
        way_out = "Use a criterion that does not need data, or pass fewer rows."
        check_dense_size(X, X.shape[0], what, way_out)


# Pickles name the public home of a class, not the file it is in.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
