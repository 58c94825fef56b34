"""The largest Lyapunov exponent against TISEAN, a slow oracle, and its own laws."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from skchaosprune._kernels.lyapunov import (
    _exponents,
    largest_lyapunov_exponent,
    minimum_length,
)
from tests import naive

# No warning of any kind may leak from a kernel, compiled or not.
pytestmark = pytest.mark.filterwarnings("error")

# Change the following manually to check seed insensitivity:
SEED_RANGE = range(1)

GOLDEN = json.loads(
    Path(__file__).with_name("data").joinpath("lyap_r.json").read_text(encoding="utf-8")
)

CASES = {case["name"]: case for case in GOLDEN["cases"]}
SHORT = CASES.pop("short_5")

PARAMETERS = [
    # embedding_dimension, delay, theiler_window, n_steps
    (2, 1, 0, 3),
    (2, 1, 0, 1),
    (2, 3, 0, 3),
    (2, 1, 1, 3),
    (2, 2, 10, 5),
    (1, 1, 0, 3),
    (1, 4, 3, 2),
    (3, 1, 0, 3),
    (3, 2, 5, 10),
    (5, 2, 2, 1),
]


def names(embedding_dimension, delay, theiler_window, n_steps):
    return {
        "embedding_dimension": embedding_dimension,
        "delay": delay,
        "theiler_window": theiler_window,
        "n_steps": n_steps,
    }


def as_series(case, configuration):
    if configuration == "author_f6":
        return np.array([float(f"{value:.6f}") for value in case["x"]])
    return np.array(case["x"], dtype=float)


def logistic_map(n_times, r=4.0, x=0.3):
    series = np.empty(n_times)
    for t in range(n_times):
        series[t] = x
        x = r * x * (1 - x)
    return series


def lorenz_system(n_times, step=0.01):
    """Return x every ``step``, after 30 units of time; the exponent is 0.906."""

    def move(_, state):
        x, y, z = state
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    times = 30.0 + step * np.arange(n_times)
    solution = solve_ivp(
        move, (0, times[-1]), [1.0, 1.0, 25.0], "DOP853", times, rtol=1e-9, atol=1e-9
    )
    return solution.y[0]


def henon_map(n_times, x=0.1, y=0.1):
    series = np.empty(n_times)
    for t in range(n_times):
        series[t] = x
        x, y = 1 - 1.4 * x * x + y, 0.3 * x
    return series


def momentum_descent(shape, rng):
    """Weights under SGD with momentum and noisy gradients: smooth and drifting."""
    series = np.empty(shape)
    weight = rng.standard_normal(shape[1])
    velocity = np.zeros(shape[1])
    for t in range(shape[0]):
        velocity = 0.9 * velocity - 0.01 * (weight + rng.standard_normal(shape[1]))
        weight = weight + velocity
        series[t] = weight
    return series


def with_outlier(shape, rng):
    series = rng.standard_normal(shape)
    series[shape[0] // 2] = 1e4
    return series


SERIES = {
    "white": lambda shape, rng: rng.standard_normal(shape),
    "walk": lambda shape, rng: rng.standard_normal(shape).cumsum(axis=0),
    "smooth": momentum_descent,
    "two_values": lambda shape, rng: rng.integers(0, 2, shape).astype(float),
    "four_values": lambda shape, rng: rng.integers(0, 4, shape).astype(float),
    "ten_values": lambda shape, rng: rng.integers(0, 10, shape).astype(float),
    "rounded": lambda shape, rng: momentum_descent(shape, rng).round(2),
    "plateaus": lambda shape, rng: np.maximum(rng.standard_normal(shape), 0.3),
    "outlier": with_outlier,
    "tiny_distances": lambda shape, rng: 10.0 ** rng.uniform(-170, 0, shape),
}


# Outside judges


def tisean(case, configuration, series, parameters):
    """Return its exponent; the oracle's where it never ends, 0 where it fails."""
    expected = case["exponents"][configuration]
    if expected == "hang":
        return naive.largest_lyapunov_exponent(series, **parameters)
    return 0.0 if expected in ("exit11", None) else expected


@pytest.mark.parametrize("configuration", GOLDEN["configurations"])
def test_agrees_with_tisean(configuration):
    parameters = GOLDEN["configurations"][configuration]
    comp, ref = {}, {}
    for name, case in CASES.items():
        if configuration in case["exponents"]:
            series = as_series(case, configuration)
            comp[name] = largest_lyapunov_exponent(series, **parameters)
            ref[name] = tisean(case, configuration, series, parameters)
    assert comp == pytest.approx(ref, rel=0, abs=1e-9)
    assert len(comp) >= 32


