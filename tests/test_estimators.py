"""The estimators: the whole way from data to a pruned network and its attributes."""

import copy
import io
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, scale

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune.criteria import CRITERIA, ChaosCausality
from tests.helpers import assert_same_fit, flat, small

# Change the following manually to check seed insensitivity:
SEED_RANGE = range(2)


def test_attributes_of_a_fit(fitted, iris):
    X, y = iris
    n_weights = 4 * 6 + 6 * 3
    assert fitted.n_weights_ == fitted.dense_flops_ == n_weights
    assert fitted.n_parameters_ == n_weights + 9
    assert fitted.flops_ == n_weights - round(0.5 * n_weights)
    assert fitted.n_active_parameters_ == fitted.flops_ + 9
    assert fitted.sparsity_ == 0.5 <= fitted.effective_sparsity_
    assert fitted.layer_sparsity_.shape == (2,)
    assert fitted.n_layers_ == 3
    assert fitted.n_outputs_ == 3
    assert fitted.out_activation_ == "softmax"
    assert fitted.engine_ == "numba"
    assert fitted.n_iter_ == fitted.n_iter_dense_ == len(fitted.history_) == 40
    assert fitted.dense_loss_curve_[-1] < fitted.dense_loss_curve_[0]
    np.testing.assert_array_equal(fitted.classes_, [0, 1, 2])
    for coef, mask, shape in zip(
        fitted.coefs_, fitted.masks_, [(4, 6), (6, 3)], strict=True
    ):
        assert coef.shape == mask.shape == shape
        assert mask.dtype == bool
        assert np.all(coef[~mask] == 0.0)
        assert np.all(coef[mask] != 0.0)
    n_windows = len(fitted.target_series_)
    assert fitted.record_every_ == 1
    assert n_windows == 1 + (150 * 40 - 50) // 45
    assert fitted.lyapunov_exponents_.shape == (n_windows, n_weights)
    assert fitted.lyapunov_exponents_.dtype == np.float32
    np.testing.assert_allclose(
        fitted.mean_lyapunov_exponents_,
        fitted.lyapunov_exponents_.mean(axis=0),
        rtol=1e-4,
        atol=1e-6,
    )
    assert np.all((fitted.target_series_ >= 0) & (fitted.target_series_ <= 1))
    assert fitted.p_values_.shape == fitted.weight_scores_.shape == (n_weights,)
    assert fitted.feature_importances_.shape == (4,)
    np.testing.assert_allclose(fitted.feature_importances_.sum(), 1.0)
    assert fitted.score(X, y) > 0.9


def test_every_attribute_is_documented(fitted, fitted_regressor):
    for model in (fitted, fitted_regressor):
        _, described = type(model).__doc__.split("Attributes\n")
        for name in vars(model):
            if name.endswith("_"):
                assert re.search(rf"\b{name}[, ]", described), name


def test_defaults_of_the_training():
    for kind, alpha in (
        (ChaosCausalPrunedMLP, 2.0),
        (ChaosCausalPrunedMLPRegressor, 10.0),
    ):
        params = kind().get_params()
        assert (params["alpha"], params["learning_rate"]) == (alpha, "cosine")
        assert params["prune_criterion"] == "chaos_causal_magnitude"
        described = re.search(r"alpha : float, default=(.*)", kind.__doc__)
        assert float(described[1]) == alpha


def test_both_estimators_are_described_in_the_same_words():
    try:
        from sklearn.utils._testing import assert_docstring_consistency
    except ImportError:
        pytest.skip("this scikit-learn has no assert_docstring_consistency")

    # left out: another default, and what one of them has alone
    assert_docstring_consistency(
        [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor],
        include_params=True,
        exclude_params=["learning_rate_init", "alpha", "loss", "class_weight"],
        include_attrs=True,
        exclude_attrs=["classes_", "target_mean_, target_scale_"],
    )


