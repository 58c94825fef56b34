"""Held-out scores over many prune ratios, from one dense training per fold."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from inspect import signature

import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from skchaosprune import _validation, _weights
from skchaosprune._fit.progress import Progress, with_callbacks
from skchaosprune._selection import find_best, find_sparsest, mean_and_error
from skchaosprune._text import brief, pad, printable, shorten, width_of
from skchaosprune._unwrap import last_step


@dataclass(frozen=True, eq=False, repr=False)
class PruningPath:
    """Held-out scores of several prune ratios, and the choice of one.

    Made by :func:`skchaosprune.pruning_path`. Prints as a table with one row per ratio.
    What belongs to fits that failed is NaN.

    Attributes
    ----------
    ratios : list of float or None
        The prune ratios; None is the significance rule.
    scores : ndarray of shape (n_ratios, n_folds)
        Held-out scores; greater is better.
    dense_scores : ndarray of shape (n_folds,)
        The same for the dense network when it was scored; NaN for a fold in which all
        fits fail.
    sparsities, effective_sparsities : ndarray of shape (n_ratios, n_folds)
        Shares in [0, 1] of the weights that are zero, and that are zero or on no path
        from input to output.
    n_weights_kept : ndarray of shape (n_ratios, n_folds)
        Weights that are left.
    n_weights : ndarray of shape (n_folds,)
        Weights of the dense network.
    score_name : str
        What the scores are: "accuracy", "R2" or that of ``scoring``.

    See Also
    --------
    skchaosprune.one_standard_error : The rule of ``best_ratio`` for a search.
    skchaosprune.display.PruningCurveDisplay.from_path : Draws a path.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP, pruning_path
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0,
    ...                              prune_criterion="magnitude")
    >>> path = pruning_path(model, X, y, [0.5, 0.8, 0.9])
    >>> path  # doctest: +SKIP
    prune_ratio  weights kept  accuracy  standard error
    dense                  42    0.9800          0.0133
    0.5                    21    0.9733          0.0163  best
    0.8                     8    0.9667          0.0105
    0.9                     4    0.9667          0.0105  1se
    >>> path.best_ratio()
    0.9
    """

    ratios: list
    scores: np.ndarray
    dense_scores: np.ndarray
    sparsities: np.ndarray
    effective_sparsities: np.ndarray
    n_weights_kept: np.ndarray
    n_weights: np.ndarray
    score_name: str

    def best_ratio(self, rule="1se"):
        """Choose a ratio by the held-out scores.

        Parameters
        ----------
        rule : {"1se", "best"}, default="1se"
            "1se" takes the ratio that leaves the fewest weights, of those whose mean
            score is within one standard error of the best mean; see
            :func:`skchaosprune.one_standard_error`. "best" takes the best mean.

        Returns
        -------
        ratio : float or None
            One of ``ratios``, for ``set_params(prune_ratio=ratio)``; None if that is
            the significance rule. Ratios with a failed fit are left out.

        Raises
        ------
        ValueError
            If each ratio has a failed fit.
        """
        return self.ratios[self._find(rule)]

    def to_frame(self):
        """Return a data frame with one row per ratio and fold.

        Returns
        -------
        table : pandas.DataFrame
            With the columns prune_ratio (NaN for None), fold (from 1),
            n_weights_kept, sparsity, effective_sparsity, score and dense_score, which
            is that of the fold.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame() needs pandas, which is not installed: pip install pandas"
            ) from error
        n_ratios, n_folds = self.scores.shape
        return pd.DataFrame(
            {
                "prune_ratio": np.repeat(np.array(self.ratios, dtype=float), n_folds),
                "fold": np.tile(np.arange(1, n_folds + 1), n_ratios),
                "n_weights_kept": self.n_weights_kept.ravel(),
                "sparsity": self.sparsities.ravel(),
                "effective_sparsity": self.effective_sparsities.ravel(),
                "score": self.scores.ravel(),
                "dense_score": np.tile(self.dense_scores, n_ratios),
            }
        )

    def __repr__(self):
        return self._format(str)

    def __str__(self):
        return self._format(printable)

    def _find(self, rule):
        """Return the place of the ratio that a rule chooses."""
        _validation.check_choice(rule, "rule", ("1se", "best"))
        if rule == "best":
            return find_best(self.scores)
        return find_sparsest(self.scores, self.n_weights_kept.mean(axis=1)[:, None])

    def _format(self, show):
        """Lay out the table; ``show`` is applied to all of its text."""
        scores = np.vstack([self.dense_scores, self.scores])
        kept = mean_and_error(np.vstack([self.n_weights, self.n_weights_kept]))[0]
        name = show(shorten(self.score_name))
        head = ["prune_ratio", "weights kept", name, "standard error"]
        names = ["dense", *map(shorten, self.ratios)]
        numbers = [
            [f"{round(n_kept, 1):,.10g}", _show(mean), _show(error)]
            for n_kept, mean, error in zip(kept, *mean_and_error(scores), strict=True)
        ]
        rows = [head, *([name, *of] for name, of in zip(names, numbers, strict=True))]
        widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                pad(text, width, right=place > 0)
                for place, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        marks = ["", "", *self._mark()]
        return "\n".join(
            f"{line}  {mark}".rstrip() for line, mark in zip(lines, marks, strict=True)
        )

    def _mark(self):
        """Say of each ratio whether a rule chooses it, or how many fits failed."""
        failed = np.isnan(self.scores).sum(axis=1)
        marks = [[f"{number} failed"] if number else [] for number in failed]
        if not failed.all():
            for rule in ("best", "1se"):
                marks[self._find(rule)].append(rule)
        return [", ".join(texts) for texts in marks]


