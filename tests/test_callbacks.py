"""skorch callbacks: what they see and change, which engine they need."""

import copy
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import skorch.callbacks
import torch
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    ProgressBar,
)

from skchaosprune._training.module import MLPModule
from skchaosprune._training.plan import TrainingPlan
from tests.helpers import small
from tests.networks import initial, make_data, make_plan, train_plan

ACCURACY = ("accuracy", EpochScoring("accuracy", lower_is_better=False, on_train=True))


class Spy(Callback):
    """Record a number per epoch, and count the epochs it has seen."""

    n_seen_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_seen_ += 1
        net.history.record("spied", self.n_seen_ * 10)


def test_history_holds_what_callbacks_record():
    run = train_plan(make_plan(), [ACCURACY, Spy()])

    assert run.engine == "numba"
    assert [row["spied"] for row in run.history] == [10, 20, 30, 40, 50, 60]
    assert all(0.0 <= row["accuracy"] <= 1.0 for row in run.history)
    assert all(type(row["accuracy"]) is float for row in run.history)
    assert "batches" not in run.history[0]


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_epoch_scoring_scores_the_epochs_weights(engine):
    plan = make_plan(engine=engine)
    data = make_data(plan)

    run = train_plan(plan, [ACCURACY])

    accuracy = 1 - data.mean_error(run.params, plan)
    weighted = data.sample_weight
    right = np.argmax(data.logits(run.params, plan), axis=1) == data.y
    np.testing.assert_allclose(run.history[-1]["accuracy"], right.mean())
    np.testing.assert_allclose(accuracy, np.average(right, weights=weighted))


def test_learning_rate_schedule_is_read_before_every_epoch():
    schedule = LRScheduler(policy="StepLR", step_size=2, gamma=0.1)
    runs = [
        train_plan(make_plan(engine=engine), [schedule]) for engine in ("auto", "torch")
    ]

    assert [run.engine for run in runs] == ["numba", "torch"]
    np.testing.assert_allclose(runs[0].params, runs[1].params, atol=1e-10)
    assert np.abs(runs[0].params - train_plan(make_plan()).params).max() > 1e-3


class LateSchedule(Callback):
    """Makes a scheduler in the second epoch, of the optimiser or of a new one."""

    def __init__(self, new_optimizer):
        self.new_optimizer = new_optimizer

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            if self.new_optimizer:
                net.optimizer_ = torch.optim.SGD(net.module_.parameters(), lr=0.1)
            self.schedule_ = torch.optim.lr_scheduler.StepLR(net.optimizer_, 2)

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) >= 2:
            self.schedule_.step()
            net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


@pytest.mark.parametrize("new_optimizer", [False, True])
def test_a_late_schedule_does_not_warn(new_optimizer):
    run = train_plan(make_plan(), [LateSchedule(new_optimizer)])

    assert run.engine == "numba"
    rates = [row["lr"] for row in run.history[1:]]
    np.testing.assert_allclose(rates, rates[0] * np.array([1, 0.1, 0.1, 0.01, 0.01]))


def test_early_stopping_ends_in_good_order():
    stop = EarlyStopping(monitor="spied", patience=2)

    run = train_plan(make_plan(), [Spy(), stop], n_epochs=50)

    assert len(run.history) == 3


def test_callbacks_are_cloned_for_each_training(iris):
    spy = Spy()
    model = small(max_iter=3, callbacks=[spy, ("b", Spy())]).fit(*iris)

    assert spy.n_seen_ == 0
    assert [row["spied"] for row in model.history_] == [10, 20, 30]
    assert [row["spied"] for row in model.dense_history_] == [10, 20, 30]


class Every(Callback):
    def __init__(self, step_every):
        self.step_every = step_every


def test_own_callbacks_may_have_a_step_every():
    callbacks = [Every([1, 2]), Every("epoch")]

    assert train_plan(make_plan(), callbacks).engine == "numba"


class TorchOnly(Callback):
    def on_grad_computed(self, net, named_parameters, **kwargs):
        net.history.record("gradients", len(list(named_parameters)))


@pytest.mark.parametrize(
    "callback",
    [
        GradientNormClipping(0.01),
        TorchOnly(),
        ("named", TorchOnly()),
        TorchOnly,
        BatchScoring("accuracy", on_train=True),
        LRScheduler("StepLR", step_size=10, step_every="batch"),
    ],
    ids=lambda callback: str(callback)[:30],
)
def test_callbacks_inside_a_batch_need_torch(callback):
    assert train_plan(make_plan(engine="auto"), [callback]).engine == "torch"
    with pytest.raises(ValueError, match="engine='numba' cannot be honoured.*inside"):
        train_plan(make_plan(engine="numba"), [callback])


