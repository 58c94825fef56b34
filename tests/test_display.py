"""What is drawn, from arrays and from fits; that it fits on its axes."""

import pickle
import re
import sys
from inspect import signature

import numpy as np
import pytest
from matplotlib.text import Text
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import Bunch

import skchaosprune
from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    display,
)
from skchaosprune._text import width_of
from skchaosprune.criteria import ChaosCausality
from skchaosprune.display import (
    CausalityDisplay,
    EffectDisplay,
    ImportanceDisplay,
    LyapunovDisplay,
    NetworkDisplay,
    PruningCurveDisplay,
)
from skchaosprune.display._axes import label_ticks
from tests.helpers import small

pytestmark = pytest.mark.usefixtures("pyplot")
OF_FITTED = [LyapunovDisplay, CausalityDisplay, NetworkDisplay, ImportanceDisplay]
OF_PANELS = [LyapunovDisplay, CausalityDisplay, EffectDisplay]  # two of them, of arrays
WITH_NAMES = [
    kind
    for kind in OF_FITTED
    if "feature_names" in signature(kind.from_estimator).parameters
]
ALL = [*OF_FITTED, EffectDisplay, PruningCurveDisplay]
LAYER_SIZES = [(64, 32, 10), (5, 1), (6, 4, 3, 2)]
PATH = Bunch(
    ratios=np.array([0.0, 0.5, 0.9]),
    sparsities=np.array([[0.0, 0.0], [0.5, 0.52], [0.9, 0.88]]),
    scores=np.array([[0.9, 1.0], [0.8, 0.9], [0.5, 0.7]]),
)


def make_matrices(layer_sizes, seed=0):
    rng = np.random.default_rng(seed)
    shapes = zip(layer_sizes[:-1], layer_sizes[1:], strict=True)
    return [rng.normal(size=shape) for shape in shapes]


def make_display(kind, layer_sizes=(4, 6, 3)):
    """Make a display of arrays."""
    rng = np.random.default_rng(0)
    weights = make_matrices(layer_sizes)
    n_weights = sum(W.size for W in weights)
    if kind is LyapunovDisplay:
        return kind(
            lyapunov_exponents=rng.normal(size=(20, n_weights)),
            target_series=rng.random(20),
        )
    if kind is CausalityDisplay:
        return kind(p_values=[rng.random(W.shape) for W in weights])
    if kind is NetworkDisplay:
        return kind(coefs=weights, masks=[W > 0.5 for W in weights])
    if kind is ImportanceDisplay:
        return kind(
            importances=rng.dirichlet(np.ones(layer_sizes[0])),
            dense_importances=rng.dirichlet(np.ones(layer_sizes[0])),
        )
    if kind is EffectDisplay:
        return kind(
            feature_names=["x0", "x1"],
            values=[np.arange(5.0), np.array(["a", "b"], dtype=object)],
            effects=[rng.random((3, 5)), rng.random((3, 2))],
            observed=[rng.normal(2.0, size=50), ["a", "b", "a"]],
            output_names=["p", "q", "r"],
        )
    return kind(sparsities=PATH.sparsities, scores=PATH.scores)


class Own(ChaosCausality):
    """A criterion that is not one of the registry."""


def fit_quickly(data, criterion, **changes):
    options = {"prune_criterion": criterion, "activation": "tanh"}
    return small(**options | changes).fit(*data)


def texts(labels):
    return [label.get_text() for label in labels]


def assert_below_each_other(boxes):
    for above, below in zip(boxes[:-1], boxes[1:], strict=True):
        assert above.y0 >= below.y1 - 1.0  # descenders may touch


def as_if_fitted(model, **attributes):
    """Copy a fitted estimator and replace what it learned."""
    model = pickle.loads(pickle.dumps(model))
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def test_every_display_is_in_the_lists():
    names = {kind.__name__ for kind in ALL}
    assert names == set(display.__all__) <= set(skchaosprune.__all__)


