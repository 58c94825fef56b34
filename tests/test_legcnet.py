"""The paper's settings are valid, complete and new in every call."""

from itertools import product
from math import ceil

import numpy as np
import pytest

from skchaosprune import ChaosCausalPrunedMLP, legcnet_params
from skchaosprune._legcnet import DATASETS, VARIANTS
from skchaosprune._training import net
from skchaosprune._training.recording import resolve_record_every

# Training rows, features and classes of the paper's tables.
SHAPES = {
    "cancer": (546, 9, 2),
    "titanic": (891, 6, 2),
    "banknote": (1097, 4, 2),
    "iris": (120, 4, 3),
    "iris3f": (120, 3, 3),
    "vowel": (741, 3, 6),
    "mnist": (29_400, 784, 10),
}
EVERY = list(product(DATASETS, VARIANTS))


def test_the_dict_is_new_in_every_call():
    for dataset, variant in EVERY:
        first, second = (legcnet_params(dataset, variant) for _ in range(2))
        assert first is not second
        assert first["prune_criterion"] is not second["prune_criterion"]
        first["max_iter"] = 1
        first["prune_criterion"].max_lag = 1
        again = legcnet_params(dataset, variant)
        assert again["max_iter"] == second["max_iter"] > 1
        assert repr(again["prune_criterion"]) == repr(second["prune_criterion"])


class Begun(Exception):
    """The first epoch would begin now."""


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_record_is_long_enough_for_the_test(dataset, monkeypatch):
    """The check before the first epoch passes for a table of the paper's size."""

    def begin(*args, **kwargs):
        raise Begun

    monkeypatch.setattr(net, "train", begin)
    n_rows, n_features, n_classes = SHAPES[dataset]
    X, y = np.zeros((n_rows, n_features)), np.arange(n_rows) % n_classes
    for variant in VARIANTS:
        params = legcnet_params(dataset, variant)
        with pytest.raises(Begun):
            ChaosCausalPrunedMLP(**params).fit(X, y)


def test_long_trainings_are_thinned():
    for dataset, variant in EVERY:
        params = legcnet_params(dataset, variant)
        n_epochs = round(params["dense_fraction"] * params["max_iter"])
        n_steps = n_epochs * ceil(SHAPES[dataset][0] / params["batch_size"])
        criterion = params["prune_criterion"]
        windows = criterion.window_size, criterion.window_overlap

        every = resolve_record_every(criterion.record_every, n_steps, *windows)

        thinned = {("banknote", "ft"): 3, ("banknote", "pt"): 2}
        assert every == thinned.get((dataset, variant), 1)


def test_settings_are_those_of_the_paper():
    params = legcnet_params("banknote", "ft")
    assert params["hidden_layer_sizes"] == (8,)
    assert params["learning_rate_init"] == 0.5
    assert (params["learning_rate"], params["alpha"]) == ("constant", 0.0)
    assert params["max_iter"] == 100
    assert params["target_score"] == 0.91
    assert params["batch_size"] == 1
    assert not params["shuffle"]
    assert params["weight_init"] == "normal"
    criterion = params["prune_criterion"]
    assert (criterion.window_size, criterion.window_overlap) == (250, 0.1)
    assert (criterion.max_lag, criterion.lag_rule) == (14, "min")
    assert criterion.test == "ssr_chi2test"
    assert criterion.target_rows is None
    assert params["prune_ratio"] is None
    assert not params["keep_connected"]
    assert params["dense_fraction"] == 1.0
    mnist = legcnet_params("mnist", "pt")
    assert mnist["hidden_layer_sizes"] == (50, 30)
    assert mnist["batch_size"] == 128
    assert mnist["dense_fraction"] == 0.1


def test_ft_and_pt_differ_in_what_they_record():
    full, part = (legcnet_params("iris", variant) for variant in VARIANTS)
    different = {name for name in full if str(full[name]) != str(part[name])}
    assert different == {"prune_criterion", "dense_fraction"}


def test_errors():
    for arguments, kind, text in (
        (("wine", "ft"), ValueError, "dataset='wine' is not known; use .*'mnist'"),
        ((None, "ft"), TypeError, "dataset=None is not known"),
        (("iris", "FT"), ValueError, "variant='FT' is not known; use .*'ft', 'pt'"),
        (("iris", 1), TypeError, "variant=1 is not known"),
    ):
        with pytest.raises(kind, match=text):
            legcnet_params(*arguments)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_quick_fit(iris, variant):
    params = legcnet_params("iris", variant) | {"random_state": 0, "prune_ratio": 0.2}
    params["max_iter"] = 10 if variant == "ft" else 100
    params["prune_criterion"].set_params(window_size=25, max_lag=5)
    model = ChaosCausalPrunedMLP(**params).fit(*iris)
    assert model.sparsity_ == pytest.approx(0.2, abs=0.02)
    assert model.n_iter_dense_ == 10
    assert model.p_values_ is not None
