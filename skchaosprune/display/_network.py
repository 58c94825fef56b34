"""The pruned network, as units and lines."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from sklearn.base import is_classifier

from skchaosprune._names import name_layers, read_fit, unit_names
from skchaosprune._network.masks import effective_masks
from skchaosprune._network.mlp import split_layers
from skchaosprune._text import brief
from skchaosprune._validation import (
    check_bool,
    check_choice,
    check_number,
    check_shape,
)
from skchaosprune.display._axes import (
    LARGEST_FONT,
    SMALLEST_FONT,
    arrange_legend,
    as_label,
    find_ground,
    fit_labels,
    ink,
    make_axes,
    measure,
    sign_colors,
    write_note,
)
from skchaosprune.display._colors import GREY
from skchaosprune.display._ordering import order_units

_INPUT_ORDERS = ("barycentre", "importance", "given")


class NetworkDisplay:
    """The pruned network: its units, and the weights that were kept.

    Lines are kept weights, the wider and the less transparent the larger they are
    within their layer, blue where positive and orange where negative. Units are sorted
    so that few lines cross. Inputs and hidden units on no path from an input to an
    output are left out; on request they are hollow, and the kept weights between them
    grey.

    Parameters
    ----------
    coefs : list of array-like of shape (fan_in, fan_out)
        Weights, one matrix per layer.
    masks : list of array-like of bool of shape (fan_in, fan_out)
        True = kept.
    unit_names : list of sequence of str or None, default=None
        Names of the units, layer by layer, inputs and outputs included.
    importances : array-like of shape (n_features,) or None, default=None
        Importances of the inputs, to sort them by.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib LineCollection
        The weights that are drawn, one collection per layer.
    units_ : list of matplotlib PathCollection
        The units that are drawn, from the inputs to the outputs.
    unit_order_ : list of ndarray of int
        Their indices in their layer, from top to bottom.
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

    def __init__(self, *, coefs, masks, unit_names=None, importances=None):
        self.coefs = coefs
        self.masks = masks
        self.unit_names = unit_names
        self.importances = importances

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        feature_names=None,
        target_name=None,
        max_units=64,
        max_edges=200,
        input_order="barycentre",
        show_unused=False,
        ax=None,
    ):
        """Draw the network of a fit.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
            A fitted estimator, Pipeline, search or TransformedTargetRegressor.
        feature_names : sequence of str or None, default=None
            Names of the features; None takes those seen in fit.
        target_name : str or None, default=None
            Name of the output of a regressor; None takes that seen in fit, or y. The
            outputs of a classifier are named by its classes.
        max_units : int, default=64
            Units to draw per layer; see :meth:`plot`.
        max_edges : int, default=200
            Weights to draw; see :meth:`plot`.
        input_order : {"barycentre", "importance", "given"}, default="barycentre"
            Order of the inputs; see :meth:`plot`.
        show_unused : bool, default=False
            Whether to draw what is on no path; see :meth:`plot`.
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
        ValueError
            If ``target_name`` is given for a classifier.
        """
        model, names = read_fit(estimator, feature_names)
        if target_name is not None:
            if is_classifier(model):
                raise ValueError(
                    f"target_name={brief(target_name)} names the output of a "
                    "regressor, and this is a classifier, whose outputs have the names "
                    "of its classes; leave target_name out."
                )
            names = [*names[:-1], [target_name]]
        display = cls(
            coefs=model.coefs_,
            masks=model.masks_,
            unit_names=names,
            importances=model.feature_importances_,
        )
        return display.plot(
            ax,
            max_units=max_units,
            max_edges=max_edges,
            input_order=input_order,
            show_unused=show_unused,
        )

    def plot(
        self,
        ax=None,
        *,
        max_units=64,
        max_edges=200,
        input_order="barycentre",
        show_unused=False,
    ):
        """Draw the network from left to right.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. Names need room: make the figure with
            ``layout="constrained"``, as None does for a new one. Where not all names
            fit, the inputs and outputs with the strongest connections are named.
        max_units : int, default=64
            Units to draw per layer, those with the strongest connections; the picture
            says how many that leaves out.
        max_edges : int, default=200
            Weights to draw: the strongest of each unit on either side, then the
            strongest of all, relative to the largest of their layer. The title says how
            many that leaves out.
        input_order : {"barycentre", "importance", "given"}, default="barycentre"
            Order of the inputs from top to bottom: one in which few lines cross, from
            the most important one down, or as in the data. The order of hidden units is
            always one in which few lines cross, and that of the outputs as given.
        show_unused : bool, default=False
            Whether to draw inputs and hidden units on no path from an input to an
            output, and the weights between them. Outputs are drawn in any case.

        Returns
        -------
        self : NetworkDisplay
            With the artists as attributes.

        Raises
        ------
        ValueError
            If ``input_order`` is "importance" and there are no importances, or the
            masks do not go with the weights.
        """
        check_number(max_units, "max_units", "int", 1)
        check_number(max_edges, "max_edges", "int", 1)
        check_choice(input_order, "input_order", _INPUT_ORDERS)
        check_bool(show_unused, "show_unused")
        graph = _choose_graph(
            self.coefs,
            self.masks,
            max_units=max_units,
            max_edges=max_edges,
            ranks=self._rank_inputs(input_order),
            show_unused=show_unused,
        )
        names = self.unit_names
        if names is None:
            names = unit_names([len(flags) for flags in graph.alive])
        self.unit_order_ = graph.units
        n_most = max(map(len, graph.units))
        self.ax_ = make_axes(ax, (7.5, np.clip(1.2 + 0.155 * n_most, 4.0, 11.5)))
        self.figure_ = self.ax_.figure
        self._draw_words(graph, names)
        size = self._fit_units(graph)
        layers = range(len(graph.units))
        self.lines_ = [self._draw_edges(graph, i) for i in layers[:-1]]
        self.units_ = [self._draw_units(graph, i, size) for i in layers]
        self._draw_legend(graph)
        return self

    def _rank_inputs(self, input_order):
        """Keys to sort the inputs by; None leaves the order free."""
        if input_order == "barycentre":
            return None
        if input_order == "given":
            return np.arange(len(self.masks[0]))
        if self.importances is None:
            raise ValueError(
                "input_order='importance' needs importances, and there are none; give "
                "them to NetworkDisplay, or use from_estimator."
            )
        return -np.asarray(self.importances, dtype=float)

    def _draw_words(self, graph, names):
        """Write frame and names once for an idea of their room, once to fit into it."""
        self.input_texts_, self.output_texts_ = [], []
        for _ in range(2):
            for text in [*self.input_texts_, *self.output_texts_]:
                text.remove()
            self._draw_frame(graph)
            size = self._fit_units(graph)
            self.input_texts_, self.output_texts_ = (
                self._draw_names(graph, layer, names[layer], size)
                for layer in (0, len(names) - 1)
            )
            self.figure_.canvas.figure.draw_without_rendering()

    def _fit_units(self, graph):
        """Diameter of units in points that fit below each other."""
        pitch = measure(self.ax_)[1] / max(map(len, graph.units))
        return np.clip(0.55 * pitch, 2.5, 8.0)

    def _draw_edges(self, graph, layer):
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgba

        weights, edges = graph.weights[layer], graph.edges[layer]
        sources, targets = np.nonzero(edges)
        shares = _to_shares(weights, edges)[sources, targets]
        order = np.argsort(shares, kind="stable")  # the largest are drawn last
        sources, targets, shares = sources[order], targets[order], shares[order]

        negative = weights[sources, targets] < 0.0
        signs = np.array([to_rgba(color) for color in sign_colors(self.ax_)])
        colors = signs[negative.astype(int)]
        colors[:, 3] = 0.35 + 0.6 * shares
        colors[~graph.effective[layer][sources, targets]] = to_rgba(GREY, 0.6)
        ends = np.empty((len(sources), 2, 2))
        ends[:, :, 0] = layer, layer + 1
        ends[:, 0, 1] = _find_heights(graph.units[layer])[sources]
        ends[:, 1, 1] = _find_heights(graph.units[layer + 1])[targets]
        lines = LineCollection(
            ends, colors=colors, linewidths=0.5 + 2.1 * shares, zorder=1
        )
        return self.ax_.add_collection(lines)

    def _draw_units(self, graph, layer, size):
        units = graph.units[layer]
        alive = graph.alive[layer][units]
        ground, dark = find_ground(self.ax_)[0], ink(self.ax_)
        return self.ax_.scatter(
            np.full(len(units), layer),
            _find_heights(units),
            s=size**2,
            facecolors=[dark if flag else ground for flag in alive],
            edgecolors=[dark if flag else GREY for flag in alive],
            linewidths=0.8,
            zorder=2,
        )

    def _draw_names(self, graph, layer, names, size):
        """Write names left of the inputs or right of the outputs, as many as fit."""
        units = graph.units[layer]
        font, step = fit_labels(max(len(units), 1), measure(self.ax_)[1])
        side = -1.0 if layer == 0 else 1.0
        heights = _find_heights(units)
        return [
            self.ax_.annotate(
                as_label(names[units[place]]),
                (layer, heights[place]),
                xytext=(side * (size / 2.0 + 4.0), 0.0),
                textcoords="offset points",
                horizontalalignment="right" if layer == 0 else "left",
                verticalalignment="center",
                fontsize=font,
                alpha=1.0 if graph.alive[layer][units[place]] else 0.5,
                annotation_clip=False,
            )
            for place in _choose_places(graph.strengths[layer], step)
        ]

    def _draw_frame(self, graph):
        """Say what the columns are, and what is not drawn."""
        ax, n_layers = self.ax_, len(graph.units)
        labels = name_layers(n_layers)
        verbs = ["used", *["alive"] * (n_layers - 2), "reached"]
        for layer, flags in enumerate(graph.alive):
            labels[layer] += f"\n{flags.sum()} of {len(flags)} {verbs[layer]}"
            n_more = graph.eligible[layer].sum() - len(graph.units[layer])
            if n_more:
                labels[layer] += f"\n{n_more} weaker not drawn"
        width, _ = measure(ax)
        longest = max(len(line) for label in labels for line in label.split("\n"))
        pitch = width / (n_layers - 0.8)
        font = np.clip(pitch / (0.6 * longest), SMALLEST_FONT, LARGEST_FONT)
        ax.set_xticks(range(n_layers), labels=labels, fontsize=font)
        ax.tick_params(axis="x", length=0)
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
        ax.grid(False)
        ax.set(xlim=(-0.1, n_layers - 0.9), ylim=(0.0, 1.0))
        write_note(ax, graph.describe())

    def _draw_legend(self, graph):
        from matplotlib.lines import Line2D

        handles = [
            Line2D([], [], color=color, linewidth=2.0, label=label)
            for color, label in zip(
                sign_colors(self.ax_), ("positive", "negative"), strict=True
            )
        ]
        if not all(
            flags[units].all()
            for flags, units in zip(graph.alive, graph.units, strict=True)
        ):
            hollow = {"marker": "o", "markerfacecolor": find_ground(self.ax_)[0]}
            line = Line2D([], [], color=GREY, label="on no path", **hollow)
            handles.append(line)
        # the legend has its place inside the axes, so that a title finds its own
        labels = [handle.get_label() for handle in handles]
        n_columns, height = arrange_legend(self.ax_, labels, most_columns=3)
        self.ax_.set_ylim(0.0, 1.0 + (6.0 + height) / measure(self.ax_)[1])
        self.ax_.legend(
            handles=handles,
            loc="upper center",
            borderaxespad=0.0,
            ncols=n_columns,
            frameon=False,
            fontsize="small",
        )


