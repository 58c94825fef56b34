"""How much each weight matters: the pruning criteria and their registry.

A criterion is a small parameter object with one method, ``score(record)``, from the
record of the dense training to one score per weight; larger means keep. It declares
what it needs in ``needs`` ("trajectories", "snapshots", "data") and whether it can
decide by itself how many weights go in ``has_significance_rule``.
"""

import warnings
from dataclasses import dataclass, field, replace
from inspect import getattr_static
from math import log

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from scipy.special import stdtr
from scipy.stats import rankdata
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from skchaosprune._kernels import ablation as _ablation
from skchaosprune._kernels import granger as _granger
from skchaosprune._kernels import lyapunov as _lyapunov
from skchaosprune._training.recording import epochs_for_windows
from skchaosprune._validation import check_bool, check_choice, check_number

# Weights per task: enough to hide the dispatch, few enough for a progress display.
_BLOCK_SIZE = 256
_WEIGHTS_PER_THREAD = 10_000
_BLOCKS_PER_THREAD = 4

NEEDS = ("trajectories", "snapshots", "data")
LAG_RULES = ("bonferroni", "bic", "min")
CORRECTIONS = ("holm", "fdr_bh")
TARGETS = ("auto", "loss")
TRAJECTORIES = ("weights", "perturbation")

# Where an intervention looks at a training, as shares of its steps.
POINTS = (0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 1.0)


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


class _WindowCriterion(BaseEstimator):
    """What criteria of windows share: one value per window and weight, and a target.

    A child has ``window_size``, ``window_overlap``, ``record_every`` and ``target``,
    and ``reduce_window(window, out, n_jobs=None)``, which writes one number per weight
    from a window of consecutive records ``(window_size, n_weights)``.
    """

    needs = ("trajectories",)
    has_significance_rule = True

    def _check_windows(self):
        check_number(self.window_size, "window_size", "int", 1)
        check_number(self.window_overlap, "window_overlap", "float", 0, 1, "left")
        every = self.record_every
        if not (isinstance(every, str) and every == "auto"):
            other = ", or 'auto'"
            check_number(every, "record_every", "int", 1, other=other)

    def too_few_windows(
        self, n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
    ):
        """Say that ``n_windows`` are too few, with the way out, or None.

        Parameters
        ----------
        n_windows, n_windows_planned : int
            Whole windows recorded; those of a training that nothing ends early.
        iterations_per_epoch : int
            Optimiser steps per epoch.
        dense_fraction : float
            Share of ``max_iter`` that the dense network trains.

        Returns
        -------
        problem : str or None
            A sentence, or None where there are enough.
        """
        if n_windows >= self._needed():
            return None
        sizes = n_windows, n_windows_planned, iterations_per_epoch, dense_fraction
        return (
            f"too few windows for {self._purpose}: {self._facts(*sizes)}. Train "
            f"longer, {self._ways_out()}."
        )

    def _ways_out(self):
        return "use a smaller window_size, or record more often"

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
            f"{self._demand(n_windows)}; {way}"
        )

    def _demand(self, n_windows):
        """Say what the needed number of windows comes from."""
        return f"{self._needed()} are needed"

    def _obstacle(self, record):
        """Say why nothing can be tested, with the facts and the way out, or None."""
        series, sizes = record.target_series, _sizes(record)
        problem = self.too_few_windows(*sizes)
        if problem is None and np.ptp(series) == 0.0:
            # without errors there is nothing left to learn, otherwise nothing is learnt
            way = f"a {'smaller' if series[0] == 0.0 else 'larger'} learning_rate_init"
            if self.target != "loss":
                way = f"{type(self).__name__}(target='loss') or {way}"
            problem = (
                f"the target series never moves (it is {series[0]:.6g} in every "
                f"window), so nothing can cause it: {self._facts(*sizes)}, but the "
                f"target has to move as well. Use {way}."
            )
        return problem


def _give_up(record, problem, **tests):
    """Rank by magnitude, and say why; ``tests`` are p-values and lags of nothing."""
    return WeightScores(
        np.abs(record.weights),
        keep=np.zeros(record.n_weights, dtype=bool),
        problem=problem,
        untested={problem: int(record.alive.sum())},
        **tests,
    )