def _show(number):
    return f"{number:.4f}" if abs(number) < 1e6 else f"{number:.4g}"


def pruning_path(
    estimator,
    X,
    y,
    prune_ratios,
    cv=None,
    *,
    scoring=None,
    groups=None,
    sample_weight=None,
    n_jobs=None,
):
    """Cross-validate many prune ratios with one dense training per fold.

    The same as fitting the estimator with each ratio on each fold, bit for bit where
    ``random_state`` is an int: the dense training and its scores do not depend on the
    ratio. Only what follows them is done for every ratio: pruning and sparse training,
    and with several rounds the trainings between.

    Parameters
    ----------
    estimator : ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor or Pipeline
        Never fitted or changed itself. A pipeline ends in one of the two; what comes
        before is cloned, and fitted on the training part of each fold.
    X : array-like or sparse array of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Targets.
    prune_ratios : list of float or None
        Shares of the weights to remove, in [0, 1); None is the significance rule of
        the criterion. The estimator's own ``prune_ratio`` is not used.
    cv : int, splitter, iterable or None, default=None
        Folds, as in scikit-learn: None is 5 folds, stratified for a classifier.
    scoring : str, callable or None, default=None
        A scorer of scikit-learn's or its name. None is ``estimator.score``: accuracy
        or R2. A callable ``scoring(estimator, X, y)`` gets the last step of a pipeline,
        or the dense network as a :class:`CompactMLP`, and the transformed rows.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups of the rows, for a ``cv`` like ``GroupKFold()``.
    sample_weight : array-like of shape (n_samples,), float or None, default=None
        Non-negative weights of the rows, for fits and scores alike: a row of weight 2
        is two rows in both. Transformers of a pipeline do not get them, as in
        ``Pipeline.fit``.
    n_jobs : int or None, default=None
        Folds at a time, through joblib; None is 1, or what
        ``joblib.parallel_config`` says.

    Returns
    -------
    path : PruningPath
        With ``ratios``, ``scores``, ``dense_scores``, ``sparsities`` and more,
        ``best_ratio()`` and ``to_frame()``. NaN, with a FitFailedWarning, for fits that
        fail, as where None finds nothing significant.

    Raises
    ------
    TypeError
        If ``estimator``, ``prune_ratios`` or ``scoring`` is of another kind, or if
        there are weights and ``scoring`` takes none.
    ValueError
        If ``prune_ratios`` is empty, has a ratio outside [0, 1), or one that leaves
        fewer weights than layers; if ``scoring`` is no name of a scorer, or weights
        are negative, or all 0 in a fold: this is known before the first training. If
        the dense training fails, or every fit after it.

    See Also
    --------
    skchaosprune.one_standard_error : The choice of a search over any parameters.
    skchaosprune.display.PruningCurveDisplay.from_path : Draws the result.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP, pruning_path
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0,
    ...                              prune_criterion="magnitude")
    >>> path = pruning_path(model, X, y, [0.0, 0.5, 0.8], cv=3)
    >>> path.scores.shape
    (3, 3)
    >>> path.sparsities.mean(axis=1).round(2)
    array([0.  , 0.5 , 0.81])
    """
    model = last_step(estimator, "pruning_path")
    transformers = None
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        transformers = estimator[:-1]
    prune_ratios = _check_ratios(prune_ratios)
    scorer = _check_scoring(model, scoring, is_weighted=sample_weight is not None)
    X, y = (
        part if hasattr(part, "shape") else np.asarray(part) for part in indexable(X, y)
    )
    folds = list(check_cv(cv, y, classifier=is_classifier(model)).split(X, y, groups))
    if not folds:
        raise ValueError(
            f"cv={brief(cv)} has no folds; give a number, a splitter or None."
        )
    if sample_weight is not None:
        sample_weight = _check_weights(sample_weight, X.shape[0], folds)
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_fold)(
            transformers,
            model,
            [[_take(part, rows) for part in (X, y, sample_weight)] for rows in fold],
            np.arange(X.shape[0])[fold[0]],
            prune_ratios,
            scorer,
            f"fold {number}/{len(folds)}",
        )
        for number, fold in enumerate(folds, start=1)
    )
    _warn_once(results)
    sparsities, effective_sparsities, n_weights_kept, scores = np.array(
        [result.measures for result in results]
    ).T
    return PruningPath(
        ratios=prune_ratios,
        scores=scores,
        dense_scores=np.array([result.dense_score for result in results]),
        sparsities=sparsities,
        effective_sparsities=effective_sparsities,
        n_weights_kept=n_weights_kept,
        n_weights=np.array([result.n_weights for result in results]),
        score_name=name_score(model, scoring),
    )


