"""
Few weights left: a descent, and swaps
======================================

Up to ``prune_ratio=0.7`` one ranking, one cut and one more training are enough: that is
the paper's way. Beyond, a ranking cannot know what the weights will do together. There
a fit takes a descent: it prunes a little, by the curvature of the loss, trains what is
left, and goes on. Where very few weights are left, it also tries swaps.
"""

# %%
# Three ways
# ----------
#
# Digits: 64 pixels, ten classes, 97 % of the weights pruned. Five rounds of training
# and rewinding; a descent alone; the default, which tries five swaps here; and twenty.

from time import perf_counter

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=600, stratify=y, random_state=0
)


def fit(**way):
    """Fit a pipeline to the training rows."""
    mlp = ChaosCausalPrunedMLP(
        prune_criterion="magnitude", prune_ratio=0.97, random_state=0, **way
    )
    return make_pipeline(StandardScaler(), mlp).fit(X_train, y_train)


fit()  # compiles the kernels, which are cached for later fits
ways = {
    "five rounds": {"retrain": "rewind"},
    "a descent": {"n_swaps": 0},
    "a descent and five swaps": {},
    "a descent and twenty swaps": {"n_swaps": 20},
}
models = {}
for name, way in ways.items():
    start = perf_counter()
    models[name] = model = fit(**way)
    print(
        f"{name}: {model[-1].flops_} weights, {model.score(X_test, y_test):.3f}, "
        f"{perf_counter() - start:.1f} s"
    )

# %%
# What became of the swaps
# ------------------------
#
# A swap adds pruned weights, trains, and prunes as many. It is kept if the objective,
# the training loss and its penalty, is lower than before. So the curve never rises.

import matplotlib.pyplot as plt

mlp = models["a descent and twenty swaps"][-1]
figure, ax = plt.subplots(layout="constrained")
ax.plot(mlp.search_loss_curve_, drawstyle="steps-post")
ax.set_xticks(range(0, 21, 5))
ax.set_xlabel("swaps tried")
ax.set_ylabel("objective of the best network so far")
_ = ax.set_title(f"{mlp.flops_} of {mlp.n_weights_} weights are kept")

# %%
# Weights that were swapped out count as pruned in a round after the last one.

print(
    (mlp.pruned_in_round_ == mlp.n_rounds_ + 1).sum(), "of", mlp.flops_, "were replaced"
)

# %%
# This is one split of one table. What the ways are worth on tables that had no say in
# how they work is measured in :doc:`/benchmarks`.