class _GrangerCriterion(_WindowCriterion):
    """Does the series of a weight, window by window, Granger-cause the target?"""

    _purpose = "a test of causality"

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        self._check_windows()
        check_number(self.max_lag, "max_lag", "int", 1)
        level = self.significance_level
        check_number(level, "significance_level", "float", 0, 1, "neither")
        if not callable(self.target):
            check_choice(self.target, "target", TARGETS)
        check_choice(self.test, "test", _granger.GRANGER_TESTS)
        check_choice(self.lag_rule, "lag_rule", LAG_RULES)
        if self.correction is not None:
            check_choice(self.correction, "correction", CORRECTIONS)
        check_choice(self.prune, "prune", ("noncausal", "causal"))
        check_bool(self.placebo, "placebo")
        _check_seed(self.random_state)

    def score(self, record):
        """Test every weight.

        Parameters
        ----------
        record : TrainingRecord
            With ``window_series`` and ``target_series``.

        Returns
        -------
        scores : WeightScores
            With p-values, best lags, the decision at ``significance_level``, and how
            many weights could not be tested and why.
        """
        nothing = {
            "p_values": np.full(record.n_weights, np.nan),
            "best_lags": np.zeros(record.n_weights, dtype=np.int64),
        }
        problem = self._obstacle(record)
        if problem is not None:
            return _give_up(record, problem, **nothing)
        if self.placebo:
            record = self.make_placebo(record, _rng(self, record))
        series = record.window_series
        log_p, lags = self._test(record, series)
        log_p[~record.alive], lags[~record.alive] = np.nan, 0
        tested = ~np.isnan(log_p)
        if not tested.any():
            counts = _count_reasons(series, record.alive)
            reasons = ", ".join(f"{reason}: {counts[reason]}" for reason in counts)
            switch = "" if self.target == "loss" else "use target='loss', "
            problem = (
                f"none of the {record.alive.sum()} weights could be tested ({reasons}; "
                f"{len(record.target_series)} windows). With {type(self).__name__}, "
                f"{switch}record more often, or train with a larger learning_rate_init."
            )
            return _give_up(record, problem, **nothing)
        log_p += log(self.max_lag) if self.lag_rule == "bonferroni" else 0.0
        p_values = self._correct(np.exp(np.minimum(log_p, 0.0)), tested)
        keep = p_values < self.significance_level
        sign = -1.0
        if self.prune == "causal":
            keep, sign = ~keep, 1.0
        scores = np.where(tested, sign * log_p, -np.inf)
        untested = _count_reasons(series, record.alive & ~tested)
        return WeightScores(scores, p_values, lags, keep, untested=untested)

    def make_placebo(self, record, rng):
        """Return the record with the series of each weight shuffled in time.

        Parameters
        ----------
        record : TrainingRecord
            With ``window_series``.
        rng : numpy.random.Generator
            Draws the order of the windows, anew for each weight.

        Returns
        -------
        placebo : TrainingRecord
            A copy.
        """
        shuffled = rng.permuted(record.window_series, axis=0)
        return replace(record, window_series=shuffled)

    def _needed(self):
        """Windows that the regressions over ``max_lag`` lags need."""
        return 3 * self.max_lag + 2

    def _demand(self, n_windows):
        fits = (n_windows - 2) // 3
        lag = f"max_lag={fits} would fit" if fits > 0 else "no max_lag would fit"
        return f"max_lag={self.max_lag} needs {self._needed()} ({lag})"

    def _ways_out(self):
        return "lower max_lag or window_size, or record more often"

    def _test(self, record, series):
        """Log p-value of the best lag, and that lag, for every weight."""
        log_p = np.full(record.n_weights, np.nan)
        lags = np.zeros(record.n_weights, dtype=np.int64)
        lowest, highest = 1, self.max_lag
        if self.lag_rule == "bic":
            lowest = highest = _granger._select_lag(record.target_series, highest)
        effect = _granger._factor_effect(record.target_series, highest, lowest)

        def test(block):
            return block, _best_lag(effect, series[:, block], self.test)

        for block, found in _map_blocks(test, record.n_weights, record.n_jobs):
            log_p[block], lags[block] = found
            if record.on_progress is not None:
                record.on_progress(min(block.stop, record.n_weights))
        return log_p, lags

    def _correct(self, p_values, tested):
        if self.correction is None:
            return p_values
        from statsmodels.stats.multitest import multipletests

        corrected = p_values.copy()
        corrected[tested] = multipletests(p_values[tested], method=self.correction)[1]
        return corrected


