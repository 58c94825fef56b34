"""P-values of the weights, as maps."""

import numpy as np

from skchaosprune._names import name_layers, read_fit, unit_names
from skchaosprune._network.mlp import split_layers
from skchaosprune._text import brief
from skchaosprune._validation import check_number, check_shape
from skchaosprune.display._axes import (
    are_light,
    find_ground,
    import_pyplot,
    ink,
    label_ticks,
    make_panels,
    measure,
)
from skchaosprune.display._colors import INKS

_SMALLEST_P = 1e-10  # smaller p-values share one colour
_SMALLEST_CELL = 2.0  # points; dots in smaller ones would hide the colours
# What is not significant takes the first part of a colour map, what is the last.
_QUIET, _LOUD = 0.3, 0.7


class CausalityDisplay:
    """P-values of all weights as maps, one per layer, with the level marked.

    Rows are the units that a layer's weights come from, columns those that they go to.
    What is not significant fades into the page, evidence stands out, and the colours
    jump at the significance level. Dots mark the weights that were kept, where the
    cells have room for them; weights that could not be tested are hatched.

    Parameters
    ----------
    p_values : list of array-like of shape (fan_in, fan_out)
        One matrix per layer; NaN where the weight could not be tested.
    significance_level : float, default=0.05
        A weight with a smaller p-value is causal.
    unit_names : list of sequence of str or None, default=None
        Names of the units, layer by layer, inputs and outputs included.
    masks : list of array-like of bool of shape (fan_in, fan_out) or None, default=None
        True = kept; None marks nothing.

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
    dots_ : list of matplotlib PathCollection
        The marks of the weights that were kept, one collection per layer; empty where
        nothing is marked.
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

    def __init__(
        self, *, p_values, significance_level=0.05, unit_names=None, masks=None
    ):
        self.p_values = p_values
        self.significance_level = significance_level
        self.unit_names = unit_names
        self.masks = masks

    @classmethod
    def from_estimator(
        cls, estimator, *, significance_level=None, feature_names=None, ax=None
    ):
        """Draw the p-values of a fit.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
            A fitted estimator, Pipeline, search or TransformedTargetRegressor.
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
        model, names = read_fit(estimator, feature_names)
        if model.p_values_ is None:
            raise ValueError(
                "p_values_ is None, as prune_criterion="
                f"{brief(model.prune_criterion)} tests nothing. Fit with a criterion "
                "that does, like 'chaos_causal_magnitude' or 'intervention'."
            )
        if significance_level is None:
            significance_level = model.criterion_.significance_level or 0.05
        sizes = [len(layer) for layer in names]
        display = cls(
            p_values=split_layers(model.p_values_, sizes),
            significance_level=significance_level,
            unit_names=names,
            masks=model.masks_,
        )
        return display.plot(ax)

    def plot(self, ax=None, *, cmap=None):
        """Draw the maps side by side.

        Parameters
        ----------
        ax : matplotlib Axes, array of Axes or None, default=None
            One axes is switched off and makes room for one panel per layer; an array
            holds one axes per layer. Names need room: make the figure with
            ``layout="constrained"``, as None does for a new one.
        cmap : str, matplotlib Colormap or None, default=None
            The lower third colours what is not significant, the upper what is. None
            takes colours that go from that of the page to purple.

        Returns
        -------
        self : CausalityDisplay
            With the artists as attributes.

        Raises
        ------
        ValueError
            If a p-value or the level is no probability, or the masks do not go with
            the p-values.
        """
        check_number(
            self.significance_level, "significance_level", "float", 0, 1, "neither"
        )
        layers = self._check_layers()
        names = self.unit_names
        if names is None:
            names = unit_names([len(layers[0]), *(p.shape[1] for p in layers)])
        fan_outs = [p.shape[1] for p in layers]
        figsize = (
            np.clip(2.5 * len(layers) + 0.11 * sum(fan_outs), 6.0, 14.0),
            np.clip(1.4 + 0.13 * max(len(p) for p in layers), 4.0, 10.0),
        )
        self.axes_, place = _make_maps(ax, figsize, np.sqrt(fan_outs))
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure

        self._draw_maps(layers, cmap)
        self._draw_colorbar(place)
        self._draw_dots()
        # once to give the layout an idea, once to fit into the space it leaves
        self._label_units(names)
        self.figure_.canvas.figure.draw_without_rendering()
        self._label_units(names)
        is_marked = self._fit_cells()
        self._draw_legend(layers, is_marked)
        return self

    def _check_layers(self):
        """Return the p-values as arrays; they are probabilities, and go with masks."""
        layers = [np.asarray(p, dtype=float) for p in self.p_values]
        for layer, p in enumerate(layers):
            if p.ndim != 2 or np.any((p < 0.0) | (p > 1.0)):
                raise ValueError(
                    f"p_values[{layer}] must be a matrix of numbers in [0, 1], or NaN "
                    f"for weights that were not tested; got {brief(p)}."
                )
            if self.masks is not None:
                name = f"masks[{layer}]"
                check_shape(self.masks[layer], p.shape, name, f"p_values[{layer}]")
        return layers

    def _draw_maps(self, layers, cmap):
        maps = [_to_map(p, self.significance_level) for p in layers]
        if cmap is None:
            cmap = _make_colors(*find_ground(self.ax_))
        norm, colors = _split_colors(cmap, maps, self.significance_level)
        self.images_ = []
        for layer, (panel, values) in enumerate(
            zip(self.axes_, maps, strict=True), start=1
        ):
            # seen through the cells that are NaN
            panel.patch.set(edgecolor="0.5", hatch="//////")
            panel.set_title(f"layer {layer}")
            panel.grid(False)
            self.images_.append(
                panel.imshow(
                    values,
                    aspect="auto",
                    interpolation="nearest",
                    norm=norm,
                    cmap=colors,
                )
            )

    def _draw_dots(self):
        """Mark the weights that were kept, light on dark cells and dark on light."""
        ground, _ = find_ground(self.ax_)
        self.dots_ = []
        if self.masks is None:
            return
        for panel, image, mask in zip(
            self.axes_, self.images_, self.masks, strict=True
        ):
            rows, columns = np.nonzero(mask)
            cells = image.to_rgba(image.get_array()[rows, columns])
            cells[cells[:, 3] == 0.0, :3] = ground  # not tested
            colors = [INKS[light] for light in are_light(cells).tolist()]
            self.dots_.append(
                panel.scatter(columns, rows, facecolors=colors, linewidths=0.0)
            )

    def _fit_cells(self):
        """Fit the dots into the cells, and let no row vanish where rows are thin.

        Tell whether all dots are seen.
        """
        is_marked = True
        for layer, (panel, image) in enumerate(
            zip(self.axes_, self.images_, strict=True)
        ):
            n_rows, n_columns = image.get_array().shape
            cell = min(measure(panel) / (n_columns, n_rows))
            if cell < 1.0:
                image.set(interpolation="antialiased", interpolation_stage="rgba")
            if not self.dots_:
                continue
            self.dots_[layer].set_sizes([min(0.5 * cell, 4.0) ** 2])
            if cell < _SMALLEST_CELL:
                self.dots_[layer].set_visible(False)
                is_marked = False
        return is_marked

    def _label_units(self, names):
        """Label rows and columns, as many as are legible, and say how many."""
        layers = name_layers(len(names))
        for layer, panel in enumerate(self.axes_):
            for axis, end in (panel.yaxis, layer), (panel.xaxis, layer + 1):
                label_ticks(axis, names[end])
                places = axis.get_ticklocs()
                label = layers[end]
                if len(places) < len(names[end]):
                    label += f" ({len(names[end])})"
                axis.set_label_text(label)

    def _draw_colorbar(self, place):
        strongest = self.images_[0].norm.vmax
        bar = self.figure_.colorbar(
            self.images_[0],
            label="p-value",
            **place,
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
        bar.ax.axhline(level, color=ink(self.ax_), linewidth=2.0)
        self.colorbar_ = bar

    def _draw_legend(self, layers, is_marked):
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        handles = []
        if self.masks is not None:
            n_kept = sum(int(np.sum(mask)) for mask in self.masks)
            n_weights = sum(p.size for p in layers)
            dot = {"marker": "o", "markersize": 4.0, "linestyle": "none"}
            label = f"{n_kept:,} of\n{n_weights:,} kept"
            if not is_marked:
                label += "\n(maps too fine\nfor dots)"
            handles.append(Line2D([], [], color=ink(self.ax_), label=label, **dot))
        n_untested = sum(int(np.isnan(p).sum()) for p in layers)
        if n_untested:
            hatch = {"facecolor": find_ground(self.ax_)[0]}
            hatch |= {"edgecolor": "0.5", "hatch": "//////"}
            handles.append(Patch(label=f"{n_untested:,} not tested", **hatch))
        if handles:
            self.colorbar_.ax.legend(
                handles=handles,
                loc="upper left",
                bbox_to_anchor=(0.0, 0.0),
                borderpad=0.0,
                borderaxespad=1.0,
                handlelength=1.2,
                frameon=False,
                fontsize="small",
            )


def _make_maps(ax, figsize, widths):
    """Return the panels of the maps, and where the bar of the colours goes."""
    if np.ndim(ax) > 0:
        axes = make_panels(ax, figsize, 1, len(widths))
        return axes, {"ax": list(axes), "aspect": 30}
    ratios = [*widths, 0.04 * sum(widths)]
    *axes, bar = make_panels(ax, figsize, 1, len(ratios), width_ratios=ratios)
    return np.array(axes, dtype=object), {"cax": bar}


def _to_map(p_values, significance_level):
    """-log10(p), at least that of the level where p is below it, and less elsewhere."""
    values = -np.log10(np.clip(p_values, _SMALLEST_P, 1.0))
    level = -np.log10(significance_level)
    below = np.minimum(values, level * (1.0 - 1e-9))
    return np.where(p_values < significance_level, np.maximum(values, level), below)


def _make_colors(ground, is_light):
    """Colours that leave the ground behind: a breath of purple, then all of it."""
    from matplotlib.colors import LinearSegmentedColormap

    purples = (
        ("#E9DCE6", "#A9478A", "#4B0B3A")
        if is_light
        else ("#2B1A27", "#B05C98", "#FFD9F2")
    )
    places = 0.0, _QUIET, _LOUD, 1.0
    return LinearSegmentedColormap.from_list(
        "p-values", list(zip(places, (ground, *purples), strict=True))
    )


def _split_colors(cmap, maps, significance_level):
    """Norm and colours of the maps, with a jump at the level."""
    from matplotlib.colors import ListedColormap, TwoSlopeNorm

    level = -np.log10(significance_level)
    values = np.concatenate([part.ravel() for part in maps])
    strongest = np.fmax.reduce(values, initial=2.0 * level)  # fmax leaves out NaN
    norm = TwoSlopeNorm(level, vmin=0.0, vmax=strongest)
    places = [np.linspace(0.0, _QUIET, 128), np.linspace(_LOUD, 1.0, 128)]
    return norm, ListedColormap(import_pyplot().get_cmap(cmap)(np.concatenate(places)))
