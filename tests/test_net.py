"""One training: when it ends, one flat buffer, global state, Ctrl-C."""

import copy
import inspect
import os
import pickle
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from skorch.callbacks import Callback, EarlyStopping, EpochScoring

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._training.module import MLPModule, make_optimizer
from tests.helpers import small
from tests.networks import make_data, make_plan, train_plan


def test_training_does_not_mind_no_grad():
    plan = make_plan(engine="torch")
    with torch.no_grad():
        quiet = train_plan(plan)
    np.testing.assert_array_equal(quiet.params, train_plan(plan).params)


class Epochs:
    """Note what is reported; end the training after the third epoch."""

    def __init__(self):
        self.begun, self.ended = 0, []

    def begin(self):
        self.begun += 1

    def end(self, number, loss, params):
        self.ended.append((number, loss, params().copy()))
        return number == 3


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_epochs_are_reported_and_may_end_a_training(engine):
    plan, epochs = make_plan(engine=engine), Epochs()

    run = train_plan(plan, epochs=epochs)

    assert epochs.begun == len(epochs.ended) == 3
    for number, (told, loss, params) in enumerate(epochs.ended, start=1):
        plain = train_plan(plan, n_epochs=number)
        assert (told, loss) == (number, plain.history[-1]["train_loss"])
        np.testing.assert_array_equal(params, plain.params)
    np.testing.assert_array_equal(run.params, epochs.ended[-1][2])


def test_a_fit_does_not_import_the_compiler_of_torch():
    """It takes longer than the fit."""
    code = """
import sys
from sklearn.datasets import load_iris
from skchaosprune import ChaosCausalPrunedMLP
ChaosCausalPrunedMLP(random_state=0).fit(*load_iris(return_X_y=True))
assert "torch" in sys.modules
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_optimizers_are_those_of_torch(monkeypatch):
    """Also where torch has nothing around ``add_param_group`` any more."""
    plain = inspect.unwrap(torch.optim.SGD.add_param_group)
    for method in (torch.optim.SGD.add_param_group, plain):
        monkeypatch.setattr(torch.optim.SGD, "add_param_group", method)
        made, expected = (
            make(list(MLPModule((3, 2), "relu").parameters()), lr=0.1, momentum=0.5)
            for make in (partial(make_optimizer, torch.optim.SGD), torch.optim.SGD)
        )
        assert type(made) is torch.optim.SGD
        assert vars(made).keys() == vars(expected).keys()
        assert made.state_dict() == expected.state_dict()
        assert pickle.loads(pickle.dumps(made)).state_dict() == made.state_dict()
        made.add_param_group({"params": [torch.zeros(2, requires_grad=True)]})
        assert len(made.param_groups) == 2
    with pytest.raises(ValueError, match="Invalid learning rate"):
        make_optimizer(torch.optim.SGD, [torch.zeros(2)], lr=-1.0)


@pytest.mark.parametrize("output", ["multiclass", "regression"])
def test_target_score_ends_a_training(output):
    plan = make_plan((20,), output, learning_rate_init=0.02)
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


@pytest.mark.parametrize("solver, random_state", [("sgd", None), ("adam", 0)])
def test_global_random_state_is_untouched(iris, solver, random_state):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()

    small(
        solver=solver,
        max_iter=2,
        prune_criterion="random",
        validation_fraction=0.2,
        callbacks=[EpochScoring("accuracy", on_train=on) for on in (False, True)],
        random_state=random_state,
    ).fit(*iris)

    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


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
@pytest.mark.parametrize(
    "kind, engine",
    [(ChaosCausalPrunedMLP, "numba"), (ChaosCausalPrunedMLPRegressor, "torch")],
)
def test_ctrl_c_leaves_fit_at_once(iris, kind, engine):
    model = small(kind, callbacks=[PressCtrlC(2)], engine=engine, batch_size=50)

    with pytest.raises(KeyboardInterrupt):
        model.fit(*iris)

    assert [name for name in vars(model) if name.endswith("_")] == []
    with pytest.raises(KeyboardInterrupt):  # and not swallowed while users listen
        model.set_params(callbacks=[EarlyStopping("train_loss"), PressCtrlC(2)])
        model.fit(*iris)
