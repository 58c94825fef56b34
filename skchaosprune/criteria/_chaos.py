"""Chaos-causality: exponents of the weights, tested for Granger causality."""

from dataclasses import replace

import numpy as np
from scipy.stats import rankdata

from skchaosprune._kernels.blocks import run_in_blocks
from skchaosprune._text import shorten
from skchaosprune._validation import check_choice, check_number
from skchaosprune.criteria._granger import GrangerCriterion

TRAJECTORIES = ("weights", "perturbation")


class ChaosCausality(GrangerCriterion):
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
        The series to be caused. "auto" is the misclassification rate (of a regressor
        the mean loss), "loss" the mean loss. A callable gets the targets and the
        outputs of the network, both ``(n_rows, n_outputs)`` (one-hot, or one column
        for two classes), and where it has a parameter ``sample_weight`` the weights of
        the rows (mean 1), and returns a float. Taken on the training rows, or on the
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
    target_rows : int or None, default=20_000
        The most rows that the target is taken on; None takes all, as in the paper. Of
        a larger table it is a sample, drawn once with the estimator's
        ``random_state``, so that the cost of a window is bounded. Rows are drawn in
        proportion to their weights: one of ``sample_weight`` 2 as often as two rows,
        and those of a rare class, with ``class_weight="balanced"``, as often as those
        of any other. A callable target gets the drawn rows: with a parameter
        ``sample_weight`` how often each was drawn (mean 1), and without it rows that
        were drawn whatever their weights.

    See Also
    --------
    ChaosCausalMagnitude : The default of the estimators, which weighs magnitudes.
    Magnitude : The baseline that needs no trajectories.
    Intervention : Causality without a regression.

    Notes
    -----
    Chaos-causality ranks weights no better than its own placebo (the exponents
    shuffled in time).

    Exponents can be compared within one fit, not with those of a known system, nor
    between fits that record otherwise. In windows of 50 records, the defaults give the
    Lorenz system, whose exponent is 0.906 per unit of time, 8.1 with a record every
    0.01 (0.08 per record) and 2.8 with one every 0.1 (0.28 per record); in windows of
    200 records 21 and 3.6.

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
        target_rows=20_000,
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
        self.target_rows = target_rows

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        from skchaosprune._kernels.lyapunov import minimum_length

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
        shortest = minimum_length(*self._embedding())
        if self.window_size < shortest:
            raise ValueError(
                f"window_size={shorten(self.window_size)} is too short for "
                f"embedding_dimension={shorten(self.embedding_dimension)}, "
                f"delay={shorten(self.delay)}, "
                f"theiler_window={shorten(self.theiler_window)} and "
                f"n_steps={shorten(self.n_steps)}, "
                f"which need at least {shorten(shortest)} records; use a larger window "
                "or a smaller embedding."
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
        from skchaosprune._kernels import lyapunov

        if self.decimals is not None:
            window = np.round(window, self.decimals)
        tolerance = self.static_tolerance if self.trajectory == "weights" else 0.0
        options = (*self._embedding(), float(tolerance))

        def reduce(block):
            lyapunov._exponents(window[:, block], out[block], *options)

        run_in_blocks(reduce, out.size, n_jobs)

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
                f"perturbation_size={shorten(self.perturbation_size)} is lost when it "
                f"is added to an initial weight of {params[weight]}; use at least "
                "1e-12 times the size of the weights."
            )
        return perturbed


class ChaosCausalMagnitude(ChaosCausality):
    """Score weights by magnitude, up to doubled by chaos-causality.

    The score is ``|w| (1 + r)``. Among the living weights, ``r`` is the rank of the
    weight's score by :class:`ChaosCausality`, from 0 (least, or not testable) to 1.
    With ``prune_ratio=None`` these scores and tests alone decide, and the fit is that
    of :class:`ChaosCausality`.

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
        Of the decision and the draws. With a ratio, weights that could not be tested
        count by magnitude alone.
    target_rows : int or None
        The most rows that the target is taken on.

    Notes
    -----
    Where it was measured, it ranks weights as well as magnitude up to nine tenths
    pruned, and so does its placebo, so the evidence adds nothing to the magnitudes.

    Examples
    --------
    >>> from skchaosprune.criteria import ChaosCausalMagnitude
    >>> ChaosCausalMagnitude(lag_rule="bic")
    ChaosCausalMagnitude(lag_rule='bic')
    """

    def score(self, record):
        """Weigh magnitudes by tests; see :class:`Criterion` for the parameters."""
        verdict = super().score(record)
        if verdict.problem is not None:
            return verdict
        evidence = verdict.scores[record.alive]
        ranks = np.zeros(record.n_weights)
        ranks[record.alive] = (rankdata(evidence) - 1.0) / max(1, evidence.size - 1)
        ranks[np.isneginf(verdict.scores)] = 0.0
        scores = np.abs(record.weights) * (1.0 + ranks)
        return replace(verdict, scores=scores, rule_scores=verdict.scores)
