"""What the display of the importances draws."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from numpy.testing import assert_allclose, assert_array_equal

from skchaosprune._importances import rank_features
from skchaosprune.display import ImportanceDisplay
from skchaosprune.display._colors import BLUE, COLORS, INKS, VERMILION
from tests.helpers import small
from tests.test_display import (
    as_if_fitted,
    assert_below_each_other,
    make_display,
    texts,
)

pytestmark = pytest.mark.usefixtures("pyplot")


def test_bars():
    shown = ImportanceDisplay(
        importances=[0.1, 0.6, 0.0, 0.3],
        dense_importances=[0.4, 0.3, 0.2, 0.1],
        feature_names=["a", "b", "c", "d"],
    ).plot()
    widths = [bar.get_width() for bar in shown.bars_]
    dense = [bar.get_width() for bar in shown.dense_bars_]
    assert_allclose(widths, [0.6, 0.3, 0.1, 0.0])
    assert_allclose(dense, [0.3, 0.1, 0.4, 0.2])
    assert texts(shown.ax_.get_yticklabels()) == ["b", "d", "a", "c"]
    assert shown.ax_.yaxis_inverted()
    assert shown.ax_.get_title() == ""
    assert texts(shown.ax_.get_legend().get_texts()) == ["dense", "pruned"]
    for name in "dense_importances", "directions", "feature_names":
        shown = ImportanceDisplay(importances=[0.1, 0.9], **{name: [0.5]})
        with pytest.raises(ValueError, match=rf"{name} has shape \(1,\); it must have"):
            shown.plot()


def test_the_most_important():
    shown = make_display(ImportanceDisplay, (64, 3)).plot()
    assert len(shown.bars_) == 20
    assert shown.ax_.get_title().startswith("20 of 64 features")
    largest = np.sort(shown.importances)[::-1][:20]
    assert_allclose([bar.get_width() for bar in shown.bars_], largest)

    shown.plot(max_features=3)
    assert len(shown.dense_bars_) == 3
    # of those that the pruned network does not use, by the dense one
    dense = {"dense_importances": [0.1, 0.2, 0.3, 0.4]}
    ties = ImportanceDisplay(importances=[0.0, 1.0, 0.0, 0.0], **dense).plot()
    assert texts(ties.ax_.get_yticklabels()) == ["x1", "x3", "x2", "x0"]
    with pytest.raises(ValueError, match="max_features=0 must be an int in"):
        shown.plot(max_features=0)


def colors_of(bars):
    return [to_hex(bar.get_facecolor()) for bar in bars]


def test_directions():
    ways = [1.0, -0.6, 0.4, np.nan, 0.0]
    shown = ImportanceDisplay(
        importances=[0.4, 0.3, 0.2, 0.1, 0.0],
        directions=ways,
        output_name="P($a$)",
        rule="gradient",
    ).plot()
    assert shown.dense_bars_ is None
    assert colors_of(shown.bars_)[:4] == [
        to_hex(color) for color in (BLUE, VERMILION, COLORS[3], INKS[True])
    ]
    assert texts(shown.ax_.get_legend().get_texts()) == [
        r"pruned: raises P(\$a\$)",
        r"pruned: lowers P(\$a\$)",
        "pruned: both ways",
        "pruned: direction unknown",
    ]
    assert shown.ax_.get_xlabel() == "gradient importance (share of the sum)"
    shown = ImportanceDisplay(importances=[1.0, 0.0], directions=[1.0, -1.0]).plot()
    assert texts(shown.ax_.get_legend().get_texts()) == ["pruned: raises y"]


def test_the_output_that_directions_are_about(iris, fitted, fitted_regressor):
    X, y = iris
    binary = small(max_iter=60).fit(X[y > 0], np.array(["b", "c"])[y[y > 0] - 1])
    second = ImportanceDisplay.from_estimator(binary)
    first = ImportanceDisplay.from_estimator(binary, target="b")
    assert (second.output_name, first.output_name) == ("P(c)", "P(b)")
    assert_array_equal(first.directions, -second.directions)
    petal_width = X[y > 0].copy()
    petal_width[:, 3] += 0.1
    change = binary.predict_proba(petal_width) - binary.predict_proba(X[y > 0])
    assert np.sign(change[:, 1].mean()) == np.sign(second.directions[3]) == 1.0

    assert ImportanceDisplay.from_estimator(fitted).directions is None
    shown = ImportanceDisplay.from_estimator(fitted, target=2)
    assert_array_equal(shown.directions, rank_features(fitted).directions[:, 2])
    shown = ImportanceDisplay.from_estimator(fitted_regressor)
    assert shown.output_name == "y" and len(shown.directions) == 10
    for model, options, match in (
        (fitted, {"target": 9}, "target=9 is no class of the model; its .*0, 1, 2"),
        (fitted, {"target": np.array([1])}, "target=array.* is no class"),
        (fitted_regressor, {"target": 1}, "target=1 is for classifiers"),
        (fitted, {"target": 1, "rule": "causal"}, "rule='causal' has none"),
    ):
        with pytest.raises(ValueError, match=match):
            ImportanceDisplay.from_estimator(model, **options)


def test_columns_of_one_feature_are_one_bar(frame_model):
    model, X, _ = frame_model
    shown = ImportanceDisplay.from_estimator(model)
    assert list(shown.feature_names) == list(X.columns)
    assert np.isnan(shown.directions[1]) and not np.isnan(shown.directions[0])
    shown = ImportanceDisplay.from_estimator(model, group=False)
    assert len(shown.feature_names) > X.shape[1]


def test_from_estimator(fitted):
    dense = np.array([0.1, 0.2, 0.3, 0.4])
    model = as_if_fitted(fitted, dense_feature_importances_=dense)
    shown = ImportanceDisplay.from_estimator(model, max_features=2)
    assert_array_equal(shown.importances, fitted.feature_importances_)
    assert_array_equal(shown.dense_importances, dense)
    assert list(shown.feature_names) == ["x0", "x1", "x2", "x3"]
    assert len(shown.bars_) == 2


def test_the_legend_covers_no_bar(pyplot):
    for n_features, size in ((4, None), (20, None), (20, (4, 3)), (20, (3, 2))):
        importances = np.full(n_features, 1.0 / n_features)
        shown = ImportanceDisplay(
            importances=importances,
            dense_importances=importances,
            directions=np.resize([1.0, -1.0, 0.0, np.nan], n_features),
        )
        shown.plot(None if size is None else pyplot.subplots(figsize=size)[1])
        shown.figure_.canvas.draw()
        legend = shown.ax_.get_legend().get_window_extent()
        for bar in [*shown.bars_, *shown.dense_bars_]:
            assert not legend.overlaps(bar.get_window_extent())
        names = shown.ax_.get_yticklabels()
        assert_below_each_other([name.get_window_extent() for name in names])
