"""Granger causality of many causes on one effect: nested regressions, lag by lag."""

import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
from scipy import special

from skchaosprune._kernels.jit import jit, jit_inner
from skchaosprune._text import shorten
from skchaosprune._validation import check_choice, check_number, check_series

GRANGER_TESTS = ("ssr_ftest", "ssr_chi2test")

# Causes handled side by side: the innermost loops run over them and vectorise, and
# one block of a few hundred time steps stays in the processor's cache.
_BLOCK = 64

_EPS = float(np.finfo(np.float64).eps)

# A squared pivot below the first share of its column's sum of squares, or an
# unexplained rest below the second share of the restricted one, has lost too many
# digits to the subtraction of moments: that cause and lag are orthogonalised instead.
_SMALL_PIVOT = 1e-6
_SMALL_REST = 1e-3

# Below this scipy's tail probabilities lose digits, then underflow.
_TINY_PROBABILITY = 1e-280


@dataclass(frozen=True, eq=False)
class GrangerCausalityResult:
    """Tests of "does not Granger-cause", one per lag order and cause.

    Row ``i`` of every array belongs to lag order ``i + 1``, column ``j`` to cause
    ``j``. An untestable pair has NaN in ``statistic``, ``p_value``, ``log_p_value``
    and ``df_denom``; NaN compares false with every significance level, so it is
    never taken for causal.

    Attributes
    ----------
    statistic : ndarray of shape (max_lag, n_causes)
        F or chi-squared statistic; inf where the cause completes a perfect fit.
    p_value : ndarray of shape (max_lag, n_causes)
        ``exp(log_p_value)``; 0.0 where that underflows.
    log_p_value : ndarray of shape (max_lag, n_causes)
        Natural logarithm of the p-value; keeps order where ``p_value`` is 0.0.
    df_num : ndarray of shape (max_lag, n_causes)
        The lag order: numerator degrees of freedom of F, or those of chi-squared.
    df_denom : ndarray of shape (max_lag, n_causes)
        Residual degrees of freedom of the unrestricted regression, the denominator
        of F; NaN everywhere for the chi-squared test, which has none.
    """

    statistic: np.ndarray
    p_value: np.ndarray
    log_p_value: np.ndarray
    df_num: np.ndarray
    df_denom: np.ndarray


