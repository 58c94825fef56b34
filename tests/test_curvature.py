"""Gauss-Newton curvature against autograd, and elimination against numpy's inverse."""

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skchaosprune._kernels import curvature
from skchaosprune._kernels.sgd import ACTIVATIONS
from skchaosprune._network import mlp
from skchaosprune._network.mlp import TrainingData
from tests import autograd, naive
from tests.networks import OUTPUTS, initial, make_data, make_plan


@settings(max_examples=40, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 5), max_size=3),
    output=st.sampled_from(list(OUTPUTS)),
    activation=st.sampled_from(list(ACTIVATIONS)),
    share=st.floats(0.0, 1.0),
    n_at_once=st.sampled_from([1, 10, 1000]),
    seed=st.integers(0, 1000),
)
def test_curvatures_agree_with_autograd(
    hidden, output, activation, share, n_at_once, seed
):
    plan = make_plan(hidden, output, activation=activation)
    data, params = make_data(plan, seed), 2.0 * initial(plan, seed)
    is_free = np.random.RandomState(seed).uniform(size=params.size) < share
    n_free = np.count_nonzero(is_free)
    with (
        patch.object(mlp, "_BLOCK_ELEMENTS", n_at_once * max(plan.layer_sizes)),
        patch.object(curvature, "_BLOCK_ELEMENTS", n_at_once * max(1, n_free)),
    ):
        diagonal = curvature.gauss_newton_diagonal(params, plan, data)
        matrix = curvature.gauss_newton_matrix(params, is_free, plan, data)

    expected = autograd.gauss_newton(params, plan, data)
    close = {"rtol": 1e-9, "atol": 1e-13}
    np.testing.assert_allclose(diagonal, np.diag(expected)[: plan.n_weights], **close)
    np.testing.assert_allclose(matrix, expected[np.ix_(is_free, is_free)], **close)
    assert (diagonal >= 0.0).all()


@settings(max_examples=100, deadline=None)
@given(
    n_weights=st.integers(1, 12),
    n_biases=st.integers(1, 4),
    n_groups=st.integers(1, 2),
    share=st.floats(0.0, 1.0),
    rank=st.integers(0, 20),
    seed=st.integers(0, 1000),
)
def test_elimination_is_the_naive_one(n_weights, n_biases, n_groups, share, rank, seed):
    rng = np.random.RandomState(seed)
    slopes = rng.standard_normal((rank, n_weights + n_biases))
    free, matrix = rng.standard_normal(n_weights + n_biases), slopes.T @ slopes
    groups = np.sort(rng.randint(n_groups, size=n_weights))
    n_removed = np.round(share * np.bincount(groups, minlength=n_groups)).astype(int)
    args = free, matrix, 0.3, groups, n_removed

    found, order = curvature.eliminate(*args)

    damping = 1e-4 * max(1.0, np.diag(matrix).mean())
    expected, places = naive.eliminate(*args, damping)
    np.testing.assert_array_equal(order, places)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    assert not found[order[: n_removed.sum()]].any()


def test_elimination_of_a_linear_model_is_least_squares_without_the_columns():
    rng = np.random.RandomState(0)
    X, noise = rng.standard_normal((60, 6)), rng.standard_normal((60, 1))
    y = X[:, :2] @ [[1.0], [-2.0]] + 0.1 * noise
    plan = make_plan((), "regression", layer_sizes=(6, 1))
    data = TrainingData(X, y, y, np.ones(60), 60.0)
    params = fit_least_squares(X, y)

    matrix = curvature.gauss_newton_matrix(params, np.ones(7, dtype=bool), plan, data)
    groups, n_removed = np.zeros(6, dtype=int), np.array([4])
    free, order = curvature.eliminate(params, matrix, 0.0, groups, n_removed)

    assert set(order[:4]) == {2, 3, 4, 5}
    expected = fit_least_squares(X[:, :2], y)
    np.testing.assert_allclose(free[[0, 1, 6]], expected, rtol=0, atol=1e-4)


def fit_least_squares(X, y):
    """Slopes, then the constant."""
    design = np.hstack([X, np.ones((len(X), 1))])
    return np.linalg.lstsq(design, y[:, 0], rcond=None)[0]
