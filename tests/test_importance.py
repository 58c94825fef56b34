"""Feature importances against finite differences."""

import numpy as np
import pytest

from skchaosprune import _mlp
from skchaosprune._importance import gradient_importances, normalise_importances
from tests.test_mlp import ACTIVATIONS, random_net


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(5,), (4, 3)])
def test_gradient_importances_are_finite_differences(activation, hidden):
    layer_sizes = (3, *hidden, 2)
    _, coefs, intercepts = random_net(layer_sizes)
    rng = np.random.RandomState(3)
    X, weights = rng.standard_normal((20, 3)), rng.uniform(size=20)
    mean = weights @ X / weights.sum()

    expected = np.zeros(3)
    for j in range(3):
        step = np.zeros(3)
        step[j] = 1e-6
        slope = (
            _mlp.logits(X + step, coefs, intercepts, activation)
            - _mlp.logits(X - step, coefs, intercepts, activation)
        ) / 2e-6
        moved = np.abs((X[:, j] - mean[j])[:, np.newaxis] * slope).sum(axis=1)
        expected[j] = np.average(moved, weights=weights)

    importances = gradient_importances(X, weights, coefs, intercepts, activation)
    np.testing.assert_allclose(importances, expected, rtol=1e-6)


def test_importances_without_a_hidden_path():
    _, coefs, intercepts = random_net((3, 4, 2))
    coefs[0][1] = 0.0
    X = np.random.RandomState(0).standard_normal((10, 3))

    importances = gradient_importances(X, np.ones(10), coefs, intercepts, "relu")

    assert importances[1] == 0.0
    normalised = normalise_importances(importances, has_path=True)
    assert normalised.sum() == pytest.approx(1.0)
    for has_path, way in ((True, "more hidden units"), (False, "keep_connected=True")):
        with pytest.warns(UserWarning, match=f"do not depend on any input.*{way}"):
            uniform = normalise_importances(np.zeros(4), has_path)
        np.testing.assert_array_equal(uniform, 0.25)
