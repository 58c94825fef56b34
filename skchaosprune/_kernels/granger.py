"""Granger causality of many causes on one effect: nested regressions, lag by lag."""

import math
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
from scipy import special

from skchaosprune._kernels.jit import jit
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


# What all causes share. The rows `basis[p - 1, :rank[p - 1]]` span the restricted
# regressors of lag p, `residual[p - 1]` is the effect's rest outside them and
# `rss[p - 1]` its sum of squares; the first p times are zero. A lag that was not asked
# for has only zeros, which no cause can explain. `rounding` is the effect's, relative
# to its norm.
_EffectFactors = namedtuple("_EffectFactors", "basis rank residual rss rounding")


def _select_lag(effect, max_lag):
    """Lag order of the effect's autoregression with the smallest BIC; no checks.

    All orders from 1 to ``max_lag`` explain the same times, those after ``max_lag``,
    as in statsmodels' ``ar_select_order``. Residuals within rounding count as zero,
    where statsmodels compares their noise; the smallest such order is taken, which is
    1 for an effect that is constant or not finite.
    """
    rss, rank = _autoregress(np.array(effect, dtype=np.float64), max_lag)
    n_rows = len(effect) - max_lag
    with np.errstate(divide="ignore"):
        bic = n_rows * np.log(rss) + math.log(n_rows) * rank
    return int(np.argmin(bic)) + 1


def _factor_effect(effect, max_lag, min_lag=1):
    """Fit the restricted regressions of ``min_lag`` to ``max_lag`` once; no checks.

    The result may be shared by threads that each call ``_test_causes`` on some columns.
    """
    return _EffectFactors(
        *_factor_restricted(np.array(effect, dtype=np.float64), max_lag, min_lag)
    )


def _test_causes(factors, causes, test):
    """Test causes (n_times, n_causes) against a factored effect; no checks.

    Lags that ``factors`` leaves out are untestable.
    """
    max_lag, n_times = factors.residual.shape
    n_causes = causes.shape[1]
    ratio = np.empty((max_lag, n_causes))
    rank = np.empty((max_lag, n_causes))
    for start in range(0, n_causes, _BLOCK):
        stop = start + _BLOCK
        # Always a fresh C-ordered copy: one type for numba to compile.
        block = np.array(causes[:, start:stop], dtype=np.float64, order="C")
        # not return values: Ctrl-C while numba boxes an array is a SystemError
        results = np.full((2, max_lag, block.shape[1]), np.nan)
        _compare_fits(block, *factors, results[0], results[1])
        ratio[:, start:stop], rank[:, start:stop] = results

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


@jit
def _standardize(series, scaled):
    """Write the centred series of norm 1 to ``scaled``; return its rounding.

    A series that is constant to rounding becomes zeros with rounding inf; one that is
    not finite becomes zeros with rounding NaN.
    """
    n = len(series)
    largest = 0.0
    scaled[:] = 0.0
    for t in range(n):
        if not math.isfinite(series[t]):
            return math.nan
        largest = max(largest, abs(series[t]))
    if largest == 0.0:
        return math.inf

    # A power of two changes no digit and keeps the squares from overflowing.
    unit = math.ldexp(1.0, -min(max(math.frexp(largest)[1], -1000), 1000))
    mean = 0.0
    for t in range(n):
        mean += series[t] * unit / n
    shift = 0.0
    for t in range(n):
        shift += (series[t] * unit - mean) / n
    total = 0.0
    for t in range(n):
        scaled[t] = series[t] * unit - mean - shift
        total += scaled[t] * scaled[t]
    norm = math.sqrt(total)
    given = 4.0 * _EPS * math.sqrt(n) * largest * unit
    if norm <= given:
        scaled[:] = 0.0
        return math.inf
    for t in range(n):
        scaled[t] /= norm
    return n * _EPS + given / norm


@jit
def _dot(a, b):
    """Sum of products, in four partial sums of fixed order."""
    n = len(a)
    s0 = s1 = s2 = s3 = 0.0
    for t in range(0, n - 3, 4):
        s0 += a[t] * b[t]
        s1 += a[t + 1] * b[t + 1]
        s2 += a[t + 2] * b[t + 2]
        s3 += a[t + 3] * b[t + 3]
    for t in range(n - n % 4, n):
        s0 += a[t] * b[t]
    return (s0 + s1) + (s2 + s3)


