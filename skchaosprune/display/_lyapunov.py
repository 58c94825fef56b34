"""Lyapunov exponents, window by window."""

from itertools import cycle

import numpy as np
from sklearn.base import is_classifier

from skchaosprune._names import read_fit
from skchaosprune._network.mlp import split_layers
from skchaosprune._text import brief
from skchaosprune._validation import check_shape
from skchaosprune.display._axes import (
    arrange_legend,
    as_label,
    ink,
    make_panels,
    measure,
    palette,
    write_label,
    write_note,
)
from skchaosprune.display._colors import GREY

_MOST_LABELS = 10  # in a legend over many lines
_FEW_WINDOWS = 20  # drawn as points, too


class LyapunovDisplay:
    """Lyapunov exponents window by window, above the series they are tested against.

    Compare them between weights and windows of one fit: they are biased, by an amount
    that depends on window size and ``record_every``, and a positive one proves no
    chaos (see the notes of :func:`skchaosprune.largest_lyapunov_exponent`).

    Parameters
    ----------
    lyapunov_exponents : array-like of shape (n_windows, n_weights)
        In nats per record.
    target_series : array-like of shape (n_windows,)
        The target at the end of each window.
    target_name : str, default="target"
        What the target is.
    unit_names : list of sequence of str or None, default=None
        Names of the units, layer by layer, inputs and outputs included. Needed to tell
        the layers apart and to name single weights.
    placebo_exponents : array-like of shape (n_windows, n_weights) or None, default=None
        Exponents that know nothing of the training, for comparison.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the exponents, or of those of the first layer.
    axes_ : ndarray of matplotlib Axes
        The panels of the exponents, one or one per layer.
    target_ax_ : matplotlib Axes
        The panel of the target, below.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib Line2D
        Medians over the weights, of all or of each layer.
    bands_ : list of matplotlib PolyCollection
        From the 5th to the 95th percentile of the same weights.
    placebo_bands_ : list of matplotlib PolyCollection
        The same of the placebo; empty without one.
    weight_lines_ : list of matplotlib Line2D
        The single weights.
    target_line_ : matplotlib Line2D
        The target series.

    See Also
    --------
    CausalityDisplay : What the test says about each weight.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> from skchaosprune.display import LyapunovDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0).fit(X, y)
    >>> display = LyapunovDisplay.from_estimator(model, weights=[0, 1])
    >>> [line.get_label() for line in display.weight_lines_]
    ['0: x0 -> h1_0', '1: x0 -> h1_1']
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        lyapunov_exponents,
        target_series,
        target_name="target",
        unit_names=None,
        placebo_exponents=None,
    ):
        self.lyapunov_exponents = lyapunov_exponents
        self.target_series = target_series
        self.target_name = target_name
        self.unit_names = unit_names
        self.placebo_exponents = placebo_exponents

    @classmethod
    def from_estimator(
        cls, estimator, *, feature_names=None, weights=None, by_layer=False, ax=None
    ):
        """Draw the exponents that a fit recorded, beside a placebo.

        The placebo are the exponents of each weight, shuffled in time with a fixed
        seed, as in :meth:`ChaosCausalPrunedMLP.placebo_test`.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
            A fitted estimator, Pipeline, search or TransformedTargetRegressor.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        weights : sequence of int or None, default=None
            Flat indices of weights to draw one by one; the first few are labelled.
        by_layer : bool, default=False
            Draw median and band of each layer instead of all weights.
        ax : matplotlib Axes, array of Axes or None, default=None
            Where to draw; see :meth:`plot`.

        Returns
        -------
        display : LyapunovDisplay
            With the picture drawn.

        Raises
        ------
        ValueError
            If the estimator kept no exponents, or has no such weights.
        TypeError
            If the estimator is not one of ours.
        """
        model, names = read_fit(estimator, feature_names)
        if model.lyapunov_exponents_ is None:
            raise ValueError(_explain_missing_exponents(model))
        display = cls(
            lyapunov_exponents=model.lyapunov_exponents_,
            target_series=model.target_series_,
            target_name=_name_target(model),
            unit_names=names,
            placebo_exponents=_shuffle_in_time(model.lyapunov_exponents_),
        )
        return display.plot(ax, weights=weights, by_layer=by_layer)

    def plot(self, ax=None, *, weights=None, by_layer=False):
        """Draw the exponents, and the target below them.

        Parameters
        ----------
        ax : matplotlib Axes, array of Axes or None, default=None
            One axes is switched off and makes room for the panels; of an array, the
            last takes the target, and the others (one, or one per layer) the
            exponents. None makes a new figure.
        weights : sequence of int or None, default=None
            Flat indices of weights to draw one by one; the first few are labelled.
        by_layer : bool, default=False
            Draw each layer in a panel of its own, all on one scale.

        Returns
        -------
        self : LyapunovDisplay
            With the artists as attributes.

        Raises
        ------
        ValueError
            If ``by_layer`` is set without ``unit_names``, there are no such weights, or
            the placebo or the target does not go with the exponents.
        """
        exponents = np.asarray(self.lyapunov_exponents)
        placebo = self.placebo_exponents
        if placebo is not None:
            placebo = np.asarray(placebo)
            of_placebo = placebo, exponents.shape, "placebo_exponents"
            check_shape(*of_placebo, "lyapunov_exponents")
        of_target = self.target_series, exponents.shape[:1], "target_series"
        check_shape(*of_target, "lyapunov_exponents")
        groups = self._group_weights(exponents.shape[1], by_layer)
        weights = self._check_weights(weights, exponents.shape[1])
        n_panels = len(groups)
        figsize, ratios = (7.0, min(3.0 + 1.8 * n_panels, 12.0)), [5] * n_panels + [3]
        axes = make_panels(ax, figsize, n_panels + 1, 1, height_ratios=ratios)
        self.axes_, self.ax_, self.target_ax_ = axes[:-1], axes[0], axes[-1]
        self.figure_ = self.ax_.figure
        self.lines_, self.bands_, self.placebo_bands_ = [], [], []
        self.weight_lines_ = []

        colors, dashes = cycle(palette(self.ax_)[1:]), cycle(["--", ":", "-."])
        for panel, columns in zip(self.axes_, groups, strict=True):
            panel.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
            entries = self._draw_bands(panel, exponents, placebo, columns)
            for weight in np.intersect1d(weights, columns):
                style = {"color": next(colors), "linestyle": next(dashes)}
                style |= {"linewidth": 1.0, "label": self._name_weight(weight)}
                self.weight_lines_ += _draw_line(panel, exponents[:, weight], **style)
                entries.append((self.weight_lines_[-1], style["label"]))
            _draw_legend(panel, entries)
        self._label_panels(is_stacked=np.ndim(ax) == 0)
        (self.target_line_,) = _draw_line(
            self.target_ax_, self.target_series, color=ink(self.ax_), linewidth=1.2
        )
        self.target_ax_.set_xlabel("window")
        write_label(self.target_ax_.yaxis, as_label(self.target_name, 40))
        return self

    def _draw_bands(self, ax, exponents, placebo, columns):
        """Draw median and band, the placebo below; return what the legend says."""
        entries = []
        if placebo is not None:
            low, _, high = _summarise(placebo[:, columns])
            grey = {"facecolor": (0.5, 0.5, 0.5, 0.2), "edgecolor": "0.5"}
            band = _draw_band(ax, low, high, zorder=1.5, **grey)
            self.placebo_bands_.append(band)
            entries = [(band, "placebo: the same, shuffled in time")]
        low, median, high = _summarise(exponents[:, columns])
        blue, *_ = palette(ax)
        self.bands_.append(_draw_band(ax, low, high, color=blue, alpha=0.35))
        label = f"median and 5-95 % of {len(columns)} weights"
        self.lines_ += _draw_line(ax, median, color=blue, label=label)
        return [((self.bands_[-1], self.lines_[-1]), label), *entries]

    def _label_panels(self, is_stacked):
        """Give the panels one scale and their labels, and say how to read them."""
        low, high = np.transpose([ax.get_ylim() for ax in self.axes_])
        for layer, ax in enumerate(self.axes_, start=1):
            ax.set_ylim(low.min(), high.max())
            label = "largest Lyapunov exponent\n(nats per record)"
            if len(self.axes_) > 1:
                label = f"exponent\nof layer {layer}\n(nats per record)"
            write_label(ax.yaxis, label)
            if is_stacked:
                ax.tick_params(labelbottom=False)
        if self.placebo_bands_:
            note = "Where blue and grey differ, many exponents change together"
            write_note(self.ax_, note)

    def _check_weights(self, weights, n_weights):
        """Return flat indices of weights that exist, none for None."""
        indices = np.array([] if weights is None else weights)
        if indices.ndim == 1 and indices.size == 0:
            return []
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise ValueError(
                f"weights={brief(weights)} must be a sequence of flat indices, like "
                "[0, 5]."
            )
        if indices.min() < 0 or indices.max() >= n_weights:
            raise ValueError(
                f"weights={brief(weights)} must be in 0 to {n_weights - 1}, the flat "
                "indices of the weights, layer by layer."
            )
        return indices.tolist()

    def _group_weights(self, n_weights, by_layer):
        """Return the columns of each panel."""
        if not by_layer:
            return [np.arange(n_weights)]
        if self.unit_names is None:
            raise ValueError(
                "by_layer=True needs unit_names, which say how many units the layers "
                "have; give them, or use from_estimator."
            )
        sizes = [len(names) for names in self.unit_names]
        parts = split_layers(np.arange(n_weights), sizes)
        return [part.ravel() for part in parts]

    def _name_weight(self, weight):
        if self.unit_names is None:
            return f"weight {weight}"
        sizes = [len(names) for names in self.unit_names]
        n_weights = np.shape(self.lyapunov_exponents)[1]
        for layer, part in enumerate(split_layers(np.arange(n_weights), sizes)):
            for source, target in np.argwhere(part == weight):
                above = as_label(self.unit_names[layer][source])
                below = as_label(self.unit_names[layer + 1][target])
        return f"{weight}: {above} -> {below}"


def _shuffle_in_time(exponents):
    """Shuffle the windows of each weight, always in the same way."""
    return np.random.default_rng(0).permuted(exponents, axis=0)


def _summarise(exponents):
    """5th, 50th and 95th percentile over the weights, window by window."""
    return np.quantile(exponents, [0.05, 0.5, 0.95], axis=1)


def _draw_line(ax, series, **style):
    """Draw a series over the windows; a few windows as points, too."""
    marker = "." if len(series) <= _FEW_WINDOWS else ""
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax.plot(np.arange(1, len(series) + 1), series, marker=marker, **style)


def _draw_band(ax, low, high, **style):
    """Fill a band; its edge shows where there is one window, and hides no other."""
    windows = np.arange(1, len(low) + 1)
    linewidth = min(0.8, 200.0 / len(low))
    return ax.fill_between(windows, low, high, linewidth=linewidth, **style)


def _draw_legend(ax, entries):
    """Inside the axes, above the lines, so that a title finds its own place."""
    handles, labels = zip(*entries[:_MOST_LABELS], strict=True)
    n_columns, height = arrange_legend(ax, labels, most_columns=2)
    low, high = ax.get_ylim()
    room = min(0.5, (6.0 + height) / measure(ax)[1])
    ax.set_ylim(low, high + (high - low) * room / (1.0 - room))
    style = {"frameon": False, "fontsize": "small"}
    ax.legend(handles, labels, loc="upper left", ncols=n_columns, **style)


def _name_target(model):
    target = model.criterion_.target
    if callable(target):
        return "target"
    if is_classifier(model):
        return "loss" if target == "loss" else "misclassification"
    return "Huber loss" if model._loss == "huber" else "squared error"


def _explain_missing_exponents(model):
    missing = "lyapunov_exponents_ is None, as"
    if model.mean_lyapunov_exponents_ is not None:
        if model.dense_coefs_ is None:
            return (
                f"{missing} forget_training() dropped them. Draw before it, or fit "
                "again; mean_lyapunov_exponents_ is there."
            )
        return (
            f"{missing} the {model.n_windows_} windows of {model.n_weights_} weights "
            "took more than 50 MB and were not kept. Record fewer windows (a larger "
            "record_every or window_size of the criterion), or use smaller "
            "hidden_layer_sizes; mean_lyapunov_exponents_ is there."
        )
    if model.n_windows_ == 0:
        return (
            f"{missing} the training ended before one window was full. Use a larger "
            "max_iter, or a smaller window_size of the criterion."
        )
    return (
        f"{missing} prune_criterion={brief(model.prune_criterion)} computes no "
        "exponents. Fit with a criterion that does: 'chaos_causal_magnitude' or "
        "'chaos_causality'."
    )