@dataclass(frozen=True)
class _Graph:
    """What to draw of a network, layer by layer.

    Matrices have one row and one column per unit that is drawn, in the order drawn.
    """

    units: list  # indices of the units that are drawn, from top to bottom
    edges: list  # matrices of bool, True = drawn
    weights: list  # matrices
    effective: list  # matrices of bool, True = on a path from an input to an output
    strengths: list  # of the units that are drawn
    alive: list  # flags of all units
    eligible: list  # flags of all units, True = not left out as unused
    n_weights: int
    n_kept: int
    n_effective: int
    n_drawable: int  # weights that are not left out as unused

    def describe(self):
        """Count the weights that are kept, and say what is not drawn."""
        n_useless = self.n_kept - self.n_effective
        text = f"{self.n_kept:,} of {self.n_weights:,} weights kept"
        if n_useless:
            text += f", {n_useless:,} of them on no path"
        notes = [*self._describe_edges(), *self._describe_units()]
        return f"{text}\n{', '.join(notes)}"

    def _describe_edges(self):
        n_edges = sum(int(part.sum()) for part in self.edges)
        if n_edges < self.n_drawable:
            n_units = sum(len(part) for part in self.units)
            all_units = n_units == sum(int(flags.sum()) for flags in self.eligible)
            which = "the strongest " if all_units else ""
            yield f"{which}{n_edges:,} of {self.n_drawable:,} drawn"

    def _describe_units(self):
        n_unused = [len(flags) - int(flags.sum()) for flags in self.eligible]
        counts = (n_unused[0], "unused input"), (sum(n_unused[1:]), "unused unit")
        unused = [_count(number, noun) for number, noun in counts if number]
        if unused:
            yield f"{' and '.join(unused)} not drawn"
        n_bare = self._count_bare()
        if n_bare:
            yield f"{_count(n_bare, 'unit')} with no weight drawn"

    def _count_bare(self):
        """Count the living units that no edge drawn starts or ends at."""
        ends = _flag_ends(self.edges)
        for layer, edges in enumerate(self.edges):
            ends[layer] = ends[layer] | edges.any(axis=1)
        return sum(
            int((flags[units] & ~has_edge).sum())
            for flags, units, has_edge in zip(self.alive, self.units, ends, strict=True)
        )


