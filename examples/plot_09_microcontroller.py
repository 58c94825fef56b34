"""
From a table to 2 kB of C
=========================

A pruned network fits where no Python does. ``to_c`` writes it, with the scaler before
it, as one C header: no library but ``math.h``, and no memory of its own.
"""

# %%
# Train and prune
# ---------------
#
# Breast cancer: 569 rows, 30 measurements, and the network of ``make demo``. Of its
# 1,984 weights 5 % are left.

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
model = make_pipeline(
    StandardScaler(), ChaosCausalPrunedMLP(prune_ratio=0.95, random_state=0)
)
model.fit(X_train, y_train)
print(f"test accuracy {model.score(X_test, y_test):.3f}")
print(model[-1].compact())

# %%
# Write the header
# ----------------
#
# The names in it start with the name of the file. The mean of each column is
# subtracted, and its scale is in the weights.

from pathlib import Path
from tempfile import TemporaryDirectory

from skchaosprune import to_c

folder = TemporaryDirectory()
header = Path(folder.name) / "cancer.h"
to_c(model, header)
print(header.read_text(encoding="utf-8"))

# %%
# Compile and call it
# -------------------
#
# A program reads a row as it comes, unscaled. Here it is a library that Python calls,
# so that all held-out rows can be compared.

import ctypes
import shutil
import subprocess

import numpy as np

(Path(folder.name) / "cancer.c").write_text(
    """
#include "cancer.h"

static const char *const labels[] = CANCER_CLASS_LABELS;

const char *predict(const float *x)
{
    return labels[cancer_predict(x)];
}
""",
    encoding="utf-8",
)


def compile_here(*flags):
    """Compile the library; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("no C compiler here")
        return None
    command = [compiler, "-std=c99", *flags, "cancer.c", "-lm"]
    subprocess.run(command, cwd=folder.name, check=True)
    return Path(folder.name) / command[command.index("-o") + 1]


def predict(library, X):
    """Call the library for each row."""
    function = ctypes.CDLL(str(library)).predict
    function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_char_p
    rows = np.ascontiguousarray(X, dtype=np.float32)
    return np.array([int(function(row.ctypes.data)) for row in rows])


library = compile_here("-O2", "-shared", "-fPIC", "-o", "float32.so")
if library is not None:
    same = predict(library, X_test) == model.predict(X_test)
    print(f"{same.sum()} of {len(same)} labels as in Python")

# %%
# Integers
# --------
#
# Where there is no floating-point unit, products of integers are faster. The rows of
# the training tell how large inputs and hidden units become, and a warning would say if
# accuracy was lost.

to_c(model, header, X_train, y_train, dtype="int8")
lines = header.read_text(encoding="utf-8").splitlines()
print(next(line for line in lines if "constants" in line))

library = compile_here("-O2", "-shared", "-fPIC", "-o", "int8.so")
if library is not None:
    same = predict(library, X_test) == model.predict(X_test)
    print(f"{same.sum()} of {len(same)} labels as in Python")

# %%
# How much it is for this machine: code and constants, as the compiler sees them. The
# :doc:`user guide </user_guide>` has the bytes and instructions of microcontrollers.

for dtype in "float32", "int8":
    to_c(model, header, X_train, y_train, dtype=dtype)
    compiled = compile_here("-Os", "-c", "-o", "cancer.o")
    if compiled is not None and shutil.which("size"):
        printed = subprocess.run(["size", compiled], capture_output=True, text=True)
        print(dtype, printed.stdout.split()[6], "bytes")
folder.cleanup()
