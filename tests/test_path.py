"""One dense training per fold, and many ratios."""

import pickle

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    PruningCurveDisplay,
    pruning_path,
)
from skchaosprune.criteria import ChaosCausality
from tests.helpers import count_trainings, small


def naive_path(estimator, name, X, y, ratios, folds):
    """Fit every ratio on every fold on its own."""
    sparsities, scores = np.empty((2, len(ratios), len(folds)))
    for fold, (train, test) in enumerate(folds):
        for place, ratio in enumerate(ratios):
            model = clone(estimator).set_params(**{name: ratio})
            model.fit(X[train], y[train])
            scores[place, fold] = model.score(X[test], y[test])
            last = model[-1] if isinstance(model, Pipeline) else model
            sparsities[place, fold] = last.sparsity_
    return sparsities, scores


def test_path_equals_single_fits(iris):
    X, y = iris
    ratios, folds = [0.8, 0.0, 0.5], list(StratifiedKFold(3).split(X, y))
    path = pruning_path(small(), X, y, ratios, cv=3)

    sparsities, scores = naive_path(small(), "prune_ratio", X, y, ratios, folds)
    assert_array_equal(path.sparsities, sparsities)
    assert_array_equal(path.scores, scores)
    assert path.ratios == ratios
    assert path.scores.shape == path.effective_sparsities.shape == (3, 3)
    assert np.all(path.effective_sparsities >= path.sparsities)
    # without pruning, the sparse training repeats the dense one
    assert_array_equal(path.dense_scores, path.scores[1])


@pytest.mark.slow
def test_path_of_a_regressor(diabetes):
    X, y = diabetes
    model = small(ChaosCausalPrunedMLPRegressor)
    cv = KFold(3, shuffle=True, random_state=0)
    path = pruning_path(model, X, y, pd.Series([0.2, 0.8], index=[7, 8]), cv=cv)

    folds = list(cv.split(X))
    sparsities, scores = naive_path(model, "prune_ratio", X, y, (0.2, 0.8), folds)
    assert_array_equal(path.sparsities, sparsities)
    assert_array_equal(path.scores, scores)
    assert path.ratios == [0.2, 0.8]


def test_path_of_a_pipeline(iris):
    X, y = iris[0] * 9 + 50, iris[1]
    model = make_pipeline(StandardScaler(), "passthrough", small())
    folds = list(KFold(3, shuffle=True, random_state=0).split(X))
    path = pruning_path(model, X, y, [0.5, 0.8], cv=folds)

    name = "chaoscausalprunedmlp__prune_ratio"
    sparsities, scores = naive_path(model, name, X, y, [0.5, 0.8], folds)
    assert_array_equal(path.sparsities, sparsities)
    assert_array_equal(path.scores, scores)
    assert not hasattr(model[0], "mean_")


def test_path_of_a_pipeline_of_one_step(iris):
    path = pruning_path(make_pipeline(small()), *iris, [0.5], cv=2)

    assert_array_equal(path.scores, pruning_path(small(), *iris, [0.5], cv=2).scores)


@pytest.mark.parametrize(
    "cv, n_folds", [(None, 5), (2, 2), (KFold(3, shuffle=True), 3)]
)
def test_one_dense_training_per_fold(iris, monkeypatch, cv, n_folds):
    masks = count_trainings(monkeypatch)
    path = pruning_path(small(max_iter=2), *iris, [0.5, 0.8], cv=cv)

    assert sum(mask.all() for mask in masks) == n_folds
    assert len(masks) == n_folds * (1 + 1)  # .8 takes a descent
    assert path.scores.shape == (2, n_folds)
    assert path.dense_scores.shape == (n_folds,)


def test_path_with_the_significance_rule(iris):
    model = small(prune_criterion="intervention")
    path = pruning_path(model, *iris, [None, 0.5], cv=2)

    assert path.ratios == [None, 0.5]
    assert 0.0 < path.sparsities[0].min() < 1.0
    assert np.all(path.sparsities[1] == round(0.5 * 21) / 21)


def choose_columns(frame):
    return frame[["b", "c"]]


def test_path_keeps_names_of_columns(iris):
    X = pd.DataFrame(iris[0], columns=list("abcd"), index=np.arange(150) + 7)
    y = pd.Series(np.array(["x", "y", "z"])[iris[1]], index=X.index)
    chooser = FunctionTransformer(choose_columns)
    path = pruning_path(make_pipeline(chooser, small()), X, y, [0.5, 0.8], cv=3)

    lists = iris[0][:, [1, 2]].tolist(), y.tolist()
    plain = pruning_path(small(), *lists, [0.5, 0.8], cv=3)
    assert_array_equal(path.scores, plain.scores)
    named = pruning_path(small(), X[["b", "c"]], y, [0.5, 0.8], cv=3)
    assert_array_equal(named.scores, plain.scores)


def test_path_leaves_the_estimator_alone(iris):
    model = small(random_state=np.random.RandomState(0), prune_ratio=0.3)
    before = pickle.dumps(model)

    pruning_path(model, *iris, [0.5], cv=2)
    assert pickle.dumps(model) == before


def test_path_without_a_seed(iris):
    path = pruning_path(small(random_state=None), *iris, [0.0, 0.5], cv=2)

    assert_array_equal(path.dense_scores, path.scores[0])


