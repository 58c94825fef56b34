"""
A first pruned network
======================

Train a network on a real table, remove 70 % of its weights, and see what is left: how
good it is on rows that it has never seen, where the weights went, and what a single
weight's story looks like.
"""

# %%
# Data, a scaler, a model
# -----------------------
#
# Breast cancer: 569 rows, 30 features, two classes. A third of the rows is held out.
# The network needs scaled features, so that a scaler and the estimator form a pipeline.
# The scaler passes on the names of the features.

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    NetworkDisplay,
    pruning_report,
    weight_table,
)

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.33, stratify=y, random_state=0
)

scaler = StandardScaler().set_output(transform="pandas")
model = make_pipeline(
    scaler,
    ChaosCausalPrunedMLP(
        hidden_layer_sizes=16, max_iter=50, prune_ratio=0.7, random_state=0
    ),
)
model.fit(X_train, y_train)

# %%
# Before and after
# ----------------
#
# The report compares the network before and after pruning on the held-out rows. It
# takes them as ``model.predict`` does.

pruning_report(model, X_test, y_test)

# %%
# Less than a third of the weights does nearly as well: one row more of 188 is wrong.
# The files are smaller. The last rows say that the criterion calls 7 % of the weights
# causal, and 4 % when the exponents are shuffled in time, which is the placebo. Even a
# larger share is no proof of a cause; :doc:`plot_04_look_inside` goes on from here.
#
# Where the weights went
# ----------------------
#
# The weights of both layers compete, so that the layers may lose different shares. The
# repair of connectivity sees to it that no weight is kept that is on no path from an
# input to an output, so that the first two numbers are the same.

mlp = model[-1]
print("pruned:", round(mlp.sparsity_, 3))
print("pruned or on no path:", round(mlp.effective_sparsity_, 3))
print("pruned in each layer:", mlp.layer_sparsity_.round(2))

# %%
# The network as a picture. Lines are weights that were kept. All features are still in
# use, and fourteen of the sixteen hidden units: the others are on no path, and are not
# drawn. Features are sorted so that few lines cross; ``input_order="importance"`` puts
# the most important one on top.

_ = NetworkDisplay.from_estimator(model)

# %%
# The story of every weight
# -------------------------
#
# ``weight_table`` has one row per weight: between which units it is, what it was before
# and after each training, what the criterion found, and whether it was kept. The score
# of the default criterion is the size of the dense weight, times 1 to 2: more, the more
# evidence there is that its exponents cause the error, so the smaller its p-value. Here
# are the five with the best scores.

table = weight_table(model)
columns = ["from", "to", "initial", "dense", "final", "p_value", "score", "kept"]
table.sort_values("score", ascending=False)[columns].head()

# %%
# A good score does not always help. A weight is of no use if its hidden unit has no way
# to the output. These are the three best weights that went, and all that leads on from
# where they led:

columns = ["from", "to", "p_value", "score", "kept"]
gone = table[~table["kept"]].sort_values("score", ascending=False).head(3)
lost = gone["to"].unique()
print(gone[columns].to_string())
print(table[table["from"].isin(lost)][columns].to_string())
