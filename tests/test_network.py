"""The skorch nets: callbacks, engines, one flat buffer, global state."""

import copy
import os
import pickle
import signal
import threading

import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.metrics import r2_score
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
from threadpoolctl import threadpool_info, threadpool_limits

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._training import threads
from skchaosprune._training.module import MLPModule
from skchaosprune._training.net import train
from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c
from tests.test_kernels import initial, make_data, make_plan

ACCURACY = ("accuracy", EpochScoring("accuracy", lower_is_better=False, on_train=True))


def train_plan(plan, callbacks=None, n_epochs=6, **options):
    mask = np.ones(plan.n_weights, dtype=bool)
    return train(
        plan,
        make_data(plan),
        initial(plan),
        n_epochs=n_epochs,
        mask=mask,
        seed=0,
        callbacks=callbacks,
        **options,
    )


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
    model = ChaosCausalPrunedMLP(
        (3,), max_iter=3, prune_criterion="magnitude", callbacks=[spy, ("b", Spy())]
    ).fit(*iris)

    assert spy.n_seen_ == 0
    assert [row["spied"] for row in model.history_] == [10, 20, 30]
    assert [row["spied"] for row in model.dense_history_] == [10, 20, 30]


class Every(Callback):
    def __init__(self, step_every):
        self.step_every = step_every


@pytest.mark.parametrize("step_every", [[1, 2], "epoch"], ids=str)
def test_own_callbacks_may_have_a_step_every(step_every):
    assert train_plan(make_plan(), [Every(step_every)]).engine == "numba"


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

    limit = 1e-6 * plan.learning_rate * len(make_data(plan).X)
    assert 0 < np.abs(clipped - initial(plan)).max() < limit * 1.01


def test_frozen_parameters_stay():
    plan = make_plan(engine="auto")

    run = train_plan(plan, [Freezer("coefs.0")])

    first = plan.layer_sizes[0] * plan.layer_sizes[1]
    assert run.engine == "torch"
    np.testing.assert_array_equal(run.params[:first], initial(plan)[:first])
    assert np.abs(run.params - initial(plan))[first:].max() > 1e-3


class SwitchWeightDecay(Callback):
    """Hand the optimiser something that only torch can do, for two epochs."""

    def on_epoch_begin(self, net, **kwargs):
        in_torch = len(net.history) in (3, 4)
        net.optimizer_.param_groups[0]["weight_decay"] = 1e-30 if in_torch else 0.0


def test_momentum_survives_a_change_of_engine():
    plan = make_plan(engine="auto", momentum=0.9, learning_rate=0.01)

    mixed = train_plan(plan, [SwitchWeightDecay()])

    np.testing.assert_allclose(mixed.params, train_plan(plan).params, atol=1e-10)


