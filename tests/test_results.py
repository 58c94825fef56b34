"""What a criterion sees, and what a fit keeps of its evidence."""

import copy
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune.criteria import ChaosCausality, GrangerUpdates
from tests.helpers import assert_same_fit, flat, small


def test_target_series_is_the_training_error(iris):
    X, y = iris
    weights = np.linspace(0.5, 2.0, len(y))
    model = small(
        prune_criterion=ChaosCausality(window_size=30, window_overlap=0.0), max_iter=2
    )

    with pytest.warns(UserWarning, match="ranked by magnitude"):
        model.fit(X, y, sample_weight=weights)

    dense = copy.copy(model)
    dense.coefs_, dense.intercepts_ = model.dense_coefs_, model.dense_intercepts_
    wrong = np.average(dense.predict(X) != y, weights=weights)
    assert len(model.target_series_) == 10
    np.testing.assert_allclose(model.target_series_[-1], wrong)


@pytest.mark.slow
def test_loss_as_target(iris):
    X, y = iris
    criterion = ChaosCausality(window_size=30, window_overlap=0.0, target="loss")
    model = small(hidden_layer_sizes=(8,), prune_criterion=criterion).fit(X, y)

    dense = copy.copy(model)
    dense.coefs_, dense.intercepts_ = model.dense_coefs_, model.dense_intercepts_
    loss = log_loss(y, dense.predict_proba(X))
    np.testing.assert_allclose(model.target_series_[-1], loss, rtol=1e-10)


@pytest.mark.slow
def test_callable_target_sees_targets_and_outputs(iris):
    X, y = iris

    def brier(targets, outputs):
        assert targets.shape == outputs.shape == (150, 3)
        np.testing.assert_allclose(outputs.sum(axis=1), 1.0)
        return np.mean((targets - outputs) ** 2)

    model = small(prune_criterion=ChaosCausality(target=brier), max_iter=20).fit(X, y)

    assert 0 < model.target_series_[-1] < model.target_series_[0]


@pytest.mark.slow
def test_significance_rule_keeps_what_is_significant(cancer):
    model = ChaosCausalPrunedMLP(
        (8,), prune_ratio=None, max_iter=30, keep_connected=False, random_state=0
    ).fit(*cancer)

    significant = model.p_values_ < 0.05
    assert 0 < significant.sum() < model.n_weights_
    np.testing.assert_array_equal(flat(model.masks_), significant)
    repaired = clone(model).set_params(keep_connected=True).fit(*cancer)
    assert repaired.effective_sparsity_ == repaired.sparsity_


@pytest.mark.slow
def test_the_default_decides_as_chaos_causality(diabetes):
    # few weights are significant here, and none of them in the second layer
    for seed in range(3):
        default = small(
            ChaosCausalPrunedMLPRegressor,
            prune_criterion="chaos_causal_magnitude",
            hidden_layer_sizes=8,
            prune_ratio=None,
            max_iter=30,
            random_state=seed,
        ).fit(*diabetes)

        published = clone(default).set_params(prune_criterion="chaos_causality")

        assert_same_fit(default, published.fit(*diabetes))
        assert 0 < default.flops_ < 20
        by_ratio = clone(default).set_params(prune_ratio=0.9).fit(*diabetes)
        assert np.any(by_ratio.weight_scores_ != default.weight_scores_)


@pytest.mark.slow
def test_causal_pruning_reverses_the_ranking(cancer):
    options = {"max_iter": 20, "keep_connected": False, "random_state": 0}
    options["prune_criterion"] = "chaos_causality"
    noncausal = ChaosCausalPrunedMLP((8,), **options).fit(*cancer)
    causal = clone(noncausal).set_params(prune_criterion=ChaosCausality(prune="causal"))
    causal.fit(*cancer)

    np.testing.assert_allclose(causal.weight_scores_, -noncausal.weight_scores_)
    kept_by_both = flat(causal.masks_) & flat(noncausal.masks_)
    assert kept_by_both.mean() < 0.1


