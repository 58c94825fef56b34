"""Losses without single weights against the naive way, gradients against autograd."""

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from skchaosprune._kernels.ablation import (
    ablate_weights,
    mean_gradient,
    squared_gradients,
)
from skchaosprune._network import mlp
from tests import naive
from tests.helpers import flat

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
OUTPUTS = {
    # output activation, loss, outputs
    "binary": ("logistic", "log_loss", 1),
    "multiclass": ("softmax", "log_loss", 3),
    "binary, squared error": ("logistic", "squared_error", 1),
    "multiclass, squared error": ("logistic", "squared_error", 3),
    "regression": ("identity", "squared_error", 1),
    "regression, Huber": ("identity", "huber", 1),
}
HIDDEN = [((), "identity"), ((5,), "logistic"), ((4, 3), "tanh"), ((3, 4, 2), "relu")]
HIDDEN += [((4, 3), "identity")]
TORCH_ACTIVATION = {
    "identity": lambda z: z,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
}


def make_network(hidden=(5,), output="multiclass", *, n_inputs=4, activation="tanh"):
    out_activation, loss, n_outputs = OUTPUTS[output]
    return SimpleNamespace(
        layer_sizes=(n_inputs, *hidden, n_outputs),
        activation=activation,
        out_activation=out_activation,
        loss=loss,
    )


def make_data(network, n_rows=7, seed=0):
    rng = np.random.RandomState(seed)
    n_outputs = network.layer_sizes[-1]
    weights = rng.uniform(size=n_rows)
    if network.out_activation == "identity":
        targets = rng.standard_normal((n_rows, 1))
    elif n_outputs == 1:
        targets = rng.randint(2, size=(n_rows, 1)).astype(float)
    else:
        targets = np.eye(n_outputs)[rng.randint(n_outputs, size=n_rows)]
    return mlp.TrainingData(
        X=rng.standard_normal((n_rows, network.layer_sizes[0])),
        y=None,
        targets=targets,
        sample_weight=weights / weights.mean(),
        total_weight=1.7 * n_rows,
    )


def make_snapshots(network, n_points=2, scale=1.0, seed=1):
    rng = np.random.RandomState(seed)
    n_parameters = mlp.count_parameters(network.layer_sizes)
    return scale * rng.standard_normal((n_points, n_parameters))


def assert_same_ablation(snapshots, network, data, rtol=0.0):
    found = ablate_weights(snapshots, network, data)
    for values, expected in zip(
        found, naive.ablate_weights(snapshots, network, data), strict=True
    ):
        np.testing.assert_allclose(values, expected, rtol=rtol, atol=1e-10)
    return found


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("hidden, activation", HIDDEN)
def test_ablation_is_the_naive_one(hidden, activation, output):
    network = make_network(hidden, output, activation=activation)
    data, snapshots = make_data(network), make_snapshots(network)

    effects, _ = assert_same_ablation(snapshots, network, data)

    assert np.abs(effects).max() > 1e-3


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    activation=st.sampled_from(ACTIVATIONS),
    output=st.sampled_from(list(OUTPUTS)),
    n_rows=st.integers(2, 6),
    n_points=st.integers(1, 3),
    density=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_ablation_of_any_pruned_network(
    sizes, activation, output, n_rows, n_points, density, seed
):
    n_inputs, *hidden = sizes
    network = make_network(hidden, output, n_inputs=n_inputs, activation=activation)
    data = make_data(network, n_rows, seed)
    snapshots = make_snapshots(network, n_points, seed=seed)
    n_weights = mlp.count_weights(network.layer_sizes)
    gone = np.random.RandomState(seed).uniform(size=n_weights) > density
    snapshots[:, :n_weights][:, gone] = 0.0

    effects, errors = assert_same_ablation(snapshots, network, data)

    assert np.all(effects[gone] == 0.0) and np.all(errors[gone] == 0.0)


def test_the_naive_loss_is_the_one_of_the_estimators():
    for output in OUTPUTS:
        network = make_network(output=output)
        data, params = make_data(network), make_snapshots(network)[0]
        coefs, intercepts = mlp.unflatten(params, network.layer_sizes)
        z = mlp.logits(data.X, coefs, intercepts, network.activation)

        expected = [
            naive.row_loss(params, network, x, target)
            for x, target in zip(data.X, data.targets, strict=True)
        ]

        losses = mlp.row_losses(z, data.targets, network.out_activation, network.loss)
        np.testing.assert_allclose(losses, expected, rtol=1e-12, err_msg=output)


@pytest.mark.parametrize("n_inputs, hidden", [(70, (2,)), (2, (70,)), (2, (3, 70))])
def test_wide_layers(n_inputs, hidden):
    network = make_network(hidden, n_inputs=n_inputs)
    data = make_data(network, n_rows=3)

    assert_same_ablation(make_snapshots(network, 1), network, data)


@pytest.mark.parametrize("output", ["binary", "multiclass"])
@pytest.mark.parametrize("hidden", [(), (4, 3)])
def test_large_logits(hidden, output):
    network = make_network(hidden, output, activation="relu")
    snapshots = make_snapshots(network, scale=50.0)

    effects, _ = assert_same_ablation(snapshots, network, make_data(network), 1e-12)

    assert np.abs(effects).max() > 10.0


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_no_row_can_notice_is_exactly_zero(output):
    network = make_network((5, 4), output, activation="relu")
    data, snapshots = make_data(network), make_snapshots(network)
    data.X[:, 2] = 0.0
    for params in snapshots:
        coefs, intercepts = mlp.unflatten(params, network.layer_sizes)
        coefs[0][1] = 0.0
        intercepts[0][3] = -100.0
        coefs[1][:, 2] = 0.0

    for values in assert_same_ablation(snapshots, network, data):
        first, second, _ = mlp.split_layers(values, network.layer_sizes)
        assert not first[1:3].any() and not first[:, 3].any()
        assert not second[3].any() and not second[:, 2].any()
        assert first[0].any() and second[:3].any()


