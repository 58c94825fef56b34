"""What the maps of the p-values show."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose, assert_array_equal

from skchaosprune._network.mlp import split_layers
from skchaosprune.criteria import ChaosCausality
from skchaosprune.display import CausalityDisplay
from tests.test_display import (
    Own,
    as_if_fitted,
    assert_below_each_other,
    fit_quickly,
    make_display,
    texts,
)

pytestmark = pytest.mark.usefixtures("pyplot")


def test_maps(fitted):
    shown = CausalityDisplay.from_estimator(fitted)
    p_values = split_layers(fitted.p_values_, (4, 6, 3))
    for image, p in zip(shown.images_, p_values, strict=True):
        shares = 10.0 ** -image.get_array().filled(np.nan)
        assert_allclose(shares, np.maximum(p, 1e-10), rtol=1e-6)
    assert texts(shown.axes_[0].get_yticklabels()) == ["x0", "x1", "x2", "x3"]
    assert texts(shown.axes_[1].get_xticklabels()) == ["0", "1", "2"]
    assert shown.axes_[0].get_xlabel() == shown.axes_[1].get_ylabel() == "hidden 1"


def test_evidence_is_loud_on_any_page(pyplot):
    p = np.array([[0.0, 0.0499, 0.05, 0.0501, 1.0]])
    for page in ("default", "dark_background", "ggplot"):
        with pyplot.style.context(page):
            shown = CausalityDisplay(p_values=[p]).plot()
            assert not any(line.get_visible() for line in shown.ax_.get_xgridlines())
            ground = to_rgb(pyplot.rcParams["axes.facecolor"])
            (image,) = shown.images_
            colors = image.to_rgba(image.get_array())[0, :, :3]
            contrasts = np.abs(colors - ground).mean(axis=1)
            assert contrasts[0] > contrasts[1] > 0.3
            assert 0.2 > contrasts[2] == contrasts[3] > contrasts[4] == 0.0
    shown.plot(cmap="cividis_r")
    light = shown.images_[0].to_rgba(shown.images_[0].get_array())[0, :, :3]
    assert light[:2].mean(axis=1).max() < light[2:].mean(axis=1).min() - 0.15


def test_dots_mark_what_is_kept(fitted, pyplot):
    shown = CausalityDisplay.from_estimator(fitted)
    for dots, mask in zip(shown.dots_, fitted.masks_, strict=True):
        assert_array_equal(dots.get_offsets(), np.argwhere(mask)[:, ::-1])
    (label,) = texts(shown.colorbar_.ax.get_legend().get_texts())
    assert label == "21 of\n42 kept"

    p = np.array([[1e-12, 0.9, np.nan, 0.3]])
    mask = np.array([[True, True, True, False]])
    for page, cmap, are_light in (
        ("default", None, [True, False, False]),
        ("dark_background", None, [False, True, True]),
        ("dark_background", "cividis_r", [True, False, True]),
    ):
        with pyplot.style.context(page):
            shown = CausalityDisplay(p_values=[p], masks=[mask]).plot(cmap=cmap)
        assert_array_equal(shown.dots_[0].get_facecolors()[:, 0] > 0.5, are_light)


def test_dots_fit_into_their_cells(pyplot):
    for n_inputs in (4, 30, 64, 784):
        p = np.full((n_inputs, 10), 0.5)
        shown = CausalityDisplay(p_values=[p], masks=[p > 0.0]).plot()
        shown.figure_.canvas.draw()
        height = shown.ax_.bbox.height / n_inputs * 72.0 / shown.figure_.dpi
        diameter = np.sqrt(shown.dots_[0].get_sizes()[0])
        assert diameter <= min(4.0, 0.6 * height)
        is_large = n_inputs < 784
        assert shown.dots_[0].get_visible() == is_large
        (note,) = texts(shown.colorbar_.ax.get_legend().get_texts())
        assert ("too fine" in note) != is_large
        # rows thinner than a point are averaged: each is seen
        assert (shown.images_[0].get_interpolation() == "nearest") == is_large


def test_level_is_on_the_bar(fitted, iris):
    assert CausalityDisplay.from_estimator(fitted).significance_level == 0.05
    for kind in (ChaosCausality, Own):
        criterion = kind(window_size=10, significance_level=0.3)
        model = fit_quickly(iris, criterion)
        assert CausalityDisplay.from_estimator(model).significance_level == 0.3

    shown = CausalityDisplay.from_estimator(fitted, significance_level=0.3)
    assert shown.significance_level == 0.3
    for level in (0.5, 0.05, 1e-4):
        p_values = [np.array([[1e-5, 0.01, 0.7]])]
        shown = CausalityDisplay(p_values=p_values, significance_level=level).plot()
        bar, place = shown.colorbar_, -np.log10(level)
        labels = texts(bar.ax.get_yticklabels())
        labels = dict(zip(bar.get_ticks(), labels, strict=True))
        assert labels[place] == f"{level:g} (level)"
        lines = [line.get_ydata() for line in bar.ax.get_lines()]
        assert any(np.allclose(line, place) for line in lines)
        assert bar.norm(place) == 0.5
    for level in (0.0, 1.0, 2, np.nan):
        shown = CausalityDisplay(p_values=[], significance_level=level)
        with pytest.raises(ValueError, match=f"l={level} must be a number in"):
            shown.plot()


def test_labels_are_legible(pyplot):
    for figsize in (None, (5, 3)):
        shown, ax = make_display(CausalityDisplay, (30, 16, 8, 3)), None
        if figsize is not None:
            _, ax = pyplot.subplots(figsize=figsize, layout="constrained")
        shown.plot(ax).figure_.canvas.draw()
        for panel in shown.axes_:
            boxes = [label.get_window_extent() for label in panel.get_xticklabels()]
            for left, right in zip(boxes[:-1], boxes[1:], strict=True):
                assert left.x1 <= right.x0 + 1.0
            assert_below_each_other(
                [label.get_window_extent() for label in panel.get_yticklabels()]
            )

    shown = make_display(CausalityDisplay, (784, 64, 10)).plot()
    labels = texts(shown.ax_.get_yticklabels())
    assert labels == [f"x{unit}" for unit in range(0, 784, 10)]
    assert shown.ax_.get_ylabel() == "inputs (784)"
    assert shown.axes_[1].get_xlabel() == "outputs"

    figure, ax = pyplot.subplots(figsize=(8, 5))
    shown = make_display(CausalityDisplay).plot(ax)
    figure.tight_layout()  # the bar of the colours moves with the maps
    bar = shown.colorbar_.ax.get_position()
    assert all(panel.get_position().x1 < bar.x0 for panel in shown.axes_)


def test_untested():
    p = np.array([[0.01, np.nan], [np.nan, 0.5]])
    shown = CausalityDisplay(p_values=[p]).plot()
    (image,) = shown.images_
    assert_array_equal(np.ma.getmaskarray(image.get_array()), np.isnan(p))
    assert image.cmap.get_bad()[3] == 0.0  # the hatched ground is seen
    assert shown.ax_.patch.get_hatch()
    (patch,) = shown.colorbar_.ax.get_legend().get_patches()
    assert patch.get_hatch() == shown.ax_.patch.get_hatch()
    assert texts(shown.colorbar_.ax.get_legend().get_texts()) == ["2 not tested"]

    shown = CausalityDisplay(p_values=[np.full((3, 2), np.nan)]).plot()
    assert texts(shown.colorbar_.ax.get_legend().get_texts()) == ["6 not tested"]
    shown = make_display(CausalityDisplay).plot()
    assert shown.colorbar_.ax.get_legend() is None and shown.dots_ == []


def test_what_cannot_be_drawn(fitted):
    model = as_if_fitted(fitted, p_values_=None, prune_criterion="magnitude")
    with pytest.raises(ValueError, match="p_values_ is None.*'magnitude' tests"):
        CausalityDisplay.from_estimator(model)
    for p, mask, match in (
        ([[0.1, 1.5]], None, r"p_values\[0\] must be a matrix .* got array"),
        ([0.1], None, r"p_values\[0\] must be a matrix"),
        ([[0.1, 0.5]], [[True]], r"masks\[0\] has shape \(1, 1\); it must have \(1, 2"),
    ):
        masks = None if mask is None else [mask]
        with pytest.raises(ValueError, match=match):
            CausalityDisplay(p_values=[p], masks=masks).plot()
