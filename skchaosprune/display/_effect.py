"""Shapes of the effects: mean predictions against the values of a feature."""

from itertools import cycle

import numpy as np

from skchaosprune._importances import rank_features
from skchaosprune._text import brief, shorten
from skchaosprune._validation import check_number, check_shape
from skchaosprune.display._axes import (
    arrange_legend,
    as_entry,
    as_label,
    import_pyplot,
    label_ticks,
    limit_ticks,
    make_panels,
    measure,
    palette,
    write_label,
)
from skchaosprune.display._classes import read_classes
from skchaosprune.display._colors import GREY, MARKERS
from skchaosprune.display._dependence import Rows, average_predictions, choose_values

_MOST_CLASSES = len(MARKERS)
_FEW_VALUES = 12  # drawn as points, too
_STRIP = 0.12  # height of the bars of rows, as a share of a panel


class EffectDisplay:
    """Mean predictions while one feature changes, a panel for each of the top features.

    This is partial dependence: one column of all rows takes a value, the other columns
    stay as they are, and the predictions are averaged. All panels have one scale, so
    their sizes compare. Grey bars below show how many rows have such values: where
    there are few, the curve says little.

    Parameters
    ----------
    feature_names : list of str
        Names of the features.
    values : list of array-like of shape (n_values,)
        Values that each feature takes: numbers in order, or categories.
    effects : list of array-like of shape (n_outputs, n_values)
        Mean predictions at these values.
    observed : list of array-like of shape (n_samples,)
        Values of each feature in the rows.
    output_names : list of str or None, default=None
        Names of the outputs, like classes; only where there are several.
    effect_name : str, default="mean prediction"
        What the vertical axis is.
    note : str, default=""
        Lines above the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : ndarray of matplotlib Axes
        All panels.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of list of matplotlib Line2D
        Curves of each panel, output by output.
    bars_ : list of matplotlib BarContainer
        How many rows have such values, panel by panel.

    See Also
    --------
    ImportanceDisplay : How much each feature matters, and which way it acts.
    sklearn.inspection.PartialDependenceDisplay : Also of two features at once, and of
        single rows.

    Notes
    -----
    Where features are correlated, some of the rows averaged over are unlikely ones. A
    mean hides interactions: a feature with a flat curve may raise the prediction of
    some rows and lower that of others.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> from skchaosprune.display import EffectDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> model = ChaosCausalPrunedMLP((8,), max_iter=40, random_state=0).fit(X, y)
    >>> display = EffectDisplay.from_estimator(model, X, features=["petal width (cm)"])
    >>> display.output_names
    ['0', '1', '2']
    >>> plt.show()  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        feature_names,
        values,
        effects,
        observed,
        output_names=None,
        effect_name="mean prediction",
        note="",
    ):
        self.feature_names = feature_names
        self.values = values
        self.effects = effects
        self.observed = observed
        self.output_names = output_names
        self.effect_name = effect_name
        self.note = note

    @classmethod
    def from_estimator(
        cls,
        model,
        X,
        *,
        features=None,
        target=None,
        max_features=6,
        max_samples=500,
        feature_names=None,
        ax=None,
    ):
        """Compute the effects of a model's features, and draw them.

        Parameters
        ----------
        model : estimator, Pipeline, search or TransformedTargetRegressor
            Fitted. Without ``features`` it needs one of our estimators in it.
        X : array-like, sparse array or data frame of shape (n_samples, n_features)
            Rows as ``model.predict`` takes them, with strings or missing values where
            it does.
        features : sequence of str or int or None, default=None
            Columns of ``X``, by name or position; a label that is an int comes before
            a position. None takes those that matter most by
            :func:`skchaosprune.feature_importances`.
        target : label or None, default=None
            The class whose probability is drawn. None takes the second of two classes,
            and up to seven of more: those whose probabilities change most.
        max_features : int, default=6
            Most features to draw where ``features`` is None.
        max_samples : int, default=500
            Rows to average over, drawn with a fixed seed if there are more.
        feature_names : sequence of str or None, default=None
            Names of the columns of ``X``; None takes their own.
        ax : matplotlib Axes, array of Axes or None, default=None
            Where to draw; see :meth:`plot`.

        Returns
        -------
        display : EffectDisplay
            With the picture drawn.

        Raises
        ------
        ValueError
            If there is no such feature or class, or the most important features are no
            columns of ``X``.
        TypeError
            If a classifier has no probabilities, or a model without one of our
            estimators comes without ``features``.
        """
        import_pyplot()
        check_number(max_features, "max_features", "int", 1)
        check_number(max_samples, "max_samples", "int", 1)
        if feature_names is None and not hasattr(X, "columns"):
            feature_names = getattr(model, "feature_names_in_", None)
        rows = Rows(X, max_samples, feature_names)
        note = ""
        if features is None:
            columns, note = _choose_columns(model, rows, max_features)
        else:
            columns = [rows.find(feature) for feature in _as_list(features)]
        classes, place = read_classes(model, target)
        grids = [choose_values(rows, column) for column in columns]
        effects = [
            average_predictions(model, rows, column, chosen)
            for column, (_, chosen, _) in zip(columns, grids, strict=True)
        ]
        outputs = {"note": note}
        if classes:
            shown = _choose_classes(effects, len(classes), place)
            effects = [effect[shown] for effect in effects]
            outputs |= _name_outputs(classes, shown, note)
        display = cls(
            feature_names=[rows.names[column] for column in columns],
            values=[values for values, _, _ in grids],
            effects=effects,
            observed=[observed for _, _, observed in grids],
            **outputs,
        )
        return display.plot(ax)

    def plot(self, ax=None):
        """Draw the effects.

        Parameters
        ----------
        ax : matplotlib Axes, array of Axes or None, default=None
            One axes is switched off and makes room for the panels; an array has one
            for each feature. Names need room: make the figure with
            ``layout="constrained"``, as None does for a new one.

        Returns
        -------
        self : EffectDisplay
            With the artists as attributes.

        Raises
        ------
        ValueError
            If an effect has more or fewer values than its feature.
        """
        effects = [np.atleast_2d(effect) for effect in self.effects]
        for name, values, effect in zip(
            self.feature_names, self.values, effects, strict=True
        ):
            of_effect = effect[0], (len(values),), f"the effect of {brief(name)}"
            check_shape(*of_effect, "its values")
        head, self.axes_ = _make_grid(ax, len(effects), len(effects[0]))
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        self.lines_, self.bars_ = [], []
        parts = zip(self.axes_, self.values, effects, self.observed, strict=True)
        for panel, values, effect, observed in parts:
            is_number = _are_numbers(values)
            places = values if is_number else np.arange(len(values))
            self.lines_.append(_draw_curves(panel, places, effect, is_number))
            self.bars_.append(_draw_rows(panel, values, observed, is_number))
        room = self._draw_legend(head)
        self._label_panels(effects, room, is_grid=head is not None)
        return self

    def _label_panels(self, effects, room, is_grid):
        """Give all panels one scale, with room for bars and legend, and labels."""
        low = min(effect.min() for effect in effects)
        high = max(effect.max() for effect in effects)
        size = high - low
        if size <= 1e-6 * max(abs(high), abs(low)):  # rounding is no effect
            size = 0.1 * max(abs(high), 1.0)
        size /= 1.0 - room
        limits = low - (_STRIP + 0.1) * size, high + (0.06 + room) * size
        counts = map(_count_values, self.values, self.observed)
        named = zip(self.axes_, self.feature_names, counts, strict=True)
        for panel, name, count in named:
            panel.set_ylim(limits)
            write_label(panel.xaxis, as_label(name) + count)
            if is_grid and not panel.get_subplotspec().is_first_col():
                panel.tick_params(labelleft=False)
            else:
                write_label(panel.yaxis, as_label(self.effect_name, 40))

    def _draw_legend(self, head):
        """Name the curves, if several, and the bars; return the share of room it takes.

        It has a place of its own, or else one at the top of the first panel.
        """
        handles, labels = [self.bars_[0]], ["rows"]
        if self.output_names is not None:
            handles = [*self.lines_[0], *handles]
            labels = [*(as_entry(name, 16) for name in self.output_names), *labels]
        place = "center" if head is not None else "upper left"
        ax = self.ax_ if head is None else head
        n_columns, height = arrange_legend(ax, labels, most_columns=4)
        style = {"frameon": False, "fontsize": "small", "borderaxespad": 0.2}
        note = {"title": self.note, "title_fontsize": "small"}
        ax.legend(handles, labels, loc=place, ncols=n_columns, **style, **note)
        height += 14.0 * len(self.note.splitlines())
        return 0.0 if head else min(0.6, (4.0 + height) / measure(ax)[1])


def _as_list(features):
    """Return features as a list, of which there is one at least."""
    if isinstance(features, str) or np.ndim(features) != 1 or len(features) == 0:
        raise ValueError(
            f"features={brief(features)} must be a sequence of columns of X, like "
            "['age'] or [0, 3]."
        )
    return list(features)


def _choose_columns(model, rows, max_features):
    """Return the places of the columns that matter most, and what to note."""
    ranking = rank_features(model)
    order = np.argsort(-ranking.importances, kind="stable")
    used = [ranking.columns[i] for i in order if ranking.importances[i] > 0.0]
    columns = [column for column in used if column is not None]
    if not columns:
        raise ValueError(
            "none of the features that the network uses is a column of X by itself, as "
            "the steps before it make them of several; name columns with features."
        )
    is_complete = None not in used[:max_features]
    note = "" if is_complete else "without features made of several columns"
    return [_find_place(rows, column) for column in columns[:max_features]], note


def _find_place(rows, column):
    """Return the place of a column, which an int is if the fit saw no names."""
    return column if isinstance(column, int) else rows.find(column)


def _choose_classes(effects, n_classes, place):
    """Positions of the classes to draw, in order."""
    if place is not None:
        return [place]
    if n_classes == 2:
        return [1]
    ranges = np.max([np.ptp(effect, axis=1) for effect in effects], axis=0)
    return np.sort(np.argsort(-ranges, kind="stable")[:_MOST_CLASSES])


def _name_outputs(classes, shown, note):
    """Return what the display calls the classes."""
    if len(shown) == 1:
        return {"effect_name": f"mean P({shorten(classes[shown[0]], 24)})"}
    names = {
        "output_names": [shorten(classes[place]) for place in shown],
        "effect_name": "mean probability",
    }
    if len(shown) < len(classes):
        count = f"{len(shown)} of {len(classes)}"
        kind = f"{count} classes, those whose probabilities change most"
        names["note"] = "\n".join(filter(None, [kind, note]))
    return names


def _make_grid(ax, n_features, n_outputs):
    """Return an axes for the legend, None where there is none, and the panels."""
    if np.ndim(ax) > 0:
        return None, make_panels(ax, None, 1, n_features)
    n_columns = 2 if n_features == 4 else min(n_features, 3)
    n_rows, n_lines = (
        -(-n_features // n_columns),
        -(-(n_outputs + 1) // (n_columns + 1)),
    )
    width = max(0.6 + 2.7 * n_columns, 4.5 if n_outputs > 1 else 0.0)
    size = width, 0.25 * n_lines + 2.4 * n_rows
    ratios = [0.25 * n_lines, 2.4 * n_rows]
    head, body = make_panels(ax, size, 2, 1, height_ratios=ratios)
    head.set_axis_off()
    panels = make_panels(body, size, n_rows, n_columns)
    for panel in panels[n_features:]:
        panel.set_axis_off()
    return head, panels[:n_features]


def _are_numbers(values):
    return np.asarray(values).dtype.kind in "iuf"


def _count_values(values, observed):
    """Say how many of the categories are drawn, if it is not all of them."""
    n_values = len(values) if _are_numbers(values) else len(set(observed))
    return f"\n{len(values)} of {n_values} values" if n_values > len(values) else ""


def _draw_curves(ax, places, effect, is_number):
    """Draw one curve per output; categories and few values as points."""
    colors, markers = cycle(palette(ax)), cycle(MARKERS)
    lines = []
    for means in effect:
        style = {"color": next(colors), "marker": next(markers), "markersize": 4.0}
        if not is_number:
            style |= {"linestyle": "none", "markersize": 6.0}
        elif len(places) > _FEW_VALUES:
            style["marker"] = ""
        lines += ax.plot(places, means, **style)
    return lines


def _draw_rows(ax, values, observed, is_number):
    """Draw how many rows have such values, as bars at the bottom."""
    if is_number:
        places, widths, edges = _choose_bins(np.asarray(values, dtype=float))
        counts, _ = np.histogram(observed, edges)
        limit_ticks(ax)
    else:
        listed = list(observed)
        counts = np.array([listed.count(value) for value in values])
        places, widths = np.arange(len(values)), 0.6
        label_ticks(ax.xaxis, [shorten(value, 12) for value in values])
    heights = counts * (_STRIP / max(counts.max(), 1))
    across = ax.get_xaxis_transform()
    return ax.bar(places, heights, widths, color=GREY, transform=across, zorder=0.5)


def _choose_bins(values):
    """Return places and widths of the bars of numbers, and edges between them.

    A few values have a bar each, many share twenty.
    """
    if len(values) > _FEW_VALUES:
        edges = np.linspace(values[0], values[-1], 21)
        return (edges[:-1] + edges[1:]) / 2.0, np.diff(edges), edges
    gaps = np.diff(values)
    width = max(0.6 * gaps.min(initial=np.inf), 0.02 * gaps.sum()) if len(gaps) else 0.6
    return values, width, [-np.inf, *(values[:-1] + gaps / 2.0), np.inf]
