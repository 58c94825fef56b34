"""The compact network against its estimator, a slow oracle, and damaged files."""

import copy
import io
import pickle
import warnings
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score, get_scorer, r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    CompactMLP,
    compact,
)
from skchaosprune._network import mlp
from skchaosprune.compact import compact_layers
from skchaosprune.criteria import FixedMasks
from tests import naive
from tests.helpers import small

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
RATIOS = [0.5, 0.9, 0.95, 0.99]

# What a network is for: number of classes (None = regressor) and loss.
KINDS = {
    "two classes": (2, "log_loss"),
    "two classes, squared": (2, "squared_error"),
    "three classes": (3, "log_loss"),
    "four classes, squared": (4, "squared_error"),
    "regressor": (None, None),
}


def random_masks(layer_sizes, ratio, rng):
    shapes = zip(layer_sizes[:-1], layer_sizes[1:], strict=True)
    return [rng.uniform(size=shape) >= ratio for shape in shapes]


def make_rows(n_rows=30, n_features=6, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((n_rows, n_features))
    return X, 50.0 + 7.0 * X[:, 0] + rng.standard_normal(n_rows)


def fit(
    kind="three classes",
    hidden=(20, 15),
    *,
    ratio=0.5,
    masks=None,
    labels=None,
    seed=0,
    **params,
):
    """Fit an estimator whose masks are random, or those that are given."""
    rng = np.random.RandomState(seed)
    X, y = make_rows()
    n_classes, loss = KINDS[kind]
    kind_of_model = ChaosCausalPrunedMLPRegressor
    if n_classes is not None:
        kind_of_model, params = ChaosCausalPrunedMLP, params | {"loss": loss}
        y = np.arange(len(X)) % n_classes
        y = y if labels is None else np.asarray(labels)[y]
    n_outputs = n_classes if n_classes is not None and n_classes > 2 else 1
    if masks is None:
        masks = random_masks((6, *hidden, n_outputs), ratio, rng)
    defaults = {
        "prune_criterion": FixedMasks(masks),
        "keep_connected": False,
        "weight_init": "normal",
        "learning_rate": "constant",
        "learning_rate_init": 1e-4,
        "max_iter": 2,
        "random_state": seed,
    }
    model = kind_of_model(hidden, **(defaults | params))
    with warnings.catch_warnings():
        # inputs that lead nowhere have no importance
        warnings.filterwarnings("ignore", message=".*equally important")
        return model.fit(X, y)


def assert_same_outputs(network, model, X):
    if not hasattr(network, "classes_"):
        assert_allclose(network.predict(X), model.predict(X), rtol=1e-12)
        return
    assert_array_equal(network.predict(X), model.predict(X))
    assert_allclose(
        network.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-12
    )


def assert_same_networks(ours, expected):
    for got, right in zip(ours[:2], expected[:2], strict=True):
        assert [part.shape for part in got] == [part.shape for part in right]
        for one, other in zip(got, right, strict=True):
            assert_allclose(one, other, rtol=1e-12, atol=1e-12)
    assert_array_equal(ours[2], expected[2])


def make_network(sizes=(6, 5, 3), out_activation="softmax", *, density=1.0, **changes):
    """Make a compact network of random weights, without an estimator."""
    rng = np.random.RandomState(len(sizes))
    shapes = list(zip(sizes[:-1], sizes[1:], strict=True))
    coefs = [
        rng.standard_normal(shape) * (rng.uniform(size=shape) < density)
        for shape in shapes
    ]
    arguments = {
        "coefs": coefs,
        "intercepts": [rng.standard_normal(size) for size in sizes[1:]],
        "activation": "relu",
        "out_activation": out_activation,
        "loss": "squared_error" if out_activation == "identity" else "log_loss",
        "n_features_in": sizes[0] + 2,
        "selected_features": np.arange(sizes[0]) + 1,
        "classes": None
        if out_activation == "identity"
        else np.arange(max(2, sizes[-1])),
    }
    return CompactMLP(**(arguments | changes))


def dense_logits(network, X):
    values = X[:, network.selected_features_]
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    for W, b in layers[:-1]:
        values = np.maximum(values @ W + b, 0.0)
    return values @ layers[-1][0] + layers[-1][1]


# The smaller network


@pytest.mark.parametrize("kind", KINDS)
def test_random_masks_leave_the_oracles_network_with_the_same_outputs(kind):
    X, _ = make_rows(seed=1)
    for activation in ACTIVATIONS:
        # pairs of all kinds, activations, depths and ratios, not all products
        place = list(KINDS).index(kind) + ACTIVATIONS.index(activation)
        for depth, hidden in enumerate([(20,), (20, 15), (12, 20, 15)]):
            ratio = RATIOS[(place + depth) % len(RATIOS)]
            model = fit(kind, hidden, ratio=ratio, activation=activation)
            expected = naive.compact(model.coefs_, model.intercepts_, activation)

            network = model.compact()

            ours = network.coefs_, network.intercepts_, network.selected_features_
            assert_same_networks(ours, expected)
            assert_same_outputs(network, model, X)


def test_random_masks_leave_dead_and_constant_units():
    # else the test above would compare little
    sizes = []
    for ratio in RATIOS:
        model = fit(ratio=ratio)
        sizes.append(model.compact().layer_sizes_)
    assert sizes[0] == (6, 20, 15, 3)
    for size, bound in zip(sizes[1], (7, 20, 15, 4), strict=True):
        assert 0 < size < bound
    assert sizes[3] == (0, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "cancer", "diabetes"])
