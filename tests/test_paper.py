"""The paper's rows, to the digits it gives, and the functions that make them."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import hypergeom

from tests.test_benchmarks import load_script

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("PAPER_DATA_DIR", ROOT.parent / "shared" / "data"))

needs_data = pytest.mark.skipif(
    not (DATA / "published_masks.json").is_file(),
    reason="the paper's data sets are not here",
)


protocol = load_script("authors_protocol")
paper = load_script("reproduce_paper")  # imports the one above


@needs_data
@pytest.mark.parametrize(
    "row", paper.PAPER_ROWS, ids=lambda row: f"{row.dataset}-{row.variant}"
)
def test_a_row_of_the_paper(row):
    outcomes = paper.reproduce_row(row, DATA)
    assert tuple(outcome.epochs for outcome in outcomes) == row.epochs
    assert all(outcome.reached for outcome in outcomes)
    accuracies = [outcome.accuracy for outcome in outcomes]
    assert_allclose(accuracies, row.accuracy, rtol=0, atol=5.1e-5)
    assert_allclose([outcome.f1 for outcome in outcomes], row.f1, rtol=0, atol=5.1e-5)
    assert outcomes[0].pruned == 0.0
    assert outcomes[1].pruned == pytest.approx(row.pruned, abs=0.0051)


@needs_data
@pytest.mark.parametrize("dataset", ["iris", "iris3f"])
@pytest.mark.parametrize("variant", paper.VARIANTS)
def test_published_masks_come_out_of_the_authors_record(dataset, variant):
    table = paper.load_table(dataset, DATA)
    initial = paper.load_initial_weights(dataset, 1, DATA)
    shapes = [W.shape for W in initial[0]]
    published = paper.load_masks(dataset, 1, variant, shapes, DATA)
    masks = paper.recompute_authors_masks(table, initial, variant)
    for ours, theirs in zip(masks, published, strict=True):
        assert_array_equal(ours, theirs)


def test_rows_are_standardised():
    X = np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    expected = [[-np.sqrt(1.5), 0.0, np.sqrt(1.5)], [0.0, 0.0, 0.0]]
    assert_allclose(paper.standardise_rows(X), expected)


def test_missing_values_become_the_mode():
    assert paper.fill_with_mode(["a", "", "b", "b"]) == ["a", "b", "b", "b"]


def test_all_outputs_have_to_round():
    z = np.array([[2.0, -1.0, -1.0], [2.0, 1.0, -1.0], [-3.0, -2.0, -1.0]])
    y = np.array([0, 0, 2])
    assert protocol.accuracy(z, y, "all outputs") == pytest.approx(1 / 3)
    assert protocol.accuracy(z, y, "arg-max") == 1.0
    assert protocol.macro_f1(z, y) == 1.0


@pytest.mark.parametrize("rule", ["all outputs", "arg-max"])
def test_the_two_rules_agree_for_one_output(rule):
    z = np.array([[2.0], [-1.0], [0.5]])
    assert protocol.accuracy(z, np.array([1, 0, 0]), rule) == pytest.approx(2 / 3)


def test_logits_match_the_estimator(iris):
    X, y = iris
    model = paper.ChaosCausalPrunedMLP(
        (3,), activation="logistic", max_iter=2, prune_criterion="random"
    ).fit(X, y)
    z = protocol.logits(model.coefs_, model.intercepts_, X)
    assert_array_equal(protocol.predict_classes(z), model.predict(X))


def test_overlap_by_hand():
    ours = [[np.array([[False, False, True, True]])], None]
    theirs = [[np.array([[False, True, False, True]])], None]
    *counts, expected, p_value, n_exact, n_trials = paper.overlap(ours, theirs)
    assert counts == [2, 2, 1]
    assert expected == pytest.approx(1.0)
    assert p_value == pytest.approx(hypergeom(4, 2, 2).sf(0))
    assert (n_exact, n_trials) == (0, 1)


def test_overlap_counts_equal_masks():
    masks = [[np.array([[True, False]]), np.array([[True]])]]
    assert paper.overlap(masks, masks)[-2:] == (1, 1)


@pytest.mark.parametrize("shape", [(784, 49), (30, 784), (3, 2)])
def test_alpha_needs_fifty_eigenvalues(shape):
    W = np.random.default_rng(0).normal(size=shape)
    with pytest.warns(UserWarning, match=f"at least 50 .* has {min(shape)}"):
        assert np.isnan(paper.power_law_alpha(W))


def test_alpha_does_not_count_zero_eigenvalues():
    W = np.zeros((60, 60))
    W[:40, :40] = np.eye(40)
    with pytest.warns(UserWarning, match="has 40"):
        assert np.isnan(paper.power_law_alpha(W))


def test_every_paper_row_is_in_the_tables():
    assert len(paper.PAPER_ROWS) == 8
    for figures in paper.PAPER.values():
        assert [len(figures[name]) for name in ("pruned", "epochs")] == [2, 3]
        assert [len(figures[name]) for name in ("accuracy", "f1")] == [5, 5]