@pytest.mark.slow
def test_regressor_standardises_its_target(diabetes, fitted_regressor):
    X, y = diabetes
    shifted = clone(fitted_regressor).fit(X, 1e6 + 1e3 * y)

    np.testing.assert_allclose(
        (shifted.predict(X) - 1e6) / 1e3, fitted_regressor.predict(X), rtol=1e-5
    )
    assert fitted_regressor.score(X, y) > 0.3
    dense = copy.copy(fitted_regressor)
    dense.coefs_ = dense.dense_coefs_
    dense.intercepts_ = dense.dense_intercepts_
    error = np.mean((dense.predict(X) - y) ** 2) / np.var(y)
    assert fitted_regressor.target_series_[-1] == pytest.approx(error, rel=0.2)


LABELS = {
    "strings": np.array(["no", "yes"]),
    "objects": np.array(["no", "yes"], dtype=object),
    "bools": np.array([False, True]),
    "ints": np.array([-3, 12]),
    "three strings": np.array(["a", "b", "c"]),
    "three ints": np.array([5, 7, 6]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_kind(iris, kind):
    labels = LABELS[kind]
    rows = iris[1] < len(labels)
    X, y = iris[0][rows], labels[iris[1][rows]]
    for loss in ("log_loss", "squared_error"):
        model = small(hidden_layer_sizes=(8,), loss=loss, max_iter=40)
        model.set_params(learning_rate_init=0.1).fit(X, y)

        predicted, probabilities = model.predict(X), model.predict_proba(X)
        np.testing.assert_array_equal(model.classes_, np.unique(labels))
        assert predicted.dtype == model.classes_.dtype
        assert np.mean(predicted == y) > 0.9
        assert probabilities.shape == (len(X), len(labels))
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
        best = probabilities.argmax(axis=1)
        np.testing.assert_array_equal(model.classes_[best], predicted)
        assert model.n_outputs_ == (1 if len(labels) == 2 else 3)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", CRITERIA)
def test_exactly_the_ratio_goes(iris, criterion):
    options = {"hidden_layer_sizes": (6, 5), "max_iter": 16}
    counts = np.array([24, 30, 15])
    for scope, ratio in (("layer", 0.0), ("layer", 0.5), ("global", 0.8)):
        model = small(prune_criterion=criterion, prune_scope=scope, **options)
        model.set_params(prune_ratio=ratio).fit(*iris)

        kept = np.array([mask.sum() for mask in model.masks_])
        if scope == "global":
            assert kept.sum() == 69 - round(ratio * 69)
        else:
            assert kept.tolist() == [n - round(ratio * n) for n in counts]
        assert np.all(flat(model.coefs_)[~flat(model.masks_)] == 0.0)


@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.6},
        {"solver": "adam"},
        {"engine": "torch"},
        {"retrain": "finetune"},
        {"retrain": "descent"},
        {"alpha": 0.1, "batch_size": 20},
        {"keep_connected": False},
    ],
    ids=str,
)
def test_pruned_weights_stay_exactly_zero(iris, options):
    model = small(prune_ratio=0.6, **options).fit(*iris)

    mask = flat(model.masks_)
    assert np.all(flat(model.coefs_)[~mask] == 0.0)
    assert np.count_nonzero(flat(model.coefs_)) == mask.sum()


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_nothing_pruned_repeats_the_dense_run_bit_for_bit(iris, engine):
    model = small(prune_ratio=0.0, engine=engine).fit(*iris)

    np.testing.assert_array_equal(flat(model.coefs_), flat(model.dense_coefs_))
    assert model.loss_curve_ == model.dense_loss_curve_


def test_rewinding_starts_from_the_initial_weights(iris):
    X, y = iris
    rewound = small(learning_rate_init=1e-12).fit(X, y)
    mask = flat(rewound.masks_)

    np.testing.assert_allclose(
        flat(rewound.coefs_), flat(rewound.initial_coefs_) * mask, atol=1e-8
    )
    tuned = small(retrain="finetune").fit(X, y)
    again = small(retrain="rewind").fit(X, y)
    np.testing.assert_array_equal(flat(tuned.masks_), flat(again.masks_))
    assert tuned.loss_curve_[0] < again.loss_curve_[0]