def test_path_is_silent_or_verbose(iris, capsys):
    pruning_path(small(), *iris, [0.5], cv=2)
    assert capsys.readouterr().out == ""

    path = pruning_path(small(verbose=1), *iris, [0.0, 0.5], cv=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[3] == (
        f"[pruning_path] fold 2/2, prune_ratio=0.5: score {path.scores[1, 1]:.4f}"
    )

    pruning_path(small(verbose=2), *iris, [0.5], cv=2)
    assert "dense training: epoch 12/12" in capsys.readouterr().out


@pytest.mark.parametrize(
    "ratios, kind, match",
    [
        ([], ValueError, r"prune_ratios=\[\] must be a list"),
        (0.5, TypeError, "prune_ratios=0.5 must be a list"),
        ("0.5", TypeError, "prune_ratios='0.5' must be a list"),
        ([0.5, 1.0], ValueError, "prune_ratio=1.0 must be the share"),
        ([0.5, "0.6"], TypeError, "prune_ratio='0.6' must be the share"),
        ([0.5, 0.999], ValueError, "prune_ratio=0.999"),
        ([0.5, None], ValueError, "prune_ratio=None needs a criterion"),
    ],
)
def test_bad_ratios_are_known_before_any_training(
    iris, monkeypatch, ratios, kind, match
):
    trainings = count_trainings(monkeypatch)
    with pytest.raises(kind, match=match):
        pruning_path(small(), *iris, ratios)
    assert trainings == []


@pytest.mark.parametrize(
    "estimator, name",
    [
        (LogisticRegression(), "LogisticRegression"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "LogisticRegression"),
        (make_pipeline(small(), StandardScaler()), "StandardScaler"),
        (ChaosCausalPrunedMLP, "class"),
    ],
)
def test_other_estimators(iris, estimator, name):
    with pytest.raises(TypeError, match=f"(?s)pruning_path needs a.*Got .*{name}"):
        pruning_path(estimator, *iris, [0.5])


def test_path_needs_as_many_targets_as_rows(iris):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        pruning_path(small(), iris[0], iris[1][:10], [0.5])


@pytest.mark.slow
def test_path_goes_on_where_a_fit_fails(iris):
    """No weight is significant in the first fold, whose errors are permuted."""
    X, y = iris
    rng = np.random.RandomState(0)
    rows = rng.permutation(len(X))
    X, y = X[rows], y[rows]
    y = np.where(np.arange(150) < 75, rng.permutation(y), y)
    folds = [(np.arange(75), np.arange(75, 150)), (np.arange(75, 150), np.arange(75))]
    model = ChaosCausalPrunedMLP(
        (4,),
        max_iter=60,
        prune_criterion=ChaosCausality(significance_level=0.001),
        random_state=0,
    )
    with pytest.warns(FitFailedWarning, match="of 4 fits failed, the first in fold"):
        path = pruning_path(model, X, y, [0.5, None], cv=folds)

    failed = np.isnan(path.scores)
    assert failed[1].sum() == 1 and not failed[0].any()
    assert_array_equal(np.isnan(path.sparsities), failed)
    assert np.isfinite(path.dense_scores).all()
    display = PruningCurveDisplay.from_path(path, ax=Figure().subplots())
    assert len(display.lines_) == 2
    assert all(np.isfinite(line.get_ydata()).all() for line in display.lines_)


@pytest.mark.slow
def test_path_of_fits_that_all_fail(iris):
    model = ChaosCausalPrunedMLP(
        (4,),
        max_iter=60,
        prune_criterion=ChaosCausality(significance_level=1e-300),
        random_state=0,
    )
    with pytest.raises(
        ValueError, match="2 of 2 fits failed, .* fold 1/2.*significant"
    ):
        pruning_path(model, *iris, [None], cv=2)


def test_path_computes_no_importances(iris):
    model = small(prune_criterion=keep_the_last_layer, keep_connected=False)
    model.set_params(prune_ratio=0.6)

    with pytest.warns(UserWarning, match="outputs .* do not depend on any input"):
        model.fit(*iris)
    assert pruning_path(model, *iris, [0.6], cv=2).scores.shape == (1, 2)


def keep_the_last_layer(record):
    return np.arange(record.n_weights)


@pytest.mark.slow
def test_path_in_two_jobs_keeps_the_configuration(iris):
    X, y = pd.DataFrame(iris[0], columns=list("abcd")), iris[1]
    chooser = FunctionTransformer(choose_columns)
    pipeline = make_pipeline(StandardScaler(), chooser, small())
    with config_context(transform_output="pandas"):
        one, two = (
            pruning_path(pipeline, X, y, [0.0, 0.5], cv=2, n_jobs=n_jobs)
            for n_jobs in (None, 2)
        )
    for name in ("scores", "sparsities", "dense_scores"):
        assert_array_equal(one[name], two[name])


def test_path_without_folds_and_with_odd_verbose(iris):
    with pytest.raises(ValueError, match=r"cv=\[\] has no folds"):
        pruning_path(small(), *iris, [0.5], cv=[])
    with pytest.raises(TypeError, match="verbose"):
        pruning_path(small(verbose=None), *iris, [0.5], cv=2)


def test_a_score_of_a_child_counts(iris):
    class Constant(ChaosCausalPrunedMLP):
        def score(self, X, y, sample_weight=None):
            return 42.0

    path = pruning_path(Constant(**small().get_params()), *iris, [0.5], cv=2)
    assert path.scores.tolist() == [[42.0, 42.0]]
