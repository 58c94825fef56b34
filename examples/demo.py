"""Prune a network on breast cancer: before, after, and which features matter.

Run with ``make demo``, or ``python examples/demo.py [figure.png]``.
"""

import sys

import matplotlib

matplotlib.use("Agg")  # draws into a file, needs no screen

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP

# %%
# Real data, held-out rows, and the estimator with its defaults: half of the weights go.

data = load_breast_cancer(as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    data.data, data.target, stratify=data.target, random_state=0
)
scaler = StandardScaler().set_output(transform="pandas")
pruned = make_pipeline(scaler, ChaosCausalPrunedMLP(random_state=0, verbose=1))
pruned.fit(X_train, y_train)

# %%
# The dense network is the same estimator that prunes nothing.

dense = clone(pruned).set_params(
    chaoscausalprunedmlp__prune_ratio=0.0, chaoscausalprunedmlp__verbose=0
)
dense.fit(X_train, y_train)

# %%
# Before and after.

before, after = dense[-1], pruned[-1]
rows = {
    "test accuracy": [model.score(X_test, y_test) for model in (dense, pruned)],
    "test F1": [f1_score(y_test, model.predict(X_test)) for model in (dense, pruned)],
    "weights": [before.flops_, after.flops_],
    "sparsity": [before.sparsity_, after.sparsity_],
    "effective sparsity": [before.effective_sparsity_, after.effective_sparsity_],
}
print(f"\n{'':20}{'dense':>10}{'pruned':>10}")
for name, values in rows.items():
    style = "10d" if name == "weights" else "10.3f"
    print(f"{name:20}" + "".join(format(value, style) for value in values))

order = np.argsort(after.feature_importances_)[::-1][:10]
names = after.feature_names_in_[order]
print("\nwhat drives the pruned network (importance, dense one in brackets):")
for name, j in zip(names, order, strict=True):
    values = after.feature_importances_[j], before.feature_importances_[j]
    print(f"  {name:25}{values[0]:6.3f} ({values[1]:.3f})")

test = after.placebo_test()
print(
    f"\n{test.causal_share:.0%} of the weights pass the Granger test of causality at "
    f"p < .05,\nover {after.n_windows_} windows; {after.n_untested_} could not be "
    "tested. Of its placebo (exponents\nshuffled in time) "
    f"{test.placebo_share:.0%} pass. That is no proof of a cause: exponents and\n"
    "error share the trend of a training that settles, see the user guide."
)

# %%
# One figure: the importances before and after, and which first-layer weights are left.

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
places = np.arange(len(order))
left.barh(
    places - 0.2, before.feature_importances_[order], 0.4, label="dense", color="0.7"
)
left.barh(places + 0.2, after.feature_importances_[order], 0.4, label="pruned")
left.set_yticks(places, names)
left.invert_yaxis()
left.set_xlabel("feature importance (share)")
left.set_title("What drives the prediction")
left.legend()

weights = np.where(after.masks_[0], after.coefs_[0], np.nan)[order]
limit = np.nanmax(np.abs(weights))
image = right.imshow(weights, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
right.set_facecolor("0.7")
right.set_yticks(places, names)
right.set_xlabel("hidden unit")
right.set_title("First-layer weights that are left (grey: pruned)")
figure.colorbar(image, ax=right, label="weight")

path = sys.argv[1] if len(sys.argv) > 1 else "demo.png"
figure.savefig(path, dpi=120)
print(f"\nfigure saved as {path}")
