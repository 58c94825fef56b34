"""The pruned network, as units and lines."""

import numpy as np

from skchaosprune._names import name_layers, read_fit, unit_names
from skchaosprune._network.masks import effective_masks
from skchaosprune._validation import check_number
from skchaosprune.display._axes import as_label, fit_labels, make_axes, measure
from skchaosprune.display._colors import BLUE, GREY, VERMILION


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
        model, names = read_fit(estimator, feature_names)
        display = cls(
            coefs=model.coefs_,
            masks=model.masks_,
            unit_names=names,
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
        check_number(max_units, "max_units", "int", 1)
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
        self.ax_ = make_axes(ax, (7.5, np.clip(1.2 + 0.155 * largest, 4.0, 11.5)))
        self.figure_ = self.ax_.figure

        heights = _place_units(alive, shown)
        self.lines_ = [
            self._draw_weights(layer, *arrays)
            for layer, arrays in enumerate(
                zip(weights, masks, effective, heights[:-1], heights[1:], strict=True)
            )
        ]
        pitch = measure(self.ax_)[1] / largest
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
        self._draw_frame(alive, shown)
        self.ax_.set_title(_write_title(masks, effective))
        self._draw_legend(is_all_alive=all(flags.all() for flags in alive))
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
        colors = np.array([to_rgba(BLUE), to_rgba(VERMILION)])[negative.astype(int)]
        colors[:, 3] = 0.35 + 0.6 * shares
        colors[~effective[sources, targets]] = to_rgba(GREY, 0.6)
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
            edgecolors=np.where(alive, "0.15", GREY),
            linewidths=0.8,
            zorder=2,
        )

    def _draw_names(self, layer, names, heights, alive, shown, size):
        """Write names left of the inputs or right of the outputs, as many as fit."""
        font, step = fit_labels(len(shown), measure(self.ax_)[1])
        side = -1.0 if layer == 0 else 1.0
        return [
            self.ax_.annotate(
                as_label(names[unit]),
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

    def _draw_frame(self, alive, shown):
        """Say what the columns are, and leave room for the legend."""
        ax = self.ax_
        labels = name_layers(len(alive))
        verbs = ["used", *["alive"] * (len(alive) - 2), "reached"]
        for layer, (flags, units) in enumerate(zip(alive, shown, strict=True)):
            labels[layer] += f"\n{flags.sum()} of {len(flags)} {verbs[layer]}"
            if len(units) < len(flags):
                labels[layer] += f"\n... {len(flags) - len(units)} more"
        ax.set_xticks(range(len(alive)), labels=labels)
        ax.tick_params(axis="x", length=0)
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        # the legend has its place inside the axes, so that a title finds its own
        room = 20.0 / measure(ax)[1]
        ax.set(xlim=(-0.1, len(alive) - 0.9), ylim=(0.0, 1.0 + room))

    def _draw_legend(self, is_all_alive):
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=BLUE, linewidth=2.0, label="positive"),
            Line2D([], [], color=VERMILION, linewidth=2.0, label="negative"),
        ]
        if not is_all_alive:
            hollow = {"marker": "o", "markerfacecolor": "white"}
            line = Line2D([], [], color=GREY, label="on no path", **hollow)
            handles.append(line)
        self.ax_.legend(
            handles=handles,
            loc="upper center",
            borderaxespad=0.0,
            ncols=3,
            frameon=False,
            fontsize="small",
        )


def _write_title(masks, effective):
    """Count the weights that are kept, and those of them that change nothing."""
    n_kept = sum(int(mask.sum()) for mask in masks)
    n_useless = n_kept - sum(int(mask.sum()) for mask in effective)
    title = f"{n_kept} of {sum(mask.size for mask in masks)} weights kept"
    if n_useless:
        title += f", {n_useless} of them on no path"
    return title


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


def _place_units(alive, shown):
    """Heights of all units, layer by layer; NaN for those that are not shown."""
    heights = [np.full(len(flags), np.nan) for flags in alive]
    for height, units in zip(heights, shown, strict=True):
        height[units] = 1.0 - (np.arange(len(units)) + 0.5) / len(units)
    return heights
