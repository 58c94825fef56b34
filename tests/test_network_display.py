"""Which units and weights the picture of a network shows, and in which order."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from numpy.testing import assert_allclose, assert_array_equal

from skchaosprune.criteria import ChaosCausality
from skchaosprune.display import CausalityDisplay, LyapunovDisplay, NetworkDisplay
from skchaosprune.display._axes import SMALLEST_FONT
from skchaosprune.display._colors import BLUE, GREY, SIGNS, VERMILION
from skchaosprune.display._ordering import count_crossings, order_units
from tests import naive
from tests.test_display import (
    assert_below_each_other,
    fit_quickly,
    make_display,
    make_matrices,
    texts,
)

pytestmark = pytest.mark.usefixtures("pyplot")

# x1 has no weight; h1_1 has an input and no output, h1_2 the reverse
DEAD_ENDS = [
    np.array([[True, True, False], [False, False, False]]),
    np.array([[True, False], [False, False], [False, True]]),
]


def draw(masks, coefs=None, **options):
    if coefs is None:
        coefs = [np.ones(mask.shape) for mask in masks]
    return NetworkDisplay(coefs=coefs, masks=masks).plot(**options)


def count_segments(shown):
    return [len(lines.get_segments()) for lines in shown.lines_]


def test_segments_join_their_units(pyplot):
    coefs = [
        np.array([[0.0, -2.0], [0.0, 0.0], [1.0, 0.0]]),
        np.array([[3.0], [1.0]]),
    ]
    masks = [W != 0.0 for W in coefs]
    shown = draw(masks, coefs)

    assert_array_equal(shown.unit_order_[0], [0, 2])
    assert_array_equal(shown.unit_order_[1], [1, 0])  # x0 leads to h1_1
    places = [units.get_offsets() for units in shown.units_]
    small, large = shown.lines_[0].get_segments()  # the larger one is drawn last
    assert_allclose(small, [places[0][1], places[1][1]])
    assert_allclose(large, [places[0][0], places[1][0]])
    blue, orange = shown.lines_[0].get_colors()
    assert_allclose(blue[:3], to_rgba(BLUE)[:3])
    assert_allclose(orange[:3], to_rgba(VERMILION)[:3])
    assert blue[3] < orange[3]
    thin, thick = shown.lines_[0].get_linewidths()
    assert thin < thick == max(shown.lines_[1].get_linewidths())
    assert texts(shown.ax_.get_legend().get_texts()) == ["positive", "negative"]

    with pyplot.style.context(["dark_background", {"axes.grid": True}]):
        shown = draw(masks, coefs)
    assert not any(line.get_visible() for line in shown.ax_.get_xgridlines())
    assert shown.units_[0].get_facecolors()[:, :3].min() > 0.8
    colors = [to_rgba(color)[:3] for color in SIGNS[False]]
    assert_allclose(shown.lines_[0].get_colors()[:, :3], colors)


def test_unused_units_are_not_drawn():
    shown = draw(DEAD_ENDS)
    assert [part.tolist() for part in shown.unit_order_] == [[0], [0], [0, 1]]
    assert [len(units.get_offsets()) for units in shown.units_] == [1, 1, 2]
    assert count_segments(shown) == [1, 1]
    assert texts(shown.input_texts_) == ["x0"]
    assert texts(shown.output_texts_) == ["y0", "y1"]  # an answer in any case
    assert shown.output_texts_[1].get_alpha() < shown.output_texts_[0].get_alpha()
    assert shown.ax_.get_title() == (
        "4 of 12 weights kept, 2 of them on no path\n"
        "1 unused input and 2 unused units not drawn"
    )
    assert texts(shown.ax_.get_xticklabels()) == [
        "inputs\n1 of 2 used",
        "hidden 1\n1 of 3 alive",
        "outputs\n1 of 2 reached",
    ]

    with pytest.raises(ValueError, match=r"masks\[0\] has shape \(2, 2\); it must"):
        draw([np.ones((2, 2), dtype=bool)], [np.ones((3, 2))])
    nothing = draw([np.zeros((3, 4), dtype=bool), np.zeros((4, 2), dtype=bool)])
    assert [len(units.get_offsets()) for units in nothing.units_] == [0, 0, 2]
    assert nothing.ax_.get_title().startswith("0 of 20 weights kept\n3 unused inputs")


def test_unused_units_on_request_are_grey_and_hollow():
    shown = draw(DEAD_ENDS, show_unused=True, input_order="given")
    alive = [[True, False], [True, False, False], [True, False]]
    hollow = to_rgba("white")
    for units, order, flags in zip(shown.units_, shown.unit_order_, alive, strict=True):
        faces = [tuple(face) != hollow for face in units.get_facecolors()]
        assert faces == [flags[unit] for unit in order]
    assert [text.get_alpha() == 1.0 for text in shown.input_texts_] == alive[0]
    grey = to_rgba(GREY)[:3]
    colors = np.concatenate([lines.get_colors() for lines in shown.lines_])
    assert sum(np.allclose(color[:3], grey) for color in colors) == 2
    assert shown.ax_.get_title() == "4 of 12 weights kept, 2 of them on no path"
    assert "on no path" in texts(shown.ax_.get_legend().get_texts())


def test_strongest_units():
    coefs = make_matrices((5, 300, 2))
    coefs[0][:, [7, 250]] += 100.0
    masks = [np.ones(W.shape, dtype=bool) for W in coefs]
    masks[0][0, 7] = False
    shown = draw(masks, coefs, max_units=2)

    assert [len(units.get_offsets()) for units in shown.units_] == [2, 2, 2]
    assert texts(shown.ax_.get_xticklabels()) == [
        "inputs\n5 of 5 used\n3 weaker not drawn",
        "hidden 1\n300 of 300 alive\n298 weaker not drawn",
        "outputs\n2 of 2 reached",
    ]
    assert count_segments(shown) == [4, 4]
    assert shown.ax_.get_title().endswith("\n8 of 2,099 drawn")
    assert "x0" not in texts(shown.input_texts_)  # the weight it lost was large


def test_strongest_edges():
    coefs = make_matrices((12, 20, 4))
    masks = [np.ones(W.shape, dtype=bool) for W in coefs]
    shown = draw(masks, coefs, max_edges=100)
    assert sum(count_segments(shown)) == 100
    assert shown.ax_.get_title().endswith("\nthe strongest 100 of 320 drawn")
    for W, lines, ends in zip(
        coefs, shown.lines_, pairwise(shown.unit_order_), strict=True
    ):
        drawn = np.zeros(W.shape, dtype=bool)
        for (_, start), (_, end) in lines.get_segments():
            places = [
                round((1.0 - y) * len(u) - 0.5)
                for y, u in zip((start, end), ends, strict=True)
            ]
            drawn[ends[0][places[0]], ends[1][places[1]]] = True
        sizes = np.abs(W)
        first = (sizes == sizes.max(axis=1, keepdims=True)) | (sizes == sizes.max(0))
        assert drawn[first].all()  # every unit has its strongest, on either side
        if (drawn & ~first).any():
            assert sizes[drawn & ~first].min() > sizes[~drawn].max()

    shown = draw(masks, coefs, max_edges=1)
    assert sum(count_segments(shown)) == 1
    assert "34 units with no weight drawn" in shown.ax_.get_title().replace("\n", " ")


def test_fewer_edges_cross():
    rng = np.random.default_rng(0)
    for sizes in ((6, 9, 4), (64, 32, 10), (5, 8, 7, 1), (3, 2)):
        edges = [rng.random(shape) < 0.2 for shape in pairwise(sizes)]
        before = sum(map(naive.count_crossings, edges))
        assert before == sum(map(count_crossings, edges))
        for fixed in (set(), {len(edges)}, {0, len(edges)}):
            orders = order_units(edges, fixed)
            for layer, (order, size) in enumerate(zip(orders, sizes, strict=True)):
                assert_array_equal(np.sort(order), np.arange(size))
                assert layer not in fixed or (order == np.arange(size)).all()
            after = sum(
                naive.count_crossings(part[np.ix_(*ends)])
                for part, ends in zip(edges, pairwise(orders), strict=True)
            )
            assert after <= before
    tangle = [np.eye(7, dtype=bool)[::-1], np.eye(7, dtype=bool)[rng.permutation(7)]]
    orders = order_units(tangle, {2})
    untangled = [tangle[i][orders[i]][:, orders[i + 1]] for i in (0, 1)]
    assert sum(map(count_crossings, untangled)) == 0


def test_from_estimator(fitted):
    shown = {
        order: NetworkDisplay.from_estimator(fitted, input_order=order)
        for order in ("barycentre", "importance", "given")
    }
    used = np.flatnonzero(fitted.masks_[0].any(axis=1))
    ranked = used[np.argsort(-fitted.feature_importances_[used])]
    assert_array_equal(shown["importance"].unit_order_[0], ranked)
    assert_array_equal(shown["given"].unit_order_[0], used)
    assert texts(shown["importance"].input_texts_) == [f"x{unit}" for unit in ranked]
    for one in shown.values():
        assert count_segments(one) == [mask.sum() for mask in fitted.masks_]
        assert "21 of 42 weights kept" in one.ax_.get_title()
        assert texts(one.output_texts_) == ["0", "1", "2"]  # the order of the classes


def test_name_of_the_target(fitted, fitted_regressor):
    shown = NetworkDisplay.from_estimator(fitted_regressor)
    assert len(shown.output_texts_) == 1
    shown = NetworkDisplay.from_estimator(fitted_regressor, target_name="price_$")
    assert texts(shown.output_texts_) == [r"price_\$"]
    with pytest.raises(ValueError, match="target_name='price' names the output of a"):
        NetworkDisplay.from_estimator(fitted, target_name="price")


def test_labels_shrink_and_thin_out(pyplot):
    sizes = {}
    for n_features in (4, 64):
        shown = make_display(NetworkDisplay, (n_features, 3)).plot(show_unused=True)
        assert len(shown.input_texts_) == n_features
        sizes[n_features] = shown.input_texts_[0].get_fontsize()
    assert SMALLEST_FONT <= sizes[64] < sizes[4]
    _, ax = pyplot.subplots(figsize=(3, 2))
    weights = np.linspace(1.0, 2.0, 64)[:, np.newaxis]
    shown = draw([weights > 0.0], [weights], ax=ax, input_order="given")
    assert 1 < len(shown.input_texts_) < 32
    assert shown.input_texts_[-1].get_text() == "x63"  # the strongest has a name


def test_texts_do_not_overlap(pyplot):
    for n_features, figsize in ((4, None), (64, None), (64, (4, 3))):
        ax = None
        if figsize is not None:
            _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
        shown = make_display(NetworkDisplay, (n_features, 8, 10)).plot(ax)
        shown.figure_.canvas.draw()
        for names in (shown.input_texts_, shown.output_texts_):
            boxes = [text.get_window_extent() for text in names]
            assert_below_each_other(boxes)
            assert min(box.x0 for box in boxes) >= 0.0
        labels = [text.get_window_extent() for text in shown.ax_.get_xticklabels()]
        for left, right in zip(labels[:-1], labels[1:], strict=True):
            assert left.x1 < right.x0


def test_no_layer_but_the_output(iris):
    criterion = ChaosCausality(window_size=10)
    model = fit_quickly(iris, criterion, hidden_layer_sizes=())
    assert len(NetworkDisplay.from_estimator(model).lines_) == 1
    assert len(CausalityDisplay.from_estimator(model).axes_) == 1
    assert len(LyapunovDisplay.from_estimator(model, by_layer=True).lines_) == 1


def test_bad_options():
    for options, match in (
        ({"max_units": 0}, "max_units=0 must be an int in"),
        ({"max_edges": 0.5}, "max_edges=0.5 must be an int in"),
        ({"input_order": "size"}, "input_order='size' is not known; use one of"),
        ({"input_order": "importance"}, "needs importances, and there are none"),
        ({"show_unused": 1}, "show_unused=1 must be True or False"),
    ):
        with pytest.raises((TypeError, ValueError), match=match):
            make_display(NetworkDisplay).plot(**options)
