"""How accuracy falls with the share of weights pruned, criterion by criterion.

Run it from the root of the repository (it takes some ten minutes)::

    python benchmarks/compare_ratios.py --output benchmarks/compare_ratios.md

On four tables that come with scikit-learn, scaled, in stratified folds, the estimator
with its defaults is fitted with each criterion and ratio. "placebo" is chaos-causality
with every weight's exponents shuffled in time, which destroys whatever the exponents
say about the error: a criterion that is no better than its placebo ranks by something
else than what its name says. The dense network ("0") is the same for all criteria.
"""

import argparse
import tempfile
import warnings
from dataclasses import replace
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


class Placebo(ChaosCausality):
    """Chaos-causality without the information in the order of the windows."""

    def score(self, record):
        """Score a record whose exponents are shuffled in time, weight by weight."""
        rng = np.random.default_rng(record.seed)
        shuffled = rng.permuted(record.lyapunov_exponents, axis=0)
        return super().score(replace(record, lyapunov_exponents=shuffled))


CRITERIA = {
    "magnitude": "magnitude",
    "chaos_causality": "chaos_causality",
    "placebo": Placebo(),
    "random": "random",
}


def split_tables(seeds, n_folds):
    """Yield table name, seed, and training and test rows of every fold."""
    for (name, load), seed in product(TABLES.items(), seeds):
        X, y = load(return_X_y=True)
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for train, test in folds.split(X, y):
            yield name, seed, (X[train], y[train]), (X[test], y[test])


def score(criterion, ratio, seed, train, test, memory):
    """Accuracy in percent of one fit."""
    model = ChaosCausalPrunedMLP(
        prune_criterion=criterion, prune_ratio=ratio, memory=memory, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The weights are ranked by magnitude")
        return 100 * make_pipeline(StandardScaler(), model).fit(*train).score(*test)


def measure(seeds, n_folds):
    """Return accuracies: criterion, ratio -> table -> list over folds and seeds."""
    results = {}
    for name, seed, train, test in split_tables(seeds, n_folds):
        with tempfile.TemporaryDirectory() as memory:
            for criterion, ratio in product(CRITERIA, RATIOS):
                value = score(CRITERIA[criterion], ratio, seed, train, test, memory)
                tables = results.setdefault((criterion, ratio), {})
                tables.setdefault(name, []).append(value)
            value = score("magnitude", 0.0, seed, train, test, memory)
            results.setdefault("dense", {}).setdefault(name, []).append(value)
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
        "# Accuracy against the share of weights pruned",
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
    for criterion in CRITERIA:
        cells = [f"{mean(results[criterion, ratio]):.1f}" for ratio in RATIOS]
        lines.append(f"| {criterion} | " + " | ".join(cells) + " |")
    for other in ("placebo", "magnitude"):
        cells = []
        for ratio in RATIOS:
            value, error = paired_difference(results, ratio, "chaos_causality", other)
            cells.append(f"{value:+.1f} ± {error:.1f}")
        lines.append(f"| chaos_causality - {other} | " + " | ".join(cells) + " |")
    packages = ("skchaosprune", "scikit-learn", "numpy", "numba", "torch")
    lines += ["", "The differences are paired over fits, ± their standard error.", ""]
    lines.append(", ".join(f"{name} {version(name)}" for name in packages) + ".")
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
        options.output.write_text(text)


if __name__ == "__main__":
    main()
