"""Feature importances before and after, and directions of the effects, as bars."""

import numpy as np

from skchaosprune._importances import rank_features
from skchaosprune._names import read_fit, unit_names
from skchaosprune._text import brief, shorten
from skchaosprune._validation import check_number, check_shape
from skchaosprune.display._axes import (
    arrange_legend,
    as_label,
    ink,
    label_ticks,
    make_axes,
    measure,
    sign_colors,
    write_label,
    write_note,
)
from skchaosprune.display._classes import read_classes
from skchaosprune.display._colors import COLORS

_ONE_WAY = 0.5  # of a direction: three quarters of all slopes, by size, have its sign
_NEUTRAL = 3  # a kind of bar, after those that raise, lower, and do both


class ImportanceDisplay:
    """Feature importances of the pruned network beside those of the dense one.

    A colour says which way a feature acts. It is a summary of many rows:
    :class:`EffectDisplay` draws the shape.

    Parameters
    ----------
    importances : array-like of shape (n_features,)
        Of the pruned network.
    dense_importances : array-like of shape (n_features,) or None, default=None
        Of the dense network; None draws none.
    directions : array-like of shape (n_features,) or None, default=None
        From -1, where a larger value of the feature always lowers the output, to 1,
        where it always raises it; NaN where that is not known. From -0.5 to 0.5 the
        feature is drawn as one that acts both ways. None draws none.
    feature_names : sequence of str or None, default=None
        Names of the features; None calls them x0, x1, and so on.
    output_name : str, default="y"
        The output that the directions are about.
    rule : str, default="feature"
        What the importances are measured by, for the label of the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Their figure.
    bars_, dense_bars_ : matplotlib BarContainer
        Bars of the pruned and of the dense network, from the most important feature of
        the pruned one down; the latter is None without a dense network.

    See Also
    --------
    EffectDisplay : The shapes of the effects.
    NetworkDisplay : Where the weights are that listen to a feature.
    skchaosprune.feature_importances : The numbers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skchaosprune.display import ImportanceDisplay
    >>> display = ImportanceDisplay(
    ...     importances=[0.0, 0.9, 0.1],
    ...     dense_importances=[0.2, 0.5, 0.3],
    ...     directions=[0.0, 1.0, -1.0],
    ...     feature_names=["age", "dose", "weight"],
    ... )
    >>> [label.get_text() for label in display.plot().ax_.get_yticklabels()]
    ['dose', 'weight', 'age']
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        importances,
        dense_importances=None,
        directions=None,
        feature_names=None,
        output_name="y",
        rule="feature",
    ):
        self.importances = importances
        self.dense_importances = dense_importances
        self.directions = directions
        self.feature_names = feature_names
        self.output_name = output_name
        self.rule = rule

    @classmethod
    def from_estimator(
        cls,
        model,
        X=None,
        y=None,
        *,
        rule=None,
        group=True,
        target=None,
        feature_names=None,
        max_features=20,
        ax=None,
    ):
        """Draw the feature importances of a fitted model.

        Parameters
        ----------
        model : estimator, Pipeline, search or TransformedTargetRegressor
            Fitted: one of our estimators, or any of the others around one.
        X : array-like or data frame of shape (n_samples, n_features), default=None
            Rows as ``model.predict`` takes them; None takes what the fit has computed
            on its training rows.
        y : array-like of shape (n_samples,), default=None
            Their targets; only for ``rule="permutation"``.
        rule : {"gradient", "connection", "permutation", "causal"} or None, default=None
            As of :func:`skchaosprune.feature_importances`; None takes the rule of the
            fit. "permutation" and "causal" have no directions.
        group : bool, default=True
            Add up the columns that a pipeline makes of one feature, as a one-hot
            encoder does; such a sum has no direction.
        target : label or None, default=None
            The class whose probability the directions are about. None takes the second
            of two classes, and draws no directions if there are more.
        feature_names : sequence of str or None, default=None
            Names of the columns of ``X``; without ``group`` of those that reach the
            network. None takes those seen in fit.
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
            If ``model`` contains none of our estimators.
        ValueError
            If there is no such class, or it is given where the rule has no directions;
            if the rule is not valid or needs rows or targets.
        """
        ranking = rank_features(model, X, y, rule, group, feature_names=feature_names)
        directions, output_name = _pick_output(model, ranking, target)
        display = cls(
            importances=ranking.importances,
            dense_importances=ranking.dense_importances,
            directions=directions,
            feature_names=ranking.names,
            output_name=output_name,
            rule=ranking.rule,
        )
        return display.plot(ax, max_features=max_features)

    def plot(self, ax=None, *, max_features=20):
        """Draw one or two bars per feature.

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

        Raises
        ------
        ValueError
            If the lengths of the arrays differ.
        """
        check_number(max_features, "max_features", "int", 1)
        sparse = np.asarray(self.importances, dtype=float)
        for name in "dense_importances", "directions", "feature_names":
            if getattr(self, name) is not None:
                check_shape(getattr(self, name), sparse.shape, name, "importances")
        names = self.feature_names
        if names is None:
            names = unit_names((len(sparse), 1))[0]
        dense = self.dense_importances
        ties = sparse if dense is None else np.asarray(dense, dtype=float)
        order = np.lexsort((-ties, -sparse))[:max_features]
        self.ax_ = make_axes(ax, (6.5, np.clip(1.6 + 0.27 * len(order), 3.0, 11.0)))
        self.figure_ = self.ax_.figure

        entries = self._draw_bars(sparse, order)
        _draw_legend(self.ax_, len(order), entries)
        label_ticks(self.ax_.yaxis, [names[feature] for feature in order])
        self.figure_.canvas.figure.draw_without_rendering()  # names take their room
        label = f"{as_label(self.rule)} importance (share of the sum)"
        write_label(self.ax_.xaxis, label)
        if len(order) < len(sparse):
            count = f"{len(order)} of {len(sparse)}"
            note = f"{count} features, those that matter most to the pruned network"
            write_note(self.ax_, note)
        return self

    def _draw_bars(self, sparse, order):
        """Draw the bars; return what the legend says of them."""
        places, height, entries = np.arange(len(order)), 0.7, []
        self.dense_bars_ = None
        if self.dense_importances is not None:
            dense, height = np.asarray(self.dense_importances, dtype=float), 0.4
            self.dense_bars_ = self.ax_.barh(
                places - 0.2, dense[order], height, color=ink(self.ax_), alpha=0.3
            )
            entries = [(self.dense_bars_, "dense")]
            places = places + 0.2
        kinds, labels = self._sort_by_direction(len(sparse))
        colors = [*sign_colors(self.ax_), COLORS[3], ink(self.ax_)]
        colors = np.array(colors, dtype=object)
        kinds = kinds[order]
        self.bars_ = self.ax_.barh(places, sparse[order], height, color=colors[kinds])
        for bar, kind in zip(self.bars_, kinds, strict=True):
            bar.set_alpha(0.75 if kind == _NEUTRAL else 1.0)
        seen = np.flatnonzero(sparse[order] > 0.0)  # bars of no length are not
        if len(seen) == 0:
            seen = np.arange(len(order))
        shown, first = np.unique(kinds[seen], return_index=True)
        pairs = zip(shown, seen[first], strict=True)
        return entries + [(self.bars_[place], labels[kind]) for kind, place in pairs]

    def _sort_by_direction(self, n_features):
        """Return a kind for each feature, and what the legend calls the kinds."""
        if self.directions is None:
            return np.full(n_features, _NEUTRAL), {_NEUTRAL: "pruned"}
        directions = np.asarray(self.directions, dtype=float)
        ways = [directions >= _ONE_WAY, directions <= -_ONE_WAY, ~np.isnan(directions)]
        name = as_label(self.output_name)
        labels = [f"raises {name}", f"lowers {name}", "both ways", "direction unknown"]
        kinds = np.select(ways, range(_NEUTRAL), _NEUTRAL)
        return kinds, [f"pruned: {label}" for label in labels]


def _pick_output(model, ranking, target):
    """Return the directions for one output, and its name; None for none."""
    classes, place = read_classes(model, target)
    directions = ranking.directions
    if directions is None or (place is None and len(classes) > 2):
        if place is not None:
            rule = brief(ranking.rule)
            raise ValueError(
                f"target={brief(target)} needs directions, and rule={rule} has none; "
                "leave it out, or use rule='gradient'."
            )
        return None, "y"
    if not classes:
        return directions[:, 0], read_fit(model)[1][-1][0]
    place = 1 if place is None else place
    name = f"P({shorten(classes[place], 20)})"
    if len(classes) > 2:
        return directions[:, place], name
    return directions[:, 0] * (1.0 if place == 1 else -1.0), name


def _draw_legend(ax, n_features, entries):
    """Below the bars, in a place of its own."""
    handles, labels = zip(*entries, strict=True)
    n_columns, height = arrange_legend(ax, labels, most_columns=2)
    room = min(0.7, (15.0 + height) / measure(ax)[1])
    ax.set_ylim((n_features + 0.1) / (1.0 - room) - 0.6, -0.6)
    style = {"fontsize": "small", "frameon": False, "borderaxespad": 0.3}
    ax.legend(handles, labels, loc="lower right", ncols=n_columns, **style)