def test_trained_networks_keep_their_outputs(request, name):
    X, y = request.getfixturevalue(name)
    kind = ChaosCausalPrunedMLPRegressor if name == "diabetes" else ChaosCausalPrunedMLP
    options = {"hidden_layer_sizes": (40, 10), "max_iter": 3, "n_rounds": 1}
    for ratio in (0.5, 0.9, 0.99):
        model = small(kind, prune_ratio=ratio, **options).fit(X, y)

        network = model.compact()

        assert_same_outputs(network, model, X)
        # a living unit is not always useful: others that are dead may lead to it
        n_effective = (1 - model.effective_sparsity_) * model.n_weights_
        assert network.n_weights_ == round(n_effective)


@given(
    layer_sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    density=st.floats(0.1, 1.0),
    activation=st.sampled_from(ACTIVATIONS),
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_layers_are_the_oracles_and_compute_the_same(
    layer_sizes, density, activation, seed
):
    rng = np.random.RandomState(seed)
    masks = random_masks(layer_sizes, 1 - density, rng)
    coefs = [rng.standard_normal(mask.shape) * mask for mask in masks]
    intercepts = [rng.standard_normal(size) for size in layer_sizes[1:]]
    X = rng.standard_normal((4, layer_sizes[0]))

    left = compact_layers(coefs, intercepts, activation)

    assert_same_networks(left, naive.compact(coefs, intercepts, activation))
    assert_same_networks(
        compact_layers(*left[:2], activation),
        (*left[:2], np.arange(len(left[2]))),
    )
    assert_allclose(
        mlp.logits(X[:, left[2]], *left[:2], activation),
        mlp.logits(X, coefs, intercepts, activation),
        rtol=1e-12,
        atol=1e-12,
    )


def test_a_constant_unit_makes_the_next_one_constant():
    # unit 0 of each hidden layer hangs on nothing but biases
    coefs = [
        np.array([[0.0, 2.0], [0.0, 0.0]]),
        np.array([[3.0, 0.0], [0.0, 1.0]]),
        np.array([[0.5], [4.0]]),
    ]
    intercepts = [np.array([0.1, 0.2]), np.array([0.3, 0.4]), np.array([0.5])]

    left, biases, selected = compact_layers(coefs, intercepts, "tanh")

    assert [W.tolist() for W in left] == [[[2.0]], [[1.0]], [[4.0]]]
    constant = np.tanh(0.3 + 3.0 * np.tanh(0.1))
    assert_allclose(np.concatenate(biases), [0.2, 0.4, 0.5 + 0.5 * constant])
    assert selected.tolist() == [0]


def test_a_dead_unit_takes_what_leads_to_it_alone():
    # input 1 -> first unit 1 -> second unit 1 -> nothing
    coefs = [np.diag([1.0, 2.0]), np.diag([3.0, 4.0]), np.array([[5.0], [0.0]])]
    intercepts = [np.ones(2), np.ones(2), np.ones(1)]

    left, biases, selected = compact_layers(coefs, intercepts, "relu")

    assert [W.tolist() for W in left] == [[[1.0]], [[3.0]], [[5.0]]]
    assert [b.tolist() for b in biases] == [[1.0], [1.0], [1.0]]
    assert selected.tolist() == [0]


def test_a_constant_is_the_activation_of_the_bias():
    coefs = [np.array([[0.0, 1.0]]), np.array([[10.0], [1.0]])]
    intercepts = [np.array([-2.0, 0.0]), [1.0]]
    outputs = {"identity": -2, "relu": 0, "logistic": 0.1192029220221}
    for activation, output in outputs.items():
        _, biases, _ = compact_layers(coefs, intercepts, activation)

        assert biases[1] == pytest.approx(1.0 + 10.0 * output)


def test_kept_weights_that_are_zero_count_as_pruned():
    model = copy.deepcopy(
        fit(masks=[np.ones((6, 4), bool), np.ones((4, 3), bool)], hidden=(4,))
    )
    model.coefs_[0][:, 1] = 0.0
    model.coefs_[0][2] = -0.0
    model.coefs_[1][3] = 0.0

    network = model.compact()

    assert network.layer_sizes_ == (5, 2, 3)
    assert network.unused_features_.tolist() == [2]
    assert network.n_parameters_ == 5 * 2 + 2 * 3 + 2 + 3
    assert_same_outputs(network, model, make_rows()[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_disconnected_network_is_a_constant(kind):
    n_outputs = {"three classes": 3, "four classes, squared": 4}.get(kind, 1)
    sizes, X = (6, 4, 3, n_outputs), make_rows(50, seed=2)[0]
    for cut in range(3):
        masks = random_masks(sizes, 0.0, np.random.RandomState(0))
        masks[cut][...] = False
        model = fit(kind, sizes[1:-1], masks=masks)

        network = model.compact()

        assert network.layer_sizes_ == (0, n_outputs)
        assert network.selected_features_.size == 0
        assert network.unused_features_.tolist() == list(range(6))
        assert (network.n_weights_, network.n_parameters_) == (0, n_outputs)
        assert_same_outputs(network, model, X)
        assert np.ptp(network.predict(X)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_net_without_hidden_layer_loses_inputs_alone(kind):
    for ratio in (0.0, 0.7):
        model = fit(kind, (), ratio=ratio)
        used = model.coefs_[0].any(axis=1)

        network = model.compact()

        assert_array_equal(network.selected_features_, np.flatnonzero(used))
        assert_array_equal(network.coefs_[0], model.coefs_[0][used])
        assert_same_outputs(network, model, make_rows()[0])


def test_an_output_may_lose_all_its_weights():
    model = fit(
        masks=[np.ones((6, 4), bool), np.eye(4, 3, dtype=bool) * [1, 1, 0] > 0],
        hidden=(4,),
    )

    network = model.compact()

    assert network.layer_sizes_ == (6, 2, 3)
    assert_same_outputs(network, model, make_rows()[0])


def test_blocks_of_rows_change_nothing(monkeypatch):
    network, X = make_network(), np.random.RandomState(0).standard_normal((57, 8))
    whole = network.predict_proba(X)

    monkeypatch.setattr(mlp, "_BLOCK_ELEMENTS", 60)

    assert len(mlp.row_blocks(57, network.layer_sizes_)) == 6
    assert_allclose(network.predict_proba(X), whole, rtol=1e-12)


def test_an_unfitted_estimator_has_no_compact_form():
    with pytest.raises(NotFittedError):
        ChaosCausalPrunedMLP().compact()


# A predictor


def test_what_it_says_of_itself():
    labels = ["ant", "bee", "cow"]
    model, X = fit(ratio=0.9, labels=labels), make_rows()[0]
    network = model.compact()
    assert network.n_parameters_ < model.n_active_parameters_
    n_used, *_ = network.layer_sizes_

    assert network.classes_.tolist() == labels
    assert network.n_features_in_ == 6
    assert not hasattr(network, "feature_names_in_")
    assert len(network.selected_features_) == n_used < 6
    together = np.concatenate([network.selected_features_, network.unused_features_])
    assert sorted(together) == list(range(6))
    n_kept = sum(np.count_nonzero(W) for W in network.coefs_)
    assert network.n_weights_ == n_kept
    assert network.n_parameters_ == n_kept + sum(b.size for b in network.intercepts_)
    sizes = "-".join(map(str, network.layer_sizes_))
    assert repr(network).startswith(f"<CompactMLP {sizes}: {n_used} of 6 inputs, ")
    for said in (f"{network.n_parameters_} param", f"{network.nbytes} bytes", "dense"):
        assert said in repr(network)

    # an unused column is taken, and has no say
    other = X.copy()
    other[:, network.unused_features_] = 1e3
    assert_array_equal(network.predict_proba(other), network.predict_proba(X))


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_takes_it_for_what_it_is(kind):
    model, (X, y) = fit(kind), make_rows()
    network = model.compact()
    is_regression = kind == "regressor"
    if not is_regression:
        y = np.roll(model.classes_[np.arange(len(X)) % len(model.classes_)], 1)

    assert is_regressor(network) == is_regression
    assert is_classifier(network) != is_regression
    assert hasattr(network, "predict_proba") != is_regression
    assert get_tags(network).estimator_type == get_tags(model).estimator_type
    assert network.score(X, y) == pytest.approx(model.score(X, y))
    weights = np.arange(len(X))
    assert network.score(X, y, weights) == pytest.approx(model.score(X, y, weights))
    metric = r2_score if is_regression else accuracy_score
    assert network.score(X, y) == pytest.approx(metric(y, network.predict(X)))
    name = "neg_mean_squared_error" if is_regression else "neg_log_loss"
    scorer = get_scorer(name)
    assert scorer(network, X, y) == pytest.approx(scorer(model, X, y), rel=1e-9)

    ours, expected = (
        permutation_importance(each, X, y, n_repeats=2, random_state=0)
        for each in (network, model)
    )
    assert_allclose(ours.importances, expected.importances, rtol=1e-9, atol=1e-12)
    unused = network.unused_features_
    assert not ours.importances[unused].any()


def test_it_is_the_last_step_of_a_pipeline(iris):
    X, y = iris[0] * 3 + 5, np.array(["a", "b", "c"])[iris[1]]
    model = ChaosCausalPrunedMLP((6,), max_iter=5, prune_criterion="magnitude")
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    shorter = Pipeline([("scaler", pipeline[0]), ("net", pipeline[1].compact())])

    assert_array_equal(shorter.predict(X), pipeline.predict(X))
    assert_allclose(shorter.predict_proba(X), pipeline.predict_proba(X), atol=1e-12)
    assert shorter.score(X, y) == pipeline.score(X, y)
    assert shorter.classes_.tolist() == ["a", "b", "c"]
    assert get_scorer("roc_auc_ovr")(shorter, X, y) > 0.5
    assert "CompactMLP" in repr(shorter)
    assert "CompactMLP" in shorter._repr_html_()
    assert_array_equal(
        pickle.loads(pickle.dumps(shorter)).predict(X), shorter.predict(X)
    )


def test_it_is_finished():
    network = make_network()

    with pytest.raises(NotImplementedError, match="Fit the estimator .* to_skorch()"):
        network.fit(np.zeros((3, 8)), [0, 1, 2])
    with pytest.raises(NotImplementedError, match="cannot be fitted"):
        make_pipeline(StandardScaler(), network).fit(np.ones((3, 8)), [0, 1, 2])
    assert clone(network) is network
    with pytest.raises(NotImplementedError, match="cannot be fitted"):
        cross_val_score(
            network, np.ones((9, 8)), [0, 1, 2] * 3, cv=3, error_score="raise"
        )


def through_joblib(network, path, mmap_mode=None):
    joblib.dump(network, path)
    return joblib.load(path, mmap_mode=mmap_mode)


@pytest.mark.parametrize("kind", ["three classes", "regressor"])
def test_copies_predict_the_same(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 100)
    monkeypatch.setattr(compact, "_CSR_UP_TO_DENSITY", 0.6)
    network, X = fit(kind, ratio=0.6).compact(), make_rows()[0]
    assert "csr" in network.storage_ and "dense" in network.storage_
    for other in (
        copy.deepcopy(network),
        pickle.loads(pickle.dumps(network)),
        through_joblib(network, tmp_path / "net"),
        through_joblib(network, tmp_path / "net", mmap_mode="r"),
    ):
        assert_array_equal(other.predict(X), network.predict(X))
        assert repr(other) == repr(network)
        assert other.storage_ == network.storage_
        assert hasattr(other, "predict_proba") == hasattr(network, "predict_proba")


def test_it_does_not_hang_on_the_estimator():
    X, y = make_rows()
    names = list("abcdef")
    model = copy.deepcopy(fit(hidden=(), ratio=0.0))
    model.feature_names_in_ = np.array(names, dtype=object)
    network = model.compact()
    expected, coef = network.predict_proba(X), model.coefs_[0].copy()

    for array in (*model.coefs_, *model.intercepts_, model.classes_):
        array[...] = 7
    model.feature_names_in_[...] = "z"

    assert_array_equal(network.predict_proba(X), expected)
    assert_array_equal(network.coefs_[0], coef)
    assert network.classes_.tolist() == [0, 1, 2]
    assert network.feature_names_in_.tolist() == names


@pytest.mark.parametrize("order", ["C", "F"])
def test_it_does_not_hang_on_its_arguments(order):
    X = np.random.RandomState(0).standard_normal((5, 3))
    W, b = np.ones((3, 1), order=order), np.ones(1)
    selected, classes = np.arange(3), np.array([0, 1])
    network = make_network(
        (3, 1),
        "logistic",
        coefs=[W],
        intercepts=[b],
        n_features_in=3,
        selected_features=selected,
        classes=classes,
    )
    expected = network.predict_proba(X)

    for array in (W, b, selected, classes):
        array[...] = 0

    assert_array_equal(network.predict_proba(X), expected)
    assert network.classes_.tolist() == [0, 1]


# Rows


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda X: X.astype(np.float32),
        lambda X: X.astype(np.int8),
        lambda X: X > 0,
        lambda X: X.tolist(),
        lambda X: pd.DataFrame(X),
        lambda X: X[:1],
        lambda X: X[::-3],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        np.ma.asarray,
    ],
    ids="fortran float32 int8 bool list frame one steps strided masked".split(),
)
def test_rows_of_all_kinds_are_taken_as_by_the_estimator(change):
    model, X = fit(), change(make_rows()[0] * 3)

    assert_same_outputs(model.compact(), model, X)


def test_rows_are_left_as_they_are():
    network, X = make_network(activation="logistic"), np.ones((4, 8))
    X.flags.writeable = False

    first = network.predict_proba(X)

    assert_array_equal(network.predict_proba(X), first)
    assert (X == 1).all()


@pytest.mark.parametrize(
    "rows, match",
    [
        (np.ones((4, 5)), r"has the shape \(4, 5\); it must be \(n_samples, 6\)"),
        (np.ones((4, 7)), r"has the shape \(4, 7\).*also the unused"),
        (np.ones(6), r"has the shape \(6,\)"),
        (np.ones((2, 6, 1)), r"has the shape \(2, 6, 1\)"),
        (np.ones((0, 6)), r"has the shape \(0, 6\).*at least one row"),
        (np.full((4, 6), np.nan), "NaN or infinity; impute or remove"),
        (np.full((4, 6), np.inf), "NaN or infinity; impute or remove"),
        ([["a"] * 6], "could not convert"),
    ],
)
def test_rows_that_do_not_fit_are_refused_as_by_the_estimator(rows, match):
    model = fit("regressor")
    with pytest.raises(ValueError):
        model.predict(rows)
    with pytest.raises(ValueError, match=match):
        model.compact().predict(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_is_predicted_as_among_others(kind):
    X = make_rows()[0]
    for hidden in ((), (20, 15)):
        network = fit(kind, hidden).compact()
        methods = [network.predict]
        if kind != "regressor":
            methods.append(network.predict_proba)
        for method in methods:
            alone = [method(row[np.newaxis]) for row in X]
            assert_allclose(np.concatenate(alone), method(X), rtol=1e-12)


def test_a_nan_in_an_unused_column_is_refused_too():
    # as the estimator refuses it
    X = np.ones((3, 8))
    X[1, 0] = np.nan
    for rows in (X, X[1:2]):
        with pytest.raises(ValueError, match="NaN"):
            make_network().predict(rows)


def test_columns_of_a_frame_must_be_those_of_fit():
    X, y = make_rows()
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = small(ChaosCausalPrunedMLPRegressor, max_iter=1).fit(frame, y)
    network = model.compact()

    assert network.feature_names_in_.tolist() == list("abcdef")
    assert_allclose(network.predict(frame), model.predict(frame), rtol=1e-12)
    assert_array_equal(network.predict(X), network.predict(frame))
    for wrong in (
        frame[list("bacdef")],
        frame[list("abcde")],
        frame.assign(g=1),
        frame.rename(columns={"a": "A"}),
    ):
        with pytest.raises(ValueError):
            model.predict(wrong)
        with pytest.raises(ValueError, match="Select and order the columns as in fit"):
            network.predict(wrong)


# Storage


@pytest.mark.parametrize(
    "from_size, density, storage",
    [
        (20, 0.5, ("csr", "dense")),
        (21, 0.5, ("dense", "dense")),
        (20, 0.49, ("dense", "dense")),
        (1, 1.0, ("csr", "csr")),
    ],
)
def test_a_matrix_is_sparse_from_a_size_on_and_up_to_a_density(
    monkeypatch, from_size, density, storage
):
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", from_size)
    monkeypatch.setattr(compact, "_CSR_UP_TO_DENSITY", density)
    W = np.zeros((5, 4))
    W.flat[::2] = np.arange(10) + 1.0
    V = np.ones((4, 3))

    network = make_network((5, 4, 3), coefs=[W, V])

    assert network.storage_ == storage
    assert f"stored {storage[0]} and {storage[1]}" in repr(network)
    assert network.layer_sizes_ == (5, 4, 3)
    assert network.n_weights_ == 10 + 12
    assert network.n_parameters_ == 10 + 12 + 4 + 3
    for ours, given_ in zip(network.coefs_, [W, V], strict=True):
        assert isinstance(ours, np.ndarray)
        assert_array_equal(ours, given_)
    n_bytes = 8 * (5 + 4 + 3)  # features, biases
    n_bytes += 10 * (8 + 4) + 4 * (4 + 1) if storage[0] == "csr" else 8 * 20
    n_bytes += 12 * (8 + 4) + 4 * (3 + 1) if storage[1] == "csr" else 8 * 12
    assert network.nbytes == n_bytes


@pytest.mark.parametrize("kind", KINDS)
def test_both_storages_compute_the_same(monkeypatch, kind):
    model, X = fit(kind, ratio=0.7), make_rows()[0]
    dense = model.compact()
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 1)
    monkeypatch.setattr(compact, "_CSR_UP_TO_DENSITY", 1.0)

    sparse = model.compact()

    assert set(dense.storage_) == {"dense"}
    assert set(sparse.storage_) == {"csr"}
    for rows in (X, X[:1], np.asfortranarray(X)):
        assert_same_outputs(sparse, dense, rows)
        assert_same_outputs(sparse, model, rows)


def test_a_constant_network_may_be_stored_sparse(monkeypatch):
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 0)
    masks = random_masks((6, 4, 3), 1.0, np.random.RandomState(0))
    model = fit(hidden=(4,), masks=masks)

    network = model.compact()

    assert network.storage_ == ("csr",)
    assert_same_outputs(network, model, make_rows()[0])


def test_large_layers_are_stored_sparse_where_few_weights_are_left():
    X = np.random.RandomState(0).standard_normal((20, 402))

    sparse = make_network((400, 400, 3), density=0.04)
    dense = make_network((400, 400, 3), density=0.2)
    short = make_network((90, 90, 3), density=0.04)

    assert sparse.storage_ == ("csr", "dense")
    assert dense.storage_ == short.storage_ == ("dense", "dense")
    assert sparse.nbytes < dense.nbytes / 8
    for network, rows in ((sparse, X), (dense, X), (short, X[:, :92])):
        expected = dense_logits(network, rows)
        assert_allclose(
            network.predict_proba(rows),
            mlp.outputs_from_logits(expected, "softmax"),
            atol=1e-12,
        )


# Files

LABELS = {
    "int": np.array([3, -1, 7]),
    "str": np.array(["ö", "bee", "a longer one"]),
    "object": np.array(["ant", "", "cow"], dtype=object),
    "float": np.array([0.0, 1.0, 5.0]),
    "uint8": np.array([1, 2, 255], dtype=np.uint8),
    "bool": np.array([False, True]),
    "unusual": np.array(["", "a\0b", "\U0001f600" * 1000], dtype=object),
}


def save_first(network, path):
    """Write a file as the first format had it; returns its arrays."""
    arrays = {
        "format": "skchaosprune.CompactMLP/1",
        "n_layers": len(network.storage_),
        "activation": network.activation_,
        "out_activation": network.out_activation_,
        "loss": network.loss_,
        "n_features_in": network.n_features_in_,
        "selected_features": network.selected_features_,
        "target": [network.target_mean_, network.target_scale_],
    }
    for name in "classes", "feature_names_in":
        if hasattr(network, f"{name}_"):
            arrays[name] = getattr(network, f"{name}_")
    for layer, (W, b) in enumerate(
        zip(network._weights, network.intercepts_, strict=True)
    ):
        arrays[f"intercept_{layer}"] = b
        parts = {"weights": W}
        if not isinstance(W, np.ndarray):
            parts = {part: getattr(W, part) for part in ("data", "indices", "indptr")}
        arrays |= {f"{part}_{layer}": values for part, values in parts.items()}
    arrays = {name: np.array(values) for name, values in arrays.items()}
    np.savez_compressed(path, **arrays)
    return arrays


def is_damaged(path):
    with pytest.raises(ValueError, match="that CompactMLP.save_npz wrote, or it is"):
        CompactMLP.load_npz(path)
    return True


@pytest.mark.parametrize("labels", LABELS)
def test_a_file_brings_back_all(tmp_path, labels):
    labels = LABELS[labels]
    kind = {2: "two classes", 3: "three classes"}[len(labels)]
    model, X = fit(kind, labels=labels, ratio=0.6), make_rows()[0]
    network = model.compact()
    path = tmp_path / "net"  # no suffix, and none is added

    network.save_npz(path)
    CompactMLP.load_npz(path).save_npz(str(path))
    other = CompactMLP.load_npz(str(path))

    assert [file.name for file in tmp_path.iterdir()] == ["net"]
    assert other.classes_.tolist() == network.classes_.tolist()
    if labels.dtype != object:
        assert other.classes_.dtype == network.classes_.dtype
    assert_array_equal(other.predict(X), network.predict(X))
    assert_array_equal(other.predict_proba(X), network.predict_proba(X))
    assert repr(other) == repr(network)
    assert other.loss_ == network.loss_
    for name, value in vars(network).items():
        assert type(getattr(other, name)) is type(value), name
    with np.load(path, allow_pickle=False) as stored:
        assert not any(stored[name].dtype.hasobject for name in stored.files)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_brings_back_all_kinds(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 100)
    monkeypatch.setattr(compact, "_CSR_UP_TO_DENSITY", 0.6)
    X, names = make_rows()[0], np.array(list("abcdeé"), dtype=object)
    for ratio in (0.6, 1.1):
        network = fit(kind, ratio=ratio, activation="tanh").compact()
        network.feature_names_in_ = names
        assert ratio > 1 or "csr" in network.storage_

        network.save_npz(tmp_path / "net.npz")
        other = CompactMLP.load_npz(tmp_path / "net.npz")

        expected = network.predict(X)
        assert_array_equal(other.predict(X), expected)
        assert_array_equal(other.predict(pd.DataFrame(X, columns=names)), expected)
        assert other.feature_names_in_.tolist() == list("abcdeé")
        assert_array_equal(other.selected_features_, network.selected_features_)
        assert other.storage_ == network.storage_
        assert other.nbytes == network.nbytes
        assert hasattr(other, "predict_proba") == (kind != "regressor")


def test_labels_that_need_pickle_leave_no_file(tmp_path):
    old = tmp_path / "old.npz"
    old.write_text("of yesterday", encoding="utf-8")
    for labels, lost in (
        (["b", "a\0", "c"], "a\0"),
        (["a", 1, "c"], 1),
        ([(1,), (2, 3), (4,)], (1,)),
        ([(1, 2), (2, 3), (4, 5)], (1, 2)),
        ([1, 2, 2**70], 1),
    ):
        classes = np.empty(3, dtype=object)
        classes[:] = labels
        network = make_network(classes=classes)
        for path in (tmp_path / "new.npz", old):
            with pytest.raises(ValueError) as caught:
                network.save_npz(path)
            assert "class labels of dtype object" in str(caught.value)
            assert f"Got {labels}" in str(caught.value)
            assert f"of which {lost!r} would not" in str(caught.value)

    assert not (tmp_path / "new.npz").exists()
    assert old.read_text(encoding="utf-8") == "of yesterday"


def test_names_that_are_no_unicode_come_back(tmp_path):
    names = ["\ud800", "a\0b", "\x1b\n", "\u8eab" * 1000, *"efgh"]
    network = make_network(
        classes=np.array(["\udc00", "b", "c"], dtype=object),
        feature_names_in=np.array(names, dtype=object),
    )
    network.save_npz(tmp_path / "net.npz")
    other = CompactMLP.load_npz(tmp_path / "net.npz")
    assert other.classes_.tolist() == ["\udc00", "b", "c"]
    assert other.feature_names_in_.tolist() == names


def test_a_feature_name_that_would_not_come_back_is_told(tmp_path):
    names = np.array([*"abcdefg", "long\0" * 10_000], dtype=object)
    network = make_network(feature_names_in=names)
    with pytest.raises(ValueError, match="feature names of dtype .*8 in all") as caught:
        network.save_npz(tmp_path / "net.npz")
    text = str(caught.value)
    assert r"'long\x00" in text and len(text) < 500
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        CompactMLP.load_npz(tmp_path / "net.npz")
    with pytest.raises(FileNotFoundError):
        make_network().save_npz(tmp_path / "folder" / "net.npz")


TRACES = []


def leave_trace():
    TRACES.append("was run")


class _Payload:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self):
        return leave_trace, ()