@pytest.mark.slow
def test_untested_weights_rank_below_tested_ones(iris):
    X, y = iris
    # its weights never move, but by a prior
    X = np.column_stack([X, np.zeros(len(X))])

    options = {"keep_connected": False, "max_iter": 30, "alpha": 0.0}
    model = small(prune_criterion="chaos_causality", **options).fit(X, y)

    untested = np.isnan(model.p_values_)
    assert untested[12:15].all()
    assert np.isneginf(model.weight_scores_[untested]).all()
    assert np.all(model.best_lags_[untested] == 0)
    assert np.isfinite(model.weight_scores_[~untested]).all()
    assert not flat(model.masks_)[12:15].any()
    assert model.feature_importances_[4] == 0.0


@pytest.mark.slow
def test_correction_over_weights(cancer):
    from statsmodels.stats.multitest import multipletests

    X, y = cancer[0][:200], cancer[1][:200]
    plain = small(prune_criterion="chaos_causality", max_iter=20).fit(X, y)
    tested = ~np.isnan(plain.p_values_)
    assert tested.any()
    for correction in ("holm", "fdr_bh"):
        criterion = ChaosCausality(correction=correction)
        corrected = small(prune_criterion=criterion, max_iter=20).fit(X, y)

        expected = multipletests(plain.p_values_[tested], method=correction)[1]
        np.testing.assert_allclose(corrected.p_values_[tested], expected)
        np.testing.assert_array_equal(flat(plain.masks_), flat(corrected.masks_))


def test_p_values_come_from_the_public_kernels(fitted):
    from skchaosprune import granger_causality

    # the attribute is float32, which moves p-values a little
    result = granger_causality(fitted.target_series_, fitted.lyapunov_exponents_)
    smallest = np.nanmin(result.p_value, axis=0)

    np.testing.assert_allclose(
        fitted.p_values_, np.minimum(1.0, 5 * smallest), rtol=1e-3, atol=1e-6
    )
    np.testing.assert_array_equal(
        fitted.best_lags_, np.nanargmin(result.p_value, axis=0) + 1
    )
    weighed = fitted.weight_scores_ / np.abs(flat(fitted.dense_coefs_))
    assert weighed.min() == 1.0
    assert weighed[np.argmin(fitted.p_values_)] == weighed.max() == 2.0


def test_exponents_come_from_the_public_kernel(iris):
    from skchaosprune import largest_lyapunov_exponent

    seen = []

    class Watch(ChaosCausality):
        def reduce_window(self, window, out, n_jobs=None):
            seen.append(window.copy())
            super().reduce_window(window, out, n_jobs)

    model = small(prune_criterion=Watch(), max_iter=8).fit(*iris)

    expected = [
        largest_lyapunov_exponent(window, static_tolerance=1e-5) for window in seen
    ]
    np.testing.assert_allclose(model.lyapunov_exponents_, expected, rtol=1e-6)


def test_weight_table(fitted):
    table = fitted.weight_table()

    assert isinstance(table, pd.DataFrame)
    assert len(table) == fitted.n_weights_
    assert list(table.columns) == [
        "layer",
        "from",
        "to",
        "initial",
        "dense",
        "final",
        "mean_lyapunov_exponent",
        "p_value",
        "best_lag",
        "score",
        "pruned_in_round",
        "kept",
    ]
    row = table.iloc[2 * 6 + 4]
    assert (row["layer"], row["from"], row["to"]) == (1, "x2", "h1_4")
    assert row["final"] == fitted.coefs_[0][2, 4]
    assert row["dense"] == fitted.dense_coefs_[0][2, 4]
    assert row["initial"] == fitted.initial_coefs_[0][2, 4]
    assert row["kept"] == fitted.masks_[0][2, 4]
    row = table.iloc[24 + 5 * 3 + 1]
    assert (row["layer"], row["from"], row["to"]) == (2, "h1_5", "1")
    assert row["score"] == fitted.weight_scores_[24 + 16]
    assert (table["final"] == 0.0).equals(~table["kept"])


