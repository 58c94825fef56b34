"""Granger causality against statsmodels, a naive oracle, laws and edge cases."""

import dataclasses
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats
from statsmodels.tsa.ar_model import ar_select_order
from statsmodels.tsa.stattools import grangercausalitytests

from skchaosprune._kernels import granger
from skchaosprune._kernels.granger import GRANGER_TESTS, granger_causality
from tests import naive

GOLDEN = json.loads(
    (Path(__file__).parent / "data" / "granger.json").read_text(encoding="utf-8")
)
CASES = {case["name"]: case for case in GOLDEN["cases"]}

# The reference computes these from rounding noise: a perfect fit by the effect's past.
REFERENCE_NOISE = {("risk_constant_after_15_n60", 14), ("y_sine_n80", 3)}

# Below this scipy's tail probabilities lose digits, then underflow.
TINY = 1e-280

# Change the following manually to check seed insensitivity:
SEED_RANGE = range(1)

FIELDS = [field.name for field in dataclasses.fields(granger.GrangerCausalityResult)]


def largest_lag(n_times):
    return (n_times - 2) // 3


def noise(n_times, *shape, seed=0):
    return np.random.default_rng(seed).normal(size=(n_times, *shape))


def smooth(n_times, n_causes, seed=0):
    """Causes whose lags are nearly collinear."""
    return noise(n_times, n_causes, seed=seed).cumsum(axis=0).cumsum(axis=0)


def mixed_causes(effect):
    """Ordinary, nearly collinear, perfect, static and NaN causes: several blocks."""
    n_times = len(effect)
    causes = np.hstack(
        [
            noise(n_times, 90, seed=1),
            smooth(n_times, 40, seed=2),
            noise(n_times, 5, seed=3) * 1e-9 + np.roll(effect, -1)[:, np.newaxis],
            np.roll(effect, -2)[:, np.newaxis],
            effect[:, np.newaxis],
            np.full((n_times, 1), 0.3),
            np.full((n_times, 1), np.nan),
        ]
    )
    order = np.random.default_rng(4).permutation(causes.shape[1])
    return causes[:, order]


def assert_same_bits(result, expected, columns=slice(None)):
    for name in FIELDS:
        assert_array_equal(getattr(result, name), getattr(expected, name)[:, columns])


def assert_untestable(result, row=slice(None), column=slice(None)):
    for name in ("statistic", "p_value", "log_p_value", "df_denom"):
        assert np.isnan(getattr(result, name)[row, column]).all(), name


def assert_tested(result, row=slice(None), column=slice(None)):
    for name in ("statistic", "p_value", "log_p_value", "df_denom"):
        assert np.isfinite(getattr(result, name)[row, column]).all(), name


# Outside judge: statsmodels


def comparable(case, lag):
    reference = case["lags"][str(lag)]
    return (
        "error" not in reference
        and reference["rank"] == reference["k"]
        and reference["cond"] <= 1e8
        and (case["name"], lag) not in REFERENCE_NOISE
    )


def test_matches_golden_statsmodels():
    for name, case in CASES.items():
        if not name.startswith("y_nan"):
            assert_matches_golden(name, case)


def assert_matches_golden(name, case):
    effect = np.array(case["y"], dtype=float)
    cause = np.array(case["x"], dtype=float)
    max_lag = min(case["maxlag"], largest_lag(case["n"]))
    lags = [lag for lag in range(1, max_lag + 1) if comparable(case, lag)]
    results = {
        test: granger_causality(effect, cause, max_lag=max_lag, test=test)
        for test in GRANGER_TESTS
    }

    for lag, (test, result) in product(lags, results.items()):
        statistic, p_value, *df_denom = case["lags"][str(lag)][test]
        row = (lag - 1, 0)
        assert_allclose(result.statistic[row], statistic, 1e-7, err_msg=name)
        assert_allclose(result.p_value[row], p_value, 1e-7, TINY, err_msg=name)
        assert result.df_num[row] == lag, name
        assert_array_equal(result.df_denom[row], df_denom or np.nan, err_msg=name)


def test_golden_cases_are_not_skipped_by_mistake():
    lags = [
        (name, lag)
        for name, case in CASES.items()
        for lag in range(1, case["maxlag"] + 1)
        if lag <= largest_lag(case["n"]) and comparable(case, lag)
    ]
    assert len(lags) == 278


