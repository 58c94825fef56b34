"""Networks in integers: the C code computes what Python says, and nothing overflows."""

import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLPRegressor, to_c
from skchaosprune._affine import Affine, compose
from skchaosprune._export import embedded
from skchaosprune._network import mlp
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
            rows = np.float32(np.vstack([X, 100.0 * X]))  # cut off, too
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
@pytest.mark.parametrize("dtype", embedded.DTYPES)
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
    # integers make numbers of all that is none
    check = "" if dtype == "float32" else "if (sum != sum) return 1;"
    lines.append(check + ' } printf("%f", sum); return 0; }')
    (tmp_path / "main.c").write_text("\n".join(lines) + "\n", encoding="utf-8")
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
        assert f"const {dtype}_t *weights" in path.read_text(encoding="utf-8")
    code = Compiled(COMPILERS[0], tmp_path, headers)
    right = model.predict_proba(X)
    for dtype, tolerance in ("int8", 0.15), ("int16", 2e-3):
        error = np.abs(code.predict_proba(dtype, X, 2) - right).max()
        assert error < tolerance

    with pytest.warns(UserWarning, match="X is not scaled"):
        raw = small(max_iter=5).fit(X[["c25"]], y)
    integers = quantise(raw.compact(), X[["c25"]].to_numpy(), "int16")
    low, high = np.float32([X["c25"].min(), X["c25"].max()])
    assert integers.centre == low / 2 + high / 2


def test_calibration_needs_rows(tmp_path, fitted, iris):
    X, y = iris
    path = tmp_path / "net.h"
    for dtype in DTYPES:
        with pytest.raises(ValueError, match=rf"dtype='{dtype}' needs X, rows like"):
            to_c(fitted, path, dtype=dtype)
        for rows, text in (
            (X[:, :2], "X has 2 features, but"),
            (X[:0], "0 sample"),
            (X * np.nan, "contains NaN"),
        ):
            with pytest.raises(ValueError, match=text):
                to_c(fitted, path, rows, dtype=dtype)
        for wrong, text in (
            (y[:5], r"y has the shape \(5,\), and X has 150 rows; pass one target"),
            (3, r"y has the shape \(\)"),
            (
                np.where(y == 2, 7, y),
                r"labels that the model does not know, \[7\]; its",
            ),
            (y.astype(str), "labels that the model does not know"),
        ):
            with pytest.raises(ValueError, match=text):
                to_c(fitted, path, X, wrong, dtype=dtype)
        X_large = X.copy()
        X_large[3, 1] = 1e39
        with pytest.raises(ValueError, match="^a value of X is too large for the sing"):
            to_c(fitted, path, X_large, dtype=dtype)
    with pytest.raises(ValueError, match="y is given without X; pass both"):
        to_c(fitted, path, y=y)
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
    predicted = network.classes_[
        np.argmax(
            embedded.compute_logits(quantise(network, X, "int8"), np.float32(X)), 1
        )
    ]
    with pytest.warns(UserWarning) as found:
        network.to_c(path, X, dtype="int8")
    (warning,) = found
    lost = np.mean(predicted != y)
    assert lost > 0.1
    assert str(warning.message) == (
        f"dtype='int8' costs {lost:.3f} of accuracy on the 200 rows of X, measured "
        "against what the model predicts. Take dtype='int16' or 'float32'."
    )
    assert warning.filename == __file__
    assert path.exists()  # the file is written all the same
    with pytest.warns(UserWarning, match="measured against y"):
        network.to_c(path, X, y, dtype="int8")
    network.to_c(path, X, predicted, dtype="int8")  # nothing lost: these are right
    network.to_c(path, X, y, dtype="int16")  # warnings are errors here
    # half a point is not more than half a point
    wrong = np.flatnonzero(predicted != y)
    rows = np.append(np.flatnonzero(predicted == y), wrong[0])
    rows = np.concatenate([rows, np.resize(rows[:-1], 200 - len(rows))])
    network.to_c(path, X[rows], y[rows], dtype="int8")

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


