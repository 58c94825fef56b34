"""The plots: what a fit recorded, tested and kept.

Each display takes arrays and draws them with ``plot``; its ``from_estimator`` fetches
fitted attributes and computes nothing. matplotlib is imported when something is drawn.
"""

from itertools import cycle
from numbers import Integral, Real

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted, check_scalar

from skchaosprune._names import name_layers, name_units, shorten, unit_names, unwrap
from skchaosprune._network.masks import effective_masks
from skchaosprune._network.mlp import split_layers

# Okabe and Ito's colours, which colour-blind eyes tell apart.
_BLUE, _VERMILION = "#0072B2", "#D55E00"
_COLORS = [_BLUE, _VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
_MARKERS = "osD^vPX"
_GREY = "0.65"

_SMALLEST_FONT, _LARGEST_FONT = 5.0, 10.0  # points
_RULE = "None (significance rule)"  # as a prune_ratio
_MOST_LABELS = 10  # in a legend over many lines
_SMALLEST_P = 1e-10  # smaller p-values share one colour


class LyapunovDisplay:
    """Lyapunov exponents window by window, above the series they are tested against.

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

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the exponents.
    target_ax_ : matplotlib Axes
        The panel of the target, below.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib Line2D
        Medians over the weights, of all or of each layer.
    bands_ : list of matplotlib PolyCollection
        From the 5th to the 95th percentile of the same weights.
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
    ['0: x0 → h1_0', '1: x0 → h1_1']
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        lyapunov_exponents,
        target_series,
        target_name="target",
        unit_names=None,
    ):
        self.lyapunov_exponents = lyapunov_exponents
        self.target_series = target_series
        self.target_name = target_name
        self.unit_names = unit_names

    @classmethod
    def from_estimator(
        cls, estimator, *, feature_names=None, weights=None, by_layer=False, ax=None
    ):
        """Draw the exponents that a fit recorded.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted; a pipeline ends in one of them.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        weights : sequence of int or None, default=None
            Flat indices of weights to draw one by one; the first few are labelled.
        by_layer : bool, default=False
            Draw median and band of each layer instead of all weights.
        ax : matplotlib Axes, array of two Axes or None, default=None
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
        model = unwrap(estimator)
        if model.lyapunov_exponents_ is None:
            raise ValueError(_explain_missing_exponents(model))
        display = cls(
            lyapunov_exponents=model.lyapunov_exponents_,
            target_series=model.target_series_,
            target_name=_name_target(model),
            unit_names=name_units(estimator, feature_names),
        )
        return display.plot(ax, weights=weights, by_layer=by_layer)

    def plot(self, ax=None, *, weights=None, by_layer=False):
        """Draw the exponents, and the target below them.

        Parameters
        ----------
        ax : matplotlib Axes, array of two Axes or None, default=None
            One axes is switched off and makes room for two panels; of two, the first
            takes the exponents. None makes a new figure.
        weights : sequence of int or None, default=None
            Flat indices of weights to draw one by one; the first few are labelled.
        by_layer : bool, default=False
            Draw median and band of each layer instead of all weights.

        Returns
        -------
        self : LyapunovDisplay
            With the artists as attributes.

        Raises
        ------
        ValueError
            If ``by_layer`` is set without ``unit_names``, or there are no such weights.
        """
        exponents = np.asarray(self.lyapunov_exponents)
        groups = self._group_weights(exponents.shape[1], by_layer)
        weights = self._check_weights(weights, exponents.shape[1])
        axes = _make_panels(ax, (7.0, 5.0), 2, 1, height_ratios=[5, 3])
        self.ax_, self.target_ax_ = axes
        self.figure_ = self.ax_.figure
        self.lines_, self.bands_, self.weight_lines_ = [], [], []

        windows = np.arange(1, len(exponents) + 1)
        colors, dashes = cycle(_COLORS), cycle(["--", ":", "-."])
        self.ax_.axhline(0.0, color=_GREY, linewidth=0.8, zorder=0)
        for label, columns in groups:
            color = next(colors)
            low, median, high = np.quantile(
                exponents[:, columns], [0.05, 0.5, 0.95], axis=1
            )
            self.bands_.append(
                self.ax_.fill_between(
                    windows, low, high, color=color, alpha=0.2, linewidth=0.0
                )
            )
            self.lines_ += self.ax_.plot(windows, median, color=color, label=label)
        for weight in weights:
            self.weight_lines_ += self.ax_.plot(
                windows,
                exponents[:, weight],
                color=next(colors),
                linewidth=1.0,
                linestyle=next(dashes),
                label=self._name_weight(weight),
            )
        (self.target_line_,) = self.target_ax_.plot(
            windows, self.target_series, color="black", linewidth=1.2
        )
        self.ax_.set_ylabel("largest Lyapunov exponent\n(nats per record)")
        self._draw_legend()
        self.target_ax_.set(xlabel="window", ylabel=self.target_name)
        return self

    def _draw_legend(self):
        """Inside the axes, above the lines, so that a title finds its own place."""
        handles, labels = self.ax_.get_legend_handles_labels()
        shown = slice(_MOST_LABELS)
        n_rows = -(-len(labels[shown]) // 2)
        low, high = self.ax_.get_ylim()
        room = min(0.5, (6.0 + 14.0 * n_rows) / _measure(self.ax_)[1])
        self.ax_.set_ylim(low, high + (high - low) * room / (1.0 - room))
        self.ax_.legend(
            handles[shown],
            labels[shown],
            loc="upper left",
            ncols=2,
            frameon=False,
            fontsize="small",
        )

    def _check_weights(self, weights, n_weights):
        """Return flat indices of weights that exist, none for None."""
        indices = np.array([] if weights is None else weights)
        if indices.ndim == 1 and indices.size == 0:
            return []
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            raise ValueError(
                f"weights={weights!r} must be a sequence of flat indices, like [0, 5]."
            )
        if indices.min() < 0 or indices.max() >= n_weights:
            raise ValueError(
                f"weights={weights!r} must be in 0 to {n_weights - 1}, the flat "
                "indices of the weights, layer by layer."
            )
        return indices.tolist()

    def _group_weights(self, n_weights, by_layer):
        """Label and columns of each group of weights."""
        band = "median and 5-95 % of"
        if not by_layer:
            return [(f"{band} {n_weights} weights", slice(None))]
        if self.unit_names is None:
            raise ValueError(
                "by_layer=True needs unit_names, which say how many units the layers "
                "have; give them, or use from_estimator."
            )
        sizes = [len(names) for names in self.unit_names]
        indices = split_layers(np.arange(n_weights), sizes)
        return [
            (f"{band} layer {number}", part.ravel())
            for number, part in enumerate(indices, start=1)
        ]

    def _name_weight(self, weight):
        if self.unit_names is None:
            return f"weight {weight}"
        sizes = [len(names) for names in self.unit_names]
        n_weights = np.shape(self.lyapunov_exponents)[1]
        for layer, part in enumerate(split_layers(np.arange(n_weights), sizes)):
            for source, target in np.argwhere(part == weight):
                above = _label(self.unit_names[layer][source])
                below = _label(self.unit_names[layer + 1][target])
        return f"{weight}: {above} → {below}"


class CausalityDisplay:
    """P-values of all weights as maps, one per layer, with the level marked.

    Rows are the units that a layer's weights come from, columns those that they go to.
    The colours jump at the significance level; weights that could not be tested are
    hatched.

    Parameters
    ----------
    p_values : list of array-like of shape (fan_in, fan_out)
        One matrix per layer; NaN where the weight could not be tested.
    significance_level : float, default=0.05
        A weight with a smaller p-value is causal.
    unit_names : list of sequence of str or None, default=None
        Names of the units, layer by layer, inputs and outputs included.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the first layer.
    axes_ : ndarray of matplotlib Axes of shape (n_layers,)
        The panels.
    figure_ : matplotlib Figure
        Their figure.
    images_ : list of matplotlib AxesImage
        The maps, of ``-log10(p)``, cut at 10.
    colorbar_ : matplotlib Colorbar
        The scale that all maps share.

    See Also
    --------
    LyapunovDisplay : What was tested.
    NetworkDisplay : What was kept.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> from skchaosprune.display import CausalityDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0).fit(X, y)
    >>> display = CausalityDisplay.from_estimator(model)
    >>> [image.get_array().shape for image in display.images_]
    [(4, 6), (6, 3)]
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(self, *, p_values, significance_level=0.05, unit_names=None):
        self.p_values = p_values
        self.significance_level = significance_level
        self.unit_names = unit_names

    @classmethod
    def from_estimator(
        cls, estimator, *, significance_level=None, feature_names=None, ax=None
    ):
        """Draw the p-values of a fit.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted; a pipeline ends in one of them.
        significance_level : float or None, default=None
            The level to mark; None takes that of the criterion.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        ax : matplotlib Axes, array of Axes or None, default=None
            Where to draw; see :meth:`plot`.

        Returns
        -------
        display : CausalityDisplay
            With the picture drawn.

        Raises
        ------
        ValueError
            If the estimator has no p-values.
        TypeError
            If the estimator is not one of ours.
        """
        model = unwrap(estimator)
        if model.p_values_ is None:
            raise ValueError(
                "p_values_ is None, as prune_criterion="
                f"{model.prune_criterion!r} tests nothing. Fit with a criterion that "
                "does: 'chaos_causality', 'granger_updates' or 'intervention'."
            )
        if significance_level is None:
            significance_level = _recall_setting(model, "significance_level", 0.05)
        names = name_units(estimator, feature_names)
        sizes = [len(layer) for layer in names]
        display = cls(
            p_values=split_layers(model.p_values_, sizes),
            significance_level=significance_level,
            unit_names=names,
        )
        return display.plot(ax)

    def plot(self, ax=None, *, cmap="cividis_r"):
        """Draw the maps side by side.

        Parameters
        ----------
        ax : matplotlib Axes, array of Axes or None, default=None
            One axes is switched off and makes room for one panel per layer; an array
            holds one axes per layer. Names need room: make the figure with
            ``layout="constrained"``, as None does for a new one.
        cmap : str or matplotlib Colormap, default="cividis_r"
            The lower third colours what is not significant, the upper what is.

        Returns
        -------
        self : CausalityDisplay
            With the artists as attributes.
        """
        check_scalar(
            self.significance_level,
            "significance_level",
            Real,
            min_val=0.0,
            max_val=1.0,
            include_boundaries="neither",
        )
        layers = [np.asarray(p, dtype=float) for p in self.p_values]
        names = self.unit_names
        if names is None:
            names = unit_names([len(layers[0]), *(p.shape[1] for p in layers)])
        fan_outs = [p.shape[1] for p in layers]
        figsize = (
            np.clip(2.5 * len(layers) + 0.11 * sum(fan_outs), 6.0, 14.0),
            np.clip(1.4 + 0.13 * max(len(p) for p in layers), 4.0, 10.0),
        )
        self.axes_ = _make_panels(
            ax, figsize, 1, len(layers), width_ratios=np.sqrt(fan_outs)
        )
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure

        maps = [_to_map(p, self.significance_level) for p in layers]
        norm, colors = _split_colors(cmap, maps, self.significance_level)
        self.images_ = []
        layer_names = name_layers(len(layers) + 1)
        for layer, (panel, values) in enumerate(zip(self.axes_, maps, strict=True)):
            # seen through the cells that are NaN
            panel.patch.set(facecolor="white", edgecolor="0.5", hatch="//////")
            self.images_.append(
                panel.imshow(
                    values,
                    norm=norm,
                    cmap=colors,
                    aspect="auto",
                    interpolation="nearest",
                )
            )
            panel.set(
                title=f"layer {layer + 1}",
                ylabel=layer_names[layer],
                xlabel=layer_names[layer + 1],
            )
        n_untested = sum(int(np.isnan(p).sum()) for p in layers)
        self._draw_colorbar(n_untested)
        # once to give the layout an idea, once to fit into the space it leaves
        self._label_units(names)
        self.figure_.canvas.figure.draw_without_rendering()
        self._label_units(names)
        return self

    def _label_units(self, names):
        for layer, panel in enumerate(self.axes_):
            _label_ticks(panel.yaxis, names[layer])
            _label_ticks(panel.xaxis, names[layer + 1])

    def _draw_colorbar(self, n_untested):
        from matplotlib.patches import Patch

        strongest = self.images_[0].norm.vmax
        bar = self.figure_.colorbar(
            self.images_[0],
            ax=list(self.axes_),
            label="p-value",
            aspect=30,
            extend="max" if strongest >= -np.log10(_SMALLEST_P) else "neither",
        )
        level = -np.log10(self.significance_level)
        decades = np.arange(np.ceil(level + 0.15 * (strongest - level)), strongest)
        decades = decades[:: max(1, int(np.ceil(len(decades) / 4)))]
        bar.set_ticks(
            [0.0, level, *decades],
            labels=[
                "1",
                f"{self.significance_level:g} (level)",
                *(f"{10.0**-decade:g}" for decade in decades),
            ],
        )
        bar.minorticks_off()
        bar.ax.axhline(level, color="black", linewidth=2.0)
        if n_untested:
            patch = Patch(
                facecolor="white",
                edgecolor="0.5",
                hatch="//////",
                label=f"{n_untested} not tested",
            )
            bar.ax.legend(
                handles=[patch],
                loc="upper left",
                bbox_to_anchor=(0.0, -0.02),
                borderpad=0.0,
                borderaxespad=0.0,
                handlelength=1.2,
                frameon=False,
                fontsize="small",
            )
        self.colorbar_ = bar


class NetworkDisplay:
    """The pruned network: its units, and the weights that were kept.

    Lines are kept weights, the wider the larger they are within their layer, blue where
    positive and orange where negative. Units on no path from an input to an output, and
    the kept weights between them, are grey; such units are hollow.

    Parameters
    ----------
    coefs : list of array-like of shape (fan_in, fan_out)
        Weights, one matrix per layer.
    masks : list of array-like of bool of shape (fan_in, fan_out)
        True = kept.
    unit_names : list of sequence of str or None, default=None
        Names of the units, layer by layer, inputs and outputs included.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib LineCollection
        The kept weights between units that are shown, one collection per layer.
    units_ : list of matplotlib PathCollection
        The units, from the inputs to the outputs.
    input_texts_, output_texts_ : list of matplotlib Annotation
        Their names.

    See Also
    --------
    ImportanceDisplay : How much the network listens to each feature.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> from skchaosprune.display import NetworkDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0).fit(X, y)
    >>> display = NetworkDisplay.from_estimator(model)
    >>> sum(len(lines.get_segments()) for lines in display.lines_)
    21
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(self, *, coefs, masks, unit_names=None):
        self.coefs = coefs
        self.masks = masks
        self.unit_names = unit_names

    @classmethod
    def from_estimator(cls, estimator, *, feature_names=None, max_units=64, ax=None):
        """Draw the network of a fit.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted; a pipeline ends in one of them.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        max_units : int, default=64
            Units to show per layer, those with the strongest connections.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : NetworkDisplay
            With the picture drawn.

        Raises
        ------
        TypeError
            If the estimator is not one of ours.
        """
        model = unwrap(estimator)
        display = cls(
            coefs=model.coefs_,
            masks=model.masks_,
            unit_names=name_units(estimator, feature_names),
        )
        return display.plot(ax, max_units=max_units)

    def plot(self, ax=None, *, max_units=64):
        """Draw the network from left to right.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. Names need room: make the figure with
            ``layout="constrained"``, as None does for a new one.
        max_units : int, default=64
            Units to show per layer, those with the strongest connections; the picture
            says how many more there are.

        Returns
        -------
        self : NetworkDisplay
            With the artists as attributes.
        """
        check_scalar(max_units, "max_units", Integral, min_val=1)
        masks = [np.asarray(mask, dtype=bool) for mask in self.masks]
        weights = [
            np.where(mask, W, 0.0) for W, mask in zip(self.coefs, masks, strict=True)
        ]
        names = self.unit_names
        if names is None:
            names = unit_names([len(masks[0]), *(m.shape[1] for m in masks)])
        effective = effective_masks(masks)
        alive = _flag_ends(effective)
        shown = _choose_units(weights, max_units)
        largest = max(len(units) for units in shown)
        self.ax_ = _make_axes(ax, (7.5, np.clip(1.2 + 0.155 * largest, 4.0, 11.5)))
        self.figure_ = self.ax_.figure

        # one place per unit, NaN where it is not shown
        heights = [np.full(len(flags), np.nan) for flags in alive]
        for height, units in zip(heights, shown, strict=True):
            height[units] = 1.0 - (np.arange(len(units)) + 0.5) / len(units)
        self.lines_ = [
            self._draw_weights(layer, *arrays)
            for layer, arrays in enumerate(
                zip(weights, masks, effective, heights[:-1], heights[1:], strict=True)
            )
        ]
        pitch = _measure(self.ax_)[1] / largest
        size = np.clip(0.55 * pitch, 2.5, 10.0)
        self.units_ = [
            self._draw_units(layer, height[units], flags[units], size)
            for layer, (height, flags, units) in enumerate(
                zip(heights, alive, shown, strict=True)
            )
        ]
        self.input_texts_, self.output_texts_ = (
            self._draw_names(
                layer % len(alive),
                names[layer],
                heights[layer],
                alive[layer],
                shown[layer],
                size,
            )
            for layer in (0, -1)
        )
        self._draw_frame(masks, effective, alive, shown)
        return self

    def _draw_weights(self, layer, weights, mask, effective, above, below):
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgba

        sources, targets = np.nonzero(mask)
        visible = ~np.isnan(above[sources] + below[targets])
        sources, targets = sources[visible], targets[visible]
        sizes = np.abs(weights[sources, targets])
        order = np.argsort(sizes, kind="stable")  # the largest are drawn last
        sources, targets, sizes = sources[order], targets[order], sizes[order]
        shares = sizes / max(np.abs(weights).max(), np.finfo(float).tiny)

        negative = weights[sources, targets] < 0.0
        colors = np.array([to_rgba(_BLUE), to_rgba(_VERMILION)])[negative.astype(int)]
        colors[:, 3] = 0.35 + 0.6 * shares
        colors[~effective[sources, targets]] = to_rgba(_GREY, 0.6)
        ends = np.empty((len(sources), 2, 2))
        ends[:, 0, 0], ends[:, 1, 0] = layer, layer + 1
        ends[:, 0, 1], ends[:, 1, 1] = above[sources], below[targets]
        lines = LineCollection(
            ends, colors=colors, linewidths=0.6 + 2.0 * shares, zorder=1
        )
        return self.ax_.add_collection(lines)

    def _draw_units(self, layer, heights, alive, size):
        return self.ax_.scatter(
            np.full(len(heights), layer),
            heights,
            s=size**2,
            facecolors=np.where(alive, "0.15", "white"),
            edgecolors=np.where(alive, "0.15", _GREY),
            linewidths=0.8,
            zorder=2,
        )

    def _draw_names(self, layer, names, heights, alive, shown, size):
        """Write names left of the inputs or right of the outputs, as many as fit."""
        font, step = _fit_labels(len(shown), _measure(self.ax_)[1])
        side = -1.0 if layer == 0 else 1.0
        return [
            self.ax_.annotate(
                _label(names[unit]),
                (layer, heights[unit]),
                xytext=(side * (size / 2.0 + 4.0), 0.0),
                textcoords="offset points",
                horizontalalignment="right" if layer == 0 else "left",
                verticalalignment="center",
                fontsize=font,
                color="black" if alive[unit] else "0.55",
                annotation_clip=False,
            )
            for unit in shown[::step]
        ]

    def _draw_frame(self, masks, effective, alive, shown):
        """Say what the columns are, how much is kept, and what the colours mean."""
        from matplotlib.lines import Line2D

        ax = self.ax_
        labels = name_layers(len(alive))
        verbs = ["used", *["alive"] * (len(alive) - 2), "reached"]
        for layer, (flags, units) in enumerate(zip(alive, shown, strict=True)):
            labels[layer] += f"\n{flags.sum()} of {len(flags)} {verbs[layer]}"
            if len(units) < len(flags):
                labels[layer] += f"\n… {len(flags) - len(units)} more"
        ax.set_xticks(range(len(alive)), labels=labels)
        ax.tick_params(axis="x", length=0)
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        # the legend has its place inside the axes, so that a title finds its own
        room = 20.0 / _measure(ax)[1]
        ax.set(xlim=(-0.1, len(alive) - 0.9), ylim=(0.0, 1.0 + room))

        n_kept, n_useless = (
            sum(int(mask.sum()) for mask in parts)
            for parts in (
                masks,
                [m & ~e for m, e in zip(masks, effective, strict=True)],
            )
        )
        title = f"{n_kept} of {sum(mask.size for mask in masks)} weights kept"
        if n_useless:
            title += f", {n_useless} of them on no path"
        ax.set_title(title)
        handles = [
            Line2D([], [], color=_BLUE, linewidth=2.0, label="positive"),
            Line2D([], [], color=_VERMILION, linewidth=2.0, label="negative"),
        ]
        if not all(flags.all() for flags in alive):
            hollow = {"marker": "o", "markerfacecolor": "white"}
            line = Line2D([], [], color=_GREY, label="on no path", **hollow)
            handles.append(line)
        ax.legend(
            handles=handles,
            loc="upper center",
            borderaxespad=0.0,
            ncols=3,
            frameon=False,
            fontsize="small",
        )


class ImportanceDisplay:
    """Feature importances of the dense network beside those of the pruned one.

    Parameters
    ----------
    importances : array-like of shape (n_features,)
        Of the pruned network.
    dense_importances : array-like of shape (n_features,)
        Of the dense network.
    feature_names : sequence of str or None, default=None
        Names of the features; None calls them x0, x1, and so on.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Their figure.
    bars_, dense_bars_ : matplotlib BarContainer
        Bars of the pruned and of the dense network, from the most important feature of
        the pruned one down.

    See Also
    --------
    NetworkDisplay : Where the weights are that listen to a feature.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skchaosprune.display import ImportanceDisplay
    >>> display = ImportanceDisplay(
    ...     importances=[0.0, 0.9, 0.1],
    ...     dense_importances=[0.2, 0.5, 0.3],
    ...     feature_names=["age", "dose", "weight"],
    ... )
    >>> [label.get_text() for label in display.plot().ax_.get_yticklabels()]
    ['dose', 'weight', 'age']
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(self, *, importances, dense_importances, feature_names=None):
        self.importances = importances
        self.dense_importances = dense_importances
        self.feature_names = feature_names

    @classmethod
    def from_estimator(cls, estimator, *, feature_names=None, max_features=20, ax=None):
        """Draw the feature importances of a fit.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted; a pipeline ends in one of them.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        max_features : int, default=20
            Features to show, the most important ones of the pruned network.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : ImportanceDisplay
            With the picture drawn.

        Raises
        ------
        TypeError
            If the estimator is not one of ours.
        """
        model = unwrap(estimator)
        display = cls(
            importances=model.feature_importances_,
            dense_importances=model.dense_feature_importances_,
            feature_names=name_units(estimator, feature_names)[0],
        )
        return display.plot(ax, max_features=max_features)

    def plot(self, ax=None, *, max_features=20):
        """Draw two bars per feature.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        max_features : int, default=20
            Features to show, the most important ones of the pruned network.

        Returns
        -------
        self : ImportanceDisplay
            With the artists as attributes.
        """
        check_scalar(max_features, "max_features", Integral, min_val=1)
        sparse = np.asarray(self.importances, dtype=float)
        dense = np.asarray(self.dense_importances, dtype=float)
        names = self.feature_names
        if names is None:
            names = unit_names((len(sparse), 1))[0]
        order = np.argsort(-sparse, kind="stable")[:max_features]
        places = np.arange(len(order))
        self.ax_ = _make_axes(ax, (6.5, np.clip(1.4 + 0.27 * len(order), 3.0, 11.0)))
        self.figure_ = self.ax_.figure

        self.dense_bars_ = self.ax_.barh(
            places - 0.2, dense[order], height=0.4, color=_GREY, label="dense"
        )
        self.bars_ = self.ax_.barh(
            places + 0.2, sparse[order], height=0.4, color=_BLUE, label="pruned"
        )
        _label_ticks(self.ax_.yaxis, [names[feature] for feature in order])
        self.ax_.set_xlabel("feature importance (share of the sum)")
        if len(order) < len(sparse):
            self.ax_.set_title(
                f"{len(order)} of {len(sparse)} features, those that matter most to "
                "the pruned network",
                fontsize="medium",
            )
        # the legend has a place of its own below the bars
        room = min(0.5, 24.0 / _measure(self.ax_)[1])
        self.ax_.set_ylim((len(order) + 0.1) / (1.0 - room) - 0.6, -0.6)
        self.ax_.legend(loc="lower right", ncols=2, borderaxespad=0.3)
        return self


class PruningCurveDisplay:
    """Score against sparsity: means over the folds, one standard deviation, the folds.

    Parameters
    ----------
    sparsities : array-like of shape (n_ratios, n_folds) or list of such
        Share of weights pruned. A list holds one array per curve.
    scores : array-like of shape (n_ratios, n_folds) or list of such
        Scores on the held-out folds; NaN is left out.
    score_name : str, default="score"
        What the score is.
    dense_score : float or None, default=None
        Score of the dense network, drawn as a dotted line.
    labels : list of str or None, default=None
        One per curve; None draws no legend for a single curve.
    rule_scores : list of (array-like of shape (n_folds,) or None) or None, default=None
        For each curve the scores of the significance rule (``prune_ratio=None``), drawn
        as a dashed line, as no ratio was asked for.
    sparsity_name : str, default="sparsity"
        What ``sparsities`` are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib Line2D
        Mean scores by mean sparsity, one line per curve.
    errorbars_ : list of matplotlib ErrorbarContainer
        The same with their error bars.
    points_ : list of matplotlib PathCollection
        The single folds.
    rule_lines_ : list of matplotlib Line2D
        Mean scores of the significance rule, for curves that have one.

    See Also
    --------
    skchaosprune.pruning_path : Scores of the same folds at several ratios.
    sklearn.model_selection.ValidationCurveDisplay : Any parameter, without sparsities.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> from skchaosprune.display import PruningCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0)
    >>> search = GridSearchCV(model, {"prune_ratio": [0.0, 0.5]}, cv=3).fit(X, y)
    >>> display = PruningCurveDisplay.from_search(search)
    >>> display.lines_[0].get_xdata()
    array([0. , 0.5])
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        sparsities,
        scores,
        score_name="score",
        dense_score=None,
        labels=None,
        rule_scores=None,
        sparsity_name="sparsity",
    ):
        self.sparsities = sparsities
        self.scores = scores
        self.score_name = score_name
        self.dense_score = dense_score
        self.labels = labels
        self.rule_scores = rule_scores
        self.sparsity_name = sparsity_name

    @classmethod
    def from_estimator(cls, estimator, X, y, *, prune_ratios, cv=None, ax=None):
        """Cross-validate an estimator at several ratios, and draw what comes out.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted or not; it is cloned.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Targets.
        prune_ratios : list of float or None
            Shares of weights to remove, in [0, 1); None is the significance rule.
        cv : int, splitter or None, default=None
            Folds, as in scikit-learn.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PruningCurveDisplay
            With the picture drawn.
        """
        from skchaosprune.report import pruning_path

        _import_pyplot()  # a missing matplotlib is better known before all the fits
        path = pruning_path(estimator, X, y, prune_ratios, cv=cv)
        score_name = "accuracy" if is_classifier(estimator) else "R²"
        return cls.from_path(path, score_name=score_name, ax=ax)

    @classmethod
    def from_path(cls, path, *, score_name="score", ax=None):
        """Draw the result of :func:`skchaosprune.pruning_path`.

        Parameters
        ----------
        path : Bunch
            With ``ratios``, a sequence, ``sparsities`` and ``scores``, both of
            shape (n_ratios, n_folds), and, if there, ``dense_scores`` of shape
            (n_folds,). The ratio None, the significance rule, is a point of its own.
        score_name : str, default="score"
            What the score is.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PruningCurveDisplay
            With the picture drawn.
        """
        is_rule = np.array([ratio is None for ratio in path.ratios])
        groups = [(None, ~is_rule), (_RULE, is_rule)]
        groups = [(label, rows) for label, rows in groups if rows.any()]
        dense_scores = path.get("dense_scores")
        display = cls(
            sparsities=[path.sparsities[rows] for _, rows in groups],
            scores=[path.scores[rows] for _, rows in groups],
            score_name=score_name,
            dense_score=None if dense_scores is None else np.nanmean(dense_scores),
            labels=[label for label, _ in groups],
        )
        return display.plot(ax)

    @classmethod
    def from_search(cls, search, *, metric=None, max_curves=7, ax=None):
        """Draw a search over ``prune_ratio``.

        Parameters
        ----------
        search : GridSearchCV, RandomizedSearchCV, their kin, or dict
            Fitted, or its ``cv_results_``. Where other parameters vary too, each
            combination of them is a curve; rows that set no ``prune_ratio`` are left
            out.
        metric : str or None, default=None
            Which of the metrics, in a search with several; None takes the one that the
            search refits by.
        max_curves : int, default=7
            Curves to draw, those that reach the highest mean score.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PruningCurveDisplay
            With the picture drawn; its sparsities are the ratios asked for.

        Raises
        ------
        ValueError
            If no parameter of the search is a ``prune_ratio``, or if the metric is not
            there.
        """
        results = getattr(search, "cv_results_", search)
        if not isinstance(results, dict):
            check_is_fitted(search, "cv_results_")
        if metric is None:
            refit = getattr(search, "refit", None)
            # with one metric, scikit-learn calls it "score", whatever refit says
            is_named = isinstance(refit, str) and f"split0_test_{refit}" in results
            metric = refit if is_named else "score"
        scores = _collect_split_scores(results, metric)
        curves = _split_curves(results["params"], scores, results.get("n_resources"))
        scoring = getattr(search, "scoring", None)
        score_name = metric
        if metric == "score" and isinstance(scoring, str):
            score_name = scoring.replace("_", " ")
        display = cls(
            sparsities=[
                np.tile(ratios[:, np.newaxis], scores.shape[1])
                for _, ratios, _, _ in curves
            ],
            scores=[curve_scores for _, _, curve_scores, _ in curves],
            score_name=score_name,
            labels=[label for label, *_ in curves],
            rule_scores=[rule for *_, rule in curves],
            sparsity_name="prune_ratio",
        )
        return display.plot(ax, max_curves=max_curves)

    def plot(self, ax=None, *, max_curves=7):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        max_curves : int, default=7
            Curves to draw, those that reach the highest mean score.

        Returns
        -------
        self : PruningCurveDisplay
            With the artists as attributes.
        """
        check_scalar(max_curves, "max_curves", Integral, min_val=1)
        curves = self._list_curves()
        best = np.argsort([-_best_mean(curve) for curve in curves], kind="stable")
        shown = [curves[index] for index in sorted(best[:max_curves])]
        self.ax_ = _make_axes(ax, (6.5, 4.5))
        self.figure_ = self.ax_.figure
        self.lines_, self.errorbars_, self.points_ = [], [], []
        self.rule_lines_ = []

        markers, colors = cycle(_MARKERS), cycle(_COLORS)
        for curve in shown:
            self._draw_curve(*curve, color=next(colors), marker=next(markers))
        if self.dense_score is not None:
            self.ax_.axhline(
                self.dense_score, color="black", linestyle=":", label="dense"
            )
        self.ax_.set(
            xlabel=self.sparsity_name, ylabel=f"{self.score_name} (mean ± std of folds)"
        )
        if len(shown) < len(curves):
            self.ax_.set_title(f"the best {len(shown)} of {len(curves)} combinations")
        self._draw_legend()
        return self

    def _draw_legend(self):
        """Among the lines if it is small, else below the axes."""
        from matplotlib.transforms import ScaledTranslation

        n_labels = len(self.ax_.get_legend_handles_labels()[1])
        if n_labels == 0:
            return
        if n_labels <= 3:
            self.ax_.legend(fontsize="small")
            return
        down = ScaledTranslation(0.0, -0.5, self.figure_.dpi_scale_trans)
        self.ax_.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=self.ax_.transAxes + down,
            ncols=2,
            frameon=False,
            fontsize="small",
        )

    def _list_curves(self):
        """Label, sparsities, scores and scores of the rule of each curve."""
        sparsities, scores = self.sparsities, self.scores
        if np.ndim(scores[0]) == 0:  # one fold
            sparsities, scores = np.c_[sparsities], np.c_[scores]
        if np.ndim(scores[0]) == 1:  # one curve
            sparsities, scores = [sparsities], [scores]
        labels = [None] * len(scores) if self.labels is None else self.labels
        rules = [None] * len(scores) if self.rule_scores is None else self.rule_scores
        return [
            (label, np.asarray(x, dtype=float), np.asarray(y, dtype=float), rule)
            for label, x, y, rule in zip(labels, sparsities, scores, rules, strict=True)
        ]

    def _draw_curve(self, label, sparsities, scores, rule, *, color, marker):
        # failed folds are NaN
        means = np.ma.masked_invalid(sparsities).mean(axis=1).filled(np.nan)
        order = np.argsort(means, kind="stable")
        folds = np.ma.masked_invalid(scores[order])
        bars = self.ax_.errorbar(
            means[order],
            folds.mean(axis=1).filled(np.nan),
            yerr=folds.std(axis=1).filled(np.nan),
            color=color,
            marker=marker,
            markersize=5.0,
            capsize=3.0,
            label=label,
        )
        self.errorbars_.append(bars)
        self.lines_.append(bars.lines[0])
        self.points_.append(
            self.ax_.scatter(
                sparsities, scores, s=12.0, color=color, alpha=0.45, linewidths=0.0
            )
        )
        rule_folds = np.ma.masked_invalid([] if rule is None else rule).compressed()
        if len(rule_folds):
            self.rule_lines_.append(
                self.ax_.axhline(
                    rule_folds.mean(),
                    color=color,
                    linestyle="--",
                    label=_RULE if label is None else f"{label}, {_RULE}",
                )
            )


# What matplotlib draws on.


def _import_pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Displays need matplotlib, which is not installed: "
            "pip install skchaosprune[plots]"
        ) from error
    return plt


def _make_axes(ax, figsize):
    """Return the axes given, or those of a new figure."""
    plt = _import_pyplot()
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax


def _make_panels(ax, figsize, n_rows, n_columns, **ratios):
    """Return an array of axes: those given, or panels in the place of one."""
    plt = _import_pyplot()
    n_panels = n_rows * n_columns
    ax = _make_axes(ax, figsize)
    if not isinstance(ax, plt.Axes):
        axes = np.array(ax, dtype=object).ravel()
        if len(axes) != n_panels:
            raise ValueError(
                f"ax has {len(axes)} axes, and {n_panels} are needed; give {n_panels}, "
                "or one that makes room for them."
            )
        return axes
    if not ax.axison or ax.get_subplotspec() is None:
        raise ValueError(
            "ax cannot make room for panels, as it was switched off by an earlier plot "
            "or is not part of a grid; use one of plt.subplots, or give an array of "
            f"{n_panels} axes."
        )
    ax.set_axis_off()
    if ax.figure.get_layout_engine() is None:
        ratios |= {"wspace": 0.6, "hspace": 0.3}  # room for labels
    cells = ax.get_subplotspec().subgridspec(n_rows, n_columns, **ratios)
    return np.array([ax.figure.add_subplot(cell) for cell in cells], dtype=object)


def _measure(ax):
    """Width and height of an axes in points, before the layout moves it."""
    extent = ax.get_window_extent()
    return np.array([extent.width, extent.height]) * 72.0 / ax.figure.dpi


def _fit_labels(n_labels, length):
    """Font size in points, and how many labels to step, to fit into ``length``."""
    pitch = 0.75 * length / n_labels  # space between labels, and what a layout takes
    step = max(1, int(np.ceil(_SMALLEST_FONT / pitch)))
    return float(np.clip(pitch * step, _SMALLEST_FONT, _LARGEST_FONT)), step


def _label_ticks(axis, names):
    """Label the ticks of an axis; those of the x axis upright where they are long."""
    is_x = axis.axis_name == "x"
    length = _measure(axis.axes)[0 if is_x else 1]
    font, step = _fit_labels(len(names), length)
    labels = [_label(name) for name in names[::step]]
    width = 0.8 * font * max(len(label) for label in labels)
    is_long = is_x and width > step * length / len(names)
    axis.set_ticks(
        range(0, len(names), step),
        labels=labels,
        fontsize=font,
        rotation=90 if is_long else 0,
    )


def _label(name, length=24):
    """Shorten a name, and keep matplotlib from reading formulas."""
    return shorten(name, length).replace("$", r"\$")


# What an estimator holds.


def _recall_setting(model, name, default):
    """Value of a parameter of the criterion that was fitted."""
    _, params, *_ = model._fitted_with
    if params is None:  # not one of the registry
        return getattr(model.prune_criterion, name, default)
    return params.get(name, default)


def _name_target(model):
    target = _recall_setting(model, "target", "auto")
    if callable(target):
        return "target"
    if target == "loss":
        return "loss"
    return "misclassification" if hasattr(model, "classes_") else "squared error"


def _explain_missing_exponents(model):
    missing = "lyapunov_exponents_ is None, as"
    if model.mean_lyapunov_exponents_ is not None:
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
        f"{missing} prune_criterion={model.prune_criterion!r} computes no exponents. "
        "Fit with a criterion that does: 'chaos_causality' or "
        "'chaos_causal_magnitude'."
    )


# Layers and units.


def _flag_ends(effective):
    """Flag, layer by layer, the units that effective weights start or end at."""
    inputs = effective[0].any(axis=1)
    return [inputs, *(mask.any(axis=0) for mask in effective)]


def _choose_units(weights, max_units):
    """Indices of the units with the largest sum of absolute weights, in their order."""
    sizes = [np.abs(W) for W in weights]
    strengths = [size.sum(axis=1) for size in sizes] + [sizes[-1].sum(axis=0)]
    for layer, size in enumerate(sizes[:-1], start=1):
        strengths[layer] = strengths[layer] + size.sum(axis=0)
    return [
        np.sort(np.argsort(-strength, kind="stable")[:max_units])
        for strength in strengths
    ]


# P-values as colours.


def _to_map(p_values, significance_level):
    """-log10(p), at least that of the level where p is below it, and less elsewhere."""
    values = -np.log10(np.clip(p_values, _SMALLEST_P, 1.0))
    level = -np.log10(significance_level)
    below = np.minimum(values, level * (1.0 - 1e-9))
    return np.where(p_values < significance_level, np.maximum(values, level), below)


def _split_colors(cmap, maps, significance_level):
    """Norm and colours of the maps, with a jump at the level."""
    from matplotlib.colors import ListedColormap, TwoSlopeNorm

    level = -np.log10(significance_level)
    values = np.concatenate([part.ravel() for part in maps])
    strongest = np.fmax.reduce(values, initial=2.0 * level)  # fmax leaves out NaN
    norm = TwoSlopeNorm(level, vmin=0.0, vmax=strongest)
    places = np.concatenate([np.linspace(0, 0.3, 128), np.linspace(0.7, 1, 128)])
    return norm, ListedColormap(_import_pyplot().get_cmap(cmap)(places))


# Searches as curves.


def _collect_split_scores(results, metric):
    """Scores of shape (n_rows, n_folds)."""
    suffix = f"_test_{metric}"
    columns = [
        name for name in results if name.startswith("split") and name.endswith(suffix)
    ]
    if not columns:
        start = "mean_test_"
        known = sorted(name[len(start) :] for name in results if name.startswith(start))
        raise ValueError(
            f"metric={metric!r} is not in cv_results_; it must be one of {known}."
        )
    return np.column_stack([results[name] for name in columns])


def _split_curves(params, scores, n_resources):
    """List (label, ratios, scores, scores of the rule) by the other parameters."""
    names = sorted({name for row in params for name in row})
    ratio_names = [name for name in names if name.split("__")[-1] == "prune_ratio"]
    if not ratio_names:
        raise ValueError(
            "the search has no parameter prune_ratio to draw scores against; its "
            f"parameters are {names}."
        )
    ratio_name = ratio_names[0]
    groups = {}
    for index, row in enumerate(params):
        if ratio_name not in row:
            continue
        others = {name: value for name, value in row.items() if name != ratio_name}
        if n_resources is not None:  # successive halving
            others["n_resources"] = int(n_resources[index])
        key = tuple(sorted((name, repr(value)) for name, value in others.items()))
        groups.setdefault(key, (others, []))[1].append(index)

    settings = [dict(key) for key in groups]
    varying = {
        name
        for setting in settings
        for name in setting
        if len({other.get(name) for other in settings}) > 1
    }
    curves = []
    for others, rows in groups.values():
        label = ", ".join(
            f"{name.split('__')[-1]}={_show_value(value)}"
            for name, value in others.items()
            if name in varying
        )
        ratios = [params[index][ratio_name] for index in rows]
        curves.append((label or None, *_sort_curve(ratios, scores[rows])))
    return curves


def _show_value(value):
    """Write a parameter's value for a legend."""
    return f"{value:.4g}" if isinstance(value, float) else _label(value, 40)


def _sort_curve(ratios, scores):
    """Ratios in order, their scores, and the scores of the ratio None, if any."""
    has_ratio = np.array([ratio is not None for ratio in ratios])
    rule = None if has_ratio.all() else scores[~has_ratio].ravel()
    ratios = np.array([ratio for ratio in ratios if ratio is not None], dtype=float)
    order = np.argsort(ratios, kind="stable")
    return ratios[order], scores[has_ratio][order], rule


def _best_mean(curve):
    """Highest mean score of a curve, its rule included; -inf where all failed."""
    _, _, scores, rule = curve
    rows = [*scores] if rule is None else [*scores, rule]
    means = [np.ma.masked_invalid(row).mean() for row in rows]
    return max((mean for mean in means if mean is not np.ma.masked), default=-np.inf)