def dump_npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_other_files_are_refused_and_not_run(tmp_path):
    arrays = save_first(make_network(), tmp_path / "net.npz")
    bomb = np.array([_Payload()], dtype=object)
    TRACES.clear()
    file = tmp_path / "file"

    def refuses(content):
        file.write_bytes(content)
        return is_damaged(file)

    assert refuses(b"")
    assert refuses(b"not a network")
    assert refuses(pickle.dumps(_Payload()))
    assert refuses(dump_npy(np.ones(3)))
    for name in arrays:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=True, **(arrays | {name: bomb}))
        assert refuses(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in arrays:
            archive.writestr(name, b"no array")
    assert refuses(buffer.getvalue())
    assert TRACES == []
    pickle.loads(pickle.dumps(_Payload()))
    assert TRACES == ["was run"]  # it would have


def test_a_file_with_more_parts_is_refused_and_not_run(tmp_path):
    path, bomb = tmp_path / "net.npz", np.array([_Payload()], dtype=object)
    TRACES.clear()
    for name in ("more.npy", "more.pkl", "data_0.npy", "../more"):
        for write in (pickle.dumps, dump_npy):
            save_first(make_network(), path)
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(name, write(bomb))

            assert is_damaged(path), name
    assert TRACES == []


def test_every_part_of_a_file_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 8)
    # with two hidden units and two classes, half of it would be a network, too
    monkeypatch.setattr(compact, "_CSR_UP_TO_DENSITY", 0.5)
    network = make_network((6, 2, 2, 1), "logistic", density=0.3)
    assert network.storage_ == ("csr", "dense", "dense")
    arrays = save_first(network, tmp_path / "net.npz")

    for name in arrays:
        rest = {key: value for key, value in arrays.items() if key != name}
        np.savez(tmp_path / "part.npz", **rest)
        assert is_damaged(tmp_path / "part.npz"), name


