"""How much each weight matters: the pruning criteria and their registry.

A criterion is a small parameter object with one method, ``score(record)``, from the
record of the dense training to one score per weight; larger means keep. It declares
what it needs recorded in ``needs`` and whether it can decide by itself how many weights
go in ``has_significance_rule``.
"""

from dataclasses import dataclass, replace
from math import log

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.parallel import Parallel, delayed

from skchaosprune import _granger, _lyapunov
from skchaosprune._recording import epochs_for_windows
from skchaosprune._validation import check_choice, check_number

# Weights per task: enough to hide the dispatch, few enough for a progress display.
_BLOCK_SIZE = 256

LAG_RULES = ("bonferroni", "min")
CORRECTIONS = ("holm", "fdr_bh")
TARGETS = ("auto", "loss")


@dataclass(frozen=True)
class WeightScores:
    """What a criterion says about every weight.

    Attributes
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
    """

    scores: np.ndarray
    p_values: np.ndarray | None = None
    best_lags: np.ndarray | None = None
    keep: np.ndarray | None = None
    problem: str | None = None


class ChaosCausality(BaseEstimator):
    """Score weights by how strongly their chaos Granger-causes the error.

    The largest Lyapunov exponent of each weight's trajectory, window by window, is
    tested for Granger causality of the target series (the misclassification rate at
    the end of every window). The score is minus the logarithm of the p-value.

    Parameters
    ----------
    window_size : int, default=50
        Records per window.
    window_overlap : float, default=0.1
        Share of a window that its successor sees again, in [0, 1).
    record_every : int or "auto", default="auto"
        Iterations from one record to the next. "auto" spreads about 150 windows over
        the planned training.
    embedding_dimension, delay, theiler_window, n_steps : int, default=2, 1, 0, 3
        Of the exponent, see :func:`skchaosprune.largest_lyapunov_exponent`.
    static_tolerance : float, default=1e-5
        A window whose values range over less has exponent 0.
    decimals : int or None, default=None
        Round the weights first; 6 is what the authors' files amount to.
    target : {"auto", "loss"} or callable, default="auto"
        The series to be caused. "auto" is the misclassification rate (regressor: the
        mean squared error), "loss" the mean loss. A callable gets the targets and the
        outputs of the network, both ``(n_rows, n_outputs)`` (one-hot, or one column
        for two classes), and returns a float. Taken on the training rows, or on the
        held-out ones with ``validation_fraction``.
    max_lag : int, default=5
        Largest lag order of the Granger regressions, in windows.
    test : {"ssr_ftest", "ssr_chi2test"}, default="ssr_ftest"
        The test, as in statsmodels; the authors use "ssr_chi2test".
    lag_rule : {"bonferroni", "min"}, default="bonferroni"
        How the lags become one p-value: the smallest times the number of lags, or the
        smallest alone (the authors' rule, which calls a third or more of pure noise
        causal).
    correction : {"holm", "fdr_bh"} or None, default=None
        Correction for testing many weights.
    significance_level : float, default=0.05
        A weight with a smaller p-value is causal.
    prune : {"noncausal", "causal"}, default="noncausal"
        Which weights go. "causal" is the other reading of the paper.

    See Also
    --------
    Magnitude : The baseline that needs no trajectories.

    Notes
    -----
    As published, chaos-causality ranks weights no better than its own placebo (the
    exponents shuffled in time); half to 70 % of the weights can go with any ranking.

    References
    ----------
    .. [1] R. Sahu et al. (2023). "To prune or not to prune: a chaos-causality approach
       to principled pruning of dense neural networks". arXiv:2308.09955, sections
       2 and 3.

    Examples
    --------
    >>> from skchaosprune.criteria import ChaosCausality
    >>> ChaosCausality(max_lag=3)
    ChaosCausality(max_lag=3)
    """

    needs = ("trajectories",)
    has_significance_rule = True

    def __init__(
        self,
        window_size=50,
        window_overlap=0.1,
        record_every="auto",
        embedding_dimension=2,
        delay=1,
        theiler_window=0,
        n_steps=3,
        static_tolerance=1e-5,
        decimals=None,
        target="auto",
        max_lag=5,
        test="ssr_ftest",
        lag_rule="bonferroni",
        correction=None,
        significance_level=0.05,
        prune="noncausal",
    ):
        self.window_size = window_size
        self.window_overlap = window_overlap
        self.record_every = record_every
        self.embedding_dimension = embedding_dimension
        self.delay = delay
        self.theiler_window = theiler_window
        self.n_steps = n_steps
        self.static_tolerance = static_tolerance
        self.decimals = decimals
        self.target = target
        self.max_lag = max_lag
        self.test = test
        self.lag_rule = lag_rule
        self.correction = correction
        self.significance_level = significance_level
        self.prune = prune

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        for name, low in (
            ("window_size", 1),
            ("embedding_dimension", 1),
            ("delay", 1),
            ("theiler_window", 0),
            ("n_steps", 1),
            ("max_lag", 1),
        ):
            check_number(getattr(self, name), name, "int", low)
        check_number(self.window_overlap, "window_overlap", "float", 0, 1, "left")
        check_number(self.static_tolerance, "static_tolerance", "float", 0)
        level = self.significance_level
        check_number(level, "significance_level", "float", 0, 1, "neither")
        if self.record_every != "auto":
            other = ", or 'auto'"
            check_number(self.record_every, "record_every", "int", 1, other=other)
        if self.decimals is not None:
            check_number(self.decimals, "decimals", "int", 0, other=", or None")
        if not callable(self.target):
            check_choice(self.target, "target", TARGETS)
        check_choice(self.test, "test", _granger.GRANGER_TESTS)
        check_choice(self.lag_rule, "lag_rule", LAG_RULES)
        if self.correction is not None:
            check_choice(self.correction, "correction", CORRECTIONS)
        check_choice(self.prune, "prune", ("noncausal", "causal"))
        shortest = _lyapunov.minimum_length(*self._embedding())
        if self.window_size < shortest:
            raise ValueError(
                f"window_size={self.window_size} is too short for "
                f"embedding_dimension={self.embedding_dimension}, delay={self.delay}, "
                f"theiler_window={self.theiler_window} and n_steps={self.n_steps}, "
                f"which need at least {shortest} records; use a larger window or a "
                "smaller embedding."
            )

    def _embedding(self):
        return self.embedding_dimension, self.delay, self.theiler_window, self.n_steps

    def reduce_window(self, window, out, n_jobs=None):
        """Write the largest Lyapunov exponent of every weight in one window.

        Parameters
        ----------
        window : ndarray of shape (window_size, n_weights)
            Consecutive records.
        out : ndarray of shape (n_weights,)
            Receives the exponents, in nats per record.
        n_jobs : int or None
            Threads.
        """
        if self.decimals is not None:
            window = np.round(window, self.decimals)
        options = (*self._embedding(), float(self.static_tolerance))
        Parallel(n_jobs=n_jobs, require="sharedmem")(
            delayed(_lyapunov._exponents)(window[:, block], out[block], *options)
            for block in _blocks(out.size)
        )

    def score(self, record):
        """Test every weight.

        Parameters
        ----------
        record : TrainingRecord
            With ``lyapunov_exponents`` and ``target_series``.

        Returns
        -------
        scores : WeightScores
            With p-values, best lags and the decision at ``significance_level``.
        """
        problem = self._obstacle(record)
        log_p = np.full(record.n_weights, np.nan)
        lags = np.zeros(record.n_weights, dtype=np.int64)
        if problem is None:
            log_p, lags = self._test(record)
            if np.isnan(log_p).all():
                problem = (
                    f"none of the {record.n_weights} weights could be tested, as their "
                    "exponents never move or the target's own past explains it "
                    f"completely: {self._facts(*self._sizes(record))}. Use "
                    "ChaosCausality(target='loss'), or lower static_tolerance="
                    f"{self.static_tolerance}."
                )
        log_p += log(self.max_lag) if self.lag_rule == "bonferroni" else 0.0
        tested = ~np.isnan(log_p)
        p_values = self._correct(np.exp(np.minimum(log_p, 0.0)), tested)
        keep = p_values < self.significance_level
        sign = -1.0
        if self.prune == "causal":
            keep, sign = ~keep, 1.0
        scores = np.where(tested, sign * log_p, -np.inf)
        if problem is not None:
            scores = np.abs(record.weights)
        return WeightScores(scores, p_values, lags, keep, problem)

    def too_few_windows(
        self, n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
    ):
        """Say that ``n_windows`` are too few for the lags, with the way out, or None.

        Parameters
        ----------
        n_windows, n_windows_planned : int
            Whole windows recorded; those of a training that nothing ends early.
        iterations_per_epoch : int
            Optimiser steps per epoch.
        dense_fraction : float
            Share of ``max_iter`` that the dense network trains.
        """
        if n_windows >= self._needed():
            return None
        sizes = n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
        return (
            f"too few windows to test causality: {self._facts(*sizes)}. Train longer, "
            "lower max_lag or window_size, or record more often."
        )

    def _needed(self):
        """Windows that the regressions over ``max_lag`` lags need."""
        return 3 * self.max_lag + 2

    def _facts(
        self, n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
    ):
        needed = self._needed()
        n_iter = epochs_for_windows(
            needed,
            self.window_size,
            self.window_overlap,
            self.record_every,
            iterations_per_epoch,
            dense_fraction,
        )
        fits = (n_windows - 2) // 3
        lag = f"max_lag={fits} would fit" if fits > 0 else "no max_lag would fit"
        if n_iter is None:
            way = (
                "no max_iter gives so many with record_every='auto', record_every=1 may"
            )
        elif n_windows >= needed:
            way = f"max_iter={n_iter} would already do"
        elif n_windows_planned >= needed:
            way = (
                f"max_iter={n_iter} is enough, but target_score or a callback ended "
                "the training early"
            )
        else:
            way = f"max_iter={n_iter} would give {needed} windows"
        return (
            f"the record has {n_windows} windows of {self.window_size} records; "
            f"max_lag={self.max_lag} needs {needed} ({lag}); {way}"
        )

    def _obstacle(self, record):
        """Say why nothing can be tested, with the facts and the way out, or None."""
        series, sizes = record.target_series, self._sizes(record)
        problem = self.too_few_windows(*sizes)
        if problem is None and np.ptp(series) == 0.0:
            # without errors there is nothing left to learn, otherwise nothing is learnt
            rate = "smaller" if series[0] == 0.0 else "larger"
            problem = (
                f"the target series never moves (it is {series[0]:.6g} in every "
                f"window), so nothing can cause it: {self._facts(*sizes)}, but the "
                "target has to move as well. Use ChaosCausality(target='loss') or a "
                f"{rate} learning_rate_init."
            )
        return problem

    def _sizes(self, record):
        return (
            len(record.target_series),
            record.n_windows_planned,
            record.iterations_per_epoch,
            record.dense_fraction,
        )

    def _test(self, record):
        """Log p-value of the best lag, and that lag, for every weight."""
        log_p = np.full(record.n_weights, np.nan)
        lags = np.zeros(record.n_weights, dtype=np.int64)
        blocks = _blocks(record.n_weights)
        effect = _granger._factor_effect(record.target_series, self.max_lag)
        results = Parallel(
            n_jobs=record.n_jobs, require="sharedmem", return_as="generator"
        )(
            delayed(_best_lag)(effect, record.lyapunov_exponents[:, block], self.test)
            for block in blocks
        )
        for block, (best, lag) in zip(blocks, results, strict=True):
            log_p[block], lags[block] = best, lag
            if record.on_progress is not None:
                record.on_progress(min(block.stop, record.n_weights))
        return log_p, lags

    def _correct(self, p_values, tested):
        if self.correction is None or not tested.any():
            return p_values
        from statsmodels.stats.multitest import multipletests

        corrected = p_values.copy()
        corrected[tested] = multipletests(p_values[tested], method=self.correction)[1]
        return corrected


