"""Fits on another device than the CPU: a GPU, where there is one, and software."""

import gc
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from unittest.mock import patch

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from skorch.callbacks import (
    Callback,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from torch.utils import backend_registration

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._fit import results
from skchaosprune._network import importance
from skchaosprune._training import net
from skchaosprune._training.gradients import gradient_effects
from skchaosprune.criteria import ChaosCausality
from tests import software_device
from tests.helpers import assert_same_fit, flat, small
from tests.networks import initial, make_data, make_plan, random_mask
from tests.software_device import NAME, SoftwareTensor

GPU = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        # which torch may say in the thread of a gradient, and then mends
        pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS"),
        pytest.mark.skipif(
            not torch.cuda.is_available(), reason="torch finds no GPU here"
        ),
    ],
)
CALLBACKS = [
    GradientNormClipping(1.0),
    EpochScoring("accuracy", name="accuracy", lower_is_better=False),
    LRScheduler("StepLR", step_size=1, gamma=0.5),
]
# One epoch of 60 rows in batches of 8 each.
SETTINGS = {
    "magnitude": {},
    "momentum": {"momentum": 0.9},
    "adam": {"solver": "adam"},
    "squared error": {"loss": "squared_error"},
    "no penalty": {"learning_rate": "constant", "alpha": 0.0},
    "snapshots": {"prune_criterion": "intervention"},
    "rounds": {"n_rounds": 2, "retrain": "finetune"},
    "descent": {"prune_ratio": 0.8},
    "callbacks": {"callbacks": CALLBACKS, "validation_fraction": 0.25},
}
RECORDING = {"window_size": 10, "max_lag": 1, "record_every": 1}
CHAOS = {
    "weights": ChaosCausality(**RECORDING),
    "twin": ChaosCausality(
        **RECORDING, trajectory="perturbation", perturbation_size=0.1
    ),
}


@pytest.fixture(scope="module")
def software_process():
    """A process for the device in software, as it changes torch there."""
    with ProcessPoolExecutor(
        1, get_context("spawn"), initializer=software_device.register
    ) as pool:
        yield pool


@pytest.fixture
def on_software(request):
    """Return a function that calls another with the device in software."""
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch cannot have a device in software")
    pool = request.getfixturevalue("software_process")
    return lambda function: pool.submit(function, NAME).result(timeout=300)


@pytest.fixture(params=[NAME, GPU])
def on_device(request):
    """Return a function that calls another with the device, in a place that has it."""
    if request.param == "cuda":
        return lambda function: function("cuda")
    return request.getfixturevalue("on_software")


def make_table(n_rows=60, n_classes=3):
    rng = np.random.default_rng(0)
    y = np.arange(n_rows) % n_classes
    return rng.normal(size=(n_rows, 4)) + np.eye(4)[y], y


def fit(device, X, y, kind=ChaosCausalPrunedMLP, **settings):
    """Fit for one epoch, in torch on the CPU, too."""
    engine = "torch" if device == "cpu" else "auto"
    options = {"engine": engine, "device": device, "batch_size": 8, "max_iter": 1}
    return small(kind, **options | settings).fit(X, y)


def assert_alike(there, here, X, name):
    """Compare all that was computed on the device, and what comes of it."""

    def assert_close(*parts):
        for part in parts:
            ours, theirs = flat(getattr(there, part)), flat(getattr(here, part))
            assert_allclose(ours, theirs, rtol=0, atol=1e-6, err_msg=name)

    assert_close("dense_coefs_", "dense_intercepts_", "dense_loss_curve_")
    if here.retrain_ == "descent":  # on the CPU, and rounding grows in it
        return
    assert_close("coefs_", "intercepts_", "loss_curve_", "feature_importances_")
    assert_array_equal(flat(there.masks_), flat(here.masks_), err_msg=name)
    assert_allclose(there.predict(X), here.predict(X), atol=1e-6, err_msg=name)


def check_epochs(device):
    X, y = make_table()
    tables = [(name, X, y, options) for name, options in SETTINGS.items()]
    tables.append(("sparse", csr_array(X), y, {}))
    tables.append(("regressor", X, X @ X[0], {"kind": ChaosCausalPrunedMLPRegressor}))
    for name, X, y, options in tables:
        here = fit("cpu", X, y, **options)
        with patch.object(results, "gradient_effects", wraps=gradient_effects) as spy:
            there = fit(device, X, y, **options)
        assert spy.call_count == 2  # of the dense network and the pruned one
        assert_alike(there, here, X, name)
        assert_same_fit(there, fit(device, X, y, **options))