WRONG_PARTS = {
    "format": ["skchaosprune.CompactMLP/2"],
    "activation": ["gelu"],
    "out_activation": ["tanh", "identity"],
    "loss": ["hinge"],
    "n_features_in": [5, -1, np.array([8, 8]), np.nan],
    "n_layers": [1, 3, 0, -1],
    "selected_features": [
        np.array([-1, 2, 3, 4, 5, 6]),
        np.array([1, 2, 3, 4, 5, 8]),
        np.array([1, 1, 3, 4, 5, 6]),
        np.array([2, 1, 3, 4, 5, 6]),
        np.arange(5),
        np.arange(7),
        np.arange(6.0),
        np.arange(6).reshape(2, 3),
        np.array(["a"] * 6),
    ],
    "target": [np.array([0.0, np.nan]), np.zeros(3), np.array(["a", "b"])],
    "classes": [
        np.arange(2),
        np.arange(4),
        np.arange(3)[:, np.newaxis],
        np.array(0),
    ],
    "feature_names_in": [np.array(["a", "b"])],
    "weights_0": [
        np.zeros((6, 5)),
        np.zeros((5, 6), dtype=complex),
        np.full((5, 6), np.nan),
        np.full((5, 6), np.inf),
        np.array(1.0),
        np.zeros(30),
        np.full((5, 6), "a"),
    ],
    "weights_1": [np.zeros((3, 4))],
    "intercept_0": [np.zeros(4), np.zeros((5, 1))],
    "intercept_1": [
        np.array([0.0, np.inf, 0.0]),
        np.array(1.0),
        np.array(["a", "b", "c"]),
        np.zeros(0),
    ],
}