def granger_causality(effect, causes, *, max_lag=5, test="ssr_ftest"):
    """Test whether each cause's past helps to predict the effect.

    Parameters
    ----------
    effect : array-like of shape (n_times,)
        Equally spaced values of the series to be explained; all finite. Real numbers
        of any type or bools.
    causes : array-like of shape (n_times,) or (n_times, n_causes)
        One column per candidate cause; one dimension counts as one cause. None,
        pandas' NA and masked values count as NaN.
    max_lag : int, default=5
        Largest lag order, in time steps; every order from 1 to ``max_lag`` is tested.
        ``n_times`` must exceed ``3 * max_lag + 1``.
    test : {"ssr_ftest", "ssr_chi2test"}, default="ssr_ftest"
        F test with its exact distribution under normal errors, or the asymptotic
        chi-squared test.

    Returns
    -------
    result : GrangerCausalityResult
        Arrays ``statistic``, ``p_value``, ``log_p_value``, ``df_num`` and
        ``df_denom``, each of shape (max_lag, n_causes); row ``i`` is lag ``i + 1``.

    Raises
    ------
    TypeError
        If ``max_lag`` is not an integer, ``test`` is not a string, or a series has
        other values than real numbers.
    ValueError
        If ``max_lag`` is below 1 or too large for ``n_times``, ``test`` is unknown,
        the shapes do not fit, ``effect`` has NaN or infinite values, or a finite
        number is too large for float64.

    Notes
    -----
    For lag order p, with N = ``n_times`` - p, the restricted regression [1]_ explains
    y_t by a constant and y_{t-1}, ..., y_{t-p}; the unrestricted one adds
    x_{t-1}, ..., x_{t-p}. With r and f their residual sums of squares, as in
    statsmodels [2]_::

        ssr_ftest:    F = (r - f) / f / p * df_denom,   F(p, df_denom)
        ssr_chi2test: chi2 = N * (r - f) / f,           chi2(p)

    ``df_denom`` is N minus the rank of the unrestricted design, N - 2 p - 1 when that
    has full rank. When it has not, p stays the numerator (or chi-squared) degrees of
    freedom. There is no correction for multiple tests. Causes do not influence each
    other: a column's results are the same bits in any company, order or memory layout.

    Unlike the reference, series are centred and scaled first, so a large offset costs
    no more digits than it took from the data; one bad cause or lag does not
    abort the others; and log p-values do not underflow.

    A residual is zero when its norm is at most *rounding*: relative to the norm of the
    whole centred series, ``n * eps + 4 * eps * sqrt(n) * max(abs(series)) / norm``
    (squared, for sums of squares), with n = ``n_times`` and eps = 2.2e-16. The first
    term is for our arithmetic, the second for the digits the data came with. The
    degenerate cases are:

    ==========================================================  =======================
    case                                                        outcome
    ==========================================================  =======================
    effect constant, or constant after its first p values       NaN, all causes
    effect's own past explains it to rounding (restricted fit)  NaN, all causes
    cause constant, or constant in all rows that lag p uses     NaN
    cause's lags add no rank (cause = effect, say), to the      NaN
    rounding of cause plus effect
    cause with NaN or infinite values                           NaN, that cause only
    only the unrestricted fit is perfect to the effect's        statistic inf, p 0,
    rounding                                                    log p -inf
    ==========================================================  =======================

    References
    ----------
    .. [1] C. W. J. Granger (1969). Investigating causal relations by econometric
       models and cross-spectral methods. Econometrica 37, 424-438.
    .. [2] S. Seabold, J. Perktold (2010). statsmodels: econometric and statistical
       modeling with Python; ``statsmodels.tsa.stattools.grangercausalitytests``.

    Examples
    --------
    >>> import numpy as np
    >>> from skchaosprune import granger_causality
    >>> rng = np.random.default_rng(0)
    >>> causes = rng.normal(size=(100, 2))
    >>> effect = 0.1 * rng.normal(size=100)
    >>> effect[2:] += causes[:-2, 1]  # the second cause acts two steps later
    >>> result = granger_causality(effect, causes, max_lag=3)
    >>> result.p_value.shape
    (3, 2)
    >>> result.p_value.min(axis=0) < 0.001
    array([False,  True])
    >>> result.statistic.argmax(axis=0)[1] + 1  # the best lag of the second
    np.int64(2)
    """
    effect, causes = _check_pair(effect, causes)
    check_number(max_lag, "max_lag", "int", low=1)
    max_lag = int(max_lag)  # numpy's small integers could overflow in a product
    _check_length(len(effect), max_lag)
    check_choice(test, "test", GRANGER_TESTS)
    return _test_causes(_factor_effect(effect, max_lag), causes, test)


def _check_pair(effect, causes):
    """Return the effect (n_times,) and the causes (n_times, n_causes) as float64."""
    effect = check_series(effect, "effect")
    causes = check_series(causes, "causes", "n_causes")
    if len(causes) != len(effect):
        raise ValueError(
            f"causes has {len(causes)} time steps but effect has {len(effect)}; pass "
            "series of one length, with time along the first axis."
        )
    if not np.isfinite(effect).all():
        raise ValueError(
            "effect contains NaN or infinite values; drop or fill those time steps in "
            "effect and causes alike."
        )
    return effect, causes[:, np.newaxis] if causes.ndim == 1 else causes


def _check_length(n_times, max_lag):
    """Refuse series in which the regressions have too few rows."""
    if n_times <= 3 * max_lag + 1:
        largest = (n_times - 2) // 3
        advice = f"use at least {shorten(3 * max_lag + 2)} time steps"
        if largest >= 1:
            advice = f"use max_lag={largest} or less, or {advice[4:]}"
        raise ValueError(
            f"n_times={n_times} is too short for max_lag={shorten(max_lag)}: n_times "
            f"must exceed 3 * max_lag + 1, so the largest max_lag that fits is "
            f"{max(largest, 0)}; {advice}."
        )


# What all causes share. The rows of `basis[p - 1]` span the restricted regressors of
# lag p; `rank[p - 1]` of them have norm 1, the others 0. `residual[p - 1]` is the
# effect's rest outside them and `rss[p - 1]` its sum of squares; the first p times are
# zero. A lag that was not asked for has only zeros, which no cause can explain.
# `rounding` is the effect's, relative to its norm.
_EffectFactors = namedtuple("_EffectFactors", "basis rank residual rss rounding")