@pytest.mark.parametrize(
    "name, max_lag",
    [("too_short_n12_L14", 4), ("too_short_n43_L14", 14), ("n10_L3_limit", 3)],
)
def test_golden_lags_refused_by_reference_are_errors(name, max_lag):
    case = CASES[name]
    assert "Insufficient observations" in case["lags"][str(max_lag)]["error"]
    assert "error" not in case["lags"][str(max_lag - 1)]
    with pytest.raises(ValueError, match=f"too short for max_lag={max_lag}"):
        granger_causality(case["y"], case["x"], max_lag=max_lag)
    granger_causality(case["y"], case["x"], max_lag=max_lag - 1)


@pytest.mark.parametrize("name", ["x_scale1e+12_n80", "x_scale1e-12_n80"])
def test_scales_that_cost_the_reference_its_digits(name):
    plain = CASES["x_scale1e-06_n80"]
    scaled = CASES[name]
    assert_allclose(
        granger_causality(scaled["y"], scaled["x"], max_lag=14).p_value,
        granger_causality(plain["y"], plain["x"], max_lag=14).p_value,
        rtol=1e-10,
    )


@pytest.mark.parametrize("name", ["x_linear_trend_n80", "x_eq_minus_y_n80"])
def test_golden_rank_deficiency(name):
    case = CASES[name]
    result = granger_causality(case["y"], case["x"], max_lag=case["maxlag"])
    for lag in range(1, case["maxlag"] + 1):
        reference = case["lags"][str(lag)]
        if name == "x_eq_minus_y_n80":
            assert_untestable(result, lag - 1)
            continue
        statistic, p_value, df_denom = reference["ssr_ftest"]
        assert_allclose(result.statistic[lag - 1, 0], statistic, rtol=1e-7)
        assert_allclose(result.p_value[lag - 1, 0], p_value, rtol=1e-7)
        assert result.df_denom[lag - 1, 0] == df_denom == case["n"] - lag - lag - 2


@pytest.mark.parametrize("seed", SEED_RANGE)
@pytest.mark.parametrize("n_times, max_lag", [(47, 5), (60, 14), (150, 3)])
def test_matches_live_statsmodels(seed, n_times, max_lag):
    causes = noise(n_times, 4, seed=seed)
    causes[:, 1] = causes[:, 1].cumsum()
    effect = noise(n_times, seed=seed + 100).cumsum()
    effect[2:] += 3 * causes[:-2, 0]
    for test in GRANGER_TESTS:
        result = granger_causality(effect, causes, max_lag=max_lag, test=test)
        for j in range(causes.shape[1]):
            pair = np.column_stack([effect, causes[:, j]])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reference = grangercausalitytests(pair, max_lag)
            for lag in range(1, max_lag + 1):
                statistic, p_value = reference[lag][0][test][:2]
                assert_allclose(result.statistic[lag - 1, j], statistic, rtol=1e-7)
                p_comp = result.p_value[lag - 1, j]
                assert_allclose(p_comp, p_value, rtol=1e-7, atol=TINY)


# Oracle: least squares straight from the formula


@pytest.mark.parametrize("test", GRANGER_TESTS)
@pytest.mark.parametrize("seed", SEED_RANGE)
def test_matches_naive(seed, test):
    effect = noise(50, seed=seed).cumsum()
    causes = np.hstack([noise(50, 3, seed=seed + 1), smooth(50, 3, seed=seed + 2)])
    causes[:-1, 0] += 5 * effect[1:]
    statistic, p_value, df_denom = naive.granger_causality(effect, causes, 8, test)
    result = granger_causality(effect, causes, max_lag=8, test=test)
    assert_allclose(result.statistic, statistic, rtol=1e-6)
    assert_allclose(result.p_value, p_value, rtol=1e-6, atol=TINY)
    assert_array_equal(result.p_value, np.exp(result.log_p_value))
    assert_array_equal(result.df_num, np.arange(1, 9)[:, np.newaxis] * np.ones(6))
    if test == "ssr_ftest":
        assert_array_equal(result.df_denom, df_denom)
    else:
        assert np.isnan(result.df_denom).all()


