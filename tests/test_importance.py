"""Feature importances against loops, laws, and the features that were planted."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.datasets import load_wine
from sklearn.inspection import permutation_importance
from sklearn.preprocessing import scale

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._network import mlp
from skchaosprune._network.importance import (
    DIRECTIONS,
    IMPORTANCES,
    Explainable,
    causal_importances,
    connection_directions,
    connection_importances,
    explain_uniform,
    gradient_directions,
    gradient_importances,
    normalise_importances,
    permutation_importances,
)
from skchaosprune.criteria import ChaosCausality, FixedMasks
from tests import naive
from tests.helpers import flat, small
from tests.test_mlp import ACTIVATIONS, random_net

HIDDEN = [(), (4,), (4, 3)]

# Output activation, loss and number of outputs of what the estimators train.
OUTPUTS = [
    ("identity", "squared_error", 1),
    ("logistic", "log_loss", 1),
    ("softmax", "log_loss", 3),
    ("logistic", "squared_error", 3),
]

# Rules that look at the network; evidence of causality is something else.
DESCRIPTIVE = ["gradient", "connection", "permutation"]


def make_subject(
    hidden=(4,), activation="tanh", output=OUTPUTS[2], n_features=3, n_rows=20
):
    """Draw a network with some weights pruned, and rows with weights."""
    out_activation, loss, n_outputs = output
    layer_sizes = (n_features, *hidden, n_outputs)
    params, coefs, _ = random_net(layer_sizes)
    rng = np.random.RandomState(3)
    masks = [rng.uniform(size=W.shape) < 0.8 for W in coefs]
    for W, mask in zip(coefs, masks, strict=True):
        W *= mask
    p_values = rng.uniform(size=sum(W.size for W in coefs))
    p_values[rng.uniform(size=p_values.size) < 0.1] = np.nan
    X = rng.standard_normal((n_rows, n_features))
    # targets that the network is good at, so that shuffling spoils something
    layers = mlp.unflatten(params, layer_sizes)
    params[-n_outputs:] -= mlp.logits(X, *layers, activation).mean(axis=0)
    targets = mlp.logits(X, *layers, activation)
    targets += 0.1 * rng.standard_normal(targets.shape)
    is_classifier = out_activation != "identity"
    if is_classifier:
        targets = (targets >= np.maximum(0.0, targets.max(axis=1, keepdims=True))) * 1.0
    weights = rng.uniform(0.5, 1.5, size=n_rows)
    data = mlp.TrainingData(X, None, targets, weights, float(n_rows))
    network = mlp.Network(layer_sizes, activation, out_activation, loss, is_classifier)
    return Explainable(network, params, data, masks, p_values, seed=7)


def with_rows(subject, rows, sample_weight):
    """Repeat, drop or reorder rows."""
    data = subject.data
    return replace(
        subject,
        data=mlp.TrainingData(
            data.X[rows], None, data.targets[rows], sample_weight, 1.0
        ),
    )


@pytest.fixture
def subject():
    return make_subject()


# Against loops.

NETWORKS = list(product(HIDDEN, ACTIVATIONS))


@pytest.mark.parametrize("output", OUTPUTS)
def test_gradient_is_finite_differences(output):
    for hidden, activation in NETWORKS:
        subject = make_subject(hidden, activation, output)

        expected = naive.gradient_importances(
            subject.params, subject.network, subject.data
        )
        np.testing.assert_allclose(gradient_importances(subject), expected, rtol=1e-6)
        expected = naive.gradient_directions(
            subject.params, subject.network, subject.data
        )
        # 0 / 0 without a path, which differences do not see to the last bit
        np.testing.assert_allclose(gradient_directions(subject), expected, atol=1e-6)
        assert expected.any()


@pytest.mark.parametrize("output", OUTPUTS)
def test_permutation_runs_the_network_on_shuffled_columns(output):
    for hidden, activation in NETWORKS:
        weighted = make_subject(hidden, activation, output)
        equal = with_rows(weighted, slice(None), np.ones(20))
        share = weighted.data.sample_weight / weighted.data.sample_weight.sum()
        rng = np.random.RandomState(weighted.seed)
        shuffled = [rng.permutation(20) for _ in range(3)]
        rng = np.random.RandomState(weighted.seed)
        drawn = [rng.choice(20, size=20, p=share) for _ in range(3)]

        for subject, orders in (equal, shuffled), (weighted, drawn):
            expected = naive.permutation_importances(
                subject.params, subject.network, subject.data, orders
            )
            found = permutation_importances(subject, n_repeats=3)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)
            assert expected.any()

            groups = [[0, 2], [1]]
            found = permutation_importances(replace(subject, groups=groups), 3)
            expected = naive.permutation_importances(
                subject.params, subject.network, subject.data, orders, groups
            )
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-14)
            assert found[2] == 0.0


def test_permutation_draws_values_as_often_as_their_weights_say():
    rows, subject = np.arange(20), make_subject()
    repeats = np.where(subject.data.X[:, 0] > 0.0, 9, 1)

    weighted = with_rows(subject, rows, repeats.astype(float))
    repeated = with_rows(subject, rows.repeat(repeats), np.ones(repeats.sum()))
    found = permutation_importances(weighted, n_repeats=600)

    expected = permutation_importances(repeated, n_repeats=600)
    np.testing.assert_allclose(found, expected, rtol=0.1)
    once = permutation_importances(with_rows(subject, rows, np.ones(20)), n_repeats=600)
    assert np.abs(once / expected - 1.0).max() > 0.2


@pytest.mark.parametrize("hidden", HIDDEN)
def test_connection_and_causal_walk_all_paths(hidden):
    for output in OUTPUTS:
        subject = make_subject(hidden, output=output)
        subject.p_values[[0, -1]] = [0.0, 1e-320]
        params, p_values, network = subject.params, subject.p_values, subject.network

        connections = naive.connection_importances(params, network)
        np.testing.assert_allclose(
            connection_importances(subject), connections, rtol=1e-12
        )
        np.testing.assert_allclose(
            connection_directions(subject),
            naive.connection_directions(params, network),
            rtol=1e-9,
            atol=1e-14,
        )
        causes = naive.causal_importances(
            flat(subject.masks), p_values, network.layer_sizes
        )
        np.testing.assert_allclose(causal_importances(subject), causes, rtol=1e-12)


def test_strength_of_one_weight():
    subject = make_subject((), output=OUTPUTS[0], n_features=5)
    subject.masks[0][:] = [[True], [True], [True], [True], [False]]

    subject.p_values[:] = [np.exp(-3.0), 1.0, np.nan, 0.0, 1e-9]

    limit = -np.log(np.finfo(float).tiny)
    np.testing.assert_allclose(causal_importances(subject), [3.0, 0, 0, limit, 0])
    without = replace(subject, p_values=None)
    np.testing.assert_array_equal(causal_importances(without), np.zeros(5))


# Laws.


@pytest.mark.parametrize("rule", IMPORTANCES)
def test_unused_inputs_get_exactly_zero(rule):
    for hidden in HIDDEN:
        subject = make_subject(hidden)
        subject.layers[0][0][1] = 0.0
        subject.masks[0][1] = False

        importances = IMPORTANCES[rule](subject)

        assert importances.shape == (3,)
        assert importances[1] == 0.0
        assert importances.any()


def test_unused_inputs_are_not_shuffled(subject, monkeypatch):
    calls = []
    row_losses = mlp.row_losses

    def count(*args):
        calls.append(args)
        return row_losses(*args)

    subject.layers[0][0][1] = 0.0
    monkeypatch.setattr(mlp, "row_losses", count)
    permutation_importances(subject, n_repeats=4)

    assert len(calls) == 1 + 2 * 4  # as it is, and two inputs four times


@pytest.mark.parametrize("rule", IMPORTANCES)
def test_dead_ends_get_exactly_zero(rule, subject):
    # the second input only reaches a hidden unit without outputs
    (first, second), (first_mask, second_mask) = subject.layers[0], subject.masks
    first[1], first_mask[1] = [2.0, 0.0, 0.0, 0.0], [True, False, False, False]
    second[0], second_mask[0] = 0.0, False

    importances = IMPORTANCES[rule](subject)

    assert importances[1] == 0.0
    assert importances.any()


@pytest.mark.parametrize("rule", IMPORTANCES)
def test_importances_move_with_their_columns(rule, subject):
    order = np.array([2, 0, 1])
    n_first = subject.masks[0].size
    params, p_values = subject.params.copy(), subject.p_values.copy()
    for values in (params, p_values):
        values[:n_first] = values[:n_first].reshape(3, -1)[order].ravel()
    moved = replace(
        subject,
        params=params,
        p_values=p_values,
        masks=[subject.masks[0][order], *subject.masks[1:]],
        data=replace(subject.data, X=subject.data.X[:, order]),
    )

    np.testing.assert_allclose(
        IMPORTANCES[rule](moved), IMPORTANCES[rule](subject)[order], rtol=1e-10
    )


@pytest.mark.parametrize("rule", IMPORTANCES)
@settings(deadline=None, max_examples=24)
@given(order=st.permutations(range(4)))
def test_hidden_units_may_change_places(rule, order):
    subject = make_subject()
    (first, second), (bias, last) = subject.layers
    p_first, p_second = mlp.unflatten(subject.p_values, (3, 4, 3))[0]
    moved = replace(
        subject,
        params=mlp.flatten([first[:, order], second[order]], [bias[order], last]),
        p_values=mlp.flatten([p_first[:, order], p_second[order]], []),
        masks=[subject.masks[0][:, order], subject.masks[1][order]],
    )

    np.testing.assert_allclose(
        IMPORTANCES[rule](moved), IMPORTANCES[rule](subject), rtol=1e-9, atol=1e-14
    )


@pytest.mark.parametrize("rule", ["gradient", "permutation"])
@settings(deadline=None)
@given(factors=st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3))
def test_units_of_the_inputs_do_not_matter(rule, factors):
    subject = make_subject()
    (first, *rest), intercepts = subject.layers
    rows = replace(subject.data, X=subject.data.X * factors)
    coefs = [first / np.array(factors)[:, np.newaxis], *rest]
    other = replace(subject, data=rows, params=mlp.flatten(coefs, intercepts))

    np.testing.assert_allclose(
        IMPORTANCES[rule](other), IMPORTANCES[rule](subject), rtol=1e-8, atol=1e-13
    )


@settings(deadline=None)
@given(factors=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=2))
def test_scaled_layers_scale_their_products(factors):
    subject = make_subject(activation="relu")
    (first, second), (bias, last) = subject.layers
    a, b = factors
    params = mlp.flatten([a * first, b * second], [a * bias, last])
    other = replace(subject, params=params)

    for rule in (gradient_importances, connection_importances):
        np.testing.assert_allclose(rule(other), a * b * rule(subject), rtol=1e-10)


def test_importances_that_overflow_are_refused():
    subject = make_subject(activation="identity")
    subject.data.X[0] = 1e308
    subject.layers[0][0][...] *= 1e10
    with pytest.raises(ValueError, match="too large for float64; scale X"):
        normalise_importances(gradient_importances(subject))


def test_two_equal_rows_are_one_of_weight_two(subject):
    twice = with_rows(subject, np.r_[:20, :5], np.ones(25))
    once = with_rows(subject, np.arange(20), np.r_[np.full(5, 2.0), np.ones(15)])

    np.testing.assert_allclose(
        gradient_importances(twice), gradient_importances(once), rtol=1e-12
    )


@pytest.mark.parametrize("rule", IMPORTANCES)
def test_only_ratios_of_sample_weights_count(rule, subject):
    heavier = with_rows(subject, slice(None), 4.0 * subject.data.sample_weight)

    np.testing.assert_allclose(
        IMPORTANCES[rule](heavier), IMPORTANCES[rule](subject), rtol=1e-12
    )


def test_only_permutation_depends_on_the_seed(subject):
    for rule, compute in IMPORTANCES.items():
        first, same = compute(subject), compute(subject)
        other = compute(replace(subject, seed=8))
        np.testing.assert_array_equal(first, same)
        assert np.array_equal(first, other) == (rule != "permutation")


@pytest.mark.parametrize("rule", IMPORTANCES)
def test_nothing_is_changed(rule, subject):
    arrays = [subject.params, subject.p_values, subject.data.X, *subject.masks]
    before = [array.copy() for array in arrays]

    IMPORTANCES[rule](subject)

    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("rule", IMPORTANCES)
def test_blocks_of_rows_change_nothing(rule, monkeypatch):
    subject = make_subject(n_rows=57)
    computed = [table[rule] for table in (IMPORTANCES, DIRECTIONS) if rule in table]
    whole = [compute(subject) for compute in computed]

    monkeypatch.setattr(mlp, "_BLOCK_ELEMENTS", 40)

    assert len(mlp.row_blocks(57, subject.network.layer_sizes)) == 6
    for compute, expected in zip(computed, whole, strict=True):
        np.testing.assert_allclose(compute(subject), expected, rtol=1e-10)


def test_many_outputs_make_no_small_blocks_of_rows(monkeypatch):
    sizes = []
    hidden_outputs = mlp.hidden_outputs

    def note(X, *args):
        sizes.append(len(X))
        return hidden_outputs(X, *args)

    subject = make_subject(output=("softmax", "log_loss", 100))
    monkeypatch.setattr(mlp, "hidden_outputs", note)
    monkeypatch.setattr(mlp, "_BLOCK_ELEMENTS", 100)
    gradient_importances(subject)

    assert sizes == [20]


def test_normalised_importances_sum_to_one():
    np.testing.assert_allclose(
        normalise_importances(np.array([1.0, 0.0, 3.0])), [0.25, 0.0, 0.75]
    )
    np.testing.assert_array_equal(normalise_importances(np.zeros(4)), 0.25)


@pytest.mark.parametrize("rule", IMPORTANCES)
def test_every_rule_says_why_it_found_nothing(rule):
    what, way_out = {
        "gradient": ("do not depend on any input", "more hidden units"),
        "connection": ("do not depend on any input", "another weight_init"),
        "permutation": ("does not rise", "importance='gradient'"),
        "causal": ("evidence of causality", "importance='gradient'"),
    }[rule]
    text = explain_uniform(rule, has_path=True)
    assert re.search(f"{what}.*equally important.*{way_out}", text)
    no_path = "do not depend on any input.*equally important.*keep_connected=True"
    assert re.search(no_path, explain_uniform(rule, has_path=False))


# Against another judge, and the estimators.


def explain(model, X, targets, seed=0):
    """What a fitted model looked like to its rule."""
    layer_sizes = (X.shape[1], *(W.shape[1] for W in model.coefs_))
    is_classifier = hasattr(model, "classes_")
    network = mlp.Network(
        layer_sizes,
        model.activation_,
        model.out_activation_,
        "log_loss" if is_classifier else "squared_error",
        is_classifier,
    )
    return Explainable(
        network,
        mlp.flatten(model.coefs_, model.intercepts_),
        mlp.TrainingData(X, None, targets, np.ones(len(X)), 1.0),
        model.masks_,
        model.p_values_,
        seed,
    )


def assert_agree(ours, model, X, y, scoring):
    """Compare with scikit-learn's importances, up to the noise of their shuffles."""
    theirs = permutation_importance(
        model, X, y, scoring=scoring, n_repeats=10, random_state=0
    )
    expected = np.maximum(theirs.importances_mean, 0.0)
    errors = theirs.importances_std / np.sqrt(10)
    assert spearmanr(ours, expected).statistic > 0.95
    assert np.all(np.abs(ours - expected) < 5 * errors)


