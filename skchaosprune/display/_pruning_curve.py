"""Scores against the weights that are kept, of a path or a search."""

from collections import namedtuple
from itertools import cycle

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skchaosprune._path import name_score
from skchaosprune._selection import (
    collect_split_scores,
    find_parameters,
    mean_and_error,
)
from skchaosprune._text import brief_list, shorten
from skchaosprune._validation import check_choice, check_number, check_shape
from skchaosprune.display._axes import (
    arrange_legend,
    as_entry,
    as_label,
    import_pyplot,
    ink,
    make_axes,
    measure,
    palette,
    write_label,
    write_note,
)
from skchaosprune.display._colors import MARKERS
from skchaosprune.report import pruning_path

_RULE = "None (significance rule)"  # as a prune_ratio
_CHOICES = {"1se": "choice (1 standard error)", "best": "choice (best mean)"}

# What the ticks of a decade may be, from many to few.
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_TICKS = [np.arange(1.0, 10.0, step) for step in _STEPS]
_TICKS += [np.array(ticks) for ticks in ([1.0, 2.0, 5.0], [1.0, 3.0], [1.0])]
_TICK_WIDTH = 45.0  # points

_Curve = namedtuple("_Curve", "label sparsities scores rule")


class PruningCurveDisplay:
    """Score against weights kept: means over the folds, standard errors, the folds.

    Weights are on a logarithmic axis from many to few, sparsities on top.

    Parameters
    ----------
    sparsities : array-like of shape (n_ratios, n_folds) or list of such
        Share of weights pruned, in [0, 1). A list holds one array per curve.
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
    n_weights : int or None, default=None
        Weights of the dense network; None draws the share of weights kept.
    choice : tuple (curve, ratio) or None, default=None
        Places of the curve and of the ratio in ``sparsities`` to mark with a ring; the
        ratio None is the significance rule of the curve.
    choice_name : str, default="choice"
        What the ring is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Their figure.
    lines_ : list of matplotlib Line2D
        Mean scores by weights kept, one line per curve.
    errorbars_ : list of matplotlib ErrorbarContainer
        The same with their error bars.
    points_ : list of matplotlib PathCollection
        The single folds.
    rule_lines_ : list of matplotlib Line2D
        Mean scores of the significance rule, for curves that have one.
    choice_ : matplotlib Line2D or None
        The ring.
    sparsity_axis_ : matplotlib SecondaryAxis
        The axis on top.

    See Also
    --------
    skchaosprune.pruning_path : Scores of the same folds at several ratios.
    skchaosprune.one_standard_error : The choice of a search.
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
    >>> display.lines_[0].get_xdata()  # shares of weights kept
    array([1. , 0.5])
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
        n_weights=None,
        choice=None,
        choice_name="choice",
    ):
        self.sparsities = sparsities
        self.scores = scores
        self.score_name = score_name
        self.dense_score = dense_score
        self.labels = labels
        self.rule_scores = rule_scores
        self.sparsity_name = sparsity_name
        self.n_weights = n_weights
        self.choice = choice
        self.choice_name = choice_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        prune_ratios,
        cv=None,
        scoring=None,
        groups=None,
        sample_weight=None,
        ax=None,
    ):
        """Cross-validate an estimator at several ratios, and draw what comes out.

        The same as :meth:`from_path` of :func:`skchaosprune.pruning_path`.

        Parameters
        ----------
        estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
            Fitted or not; it is cloned.
        X : array-like or sparse array of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Targets.
        prune_ratios : list of float or None
            Shares of weights to remove, in [0, 1); None is the significance rule.
        cv : int, splitter, iterable or None, default=None
            Folds, as in scikit-learn.
        scoring : str, callable or None, default=None
            A scorer of scikit-learn's or its name; None is accuracy or R2.
        groups : array-like of shape (n_samples,) or None, default=None
            Groups of the rows, for ``cv``.
        sample_weight : array-like of shape (n_samples,), float or None, default=None
            Weights of the rows, for fits and scores.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PruningCurveDisplay
            With the picture drawn.
        """
        import_pyplot()  # a missing matplotlib is better known before all the fits
        path = pruning_path(
            estimator,
            X,
            y,
            prune_ratios,
            cv,
            scoring=scoring,
            groups=groups,
            sample_weight=sample_weight,
        )
        return cls.from_path(path, ax=ax)

    @classmethod
    def from_path(cls, path, *, rule="1se", score_name=None, ax=None):
        """Draw the result of :func:`skchaosprune.pruning_path`.

        Parameters
        ----------
        path : PruningPath
            The ratio None, the significance rule, is a point of its own.
        rule : {"1se", "best"}, default="1se"
            The choice to mark, as in ``path.best_ratio(rule)``.
        score_name : str or None, default=None
            What the score is; None takes the name in the path.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PruningCurveDisplay
            With the picture drawn. Its x axis counts weights, or shares of them where
            the folds have networks of several sizes.
        """
        check_choice(rule, "rule", tuple(_CHOICES))
        is_rule = np.array([ratio is None for ratio in path.ratios])
        curves = [
            (label, np.flatnonzero(rows), [])
            for label, rows in ((None, ~is_rule), (_RULE, is_rule))
            if rows.any()
        ]
        can_choose = np.isfinite(path.scores).all(axis=1).any()
        sizes = set(path.n_weights[np.isfinite(path.n_weights)].astype(int).tolist())
        display = cls(
            sparsities=[path.sparsities[rows] for _, rows, _ in curves],
            scores=[path.scores[rows] for _, rows, _ in curves],
            score_name=path.score_name if score_name is None else score_name,
            dense_score=np.nanmean(path.dense_scores),
            labels=[label for label, *_ in curves],
            n_weights=sizes.pop() if len(sizes) == 1 else None,
            choice=_find_place(curves, path._find(rule) if can_choose else None),
            choice_name=_CHOICES[rule],
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
            Curves to draw: that of the candidate which the search refits, and those
            that reach the highest mean score.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PruningCurveDisplay
            With the picture drawn; its sparsities are the ratios asked for, and a ring
            marks the candidate that the search refits.

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
        scores = collect_split_scores(results, metric)
        ratios, curves = _split_curves(results["params"], results.get("n_resources"))
        display = cls(
            sparsities=[
                np.tile(ratios[rows, np.newaxis], scores.shape[1])
                for _, rows, _ in curves
            ],
            scores=[scores[rows] for _, rows, _ in curves],
            score_name=_name_metric(search, metric),
            labels=[label for label, *_ in curves],
            rule_scores=[
                scores[rows].ravel() if len(rows) else None for *_, rows in curves
            ],
            sparsity_name="prune_ratio",
            choice=_find_place(curves, getattr(search, "best_index_", None)),
            choice_name="choice of the search",
        )
        return display.plot(ax, max_curves=max_curves)

    def plot(self, ax=None, *, max_curves=7):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        max_curves : int, default=7
            Curves to draw: that of the choice, and those that reach the highest mean
            score.

        Returns
        -------
        self : PruningCurveDisplay
            With the artists as attributes.
        """
        check_number(max_curves, "max_curves", "int", 1)
        curves = self._list_curves()
        self.ax_ = make_axes(ax, (6.5, 5.0))
        self.figure_ = self.ax_.figure
        self.lines_, self.errorbars_, self.points_ = [], [], []
        self.rule_lines_, self.choice_ = [], None

        shown = self._select_curves(curves, max_curves)
        colors, markers = cycle(palette(self.ax_)), cycle(MARKERS)
        for place in shown:
            curve, color = curves[place], next(colors)
            self._draw_curve(curve, color, next(markers))
            self._draw_rule(curve, color, is_choice=self.choice == (place, None))
        if self.dense_score is not None:
            style = {"color": ink(self.ax_), "linestyle": ":", "label": "dense network"}
            self.ax_.axhline(self.dense_score, **style)
        if self.choice is not None and self.choice[1] is not None:
            self._draw_choice(curves[self.choice[0]])
        if len(shown) < len(curves):
            write_note(self.ax_, f"{len(shown)} of {len(curves)} combinations")
        self._draw_axes(curves)
        self._draw_legend()
        return self

    def _list_curves(self):
        """Arrays, label and scores of the rule of each curve."""
        sparsities, scores = self.sparsities, self.scores
        if np.ndim(scores[0]) == 0:  # one fold
            sparsities, scores = np.c_[sparsities], np.c_[scores]
        if np.ndim(scores[0]) == 1:  # one curve
            sparsities, scores = [sparsities], [scores]
        if self.labels is not None:
            check_shape(self.labels, (len(scores),), "labels", "the curves of scores")
        labels = [None] * len(scores) if self.labels is None else self.labels
        labels = [None if label is None else as_entry(label, 60) for label in labels]
        rules = [None] * len(scores) if self.rule_scores is None else self.rule_scores
        sparsities, scores = (
            [np.asarray(part, dtype=float) for part in parts]
            for parts in (sparsities, scores)
        )
        for curve, part in enumerate(sparsities):
            of_scores = scores[curve], part.shape, f"scores[{curve}]"
            check_shape(*of_scores, f"sparsities[{curve}]")
            if np.any((part < 0.0) | (part >= 1.0)):
                raise ValueError(
                    "sparsities must be in [0, 1), as shares of weights pruned; got "
                    f"{np.nanmin(part):.4g} to {np.nanmax(part):.4g}."
                )
        return list(map(_Curve, labels, sparsities, scores, rules))

    def _select_curves(self, curves, max_curves):
        """Return the places of the curves to draw, that of the choice among them."""
        means = np.array([_best_mean(curve) for curve in curves])
        if self.choice is not None:
            means[self.choice[0]] = np.inf
        return sorted(np.argsort(-means, kind="stable")[:max_curves])

    def _weigh(self, sparsities):
        """Return the weights kept, or their share."""
        kept = 1.0 - sparsities
        return kept if self.n_weights is None else self.n_weights * kept

    def _draw_curve(self, curve, color, marker):
        means, _ = mean_and_error(curve.sparsities)
        order = np.argsort(means, kind="stable")
        scores, errors = mean_and_error(curve.scores[order])
        bars = self.ax_.errorbar(
            self._weigh(means[order]),
            scores,
            yerr=errors,
            color=color,
            marker=marker,
            markersize=5.0,
            capsize=3.0,
            label=curve.label,
        )
        self.errorbars_.append(bars)
        self.lines_.append(bars.lines[0])
        self.points_.append(
            self.ax_.scatter(
                self._weigh(curve.sparsities),
                curve.scores,
                s=12.0,
                color=color,
                alpha=0.6,
                linewidths=0.0,
            )
        )

    def _draw_rule(self, curve, color, *, is_choice):
        rule = np.ma.masked_invalid([] if curve.rule is None else curve.rule)
        if rule.count() == 0:
            return
        label = _RULE if curve.label is None else f"{curve.label}, {_RULE}"
        if is_choice:
            label += f": {as_label(self.choice_name, 30)}"
        self.rule_lines_.append(
            self.ax_.axhline(rule.mean(), color=color, linestyle="--", label=label)
        )

    def _draw_choice(self, curve):
        row = [self.choice[1]]
        names = as_entry(self.choice_name, 30), as_label(self.sparsity_name)
        sparsity, score = (
            mean_and_error(part[row])[0] for part in (curve.sparsities, curve.scores)
        )
        (self.choice_,) = self.ax_.plot(
            self._weigh(sparsity),
            score,
            linestyle="none",
            marker="o",
            markersize=13.0,
            markeredgewidth=1.5,
            fillstyle="none",
            color=ink(self.ax_),
            label=f"{names[0]}: {names[1]} {sparsity[0]:.3g}",
        )

    def _draw_axes(self, curves):
        """Scale and label the axes."""
        ax, unit = self.ax_, self.n_weights or 1.0
        ax.set_xscale("log")
        self._limit_weights(curves)
        ax.xaxis.set_inverted(True)
        low, high = sorted(ax.get_xlim())
        most = max(2, measure(ax)[0] / _TICK_WIDTH)
        kept = _choose_ticks(low, high, most, is_whole=self.n_weights is not None)
        shares = _choose_ticks(low / unit, min(high / unit, 1.0), most)
        labels = [f"{100.0 * tick:.6g} %" for tick in kept]
        if self.n_weights is not None:
            labels = [f"{tick:,.0f}" for tick in kept]
        top = self.sparsity_axis_ = ax.secondary_xaxis("top")
        ax.set_xticks(kept, labels=labels)
        top.set_xticks(
            shares * unit, labels=[f"{1.0 - share:.10g}" for share in shares]
        )
        for each in (ax, top):
            each.set_xticks([], minor=True)
        write_label(top.xaxis, as_label(self.sparsity_name, 40))
        label = "weights kept" if self.n_weights else "share of weights kept"
        write_label(ax.xaxis, label)
        name, has_folds = as_label(self.score_name, 40), curves[0].scores.shape[1] > 1
        label = f"{name}\n(mean ± standard error)" if has_folds else name
        write_label(ax.yaxis, label)

    def _limit_weights(self, curves):
        """Set the limits where the points are too few to set them."""
        seen = [curve.sparsities[np.isfinite(curve.scores)] for curve in curves]
        kept = self._weigh(np.concatenate(seen))
        kept = kept[np.isfinite(kept)]
        unit = self.n_weights or 1.0
        if kept.size == 0:
            self.ax_.set_xlim(0.1 * unit, unit)
        elif np.ptp(kept) == 0.0:
            self.ax_.set_xlim(kept[0] / 3.0, min(3.0 * kept[0], 1.1 * unit))

    def _draw_legend(self):
        """Put the legend below the axes if a layout makes room, or it is long."""
        from matplotlib.container import ErrorbarContainer
        from matplotlib.transforms import ScaledTranslation

        handles = self.ax_.get_legend_handles_labels()[0]
        # curves before what helps to read them
        handles.sort(key=lambda handle: not isinstance(handle, ErrorbarContainer))
        if not handles:
            return
        if len(handles) <= 4 and self.figure_.get_layout_engine() is None:
            self.ax_.legend(handles=handles, fontsize="small")
            return
        labels = [handle.get_label() for handle in handles]
        n_columns, _ = arrange_legend(self.ax_, labels, most_columns=2)
        down = ScaledTranslation(0.0, -0.5, self.figure_.dpi_scale_trans)
        self.ax_.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
            bbox_transform=self.ax_.transAxes + down,
            ncols=n_columns,
            frameon=False,
            fontsize="small",
        )