@jit
def _remove_projection(vector, basis, count):
    """Project ``vector`` off the first ``count`` rows of ``basis``; return its norm.

    Gram-Schmidt, twice: enough to be orthogonal to the last digits.
    """
    for _ in range(2):
        for k in range(count):
            direction = basis[k]
            weight = _dot(direction, vector)
            for t in range(len(vector)):
                vector[t] -= weight * direction[t]
    return math.sqrt(_dot(vector, vector))


@jit
def _extend_basis(series, start, lag, basis, count, rounding):
    """Add one lag of ``series`` to ``basis`` if its direction is new.

    Vectors keep their time index, with zeros before ``start``. Returns the new count.
    """
    n = len(series)
    vector = basis[count]
    for t in range(start):
        vector[t] = 0.0
    for t in range(start, n):
        vector[t] = series[t - lag]
    norm = _remove_projection(vector, basis, count)
    if norm <= rounding:
        return count
    for t in range(n):
        vector[t] /= norm
    return count + 1


@jit
def _autoregress(effect, max_lag):
    """Residual sums of squares and ranks of [1, effect lags], all on the same times.

    A residual within rounding has sum of squares zero.
    """
    n = len(effect)
    rss = np.zeros(max_lag)
    rank = np.zeros(max_lag, dtype=np.int64)
    y = np.empty(n)
    rounding = _standardize(effect, y)
    if not math.isfinite(rounding):
        return rss, rank
    basis = np.zeros((max_lag + 1, n))
    basis[0, max_lag:] = 1.0 / math.sqrt(n - max_lag)
    residual = y.copy()
    residual[:max_lag] = 0.0
    count = 1
    for lag in range(1, max_lag + 1):
        count = _extend_basis(y, max_lag, lag, basis, count, rounding)
        norm = _remove_projection(residual, basis, count)
        if norm > rounding:
            rss[lag - 1] = norm * norm
        rank[lag - 1] = count
    return rss, rank


@jit
def _factor_restricted(effect, max_lag, min_lag):
    """Orthogonalise [1, effect lags] for each lag and take the effect's residual."""
    n = len(effect)
    basis = np.zeros((max_lag, max_lag + 1, n))
    rank = np.zeros(max_lag, dtype=np.int64)
    residual = np.zeros((max_lag, n))
    rss = np.zeros(max_lag)
    y = np.empty(n)
    rounding = _standardize(effect, y)
    for p in range(min_lag, max_lag + 1):
        space = basis[p - 1]
        for t in range(p, n):
            space[0, t] = 1.0 / math.sqrt(n - p)
            residual[p - 1, t] = y[t]
        count = 1
        for lag in range(1, p + 1):
            count = _extend_basis(y, p, lag, space, count, rounding)
        _remove_projection(residual[p - 1], space, count)
        rank[p - 1] = count
        rss[p - 1] = _dot(residual[p - 1], residual[p - 1])
    return basis, rank, residual, rss, rounding


