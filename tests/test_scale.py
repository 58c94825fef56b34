"""Rows that are not scaled, rows unlike those of the fit, and rows that are far out."""

import pickle
import re
import warnings

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_friedman1,
)
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    scale,
)

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    pruning_path,
)
from skchaosprune._network.mlp import TrainingData
from skchaosprune._scale import (
    describe_rows,
    explain_divergence,
    explain_scale,
    explain_unlike,
    is_scaled,
)
from skchaosprune._training.plan import Divergence
from tests.helpers import PLAIN, count_trainings, small

pytestmark = []
if numba.config.DISABLE_JIT:  # numpy warns where the kernels run as plain Python
    pytestmark = [
        pytest.mark.filterwarnings(f"ignore:{text} encountered in:RuntimeWarning")
        for text in ("overflow", "invalid value")
    ]

RAW = {
    "digits": load_digits,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "diabetes": lambda **options: load_diabetes(scaled=False, **options),
}
SCALERS = [StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, PowerTransformer]
SCALERS += [
    lambda: QuantileTransformer(n_quantiles=50),
    lambda: QuantileTransformer(n_quantiles=50, output_distribution="normal"),
]


def made_columns(n_rows=300):
    """Columns of all kinds, by name."""
    rng = np.random.RandomState(0)
    return {
        "one-hot": (rng.uniform(size=(n_rows, 4)) < [0.003, 0.02, 0.2, 0.5]) * 1.0,
        "skewed": np.exp(rng.normal(size=(n_rows, 3)) * [0.5, 1.0, 2.0]),
        "heavy tails": rng.standard_t(1.0, size=(n_rows, 3)),
        "years": rng.randint(1990, 2025, size=(n_rows, 2)).astype(float),
        "amounts": 1e5 * rng.pareto(2.0, size=(n_rows, 2)),
        "constant": np.full((n_rows, 2), 1e6) + [0.0, 1.0],
        "counts": rng.poisson(0.2, size=(n_rows, 3)).astype(float),
    }


# The rule.


@pytest.mark.parametrize("make_scaler", SCALERS)
def test_scaled_columns_of_any_kind_raise_no_alarm(make_scaler):
    tables = made_columns()
    tables |= {name: load(return_X_y=True)[0] for name, load in RAW.items()}
    tables["all"] = np.hstack(list(made_columns().values()))
    for name, X in tables.items():
        if name == "years" and make_scaler is MaxAbsScaler:
            continue  # it squeezes them into .98 to 1, of which a network learns little
        scaled = make_scaler().fit_transform(X)
        assert is_scaled(scaled), name
        assert explain_scale(scaled) is None, name


@pytest.mark.parametrize("name", RAW)
def test_raw_tables_raise_an_alarm(name):
    X, _ = RAW[name](return_X_y=True)
    for rows in (X, X[::2], X[:20]):
        assert not is_scaled(rows)
        text = explain_scale(rows)
        assert "StandardScaler" in text
        sizes = [np.median(np.abs(x[x != 0])) if x.any() else 0.0 for x in rows.T]
        assert f"in column {np.argmax(sizes)} (about " in text


@pytest.mark.parametrize("kind", ["years", "amounts", "constant"])
def test_one_raw_column_among_scaled_ones_is_named(kind):
    X = scale(made_columns()["skewed"])
    X = np.c_[X[:, :2], made_columns()[kind][:, 0], X[:, 2]]
    text = explain_scale(X, ["a", "b", "raw\n", "d"])
    assert re.search(r"far above 1 in column 'raw\\n' \(about [\de+,]+\)\.", text)


@pytest.mark.parametrize("share", [0.005, 0.05, 0.5])
def test_rare_amounts_are_not_scaled_and_rare_flags_are(share):
    rng = np.random.RandomState(0)
    is_there = rng.uniform(size=1000) < share
    amounts = np.where(is_there, 1e4 * rng.exponential(size=1000), 0.0)[:, np.newaxis]
    flags = is_there[:, np.newaxis] * 1.0

    for raw in (amounts, RobustScaler().fit_transform(amounts)):
        assert not is_scaled(raw) or share == 0.5  # whose quartiles are not 0
    for scaler in (StandardScaler(), StandardScaler(with_mean=False), MaxAbsScaler()):
        assert is_scaled(scaler.fit_transform(amounts))
        assert is_scaled(scaler.fit_transform(flags))