def _select_lag(effect, max_lag):
    """Lag order of the effect's autoregression with the smallest BIC; no checks.

    All orders from 1 to ``max_lag`` explain the same times, those after ``max_lag``,
    as in statsmodels' ``ar_select_order``. Residuals within rounding count as zero,
    where statsmodels compares their noise; the smallest such order is taken, which is
    1 for an effect that is constant or not finite.
    """
    rss, rank = _autoregress(effect, max_lag)
    n_rows = len(effect) - max_lag
    with np.errstate(divide="ignore"):
        bic = n_rows * np.log(rss) + math.log(n_rows) * rank
    return int(np.argmin(bic)) + 1


def _factor_effect(effect, max_lag, min_lag=1):
    """Fit the restricted regressions of ``min_lag`` to ``max_lag`` once; no checks.

    The result may be shared by threads that each call ``_test_causes`` on some columns.
    In numpy, as a kernel would take longer to compile than all tests of a usual fit.
    """
    y, rounding = _standardize(np.array(effect, dtype=np.float64, ndmin=2))
    n_times = y.shape[1]
    basis = np.zeros((max_lag, max_lag + 1, n_times))
    residual = np.zeros((max_lag, n_times))
    for p in range(min_lag, max_lag + 1):
        space = _constant(n_times, p)
        for lag in range(1, p + 1):
            space = _extend(space, _find_direction(y, p, lag, space, rounding))
        basis[p - 1, : p + 1] = space[0]
        residual[p - 1, p:] = y[0, p:]
        residual[p - 1] = _project_off(residual[p - 1 : p], space)[0]
    rank = basis.any(axis=2).sum(axis=1)
    rss = np.sum(residual**2, axis=1)
    return _EffectFactors(basis, rank, residual, rss, rounding[0])


def _test_causes(factors, causes, test):
    """Test causes (n_times, n_causes) against a factored effect; no checks.

    Lags that ``factors`` leaves out are untestable.
    """
    max_lag, n_times = factors.residual.shape
    n_causes = causes.shape[1]
    ratio = np.empty((max_lag, n_causes))
    rank = np.empty((max_lag, n_causes))
    for start in range(0, n_causes, _BLOCK):
        block = slice(start, start + _BLOCK)
        ratio[:, block], rank[:, block] = _compare_block(factors, causes[:, block])

    lags = np.arange(1.0, max_lag + 1)[:, np.newaxis]
    df_num = np.repeat(lags, n_causes, axis=1)
    if test == "ssr_ftest":
        df_denom = n_times - lags - rank
        statistic = ratio / df_num * df_denom
        log_p_value = _log_sf_f(statistic, df_num, df_denom)
    else:
        df_denom = np.full_like(ratio, np.nan)
        statistic = (n_times - lags) * ratio
        log_p_value = _log_sf_chi2(statistic, df_num)
    with np.errstate(under="ignore"):
        p_value = np.exp(log_p_value)
    return GrangerCausalityResult(statistic, p_value, log_p_value, df_num, df_denom)


def _compare_block(factors, causes):
    """Compare both regressions for a few causes, at every lag.

    Returns (r - f) / f and the rank of the unrestricted design, each
    ``(max_lag, n_causes)`` and NaN where the pair is untestable.
    """
    # always a fresh copy in C order: one type for numba to compile
    x, rounding = _standardize(np.array(causes.T, dtype=np.float64, order="C"))
    rounding += factors.rounding
    max_lag, width = len(factors.rss), len(x)
    # not return values: Ctrl-C while numba boxes an array is a SystemError
    fits = np.full((3, max_lag, width), np.nan)
    suspect = np.zeros((max_lag, width), dtype=np.bool_)
    _compare_fits(
        np.array(x.T, order="C"),
        factors.basis,
        factors.residual,
        factors.rss,
        factors.rounding,
        rounding,
        # scratch; allocated here, as that is slow to compile
        np.zeros((3, max_lag, max_lag + 1, width)),
        np.empty((max_lag, width)),
        np.empty((3, width)),
        fits,
        suspect,
    )
    for i in np.flatnonzero(suspect.any(axis=1)):
        some = suspect[i]
        fits[:, i, some] = _orthogonalize(
            x[some], i + 1, factors.basis[i], factors.residual[i], rounding[some]
        )
    added, explained, unexplained = fits
    added[added == 0.0] = np.nan
    explained[np.isnan(added)] = np.nan
    unexplained[np.sqrt(unexplained) <= factors.rounding] = 0.0
    with np.errstate(divide="ignore"):
        return explained / unexplained, factors.rank[:, np.newaxis] + added


