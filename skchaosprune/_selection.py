"""Which candidate to take: the sparsest one that is about as good as the best."""

import re
from numbers import Integral, Real

import numpy as np

from skchaosprune._text import brief, brief_list


def one_standard_error(cv_results, *, metric=None):
    """Pick the sparsest candidate whose score is within one standard error of the best.

    Give it as ``refit`` to a search over ``prune_ratio``, ``max_features`` or both:
    ``GridSearchCV(model, grid, refit=one_standard_error)``.

    Parameters
    ----------
    cv_results : dict
        ``cv_results_`` of a search. The estimator may be a step of a pipeline or
        otherwise nested, as in ``mlp__prune_ratio``.
    metric : str or None, default=None
        Which of the metrics, in a search with several:
        ``refit=partial(one_standard_error, metric="roc_auc")``.

    Returns
    -------
    best_index : int
        Place of the candidate in ``cv_results``, ``best_index_`` of the search.

    Raises
    ------
    ValueError
        If there is no ``prune_ratio`` or ``max_features`` in the search, or those of
        several estimators, if ``max_features`` has both numbers and shares, if
        ``metric`` is needed or not there, or if each candidate has a failed fit.

    See Also
    --------
    pruning_path : Many ratios from one dense training per fold, with the same rule.

    Notes
    -----
    The rule of [1]_: the best candidate has the highest mean score, and its standard
    error is the sample standard deviation of its scores over the folds (divisor
    n - 1), divided by the square root of n. scikit-learn's example of such a ``refit``
    takes the whole standard deviation, and accepts lower scores. With one fold there is
    no error, and the rule picks the best.

    Sparsest is the largest ``prune_ratio``, then the smallest ``max_features`` (None
    is all), then the best mean score. A ratio does not compare networks of several
    sizes: where ``hidden_layer_sizes`` vary, candidates with those of the best one
    count. A candidate without a known ratio, as ``prune_ratio=None``, is picked only
    if it is the best itself, and then always. Candidates with a failed fit are left
    out. Of successive halving the last iteration counts; these searches ignore a
    function given as ``refit``, so call this one with their ``cv_results_``.

    A search with a function as ``refit`` has no ``best_score_``: that of the pick is
    ``search.cv_results_["mean_test_score"][search.best_index_]``.

    References
    ----------
    .. [1] L. Breiman, J. H. Friedman, R. A. Olshen, C. J. Stone (1984).
       Classification and Regression Trees. Wadsworth. Section 3.4.3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skchaosprune import ChaosCausalPrunedMLP, one_standard_error
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0,
    ...                              prune_criterion="magnitude")
    >>> grid = {"prune_ratio": [0.0, 0.5, 0.7]}
    >>> search = GridSearchCV(model, grid, refit=one_standard_error).fit(X, y)
    >>> search.best_params_
    {'prune_ratio': 0.7}
    """
    params = cv_results["params"]
    scores = collect_split_scores(cv_results, metric or _only_metric(cv_results))
    owner, names = _find_sizes(params)
    if "iter" in cv_results:  # successive halving
        iterations = np.asarray(cv_results["iter"])
        scores[iterations < iterations.max()] = np.nan
    best = find_best(scores)
    sizes = np.column_stack([_read_sizes(params, name) for name in names])
    units = [_read_units(row, owner) for row in params]
    sizes[[other != units[best] for other in units]] = np.nan
    return find_sparsest(scores, sizes)


def find_best(scores):
    """Return the row of the highest mean of ``scores`` of shape (n_rows, n_folds)."""
    is_complete = np.isfinite(scores).all(axis=1)
    if not is_complete.any():
        raise ValueError(
            "there is no candidate to pick, as each has a fold without a score: a fit "
            "or scorer failed; see the warnings, or error_score='raise' of a search."
        )
    means, _ = mean_and_error(scores)
    return int(np.argmax(np.where(is_complete, means, -np.inf)))