@pytest.mark.parametrize("n_rows", [10, 100, 1000])
def test_heavy_tails_around_0_raise_no_alarm(n_rows):
    rng = np.random.RandomState(0)
    for x in (rng.standard_cauchy(n_rows), np.exp(3.0 * rng.normal(size=n_rows))):
        assert is_scaled(x[:, np.newaxis])
        assert is_scaled(RobustScaler().fit_transform(x[:, np.newaxis]))


def test_rare_classes_of_large_weight_raise_no_alarm():
    rng = np.random.RandomState(0)
    y = (np.arange(4000) < 16) * 1
    X = np.c_[rng.normal(size=(4000, 3)), (y == 1) & (rng.uniform(size=4000) < 0.9)]
    model = make_pipeline(StandardScaler(), small(class_weight="balanced", max_iter=2))
    assert warnings_of(lambda: model.fit(X, y)) == []


def test_rows_that_hardly_differ_raise_an_alarm():
    X = scale(load_digits().data)
    assert "all columns vary little; the widest, column" in explain_scale(X * 1e-3)
    assert is_scaled(load_diabetes().data)  # it trains as well as scaled
    assert is_scaled(np.zeros((9, 2)))  # nothing to scale
    assert is_scaled(made_columns()["one-hot"][:, :1])


@pytest.mark.parametrize("size", [1.0, 5.9, 6.1, 60.0])
def test_where_the_size_of_a_column_becomes_too_large(size):
    X = np.c_[np.tile([-size, size], 50), np.tile([-1.0, 1.0], 50)]
    assert is_scaled(X) == (size < 6.0)


@pytest.mark.parametrize("half_width", [0.03, 0.2, 0.26])
def test_where_rows_become_too_alike(half_width):
    # a spread of .07, .14 or .18 for rows, of ranges of .06, .4 and .52
    X = half_width * np.array([[-1.0, 1.0], [1.0, -1.0]] * 20) * [1.0, 0.2]
    assert is_scaled(X) == (half_width > 0.1)


# The warning of a fit.


def warnings_of(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", RAW)
def test_a_fit_warns_once_and_names_the_columns(name):
    frame = RAW[name](as_frame=True)
    kind = {"kind": ChaosCausalPrunedMLPRegressor} if name == "diabetes" else {}
    model = small(**kind, learning_rate_init=1e-9)

    texts = warnings_of(lambda: model.fit(frame.data, frame.target))

    about_scale = [text for text in texts if "X is not scaled" in text]
    assert about_scale == texts[:1]
    worst = frame.data.abs().replace(0, np.nan).median().idxmax()
    assert f"in column {worst!r} (about " in texts[0]
    piped = make_pipeline(StandardScaler(), model)
    assert warnings_of(lambda: piped.fit(frame.data, frame.target)) == []


@pytest.mark.filterwarnings("ignore:The outputs of the pruned network do not")
@pytest.mark.parametrize("criterion", ["chaos_causality", "loss_regression"])
def test_a_target_that_never_moves_blames_the_scale_first(criterion):
    X, y = load_breast_cancer(return_X_y=True)
    options = {"prune_criterion": criterion, "max_iter": 40} | PLAIN
    first, second, *_ = warnings_of(lambda: small(**options).fit(X, y))

    assert first.startswith("X is not scaled")
    assert second.startswith("The weights are ranked by magnitude instead")
    assert "X is not scaled, which is the likeliest cause: use a Standard" in second
    assert "learning_rate_init" not in second
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="likeliest cause: use a StandardScaler"):
            small(prune_ratio=None, **options).fit(X, y)


def test_weights_that_cannot_be_tested_blame_the_scale_first():
    X, y = load_wine(return_X_y=True)
    model = ChaosCausalPrunedMLP(random_state=0, **PLAIN)
    _, second = warnings_of(lambda: model.fit(X[::2], y[::2]))
    assert "none of the 1024 weights could be tested" in second
    assert second.endswith("the likeliest cause: use a StandardScaler.")


