"""The epoch kernels, and the same epochs in torch, against torch's autograd."""

import math
from dataclasses import replace
from itertools import product
from unittest.mock import Mock, patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from skchaosprune._kernels import sgd
from skchaosprune._training.plan import TrainingPlan, Watch
from skchaosprune._training.recording import SnapshotRecorder, WindowRecorder
from skchaosprune._training.threads import one_thread_per_fit
from tests.autograd import TORCH_ACTIVATION, torch_layers, torch_losses
from tests.networks import (
    N_ROWS,
    OUTPUTS,
    initial,
    make_data,
    make_plan,
    random_mask,
    train_plan,
)

# The kernel of single rows, that of batches, and the loop in torch.
WAYS = [("numba", 1), ("numba", 16), ("torch", 16)]


def autograd_epochs(plan, data, params, mask, n_epochs, seed):
    """Textbook training, written against torch alone; returns params and losses.

    With "cosine" the rate decays from epoch to epoch, and with SGD each row's loss is
    divided by ``1 + rate * size / (1 - momentum)`` before it is derived. Of ``|x|^2``,
    the ``n`` rows of a step share 10 per column; what is beyond counts in full.
    """
    rng = np.random.RandomState(seed)
    biases_too = np.ones(params.size - mask.size)
    masks, _ = torch_layers(np.concatenate([mask, biases_too]), plan)
    W, b = torch_layers(params, plan, requires_grad=True)

    def mask_weights():
        with torch.no_grad():
            for matrix, kept in zip(W, masks, strict=True):
                matrix *= kept

    mask_weights()
    make = torch.optim.Adam if plan.solver == "adam" else torch.optim.SGD
    options = {"momentum": plan.momentum} if plan.solver == "sgd" else {}
    optimizer = make([*W, *b], lr=plan.learning_rate_init, **options)
    curve = []
    for epoch in range(n_epochs):
        rate, slowness = plan.learning_rate_init, 0.0
        if plan.learning_rate == "cosine":
            rate *= (1.0 + math.cos(math.pi * epoch / n_epochs)) / 2.0
        if plan.learning_rate == "cosine" and plan.solver == "sgd":
            slowness = rate / (1.0 - plan.momentum)
        optimizer.param_groups[0]["lr"] = rate
        order = rng.permutation(N_ROWS) if plan.shuffle else np.arange(N_ROWS)
        total = 0.0
        for _ in range(plan.n_passes):
            for first in range(0, N_ROWS, plan.batch_size):
                rows = order[first : first + plan.batch_size]
                losses = torch_losses(plan, data, rows, W, b)
                n = data.total_weight if len(rows) == N_ROWS else len(rows)
                squares = np.sum(data.X[rows] ** 2, axis=1)
                beyond = np.maximum(squares - 10.0 * data.X.shape[1], 0.0)
                sizes = np.minimum(squares, 10.0 * data.X.shape[1]) / n + beyond
                bounds = torch.tensor(1.0 + slowness * sizes)
                loss = (losses / bounds).sum() / len(rows)
                penalty = sum((matrix**2).sum() for matrix in W)
                optimizer.zero_grad()
                prior = plan.alpha / (2.0 * data.total_weight) * penalty
                (loss + prior).backward()
                optimizer.step()
                mask_weights()
                total += losses.sum().item()
        curve.append(total / N_ROWS / plan.n_passes)
    parts = [part.detach().numpy() for part in (*W, *b)]
    return np.concatenate([part.ravel() for part in parts]), curve


def keep_entries(data, share):
    """Set all but a share of the entries to 0."""
    keep = np.random.RandomState(0).uniform(size=data.X.shape) < share
    return replace(data, X=data.X * keep)


@one_thread_per_fit()
def assert_agrees_with_autograd(plan, *, data_seed=0, atol=1e-10, **changes):
    """Train under a mask; return the run, for what else there is to see."""
    mask = random_mask(plan, data_seed)
    options = {
        "data": make_data(plan, data_seed),
        "params": initial(plan),
        "mask": mask,
        "n_epochs": 1,
        "seed": 3,
    } | changes

    run = train_plan(plan, **options)

    expected, losses = autograd_epochs(plan, **options)
    np.testing.assert_allclose(run.params, expected, 0, atol, err_msg=str(plan))
    curve = [epoch["train_loss"] for epoch in run.history]
    np.testing.assert_allclose(curve, losses, rtol=1e-9, err_msg=str(plan))
    assert np.all(run.params[: mask.size][~mask] == 0.0)
    return run