def _log_sf_f(statistic, df_num, df_denom):
    """Log survival function of F; finite for every finite statistic."""
    log_p_value, far = _log_probability(
        special.fdtrc(df_num, df_denom, statistic), statistic
    )
    if far.any():
        a, b = df_denom[far] / 2, df_num[far] / 2
        log_p_value[far] = _log_beta_tail(a, b, a / b / statistic[far])
    return log_p_value


def _log_sf_chi2(statistic, df):
    """Log survival function of chi-squared; finite for every finite statistic."""
    log_p_value, far = _log_probability(special.chdtrc(df, statistic), statistic)
    if far.any():
        log_p_value[far] = _log_gamma_tail(df[far] / 2, statistic[far] / 2)
    return log_p_value


def _log_probability(probability, statistic):
    """Return the log, and where it needs a tail formula because of underflow."""
    far = (probability < _TINY_PROBABILITY) & (statistic < np.inf)
    log_probability = np.log(np.maximum(probability, _TINY_PROBABILITY))
    log_probability[statistic == np.inf] = -np.inf
    return log_probability, far


@jit
def _log_beta_tail(a, b, odds):
    """Log of the incomplete beta function I_x(a, b), x / (1 - x) = odds, x small.

    Continued fraction 26.5.8 of Abramowitz and Stegun, by the modified Lentz method.
    """
    result = np.empty(len(a))
    for i in range(len(a)):
        p, q, log_1mx = a[i], b[i], -math.log1p(odds[i])
        x = odds[i] / (1.0 + odds[i])
        c, d = 1.0, 1.0 / (1.0 - (p + q) * x / (p + 1.0))
        fraction, change, m = d, 2.0, 1
        while abs(change - 1.0) > _EPS and m < 10_000:
            term = m * (q - m) * x / ((p + 2 * m - 1) * (p + 2 * m))
            d = 1.0 / (1.0 + term * d)
            c = 1.0 + term / c
            fraction *= c * d
            term = -(p + m) * (p + q + m) * x / ((p + 2 * m) * (p + 2 * m + 1))
            d = 1.0 / (1.0 + term * d)
            c = 1.0 + term / c
            change = c * d
            fraction *= change
            m += 1
        log_beta = math.lgamma(p) + math.lgamma(q) - math.lgamma(p + q)
        log_power = p * (math.log(odds[i]) + log_1mx) + q * log_1mx
        result[i] = log_power - math.log(p) - log_beta + math.log(fraction)
    return result


@jit
def _log_gamma_tail(a, x):
    """Log of the upper incomplete gamma function Q(a, x), x much larger than a.

    Continued fraction 6.5.31 of Abramowitz and Stegun, its even part, by the modified
    Lentz method.
    """
    result = np.empty(len(a))
    for i in range(len(a)):
        base = x[i] + 1.0 - a[i]
        c, d = math.inf, 1.0 / base
        fraction, change, m = d, 2.0, 1
        while abs(change - 1.0) > _EPS and m < 10_000:
            term = m * (a[i] - m)
            base += 2.0
            d = 1.0 / (base + term * d)
            c = base + term / c
            change = c * d
            fraction *= change
            m += 1
        log_power = a[i] * math.log(x[i]) - x[i]
        result[i] = log_power - math.lgamma(a[i]) + math.log(fraction)
    return result


def _standardize(series):
    """Centre each row of series (n_series, n_times) and scale it to norm 1.

    Returns also the rounding of each row. One that is constant to rounding becomes
    zeros with rounding inf; one that is not finite becomes zeros with rounding NaN.
    """
    n_times = series.shape[1]
    finite = np.isfinite(series).all(axis=1, keepdims=True)
    series = np.where(finite, series, 0.0)
    largest = np.abs(series).max(axis=1, keepdims=True)
    # A power of two changes no digit and keeps the squares from overflowing.
    exponent = np.clip(np.frexp(largest)[1], -1000, 1000)
    with np.errstate(under="ignore"):
        x = np.ldexp(series, -exponent)
        x -= x.mean(axis=1, keepdims=True)
        x -= x.mean(axis=1, keepdims=True)
        norm = _norm(x)
        given = 4.0 * _EPS * math.sqrt(n_times) * np.ldexp(largest, -exponent)
        moves = norm > given
        norm = np.where(moves, norm, 1.0)
        x = np.where(moves, x / norm, 0.0)
        rounding = np.where(moves, n_times * _EPS + given / norm, np.inf)
    return x, np.where(finite, rounding, np.nan)[:, 0]


