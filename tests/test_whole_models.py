"""Pipelines, searches and TransformedTargetRegressors around a network."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
)
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    balanced_accuracy_score,
    log_loss,
    make_scorer,
    mean_absolute_error,
    root_mean_squared_error,
)
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from skchaosprune import (
    ChaosCausalPrunedMLPRegressor,
    feature_importances,
    pruning_report,
    weight_table,
)
from skchaosprune._importances import rank_features
from skchaosprune._trace import trace_columns
from skchaosprune._unwrap import put_network, take_apart
from tests.helpers import small

ENCODE = OneHotEncoder(sparse_output=False, handle_unknown="ignore")


def make_frame(n_rows=120):
    """Raw rows whose names invite confusion, with strings and missing values."""
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        {
            "port": rng.choice(["a_3", "b", "c"], n_rows),
            "age": rng.normal(40.0, 9.0, n_rows),
            "port_a": rng.choice(["1", "2"], n_rows),
            "fare": rng.exponential(size=n_rows),
            "deck": pd.Series(rng.choice(["x", "y"], n_rows), dtype=object),
            "noise": rng.normal(size=n_rows),
        }
    )
    X.loc[::5, "age"] = np.nan
    X.loc[::7, "deck"] = np.nan
    signal = (X["port"] == "b") + (X["deck"] == "x") * 1.0 - (X["fare"] > 1.0)
    return X, np.where(signal + 0.3 * rng.normal(size=n_rows) > 0.3, "yes", "no")


def join(*parts, **options):
    names = [f"part {number}" for number in range(len(parts))]
    return ColumnTransformer(
        [(name, *part) for name, part in zip(names, parts, strict=True)], **options
    )


class Silent(TransformerMixin, BaseEstimator):
    """Doubles its columns, and names nothing."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.hstack([X, X])


class Curt(Silent):
    """Names its columns without asking for those that it gets."""

    def get_feature_names_out(self):
        return ["one", "two"]


class Wrong(Silent):
    """Names half of its columns."""

    def get_feature_names_out(self, input_features=None):
        return ["one"]


class Sampler(BaseEstimator):
    def fit_resample(self, X, y):
        raise NotImplementedError("only a fit calls it")


@pytest.fixture(scope="module")
def raw():
    return make_frame()


@pytest.fixture(scope="module")
def prepare():
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), clone(ENCODE))
    return join(
        (numbers, ["fare", "age"]),
        (words, make_column_selector(dtype_exclude="number")),
        remainder="passthrough",
    )


@pytest.fixture(scope="module")
def titled(raw, prepare):
    """A fitted pipeline on raw rows."""
    model = make_pipeline(clone(prepare), small(max_iter=40, alpha=0.1))
    return model.fit(*raw)


# Which raw columns a transformed one is made of.


def watch_columns(transformer, X):
    """Change one raw column at a time, and see which columns change."""
    before = np.asarray(transformer.transform(X), dtype=float)
    sources = [set() for _ in range(before.shape[1])]
    for column in range(X.shape[1]):
        for shift in 1, 2, 3:
            changed = X.copy()
            changed[X.columns[column]] = np.roll(X.iloc[:, column], shift)
            after = np.asarray(transformer.transform(changed), dtype=float)
            for place in np.flatnonzero((before != after).any(axis=0)):
                sources[place].add(column)
    return sources


