"""Granger causality: the test of every series, and the updates tested by it."""

from dataclasses import replace
from math import log

import numpy as np

from skchaosprune._kernels.blocks import run_in_blocks
from skchaosprune._text import shorten
from skchaosprune._validation import check_bool, check_choice, check_number
from skchaosprune.criteria._base import (
    WeightScores,
    check_seed,
    give_up,
    make_rng,
    way_out,
)
from skchaosprune.criteria._windows import TARGETS, WindowCriterion

LAG_RULES = ("bonferroni", "bic", "min")
CORRECTIONS = ("holm", "fdr_bh")


class GrangerCriterion(WindowCriterion):
    """Does the series of a weight, window by window, Granger-cause the target?"""

    _purpose = "a test of causality"

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        from skchaosprune._kernels.granger import GRANGER_TESTS

        self._check_series()
        check_number(self.max_lag, "max_lag", "int", 1)
        level = self.significance_level
        check_number(level, "significance_level", "float", 0, 1, "neither")
        if not callable(self.target):
            check_choice(self.target, "target", TARGETS)
        check_choice(self.test, "test", GRANGER_TESTS)
        check_choice(self.lag_rule, "lag_rule", LAG_RULES)
        if self.correction is not None:
            check_choice(self.correction, "correction", CORRECTIONS)
        check_choice(self.prune, "prune", ("noncausal", "causal"))
        check_bool(self.placebo, "placebo")
        check_seed(self.random_state)

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
        problem = self._obstacle(record)
        if problem is not None:
            return _test_nothing(record, problem)
        if self.placebo:
            record = self.make_placebo(record, make_rng(self, record))
        log_p, lags = self._test(record)
        if np.isnan(log_p).all():
            return _test_nothing(record, self._describe_untested(record))
        return self._decide(record, log_p, lags)

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

    def _test(self, record):
        """Log p-value of the best lag, and that lag, for every weight that lives."""
        from skchaosprune._kernels import granger

        log_p = np.full(record.n_weights, np.nan)
        lags = np.zeros(record.n_weights, dtype=np.int64)
        lowest, highest = 1, self.max_lag
        if self.lag_rule == "bic":
            lowest = highest = granger._select_lag(record.target_series, highest)
        effect = granger._factor_effect(record.target_series, highest, lowest)

        def test(block):
            series = record.window_series[:, block]
            log_p[block], lags[block] = _best_lag(effect, series, self.test)

        run_in_blocks(test, record.n_weights, record.n_jobs, record.on_progress)
        log_p[~record.alive], lags[~record.alive] = np.nan, 0
        return log_p, lags

    def _describe_untested(self, record):
        counts = _count_reasons(record.window_series, record.alive)
        reasons = ", ".join(f"{reason}: {counts[reason]}" for reason in counts)
        switch = "" if self._sees_loss(record) else "use target='loss', "
        way = (
            f"With {shorten(type(self).__name__)}, {switch}record more often, or train "
            "with a larger learning_rate_init."
        )
        return (
            f"none of the {record.alive.sum()} weights could be tested ({reasons}; "
            f"{len(record.target_series)} windows). {way_out(record, way)}"
        )

    def _decide(self, record, log_p, lags):
        """Make scores and a decision of the p-values of the best lags."""
        tested = ~np.isnan(log_p)
        log_p = log_p + (log(self.max_lag) if self.lag_rule == "bonferroni" else 0.0)
        p_values = self._correct(np.exp(np.minimum(log_p, 0.0)), tested)
        keep = p_values < self.significance_level
        sign = -1.0
        if self.prune == "causal":
            keep, sign = ~keep, 1.0
        scores = np.where(tested, sign * log_p, -np.inf)
        untested = _count_reasons(record.window_series, record.alive & ~tested)
        return WeightScores(scores, p_values, lags, keep, untested=untested)

    def _correct(self, p_values, tested):
        if self.correction is None:
            return p_values
        from statsmodels.stats.multitest import multipletests

        corrected = p_values.copy()
        corrected[tested] = multipletests(p_values[tested], method=self.correction)[1]
        return corrected


def _test_nothing(record, problem):
    return give_up(
        record,
        problem,
        p_values=np.full(record.n_weights, np.nan),
        best_lags=np.zeros(record.n_weights, dtype=np.int64),
    )


def _best_lag(effect, causes, test):
    """Smallest log p-value over the lags and its lag; NaN and 0 where untestable."""
    from skchaosprune._kernels import granger

    result = granger._test_causes(effect, causes, test)
    log_p = np.where(np.isnan(result.log_p_value), np.inf, result.log_p_value)
    lags = np.argmin(log_p, axis=0) + 1
    best = np.min(log_p, axis=0)
    untested = np.isposinf(best)
    return np.where(untested, np.nan, best), np.where(untested, 0, lags)


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


class GrangerUpdates(GrangerCriterion):
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
    target_rows : int or None, default=20_000
        The most rows that the target is taken on; None takes all.

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
        target_rows=20_000,
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
        self.target_rows = target_rows

    def reduce_window(self, window, out, n_jobs=None):
        """Write how weights moved; see :class:`ChaosCausality` for the parameters."""
        np.subtract(window[1], window[0], out=out)

    def _ways_out(self):
        return "lower max_lag, or record more often"