def test_matches_naive_with_a_very_strong_cause():
    cause = noise(50)
    effect = np.roll(cause, 1) + 1e-6 * noise(50, seed=1)
    result = granger_causality(effect, cause, max_lag=4)
    expected = naive.granger_causality(effect, cause[:, np.newaxis], 4)[0]
    assert (expected > 1e11).all()
    assert_allclose(result.statistic, expected, rtol=1e-7)


def test_matches_naive_with_a_smooth_effect():
    effect = smooth(60, 1)[:, 0].cumsum()
    causes = noise(60, 3, seed=1)
    statistic, p_value, df_denom = naive.granger_causality(effect, causes, 4)
    result = granger_causality(effect, causes, max_lag=4)
    assert_allclose(result.statistic, statistic, rtol=1e-6)
    assert_allclose(result.p_value, p_value, rtol=1e-6)
    assert_array_equal(result.df_denom, df_denom)


def test_restricted_regressors_of_a_smooth_effect_are_orthonormal():
    effect = smooth(60, 1)[:, 0].cumsum()
    factors = granger._factor_effect(effect, 6)
    for basis, rank, residual in zip(
        factors.basis, factors.rank, factors.residual, strict=True
    ):
        directions = basis[:rank]
        assert_allclose(directions @ directions.T, np.eye(rank), atol=1e-14)
        assert np.abs(directions @ residual).max() < 1e-14 * np.linalg.norm(residual)


@pytest.mark.parametrize("test", GRANGER_TESTS)
def test_matches_naive_with_rank_deficient_cause(test):
    # A trend adds one direction at any lag, period 2 one, a sine at most two.
    effect, time = noise(60), np.arange(60)
    causes = np.column_stack([time, time % 2, np.sin(time)])
    statistic, p_value, df_denom = naive.granger_causality(effect, causes, 6, test)
    result = granger_causality(effect, causes, max_lag=6, test=test)
    assert_allclose(result.statistic, statistic, rtol=1e-7)
    assert_allclose(result.p_value, p_value, rtol=1e-7)
    if test == "ssr_ftest":
        lags = np.arange(1, 7)[:, np.newaxis]
        added = np.minimum(lags, [1, 1, 2])
        assert_array_equal(result.df_denom, 60 - lags - (1 + lags + added))
        assert_array_equal(result.df_denom, df_denom)


def test_matches_naive_with_rank_deficient_past_of_the_effect():
    # The lags of an effect that moves only in its last value are all constant.
    effect = np.zeros(40)
    effect[-1] = 1.0
    causes = noise(40, 3)
    statistic, p_value, df_denom = naive.granger_causality(effect, causes, 4)
    result = granger_causality(effect, causes, max_lag=4)
    assert_allclose(result.statistic, statistic, rtol=1e-7)
    assert_allclose(result.p_value, p_value, rtol=1e-7)
    assert_array_equal(result.df_denom, df_denom)
    assert_array_equal(result.df_denom[:, 0], [37, 35, 33, 31])


# Tails of the two distributions


def test_log_sf_chi2_closed_forms():
    statistic = np.array([1.0, 100.0, 1e4, 1e6])
    half = statistic / 2
    for df, expected in ((2.0, -half), (4.0, -half + np.log1p(half))):
        log_sf = granger._log_sf_chi2(statistic, np.full(4, df))
        assert_allclose(log_sf, expected, rtol=1e-12)


def test_log_sf_f_closed_form():
    statistic, df_denom = np.meshgrid(
        [0.5, 10.0, 1e3, 1e10, 1e25], [10.0, 1000.0, 50_000.0]
    )
    log_sf = granger._log_sf_f(statistic, np.full((3, 5), 2.0), df_denom)
    expected = -df_denom / 2 * np.log1p(2 * statistic / df_denom)
    assert_allclose(log_sf, expected, rtol=1e-10)


def far_out(survival):
    """Statistics whose p-value is about to underflow, and its logarithm."""
    statistic = np.logspace(0, 20, 20_000)
    probability = survival(statistic)
    chosen = (probability > TINY) & (probability < 1e-250)
    assert chosen.sum() > 10
    return statistic[chosen], np.log(probability[chosen])