def test_refuses_the_series_tisean_cannot_use():
    for configuration, parameters in GOLDEN["configurations"].items():
        assert SHORT["exponents"][configuration] in ("hang", "too_short")
        with pytest.raises(ValueError, match="series has 5 values, too short"):
            largest_lyapunov_exponent(SHORT["x"], **parameters)


def test_logistic_map_has_exponent_ln_2():
    exponent = largest_lyapunov_exponent(logistic_map(5000))
    assert exponent == pytest.approx(math.log(2), abs=0.02)


def test_logistic_map_on_a_cycle_does_not_diverge():
    cycle = logistic_map(1200, r=3.5)[1000:]
    assert largest_lyapunov_exponent(cycle) == pytest.approx(0.0, abs=1e-6)


def test_first_slope_of_the_henon_map_is_biased_as_documented():
    assert largest_lyapunov_exponent(henon_map(5000)) == pytest.approx(0.30, abs=0.01)


@pytest.mark.slow
def test_first_slope_of_the_lorenz_system_depends_on_the_sampling_as_documented():
    x = lorenz_system(5000)
    unfolded = {"embedding_dimension": 5, "delay": 10, "theiler_window": 100}
    for parameters, low, high in (unfolded, 0.09, 0.24), ({}, 30.0, 40.0):
        exponent = largest_lyapunov_exponent(x, **parameters) / 0.01
        assert low < exponent < high
    unfolded = {"embedding_dimension": 5, "delay": 2, "theiler_window": 20}
    exponent = largest_lyapunov_exponent(lorenz_system(5000, 0.05), **unfolded) / 0.05
    assert 0.54 < exponent < 0.72


def test_white_noise_is_above_chaos_as_documented():
    noise = np.random.default_rng(0).standard_normal((50, 400))
    assert largest_lyapunov_exponent(noise).mean() == pytest.approx(1.25, abs=0.03)


# The oracle


def assert_agrees_with_the_oracle(series, parameters):
    comp = largest_lyapunov_exponent(series, **names(*parameters))
    ref = [naive.largest_lyapunov_exponent(column, *parameters) for column in series.T]
    np.testing.assert_allclose(comp, ref, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEED_RANGE)
@pytest.mark.parametrize("n_times", [50, 170])
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_agrees_with_the_oracle(parameters, n_times, seed):
    for make in SERIES.values():
        series = make((n_times, 2), np.random.default_rng(seed))
        assert_agrees_with_the_oracle(series, parameters)


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_agrees_with_the_oracle_on_the_shortest_series(parameters):
    for extra in range(4):
        shape = minimum_length(*parameters) + extra, 10
        for kind in ("white", "four_values"):
            series = SERIES[kind](shape, np.random.default_rng(extra))
            assert_agrees_with_the_oracle(series, parameters)


@settings(deadline=None)
@given(
    series=st.lists(st.integers(-5, 5), min_size=12, max_size=40),
    parameters=st.tuples(
        st.integers(1, 3), st.integers(1, 2), st.integers(0, 3), st.integers(1, 3)
    ),
)
def test_agrees_with_the_oracle_on_any_integers(series, parameters):
    comp = largest_lyapunov_exponent(series, **names(*parameters))
    ref = naive.largest_lyapunov_exponent(series, *parameters)
    assert comp == pytest.approx(ref, rel=0, abs=1e-12)


# Laws


@settings(deadline=None)
@given(
    series=st.lists(st.integers(-50, 50), min_size=6, max_size=60),
    power=st.integers(-60, 60),
    shift=st.integers(-1000, 1000),
)
def test_exact_scaling_and_shifting_change_nothing(series, power, shift):
    series = np.array(series, dtype=float)
    moved = (series + shift) * 2.0**power
    assert largest_lyapunov_exponent(moved) == largest_lyapunov_exponent(series)


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    factor=st.floats(1e-3, 1e3),
    sign=st.sampled_from([-1, 1]),
    shift=st.floats(-10, 10),
)
def test_scaling_and_shifting_change_nothing_but_rounding(seed, factor, sign, shift):
    series = np.random.default_rng(seed).standard_normal(60)
    moved = sign * factor * (series + shift)
    assert largest_lyapunov_exponent(moved) == pytest.approx(
        largest_lyapunov_exponent(series), rel=0, abs=1e-8
    )


# One result, however the series come in


@pytest.fixture(scope="module")
def block():
    """Smooth, noisy and tied series side by side, with their exponents."""
    rng = np.random.default_rng(0)
    series = np.hstack([make((60, 7), rng) for make in SERIES.values()])
    return series, largest_lyapunov_exponent(series)


