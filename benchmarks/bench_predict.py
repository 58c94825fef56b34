"""Time the import, and the prediction of one row, against scikit-learn and plain numpy.

Run ``python benchmarks/bench_predict.py``; the Markdown tables are printed.

- Import: fresh processes that import one thing and end. The time is that of the whole
  process; a second ratio is that of the times above a bare ``python -c pass``. The
  package imports its parts when they are first used, and is compared with
  ``import sklearn``; the classifier, for which scikit-learn has to be loaded, with
  scikit-learn's own.
- One row: networks trained for one epoch on random rows, half pruned by magnitude, one
  of them by .95.

  - *plain numpy* is written out below, on the arrays ``coefs_`` and ``intercepts_`` of
    the network that it is compared with. It checks nothing, and gets its row without
    the columns that a compact network does not use.
  - *validation + numpy* is scikit-learn's ``validate_data``, then plain numpy; the
    estimator is compared with it, the compact network with plain numpy alone.

Before timing, all outputs are compared with those of plain numpy. Everything is
measured in turn, on one thread; times are medians, and the ratios are medians of ratios
within a turn. The largest ratios are printed beside what is aimed at; above 1.2 times
that, the script fails.
"""

import os
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from statistics import median
from time import perf_counter

import numpy as np
from sklearn.utils.validation import validate_data
from threadpoolctl import threadpool_limits

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor

PACKAGES = ("skchaosprune", "numpy", "scipy", "scikit-learn")
BARE = "pass"
IMPORTS = {  # what is imported, and beside what
    "import skchaosprune": "import sklearn",
    "from skchaosprune import ChaosCausalPrunedMLP": (
        "from sklearn.neural_network import MLPClassifier"
    ),
}
NETWORKS = (  # is it a classifier, layer sizes, prune_ratio
    (False, (30, 32, 1), 0.5),
    (False, (30, 32, 16, 1), 0.5),
    (True, (30, 32, 1), 0.5),
    (True, (30, 32, 16, 1), 0.5),
    (True, (64, 64, 10), 0.5),
    (True, (64, 64, 32, 10), 0.5),
    (True, (784, 300, 100, 10), 0.5),
    (True, (784, 300, 100, 10), 0.95),
)
N_IMPORTS = 15
N_TURNS = 1000
LARGEST = {"import": 1.2, "estimator": 1.5, "compact": 2.0}
SLACK = 1.2  # for a busy machine


def seconds(function, n_calls=1):
    """Time ``n_calls`` calls, per call."""
    start = perf_counter()
    for _ in range(n_calls):
        function()
    return (perf_counter() - start) / n_calls


def measure(functions, n_turns, n_calls=1):
    """Time functions in turn: a dict of their names to seconds, one value per turn."""
    turns = [
        [seconds(function, n_calls) for function in functions.values()]
        for _ in range(n_turns)
    ]
    return dict(zip(functions, zip(*turns, strict=True), strict=True))


def median_ratio(ours, theirs, start=None):
    """Median over the turns of ours : theirs, both less what ``start`` took."""
    start = start or [0.0] * len(ours)
    turns = zip(ours, theirs, start, strict=True)
    return median((one - begin) / (other - begin) for one, other, begin in turns)


def run_python(code):
    """Run code in a process of its own."""
    subprocess.run([sys.executable, "-c", code], check=True)


def compare_imports():
    """Print the times of the imports; return the ratios."""
    codes = (BARE, *IMPORTS.values(), *IMPORTS)
    functions = {code: partial(run_python, code) for code in codes}
    measure(functions, 1)  # what is not yet compiled or in the page cache
    times = measure(functions, N_IMPORTS)
    print(f"Bare Python takes {1e3 * median(times[BARE]):.0f} ms.\n")
    print("| import | ms | beside | ms | ratio | without bare Python |")
    print("|---|---:|---|---:|---:|---:|")
    ratios = []
    for ours, theirs in IMPORTS.items():
        pair = times[ours], times[theirs]
        ratios += [median_ratio(*pair), median_ratio(*pair, times[BARE])]
        mine, other = (f"{1e3 * median(each):.0f}" for each in pair)
        shares = " | ".join(f"{ratio:.2f}" for ratio in ratios[-2:])
        print(f"| `{ours}` | {mine} | `{theirs}` | {other} | {shares} |")
    return ratios


