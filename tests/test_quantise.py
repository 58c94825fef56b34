"""Networks in integers: the C code computes what Python says, and nothing overflows."""

import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLPRegressor, to_c
from skchaosprune._affine import Affine
from skchaosprune._export import embedded
from tests.compilers import (
    COMPILERS,
    SANITIZE,
    SANITIZING,
    Compiled,
    compile_c,
    needs_compiler,
    needs_sanitizer,
)
from tests.helpers import small
from tests.test_compact import ACTIVATIONS, make_network

DTYPES = ["int8", "int16"]
KINDS = {"logistic": 1, "softmax": 4, "identity": 1}


def quantise(network, X, dtype):
    affine = Affine.identity(network).select(network.selected_features_)
    return embedded.quantise(
        network.coefs_,
        network.intercepts_,
        network.activation_,
        affine,
        np.float32(X),
        dtype,
    )


def make_networks():
    """Networks of all kinds, by name, and rows for each."""
    rng = np.random.RandomState(0)
    for activation in ACTIVATIONS:
        for out_activation, n_outputs in KINDS.items():
            for hidden in (), (9,), (8, 7, 6):
                name = f"{activation}_{out_activation}_{len(hidden)}"
                network = make_network(
                    (6, *hidden, n_outputs),
                    out_activation,
                    density=rng.choice([0.3, 1.0]),
                    activation=activation,
                )
                spread = rng.choice([1.0, 10.0], size=8)  # one step, or one per input
                yield name, network, spread * rng.standard_normal((300, 8))


def save(network, X, path, dtype):
    with warnings.catch_warnings(action="ignore"):  # of points lost
        network.to_c(path, X, dtype=dtype)


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES)
def test_c_computes_what_python_says(tmp_path, dtype):
    cases, headers = {}, {}
    for name, network, X in make_networks():
        cases[name], headers[name] = (network, X), tmp_path / f"{name}.h"
        save(network, X, headers[name], dtype)

    for compiler in COMPILERS:
        code = Compiled(compiler, tmp_path, headers)
        for name, (network, X) in cases.items():
            rows = np.float32(X)
            z = embedded.compute_logits(quantise(network, X, dtype), rows)
            found = code.predict(name, rows)
            # tanh and exp of C and of numpy differ in their last digits
            exact = network.activation_ in ("relu", "identity")
            if network.out_activation_ == "identity":
                error = np.abs(found - z[:, 0])
                assert error.max() <= (0.0 if exact else 2e-2 * np.abs(z).max())
                continue
            expected = z[:, 0] > 0 if z.shape[1] == 1 else np.argmax(z, axis=1)
            assert np.mean(found == expected) >= (1.0 if exact else 0.99)
            if exact:
                right = embedded_probabilities(z)
                probabilities = code.predict_proba(name, rows, right.shape[1])
                np.testing.assert_allclose(probabilities, right, rtol=0, atol=3e-7)


def embedded_probabilities(z):
    """Probabilities in loops, for one output or a softmax."""
    z = z.astype(np.float64)
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_close_to_the_network(dtype):
    """Errors shrink with the bits, and are small beside the outputs."""
    for name, network, X in make_networks():
        rows = np.float32(X)
        z = embedded.compute_logits(quantise(network, X, dtype), rows)
        right = network._logits(rows.astype(np.float64))
        error = np.abs(z - right).max() / np.abs(right).max()
        assert error < {"int8": 0.1, "int16": 3e-3}[dtype], (name, error)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_sum_can_leave_32_bits(dtype):
    """In exact integers: the largest sums of products, whatever the row."""
    rng = np.random.RandomState(1)
    networks = [network for _, network, _ in make_networks()]
    networks += [
        make_network((500, 20, 3)),
        make_network((8, 5, 3), intercepts=[np.full(5, 1e6), np.full(3, -1e9)]),
        make_network((8, 5, 3), coefs=[np.full((8, 5), 1e-9), np.zeros((5, 3))]),
        make_network((1, 3), coefs=[[[0.0, 1.0, -1e-30]]], intercepts=[[0, 0, 0]]),
    ]
    for network in networks:
        X = rng.standard_normal((50, network.n_features_in_))
        integers = quantise(network, X, dtype)
        for layer in integers.layers:
            assert layer.weights.dtype == dtype and layer.biases.dtype == np.int32
            for weights, bias in zip(
                layer.weights.tolist(), layer.biases.tolist(), strict=True
            ):
                largest = sum(map(abs, weights)) * embedded.LIMIT + abs(bias)
                assert largest + 2**17 < 2**31
            if layer.shifts is not None:
                assert layer.shifts.max() <= 17
        # no bit is wasted: a weight or a sum is at its limit, to rounding
        first = integers.layers[0]
        sums = np.abs(first.weights.astype(np.int64)).sum(axis=1) * embedded.LIMIT
        used = np.maximum(
            np.abs(first.weights.astype(np.int64)).max(axis=1)
            / np.iinfo(first.weights.dtype).max,
            (sums + np.abs(first.biases.astype(np.int64))) / 2**31,
        )
        assert (used[first.weights.any(axis=1)] > 0.98).all()


