"""The epoch kernel against torch's autograd, an independent judge."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skchaosprune._kernels.sparse import train_kept
from skchaosprune._network import mlp as _mlp
from skchaosprune._network.mlp import TrainingData
from skchaosprune._training.net import train
from skchaosprune._training.plan import TrainingPlan

OUTPUTS = {
    "binary": ("logistic", "log_loss", 1),
    "multiclass": ("softmax", "log_loss", 3),
    "binary, squared error": ("logistic", "squared_error", 1),
    "multiclass, squared error": ("logistic", "squared_error", 3),
    "regression": ("identity", "squared_error", 1),
}
TORCH_ACTIVATION = {
    "identity": torch.nn.Identity(),
    "logistic": torch.nn.Sigmoid(),
    "tanh": torch.nn.Tanh(),
    "relu": torch.nn.ReLU(),
}
N_ROWS = 43  # the last batch is a small one


def make_plan(hidden=(5,), output="multiclass", **changes):
    out_activation, loss, n_outputs = OUTPUTS[output]
    values = {
        "layer_sizes": (4, *hidden, n_outputs),
        "activation": "tanh",
        "out_activation": out_activation,
        "loss": loss,
        "is_classifier": output != "regression",
        "solver": "sgd",
        "learning_rate": 0.05,
        "momentum": 0.0,
        "alpha": 0.0,
        "batch_size": 1,
        "shuffle": True,
        "engine": "numba",
        "device": "cpu",
    }
    return TrainingPlan(**values | changes)


def make_data(plan, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((N_ROWS, plan.layer_sizes[0]))
    weights = rng.uniform(size=N_ROWS)
    weights /= weights.mean()
    n_outputs = plan.layer_sizes[-1]
    if not plan.is_classifier:
        y = rng.standard_normal((N_ROWS, 1))
        y -= np.average(y[:, 0], weights=weights)
        y = targets = y / np.sqrt(np.average(y[:, 0] ** 2, weights=weights))
    elif n_outputs == 1:
        y = rng.randint(2, size=N_ROWS)
        targets = y[:, np.newaxis].astype(float)
    else:
        y = rng.randint(n_outputs, size=N_ROWS)
        targets = np.eye(n_outputs)[y]
    return TrainingData(X, y, targets, weights)


def initial(plan, seed=1):
    rng = np.random.RandomState(seed)
    return _mlp.initial_parameters(plan.layer_sizes, "glorot_uniform", "tanh", rng)


def autograd_epochs(plan, data, params, mask, n_epochs, seed):
    """Textbook training, written against torch alone; returns params and losses."""
    rng = np.random.RandomState(seed)
    W, b = [], []
    for coef, intercept in zip(*_mlp.unflatten(params, plan.layer_sizes), strict=True):
        W.append(torch.tensor(coef, requires_grad=True))
        b.append(torch.tensor(intercept, requires_grad=True))
    masks = [
        torch.tensor(part)
        for part in _mlp.unflatten(
            np.concatenate([mask, np.ones(params.size - mask.size)]), plan.layer_sizes
        )[0]
    ]
    with torch.no_grad():
        for matrix, kept in zip(W, masks, strict=True):
            matrix *= kept
    make = torch.optim.Adam if plan.solver == "adam" else torch.optim.SGD
    options = {"momentum": plan.momentum} if plan.solver == "sgd" else {}
    optimizer = make([*W, *b], lr=plan.learning_rate, **options)
    losses = []
    for _ in range(n_epochs):
        order = rng.permutation(N_ROWS) if plan.shuffle else np.arange(N_ROWS)
        total = 0.0
        for first in range(0, N_ROWS, plan.batch_size):
            rows = order[first : first + plan.batch_size]
            z = torch.tensor(data.X[rows])
            for layer, (matrix, bias) in enumerate(zip(W, b, strict=True)):
                z = z @ matrix + bias
                if layer < len(W) - 1:
                    z = TORCH_ACTIVATION[plan.activation](z)
            t = torch.tensor(data.targets[rows])
            w = torch.tensor(data.sample_weight[rows])
            if plan.loss == "log_loss" and plan.out_activation == "softmax":
                row_loss = torch.nn.functional.cross_entropy(
                    z, t.argmax(dim=1), reduction="none"
                )
            elif plan.loss == "log_loss":
                p = torch.sigmoid(z)
                row_loss = -(t * p.log() + (1 - t) * (1 - p).log()).sum(dim=1)
            else:
                p = torch.sigmoid(z) if plan.out_activation == "logistic" else z
                row_loss = ((p - t) ** 2).mean(dim=1)
            loss = (w * row_loss).sum() / len(rows)
            penalty = sum((matrix**2).sum() for matrix in W)
            optimizer.zero_grad()
            (loss + 0.5 * plan.alpha * penalty / len(rows)).backward()
            optimizer.step()
            with torch.no_grad():
                for matrix, kept in zip(W, masks, strict=True):
                    matrix *= kept
            total += loss.item() * len(rows)
        losses.append(total / N_ROWS)
    parts = [part.detach().numpy() for part in (*W, *b)]
    return np.concatenate([part.ravel() for part in parts]), losses


def random_mask(plan, seed=2):
    return np.random.RandomState(seed).uniform(size=plan.n_weights) > 0.3


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("batch_size", [1, 16, N_ROWS])
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", TORCH_ACTIVATION)
def test_one_epoch_agrees_with_autograd(engine, batch_size, output, activation):
    plan = make_plan(
        (6, 5), output, activation=activation, batch_size=batch_size, engine=engine
    )
    data, params, mask = make_data(plan), initial(plan), random_mask(plan)

    run = train(plan, data, params, n_epochs=1, mask=mask, seed=3)

    expected, losses = autograd_epochs(plan, data, params, mask, 1, seed=3)
    np.testing.assert_allclose(run.params, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(run.history[0]["train_loss"], losses[0], rtol=1e-10)
    assert run.engine == engine
    assert np.all(run.params[: mask.size][~mask] == 0.0)
    assert np.abs(run.params - params).max() > 1e-3


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("momentum, alpha", [(0.9, 0.0), (0.0, 0.3), (0.5, 0.1)])
@pytest.mark.parametrize("hidden", [(5,), (4, 3, 5)])
def test_momentum_and_penalty_agree_with_autograd(
    engine, batch_size, momentum, alpha, hidden
):
    plan = make_plan(
        hidden,
        momentum=momentum,
        alpha=alpha,
        batch_size=batch_size,
        engine=engine,
        learning_rate=0.01,
    )
    data, params, mask = make_data(plan), initial(plan), random_mask(plan)

    run = train(plan, data, params, n_epochs=3, mask=mask, seed=3)

    expected, losses = autograd_epochs(plan, data, params, mask, 3, seed=3)
    np.testing.assert_allclose(run.params, expected, rtol=0, atol=1e-10)
    curve = [epoch["train_loss"] for epoch in run.history]
    np.testing.assert_allclose(curve, losses, rtol=1e-9)


@pytest.mark.parametrize("engine", ["numba", "torch"])
@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 6), max_size=3),
    output=st.sampled_from(list(OUTPUTS)),
    activation=st.sampled_from(list(TORCH_ACTIVATION)),
    batch_size=st.integers(1, N_ROWS),
    momentum=st.floats(0.0, 0.95),
    alpha=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_any_network_agrees_with_autograd(
    engine, hidden, output, activation, batch_size, momentum, alpha, seed
):
    plan = make_plan(
        hidden,
        output,
        activation=activation,
        batch_size=batch_size,
        momentum=momentum,
        alpha=alpha,
        engine=engine,
        learning_rate=0.01,
    )
    data, params, mask = make_data(plan, seed), initial(plan), random_mask(plan, seed)

    run = train(plan, data, params, n_epochs=1, mask=mask, seed=seed)

    expected, losses = autograd_epochs(plan, data, params, mask, 1, seed)
    np.testing.assert_allclose(run.params, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(run.history[0]["train_loss"], losses[0], rtol=1e-9)
    assert np.all(run.params[: mask.size][~mask] == 0.0)


@settings(max_examples=50)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=3),
    output=st.sampled_from(list(OUTPUTS)),
    activation=st.sampled_from(list(TORCH_ACTIVATION)),
    momentum=st.sampled_from([0.0, 0.6]),
    alpha=st.sampled_from([0.0, 0.3]),
    shuffle=st.booleans(),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_kept_weights_alone_are_trained_to_the_same_bits(
    hidden, output, activation, momentum, alpha, shuffle, share, seed
):
    plan = make_plan(
        hidden,
        output,
        activation=activation,
        momentum=momentum,
        alpha=alpha,
        shuffle=shuffle,
        learning_rate=0.02,
    )
    data, params = make_data(plan, seed), initial(plan, seed)
    mask = np.random.RandomState(seed).uniform(size=plan.n_weights) < share
    options = {"n_epochs": 2, "mask": mask, "seed": seed}

    found = train_kept(plan, data, params, **options, largest=1e15)

    expected = train(plan, data, params, **options).params
    np.testing.assert_array_equal(found, expected)


def test_adam_agrees_with_autograd_and_revives_no_weight():
    plan = make_plan(solver="adam", engine="auto", batch_size=16)
    data, params, mask = make_data(plan), initial(plan), random_mask(plan)

    run = train(plan, data, params, n_epochs=3, mask=mask, seed=3)

    expected, _ = autograd_epochs(plan, data, params, mask, 3, seed=3)
    np.testing.assert_allclose(run.params, expected, rtol=0, atol=1e-10)
    assert run.engine == "torch"
    assert np.all(run.params[: mask.size][~mask] == 0.0)


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_fixed_row_order_without_shuffle(engine):
    plan = make_plan(shuffle=False, engine=engine)
    data, params = make_data(plan), initial(plan)
    mask = np.ones(plan.n_weights, dtype=bool)

    runs = [
        train(plan, data, params, n_epochs=2, mask=mask, seed=seed).params
        for seed in (0, 1)
    ]

    np.testing.assert_array_equal(*runs)
    expected, _ = autograd_epochs(plan, data, params, mask, 2, seed=0)
    np.testing.assert_allclose(runs[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_short_kernel_calls_change_nothing(monkeypatch, batch_size):
    plan = make_plan(batch_size=batch_size, momentum=0.5)
    data, params = make_data(plan), initial(plan)
    mask = np.ones(plan.n_weights, dtype=bool)
    whole = train(plan, data, params, n_epochs=2, mask=mask, seed=0).params

    monkeypatch.setattr("skchaosprune._training.net._KERNEL_CALL_SIZE", 1)
    pieces = train(plan, data, params, n_epochs=2, mask=mask, seed=0).params

    np.testing.assert_array_equal(pieces, whole)


def test_large_logits_do_not_overflow_the_loss():
    plan = make_plan((3,), "binary", activation="identity", learning_rate=1e-6)
    data = make_data(plan)
    params = initial(plan) * 1e3
    mask = np.ones(plan.n_weights, dtype=bool)

    run = train(plan, data, params, n_epochs=1, mask=mask, seed=0)

    assert np.isfinite(run.history[0]["train_loss"])
    assert run.history[0]["train_loss"] > 100