class LoadOptimizer(Callback):
    """Load a copy of the optimiser's state, as a resumed training does."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            saved = copy.deepcopy(net.optimizer_.state_dict())
            net.optimizer_.load_state_dict(saved)


def test_momentum_that_is_loaded_is_not_lost():
    plan = make_plan(engine="auto", momentum=0.9, learning_rate=0.01)

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


def test_training_does_not_mind_no_grad():
    plan = make_plan(engine="torch")
    with torch.no_grad():
        quiet = train_plan(plan)
    np.testing.assert_array_equal(quiet.params, train_plan(plan).params)


@pytest.mark.parametrize("output", ["multiclass", "regression"])
def test_target_score_ends_a_training(output):
    plan = make_plan((20,), output, learning_rate=0.02)
    data = make_data(plan)

    def score(params):
        if plan.is_classifier:
            right = np.argmax(data.logits(params, plan), axis=1) == data.y
            return np.average(right, weights=data.sample_weight)
        outputs = data.logits(params, plan)
        return r2_score(data.targets, outputs, sample_weight=data.sample_weight)

    target = 0.6
    run = train_plan(plan, n_epochs=500, target_score=target)
    earlier = train_plan(plan, n_epochs=len(run.history) - 1)

    assert 1 < len(run.history) < 500
    assert score(run.params) >= target > score(earlier.params)


@pytest.mark.parametrize(
    "remake", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_module_copies_keep_one_buffer(remake):
    module = remake(MLPModule((3, 4, 2), "relu"))

    module.flat.fill_(2.0)
    with torch.no_grad():
        module.intercepts[1][0] = 5.0

    assert all(torch.all(W == 2.0) for W in module.coefs)
    assert module.flat[-2] == 5.0
    assert module.double().flat.data_ptr() == module.coefs[0].data_ptr()


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if "blas" in str(pool)}


def threads_of_a_new_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.mark.parametrize("first_out", ["main", "other"])
def test_threads_are_limited_and_restored(first_out):
    before, before_blas = torch.get_num_threads(), blas_threads()
    entered, leave = threading.Event(), threading.Event()
    seen = []

    def other_fit():
        with one_thread_per_fit():
            entered.set()
            leave.wait(10)
        seen.append(torch.get_num_threads())

    torch.set_num_threads(2)
    try:
        thread = threading.Thread(target=other_fit)
        with one_thread_per_fit():
            thread.start()
            assert entered.wait(10)
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
            if first_out == "other":
                leave.set()
                thread.join()
                assert blas_threads() == {1}  # this fit is still running
                assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        if first_out == "main":
            assert blas_threads() == {1}  # the other fit is still running
            leave.set()
            thread.join()
        assert blas_threads() == before_blas
        assert seen == [2]
        assert threads_of_a_new_thread() == 2
    finally:
        torch.set_num_threads(before)


def test_a_thread_that_kept_the_limit_of_another_fit_restores_all_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    first_used, fits_are_over = threading.Event(), threading.Event()

    def fit_later():
        torch.get_num_threads()
        first_used.set()
        fits_are_over.wait()
        with one_thread_per_fit():
            pass

    thread = threading.Thread(target=fit_later)
    try:
        with one_thread_per_fit():
            thread.start()
            first_used.wait()
        fits_are_over.set()
        thread.join()
        assert threads_of_a_new_thread() == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_fit_within_a_fit_leaves_the_limits_of_the_outer_one():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread_per_fit():
            with one_thread_per_fit():
                pass
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "moment", ["torch.set_num_threads", "_let_any_thread_set_blas"]
)
def test_ctrl_c_while_threads_are_limited(monkeypatch, moment):
    before, before_blas = torch.get_num_threads(), blas_threads()
    owner, name = (torch, "set_num_threads") if "." in moment else (threads, moment)
    function, calls = getattr(owner, name), []

    def interrupt_once(*args):
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        function(*args)

    monkeypatch.setattr(owner, name, interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        with one_thread_per_fit():
            pass  # pragma: no cover

    assert blas_threads() == before_blas
    assert torch.get_num_threads() == before
    with one_thread_per_fit():
        assert blas_threads() == {1}
    assert blas_threads() == before_blas


@pytest.mark.parametrize(
    "moment", ["torch.set_num_threads", "_let_any_thread_set_blas"]
)
def test_after_ctrl_c_while_threads_are_restored_the_next_fit_does(monkeypatch, moment):
    before = torch.get_num_threads()
    owner, name = (torch, "set_num_threads") if "." in moment else (threads, moment)
    function, calls = getattr(owner, name), []

    def interrupt_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        function(*args)

    with threadpool_limits(2, user_api="blas"):
        torch.set_num_threads(2)
        monkeypatch.setattr(owner, name, interrupt_second)
        with pytest.raises(KeyboardInterrupt):
            with one_thread_per_fit():
                assert len(calls) == 1
        with one_thread_per_fit():
            assert blas_threads() == {1}
        assert blas_threads() == {2}
        assert torch.get_num_threads() == threads_of_a_new_thread() == 2
        torch.set_num_threads(before)


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_global_random_state_is_untouched(iris, random_state, solver):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()

    ChaosCausalPrunedMLP(
        (3,),
        solver=solver,
        max_iter=2,
        prune_criterion="random",
        validation_fraction=0.2,
        callbacks=[EpochScoring("accuracy"), ACCURACY],
        random_state=random_state,
    ).fit(*iris)

    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_ctrl_c_inside_numba_is_still_ctrl_c():
    def wrapped(kind):
        try:
            raise kind
        except kind as error:
            raise SystemError("a result with an exception set") from error

    with pytest.raises(KeyboardInterrupt):
        with unwrap_ctrl_c():
            wrapped(KeyboardInterrupt)
    with pytest.raises(SystemError):
        with unwrap_ctrl_c():
            wrapped(ValueError)


class PressCtrlC(Callback):
    """Send this process a real SIGINT in the given epoch of the given training."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def python_hears_ctrl_c():
    """Undo that shells let their background jobs ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_hears_ctrl_c")
@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize(
    "estimator", [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor]
)
def test_ctrl_c_leaves_fit_at_once(iris, estimator, engine):
    model = estimator(
        (3,), max_iter=5, prune_criterion="magnitude", callbacks=[PressCtrlC(2)]
    ).set_params(engine=engine, batch_size=50)

    with pytest.raises(KeyboardInterrupt):
        model.fit(*iris)

    assert [name for name in vars(model) if name.endswith("_")] == []
    with pytest.raises(KeyboardInterrupt):  # and not swallowed while users listen
        model.set_params(callbacks=[EarlyStopping("train_loss"), PressCtrlC(2)])
        model.fit(*iris)
