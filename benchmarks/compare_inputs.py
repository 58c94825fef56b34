"""Useless inputs: does pruning drop them, and is the network better for it?

Run it from the root of the repository (it takes some minutes)::

    python benchmarks/compare_inputs.py --output benchmarks/compare_inputs.md

Three made tables have 20 columns of noise each, beside the columns that the target
depends on. On each, the defaults (64 units, 100 epochs) prune more and more of the
weights; beside them five rounds of rewinding, and descents without swaps. An input is
used if a kept weight leads from it to an output. The script fails if descents without
swaps that prune .98 use more than half of the columns of noise on average, or are less
accurate than the dense networks.
"""

import argparse
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from reporting import format_table, short
from sklearn.datasets import make_classification, make_friedman1
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor

N_TRAIN, N_TEST, N_NOISE = 500, 2000, 20
RATIOS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
SEEDS = range(8)
FIVE, DESCENT, AUTO = "five rounds", "descent, no swaps", "defaults"
WAYS = {
    FIVE: {"retrain": "rewind", "n_rounds": 5},
    DESCENT: {"retrain": "descent", "n_swaps": 0},
    AUTO: {},
}


def make_friedman(n_rows, seed, *, n_noise=N_NOISE):
    """Make five inputs with a numeric target, two of which interact."""
    X, y = make_friedman1(n_rows, n_features=5 + n_noise, noise=1.0, random_state=seed)
    return X, y, 5


def make_xor(n_rows, seed, *, n_real=2):
    """Make inputs whose product decides the class, with a tenth of wrong labels."""
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((n_rows, n_real + N_NOISE))
    y = (X[:, :n_real].prod(axis=1) > 0.0) ^ (rng.uniform(size=n_rows) < 0.1)
    return X, y.astype(int), n_real


def make_clusters(n_rows, seed, *, n_real=5, n_redundant=0, n_noise=N_NOISE):
    """Make informative inputs, two clusters in each of three classes.

    Redundant inputs are random linear combinations of the informative ones.
    """
    X, y = make_classification(
        n_rows,
        n_features=n_real + n_redundant + n_noise,
        n_informative=n_real,
        n_redundant=n_redundant,
        n_classes=3,
        n_clusters_per_class=2,
        shuffle=False,  # of columns: the informative ones come first, then redundant
        random_state=seed,
    )
    return X, y, n_real


TABLES = {
    "friedman1": (ChaosCausalPrunedMLPRegressor, make_friedman),
    "XOR": (ChaosCausalPrunedMLP, make_xor),
    "make_classification": (ChaosCausalPrunedMLP, make_clusters),
}


def split(make_table, seed, *, n_train=N_TRAIN):
    """Return scaled rows to train on and to test on, and the number of real inputs."""
    X, y, n_real = make_table(n_train + N_TEST, seed)
    order = np.random.RandomState(seed).permutation(len(X))
    train, test = order[:n_train], order[n_train:]
    scaler = StandardScaler().fit(X[train])
    return (
        (scaler.transform(X[train]), y[train]),
        (scaler.transform(X[test]), y[test]),
        n_real,
    )


def run(table, seed):
    """Yield a row per share pruned and way."""
    kind, make_table = TABLES[table]
    train, test, n_real = split(make_table, seed)
    for ratio, way in product(RATIOS, WAYS):
        if ratio == 0.0 and way != AUTO:
            continue
        model = kind(prune_ratio=ratio, random_state=seed, **WAYS[way]).fit(*train)
        used = np.zeros(train[0].shape[1], dtype=bool)
        used[model.compact().selected_features_] = True
        yield {
            "table": table,
            "seed": seed,
            "ratio": ratio,
            "way": way,
            "score": model.score(*test),
            "real": used[:n_real].sum(),
            "noise": used[n_real:].sum(),
        }


def cell(frame, ratio, way):
    """Format the mean score, and the means of the inputs that are used."""
    part = frame[(frame["ratio"] == ratio) & (frame["way"] == way)]
    if part.empty:
        return ""
    score, real, noise = part[["score", "real", "noise"]].mean()
    return f"{score:.3f} ({real:.1f}, {noise:.1f})"


def write_report(frame):
    """Format the results as Markdown."""
    lines = [
        "# Useless inputs",
        "",
        "Made by `python benchmarks/compare_inputs.py`.",
        "",
        f"{N_TRAIN} rows to train on, {N_TEST} to test on, {len(SEEDS)} seeds; "
        f"{N_NOISE} columns of noise in each table. R2 (friedman1) or accuracy on the "
        "test rows; in parentheses how many of the real inputs and of the columns of "
        "noise are used, on average. The first column is the dense network. "
        f'"{AUTO}" rewinds once at .5 and takes a descent above, with 5 swaps where at '
        "most 50 weights per output are kept.",
        "",
    ]
    for table in TABLES:
        part = frame[frame["table"] == table]
        rows = [[way, *(cell(part, r, way) for r in RATIOS)] for way in WAYS]
        lines += format_table([table, *map(short, RATIOS)], rows)
    packages = ("skchaosprune", "scikit-learn", "numpy", "numba")
    lines.append(", ".join(f"{name} {version(name)}" for name in packages) + ".")
    return "\n".join(lines) + "\n"


def check(frame):
    """Fail if the sparsest networks use much noise, or are worse than dense ones."""
    means = frame.groupby(["table", "ratio", "way"])[["score", "noise"]].mean()
    for table in TABLES:
        dense, sparse = means.loc[table, 0.0, AUTO], means.loc[table, 0.98, DESCENT]
        assert sparse["noise"] <= N_NOISE / 2, (table, sparse)
        assert sparse["score"] >= dense["score"], (table, sparse, dense)


def main():
    """Fit, write, print and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="also write the report here")
    options = parser.parse_args()
    frame = pd.DataFrame(
        row for table, seed in product(TABLES, SEEDS) for row in run(table, seed)
    )
    text = write_report(frame)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    check(frame)


if __name__ == "__main__":
    main()