@pytest.mark.filterwarnings("ignore:X is not scaled")
def test_importances_of_nothing_blame_the_scale_first():
    X, y = load_breast_cancer(return_X_y=True)
    text = warnings_of(lambda: small(**PLAIN).fit(X, y))[-1]
    assert text.startswith("The outputs of the pruned network do not depend")
    assert text.endswith(
        "X is not scaled, which is the likeliest cause. Use a StandardScaler."
    )
    assert "learning_rate_init" not in text


def test_a_path_warns_once_for_all_folds():
    X, y = load_wine(return_X_y=True)
    X[:60] /= 1e3  # so that this fold is scaled
    folds = [
        (np.r_[:50, 59:62], np.arange(99, 120)),
        (np.arange(60, 178), np.arange(9)),
    ]
    for cv in (3, folds):
        texts = warnings_of(lambda: pruning_path(small(), X, y, [0.2], cv=cv))  # noqa: B023
        assert len([text for text in texts if text.startswith("X is not scaled")]) == 1


def test_the_warning_comes_before_the_training(monkeypatch):
    X, y = load_wine(return_X_y=True)
    trainings, model = count_trainings(monkeypatch), small()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="X is not scaled"):
            model.fit(X, y)
    assert trainings == [] and not hasattr(model, "coefs_")


@pytest.mark.filterwarnings("ignore:X is not scaled")
def test_a_target_without_errors_does_not_blame_the_scale():
    rng = np.random.RandomState(0)
    y = np.arange(300) % 2
    X = 9.0 * (2.0 * y - 1.0)[:, np.newaxis] + rng.normal(size=(300, 2))
    model = small(prune_criterion="chaos_causality", max_iter=60, hidden_layer_sizes=9)
    (text,) = [t for t in warnings_of(lambda: model.fit(X, y)) if "ranked" in t]
    assert "it is 0 in every window" in text and "smaller learning_rate_init" in text
    assert "scaled" not in text


# Divergence.


def test_a_gross_cell_is_named_with_its_row():
    X, y = make_friedman1(3500, noise=1.0, random_state=0)
    X[7, 0] = 1e6
    X = StandardScaler().fit_transform(X)[:3000]
    model = small(ChaosCausalPrunedMLPRegressor, hidden_layer_sizes=(64,), **PLAIN)

    for rows, weights in ((X, None), (pd.DataFrame(X).add_prefix("c"), y[:3000] > -99)):
        with pytest.raises(Divergence) as caught:
            model.fit(rows, y[:3000], sample_weight=weights)
        text = str(caught.value)
        column = "column 0" if rows is X else "column 'c0'"
        assert (
            "Row 7 of X (counted from 0) has the norm 59.2, where the median is 2.99"
            in text
        )
        assert f"with 59.2 in {column}. A row that far out" in text
        assert "correct, clip or drop" in text
        assert text.endswith("use a smaller learning_rate_init (try 0.0002).")
        assert "StandardScaler" not in text
        assert str(pickle.loads(pickle.dumps(caught.value))) == text

    # bounded steps are the way out
    bounded = clone(model).set_params(learning_rate="cosine", max_iter=30)
    assert bounded.fit(X, y[:3000]).score(X, y[:3000]) > 0.5

    # the number is that of the row in the X that was given
    others = np.r_[np.zeros((5, 10)), X]
    weights = np.r_[np.zeros(5), np.ones(3000)]
    with pytest.raises(
        Divergence, match=r"Row 12 of X \(counted from 0\) has the norm 59.2"
    ):
        model.set_params(validation_fraction=0.1, random_state=1).fit(
            others, np.r_[np.zeros(5), y[:3000]], sample_weight=weights
        )
    with pytest.raises(ValueError, match="Row 7 of X .* has the norm 59.2"):
        pruning_path(
            model.set_params(validation_fraction=None),
            X,
            y[:3000],
            [0.5],
            cv=[(np.arange(5, 2005), np.arange(2005, 3000))],
        )


