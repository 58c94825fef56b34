"""
Look inside a training
======================

What the default criterion looks at, step by step: the trajectories of the weights,
their Lyapunov exponents window by window, the tests of causality, and what the tests
are worth.
"""

# %%
# Trajectories
# ------------
#
# The estimator records the weights, but keeps only one window of them in memory. A
# skorch callback may keep more: it is called after each epoch, and what it writes into
# the history is there after the fit, of the dense and of the sparse training.

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from skchaosprune import ChaosCausalPrunedMLP


class KeepFirstLayer(Callback):
    """Write the weights of the first layer into the history."""

    def on_epoch_end(self, net, **kwargs):
        """Copy the first matrix of parameters."""
        weights = next(net.module_.parameters())
        net.history.record("weights", weights.detach().numpy().copy())


X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.33, stratify=y, random_state=0
)
scaler = StandardScaler().set_output(transform="pandas")
model = make_pipeline(
    scaler,
    ChaosCausalPrunedMLP(
        hidden_layer_sizes=12, callbacks=[KeepFirstLayer()], random_state=0
    ),
)
model.fit(X_train, y_train)
mlp = model[-1]
print(f"test accuracy {model.score(X_test, y_test):.3f}, {mlp.sparsity_:.0%} pruned")

# %%
# The weights of the first layer while the dense network learns. Five of them are
# coloured. The learning rate falls from epoch to epoch, so they come to rest.

import matplotlib.pyplot as plt

trajectories = np.array([epoch["weights"] for epoch in mlp.dense_history_])
trajectories = trajectories.reshape(len(trajectories), -1)
chosen = [0, 75, 150, 225, 300]

figure, ax = plt.subplots(layout="constrained")
epochs = np.arange(1, len(trajectories) + 1)
ax.plot(epochs, trajectories, color="0.85", linewidth=0.5)
ax.plot(epochs, trajectories[:, chosen], linewidth=1.5)
ax.set_xlabel("epoch")
_ = ax.set_ylabel("weight")

# %%
# Lyapunov exponents
# ------------------
#
# Between the epochs the estimator recorded much more: windows of 50 records. In each
# window it estimated the largest Lyapunov exponent of every weight. In the last windows
# one weight after the other comes to rest, and its exponent is 0. The misclassification
# rate below falls fast, and then stays where it is: at 3 of 381 training rows.
# Grey is a placebo, the same exponents shuffled in time.

from skchaosprune import CausalityDisplay, LyapunovDisplay

print(f"{mlp.n_windows_} windows; a record every {mlp.record_every_} iterations")
print("exponents:", mlp.lyapunov_exponents_.shape)
_ = LyapunovDisplay.from_estimator(model, weights=chosen[:2])

# %%
# A positive exponent of a short window is no proof of chaos. The same function, on
# 1,000 series of 50 values each: a map that is chaotic for sure, and white noise, which
# is random and not chaotic at all. Noise has the larger exponent; that of the
# weights lies in between. So the number says how rough a series is, and no more.

from skchaosprune import largest_lyapunov_exponent

rng = np.random.default_rng(0)
logistic = np.empty((50, 1000))
logistic[0] = rng.uniform(size=1000)
for t in range(49):
    logistic[t + 1] = 4 * logistic[t] * (1 - logistic[t])

for name, series in (
    ("logistic map", logistic),
    ("white noise", rng.normal(size=(50, 1000))),
):
    print(f"{name:13}{largest_lyapunov_exponent(series).mean():.2f}")
print(f"{'weights':13}{mlp.mean_lyapunov_exponents_.mean():.2f}")

# %%
# Causality
# ---------
#
# Do the exponents of a weight help to predict the misclassification rate, beyond its
# own past? One p-value per weight, drawn as a map of each layer; purple is significant.
# Few weights are. Dots mark the weights that were kept.

_ = CausalityDisplay.from_estimator(model)

# %%
# What the tests are worth
# ------------------------
#
# The placebo is the same exponents, shuffled in time, twenty times anew. They know
# nothing of the error.

test = mlp.placebo_test()
print(f"called causal: {test.causal_share:.1%} of the weights")
print(f"of the placebo: {test.placebo_share:.1%}")
print(f"p-value of the difference: {test.p_value:.3f}")

# %%
# The tests have found no more than in the placebo. An error that hardly moves leaves
# little to be caused. The loss of the training rows moves to the end, and a criterion
# may look at that instead:

from skchaosprune.criteria import ChaosCausalMagnitude

by_loss = make_pipeline(
    scaler,
    ChaosCausalPrunedMLP(
        hidden_layer_sizes=12,
        prune_criterion=ChaosCausalMagnitude(target="loss"),
        random_state=0,
    ),
)
test = by_loss.fit(X_train, y_train)[-1].placebo_test()
print(f"called causal: {test.causal_share:.1%} of the weights")
print(f"of the placebo: {test.placebo_share:.1%}")
print(f"p-value of the difference: {test.p_value:.3f}")

# %%
# No placebo comes near, which is why the p-value is 1/21, the smallest that twenty of
# them allow. The tests have found something. But it need not be a cause: the exponents
# and the loss share the trend of a training that settles, and shuffling in time
# destroys it (see :doc:`/user_guide`, "Can the tests be trusted?").