def test_dense_fraction_is_the_partial_training(iris):
    full = small(max_iter=20).fit(*iris)
    partial = small(max_iter=20, dense_fraction=0.1).fit(*iris)

    assert (full.n_iter_dense_, full.n_iter_) == (20, 20)
    assert (partial.n_iter_dense_, partial.n_iter_) == (2, 20)
    # a schedule is that of the training itself
    assert partial.dense_loss_curve_[0] == full.dense_loss_curve_[0]
    assert partial.dense_loss_curve_[1] != full.dense_loss_curve_[1]
    short = small(max_iter=2).fit(*iris)
    assert partial.dense_loss_curve_ == short.dense_loss_curve_

    options = {"max_iter": 20, "learning_rate": "constant"}
    full = small(**options).fit(*iris)
    partial = small(dense_fraction=0.1, **options).fit(*iris)
    assert partial.dense_loss_curve_ == full.dense_loss_curve_[:2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEED_RANGE)
def test_engines_choose_the_same_masks(iris, seed):
    models = [
        ChaosCausalPrunedMLP(
            (3,), batch_size=1, max_iter=6, engine=engine, random_state=seed
        ).fit(*iris)
        for engine in ("numba", "torch")
    ]

    assert [model.engine_ for model in models] == ["numba", "torch"]
    assert small(max_iter=1, device="cpu:0").fit(*iris).engine_ == "numba"
    assert models[0].p_values_ is not None
    assert np.isfinite(models[0].p_values_).any()
    np.testing.assert_array_equal(flat(models[0].masks_), flat(models[1].masks_))
    np.testing.assert_allclose(
        models[0].predict_proba(iris[0]), models[1].predict_proba(iris[0]), atol=1e-8
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEED_RANGE)
def test_same_seed_same_bits(iris, seed):
    X, y = iris
    options = {"prune_criterion": "chaos_causality", "random_state": seed}
    first = small(**options).fit(X, y)

    assert_same_fit(first, small(**options).fit(X, y))
    assert_same_fit(first, small(n_jobs=2, **options).fit(X, y))
    assert_same_fit(first, small(verbose=1, **options).fit(X, y))
    state = {"random_state": np.random.RandomState(seed)}
    assert_same_fit(first, small(**options | state).fit(X, y))
    other = small(**options | {"random_state": seed + 1}).fit(X, y)
    assert np.any(flat(first.initial_coefs_) != flat(other.initial_coefs_))


@pytest.mark.slow
def test_threads_score_blocks_to_the_same_bits(cancer, thread_counts):
    X, y = cancer[0][:200], cancer[1][:200]
    options = {"hidden_layer_sizes": (16,), "prune_criterion": "chaos_causality"}
    fits = [
        small(max_iter=4, n_jobs=n_jobs, **options).fit(X, y)
        for n_jobs in (None, 1, 2, -1)
    ]

    assert 2 in thread_counts
    for other in fits[1:]:
        assert_same_fit(fits[0], other)
        np.testing.assert_array_equal(
            fits[0].lyapunov_exponents_, other.lyapunov_exponents_
        )


@pytest.mark.parametrize(
    "n_rows, options, expected",
    [
        (3, {}, (3, 32, 32)),
        (32, {}, (32, 32, 32)),
        (32, {"solver": "adam"}, (32, 32, 32)),
        (33, {}, (1, 1, 33)),
        (33, {"engine": "torch"}, (1, 1, 33)),
        (150, {"solver": "adam"}, (4, 1, 38)),
        (1023, {"engine": "torch"}, (31, 1, 33)),
        (5000, {"engine": "torch"}, (32, 1, 157)),
        (5000, {}, (1, 1, 5000)),
        (20, {"batch_size": 20}, (20, 1, 1)),
        (20, {"batch_size": 7}, (7, 1, 3)),
    ],
)
def test_batches(n_rows, options, expected):
    """Rows per step, how often an epoch visits each row, and its steps."""
    X, y = np.arange(n_rows)[:, np.newaxis], np.arange(n_rows) % 2
    network = small(**options)._plan(X, y, None).training.network
    n_steps = network.count_steps(n_rows)
    assert (network.batch_size, network.n_passes, n_steps) == expected