def _choose_graph(coefs, masks, *, max_units, max_edges, ranks, show_unused):
    """Choose what to draw of a network, and in which order."""
    masks = [np.asarray(mask, dtype=bool) for mask in masks]
    coefs = [np.asarray(W, dtype=float) for W in coefs]
    for layer, (W, mask) in enumerate(zip(coefs, masks, strict=True)):
        check_shape(mask, W.shape, f"masks[{layer}]", f"coefs[{layer}]")
    effective = effective_masks(masks)
    alive = _flag_ends(effective)
    drawable = masks if show_unused else effective
    # an output answers even where no path ends, so it is drawn in any case
    eligible = [flags | show_unused for flags in alive[:-1]]
    eligible.append(np.ones_like(alive[-1]))

    shares = [_to_shares(W, mask) for W, mask in zip(coefs, drawable, strict=True)]
    strengths = _sum_shares(shares)
    units = [
        _choose_strongest(strength, flags, max_units)
        for strength, flags in zip(strengths, eligible, strict=True)
    ]
    if ranks is not None:
        units[0] = units[0][np.argsort(ranks[units[0]], kind="stable")]
    edges = _choose_edges(_cut(shares, units), _cut(drawable, units), max_edges)
    fixed = {len(masks)} if ranks is None else {0, len(masks)}
    orders = order_units(edges, fixed)
    units = [part[order] for part, order in zip(units, orders, strict=True)]
    return _Graph(
        units=units,
        edges=_cut(edges, orders),
        weights=_cut(coefs, units),
        effective=_cut(effective, units),
        strengths=[part[chosen] for part, chosen in zip(strengths, units, strict=True)],
        alive=alive,
        eligible=eligible,
        n_weights=sum(mask.size for mask in masks),
        n_kept=sum(int(mask.sum()) for mask in masks),
        n_effective=sum(int(mask.sum()) for mask in effective),
        n_drawable=sum(int(mask.sum()) for mask in drawable),
    )


