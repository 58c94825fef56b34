"""Callbacks that write weights, at any event: the mask holds, and all views agree."""

import copy

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skchaosprune import ChaosCausalPrunedMLPRegressor
from skchaosprune.criteria import ChaosCausality
from tests.helpers import small
from tests.networks import initial, make_data, make_plan, train_plan

BETWEEN_EPOCHS = ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"]
IN_BATCHES = ["on_batch_begin", "on_grad_computed", "on_batch_end"]
EVENTS = [(event, engine) for event in BETWEEN_EPOCHS for engine in ("numba", "torch")]
EVENTS += [(event, "torch") for event in IN_BATCHES]


def at(event, function):
    """Make a callback that calls ``function(net)`` at an event."""

    def call(self, net, *args, **kwargs):
        function(net)

    return type("At", (Callback,), {event: call})()


def write_in_place(net):
    for part in net.module_.parameters():
        part.data.add_(0.25)


def assign_data(net):
    for part in net.module_.parameters():
        part.data = part.data + 0.25


def load_state(net):
    state = {name: W + 0.25 for name, W in net.module_.state_dict().items()}
    net.module_.load_state_dict(state)


def write_nan_where_pruned(net):
    for part in net.module_.coefs:
        part.data[part.data == 0.0] = np.nan


WAYS = [write_in_place, assign_data, load_state, write_nan_where_pruned]


def assert_views_agree(model, X):
    """Compare coefs, masks, sparsity, the compact network and the one of torch."""
    for W, mask in zip(model.coefs_, model.masks_, strict=True):
        assert not W[~mask].any()
    n_kept = sum(np.count_nonzero(W) for W in model.coefs_)
    assert model.sparsity_ == 1.0 - n_kept / model.n_weights_
    compact, module = model.compact(), model.to_torch()
    with torch.no_grad():
        z = module(torch.from_numpy(X))
    if hasattr(model, "classes_"):
        answer = model.predict_proba(X)
        np.testing.assert_allclose(compact.predict_proba(X), answer, atol=1e-12)
        np.testing.assert_allclose(torch.softmax(z, 1).numpy(), answer, atol=1e-12)
    else:
        answer = model.predict(X)
        np.testing.assert_allclose(compact.predict(X), answer, atol=1e-12)
        np.testing.assert_allclose(z.numpy().ravel(), answer, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("event", "engine"), EVENTS)
def test_pruned_weights_stay_zero_whatever_a_callback_writes(iris, event, engine, way):
    model = small(engine=engine, callbacks=[at(event, way)], n_rounds=2).fit(*iris)

    assert model.engine_ == engine
    assert_views_agree(model, iris[0])


@pytest.mark.parametrize("event", BETWEEN_EPOCHS)
def test_pruned_weights_of_a_regressor_stay_zero(diabetes, event):
    X, y = diabetes
    model = small(ChaosCausalPrunedMLPRegressor, callbacks=[at(event, assign_data)])

    assert_views_agree(model.fit(X, y), X)


class WriteAndEnd(Callback):
    """Write weights, then ask for the end as EarlyStopping does."""

    def on_train_end(self, net, **kwargs):
        write_in_place(net)
        raise KeyboardInterrupt


def test_a_callback_may_write_as_it_ends_the_training(iris):
    assert_views_agree(small(callbacks=[WriteAndEnd()]).fit(*iris), iris[0])


@pytest.mark.parametrize(("event", "engine"), EVENTS)
def test_all_ways_to_write_train_the_same(event, engine):
    plan = make_plan(engine=engine, batch_size=10)
    mask = np.arange(plan.n_weights) % 2 == 0
    runs = [
        train_plan(plan, [at(event, way)], mask=mask).params
        for way in (write_in_place, assign_data, load_state)
    ]

    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
    assert np.abs(runs[0] - train_plan(plan, mask=mask).params).max() > 1e-3


WATCH = {
    "cpu": lambda net: net.module_.cpu().state_dict(),
    "double": lambda net: net.module_.double(),
    "copy": lambda net: copy.deepcopy(net.module_).cpu(),
    "new data": lambda net: assign(net, lambda W: W.clone()),
    "new strides": lambda net: assign(net, lambda W: W.t().contiguous().t()),
    "the same data": lambda net: assign(net, lambda W: W),
    "new buffer": lambda net: setattr(net.module_, "flat", net.module_.flat.clone()),
}


def assign(net, change):
    for W in net.module_.coefs:
        W.data = change(W.data)


@pytest.mark.parametrize(("event", "engine"), EVENTS)
def test_what_leaves_the_values_leaves_the_training(event, engine):
    plan = make_plan(engine=engine, batch_size=10, momentum=0.5)
    plain = train_plan(plan)
    for name, watch in WATCH.items():
        run = train_plan(plan, [at(event, watch)])
        assert run.engine == engine
        np.testing.assert_array_equal(run.params, plain.params, err_msg=name)
        assert run.history == plain.history or event in IN_BATCHES


def transpose(net):
    W = net.module_.coefs[0]
    W.data = W.data.t()