@pytest.mark.parametrize("name", WRONG_PARTS)
def test_parts_that_do_not_fit_are_refused(tmp_path, name):
    arrays = save_first(make_network(), tmp_path / "net.npz")
    for value in WRONG_PARTS[name]:
        np.savez(tmp_path / "other.npz", **(arrays | {name: value}))

        assert is_damaged(tmp_path / "other.npz"), value


WRONG_SPARSE_PARTS = {
    "indices": [
        lambda places: places + 3,
        lambda places: places - 1,
        lambda places: places.astype(float),
        lambda places: places[:-1],
        lambda places: np.full_like(places, 2**30),
    ],
    "indptr": [
        lambda places: places[::-1],
        lambda places: places + 1,
        lambda places: places[:-1],
        lambda places: np.append(places, places[-1]),
        lambda places: places.astype(float),
        lambda places: np.full_like(places, -(2**30)),
        lambda places: places[:, np.newaxis],
    ],
    "data": [
        lambda data: data[:-1],
        lambda data: data * np.nan,
        lambda data: data[np.newaxis],
    ],
}


@pytest.mark.parametrize("name", WRONG_SPARSE_PARTS)
def test_sparse_parts_that_do_not_fit_are_refused(monkeypatch, tmp_path, name):
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 8)
    monkeypatch.setattr(compact, "_CSR_UP_TO_DENSITY", 1.0)
    network = make_network((3, 4, 3), density=0.6)
    arrays = save_first(network, tmp_path / "net.npz")
    assert network.storage_ == ("csr", "csr")

    for change in WRONG_SPARSE_PARTS[name]:
        wrong = change(arrays[f"{name}_0"])
        np.savez(tmp_path / "other.npz", **(arrays | {f"{name}_0": wrong}))

        assert is_damaged(tmp_path / "other.npz"), wrong