@pytest.mark.slow
def test_permutation_agrees_with_scikit_learn_on_a_classifier():
    X, y = load_wine(return_X_y=True)
    X = scale(X)
    model = small(hidden_layer_sizes=(8,), max_iter=20).fit(X, y)

    ours = permutation_importances(explain(model, X, np.eye(3)[y]), n_repeats=200)

    assert_agree(ours, model, X, y, "neg_log_loss")


@pytest.mark.slow
def test_permutation_agrees_with_scikit_learn_on_a_regressor(diabetes):
    X, y = diabetes
    model = small(ChaosCausalPrunedMLPRegressor, hidden_layer_sizes=(8,)).fit(X, y)
    targets = ((y - model.target_mean_) / model.target_scale_)[:, np.newaxis]

    ours = permutation_importances(explain(model, X, targets), n_repeats=200)

    ours *= model.target_scale_**2
    assert_agree(ours, model, X, y, "neg_mean_squared_error")


def plant(n_rows=300, n_features=8):
    """Draw rows of which only the columns 2 and 5 say something about the target."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n_rows, n_features))
    return X, 2.0 * X[:, 2] - 1.5 * X[:, 5] + 0.1 * rng.standard_normal(n_rows)


KINDS = {"classifier": ChaosCausalPrunedMLP, "regressor": ChaosCausalPrunedMLPRegressor}


def make_model(kind="classifier", **options):
    """Build a small estimator whose weights are surely tested."""
    shared = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.01, "max_iter": 20}
    shared["prune_criterion"] = "intervention"
    return small(KINDS[kind], **shared | options)


@pytest.mark.slow
@pytest.mark.parametrize("rule", IMPORTANCES)
def test_estimators_offer_every_rule(rule):
    X, target = plant(n_rows=100)
    for kind, y in (("classifier", target > 0.0), ("regressor", target)):
        model, again = (make_model(kind, importance=rule).fit(X, y) for _ in range(2))

        for name in ("feature_importances_", "dense_feature_importances_"):
            importances = getattr(model, name)
            assert importances.shape == (8,)
            assert np.all(importances >= 0.0)
            np.testing.assert_allclose(importances.sum(), 1.0)
            assert np.ptp(importances) > 0.0
            np.testing.assert_array_equal(importances, getattr(again, name))
        pruned_off = ~model.masks_[0].any(axis=1)
        np.testing.assert_array_equal(model.feature_importances_[pruned_off], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("rule", DESCRIPTIVE)
def test_planted_features_rank_on_top(rule):
    X, target = plant()
    options = {"prune_criterion": "magnitude", "activation": "tanh"}
    for hidden in HIDDEN:
        for kind, y in (("classifier", target > 0.0), ("regressor", target)):
            model = make_model(kind, importance=rule, **options)
            model.set_params(hidden_layer_sizes=hidden).fit(X, y)

            for name in ("feature_importances_", "dense_feature_importances_"):
                assert set(np.argsort(getattr(model, name))[-2:]) == {2, 5}


def test_causal_needs_a_criterion_that_tests(iris, fitted):
    for criterion in ("magnitude", "loss_regression", FixedMasks(fitted.masks_)):
        model = make_model(importance="causal", prune_criterion=criterion)
        text = "importance='causal' needs a criterion with"
        with pytest.raises(ValueError, match=text):
            model.fit(*iris)


def test_causal_of_a_criterion_that_gave_up(iris):
    model = make_model(
        importance="causal", prune_criterion=ChaosCausality(), max_iter=1
    )
    with pytest.warns(UserWarning) as caught:
        model.fit(*iris)

    assert len(caught) == 2
    assert "ranked by magnitude instead" in str(caught[0].message)
    assert "evidence of causality" in str(caught[1].message)
    np.testing.assert_array_equal(model.feature_importances_, 0.25)
    np.testing.assert_array_equal(model.dense_feature_importances_, 0.25)


@pytest.mark.parametrize("rule", DESCRIPTIVE)
def test_given_masks_leave_their_input_alone(iris, rule):
    masks = [np.zeros((4, 8), dtype=bool), np.ones((8, 3), dtype=bool)]
    masks[0][3] = True
    criterion = FixedMasks(masks)
    model = make_model(importance=rule, prune_criterion=criterion).fit(*iris)

    np.testing.assert_array_equal(model.feature_importances_, [0.0, 0.0, 0.0, 1.0])
    assert np.all(model.dense_feature_importances_ > 0.0)