def transpose_in_place(net):
    W = net.module_.coefs[0]
    W.data.copy_(W.data.t().clone())


def swap(net):
    one, other = list(net.module_.coefs)[:2]
    one.data, other.data = other.data, one.data


def swap_in_place(net):
    one, other = (part.data for part in list(net.module_.coefs)[:2])
    values = one.clone()
    one.copy_(other)
    other.copy_(values)


@pytest.mark.parametrize(("event", "engine"), EVENTS)
def test_transposed_and_swapped_weights_are_seen(event, engine):
    plan = make_plan((4, 4, 3), engine=engine, batch_size=10)
    for ways in [(transpose, transpose_in_place), (swap, swap_in_place)]:
        one, other = (train_plan(plan, [at(event, way)], n_epochs=3) for way in ways)
        np.testing.assert_array_equal(one.params, other.params)


@pytest.mark.parametrize("shape", [(1,), (2, 2)])
def test_another_shape_is_refused(shape):
    def shrink(net):
        net.module_.coefs[0].data = torch.zeros(shape, dtype=torch.float64)

    with pytest.raises(ValueError, match="values of shape .* cannot change in a fit"):
        train_plan(make_plan(), [at("on_epoch_end", shrink)])


def hook_forward(net):
    net.module_.register_forward_hook(lambda module, X, z: 0.5 * z)


def hook_gradient(net):
    net.module_.coefs[0].register_hook(lambda gradient: 0.0 * gradient)


def hook_step(net):
    net.optimizer_.register_step_post_hook(lambda *args: None)


def change_activation(net):
    net.module_.activation = "identity"


def wrap_step(net):
    step = net.optimizer_.step
    net.optimizer_.step = lambda *args: step(*args)


def wrap_forward(net):
    forward = net.module_.forward
    net.module_.forward = lambda X: 2.0 * forward(X)


def hook_loss(net):
    net.criterion_.register_forward_hook(lambda module, X, loss: 2.0 * loss)


CHANGES = [hook_forward, hook_gradient, hook_step, hook_loss]
CHANGES += [wrap_step, wrap_forward, change_activation]


@pytest.mark.parametrize("change", CHANGES)
def test_what_only_torch_can_do_needs_torch(change):
    callback = at("on_train_begin", change)

    runs = [train_plan(make_plan(engine=e), [callback]) for e in ("auto", "torch")]
    assert [run.engine for run in runs] == ["torch", "torch"]
    np.testing.assert_array_equal(runs[0].params, runs[1].params)
    with pytest.raises(ValueError, match="cannot be honoured: a callback"):
        train_plan(make_plan(engine="numba"), [callback])


def hook_accumulated_gradient(net):
    def stop(W):
        W.grad.zero_()

    net.module_.coefs[0].register_post_accumulate_grad_hook(stop)


def keep_zero_gradients(net):
    net.optimizer_ = ZeroGradients(net.module_.parameters(), lr=0.05)
    net.module_.coefs[0].requires_grad_(False)
    net.module_.coefs[0].grad = torch.zeros_like(net.module_.coefs[0])


class ZeroGradients(torch.optim.SGD):
    def zero_grad(self, set_to_none=False):
        super().zero_grad(set_to_none=False)


@pytest.mark.parametrize(
    "way", [hook_gradient, hook_accumulated_gradient, keep_zero_gradients]
)
def test_weights_that_a_callback_keeps_do_not_shrink(way):
    plan = make_plan(alpha=5.0, engine="torch")
    run = train_plan(plan, [at("on_train_begin", way)])

    size = np.prod(plan.layer_sizes[:2])
    np.testing.assert_array_equal(run.params[:size], initial(plan)[:size])
    assert not np.isin(run.params[size:], initial(plan)[size:]).any()


def test_weights_that_the_loss_does_not_reach_shrink():
    def skip_weights(net):
        b = net.module_.intercepts[-1]
        net.module_.forward = lambda X: b.expand(len(X), -1)

    def freeze_weights(net):
        for W in net.module_.coefs:
            W.requires_grad_(False)

    plan = make_plan(alpha=5.0, engine="torch", batch_size=100)
    start, n_weights = initial(plan), plan.n_weights
    run = train_plan(plan, [at("on_train_begin", skip_weights)], n_epochs=1)
    shrunk = start[:n_weights] * (1.0 - plan.learning_rate_init * 5.0 / 17.0)
    np.testing.assert_allclose(run.params[:n_weights], shrunk, rtol=1e-12)

    run = train_plan(plan, [at("on_train_begin", freeze_weights)], n_epochs=1)
    np.testing.assert_array_equal(run.params[:n_weights], start[:n_weights])


@pytest.mark.parametrize("event", ["on_epoch_end", "on_train_end"])
def test_nan_that_a_callback_writes_is_an_error(event):
    def write_nan(net):
        net.module_.coefs[0].data.fill_(np.nan)

    with pytest.raises(ValueError, match="no longer finite"):
        train_plan(make_plan(), [at(event, write_nan)], n_epochs=1)


def replace_parameter(net):
    net.module_.coefs[0] = torch.nn.Parameter(net.module_.coefs[0].detach().clone())


