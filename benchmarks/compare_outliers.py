"""What targets with outliers do to a regressor, with squared errors and with Huber's.

Run it from the root of the repository (it takes a minute)::

    python benchmarks/compare_outliers.py --output benchmarks/compare_outliers.md

A share of the training targets is moved by 20 standard deviations, up or down; R2 is
that of rows whose targets are as they were. The networks have the defaults but for
``prune_criterion="magnitude"``.
"""

import argparse
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1, make_regression
from sklearn.linear_model import HuberRegressor, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLPRegressor

N_TRAIN = 300
SHARES = (0.0, 0.01, 0.03, 0.1, 0.2)
DISTANCE = 20.0  # in standard deviations
PACKAGES = ("skchaosprune", "scikit-learn", "numpy", "numba", "torch")


def load_shuffled_diabetes(seed):
    """Return the rows of diabetes in another order."""
    X, y = load_diabetes(return_X_y=True)
    order = np.random.RandomState(seed).permutation(len(y))
    return X[order], y[order]


TABLES = {
    "friedman1, noise 1": lambda seed: make_friedman1(
        1000, noise=1.0, random_state=seed
    ),
    "regression, noise 50": lambda seed: make_regression(
        1000, 10, n_informative=5, noise=50.0, random_state=seed
    ),
    "diabetes": load_shuffled_diabetes,
}


def make_ours(loss, seed):
    """Return our regressor."""
    return ChaosCausalPrunedMLPRegressor(
        loss=loss, prune_criterion="magnitude", random_state=seed
    )


MODELS = {
    "squared error": lambda seed: make_ours("squared_error", seed),
    "Huber": lambda seed: make_ours("huber", seed),
    "Ridge": lambda seed: Ridge(),
    "HuberRegressor": lambda seed: HuberRegressor(max_iter=1000),
}


def spoil(y, share, seed):
    """Move a share of the targets far away."""
    rng = np.random.RandomState(seed)
    moved = rng.permutation(y.size)[: round(share * y.size)]
    y = y.copy()
    y[moved] += DISTANCE * y.std() * rng.choice([-1.0, 1.0], moved.size)
    return y


def score(table, model, share, seed):
    """Return R2 on rows whose targets were not touched."""
    X, y = TABLES[table](seed)
    fitted = make_pipeline(StandardScaler(), MODELS[model](seed))
    fitted.fit(X[:N_TRAIN], spoil(y[:N_TRAIN], share, seed))
    return fitted.score(X[N_TRAIN:], y[N_TRAIN:])


def format_report(seeds):
    """Measure, and format everything as Markdown."""
    lines = [
        "# Targets with outliers",
        "",
        f"Printed by `{command_line(seeds)}`.",
        "",
        "R2 on rows whose targets are as they were, mean ± standard deviation over "
        f"{len(seeds)} draws of rows, outliers and initial weights; {N_TRAIN} rows to "
        f"train on, of which a share has its target moved by {DISTANCE:g} standard "
        "deviations, up or down. Squared error and Huber are "
        "`ChaosCausalPrunedMLPRegressor` with its defaults, but for "
        "`prune_criterion='magnitude'`.",
        "",
        f"| table | share of outliers | {' | '.join(MODELS)} |",
        "|---" + "|---:" * (len(MODELS) + 1) + "|",
    ]
    for table in TABLES:
        for share in SHARES:
            cells = []
            for model in MODELS:
                values = [score(table, model, share, seed) for seed in seeds]
                cells.append(f"{np.mean(values):.2f} ± {np.std(values):.2f}")
            lines.append(f"| {table} | {100 * share:g} % | {' | '.join(cells)} |")
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    lines += ["", f"Python {platform.python_version()}, {packages}."]
    return "\n".join(lines) + "\n"


def command_line(seeds):
    """Return the command that repeats this run."""
    return "python benchmarks/compare_outliers.py --seeds " + " ".join(map(str, seeds))


def main():
    """Read the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        description="Compare the losses of a regressor where targets have outliers."
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    report = format_report(options.seeds)
    print(report, end="")
    if options.output is not None:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