@pytest.mark.parametrize("engine, batch_size", [*WAYS, ("numba", N_ROWS)])
@pytest.mark.parametrize("output", OUTPUTS)
def test_one_epoch_agrees_with_autograd(engine, batch_size, output):
    for activation in TORCH_ACTIVATION:
        plan = make_plan(
            (6, 5), output, activation=activation, batch_size=batch_size, engine=engine
        )
        run = assert_agrees_with_autograd(plan)

        assert run.engine == engine
        assert np.abs(run.params - initial(plan)).max() > 1e-3


@pytest.mark.parametrize("engine, batch_size", [*WAYS, ("torch", 1)])
@pytest.mark.parametrize(
    "momentum, alpha, hidden",
    [(0.9, 0.0, (5,)), (0.0, 0.3, (4, 3, 5)), (0.5, 0.1, (4, 3, 5))],
)
def test_momentum_and_penalty_agree_with_autograd(
    engine, batch_size, momentum, alpha, hidden
):
    plan = make_plan(
        hidden,
        momentum=momentum,
        alpha=alpha,
        batch_size=batch_size,
        engine=engine,
        learning_rate_init=0.01,
    )
    assert_agrees_with_autograd(plan, n_epochs=3)


@pytest.mark.parametrize("engine, batch_size", [*WAYS, ("numba", N_ROWS)])
@pytest.mark.parametrize("momentum, alpha", [(0.0, 0.0), (0.8, 0.7)])
def test_schedule_and_bounded_steps_agree_with_autograd(
    engine, batch_size, momentum, alpha
):
    options = {"momentum": momentum, "alpha": alpha, "batch_size": batch_size}
    plan = make_plan(learning_rate="cosine", engine=engine, **options)
    data = make_data(plan)
    data.X[[4, 9]] *= 30.0  # which a step would feel

    run = assert_agrees_with_autograd(plan, n_epochs=4, data=data)

    mask = run.params[: plan.n_weights] != 0.0
    with patch.object(TrainingPlan, "bound_rows", return_value=None):
        other = train_plan(plan, n_epochs=4, data=data, mask=mask, seed=3)
    assert np.abs(run.params - other.params).max() > 0.01


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("learning_rate", ["cosine", "constant"])
def test_several_passes_in_an_epoch_agree_with_autograd(engine, learning_rate):
    plan = make_plan(
        engine=engine, batch_size=N_ROWS, n_passes=5, learning_rate=learning_rate
    )
    assert_agrees_with_autograd(plan, n_epochs=3)


# numpy warns where the kernels run as plain Python
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_row_of_any_size_cannot_make_a_large_step(engine):
    batches = (1, 16, N_ROWS) if engine == "numba" else (16, N_ROWS)
    for output, hidden, batch_size in product(OUTPUTS, [(), (5,)], batches):
        options = {"learning_rate": "cosine", "engine": engine}
        plan = make_plan(hidden, output, batch_size=batch_size, **options)
        data = replace(make_data(plan), sample_weight=np.ones(N_ROWS))
        for size in (1e3, 1e300):
            for rows in ([7], [7, 8, 20]):
                data.X[rows] = size
                params = train_plan(plan, data=data).params
                where = output, hidden, batch_size, size, rows
                assert np.abs(params).max() < 10.0, where


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_no_step_is_no_step_whatever_the_row(engine):
    plan = make_plan(learning_rate="cosine", learning_rate_init=0.0, engine=engine)
    data = make_data(plan)
    data.X[7] = 1e200
    np.testing.assert_array_equal(train_plan(plan, data=data).params, initial(plan))


@pytest.mark.parametrize("engine", ["numba", "torch"])
@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 6), max_size=3),
    output=st.sampled_from(list(OUTPUTS)),
    activation=st.sampled_from(list(TORCH_ACTIVATION)),
    batch_size=st.integers(1, N_ROWS),
    momentum=st.floats(0.0, 0.95),
    alpha=st.floats(0.0, 1.0),
    learning_rate=st.sampled_from(["cosine", "constant"]),
    share=st.sampled_from([0.0, 0.15, 1.0]),
    seed=st.integers(0, 1000),
)
def test_any_network_agrees_with_autograd(
    engine, hidden, output, share, seed, **changes
):
    plan = make_plan(hidden, output, engine=engine, learning_rate_init=0.01, **changes)
    data = keep_entries(make_data(plan, seed), share)
    assert_agrees_with_autograd(plan, data=data, data_seed=seed, seed=seed, atol=1e-9)