def test_weight_table_without_pandas(fitted, monkeypatch):
    expected = fitted.weight_table()
    monkeypatch.setitem(sys.modules, "pandas", None)

    table = fitted.weight_table()

    assert table.dtype.names == tuple(expected.columns)
    for name in table.dtype.names:
        np.testing.assert_array_equal(table[name], expected[name].to_numpy())


def test_weight_table_keeps_names_as_they_are(monkeypatch):
    names = ["a\x00", "\ud800\x1b\n", "\u8eab" * 1000]
    X = pd.DataFrame(np.random.RandomState(0).standard_normal((20, 3)), columns=names)
    model = small(max_iter=1).fit(X, np.arange(20) % 2)
    assert list(model.weight_table()["from"].unique()[:3]) == names
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert list(dict.fromkeys(model.weight_table()["from"]))[:3] == names


def test_what_is_not_computed_is_none(iris):
    for criterion in ("magnitude", "random"):
        model = small(prune_criterion=criterion).fit(*iris)

        for name in ("p_values_", "best_lags_", "lyapunov_exponents_"):
            assert getattr(model, name) is None
        assert model.target_series_ is None
        table = model.weight_table()
        assert table["p_value"].isna().all()
        assert (table["best_lag"] == 0).all()


class Watched(ChaosCausality):
    """Records all that can be recorded, and computes next to nothing."""

    needs = ("trajectories", "snapshots")
    has_significance_rule = False
    points = tuple(np.arange(1, 31) / 30)

    def reduce_window(self, window, out, n_jobs=None):
        out[:] = window[-1]

    def score(self, record):
        return np.abs(record.weights)


@pytest.mark.slow
def test_series_above_fifty_megabytes_are_not_kept():
    rng = np.random.RandomState(0)
    watched = Watched(window_size=10, window_overlap=0.9, record_every=1)
    model = small(
        hidden_layer_sizes=(30_000,),
        prune_criterion=watched,
        keep_connected=False,
        importance="connection",
        max_iter=73,
        batch_size=6,
        engine="torch",
    ).fit(rng.standard_normal((6, 4)), np.arange(6) % 3)

    assert model.n_windows_ == 64
    assert 64 * model.n_weights_ * 4 > 50e6 < 30 * model.n_parameters_ * 8
    assert model.lyapunov_exponents_ is model.window_series_ is model.snapshots_ is None
    assert model.mean_lyapunov_exponents_.shape == (model.n_weights_,)
    assert model.target_series_.shape == (64,)


def test_own_function_and_object_as_criterion(iris):
    def last_first(record):
        assert record.weights.shape == record.initial_weights.shape
        return np.arange(record.n_weights)

    options = {"hidden_layer_sizes": (8,), "keep_connected": False}
    model = small(prune_criterion=last_first, **options).fit(*iris)
    np.testing.assert_array_equal(flat(model.masks_), np.arange(56) >= 28)

    class Movement:
        needs = ()
        has_significance_rule = False

        def score(self, record):
            return np.abs(record.weights - record.initial_weights)

    model = small(prune_criterion=Movement(), **options).fit(*iris)
    moved = np.abs(flat(model.dense_coefs_) - flat(model.initial_coefs_))
    mask = flat(model.masks_)
    assert moved[mask].min() >= moved[~mask].max()


