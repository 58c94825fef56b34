"""The network as a torch module, and as a skorch net to train on."""

import copy
import io
import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._network import mlp
from skchaosprune._training.threads import one_thread_per_fit
from tests.helpers import assert_same_fit, small
from tests.test_compact import (
    ACTIVATIONS,
    KINDS,
    fit,
    make_network,
    make_rows,
    random_masks,
)

FORMS = {"whole": lambda model: model, "compact": lambda model: model.compact()}
OPTIMIZERS = {
    "sgd": lambda parts: torch.optim.SGD(
        parts, lr=0.01, momentum=0.9, weight_decay=0.01
    ),
    "adam": lambda parts: torch.optim.Adam(parts, lr=0.05),
    "adamw": lambda parts: torch.optim.AdamW(parts, lr=0.05),
}


@pytest.fixture(scope="module", autouse=True)
def global_generator():
    """Nothing here may draw from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """A second thread of torch waits wherever the machine is busy, often for long."""
    with one_thread_per_fit():
        yield


def make_codes(kind, n_rows=30):
    """Rows, and class codes or targets."""
    X, y = make_rows(n_rows)
    n_classes = KINDS[kind][0]
    if n_classes is None:
        return X, y
    return X, np.digitize(X[:, 0] + X[:, 1], np.linspace(-1, 1, n_classes - 1))


def run(module, X):
    with torch.no_grad():
        return module(torch.tensor(X)).numpy()


def effective_weights(module):
    linear = [layer for layer in module.layers if hasattr(layer, "mask")]
    return [(layer.weight * layer.mask).detach().numpy().T for layer in linear]


def train(module, optimizer, X, n_steps=5):
    optimizer = OPTIMIZERS[optimizer](module.parameters())
    rows = torch.tensor(X)
    for _ in range(n_steps):
        optimizer.zero_grad()
        ((module(rows) - 1.0) ** 2).mean().backward()
        optimizer.step()


# The module


def assert_right_outputs(z, model, X):
    """Compare what enters the output activation with an estimator, by formulas."""
    if not hasattr(model, "classes_"):
        assert_allclose(z[:, 0], model.predict(X), rtol=1e-12)
        return
    expected = model.predict_proba(X)
    if z.shape[1] == 1:
        assert_allclose(expit(z[:, 0]), expected[:, 1], atol=1e-12)
    elif model.loss == "log_loss":
        assert_allclose(softmax(z, axis=1), expected, atol=1e-12)
    else:
        outputs = expit(z)
        outputs /= outputs.sum(axis=1, keepdims=True)
        assert_allclose(outputs, expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_the_estimators(kind):
    X, _ = make_rows(seed=1)
    for activation in ACTIVATIONS:
        for hidden in [(), (9, 8, 7)]:
            model = fit(kind, hidden, ratio=0.4, activation=activation)
            for network in (model, model.compact()):
                z = run(network.to_torch(), X)

                assert z.dtype == np.float64
                assert_right_outputs(z, model, X)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_network(kind):
    model, X = fit(kind, ratio=1.1), make_rows()[0]
    for network in (model, model.compact()):
        z = run(network.to_torch(), X)

        assert np.ptp(z, axis=0).max() == 0
        assert z.shape == (30, model.n_outputs_)
        assert_right_outputs(z, model, X)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pruned_weights_stay_zero_whatever_trains_them(optimizer, form):
    X, _ = make_rows()
    network = FORMS[form](fit(ratio=0.6, activation="tanh"))
    module = network.to_torch()
    before = effective_weights(module)
    for W, coef in zip(before, network.coefs_, strict=True):
        assert_array_equal(W, coef)

    train(module, optimizer, X)

    masks = network.masks_ if form == "whole" else [W != 0 for W in network.coefs_]
    for W, old, mask in zip(effective_weights(module), before, masks, strict=True):
        assert (W[~mask] == 0).all() and (~mask).any()
        assert (W[mask] != old[mask]).any()
    biases = [layer.bias.detach().numpy() for layer in module.layers[::2]]
    used = module.selected_features.numpy()
    expected = mlp.logits(X[:, used], effective_weights(module), biases, "tanh")
    assert_allclose(run(module, X), expected, rtol=1e-10)


def test_kept_weights_that_are_zero_may_be_trained():
    model = copy.deepcopy(fit(hidden=(), ratio=0.5))
    kept = np.argwhere(model.masks_[0])[0]
    model.coefs_[0][tuple(kept)] = 0.0
    module = model.to_torch()

    train(module, "sgd", make_rows()[0], n_steps=1)

    assert effective_weights(module)[0][tuple(kept)] != 0


def through_a_file(module):
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_modules_can_be_copied():
    X, _ = make_rows()
    network = fit("regressor", ratio=0.6).compact()
    module = network.to_torch()
    train(module, "adam", X)
    others = [copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
    for state in (module.state_dict(), through_a_file(module)):
        other = network.to_torch()
        assert not np.array_equal(run(other, X), run(module, X))
        other.load_state_dict(state)
        others.append(other)

    for other in others:
        assert_array_equal(run(other, X), run(module, X))
        train(other, "adam", X)
        assert not np.array_equal(run(other, X), run(module, X))
        for W, coef in zip(effective_weights(other), network.coefs_, strict=True):
            assert (W[coef == 0] == 0).all()


def test_single_precision_and_back():
    X, _ = make_rows()
    module = make_network((4, 3, 2), n_features_in=6).to_torch()
    expected = run(module, X)

    z = run(module.float(), X.astype(np.float32))

    assert z.dtype == np.float32
    assert_allclose(z, expected, rtol=1e-4, atol=1e-5)
    assert run(module.double(), X).dtype == np.float64


def test_modules_can_be_traced():
    X, _ = make_rows()
    module = fit(ratio=0.7).compact().to_torch().eval()

    exported = torch.export.export(module, (torch.tensor(X),)).module()

    assert_allclose(run(exported, X), run(module, X), rtol=1e-12)


def test_the_compact_module_takes_all_columns():
    network = make_network((3, 2), n_features_in=6, selected_features=[0, 2, 5])
    X, _ = make_rows()
    other = X.copy()
    other[:, [1, 3, 4]] = np.nan

    assert_array_equal(run(network.to_torch(), other), run(network.to_torch(), X))


def test_training_a_module_leaves_the_estimator_alone():
    X, _ = make_rows()
    model = fit()
    for network in (model, model.compact()):
        expected, module = network.predict_proba(X), network.to_torch()

        train(module, "sgd", X)

        assert_array_equal(network.predict_proba(X), expected)
        assert not np.array_equal(run(module, X), run(network.to_torch(), X))


def test_unfitted_estimators_have_no_module():
    for method in ("to_torch", "to_skorch"):
        with pytest.raises(NotFittedError):
            getattr(ChaosCausalPrunedMLP(), method)()


# The net


@pytest.mark.parametrize("kind", KINDS)
def test_a_net_predicts_before_it_is_trained(kind):
    X, _ = make_rows(seed=1)
    labels = None if kind == "regressor" else list("abcd")[: KINDS[kind][0]]
    model = fit(kind, ratio=0.4, labels=labels)
    for network in (model, model.compact()):
        net = network.to_skorch()

        assert net.initialized_
        if kind == "regressor":
            assert isinstance(net, NeuralNetRegressor)
            assert_allclose(net.predict(X)[:, 0], network.predict(X), rtol=1e-12)
            continue
        assert isinstance(net, NeuralNetClassifier)
        assert_allclose(net.predict_proba(X), network.predict_proba(X), atol=1e-12)
        assert_array_equal(network.classes_[net.predict(X)], network.predict(X))


@pytest.mark.parametrize("form, method", [("whole", "fit"), ("compact", "partial_fit")])
@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_from_the_weights(kind, form, method):
    X, y = make_codes(kind)
    network = FORMS[form](fit(kind, ratio=0.5))
    still = network.to_skorch(lr=0.0, max_epochs=1, batch_size=-1, verbose=0)
    net = network.to_skorch(lr=0.01, max_epochs=4, batch_size=-1, verbose=0)

    getattr(still, method)(X, y)
    getattr(net, method)(X, y)

    losses = net.history[:, "train_loss"]
    assert losses[0] == pytest.approx(still.history[-1, "train_loss"], rel=1e-9)
    assert losses[-1] < losses[0]
    if kind != "regressor":
        assert_allclose(still.predict_proba(X), network.predict_proba(X), atol=1e-12)
    for W, coef in zip(effective_weights(net.module_), network.coefs_, strict=True):
        assert (W[coef == 0] == 0).all()
        assert (W[coef != 0] != coef[coef != 0]).any()
    # a second call starts where the first one ended
    getattr(net, method)(X, y)
    assert net.history[-1, "train_loss"] < losses[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_estimators(kind):
    X, y = make_codes(kind)
    model = fit(kind, ratio=0.5)
    net = model.to_skorch(lr=0.0, max_epochs=1, verbose=0, batch_size=-1)

    loss = net.partial_fit(X, y).history[-1, "train_loss"]

    z, n_outputs = run(model.to_torch(), X), model.n_outputs_
    if kind == "regressor":
        expected = np.mean((y - model.predict(X)) ** 2) / model.target_scale_**2
    elif kind == "three classes":
        expected = -np.log(softmax(z, axis=1)[np.arange(30), y]).mean()
    else:
        targets = y[:, np.newaxis] if n_outputs == 1 else np.eye(n_outputs)[y]
        if "squared" in kind:
            expected = np.mean((expit(z) - targets) ** 2)
        else:
            p = expit(z)
            expected = -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))
    assert loss == pytest.approx(expected, rel=1e-9)
    net.module_.float()
    loss = net.partial_fit(X.astype(np.float32), y).history[-1, "train_loss"]
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "regressor"])
def test_class_codes_of_all_types_are_the_same(kind):
    X, y = make_codes(kind)
    model, losses = fit(kind), []
    for dtype in (np.int64, np.int32, np.uint8, np.float64):
        net = model.to_skorch(max_epochs=2).partial_fit(X, y.astype(dtype))
        losses.append(net.history[:, "train_loss"])

    assert all(other == losses[0] for other in losses)


@pytest.mark.parametrize("form", FORMS)
def test_a_regressor_takes_columns_and_vectors(form):
    X, y = make_rows()
    network = FORMS[form](fit("regressor", ratio=0.3))
    nets = [
        network.to_skorch(lr=0.001, max_epochs=5, verbose=0).partial_fit(X, target)
        for target in (y, y[:, np.newaxis], y.astype(np.float32), y.round().astype(int))
    ]

    vector, column, *others = [net.history[:, "train_loss"] for net in nets]
    assert vector == column
    for other in others:
        assert_allclose(other, vector, rtol=0.1)
    # in units of the target
    assert r2_score(y, nets[0].predict(X)) > r2_score(y, network.predict(X))


def test_defaults_follow_the_estimator():
    masks = random_masks((6, 4, 3), 0.5, np.random.RandomState(0))
    model = fit(
        hidden=(4,),
        masks=masks,
        learning_rate_init=0.03,
        momentum=0.7,
        max_iter=3,
        batch_size=7,
    )
    auto = fit(solver="adam", hidden=(4,), masks=masks, shuffle=False)

    net, other = model.to_skorch(), auto.to_skorch()

    assert (net.lr, net.max_epochs, net.batch_size) == (0.03, 3, 7)
    assert (net.device, net.verbose, net.train_split) == ("cpu", 0, None)
    assert isinstance(net.optimizer_, torch.optim.SGD)
    group = net.optimizer_.param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.03, 0.7)
    assert net.iterator_train__shuffle and not other.iterator_train__shuffle
    assert isinstance(other.optimizer_, torch.optim.Adam)
    assert other.batch_size == 32


@pytest.mark.parametrize(
    "form, settings",
    [
        ("whole", {"optimizer": torch.optim.Adam}),
        ("compact", {"optimizer": torch.optim.RMSprop, "optimizer__momentum": 0.5}),
        ("whole", {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.5}),
        ("compact", {"criterion": torch.nn.CrossEntropyLoss}),
        (
            "whole",
            {
                "criterion": torch.nn.CrossEntropyLoss,
                "criterion__label_smoothing": 0.1,
            },
        ),
        (
            "compact",
            {"train_split": ValidSplit(3), "callbacks": [EarlyStopping(patience=2)]},
        ),
        ("whole", {"iterator_train__shuffle": False, "batch_size": 5}),
        ("compact", {"predict_nonlinearity": None}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_settings_override_defaults(form, settings):
    X, y = make_codes("three classes")
    network = FORMS[form](fit())

    net = network.to_skorch(lr=0.004, max_epochs=4, verbose=0, **settings)
    net.fit(X, y)

    assert net.lr == net.optimizer_.param_groups[0]["lr"] == 0.004
    assert len(net.history) <= 4
    for name, value in settings.items():
        assert getattr(net, name) is value
    if "optimizer__momentum" in settings:
        assert net.optimizer_.param_groups[0]["momentum"] == 0.5
    if "train_split" in settings:
        assert "valid_loss" in net.history[-1]


def test_a_momentum_alone_is_the_default_optimizers():
    net = fit(momentum=0.9).to_skorch(optimizer__momentum=0.3)

    assert isinstance(net.optimizer_, torch.optim.SGD)
    assert net.optimizer_.param_groups[0]["momentum"] == 0.3


COPIES = {
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "deepcopy": copy.deepcopy,
    "clone": lambda net: clone(net).initialize(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_nets_can_be_copied(kind):
    X, y = make_codes(kind)
    net = fit(kind).to_skorch(verbose=0, max_epochs=2).partial_fit(X, y)
    expected = net.predict_proba(X)
    for copy_net in COPIES.values():
        other = copy_net(net)

        assert_array_equal(other.predict_proba(X), expected)
        other.partial_fit(X, y)
        assert not np.array_equal(other.predict_proba(X), expected)
        assert_array_equal(net.predict_proba(X), expected)


def test_nets_are_trained_alike_and_leave_their_source_alone():
    X, y = make_codes("three classes")
    model = fit()
    small = model.compact()
    expected, state = model.predict_proba(X), pickle.dumps(model)
    for network in (model, small):
        nets = [
            network.to_skorch(verbose=0, iterator_train__shuffle=True) for _ in range(2)
        ]
        first, second = (net.fit(X, y).predict_proba(X) for net in nets)

        assert_array_equal(first, second)  # the row order is not drawn
        assert not np.array_equal(first, expected)

    assert pickle.dumps(model) == state
    assert_array_equal(model.predict_proba(X), expected)
    assert_allclose(small.predict_proba(X), expected, atol=1e-12)


def test_the_global_generator_has_no_say():
    X, y = make_codes("three classes")
    model, probabilities = fit(), []
    for seed in range(2):
        with torch.random.fork_rng(devices=[]):
            state = torch.manual_seed(seed).get_state()
            net = model.to_skorch(verbose=0, train_split=ValidSplit(3)).fit(X, y)
            assert torch.equal(torch.get_rng_state(), state)
        probabilities.append(net.predict_proba(X))
    assert_array_equal(*probabilities)


# Whatever modes and defaults of torch are on where the package is called.


@contextmanager
def another_type():
    torch.set_default_dtype(torch.float16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "another device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "another type": another_type,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("engine, solver", [("torch", "adam"), ("numba", "sgd")])
def test_a_fit_is_the_same_in_any_mode_of_torch(iris, mode, engine, solver):
    seen = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(torch.is_inference_mode_enabled())

    options = {"engine": engine, "solver": solver, "validation_fraction": 0.2}
    model = small(callbacks=[Look()], **options)
    expected = copy.deepcopy(model.fit(*iris))

    with MODES[mode]():
        model.fit(*iris)

    assert_same_fit(model, expected)
    assert not any(seen)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_in_any_mode_of_torch_can_be_trained(iris, mode, form):
    X, y = iris
    model = FORMS[form](small(activation="tanh").fit(X, y))
    with MODES[mode]():
        module, net = model.to_torch(), model.to_skorch(max_epochs=2, verbose=0)

    outputs = module(torch.from_numpy(X)).detach()
    assert_allclose(softmax(outputs, axis=1), model.predict_proba(X))
    before = module.layers[0].weight.detach().clone()
    module(torch.from_numpy(X)).sum().backward()
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    assert torch.any(module.layers[0].weight != before)
    assert len(net.fit(X, y).history) == 2
