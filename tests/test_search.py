"""The mask search: an oracle for its steps, and what it does in a fit."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from skorch.callbacks import LRScheduler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    pruning_path,
)
from skchaosprune._fit.search import search_masks
from skchaosprune._kernels import sparse
from skchaosprune._network.masks import effective_masks, keep_best
from skchaosprune._network.mlp import TrainingData, initial_parameters, split_layers
from skchaosprune._training import net
from skchaosprune._training.plan import Divergence, TrainingPlan
from skchaosprune.criteria import FixedMasks
from tests import naive
from tests.helpers import PLAIN, assert_same_fit, count_trainings, flat, small

SIZES = (4, 5, 3)
N_WEIGHTS = 35


def searching(kind=ChaosCausalPrunedMLP, **changes):
    """Search six swaps among 42 weights, of which a fifth stays."""
    options = {"hidden_layer_sizes": (6,), "max_iter": 10, "prune_ratio": 0.8}
    return small(kind, **options | {"n_search": 6, "retrain": "rewind"} | changes)


def as_many(n_kept, keep_connected=True):
    def choose(order):
        counts = np.array([n_kept])
        return keep_best(order, counts, SIZES, keep_connected=keep_connected)

    return choose


class Toy:
    """A training without a network: what it learns depends on the mask alone."""

    def __init__(self, seed, diverges=lambda mask: False):
        rng = np.random.RandomState(seed)
        self.worth = rng.standard_normal((N_WEIGHTS, N_WEIGHTS))
        self.diverges, self.masks = diverges, []

    def train(self, mask):
        self.masks.append(mask.copy())
        if self.diverges(mask):
            return None
        return np.append(self.worth @ mask * mask, mask.sum())

    def judge(self, params):
        return float(-params[:N_WEIGHTS].sum())

    def gradient(self, params):
        return self.worth.T @ params[:N_WEIGHTS]


def search(toy, mask, function=search_masks, n_search=12, **changes):
    told = []
    options = {
        "n_search": n_search,
        "train": toy.train,
        "judge": toy.judge,
        "gradient": toy.gradient,
        "choose": as_many(mask.sum()),
        "rng": np.random.RandomState(7),
        "on_swap": lambda *found: told.append(found),
    }
    found, losses = function(mask, SIZES, **options | changes)
    return found, losses, told


def first_mask(seed, n_kept=9):
    return as_many(n_kept)(np.random.RandomState(seed).permutation(N_WEIGHTS))


@pytest.mark.parametrize("n_search, n_kept", [(12, 9), (12, 30), (1, 9), (2, 9)])
def test_search_takes_the_steps_of_the_oracle(n_search, n_kept):
    for seed in range(10):
        mask = first_mask(seed, n_kept)
        fast, slow = Toy(seed), Toy(seed)

        found, losses, told = search(fast, mask, n_search=n_search)
        expected, expected_losses, _ = search(slow, mask, naive.search_masks, n_search)

        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(losses, expected_losses)
        np.testing.assert_array_equal(fast.masks, slow.masks)
        assert told == list(enumerate(losses[1:], start=1))
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] == fast.judge(fast.train(found))
        assert len(fast.masks) <= 1 + 2 * n_search + 1


def test_no_mask_is_tried_twice():
    toy = Toy(0)
    mask = first_mask(0)
    search(toy, mask, n_search=60)

    tried = [tuple(tried) for tried in toy.masks if tried.sum() == mask.sum()]
    assert len(tried) == len(set(tried)) < 61


def test_grown_networks_shrink_from_swap_to_swap():
    toy, mask = Toy(1), first_mask(1, n_kept=10)
    search(toy, mask, n_search=200)

    grown = np.array([tried.sum() for tried in toy.masks if tried.sum() > 10]) - 10
    assert len(grown) == 200
    assert grown.min() == 1
    assert 8 <= grown[:50].max() <= 10
    assert grown[-20:].max() <= 3


class Stuck(Toy):
    """Only the first mask can be trained; slopes are given."""

    def __init__(self, slopes):
        super().__init__(0, diverges=lambda mask: len(self.masks) > 1)
        self.slopes = slopes

    def gradient(self, params):
        return self.slopes


# one hidden unit is alive, with one input and one output
PATH = [np.zeros((4, 5), bool), np.zeros((5, 3), bool)]
PATH[0][0, 0] = PATH[1][0, 0] = True


def test_additions_follow_the_gradient():
    slopes = np.ones(N_WEIGHTS)
    slopes[[5, 10, 22]] = 8.0, 0.0, -2.0  # two more inputs of the unit, an output
    toy, mask = Stuck(slopes), flat(PATH)
    search(toy, mask, n_search=4000)

    added = np.array([grown & ~mask for grown in toy.masks[1:]])
    one = added[added.sum(axis=1) == 1]
    # one of five weights, of which the slopes sum to 12
    assert len(one) > 2000
    shares = one.mean(axis=0)
    assert shares[10] == 0
    np.testing.assert_allclose(shares[[5, 22, 21]], np.array([8, 2, 1]) / 12, atol=0.03)


def test_living_units_come_first():
    toy, mask = Stuck(np.linspace(1.0, 1e6, N_WEIGHTS)), flat(PATH)
    search(toy, mask, n_search=50)

    alive = [1, 0, 0, 0, 0]
    living = flat([np.outer([1] * 4, alive), np.outer(alive, [1] * 3)])
    assert all(not (grown & (living == 0)).any() for grown in toy.masks)
    assert {grown.sum() for grown in toy.masks[1:]} == {3, 4}


def test_trainings_that_diverge_are_no_candidates():
    mask = first_mask(2)
    start = mask.copy()
    toy = Toy(2, diverges=lambda tried: tried.sum() == 9 and (tried != start).any())
    found, losses, _ = search(toy, mask)
    np.testing.assert_array_equal(found, mask)
    assert losses == losses[:1] * 13

    toy = Toy(2, diverges=lambda tried: tried.sum() > 9)
    found, losses, told = search(toy, mask)
    assert len(toy.masks) == 13
    assert losses == losses[:1] * 13
    assert len(told) == 12


def test_nothing_to_swap():
    toy = Toy(0, diverges=lambda mask: True)
    for mask in (np.ones(N_WEIGHTS, bool), first_mask(0)):
        found, losses, told = search(toy, mask)
        np.testing.assert_array_equal(found, mask)
        assert losses == told == []
    assert len(toy.masks) == 1


# In a fit.


WAYS = {
    "kernel": {},
    "momentum and penalty": {"momentum": 0.5, "alpha": 0.01},
    "validation": {"validation_fraction": 0.25},
    "layers": {"prune_scope": "layer"},
    "disconnected": {"keep_connected": False},
    "fine-tuned": {"retrain": "finetune"},
    "deep": {"hidden_layer_sizes": (6, 5)},
    "batches": {"batch_size": 40, "learning_rate_init": 0.1},
    "adam": {"solver": "adam", "batch_size": 40, "n_search": 2},
    "torch": {"engine": "torch", "max_iter": 2, "n_search": 2, "prune_ratio": 0.5},
    "callbacks": {"callbacks": [LRScheduler("StepLR", step_size=3)]},
    "target score": {"target_score": 0.9},
    "intervention": {"prune_criterion": "intervention", "prune_ratio": 0.7},
}


def final_loss(model, X, y):
    """The loss that decides: of the rows held out, or else of the training rows."""
    if model.validation_fraction is not None:
        return model.history_[-1]["valid_loss"]
    return log_loss(y, model.predict_proba(X))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_network_is_the_best_one_found(iris, way):
    model = searching(**WAYS[way]).fit(*iris)
    plain = clone(model).set_params(n_search=0).fit(*iris)

    losses = model.search_loss_curve_
    assert len(losses) == 1 + model.n_search
    assert final_loss(plain, *iris) == pytest.approx(losses[0], rel=1e-9)
    assert final_loss(model, *iris) == pytest.approx(losses[-1], rel=1e-9)
    assert losses == sorted(losses, reverse=True)
    assert plain.search_loss_curve_ is None

    assert model.sparsity_ == plain.sparsity_
    if model.prune_scope == "layer":
        np.testing.assert_array_equal(model.layer_sparsity_, plain.layer_sparsity_)
    if model.keep_connected:
        assert model.effective_sparsity_ == model.sparsity_
    assert_same_evidence(model, plain)


def assert_same_evidence(model, plain):
    """The search changes masks, and says so in ``pruned_in_round_``."""
    kept, before = flat(model.masks_), flat(plain.masks_)
    in_round = plain.pruned_in_round_.copy()
    in_round[before & ~kept] = plain.n_rounds_ + 1
    in_round[kept] = 0
    np.testing.assert_array_equal(model.pruned_in_round_, in_round)
    np.testing.assert_array_equal(model.weight_scores_, plain.weight_scores_)
    assert model.n_rounds_ == plain.n_rounds_
    assert model.dense_history_ == plain.dense_history_


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor])
def test_a_search_finds_better_masks(kind, iris, diabetes):
    rows = iris if kind is ChaosCausalPrunedMLP else diabetes
    options = {"n_search": 20, "hidden_layer_sizes": (12,), "max_iter": 30}
    model = searching(kind, **options).fit(*rows)

    losses = model.search_loss_curve_
    assert losses[-1] < 0.98 * losses[0]
    assert (model.pruned_in_round_ == model.n_rounds_ + 1).any()
    assert_same_fit(model, clone(model).fit(*rows))
    other = clone(model).set_params(random_state=1).fit(*rows)
    assert losses != other.search_loss_curve_


def test_masks_found_lead_to_the_same_network_again(iris):
    model = searching().fit(*iris)
    again = searching(prune_criterion=FixedMasks(model.masks_), n_search=0).fit(*iris)

    np.testing.assert_array_equal(flat(again.coefs_), flat(model.coefs_))


def make_rows(**changes):
    """Plan a training of three classes, and draw its rows and parameters."""
    plan = TrainingPlan(
        layer_sizes=SIZES,
        out_activation="softmax",
        loss="log_loss",
        is_classifier=True,
        solver="sgd",
        momentum=0.0,
        alpha=0.0,
        batch_size=1,
        n_passes=1,
        shuffle=True,
        engine="numba",
        device="cpu",
        learning_rate="constant",
        **{"activation": "relu", "learning_rate_init": 0.01} | changes,
    )
    rng = np.random.RandomState(0)
    codes = np.arange(60) % 3
    data = TrainingData(
        rng.normal(size=(60, 4)), codes, np.eye(3)[codes], np.ones(60), 60.0
    )
    params = initial_parameters(SIZES, "glorot_uniform", plan.activation, rng)
    return plan, data, params


def test_sparse_kernel_in_short_calls(monkeypatch):
    rows = make_rows()
    mask = np.random.RandomState(1).uniform(size=N_WEIGHTS) < 0.4
    options = {"n_epochs": 3, "seed": 3, "largest": 1e15}
    whole = sparse.train_kept(*rows, mask, **options)
    monkeypatch.setattr(sparse, "_KERNEL_CALL_SIZE", 1)
    pieces = sparse.train_kept(*rows, mask, **options)

    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("n_kept", [0, 5])
def test_sparse_kernel_sees_divergence(n_kept):
    rows = make_rows(learning_rate_init=1e200, activation="identity")
    mask = np.arange(N_WEIGHTS) < n_kept
    options = {"n_epochs": 4, "seed": 3}

    assert sparse.train_kept(*rows, mask, **options, largest=1e15) is None
    with pytest.raises(Divergence):
        net.train(*rows, mask=mask, **options)


@pytest.mark.parametrize("call", [2, 3])
def test_divergence_in_a_search(iris, monkeypatch, call):
    options = {"batch_size": 50, "n_rounds": 1}
    plain = searching(n_search=0, **options).fit(*iris)
    masks = count_trainings(monkeypatch)
    counted = net.train

    def diverge(*args, **kwargs):
        # after the dense training come the first mask, a grown one, a swapped one
        if len(masks) == call - 1:
            masks.append(kwargs["mask"])
            raise Divergence("It diverges.", "Try less.")
        return counted(*args, **kwargs)

    monkeypatch.setattr(net, "train", diverge)
    model = searching(n_search=6, **options).fit(*iris)

    if call == 2:  # not even the first mask can be trained
        assert len(masks) == 3
        assert model.search_loss_curve_ == []
        np.testing.assert_array_equal(flat(model.masks_), flat(plain.masks_))
    else:
        assert 3 + 6 <= len(masks) <= 3 + 2 * 6
        assert len(model.search_loss_curve_) == 7
        assert model.search_loss_curve_[0] == model.search_loss_curve_[1]


GONE = FixedMasks([np.zeros((4, 6), bool), np.ones((6, 3), bool)])


@pytest.mark.parametrize(
    "changes",
    [{"prune_ratio": 0.0}, {"prune_criterion": GONE, "prune_scope": "layer"}],
    ids=["nothing is pruned", "a layer is gone"],
)
@pytest.mark.filterwarnings("ignore:The outputs of the pruned network do not")
def test_fits_without_anything_to_swap(iris, changes):
    model = searching(**changes).fit(*iris)
    plain = clone(model).set_params(n_search=0).fit(*iris)

    assert model.search_loss_curve_ == []
    assert_same_fit(model, plain)


def test_a_search_brings_a_layer_back(iris):
    model = searching(prune_criterion=GONE).fit(*iris)

    assert model.masks_[0].any()
    assert model.flops_ == 18
    assert model.search_loss_curve_[-1] < 0.5 < model.search_loss_curve_[0]


@pytest.mark.slow
def test_search_from_fixed_and_from_significant_masks(iris):
    masks = searching(n_search=0, random_state=5, **PLAIN).fit(*iris).masks_
    for changes in (
        {"prune_criterion": FixedMasks(masks)},
        {"prune_criterion": "intervention", "prune_ratio": None},
    ):
        model = searching(**PLAIN, **changes).fit(*iris)
        plain = clone(model).set_params(n_search=0).fit(*iris)
        assert model.flops_ == plain.flops_ < model.n_weights_
        assert len(model.search_loss_curve_) == 7


@pytest.mark.slow
def test_deep_masks_stay_connected(iris):
    model = searching(hidden_layer_sizes=(8, 7), prune_ratio=0.9, n_search=10).fit(
        *iris
    )

    sizes = (4, 8, 7, 3)
    effective = effective_masks(split_layers(flat(model.masks_), sizes))
    np.testing.assert_array_equal(flat(effective), flat(model.masks_))


@pytest.mark.slow
def test_progress_of_a_search(iris, capsys):
    model = searching(verbose=1, n_search=20).fit(*iris)

    lines = capsys.readouterr().out.splitlines()
    lines = [line for line in lines if "mask search" in line]
    assert len(lines) == 11
    loss = model.search_loss_curve_[-1]
    assert lines[-1].endswith(f"mask search: swap 20/20, loss {loss:.4f}")


@pytest.mark.slow
def test_a_path_searches_at_every_ratio(iris):
    path = pruning_path(searching(), *iris, [0.7, 0.85], cv=2)
    plain = pruning_path(searching(n_search=0), *iris, [0.7, 0.85], cv=2)

    assert path.scores.shape == plain.scores.shape
    assert (path.scores != plain.scores).any()