def _blocks(n_weights):
    return [
        slice(first, first + _BLOCK_SIZE) for first in range(0, n_weights, _BLOCK_SIZE)
    ]


def _best_lag(effect, causes, test):
    """Smallest log p-value over the lags and its lag; NaN and 0 where untestable."""
    result = _granger._test_causes(effect, causes, test)
    log_p = np.where(np.isnan(result.log_p_value), np.inf, result.log_p_value)
    lags = np.argmin(log_p, axis=0) + 1
    best = np.min(log_p, axis=0)
    untested = np.isposinf(best)
    return np.where(untested, np.nan, best), np.where(untested, 0, lags)


class Magnitude(BaseEstimator):
    """Score weights by their absolute value after the dense training.

    The baseline of the pruning literature.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. Dally (2015). "Learning both weights and
       connections for efficient neural networks". NeurIPS 28.

    Examples
    --------
    >>> from skchaosprune.criteria import Magnitude
    >>> Magnitude().has_significance_rule
    False
    """

    needs = ()
    has_significance_rule = False

    def score(self, record):
        """Return ``|w|``; see :class:`ChaosCausality` for the parameters."""
        return WeightScores(np.abs(record.weights))


class Random(BaseEstimator):
    """Score weights at random: what any criterion has to beat.

    Parameters
    ----------
    random_state : int or None, default=None
        Seed of the scores; None takes it from the estimator's ``random_state``.

    Examples
    --------
    >>> from skchaosprune.criteria import Random
    >>> Random(random_state=0)
    Random(random_state=0)
    """

    needs = ()
    has_significance_rule = False

    def __init__(self, random_state=None):
        self.random_state = random_state

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        if self.random_state is not None:
            check_number(self.random_state, "random_state", "int", 0, 2**32 - 1)

    def score(self, record):
        """Return uniform numbers; see :class:`ChaosCausality` for the parameters."""
        seed = record.seed if self.random_state is None else self.random_state
        return WeightScores(np.random.RandomState(seed).uniform(size=record.n_weights))


class FunctionCriterion:
    """Make a criterion of a function ``record -> scores``."""

    needs = ()
    has_significance_rule = False

    def __init__(self, function):
        self.function = function

    def __repr__(self):
        return repr(self.function)

    def score(self, record):
        """Call the function."""
        return self.function(record)


CRITERIA = {
    "chaos_causality": ChaosCausality,
    "magnitude": Magnitude,
    "random": Random,
}


def get_criterion(prune_criterion):
    """Return the criterion object behind a name, an object or a function.

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
        "to one score per weight. An object of your own has score, needs (() or "
        "('trajectories',)) and has_significance_rule; with trajectories it is easiest "
        "to inherit from ChaosCausality."
    )


def _is_criterion(candidate):
    parts = ["score", "needs", "has_significance_rule"]
    if not all(hasattr(candidate, part) for part in parts):
        return False
    if tuple(candidate.needs) == ("trajectories",):
        parts = ["window_size", "window_overlap", "record_every", "reduce_window"]
        parts += ["target", "too_few_windows"]
        return all(hasattr(candidate, part) for part in parts)
    return tuple(candidate.needs) == ()


def score_weights(criterion, record):
    """Score a record and check what comes back; bare arrays are scores.

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
