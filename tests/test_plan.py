"""What a fit decides before its first training: the weights kept in each round."""

import numpy as np
import pytest

from skchaosprune._fit.counts import count_kept

# Layer sizes, scope, and the largest ratio to four digits.
LARGEST = [
    ((10, 2, 1), "global", 0.9318),  # 20 of 22, round(20.4996)
    ((10, 2, 1), "layer", 0.75),  # 1 of 2, round(1.5) would be 2
    ((2, 2, 2, 1), "global", 0.75),  # 7 of 10, as round(7.5) is 8
    ((5, 1), "layer", 0.9),  # 4 of 5, round(4.5) is 4
    ((1, 1, 1), "layer", 0.5),  # 0 of 1, round(0.5) is 0
]


def test_each_round_keeps_the_same_share():
    for prune_scope, n_weights in (("global", [340]), ("layer", [200, 140])):
        for prune_ratio in (0.0, 0.3, 0.75, 0.9):
            counts = count_kept((10, 20, 7), prune_ratio, prune_scope, 5)

            assert len(counts) == 5
            for number, n_kept in enumerate(counts, start=1):
                assert n_kept.tolist() == [
                    round(n * ((n - round(prune_ratio * n)) / n) ** (number / 5))
                    for n in n_weights
                ]


def test_halves_round_to_even_in_each_layer():
    assert count_kept((5, 3, 1), 0.5, "global", 1)[0].tolist() == [18 - 9]
    (n_kept,) = count_kept((5, 3, 1), 0.5, "layer", 1)
    assert n_kept.tolist() == [15 - 8, 3 - 2]
    assert n_kept.dtype.kind == "i"


@pytest.mark.parametrize("layer_sizes, prune_scope, largest", LARGEST)
def test_an_infeasible_ratio_names_the_largest_one(layer_sizes, prune_scope, largest):
    text = (
        f"prune_ratio=0.99 with prune_scope='{prune_scope}' leaves fewer than one "
        rf"weight per layer; the largest feasible ratio is (0\.\d+)\. Lower "
        "prune_ratio or use larger hidden_layer_sizes."
    )
    with pytest.raises(ValueError, match=text) as raised:
        count_kept(layer_sizes, 0.99, prune_scope, 1)
    named = float(str(raised.value).split("ratio is ")[1].split(". ")[0])
    assert named == pytest.approx(largest, abs=1.1e-4)

    counts = count_kept(layer_sizes, named, prune_scope, 3)
    n_groups = 1 if prune_scope == "global" else len(layer_sizes) - 1
    least = (len(layer_sizes) - 1) // n_groups
    assert all(n_kept.shape == (n_groups,) for n_kept in counts)
    assert np.min(counts) >= least
    with pytest.raises(ValueError, match="largest feasible"):
        count_kept(layer_sizes, named + 1.1e-4, prune_scope, 3)
