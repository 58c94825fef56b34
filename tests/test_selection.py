"""The sparsest candidate within one standard error, against the rule written out."""

import pickle
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.compose import TransformedTargetRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, ShuffleSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLPRegressor, one_standard_error
from skchaosprune._selection import mean_and_error
from tests.helpers import small

# Two folds of these differ by .04, so one standard error of their mean is .02.
BEST, CLOSE, FAR = (0.92, 0.88), (0.89, 0.88), (0.879, 0.878)


def results(params, scores, metric="score", **more):
    """Make what a search leaves behind, from scores (n_rows, n_folds)."""
    scores = np.array(scores, dtype=float)
    columns = {f"split{i}_test_{metric}": fold for i, fold in enumerate(scores.T)}
    mean = {f"mean_test_{metric}": scores.mean(axis=1)}
    return {"params": params} | columns | mean | more


def pick(rows, metric=None, **more):
    """Pick from pairs of parameters and scores."""
    return one_standard_error(results(*zip(*rows, strict=True), **more), metric=metric)


def ratio(value, **others):
    return {"m__prune_ratio": value} | {f"m__{k}": v for k, v in others.items()}


def test_the_rule_of_breiman():
    means, errors = mean_and_error(np.array([BEST, (0.5, np.nan), (np.nan, np.nan)]))
    assert_allclose(means, [0.9, 0.5, np.nan])
    assert_allclose(errors, [0.04 / np.sqrt(2.0) / np.sqrt(2.0), np.nan, np.nan])

    assert pick([(ratio(0.0), CLOSE), (ratio(0.5), BEST), (ratio(0.9), CLOSE)]) == 2
    assert pick([(ratio(0.0), CLOSE), (ratio(0.5), BEST), (ratio(0.9), FAR)]) == 1
    # one standard deviation would go further
    assert np.mean(FAR) > 0.9 - np.std(BEST, ddof=1)
    # one fold has no error, and equal ones go to the sparsest
    assert pick([(ratio(0.0), [0.9]), (ratio(0.5), [0.9]), (ratio(0.9), [0.89])]) == 1
    # equal means that differ in rounding, without an error
    assert np.mean([0.85, 0.95]) < 0.9
    assert pick([(ratio(0.5), (0.9, 0.9)), (ratio(0.8), (0.85, 0.95))]) == 1
    # of one ratio the best mean, then the first
    rows = [(ratio(0.9, alpha=0.1 * i), s) for i, s in enumerate([CLOSE, BEST, BEST])]
    assert pick(rows) == 1
    assert type(pick(rows)) is int

    rng = np.random.default_rng(0)
    ratios = np.array([0.0, 0.3, 0.6, 0.9])
    for scores in rng.normal(size=(50, 4, 5)):
        best = max(range(4), key=lambda row: sum(scores[row]))
        mean = sum(scores[best]) / 5
        error = np.sqrt(sum((x - mean) ** 2 for x in scores[best]) / 4 / 5)
        close = [row for row in range(4) if sum(scores[row]) / 5 >= mean - error]
        assert pick(list(zip(map(ratio, ratios), scores, strict=True))) == max(close)


def test_what_is_sparsest():
    few, some, every = (ratio(0.5, max_features=n) for n in (2, 5, None))
    for rows in ([few, some, every], [every, some, few]):
        place = pick(list(zip(rows, [CLOSE, BEST, CLOSE], strict=True)))
        assert rows[place] is few
    shares = [{"max_features": share} for share in (0.5, 0.2, None)]
    assert pick(list(zip(shares, [CLOSE, CLOSE, BEST], strict=True))) == 1
    # the ratio counts first
    assert pick([(few, BEST), (ratio(0.9, max_features=None), CLOSE)]) == 1
    # that of another step is another parameter
    select = {"select__max_features": "sqrt"}
    assert pick([(ratio(0.5) | select, BEST), (ratio(0.9) | select, CLOSE)]) == 1

    # sizes of networks that a ratio cannot compare
    large, larger = {"hidden_layer_sizes": (99,)}, {"hidden_layer_sizes": 99}
    tiny = {"hidden_layer_sizes": (9,)}
    rows = [(ratio(0.5, **tiny), BEST), (ratio(0.9, **large), CLOSE)]
    assert pick(rows) == 0
    assert pick([*rows, (ratio(0.8, **tiny), CLOSE)]) == 2
    rows = [(ratio(0.5, **larger), BEST), (ratio(0.9, **large), CLOSE)]
    assert pick(rows) == 1
    bare = [{"prune_ratio": 0.5} | tiny, {"prune_ratio": 0.9} | large]
    assert pick(list(zip(bare, [BEST, CLOSE], strict=True))) == 0

    # unknown sparsity: a rule, or the ratio of the estimator itself
    for unknown in (ratio(None), {"m__alpha": 0.1}):
        assert pick([(ratio(0.5), BEST), (unknown, CLOSE)]) == 0
        assert pick([(ratio(0.5), CLOSE), (unknown, BEST)]) == 1