def _norm(vectors):
    return np.sqrt(np.sum(vectors**2, axis=1, keepdims=True))


def _constant(n_times, start):
    """Return the direction of a constant, as an orthonormal basis of one row.

    As all vectors it has zeros before ``start``; ``(1, 1, n_times)``.
    """
    constant = np.zeros((1, 1, n_times))
    constant[..., start:] = 1.0 / math.sqrt(n_times - start)
    return constant


def _extend(basis, directions):
    """Append a direction to the basis of each series."""
    return np.concatenate([basis, directions[:, np.newaxis]], axis=1)


def _project_off(vectors, basis):
    """Project each vector off the rows of its basis.

    Gram-Schmidt, twice: enough to be orthogonal to the last digits. Not by BLAS, whose
    bits depend on the number of threads.
    """
    for _ in range(2):
        weights = np.einsum("skt,st->sk", basis, vectors)
        vectors = vectors - np.einsum("sk,skt->st", weights, basis)
    return vectors


def _find_direction(series, start, lag, basis, rounding):
    """Return what a lag of each series adds to its basis; zeros if it is nothing new.

    Parameters
    ----------
    series : ndarray of shape (n_series, n_times)
        Standardised.
    start : int
        Vectors keep their time index, with zeros before ``start``.
    lag : int
        In time steps, at most ``start``.
    basis : ndarray of shape (n_series, n_directions, n_times)
        Orthonormal rows, and rows of zeros.
    rounding : ndarray of shape (n_series,)
        Norm of what is nothing new.

    Returns
    -------
    directions : ndarray of shape (n_series, n_times)
        Of norm 1 or 0.
    """
    vectors = np.zeros_like(series)
    vectors[:, start:] = series[:, start - lag : -lag]
    with np.errstate(under="ignore"):
        vectors = _project_off(vectors, basis)
        norm = _norm(vectors)
        is_new = norm > rounding[:, np.newaxis]
        return np.where(is_new, vectors, 0.0) / np.where(is_new, norm, 1.0)


def _autoregress(effect, max_lag):
    """Residual sums of squares and ranks of [1, effect lags], all on the same times.

    A residual within rounding has sum of squares zero.
    """
    y, rounding = _standardize(np.array(effect, dtype=np.float64, ndmin=2))
    rss, rank = np.zeros((2, max_lag))
    basis = _constant(y.shape[1], max_lag)
    residual = np.where(np.arange(y.shape[1]) < max_lag, 0.0, y)
    for lag in range(1, max_lag + 1):
        basis = _extend(basis, _find_direction(y, max_lag, lag, basis, rounding))
        residual = _project_off(residual, basis)
        norm = _norm(residual)[0, 0]
        rss[lag - 1] = norm**2 if norm > rounding[0] else 0.0
        rank[lag - 1] = basis.any(axis=2).sum()
    return rss, rank


def _orthogonalize(causes, p, basis, residual, rounding):
    """Regress the restricted residual on p lags of each cause, one lag at a time.

    Parameters
    ----------
    causes : ndarray of shape (n_causes, n_times)
        Standardised.
    p : int
        Lag order.
    basis : ndarray of shape (n_directions, n_times)
        Spans the restricted regressors.
    residual : ndarray of shape (n_times,)
        What the effect has outside them.
    rounding : ndarray of shape (n_causes,)
        Of cause plus effect.

    Returns
    -------
    added, explained, rest : ndarray of shape (3, n_causes)
        How much rank the lags add, the sum of squares they explain, and what is left.
    """
    basis = np.repeat(basis[np.newaxis], len(causes), axis=0)
    rest = np.repeat(residual[np.newaxis], len(causes), axis=0)
    added, explained = np.zeros((2, len(causes)))
    for lag in range(1, p + 1):
        directions = _find_direction(causes, p, lag, basis, rounding)
        weights = np.einsum("st,st->s", directions, rest)
        rest -= weights[:, np.newaxis] * directions
        added += directions.any(axis=1)
        explained += weights**2
        basis = _extend(basis, directions)
    return np.array([added, explained, np.sum(rest**2, axis=1)])


