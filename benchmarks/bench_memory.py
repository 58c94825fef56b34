"""Measure the peak memory of a fit against what the method has to hold.

Run ``python benchmarks/bench_memory.py``; a Markdown table is printed. Linux only: the
peak comes from ``VmHWM`` in ``/proc/self/status``, and writing 5 to
``/proc/self/clear_refs`` resets it.

The net has 784 inputs, 50 and 30 hidden units and 10 classes, and is trained on 10,000
rows for three epochs of 30,000 iterations in all. Keeping its whole trajectory would
take 9.8 GB; the method has to hold one window of weights and one exponent per window
and weight. The peak of a fit may be at most three times that, above the peak of a tiny
fit in the same process, with everything imported and compiled and the data in place.
"""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune.criteria import ChaosCausality

PACKAGES = ("skchaosprune", "numpy", "numba", "scikit-learn", "torch")
LARGEST_RATIO = 3.0
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
        },
        ratio,
    )
    assert ratio <= LARGEST_RATIO, f"{ratio:.2f} times the window and the exponents"


def print_table(sizes, ratio):
    """Print the sizes, their ratio, and the environment."""
    print("| what | bytes |", "| --- | ---: |", sep="\n")
    for name, size in sizes.items():
        print(f"| {name} | {size:,} |")
    print(f"\nRatio: {ratio:.2f} (at most {LARGEST_RATIO:g} allowed).")
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{versions}; {os.cpu_count()} CPUs.")


if __name__ == "__main__":
    if "--here" in sys.argv:
        measure()
    else:  # a process of its own, whatever started this one
        subprocess.run([sys.executable, __file__, "--here"], check=True)
