"""The report of one fit: its numbers and its faces."""

import html
import json
import pickle
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error, r2_score

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    _placebo,
)
from skchaosprune.report import PruningReport, make_report
from tests.helpers import small

SCRIPT = "<script>alert('&')</script>"


def quick(kind=ChaosCausalPrunedMLP, **params):
    """A small unfitted estimator, whose criterion warns of nothing."""
    return small(kind, **{"hidden_layer_sizes": (6,), "max_iter": 5} | params)


def unpruned(model, X, y):
    """Fit the network that a fitted estimator pruned."""
    return clone(model).set_params(prune_ratio=0.0).fit(X, y)


@pytest.fixture(scope="module")
def named(cancer):
    """A pruned classifier of hostile names and labels, and its rows."""
    X, y = cancer
    names = [f"input {column}" for column in range(X.shape[1])]
    names[7] = SCRIPT
    names[8] = "a\nname of\x1b[31m two lines, far longer than any table has room for"
    X = pd.DataFrame(X, columns=names)
    labels = np.where(y == 1, "<b>sick</b>", "<i>healthy</i>")
    return quick(prune_ratio=0.95).fit(X, labels), X, labels


@pytest.fixture(scope="module")
def dense(fitted, iris):
    return unpruned(fitted, *iris)


@pytest.fixture(scope="module")
def report(fitted, iris):
    return fitted.report(*iris)


# Numbers.


@pytest.mark.slow
def test_scores_of_many_classes(fitted, dense, iris, report):
    X, y = iris
    for model, measured in (dense, report.before), (fitted, report.after):
        predicted = model.predict(X)
        assert measured["accuracy"] == accuracy_score(y, predicted)
        assert measured["f1"] == f1_score(y, predicted, average="macro")
    assert report.positive_class is None
    assert "F1 (macro)" in str(report)
    assert report.n_samples == 150


@pytest.mark.slow
def test_scores_of_two_classes(named):
    model, X, y = named
    report = model.report(X[:200], y[:200])

    predicted = model.predict(X[:200])
    expected = f1_score(y[:200], predicted, pos_label="<i>healthy</i>")
    assert report.after["f1"] == expected
    assert report.positive_class == "<i>healthy</i>"
    assert "F1 (class <i>healthy</i>)" in str(report)
    assert report.n_samples == 200


def test_scores_of_rows_of_one_class(iris):
    X, y = iris[0], iris[1] > 0
    model = quick().fit(X, y)
    for rows in (slice(0, 1), slice(0, 40), slice(60, 61)):
        report = model.report(X[rows], y[rows])

        predicted = model.predict(X[rows])
        expected = f1_score(y[rows], predicted, pos_label=True, zero_division=0.0)
        assert report.after["f1"] == expected
        assert report.positive_class == "True"
        assert report.n_samples == len(X[rows])


@pytest.mark.slow
def test_scores_of_a_regressor(fitted_regressor, diabetes):
    X, y = diabetes
    report = fitted_regressor.report(X, y)
    dense = unpruned(fitted_regressor, X, y)

    for model, measured in (dense, report.before), (fitted_regressor, report.after):
        predicted = model.predict(X)
        rmse = np.sqrt(mean_squared_error(y, predicted))
        assert measured["r2"] == pytest.approx(r2_score(y, predicted), abs=1e-12)
        assert measured["rmse"] == pytest.approx(rmse, rel=1e-12)
        assert "accuracy" not in measured
    assert "root mean squared error" in str(report)
    json.dumps(report.to_dict(), allow_nan=False)


def test_r2_of_one_row_is_missing(fitted_regressor, diabetes):
    X, y = diabetes
    report = fitted_regressor.report(X[:1], y[:1])

    assert report.after["r2"] is None
    assert report.ratio["r2"] is None
    json.dumps(report.to_dict(), allow_nan=False)


