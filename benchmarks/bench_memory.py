"""Measure the peak memory of a fit against what the method has to hold.

Run ``python benchmarks/bench_memory.py``; a Markdown table is printed. Linux only: the
peak comes from ``VmHWM`` in ``/proc/self/status``, and writing 5 to
``/proc/self/clear_refs`` resets it.

The net has 784 inputs, 50 and 30 hidden units and 10 classes, and is trained on 10,000
rows for three epochs of 30,000 iterations in all. Keeping its whole trajectory would
take 9.8 GB; the method has to hold one window of weights and one exponent per window
and weight. The peak of a fit may be at most three times that, above the peak of a tiny
fit in the same process, with everything imported and compiled and the data in place.

A second process fits a net with 16 hidden units for two epochs, prune_ratio=0.9 (a
descent), on a sparse table of 100,000 rows and 1,000 columns, 1 % of which are not 0,
and predicts its rows. The peak of both together, above the memory with the table in
place, may be at most a quarter of the table as a dense array. A third process compares
the time of such a fit of 10,000 rows with that of the same rows as a dense array, whose
results are the same bits.
"""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.sparse import random_array

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune.criteria import ChaosCausality

PACKAGES = ("skchaosprune", "numpy", "numba", "scikit-learn", "torch")
LARGEST_RATIO, LARGEST_SHARE = 3.0, 0.25
N_FEATURES = 1000
N_CLASSES = 10


def make_rows(n_rows, n_features):
    """Draw noisy rows around one centre per class."""
    rng = np.random.default_rng(0)
    y = np.arange(n_rows) % N_CLASSES
    X = rng.normal(size=(n_rows, n_features))
    X += rng.normal(scale=0.1, size=(N_CLASSES, n_features))[y]
    return X, y


def reset_peak():
    """Let the peak begin anew at the memory in use."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def read_peak():
    """Return the largest resident memory since the reset, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status has no VmHWM; this benchmark needs Linux.")


def fit_and_measure(X, y, hidden, max_iter):
    """Return the fitted model and the peak memory of the fit."""
    model = ChaosCausalPrunedMLP(
        hidden, batch_size=1, max_iter=max_iter, random_state=0
    )
    reset_peak()
    model.fit(X, y)
    return model, read_peak()


def measure():
    """Fit tiny and large in this process and print the table."""
    X, y = make_rows(10_000, 784)
    tiny = make_rows(50, 5)
    # 1,000 iterations reach every step, scoring included; the first fit compiles
    for _ in range(2):
        _, tiny_peak = fit_and_measure(*tiny, hidden=(5, 3), max_iter=20)
    model, peak = fit_and_measure(X, y, hidden=(50, 30), max_iter=3)
    window = ChaosCausality().window_size * model.n_weights_ * 8
    exponents = len(model.target_series_) * model.n_weights_ * 4
    ratio = (peak - tiny_peak) / (window + exponents)
    print_table(
        {
            "one window, float64": window,
            f"exponents of {len(model.target_series_)} windows, float32": exponents,
            "window and exponents": window + exponents,
            "peak above the tiny fit": peak - tiny_peak,
        }
    )
    print(f"\nRatio: {ratio:.2f} (at most {LARGEST_RATIO:g} allowed).\n")
    assert ratio <= LARGEST_RATIO, f"{ratio:.2f} times the window and the exponents"


def make_sparse_rows(n_rows):
    """Draw sparse rows, and two classes by the sum of a tenth of the columns."""
    rng = np.random.default_rng(0)
    shape = n_rows, N_FEATURES
    X = random_array(shape, density=0.01, random_state=rng, format="csr")
    sums = X[:, : N_FEATURES // 10].sum(axis=1)
    return X, (sums > np.median(sums)).astype(int)


def fit_sparse(X, y):
    """Fit, with a descent."""
    model = ChaosCausalPrunedMLP((16,), prune_ratio=0.9, max_iter=2, random_state=0)
    return model.fit(X, y)


def measure_sparse():
    """Fit and predict a sparse table in this process and print the table."""
    for _ in range(2):
        fit_sparse(*make_sparse_rows(1000))
    X, y = make_sparse_rows(100_000)
    reset_peak()
    before = read_peak()
    fit_sparse(X, y).predict(X)
    above, dense = read_peak() - before, 8 * X.shape[0] * X.shape[1]
    print_table(
        {
            "sparse table": X.data.nbytes + X.indices.nbytes + X.indptr.nbytes,
            "the same, dense": dense,
            "peak of fit and predict, above the sparse table": above,
        }
    )
    share = above / dense
    print(f"\nPeak by dense table: {share:.2f} (at most {LARGEST_SHARE:g} allowed).\n")
    assert share <= LARGEST_SHARE, f"{share:.2f} of the dense table"


def time_sparse():
    """Time fits of sparse and dense rows in turn and print the ratio."""
    fit_sparse(*make_sparse_rows(1000))
    X, y = make_sparse_rows(10_000)
    tables, times, models = (X, X.toarray()), [], []
    for table in tables:
        start = perf_counter()
        models.append(fit_sparse(table, y))
        times.append(perf_counter() - start)
    for one, other in zip(*(model.coefs_ for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    ratio = times[0] / times[1]
    print(f"Time of a fit of 10,000 such rows: {ratio:.2f} times that of dense ones.\n")


def print_table(sizes):
    """Print the sizes."""
    print("| what | bytes |", "| --- | ---: |", sep="\n")
    for name, size in sizes.items():
        print(f"| {name} | {size:,} |")


def print_versions():
    """Print the environment."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{versions}; {os.cpu_count()} CPUs.")


PARTS = {"dense": measure, "sparse": measure_sparse, "time": time_sparse}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        PARTS[sys.argv[1]]()
    else:  # processes of their own, whatever started this one
        for part in PARTS:
            subprocess.run([sys.executable, __file__, part], check=True)
        print_versions()