def _count(number, noun):
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _flag_ends(effective):
    """Flag, layer by layer, the units that effective weights start or end at."""
    inputs = effective[0].any(axis=1)
    return [inputs, *(mask.any(axis=0) for mask in effective)]


def _to_shares(weights, mask):
    """Absolute weights as shares of the largest that is kept; 0 for the others."""
    sizes = np.where(mask, np.abs(weights), 0.0)
    return sizes / max(sizes.max(initial=0.0), np.finfo(float).tiny)


def _sum_shares(shares):
    """Strengths of the units, layer by layer: the shares on both sides."""
    outputs = [part.sum(axis=1) for part in shares]
    inputs = [part.sum(axis=0) for part in shares]
    between = [a + b for a, b in zip(inputs[:-1], outputs[1:], strict=True)]
    return [outputs[0], *between, inputs[-1]]


def _choose_strongest(strengths, eligible, max_units):
    """Indices of the strongest eligible units, in their order."""
    units = np.flatnonzero(eligible)
    return np.sort(units[np.argsort(-strengths[units], kind="stable")][:max_units])


def _choose_edges(shares, masks, max_edges):
    """Flag edges up to a number: the strongest of each unit, then those of all."""
    first = [_flag_strongest(*parts) for parts in zip(shares, masks, strict=True)]
    flat_first, flat_shares, flat_masks = (
        np.concatenate([part.ravel() for part in parts])
        for parts in (first, shares, masks)
    )
    order = np.lexsort((-flat_shares, ~flat_first, ~flat_masks))
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[:max_edges]] = True
    sizes = [len(masks[0]), *(mask.shape[1] for mask in masks)]
    return split_layers(chosen & flat_masks, sizes)


def _flag_strongest(shares, mask):
    """Flag the strongest edge of each row and of each column."""
    flags = np.zeros(mask.shape, dtype=bool)
    if mask.size:
        ranks = np.where(mask, shares, -1.0)
        flags[np.arange(len(mask)), ranks.argmax(axis=1)] = True
        flags[ranks.argmax(axis=0), np.arange(mask.shape[1])] = True
    return flags & mask


def _cut(matrices, units):
    """Rows and columns of units, layer by layer, in their order."""
    return [
        matrix[np.ix_(*ends)]
        for matrix, ends in zip(matrices, pairwise(units), strict=True)
    ]


def _find_heights(units):
    """Heights of the units of a layer, from top to bottom."""
    return 1.0 - (np.arange(len(units)) + 0.5) / max(len(units), 1)


def _choose_places(strengths, step):
    """Places of the strongest units that are at least ``step`` places apart."""
    places = []
    for place in np.argsort(-strengths, kind="stable"):
        if all(abs(place - other) >= step for other in places):
            places.append(place)
    return sorted(places)