@needs_sanitizer
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_row_is_safe(tmp_path, dtype):
    """Sanitizers find nothing: rows that are far out, infinite or no number."""
    names, lines = [], ["#include <string.h>", "#include <stdio.h>"]
    for name, network, X in list(make_networks())[::5]:
        save(network, X, tmp_path / f"{name}.h", dtype)
        names.append((name, network))
        lines.append(f'#include "{name}.h"')
    lines += [
        "int main(void) { static const float values[] = {",
        "0.0f, 1e30f, -1e30f,",
    ]
    lines += ["INFINITY, -INFINITY, NAN, 3e38f, -3.5f, 1e-40f};", "unsigned i, j;"]
    lines += ["float x[8], p[4]; double sum = 0; for (j = 0; j < 81; j++) {"]
    lines += ["for (i = 0; i < 8; i++) x[i] = values[i % 2 ? j / 9 : j % 9];"]
    for name, network in names:
        lines.append(f"sum += {name}_predict(x);")
        if network.out_activation_ != "identity":
            lines.append(f"{name}_predict_proba(x, p); sum += p[0] + p[1];")
    lines.append('if (sum != sum) return 1; } printf("%f", sum); return 0; }')
    (tmp_path / "main.c").write_text("\n".join(lines) + "\n")
    strict = ["-std=c99", "-Wall", "-Werror", "-Wno-misleading-indentation"]
    for compiler in SANITIZING:
        program = tmp_path / f"main_{compiler}"
        compile_c(compiler, tmp_path / "main.c", program, *SANITIZE, strict=strict)
        run = subprocess.run(program, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr


@needs_compiler
def test_pipeline_with_columns_that_are_far_from_zero(tmp_path, cancer):
    """Raw columns, in steps around the mean of the scaler or of the range."""
    X, y = cancer
    X = pd.DataFrame(X).add_prefix("c") * np.logspace(-3, 4, 30) + 1e4
    X = X.astype(np.float32).astype(np.float64)  # as C gets them
    model = make_pipeline(StandardScaler(), small(max_iter=30)).fit(X, y)
    headers = {dtype: tmp_path / f"{dtype}.h" for dtype in DTYPES}
    for dtype, path in headers.items():
        to_c(model, path, X, y, dtype=dtype)
        assert f"const {dtype}_t *weights" in path.read_text()
    code = Compiled(COMPILERS[0], tmp_path, headers)
    right = model.predict_proba(X)
    for dtype, tolerance in ("int8", 0.15), ("int16", 2e-3):
        error = np.abs(code.predict_proba(dtype, X, 2) - right).max()
        assert error < tolerance

    with pytest.warns(UserWarning, match="not scaled|unscaled|scale"):
        raw = small(max_iter=5).fit(X[["c25"]], y)
    integers = quantise(raw.compact(), X[["c25"]].to_numpy(), "int16")
    low, high = X["c25"].min(), X["c25"].max()
    assert (
        low < 0 < high or integers.centre == np.float32(low) / 2 + np.float32(high) / 2
    )


def test_calibration_needs_rows(tmp_path, fitted, iris):
    X, y = iris
    path = tmp_path / "net.h"
    for dtype in DTYPES:
        with pytest.raises(ValueError, match=rf"dtype='{dtype}' needs X, rows like"):
            to_c(fitted, path, dtype=dtype)
        for rows in X[:, :2], X[:0], X * np.nan:
            with pytest.raises(ValueError):
                to_c(fitted, path, rows, dtype=dtype)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            to_c(fitted, path, X, y[:5], dtype=dtype)
    assert not path.exists()
    to_c(fitted, path)  # single precision needs none


def test_what_integers_cost_is_one_warning(tmp_path, diabetes):
    # two classes that differ by less than a step of 8 bits
    network = make_network(
        (2, 2),
        coefs=[np.array([[1.0, 1.0], [1e-3, 0.0]])],
        intercepts=[np.array([0.0, 0.0])],
        n_features_in=2,
        selected_features=[0, 1],
    )
    X = np.random.RandomState(0).standard_normal((200, 2))
    y = network.predict(X)
    path = tmp_path / "net.h"
    with pytest.warns(UserWarning, match="^dtype='int8' costs") as found:
        network.to_c(path, X, dtype="int8")
    (warning,) = found
    assert (
        "of accuracy on the 200 rows of X, measured against the network's own"
        in str(warning.message)
    )
    assert str(warning.message).endswith("Take dtype='int16' or 'float32'.")
    assert warning.filename == __file__
    predicted = network.classes_[
        np.argmax(
            embedded.compute_logits(quantise(network, X, "int8"), np.float32(X)), 1
        )
    ]
    assert f"{np.mean(predicted == y):.3f} instead of 1.000" in str(warning.message)
    assert path.exists()  # the file is written all the same
    with pytest.warns(UserWarning, match="measured against y"):
        network.to_c(path, X, y, dtype="int8")
    network.to_c(path, X, predicted, dtype="int8")  # nothing lost: these are right
    network.to_c(path, X, y, dtype="int16")  # warnings are errors here

    X, y = diabetes
    model = small(ChaosCausalPrunedMLPRegressor, max_iter=30).fit(X, y)
    model.to_c(path, X, y, dtype="int8")
    integers = quantise(model.compact(), X, "int8")
    z = embedded.compute_logits(integers, np.float32(X))[:, 0]
    found = z * model.compact().target_scale_ + model.compact().target_mean_
    assert r2_score(y, found) > r2_score(y, model.predict(X)) - 0.005
    assert r2_score(model.predict(X), found) > 0.99


def test_zeros_are_dropped():
    """What rounds to zero is no longer stored; constant networks have no products."""
    network = make_network((2, 1), "identity", coefs=[[[1.0], [1e-6]]])
    integers = quantise(network, np.eye(4), "int8")
    assert_array_equal(integers.layers[0].weights[0, 1], 0)
    constant = make_network((0, 3), coefs=[np.zeros((0, 3))], selected_features=[])
    integers = quantise(constant, np.eye(2), "int16")
    z = embedded.compute_logits(integers, np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(z[0], constant.intercepts_[0], rtol=1e-6)