def test_rows_of_zeros_agree_with_autograd_whatever_the_penalty(monkeypatch):
    kernel = Mock(wraps=sgd.train_rows)
    monkeypatch.setattr(sgd, "train_rows", kernel)
    for decay, momentum, takes_lists in (
        (0.0, 0.0, True),
        (0.49, 0.0, True),  # the factor of the weights falls below the smallest
        (0.5, 0.0, False),
        (1.5, 0.0, False),
        (0.1, 0.5, False),
    ):
        plan = make_plan(alpha=decay * 17.0 / 0.05, momentum=momentum)
        data = keep_entries(make_data(plan), 0.15)
        assert_agrees_with_autograd(plan, data=data, n_epochs=9)
        assert (kernel.call_args.args[-1] is not None) == takes_lists


def make_recorder(plan):
    """Return a list, and a recorder that adds every second state of the weights."""
    records = []
    recorder = WindowRecorder(
        10**3,
        plan.n_weights,
        window_size=1,
        window_overlap=0.0,
        record_every=2,
        reduce_window=lambda window, out: records.extend(window.copy()),
    )
    return records, recorder


def test_rows_of_zeros_have_the_same_bits_however_they_are_trained():
    for batch_size, alpha in product((1, 16), (0.0, 0.3)):
        plan = make_plan((5, 3), batch_size=batch_size, alpha=alpha)
        data = keep_entries(make_data(plan), 0.15)
        options = {"n_epochs": 3, "mask": random_mask(plan)}
        expected = train_plan(plan, data=data, **options).params

        records, recorder = make_recorder(plan)
        snapshots = SnapshotRecorder([4, 5], expected.size)
        watch = Watch(recorder, lambda params: 0.0, snapshots)
        sparse = replace(data, X=csr_array(data.X))
        with patch("skchaosprune._training.epoch._KERNEL_CALL_SIZE", 1):
            found = train_plan(plan, data=sparse, watch=watch, **options).params
        np.testing.assert_array_equal(found, expected)
        weights = snapshots.snapshots[0, : plan.n_weights]
        np.testing.assert_array_equal(records[1], weights)
        assert (batch_size, len(records)) in ((1, 64), (16, 4))

        if batch_size == 1 and alpha == 0.0:
            # lists go before the kernel of kept weights, which reads whole rows
            path = np.isin(np.arange(plan.n_weights), [0, 5, 10, 15, 20, 35])
            few = options | {"mask": path}  # from all inputs to an output
            expected_of_few = train_plan(plan, data=data, **few).params
            with patch("skchaosprune._training.epoch._LARGEST_LISTED_SHARE", -1.0):
                dense = train_plan(plan, data=data, **options).params
                dense_of_few = train_plan(plan, data=data, **few).params
            np.testing.assert_array_equal(dense, expected)
            np.testing.assert_array_equal(dense_of_few, expected_of_few)


@pytest.mark.parametrize("learning_rate", ["cosine", "constant"])
def test_adam_agrees_with_autograd_and_revives_no_weight(learning_rate):
    options = {"engine": "auto", "batch_size": 16, "alpha": 0.5}
    plan = make_plan(solver="adam", learning_rate=learning_rate, **options)

    assert assert_agrees_with_autograd(plan, n_epochs=3).engine == "torch"


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_fixed_row_order_without_shuffle(engine):
    plan = make_plan(shuffle=False, engine=engine)

    runs = [assert_agrees_with_autograd(plan, n_epochs=2, seed=s) for s in (0, 1)]

    np.testing.assert_array_equal(runs[0].params, runs[1].params)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_short_kernel_calls_change_nothing(monkeypatch, batch_size):
    plan = make_plan(batch_size=batch_size, momentum=0.5)
    whole = train_plan(plan, n_epochs=2).params

    monkeypatch.setattr("skchaosprune._training.epoch._KERNEL_CALL_SIZE", 1)
    pieces = train_plan(plan, n_epochs=2).params

    np.testing.assert_array_equal(pieces, whole)


def test_large_logits_do_not_overflow_the_loss():
    plan = make_plan((3,), "binary", activation="identity", learning_rate_init=1e-6)

    run = train_plan(plan, params=initial(plan) * 1e3, n_epochs=1)

    assert np.isfinite(run.history[0]["train_loss"])
    assert run.history[0]["train_loss"] > 100