def test_columns_are_traced_to_those_that_move_them(raw, prepare):
    X, y = raw
    whole, words = X.fillna({"age": 0.0, "deck": "?"}), ["port", "port_a", "deck"]
    numbers = whole[["age", "fare", "noise"]]
    first_alone = OneHotEncoder(drop="first", sparse_output=False)
    rare = OneHotEncoder(max_categories=2, sparse_output=False)
    bins = KBinsDiscretizer(3, encode="onehot-dense")
    best = make_pipeline(clone(prepare), SelectKBest(k=5))
    letters = CountVectorizer(token_pattern=".")
    cases = [
        (X, prepare),
        (X, clone(prepare).set_params(remainder="drop")),
        (whole, join((ENCODE, words), ("passthrough", [3]), ("drop", ["age"]))),
        (whole, join((letters, "port"), (letters, 4), (Silent(), [3]))),
        (whole[words], first_alone),
        (whole[words], rare),
        (whole[words], OrdinalEncoder()),
        (whole[words], TargetEncoder(random_state=0)),
        (numbers, make_pipeline(StandardScaler(), bins)),
        (numbers, make_pipeline(SplineTransformer(n_knots=3), StandardScaler())),
        (numbers, make_pipeline(FunctionTransformer(), StandardScaler())),
        (numbers, SelectKBest(k=2)),
        (numbers, FeatureUnion([("a", StandardScaler()), ("b", "drop"), ("c", bins)])),
        (numbers, make_pipeline(PolynomialFeatures(2, include_bias=False))),
        (X, best.set_output(transform="pandas")),
    ]
    for rows, transformer in cases:
        model = clone(transformer).fit(rows, y == "yes")
        steps = take_apart(make_pipeline(model, small()), "test").transformers
        assert trace_columns(steps) == watch_columns(model, rows), transformer

    # of these it is not known; a part that says nothing leaves the others alone
    model = make_pipeline(PCA(2), StandardScaler()).fit(numbers)
    assert trace_columns([model[0], model[1]]) == [set(), set()]
    for silent in Silent(), Curt():
        both = FeatureUnion([("a", StandardScaler()), ("b", silent)]).fit(numbers)
        assert trace_columns([silent.fit(numbers)]) is trace_columns([both]) is None
        mixed = join((silent, ["age", "fare"]), (StandardScaler(), ["noise"]))
        assert trace_columns([mixed.fit(numbers)]) == [set()] * 4 + [{2}]


# Importances.


def test_importances_of_one_feature_are_added_up(raw, titled, monkeypatch):
    X, y = raw
    grouped, single = (
        feature_importances(titled, group=group) for group in (True, False)
    )

    assert list(grouped.index) == list(X.columns)
    assert (grouped.index.name, grouped.name) == ("feature", "importance")
    assert list(single.index) == list(titled[:-1].get_feature_names_out())
    np.testing.assert_array_equal(single, titled[-1].feature_importances_)
    parts = {"port": r"port_(?:a_3|b|c)$", "port_a": r"port_a_[12]$", "age": "age$"}
    for name, pattern in parts.items():
        one = single[single.index.str.contains(pattern)]
        assert len(one) == {"port": 3, "port_a": 2, "age": 2}[name]
        np.testing.assert_allclose(grouped[name], one.sum())
    np.testing.assert_allclose(grouped.sum(), 1.0)
    assert grouped.max() > 0.2 > grouped["noise"]

    ranking = rank_features(titled)
    known = ~np.isnan(ranking.directions[:, 0])
    assert list(grouped.index[known]) == ["fare", "noise"]
    place = titled[:-1].get_feature_names_out().tolist().index("part 0__fare")
    assert ranking.directions[3] == titled[-1].feature_directions_[place] < 0.0
    assert ranking.columns == list(X.columns)

    longer = make_pipeline(titled[0], SelectKBest(k=5), small()).fit(X, y)
    found = feature_importances(longer, group=False)
    assert list(found.index) == list(longer[:-1].get_feature_names_out())

    # names of the pipeline's own are not those of raw columns
    rows = titled[:-1].transform(X)[:, :3]
    for silent in Silent(), Curt(), Wrong():
        halves = join((silent, [1, 2]), (StandardScaler(), [0]))
        found = rank_features(make_pipeline(halves, small()).fit(rows, y))
        own = [f"transformed x{place}" for place in range(3)]
        assert found.names == ["x0", *own, "x3"]
        assert found.columns == [0, None, None, None, None]
        for before in None, StandardScaler():
            model = make_pipeline(before, silent, small()).fit(rows, y)
            found = feature_importances(model)
            assert list(found.index) == [f"x{place}" for place in range(6)]

    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    table = feature_importances(titled)
    assert table.dtype.names == ("feature", "importance")
    np.testing.assert_array_equal(table["importance"], grouped)