def test_sizes(named):
    model, X, y = named
    report = model.report(X, y)
    compact = model.compact()

    assert report.before["n_weights"] == report.before["flops"] == 30 * 6 + 6
    assert report.after["n_weights"] == report.after["flops"] == model.flops_
    assert report.before["effective_sparsity"] == 0.0
    assert report.after["effective_sparsity"] == model.effective_sparsity_
    assert report.before["effective_flops"] == model.n_weights_
    assert report.after["effective_flops"] == compact.n_weights_
    assert report.before["n_hidden_units"] == 6
    assert report.after["n_hidden_units"] == sum(compact.layer_sizes_[1:-1])
    assert report.before["n_features"] == 30
    assert report.after["n_features"] + len(report.unused_features) == 30
    assert report.ratio["n_weights"] == model.flops_ / model.n_weights_
    assert report.ratio["effective_sparsity"] is None  # 0 before


def test_zero_weights_of_the_dense_network_are_no_connections(iris):
    coefs = [np.ones((4, 2)), np.ones((2, 3))]
    coefs[0][:, 0] = 0.0
    start = coefs, [np.zeros(2), np.zeros(3)]
    model = quick(weight_init=start, learning_rate_init=1e-300, alpha=0.0)
    model.set_params(hidden_layer_sizes=(2,)).fit(np.abs(iris[0]), iris[1])
    for W, at_start in zip(model.dense_coefs_, coefs, strict=True):
        W[at_start == 0.0] = 0.0

    before = model.report(*iris).before
    assert before["n_weights"] == 14
    assert before["effective_sparsity"] == pytest.approx(7 / 14)
    assert before["n_hidden_units"] == 1
    assert before["effective_flops"] == 7


@pytest.mark.slow
def test_bytes_are_those_of_the_files(fitted, dense, report, tmp_path):
    pytest.importorskip("onnx")
    for model, measured in (dense, report.before), (fitted, report.after):
        compact = model.compact()
        compact.save_npz(tmp_path / "network.npz")
        compact.to_onnx(tmp_path / "network.onnx")

        assert measured["npz_bytes"] == (tmp_path / "network.npz").stat().st_size
        assert measured["onnx_bytes"] == (tmp_path / "network.onnx").stat().st_size
        compact.to_c(tmp_path / "network.h")
        text = (tmp_path / "network.h").read_text(encoding="utf-8")
        assert f" {measured['c_bytes']:,} bytes of constants" in text
        assert f" {measured['multiply_adds']:,} multiply-adds" in text


