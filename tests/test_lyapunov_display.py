"""What the display of the exponents draws."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.testing import assert_allclose, assert_array_equal

from skchaosprune.criteria import ChaosCausality
from skchaosprune.display import LyapunovDisplay
from tests.test_display import Own, as_if_fitted, fit_quickly, make_display, texts

pytestmark = pytest.mark.usefixtures("pyplot")


def test_lines(fitted):
    shown = LyapunovDisplay.from_estimator(fitted, weights=[3, 25])

    exponents = fitted.lyapunov_exponents_
    (line,) = shown.lines_
    assert_allclose(line.get_ydata(), np.median(exponents, axis=1), rtol=1e-6)
    assert_array_equal(line.get_xdata(), np.arange(1, fitted.n_windows_ + 1))
    for weight, line in zip([3, 25], shown.weight_lines_, strict=True):
        assert_array_equal(line.get_ydata(), exponents[:, weight])
    assert_array_equal(shown.target_line_.get_ydata(), fitted.target_series_)
    assert shown.target_ax_.get_ylabel() == "misclassification"
    assert "nats per record" in shown.ax_.get_ylabel()
    assert texts(shown.ax_.get_legend().get_texts()) == [
        "median and 5-95 % of 42 weights",
        "placebo: the same, shuffled in time",
        "3: x0 -> h1_3",
        "25: h1_0 -> 1",
    ]


def span(band):
    heights = band.get_paths()[0].vertices[:, 1]
    return [heights.min(), heights.max()]


def test_bands(pyplot):
    exponents = np.tile(np.linspace(-1.0, 1.0, 101), (8, 1))
    given = {"lyapunov_exponents": exponents, "target_series": np.arange(8.0)}
    shown = LyapunovDisplay(**given).plot()
    assert_allclose(span(shown.bands_[0]), [-0.9, 0.9])
    assert shown.placebo_bands_ == [] and shown.ax_.get_title() == ""

    shown = LyapunovDisplay(**given, placebo_exponents=exponents / 2.0).plot()
    assert_allclose(span(shown.placebo_bands_[0]), [-0.45, 0.45])
    assert shown.ax_.get_title().startswith("Where blue and grey differ")
    with pyplot.style.context("dark_background"):
        shown = LyapunovDisplay(**given).plot()
    assert min(to_rgb(shown.target_line_.get_color())) > 0.8
    assert max(to_rgb(shown.lines_[0].get_color())) > 0.8
    with pytest.raises(ValueError, match=r"placebo_exponents has shape \(7, 101\)"):
        LyapunovDisplay(**given, placebo_exponents=exponents[1:]).plot()
    with pytest.raises(ValueError, match=r"target_series has shape \(8,\); it must"):
        LyapunovDisplay(**given | {"lyapunov_exponents": exponents[1:]}).plot()
    many = {"lyapunov_exponents": np.tile(exponents, (250, 1))}
    many["target_series"] = np.zeros(2000)
    shown = LyapunovDisplay(**many, placebo_exponents=many["lyapunov_exponents"]).plot()
    (edge,) = shown.placebo_bands_[0].get_linewidths()  # it would hide the other band
    assert edge <= 0.1


def test_the_placebo_of_a_fit_has_no_course_in_time(fitted):
    shown = LyapunovDisplay.from_estimator(fitted)
    exponents, placebo = fitted.lyapunov_exponents_, shown.placebo_exponents
    assert_array_equal(np.sort(placebo, axis=0), np.sort(exponents, axis=0))
    moved = np.any(placebo != exponents, axis=0)
    assert_array_equal(moved, np.ptp(exponents, axis=0) > 0.0)
    again = LyapunovDisplay.from_estimator(fitted)
    assert_array_equal(again.placebo_exponents, placebo)


def test_one_panel_per_layer(fitted):
    shown = LyapunovDisplay.from_estimator(fitted, by_layer=True, weights=[25, 3])
    parts = np.split(fitted.lyapunov_exponents_, [24], axis=1)
    first, second = shown.axes_
    assert first is shown.ax_ and first.get_ylim() == second.get_ylim()
    for ax, part, weight in zip(shown.axes_, parts, (3, 25), strict=True):
        low, high = np.quantile(part, [0.05, 0.95], axis=1)
        _, band = ax.collections
        assert_allclose(span(band), [low.min(), high.max()], rtol=1e-5)
        _, median, line = ax.lines
        assert_allclose(median.get_ydata(), np.median(part, axis=1), rtol=1e-6)
        assert_array_equal(line.get_ydata(), fitted.lyapunov_exponents_[:, weight])
    assert "layer 2" in second.get_ylabel()


def test_without_names():
    shown = make_display(LyapunovDisplay)
    with pytest.raises(ValueError, match="by_layer=True needs unit_names"):
        shown.plot(by_layer=True)
    shown.plot(weights=[5])
    assert shown.weight_lines_[0].get_label() == "weight 5"
    for weights, match in (([42], "0 to 41"), ([-1], "0 to 41"), (3, "a sequence")):
        with pytest.raises(ValueError, match=match):
            shown.plot(weights=weights)


def test_target_name(iris, fitted_regressor):
    def miss(targets, outputs):
        return np.mean(np.abs(targets - outputs))

    for kind in (ChaosCausality, Own):
        for target, name in (
            ("auto", "misclassification"),
            ("loss", "loss"),
            (miss, "target"),
        ):
            model = fit_quickly(iris, kind(window_size=10, target=target))
            shown = LyapunovDisplay.from_estimator(model)
            assert shown.target_name == name
    shown = LyapunovDisplay.from_estimator(fitted_regressor)
    assert shown.target_ax_.get_ylabel() == "squared error"
    robust = as_if_fitted(fitted_regressor, _loss="huber")
    assert LyapunovDisplay.from_estimator(robust).target_name == "Huber loss"


def test_missing_exponents(fitted):
    nothing = {"lyapunov_exponents_": None, "mean_lyapunov_exponents_": None}
    cases = [
        ({"lyapunov_exponents_": None}, "took more than 50 MB"),
        (nothing | {"n_windows_": 0}, "ended before one window was full"),
        (nothing | {"n_windows_": None}, "prune_criterion='magnitude' computes no"),
        (nothing, "Fit with a criterion that does: 'chaos_causal_magnitude'"),
    ]
    for attributes, message in cases:
        model = as_if_fitted(fitted, prune_criterion="magnitude", **attributes)
        with pytest.raises(ValueError, match=message):
            LyapunovDisplay.from_estimator(model)


def test_the_legend_covers_no_exponent(pyplot):
    shown = make_display(LyapunovDisplay)
    shown.placebo_exponents = shown.lyapunov_exponents
    with pyplot.rc_context({"font.size": 14}):
        shown.plot().figure_.canvas.draw()
    legend = shown.ax_.get_legend().get_window_extent()
    assert legend.x1 <= shown.ax_.get_window_extent().x1
    for n_weights in (1, 42):
        shown = make_display(LyapunovDisplay).plot(weights=range(n_weights))
        shown.figure_.canvas.draw()
        legend = shown.ax_.get_legend()
        assert len(legend.get_texts()) == min(n_weights + 1, 10)
        for line in [*shown.lines_, *shown.weight_lines_]:
            points = line.get_transform().transform(line.get_xydata())
            assert points[:, 1].max() < legend.get_window_extent().y0