def fit(is_classifier, sizes, prune_ratio):
    """Fit an estimator, and draw a row for it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, sizes[0]))
    y = np.arange(len(X)) % max(2, sizes[-1]) if is_classifier else X[:, 0]
    make = ChaosCausalPrunedMLP if is_classifier else ChaosCausalPrunedMLPRegressor
    model = make(
        sizes[1:-1],
        prune_criterion="magnitude",
        prune_ratio=prune_ratio,
        n_rounds=1,
        max_iter=1,
        random_state=0,
    )
    return model.fit(X, y), X[:1]


def forward(row, coefs, intercepts):
    """Compute what enters the output activation."""
    values = row
    for W, b in zip(coefs[:-1], intercepts[:-1], strict=True):
        values = np.maximum(values @ W + b, 0.0)
    return values @ coefs[-1] + intercepts[-1]


def plain_target(row, coefs, intercepts, mean, scale):
    """Predict with a regressor."""
    return forward(row, coefs, intercepts)[:, 0] * scale + mean


def plain_probabilities(row, coefs, intercepts):
    """Estimate the probabilities of two classes (one output) or more."""
    z = forward(row, coefs, intercepts)
    if z.shape[1] == 1:
        positive = 1.0 / (1.0 + np.exp(-z))
        return np.hstack([1.0 - positive, positive])
    shares = np.exp(z - z.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def plain_labels(row, coefs, intercepts, classes):
    """Predict with a classifier."""
    return classes[np.argmax(plain_probabilities(row, coefs, intercepts), axis=1)]


def plain_methods(network):
    """Return what plain numpy does for each method of an estimator or its compact form.

    The arrays are looked up here, so that this is not timed.
    """
    arrays = {"coefs": network.coefs_, "intercepts": network.intercepts_}
    if not hasattr(network, "classes_"):
        units = {"mean": network.target_mean_, "scale": network.target_scale_}
        return {"predict": partial(plain_target, **arrays, **units)}
    return {
        "predict": partial(plain_labels, **arrays, classes=network.classes_),
        "predict_proba": partial(plain_probabilities, **arrays),
    }


def call(network, name, row):
    """Call a method, looked up each time."""
    return getattr(network, name)(row)


def validate_and_predict(model, plain, row):
    """Let scikit-learn check the row, then predict in plain numpy."""
    return plain(validate_data(model, row, dtype=np.float64, reset=False))


def contestants(model, row):
    """Yield each method's name, and two pairs: what is the measure, and ours."""
    compact = model.compact()
    used = row[:, compact.selected_features_]
    plain_compact = plain_methods(compact)
    for name, plain in plain_methods(model).items():
        yield (
            name,
            {
                "validation + numpy": partial(validate_and_predict, model, plain, row),
                "estimator": partial(call, model, name, row),
            },
            {
                "plain numpy": partial(plain_compact[name], used),
                "compact": partial(call, compact, name, row),
            },
        )


def compare_pair(pair):
    """Time two functions that return the same: their microseconds, and the ratio."""
    theirs, ours = pair.values()
    np.testing.assert_allclose(ours(), theirs(), rtol=1e-9)
    # short slices, which other processes seldom cut
    n_calls = max(1, round(3e-4 / seconds(theirs, 5)))
    theirs, ours = measure(pair, N_TURNS, n_calls).values()
    return 1e6 * median(theirs), 1e6 * median(ours), median_ratio(ours, theirs)


def compare_rows():
    """Print the times of one row; return the ratios of estimators and compact forms."""
    print("\nMicroseconds for one row:\n")
    print(
        "| network | pruned | method | validation + numpy | estimator | ratio | "
        "plain numpy | compact | ratio |"
    )
    print("|---|---:|---|" + "---:|" * 6)
    ratios = {"estimator": [], "compact": []}
    for is_classifier, sizes, prune_ratio in NETWORKS:
        model, row = fit(is_classifier, sizes, prune_ratio)
        network = "-".join(map(str, sizes)) + (not is_classifier) * ", regressor"
        for name, *pairs in contestants(model, row):
            cells = []
            for pair in pairs:
                theirs, ours, ratio = compare_pair(pair)
                cells.append(f"{theirs:.1f} | {ours:.1f} | {ratio:.2f}")
                ratios[list(pair)[1]].append(ratio)
            print(f"| {network} | {prune_ratio} | {name} | {' | '.join(cells)} |")
    return ratios


def main():
    """Measure, print the tables, and hold the largest ratios against the aims."""
    ratios = {"import": compare_imports()}
    with threadpool_limits(1):
        ratios |= compare_rows()
    print("\n| largest ratio | measured | aim |", "|---|---:|---:|", sep="\n")
    for name, largest in LARGEST.items():
        print(f"| {name} | {max(ratios[name]):.2f} | {largest:g} |")
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{versions}; {os.cpu_count()} CPUs, one thread used.")
    for name, largest in LARGEST.items():
        ratio = max(ratios[name])
        assert ratio <= SLACK * largest, f"{name}: {ratio:.2f}, the aim is {largest:g}"


if __name__ == "__main__":
    main()
