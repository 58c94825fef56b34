"""Scores against the weights kept: of arrays, paths and searches."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    PruningCurveDisplay,
    one_standard_error,
    pruning_path,
)
from skchaosprune._text import width_of
from skchaosprune.display._colors import INKS, SIGNS
from skchaosprune.display._pruning_curve import _choose_ticks
from skchaosprune.report import PruningPath
from tests.helpers import small


@pytest.fixture(autouse=True)
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()  # a layout may warn only now
    pyplot.close("all")


def make_path(ratios, sparsities, scores, dense_scores=(0.9, 1.0), n_weights=100):
    sparsities = np.array(sparsities)
    return PruningPath(
        ratios=ratios,
        scores=np.array(scores),
        dense_scores=np.array(dense_scores),
        sparsities=sparsities,
        effective_sparsities=sparsities,
        n_weights_kept=np.round(n_weights * (1.0 - sparsities)),
        n_weights=n_weights * np.ones(len(dense_scores)),
        score_name="accuracy",
    )


def make_search(params, scores, **more):
    """Make what a search leaves behind, from scores (n_rows, n_folds)."""
    scores = np.asarray(scores, dtype=float)
    columns = {f"split{i}_test_score": column for i, column in enumerate(scores.T)}
    mean = {"mean_test_score": scores.mean(axis=1)}
    return Bunch(cv_results_={"params": params} | columns | mean | more)


def texts_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def names_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_one_fold_and_failed_folds():
    shown = PruningCurveDisplay(sparsities=[0.0, 0.5], scores=[0.9, 0.8]).plot()
    assert_allclose(shown.lines_[0].get_xydata(), [[1.0, 0.9], [0.5, 0.8]])
    assert shown.ax_.get_ylabel() == "score"  # one fold has no error

    sparsities = [[0.0, 0.0], [0.5, np.nan], [0.9, 0.9]]
    scores = [[0.9, 0.7], [0.6, np.nan], [np.nan, np.nan]]
    shown = PruningCurveDisplay(sparsities=sparsities, scores=scores).plot()
    means = [[1.0, 0.8], [0.5, 0.6], [0.1, np.nan]]
    assert_allclose(shown.lines_[0].get_xydata(), means)
    assert shown.ax_.get_legend() is None

    # one point has no limits of its own; more than all weights cannot be kept
    shown = PruningCurveDisplay(sparsities=[0.0], scores=[0.9], labels=["_a"]).plot()
    assert names_of(shown) == [" _a"]  # matplotlib hides what starts with "_"
    assert max(shown.ax_.get_xlim()) < 1.2 and min(shown.ax_.get_xlim()) < 0.5
    shown = PruningCurveDisplay(sparsities=[0.0, 1.0 - 1e-7], scores=[0.9, 0.8]).plot()
    assert texts_of(shown.sparsity_axis_.xaxis)[0] == "0.9999999"
    for more, match in (
        ({"scores": [0.9]}, r"scores\[0\] has shape \(1, 1\); it must have \(2, 1\)"),
        ({"labels": ["a", "b"]}, r"labels has shape \(2,\); it must have \(1,\)"),
    ):
        given = {"sparsities": [0.0, 0.5], "scores": [0.9, 0.8]} | more
        with pytest.raises(ValueError, match=match):
            PruningCurveDisplay(**given).plot()
    with pytest.raises(ValueError, match=r"in \[0, 1\).* got 0.5 to 1.$"):
        PruningCurveDisplay(sparsities=[0.5, 1.0], scores=[0.9, 0.8]).plot()


def test_path():
    ratios = [0.0, 0.5, 0.9]
    sparsities, scores = [[0, 0], [0.5, 0.52], [0.9, 0.88]], [[0.9, 1], [0.8, 0.9]]
    path = make_path(ratios, sparsities, [*scores, [0.5, 0.7]])
    shown = PruningCurveDisplay.from_path(path)

    (line,), (bars,), (points,) = shown.lines_, shown.errorbars_, shown.points_
    assert_allclose(line.get_xydata(), [[100, 0.95], [49, 0.85], [11, 0.6]])
    (segments,) = (part.get_segments() for part in bars.lines[2])
    # the standard deviation is 0.1 * sqrt(2), the error that by sqrt(2)
    assert_allclose(segments[2][:, 1], [0.5, 0.7])
    kept = 100.0 * (1.0 - path.sparsities)
    assert_allclose(points.get_offsets(), np.c_[kept.ravel(), path.scores.ravel()])
    assert shown.dense_score == 0.95
    assert_allclose(shown.choice_.get_xydata(), [[100.0, 0.95]])
    assert names_of(shown) == [
        "dense network",
        "choice (1 standard error): sparsity 0",
    ]
    name = "R²"
    shown = PruningCurveDisplay.from_path(path, rule="best", score_name=name)
    assert shown.ax_.get_ylabel() == "R²\n(mean ± standard error)"
    assert names_of(shown)[1] == "choice (best mean): sparsity 0"
    with pytest.raises(ValueError, match="rule='2se' is not known; use one of '1se'"):
        PruningCurveDisplay.from_path(path, rule="2se")


def test_axes():
    path = make_path([0.0, 0.5, 0.97], [[0.0] * 2, [0.5] * 2, [0.97] * 2], np.eye(3, 2))
    path.n_weights[:] = 3000
    ax = PruningCurveDisplay.from_path(path, ax=Figure().subplots()).ax_

    assert ax.get_xscale() == "log" and ax.xaxis_inverted()
    assert ax.get_xlabel() == "weights kept"
    assert texts_of(ax.xaxis) == ["100", "200", "500", "1,000", "2,000"]
    # the same places as sparsities
    (top,) = ax.child_axes
    assert top.get_xlabel() == "sparsity"
    assert texts_of(top.xaxis) == ["0.95", "0.9", "0.8", "0.5", "0"]
    assert_allclose(top.get_xticks(), [150, 300, 600, 1500, 3000])

    path.n_weights[0] = 2000  # folds of several sizes
    ax = PruningCurveDisplay.from_path(path, ax=Figure().subplots()).ax_
    assert ax.get_xlabel() == "share of weights kept"
    assert texts_of(ax.xaxis) == ["5 %", "10 %", "20 %", "50 %", "100 %"]

    for low, high, most, ticks in (
        (8.0, 1100.0, 6, [10, 30, 100, 300, 1000]),
        (8.0, 1100.0, 4, [10, 100, 1000]),
        (53.5, 60.2, 7, [54, 55, 56, 57, 58, 59, 60]),
        (2.0, 4.4, 9, [2, 3, 4]),
    ):
        assert_allclose(_choose_ticks(low, high, most, is_whole=True), ticks)


def test_path_with_everything():
    path = make_path(
        [0.9, None, 0.5],
        [[0.9, 0.9], [0.6, 0.8], [0.5, 0.5]],
        [[0.4, 0.6], [0.9, 1.0], [0.8, 1.0]],
    )
    shown = PruningCurveDisplay.from_path(path)
    curve, rule = shown.lines_
    assert_allclose(curve.get_xydata(), [[50.0, 0.9], [10.0, 0.5]])  # in order
    assert_allclose(rule.get_xydata(), [[30.0, 0.95]])
    assert_allclose(shown.choice_.get_xydata(), [[30.0, 0.95]])
    assert names_of(shown) == [
        "None (significance rule)",
        "dense network",
        "choice (1 standard error): sparsity 0.7",
    ]

    path.scores[:, 1] = np.nan  # nothing that a rule could choose
    shown = PruningCurveDisplay.from_path(path)
    assert shown.choice_ is None and len(shown.lines_) == 2


def test_from_estimator(iris, diabetes):
    weights = np.arange(len(iris[1]))
    groups = np.arange(len(iris[1])) // 5
    for kind, (X, y), options, name in (
        (ChaosCausalPrunedMLP, iris, {}, "accuracy"),
        (ChaosCausalPrunedMLPRegressor, diabetes, {}, "R2"),
        (
            ChaosCausalPrunedMLP,
            iris,
            {"scoring": "neg_log_loss", "sample_weight": weights},
            "neg log loss",
        ),
    ):
        model, ratios = small(kind, max_iter=2), [0.5, 0.0]
        path = pruning_path(model, X, y, ratios, cv=2, **options)
        shown = PruningCurveDisplay.from_estimator(
            model, X, y, prune_ratios=ratios, cv=2, **options
        )
        means = path.scores.mean(axis=1)[::-1]  # from 0.0 on
        assert_allclose(shown.lines_[0].get_ydata(), means)
        assert shown.dense_score == path.dense_scores.mean()
        assert shown.ax_.get_ylabel() == f"{name}\n(mean ± standard error)"
    with pytest.warns(UserWarning, match="groups parameter is ignored"):
        PruningCurveDisplay.from_estimator(
            small(max_iter=2), *iris, prune_ratios=[0.5], cv=2, groups=groups
        )


def test_matplotlib_is_asked_for_before_the_fits(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="pip install"):
        PruningCurveDisplay.from_estimator(
            ChaosCausalPrunedMLP(), "no rows", "no y", prune_ratios=[0.5]
        )


def test_from_search(iris):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), small(max_iter=3)),
        {"chaoscausalprunedmlp__prune_ratio": [0.5, 0.0]},
        cv=3,
        scoring="balanced_accuracy",
        refit=one_standard_error,
    ).fit(*iris)
    shown = PruningCurveDisplay.from_search(search)
    (line,) = shown.lines_
    assert_array_equal(line.get_xdata(), [1.0, 0.5])
    means = search.cv_results_["mean_test_score"]
    assert_allclose(line.get_ydata(), means[::-1])
    assert shown.points_[0].get_offsets().shape == (6, 2)
    assert shown.ax_.get_xlabel() == "share of weights kept"
    assert shown.sparsity_axis_.get_xlabel() == "prune_ratio"
    assert shown.ax_.get_ylabel().startswith("balanced accuracy\n")
    best = search.best_index_
    assert_allclose(shown.choice_.get_xydata(), [[(0.5, 1.0)[best], means[best]]])
    ratio = search.best_params_["chaoscausalprunedmlp__prune_ratio"]
    assert names_of(shown) == [f"choice of the search: prune_ratio {ratio:g}"]

    search.scoring = None
    shown = PruningCurveDisplay.from_search(search)
    assert shown.score_name == "accuracy"


def test_one_curve_per_combination():
    search = make_search(
        [
            {"m__prune_ratio": ratio, "m__alpha": alpha, "m__solver": "sgd"}
            for alpha in (0.1, 0.25)
            for ratio in (0.9, 0.2)
        ],
        [[0.1, 0.3], [0.2, 0.4], [0.5, 0.7], [0.6, 0.8]],
    )
    shown = PruningCurveDisplay.from_search(search)
    assert names_of(shown) == ["alpha=0.1", "alpha=0.25"]
    assert_allclose(shown.lines_[0].get_ydata(), [0.3, 0.2])
    assert_allclose(shown.lines_[1].get_ydata(), [0.7, 0.6])
    looks = {(line.get_color(), line.get_marker()) for line in shown.lines_}
    assert len(looks) == 2

    shown = PruningCurveDisplay.from_search(search, max_curves=1)
    assert_allclose(shown.lines_[0].get_ydata(), [0.7, 0.6])
    assert shown.ax_.get_title() == "1 of 2 combinations"

    # the curve of the choice is drawn
    search.best_index_ = 0
    shown = PruningCurveDisplay.from_search(search, max_curves=1)
    assert_allclose(shown.lines_[0].get_ydata(), [0.3, 0.2])
    assert_allclose(shown.choice_.get_xydata(), [[0.1, 0.2]])

    search = make_search(
        [{"prune_ratio": 0.5, "seed": seed} for seed in range(20)],
        np.linspace(0.0, 0.9, 40).reshape(20, 2),
    )
    shown = PruningCurveDisplay.from_search(search)
    assert names_of(shown) == [f"seed={seed}" for seed in range(13, 20)]
    assert shown.ax_.get_title() == "7 of 20 combinations"


def test_significance_rule():
    search = make_search(
        [{"prune_ratio": 0.5}, {"prune_ratio": None}], [[0.8, 0.6], [0.3, 0.5]]
    )
    shown = PruningCurveDisplay.from_search(search)
    assert_array_equal(shown.lines_[0].get_xdata(), [0.5])
    (rule,) = shown.rule_lines_
    assert_allclose(rule.get_ydata(), [0.4, 0.4])
    assert rule.get_linestyle() == "--"
    assert rule.get_label() == "None (significance rule)"

    search = make_search([{"prune_ratio": None}], [[np.nan, 0.5]])
    search.best_index_ = 0
    shown = PruningCurveDisplay.from_search(search)
    assert_allclose(shown.rule_lines_[0].get_ydata(), [0.5, 0.5])
    assert len(shown.lines_[0].get_xdata()) == 0
    assert shown.choice_ is None
    assert names_of(shown) == ["None (significance rule): choice of the search"]

    search = make_search([{"prune_ratio": None}], [[np.nan, np.nan]])
    assert PruningCurveDisplay.from_search(search).rule_lines_ == []


def test_halving_and_rows_without_a_ratio():
    search = make_search(
        [{"prune_ratio": 0.5}, {"prune_ratio": 0.7}, {"prune_ratio": 0.5}],
        [[0.1], [0.2], [0.3]],
        n_resources=np.array([10, 10, 20]),
    )
    shown = PruningCurveDisplay.from_search(search)
    labels = [bars.get_label() for bars in shown.errorbars_]
    assert labels == ["n_resources=10", "n_resources=20"]

    search = make_search([{"prune_ratio": 0.5}, {"alpha": 0.1}], [[0.1], [0.2]])
    shown = PruningCurveDisplay.from_search(search)
    assert_allclose(shown.lines_[0].get_ydata(), [0.1])


def test_metrics():
    search = make_search([{"prune_ratio": 0.5}], [[0.1]])
    search.cv_results_ |= {"split0_test_auc": [0.7], "mean_test_auc": [0.7]}
    shown = PruningCurveDisplay.from_search(search, metric="auc")
    assert_allclose(shown.lines_[0].get_ydata(), [0.7])
    assert shown.score_name == "auc"
    with pytest.raises(ValueError, match=r"must be one of \['auc', 'score'\]"):
        PruningCurveDisplay.from_search(search, metric="f1")

    shown = PruningCurveDisplay.from_search(search.cv_results_)
    assert_allclose(shown.lines_[0].get_ydata(), 0.1)
    search.refit = "accuracy"  # the only metric, which is called score
    shown = PruningCurveDisplay.from_search(search)
    assert_allclose(shown.lines_[0].get_ydata(), 0.1)
    search.refit = "auc"
    shown = PruningCurveDisplay.from_search(search)
    assert_allclose(shown.lines_[0].get_ydata(), 0.7)


def test_other_searches(fitted):
    search = make_search([{"alpha": 0.1, "m__max_iter": 3}], [[0.1]])
    with pytest.raises(ValueError, match=r"are \['alpha', 'm__max_iter'\]"):
        PruningCurveDisplay.from_search(search)
    with pytest.raises(NotFittedError):
        PruningCurveDisplay.from_search(GridSearchCV(fitted, {"prune_ratio": [0.5]}))
    with pytest.raises(ValueError, match="max_curves=0 must be an int in"):
        PruningCurveDisplay(sparsities=[0.5], scores=[0.9]).plot(max_curves=0)


@pytest.mark.filterwarnings("ignore:Glyph")
def test_texts_are_short_and_visible(pyplot):
    for long in ("\u8eab" * 1000, r"$\frac{$" * 1000):
        shown = PruningCurveDisplay(
            sparsities=[[0.0, 0.1], [0.5, 0.6]],
            scores=[[0.9, 1.0], [0.8, 0.9]],
            score_name=long,
            sparsity_name=long,
            labels=[long],
            choice=(0, 1),
            choice_name=long,
        ).plot()
        for text in shown.figure_.findobj(Text):
            assert width_of(text.get_text()) <= 90
        shown.figure_.canvas.draw()

    with pyplot.style.context("dark_background"):
        curves = [[[share] for share in (0.1, 0.5)]] * 7
        shown = PruningCurveDisplay(
            sparsities=curves, scores=curves, dense_score=0.5, choice=(0, 1)
        ).plot()
    colors = {line.get_color() for line in shown.ax_.lines}
    assert INKS[False] in colors and shown.lines_[0].get_color() == SIGNS[False][0]


def test_legend_is_below_the_axes_where_a_layout_makes_room(pyplot):
    path = make_path([0.0, 0.5], [[0.0, 0.0], [0.5, 0.5]], [[0.9, 1.0], [0.8, 0.9]])
    shown = PruningCurveDisplay.from_path(path)
    shown.figure_.canvas.draw()
    box = shown.ax_.get_legend().get_window_extent()
    assert 0.0 <= box.y0 < box.y1 < shown.ax_.get_window_extent().y0
    assert box.y1 < shown.ax_.xaxis.label.get_window_extent().y0

    shown = PruningCurveDisplay.from_path(path, ax=pyplot.subplots()[1])
    shown.figure_.canvas.draw()
    box = shown.ax_.get_legend().get_window_extent()
    assert box.y0 > shown.ax_.get_window_extent().y0