def name_score(estimator, scoring):
    """Name what ``scoring`` measures; None is the estimator's own score."""
    if scoring is None:
        if is_classifier(estimator):
            return "accuracy"
        return "R2" if is_regressor(estimator) else "score"
    name = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", None)
    return brief(scoring, 60) if name is None else name.replace("_", " ")


def _warn_once(results):
    """Warn of what the folds met and of fits that failed."""
    from skchaosprune._warn import warn_all

    texts = [text for result in results for text in result.warnings]
    # those of the rows differ from fold to fold in numbers only
    of_rows = [result.first_warnings for result in results if result.first_warnings]
    warn_all(dict.fromkeys(sum(of_rows[:1], []) + texts))
    warn_all(_explain_failures(results), FitFailedWarning)


def _explain_failures(results):
    """Say which fits failed, if any; raise where all of them did."""
    failures = [failure for result in results for failure in result.failures]
    if not failures:
        return []
    n_fits = sum(len(result.measures) for result in results)
    text = f"{len(failures)} of {n_fits} fits failed, the first in {failures[0]}"
    if len(failures) == n_fits:
        raise ValueError(text)
    return [f"{text} Their scores are NaN."]


@dataclass
class _Fold:
    """What the fits of one fold came to.

    ``measures`` are (sparsity, effective sparsity, weights kept, held-out score) of
    each ratio, ``dense_score`` is the held-out score of the dense network, which has
    ``n_weights``, ``first_warnings`` what was known before the first training.
    """

    measures: list
    dense_score: float
    n_weights: float
    failures: list
    warnings: list
    first_warnings: list


def _fit_fold(transformers, model, parts, places, prune_ratios, scorer, name):
    """Fit all ratios on one fold; ``places`` are those of its training rows."""
    (X_train, y_train, weights), (X_test, *test) = parts
    if transformers is not None:
        transformers = clone(transformers)
        X_train = transformers.fit_transform(X_train, y_train)
        X_test = transformers.transform(X_test)
    model._check_parameters()
    # the phases of every fit are told from verbose=2 on, as in scikit-learn's searches
    quieter = clone(model).set_params(
        verbose=max(int(model.verbose) - 1, 0), prune_ratio=prune_ratios[0]
    )
    first_warnings, outcomes = _fit_ratios(
        quieter, X_train, y_train, weights, prune_ratios, places
    )
    fold = _Fold([], np.nan, np.nan, [], [], first_warnings)
    for ratio, outcome in zip(prune_ratios, outcomes, strict=True):
        where = f"{name}, prune_ratio={shorten(ratio)}"
        if isinstance(outcome, ValueError):
            fold.failures.append(f"{where}: {outcome}")
            fold.measures.append((np.nan, np.nan, np.nan, np.nan))
            continue
        fold.warnings += outcome.warnings
        fitted = copy.copy(model)
        # rows of one table are not compared with one another
        fitted._keep(outcome.attributes() | {"_rows_of_fit": None})
        if np.isnan(fold.n_weights):
            fold.n_weights = float(fitted.n_weights_)
            dense = fitted._compact(fitted.dense_coefs_, fitted.dense_intercepts_)
            fold.dense_score = _score(scorer, dense, X_test, *test)
        score = _score(scorer, fitted, X_test, *test)
        fold.measures.append(
            (fitted.sparsity_, fitted.effective_sparsity_, fitted.flops_, score)
        )
        if model.verbose:
            print(f"[pruning_path] {where}: score {score:.4f}", flush=True)
    return fold


