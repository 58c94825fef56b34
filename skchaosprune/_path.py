"""Held-out scores over many prune ratios, from one dense training per fold."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, indexable
from sklearn.utils.parallel import Parallel, delayed

from skchaosprune import _validation
from skchaosprune._fit.progress import Progress, with_callbacks
from skchaosprune._names import last_step
from skchaosprune._text import brief, shorten


def pruning_path(estimator, X, y, prune_ratios, cv=None, *, n_jobs=None):
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
    X : array-like of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Targets.
    prune_ratios : list of float or None
        Shares of the weights to remove, in [0, 1); None is the significance rule of
        the criterion. The estimator's own ``prune_ratio`` is not used.
    cv : int, splitter, iterable or None, default=None
        Folds, as in scikit-learn: None is 5 folds, stratified for a classifier. For
        folds by groups give ``list(GroupKFold().split(X, y, groups))``.
    n_jobs : int or None, default=None
        Folds at a time, through joblib; None is 1, or what
        ``joblib.parallel_config`` says.

    Returns
    -------
    path : Bunch
        ``ratios``, the list; ``sparsities`` and ``effective_sparsities``,
        ndarrays of shape (n_ratios, n_folds), shares in [0, 1]; ``scores``, of the same
        shape, the held-out accuracy or R2; ``dense_scores``, an ndarray of shape
        (n_folds,), the same for the dense network when it was scored. NaN, with a
        FitFailedWarning, for fits that fail, as where None finds nothing significant,
        and for the dense network of a fold in which all of them do.

    Raises
    ------
    TypeError
        If ``estimator`` or ``prune_ratios`` is of another kind.
    ValueError
        If ``prune_ratios`` is empty, has a ratio outside [0, 1), or one that leaves
        fewer weights than layers: this is known before the first training. If the dense
        training fails, or every fit after it.

    See Also
    --------
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
    from skchaosprune._warn import warn_all

    model = last_step(estimator, "pruning_path")
    transformers = None
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        transformers = estimator[:-1]
    prune_ratios = _check_ratios(prune_ratios)
    X, y = (
        part if hasattr(part, "shape") else np.asarray(part) for part in indexable(X, y)
    )
    folds = list(check_cv(cv, y, classifier=is_classifier(model)).split(X, y))
    if not folds:
        raise ValueError(
            f"cv={brief(cv)} has no folds; give a number, a splitter or None."
        )
    results = Parallel(n_jobs=n_jobs)(
        delayed(_fit_fold)(
            transformers,
            model,
            [(_take(X, rows), _take(y, rows)) for rows in fold],
            np.arange(len(X))[fold[0]],
            prune_ratios,
            f"fold {number}/{len(folds)}",
        )
        for number, fold in enumerate(folds, start=1)
    )
    texts = [text for result in results for text in result.warnings]
    # those of the rows differ from fold to fold in numbers only
    of_rows = [result.first_warnings for result in results if result.first_warnings]
    warn_all(dict.fromkeys(sum(of_rows[:1], []) + texts))
    warn_all(_explain_failures(results), FitFailedWarning)
    sparsities, effective_sparsities, scores = np.array(
        [result.measures for result in results]
    ).T
    return Bunch(
        ratios=prune_ratios,
        sparsities=sparsities,
        effective_sparsities=effective_sparsities,
        scores=scores,
        dense_scores=np.array([result.dense_score for result in results]),
    )


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

    ``measures`` are (sparsity, effective sparsity, held-out score) of each ratio,
    ``dense_score`` is the held-out score of the dense network, ``first_warnings`` what
    was known before the first training.
    """

    measures: list
    dense_score: float
    failures: list
    warnings: list
    first_warnings: list


def _fit_fold(transformers, model, parts, places, prune_ratios, name):
    """Fit all ratios on one fold; ``places`` are those of its training rows."""
    (X_train, y_train), (X_test, y_test) = parts
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
        quieter, X_train, y_train, prune_ratios, places
    )
    fold = _Fold([], np.nan, [], [], first_warnings)
    for ratio, outcome in zip(prune_ratios, outcomes, strict=True):
        where = f"{name}, prune_ratio={shorten(ratio)}"
        if isinstance(outcome, ValueError):
            fold.failures.append(f"{where}: {outcome}")
            fold.measures.append((np.nan, np.nan, np.nan))
            continue
        fold.warnings += outcome.warnings
        fitted = copy.copy(model)
        # rows of one table are not compared with one another
        fitted._keep(outcome.attributes() | {"_rows_of_fit": None})
        if np.isnan(fold.dense_score):
            dense = fitted._compact(fitted.dense_coefs_, fitted.dense_intercepts_)
            fold.dense_score = dense.score(X_test, y_test)
        score = fitted.score(X_test, y_test)
        fold.measures.append((fitted.sparsity_, fitted.effective_sparsity_, score))
        if model.verbose:
            print(f"[pruning_path] {where}: score {score:.4f}", flush=True)
    return fold


@with_callbacks
def _fit_ratios(model, X, y, prune_ratios, places):
    """Fit with each ratio from one dense training.

    ``places`` are those of the rows in all folds. Returns the warnings that come before
    the first training, and an outcome or a ValueError for each ratio.
    """
    from skchaosprune._fit.pruning import prune_and_retrain
    from skchaosprune._fit.scoring import train_and_score
    from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c

    plan = model._plan(X, y, None)
    plan = replace(plan, places=places[plan.places])
    plans = [plan.with_ratio(ratio) for ratio in prune_ratios]
    outcomes = []
    with one_thread_per_fit(), unwrap_ctrl_c(), plan.explain_divergence():
        progress = Progress(model, (X, y, None), plans)
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


def _take(X, rows):
    """Pick rows of an array or a data frame, which stays one."""
    return getattr(X, "iloc", X)[rows]
