"""P-values of the weights, as maps."""

from itertools import pairwise

import numpy as np

from skchaosprune._names import name_layers, read_fit, unit_names
from skchaosprune._network.mlp import split_layers
from skchaosprune._text import brief
from skchaosprune._validation import check_number
from skchaosprune.display._axes import import_pyplot, label_ticks, make_panels

_SMALLEST_P = 1e-10  # smaller p-values share one colour


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
        check_number(
            self.significance_level, "significance_level", "float", 0, 1, "neither"
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
        self.axes_ = make_panels(
            ax, figsize, 1, len(layers), width_ratios=np.sqrt(fan_outs)
        )
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure

        maps = [_to_map(p, self.significance_level) for p in layers]
        norm, colors = _split_colors(cmap, maps, self.significance_level)
        names_of_layers = name_layers(len(layers) + 1)
        self.images_ = [
            self._draw_map(
                panel, values, f"layer {layer}", ends, norm=norm, cmap=colors
            )
            for layer, (panel, values, ends) in enumerate(
                zip(self.axes_, maps, pairwise(names_of_layers), strict=True), start=1
            )
        ]
        self._draw_colorbar()
        n_untested = sum(int(np.isnan(p).sum()) for p in layers)
        if n_untested:
            self._draw_legend(n_untested)
        # once to give the layout an idea, once to fit into the space it leaves
        self._label_units(names)
        self.figure_.canvas.figure.draw_without_rendering()
        self._label_units(names)
        return self

    def _draw_map(self, panel, values, title, ends, **colors):
        # seen through the cells that are NaN
        panel.patch.set(facecolor="white", edgecolor="0.5", hatch="//////")
        panel.set(title=title, ylabel=ends[0], xlabel=ends[1])
        return panel.imshow(values, aspect="auto", interpolation="nearest", **colors)

    def _label_units(self, names):
        for layer, panel in enumerate(self.axes_):
            label_ticks(panel.yaxis, names[layer])
            label_ticks(panel.xaxis, names[layer + 1])

    def _draw_colorbar(self):
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
        self.colorbar_ = bar

    def _draw_legend(self, n_untested):
        from matplotlib.patches import Patch

        patch = Patch(
            facecolor="white",
            edgecolor="0.5",
            hatch="//////",
            label=f"{n_untested} not tested",
        )
        self.colorbar_.ax.legend(
            handles=[patch],
            loc="upper left",
            bbox_to_anchor=(0.0, -0.02),
            borderpad=0.0,
            borderaxespad=0.0,
            handlelength=1.2,
            frameon=False,
            fontsize="small",
        )


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
    return norm, ListedColormap(import_pyplot().get_cmap(cmap)(places))