def test_failed_fits_and_halving():
    failed = (np.nan, 0.99)
    rows = [(ratio(0.0), CLOSE), (ratio(0.5), BEST), (ratio(0.9), failed)]
    assert pick(rows) == 1
    assert pick([*rows[:2], (ratio(0.9), (-np.inf, 0.9))]) == 1
    with pytest.raises(
        ValueError, match="no candidate to pick.*a fit or scorer failed"
    ):
        pick(rows[2:])

    # scores of fewer resources say nothing of those of more
    rows = [(ratio(0.95), BEST), (ratio(0.5), CLOSE), (ratio(0.9), FAR)]
    assert pick(rows, iter=np.array([0, 1, 1])) == 1


def test_metrics():
    rows = results([ratio(0.5), ratio(0.9)], [CLOSE, BEST], metric="roc_auc")
    assert one_standard_error(rows) == 1
    rows |= results(rows["params"], [BEST, FAR], metric="f1")
    for metric, place in (("f1", 0), ("roc_auc", 1)):
        assert one_standard_error(rows, metric=metric) == place
    # twelve folds, and names that hold others or mean something to patterns
    odd = results(rows["params"], [6 * BEST, 6 * FAR], metric="f1")
    odd |= results(rows["params"], [6 * FAR, 6 * BEST], metric="f1_macro")
    odd |= results(
        rows["params"], [10 * (0.5,) + BEST, 12 * (0.5,)], metric="f+1_macro"
    )
    for metric, place in (("f1", 0), ("f1_macro", 1), ("f+1_macro", 0)):
        assert one_standard_error(odd, metric=metric) == place
    with pytest.raises(
        ValueError, match=r"has \['f1', 'roc_auc'\].*one_standard_error, metric='f1'\)"
    ):
        one_standard_error(rows)
    with pytest.raises(ValueError, match=r"metric='r2' .* one of \['f1', 'roc_auc'\]"):
        one_standard_error(rows, metric="r2")


def test_searches_that_have_no_sparsity():
    for rows, match in (
        ([{"alpha": 0.1}], r"the parameters are \['alpha'\]"),
        ([{"a__prune_ratio": 0.1, "b__prune_ratio": 0.1}], "there are.*a__prune_ratio"),
        ([ratio(0.1, max_features=n) for n in (1, 0.5)], r"compared: \[1, 0.5\]"),
        ([ratio(0.1, max_features="sqrt")], r"m__max_features' cannot be compared"),
    ):
        with pytest.raises(ValueError, match=match):
            pick([(row, BEST) for row in rows])


def test_refit(iris, diabetes):
    grid = {"prune_ratio": [0.0, 0.3, 0.6]}
    rule = pickle.loads(pickle.dumps(one_standard_error))
    assert rule is one_standard_error
    search = GridSearchCV(small(), grid, cv=3, refit=rule, n_jobs=1).fit(*iris)
    assert search.best_index_ == one_standard_error(search.cv_results_)
    assert search.best_estimator_.prune_ratio == search.best_params_["prune_ratio"]

    refit = partial(one_standard_error, metric="accuracy")
    scoring = ["neg_log_loss", "accuracy"]
    several = GridSearchCV(small(), grid, cv=3, scoring=scoring, refit=refit)
    assert several.fit(*iris).best_params_ == search.best_params_

    inner = small(ChaosCausalPrunedMLPRegressor, max_iter=3)
    nested = TransformedTargetRegressor(
        Pipeline([("scaler", StandardScaler()), ("mlp", inner)])
    )
    grid = {"regressor__mlp__prune_ratio": [0.0, 0.6]}
    cv = ShuffleSplit(1, random_state=0)
    search = GridSearchCV(nested, grid, cv=cv, refit=one_standard_error).fit(*diabetes)
    assert search.best_index_ == search.cv_results_["mean_test_score"].argmax()

    # which takes no function
    grid = {"prune_ratio": [0.3, 0.6]}
    halving = HalvingGridSearchCV(small(), grid, cv=2, random_state=0).fit(*iris)
    place = one_standard_error(halving.cv_results_)
    assert halving.cv_results_["iter"][place] == halving.cv_results_["iter"].max()
