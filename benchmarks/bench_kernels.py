"""Time the Lyapunov and Granger kernels against the obvious way to do the same.

Run ``python benchmarks/bench_kernels.py``; the Markdown tables are printed.

- Lyapunov: windows per second of ``largest_lyapunov_exponent`` against brute force in
  numpy, which computes all pairwise distances of one window at a time, and against
  ``lyap_r`` of nolds with the same parameters. White noise and random walks, as the
  cost of the neighbour search may depend on the data. nolds goes on to fit a line
  through its divergence curve; what is compared is the curve's first slope.
- Granger: series per second of ``granger_causality`` against a loop over
  ``grangercausalitytests`` of statsmodels, for 5,000 causes, 150 times, and all lags up
  to 5 or 14. statsmodels computes four tests at a time, ours the F test alone.

Before timing, the sides are compared: exponents to 1e-9 (nolds: 1e-6), p-values to 1e-7
relative. They are measured in turn, on one thread; rates are medians, and the ratios
are medians of ratios within a turn. The slow ones take fewer series in a turn.
"""

import argparse
import os
from importlib.metadata import version
from statistics import median
from time import perf_counter

import nolds
import numpy as np
from statsmodels.tsa.stattools import grangercausalitytests
from threadpoolctl import threadpool_limits

from skchaosprune import granger_causality, largest_lyapunov_exponent

PACKAGES = ("skchaosprune", "nolds", "numpy", "numba", "scipy", "statsmodels")
WINDOW_SIZES = (50, 100, 200, 1000)
MAX_LAGS = (5, 14)
N_TIMES = 150
N_STEPS = 3
N_CAUSES = 5000
# What was aimed at; the script fails below 0.4 of it, as machines differ.
AIMS = {
    "nolds, 50": 400,
    "nolds, 100": 300,
    "nolds, 200": 400,
    "lags, 5": 500,
    "lags, 14": 200,
}


def white_noise(rng, shape):
    """Draw series along the first axis."""
    return rng.normal(size=shape)


def random_walks(rng, shape):
    """Draw series along the first axis."""
    return rng.normal(size=shape).cumsum(axis=0)


def naive_exponent(x):
    """Largest Lyapunov exponent of one series, from all pairwise distances."""
    y = (x - x.min()) / np.ptp(x)
    n_points = len(y) - 1 - N_STEPS
    squares = np.subtract.outer(y, y) ** 2
    distances = squares[:n_points, :n_points] + squares[1:-N_STEPS, 1:-N_STEPS]
    distances[(distances == 0.0) | (distances >= 1.0)] = np.inf
    last = n_points - 1 - np.argmin(distances[:, ::-1], axis=1)  # latest of a tie
    initial = distances[np.arange(n_points), last]
    i = np.flatnonzero(np.isfinite(initial))
    j = last[i]
    final = squares[i + 1, j + 1] + squares[i + 2, j + 2]
    final = final[final > 0.0]
    return (np.log(final).mean() - np.log(initial[i]).mean()) / 2


def naive_exponents(series):
    """Largest Lyapunov exponent of every column."""
    return np.array([naive_exponent(column) for column in series.T])


def nolds_exponents(series):
    """First slope of nolds' divergence curve, of every column."""
    exponents = []
    for column in series.T:
        _, (_, curve, _) = nolds.lyap_r(
            column,
            emb_dim=2,
            lag=1,
            min_tsep=0,
            trajectory_len=N_STEPS + 1,
            fit="poly",
            debug_data=True,
        )
        exponents.append(curve[1] - curve[0])
    return np.array(exponents)


def naive_p_values(effect, causes, max_lag):
    """P-values of the F test from statsmodels, ``(max_lag, n_causes)``."""
    p_values = np.empty((max_lag, causes.shape[1]))
    for column, cause in enumerate(causes.T):
        results = grangercausalitytests(np.column_stack([effect, cause]), max_lag)
        for lag in range(1, max_lag + 1):
            p_values[lag - 1, column] = results[lag][0]["ssr_ftest"][1]
    return p_values


def seconds(function, *arguments):
    """Time one call."""
    start = perf_counter()
    function(*arguments)
    return perf_counter() - start