def _map_blocks(function, n_weights, n_jobs):
    """Yield what ``function`` returns for slices of the weights, first to last.

    In threads where there are several jobs and enough to do for each, as a thread that
    starts takes as long as the exponents of some thousand windows. Never through
    scikit-learn's ``delayed``: it sets the process's warning filters in every thread.
    """
    n_threads = min(effective_n_jobs(n_jobs), n_weights // _WEIGHTS_PER_THREAD)
    size = _BLOCK_SIZE
    if n_threads > 1:
        size = max(size, n_weights // (_BLOCKS_PER_THREAD * n_threads))
    blocks = [slice(first, first + size) for first in range(0, n_weights, size)]
    if n_threads <= 1:
        return map(function, blocks)
    return Parallel(n_threads, require="sharedmem", return_as="generator")(
        delayed(function)(block) for block in blocks
    )


def _best_lag(effect, causes, test):
    """Smallest log p-value over the lags and its lag; NaN and 0 where untestable."""
    result = _granger._test_causes(effect, causes, test)
    log_p = np.where(np.isnan(result.log_p_value), np.inf, result.log_p_value)
    lags = np.argmin(log_p, axis=0) + 1
    best = np.min(log_p, axis=0)
    untested = np.isposinf(best)
    return np.where(untested, np.nan, best), np.where(untested, 0, lags)


def _sizes(record):
    return (
        len(record.target_series),
        record.n_windows_planned,
        record.iterations_per_epoch,
        record.dense_fraction,
    )


def _count_reasons(series, untested):
    """Why weights could not be tested: reason -> how many."""
    series = series[:, untested]
    finite = np.isfinite(series).all(axis=0)
    static = np.all(series == series[:1], axis=0)
    counts = {
        "the series never moves": static.sum(),
        "the series is not finite": (~finite).sum(),
        "the series tells nothing that the target's past does not": (
            finite & ~static
        ).sum(),
    }
    return {reason: int(count) for reason, count in counts.items() if count}


def _rng(criterion, record):
    """Return the generator of a criterion: its own seed, or the estimator's."""
    seed = criterion.random_state
    return np.random.default_rng(record.seed if seed is None else seed)


def _check_seed(random_state):
    if random_state is not None:
        text = ", or None"
        check_number(random_state, "random_state", "int", 0, 2**32 - 1, other=text)


class ChaosCausality(_GrangerCriterion):
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
        A window whose values range over less has exponent 0. Of weights; differences
        to a twin are tiny, and only a constant one has exponent 0.
    decimals : int or None, default=None
        Round the series first; 6 is what the authors' files amount to.
    trajectory : {"weights", "perturbation"}, default="weights"
        Whose exponents: of the weights, as in the authors' code, or of the distance
        between the weights of two trainings, as in section 3.4 of the paper. The
        second training, which doubles the cost, starts with one weight (drawn with
        ``random_state``) moved by ``perturbation_size``, and takes the same rows in
        the same order.
    perturbation_size : float, default=1e-6
        How far that one initial weight is moved.
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
    lag_rule : {"bonferroni", "bic", "min"}, default="bonferroni"
        How the lags become one p-value: the smallest times the number of lags; the one
        at the lag order that BIC picks for the target's own autoregression, which is
        quicker; or the smallest alone (the authors' rule, which with their test and 14
        lags calls about a third of pure noise causal in 150 windows).
    correction : {"holm", "fdr_bh"} or None, default=None
        Correction for testing many weights.
    significance_level : float, default=0.05
        A weight with a smaller p-value is causal.
    prune : {"noncausal", "causal"}, default="noncausal"
        Which weights go. "causal" is the other reading of the paper. Weights that could
        not be tested are not causal: of ``prune_ratio=None`` the one rule prunes and
        the other keeps them. With a ratio they go first under both.
    placebo : bool, default=False
        Shuffle the exponents of each weight in time first: what is left of the scores
        when the exponents say nothing about the error.
    random_state : int or None, default=None
        Seed of the placebo and of the perturbed weight; None takes it from the
        estimator's ``random_state``.

    See Also
    --------
    Magnitude : The baseline that needs no trajectories.
    Intervention : Causality without a regression.

    Notes
    -----
    As published, chaos-causality ranks weights no better than its own placebo (the
    exponents shuffled in time).

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

    has_exponents = True

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
        trajectory="weights",
        perturbation_size=1e-6,
        target="auto",
        max_lag=5,
        test="ssr_ftest",
        lag_rule="bonferroni",
        correction=None,
        significance_level=0.05,
        prune="noncausal",
        placebo=False,
        random_state=None,
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
        self.trajectory = trajectory
        self.perturbation_size = perturbation_size
        self.target = target
        self.max_lag = max_lag
        self.test = test
        self.lag_rule = lag_rule
        self.correction = correction
        self.significance_level = significance_level
        self.prune = prune
        self.placebo = placebo
        self.random_state = random_state

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        super().check_parameters()
        for name, low in (
            ("embedding_dimension", 1),
            ("delay", 1),
            ("theiler_window", 0),
            ("n_steps", 1),
        ):
            check_number(getattr(self, name), name, "int", low)
        check_number(self.static_tolerance, "static_tolerance", "float", 0)
        if self.decimals is not None:
            check_number(self.decimals, "decimals", "int", 0, 15, other=", or None")
        check_choice(self.trajectory, "trajectory", TRAJECTORIES)
        if self.trajectory == "perturbation" and self.decimals is not None:
            raise ValueError(
                f"decimals={self.decimals} would round away the tiny distances of "
                "trajectory='perturbation'; use decimals=None, or "
                "trajectory='weights'."
            )
        size = self.perturbation_size
        check_number(size, "perturbation_size", "float", 0, closed="neither")
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
        tolerance = self.static_tolerance if self.trajectory == "weights" else 0.0
        options = (*self._embedding(), float(tolerance))

        def reduce(block):
            _lyapunov._exponents(window[:, block], out[block], *options)

        for _ in _map_blocks(reduce, out.size, n_jobs):
            pass

    def perturb(self, params, candidates, seed):
        """Return where a twin training starts; None where there is no twin.

        Parameters
        ----------
        params : ndarray of shape (n_parameters,)
            Flat initial parameters, weights first.
        candidates : ndarray of bool of shape (n_weights,)
            The weights that may be perturbed.
        seed : int
            Of the draw, where the criterion has no ``random_state``.

        Returns
        -------
        perturbed : ndarray of shape (n_parameters,) or None
            A copy in which one weight is moved.

        Raises
        ------
        ValueError
            If ``perturbation_size`` is lost in rounding, or there is no candidate.
        """
        if self.trajectory == "weights":
            return None
        if not np.any(candidates):
            raise ValueError(
                "trajectory='perturbation' finds no weight to perturb: all inputs are "
                "0 in every row. Use trajectory='weights'."
            )
        seed = seed if self.random_state is None else self.random_state
        perturbed = params.copy()
        weight = np.random.default_rng(seed).choice(np.flatnonzero(candidates))
        perturbed[weight] += self.perturbation_size
        if perturbed[weight] == params[weight]:
            raise ValueError(
                f"perturbation_size={self.perturbation_size} is lost when it is added "
                f"to an initial weight of {params[weight]}; use at least 1e-12 times "
                "the size of the weights."
            )
        return perturbed


class ChaosCausalMagnitude(ChaosCausality):
    """Score weights by magnitude, up to doubled by chaos-causality.

    The score is ``|w| (1 + r)``, where ``r`` is the rank of the weight's evidence (at a
    given lag that of its F statistic) among the living weights, from 0 (least, or not
    testable) to 1.

    Parameters
    ----------
    window_size, window_overlap, record_every : int, float, int or "auto"
        The windows; here and below as in :class:`ChaosCausality`, with its defaults.
    embedding_dimension, delay, theiler_window, n_steps : int
        Of the exponents.
    static_tolerance, decimals : float, int or None
        Of the exponents.
    trajectory, perturbation_size : {"weights", "perturbation"}, float
        Of the exponents.
    target, max_lag : {"auto", "loss"} or callable, int
        What is to be caused, and how many windows later.
    test, lag_rule, correction, significance_level : str, str, str or None, float
        Of the tests.
    prune, placebo, random_state : {"noncausal", "causal"}, bool, int or None
        Of the decision and the draws.

    Examples
    --------
    >>> from skchaosprune.criteria import ChaosCausalMagnitude
    >>> ChaosCausalMagnitude(lag_rule="bic")
    ChaosCausalMagnitude(lag_rule='bic')
    """

    has_significance_rule = False

    def score(self, record):
        """Weigh magnitudes by tests; see :class:`ChaosCausality` for the parameters."""
        result = super().score(record)
        if result.problem is not None:
            return replace(result, keep=None)
        evidence = result.scores[record.alive]
        ranks = np.zeros(record.n_weights)
        ranks[record.alive] = (rankdata(evidence) - 1.0) / max(1, evidence.size - 1)
        ranks[np.isneginf(result.scores)] = 0.0
        scores = np.abs(record.weights) * (1.0 + ranks)
        return replace(result, scores=scores, keep=None)


class GrangerUpdates(_GrangerCriterion):
    """Score weights by how strongly their updates Granger-cause the error: no chaos.

    The series of a weight is its change from one record to the next; about 150
    records are spread over the training. Everything else is as in
    :class:`ChaosCausality`.

    Parameters
    ----------
    record_every : int or "auto", default="auto"
        Iterations from one record to the next.
    target : {"auto", "loss"} or callable, default="auto"
        The series to be caused, noted at every record.
    max_lag : int, default=5
        Largest lag order of the Granger regressions, in records.
    test : {"ssr_ftest", "ssr_chi2test"}, default="ssr_ftest"
        The test, as in statsmodels.
    lag_rule : {"bonferroni", "bic", "min"}, default="bonferroni"
        How the lags become one p-value.
    correction : {"holm", "fdr_bh"} or None, default=None
        Correction for testing many weights.
    significance_level : float, default=0.05
        A weight with a smaller p-value is causal.
    prune : {"noncausal", "causal"}, default="noncausal"
        Which weights go; see :class:`ChaosCausality`.
    placebo : bool, default=False
        Shuffle the changes of each weight in time first.
    random_state : int or None, default=None
        Seed of the placebo; None takes it from the estimator's ``random_state``.

    See Also
    --------
    ChaosCausality : The same with exponents in place of changes.

    Examples
    --------
    >>> from skchaosprune.criteria import GrangerUpdates
    >>> GrangerUpdates(max_lag=2)
    GrangerUpdates(max_lag=2)
    """

    # two neighbouring records; windows share one, so that no change is left out
    window_size = 2
    window_overlap = 0.5

    def __init__(
        self,
        record_every="auto",
        target="auto",
        max_lag=5,
        test="ssr_ftest",
        lag_rule="bonferroni",
        correction=None,
        significance_level=0.05,
        prune="noncausal",
        placebo=False,
        random_state=None,
    ):
        self.record_every = record_every
        self.target = target
        self.max_lag = max_lag
        self.test = test
        self.lag_rule = lag_rule
        self.correction = correction
        self.significance_level = significance_level
        self.prune = prune
        self.placebo = placebo
        self.random_state = random_state

    def reduce_window(self, window, out, n_jobs=None):
        """Write how weights moved; see :class:`ChaosCausality` for the parameters."""
        np.subtract(window[1], window[0], out=out)

    def _ways_out(self):
        return "lower max_lag, or record more often"


class LossRegression(_WindowCriterion):
    """Score weights by their part in the fall of the loss, in a sparse regression.

    To first order a step of plain SGD lowers the loss by a weighted sum of the squared
    changes of the weights. Summed over windows, the loss reductions are regressed on
    the squared changes with a non-negative Lasso; the score is the weight's coefficient
    times the root mean square of its regressor, in units of the loss. A weight with
    coefficient 0 is non-causal.

    Parameters
    ----------
    window_size : int, default=50
        Records per window; neighbouring windows share one.
    record_every : int or "auto", default="auto"
        Iterations from one record to the next. "auto" spreads about 150 windows over
        the planned training.
    penalty : float, default=0.01
        Of the Lasso, as a share in (0, 1) of the smallest one that leaves no weight.

    Notes
    -----
    Regressors are scaled to one root mean square, so that the penalty treats all
    weights alike; there is no intercept, as the expansion has none. There are many
    more weights than windows, and the Lasso keeps at most one weight per window: the
    others tie, and magnitude ranks them.

    References
    ----------
    .. [1] A. Shah, A. Challa, S. Danda, A. Mathur, S. Saha (2024). "A Granger-causal
       perspective on gradient descent with application to pruning".
       arXiv:2412.03035.

    Examples
    --------
    >>> from skchaosprune.criteria import LossRegression
    >>> LossRegression(penalty=0.1)
    LossRegression(penalty=0.1)
    """

    target = "loss"
    _purpose = "a regression"

    def __init__(self, window_size=50, record_every="auto", penalty=0.01):
        self.window_size = window_size
        self.record_every = record_every
        self.penalty = penalty

    @property
    def window_overlap(self):
        """One record: every change counts, and counts once."""
        return 1.0 / self.window_size

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        check_number(self.window_size, "window_size", "int", 2)
        self._check_windows()
        check_number(self.penalty, "penalty", "float", 0, 1, "neither")

    def reduce_window(self, window, out, n_jobs=None):
        """Sum squared changes; see :class:`ChaosCausality` for the parameters."""
        changes = np.diff(window, axis=0)
        np.einsum("tk,tk->k", changes, changes, out=out)

    def score(self, record):
        """Fit the loss reductions; see :class:`ChaosCausality` for the parameters."""
        problem = self._obstacle(record)
        if problem is not None:
            return _give_up(record, problem)
        reductions = -np.diff(record.target_series)
        squares = record.window_series[1:].astype(np.float64)
        scales = np.sqrt(np.mean(squares**2, axis=0))
        moving = record.alive & (scales > 0.0)
        squares = np.asfortranarray(squares[:, moving] / scales[moving])
        correlations = reductions @ squares / len(reductions)
        if not moving.any() or correlations.max() <= 0.0:
            problem = (
                "no weight moves more where the loss falls more, so that the "
                "regression keeps none; use a smaller learning_rate_init, or train "
                "longer."
            )
            return _give_up(record, problem)
        penalty = self.penalty * correlations.max()
        scores = np.zeros(record.n_weights)
        scores[moving] = _regress(squares, reductions, penalty)
        n_still = int((record.alive & ~moving).sum())
        untested = {"the weight never moves": n_still} if n_still else {}
        return WeightScores(scores, keep=scores > 0.0, untested=untested)

    def _needed(self):
        return 10


def _regress(X, y, penalty):
    """Non-negative Lasso without intercept, to the last digits.

    Coordinate descent takes many sweeps for that, so it sweeps over a working set: the
    columns in use, and those that violate the conditions of an optimum most.
    """
    coef, working = np.zeros(X.shape[1]), np.zeros(X.shape[1], dtype=bool)
    while True:
        gradient = (y - X @ coef) @ X / len(y)
        gradient[working] = 0.0
        worst = np.argsort(-gradient)[:10]
        worst = worst[gradient[worst] > penalty * (1.0 + 1e-6)]
        if worst.size == 0:
            return coef
        working[worst] = True
        with warnings.catch_warnings():
            # of nearly equal columns any share may be in use, and none is wrong
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, path, _ = lasso_path(
                X[:, working],
                y,
                alphas=[penalty],
                positive=True,
                precompute=True,
                coef_init=coef[working],
                tol=1e-12,
                max_iter=100_000,
            )
        coef[working] = path[:, 0]


class Intervention(BaseEstimator):
    """Score weights by the effect of do(w = 0): the exact rise of the loss.

    At several points of the training, and on a fixed sample of training rows, each
    weight alone is set to 0 and the loss computed anew, without any expansion. The
    score is the mean rise over rows and points; negative where the loss falls.

    Parameters
    ----------
    points : sequence of float, default=(.1, .2, .3, .4, .55, .7, .85, 1)
        Where to look at the training, as shares in (0, 1] of its planned steps. Points
        that an early stop never reached are left out.
    n_rows : int, default=200
        Training rows in the sample, at most.
    significance_level : float, default=0.5
        A weight is causal when the p-value of a one-sided t-test of its effect over the
        rows is smaller. At 0.5 that is any positive mean effect, at 0.05 one that is
        clear: few rows feel most weights, so that the test has little power.
    placebo : bool, default=False
        Permute the labels of the sample: what is left of the scores when the loss means
        nothing.
    random_state : int or None, default=None
        Seed of the sample and of the placebo; None takes it from the estimator's
        ``random_state``.

    Notes
    -----
    Zeroing one weight changes one pre-activation, so all interventions of a layer are
    rank-one changes of what follows, and are computed together: with one hidden layer
    of 32 units that takes 0.3 to 1.6 times as long as one dense training of 50 epochs;
    more with further hidden layers. The test takes the
    trained networks as given and asks about new rows like those in the sample, which
    the networks were trained on.

    References
    ----------
    .. [1] J. Pearl (2009). Causality, chapter 3. Cambridge University Press.

    Examples
    --------
    >>> from skchaosprune.criteria import Intervention
    >>> Intervention(n_rows=100)
    Intervention(n_rows=100)
    """

    needs = ("snapshots", "data")
    has_significance_rule = True

    def __init__(
        self,
        points=POINTS,
        n_rows=200,
        significance_level=0.5,
        placebo=False,
        random_state=None,
    ):
        self.points = points
        self.n_rows = n_rows
        self.significance_level = significance_level
        self.placebo = placebo
        self.random_state = random_state

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        text = (
            f"points={self.points!r} must be a non-empty sequence of shares of the "
            "training in (0, 1], like (0.5, 1.0)."
        )
        try:
            points = np.asarray(self.points, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(text) from error
        if points.ndim != 1:
            raise TypeError(text)
        if points.size == 0 or not np.all((points > 0.0) & (points <= 1.0)):
            raise ValueError(text)
        check_number(self.n_rows, "n_rows", "int", 2)
        level = self.significance_level
        check_number(level, "significance_level", "float", 0, 1, "neither")
        check_bool(self.placebo, "placebo")
        _check_seed(self.random_state)

    def score(self, record):
        """Intervene on every weight.

        Parameters
        ----------
        record : TrainingRecord
            With ``snapshots`` and ``data``.

        Returns
        -------
        scores : WeightScores
            With p-values and the decision at ``significance_level``.
        """
        if len(record.snapshots) == 0:
            problem = (
                f"the training ended before the first of points={self.points} of its "
                "planned steps; use smaller points, a higher target_score, or a "
                "callback that stops later."
            )
            nothing = np.full(record.n_weights, np.nan)
            return _give_up(record, problem, p_values=nothing)
        rng = _rng(self, record)
        rows = self._sample_rows(record, rng)
        if self.placebo:
            rows = _permute_targets(rows, rng)

        def show(share):
            if record.on_progress is not None:
                record.on_progress(round(share * record.n_weights))

        effects, errors = _ablation.ablate_weights(
            record.snapshots, record.network, rows, show
        )
        _check_overflow(effects + errors if len(rows.X) > 1 else effects)
        tested = record.alive & (errors > 0.0)
        p_values = np.full(record.n_weights, np.nan)
        t = effects[tested] / errors[tested]
        p_values[tested] = stdtr(len(rows.X) - 1, -t)
        idle = record.alive & ~tested & (effects == 0.0)
        equal = record.alive & ~tested & (effects != 0.0)
        counts = {
            "no row of the sample feels it": int(idle.sum()),
            "its effect does not vary over the sample": int(equal.sum()),
        }
        return WeightScores(
            effects,
            p_values,
            keep=p_values < self.significance_level,
            untested={reason: count for reason, count in counts.items() if count},
        )

    def make_placebo(self, record, rng):
        """Return the record with the rows of the sample, their labels permuted.

        Parameters
        ----------
        record : TrainingRecord
            With ``data``.
        rng : numpy.random.Generator
            Draws the permutation.

        Returns
        -------
        placebo : TrainingRecord
            A copy.
        """
        rows = self._sample_rows(record, _rng(self, record))
        if np.all(rows.targets == rows.targets[:1]):
            raise ValueError(
                f"all {len(rows.targets)} rows of the sample have the same target, and "
                "permuting them changes nothing; give rows with different ones."
            )
        return replace(record, data=_permute_targets(rows, rng))

    def _sample_rows(self, record, rng):
        """Rows of positive weight, at most ``n_rows``."""
        data = record.data
        rows = np.flatnonzero(data.sample_weight > 0.0)
        if len(rows) > self.n_rows:
            rows = np.sort(rng.choice(rows, self.n_rows, replace=False))
        weights = data.sample_weight[rows]
        return replace(
            data,
            X=data.X[rows],
            y=data.y[rows],
            targets=data.targets[rows],
            sample_weight=weights / weights.mean(),
        )


def _permute_targets(rows, rng):
    return replace(rows, targets=rng.permutation(rows.targets))


def _check_overflow(scores):
    """Refuse scores that are not finite where they come from the rows."""
    if not np.isfinite(scores).all():
        raise ValueError(
            "the weights cannot be scored, as the losses of some rows are too large "
            "for float64; scale X, for example with StandardScaler."
        )


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


class Movement(BaseEstimator):
    """Score weights by how far training moved them away from zero.

    The score is ``w^2 - w_0^2``, with ``w_0`` the initial weight.

    Notes
    -----
    Movement pruning [1]_ sums minus the gradient times the weight over the steps of a
    training. Under plain SGD that is, up to the learning rate, the sum of each weight
    times its change; taken at the middle of each step it telescopes to half of the
    score here, which needs no record and holds for every solver.

    References
    ----------
    .. [1] V. Sanh, T. Wolf, A. Rush (2020). "Movement pruning: adaptive sparsity by
       fine-tuning". NeurIPS 33.

    Examples
    --------
    >>> from skchaosprune.criteria import Movement
    >>> Movement().needs
    ()
    """

    needs = ()
    has_significance_rule = False

    def score(self, record):
        """Return ``w^2 - w_0^2``; see :class:`ChaosCausality` for the parameters."""
        return WeightScores(record.weights**2 - record.initial_weights**2)


class Saliency(BaseEstimator):
    """Score weights by the second-order estimate of the rise of the loss without them.

    The score is ``w^2 E[g^2]``, where ``g`` is the gradient of the loss of one training
    row after the dense training: optimal brain damage with the empirical Fisher
    information in place of the Hessian's diagonal.

    References
    ----------
    .. [1] Y. LeCun, J. Denker, S. Solla (1989). "Optimal brain damage". NeurIPS 2.
    .. [2] L. Theis et al. (2018). "Faster gaze prediction with dense networks and
       Fisher pruning". arXiv:1801.05787.

    Examples
    --------
    >>> from skchaosprune.criteria import Saliency
    >>> Saliency().needs
    ('data',)
    """

    needs = ("data",)
    has_significance_rule = False

    def score(self, record):
        """Return ``w^2 E[g^2]``; see :class:`ChaosCausality` for the parameters."""
        squares = _ablation.squared_gradients(
            record.params, record.network, record.data
        )
        with np.errstate(over="ignore", invalid="ignore"):
            scores = record.weights**2 * squares
        _check_overflow(scores)
        return WeightScores(scores)


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
        _check_seed(self.random_state)

    def score(self, record):
        """Return uniform numbers; see :class:`ChaosCausality` for the parameters."""
        seed = record.seed if self.random_state is None else self.random_state
        return WeightScores(np.random.RandomState(seed).uniform(size=record.n_weights))


class FixedMasks(BaseEstimator):
    """Prune exactly the given masks, whatever was trained.

    ``prune_ratio``, ``prune_scope``, ``keep_connected`` and ``n_rounds`` of the
    estimator have no say.

    Parameters
    ----------
    masks : list of array-like of bool of shape (fan_in, fan_out)
        One per layer, shaped like ``coefs_``; True = kept. ``fit`` raises ValueError or
        TypeError, before any training, where they do not fit the network.

    Examples
    --------
    >>> import numpy as np
    >>> from skchaosprune.criteria import FixedMasks
    >>> FixedMasks([np.eye(2, dtype=bool), [[True], [True]]]).needs
    ()
    """

    needs = ()
    has_significance_rule = True

    def __init__(self, masks):
        self.masks = masks

    def check_layer_sizes(self, layer_sizes):
        """Refuse masks that do not fit the network.

        Parameters
        ----------
        layer_sizes : tuple of int
            Units per layer, inputs and outputs included.
        """
        shapes = list(zip(layer_sizes[:-1], layer_sizes[1:], strict=True))
        text = f"masks must be a list of boolean arrays with shapes {shapes}"
        try:
            masks = [np.asarray(mask) for mask in self.masks]
        except (TypeError, ValueError) as error:
            raise TypeError(f"{text}; got {self.masks!r}.") from error
        if [mask.shape for mask in masks] != shapes:
            raise ValueError(f"{text}; got shapes {[mask.shape for mask in masks]}.")
        if any(mask.dtype != bool for mask in masks):
            raise TypeError(f"{text}; got dtypes {[str(m.dtype) for m in masks]}.")

    def score(self, record):
        """Return the masks; see :class:`ChaosCausality` for the parameters."""
        keep = np.concatenate([np.ravel(mask) for mask in self.masks])
        return WeightScores(keep.astype(np.float64), keep=keep, is_final=True)


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
