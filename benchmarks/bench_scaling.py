"""Measure how time and memory of a fit grow with rows, weights and windows.

Run ``python benchmarks/bench_scaling.py``; Markdown tables are printed. Linux only, as
peaks are read as in ``bench_memory.py``. It takes a few minutes, and up to 2 GB.

Every fit runs in a process of its own, after two tiny fits that import and compile, on
one thread: chaos-causality at its defaults, batches of 32 rows, one round. *peak* is
the largest memory in use during the fit above that during the tiny one; *held* is what
the method has to hold, one window of weights in float64 and one float32 number per
window and weight: (8 x window_size + 4 x n_windows) x n_weights bytes. Rows and a few
arrays of one number per weight come on top, so the ratio of the two falls as nets grow;
what must not happen is that it rises. *growth* is the time over that of the row above:
with ten times the weights or windows it should be at most about ten. More rows mean
more steps, hence more windows until there are about 150 of them, and every window asks
for the error of all rows: up to there the time grows faster than the rows.

The last table has two wide nets: 784-300-100-10 on 10,000 rows for 10 epochs, which has
to fit into 4 GB and 10 minutes, and one of a million weights for one epoch.
"""

import json
import os
import subprocess
import sys
import warnings
from importlib.metadata import version
from time import perf_counter

from bench_memory import make_rows, read_peak, reset_peak

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune.criteria import ChaosCausality

PACKAGES = ("skchaosprune", "numpy", "numba", "scikit-learn", "torch")
# rows, features, hidden units, epochs, record_every
TABLES = {
    "rows": {
        "1,000": (1_000, 20, [32], 20, "auto"),
        "10,000": (10_000, 20, [32], 20, "auto"),
        "100,000": (100_000, 20, [32], 20, "auto"),
    },
    "weights": {
        "1,000": (2_000, 40, [20], 20, "auto"),
        "10,000": (2_000, 190, [50], 20, "auto"),
        "100,000": (2_000, 990, [100], 20, "auto"),
        "1,000,000": (2_000, 990, [1_000], 20, "auto"),
    },
    "windows": {
        "20": (1_000, 190, [50], 30, 1),
        "200": (1_000, 190, [50], 282, 1),
        "2,000": (1_000, 190, [50], 2_814, 1),
    },
    "wide net": {
        "784-300-100-10": (10_000, 784, [300, 100], 10, "auto"),
        "990-1000-10, one epoch": (10_000, 990, [1_000], 1, "auto"),
    },
}
LARGEST_GROWTH = 25.0  # of quadratic growth it would be 100
LARGEST_WIDE = {"bytes": 4e9, "seconds": 600.0}


def fit(n_rows, n_features, hidden, n_epochs, record_every):
    """Fit one net; return its seconds, peak, weights and windows."""
    X, y = make_rows(n_rows, n_features)
    model = ChaosCausalPrunedMLP(
        hidden,
        batch_size=32,
        max_iter=n_epochs,
        prune_criterion=ChaosCausality(record_every=record_every),
        random_state=0,
    )
    reset_peak()
    start = perf_counter()
    with warnings.catch_warnings():
        # one epoch of 313 steps has too few windows for the test
        warnings.filterwarnings("ignore", "The weights are ranked by magnitude")
        model.fit(X, y)
    seconds = perf_counter() - start
    return {
        "seconds": seconds,
        "peak": read_peak(),
        "n_weights": model.n_weights_,
        "n_windows": model.n_windows_,
        "record_every": model.record_every_,
    }


def measure_here(settings):
    """Fit twice tiny and once as asked, and print the findings."""
    for _ in range(2):
        tiny = fit(50, 5, [5, 3], 300, 1)
    found = fit(*settings)
    found["peak"] -= tiny["peak"]
    print(json.dumps(found))


def measure(settings):
    """Fit in a process of its own; return its findings."""
    command = [sys.executable, __file__, "--here", json.dumps(settings)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    found = json.loads(done.stdout)
    window_size = ChaosCausality().window_size
    found["held"] = (8 * window_size + 4 * found["n_windows"]) * found["n_weights"]
    return found


def run_table(what, rows):
    """Print one table; return how the times and the ratios of memory grow."""
    print(f"| {what} | weights | windows | seconds | growth | peak, MB | held, MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    cells, growths = [], []
    for name, settings in rows.items():
        found = measure(settings)
        growth = ""
        if cells and what != "wide net":
            growths.append(found["seconds"] / cells[-1]["seconds"])
            growth = f"{growths[-1]:.1f}"
        cells.append(found)
        print(
            f"| {name} | {found['n_weights']:,} | {found['n_windows']} "
            f"| {found['seconds']:.2f} | {growth} | {found['peak'] / 1e6:,.0f} "
            f"| {found['held'] / 1e6:,.0f} |",
            flush=True,
        )
    print()
    return cells, growths


def main():
    """Print all tables."""
    found = {what: run_table(what, rows) for what, rows in TABLES.items()}
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{versions}; {os.cpu_count()} CPUs, one thread used.")
    for what, (cells, growths) in found.items():
        for growth in growths:
            assert growth <= LARGEST_GROWTH, f"{what}: {growth:.1f} times the time"
        large = cells[-1]
        if what != "rows":  # whose peak is the rows themselves
            assert large["peak"] <= 3 * large["held"], (
                f"{what}: {large['peak']:,} bytes"
            )
    for cell in found["wide net"][0]:
        assert cell["peak"] < LARGEST_WIDE["bytes"]
        assert cell["seconds"] < LARGEST_WIDE["seconds"]


if __name__ == "__main__":
    if "--here" in sys.argv:
        measure_here(json.loads(sys.argv[-1]))
    else:
        main()
