"""One dense training per fold, and many ratios."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, check_scoring, make_scorer, max_error
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    PruningCurveDisplay,
    pruning_path,
)
from skchaosprune.criteria import ChaosCausality
from skchaosprune.report import PruningPath
from tests.helpers import count_trainings, small


def naive_path(estimator, name, X, y, ratios, folds, weights=None, scoring=None):
    """Fit every ratio on every fold on its own."""
    sparsities, scores = np.empty((2, len(ratios), len(folds)))
    score = check_scoring(estimator, scoring)
    prefix = name.removesuffix("prune_ratio")
    for fold, (train, test) in enumerate(folds):
        for place, ratio in enumerate(ratios):
            model = clone(estimator).set_params(**{name: ratio})
            fit, held_out = {}, {}
            if weights is not None:
                fit = {f"{prefix}sample_weight": weights[train]}
                held_out = {"sample_weight": weights[test]}
            model.fit(X[train], y[train], **fit)
            scores[place, fold] = score(model, X[test], y[test], **held_out)
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
    assert_array_equal(path.n_weights, 21)
    assert_array_equal(path.n_weights_kept, np.round(21 * (1 - path.sparsities)))
    assert path.score_name == "accuracy"
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
    assert path.score_name == "R2"


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
    path = pruning_path(make_pipeline(small()), *iris, [0.5], cv=2)
    assert_array_equal(path.scores, pruning_path(small(), *iris, [0.5], cv=2).scores)


def double_accuracy(estimator, X, y, sample_weight=None):
    return 2.0 * estimator.score(X, y, sample_weight)


def test_path_with_weights_scoring_and_groups(iris):
    X, y = iris
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, len(y)).astype(float)
    groups = rng.permutation(np.arange(len(y)) // 5)
    folds = list(GroupKFold(3).split(X, y, groups))
    model = small(hidden_layer_sizes=(5,))
    pipeline = make_pipeline(StandardScaler(), model)
    for estimator, prefix, scoring, name in (
        (model, "", None, "accuracy"),
        (model, "", "neg_log_loss", "neg log loss"),
        (pipeline, "chaoscausalprunedmlp__", "roc_auc_ovr", "roc auc ovr"),
        (model, "", double_accuracy, "double accuracy"),
    ):
        for sample_weight in (weights, None):
            path = pruning_path(
                estimator,
                X,
                y,
                [0.0, 0.8],
                cv=GroupKFold(3),
                scoring=scoring,
                groups=groups.tolist(),
                sample_weight=sample_weight,
            )
            sparsities, scores = naive_path(
                estimator,
                f"{prefix}prune_ratio",
                X,
                y,
                [0.0, 0.8],
                folds,
                sample_weight,
                scoring,
            )
            assert_array_equal(path.sparsities, sparsities)
            assert_array_equal(path.scores, scores)
            # the sparse training repeats the dense one; compact sums differ in rounding
            assert_allclose(path.dense_scores, scores[0])
            assert path.score_name == name

    one = pruning_path(model, X, y, [0.5], cv=2, sample_weight=3.0)
    same = pruning_path(model, X, y, [0.5], cv=2, sample_weight=[3.0] * len(y))
    assert_array_equal(one.scores, same.scores)


def test_bad_scoring_and_weights_are_known_before_any_training(iris, monkeypatch):
    trainings = count_trainings(monkeypatch)
    X, y = iris
    ones = np.ones(len(y))
    for options, kind, match in (
        ({"scoring": "acuracy"}, ValueError, "scoring='acuracy' is not known"),
        ({"scoring": ["r2"]}, TypeError, r"scoring=\['r2'\] must be the name"),
        ({"scoring": accuracy_score}, ValueError, "scoring"),
        (
            {"scoring": make_scorer(max_error), "sample_weight": ones},
            TypeError,
            "max_error.*takes no sample_weight",
        ),
        ({"sample_weight": -ones}, ValueError, "negative"),
        ({"sample_weight": ones[1:]}, ValueError, "one weight per sample"),
        ({"sample_weight": y == 0, "cv": KFold(3)}, ValueError, "0 for all.*fold 1/3"),
        ({"sample_weight": y != 0, "cv": KFold(3)}, ValueError, "0 for all.*fold 1/3"),
        ({"groups": y[1:], "cv": GroupKFold(3)}, ValueError, "inconsistent"),
        ({"cv": GroupKFold(3)}, ValueError, "groups"),
    ):
        with pytest.raises(kind, match=match):
            pruning_path(small(), X, y, [0.5], **options)
    assert trainings == []


def make_path(ratios, scores, kept):
    scores, kept = np.array(scores, dtype=float), np.array(kept, dtype=float)
    return PruningPath(
        ratios=ratios,
        scores=scores,
        dense_scores=np.array([0.9, 0.8]),
        sparsities=1.0 - kept / 2000,
        effective_sparsities=1.0 - kept / 2000,
        n_weights_kept=kept,
        n_weights=np.array([2000.0, 2000.0]),
        score_name="roc auc",
    )


def test_choice_table_and_frame(monkeypatch):
    scores = [[0.8, 0.84], [0.92, 0.88], [0.89, 0.88], [0.99, np.nan]]
    kept = [[2000, 2000], [1000, 1000], [300, 301], [60, np.nan]]
    path = make_path([0.0, 0.5, None, 0.97], scores, kept)

    assert path.best_ratio("best") == 0.5
    assert path.best_ratio() is None  # .885 is within .02 of .9, with fewer weights
    with pytest.raises(ValueError, match="rule='2se' is not known; use one of '1se'"):
        path.best_ratio("2se")
    assert repr(path).splitlines() == [
        "prune_ratio  weights kept  roc auc  standard error",
        "dense               2,000   0.8500          0.0500",
        "0.0                 2,000   0.8200          0.0200",
        "0.5                 1,000   0.9000          0.0200  best",
        "None                300.5   0.8850          0.0050  1se",
        "0.97                   60   0.9900             nan  1 failed",
    ]
    assert repr(pickle.loads(pickle.dumps(path))) == str(path) == repr(path)
    assert b"_path" not in pickle.dumps(path)

    frame = path.to_frame()
    assert frame.shape == (8, 7)
    assert_array_equal(
        frame["prune_ratio"], [0, 0, 0.5, 0.5, np.nan, np.nan, 0.97, 0.97]
    )
    assert frame["fold"].tolist() == [1, 2] * 4
    assert_array_equal(frame["score"], np.ravel(scores))
    assert_array_equal(frame["n_weights_kept"], np.ravel(kept))
    assert frame["dense_score"].tolist() == [0.9, 0.8] * 4
    means = frame.groupby("prune_ratio")["score"].mean()
    assert means[0.5] == pytest.approx(0.9)

    failed = make_path([0.97], scores[3:], kept[3:])
    assert "1 failed" in repr(failed)
    assert repr(make_path([0.5], scores[1:2], kept[1:2])).endswith("  best, 1se")
    with pytest.raises(ValueError, match="no candidate to pick"):
        failed.best_ratio()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame.. needs pandas.*pip install"):
        path.to_frame()


def test_one_dense_training_per_fold(iris, monkeypatch):
    masks = count_trainings(monkeypatch)
    for cv, n_folds in ((None, 5), (2, 2), (KFold(3, shuffle=True), 3)):
        masks.clear()
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


def test_bad_ratios_are_known_before_any_training(iris, monkeypatch):
    trainings = count_trainings(monkeypatch)
    for ratios, kind, match in (
        ([], ValueError, r"prune_ratios=\[\] must be a list"),
        (0.5, TypeError, "prune_ratios=0.5 must be a list"),
        ("0.5", TypeError, "prune_ratios='0.5' must be a list"),
        ([0.5, 1.0], ValueError, "prune_ratio=1.0 must be the share"),
        ([0.5, "0.6"], TypeError, "prune_ratio='0.6' must be the share"),
        ([0.5, 0.999], ValueError, "prune_ratio=0.999"),
        ([0.5, None], ValueError, "prune_ratio=None needs a criterion"),
    ):
        with pytest.raises(kind, match=match):
            pruning_path(small(), *iris, ratios)
    assert trainings == []


def test_other_estimators(iris):
    for estimator, name in (
        (LogisticRegression(), "LogisticRegression"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "LogisticRegression"),
        (make_pipeline(small(), StandardScaler()), "StandardScaler"),
        (ChaosCausalPrunedMLP, "class"),
    ):
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
        assert_array_equal(getattr(one, name), getattr(two, name))


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