def _score(scorer, network, X, y, sample_weight):
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    return float(scorer(network, X, y, **weights))


@with_callbacks
def _fit_ratios(model, X, y, sample_weight, prune_ratios, places):
    """Fit with each ratio from one dense training.

    ``places`` are those of the rows in all folds. Returns the warnings that come before
    the first training, and an outcome or a ValueError for each ratio.
    """
    from skchaosprune._fit.pruning import prune_and_retrain
    from skchaosprune._fit.scoring import train_and_score
    from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c

    outcomes = []
    with one_thread_per_fit(), unwrap_ctrl_c():
        plan = model._plan(X, y, sample_weight)
        plan = replace(plan, places=places[plan.places])
        plans = [plan.with_ratio(ratio) for ratio in prune_ratios]
        with plan.explain_divergence():
            progress = Progress(model, (X, y, sample_weight), plans)
            scored = train_and_score(plan.training, plan.resources, progress)
        for of_ratio in plans:
            try:
                with plan.explain_divergence():
                    outcomes.append(prune_and_retrain(of_ratio, scored, progress))
            except ValueError as error:
                progress.abandon_phase()
                outcomes.append(error)
        progress.end()
    return plan.warnings, outcomes


def _check_ratios(prune_ratios):
    """Return the ratios as a list, each a valid one."""
    text = (
        f"prune_ratios={brief(prune_ratios)} must be a list of shares of weights to "
        "remove, like [0.5, 0.9]; None in it is the significance rule of the criterion."
    )
    if isinstance(prune_ratios, str) or not isinstance(prune_ratios, Iterable):
        raise TypeError(text)
    prune_ratios = list(prune_ratios)
    if len(prune_ratios) == 0:
        raise ValueError(text)
    for ratio in prune_ratios:
        _validation.check_prune_ratio(ratio)
    return prune_ratios


def _check_scoring(model, scoring, *, is_weighted):
    """Return the scorer, which takes weights if there are any."""
    text = f"scoring={brief(scoring)}"
    if isinstance(scoring, str) and scoring not in get_scorer_names():
        raise ValueError(
            f"{text} is not known; sklearn.metrics.get_scorer_names() lists the names."
        )
    if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
        raise TypeError(
            f"{text} must be the name of a scorer, a callable scoring(estimator, X, y) "
            "or None for estimator.score; call pruning_path once per score."
        )
    scorer = check_scoring(model, scoring)
    if scoring is not None and is_weighted:
        # a scorer of scikit-learn's passes weights on to its metric
        metric = getattr(scorer, "_score_func", scorer)
        if "sample_weight" not in signature(metric).parameters:
            raise TypeError(
                f"{text} takes no sample_weight; use another score, or leave out "
                "sample_weight."
            )
    return scorer


def _check_weights(sample_weight, n_samples, folds):
    """Return weights that leave rows to train and to score on in each fold."""
    weights = _weights.check_sample_weight(sample_weight, n_samples)
    for number, fold in enumerate(folds, start=1):
        if not all(weights[rows].any() for rows in fold):
            raise ValueError(
                f"sample_weight is 0 for all rows that fold {number}/{len(folds)} "
                "trains or scores on; use other folds, or leave out rows of weight 0."
            )
    return weights


def _take(part, rows):
    """Pick rows of an array or a data frame, which stays one; None stays None."""
    return None if part is None else getattr(part, "iloc", part)[rows]