def test_a_regressor_has_one_output_and_no_labels(tmp_path):
    arrays = save_first(make_network((4, 3, 1), "identity"), tmp_path / "net.npz")
    two = {"weights_1": np.zeros((2, 3)), "intercept_1": np.zeros(2)}

    for changes in ({"classes": np.arange(2)}, two):
        np.savez(tmp_path / "other.npz", **(arrays | changes))
        assert is_damaged(tmp_path / "other.npz")


def test_a_part_that_says_it_is_huge_is_refused(tmp_path):
    arrays = save_first(make_network(), tmp_path / "net.npz")
    content = dump_npy(arrays["weights_0"])
    huge = content.replace(b"(5, 6), }" + 12 * b" ", b"(5, 6000000000000), }")
    assert huge != content
    del arrays["weights_0"]
    np.savez(tmp_path / "other.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "other.npz", "a") as archive:
        archive.writestr("weights_0.npy", huge)

    assert is_damaged(tmp_path / "other.npz")


def test_damage_is_found_or_harmless(tmp_path):
    network, X = make_network(), make_rows(n_features=8)[0]
    path = tmp_path / "net.npz"
    network.save_npz(path)
    content, expected = path.read_bytes(), network.predict_proba(X)
    rng = np.random.RandomState(0)
    n_refused = 0

    pieces = [content[:end] for end in range(0, len(content), len(content) // 20)]
    for _ in range(120):
        damaged = bytearray(content)
        damaged[rng.randint(len(content))] ^= 1 << rng.randint(8)
        pieces.append(bytes(damaged))
    for piece in pieces:
        path.write_bytes(piece)
        try:
            other = CompactMLP.load_npz(path)
        except ValueError:
            n_refused += 1
        else:
            assert_array_equal(other.predict_proba(X), expected)

    assert n_refused > 80


def test_odd_rows():
    network, X = make_network(), make_rows(n_features=8)[0]

    with pytest.raises(ValueError, match="complex"):
        network.predict(X + 1j)
    with pytest.raises(ValueError, match="NaN or infinity"):
        network.predict(sparse.coo_matrix(np.where(X > 1.0, np.nan, X)))
    with pytest.raises(ValueError, match="complex"):
        network.predict(sparse.csr_array(X + 1j))
    with pytest.raises(ValueError, match=r"the shape \(\d+, 5\)"):
        network.predict(sparse.csr_array(X[:, :5]))
    # a frame without names of its own is taken as an array
    assert_array_equal(network.predict(pd.DataFrame(X)), network.predict(X))
    # rows that overflow are refused, as in the estimator
    regressor = make_network((6, 5, 1), "identity")
    huge = 1.7e308 * np.sign(X)
    with pytest.raises(ValueError, match="too large for float64.*scale X"):
        regressor.predict(huge)
    with pytest.raises(ValueError, match="too large for float64.*row 0"):
        regressor.predict(huge[:1])


def test_the_weights_are_copies():
    network, X = make_network(), make_rows(n_features=8)[0]
    before = network.predict_proba(X)
    for W in network.coefs_:
        W[...] = 0.0

    assert_array_equal(network.predict_proba(X), before)


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"activation": "rulu", "loss": "x"}, "the activation and loss do not make"),
        ({"selected_features": [7, 8, 9, 10, 11, 12]}, "selected_features"),
        ({"intercepts": [np.zeros(4), np.zeros(3)]}, "coefs"),
        ({"intercepts": [np.zeros(5)]}, "coefs"),
        ({"intercepts": []}, "intercepts"),
        ({"classes": None}, "classes"),
        ({"classes": [0, 1, 1]}, "classes"),
        ({"classes": [0.0, 1.0, np.nan]}, "classes"),
        ({"classes": [0.0, 1.0, np.inf]}, "classes"),
        ({"classes": np.array(["a", np.nan, "b"], dtype=object)}, "classes"),
        ({"classes": np.array(["a", "b", "a"], dtype=object)}, "classes"),
        ({"classes": np.array(["2020", "2021", "NaT"], dtype="M8[D]")}, "classes"),
        ({"target_scale": np.nan}, "numbers"),
        ({"target_scale": 0.0}, "the target_scale do not make"),
        ({"target_scale": -1.0}, "target_scale"),
        ({"loss": "squared_error"}, "the loss do not make"),
        ({"out_activation": "identity", "loss": "log_loss"}, "the loss do not"),
        ({"out_activation": ["softmax"]}, "out_activation and loss"),
        ({"classes": np.array(["a", "b", pd.NA], dtype=object)}, "classes"),
        ({"classes": np.array(["a", "b", {}], dtype=object)}, "classes"),
        ({"n_features_in": 8.0}, "n_features_in"),
        ({"n_features_in": None}, "n_features_in"),
        ({"n_features_in": True}, "n_features_in"),
        ({"intercepts": [0.5]}, "intercepts"),
    ],
)
def test_parts_of_a_network_are_checked(changes, match):
    with pytest.raises(ValueError, match=match):
        make_network(**changes)


