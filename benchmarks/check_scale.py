"""Check rules that tell unscaled rows from scaled ones.

Run it from the root of the repository (it takes about ten minutes)::

    python benchmarks/check_scale.py --output benchmarks/check_scale.md

The rules of the package are in ``skchaosprune._scale``; variants stand at the top of
this file. The script measures, on tables that come with scikit-learn and statsmodels
and on made ones, how often each raises a false alarm and what it misses: rows that are
too large for the default learning rate (by ``column_sizes``), rows that are too small
(``row_size``) or far from 0 (``offset``), and rows unlike those that an estimator was
trained on (``outside_shares``, ``spread_ratios``).
"""

import argparse
import importlib
import platform
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._scale import describe_rows, explain_unlike, is_scaled

PACKAGES = ("skchaosprune", "scikit-learn", "statsmodels", "numpy", "scipy", "numba")

# ------------------------------------------------------------------------- the rules


def column_sizes(X):
    """Root mean square of a column, or the median of what is not 0, if smaller."""
    squares = np.sqrt(np.mean(X**2, axis=0))
    values = np.where(X == 0.0, np.nan, np.abs(X))
    return np.fmin(squares, np.nanmedian(values, axis=0))


def is_unlike(X_train, X_new):
    """Return whether the package warns of new rows."""
    return explain_unlike(X_new, describe_rows(X_train)) is not None


def row_size(X):
    """Root of the summed variances of the columns: how far rows are from the mean."""
    return float(np.sqrt(np.var(X, axis=0).sum()))


def offset(X):
    """Norm of the mean row in row sizes; 0 where all columns are constant."""
    size = row_size(X)
    return float(np.linalg.norm(X.mean(axis=0)) / size) if size > 0 else 0.0


def outside_shares(X_train, X_new, margin=0.5):
    """Share of new rows outside the widened training range; 0 for constant columns."""
    low, high = X_train.min(axis=0), X_train.max(axis=0)
    width = high - low
    outside = (X_new < low - margin * width) | (X_new > high + margin * width)
    return np.where(width > 0, outside.mean(axis=0), 0.0)


def spread_ratios(X_train, X_new):
    """Mean absolute deviation of the new rows over that of the old, by column."""
    old, new = (np.abs(X - X.mean(axis=0)).mean(axis=0) for X in (X_train, X_new))
    return new[old > 0] / old[old > 0]


# ------------------------------------------------------------------------ the tables

N_ROWS = 1000  # of a table, at most


def take(X, y, is_class, n_rows=N_ROWS, ordered=False):
    """Return complete rows as floats, at most ``n_rows`` of them."""
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    y = np.unique(y, return_inverse=True)[1] if is_class else y.astype(float)
    keep = np.flatnonzero(np.isfinite(X).all(axis=1) & np.isfinite(y))
    if len(keep) > n_rows and not ordered:
        keep = np.random.RandomState(0).permutation(keep)[:n_rows]
    return X[keep], y[keep], is_class


# table -> target, is it a class?, columns that are left out
STATSMODELS = {
    "anes96": ("vote", True, ()),
    "ccard": ("AVGEXP", False, ()),
    "committee": ("BILLS104", False, ()),
    "copper": ("WORLDCONSUMPTION", False, ()),
    "cpunish": ("EXECUTIONS", False, ()),
    "danish_data": ("lrm", False, ()),
    "engel": ("foodexp", False, ()),
    "fair": ("affairs", True, ()),
    "grunfeld": ("invest", False, ("firm",)),
    "heart": ("survival", False, ()),
    "interest_inflation": ("R", False, ()),
    "longley": ("TOTEMP", False, ()),
    "macrodata": ("unemp", False, ()),
    "modechoice": ("choice", True, ("mode",)),
    "randhie": ("mdvis", True, ()),
    "scotland": ("YES", False, ()),
    "spector": ("GRADE", True, ()),
    "stackloss": ("STACKLOSS", False, ()),
    "star98": ("NABOVE", False, ()),
    "statecrime": ("murder", False, ()),
    "strikes": ("duration", False, ()),
    "cancer": ("cancer", False, ()),
    "nile": ("volume", False, ()),
    "sunspots": ("SUNACTIVITY", False, ()),
    "elnino": ("DEC", False, ()),
}
TIMED = (  # rows in the order of time
    "copper",
    "danish_data",
    "interest_inflation",
    "longley",
    "macrodata",
    "nile",
    "sunspots",
    "elnino",
)