def test_random_criterion_has_its_own_seed(iris):
    from skchaosprune.criteria import Random

    fits = [
        small(prune_criterion=Random(random_state=3), random_state=seed).fit(*iris)
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(fits[0].weight_scores_, fits[1].weight_scores_)
    from_estimator = [
        small(prune_criterion="random", random_state=seed).fit(*iris) for seed in (0, 1)
    ]
    assert np.any(from_estimator[0].weight_scores_ != from_estimator[1].weight_scores_)


@pytest.mark.slow
def test_nested_parameters_of_a_criterion(iris):
    model = small(
        hidden_layer_sizes=(8,), prune_criterion=ChaosCausality(), max_iter=20
    )
    search = GridSearchCV(model, {"prune_criterion__max_lag": [1, 3]}, cv=2)

    search.fit(*iris)

    assert search.best_estimator_.prune_criterion.max_lag in (1, 3)
    for criterion, kind in (
        ("magnitude", "Magnitude"),
        ("granger_updates", "GrangerUpdates"),
        (GrangerUpdates, "GrangerUpdates"),
        ([1], "ChaosCausalMagnitude"),
    ):
        match = f"prune_criterion__max_lag .*object.*prune_criterion={kind}\\(\\)"
        with pytest.raises(ValueError, match=match):
            small(prune_criterion=criterion).set_params(prune_criterion__max_lag=2)
    fresh = small().set_params(
        prune_criterion=ChaosCausality(), prune_criterion__max_lag=2
    )
    assert fresh.prune_criterion.max_lag == 2


def test_few_windows_rank_by_magnitude_with_one_warning(iris):
    model = small(prune_criterion="chaos_causality", max_iter=2)

    with pytest.warns(UserWarning) as caught:
        model.fit(*iris)

    assert len(caught) == 1
    text = str(caught[0].message)
    assert "6 windows" in text
    assert "max_lag=1 would fit" in text
    assert "would give 17 windows" in text
    np.testing.assert_array_equal(
        model.weight_scores_, np.abs(flat(model.dense_coefs_))
    )
    magnitude = small(max_iter=2).fit(*iris)
    np.testing.assert_array_equal(flat(model.masks_), flat(magnitude.masks_))
    with warnings.catch_warnings():  # and the promise holds
        warnings.simplefilter("error")
        model.set_params(max_iter=6).fit(*iris)
        model.set_params(max_iter=2, prune_criterion=ChaosCausality(max_lag=1)).fit(
            *iris
        )


@pytest.mark.slow
def test_a_target_that_never_moves(iris):
    X, y = iris
    still = ChaosCausality(target=lambda targets, outputs: 0.25)

    with pytest.warns(UserWarning, match="never moves .it is 0.25 .*'loss'.*larger"):
        model = small(prune_criterion=still).fit(X, y)

    assert np.isnan(model.p_values_).all()
    np.testing.assert_array_equal(
        model.weight_scores_, np.abs(flat(model.dense_coefs_))
    )
    with pytest.raises(ValueError, match="prune_ratio=None cannot decide.*never moves"):
        small(prune_criterion=still, prune_ratio=None).fit(X, y)


def test_a_perfect_fit_needs_a_slower_training(iris):
    X, y = iris
    rows = y < 2  # apart from each other by far
    model = small(prune_criterion=ChaosCausality(), max_iter=30, weight_init=PERFECT)
    with pytest.warns(UserWarning, match="it is 0 in every window.*smaller"):
        model.fit(X[rows], y[rows])


# one hidden unit that fires for the long petals of the second class
PERFECT = (
    [np.array([[0.0] * 3] * 2 + [[4.0, 0, 0]] * 2), np.array([[2.0], [0], [0]])],
    [np.array([8.0, 0, 0]), np.array([-8.0])],
)


def test_nothing_moves_so_nothing_can_be_tested(cancer):
    model = small(prune_criterion=ChaosCausality(static_tolerance=1e6), max_iter=10)
    with pytest.warns(UserWarning, match="none of the .* weights could be tested"):
        model.fit(*cancer)


def test_no_path_left_means_uniform_importances(iris):
    def only_the_first_layer(record):
        return -np.arange(record.n_weights)

    model = small(
        prune_criterion=only_the_first_layer, prune_ratio=0.5, keep_connected=False
    )
    with pytest.warns(UserWarning, match="do not depend on any input"):
        model.fit(*iris)

    np.testing.assert_array_equal(model.feature_importances_, 0.25)
    assert model.effective_sparsity_ == 1.0