def test_rows_of_class_weight_0_do_not_shift_the_numbers():
    rng = np.random.RandomState(0)
    X, y = scale(rng.normal(size=(300, 3))), np.arange(300) % 3
    X[100] = [500.0, 0.0, 0.0]
    model = small(class_weight={0: 0, 1: 1, 2: 1}, learning_rate_init=0.01)
    plan = model._plan(X, y, None)
    assert plan.places.tolist() == [row for row in range(300) if row % 3]
    with pytest.raises(Divergence, match=r"Row 100 of X .* has the norm 500"):
        with plan.explain_divergence():
            raise Divergence("It diverges.", "Try less.")


def test_a_heavy_row_is_named():
    X, y = make_friedman1(500, random_state=0)
    weights = np.where(np.arange(500) == 33, 1e6, 1.0)
    model = small(ChaosCausalPrunedMLPRegressor, learning_rate_init=0.02)
    with pytest.raises(
        Divergence, match=r"Row 33 of X .* has 500 times the mean weight"
    ):
        model.fit(scale(X), y, sample_weight=weights)


@pytest.mark.filterwarnings("ignore:X is not scaled")
def test_raw_rows_are_blamed_before_the_learning_rate():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    with pytest.raises(
        Divergence, match=r"X is not scaled: .* in column 4 \(about 200"
    ):
        small(ChaosCausalPrunedMLPRegressor, learning_rate_init=9.0, **PLAIN).fit(X, y)


def test_a_rate_that_is_too_large_is_all_that_is_blamed_where_rows_are_scaled(diabetes):
    with pytest.raises(Divergence) as caught:
        model = small(ChaosCausalPrunedMLPRegressor, learning_rate_init=9.0, **PLAIN)
        model.fit(*diabetes)
    assert str(caught.value).endswith(
        "learning_rate_init=9.0 and momentum=0.0. Use a smaller learning_rate_init "
        "(try 0.01)."
    )


def test_a_gross_target_is_named():
    X, y = make_friedman1(2000, noise=1.0, random_state=0)
    y[11] = 1e7
    options = {"learning_rate_init": 0.02, "max_iter": 40} | PLAIN
    model = small(ChaosCausalPrunedMLPRegressor, **options)
    model.set_params(hidden_layer_sizes=(64,))
    words = (
        r"Row 11 of X .* has a target 44.7 standard .*: use loss='huber', or correct"
    )
    with pytest.raises(Divergence, match=words):
        model.fit(scale(X), y)
    assert model.set_params(loss="huber").fit(scale(X), y).score(X[:9], y[:9]) < 1.0

    # a cell whose step is bounded is not to blame
    X[7, 0] = 1e6
    model.set_params(loss="squared_error", learning_rate="cosine")
    with pytest.raises(Divergence, match=words):
        model.fit(scale(X), y)
    weights = np.where(np.arange(2000) == 44, 1e5, 1.0)
    with pytest.raises(Divergence, match="Row 44 of X .* times the mean weight"):
        model.fit(scale(X), y, sample_weight=weights)


def make_data(X, weights=None, targets=None):
    weights = np.ones(len(X)) if weights is None else weights
    targets = np.zeros((len(X), 1)) if targets is None else targets
    return TrainingData(X, None, targets, weights, float(len(X)))


@pytest.mark.parametrize("name", [*made_columns(), "iris", "digits", "breast_cancer"])
def test_ordinary_rows_are_not_blamed_for_a_large_rate(name):
    X = made_columns().get(name)
    if X is None:
        X = tables()[name][1]
    data = make_data(StandardScaler().fit_transform(X))
    assert explain_divergence(data, 9.0, places=np.arange(len(X))) is None


def test_many_rows_that_are_far_out_are_a_column_that_is_not_scaled():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, 5))
    X[::5, 2] = 999.0
    text = explain_divergence(make_data(X), 0.002, places=np.arange(400))
    assert "with 999 in column 2, and 79 more rows are like it: scale, clip or" in text


def test_a_large_alpha_is_blamed_before_any_row():
    X = StandardScaler().fit_transform(
        np.exp(2 * np.random.RandomState(0).normal(size=(400, 8)))
    )
    with pytest.raises(Divergence) as caught:
        small(alpha=1e6).fit(X, np.arange(400) % 2)
    assert "Use an alpha below" in str(caught.value) and "Row" not in str(caught.value)