def test_without_onnx(fitted, iris, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    report = fitted.report(*iris)

    assert report.before["onnx_bytes"] is report.after["onnx_bytes"] is None
    assert report.ratio["onnx_bytes"] is None
    assert report.notes == {
        "onnx_bytes": "to_onnx needs onnx; install it with: pip install "
        "'skchaosprune[export]'"
    }
    assert "no ONNX" in str(report) and "no ONNX" in report._repr_html_()


def test_weights_that_are_too_large_for_c_are_noted(iris):
    model = small(max_iter=2).fit(*iris)
    model.dense_coefs_[0][0, 0] = 1e39
    report = model.report(*iris)
    assert report.before["c_bytes"] is report.before["multiply_adds"] is None
    assert report.ratio["c_bytes"] is None and report.after["c_bytes"] > 0
    assert "a weight is too large for the single precision" in report.notes["c_bytes"]
    assert "no C " in str(report)


def test_labels_that_no_file_can_hold_are_noted(iris):
    X, y = iris[0][:100], iris[1][:100]
    for label, missing in ("\ud800", "onnx"), ("a\0", "npz"):
        labels = np.array(["a", label], dtype=object)[y]
        report = small(max_iter=2).fit(X, labels).report(X, labels)
        key = f"{missing}_bytes"
        assert report.before[key] is report.after[key] is report.ratio[key] is None
        assert ascii(label)[1:-1] in report.notes[key]
        assert report.notes.keys() == {key, "placebo_share"}
        assert f"no {missing}" in str(report).lower()
        json.dumps(report.to_dict())


def test_latencies(report):
    for measured in report.before, report.after:
        assert 0.1 < measured["latency_1_row"] < 1e6
        assert 0.1 < measured["latency_1000_rows"] < 1e6


def test_rank_agreement(fitted, report):
    expected = spearmanr(
        fitted.dense_feature_importances_, fitted.feature_importances_
    ).statistic
    assert report.rank_agreement == expected


def test_rank_agreement_of_constant_importances(diabetes):
    X, y = diabetes
    model = quick(ChaosCausalPrunedMLPRegressor).fit(X[:, :1], y)
    report = model.report(X[:, :1], y)

    assert report.rank_agreement is None
    assert fact(report, "importances' rank agreement") == "-"


def test_placebo_of_windows(fitted, report):
    result = fitted.placebo_test(n_repeats=5)

    assert report.causal_share == result.causal_share
    assert report.placebo_share == result.placebo_share
    assert report.notes == {}
    assert fact(report, "the same of the placebo") == f"{result.placebo_share:.4f}"


@pytest.mark.slow
def test_placebo_of_an_intervention(iris):
    model = quick(prune_criterion="intervention").fit(*iris)
    report = model.report(*iris)
    result = model.placebo_test(*iris, n_repeats=5)

    assert report.causal_share == result.causal_share
    assert report.placebo_share == result.placebo_share


def test_criterion_without_placebo(iris):
    report = quick().fit(*iris).report(*iris)

    assert report.causal_share is report.placebo_share is None
    assert report.notes["placebo_share"].startswith("Magnitude() has no placebo")
    assert "Magnitude() has no placebo" in str(report)
    assert "Magnitude() has no placebo" in report._repr_html_()


def test_nothing_tested(iris):
    with pytest.warns(UserWarning, match="too few windows"):
        model = quick(prune_criterion="chaos_causality", max_iter=1).fit(*iris)

    assert "no weight could be tested" in model.report(*iris).notes["placebo_share"]


def test_series_not_kept(fitted, iris):
    model = pickle.loads(pickle.dumps(fitted))
    model.window_series_ = None

    assert "were not kept" in model.report(*iris).notes["placebo_share"]


def test_other_errors_of_the_placebo_are_raised(fitted, iris, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("a defect")

    monkeypatch.setattr(_placebo, "run_placebo_test", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        fitted.report(*iris)


def test_features(named, report):
    names = {feature["name"] for feature in report.strongest_features}
    assert names == {"x0", "x1", "x2", "x3"}
    model, X, y = named
    report = model.report(X, y)

    selected = model.compact().selected_features_
    unused = [name for i, name in enumerate(X.columns) if i not in selected]
    assert report.unused_features == unused
    pairs = model.feature_importances_, model.dense_feature_importances_
    order = sorted(range(len(X.columns)), key=lambda i: [-part[i] for part in pairs])
    assert report.strongest_features == [
        {
            "name": X.columns[column],
            "before": model.dense_feature_importances_[column],
            "after": model.feature_importances_[column],
        }
        for column in order[:10]
    ]


def test_report_changes_nothing(named):
    model, X, y = named
    before = pickle.dumps(model)
    rows = X.copy()

    model.report(X, y)
    assert pickle.dumps(model) == before
    pd.testing.assert_frame_equal(X, rows)


def test_rows_and_names_must_fit(fitted, named, iris):
    X, y = iris

    with pytest.raises(ValueError, match="expecting 4 features"):
        fitted.report(X[:, :3], y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.report(X, y[:10])
    with pytest.raises(ValueError, match="NaN"):
        fitted.report(np.full_like(X, np.nan), y)

    model, X, y = named
    with pytest.raises(ValueError, match="feature names"):
        model.report(X[X.columns[::-1]], y)


# Faces.


def fact(report, label):
    """Text behind a label in the printed report."""
    (line,) = [line for line in str(report).splitlines() if line.startswith(label)]
    return line[len(label) :].strip()


def cells(text):
    """Text of the cells of an HTML table, row by row."""
    rows = ET.fromstring(text).iter("tr")
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def test_text_is_an_aligned_table(report):
    title, *lines = str(report).splitlines()

    assert title == "ChaosCausalPrunedMLP before and after pruning, on 150 rows"
    assert lines[0].split() == ["before", "after", "ratio"]
    ends = {len(line) for line in lines[: 1 + len(report.before)]}
    assert len(ends) == 1
    assert fact(report, "weights").split() == ["42", "21", "0.500"]
    assert fact(report, "effective sparsity").split() == ["0.0000", "0.5000", "-"]
    assert fact(report, "inputs not used") == "none"
    assert repr(report) == str(report)


def test_names_are_one_short_line(named):
    model, X, y = named
    text = str(model.report(X, y))

    assert all(len(line) <= 88 for line in text.splitlines())
    assert "\x1b" not in text


def test_many_unused_features_are_counted(named):
    model, X, y = named
    report = model.report(X, y)
    n_more = len(report.unused_features) - 10

    assert n_more > 0
    assert f"and {n_more} more" in " ".join(str(report).split())
    assert f"and {n_more} more" in report._repr_html_()


def test_dict_is_plain(report, named):
    for one in report, named[0].report(*named[1:]):
        plain = one.to_dict()

        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert plain["after"] == one.after and plain["ratio"] == one.ratio
        assert set(plain["before"]) == set(plain["after"]) == set(plain["ratio"])
    plain["after"]["n_weights"] = 0  # a copy
    assert one.after["n_weights"] > 0


def test_html_has_the_numbers_of_the_text(report):
    rows = cells(report._repr_html_())
    text = str(report).splitlines()[1:]

    assert [" ".join(row).split() for row in rows if row != [""]] == [
        line.split() for line in text
    ]


def test_html_is_static_and_escaped(named):
    model, X, y = named
    report = model.report(X, y)
    shown = report._repr_html_()
    names = [feature["name"] for feature in report.strongest_features]
    assert SCRIPT in names + report.unused_features[:10]

    tags = {element.tag for element in ET.fromstring(shown).iter()}
    assert tags == {"table", "caption", "tbody", "tr", "th", "td"}
    assert html.escape(SCRIPT) in shown
    assert "&lt;i&gt;healthy&lt;/i&gt;" in shown
    assert "http" not in shown and "url(" not in shown


def test_html_of_a_hostile_class_name(fitted, iris):
    class Model(ChaosCausalPrunedMLP):
        pass

    model = Model((6,), prune_criterion="magnitude", max_iter=2, random_state=0)
    model.fit(*iris)
    Model.__name__ = SCRIPT

    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: seen.add(tag)
    seen = set()
    parser.feed(model.report(*iris)._repr_html_())
    assert seen == {"table", "caption", "tbody", "tr", "th", "td"}


def test_colours_are_inherited(report):
    shown = report._repr_html_()

    assert "color: inherit" in shown and "currentColor" in shown
    styles = [cell.get("style") for cell in ET.fromstring(shown).iter()]
    assert not any("#" in style or "rgb" in style for style in styles if style)


def test_report_of_the_method(fitted, iris):
    assert isinstance(fitted.report(*iris), PruningReport)
    assert isinstance(make_report(fitted, *iris), PruningReport)


def test_f1_is_of_the_same_classes_before_and_after(iris):
    """Rows of one class only: what the networks predict beside it does not count."""
    X, y = iris
    model = quick().fit(X, y)
    rows = y == 1
    report = model.report(X[rows], y[rows])

    dense = unpruned(model, X, y)
    for measured, predictor in ((report.before, dense), (report.after, model)):
        hits = np.mean(predictor.predict(X[rows]) == 1)
        assert measured["f1"] == pytest.approx(2 * hits / (1 + hits))


def test_feature_names_can_be_given(fitted, iris):
    names = ["<b>", "a$b", "long " * 20 + "A", "long " * 20 + "B"]
    report = fitted.report(*iris, feature_names=names)

    assert {feature["name"] for feature in report.strongest_features} == set(names)
    rows = [line for line in str(report).splitlines() if line.startswith("  long")]
    assert len({row[:34] for row in rows}) == 2
    with pytest.raises(ValueError, match="feature_names has 2 names"):
        fitted.report(*iris, feature_names=["a", "b"])


def test_inputs_with_blank_names(iris):
    report = quick().fit(*iris).report(*iris)
    text = repr(replace(report, unused_features=[" ", "", "a"]))
    assert re.search("inputs not used +' ', '', a", text)
