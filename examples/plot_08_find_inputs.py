"""
Pruning finds the inputs that matter
====================================

Add columns of noise to a table, and a dense network gets worse: it finds a use for each
of them. Prune the network, and they go, while the inputs that matter stay. Or say how
many inputs there may be.
"""

# %%
# Five inputs, twenty columns of noise
# ------------------------------------
#
# The target of ``make_friedman1`` depends on the first five columns:
# :math:`10 \sin(\pi x_0 x_1) + 20 (x_2 - .5)^2 + 10 x_3 + 5 x_4`, and noise.

from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLPRegressor, NetworkDisplay

X, y = make_friedman1(2500, n_features=25, noise=1.0, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=500, random_state=0
)
scaler = StandardScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)

# %%
# Prune more and more
# -------------------
#
# ``features_in_use_`` flags the inputs that the network still reads. Swaps, which would
# follow where few weights are left, are off: they look for whatever fits the training
# rows better, and may bring a column of noise back.

ratios = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98]
scores, n_noise, models = [], [], []
for ratio in ratios:
    model = ChaosCausalPrunedMLPRegressor(
        prune_ratio=ratio, n_swaps=0, random_state=0
    ).fit(X_train, y_train)
    used = model.features_in_use_
    models.append(model)
    scores.append(model.score(X_test, y_test))
    n_noise.append(sum(used[5:]))
    print(
        f"{ratio:.0%} pruned: R2 {scores[-1]:.3f}, uses {sum(used[:5])} of 5 inputs "
        f"and {n_noise[-1]} of 20 columns of noise"
    )

# %%
# What is left
# ------------
#
# Both at once: the fewer columns of noise, the better the network.

import matplotlib.pyplot as plt

labels = [f"{ratio:.0%}" for ratio in ratios]
figure, (upper, lower) = plt.subplots(2, sharex=True, layout="constrained")
upper.plot(labels, scores, marker="o")
upper.set_ylabel("R2 on test rows")
lower.bar(labels, n_noise)
lower.set_ylabel("columns of noise in use")
_ = lower.set_xlabel("weights pruned")

# %%
# The sparsest network, and what drives it:

_ = NetworkDisplay.from_estimator(models[-1])

# %%

for column in models[-1].feature_importances_.argsort()[::-1][:6]:
    print(f"column {column}: {models[-1].feature_importances_[column]:.2f}")

# %%
# A budget of inputs
# ------------------
#
# Where every input costs, ``max_features`` limits them. The least important ones are
# dropped, a few at a time, while the network is trained on. How many are enough? Search
# the number like any parameter; ``one_standard_error`` takes the smallest whose mean
# score is within one standard error of the best.

from sklearn.model_selection import GridSearchCV

from skchaosprune import one_standard_error

numbers = [1, 2, 3, 4, 5, 6, 8, 12, 25]
search = GridSearchCV(
    ChaosCausalPrunedMLPRegressor(random_state=0),
    {"max_features": numbers},
    cv=3,
    refit=one_standard_error,
)
search.fit(X_train, y_train)
print("inputs in use:", *search.best_estimator_.get_feature_names_in_use())
print(f"R2 on test rows: {search.score(X_test, y_test):.3f}")

mean = search.cv_results_["mean_test_score"]
error = search.cv_results_["std_test_score"] / (search.n_splits_ - 1) ** 0.5
figure, ax = plt.subplots(layout="constrained")
ax.errorbar(numbers, mean, error, marker="o", capsize=3)
ax.axvline(search.best_params_["max_features"], linestyle=":", color="0.5")
ax.set_xlabel("max_features")
_ = ax.set_ylabel("R2 of three folds, mean ± standard error")

# %%
# More tables, more seeds: :doc:`/benchmarks`.
