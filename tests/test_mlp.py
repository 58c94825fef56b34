"""The numpy network against scikit-learn's, which is an independent one."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special
from sklearn.metrics import accuracy_score, r2_score
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skchaosprune._network import mlp
from tests.networks import initial, make_data, make_plan

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]


def random_net(layer_sizes, seed=0):
    rng = np.random.RandomState(seed)
    params = rng.standard_normal(mlp.count_parameters(layer_sizes))
    return params, *mlp.unflatten(params, layer_sizes)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_outputs_are_those_of_scikit_learn(activation, n_classes):
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((40, 4)), np.arange(40) % n_classes
    other = MLPClassifier((6, 5), activation=activation, max_iter=1, random_state=0)
    other.partial_fit(X, y, classes=np.arange(n_classes))

    z = mlp.logits(X, other.coefs_, other.intercepts_, activation)
    outputs = mlp.outputs_from_logits(z, other.out_activation_)

    expected = other.predict_proba(X)
    np.testing.assert_allclose(outputs, expected[:, -outputs.shape[1] :], rtol=1e-10)


def test_blocks_of_rows_change_nothing(monkeypatch):
    layer_sizes = (4, 6, 3)
    params, coefs, intercepts = random_net(layer_sizes)
    X = np.random.RandomState(1).standard_normal((57, 4))
    whole = mlp.logits(X, coefs, intercepts, "tanh")

    monkeypatch.setattr(mlp, "_BLOCK_ELEMENTS", 60)

    assert len(mlp.row_blocks(57, layer_sizes)) == 6
    np.testing.assert_allclose(
        mlp.logits(X, coefs, intercepts, "tanh"), whole, rtol=1e-12
    )


def test_flat_layout_is_weights_then_biases():
    params, coefs, intercepts = random_net((2, 3, 1))

    np.testing.assert_array_equal(coefs[0], params[:6].reshape(2, 3))
    np.testing.assert_array_equal(coefs[1], params[6:9].reshape(3, 1))
    np.testing.assert_array_equal(intercepts[0], params[9:12])
    np.testing.assert_array_equal(intercepts[1], params[12:])
    np.testing.assert_array_equal(mlp.flatten(coefs, intercepts), params)
    coefs[0][0, 0] = 7.0
    assert params[0] == 7.0  # views


@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_initial_weights_have_scikit_learns_range(activation):
    layer_sizes = (30, 400, 1)
    params = mlp.initial_parameters(
        layer_sizes, "glorot_uniform", activation, np.random.RandomState(0)
    )
    other = MLPRegressor(
        hidden_layer_sizes=(400,), activation=activation, random_state=0
    )
    X = np.random.RandomState(0).standard_normal((5, 30))
    other.set_params(learning_rate_init=1e-300).partial_fit(X, X[:, 0])

    coefs, intercepts = mlp.unflatten(params, layer_sizes)
    for ours, theirs in zip(
        [*coefs, intercepts[0]], [*other.coefs_, other.intercepts_[0]], strict=True
    ):
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.05)
        assert ours.std() == pytest.approx(theirs.std(), rel=0.15)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_rows", [1, 40])
def test_softmax_is_scipys_to_the_bit(n_rows, order):
    z = 300.0 * np.random.RandomState(0).standard_normal((n_rows, 19))
    z = np.asarray(z, order=order)

    np.testing.assert_array_equal(mlp.softmax(z), special.softmax(z, axis=1))


def test_log_losses_of_extreme_logits_are_finite():
    z = np.array([[1e4], [-1e4]])

    binary = mlp.row_losses(z, np.ones((2, 1)), "logistic", "log_loss")
    classes = mlp.row_losses(np.c_[z, -z], np.eye(2)[[0, 0]], "softmax", "log_loss")

    np.testing.assert_allclose(binary, [0.0, 1e4])
    np.testing.assert_allclose(classes, [0.0, 2e4])


def test_row_errors_count_wrong_rows():
    z = np.array([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0]])
    targets = np.eye(2)[[0, 0, 1]]
    np.testing.assert_array_equal(mlp.row_errors(z, targets), [0.0, 1.0, 0.0])
    one = np.array([[0.5], [-0.5], [0.0]])
    np.testing.assert_array_equal(
        mlp.row_errors(one, np.array([[1.0], [1.0], [0.0]])), [0.0, 1.0, 0.0]
    )


def test_losses_of_a_regressor():
    z, targets = np.array([[0.5], [-0.5], [0.0], [1e200]]), np.zeros((4, 1))
    for loss, expected in (
        ("squared_error", [0.25, 0.25, 0.0, np.inf]),
        ("huber", [0.25, 0.25, 0.0, 2.7e200]),
    ):
        found = mlp.row_losses(z, targets, "identity", loss)
        np.testing.assert_allclose(found, expected)
    errors = np.array([-5.0, -1.35, 1.0, 1.3500001])
    judge = special.huber(1.35, errors)
    np.testing.assert_allclose(mlp.huber(errors), 2.0 * judge)


def test_score_is_accuracy_or_r2():
    rng = np.random.RandomState(0)
    weights = rng.uniform(size=43)
    for output, judge in (
        ("multiclass", accuracy_score),
        ("binary", accuracy_score),
        ("regression", r2_score),
        ("regression, Huber", r2_score),
    ):
        plan = make_plan((5,), output)
        data = make_data(plan)
        data = replace(data, targets=data.targets * 3.0, sample_weight=weights)
        if plan.is_classifier:
            data = make_data(plan)
        z = data.logits(initial(plan), plan)
        predicted, y = z[:, 0], data.targets[:, 0]
        if plan.is_classifier:
            predicted = z.argmax(axis=1) if z.shape[1] > 1 else z[:, 0] > 0.0
            y = data.y
        expected = judge(y, predicted, sample_weight=data.sample_weight)
        assert data.score(initial(plan), plan) == pytest.approx(expected)
