"""What the display of the importances draws."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skchaosprune.display import ImportanceDisplay
from tests.test_display import as_if_fitted, make_display, texts

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


def test_the_most_important():
    shown = make_display(ImportanceDisplay, (64, 3)).plot()
    assert len(shown.bars_) == 20
    assert shown.ax_.get_title().startswith("20 of 64 features")
    largest = np.sort(shown.importances)[::-1][:20]
    assert_allclose([bar.get_width() for bar in shown.bars_], largest)

    shown.plot(max_features=3)
    assert len(shown.dense_bars_) == 3
    with pytest.raises(ValueError, match="max_features=0 must be an int in"):
        shown.plot(max_features=0)


def test_from_estimator(fitted):
    dense = np.array([0.1, 0.2, 0.3, 0.4])
    model = as_if_fitted(fitted, dense_feature_importances_=dense)
    shown = ImportanceDisplay.from_estimator(model, max_features=2)
    assert_array_equal(shown.importances, fitted.feature_importances_)
    assert_array_equal(shown.dense_importances, dense)
    assert list(shown.feature_names) == ["x0", "x1", "x2", "x3"]
    assert len(shown.bars_) == 2


def test_the_legend_covers_no_bar(pyplot):
    for n_features, size in ((4, None), (20, None), (20, (3, 2))):
        importances = np.full(n_features, 1.0 / n_features)
        shown = ImportanceDisplay(
            importances=importances, dense_importances=importances
        )
        shown.plot(None if size is None else pyplot.subplots(figsize=size)[1])
        shown.figure_.canvas.draw()
        legend = shown.ax_.get_legend().get_window_extent()
        for bar in [*shown.bars_, *shown.dense_bars_]:
            assert not legend.overlaps(bar.get_window_extent())