def initialize_again(net):
    net.initialize_module()


@pytest.mark.parametrize("way", [replace_parameter, initialize_again])
def test_another_module_is_refused(way):
    with pytest.raises(ValueError, match="replaced the module or one of its param"):
        train_plan(make_plan(), [at("on_epoch_begin", way)])


def switch_to(make_optimizer, epoch=3):
    def switch(net):
        if len(net.history) == epoch:
            net.optimizer_ = make_optimizer(net.module_)

    return at("on_epoch_begin", switch)


def adam(module):
    return torch.optim.Adam(module.parameters(), lr=0.01)


def sgd_of_first_layer(module):
    return torch.optim.SGD([module.coefs[0]], lr=0.1)


@pytest.mark.parametrize("engine", ["auto", "torch"])
@pytest.mark.parametrize("make_optimizer", [adam, sgd_of_first_layer])
def test_another_optimizer_is_stepped_from_then_on(engine, make_optimizer):
    plan = make_plan(engine=engine, batch_size=10, shuffle=False)
    data, params = make_data(plan), initial(plan)
    run = train_plan(plan, [switch_to(make_optimizer)], n_epochs=4)

    params = train_plan(plan, n_epochs=2).params
    expected = train_by_hand(plan, data, params, make_optimizer, n_epochs=2)
    assert run.engine == "torch"
    np.testing.assert_allclose(run.params, expected, atol=1e-10)


def train_by_hand(plan, data, params, make_optimizer, n_epochs):
    """Train in a plain loop of torch; the loss is that of a softmax."""
    from skchaosprune._training.module import MLPLoss, MLPModule

    module = MLPModule(plan.layer_sizes, plan.activation)
    module.flat.copy_(torch.from_numpy(params))
    optimizer = make_optimizer(module)
    loss_of = MLPLoss(plan.loss, plan.out_activation, plan.layer_sizes[-1])
    parts = [data.X, data.targets, data.sample_weight]
    for _ in range(n_epochs):
        for first in range(0, len(data.X), plan.batch_size):
            rows = slice(first, first + plan.batch_size)
            X, targets, weights = (torch.from_numpy(part[rows]) for part in parts)
            optimizer.zero_grad()
            loss = loss_of(module(X), targets, weights)
            squares = sum((W * W).sum() for W in module.coefs)
            (loss + plan.alpha / (2.0 * data.total_weight) * squares).backward()
            optimizer.step()
    return module.flat.numpy()


class SmallLoss(torch.nn.Module):
    """Small, and of one element instead of a scalar."""

    def forward(self, z, targets, sample_weight):
        return 0.0 * torch.mean(z).reshape(1)


def replace_loss(net):
    net.criterion_ = SmallLoss()


def change_loss(net):
    net.criterion_.loss = "squared_error"


@pytest.mark.parametrize("change", [replace_loss, change_loss])
def test_another_loss_needs_torch(change):
    callback = at("on_epoch_begin", change)

    assert train_plan(make_plan(engine="auto"), [callback]).engine == "torch"
    with pytest.raises(ValueError, match="cannot be honoured: a callback .* the loss"):
        train_plan(make_plan(engine="numba"), [callback])


def stop_momentum(net):
    for state in net.optimizer_.state.values():
        state["momentum_buffer"].zero_()


def test_a_twin_refuses_another_momentum(iris):
    criterion = ChaosCausality(trajectory="perturbation")
    callbacks = [at("on_epoch_begin", stop_momentum)]
    options = {"momentum": 0.9, "max_iter": 80, "learning_rate_init": 0.001}
    model = small(prune_criterion=criterion, callbacks=callbacks, **options)

    with pytest.raises(ValueError, match="a callback changed weights or momentum"):
        model.fit(*iris)


def to_single(net):
    net.module_.float()


@pytest.mark.parametrize(("event", "engine"), EVENTS)
def test_single_precision_is_for_a_moment(event, engine):
    plan = make_plan(engine=engine, batch_size=10)
    run = train_plan(plan, [at(event, to_single)])

    assert run.params.dtype == np.float64
    np.testing.assert_allclose(run.params, train_plan(plan).params, atol=1e-5)


def test_epochs_are_reported_without_pruned_weights():
    plan = make_plan()
    mask = np.arange(plan.n_weights) % 2 == 0
    n_alive = []

    class Epochs:
        def begin(self):
            pass

        def end(self, number, loss, params):
            n_alive.append(np.count_nonzero(params()[: mask.size][~mask]))

    callbacks = [at("on_epoch_end", write_in_place)]
    train_plan(plan, callbacks, mask=mask, epochs=Epochs())

    assert n_alive == [0] * 6


def test_a_twin_refuses_another_optimizer(iris):
    criterion = ChaosCausality(trajectory="perturbation")
    callbacks = [switch_to(lambda module: torch.optim.SGD(module.parameters(), 0.1))]
    model = small(prune_criterion=criterion, callbacks=callbacks, max_iter=80)

    with pytest.raises(ValueError, match="a callback replaced the optimiser"):
        model.fit(*iris)