def test_any_rule_without_another_fit(raw, titled):
    X, y = raw
    rows = titled[:-1].transform(X)
    fitted = titled[-1]
    for rule in "gradient", "connection", "permutation":
        other = clone(fitted).set_params(importance=rule).fit(rows, y)
        found = feature_importances(titled, X, y, rule=rule, group=False)
        np.testing.assert_array_equal(found, other.feature_importances_)
        ranking = rank_features(titled, X, y, rule, group=False)
        np.testing.assert_array_equal(
            ranking.dense_importances, other.dense_feature_importances_
        )
        if rule == "permutation":
            assert ranking.directions is None is other.feature_directions_
        else:
            np.testing.assert_array_equal(ranking.directions, other.feature_directions_)
    np.testing.assert_array_equal(
        feature_importances(titled, X), feature_importances(titled)
    )
    changed = clone(fitted).fit(rows, y).set_params(importance="permutation")
    np.testing.assert_array_equal(
        feature_importances(changed), fitted.feature_importances_
    )
    assert rank_features(changed).rule == "gradient"
    half = feature_importances(titled, X[::2], group=False)
    assert 0.0 < np.abs(half - fitted.feature_importances_).max() < 0.1

    # columns of one feature are shuffled as one
    joint = feature_importances(titled, X, y, rule="permutation")
    alone = feature_importances(titled, X, y, rule="permutation", group=False)
    share = alone[alone.index.str.contains(r"port_(?:a_3|b|c)$")].sum()
    assert abs(joint["port"] - share) > 0.01

    causal = small(prune_criterion="intervention").fit(rows, y)
    again = clone(causal).set_params(importance="causal").fit(rows, y)
    ranking = rank_features(causal, rule="causal")
    np.testing.assert_array_equal(ranking.importances, again.feature_importances_)
    np.testing.assert_array_equal(
        ranking.dense_importances, again.dense_feature_importances_
    )
    causal.forget_training()
    assert rank_features(causal, rule="causal").dense_importances is None

    dead = copy.copy(fitted)
    dead.coefs_ = [np.zeros_like(W) for W in fitted.coefs_]
    for share, text in (0.5, "has one that is 0"), (1.0, "no path of kept weights"):
        dead.effective_sparsity_ = share
        with pytest.warns(match=text):
            equal = feature_importances(dead, rule="connection")
    np.testing.assert_allclose(equal, 1.0 / rows.shape[1])


# What is around a network.


def test_networks_are_found_wherever_they_are(raw, titled, diabetes):
    X, y = raw
    search = GridSearchCV(titled, {f"{titled.steps[-1][0]}__prune_ratio": [0.4]}, cv=2)
    search.fit(X, y)
    nested = make_pipeline(None, "passthrough", titled).fit(X, y)
    expected = feature_importances(nested)
    for model in search, make_pipeline(search).fit(X, y):
        network = take_apart(model, "test").network
        assert network is take_apart(model, "test").network
        assert network.prune_ratio == 0.4
        changed = put_network(model, network.compact())
        np.testing.assert_array_equal(changed.predict(X), model.predict(X))
        assert feature_importances(model).index.equals(expected.index)
    np.testing.assert_array_equal(expected, feature_importances(titled))
    sampled = Pipeline([titled.steps[0], ("sampler", Sampler()), titled.steps[1]])
    np.testing.assert_array_equal(feature_importances(sampled, X), expected)
    table = weight_table(search)
    assert list(dict.fromkeys(table["from"]))[:2] == ["part 0__fare", "part 0__age"]
    assert list(table["to"])[-1] == "yes"

    X, y = diabetes
    X = pd.DataFrame(X, columns=[f"d{column}" for column in range(X.shape[1])])
    network = small(ChaosCausalPrunedMLPRegressor)
    select = SelectKBest(f_regression, k=3)
    inner = TransformedTargetRegressor(
        make_pipeline(select, network), func=np.sqrt, inverse_func=np.square
    )
    outer = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), inner), transformer=StandardScaler()
    )
    with pytest.raises(NotFittedError):
        feature_importances(outer)
    logarithm = FunctionTransformer(np.log, np.exp, feature_names_out="one-to-one")
    outer.set_params(transformer=logarithm.set_output(transform="pandas")).fit(X, y)
    parts = take_apart(outer, "test")
    np.testing.assert_allclose(parts.transform_target(y), np.sqrt(np.log(y)))
    changed = put_network(outer, parts.network.compact())
    np.testing.assert_allclose(changed.predict(X), outer.predict(X), rtol=1e-12)
    selected = X.columns[parts.transformers[-1].get_support()]
    found = feature_importances(outer, X, y, "permutation")
    assert list(found.index) == list(selected)
    rows, targets = parts.transform(X), parts.transform_target(y)
    alone = feature_importances(parts.network, rows, targets, "permutation")
    np.testing.assert_array_equal(found, alone)

    # a target transformer that turns the target round turns the directions, too
    plain = small(ChaosCausalPrunedMLPRegressor).fit(X, -y)
    turned = TransformedTargetRegressor(
        clone(plain), func=np.negative, inverse_func=np.negative
    )
    np.testing.assert_array_equal(
        rank_features(turned.fit(X, y)).directions, -plain.feature_directions_
    )


