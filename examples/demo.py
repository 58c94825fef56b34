"""Prune a network on breast cancer: before, after, and which features matter.

Run with ``make demo``, or ``python examples/demo.py [figure.png]``.
"""

import sys

import matplotlib

matplotlib.use("Agg")  # draws into a file, needs no screen

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ImportanceDisplay,
    NetworkDisplay,
    pruning_report,
)

# %%
# Real data, held-out rows, and the estimator with its defaults: half of the weights go.

data = load_breast_cancer(as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    data.data, data.target, stratify=data.target, random_state=0
)
mlp = ChaosCausalPrunedMLP(random_state=0, verbose=1)
model = make_pipeline(StandardScaler(), mlp)
model.fit(X_train, y_train)

# %%
# Before and after, and what the tests of causality are worth.

print(f"\n{pruning_report(model, X_test, y_test)}")
print(
    "\nA weight called causal is no proof of a cause: exponents and error share the\n"
    "trend of a training that settles, see the user guide."
)

# %%
# The same method prunes 95 %; what is left has fewer units, and the same outputs.

mlp = ChaosCausalPrunedMLP(prune_ratio=0.95, random_state=0)
small = make_pipeline(StandardScaler(), mlp).fit(X_train, y_train)
compact = small[-1].compact()
print(f"\n95 % pruned: test accuracy {small.score(X_test, y_test):.3f}\n{compact}")

# %%
# One figure: what drives the prediction before and after, and the small network.

figure, (left, right) = plt.subplots(1, 2, figsize=(14, 7), layout="constrained")
ImportanceDisplay.from_estimator(model, ax=left)
NetworkDisplay.from_estimator(small, ax=right)

path = sys.argv[1] if len(sys.argv) > 1 else "demo.png"
figure.savefig(path, dpi=120)
print(f"\nfigure saved as {path}")
