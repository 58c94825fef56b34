"""
Which features drive the answer?
================================

A pruned network comes with feature importances, of itself and of the dense network that
it was made from. Here they are compared with each other, with other rules, and with
SHAP values, which are computed without a look inside the network.
"""

# %%
# A pruned network
# ----------------
#
# Wine: 178 rows, 13 features from a chemical analysis, three growers as classes. The
# ranking is by magnitude, and 70 % of the weights go.

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP, EffectDisplay, ImportanceDisplay

data = load_wine()
X, y = data.data, data.target
names = np.array(data.feature_names)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.33, stratify=y, random_state=0
)
model = make_pipeline(
    StandardScaler(),
    ChaosCausalPrunedMLP(
        hidden_layer_sizes=16,
        prune_criterion="magnitude",
        prune_ratio=0.7,
        random_state=0,
    ),
)
model.fit(X_train, y_train)
print(f"test accuracy {model.score(X_test, y_test):.3f}")

# %%
# Before and after
# ----------------
#
# An importance is the mean over the training rows of how far a feature is from its
# mean, times how steeply the outputs change with it. All of them sum to 1. Here the
# order is nearly the same before and after. Magnesium is no longer used at all. The
# colours are about the first grower.

from scipy.stats import spearmanr

_ = ImportanceDisplay.from_estimator(model, target=0, feature_names=names)
mlp = model[-1]
before, after = mlp.dense_feature_importances_, mlp.feature_importances_
print(f"rank correlation, before and after: {spearmanr(before, after).statistic:.2f}")

# %%
# Shapes
# ------
#
# How the probabilities change with a feature, on average over the rows, in its own
# units. The grey bars count the rows: where there are few, the curve says little.

_ = EffectDisplay.from_estimator(model, X_train, max_features=3, feature_names=names)

# %%
# Other rules
# -----------
#
# ``importance`` chooses the rule. "connection" looks at the weights alone: products of
# absolute weights along all paths. "permutation" is the rise of the training loss when
# one column is shuffled. The network is the same each time, as the rule changes nothing
# but the report. All three put proline first, with alcohol and flavanoids behind it.
# ("causal" adds up what a test of causality found; magnitude has no such test.)

rules = {"gradient": after}
for rule in ("connection", "permutation"):
    other = clone(model).set_params(chaoscausalprunedmlp__importance=rule)
    rules[rule] = other.fit(X_train, y_train)[-1].feature_importances_

for rule, values in rules.items():
    top = sorted(zip(values, names, strict=True), reverse=True)[:3]
    print(f"{rule:12}" + ", ".join(f"{name} ({value:.2f})" for value, name in top))

# %%
# SHAP values
# -----------
#
# SHAP values share each prediction out among the features. The explainer only calls
# ``predict_proba``, here of the whole pipeline, so that it works on features in their
# own units. It explains the test rows against a background of training rows.

import shap

background = shap.sample(X_train, 20, random_state=0)
explainer = shap.PermutationExplainer(model.predict_proba, background, seed=0)
explanation = explainer(X_test, silent=True)
print("rows, features, classes:", explanation.shape)

# %%
# The mean absolute SHAP value of a feature, over rows and classes, is an importance,
# too. The rank correlation with each of the three rules is above .9 on this table.

shap_importances = np.abs(explanation.values).mean(axis=(0, 2))
shap_importances /= shap_importances.sum()
for rule, values in rules.items():
    rank = spearmanr(values, shap_importances).statistic
    print(f"{rule:12}rank correlation with SHAP {rank:.2f}")

# %%
# Feature by feature. The bars are SHAP; the rule by permutation stands apart where it
# gives proline and flavanoids more, and most others less.

import matplotlib.pyplot as plt

order = np.argsort(shap_importances)
figure, ax = plt.subplots(figsize=(7, 5), layout="constrained")
for (rule, values), marker in zip(rules.items(), "os^", strict=True):
    ax.plot(values[order], range(len(order)), marker, label=rule, alpha=0.7)
ax.barh(range(len(order)), shap_importances[order], color="0.8", label="SHAP")
ax.set_yticks(range(len(order)), names[order])
ax.set_xlabel("importance (share)")
_ = ax.legend()
