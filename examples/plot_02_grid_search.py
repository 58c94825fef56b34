"""
How many weights may go? A grid search
======================================

``prune_ratio`` is a parameter like any other. A grid search finds, by cross-validation
on the training rows, how many weights a table needs. The test rows are looked at once,
at the end.
"""

# %%
# Data and model
# --------------
#
# Breast cancer: 569 rows, 30 features, two classes. A third of the rows is held out.

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.33, stratify=y, random_state=0
)
model = make_pipeline(
    StandardScaler(),
    ChaosCausalPrunedMLP(hidden_layer_sizes=16, max_iter=20, random_state=0),
)

# %%
# The search
# ----------
#
# The best mean often belongs to a ratio that cannot be told from its neighbours.
# ``one_standard_error`` takes the sparsest candidate within one standard error of the
# best one.

from skchaosprune import one_standard_error

ratio_name = "chaoscausalprunedmlp__prune_ratio"
criterion_name = "chaoscausalprunedmlp__prune_criterion"
cv = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
search = GridSearchCV(
    model,
    {
        criterion_name: ["magnitude", "intervention"],
        ratio_name: [0.0, 0.5, 0.8, 0.9, 0.95, 0.97],
    },
    cv=cv,
    refit=one_standard_error,
)
search.fit(X_train, y_train)

# %%
# What it found
# -------------
#
# Each curve is a criterion, faint points are folds, bars standard errors of the means,
# and the ring is the choice. Up to 97 % removed the means stay within a point of the
# dense network, which is less than the folds differ from each other. From .8 on both
# criteria only make a first cut, and a descent by the curvature of the loss does the
# rest.

from skchaosprune import PruningCurveDisplay

_ = PruningCurveDisplay.from_search(search)

# %%
# The means, by criterion:

results, ratios = search.cv_results_, search.param_grid[ratio_name]
print("removed      " + "".join(f"{ratio:7.2f}" for ratio in ratios))
for criterion in ("magnitude", "intervention"):
    chosen = results[f"param_{criterion_name}"] == criterion
    means = results["mean_test_score"][chosen]
    print(f"{criterion:13}" + "".join(f"{mean:7.3f}" for mean in means))

# %%
# The chosen network
# ------------------
#
# It was trained again on all training rows. A tenth of the weights is left. Only now
# the rows that were held out:

best = search.best_estimator_
for name, value in search.best_params_.items():
    print(f"{name}: {value}")
print(f"{best[-1].flops_} of {best[-1].dense_flops_} weights")
print(f"test accuracy {best.score(X_test, y_test):.3f}")

# %%
# Only the ratio
# --------------
#
# Where nothing but the ratio varies, ``pruning_path`` gives the same scores for less:
# it trains and scores the dense network once per fold, and not once per ratio. Here is
# magnitude again, with the dense network as a dotted line. ``path.best_ratio()`` is the
# choice by the same rule.

from sklearn.base import clone

from skchaosprune import pruning_path

by_magnitude = clone(model).set_params(
    chaoscausalprunedmlp__prune_criterion="magnitude"
)
path = pruning_path(by_magnitude, X_train, y_train, ratios, cv=cv)
_ = PruningCurveDisplay.from_path(path)
print(path)
