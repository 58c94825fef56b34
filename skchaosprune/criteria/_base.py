"""The base class of criteria, their verdicts, and what several of them use."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.base import BaseEstimator

from skchaosprune._text import brief
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
    rule_scores : ndarray of shape (n_weights,) or None
        The scores in place of ``scores`` with ``prune_ratio=None``, where ``keep``
        decides. None: the same.
    """

    scores: np.ndarray
    p_values: np.ndarray | None = None
    best_lags: np.ndarray | None = None
    keep: np.ndarray | None = None
    problem: str | None = None
    untested: dict = field(default_factory=dict)
    is_final: bool = False
    rule_scores: np.ndarray | None = None


class Criterion(ABC, BaseEstimator):
    """Base class of all criteria: what ranks the weights of a dense network.

    A child has ``score``. Everything else has a default that suits a criterion of
    weights alone, like :class:`Magnitude`.

    Attributes
    ----------
    needs : tuple of {"trajectories", "snapshots", "data"}, default=()
        Parts of the record that cost something. With "trajectories" the criterion also
        has ``window_size``, ``window_overlap``, ``record_every``, ``reduce_window`` and
        ``too_few_windows``; :class:`ChaosCausality` has them all. With "snapshots" it
        has ``points``.
    has_significance_rule : bool, default=False
        Whether it can decide how many weights go, as ``prune_ratio=None`` asks for:
        the verdicts then have ``keep``.
    significance_level : float or None, default=None
        Below this p-value a weight is causal. None: there are no p-values.
    target : {"auto", "loss"} or callable, default="auto"
        The series that is recorded with trajectories; see :class:`ChaosCausality`.
    target_rows : int or None, default=None
        The most rows that it is taken on; None takes all. See :class:`ChaosCausality`.
    placebo : bool, default=False
        Whether it scores its own placebo.
    has_placebo : bool
        Whether ``placebo_test`` works: with ``make_placebo`` and a level.
    has_exponents : bool, default=False
        Whether the window series are Lyapunov exponents.
    chooses_masks : bool, default=False
        Whether the verdicts are final masks (``is_final``), so that ``prune_ratio`` has
        no say.

    See Also
    --------
    WeightScores : The verdict.

    Examples
    --------
    >>> import numpy as np
    >>> from skchaosprune.criteria import Criterion
    >>> class Distance(Criterion):
    ...     def score(self, record):
    ...         return np.abs(record.weights - record.initial_weights)
    >>> Distance().has_significance_rule
    False
    """

    needs = ()
    has_significance_rule = False
    significance_level = None
    target = "auto"
    target_rows = None
    placebo = False
    has_exponents = False
    chooses_masks = False

    @property
    def has_placebo(self):
        """Whether ``placebo_test`` works: with ``make_placebo`` and a level."""
        has_own = type(self).make_placebo is not Criterion.make_placebo
        return has_own and self.significance_level is not None

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""

    def check_layer_sizes(self, layer_sizes):
        """Raise an error if the criterion does not fit the network.

        Parameters
        ----------
        layer_sizes : tuple of int
            Units per layer, inputs and outputs included.
        """

    def perturb(self, params, candidates, seed):
        """Return where a twin training starts; None where there is no twin.

        Parameters
        ----------
        params : ndarray of shape (n_parameters,)
            Flat initial parameters, weights first.
        candidates : ndarray of bool of shape (n_weights,)
            The weights that may be perturbed.
        seed : int
            Of the draw, where the criterion has no seed of its own.

        Returns
        -------
        perturbed : ndarray of shape (n_parameters,) or None
            A changed copy.
        """
        return None

    def make_placebo(self, record, rng):
        """Return the record with what is tested shuffled, so that it means nothing.

        Parameters
        ----------
        record : TrainingRecord
            Of the dense training.
        rng : numpy.random.Generator
            For the shuffle.

        Returns
        -------
        placebo : TrainingRecord
            A copy.
        """
        raise NotImplementedError(f"{brief(self)} has no placebo.")

    @abstractmethod
    def score(self, record):
        """Rank the weights.

        Parameters
        ----------
        record : TrainingRecord
            Of the dense training.

        Returns
        -------
        verdict : WeightScores or array-like of shape (n_weights,)
            Larger = keep.
        """


def score_weights(criterion, record):
    """Score a record and check what comes back; bare arrays are scores.

    Parameters
    ----------
    criterion : Criterion
        From :func:`get_criterion`.
    record : TrainingRecord
        Of the dense training.

    Returns
    -------
    verdict : WeightScores
        One score per weight, none of them NaN.

    Raises
    ------
    ValueError
        If there is not one score per weight, or one of them is NaN.
    """
    verdict = criterion.score(record)
    if not isinstance(verdict, WeightScores):
        verdict = WeightScores(verdict)
    scores = _check_scores(criterion, record, verdict.scores, "scores")
    keep, rule_scores = verdict.keep, verdict.rule_scores
    if keep is not None:
        keep = np.asarray(keep, dtype=bool)
    if rule_scores is not None:
        rule_scores = _check_scores(criterion, record, rule_scores, "rule_scores")
    verdict = replace(verdict, scores=scores, keep=keep, rule_scores=rule_scores)
    if criterion.has_significance_rule and np.shape(verdict.keep) != scores.shape:
        raise ValueError(
            f"prune_criterion={brief(criterion)} declares a significance rule, so its "
            f"WeightScores need keep with {record.n_weights} bools; got "
            f"{brief(verdict.keep)}. Without a rule, set has_significance_rule = False."
        )
    return verdict


def _check_scores(criterion, record, scores, name):
    """Return scores as floats, one per weight, none of them NaN."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (record.n_weights,) or np.isnan(scores).any():
        raise ValueError(
            f"prune_criterion={brief(criterion)} must return {record.n_weights} {name} "
            "without NaN, one per weight; it returned an array of shape "
            f"{scores.shape} with {np.isnan(scores).sum()} NaN."
        )
    return scores


def give_up(record, problem, **tests):
    """Rank by magnitude, and say why; ``tests`` are p-values and lags of nothing."""
    return WeightScores(
        np.abs(record.weights),
        keep=np.zeros(record.n_weights, dtype=bool),
        problem=problem,
        untested={problem: int(record.alive.sum())},
        **tests,
    )


def way_out(record, way):
    """Say how to get evidence where nothing moved: scale X, or else the given way."""
    is_perfect = record.target_series[-1] == 0.0  # which no scale can be blamed for
    if not record.is_scaled and not is_perfect:
        return "X is not scaled, which is the likeliest cause: use a StandardScaler."
    return way


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