def agreement(network, X, dtype):
    z = embedded.compute_logits(quantise(network, X, dtype), np.float32(X))
    return np.mean(np.argmax(z, axis=1) == np.argmax(network._logits(X), axis=1))


def test_units_and_columns_that_are_silent_take_no_bits(tmp_path):
    """A relu that no row of X reaches, or a constant column, is no coarse step."""
    rng = np.random.RandomState(1)
    coefs = [rng.standard_normal((10, 16)) / 3, rng.standard_normal((16, 3)) / 4]
    silent = np.zeros(16)
    silent[0] = -6.0 * np.abs(coefs[0][:, 0]).sum()
    network = make_network(
        (10, 16, 3),
        coefs=coefs,
        intercepts=[rng.standard_normal(16) * 0.3 + silent, np.zeros(3)],
        n_features_in=10,
        selected_features=np.arange(10),
    )
    X = rng.standard_normal((2000, 10))
    assert agreement(network, X, "int8") > 0.98

    network = make_network((10, 16, 3), n_features_in=10, selected_features=range(10))
    small_numbers = X * 1e-5
    small_numbers[:, 0] = 0.0
    network = make_network(
        (10, 16, 3),
        coefs=[network.coefs_[0] * 1e5, network.coefs_[1]],
        n_features_in=10,
        selected_features=range(10),
    )
    assert agreement(network, small_numbers, "int8") > 0.98
    for rows in X[:1], np.zeros((5, 10)):
        assert agreement(network, rows * 1e-5, "int16") == 1.0
        network.to_c(tmp_path / "net.h", rows * 1e-5, dtype="int16")


def test_columns_of_a_frame_go_by_name(tmp_path, iris):
    """A ColumnTransformer takes columns in any order, and does not ask for others."""
    X, y = iris
    frame = pd.DataFrame(X * [1, 10, 100, 1000], columns=list("abcd"))
    columns = ColumnTransformer([("s", StandardScaler(), ["b", "d", "a"])])
    model = make_pipeline(columns, small(max_iter=5)).fit(frame, y)
    to_c(model, tmp_path / "net.h", frame, y, dtype="int16")
    expected = (tmp_path / "net.h").read_bytes()

    wider = frame.assign(text="x")[["text", *"dcba"]]
    for other in frame[list("dcba")], frame[["d", "b", "a"]], wider:
        assert (model.predict(other) == model.predict(frame)).all()
        to_c(model, tmp_path / "net.h", other, y, dtype="int16")
        assert (tmp_path / "net.h").read_bytes() == expected


def test_predictions_without_a_spread_are_no_loss(tmp_path):
    constant = make_network(
        (0, 1),
        "identity",
        coefs=[np.zeros((0, 1))],
        selected_features=[],
        target_mean=1 / 3,
        target_scale=np.pi,
    )
    alike = make_network((4, 1), "identity")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for dtype in DTYPES:
            constant.to_c(tmp_path / "net.h", np.eye(2), dtype=dtype)
            alike.to_c(tmp_path / "net.h", np.ones((20, 6)), dtype=dtype)
            alike.to_c(tmp_path / "net.h", np.ones((1, 6)), [5.0], dtype=dtype)
    assert found == []


def test_what_single_precision_costs_is_not_put_down_to_integers(tmp_path, iris):
    X, y = iris
    model = make_pipeline(StandardScaler(), small(max_iter=20)).fit(X + 1e8, y)
    for dtype in "float32", "int16":
        with pytest.warns(UserWarning, match="^single precision, in which C") as found:
            to_c(model, tmp_path / "net.h", X + 1e8, y, dtype=dtype)
        assert len(found) == 1
    assert "Subtract a constant from columns that are far" in str(found[0].message)