@pytest.mark.parametrize("df_num", [1.0, 5.0, 14.0, 100.0])
def test_tail_formula_of_f_joins_the_body(df_num):
    for df_denom in (40.0, 300.0, 10_000.0):
        statistic, expected = far_out(partial(special.fdtrc, df_num, df_denom))
        a, b = np.full((2, len(statistic)), [[df_denom / 2], [df_num / 2]])
        tail = granger._log_beta_tail(a, b, df_denom / df_num / statistic)
        assert_allclose(tail, expected, rtol=1e-12)


@pytest.mark.parametrize("df", [1.0, 5.0, 14.0, 100.0])
def test_tail_formula_of_chi2_joins_the_body(df):
    statistic, expected = far_out(partial(special.chdtrc, df))
    tail = granger._log_gamma_tail(np.full(len(statistic), df / 2), statistic / 2)
    assert_allclose(tail, expected, rtol=1e-12)


@pytest.mark.parametrize("test", GRANGER_TESTS)
def test_underflowing_p_values_keep_their_order(test):
    cause = noise(400)
    errors = noise(400, seed=1)
    log_p = []
    for size in (1e-3, 1e-4, 1e-5):
        effect = np.roll(cause, 1) + size * errors
        result = granger_causality(effect, cause, max_lag=3, test=test)
        assert (result.p_value == 0.0).all()
        assert np.isfinite(result.log_p_value).all()
        log_p.append(result.log_p_value)
    assert (log_p[0] < -700).all()
    assert (log_p[1] < log_p[0]).all() and (log_p[2] < log_p[1]).all()


