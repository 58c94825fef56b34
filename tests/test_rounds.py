"""Rounds of training, scoring and pruning."""

import warnings

import numpy as np
import pytest

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._network.masks import choose_masks, count_pruned
from skchaosprune.criteria import FixedMasks, Magnitude, WeightScores


def small(**changes):
    options = {
        "hidden_layer_sizes": (6,),
        "max_iter": 12,
        "prune_criterion": "magnitude",
        "prune_ratio": 0.8,
        "random_state": 0,
    }
    return ChaosCausalPrunedMLP(**options | changes)


def flat(parts):
    return np.concatenate([np.ravel(part) for part in parts])


class Spy(Magnitude):
    """Magnitude that remembers its records."""

    def __init__(self, records=None):
        self.records = records

    def score(self, record):
        self.records.append(record)
        return super().score(record)


@pytest.mark.parametrize(
    "n_rounds, prune_ratio, expected",
    [("auto", 0.7, 1), ("auto", 0.71, 5), ("auto", 0.0, 1), (1, 0.9, 1), (3, 0.5, 3)],
)
def test_number_of_rounds(iris, n_rounds, prune_ratio, expected):
    model = small(n_rounds=n_rounds, prune_ratio=prune_ratio).fit(*iris)

    assert model.n_rounds_ == expected
    assert model.pruned_in_round_.max() == (expected if prune_ratio else 0)
    assert model.sparsity_ == round(prune_ratio * 42) / 42


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("prune_ratio", [0.3, 0.75, 0.9])
def test_each_round_keeps_the_same_share(scope, prune_ratio):
    sizes = (10, 20, 7)
    counts = np.array([340] if scope == "global" else [200, 140])

    for done in (0.2, 0.4, 1.0):
        n_kept = counts - count_pruned(sizes, prune_ratio, scope, done)
        in_the_end = counts - [round(prune_ratio * int(n)) for n in counts]
        expected = [
            round(n * (kept / n) ** done)
            for n, kept in zip(counts, in_the_end, strict=True)
        ]
        np.testing.assert_array_equal(n_kept, expected)


@pytest.mark.parametrize("keep_connected", [True, False])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_rounds_prune_what_is_left(iris, scope, keep_connected):
    records = []
    model = small(
        n_rounds=4,
        prune_criterion=Spy(records),
        prune_scope=scope,
        keep_connected=keep_connected,
    ).fit(*iris)

    assert len(records) == 4
    in_round = model.pruned_in_round_
    np.testing.assert_array_equal(in_round == 0, flat(model.masks_))
    for number, record in enumerate(records, start=1):
        before = (number - 1) / 4
        n_gone = 0 if number == 1 else count_pruned((4, 6, 3), 0.8, scope, before).sum()
        assert np.sum(~record.alive) == n_gone
        assert np.all(record.weights[~record.alive] == 0.0)
        np.testing.assert_array_equal(
            record.initial_weights, flat(model.initial_coefs_)
        )
        # the score of the last round in which a weight lived
        last = record.alive & ((in_round == number) | ((in_round == 0) & (number == 4)))
        scores = np.abs(record.weights)
        np.testing.assert_array_equal(model.weight_scores_[last], scores[last])
    np.testing.assert_array_equal(records[0].weights, flat(model.dense_coefs_))
    if not keep_connected:
        # nothing comes back
        for number, record in enumerate(records[1:], start=2):
            alive = (in_round == 0) | (in_round >= number)
            np.testing.assert_array_equal(record.alive, alive)


def test_two_rounds_by_hand(iris):
    model = small(n_rounds=2, keep_connected=False).fit(*iris)

    first_ratio = count_pruned((4, 6, 3), 0.8, "global", 0.5)[0] / 42
    first = small(n_rounds=1, prune_ratio=first_ratio, keep_connected=False).fit(*iris)
    magnitudes = np.abs(flat(first.coefs_))  # trained from the initial weights, masked
    masks = choose_masks(
        magnitudes, magnitudes, (4, 6, 3), prune_ratio=0.8, keep_connected=False
    )
    np.testing.assert_array_equal(flat(model.masks_), flat(masks))
    last = small(prune_criterion=FixedMasks(masks)).fit(*iris)
    np.testing.assert_array_equal(flat(model.coefs_), flat(last.coefs_))


def test_without_rewinding_each_round_goes_on(iris):
    records = []
    small(n_rounds=3, prune_criterion=Spy(records), rewind=False).fit(*iris)

    for before, after in zip(records[:-1], records[1:], strict=True):
        np.testing.assert_array_equal(after.initial_params, before.params)


def test_the_living_rank_first_then_those_that_lived_longest():
    scores = np.array([1.0, 2.0, 3.0, 9.0])
    masks = choose_masks(
        scores,
        np.zeros(4),
        (2, 2),
        prune_ratio=0.25,
        keep_connected=False,
        gone_in=np.array([0, 2, 2, 1]),
    )

    np.testing.assert_array_equal(flat(masks), [True, True, True, False])


def test_scores_of_pruned_weights_do_not_count(iris):
    class Contrary(Magnitude):
        """The dead come first."""

        def score(self, record):
            return WeightScores(np.where(record.alive, np.abs(record.weights), 1e9))

    contrary = small(prune_criterion=Contrary(), keep_connected=False).fit(*iris)
    plain = small(keep_connected=False).fit(*iris)

    np.testing.assert_array_equal(flat(contrary.masks_), flat(plain.masks_))
    np.testing.assert_array_equal(contrary.weight_scores_, plain.weight_scores_)


def test_rounds_are_reported(iris, capsys):
    small(n_rounds=2, verbose=1).fit(*iris)

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

    model = small(prune_criterion=Fails())

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*iris)

    assert [str(warning.message) for warning in caught] == [
        "The weights are ranked by magnitude instead in round 2 of 5: tired at 0.71 "
        "(Also in round 3.)"
    ]
    assert caught[0].filename == __file__


@pytest.mark.slow
def test_evidence_is_that_of_the_first_round(iris):
    options = {"prune_criterion": "chaos_causality", "max_iter": 20}
    one = small(n_rounds=1, **options).fit(*iris)
    three = small(n_rounds=3, **options).fit(*iris)

    for name in ("p_values_", "lyapunov_exponents_", "target_series_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(three, name))
    np.testing.assert_array_equal(flat(one.dense_coefs_), flat(three.dense_coefs_))
    assert np.any(one.weight_scores_ != three.weight_scores_)