@pytest.mark.parametrize("options", [{}, {"engine": "torch"}, {"solver": "adam"}])
def test_small_tables_are_trained_as_long_as_others(options):
    """Enough steps to learn, and enough windows to test; warnings are errors."""
    X, y = make_friedman1(40, noise=0.5, random_state=0)
    X = scale(X)
    for kind, targets in (
        (ChaosCausalPrunedMLPRegressor, y),
        (ChaosCausalPrunedMLP, y > np.median(y)),
    ):
        criterion = ChaosCausality(target="loss")  # without errors nothing moves
        model = kind(prune_criterion=criterion, random_state=0, **options)
        model.fit(X[:30], targets[:30])
        assert model.n_windows_ > 60
        assert model.magnitude_rounds_ == {}
        assert model.score(X[:30], targets[:30]) > 0.8
        assert model.n_iter_ == len(model.loss_curve_) == 100


def test_batches_are_at_most_all_rows(iris):
    X, y = iris
    assert_same_fit(small(batch_size=1000).fit(X, y), small(batch_size=150).fit(X, y))


def test_sample_weight_repeats_rows(iris):
    X, y = iris
    rows = np.r_[0:4, 55:59, 110:114]
    repeats = np.array([1, 2, 3, 0] * 3)
    X, y = X[rows], y[rows]

    weighted = small(max_iter=30).fit(X, y, sample_weight=repeats)
    repeated = small(max_iter=30).fit(X.repeat(repeats, axis=0), y.repeat(repeats))

    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9
    )
    np.testing.assert_allclose(
        weighted.feature_importances_, repeated.feature_importances_, rtol=1e-9
    )


def test_class_weight_is_a_sample_weight(iris):
    X, y = iris
    X, y = X[:110], y[:110]  # 50, 50 and 10 rows
    # the number of rows, which the prior knows, is that of sample_weight
    by_class = small(class_weight={0: 1.0, 1: 5.0, 2: 0.1}, alpha=0.0).fit(X, y)
    by_row = small(alpha=0.0).fit(X, y, sample_weight=np.array([1.0, 5.0, 0.1])[y])
    balanced = small(class_weight="balanced", alpha=0.0).fit(X, y)
    inverse = small(alpha=0.0).fit(X, y, sample_weight=np.array([1.0, 1.0, 5.0])[y])

    assert_same_fit(by_class, by_row)
    np.testing.assert_allclose(flat(balanced.coefs_), flat(inverse.coefs_), rtol=1e-6)
    assert np.any(flat(balanced.coefs_) != flat(small().fit(X, y).coefs_))


def test_weights_of_any_scale(iris):
    ones = small().fit(*iris, sample_weight=np.ones(150))
    assert_same_fit(ones, small().fit(*iris))
    for size, alpha in ((4.0, 8.0), (2.0**-1040, 2.0)):  # above 1 as many rows
        weights = np.full(150, size)
        model = small(alpha=alpha).fit(*iris, sample_weight=weights)
        assert_same_fit(ones, model)
    huge = small().fit(*iris, sample_weight=np.full(150, 2.0**1020))
    assert_same_fit(huge, small(alpha=0.0).fit(*iris))


@pytest.mark.parametrize("kind", [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor])
def test_no_hidden_layer_is_a_linear_model(iris, kind):
    X, y = iris
    model = small(kind, hidden_layer_sizes=(), max_iter=30, prune_ratio=0.25).fit(X, y)

    assert model.n_layers_ == 2
    assert model.score(X, y) > 0.85
    kept = model.masks_[0].any(axis=1)
    np.testing.assert_array_equal(model.feature_importances_ > 0, kept)


