"""Rounds of training, scoring and pruning."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from skchaosprune._fit.counts import count_kept
from skchaosprune._network.masks import keep_best, rank_weights
from skchaosprune._network.mlp import split_layers
from skchaosprune.criteria import FixedMasks, Magnitude, WeightScores
from tests.helpers import flat, small

SIZES = (4, 6, 3)


def sparse(**changes):
    """Keep a fifth of 42 weights, by their magnitudes."""
    options = {"hidden_layer_sizes": (6,), "prune_ratio": 0.8, "retrain": "rewind"}
    return small(**options | changes)


class Spy(Magnitude):
    """Magnitude that remembers its records."""

    def __init__(self, records=None):
        self.records = records

    def score(self, record):
        self.records.append(record)
        return super().score(record)


def test_number_of_rounds(iris):
    for n_rounds, prune_ratio, expected in (
        ("auto", 0.7, 1),
        ("auto", 0.71, 5),
        ("auto", 0.0, 1),
        (1, 0.9, 1),
        (3, 0.5, 3),
    ):
        model = sparse(n_rounds=n_rounds, prune_ratio=prune_ratio).fit(*iris)

        assert model.n_rounds_ == expected
        assert model.pruned_in_round_.max() == (expected if prune_ratio else 0)
        assert model.sparsity_ == round(prune_ratio * 42) / 42


@pytest.mark.parametrize("keep_connected", [True, False])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_rounds_prune_what_is_left(iris, scope, keep_connected):
    records = []
    options = {"prune_scope": scope, "keep_connected": keep_connected}
    model = sparse(n_rounds=4, prune_criterion=Spy(records), **options).fit(*iris)

    assert len(records) == 4
    n_alive = [42, *(counts.sum() for counts in count_kept(SIZES, 0.8, scope, 4))]
    in_round = model.pruned_in_round_
    np.testing.assert_array_equal(in_round == 0, flat(model.masks_))
    for number, record in enumerate(records, start=1):
        assert record.alive.sum() == n_alive[number - 1]
        assert np.all(record.weights[~record.alive] == 0.0)
        np.testing.assert_array_equal(
            record.initial_weights, flat(model.initial_coefs_)
        )
        # the score of the last round in which a weight lived
        last = record.alive & ((in_round == number) | ((in_round == 0) & (number == 4)))
        scores = np.abs(record.weights)
        np.testing.assert_array_equal(model.weight_scores_[last], scores[last])
    assert model.flops_ == n_alive[4]
    np.testing.assert_array_equal(records[0].weights, flat(model.dense_coefs_))
    if not keep_connected:
        # nothing comes back
        for number, record in enumerate(records[1:], start=2):
            alive = (in_round == 0) | (in_round >= number)
            np.testing.assert_array_equal(record.alive, alive)


def test_two_rounds_by_hand(iris):
    model = sparse(n_rounds=2, keep_connected=False).fit(*iris)

    half, whole = count_kept(SIZES, 0.8, "global", 2)
    ratio = 1 - half[0] / 42
    first = sparse(n_rounds=1, prune_ratio=ratio, keep_connected=False).fit(*iris)
    magnitudes = np.abs(flat(first.coefs_))  # trained from the initial weights, masked
    order = rank_weights(magnitudes, magnitudes)
    mask = keep_best(order, whole, SIZES, keep_connected=False)
    np.testing.assert_array_equal(flat(model.masks_), mask)
    masks = split_layers(mask, SIZES)
    last = sparse(prune_criterion=FixedMasks(masks)).fit(*iris)
    np.testing.assert_array_equal(flat(model.coefs_), flat(last.coefs_))


def test_without_rewinding_each_round_goes_on(iris):
    records = []
    sparse(n_rounds=3, prune_criterion=Spy(records), retrain="finetune").fit(*iris)

    for before, after in zip(records[:-1], records[1:], strict=True):
        np.testing.assert_array_equal(after.initial_params, before.params)


def test_scores_of_pruned_weights_do_not_count(iris):
    class Contrary(Magnitude):
        """The dead come first."""

        def score(self, record):
            return WeightScores(np.where(record.alive, np.abs(record.weights), 1e9))

    contrary = sparse(prune_criterion=Contrary(), keep_connected=False).fit(*iris)
    plain = sparse(keep_connected=False).fit(*iris)

    np.testing.assert_array_equal(flat(contrary.masks_), flat(plain.masks_))
    np.testing.assert_array_equal(contrary.weight_scores_, plain.weight_scores_)


def test_rounds_are_reported(iris, capsys):
    sparse(n_rounds=2, verbose=1).fit(*iris)

    printed = capsys.readouterr().out
    assert "dense training: epoch 12/12" in printed
    assert "round 2: training: epoch 12/12" in printed
    assert "round 2: scoring: weight 42/42" in printed


def test_one_warning_names_the_rounds_that_cannot_test(iris):
    class Fails(Magnitude):
        """Test nothing in the second round and the third."""

        def score(self, record):
            share = record.alive.mean()
            problem = f"tired at {share:.2f}" if 0.4 < share < 0.8 else None
            return WeightScores(np.abs(record.weights), problem=problem)

    model = sparse(prune_criterion=Fails())

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*iris)

    assert [str(warning.message) for warning in caught] == [
        "The weights are ranked by magnitude instead in round 2 of 5: tired at 0.71 "
        "(Also in round 3.)"
    ]
    assert caught[0].filename == __file__

    # in a worker of joblib's, all that is outside is the standard library
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        pool.submit(model.fit, *iris).result()

    assert Path(caught[0].filename).name == "_base.py"


@pytest.mark.slow
def test_evidence_is_that_of_the_first_round(iris):
    options = {"prune_criterion": "chaos_causality", "max_iter": 20}
    one = sparse(n_rounds=1, **options).fit(*iris)
    three = sparse(n_rounds=3, **options).fit(*iris)

    for name in ("p_values_", "lyapunov_exponents_", "target_series_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    np.testing.assert_array_equal(flat(one.dense_coefs_), flat(three.dense_coefs_))
    assert np.any(one.weight_scores_ != three.weight_scores_)