def test_sparse_weights_may_be_in_any_order():
    W = sparse.csc_array(sparse.csr_array(np.arange(12.0).reshape(4, 3)))
    shuffled = sparse.csc_array((W.data, W.indices.copy(), W.indptr), shape=W.shape)
    first = slice(*W.indptr[:2])
    shuffled.indices[first] = shuffled.indices[first][::-1]
    shuffled.data = W.data.copy()
    shuffled.data[first] = W.data[first][::-1]
    shuffled.has_sorted_indices = False
    arguments = {"sizes": (4, 3), "coefs": [shuffled]}

    network = make_network(**arguments)

    assert_array_equal(network.coefs_[0], W.toarray())


@pytest.mark.parametrize("value", [None, "1", 1j, np.array([1.0]), np.inf, np.nan])
def test_targets_are_numbers(value):
    for name in ("target_mean", "target_scale"):
        with pytest.raises(ValueError, match="do not make a network"):
            make_network((6, 1), "identity", **{name: value})


def test_kinds_of_selected_features():
    X, selected = make_rows(n_features=8)[0], [1, 2, 3, 4, 5, 6]
    expected = make_network().predict(X)
    for kind in (list, np.uint8, np.int8, np.int64):
        given_ = selected if kind is list else np.array(selected, dtype=kind)
        network = make_network(selected_features=given_)

        assert network.selected_features_.dtype == np.intp
        assert_array_equal(network.predict(X), expected)
        assert network.to_torch()(torch.tensor(X)).shape == (30, 3)


def test_a_constant_network_may_be_made_of_lists():
    network = make_network((0, 1), "logistic", n_features_in=4, selected_features=[])

    assert len(np.unique(network.predict_proba(np.eye(4)), axis=0)) == 1


@pytest.mark.filterwarnings("ignore")  # a check must not rest on a warning
def test_numbers_that_are_not_real_are_refused(tmp_path):
    arrays = save_first(make_network(), tmp_path / "net.npz")
    for name in ("weights_0", "intercept_1"):
        for wrong in (arrays[name] * (1 + 1j), arrays[name].astype(str)):
            np.savez(tmp_path / "other.npz", **(arrays | {name: wrong}))

            with pytest.raises(ValueError, match="its .*_[01] has the dtype"):
                CompactMLP.load_npz(tmp_path / "other.npz")