# Laws


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    scales=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    signs=st.tuples(st.sampled_from([-1, 1]), st.sampled_from([-1, 1])),
    shifts=st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
    test=st.sampled_from(GRANGER_TESTS),
)
def test_p_values_unchanged_by_scale_and_shift(seed, scales, signs, shifts, test):
    effect, causes = noise(40, seed=seed), noise(40, 3, seed=seed + 1)
    changed = [
        sign * 10**scale * (series + shift)
        for series, sign, scale, shift in zip(
            (effect, causes), signs, scales, shifts, strict=True
        )
    ]
    plain = granger_causality(effect, causes, max_lag=4, test=test)
    result = granger_causality(*changed, max_lag=4, test=test)
    assert_allclose(result.p_value, plain.p_value, rtol=1e-9)
    assert_allclose(result.log_p_value, plain.log_p_value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed, test", list(enumerate(GRANGER_TESTS)))
def test_permuting_causes_permutes_results_bit_for_bit(seed, test):
    effect = noise(45)
    causes = mixed_causes(effect)
    order = np.random.default_rng(seed).permutation(causes.shape[1])
    plain = granger_causality(effect, causes, max_lag=5, test=test)
    result = granger_causality(effect, causes[:, order], max_lag=5, test=test)
    assert_same_bits(result, plain, order)


@settings(max_examples=20, deadline=None)
@given(start=st.integers(0, 130), length=st.integers(1, 130))
def test_any_slice_of_the_causes_gives_the_same_bits(start, length):
    effect = noise(45)
    causes = mixed_causes(effect)
    columns = slice(start, start + length)
    plain = granger_causality(effect, causes, max_lag=3)
    result = granger_causality(effect, causes[:, columns], max_lag=3)
    assert_same_bits(result, plain, columns)


@pytest.mark.parametrize(
    "series, message",
    [
        (noise(45) + 1j, "has dtype complex128.*real part"),
        (np.full(45, 10**400, dtype=object), "has a number that is too large"),
    ],
    ids=["complex", "huge int"],
)
def test_series_that_are_no_float64_are_refused(series, message):
    for name, args in {
        "effect": (series, noise(45)),
        "causes": (noise(45), series),
    }.items():
        with pytest.raises((ValueError, TypeError), match=f"{name} {message}"):
            granger_causality(*args, max_lag=3)


@pytest.mark.parametrize("layout", ["F", "every_other", "backwards", "float32"])
def test_memory_layout_gives_the_same_bits(layout):
    effect = noise(45)
    causes = mixed_causes(effect).astype(np.float32).astype(np.float64)
    plain = granger_causality(effect, causes, max_lag=5)
    changed = {
        "F": lambda: np.asfortranarray(causes),
        "every_other": lambda: np.repeat(causes, 2, axis=1)[:, ::2],
        "backwards": lambda: causes[::-1, ::-1].copy()[::-1, ::-1],
        "float32": lambda: causes.astype(np.float32),
    }[layout]()
    assert_same_bits(granger_causality(effect, changed, max_lag=5), plain)


@pytest.mark.parametrize("test", GRANGER_TESTS)
def test_threads_over_blocks_give_the_same_bits(test):
    effect = noise(45)
    causes = mixed_causes(effect)
    plain = granger_causality(effect, causes, max_lag=5, test=test)
    factors = granger._factor_effect(effect, 5)
    blocks = [slice(i, i + 20) for i in range(0, causes.shape[1], 20)]
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(
            lambda block: granger._test_causes(factors, causes[:, block], test), blocks
        )
        for block, result in zip(blocks, results, strict=True):
            assert_same_bits(result, plain, block)


@pytest.mark.parametrize("seed", SEED_RANGE)
def test_white_noise_is_called_causal_as_often_as_promised(seed):
    # One lag of Gaussian noise: the F distribution is exact for any fixed effect.
    n_causes = 3000
    result = granger_causality(
        noise(60, seed=seed), noise(60, n_causes, seed=seed + 1), max_lag=1
    )
    low, high = stats.binom.interval(0.999, n_causes, 0.05)
    assert low <= (result.p_value < 0.05).sum() <= high


# The lag order chosen by the effect alone


def autoregression(n_times, lag, seed=0):
    """An effect that remembers its value ``lag`` steps back."""
    series = noise(n_times, seed=seed)
    for t in range(lag, n_times):
        series[t] += 0.8 * series[t - lag]
    return series


def bic_by_statsmodels(effect, max_lag):
    bic = ar_select_order(effect, max_lag, ic="bic").bic
    return np.array([bic[tuple(range(1, p + 1))] for p in range(1, max_lag + 1)])


@pytest.mark.parametrize("n_times, max_lag", [(17, 5), (40, 3), (60, 14), (150, 5)])
def test_selected_lag_is_that_of_statsmodels(n_times, max_lag):
    chosen = set()
    for seed in range(6):
        walk = noise(n_times, seed=seed).cumsum()
        lag = 1 + seed % max_lag
        for effect in (
            noise(n_times, seed=seed),
            autoregression(n_times, lag, seed),
            1e4 + walk,
            walk.cumsum(),
            np.round(autoregression(n_times, lag, seed)),
        ):
            bic = bic_by_statsmodels(effect, max_lag)
            selected = granger._select_lag(effect, max_lag)
            assert selected == np.argmin(bic) + 1
            assert isinstance(selected, int)
            chosen.add(selected)
    assert len(chosen) >= 3


@pytest.mark.parametrize("lag", [1, 2, 3, 5])
def test_selected_lag_is_the_one_built_in(lag):
    assert granger._select_lag(autoregression(400, lag), 5) == lag


@pytest.mark.parametrize(
    "effect, expected",
    [
        (np.zeros(40), 1),
        (np.full(40, 0.1 * 3), 1),
        (0.1 + 1e-17 * noise(40), 1),
        (np.where(np.arange(40) < 5, noise(40), 0.2), 1),  # constant where compared
        (np.where(np.arange(40) < 6, noise(40), 0.2), 5),
        (np.eye(40)[-1], 1),
        (np.arange(40.0), 1),
        (1e6 + 0.1 * np.arange(40), 1),
        (np.arange(40) % 2, 1),
        (0.9 ** np.arange(40), 1),
        (np.sin(np.arange(40)), 2),
        (1e12 + np.round(1e3 * autoregression(80, 2)), 2),
        (1e200 * autoregression(80, 2), 2),
        (1e-200 * autoregression(80, 2), 2),
        (np.full(40, np.nan), 1),
    ],
    ids=[
        "zeros",
        "constant",
        "jitter",
        "constant_after_5",
        "constant_after_6",
        "last_only",
        "line",
        "offset_line",
        "alternating",
        "decay",
        "sine",
        "large_offset",
        "huge",
        "tiny",
        "nan",
    ],
)
def test_selected_lag_of_degenerate_effects(effect, expected):
    before = effect.copy()
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        assert granger._select_lag(effect, 5) == expected
    assert_array_equal(effect, before)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000), scale=st.floats(-100, 100), shift=st.floats(-100, 100)
)
def test_selected_lag_unchanged_by_scale_and_shift(seed, scale, shift):
    effect = autoregression(60, 1 + seed % 5, seed)
    changed = -(10**scale) * (effect + shift)
    assert granger._select_lag(changed, 5) == granger._select_lag(effect, 5)