def test_rows_are_measured_in_blocks(monkeypatch):
    name, network, X = list(make_networks())[2]
    expected = quantise(network, X, "int16")
    monkeypatch.setattr(mlp, "_BLOCK_ELEMENTS", 50)
    found = quantise(network, X, "int16")
    for one, other in zip(found.layers, expected.layers, strict=True):
        for name in "weights", "biases", "scales", "shifts":
            assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_twice_as_far_out_are_not_cut_off(dtype):
    biases = [np.zeros(9), np.zeros(5), np.zeros(3)]  # all units grow with the rows
    network = make_network((6, 9, 5, 3), density=0.6, intercepts=biases)
    X = np.random.RandomState(0).uniform(-1, 1, (500, 8))
    X[:2] = [[-1.0], [1.0]]
    integers = quantise(network, X, dtype)
    for factor, is_same in (1.9, True), (20.0, False):
        z = embedded.compute_logits(integers, np.float32(factor * X))
        right = network._logits(factor * X)
        error = np.abs(z - right).max() / np.abs(right).max()
        assert (error < {"int8": 0.05, "int16": 2e-3}[dtype]) == is_same


def test_units_and_columns_that_wake_up_later():
    """They have steps of the size of the others'."""
    network = make_network(
        (6, 1),
        coefs=[np.eye(6)[:, :1]],
        selected_features=range(6),
        n_features_in=6,
        intercepts=[[0.0]],
        out_activation="identity",
    )
    X = np.zeros((10, 6))
    X[:, 1] = np.arange(10) / 3
    z = embedded.compute_logits(quantise(network, X, "int16"), np.eye(6, dtype="f"))
    np.testing.assert_allclose(z[0, 0], 1.0, rtol=1e-3)

    # behind a scaler a constant column moves by units of that
    scaler = StandardScaler().fit(np.linspace(-1e4, 1e4, 30).reshape(5, 6))
    scaled = compose(Affine.identity(scaler), scaler)
    parts = network.coefs_, network.intercepts_, network.activation_, scaled
    X = np.linspace(-1e4, 1e4, 30).reshape(5, 6)
    X[:, 0] = 0.0
    integers = embedded.quantise(*parts, np.float32(X), "int16")
    rows = np.zeros((1, 6), dtype=np.float32)
    rows[0, 0] = scaler.scale_[0]
    expected = (rows[0, 0] - scaler.mean_[0]) / scaler.scale_[0]
    np.testing.assert_allclose(
        embedded.compute_logits(integers, rows)[0, 0], expected, rtol=1e-3
    )

    silent = make_network(
        (2, 2, 1),
        "identity",
        coefs=[np.eye(2), np.ones((2, 1))],
        intercepts=[[-2.0, 0.0], [0.0]],
        n_features_in=2,
        selected_features=range(2),
    )
    integers = quantise(silent, np.array([[1.0, 1.0], [-1.0, -1.0]]), "int16")
    z = embedded.compute_logits(integers, np.float32([[2.0, 0.0], [1.9, 1.0], [3, 1]]))
    np.testing.assert_allclose(z[:2, 0], [0.0, 1.0], atol=1e-3)


def test_one_step_for_all_inputs_where_that_is_enough():
    """Columns of about one size need no array of steps, nor a centre around 0."""
    network = make_network((6, 3))
    X = np.random.RandomState(0).uniform(-1, 1, (100, 8))
    assert quantise(network, X, "int8").steps.shape == (1,)
    assert quantise(network, X, "int8").centre is None
    wide = X * np.append(np.ones(7), 10.0)
    assert quantise(network, wide, "int8").steps.shape == (1,)  # that is not used
    wide = X * np.array([1, 10, 1, 1, 1, 1, 1, 1])
    integers = quantise(network, wide, "int8")
    assert integers.steps.shape == (6,)
    parts = [a for layer in integers.layers for a in layer.arrays if a is not None]
    assert integers.nbytes == sum(a.nbytes for a in parts) + 6 + 6 * 4
