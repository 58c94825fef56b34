"""The objective over all rows, and its minimum, against autograd and scipy."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from skchaosprune._kernels import full_batch
from skchaosprune._kernels.full_batch import Objective, bound_far_rows
from skchaosprune._kernels.sgd import ACTIVATIONS
from tests import autograd
from tests.networks import N_ROWS, OUTPUTS, initial, make_data, make_plan, random_mask


def masked(params, mask):
    """Set pruned weights to 0."""
    params = params.copy()
    params[: mask.size][~mask] = 0.0
    return params


def evaluate(plan, data, params, mask):
    """Value and flat gradient, 0 for pruned weights."""
    is_free = np.concatenate([mask, np.ones(params.size - mask.size, dtype=bool)])
    gradient = np.zeros_like(params)
    value, gradient[is_free] = Objective(plan, data).restrict(mask)(params[is_free])
    return value, gradient


@settings(max_examples=100, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 6), max_size=3),
    output=st.sampled_from(list(OUTPUTS)),
    activation=st.sampled_from(list(ACTIVATIONS)),
    alpha=st.sampled_from([0.0, 3.0]),
    share=st.floats(0.0, 1.0),
    block=st.sampled_from([1, 16, 512]),
    seed=st.integers(0, 1000),
)
def test_objective_and_gradient_agree_with_autograd(
    hidden, output, activation, alpha, share, block, seed
):
    plan = make_plan(hidden, output, activation=activation, alpha=alpha)
    data = make_data(plan, seed)
    mask = np.random.RandomState(seed).uniform(size=plan.n_weights) < share
    params = masked(initial(plan, seed), mask)

    with patch.object(full_batch, "_BLOCK", block):
        found = evaluate(plan, data, params, mask)

    value, _, gradient = autograd.objective(params, plan, data, mask)
    assert found[0] == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-11)


def test_the_bits_do_not_depend_on_threads(thread_counts):
    plan = make_plan((6, 4), alpha=2.0)
    data, params, mask = make_data(plan), initial(plan), random_mask(plan)
    objective = Objective(plan, data)

    def minimise(_):
        return objective.minimise(params, mask, 30)

    alone = minimise(None)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(minimise, range(8)):
            np.testing.assert_array_equal(found.params, alone.params)
            assert found.objectives == alone.objectives

    with patch.object(full_batch, "_CHUNK", 7), patch.object(full_batch, "_BLOCK", 3):
        alone, found = (
            Objective(plan, data, n_jobs).minimise(params, mask, 30)
            for n_jobs in (1, 2)
        )
    assert thread_counts == [2]
    np.testing.assert_array_equal(found.params, alone.params)
    assert found.objectives == alone.objectives


def test_blocks_of_rows_add_up():
    plan = make_plan((6, 4), alpha=2.0)
    data, params, mask = make_data(plan), initial(plan), random_mask(plan)
    value, gradient = evaluate(plan, data, params, mask)
    for block, size in ((16, 10**9), (16, 20 * 300), (7, 1)):
        with (
            patch.object(full_batch, "_BLOCK", block),
            patch.object(full_batch, "_KERNEL_CALL_SIZE", size),
        ):
            other, slopes = evaluate(plan, data, params, mask)
        assert other == pytest.approx(value, rel=1e-14)
        np.testing.assert_allclose(slopes, gradient, rtol=0, atol=1e-14)


def test_iterations_and_starts():
    plan = make_plan((4,), alpha=1.0)
    data, mask, params = make_data(plan), random_mask(plan), initial(plan)
    objective = Objective(plan, data)
    found = objective.minimise(params, mask, 7)
    assert len(found.objectives) == len(found.losses) == 7

    far = np.where(np.arange(params.size) == 0, np.nan, params + 3.0)
    for starts in ((found.params, params), (params, found.params), (far, found.params)):
        assert objective.choose_start(starts, mask) is found.params
    end = objective.minimise(found.params, mask, 1000)
    again = objective.minimise(end.params, mask, 20)
    assert again.objectives[-1] == again.value  # one entry at least


def test_the_minimum_is_scipys_with_the_gradient_of_autograd():
    for output in OUTPUTS:
        assert_minimum_is_scipys(output)


def assert_minimum_is_scipys(output):
    plan = make_plan((4,), output, alpha=1.0)
    data, mask = make_data(plan), random_mask(plan)
    params = masked(initial(plan), mask)
    is_free = np.concatenate([mask, np.ones(params.size - mask.size, dtype=bool)])

    objective = Objective(plan, data)
    with patch.object(full_batch, "_TOLERANCE", 1e-12):
        found = objective.minimise(params, mask, 300)

    def fill(free):
        whole = np.zeros_like(params)
        whole[is_free] = free
        return whole

    def judge(free):
        value, _, gradient = autograd.objective(fill(free), plan, data, mask)
        return value, gradient[is_free]

    expected = minimize(judge, params[is_free], jac=True, method="BFGS")
    assert found.value < expected.fun + 1e-6
    value, loss, _ = autograd.objective(found.params, plan, data, mask)
    assert found.value == pytest.approx(value, rel=1e-12) == found.objectives[-1]
    assert found.loss == pytest.approx(loss, rel=1e-12) == found.losses[-1]
    assert (np.diff(found.objectives) <= 0.0).all()
    np.testing.assert_array_equal(found.params[~is_free], params[~is_free])


def test_far_rows_weigh_less():
    plan = make_plan((3,), learning_rate="cosine", learning_rate_init=0.1, momentum=0.5)
    data = make_data(plan)
    X = data.X.copy()
    X[:3, 1] = 100.0, 1e5, 1e200
    far = replace(data, X=X)

    found = bound_far_rows(plan, far)

    assert len(found.X) == N_ROWS - 1
    np.testing.assert_array_equal(found.X, np.delete(X, 2, axis=0))
    shares = found.sample_weight * N_ROWS / len(found.X)
    sizes = (X[:2] ** 2).sum(axis=1) - 10.0 * 4  # every column has 10 for free
    bounds = 1.0 + 0.1 / (1.0 - 0.5) * sizes
    np.testing.assert_allclose(shares[:2], data.sample_weight[:2] / bounds, rtol=1e-12)
    # the others are as they were, and all with a constant rate
    np.testing.assert_allclose(shares[2:], data.sample_weight[3:], rtol=1e-12)
    constant = bound_far_rows(replace(plan, learning_rate="constant"), far)
    np.testing.assert_array_equal(constant.sample_weight, data.sample_weight)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_rows_that_all_overflow_are_left_as_they_are():
    plan = make_plan((3,), learning_rate="cosine")
    data = replace(make_data(plan), X=np.full((N_ROWS, 4), 1e200))

    assert len(bound_far_rows(plan, data).X) == N_ROWS