def test_a_regressor_names_its_target(diabetes):
    X, y = diabetes
    named = small(ChaosCausalPrunedMLPRegressor).fit(X, pd.Series(y, name="hwy"))
    assert weight_table(named)["to"].iloc[-1] == "hwy"
    with pytest.warns(match="column-vector"):
        named.fit(X, pd.DataFrame({"name": y}))
    assert weight_table(named)["to"].iloc[-1] == "y"
    for name in None, "":
        named.fit(X, pd.Series(y, name=name))
        assert weight_table(named)["to"].iloc[-1] == "y"


# Reports.


def test_report_of_a_pipeline_scores_the_whole_of_it(raw, titled, monkeypatch):
    X, y = raw
    search = GridSearchCV(
        titled, {f"{titled.steps[-1][0]}__prune_ratio": [0.5]}, cv=2
    ).fit(X, y)
    unpruned = clone(titled).set_params(**{f"{titled.steps[-1][0]}__prune_ratio": 0.0})
    dense = unpruned.fit(X, y)
    scoring = ["accuracy", "balanced_accuracy", "neg_log_loss"]
    for model in titled, search:
        report = pruning_report(model, X, y, scoring)
        for side, whole in (report.after, model), (report.before, dense):
            predicted, shares = whole.predict(X), whole.predict_proba(X)
            assert side["accuracy"] == whole.score(X, y)
            assert side["balanced_accuracy"] == balanced_accuracy_score(y, predicted)
            assert side["neg_log_loss"] == pytest.approx(-log_loss(y, shares))
        assert report.ratio["neg_log_loss"] is None
        assert list(report.before) == list(report.after)
    by_method = titled[-1].report(titled[:-1].transform(X), y, scoring=scoring)
    assert by_method.after["neg_log_loss"] == report.after["neg_log_loss"]
    assert [line.split()[0] for line in str(report).splitlines()[4:6]] == [
        "balanced",
        "neg",
    ]
    importances = feature_importances(titled).sort_values(ascending=False)
    strongest = [feature["name"] for feature in report.strongest_features]
    assert strongest == list(importances.index)
    sparser = clone(titled).set_params(**{f"{titled.steps[-1][0]}__prune_ratio": 0.8})
    shares = sparser.fit(X, y).predict_proba(X)
    unused = []
    for name in X:
        moved = sparser.predict_proba(X.assign(**{name: np.roll(X[name], 1)}))
        unused += [name] * np.allclose(moved, shares)
    assert 0 < len(unused) < len(sparser[-1].compact().unused_features_)
    report = pruning_report(sparser, X, y, "neg_log_loss")
    assert report.unused_features == unused
    assert report.after["neg_log_loss"] == pytest.approx(-log_loss(y, shares))

    def refit_first(*args, **kwargs):
        dense[-1].fit(titled[:-1].transform(X), y[::-1])
        return rank_features(*args, **kwargs)

    before = pruning_report(dense, X, y).strongest_features
    monkeypatch.setattr("skchaosprune.report.rank_features", refit_first)
    assert pruning_report(dense, X, y).strongest_features == before
    assert [f["name"] for f in before] != list(feature_importances(dense).index)