class TestContract:
    """What holds for every display."""

    @pytest.mark.parametrize("kind", ALL)
    def test_plot(self, kind, pyplot):
        for layer_sizes in LAYER_SIZES:
            shown = make_display(kind, layer_sizes)
            given = dict(vars(shown))
            assert not any(name.endswith("_") for name in given)

            assert shown.plot() is shown

            assert isinstance(shown.ax_, pyplot.Axes)
            assert shown.ax_ in shown.figure_.axes
            assert pyplot.get_fignums()[-1] == shown.figure_.number
            for name, value in given.items():
                assert getattr(shown, name) is value
        assert len(pyplot.get_fignums()) == len(LAYER_SIZES)

    @pytest.mark.parametrize("layout", [None, "constrained"])
    def test_given_axes(self, layout, pyplot):
        for kind in ALL:
            figure, (ax, other) = pyplot.subplots(1, 2, figsize=(12, 5), layout=layout)

            shown = make_display(kind).plot(ax)

            figure.canvas.draw()
            assert shown.figure_ is figure
            assert not other.has_data()
            if kind in OF_PANELS:
                assert not ax.axison
                assert shown.ax_.get_position().x1 < 0.5
            else:
                assert shown.ax_ is ax
        assert len(pyplot.get_fignums()) == len(ALL)

    def test_array_of_axes(self, pyplot):
        for kind in OF_PANELS:
            figure, axes = pyplot.subplots(1, 2)

            shown = make_display(kind).plot(axes)

            assert shown.ax_ is axes[0]
            assert shown.figure_ is figure
            assert axes[1].has_data()

    def test_axes_without_room(self, pyplot):
        for kind in OF_PANELS:
            figure, axes = pyplot.subplots(1, 3)
            with pytest.raises(ValueError, match="ax has 3 axes, and 2 are needed"):
                make_display(kind).plot(axes)
            make_display(kind).plot(axes[0])
            with pytest.raises(ValueError, match="switched off by an earlier plot"):
                make_display(kind).plot(axes[0])
            with pytest.raises(ValueError, match="an array of"):
                make_display(kind).plot(figure.add_axes((0.1, 0.1, 0.8, 0.8)))

    @pytest.mark.parametrize("kind", OF_FITTED)
    def test_from_estimator(self, kind, fitted, fitted_regressor, pyplot):
        figure, ax = pyplot.subplots()
        assert isinstance(kind.from_estimator(fitted, ax=ax), kind)
        assert kind.from_estimator(fitted_regressor).figure_ is not figure
        assert len(ax.figure.axes) > 1 or ax.has_data()

    @pytest.mark.parametrize("kind", OF_FITTED)
    def test_estimators_that_have_nothing_to_draw(self, kind, fitted):
        for estimator in (
            ChaosCausalPrunedMLP(),
            ChaosCausalPrunedMLPRegressor(),
            make_pipeline(StandardScaler(), ChaosCausalPrunedMLP()),
            GridSearchCV(fitted, {}),
        ):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                kind.from_estimator(estimator)
        for estimator in (
            ChaosCausalPrunedMLP,
            LogisticRegression(),
            make_pipeline(StandardScaler(), LogisticRegression()),
        ):
            with pytest.raises(TypeError, match="needs a ChaosCausalPrunedMLP or"):
                kind.from_estimator(estimator)

    def test_pickles_name_the_public_home(self):
        for kind in ALL:
            shown = make_display(kind)
            content = pickle.dumps(shown)
            assert b"display._" not in content
            assert vars(pickle.loads(content)).keys() == vars(shown).keys()

    def test_without_matplotlib(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
        for kind in ALL:
            with pytest.raises(ImportError, match=r"pip install skchaosprune\[plots\]"):
                make_display(kind).plot()


class TestFeatureNames:
    def test_of_a_frame(self, iris):
        pd = pytest.importorskip("pandas")
        X, y = iris
        names = ["sepal length", "sepal width", "petal length", "petal width"]
        model = small(max_iter=2).fit(pd.DataFrame(X, columns=names), y)
        shown = NetworkDisplay.from_estimator(model, input_order="given")
        assert texts(shown.input_texts_) == names

        pipeline = make_pipeline(StandardScaler(), clone(model))
        pipeline.fit(pd.DataFrame(X, columns=names), y)
        assert not hasattr(pipeline[-1], "feature_names_in_")
        shown = NetworkDisplay.from_estimator(pipeline, input_order="given")
        assert texts(shown.input_texts_) == names

    def test_of_an_array(self, fitted, iris):
        names = ["x0", "x1", "x2", "x3"]
        for estimator in (
            fitted,
            Pipeline([("model", fitted)]),
            make_pipeline(StandardScaler().fit(iris[0]), fitted),
            make_pipeline(FunctionTransformer(), fitted),  # knows no names
        ):
            shown = NetworkDisplay.from_estimator(estimator, input_order="given")
            assert texts(shown.input_texts_) == names
            assert texts(shown.output_texts_) == ["0", "1", "2"]

    def test_of_new_features(self, fitted, iris):
        pipeline = make_pipeline(PCA().fit(iris[0]), fitted)
        shown = ImportanceDisplay.from_estimator(pipeline)
        assert shown.feature_names == ["pca0", "pca1", "pca2", "pca3"]

    def test_given(self, fitted):
        names = ["a", "$b_$c", "_d", "long" * 20]
        for kind in WITH_NAMES:
            shown = kind.from_estimator(fitted, feature_names=names)
            if kind is ImportanceDisplay:
                assert list(shown.feature_names) == names
            else:
                assert shown.unit_names[0] == names
            shown.figure_.canvas.draw()  # no formula in a name stops it
            with pytest.raises(ValueError, match="has 2 names, and the estimator was"):
                kind.from_estimator(fitted, feature_names=["a", "b"])

    def test_long_names_lose_their_middle(self, fitted):
        names = ["a", "b", "c", "a name that is far too long for a label, number 7"]
        shown = NetworkDisplay.from_estimator(
            fitted, feature_names=names, input_order="given"
        )
        (*_, long) = texts(shown.input_texts_)
        assert len(long) == 24
        assert long.startswith("a name") and long.endswith("number 7") and "..." in long

    @pytest.mark.filterwarnings("ignore:Glyph")  # of fonts without Chinese letters
    def test_wide_names_take_no_more_columns_than_narrow_ones(self, fitted):
        names = ["\u8eab\u9577" * 100, "\x1b[31m", "a\u202eb", "\ud800"]
        for kind in WITH_NAMES:
            options = {"weights": range(0, 24, 6)} if kind is LyapunovDisplay else {}
            shown = kind.from_estimator(fitted, feature_names=names, **options)
            drawn = " ".join(text.get_text() for text in shown.figure_.findobj(Text))
            wide = re.findall("\\S*\u8eab\\S*", drawn)
            assert wide and all(width_of(name) <= 24 for name in wide)
            assert r"\x1b[31m" in drawn and r"\u202e" in drawn and r"\ud800" in drawn

    @pytest.mark.filterwarnings("ignore:Glyph")
    def test_labels_stand_upright_where_their_letters_are_wide(self, pyplot):
        for letter, rotation in ("a", 0.0), ("\u8eab", 90.0):
            _, ax = pyplot.subplots(figsize=(6, 4))
            label_ticks(ax.xaxis, [letter * 8] * 4)
            assert {text.get_rotation() for text in ax.get_xticklabels()} == {rotation}


def test_texts_fit_into_a_small_figure(pyplot):
    for kind in ALL:
        shown = make_display(kind, (4, 6, 3))
        names = [f"the very long name of {place}" for place in range(4)]
        if kind is ImportanceDisplay:
            shown.feature_names = names
        elif kind is NetworkDisplay:
            shown.unit_names = [names, list("abcdef"), list("xyz")]
        with pyplot.rc_context({"font.size": 12}):
            _, ax = pyplot.subplots(figsize=(4, 3), layout="constrained")
            figure = shown.plot(ax).figure_
        figure.canvas.draw()
        legends = [ax.get_legend() for ax in figure.axes]
        for legend in filter(None, legends):
            box = legend.get_window_extent()
            assert box.x0 >= -1.0 and box.x1 <= figure.bbox.x1 + 1.0
        drawn = [ax for ax in figure.axes if ax.axison]
        labels = [part.label for ax in drawn for part in (ax.xaxis, ax.yaxis)]
        titles = [ax.title for ax in drawn]
        boxes = [text.get_window_extent() for text in labels + titles]
        boxes = [box for box in boxes if box.width > 0.0]
        for place, box in enumerate(boxes):
            assert box.x0 >= -1.0 and box.x1 <= figure.bbox.x1 + 1.0
            assert box.y0 >= -1.0 and box.y1 <= figure.bbox.y1 + 1.0
            assert not any(box.overlaps(other) for other in boxes[:place])
        columns = [text.get_window_extent() for text in shown.ax_.get_xticklabels()]
        for left, right in zip(columns[:-1], columns[1:], strict=True):
            assert left.x1 <= right.x0 or left.x0 >= right.x1


def test_a_title_of_the_users_meets_no_legend(fitted):
    for kind in OF_FITTED:
        shown = kind.from_estimator(fitted)
        shown.ax_.set_title("My own title")
        shown.figure_.canvas.draw()
        title = shown.ax_.title.get_window_extent()
        legend = shown.ax_.get_legend()
        assert legend is None or not title.overlaps(legend.get_window_extent())
