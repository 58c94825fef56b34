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
load_script("bench_memory")
mnist = load_script("paper_mnist")  # these import the ones above
recipe = load_script("mnist_recipe")
paper = load_script("reproduce_paper")


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


def test_every_paper_row_is_in_the_tables():
    assert len(paper.PAPER_ROWS) == 8
    for figures in paper.PAPER.values():
        assert [len(figures[name]) for name in ("pruned", "epochs")] == [2, 3]
        assert [len(figures[name]) for name in ("accuracy", "f1")] == [5, 5]


# MNIST


def test_rows_of_mnist_come_from_both_kinds_of_file(tmp_path):
    X, y = np.array([[0, 255], [51, 102]], dtype=np.uint8), np.array([3, 1])
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    for name, header in (("kaggle.csv", "label,pixel0,pixel1\n"), ("bare.csv", "")):
        text = header + "3,0,255\n1,51,102\n"
        (tmp_path / name).write_text(text, encoding="utf-8")

    np.savez(tmp_path / "scaled.npz", X=X / 255.0, y=y)
    np.savez(tmp_path / "letters.npz", X=X, y=y + 10)
    with pytest.raises(ValueError, match="scaled.npz has pixels from 0.0 to 1.0"):
        mnist.load_mnist(tmp_path / "scaled.npz")
    with pytest.raises(ValueError, match="letters.npz has other labels than 0 to 9"):
        mnist.load_mnist(tmp_path / "letters.npz")
    for name in ("rows.npz", "kaggle.csv", "bare.csv"):
        pixels, labels = mnist.load_mnist(tmp_path / name)
        assert_array_equal(pixels, [[0.0, 1.0], [0.2, 0.4]])
        assert_array_equal(labels, [3, 1])


def test_alpha_of_a_known_power_law():
    eigenvalues = np.linspace(1e-3, 1.0, 200) ** (-1.0 / 1.5)  # density x ** -2.5
    W = np.zeros((220, 210))
    np.fill_diagonal(W[:200, :200], np.sqrt(eigenvalues))
    assert mnist.power_law_alpha(W) == pytest.approx(2.5, abs=0.1)


def make_network(epochs, accuracy, **changes):
    facts = {"f1": accuracy, "reached": True, "pruned": 0.0, "never_moved": 0.0}
    facts |= {"n_kept": 40, "alphas": (2.0, 1.5, 1.25), "npz_bytes": 1000}
    facts |= {"c_bytes": 800, "multiply_adds": 40, "seconds": None, "megabytes": None}
    return mnist.Network(epochs, accuracy=accuracy, **facts | changes)


def test_cells_of_mnist_by_hand():
    pruned = {"pruned": 25.0, "never_moved": 10.0, "seconds": 2.0, "megabytes": 7.0}
    results = [
        {
            "dense": make_network(9, accuracy),
            "LEGCNet-FT": make_network(epochs, accuracy - 0.01, **pruned),
        }
        for epochs, accuracy in ((19, 0.90), (9, 0.92))
    ]
    table = mnist.Table("mnist", np.eye(3), None, np.eye(2), None, "arg-max")

    text = "\n".join(mnist.report(table, results, [[], []]))

    assert (
        "| LEGCNet-FT (n = 2) | 30 | 14.0 ± 7.1 (9.0) | 0.9165 | "
        "0.9000 ± 0.0141 (0.9100) | 0.8781 | 0.9000 ± 0.0141 (0.9100) | 0.34 | "
        "25.00 ± 0.00 (25.00) | 10.00 | 40 | 2.24, 1.51, 2.29 | "
        "2.00 ± 0.00, 1.50 ± 0.00, 1.25 ± 0.00 |"
    ) in text
    differences = "+50.00 ± 50.00 | +0.44 | -1.00 ± 0.00 | +1.12 | -1.00 ± 0.00 | 2 |"
    assert f"| LEGCNet-FT | +10.71 | {differences}" in text
    assert "LEGCNet-FT: accuracy down, F1 down." in text
    assert "| LEGCNet-FT | 2.0 ± 0.0 | 7 ± 0 | 1,000 | 800 | 40 |" in text
    assert "3 training and 2 test rows" in text


def test_trials_choose_by_their_mean():
    shares = ((0.9, 0.8), (0.88, 0.85))
    trials = [
        recipe.Trial(name, ratio, accuracy, 1.0)
        for name, pair in zip("ab", shares, strict=True)
        for ratio, accuracy in zip(recipe.RATIOS, pair, strict=True)
    ]
    assert recipe.choose(trials) == "b"
    assert "| b | 0.8800 | 0.8500 | 0.8650 | 1 |" in recipe.report_trials(trials)


def test_there_has_to_be_something_to_run(capsys):
    with pytest.raises(SystemExit):
        paper.parse_arguments([])
    assert "give --data-dir, --mnist, or both" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        paper.parse_arguments(["--mnist", "nowhere.npz"])
    assert "nowhere.npz does not exist" in capsys.readouterr().err
    options = paper.parse_arguments(["--mnist", __file__])
    assert paper.command_line(options).endswith("reproduce_paper.py --mnist FILE")
