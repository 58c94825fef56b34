"""Measure how time and memory of a fit grow, beside scikit-learn's network.

Run ``python benchmarks/bench_scaling.py``; Markdown tables are printed. Linux only, as
peaks are read as in ``bench_memory.py``. It takes half an hour, and up to 6 GB;
``--only rows`` prints one table.

Every fit runs in a process of its own, after two tiny fits that import and compile, on
one thread.

- *ours*: default parameters, but for batches of 32 rows and 5 epochs.
- *MLPClassifier*: the same hidden units, epochs and batches, ``solver="sgd"`` without
  momentum. It trains one network, we train two, and record and score the first.
- *defaults*: both with all parameters at their defaults but for the hidden units: ours
  takes 100 epochs of single rows, MLPClassifier up to 200 epochs of 200 rows with
  ``solver="adam"``, fewer once its loss stands still. A fit that takes longer than five
  minutes is stopped.

*growth* is the time over that of the row above: with ten times the rows, weights or
windows it should be at most about ten. More rows mean more steps, hence more windows
until there are about 150 of them, and every window asks for the error of up to 20,000
rows: up to there our time grows faster than the rows. *peak* is the largest memory in
use during the fit above that during the tiny one, without the rows themselves. *held*
is what the method has to hold, one window of weights in float64 and one float32 number
per window and weight: (8 x window_size + 4 x n_windows) x n_weights bytes.

The one-hot table has 10 columns of 100 categories each, as a dense array and as the CSR
array that ``OneHotEncoder`` makes; a row of it has 10 values that are not 0.

The last table is the time of a step with ``n_jobs=2`` over that with one thread, in
turn in one process: the results are the same bits.
"""

import argparse
import json
import os
import subprocess
import sys
import warnings
from importlib.metadata import version
from statistics import median
from time import perf_counter

import numpy as np
from bench_memory import make_rows, read_peak, reset_peak
from scipy.sparse import csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune.criteria import ChaosCausality, ChaosCausalMagnitude, Intervention

PACKAGES = ("skchaosprune", "numpy", "numba", "scikit-learn", "torch")
# rows, features, hidden units, epochs, record_every; a table has the others where the
# growth is not that of windows
TABLES = {
    "rows": {
        "1,000": ("noise", 1_000, 20, [32], 5, "auto"),
        "10,000": ("noise", 10_000, 20, [32], 5, "auto"),
        "100,000": ("noise", 100_000, 20, [32], 5, "auto"),
        "1,000,000": ("noise", 1_000_000, 20, [32], 5, "auto"),
    },
    "weights": {
        "1,000": ("noise", 2_000, 40, [20], 5, "auto"),
        "10,000": ("noise", 2_000, 190, [50], 5, "auto"),
        "100,000": ("noise", 2_000, 990, [100], 5, "auto"),
        "1,000,000": ("noise", 2_000, 990, [1_000], 5, "auto"),
    },
    "one-hot": {
        "100,000 x 1,000, dense": ("one-hot", 100_000, 1_000, [32], 5, "auto"),
        "100,000 x 1,000, CSR": ("one-hot, CSR", 100_000, 1_000, [32], 5, "auto"),
    },
    "windows": {
        "20": ("noise", 1_000, 190, [50], 30, 1),
        "200": ("noise", 1_000, 190, [50], 282, 1),
        "2,000": ("noise", 1_000, 190, [50], 2_814, 1),
    },
}
MODELS = ("ours", "MLPClassifier", "ours, defaults", "MLPClassifier, defaults")
LONGEST = 300  # seconds of a process
LARGEST_GROWTH = 25.0  # of quadratic growth it would be 100
LARGEST_PEAK = 3.0  # of what is held, beside a few numbers per weight


def make_one_hot(n_rows, n_features, as_csr):
    """Draw rows of one-hot encoded columns of 100 categories, and noisy classes."""
    rng = np.random.default_rng(0)
    n_columns = n_features // 100
    categories = rng.integers(100, size=(n_rows, n_columns))
    y = (categories[:, 0] + rng.integers(30, size=n_rows)) % 10
    columns = (categories + 100 * np.arange(n_columns)).ravel()
    ends = n_columns * np.arange(n_rows + 1)
    X = csr_array((np.ones(columns.size), columns, ends), shape=(n_rows, n_features))
    return X if as_csr else X.toarray(), y


def make_table(kind, n_rows, n_features):
    """Return the rows and their classes."""
    if kind == "noise":
        return make_rows(n_rows, n_features)
    return make_one_hot(n_rows, n_features, kind.endswith("CSR"))


def make_model(name, hidden, n_epochs, record_every):
    """Return an unfitted model."""
    if name == "ours, defaults":
        return ChaosCausalPrunedMLP(hidden, random_state=0)
    if name == "MLPClassifier, defaults":
        return MLPClassifier(hidden, random_state=0)
    if name == "MLPClassifier":
        return MLPClassifier(
            hidden,
            solver="sgd",
            momentum=0.0,
            batch_size=32,
            max_iter=n_epochs,
            tol=0.0,
            n_iter_no_change=n_epochs,
            random_state=0,
        )
    return ChaosCausalPrunedMLP(
        hidden,
        batch_size=32,
        max_iter=n_epochs,
        prune_criterion=ChaosCausalMagnitude(record_every=record_every),
        random_state=0,
    )