@jit
def _compare_fits(
    causes, basis, rank, residual, rss, effect_rounding, ratio, full_rank
):
    """Compare both regressions for a block of causes, at every lag.

    Writes (r - f) / f and the rank of the unrestricted design to ``ratio`` and
    ``full_rank``, each (max_lag, n_causes), where the pair is testable. The causes'
    lags are projected off the restricted regressors by moments and an LDL'
    factorisation, all causes side by side; where that may have lost digits, the one
    cause is orthogonalised.
    """
    # long, as all lags share the scratch arrays of the block
    n, width = causes.shape
    max_lag = len(rss)

    by_cause = np.empty((width, n))
    rounding = np.empty(width)
    for b in range(width):
        rounding[b] = _standardize(causes[:, b].copy(), by_cause[b]) + effect_rounding
    by_time = by_cause.T.copy()

    moments = np.zeros((max_lag, max_lag, width))
    shared = np.zeros((max_lag, max_lag + 1, width))
    gram = np.zeros((max_lag, max_lag, width))
    cross = np.zeros((max_lag, width))
    gain = np.zeros(width)
    suspect = np.zeros(width, dtype=np.bool_)
    work = np.zeros((2 * max_lag + 2, n))

    # From the largest lag down, so that moments only gain rows.
    for p in range(max_lag, 0, -1):
        _add_moments(by_time, p, n if p == max_lag else p + 1, moments)
        if not math.sqrt(rss[p - 1]) > effect_rounding:
            continue
        count = rank[p - 1]
        for i in range(p):
            for k in range(count):
                _weighted_sum(basis[p - 1, k], by_time, p, i + 1, shared[i, k])
            _weighted_sum(residual[p - 1], by_time, p, i + 1, cross[i])
        _project_moments(moments, shared, p, count, gram)
        _explain(gram, cross, moments, p, rounding, gain, suspect)

        for b in range(width):
            if not math.isfinite(rounding[b]):
                continue
            added = p
            explained = gain[b]
            unexplained = rss[p - 1] - explained
            if suspect[b] or unexplained <= _SMALL_REST * rss[p - 1]:
                added, explained, unexplained = _orthogonalize(
                    by_cause[b],
                    p,
                    basis[p - 1],
                    count,
                    residual[p - 1],
                    work,
                    rounding[b],
                )
            if added == 0:
                continue
            full_rank[p - 1, b] = count + added
            if math.sqrt(unexplained) <= effect_rounding:
                ratio[p - 1, b] = math.inf
            else:
                ratio[p - 1, b] = explained / unexplained


@jit
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


@jit
def _weighted_sum(weight, x, start, lag, total):
    """Sum ``weight[t] * x[t - lag]`` over the times from ``start`` on, per cause."""
    n, width = x.shape
    whole = start + (n - start) // 4 * 4
    total[:] = 0.0
    for t in range(start, whole, 4):
        w0, w1, w2, w3 = weight[t], weight[t + 1], weight[t + 2], weight[t + 3]
        x0, x1, x2, x3 = x[t - lag], x[t + 1 - lag], x[t + 2 - lag], x[t + 3 - lag]
        for b in range(width):
            total[b] += (w0 * x0[b] + w1 * x1[b]) + (w2 * x2[b] + w3 * x3[b])
    for t in range(whole, n):
        for b in range(width):
            total[b] += weight[t] * x[t - lag, b]


@jit
def _project_moments(moments, shared, p, count, gram):
    """Take the restricted regressors' part off the moments of the lags."""
    width = moments.shape[2]
    for i in range(p):
        for j in range(i + 1):
            rest = gram[i, j]
            for b in range(width):
                rest[b] = moments[i, j, b]
            for k in range(count):
                u = shared[i, k]
                v = shared[j, k]
                for b in range(width):
                    rest[b] -= u[b] * v[b]


@jit
def _explain(gram, cross, moments, p, rounding, gain, suspect):
    """Sum of squares that the p projected lags explain, by LDL' in place.

    ``suspect`` marks the causes with a pivot too small to be trusted.
    """
    width = len(gain)
    inverse = np.empty(width)
    factor = np.empty(width)
    gain[:] = 0.0
    suspect[:] = False
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


@jit
def _orthogonalize(series, p, basis, count, residual, work, rounding):
    """Regress the restricted residual on p lags of one cause, one lag at a time.

    Returns how much rank the lags add to the restricted basis of ``count`` rows, the
    sum of squares they explain, and the rest. ``work`` holds up to 2 p + 2 rows.
    """
    n = len(series)
    rest = work[-1]
    for t in range(n):
        rest[t] = residual[t]
        for k in range(count):
            work[k, t] = basis[k, t]
    rank = count
    explained = 0.0
    for lag in range(1, p + 1):
        before = rank
        rank = _extend_basis(series, p, lag, work, before, rounding)
        if rank > before:
            direction = work[before]
            weight = _dot(direction, rest)
            explained += weight * weight
            for t in range(n):
                rest[t] -= weight * direction[t]
    return rank - count, explained, _dot(rest, rest)
