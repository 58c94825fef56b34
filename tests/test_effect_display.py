"""What the display of effects computes and draws."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.inspection import partial_dependence
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from skchaosprune import feature_importances
from skchaosprune.display import EffectDisplay
from skchaosprune.display._colors import COLORS
from tests.helpers import small
from tests.test_display import texts

pytestmark = pytest.mark.usefixtures("pyplot")
PARTS = ["feature_names", "values", "effects", "observed"]


def test_means_are_those_of_scikit_learn(fitted, fitted_regressor, iris, diabetes):
    for model, (X, _) in (fitted, iris), (fitted_regressor, diabetes):
        shown = EffectDisplay.from_estimator(model, X, features=[2, "x0"])
        for column, values, effect in zip(
            (2, 0), shown.values, shown.effects, strict=True
        ):
            table = X[:, [column]]
            assert np.isin(values, table).all() and len(values) <= 40
            if len(np.unique(table)) > 40:  # the outer ones say little
                low, high = np.quantile(table, [0.01, 0.99], method="nearest")
                assert low == values[0] > table.min() or high == values[-1]
            reference = partial_dependence(
                model, X, [column], percentiles=(0, 1), grid_resolution=1000
            )
            (grid,) = reference["grid_values"]
            places = np.searchsorted(grid, values - 1e-12)
            assert_allclose(grid[places], values)
            assert_allclose(effect, reference["average"][:, places], rtol=1e-6)


def test_panels(fitted, iris, pyplot):
    shown = EffectDisplay.from_estimator(fitted, iris[0], max_features=3)
    order = feature_importances(fitted).sort_values(ascending=False).index[:3]
    assert [ax.get_xlabel() for ax in shown.axes_] == list(order) == shown.feature_names
    assert len({ax.get_ylim() for ax in shown.axes_}) == 1
    for lines, effect, values in zip(
        shown.lines_, shown.effects, shown.values, strict=True
    ):
        assert [line.get_color() for line in lines] == COLORS[:3]
        for line, means in zip(lines, effect, strict=True):
            assert_array_equal(line.get_xydata(), np.c_[values, means])
    names = ["0", "1", "2", "rows"]
    (legend,) = {ax.get_legend() for ax in shown.figure_.axes} - {None}
    assert texts(legend.get_texts()) == names
    lowest = min(effect.min() for effect in shown.effects)
    top = max(bar.get_height() for bar in shown.bars_[0])  # a share of the axes
    low, high = shown.ax_.get_ylim()
    assert low + top * (high - low) < lowest

    shown.plot(pyplot.subplots(1, 3, figsize=(12, 4))[1])
    legend = shown.ax_.get_legend().get_window_extent()
    highest = max(effect.max() for effect in shown.effects)
    assert legend.y0 > shown.ax_.transData.transform((0.0, highest))[1]


def test_columns_of_all_kinds(frame_model):
    model, X, _ = frame_model
    shown = EffectDisplay.from_estimator(model, X, features=["age", "city", "smoker"])
    ages, cities, flags = shown.values
    assert_array_equal(ages, np.sort(X["age"].dropna().unique()))
    counts = X["city"].value_counts()
    assert list(counts[cities]) == list(counts[:12]) and len(counts) > 12
    assert sorted(flags) == [False, True]
    assert shown.axes_[1].get_xlabel() == f"city\n12 of {len(counts)} values"
    heights = np.array([bar.get_height() for bar in shown.bars_[1]])
    assert_allclose(heights / heights[0], counts[:12] / counts.iloc[0])

    changed = X.copy()
    changed["city"] = cities[1]
    (means,) = shown.effects[1]
    assert_allclose(means[1], model.predict(changed).mean())
    (line,) = shown.lines_[1]
    assert line.get_linestyle() == "None"
    shown = EffectDisplay.from_estimator(model, X)
    assert set(shown.feature_names) <= set(X.columns) and shown.note == ""

    X["smoker"] = X["smoker"].map({True: "yes", False: "no"}).astype("category")
    for order in (["yes", "no"], ["no", "yes"]):  # a category may have its place
        X["smoker"] = X["smoker"].cat.set_categories(order, ordered=True)
        shown = EffectDisplay.from_estimator(CountRows(), X, features=["smoker"])
        assert list(shown.values[0]) == order


class CountRows(RegressorMixin, BaseEstimator):
    """Predicts the same for any rows."""

    def predict(self, X):
        return np.full(len(X), float(len(X)))


def test_bars_of_rows_and_flat_curves(pyplot):
    values = np.array([0.0, 1.0, 3.0])
    shown = EffectDisplay(
        feature_names=["a", "b"],
        values=[values, np.arange(20.0)],
        effects=[[5.0, 5.0, 5.0 + 1e-12], np.full(20, 5.0)],
        observed=[[-0.1, 0.9, 1.0, 3.0, 3.0, 3.0, 3.2], np.arange(20.0)],
        output_names=["_a"],
    ).plot()
    few, many = shown.bars_
    assert_allclose([bar.get_x() + bar.get_width() / 2.0 for bar in few], values)
    heights = np.array([bar.get_height() for bar in few])
    assert_allclose(heights / heights[2], [0.25, 0.5, 1.0])
    assert len(many) == 20
    assert np.ptp(shown.ax_.get_ylim()) > 0.1  # rounding is not drawn as an effect
    (legend,) = {ax.get_legend() for ax in shown.figure_.axes} - {None}
    assert [name.strip() for name in texts(legend.get_texts())] == ["_a", "rows"]
    small = np.linspace(0.0, 0.09, 20)
    many = [[part] * 6 for part in ("a", small, small, small)]
    _, ax = pyplot.subplots(figsize=(4, 3), layout="constrained")
    shown = EffectDisplay(**dict(zip(PARTS, many, strict=True))).plot(ax)
    shown.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in shown.ax_.get_xticklabels()]
    assert all(box.x1 < other.x0 for box, other in pairwise(boxes))
    shown = EffectDisplay(
        feature_names=["a"], values=[values], effects=[[0.1]], observed=[values]
    )
    with pytest.raises(ValueError, match="the effect of 'a' has shape"):
        shown.plot()


def test_features_made_of_several_columns(iris):
    X, y = iris
    both = make_column_transformer((PCA(2), [0, 1, 2]), ("passthrough", [3]))
    model = make_pipeline(both, small()).fit(X, y)
    shown = EffectDisplay.from_estimator(model, X)
    assert shown.feature_names == ["x3"]
    assert shown.note == "without features made of several columns"
    with pytest.raises(ValueError, match="is a column of X by itself"):
        EffectDisplay.from_estimator(make_pipeline(PCA(2), small()).fit(X, y), X)


def test_classes(iris):
    X, y = iris
    search = GridSearchCV(small(), {"max_iter": [9]}, cv=2)
    binary = search.fit(X[y > 0], y[y > 0])
    shown = EffectDisplay.from_estimator(binary, X, features=[3])
    assert shown.effect_name == "mean P(2)" and shown.output_names is None
    other = EffectDisplay.from_estimator(binary, X, features=[3], target=1)
    assert_allclose(shown.effects[0] + other.effects[0], 1.0)

    many = LogisticRegression().fit(X, np.arange(len(X)) % 9)
    shown = EffectDisplay.from_estimator(many, X, features=[0, 3])
    assert len(shown.output_names) == 7 and shown.note.startswith("7 of 9 classes")
    one = [
        EffectDisplay.from_estimator(many, X, features=[0, 3], target=label).effects
        for label in range(9)
    ]
    ranges = [max(np.ptp(effect) for effect in effects) for effects in one]
    largest = np.sort(np.argsort(ranges)[-7:])
    assert shown.output_names == [str(label) for label in largest]


def test_the_same_warning_comes_once(iris):
    pd = pytest.importorskip("pandas")
    X, y = iris
    model = small().fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.warns(UserWarning, match="valid feature names") as caught:
        shown = EffectDisplay.from_estimator(model, X, features=["c"])
    assert len(caught) == 1 and shown.feature_names == ["c"]

    # labels that are numbers are no positions
    frame = pd.DataFrame(X, columns=[1, 2, 3, 0])
    model = small().fit(frame, y)
    shown = EffectDisplay.from_estimator(model, frame, max_features=1)
    best = int(np.argmax(model.feature_importances_))
    assert shown.feature_names == [str(frame.columns[best])]


def test_rows_are_drawn_with_a_fixed_seed(fitted, iris):
    X = np.tile(iris[0], (5, 1))
    for max_samples, n_rows in (500, 500), (20, 20), (1000, 750):
        shown, again = (
            EffectDisplay.from_estimator(
                fitted, X, features=[1], max_samples=max_samples
            )
            for _ in range(2)
        )
        assert len(shown.observed[0]) == n_rows
        assert_array_equal(shown.effects, again.effects)


def test_what_cannot_be_drawn(fitted, fitted_regressor, iris, diabetes):
    X, y = iris
    svc = SVC().fit(X, y)
    gap = X.copy()
    gap[:, 1] = np.nan
    numbers = fitted_regressor, diabetes[0]
    twice = {"features": ["a"], "feature_names": list("aabc")}
    for error, model, rows, options, match in (
        (ValueError, fitted, X, {"features": ["age"]}, "has 'age', which is no column"),
        (ValueError, fitted, X, {"features": [4]}, r"its 4 columns are \['x0', "),
        (ValueError, fitted, X, {"features": [True]}, "has True, which is no column"),
        (ValueError, fitted, X, twice, "'a', the name of 2 columns of X; give their"),
        (ValueError, fitted, X, {"features": "x0"}, "must be a sequence of columns"),
        (ValueError, fitted, X, {"features": []}, "must be a sequence of columns"),
        (ValueError, fitted, X, {"target": "rose"}, "target='rose' is no class"),
        (ValueError, *numbers, {"target": 1}, "is for classifiers"),
        (ValueError, fitted, X, {"max_features": 0}, "max_features=0 must be"),
        (ValueError, fitted, X, {"feature_names": ["a"]}, "has 1 names, and X has 4"),
        (ValueError, fitted, gap, {"features": [1]}, "'x1' has no value in the 150"),
        (TypeError, svc, X, {"features": [0]}, "needs a model with predict_"),
        (TypeError, svc, X, {}, "needs a ChaosCausalPrunedMLP"),
    ):
        with pytest.raises(error, match=match):
            EffectDisplay.from_estimator(model, rows, **options)
