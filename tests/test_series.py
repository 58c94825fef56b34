"""Series of any type: both public kernels take the same ones, and refuse the same."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from skchaosprune import granger_causality, largest_lyapunov_exponent

N = 40
INTEGERS = np.random.default_rng(0).integers(-50, 50, N)
BITS = INTEGERS % 2 == 0
HALVES = INTEGERS / 2  # exact in all types

# The kernels, as functions of one series.
KERNELS = {
    "exponent": largest_lyapunov_exponent,
    "effect": lambda series: granger_causality(series, HALVES[::-1], max_lag=2).p_value,
    "causes": lambda series: granger_causality(HALVES[::-1], series, max_lag=2).p_value,
}
NAMES = {"exponent": "series", "effect": "effect", "causes": "causes"}
GAP = np.where(np.arange(N) == 7, np.nan, HALVES)


def with_gap(missing, dtype=object):
    series = HALVES.astype(dtype)
    series[7] = missing
    return series


VALID = {
    "list": (HALVES.tolist(), HALVES),
    "tuple": (tuple(HALVES), HALVES),
    "integers": (INTEGERS, INTEGERS),
    "int8": (INTEGERS.astype(np.int8), INTEGERS),
    "uint64": (np.abs(INTEGERS).astype(np.uint64), np.abs(INTEGERS)),
    "bool": (BITS, BITS.astype(float)),
    "list of bool": (BITS.tolist(), BITS.astype(float)),
    "float16": (HALVES.astype(np.float16), HALVES),
    "longdouble": (HALVES.astype(np.longdouble), HALVES),
    "big endian": (HALVES.astype(">f8"), HALVES),
    "matrix column": (pd.DataFrame({"a": HALVES})["a"], HALVES),
    "objects": (HALVES.astype(object), HALVES),
    "objects of bool": (BITS.astype(object), BITS.astype(float)),
    "decimals": (np.array([Decimal(x) for x in HALVES]), HALVES),
    "fractions": (np.array([Fraction(x) for x in HALVES]), HALVES),
    "mixed": (
        [Decimal(x) if i % 2 else np.float32(x) for i, x in enumerate(HALVES)],
        HALVES,
    ),
    "pandas Float64": (pd.Series(HALVES, dtype="Float64"), HALVES),
    "pandas Int64": (pd.Series(INTEGERS, dtype="Int64"), INTEGERS),
    "pandas boolean": (pd.Series(BITS, dtype="boolean"), BITS.astype(float)),
    "categories of numbers": (pd.Series(INTEGERS).astype("category"), INTEGERS),
    "masked, nothing hidden": (np.ma.masked_array(HALVES), HALVES),
}
MISSING = {
    "nan": GAP,
    "None": with_gap(None),
    "NA": with_gap(pd.NA),
    "nan in objects": with_gap(np.nan),
    "None in a list": with_gap(None).tolist(),
    "pandas Float64": pd.Series(GAP).astype("Float64").mask(np.isnan(GAP)),
    "masked": np.ma.masked_array(HALVES, np.isnan(GAP)),
    "masked integers": np.ma.masked_array(INTEGERS, np.isnan(GAP)),
    "masked objects": np.ma.masked_array(with_gap("junk"), np.isnan(GAP)),
    "infinity": with_gap(np.inf, float),
    "infinite decimal": with_gap(Decimal("inf")),
}
NO_NUMBERS = {
    "strings": HALVES.astype(str),
    "list of strings": ["1.5"] * N,
    "a string among numbers": with_gap("1.5"),
    "bytes": HALVES.astype(bytes),
    "complex": HALVES + 1j,
    "a complex object": with_gap(1j),
    "dates": np.arange(N).astype("datetime64[s]"),
    "spans of time": np.arange(N).astype("timedelta64[ns]"),
    "a span of time among numbers": with_gap(np.timedelta64(1, "ns")),
    "NaT": with_gap(pd.NaT),
    "a list among numbers": with_gap(None, object).tolist()[:-1] + [{}],
    "signaling NaN": with_gap(Decimal("sNaN")),
    "records": np.zeros(N, dtype=[("a", float)]),
    "long strings": np.array(["x" * 10_000] * N, dtype=object),
}
TOO_LARGE = {
    "int": with_gap(10**400),
    "list of an int": with_gap(10**400).tolist(),
    "fraction": with_gap(Fraction(10**400)),
    "decimal": with_gap(Decimal("1e400")),
}
if np.finfo(np.longdouble).max > np.finfo(float).max:
    TOO_LARGE["longdouble"] = with_gap(np.longdouble("1e400"), np.longdouble)


@pytest.mark.parametrize("case", VALID)
def test_numbers_of_any_type_give_the_bits_of_floats(case):
    for kernel in KERNELS:
        series, floats = VALID[case]
        expected = KERNELS[kernel](np.array(floats, dtype=np.float64))
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(KERNELS[kernel](series), expected)


@pytest.mark.parametrize("case", MISSING)
def test_missing_values_are_nan(case):
    for kernel in KERNELS:
        if kernel == "effect":
            with pytest.raises(
                ValueError, match="effect contains NaN or infinite values"
            ):
                KERNELS[kernel](MISSING[case])
        else:
            assert np.isnan(KERNELS[kernel](MISSING[case])).all()


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_other_values_are_refused_in_the_same_words(case):
    for kernel in KERNELS:
        name = NAMES[kernel]
        match = (
            rf"^{name} has (dtype|the value) .*, but real numbers are needed; convert"
        )
        with pytest.raises(TypeError, match=match) as caught:
            KERNELS[kernel](NO_NUMBERS[case])
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("case", TOO_LARGE)
def test_finite_numbers_beyond_float64_are_refused(case):
    for kernel in KERNELS:
        with pytest.raises(
            ValueError, match=f"^{NAMES[kernel]} has a number that is too l"
        ):
            KERNELS[kernel](TOO_LARGE[case])


@pytest.mark.parametrize(
    "series", [None, 1.0, {1, 2}, {}, object(), np.zeros((2, 3, 4)), [[[1.0]]]]
)
def test_shapes_that_are_refused_in_the_same_words(series):
    for kernel in KERNELS:
        columns = {"exponent": "n_series", "causes": "n_causes"}.get(kernel)
        shapes = r"\(n_times,\)" + (rf" or \(n_times, {columns}\)" if columns else "")
        match = rf"^{NAMES[kernel]} must have shape {shapes}; got \("
        with pytest.raises(ValueError, match=match):
            KERNELS[kernel](series)


def test_lists_of_several_lengths_are_refused():
    for kernel in KERNELS:
        with pytest.raises(ValueError, match=f"^{NAMES[kernel]} is no array"):
            KERNELS[kernel]([[1.0, 2.0], [3.0]])


def test_sparse_series_are_refused():
    for kernel in KERNELS:
        with pytest.raises(
            TypeError, match=rf"^{NAMES[kernel]} is sparse; pass .*toarray"
        ):
            KERNELS[kernel](csr_array(HALVES[:, np.newaxis]))


def test_columns_of_a_frame_are_series():
    frame = pd.DataFrame(
        {
            "a": pd.Series(HALVES, dtype="Float64"),
            "b": BITS,
            "c": pd.Series(GAP).astype("Float64").mask(np.isnan(GAP)),
        }
    )
    columns = np.column_stack([HALVES, BITS, GAP])
    for compute in (KERNELS["exponent"], KERNELS["causes"]):
        np.testing.assert_array_equal(compute(frame), compute(columns))
    found = largest_lyapunov_exponent(frame)
    assert np.isnan(found).tolist() == [False, False, True]


def test_input_is_left_alone():
    series = np.ma.masked_array(HALVES.copy(), np.isnan(GAP))
    largest_lyapunov_exponent(series)
    assert (series.data == HALVES).all()
    assert (series.mask == np.isnan(GAP)).all()


def test_small_integers_as_lags():
    with pytest.raises(ValueError, match="too short for max_lag=100: n_times must"):
        granger_causality(HALVES, HALVES, max_lag=np.int8(100))