def _split_curves(params, n_resources):
    """Split candidates of a search into curves by their other parameters.

    Returns
    -------
    ratios : ndarray of shape (n_candidates,)
        NaN for the significance rule.
    curves : list of tuple
        The label, the candidates with a ratio, in their order, and the others.
    """
    names = find_parameters(params, "prune_ratio")
    if not names:
        known = sorted({name for row in params for name in row})
        raise ValueError(
            "the search has no parameter prune_ratio to draw scores against; its "
            f"parameters are {brief_list(known)}."
        )
    ratio_name = names[0]
    ratios = [row.get(ratio_name) for row in params]
    ratios = np.array([np.nan if ratio is None else float(ratio) for ratio in ratios])
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
        rows = np.array(rows)[np.argsort(ratios[rows], kind="stable")]  # NaN last
        n_ratios = np.count_nonzero(~np.isnan(ratios[rows]))
        curves.append((label or None, rows[:n_ratios], rows[n_ratios:]))
    return ratios, curves


def _find_place(curves, row):
    """Return the places of a candidate's curve and in it, which the rule has not."""
    for place, (_, rows, rule_rows) in enumerate(curves):
        if row in rule_rows:
            return place, None
        if row in rows:
            return place, list(rows).index(row)
    return None


def _name_metric(search, metric):
    """Name the scores of a search; with one metric, scikit-learn says "score"."""
    scoring = getattr(search, "scoring", None)
    if metric == "score" and (hasattr(search, "estimator") or scoring is not None):
        return name_score(getattr(search, "estimator", None), scoring)
    return metric.replace("_", " ")


def _show_value(value):
    """Write a parameter's value for a legend."""
    return f"{value:.4g}" if isinstance(value, float) else shorten(value, 40)


def _best_mean(curve):
    """Highest mean score of a curve, its rule included; -inf where all failed."""
    rows = [*curve.scores] if curve.rule is None else [*curve.scores, curve.rule]
    means = [np.ma.masked_invalid(row).mean() for row in rows]
    return max((mean for mean in means if mean is not np.ma.masked), default=-np.inf)


def _choose_ticks(low, high, most, *, is_whole=False):
    """Return round numbers of an interval, about evenly spaced in logarithm."""
    exponents = np.arange(np.floor(np.log10(low)), np.log10(high) + 1.0)
    for ticks in _TICKS:
        ticks = (10.0 ** exponents[:, np.newaxis] * ticks).ravel()
        ticks = ticks[(low <= ticks) & (ticks <= high)]
        if is_whole:
            ticks = ticks[np.isclose(ticks, ticks.round())]
        if len(ticks) <= most:
            break
    return ticks