def test_columns_are_computed_as_if_alone(block):
    series, exponents = block
    assert exponents.dtype == np.float64
    alone = [largest_lyapunov_exponent(column) for column in series.T]
    assert all(type(exponent) is float for exponent in alone)
    np.testing.assert_array_equal(alone, exponents)


@pytest.mark.parametrize(
    "lay_out",
    [
        np.asfortranarray,
        lambda series: np.repeat(series, 2, axis=1)[:, ::2],
        lambda series: np.repeat(series, 3, axis=0)[::3],
        lambda series: series[::-1].copy()[::-1],
    ],
    ids=["fortran", "every_other_column", "every_third_row", "negative_stride"],
)
def test_memory_layout_changes_nothing(block, lay_out):
    series, exponents = block
    np.testing.assert_array_equal(largest_lyapunov_exponent(lay_out(series)), exponents)


def test_permuted_columns_give_permuted_exponents(block):
    series, exponents = block
    permutation = np.random.default_rng(1).permutation(len(exponents))
    np.testing.assert_array_equal(
        largest_lyapunov_exponent(series[:, permutation]), exponents[permutation]
    )


@pytest.mark.parametrize("block_size, n_threads", [(1, 2), (3, 1), (32, 2)])
def test_blocks_and_threads_change_nothing(block, block_size, n_threads):
    series, exponents = block
    out = np.full(len(exponents), np.inf)

    def fill(start):
        columns = slice(start, start + block_size)
        _exponents(series[:, columns], out[columns], 2, 1, 0, 3, 0.0)

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(fill, range(0, len(exponents), block_size)))
    np.testing.assert_array_equal(out, exponents)


def test_input_is_left_alone_and_may_be_read_only(block):
    series, exponents = block
    read_only = series.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(largest_lyapunov_exponent(read_only), exponents)
    np.testing.assert_array_equal(read_only, series)
    assert largest_lyapunov_exponent(read_only[:, 0]) == exponents[0]


def test_lists_integers_and_single_precision_are_taken_as_floats():
    series = np.random.default_rng(0).integers(0, 100, 40)
    expected = largest_lyapunov_exponent(series.astype(float))
    assert expected > 0.5
    assert largest_lyapunov_exponent(series) == expected
    assert largest_lyapunov_exponent(series.astype(np.uint8)) == expected
    assert largest_lyapunov_exponent(series.tolist()) == expected
    assert largest_lyapunov_exponent(series.astype(np.float32)) == expected


def test_no_series_give_no_exponents():
    assert largest_lyapunov_exponent(np.empty((50, 0))).shape == (0,)


# Edges by name


def test_constant_series():
    series = np.tile([0.0, -3.5, 1e308, 5e-324], (50, 1))
    np.testing.assert_array_equal(largest_lyapunov_exponent(series), 0.0)
    assert [largest_lyapunov_exponent(column) for column in series.T] == [0.0] * 4


def test_static_tolerance_is_compared_with_the_range():
    series = np.random.default_rng(0).permutation(50) / 49 * 0.25  # range 0.25
    exponent = largest_lyapunov_exponent(series)
    assert exponent > 0.5
    assert largest_lyapunov_exponent(series, static_tolerance=0.25) == exponent
    above = np.nextafter(0.25, 1)
    assert largest_lyapunov_exponent(series, static_tolerance=above) == 0.0


@pytest.mark.parametrize("bad, time", [(np.nan, 20), (np.inf, 0), (-np.inf, 49)])
def test_non_finite_series_is_nan_and_leaves_its_neighbours_alone(bad, time):
    series = np.random.default_rng(0).standard_normal((50, 3))
    expected = largest_lyapunov_exponent(series)
    assert np.isfinite(expected).all()
    expected[1] = np.nan
    series[time, 1] = bad
    np.testing.assert_array_equal(largest_lyapunov_exponent(series), expected)
    assert math.isnan(largest_lyapunov_exponent(series[:, 1]))


def test_constant_but_for_one_nan_is_nan():
    series = np.ones(50)
    series[7] = np.nan
    assert math.isnan(largest_lyapunov_exponent(series, static_tolerance=1.0))


def test_range_that_overflows_is_nan():
    series = np.random.default_rng(0).standard_normal(50)
    series[3:5] = -1.7e308, 1.7e308
    assert math.isnan(largest_lyapunov_exponent(series))


def test_subnormal_range_is_not_constant():
    series = np.random.default_rng(0).integers(0, 2**20, 50).astype(float)
    exponent = largest_lyapunov_exponent(series)
    assert exponent > 0.5
    assert largest_lyapunov_exponent(series * 2.0**-1074) == exponent


def test_no_usable_pair():
    alternating = np.arange(50) % 2  # neighbours at distance 0 or sqrt(2) only
    assert largest_lyapunov_exponent(alternating) == 0.0


