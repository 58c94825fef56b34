"""Time the Lyapunov and Granger kernels against the obvious way to do the same.

Run ``python benchmarks/bench_kernels.py``; the Markdown tables are printed.

- Lyapunov: windows per second of ``largest_lyapunov_exponent`` against brute force in
  numpy, which computes all pairwise distances of one window at a time. White noise and
  random walks, as the cost of the neighbour search depends on the data.
- Granger: series per second of ``granger_causality`` against a loop over
  ``grangercausalitytests`` of statsmodels, 150 times and all lags up to 5 or 14.
  statsmodels computes four tests at a time, ours the F test alone.

Before timing, both sides are compared: exponents to 1e-9, p-values to 1e-7 relative.
Both sides are measured in turn, on one thread; rates are medians, and the ratios are
medians of ratios within a turn.
"""

import argparse
import os
from importlib.metadata import version
from statistics import median
from time import perf_counter

import numpy as np
from statsmodels.tsa.stattools import grangercausalitytests
from threadpoolctl import threadpool_limits

from skchaosprune import granger_causality, largest_lyapunov_exponent

PACKAGES = ("skchaosprune", "numpy", "numba", "scipy", "statsmodels")
WINDOW_SIZES = (50, 100, 200)
MAX_LAGS = (5, 14)
N_TIMES = 150
N_STEPS = 3
# With slack for a busy machine.
SMALLEST_RATIO = {"Lyapunov": 10, "Granger": 100}


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


def compare(ours, naive, n_ours, n_naive, n_repeats):
    """Time both in turn; return the median rates and the median ratio of rates."""
    rates = []
    for _ in range(n_repeats):
        rates.append((n_naive / seconds(naive), n_ours / seconds(ours)))
    naive_rates, our_rates = zip(*rates, strict=True)
    ratio = median(our_rate / naive_rate for naive_rate, our_rate in rates)
    return median(our_rates), median(naive_rates), ratio


def compare_lyapunov(draw, n_times, n_repeats):
    """Check and time one window size; return both rates and their ratio."""
    many = draw(np.random.default_rng(0), (n_times, 8192))
    few = many[:, :256].copy()
    np.testing.assert_allclose(
        largest_lyapunov_exponent(few), naive_exponents(few), rtol=0, atol=1e-9
    )
    return compare(
        lambda: largest_lyapunov_exponent(many, n_steps=N_STEPS),
        lambda: naive_exponents(few),
        many.shape[1],
        few.shape[1],
        n_repeats,
    )


def compare_granger(max_lag, n_repeats):
    """Check and time one lag order; return both rates and their ratio."""
    rng = np.random.default_rng(0)
    many = rng.normal(size=(N_TIMES, 8192))
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
        lambda: naive_p_values(effect, few, max_lag),
        many.shape[1],
        few.shape[1],
        n_repeats,
    )


def print_row(*labels, result):
    """Print both rates and their ratio."""
    our_rate, naive_rate, ratio = result
    values = f"{our_rate:,.0f} | {naive_rate:,.1f} | {ratio:,.0f}"
    print("|", " | ".join(str(label) for label in labels), "|", values, "|")


def run_lyapunov(n_repeats):
    """Print the Lyapunov table; return the ratios."""
    print("Largest Lyapunov exponent, windows per second:\n")
    print("| series | window size | ours | numpy brute force | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    ratios = []
    for draw in (white_noise, random_walks):
        for n_times in WINDOW_SIZES:
            result = compare_lyapunov(draw, n_times, n_repeats)
            print_row(draw.__name__.replace("_", " "), n_times, result=result)
            ratios.append(result[-1])
    return ratios


def run_granger(n_repeats):
    """Print the Granger table; return the ratios."""
    print(f"\nGranger causality, series per second ({N_TIMES} times):\n")
    print("| lags | ours | statsmodels | ratio |")
    print("| ---: | ---: | ---: | ---: |")
    ratios = []
    for max_lag in MAX_LAGS:
        result = compare_granger(max_lag, n_repeats)
        print_row(max_lag, result=result)
        ratios.append(result[-1])
    return ratios


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
        ratios = {
            "Lyapunov": run_lyapunov(n_repeats),
            "Granger": run_granger(n_repeats),
        }
    print_environment()
    for name, smallest in SMALLEST_RATIO.items():
        assert min(ratios[name]) >= smallest, f"{name}: only {min(ratios[name]):.0f}"


if __name__ == "__main__":
    main()