def test_an_epoch_agrees_with_the_cpu(on_device):
    on_device(check_epochs)


def check_records(device):
    X, y = make_table(400)
    for name, criterion in CHAOS.items():
        options = {"prune_criterion": criterion}
        here, there = fit("cpu", X, y, **options), fit(device, X, y, **options)
        assert there.n_windows_ == here.n_windows_ == 5
        assert_allclose(there.target_series_, here.target_series_, atol=1e-6)
        ours, theirs = there.lyapunov_exponents_, here.lyapunov_exponents_
        assert_allclose(ours, theirs, atol=1e-4, err_msg=name)
        assert np.ptp(theirs) > 0.1


def test_a_recorded_epoch_agrees_with_the_cpu(on_device):
    on_device(check_records)


class IsOn(Callback):
    """See that a network is trained on a device."""

    def __init__(self, device):
        self.device = device

    def on_epoch_end(self, trained, **kwargs):
        assert trained.module_.coefs[0].device.type == self.device


def check_waits(device):
    X, y = make_table()
    for table in (X, csr_array(X)):
        for callbacks in (None, [IsOn(device)]):
            reads = []
            for batch_size in (4, 30):
                before = SoftwareTensor.n_reads
                fit(device, table, y, batch_size=batch_size, callbacks=callbacks)
                reads.append(SoftwareTensor.n_reads - before)
            assert reads[0] == reads[1]
    with patch.object(net, "Batches", wraps=net.Batches) as spy:
        fit(device, X, y, max_iter=3)
    assert spy.call_count == 2  # rows go there once per training


def test_no_step_waits_for_the_device(on_software):
    on_software(check_waits)


def count_bytes(device):
    """Count the bytes that tensors hold on the device."""
    if device == "cuda":
        gc.collect()
        return torch.cuda.memory_allocated()
    return software_device.count_bytes()


def check_leftovers(device):
    X, y = make_table(400)
    options = {"prune_criterion": CHAOS["twin"], "solver": "adam"}
    fit(device, X[:300], y[:300], hidden_layer_sizes=(2,), **options)
    before = count_bytes(device)  # a GPU keeps what its libraries need
    model = fit(device, X, y, **options)
    assert count_bytes(device) == before
    content = pickle.dumps(model)
    assert b"torch._utils" not in content and b"SoftwareTensor" not in content
    exported = model.to_skorch(device=device)
    assert count_bytes(device) > before
    assert_allclose(exported.predict_proba(X), model.predict_proba(X), atol=1e-12)
    exported.fit(X, y)
    assert exported.module_.layers[0].weight.device.type == device


def test_a_fitted_estimator_leaves_nothing_on_the_device(on_device):
    on_device(check_leftovers)


def check_gradients(device):
    for sizes, activation in [((3, 5, 4, 3), "tanh"), ((3, 6, 1), "logistic")]:
        plan = make_plan(layer_sizes=sizes, activation=activation)
        subject = importance.Explainable(
            network=plan,
            params=initial(plan),
            data=make_data(plan),
            masks=random_mask(plan),
            p_values=None,
            seed=0,
        )
        expected = importance.gradient_effects(subject)
        for mode in (torch.no_grad(), torch.inference_mode()):
            with mode:
                found = gradient_effects(subject, device)
            for ours, theirs in zip(found, expected, strict=True):
                assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_gradients_are_those_of_numpy(on_device):
    on_device(check_gradients)


def mix(device):
    there, here = torch.ones(2, device=device), torch.ones(2)
    mixed = [lambda: there + here, lambda: here.sum().add_(there.sum())]
    for what in (*mixed, lambda: here[there.long()], there.numpy):
        with pytest.raises((RuntimeError, TypeError)):
            what()
    assert (there + torch.tensor(1.0)).cpu().tolist() == [2.0, 2.0]


def test_the_device_is_not_the_cpu(on_device):
    on_device(mix)


def add_up(device):
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 50)))
    here, there = X @ X, (X.to(device) @ X.to(device)).cpu()
    assert_allclose(there, here, rtol=1e-14)
    assert 0.1 < (there != here).double().mean() < 0.9


def test_the_device_in_software_rounds_otherwise(on_software):
    on_software(add_up)