def test_only_neighbour_is_an_earlier_one_at_almost_the_whole_range():
    """The last point's: 9, 40 and 41 are Pythagorean, and rounding is just below 1."""
    series = [0.0, 0.0, 40.0, 9.0, 41.0]
    assert (9 / 41) ** 2 + (40 / 41) ** 2 == math.nextafter(1.0, 0.0)
    exponent = largest_lyapunov_exponent(series, n_steps=1)
    reference = naive.largest_lyapunov_exponent(series, n_steps=1)
    assert exponent == pytest.approx(reference, rel=0, abs=1e-12)


def test_pairs_that_all_meet_after_one_step():
    """S(0) exists and S(1) does not: the only pairs that differ come together."""
    series = [0.0, 1.0, 0.5, 1.0, 1.0]
    curve = naive.divergence_curve(np.array(series), 1, 1, 0, 1)
    assert curve[0] is not None
    parameters = {"embedding_dimension": 1, "n_steps": 1}
    exponent = largest_lyapunov_exponent(series, **parameters)
    assert exponent == naive.largest_lyapunov_exponent(series, 1, 1, 0, 1) == 0.0


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_too_short(parameters):
    """At the minimal length the first and the last point are a pair, and no other."""
    embedding_dimension, delay, theiler_window, n_steps = parameters
    shortest = minimum_length(*parameters)
    n_points = shortest - (embedding_dimension - 1) * delay - n_steps
    assert n_points - 1 == theiler_window + 1

    series = np.arange(shortest, dtype=float) ** 2
    assert largest_lyapunov_exponent(series, **names(*parameters)) != 0.0
    message = (
        f"series has {shortest - 1} values, too short .* "
        f"theiler_window={theiler_window} .* need at least {shortest}. Use a longer"
    )
    with pytest.raises(ValueError, match=message):
        largest_lyapunov_exponent(series[:-1], **names(*parameters))
    with pytest.raises(ValueError, match=message):
        largest_lyapunov_exponent(np.ones((shortest - 1, 3)), **names(*parameters))


def test_empty_series_is_too_short():
    with pytest.raises(ValueError, match="series has 0 values, too short"):
        largest_lyapunov_exponent(np.empty(0))


# Errors


@pytest.mark.parametrize(
    ("name", "smallest"),
    [
        ("embedding_dimension", 1),
        ("delay", 1),
        ("theiler_window", 0),
        ("n_steps", 1),
    ],
)
def test_integer_parameters(name, smallest):
    series = logistic_map(50)
    for integer in (smallest, np.int32(smallest)):
        assert math.isfinite(largest_lyapunov_exponent(series, **{name: integer}))

    interval = rf"\[{smallest}, inf\)"
    message = f"{name}={smallest - 1} must be an int in {interval}"
    with pytest.raises(ValueError, match=message):
        largest_lyapunov_exponent(series, **{name: smallest - 1})
    for value in (2.0, True, "2", None):
        message = f"{name}={value!r} must be an int in {interval}"
        with pytest.raises(TypeError, match=message):
            largest_lyapunov_exponent(series, **{name: value})


def test_numbers_of_any_size_and_type():
    series = logistic_map(50)
    with pytest.raises(ValueError, match="theiler_window=127 .* need at least 133"):
        largest_lyapunov_exponent(series, theiler_window=np.int8(127))
    with pytest.raises(ValueError, match="too short for one pair"):
        largest_lyapunov_exponent(series, theiler_window=10**400)
    exponent = largest_lyapunov_exponent(series, static_tolerance=0.25)
    assert (
        largest_lyapunov_exponent(series, static_tolerance=Fraction(1, 4)) == exponent
    )


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, 10**400])
def test_static_tolerance_out_of_range(value):
    shown = r"10+\.\.\.0+" if value == 10**400 else value
    message = rf"static_tolerance={shown} must be a number in \[0, inf\)"
    with pytest.raises(ValueError, match=message):
        largest_lyapunov_exponent(logistic_map(50), static_tolerance=value)


@pytest.mark.parametrize("value", ["0", None, True, 1j])
def test_static_tolerance_of_the_wrong_type(value):
    with pytest.raises(TypeError, match="static_tolerance=.* must be a number in"):
        largest_lyapunov_exponent(logistic_map(50), static_tolerance=value)


@pytest.mark.parametrize("shape", [(), (50, 2, 2)])
def test_series_with_the_wrong_number_of_dimensions(shape):
    message = r"series must have shape \(n_times,\) or \(n_times, n_series\); got \("
    with pytest.raises(ValueError, match=message):
        largest_lyapunov_exponent(np.zeros(shape))