def compare(ours, others, n_ours, n_others, n_repeats):
    """Time all in turn; return our median rate, then each other's and its ratio."""
    rates, ratios = [[] for _ in (ours, *others)], [[] for _ in others]
    for _ in range(n_repeats):
        rates[0].append(n_ours / seconds(ours))
        for other, n, column, ratio in zip(
            others, n_others, rates[1:], ratios, strict=True
        ):
            column.append(n / seconds(other))
            ratio.append(rates[0][-1] / column[-1])
    return [median(column) for column in rates], [median(column) for column in ratios]


def compare_lyapunov(draw, n_times, n_repeats):
    """Check and time one window size; return the rates and the ratios."""
    many = draw(np.random.default_rng(0), (n_times, 4096))
    few = many[:, : max(8, 12_800 // n_times)].copy()
    fewest = many[:, : max(4, 1600 // n_times)].copy()
    ours = largest_lyapunov_exponent(few, n_steps=N_STEPS)
    np.testing.assert_allclose(ours, naive_exponents(few), rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        ours[: fewest.shape[1]], nolds_exponents(fewest), rtol=0, atol=1e-6
    )
    return compare(
        lambda: largest_lyapunov_exponent(many, n_steps=N_STEPS),
        [lambda: naive_exponents(few), lambda: nolds_exponents(fewest)],
        many.shape[1],
        [few.shape[1], fewest.shape[1]],
        n_repeats,
    )


def compare_granger(max_lag, n_repeats):
    """Check and time one lag order; return the rates and the ratio."""
    rng = np.random.default_rng(0)
    many = rng.normal(size=(N_TIMES, N_CAUSES))
    effect = rng.normal(size=N_TIMES)
    effect[2:] += 0.3 * many[:-2, 0]  # one real cause
    few = many[:, :10].copy()
    np.testing.assert_allclose(
        granger_causality(effect, few, max_lag=max_lag).p_value,
        naive_p_values(effect, few, max_lag),
        rtol=1e-7,
    )
    return compare(
        lambda: granger_causality(effect, many, max_lag=max_lag),
        [lambda: naive_p_values(effect, few, max_lag)],
        many.shape[1],
        [few.shape[1]],
        n_repeats,
    )


def print_row(labels, rates, ratios):
    """Print our rate, then each other's and its ratio."""
    ours, *others = rates
    values = [f"{ours:,.0f}"]
    for rate, ratio in zip(others, ratios, strict=True):
        values += [f"{rate:,.1f}", f"{ratio:,.0f}"]
    print("|", " | ".join([*map(str, labels), *values]), "|")


def run_lyapunov(n_repeats):
    """Print the Lyapunov table; return the ratios to nolds."""
    print("Largest Lyapunov exponent, windows per second:\n")
    print("| series | window size | ours | numpy | ratio | nolds | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    found = {}
    for draw in (white_noise, random_walks):
        for n_times in WINDOW_SIZES:
            rates, ratios = compare_lyapunov(draw, n_times, n_repeats)
            print_row([draw.__name__.replace("_", " "), n_times], rates, ratios)
            found.setdefault(f"nolds, {n_times}", []).append(ratios[1])
    return found


def run_granger(n_repeats):
    """Print the Granger table; return the ratios."""
    print(f"\nGranger causality, series per second ({N_TIMES} times):\n")
    print("| lags | ours | statsmodels | ratio |")
    print("| ---: | ---: | ---: | ---: |")
    found = {}
    for max_lag in MAX_LAGS:
        rates, ratios = compare_granger(max_lag, n_repeats)
        print_row([max_lag], rates, ratios)
        found[f"lags, {max_lag}"] = ratios
    return found


def print_environment():
    """Print the versions of the packages and the number of CPUs."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{versions}; {os.cpu_count()} CPUs, one thread used.")


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    n_repeats = parser.parse_args().repeats
    with threadpool_limits(limits=1):
        ratios = run_lyapunov(n_repeats) | run_granger(n_repeats)
    print_environment()
    for name, aim in AIMS.items():
        found = ", ".join(f"{ratio:.0f}" for ratio in ratios[name])
        print(f"\nRatio, {name}: {found}; aim {aim}.")
        assert min(ratios[name]) >= 0.4 * aim, f"{name}: only {found}"


if __name__ == "__main__":
    main()