def test_saturated_outputs_predict_what_is_most_probable():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(90, 2)), np.arange(90) % 3
    model = small(loss="squared_error", max_iter=2, hidden_layer_sizes=(8,)).fit(X, y)

    far = 1e6 * rng.normal(size=(500, 2))

    probabilities = model.predict_proba(far)
    np.testing.assert_array_equal(model.predict(far), probabilities.argmax(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_pruned_weights_are_not_negative_zeros(iris):
    weights = flat(small().fit(*iris).coefs_)
    assert not np.signbit(weights[weights == 0.0]).any()


def test_given_initial_weights(iris):
    rng = np.random.RandomState(0)
    coefs = [rng.normal(size=(4, 3)), rng.normal(size=(3, 3))]
    intercepts = [rng.normal(size=3), rng.normal(size=3)]

    model = small(weight_init=(coefs, intercepts)).fit(*iris)

    np.testing.assert_array_equal(flat(model.initial_coefs_), flat(coefs))
    np.testing.assert_array_equal(flat(model.initial_intercepts_), flat(intercepts))


def test_normal_initial_weights_are_standard_normal(cancer):
    model = small(hidden_layer_sizes=(40,), weight_init="normal", max_iter=1)
    weights = flat(model.fit(*cancer).initial_coefs_)

    assert abs(weights.mean()) < 0.1
    assert abs(weights.std() - 1.0) < 0.1


@pytest.mark.slow
def test_validation_rows_are_held_out(cancer):
    X, y = cancer
    model = small(
        prune_criterion="chaos_causality", validation_fraction=0.25, max_iter=10
    ).fit(X, y)

    n_held_out = 143
    counts = model.target_series_ * n_held_out
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)
    assert all("valid_loss" in row for row in model.history_)
    assert "valid_loss" not in small(max_iter=1).fit(X, y).history_[0]


def test_standardisation_sees_the_training_rows_alone(diabetes):
    X, y = diabetes
    model = ChaosCausalPrunedMLPRegressor(
        (3,), max_iter=1, validation_fraction=0.5, prune_criterion="random"
    ).fit(X, y)

    assert model.target_mean_ != pytest.approx(y.mean(), rel=1e-6)
    assert model.target_mean_ == pytest.approx(y.mean(), rel=0.2)


@pytest.mark.slow
def test_regressor_learns_targets_of_any_size(diabetes, fitted_regressor):
    X, y = diabetes
    expected = fitted_regressor.predict(X)
    for factor in (1e-200, 1e200):
        predicted = clone(fitted_regressor).fit(X, factor * y).predict(X)
        np.testing.assert_allclose(predicted / factor, expected, rtol=1e-3)


@pytest.mark.slow
def test_target_score_stops_both_trainings(iris):
    model = small(hidden_layer_sizes=(8,), target_score=0.96, max_iter=200).fit(*iris)
    assert 1 < model.n_iter_dense_ < 200
    assert 1 < model.n_iter_ < 200

    options = {"hidden_layer_sizes": (5,), "target_score": 0.9, "max_iter": 60}
    recorded = small(**options, prune_criterion=ChaosCausality()).fit(*iris)
    assert recorded.n_iter_dense_ == 60  # the record is complete at the end
    fixed = ChaosCausality(record_every=1, window_size=10, max_lag=1)
    papers = small(**options, prune_criterion=fixed).fit(*iris)
    assert papers.n_iter_dense_ < 60


@pytest.mark.slow
def test_pipeline_and_grid_search(iris):
    pipeline = make_pipeline(
        StandardScaler(), small(hidden_layer_sizes=(8,), max_iter=30)
    )
    grid = {"chaoscausalprunedmlp__prune_ratio": [0.3, 0.5, 0.9]}

    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(*iris)

    assert search.best_score_ > 0.9
    ratio = search.best_params_["chaoscausalprunedmlp__prune_ratio"]
    assert search.best_estimator_[-1].sparsity_ == round(ratio * 56) / 56


def test_frame_with_strings_and_missing_values():
    rng = np.random.RandomState(0)
    n = 200
    frame = pd.DataFrame(
        {
            "age": np.where(rng.uniform(size=n) < 0.2, np.nan, rng.normal(40, 10, n)),
            "fare": rng.exponential(30, n),
            "port": rng.choice(np.array(["S", "C", np.nan], dtype=object), n),
        }
    )
    y = np.where((frame["fare"] > 20) ^ (frame["port"] == "S"), "lived", "died")
    prepare = make_column_transformer(
        (
            make_pipeline(SimpleImputer(), StandardScaler()),
            make_column_selector(dtype_include=np.number),
        ),
        (
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value="?"),
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            ),
            make_column_selector(dtype_exclude=np.number),
        ),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = make_pipeline(prepare, small(hidden_layer_sizes=(8,), max_iter=60))

    model.fit(frame, y)

    assert model.score(frame, y) > 0.8
    names = ["age", "fare", "port_?", "port_C", "port_S"]
    assert list(model[-1].feature_names_in_) == names
    assert list(model[-1].weight_table()["from"].unique()[:5]) == names
    importances = dict(zip(names, model[-1].feature_importances_, strict=True))
    assert importances["fare"] > importances["age"]


