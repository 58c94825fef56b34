"""
Search for a better mask
========================

One ranking of the weights, whatever it is, leaves accuracy behind where few weights are
left: it cannot know what they will do together. ``n_search`` tries masks instead. Each
swap adds pruned weights, trains, prunes as many by magnitude, and trains again from the
initial weights; it stays if the training loss is lower. A descent, the default where
few weights are left, ranks them anew after every few.
"""

# %%
# With and without
# ----------------
#
# Digits: 64 pixels, ten classes, 95 % of the weights pruned. Five rounds of magnitude
# lead to the same mask in two fits; one of them goes on from there. The third takes a
# descent.

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
        hidden_layer_sizes=16,
        max_iter=30,
        prune_criterion="magnitude",
        prune_ratio=0.95,
        random_state=0,
        **way,
    )
    return make_pipeline(StandardScaler(), mlp).fit(X_train, y_train)


models = {
    "rounds": fit(n_rounds=5),
    "search": fit(n_rounds=5, n_search=40),
    "descent": fit(),
}
for name, model in models.items():
    print(f"{name}: {model[-1].flops_} weights, {model.score(X_test, y_test):.3f}")

# %%
# The search is the best of them here, and takes three times as long as the descent.
#
# What became of the swaps
# ------------------------
#
# The curve falls where a swap was kept. The losses are those of whole trainings, so the
# last one is the loss of the network that came out.

import matplotlib.pyplot as plt

mlp = models["search"][-1]
figure, ax = plt.subplots(layout="constrained")
ax.plot(mlp.search_loss_curve_, drawstyle="steps-post")
ax.set_xlabel("swaps tried")
ax.set_ylabel("training loss of the best mask so far")
_ = ax.set_title(f"{mlp.flops_} of {mlp.n_weights_} weights are kept")

# %%
# Weights that the search swapped out count as pruned in a round after the last one.

print(
    (mlp.pruned_in_round_ == mlp.n_rounds_ + 1).sum(), "of", mlp.flops_, "were replaced"
)

# %%
# This is one split of one table. What a search is worth on tables that it was not
# chosen on, beside controls that cost as much, is measured in :doc:`/benchmarks`.