class ScoringThatCounts(EpochScoring):
    """A user's own class, which does want to see the batches."""

    n_batches_ = 0

    def on_batch_end(self, net, **kwargs):
        self.n_batches_ += 1
        net.history.record("n_batches", self.n_batches_)


def test_own_kinds_of_known_callbacks_see_their_batches():
    plan = make_plan(engine="auto", batch_size=10)
    callback = ScoringThatCounts("accuracy", on_train=True)

    run = train_plan(plan, [callback], n_epochs=2, validation=make_data(plan))

    assert run.engine == "torch"
    assert run.history[-1]["n_batches"] == 2 * 2 * 5  # training and validation


@pytest.mark.parametrize(
    "callback", [ProgressBar(), ACCURACY], ids=["ProgressBar", "EpochScoring"]
)
def test_callbacks_that_run_with_the_kernel(callback):
    run = train_plan(make_plan(engine="numba"), [callback])
    plain = train_plan(make_plan(engine="numba"))

    assert run.engine == "numba"
    np.testing.assert_array_equal(run.params, plain.params)


def test_gradient_clipping_acts():
    plan = make_plan(engine="auto", shuffle=False)
    clipped = train_plan(plan, [GradientNormClipping(1e-6)], n_epochs=1).params

    limit = 1e-6 * plan.learning_rate_init * len(make_data(plan).X)
    assert 0 < np.abs(clipped - initial(plan)).max() < limit * 1.01


class DecayInBatches(Callback):
    """Lower the rate after every step."""

    def on_batch_end(self, net, training, **kwargs):
        if training:
            net.optimizer_.param_groups[0]["lr"] *= 0.8


class DecayingSGD(torch.optim.SGD):
    """Lowers the rate in its step."""

    def step(self, closure=None):
        super().step(closure)
        self.param_groups[0]["lr"] *= 0.8


class TakeDecayingSGD(Callback):
    def on_train_begin(self, net, **kwargs):
        rate = net.optimizer_.param_groups[0]["lr"]
        net.optimizer_ = DecayingSGD(net.module_.parameters(), lr=rate)


def test_steps_are_bounded_by_the_rate_of_their_batch():
    options = {"learning_rate": "cosine", "learning_rate_init": 0.5, "batch_size": 5}
    plan = make_plan(**options, engine="torch")
    in_batches = train_plan(plan, [GradientNormClipping(1e9)])
    np.testing.assert_array_equal(in_batches.params, train_plan(plan).params)

    runs = [train_plan(plan, [each()]) for each in (DecayInBatches, TakeDecayingSGD)]
    np.testing.assert_allclose(runs[0].params, runs[1].params, rtol=1e-9)


def test_frozen_parameters_stay():
    plan = make_plan(engine="auto")

    run = train_plan(plan, [Freezer("coefs.0")])

    first = plan.layer_sizes[0] * plan.layer_sizes[1]
    assert run.engine == "torch"
    np.testing.assert_array_equal(run.params[:first], initial(plan)[:first])
    assert np.abs(run.params - initial(plan))[first:].max() > 1e-3


class Follow(Callback):
    """Set the rate of each epoch."""

    def __init__(self, rates):
        self.rates = rates

    def on_epoch_begin(self, net, **kwargs):
        net.optimizer_.param_groups[0]["lr"] = self.rates[len(net.history) - 1]