# Some lags only


@pytest.mark.parametrize(
    "max_lag, test", [(1, "ssr_ftest"), (4, "ssr_chi2test"), (5, "ssr_ftest")]
)
def test_some_lags_alone_give_the_same_bits(max_lag, test):
    effect = noise(45)
    causes = mixed_causes(effect)
    plain = granger_causality(effect, causes, max_lag=max_lag, test=test)
    for min_lag in range(1, max_lag + 1):
        factors = granger._factor_effect(effect, max_lag, min_lag)
        with warnings.catch_warnings(), np.errstate(all="raise"):
            warnings.simplefilter("error")
            result = granger._test_causes(factors, causes, test)
        assert_untestable(result, slice(0, min_lag - 1))
        assert_array_equal(result.df_num, plain.df_num)
        tested = slice(min_lag - 1, None)
        for name in FIELDS:
            comp, ref = getattr(result, name), getattr(plain, name)
            assert_array_equal(comp[tested], ref[tested])


@pytest.mark.parametrize(
    "lag, test", [(1, "ssr_ftest"), (2, "ssr_chi2test"), (4, "ssr_ftest")]
)
def test_selected_lag_alone_matches_statsmodels(lag, test):
    effect = autoregression(150, lag)
    causes = noise(150, 3, seed=1)
    effect[1:] += 0.3 * causes[:-1, 0]
    selected = granger._select_lag(effect, 5)
    assert selected == lag == np.argmin(bic_by_statsmodels(effect, 5)) + 1
    factors = granger._factor_effect(effect, selected, selected)
    result = granger._test_causes(factors, causes, test)
    for j in range(causes.shape[1]):
        pair = np.column_stack([effect, causes[:, j]])
        statistic, p_value = grangercausalitytests(pair, [lag])[lag][0][test][:2]
        assert_allclose(result.statistic[-1, j], statistic, rtol=1e-7)
        assert_allclose(result.p_value[-1, j], p_value, rtol=1e-7)
    assert_untestable(result, slice(0, lag - 1))


# Edges by name


@pytest.mark.parametrize("test", GRANGER_TESTS)
def test_constant_effect_is_untestable(test):
    for value in (0.0, 0.3, -1e300):
        effect = np.full(30, value)
        result = granger_causality(effect, noise(30, 3), max_lag=4, test=test)
        assert_untestable(result)


@pytest.mark.parametrize("first", [1, 2, 4])
def test_effect_constant_after_its_first_values(first):
    effect = np.full(50, 0.2)
    effect[:first] = noise(first)
    result = granger_causality(effect, noise(50, 3), max_lag=6)
    assert_tested(result, slice(0, first - 1))
    assert_untestable(result, slice(first - 1, None))


def test_golden_effect_that_its_own_past_explains():
    for name, lag in sorted(REFERENCE_NOISE):
        case = CASES[name]
        result = granger_causality(case["y"], case["x"], max_lag=case["maxlag"])
        assert_untestable(result, lag - 1)


@pytest.mark.parametrize("name", ["line", "offset_line", "sine", "alternating"])
def test_effect_explained_by_its_own_past_is_untestable(name):
    time = np.arange(60)
    effect = {
        "line": 0.1 * time,
        "offset_line": 1e6 + 0.1 * time,
        "sine": np.sin(time),
        "alternating": time % 2,
    }[name]
    result = granger_causality(effect, noise(60, 3), max_lag=4)
    assert_untestable(result, slice(1, None))


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros(50),
        np.full(50, 0.1 * 3),
        0.1 + 1e-17 * noise(50),
        np.eye(50)[-1],
        np.full(50, np.nan),
        np.where(np.arange(50) == 7, np.nan, noise(50, seed=9)),
        np.where(np.arange(50) == 49, np.inf, noise(50, seed=9)),
    ],
    ids=["zeros", "constant", "jitter", "last_only", "nan", "one_nan", "one_inf"],
)
def test_bad_cause_beside_good_ones(bad):
    effect, good = noise(50), noise(50, 2, seed=1)
    causes = np.column_stack([good[:, 0], bad, good[:, 1]])
    result = granger_causality(effect, causes, max_lag=5)
    assert_untestable(result, column=1)
    assert_tested(result, column=[0, 2])
    assert_same_bits(granger_causality(effect, good, max_lag=5), result, [0, 2])