def test_tiny_rows_are_not_blamed_for_a_divergence():
    data = make_data(1e-3 * scale(load_digits().data))
    assert explain_divergence(data, 9.0, places=np.arange(1797)) is None


def test_the_row_that_is_farthest_out_is_named():
    X = scale(np.random.RandomState(0).normal(size=(30, 2)))
    X[[3, 9, 11]] = [[1.0, 30.0], [90.0, 2.0], [30.0, 0.0]]
    text = explain_divergence(make_data(X), 0.01, places=np.arange(100, 130))
    assert "Row 109 of X (counted from 0) has the norm 90" in text
    assert "90 in column 0" in text


# Rows unlike those of the fit.


def tables():
    rng = np.random.RandomState(0)
    return {
        name: (scale(X), X)
        for name, X in {
            "iris": load_iris().data,
            "digits": load_digits().data,
            "wine": load_wine().data,
            "breast_cancer": load_breast_cancer().data,
            "years": np.c_[rng.randint(1990, 2020, 99), rng.normal(size=99)],
        }.items()
    }


@pytest.mark.parametrize("name", tables())
@pytest.mark.parametrize("n_rows", [25, None])
def test_raw_rows_are_unlike_scaled_ones(name, n_rows):
    X, raw = tables()[name]
    step = 1 if n_rows is None else len(raw) // n_rows
    text = explain_unlike(raw[::step], describe_rows(X))
    assert text.startswith("X is unlike the rows of fit")
    assert "in fit " in text and "pipeline[:-1].transform(X)" in text


@pytest.mark.parametrize("name", ["digits", "wine", "breast_cancer"])
def test_rows_of_another_unit_are_unlike(name):
    _, raw = tables()[name]
    for factor in (16, 255):
        assert explain_unlike(factor * raw, describe_rows(raw)) is not None
    if name != "digits":  # whose columns reach down to 0
        assert explain_unlike(raw / 255, describe_rows(raw)) is not None


@pytest.mark.parametrize("n_train", [6, 20, 200])
@pytest.mark.parametrize("n_new", [1, 2, 10, 60])
def test_other_rows_of_the_same_kind_raise_no_alarm(n_train, n_new):
    rng = np.random.RandomState(0)
    kinds = made_columns(600)
    kinds["all"] = np.hstack(list(kinds.values()))
    kinds["many"] = np.exp(rng.normal(size=(600, 500)))
    for X in kinds.values():
        for _ in range(20):
            rows = rng.permutation(600)[: n_train + n_new]
            seen = describe_rows(X[rows[:n_train]])
            assert explain_unlike(X[rows[n_train:]], seen) is None


def test_a_group_of_similar_rows_raises_no_alarm():
    X, y = load_iris(return_X_y=True)
    for label in range(3):
        assert explain_unlike(X[y == label], describe_rows(X)) is None
    assert explain_unlike(np.repeat(X[:1], 50, axis=0), describe_rows(X)) is None


def test_columns_of_rounding_errors_have_no_range():
    X = np.c_[np.arange(20.0), 1e-15 * np.random.RandomState(0).normal(size=20)]
    other = np.c_[np.arange(20.0), np.ones(20)]
    assert explain_unlike(other, describe_rows(X)) is None


@pytest.mark.parametrize("shape", [(40, 40), (100, 60), (150, 100), (60, 8)])
@pytest.mark.parametrize("whiten", [False, True])
def test_a_pca_of_few_rows_raises_no_alarm(shape, whiten):
    rng = np.random.RandomState(0)
    for _ in range(10):
        X = rng.normal(size=shape)
        half = len(X) // 2
        pca = make_pipeline(StandardScaler(), PCA(whiten=whiten)).fit(X[:half])
        seen = describe_rows(pca.transform(X[:half]))
        assert explain_unlike(pca.transform(X[half:]), seen) is None


def test_rows_without_weight_are_not_compared(iris):
    X, y = iris
    model = small().fit(X, y)
    rows, labels = np.r_[X[::2], X + 99.0], np.r_[y[::2], y]
    weights = np.r_[np.ones(75), np.zeros(150)]
    assert warnings_of(lambda: model.score(rows, labels, weights)) == []
    assert len(warnings_of(lambda: model.score(rows, labels))) == 1