class Halve(Callback):
    """Halve the rate for good when the third epoch begins."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            net.optimizer_.param_groups[0]["lr"] /= 2.0


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_the_schedule_is_a_share_of_the_rate_of_the_optimiser(solver):
    options = {"solver": solver, "learning_rate": "cosine", "engine": "auto"}
    plan = make_plan(**options, batch_size=16)

    run = train_plan(plan, [Halve()])
    in_torch = train_plan(replace(plan, engine="torch"), [Halve()])
    assert np.abs(in_torch.params - run.params).max() < 1e-10

    rates = 0.025 * (1.0 + np.cos(np.pi * np.arange(6) / 6))
    rates[2:] /= 2.0
    by_hand = train_plan(replace(plan, learning_rate="constant"), [Follow(rates)])
    if solver == "sgd":
        with patch.object(TrainingPlan, "bound_rows", return_value=None):
            run = train_plan(plan, [Halve()])
    assert np.abs(by_hand.params - run.params).max() < 1e-10


class Rates(Callback):
    """Note the rate of every step, and change how long the training is."""

    def __init__(self, max_epochs):
        self.max_epochs, self.rates = max_epochs, []

    def on_train_begin(self, net, **kwargs):
        net.set_params(max_epochs=self.max_epochs)
        rates, step = self.rates, type(net.optimizer_).step

        class Spy(torch.optim.SGD):
            def step(self, closure=None):
                rates.append(self.param_groups[0]["lr"])
                return step(self, closure)

        net.optimizer_ = Spy(net.module_.parameters(), lr=0.05)


@pytest.mark.parametrize("max_epochs", [3, 9])
def test_the_schedule_is_as_long_as_the_training(max_epochs):
    callback = Rates(max_epochs)
    plan = make_plan(learning_rate="cosine", engine="auto", batch_size=43)
    train_plan(plan, [callback])
    epochs = np.arange(max_epochs)
    expected = 0.025 * (1.0 + np.cos(np.pi * epochs / max_epochs))
    np.testing.assert_allclose(callback.rates, expected)


class Plain(torch.optim.Optimizer):
    """A step of its own, with a rate that it lowers, or with none that others see."""

    def __init__(self, params, settings):
        super().__init__(params, settings)

    def step(self, closure=None):
        for group in self.param_groups:
            for part in group["params"]:
                part.data -= group.get("lr", 0.01) * part.grad
            if "lr" in group:
                group["lr"] *= 0.5


class Install(Callback):
    def __init__(self, **settings):
        self.settings = settings

    def on_train_begin(self, net, **kwargs):
        net.optimizer_ = Plain(net.module_.parameters(), self.settings)


@pytest.mark.parametrize("learning_rate", ["cosine", "constant"])
def test_any_optimiser_keeps_its_own_rate(learning_rate):
    plan = make_plan(learning_rate=learning_rate, engine="auto", batch_size=43)
    shares = np.array([plan.decay(epoch, 6) for epoch in range(6)])
    for settings, rates in (
        ({}, np.full(6, 0.01)),
        ({"lr": 0.04}, 0.04 * 0.5 ** np.arange(6) * shares),
    ):
        run = train_plan(plan, [Install(**settings)])
        by_hand = train_plan(replace(plan, learning_rate="constant"), [Follow(rates)])
        np.testing.assert_allclose(run.params, by_hand.params, atol=1e-10)


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_momentum_of_1_bounds_nothing(engine):
    class Momentum(Callback):
        def on_epoch_begin(self, net, **kwargs):
            net.optimizer_.param_groups[0]["momentum"] = 1.0

    plan = make_plan(learning_rate="cosine", learning_rate_init=1e-4, engine=engine)
    data = make_data(plan)
    data.X[3] = 0.0
    run = train_plan(plan, [Momentum()], data=data)
    assert np.abs(run.params - initial(plan)).max() > 1e-4


def test_groups_of_parameters_are_bounded_by_the_fastest():
    class Groups(Callback):
        def __init__(self, rates):
            self.rates = rates

        def on_train_begin(self, net, **kwargs):
            parts = list(net.module_.parameters())
            groups = [
                {"params": parts[i::2], "lr": rate} for i, rate in enumerate(self.rates)
            ]
            net.optimizer_ = torch.optim.SGD(groups)

    plan = make_plan((), learning_rate="cosine", engine="auto")
    data = make_data(plan)
    data.X[7] = 1e5
    for rates in ((0.05, 1e-9), (1e-9, 0.05)):
        run = train_plan(plan, [Groups(rates)], data=data)
        assert np.abs(run.params).max() < 10.0


class SwitchWeightDecay(Callback):
    """Hand the optimiser something that only torch can do, for two epochs."""

    def on_epoch_begin(self, net, **kwargs):
        in_torch = len(net.history) in (3, 4)
        net.optimizer_.param_groups[0]["weight_decay"] = 1e-30 if in_torch else 0.0


def test_momentum_survives_a_change_of_engine():
    plan = make_plan(engine="auto", momentum=0.9, learning_rate_init=0.01)

    mixed = train_plan(plan, [SwitchWeightDecay()])

    np.testing.assert_allclose(mixed.params, train_plan(plan).params, atol=1e-10)


class LoadOptimizer(Callback):
    """Load a copy of the optimiser's state, as a resumed training does."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            saved = copy.deepcopy(net.optimizer_.state_dict())
            net.optimizer_.load_state_dict(saved)


def test_momentum_that_is_loaded_is_not_lost():
    plan = make_plan(engine="auto", momentum=0.9, learning_rate_init=0.01)

    resumed = train_plan(plan, [LoadOptimizer()])

    assert resumed.engine == "torch"
    np.testing.assert_allclose(resumed.params, train_plan(plan).params, atol=1e-10)


