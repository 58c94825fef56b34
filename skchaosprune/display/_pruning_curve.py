"""Scores against sparsity, of a path or a search."""

from itertools import cycle

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from skchaosprune._text import brief, brief_list, shorten
from skchaosprune._validation import check_number
from skchaosprune.display._axes import as_label, import_pyplot, make_axes
from skchaosprune.display._colors import COLORS, MARKERS
from skchaosprune.report import pruning_path

_RULE = "None (significance rule)"  # as a prune_ratio


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
        import_pyplot()  # a missing matplotlib is better known before all the fits
        path = pruning_path(estimator, X, y, prune_ratios, cv=cv)
        score_name = "accuracy" if is_classifier(estimator) else "R2"
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
        check_number(max_curves, "max_curves", "int", 1)
        curves = self._list_curves()
        best = np.argsort([-_best_mean(curve) for curve in curves], kind="stable")
        shown = [curves[index] for index in sorted(best[:max_curves])]
        self.ax_ = make_axes(ax, (6.5, 4.5))
        self.figure_ = self.ax_.figure
        self.lines_, self.errorbars_, self.points_ = [], [], []
        self.rule_lines_ = []

        markers, colors = cycle(MARKERS), cycle(COLORS)
        for curve in shown:
            self._draw_curve(*curve, color=next(colors), marker=next(markers))
        if self.dense_score is not None:
            self.ax_.axhline(
                self.dense_score, color="black", linestyle=":", label="dense"
            )
        self.ax_.set(
            xlabel=shorten(self.sparsity_name, 40),
            ylabel=f"{shorten(self.score_name, 40)} (mean ± std of folds)",
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
        labels = [None if label is None else shorten(label, 60) for label in labels]
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


def _collect_split_scores(results, metric):
    """Scores of shape (n_rows, n_folds)."""
    suffix = f"_test_{metric}"
    columns = [
        name for name in results if name.startswith("split") and name.endswith(suffix)
    ]
    if not columns:
        start = "mean_test_"
        known = brief_list(
            sorted(name[len(start) :] for name in results if name.startswith(start))
        )
        raise ValueError(
            f"metric={brief(metric)} is not in cv_results_; it must be one of {known}."
        )
    return np.column_stack([results[name] for name in columns])


def _split_curves(params, scores, n_resources):
    """List (label, ratios, scores, scores of the rule) by the other parameters."""
    names = sorted({name for row in params for name in row})
    ratio_names = [name for name in names if name.split("__")[-1] == "prune_ratio"]
    if not ratio_names:
        raise ValueError(
            "the search has no parameter prune_ratio to draw scores against; its "
            f"parameters are {brief_list(names)}."
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
    return f"{value:.4g}" if isinstance(value, float) else as_label(value, 40)


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