def fit(name, kind, n_rows, n_features, hidden, n_epochs, record_every):
    """Fit one model; return its seconds, peak, weights and windows."""
    X, y = make_table(kind, n_rows, n_features)
    model = make_model(name, hidden, n_epochs, record_every)
    reset_peak()
    before, start = read_peak(), perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it ends on purpose
        # few steps have too few windows for the test
        warnings.filterwarnings("ignore", "The weights are ranked by magnitude")
        model.fit(X, y)
    found = {"seconds": perf_counter() - start, "peak": read_peak() - before}
    if isinstance(model, ChaosCausalPrunedMLP):
        found |= {"n_weights": model.n_weights_, "n_windows": model.n_windows_ or 0}
    return found


def measure_here(name, settings):
    """Fit twice tiny and once as asked, and print the findings."""
    for _ in range(2):
        fit(name, "noise", 50, 5, [5, 3], 300, 1)
    print(json.dumps(fit(name, *settings)))


def measure(name, settings):
    """Fit in a process of its own; return its findings, or None where it is stopped."""
    command = [sys.executable, __file__, "--here", json.dumps([name, settings])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout)


def format_cell(found, above):
    """Format the seconds of a fit, their growth and its peak."""
    if found is None:
        return f"> {LONGEST} | | "
    growth = "" if above is None else f"{found['seconds'] / above['seconds']:.1f}"
    return f"{found['seconds']:.2f} | {growth} | {found['peak'] / 1e6:,.0f}"


def run_table(what, rows):
    """Print one table; return what was found, by row and model."""
    names = MODELS if what != "windows" else MODELS[:1]
    heads = " | ".join(f"{name}, s | growth | peak, MB" for name in names)
    print(f"| {what} | weights | windows | {heads} | held, MB |")
    print("| ---: |" + " ---: |" * (3 + 3 * len(names)))
    cells = []
    for label, settings in rows.items():
        found = {name: measure(name, settings) for name in names}
        above = cells[-1] if cells and what != "one-hot" else dict.fromkeys(names)
        cells.append(found)
        ours = found["ours"]
        per_weight = 8 * ChaosCausality().window_size + 4 * ours["n_windows"]
        ours["held"] = per_weight * ours["n_weights"]
        values = " | ".join(format_cell(found[name], above[name]) for name in names)
        print(
            f"| {label} | {ours['n_weights']:,} | {ours['n_windows']} | {values} "
            f"| {ours['held'] / 1e6:,.0f} |",
            flush=True,
        )
    print()
    return cells


def check_table(what, cells):
    """Assert that neither time nor memory of our fits grows out of proportion."""
    ours = [cell["ours"] for cell in cells]
    if what != "one-hot":
        for one, other in zip(ours[:-1], ours[1:], strict=True):
            growth = other["seconds"] / one["seconds"]
            assert growth <= LARGEST_GROWTH, f"{what}: {growth:.1f} times the time"
    if what in ("weights", "windows"):  # else the peak is that of rows
        peak = ours[-1]["peak"] / ours[-1]["held"]
        assert peak <= LARGEST_PEAK, f"{what}: {peak:.1f} times what is held"


def time_threads(model, method, rows):
    """Return the seconds of a call with one thread, and with two."""
    spent = []
    for n_jobs in (1, 2):
        call = getattr(model.set_params(n_jobs=n_jobs), method)
        start = perf_counter()
        call(*rows)
        spent.append(perf_counter() - start)
    return spent


def compare_threads(n_repeats=5):
    """Print what two threads save, in turn with one."""
    few, many = make_rows(2_000, 190), make_rows(100_000, 20)
    causal = {"prune_criterion": ChaosCausality(record_every=1), "max_iter": 14}
    doing = {"prune_criterion": Intervention(), "max_iter": 5}
    descent = {"prune_criterion": "magnitude", "max_iter": 1, "prune_ratio": 0.9}
    print("| call | rows | weights | one thread, s | two threads, share |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for label, hidden, options, rows, method in (
        ("fit, ChaosCausality", [250], causal, few, "fit"),
        ("placebo_test of it", [250], causal, few, "placebo_test"),
        ("fit, Intervention", [50], doing, few, "fit"),
        ("placebo_test of it", [50], doing, few, "placebo_test"),
        ("fit, descent", [32], descent, many, "fit"),
    ):
        model = ChaosCausalPrunedMLP(
            hidden, batch_size=32, random_state=0, **options
        ).fit(*rows)
        turns = [time_threads(model, method, rows) for _ in range(n_repeats)]
        share = median(two / one for one, two in turns)
        print(
            f"| {label} | {len(rows[0]):,} | {model.n_weights_:,} "
            f"| {median(one for one, _ in turns):.2f} | {share:.2f} |",
            flush=True,
        )
    print()


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[*TABLES, "threads"])
    parser.add_argument("--here")
    options = parser.parse_args()
    if options.here is not None:
        measure_here(*json.loads(options.here))
        return
    wanted = [what for what in TABLES if options.only in (None, what)]
    found = {what: run_table(what, TABLES[what]) for what in wanted}
    if options.only in (None, "threads"):
        compare_threads()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{versions}; {os.cpu_count()} CPUs, one thread but for the last table.")
    for what, cells in found.items():
        check_table(what, cells)


if __name__ == "__main__":
    main()