def test_feature_names_are_checked(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = small().fit(frame, y)

    np.testing.assert_array_equal(model.feature_names_in_, list("abcd"))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("abdc")])
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")


def test_imports_load_nothing_heavy():
    # scikit-learn loads pandas by itself, where it is installed
    code = """
import sys
before = set(sys.modules)
import skchaosprune
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(new - sys.stdlib_module_names))
from skchaosprune import ChaosCausalPrunedMLP, CompactMLP, NetworkDisplay
heavy = {"torch", "skorch", "numba", "statsmodels", "matplotlib", "onnx", "skl2onnx"}
print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["['skchaosprune']", "[]"]


def test_lazy_names_of_the_package():
    import skchaosprune

    for name in skchaosprune.__all__:
        assert name in dir(skchaosprune)
        assert callable(getattr(skchaosprune, name))
    assert skchaosprune.criteria.CRITERIA
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        skchaosprune.nonsense  # noqa: B018


@pytest.mark.slow
def test_progress_is_printed(iris, capsys, tmp_path):
    small(prune_criterion="chaos_causality", verbose=0).fit(*iris)
    assert capsys.readouterr() == ("", "")

    small(prune_criterion="chaos_causality", verbose=1).fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[ChaosCausalPrunedMLP] ") for line in lines)
    phases = ["dense training: epoch 12/12", "scoring: weight 21/21"]
    phases.append("sparse training: epoch 12/12")
    positions = [
        next(i for i, line in enumerate(lines) if phase in line) for phase in phases
    ]
    assert positions == sorted(positions)
    assert 10 <= sum("dense training" in line for line in lines) <= 12
    assert "loss" in lines[0]

    for expected in ("scoring: weight 21/21", "taken from memory"):
        small(verbose=1, memory=str(tmp_path)).fit(*iris)
        assert expected in capsys.readouterr().out


class Interruption(io.StringIO):
    """A standard output that stops what prints certain words."""

    def __init__(self, words, error):
        super().__init__()
        self.words, self.error = words, error

    def write(self, text):
        if self.words in text:
            raise self.error
        return super().write(text)


MOMENTS = ["dense training: epoch 2", "scoring: weight", "sparse training: epoch 2"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("moment", [*MOMENTS, "reduce_window", "score"])
def test_an_interrupted_fit_leaves_nothing(iris, monkeypatch, moment, error):
    def interrupt(*args, **kwargs):
        raise error

    model = small(prune_criterion="chaos_causality", verbose=1)
    if moment in ("reduce_window", "score"):
        kind = type("Interrupted", (ChaosCausality,), {moment: interrupt})
        model.set_params(prune_criterion=kind())
    parameters = model.get_params(deep=False)
    monkeypatch.setattr(sys, "stdout", Interruption(moment, error))

    with pytest.raises(error):
        model.fit(*iris)

    assert vars(model) == parameters
    with pytest.raises(NotFittedError):
        model.predict(iris[0])


def test_a_failing_refit_keeps_the_earlier_fit(iris):
    X, y = iris
    model = small().fit(X, y)
    before = model.predict_proba(X)

    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(ValueError, match="only one class"):
        model.fit(X, np.zeros(150))
    with pytest.raises(KeyboardInterrupt):
        model.set_params(prune_criterion=stop).fit(X, y)

    np.testing.assert_array_equal(model.predict_proba(X), before)
    model.set_params(activation="tanh")
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_refit_forgets_the_earlier_fit(iris, diabetes):
    model = small(prune_criterion="chaos_causality").fit(*iris)
    model.set_params(prune_criterion="magnitude").fit(iris[0][:, :2], iris[1])

    assert model.p_values_ is None
    assert model.n_features_in_ == 2


@pytest.mark.slow
def test_regressor_in_a_pipeline(diabetes):
    model = make_pipeline(
        StandardScaler(),
        ChaosCausalPrunedMLPRegressor((8,), max_iter=20, random_state=0),
    )
    assert model.fit(*diabetes).score(*diabetes) > 0.4
    assert list(model[-1].weight_table()["to"])[-1] == "y"