def test_report_is_in_units_of_the_raw_target(diabetes):
    X, y = diabetes
    network = small(ChaosCausalPrunedMLPRegressor, prune_criterion="intervention")
    pipeline = make_pipeline(StandardScaler(), network)
    model = TransformedTargetRegressor(pipeline, func=np.log, inverse_func=np.exp)
    model.fit(X, y)
    report = pruning_report(model, X, y, make_scorer(mean_absolute_error))

    predicted = model.predict(X)
    assert report.after["r2"] == pytest.approx(model.score(X, y), abs=1e-12)
    assert report.after["rmse"] == pytest.approx(root_mean_squared_error(y, predicted))
    (name,) = report.after.keys() - {*model.regressor_[-1].report(X, y).after}
    assert report.after[name] == pytest.approx(mean_absolute_error(y, predicted))
    scaler, network = model.regressor_
    placebo = network.placebo_test(scaler.transform(X), np.log(y), n_repeats=5)
    assert report.causal_share == placebo.causal_share
    assert report.placebo_share == placebo.placebo_share


def test_wrong_models_and_rows_are_refused(raw, titled):
    X, y = raw
    rows = titled[:-1].transform(X)
    step = f"{titled.steps[-1][0]}__prune_ratio"
    search = GridSearchCV(titled, {step: [0.5]}, cv=2, refit=False)
    never, twice = clone(titled), make_pipeline(StandardScaler(), titled[-1])
    other = make_pipeline(StandardScaler(), LogisticRegression())
    cases = [
        (lambda: feature_importances(never), NotFittedError, "not fitted"),
        (lambda: pruning_report(never, X, y), NotFittedError, "not fitted"),
        (lambda: weight_table(clone(search)), NotFittedError, "GridSearchCV"),
        (lambda: weight_table(search.fit(X, y)), ValueError, "refit=False"),
        (lambda: weight_table(other), TypeError, "Got LogisticRegression"),
        (lambda: pruning_report(small, X, y), TypeError, "pruning_report needs"),
        (
            lambda: weight_table(TunedThresholdClassifierCV(titled)),
            TypeError,
            "Got TunedThresholdClassifierCV",
        ),
        (
            lambda: feature_importances(titled, X[:1], y[:1], "permutation"),
            ValueError,
            "minimum of 2",
        ),
        (
            lambda: feature_importances(titled, rule="permutation"),
            ValueError,
            "rule='permutation' needs X and y",
        ),
        (
            lambda: feature_importances(titled, X, rule="permutation"),
            ValueError,
            "rule='permutation' needs X and y",
        ),
        (lambda: feature_importances(titled, rule="shap"), ValueError, "'connection'"),
        (
            lambda: feature_importances(titled, rule="causal"),
            ValueError,
            "prune_criterion='magnitude' tests nothing",
        ),
        (
            lambda: rank_features(titled, feature_names=["a"]),
            ValueError,
            "feature_names has 1 names, and X has 6 columns",
        ),
        (lambda: pruning_report(titled, X, y[:-1]), ValueError, "inconsistent"),
        (lambda: pruning_report(titled, X, y, "acuracy"), ValueError, "acuracy"),
        (
            lambda: pruning_report(titled, X, y, {"f1": "f1_macro"}),
            ValueError,
            "calls a score 'f1'.*'my_f1'",
        ),
        (
            lambda: pruning_report(titled, X, y, {"flops": "accuracy"}),
            ValueError,
            "calls a score 'flops'",
        ),
    ]
    for call, kind, text in cases:
        with pytest.raises(kind, match=text):
            call()
    network = titled[-1]
    assert twice[-1] is network
    scaled = small().fit(StandardScaler().fit_transform(rows), y)
    with pytest.warns(UserWarning, match="unlike the rows of fit"):
        feature_importances(scaled, 1e3 * rows + 1e3)
    with pytest.warns(UserWarning, match="unlike the rows of fit"):
        pruning_report(scaled, 1e3 * rows + 1e3, y)
