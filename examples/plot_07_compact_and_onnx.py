"""
A small network to take away: compact and ONNX
==============================================

A pruned network still has the shape of the dense one, with zeros in it. Its compact
form drops what does nothing. It predicts with numpy alone, and can be written to a file
that other programs read.
"""

# %%
# A network with few weights
# --------------------------
#
# Digits: 1,797 images of 64 pixels. 95 % of the weights go.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP, NetworkDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.33, stratify=y, random_state=0
)
model = make_pipeline(
    StandardScaler(),
    ChaosCausalPrunedMLP(
        hidden_layer_sizes=64,
        max_iter=30,
        prune_criterion="magnitude",
        prune_ratio=0.95,
        random_state=0,
    ),
)
model.fit(X_train, y_train)
mlp = model[-1]
print(f"{mlp.flops_} of {mlp.dense_flops_} weights")
print(f"test accuracy {model.score(X_test, y_test):.3f}")

# %%
# What is left of it. Some pixels and hidden units are on no path any more, and are not
# drawn.

_ = NetworkDisplay.from_estimator(model)

# %%
# Compact
# -------
#
# Inputs that are not used and hidden units that lead nowhere are left out. Units that
# no input reaches are constant; they become part of the biases of the next layer.

compact = mlp.compact()
print("layers:", (64, 64, 10), "->", compact.layer_sizes_)
print("parameters:", mlp.n_parameters_, "->", compact.n_parameters_)
print("pixels not used:", len(compact.unused_features_))
print("bytes:", 8 * mlp.n_parameters_, "->", compact.nbytes)

# %%
# It takes the same rows, and predicts the same, up to rounding.

import numpy as np

scaled = model[:-1].transform(X_test)
difference = np.abs(compact.predict_proba(scaled) - mlp.predict_proba(scaled)).max()
print("same labels:", (compact.predict(scaled) == mlp.predict(scaled)).all())
print("largest difference of a probability below 1e-12:", difference < 1e-12)

# %%
# A file of plain arrays, which holds no code:

from pathlib import Path
from tempfile import TemporaryDirectory

from skchaosprune import CompactMLP

folder = TemporaryDirectory()
path = Path(folder.name) / "digits.npz"
compact.save_npz(path)
again = CompactMLP.load_npz(path)
print(f"{path.stat().st_size} bytes")
print("same labels:", (again.predict(scaled) == compact.predict(scaled)).all())

# %%
# ONNX
# ----
#
# An ONNX file can be run by programs in other languages. ``to_onnx`` takes the whole
# pipeline: the scaler becomes part of the graph, which then takes raw features. It
# computes in single precision.

import onnxruntime

from skchaosprune import to_onnx

path = Path(folder.name) / "digits.onnx"
to_onnx(model, path)
runtime = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
labels, probabilities = runtime.run(None, {"X": X_test.astype(np.float32)})

print(f"{path.stat().st_size} bytes")
print("same labels:", (labels == model.predict(X_test)).all())
difference = np.abs(probabilities - model.predict_proba(X_test)).max()
print("largest difference of a probability below 1e-5:", difference < 1e-5)
folder.cleanup()