@pytest.mark.parametrize(
    "hidden, output",
    [
        ((), "multiclass"),
        ((70,), "multiclass"),
        ((4, 3), "multiclass, squared error"),
        ((4, 3), "binary"),
        ((4, 3), "regression"),
        ((), "regression"),
    ],
)
def test_blocks_and_short_kernel_calls_change_nothing(monkeypatch, hidden, output):
    network = make_network(hidden, output, n_inputs=70)
    data, snapshots = make_data(network), make_snapshots(network)
    whole = ablate_weights(snapshots, network, data)

    monkeypatch.setattr("skchaosprune._kernels.ablation._BLOCK_ELEMENTS", 1)
    monkeypatch.setattr("skchaosprune._kernels.ablation._KERNEL_CALL_SIZE", 1)
    monkeypatch.setattr("skchaosprune._kernels.ablation._WORK_PER_TASK", 1)
    snapshots = np.asfortranarray(snapshots)
    for n_jobs in (None, 2):
        pieces = ablate_weights(snapshots, network, data, n_jobs=n_jobs)
        np.testing.assert_array_equal(pieces, whole)


def test_nothing_that_came_in_is_changed():
    network = make_network((4, 3))
    data, snapshots = make_data(network), make_snapshots(network)
    given = [snapshots, data.X, data.targets, data.sample_weight]
    copies = [values.copy() for values in given]
    for values in given:
        values.flags.writeable = False

    ablate_weights(snapshots, network, data)
    squared_gradients(snapshots[0], network, data)

    for values, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(values, copy)


def test_one_row_has_no_standard_error():
    network = make_network()
    data, snapshots = make_data(network, n_rows=1), make_snapshots(network)
    data = replace(data, total_weight=1.0)

    effects, errors = ablate_weights(snapshots, network, data)

    assert np.isfinite(effects).all()
    assert np.isnan(errors).all()


def test_progress(monkeypatch):
    network = make_network()
    data, snapshots = make_data(network), make_snapshots(network)
    n_weights = mlp.count_weights(network.layer_sizes)
    monkeypatch.setattr("skchaosprune._kernels.ablation._BLOCK_ELEMENTS", 3 * n_weights)
    shares = []

    ablate_weights(snapshots, network, data, on_progress=shares.append)

    np.testing.assert_array_equal(shares, np.array([3, 6, 7]) / 7)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="plain Python warns of overflow")
def test_a_diverged_network_neither_warns_nor_raises():
    sizes = 1e160, 1e307, np.inf, np.nan
    for output, activation, bad in product(OUTPUTS, ACTIVATIONS, sizes):
        network = make_network((4, 3), output, activation=activation)
        data, snapshots = make_data(network), bad * make_snapshots(network)
        snapshots[:, 0] = 0.0

        effects, errors = ablate_weights(snapshots, network, data)
        squared_gradients(snapshots[0], network, data)

        assert effects[0] == errors[0] == 0.0
        if np.isnan(bad):
            assert np.isnan(effects[1:]).all()


def autograd(params, network, data):
    """Return each row's gradient by the weights, flat, from torch alone."""
    weights, biases = mlp.unflatten(params, network.layer_sizes)
    weights = [torch.tensor(W, requires_grad=True) for W in weights]
    gradients = []
    for x, t in zip(data.X, data.targets, strict=True):
        z, t = torch.tensor(x), torch.tensor(t)
        for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
            z = z @ W + torch.tensor(b)
            if layer < len(weights) - 1:
                z = TORCH_ACTIVATION[network.activation](z)
        if network.loss == "squared_error":
            loss = ((TORCH_ACTIVATION[network.out_activation](z) - t) ** 2).mean()
        elif network.loss == "huber":
            loss = 2.0 * functional.huber_loss(z, t, delta=1.35)
        elif network.out_activation == "softmax":
            loss = functional.cross_entropy(z, t)
        else:
            loss = functional.binary_cross_entropy_with_logits(z, t)
        parts = torch.autograd.grad(loss, weights)
        gradients.append(flat(part.numpy() for part in parts))
    return np.array(gradients)


@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_are_those_of_autograd(output):
    for hidden, activation in HIDDEN:
        network = make_network(hidden, output, activation=activation)
        data, params = make_data(network), make_snapshots(network, 1)[0]
        params[1] = 0.0  # as of a pruned weight

        squares = squared_gradients(params, network, data)
        gradient = mean_gradient(params, network, data)

        of_rows, weights = autograd(params, network, data), data.sample_weight
        for found, expected in (
            (squares, np.average(of_rows**2, axis=0, weights=weights)),
            (gradient, np.average(of_rows, axis=0, weights=weights)),
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)
            assert np.abs(found).max() > 1e-3


def test_squared_gradients_in_blocks(monkeypatch):
    network = make_network((4, 3))
    data, params = make_data(network), make_snapshots(network, 1)[0]
    whole = squared_gradients(params, network, data)

    monkeypatch.setattr("skchaosprune._network.mlp._BLOCK_ELEMENTS", 8)

    np.testing.assert_allclose(squared_gradients(params, network, data), whole)