@jit
def _compare_fits(
    x,
    basis,
    residual,
    rss,
    effect_rounding,
    rounding,
    tables,
    cross,
    rows,
    fits,
    suspect,
):
    """Compare both regressions for a block of causes, at every lag.

    Writes to ``fits``, ``(3, max_lag, n_causes)``, how much rank the lags add, the sum
    of squares they explain, and what is left, where the pair is testable. The causes'
    lags are projected off the restricted regressors by moments and an LDL'
    factorisation, all causes side by side; where that may have lost digits, the pair
    is ``suspect`` and left to ``_orthogonalize``.
    """
    n, width = x.shape
    max_lag = len(rss)
    moments, shared, gram = tables[0], tables[1], tables[2]
    gain, inverse, factor = rows[0], rows[1], rows[2]

    # From the largest lag down, so that moments only gain rows.
    for p in range(max_lag, 0, -1):
        _add_moments(x, p, n if p == max_lag else p + 1, moments)
        if not math.sqrt(rss[p - 1]) > effect_rounding:
            continue
        for i in range(p):
            for k in range(p + 1):
                _weighted_sum(basis[p - 1, k], x, p, i + 1, shared[i, k])
            _weighted_sum(residual[p - 1], x, p, i + 1, cross[i])
        _project_moments(moments, shared, p, gram)
        _explain(
            gram, cross, moments, p, rounding, gain, suspect[p - 1], inverse, factor
        )

        for b in range(width):
            if not math.isfinite(rounding[b]):
                suspect[p - 1, b] = False
                continue
            unexplained = rss[p - 1] - gain[b]
            if unexplained <= _SMALL_REST * rss[p - 1]:
                suspect[p - 1, b] = True
            fits[0, p - 1, b] = p
            fits[1, p - 1, b] = gain[b]
            fits[2, p - 1, b] = unexplained


@jit_inner
def _add_moments(x, p, stop, moments):
    """Add the products of lags up to p, over the times p to ``stop`` - 1."""
    width = x.shape[1]
    for i in range(p):
        for j in range(i + 1):
            total = moments[i, j]
            for t in range(p, stop):
                a = x[t - 1 - i]
                c = x[t - 1 - j]
                for b in range(width):
                    total[b] += a[b] * c[b]


@jit_inner
def _weighted_sum(weight, x, start, lag, total):
    """Sum ``weight[t] * x[t - lag]`` over the times from ``start`` on, per cause."""
    n, width = x.shape
    whole = start + (n - start) // 4 * 4
    for b in range(width):
        total[b] = 0.0
    for t in range(start, whole, 4):
        w0, w1, w2, w3 = weight[t], weight[t + 1], weight[t + 2], weight[t + 3]
        x0, x1, x2, x3 = x[t - lag], x[t + 1 - lag], x[t + 2 - lag], x[t + 3 - lag]
        for b in range(width):
            total[b] += (w0 * x0[b] + w1 * x1[b]) + (w2 * x2[b] + w3 * x3[b])
    for t in range(whole, n):
        for b in range(width):
            total[b] += weight[t] * x[t - lag, b]


@jit_inner
def _project_moments(moments, shared, p, gram):
    """Take the restricted regressors' part off the moments of the lags."""
    width = moments.shape[2]
    for i in range(p):
        for j in range(i + 1):
            rest = gram[i, j]
            for b in range(width):
                rest[b] = moments[i, j, b]
            for k in range(p + 1):
                u = shared[i, k]
                v = shared[j, k]
                for b in range(width):
                    rest[b] -= u[b] * v[b]


@jit_inner
def _explain(gram, cross, moments, p, rounding, gain, suspect, inverse, factor):
    """Sum of squares that the p projected lags explain, by LDL' in place.

    ``suspect`` marks the causes with a pivot too small to be trusted.
    """
    width = len(gain)
    for b in range(width):
        gain[b] = 0.0
    for i in range(p):
        pivot = gram[i, i]
        for b in range(width):
            limit = max(_SMALL_PIVOT * moments[i, i, b], rounding[b] * rounding[b])
            if pivot[b] > limit:
                inverse[b] = 1.0 / pivot[b]
            else:
                inverse[b] = 0.0
                suspect[b] = True
        done = cross[i]
        for b in range(width):
            gain[b] += done[b] * done[b] * inverse[b]
        for j in range(i + 1, p):
            column = gram[j, i]
            rest = cross[j]
            for b in range(width):
                factor[b] = column[b] * inverse[b]
                rest[b] -= factor[b] * done[b]
            for m in range(i + 1, j + 1):
                target = gram[j, m]
                other = gram[m, i]
                for b in range(width):
                    target[b] -= factor[b] * other[b]