@pytest.mark.parametrize("shift, is_alike", [(0.4, True), (0.6, False)])
def test_how_far_out_is_unlike(shift, is_alike):
    X = np.linspace(0.0, 1.0, 101)[:, np.newaxis]
    other = np.full((20, 1), 1.0 + shift)
    assert (explain_unlike(other, describe_rows(X)) is None) == is_alike
    half = np.r_[other[:10], X[:10]]
    assert explain_unlike(half, describe_rows(X)) is None


def test_constant_columns_have_no_range():
    X = np.c_[np.zeros(20), np.arange(20.0)]
    other = np.c_[np.ones(20), np.arange(20.0)]
    assert explain_unlike(other, describe_rows(X)) is None
    assert explain_unlike(other[:, :1], describe_rows(X[:, :1])) is None


def test_score_report_and_placebo_test_warn_and_predict_does_not():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    mlp = small(prune_criterion="intervention", max_iter=30)
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), mlp)
    model.fit(X_train, y_train)
    assert warnings_of(lambda: model.score(X_test, y_test)) == []

    asked = {
        "score": lambda: model[-1].score(X_test, y_test),
        "report": lambda: model[-1].report(X_test, y_test),
        "placebo_test": lambda: model[-1].placebo_test(X_test, y_test, n_repeats=2),
    }
    for ask in asked.values():
        (text,) = warnings_of(ask)
        assert text.startswith("X is unlike the rows of fit: 143 of 143 rows are far")
        assert "column 'mean radius' (" in text and "more of 30 columns" in text
    scaled = model[:-1].transform(X_test)
    for rows in (scaled, scaled[:1], model[:-1].transform(X_train)):
        target = y_test[: len(rows)] if len(rows) < 200 else y_train
        assert warnings_of(lambda: model[-1].score(rows, target)) == []  # noqa: B023
    assert warnings_of(lambda: model[-1].report(scaled, y_test)) == []
    assert warnings_of(lambda: model[-1].predict(X_test)) == []
    by_size = small().fit(scaled, y_test)
    with pytest.raises(ValueError, match="has no placebo"):
        by_size.placebo_test(X_test.iloc[:, :2], y_test)  # rows that it does not need


def test_a_regressor_warns_too(diabetes):
    X, y = diabetes
    model = small(ChaosCausalPrunedMLPRegressor).fit(X, y)
    raw = load_diabetes(scaled=False).data
    assert len(warnings_of(lambda: model.score(raw, y))) == 1
    assert len(warnings_of(lambda: model.report(raw, y))) == 1
    assert warnings_of(lambda: model.score(X, y)) == []
    assert model.score(X, y, sample_weight=y) != model.score(X, y)


def test_the_warning_points_at_the_caller(iris):
    model = small().fit(*iris)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.score(iris[0] + 99.0, iris[1])
    assert caught[0].filename == __file__


def test_a_fit_of_before_the_check_is_not_checked(iris):
    model = small().fit(*iris)
    del model._rows_of_fit
    assert warnings_of(lambda: model.report(iris[0] + 99.0, iris[1])) == []


def test_wrong_rows_are_an_error_not_a_warning(iris):
    model = small().fit(*iris)
    for method in (model.score, model.report):
        with pytest.raises(ValueError, match="features"):
            method(iris[0][:, :2], iris[1])
        with pytest.raises(ValueError, match="NaN"):
            method(np.full((150, 4), np.nan), iris[1])


@settings(max_examples=100, deadline=None)
@given(
    arrays(
        np.float64, (7, 2), elements=st.floats(allow_nan=False, allow_infinity=False)
    ),
    arrays(
        np.float64, (5, 2), elements=st.floats(allow_nan=False, allow_infinity=False)
    ),
)
def test_any_finite_rows(X, other):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert (explain_scale(X) is None) == is_scaled(X)
        seen = describe_rows(X)
        explain_unlike(other, seen)
        assert explain_unlike(X, seen) is None
        explain_divergence(make_data(X), 0.01, places=np.arange(7))
