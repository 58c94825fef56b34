"""How accuracy falls with the share of weights pruned in one round, as in the paper.

Run it from the root of the repository (it takes some ten minutes)::

    python benchmarks/compare_ratios.py --output benchmarks/compare_ratios.md

On four tables that come with scikit-learn, scaled, in stratified folds, the estimator
with its defaults but ``n_rounds=1`` is fitted with each criterion and ratio. "placebo"
is chaos-causality with every weight's exponents shuffled in time, which destroys
whatever the exponents say about the error: a criterion that is no better than its
placebo ranks by something else than what its name says. "no repair" is with
``keep_connected=False``, "5 rounds" with ``n_rounds=5``. The second table is
``prune_ratio=None``: the significance rule of the default criterion keeps the weights
with p < .05.
"""

import argparse
import tempfile
import warnings
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune.criteria import ChaosCausality

TABLES = {
    "breast_cancer": load_breast_cancer,
    "iris": load_iris,
    "wine": load_wine,
    "digits": load_digits,
}
RATIOS = (0.5, 0.7, 0.8, 0.9, 0.95)


# What is set beside the ratio.
ROWS = {
    "magnitude": {"prune_criterion": "magnitude"},
    "magnitude, 5 rounds": {"prune_criterion": "magnitude", "n_rounds": 5},
    "chaos_causal_magnitude": {},
    "chaos_causal_magnitude, no repair": {"keep_connected": False},
    "chaos_causality": {"prune_criterion": "chaos_causality"},
    "placebo": {"prune_criterion": ChaosCausality(placebo=True)},
    "random": {"prune_criterion": "random"},
    "chaos_causality, no repair": {
        "prune_criterion": "chaos_causality",
        "keep_connected": False,
    },
}


PAIRS = (
    ("chaos_causal_magnitude", "magnitude"),
    ("chaos_causality", "placebo"),
    ("chaos_causality", "magnitude"),
)


def split_tables(seeds, n_folds):
    """Yield table name, seed, and training and test rows of every fold."""
    for (name, load), seed in product(TABLES.items(), seeds):
        X, y = load(return_X_y=True)
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for train, test in folds.split(X, y):
            yield name, seed, (X[train], y[train]), (X[test], y[test])


def fit(options, train):
    """Fit one pipeline."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The weights are ranked by magnitude")
        warnings.filterwarnings("ignore", "The outputs of the pruned network")
        mlp = ChaosCausalPrunedMLP(**options)
        return make_pipeline(StandardScaler(), mlp).fit(*train)


def measure(seeds, n_folds):
    """Return accuracies: row, ratio -> table -> list over folds and seeds."""
    results = {}

    def note(key, name, value):
        results.setdefault(key, {}).setdefault(name, []).append(100 * value)

    for name, seed, train, test in split_tables(seeds, n_folds):
        with tempfile.TemporaryDirectory() as memory:
            shared = {"memory": memory, "random_state": seed, "n_rounds": 1}
            for (row, options), ratio in product(ROWS.items(), RATIOS):
                model = fit(shared | options | {"prune_ratio": ratio}, train)
                note((row, ratio), name, model.score(*test))
            model = fit(shared | {"prune_ratio": 0.0}, train)
            note("dense", name, model.score(*test))
            try:
                model = fit(shared | {"prune_ratio": None}, train)
            except ValueError as error:
                if not str(error).startswith("prune_ratio=None"):
                    raise
                note("undecided", name, 1)
                continue
            note("undecided", name, 0)
            note("rule", name, model.score(*test))
            note("kept", name, 1 - model[-1].sparsity_)
    return results


def mean(tables):
    """Mean over tables of the mean over folds and seeds."""
    return np.mean([np.mean(values) for values in tables.values()])


def paired_difference(results, ratio, first, second):
    """Mean difference of two criteria in points, and its standard error over fits."""
    a, b = results[first, ratio], results[second, ratio]
    differences = np.concatenate([np.subtract(a[name], b[name]) for name in a])
    return differences.mean(), differences.std(ddof=1) / np.sqrt(differences.size)


def report(results, seeds, n_folds):
    """Format the results as Markdown."""
    lines = [
        "# Accuracy against the share of weights pruned in one round",
        "",
        "Printed by `python benchmarks/compare_ratios.py --seeds "
        f"{' '.join(map(str, seeds))} --folds {n_folds}`.",
        "",
        f"Mean test accuracy in percent over {', '.join(TABLES)}. The dense networks "
        f"reach {mean(results['dense']):.1f}.",
        "",
        "| share pruned | " + " | ".join(map(str, RATIOS)) + " |",
        "|---|" + "---:|" * len(RATIOS),
    ]
    for row in ROWS:
        cells = [f"{mean(results[row, ratio]):.1f}" for ratio in RATIOS]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    for pair in PAIRS:
        cells = []
        for ratio in RATIOS:
            value, error = paired_difference(results, ratio, *pair)
            cells.append(f"{value:+.1f} ± {error:.1f}")
        lines.append(f"| {' - '.join(pair)} | " + " | ".join(cells) + " |")
    lines += ["", "The differences are paired over fits, ± their standard error.", ""]
    lines += ["| prune_ratio=None | " + " | ".join(TABLES) + " |"]
    lines += ["|---|" + "---:|" * len(TABLES)]
    for key, title in (
        ("dense", "dense accuracy"),
        ("rule", "accuracy"),
        ("kept", "share kept, mean"),
        ("kept range", "share kept, range"),
        ("undecided", "fits that could not decide"),
    ):
        cells = []
        for name in TABLES:
            values = results.get(key.split()[0], {}).get(name, [np.nan])
            text = f"{np.mean(values):.1f}"
            if key == "kept range":
                text = f"{min(values):.0f} to {max(values):.0f}"
            cells.append(text)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    packages = ("skchaosprune", "scikit-learn", "numpy", "numba", "torch")
    lines += ["", "In percent; fits that could not decide are left out above."]
    lines += ["", ", ".join(f"{name} {version(name)}" for name in packages) + "."]
    return "\n".join(lines) + "\n"


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    text = report(measure(options.seeds, options.folds), options.seeds, options.folds)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