def real_tables():
    """Tables of scikit-learn and statsmodels: name -> X, y, is_class."""
    tables = {}
    for name in ("iris", "wine", "breast_cancer", "digits"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        tables[name] = take(X, y, True)
    tables["diabetes, raw"] = take(
        *datasets.load_diabetes(scaled=False, return_X_y=True), False
    )
    linnerud = datasets.load_linnerud()
    tables["linnerud"] = take(linnerud.data, linnerud.target[:, 1], False)
    for name, (target, is_class, left_out) in STATSMODELS.items():
        module = importlib.import_module(f"statsmodels.datasets.{name}")
        frame = module.load_pandas().data
        X = frame.drop(columns=[target, *left_out]).to_numpy(dtype=float)
        y = frame[target].to_numpy(dtype=float)
        y = y > 0 if is_class else y
        tables[name] = take(X, y, is_class, ordered=name in TIMED)
    return tables


def generated_tables():
    """Tables of scikit-learn's generators, as they come."""
    n, seed = 500, {"random_state": 0}
    make = datasets
    tables = {
        "classification": (make.make_classification(n, 10, n_informative=5, **seed), 1),
        "classification, 5 classes": (
            make.make_classification(n, 30, n_informative=15, n_classes=5, **seed),
            1,
        ),
        "moons": (make.make_moons(n, noise=0.25, **seed), 1),
        "circles": (make.make_circles(n, noise=0.1, factor=0.5, **seed), 1),
        "blobs": (make.make_blobs(n, 5, centers=4, cluster_std=3.0, **seed), 1),
        "hastie": (make.make_hastie_10_2(n, **seed), 1),
        "gaussian quantiles": (make.make_gaussian_quantiles(n_samples=n, **seed), 1),
        "friedman1": (make.make_friedman1(n, noise=1.0, **seed), 0),
        "friedman2": (make.make_friedman2(n, noise=50.0, **seed), 0),
        "friedman3": (make.make_friedman3(n, noise=0.1, **seed), 0),
        "regression": (make.make_regression(n, 20, noise=20.0, **seed), 0),
        "sparse uncorrelated": (make.make_sparse_uncorrelated(n, **seed), 0),
        "swiss roll": (make.make_swiss_roll(n, noise=0.3, **seed), 0),
        "s curve": (make.make_s_curve(n, noise=0.1, **seed), 0),
    }
    return {
        name: take(X, y, bool(is_class)) for name, ((X, y), is_class) in tables.items()
    }


def made_columns(rng, n):
    """Columns as they are found in tables of all kinds."""
    columns = {f"lognormal {s}": rng.lognormal(0, s, n) for s in (0.5, 1, 2, 3)}
    columns |= {f"one-hot {p}": rng.rand(n) < p for p in (0.001, 0.01, 0.1, 0.5)}
    columns["one-hot 0.001"][:1] = True  # never constant
    return columns | {
        "Cauchy": rng.standard_cauchy(n),
        "Pareto 1": rng.pareto(1.0, n),
        "Student t(2)": rng.standard_t(2, n),
        "exponential": rng.exponential(1.0, n),
        "zero-inflated counts": rng.poisson(20, n) * (rng.rand(n) < 0.05),
        "constant": np.full(n, 7.0),
        "codes 0 to 9": rng.randint(10, size=n),
        "codes 1 to 50": rng.randint(1, 51, size=n),
        "year": rng.randint(1990, 2024, size=n),
        "ID": np.arange(n) + 10_000.0,
        "date, days": 730_000.0 + rng.randint(3000, size=n),
        "date, seconds": 1.6e9 + rng.randint(10**8, size=n),
        "money": np.round(rng.lognormal(10, 1, n), 2),
        "percent": rng.uniform(0, 100, n),
        "age": np.round(rng.normal(45, 15, n).clip(0)),
        "pixel 0 to 255": rng.randint(256, size=n) * (rng.rand(n) < 0.2),
    }


def made_tables(n=500):
    """One made column beside four normal ones; y follows both, by the column's rank."""
    rng = np.random.RandomState(0)
    tables = {}
    for name, column in made_columns(rng, n).items():
        X = np.column_stack([column, rng.randn(n, 4)])
        rank = np.searchsorted(np.sort(X[:, 0]), X[:, 0], side="right") / n
        signal = X[:, 1] + X[:, 2] * X[:, 3] + 3.0 * rank + 0.3 * rng.randn(n)
        tables[f"made: {name}"] = take(X, signal > np.median(signal), True)
    codes = rng.zipf(1.5, (n, 3)).clip(max=60)
    signal = (codes[:, 0] < 2) + (codes[:, 1] % 2) + 0.3 * rng.randn(n)
    one_hot = OneHotEncoder(sparse_output=False).fit_transform(codes)
    tables["made: 3 one-hot encoded"] = take(one_hot, signal > np.median(signal), True)
    counts = rng.poisson(0.02 * rng.lognormal(0, 1, 300), (n, 300))
    counts[:, 0] += 1
    labels = counts[:, 1:60].sum(axis=1) > counts[:, 60:119].sum(axis=1)
    tables["made: word counts"] = take(counts, labels, True)
    return tables


# ------------------------------------------------------------------- part 1, no alarm


def log1p_signed(X):
    """Return the logarithm that also takes negative values."""
    return np.sign(X) * np.log1p(np.abs(X))


SCALERS = {
    "StandardScaler": StandardScaler,
    "MinMaxScaler": MinMaxScaler,
    "MaxAbsScaler": MaxAbsScaler,
    "RobustScaler": RobustScaler,
    "QuantileTransformer, uniform": lambda: QuantileTransformer(n_quantiles=100),
    "QuantileTransformer, normal": lambda: QuantileTransformer(
        n_quantiles=100, output_distribution="normal"
    ),
    "PowerTransformer": PowerTransformer,
    "Normalizer": Normalizer,
    "log1p, StandardScaler": lambda: make_pipeline(
        FunctionTransformer(log1p_signed), StandardScaler()
    ),
}
FOLD_SIZES = (10, 20, 50)


def scaled_sets(X, y, is_class):
    """Yield the way of scaling, rows made in this way, and their weights."""
    rng = np.random.RandomState(0)
    for name, make in SCALERS.items():
        yield name, make().fit_transform(X), None
    scaled = StandardScaler().fit_transform(X)
    orders = [rng.permutation(len(X)) for _ in range(20)]
    for rows in orders:
        half = StandardScaler().fit(X[rows[::2]])
        yield "StandardScaler of the other half", half.transform(X[rows[1::2]]), None
    for rows in orders:
        kept = rows[: int(0.8 * len(X))]
        yield "StandardScaler, then 80 % of the rows", scaled[kept], None
    for size in FOLD_SIZES:
        for rows in orders[:5]:
            for start in range(0, len(X) - size, size):
                fold = scaled[rows[start : start + size]]
                yield f"StandardScaler, then folds of {size} rows", fold, None
    if is_class:
        weights = (1.0 / np.bincount(y))[y]
        yield "StandardScaler, balanced weights", scaled, weights
    for _ in range(20):
        weights = rng.exponential(size=len(X))
        yield "StandardScaler, exponential weights", scaled, weights


THRESHOLDS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 10.0)