def test_cause_with_some_constant_lags_is_tested_on_the_others():
    # A spike at time 5: at lag order 7 the cause two steps back is the first to move.
    effect, cause = noise(60), np.eye(60)[5]
    result = granger_causality(effect, cause, max_lag=7)
    assert_tested(result)
    assert result.df_denom[6, 0] == 60 - 7 - (1 + 7 + 6)
    assert_allclose(
        result.statistic[6], naive.one_pair(effect, cause, 7, "ssr_ftest")[0]
    )


def test_lags_that_outliers_drown_add_no_rank():
    # Next to 1e20 the later values are rounding, and lag 1 has only those.
    effect, cause = noise(60), noise(60, seed=1)
    cause[:2] = 1e20, -1e20
    result = granger_causality(effect, cause, max_lag=4)
    assert_array_equal(
        result.df_denom[2:, 0], [60 - 3 - (1 + 3 + 2), 60 - 4 - (1 + 4 + 2)]
    )


@pytest.mark.parametrize(
    "name", ["itself", "negative", "affine", "rounded", "one_step_back"]
)
def test_cause_within_the_past_of_the_effect_is_untestable(name):
    series = noise(61).cumsum()
    effect = series[1:] + (1e6 if name == "rounded" else 0.0)
    cause = {
        "itself": effect,
        "negative": -effect,
        "affine": 0.3 * effect + 1e4,
        "rounded": series[1:],  # has digits that the large effect has not
        "one_step_back": series[:-1],
    }[name]
    result = granger_causality(effect, cause, max_lag=5)
    if name == "one_step_back":  # its last lag is one more step of the effect's past
        assert_tested(result)
        lags = np.arange(1, 6)
        assert_array_equal(result.df_denom[:, 0], 60 - lags - (1 + lags + 1))
    else:
        assert_untestable(result)


@pytest.mark.parametrize("test", GRANGER_TESTS)
def test_perfect_fit_by_the_cause_alone(test):
    cause = noise(60)
    effect = 3 * np.roll(cause, 2) + 1000
    result = granger_causality(effect, cause, max_lag=4, test=test)
    assert np.isfinite(result.statistic[0]).all()
    assert (result.statistic[1:] == np.inf).all()
    assert (result.p_value[1:] == 0).all()
    assert (result.log_p_value[1:] == -np.inf).all()


def test_data_with_a_large_offset():
    rng = np.random.default_rng(0)
    effect = rng.integers(-1000, 1000, 60)
    causes = rng.integers(-1000, 1000, (60, 4))
    plain = granger_causality(effect, causes, max_lag=5)
    result = granger_causality(effect + 1e12, causes - 1e12, max_lag=5)
    assert_allclose(result.p_value, plain.p_value, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e307])
def test_extreme_scales(scale):
    effect, causes = noise(40), noise(40, 2, seed=1)
    plain = granger_causality(effect, causes, max_lag=3)
    rtol = 1e-9 if scale > 1e-300 else 1e-5
    for pair in ((effect * scale, causes), (effect, causes * scale)):
        result = granger_causality(*pair, max_lag=3)
        assert_allclose(result.p_value, plain.p_value, rtol=rtol)


@pytest.mark.parametrize("test", GRANGER_TESTS)
def test_no_warning_leaks(test):
    effect = noise(45)
    for series in (effect, np.ones(45), np.arange(45.0), np.eye(45)[3]):
        with warnings.catch_warnings(), np.errstate(all="raise"):
            warnings.simplefilter("error")
            causes = mixed_causes(effect)
            result = granger_causality(series, causes, max_lag=5, test=test)
        assert result.p_value.shape == (5, causes.shape[1])


@pytest.mark.parametrize("max_lag", [1, 2, 5])
def test_minimum_length_exactly(max_lag):
    n_times = 3 * max_lag + 2
    result = granger_causality(noise(n_times), noise(n_times, 2), max_lag=max_lag)
    assert_tested(result)
    assert result.df_denom[-1, 0] == 1
    with pytest.raises(ValueError, match=f"n_times={n_times - 1} is too short"):
        granger_causality(noise(n_times - 1), noise(n_times - 1), max_lag=max_lag)