def find_sparsest(scores, sizes):
    """Return the row of the smallest network within one standard error of the best.

    Parameters
    ----------
    scores : ndarray of shape (n_rows, n_folds)
        Rows with a fold that failed (NaN) are left out.
    sizes : ndarray of shape (n_rows, n_sizes)
        The first counts most; NaN is not known.

    Returns
    -------
    row : int
        Of equal sizes that of the highest mean, then the first.
    """
    best = find_best(scores)
    if np.isnan(sizes[best]).any():  # nothing can be said to be smaller
        return best
    means, errors = mean_and_error(scores)
    lowest = means[best] - np.nan_to_num(errors[best])
    lowest -= 1e-12 * np.abs(lowest)  # equal means may differ in their rounding
    is_close = np.isfinite(scores).all(axis=1) & (means >= lowest)
    rows = np.flatnonzero(is_close & ~np.isnan(sizes).any(axis=1))
    order = np.lexsort([-means[rows], *sizes[rows].T[::-1]])
    return int(rows[order[0]])


def mean_and_error(scores):
    """Return means over the folds that have a score, and their standard errors.

    A mean of no fold, or an error of one, is NaN.
    """
    folds = np.ma.masked_invalid(scores)
    n_folds = folds.count(axis=1)
    errors = folds.std(axis=1, ddof=1) / np.sqrt(np.maximum(n_folds, 1))
    return folds.mean(axis=1).filled(np.nan), errors.filled(np.nan)


def collect_split_scores(results, metric):
    """Return scores of shape (n_candidates, n_folds) from ``cv_results_``."""
    pattern = re.compile(rf"split\d+_test_{re.escape(metric)}")
    columns = [results[name] for name in results if pattern.fullmatch(name)]
    if not columns:
        raise ValueError(
            f"metric={brief(metric)} is not in cv_results_; it must be one of "
            f"{brief_list(_list_metrics(results))}."
        )
    return np.column_stack(columns).astype(float)


def find_parameters(params, last):
    """Return the full names of a parameter in the candidates of a search."""
    names = {name for row in params for name in row}
    return sorted(name for name in names if name.split("__")[-1] == last)


def _list_metrics(results):
    start = "mean_test_"
    return sorted(name[len(start) :] for name in results if name.startswith(start))


def _only_metric(results):
    metrics = _list_metrics(results)
    if len(metrics) > 1:
        raise ValueError(
            f"metric=None needs a search with one metric, and this one has "
            f"{brief_list(metrics)}; name one, as in "
            f"functools.partial(one_standard_error, metric={brief(metrics[0], 40)})."
        )
    return metrics[0] if metrics else "score"


def _find_sizes(params):
    """Return whose ratio and number of features vary, and the names of these."""
    names = find_parameters(params, "prune_ratio")
    names = names or find_parameters(params, "max_features")
    owners = [name.rpartition("__")[0] for name in names]
    if len(owners) != 1:
        known = names or sorted({name for row in params for name in row})
        raise ValueError(
            "one_standard_error needs a search over prune_ratio or max_features of one "
            f"estimator; {'of these there are' if names else 'the parameters are'} "
            f"{brief_list(known)}."
        )
    features = find_parameters(params, "max_features")
    of_owner = [name for name in features if name.rpartition("__")[0] == owners[0]]
    return owners[0], list(dict.fromkeys(names + of_owner))


def _read_sizes(params, name):
    """Return what a parameter of the candidates says about their size, NaN if nothing.

    Smaller numbers are smaller networks.
    """
    if name.split("__")[-1] == "prune_ratio":
        ratios = [row.get(name) for row in params]
        return np.array([np.nan if ratio is None else -ratio for ratio in ratios])
    values = [row.get(name, np.nan) for row in params]
    numbers = [value for value in values if value is not None and value == value]
    kinds = {Integral if isinstance(number, Integral) else Real for number in numbers}
    if len(kinds) > 1 or not all(isinstance(number, Real) for number in numbers):
        raise ValueError(
            f"the values of {brief(name)} cannot be compared: {brief_list(numbers)}. "
            "Use numbers of features alone (int) or shares alone (float), beside None."
        )
    return np.array([np.inf if value is None else value for value in values], float)


def _read_units(row, owner):
    """Return the hidden layers of a candidate as a list, empty if not in the search."""
    name = f"{owner}__hidden_layer_sizes" if owner else "hidden_layer_sizes"
    return np.ravel(row.get(name, [])).tolist()