def measure_scaled(tables):
    """Return rows: way of scaling, table, largest sizes, row sizes, offsets, alarms."""
    rows = []
    for name, table in tables.items():
        found = {}
        for way, X, _ in scaled_sets(*table):
            size = row_size(X) or np.inf  # all columns constant: not our problem
            found.setdefault(way, []).append(
                (column_sizes(X).max(), size, offset(X), not is_scaled(X))
            )
        for way, sizes in found.items():
            rows.append((way, name, *np.array(sizes).T))
    return rows


# ----------------------------------------------------------------------- part 2, harm

LOSS = {True: 0.02, False: 0.05}  # of accuracy, of R2


def figures(X):
    """Return the three figures of a table: m, row size and offset."""
    return column_sizes(X).max(), row_size(X), offset(X)


def splits_of(X, y, is_class):
    """Return train and test rows, three times, or ten in a small table."""
    n = 3 if len(X) >= 200 else 10
    kind = StratifiedShuffleSplit if is_class else ShuffleSplit
    return list(kind(n, test_size=0.3, random_state=0).split(X, y))


def score(X, y, is_class, train, test, seed):
    """Accuracy, or R2 not below 0, of the untouched defaults; 0 where they diverge."""
    kind = ChaosCausalPrunedMLP if is_class else ChaosCausalPrunedMLPRegressor
    model = kind(prune_criterion="magnitude", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(X[train], y[train])
            return max(0.0, model.score(X[test], y[test])), False
        except (ValueError, FloatingPointError) as error:
            if "diverges" not in str(error):
                raise
            return 0.0, True


def scores(X, y, is_class, prepare=lambda X, train: X):
    """Return one score per split, and how many diverged."""
    results = [
        score(prepare(X, train), y, is_class, train, test, seed)
        for seed, (train, test) in enumerate(splits_of(X, y, is_class))
    ]
    return np.array([r[0] for r in results]), sum(r[1] for r in results)


def standardise(X, train):
    """Scale all rows by the training rows."""
    return StandardScaler().fit(X[train]).transform(X)


def compare(reference, variant, is_class):
    """Return mean loss, its standard error, and whether it hurts beyond doubt."""
    losses = reference - variant
    error = losses.std(ddof=1) / np.sqrt(len(losses))
    hurts = losses.mean() > LOSS[is_class] and losses.mean() > 2.0 * error
    return losses.mean(), error, bool(hurts)


def measure_raw(tables, references):
    """Return one row per raw table."""
    rows = []
    for name, (X, y, is_class) in tables.items():
        if len(X) < 30:
            continue
        if name not in references:
            references[name] = scores(X, y, is_class, standardise)[0]
        found, diverged = scores(X, y, is_class)
        rows.append((name, is_class, *figures(X), references[name], found, diverged))
        progress(name)
    return rows


BASES = (
    "iris",
    "wine",
    "breast_cancer",
    "digits",
    "diabetes, raw",
    "anes96",
    "classification",
    "moons",
    "friedman1",
    "regression",
)
FACTORS = (3, 5, 10, 20, 100)
SMALL = (0.3, 0.1, 0.05, 0.02, 0.01, 0.001, 1e-6)


def spoilt(X):
    """Yield name and rows of a scaled table with one column, or all, changed."""
    for factor in FACTORS:
        one, shifted = X.copy(), X.copy()
        one[:, 0] *= factor
        shifted[:, 0] += factor
        yield f"one column x {factor}", one
        yield f"one column + {factor}", shifted
        if factor <= 100:
            yield f"all columns x {factor}", X * factor
            yield f"all columns + {factor}", X + factor


def shrunk(X):
    """Yield name and rows of a scaled table made smaller."""
    for factor in SMALL:
        yield f"all columns x {factor:g}", X * factor


def measure_changed(tables, references, change):
    """Return one row per changed table; the scaled one is the reference."""
    rows = []
    for name in BASES:
        X, y, is_class = tables[name]
        if name not in references:
            references[name] = scores(X, y, is_class, standardise)[0]
        for what, changed in change(StandardScaler().fit_transform(X)):
            found, diverged = scores(changed, y, is_class)
            rows.append(
                (
                    f"{name}, {what}",
                    is_class,
                    *figures(changed),
                    references[name],
                    found,
                    diverged,
                )
            )
        progress(f"{name}, changed")
    return rows


def measure_rescaled(tables, references):
    """Other scalers than StandardScaler on tables where they give odd sizes."""
    rows = []
    ways = (
        "RobustScaler",
        "QuantileTransformer, normal",
        "MinMaxScaler",
        "MaxAbsScaler",
        "Normalizer",
    )
    for name, (X, y, is_class) in tables.items():
        if len(X) < 50:
            continue
        for way in ways:
            changed = SCALERS[way]().fit_transform(X)
            size, row, far = figures(changed)
            if size < 1.5 and row > 0.3 and far < 5.0:
                continue
            if name not in references:
                references[name] = scores(X, y, is_class, standardise)[0]
            found, diverged = scores(changed, y, is_class)
            rows.append(
                (
                    f"{name}, {way}",
                    is_class,
                    size,
                    row,
                    far,
                    references[name],
                    found,
                    diverged,
                )
            )
    return rows


# --------------------------------------------------------------------- part 3, unlike

MARGINS = (0.0, 0.5, 1.0)
SHARES = (0.1, 0.25, 0.5)
N_TRAIN = (10, 20, 50, "70 %")
N_NEW = (2, 3, 5, 10, 100, "30 %")
N_REPEATS = 50


def held_out(tables):
    """Return shares, by training size, new size and margin, of ordinary rows.

    One entry per report: the largest share over the columns, the median share, and
    the number of rows behind the largest.
    """
    found = {}
    for name, (X, _, _) in tables.items():
        rng = np.random.RandomState(0)
        for n_train in N_TRAIN:
            n_fit = int(0.7 * len(X)) if n_train == "70 %" else n_train
            for n_new in N_NEW:
                n_test = len(X) - int(0.7 * len(X)) if n_new == "30 %" else n_new
                if n_fit + n_test > len(X):
                    continue
                for _ in range(N_REPEATS):
                    rows = rng.permutation(len(X))
                    old, new = X[rows[:n_fit]], X[rows[n_fit : n_fit + n_test]]
                    for margin in MARGINS:
                        shares = outside_shares(old, new, margin)
                        found.setdefault((n_train, n_new, margin), []).append(
                            (
                                name,
                                shares.max(),
                                np.median(shares),
                                round(shares.max() * n_test),
                            )
                        )
                    found.setdefault((n_train, n_new, "ours"), []).append(
                        is_unlike(old, new)
                    )
                    found.setdefault((n_train, n_new, "spread"), []).append(
                        (
                            name,
                            *np.quantile(
                                spread_ratios(old, new), (0.5, 0.75, 0.9, 1.0)
                            ),
                        )
                    )
    return found


def pairs(X, train):
    """Yield name, training rows and new rows that were made in another way."""
    fitted = {
        way: SCALERS[way]().fit(X[train])
        for way in ("StandardScaler", "MinMaxScaler", "RobustScaler")
    }
    scaled = {"raw": X} | {way: s.transform(X) for way, s in fitted.items()}
    for old in scaled:
        for new in scaled:
            if old != new:
                yield f"trained {old}, new {new}", scaled[old], scaled[new]
    yield "trained raw, new raw / 16", X, X / 16
    yield "trained raw / 16, new raw", X / 16, X
    yield "trained raw, new raw / 255", X, X / 255
    yield "trained raw / 255, new raw", X / 255, X
    yield "trained raw, columns reversed", X, X[:, ::-1]


def mismatched(tables, n_new=None):
    """Return, for pairs that do not fit together, shares, spread and loss of score."""
    found = []
    for name, (X, y, is_class) in tables.items():
        if len(X) < 50:
            continue
        train, test = splits_of(X, y, is_class)[0]
        kind = ChaosCausalPrunedMLP if is_class else ChaosCausalPrunedMLPRegressor
        models = {}
        for what, old, new in pairs(X, train):
            key = what.split(",")[0]
            if key not in models:
                model = kind(prune_criterion="magnitude", random_state=0)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        models[key] = model.fit(old[train], y[train])
                    except ValueError:
                        models[key] = None
            loss = np.nan
            if models[key] is not None:
                ours = max(0.0, models[key].score(old[test], y[test]))
                loss = ours - max(0.0, models[key].score(new[test], y[test]))
            found.append(
                (
                    name,
                    what,
                    is_class,
                    loss,
                    {m: outside_shares(old[train], new[test], m) for m in MARGINS},
                    spread_ratios(old[train], new[test]),
                    is_unlike(old[train], new[test]),
                )
            )
        progress(f"{name}, pairs")
    return found


def progress(text):
    """Say what was done."""
    print(text, file=sys.stderr, flush=True)


# ------------------------------------------------------------------------- the report

T, S, K = 6.0, 0.1, 10.0  # the thresholds
MARGIN, SHARE = 1.0, 0.5
SPREADS = (0.1, 0.2, 1 / 3)


def markdown(header, rows):
    """Return the lines of a Markdown table."""
    return [
        "| " + " | ".join(header) + " |",
        "|---" + "|---:" * (len(header) - 1) + "|",
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        "",
    ]


def percent(values):
    """Format a mean of booleans in percent."""
    return f"{100.0 * np.mean(values):.2f} %"


def report_scaled(rows):
    """Part 1: false alarms of both sizes on scaled tables, by way of scaling."""
    lines = []
    for way in dict.fromkeys(way for way, *_ in rows):
        found = [row[1:] for row in rows if row[0] == way]
        name, sizes, *_ = max(found, key=lambda row: row[1].max())
        small_name, _, small, *_ = min(found, key=lambda row: row[2].min())
        n_sets = sum(len(row[1]) for row in found)
        over = [
            sum((row[1] > threshold + 1e-9).sum() for row in found)
            for threshold in THRESHOLDS
        ]
        lines.append(
            (
                way,
                len(found),
                n_sets,
                f"{sum(row[4].sum() for row in found):.0f}",
                f"{sizes.max():.3g} ({name})",
                *over,
                f"{small.min():.3g} ({small_name})",
                sum((row[2] < S).sum() for row in found),
                f"{max(row[3].max() for row in found):.3g}",
                sum((row[3] > K).sum() for row in found),
            )
        )
    header = (
        "way of scaling",
        "tables",
        "sets of rows",
        "alarms",
        "largest m",
        *(f"m > {threshold:g}" for threshold in THRESHOLDS),
        "smallest row size",
        f"row size < {S}",
        "largest offset",
        f"offset > {K:g}",
    )
    return markdown(header, lines)


def report_harm(rows):
    """Format one line per table: sizes, scores, loss."""
    lines = []
    for name, is_class, size, row, far, reference, found, diverged in sorted(
        rows, key=lambda row: row[2]
    ):
        loss, error, hurts = compare(reference, found, is_class)
        lines.append(
            (
                name,
                "accuracy" if is_class else "R2",
                f"{size:.3g}",
                f"{row:.3g}",
                f"{far:.3g}",
                f"{reference.mean():.3f}",
                f"{found.mean():.3f}",
                f"{loss:+.3f} ± {error:.3f}",
                f"{diverged} of {len(found)}",
                "hurts" if hurts else "",
            )
        )
    return markdown(
        (
            "table",
            "score",
            "m",
            "row size",
            "offset",
            "standardised",
            "as it is",
            "loss",
            "diverged",
            "",
        ),
        lines,
    )


def report_thresholds(rows, column, thresholds, alarm):
    """How many harmful tables each threshold finds, and what else it reports."""
    lines = []
    hurts = np.array([compare(r[5], r[6], r[1])[2] for r in rows])
    losses = np.array([compare(r[5], r[6], r[1])[0] for r in rows])
    values = np.array([row[column] for row in rows])
    for threshold in thresholds:
        fires = alarm(values, threshold)
        missed = losses[hurts & ~fires]
        lines.append(
            (
                f"{threshold:g}",
                f"{(fires & hurts).sum()} of {hurts.sum()}",
                f"{missed.max():.3f}" if len(missed) else "none",
                f"{(fires & ~hurts).sum()} of {(~hurts).sum()}",
            )
        )
    return markdown(
        (
            "threshold",
            "harmful tables found",
            "largest loss missed",
            "alarms on harmless tables",
        ),
        lines,
    )


def report_held_out(found):
    """Part 3: alarms on ordinary rows, by size of both sets and by variant."""
    lines = []
    for n_train in N_TRAIN:
        for n_new in N_NEW:
            cells = []
            for margin in MARGINS:
                entries = found.get((n_train, n_new, margin))
                if entries is None:
                    continue
                shares = np.array([entry[1] for entry in entries])
                cells += [percent(shares > share) for share in SHARES]
            if cells:
                spread = np.array([e[1:] for e in found[n_train, n_new, "spread"]])
                lines.append(
                    (
                        f"{n_train}, {n_new}",
                        len(entries),
                        percent(found[n_train, n_new, "ours"]),
                        *cells,
                        percent(spread[:, 0] < 0.1),
                        *(percent(spread[:, 3] < x) for x in SPREADS),
                    )
                )
    header = (
        "training rows, new rows",
        "reports",
        "alarms",
        *(f"{m:g} w, > {s:g}" for m in MARGINS for s in SHARES),
        "median spread < 0.1",
        *(f"every spread < {x:.2g}" for x in SPREADS),
    )
    return markdown(header, lines)


def report_mismatched(found):
    """Part 3: alarms on rows that were made in another way."""
    lines = []
    for what in dict.fromkeys(row[1] for row in found):
        rows = [row for row in found if row[1] == what]
        harmful = np.array([row[3] > LOSS[row[2]] for row in rows])
        fires = np.array([row[6] for row in rows])
        cells = [f"{fires.sum()}", f"{(fires & harmful).sum()}"]
        for margin, share in ((0.5, 0.25), (0.5, 0.5), (1.0, 0.5)):
            fires = np.array([row[4][margin].max() > share for row in rows])
            cells += [f"{fires.sum()}", f"{(fires & harmful).sum()}"]
        outside = np.array([row[4][MARGIN].max() > SHARE for row in rows])
        spread = np.array([row[5].max() for row in rows])
        cells += [((outside | (spread < x)) & harmful).sum() for x in SPREADS]
        lines.append((what, len(rows), harmful.sum(), *cells))
    header = (
        "rows",
        "tables",
        "harmful",
        "alarms",
        "of harmful",
        "0.5 w, > 0.25",
        "of harmful",
        "0.5 w, > 0.5",
        "of harmful",
        "1 w, > 0.5",
        "of harmful",
        *(f"1 w or every spread < {x:.2g}, of harmful" for x in SPREADS),
    )
    return markdown(header, lines)


def report_timed(tables):
    """Part 3: rows in the order of time, the last 30 % against the first 70 %."""
    lines = []
    for name in TIMED:
        X = tables[name][0]
        n = int(0.7 * len(X))
        cells = [f"{outside_shares(X[:n], X[n:], m).max():.2f}" for m in MARGINS]
        half = [
            f"{outside_shares(X[: len(X) // 2], X[len(X) // 2 :], m).max():.2f}"
            for m in MARGINS
        ]
        lines.append((name, len(X), *cells, *half))
    header = (
        "table",
        "rows",
        *(f"70 %, {m:g} w" for m in MARGINS),
        *(f"half, {m:g} w" for m in MARGINS),
    )
    return markdown(header, lines)


INTRODUCTION = f"""# Rules that tell unscaled rows

Printed by `python benchmarks/check_scale.py`.

- m: the root mean square of a column over the training rows, or the median size of its
  values that are not 0, whichever is smaller; the largest of a table. Behind a
  `StandardScaler` it is at most 1. Alarm: m > {T:g}.
- row size: the root of the summed variances of the columns. Alarm: below {S:g}, and no
  column ranges over as much as 0.5.
- offset: the norm of the mean row over the row size, a third figure that was tried and
  is not used.
- A row of new data is outside if it is more than some widths w of the training range
  below or above it; per column the share of such rows. Alarm: more than half of the
  rows on one side, by half a width, if chance would do that in less than 1 % of the
  reports.
  The spread, a mean absolute deviation over that of training, was tried and is not
  used: rare values make it small.
- "alarms": of the package, by these rules. The other columns are variants of them.

Models are the untouched defaults with `prune_criterion="magnitude"`, on at most
{{n_fit}} rows, 70 % to train, three splits (ten below 200 rows). Scores are held-out
accuracy, or R2, not below 0, and 0 where the training diverges. "hurts": the mean loss
is above 0.02 of accuracy or 0.05 of R2, and above two standard errors.
"""


def short(tables, n=400):
    """Return the first rows of every table."""
    return {name: (X[:n], y[:n], kind) for name, (X, y, kind) in tables.items()}


def main():
    """Read the command line, run, print and write."""
    parser = argparse.ArgumentParser(description="Check rules for unscaled rows.")
    parser.add_argument("--rows", type=int, default=400, help="rows of a fit, at most")
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = {**real_tables(), **generated_tables(), **made_tables()}
    few, references = short(tables, options.rows), {}
    raw = measure_raw(few, references)
    rescaled = measure_rescaled(few, references)
    large = measure_changed(few, references, spoilt)
    small = measure_changed(few, references, shrunk)
    everything = raw + rescaled + large + small
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    lines = [
        INTRODUCTION.format(n_fit=options.rows),
        f"## Scaled tables ({len(tables)})\n",
        *report_scaled(measure_scaled(tables)),
        "## Raw tables\n",
        *report_harm(raw),
        "## Too large: what a threshold of m finds\n",
        "On the raw tables:\n",
        *report_thresholds(raw, 2, THRESHOLDS, np.greater),
        "On scaled tables with one or all columns multiplied or shifted:\n",
        *report_thresholds(large, 2, THRESHOLDS, np.greater),
        "## Far from 0: what a threshold of the offset finds\n",
        "On all tables with m of at most 6 and a row size of at least 0.1:\n",
        *report_thresholds(
            [row for row in everything if row[2] <= T and row[3] >= S],
            4,
            (2.0, 3.0, 5.0, 7.0, 10.0, 20.0),
            np.greater,
        ),
        "## Too small: what a threshold of the row size finds\n",
        "On all tables, raw, changed or scaled in other ways:\n",
        *report_thresholds(
            everything, 3, (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0), np.less
        ),
        "On those with m of at most 2:\n",
        *report_thresholds(
            [row for row in everything if row[2] <= 2.0],
            3,
            (0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0),
            np.less,
        ),
        "## Unlike the training rows: ordinary held-out rows\n",
        "Share of the reports with an alarm, by margin and share.\n",
        *report_held_out(held_out(tables)),
        "Rows in the order of time, the last part against the first: largest share.\n",
        *report_timed(tables),
        "## Unlike the training rows: rows made in another way\n",
        "Number of tables with an alarm; harmful: the score falls by more than 0.02 of "
        "accuracy or 0.05 of R2.\n",
        *report_mismatched(mismatched(few)),
        f"Python {platform.python_version()}, {packages}.",
    ]
    report = "\n".join(lines) + "\n"
    print(report, end="")
    if options.output is not None:
        options.output.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