def test_accepts_lists_integers_and_read_only_arrays():
    rng = np.random.default_rng(0)
    effect, causes = rng.integers(0, 9, 30), rng.integers(0, 9, (30, 2))
    plain = granger_causality(effect.astype(float), causes.astype(float), max_lag=3)
    read_only = effect.astype(float), causes.astype(float)
    for array in read_only:
        array.flags.writeable = False
    for pair in ((effect, causes), (effect.tolist(), causes.tolist()), read_only):
        assert_same_bits(granger_causality(*pair, max_lag=np.int64(3)), plain)


def test_inputs_are_left_alone():
    effect, causes = noise(40), mixed_causes(noise(40))
    before = effect.copy(), causes.copy()
    granger_causality(effect, causes, max_lag=3)
    assert_array_equal(effect, before[0])
    assert_array_equal(causes, before[1])


def test_shapes_of_the_result():
    effect, causes = noise(40), noise(40, 2)
    one = granger_causality(effect, causes[:, 0], max_lag=3)
    both = granger_causality(effect, causes, max_lag=3)
    none = granger_causality(effect, causes[:, :0], max_lag=3)
    for name in FIELDS:
        assert getattr(one, name).shape == (3, 1)
        assert getattr(both, name).shape == (3, 2)
        assert getattr(none, name).shape == (3, 0)
    assert_same_bits(one, both, [0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.statistic = None


def test_default_is_the_f_test_at_five_lags():
    effect, causes = noise(40), noise(40, 2)
    expected = granger_causality(effect, causes, max_lag=5, test="ssr_ftest")
    assert_same_bits(granger_causality(effect, causes), expected)


# Errors


@pytest.mark.parametrize(
    "change, error, match",
    [
        (
            {"test": "lrtest"},
            ValueError,
            "test='lrtest' is not known; use one of 'ssr_ftest', 'ssr_chi2test'.",
        ),
        ({"test": None}, TypeError, "test=None is not known; use one of 'ssr_ftest'"),
        ({"max_lag": 2.0}, TypeError, "max_lag=2.0 must be an int in"),
        ({"max_lag": True}, TypeError, "max_lag=True must be an int in"),
        ({"max_lag": 0}, ValueError, r"max_lag=0 must be an int in \[1, inf\)"),
        (
            {"max_lag": 10},
            ValueError,
            r"n_times=30 is too short for max_lag=10: n_times must exceed "
            r"3 \* max_lag \+ 1, so the largest max_lag that fits is 9; "
            r"use max_lag=9 or less, or at least 32 time steps",
        ),
        (
            {"effect": noise(4), "causes": noise(4)},
            ValueError,
            "n_times=4 .* largest max_lag that fits is 0; use at least 8 time steps",
        ),
        (
            {"effect": [], "causes": []},
            ValueError,
            "n_times=0 .* largest max_lag that fits is 0;",
        ),
        (
            {"effect": noise(30, 1)},
            ValueError,
            r"effect must have shape \(n_times,\); got \(30, 1\)",
        ),
        (
            {"causes": noise(30, 1, 1)},
            ValueError,
            r"causes must have shape .* got \(30, 1, 1\)",
        ),
        ({"causes": 1.0}, ValueError, r"causes must have shape .* got \(\)"),
        (
            {"causes": noise(2, 30)},
            ValueError,
            "causes has 2 time steps but effect has 30; .* time along the first axis",
        ),
        (
            {"effect": np.where(np.arange(30) == 4, np.nan, noise(30))},
            ValueError,
            "effect contains NaN or infinite values; drop or fill",
        ),
        (
            {"effect": np.where(np.arange(30) == 4, -np.inf, noise(30))},
            ValueError,
            "effect contains NaN or infinite values; drop or fill",
        ),
    ],
)
def test_errors_name_the_way_out(change, error, match):
    arguments = {"effect": noise(30), "causes": noise(30, 2), "max_lag": 2} | change
    with pytest.raises(error, match=match):
        granger_causality(arguments.pop("effect"), arguments.pop("causes"), **arguments)
