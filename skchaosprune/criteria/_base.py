"""What all criteria share: the answer, the seed, and the check of what comes back."""

from dataclasses import dataclass, field, replace

import numpy as np

from skchaosprune._validation import check_number

NEEDS = ("trajectories", "snapshots", "data")


@dataclass(frozen=True)
class WeightScores:
    """What a criterion says about every weight.

    Parameters
    ----------
    scores : ndarray of shape (n_weights,)
        Larger = keep; -inf ranks below everything.
    p_values : ndarray of shape (n_weights,) or None
        After all corrections; NaN for a weight that could not be tested.
    best_lags : ndarray of int of shape (n_weights,) or None
        The lag with the smallest p-value; 0 for a weight that could not be tested.
    keep : ndarray of bool of shape (n_weights,) or None
        The criterion's own decision, where it has a significance rule.
    problem : str or None
        Why nothing could be tested, with the way out; the scores are magnitudes then.
    untested : dict
        How many living weights could not be tested, by reason.
    is_final : bool
        Whether ``keep`` is the mask, whatever ``prune_ratio`` or the repair say.
    """

    scores: np.ndarray
    p_values: np.ndarray | None = None
    best_lags: np.ndarray | None = None
    keep: np.ndarray | None = None
    problem: str | None = None
    untested: dict = field(default_factory=dict)
    is_final: bool = False


def score_weights(criterion, record):
    """Score a record and check what comes back; bare arrays are scores.

    Parameters
    ----------
    criterion : object
        From :func:`get_criterion`.
    record : TrainingRecord
        Of the dense training.

    Returns
    -------
    scores : WeightScores
        One score per weight, none of them NaN.

    Raises
    ------
    ValueError
        If there is not one score per weight, or one of them is NaN.
    """
    result = criterion.score(record)
    if not isinstance(result, WeightScores):
        result = WeightScores(result)
    result = replace(result, scores=np.asarray(result.scores, dtype=np.float64))
    scores = result.scores
    if scores.shape != (record.n_weights,) or np.isnan(scores).any():
        raise ValueError(
            f"prune_criterion={criterion!r} must return {record.n_weights} scores "
            "without NaN, one per weight; it returned an array of shape "
            f"{scores.shape} with {np.isnan(scores).sum()} NaN."
        )
    if criterion.has_significance_rule and np.shape(result.keep) != scores.shape:
        raise ValueError(
            f"prune_criterion={criterion!r} declares a significance rule, so its "
            f"WeightScores need keep with {record.n_weights} bools; got "
            f"{result.keep!r}."
        )
    return result


def give_up(record, problem, **tests):
    """Rank by magnitude, and say why; ``tests`` are p-values and lags of nothing."""
    return WeightScores(
        np.abs(record.weights),
        keep=np.zeros(record.n_weights, dtype=bool),
        problem=problem,
        untested={problem: int(record.alive.sum())},
        **tests,
    )


def check_overflow(scores):
    """Refuse scores that are not finite where they come from the rows."""
    if not np.isfinite(scores).all():
        raise ValueError(
            "the weights cannot be scored, as the losses of some rows are too large "
            "for float64; scale X, for example with StandardScaler."
        )


def make_rng(criterion, record):
    """Return the generator of a criterion: its own seed, or the estimator's."""
    seed = criterion.random_state
    return np.random.default_rng(record.seed if seed is None else seed)


def check_seed(random_state):
    if random_state is not None:
        text = ", or None"
        check_number(random_state, "random_state", "int", 0, 2**32 - 1, other=text)