CALLBACKS_THAT_NEED_FILES_OR_SERVICES = {
    "Checkpoint",
    "TrainEndCheckpoint",
    "LoadInitState",
    "NeptuneLogger",
    "WandbLogger",
    "TensorBoard",
    "MlflowLogger",
    "SacredLogger",
}


NEEDS_ARGUMENTS = {
    "BatchScoring": {"scoring": "accuracy", "on_train": True},
    "EpochScoring": {"scoring": "accuracy", "on_train": True},
    "PassthroughScoring": {"name": "train_loss", "on_train": True},
    "EarlyStopping": {"monitor": "train_loss"},
    "Freezer": {"patterns": "coefs.0"},
    "Unfreezer": {"patterns": "coefs.0"},
    "Initializer": {"patterns": "coefs.0", "fn": torch.nn.init.zeros_},
    "ParamMapper": {"patterns": "coefs.0", "fn": torch.nn.init.zeros_},
    "GradientNormClipping": {"gradient_clip_value": 1.0},
    "LRScheduler": {"policy": "StepLR", "step_size": 2},
}


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name in skorch.callbacks.__all__
        if name not in CALLBACKS_THAT_NEED_FILES_OR_SERVICES
        and name != "InputShapeSetter"  # sets a parameter that our module lacks
        and name != "WarmRestartLR"  # a schedule, for use inside LRScheduler
    ),
)
def test_every_skorch_callback_trains(name, capsys):
    callback = getattr(skorch.callbacks, name)(**NEEDS_ARGUMENTS.get(name, {}))

    run = train_plan(make_plan(engine="auto"), [callback], n_epochs=3)

    assert len(run.history) == 3
    assert np.isfinite(run.params).all()


@pytest.mark.parametrize("name", ["Checkpoint", "TrainEndCheckpoint"])
def test_checkpoints_hold_the_network(name, tmp_path):
    callback = getattr(skorch.callbacks, name)(dirname=str(tmp_path))
    plan = make_plan()

    # validated on its own training rows, every epoch is the best so far
    run = train_plan(plan, [callback], n_epochs=3, validation=make_data(plan))
    assert all(row["valid_loss_best"] for row in run.history)

    (file,) = tmp_path.glob("*params.pt")
    module = MLPModule(plan.layer_sizes, plan.activation)
    module.load_state_dict(torch.load(file, weights_only=True))
    np.testing.assert_array_equal(module.flat.numpy(), run.params)


@pytest.mark.parametrize("callback", [EpochScoring("accuracy"), TorchOnly()])
def test_validation_rows_give_a_weighted_valid_loss(callback):
    plan = make_plan(batch_size=10, engine="auto")
    held_out = make_data(plan, seed=7)

    run = train_plan(plan, [callback], validation=held_out)

    expected = held_out.mean_loss(run.params, plan)
    np.testing.assert_allclose(run.history[-1]["valid_loss"], expected)


class Recorder(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.history.record("array", np.arange(3.0))
        net.history.record("tensor", torch.ones(2))
        net.history.record("number", np.float32(0.5))


def test_history_is_plain_whatever_is_recorded():
    row = train_plan(make_plan(), [Recorder()]).history[-1]

    assert row["array"] == [0.0, 1.0, 2.0]
    assert row["tensor"] == [1.0, 1.0]
    assert type(row["number"]) is float


class StopAt(Callback):
    """Ask for the end as EarlyStopping does, at any event."""

    def __init__(self, event, epoch=1):
        self.event = event
        self.epoch = epoch

    def stop(self, event, net):
        if event == self.event and len(net.history) >= self.epoch:
            raise KeyboardInterrupt

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.stop("on_train_begin", net)

    def on_epoch_begin(self, net, **kwargs):
        self.stop("on_epoch_begin", net)

    def on_epoch_end(self, net, **kwargs):
        self.stop("on_epoch_end", net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        self.stop("on_train_end", net)


@pytest.mark.parametrize(
    "event, epoch, n_epochs",
    [("on_epoch_begin", 3, 2), ("on_epoch_end", 3, 3), ("on_train_end", 3, 6)],
)
def test_callbacks_may_ask_for_the_end_anywhere(event, epoch, n_epochs):
    run = train_plan(make_plan(), [StopAt(event, epoch)])
    assert len(run.history) == n_epochs


@pytest.mark.parametrize(
    "callback", [StopAt("on_train_begin", 0), StopAt("on_epoch_begin", 1)]
)
def test_an_end_before_the_first_epoch_is_an_error(callback):
    with pytest.raises(ValueError, match="before its first epoch was over"):
        train_plan(make_plan(), [callback])
