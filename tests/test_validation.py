"""Each bad input is one clear error: the parameter, its value, the way out."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune.criteria import CRITERIA, ChaosCausality, Random
from tests.helpers import PLAIN


def classifier(**options):
    defaults = {"hidden_layer_sizes": (3,), "max_iter": 3, "random_state": 0}
    return ChaosCausalPrunedMLP(**defaults | options)


def assert_refused(model, X, y, error, *words, **fit_params):
    """The error says all the words, and nothing is left on the estimator."""
    before = dict(vars(model))
    with pytest.raises(error) as caught:
        model.fit(X, y, **fit_params)
    for word in words:
        assert word in str(caught.value)
    assert vars(model) == before


PARAMETERS = [
    ({"prune_ratio": 1.0}, ValueError, ["prune_ratio=1.0", "below 1", "None"]),
    ({"prune_ratio": -0.1}, ValueError, ["prune_ratio=-0.1", "at least 0"]),
    ({"prune_ratio": float("nan")}, ValueError, ["prune_ratio=nan"]),
    ({"prune_ratio": "half"}, TypeError, ["prune_ratio='half'", "share"]),
    ({"prune_ratio": True}, TypeError, ["prune_ratio=True"]),
    (
        {"prune_ratio": 0.95},
        ValueError,
        ["prune_ratio=0.95", "hidden_layer_sizes", "0.9"],
    ),
    ({"prune_scope": "unit"}, ValueError, ["'unit'", "'global'", "'layer'"]),
    (
        {"prune_criterion": "chaos"},
        ValueError,
        ["prune_criterion='chaos'", *map(repr, CRITERIA)],
    ),
    ({"prune_criterion": 3}, TypeError, ["prune_criterion=3", "'magnitude'"]),
    (
        {"prune_criterion": ChaosCausality},
        TypeError,
        ["prune_criterion", "ChaosCausalMagnitude(max_lag=3)"],
    ),
    (
        {"prune_criterion": "magnitude", "prune_ratio": None},
        ValueError,
        ["prune_ratio=None", "'magnitude'", "chaos_causal_magnitude"],
    ),
    ({"hidden_layer_sizes": {3, 5}}, TypeError, ["hidden_layer_sizes={3, 5}"]),
    ({"hidden_layer_sizes": b"ab"}, TypeError, ["hidden_layer_sizes=b'ab'"]),
    ({"hidden_layer_sizes": None}, TypeError, ["hidden_layer_sizes=None", "(64,)"]),
    ({"hidden_layer_sizes": (3, 0)}, ValueError, ["hidden_layer_sizes=(3, 0)"]),
    ({"hidden_layer_sizes": (3.5,)}, TypeError, ["hidden_layer_sizes=(3.5,)"]),
    ({"hidden_layer_sizes": "wide"}, TypeError, ["hidden_layer_sizes='wide'"]),
    ({"activation": "gelu"}, ValueError, ["activation='gelu'", "'relu'", "'tanh'"]),
    ({"loss": "hinge"}, ValueError, ["loss='hinge'", "'log_loss'"]),
    ({"solver": "lbfgs"}, ValueError, ["solver='lbfgs'", "'sgd'", "'adam'"]),
    ({"engine": "cuda"}, ValueError, ["engine='cuda'", "'auto'", "'numba'", "'torch'"]),
    (
        {"engine": "numba", "solver": "adam"},
        ValueError,
        ["engine='numba'", "solver is 'adam'", "engine='auto'"],
    ),
    (
        {"callbacks": [EarlyStopping()]},
        ValueError,
        ["valid_loss", "validation_fraction", "'train_loss'"],
    ),
    (
        {"callbacks": [LRScheduler("ReduceLROnPlateau", monitor="valid_loss")]},
        ValueError,
        ["valid_loss", "validation_fraction", "'train_loss'"],
    ),
    (
        {"engine": "numba", "callbacks": [GradientNormClipping(1.0)]},
        ValueError,
        ["engine='numba'", "GradientNormClipping acts inside a batch"],
    ),
    ({"device": "gpu"}, ValueError, ["device='gpu'", "'cpu'"]),
    ({"device": "meta"}, ValueError, ["device='meta'", "'cpu'"]),
    ({"device": None}, ValueError, ["device=None", "'cpu'"]),
    ({"importance": "shap"}, ValueError, ["importance='shap'", "'gradient'"]),
    ({"learning_rate_init": 0.0}, ValueError, ["learning_rate_init=0.0", "(0, inf)"]),
    ({"learning_rate_init": "0.1"}, TypeError, ["learning_rate_init='0.1'"]),
    ({"learning_rate_init": float("inf")}, ValueError, ["learning_rate_init=inf"]),
    ({"momentum": 1.0}, ValueError, ["momentum=1.0", "[0, 1)"]),
    ({"alpha": -1}, ValueError, ["alpha=-1", "[0, 1e+100]"]),
    ({"batch_size": 0}, ValueError, ["batch_size=0", "[1, inf)", "'auto'"]),
    ({"batch_size": 2.5}, TypeError, ["batch_size=2.5", "an int"]),
    ({"batch_size": np.array([3, 4])}, TypeError, ["batch_size=array", "an int"]),
    ({"max_iter": 0}, ValueError, ["max_iter=0", "[1, inf)"]),
    ({"max_iter": True}, TypeError, ["max_iter=True"]),
    ({"dense_fraction": 0.0}, ValueError, ["dense_fraction=0.0", "(0, 1]"]),
    ({"dense_fraction": 1.5}, ValueError, ["dense_fraction=1.5", "(0, 1]"]),
    ({"batch_size": "full"}, TypeError, ["batch_size='full'", "'auto'"]),
    ({"class_weight": {0: "a"}}, ValueError, ["class_weight", "weight 'a'"]),
    ({"n_swaps": -1}, ValueError, ["n_swaps=-1", "[0, inf)", "'auto'"]),
    ({"n_swaps": 2.5}, TypeError, ["n_swaps=2.5", "an int"]),
    ({"n_swaps": None}, TypeError, ["n_swaps=None", "an int"]),
    ({"n_rounds": True}, TypeError, ["n_rounds=True", "an int", "'auto'"]),
    ({"n_rounds": 0}, ValueError, ["n_rounds=0", "[1, inf)"]),
    ({"n_rounds": "many"}, TypeError, ["n_rounds='many'", "'auto'"]),
    (
        {"n_rounds": 5, "prune_ratio": None},
        ValueError,
        ["n_rounds=5 needs a prune_ratio", "'auto'"],
    ),
    (
        {"validation_fraction": 1.0},
        ValueError,
        ["validation_fraction=1.0", "(0, 1)", "None"],
    ),
    ({"validation_fraction": 0.01}, ValueError, ["validation_fraction=0.01"]),
    ({"target_score": "best"}, TypeError, ["target_score='best'", "None"]),
    ({"callbacks": "early"}, TypeError, ["callbacks='early'", "skorch"]),
    ({"callbacks": [3]}, TypeError, ["callbacks=[3]", "skorch"]),
    ({"callbacks": [("name",)]}, TypeError, ["callbacks=[('name',)]", "pair"]),
    ({"callbacks": [("name", None)]}, TypeError, ["callbacks=[('name', None)]"]),
    ({"n_jobs": 0}, ValueError, ["n_jobs=0", "1", "-1"]),
    ({"n_jobs": "two"}, TypeError, ["n_jobs='two'", "an int"]),
    ({"shuffle": "yes"}, TypeError, ["shuffle='yes'", "True or False"]),
    ({"keep_connected": 1}, TypeError, ["keep_connected=1"]),
    ({"weight_init": "zeros"}, ValueError, ["weight_init='zeros'", "'normal'"]),
    ({"weight_init": 3}, TypeError, ["weight_init", "(coefs, intercepts)", "got 3"]),
    (
        {"weight_init": ([np.ones((4, 2))], [np.ones(2)])},
        ValueError,
        ["weight_init", "(4, 3)", "(3, 3)", "(4, 2)"],
    ),
    (
        {
            "weight_init": (
                [np.full((4, 3), np.nan), np.ones((3, 3))],
                [np.ones(3), np.ones(3)],
            )
        },
        ValueError,
        ["weight_init", "NaN"],
    ),
    ({"random_state": "x"}, ValueError, ["random_state='x'", "int"]),
    ({"class_weight": "even"}, ValueError, ["class_weight='even'", "'balanced'"]),
    ({"class_weight": {0: -1.0}}, ValueError, ["class_weight={0: -1.0}", "at least 0"]),
    ({"class_weight": {0: np.nan}}, ValueError, ["class_weight={0: nan}", "finite"]),
    ({"class_weight": {7: 1.0}}, ValueError, ["class_weight={7: 1.0}", "[0, 1, 2]"]),
    (
        {"class_weight": dict.fromkeys(range(3), 0)},
        ValueError,
        ["class_weight", "zero"],
    ),
    ({"memory": 3}, ValueError, ["memory"]),
    ({"verbose": -1}, ValueError, ["verbose=-1", "[0, inf)"]),
]


def names(cases):
    """Return ids of cases: an object's repr would differ between processes."""
    return ["-".join(options) for options, *_ in cases]


@pytest.mark.parametrize("options, error, words", PARAMETERS, ids=names(PARAMETERS))
def test_parameters(iris, options, error, words):
    assert_refused(classifier(**options), *iris, error, *words)


CRITERION = [
    ({"window_size": 5}, ["window_size=5", "embedding_dimension=2", "at least 6"]),
    ({"window_size": 20, "delay": 10, "n_steps": 9}, ["window_size=20", "at least 21"]),
    ({"window_size": 0}, ["window_size=0", "[1, inf)"]),
    ({"window_overlap": 1.0}, ["window_overlap=1.0", "[0, 1)"]),
    ({"record_every": 0}, ["record_every=0", "[1, inf)", "'auto'"]),
    ({"embedding_dimension": 0}, ["embedding_dimension=0", "[1, inf)"]),
    ({"static_tolerance": -1.0}, ["static_tolerance=-1.0", "[0, inf)"]),
    ({"decimals": -2}, ["decimals=-2", "[0, 15]", "None"]),
    ({"max_lag": 0}, ["max_lag=0", "[1, inf)"]),
    ({"significance_level": 1.0}, ["significance_level=1.0", "(0, 1)"]),
    ({"test": "wald"}, ["test='wald'", "'ssr_ftest'", "'ssr_chi2test'"]),
    ({"target": "auc"}, ["target='auc'", "'auto'", "'loss'"]),
    ({"lag_rule": "max"}, ["lag_rule='max'", "'bonferroni'", "'min'"]),
    ({"correction": "bh"}, ["correction='bh'", "'holm'", "'fdr_bh'"]),
    ({"prune": "all"}, ["prune='all'", "'noncausal'", "'causal'"]),
]


@pytest.mark.parametrize("kind", [ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor])
def test_every_parameter_is_checked(iris, kind):
    for name in kind().get_params(deep=False):
        with pytest.raises((TypeError, ValueError), match=name):
            kind((3,)).set_params(**{name: object()}).fit(*iris)


@pytest.mark.parametrize("options, words", CRITERION, ids=names(CRITERION))
def test_criterion_parameters(iris, options, words):
    model = classifier(prune_criterion=ChaosCausality(**options))
    assert_refused(model, *iris, ValueError, *words)


def test_the_shortest_window_that_fits_is_taken(iris):
    criterion = ChaosCausality(window_size=6, max_lag=1)
    model = classifier(prune_criterion=criterion).fit(*iris)
    assert np.isfinite(model.lyapunov_exponents_).all()


def test_random_state_of_the_random_criterion(iris):
    model = classifier(prune_criterion=Random(random_state=-1))
    assert_refused(model, *iris, ValueError, "random_state")


def test_the_named_largest_ratio_works(iris):
    model = classifier(prune_ratio=0.99, prune_criterion="magnitude")
    with pytest.raises(ValueError) as caught:
        model.fit(*iris)
    largest = float(re.findall(r"0\.\d+", str(caught.value))[-1])

    assert 0.8 < largest < 0.99
    assert model.set_params(prune_ratio=largest).fit(*iris).flops_ == 2


def test_data(iris):
    X, y = iris
    broken = X.copy()
    broken[3, 1] = np.nan
    assert_refused(classifier(), broken, y, ValueError, "NaN", "ChaosCausalPrunedMLP")
    broken[3, 1] = np.inf
    assert_refused(classifier(), broken, y, ValueError, "infinity")
    assert_refused(classifier(), sparse.csr_array(broken), y, ValueError, "infinity")
    ones = np.ones(len(y))
    assert_refused(classifier(), X, ones, ValueError, "only one class", "two classes")
    continuous = y + np.random.RandomState(0).uniform(size=len(y))
    assert_refused(classifier(), X, continuous, ValueError, "continuous")
    assert_refused(classifier(), X, y[:-1], ValueError, "inconsistent")
    assert_refused(classifier(), X, None, ValueError, "requires y")
    assert_refused(classifier(), X, np.c_[y, y], ValueError, "1d")
    labels = np.where(y == 0, None, "a")
    assert_refused(classifier(), X, labels, ValueError, "label type")
    frame = pd.DataFrame(X).assign(text="a")
    frame.columns = frame.columns.astype(str)
    assert_refused(classifier(), frame, y, ValueError, "'a'")


def test_mismatched_feature_names(iris):
    X, y = iris
    model = classifier(prune_criterion="magnitude")
    model.fit(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match="(?s)feature names should match.*e\n"):
        model.predict(pd.DataFrame(X, columns=list("abce")))
    model.fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features, but .* expecting 4"):
        model.predict(X[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((2, 4), np.nan))


DATES = pd.date_range("2020", periods=150, freq="D")
TIMES = {
    "frame": pd.DataFrame({"b": DATES, "a": DATES}),
    "mixed frame": pd.DataFrame({"a": np.arange(150.0), "b": DATES}),
    "time zone": pd.DataFrame({"b": DATES.tz_localize("UTC")}),
    "durations": pd.DataFrame({"b": DATES - DATES[0]}),
    "objects in a frame": pd.DataFrame({"b": DATES.to_pydatetime()}).astype(object),
    "same names": pd.DataFrame({"b": DATES, 1: DATES}).set_axis(["b", "b"], axis=1),
    "numpy": np.asarray(DATES)[:, np.newaxis],
    "numpy durations": np.asarray(DATES - DATES[0])[:, np.newaxis],
    "list": [[day] for day in np.asarray(DATES)],
    "python": [[day.date()] for day in DATES],
    "objects": np.array(DATES.to_pydatetime(), dtype=object)[:, np.newaxis],
    "categories": pd.DataFrame({"b": pd.Categorical(DATES)}),
    "times of day": [[day.time()] for day in DATES],
}


@pytest.mark.parametrize("kind", TIMES)
def test_dates_are_no_numbers(iris, diabetes, kind):
    X = TIMES[kind]
    words = ["X has dates or durations", "weekday"]
    words += ["in column 'b'"] if hasattr(X, "columns") else []
    assert_refused(classifier(), X, iris[1], TypeError, *words)

    network = classifier(prune_criterion="magnitude")
    network.fit(iris[0][:, : np.shape(X)[1]], iris[1])
    rows = X.to_numpy() if hasattr(X, "columns") else X  # without names
    for use in (network.predict, network.compact().predict):
        with pytest.raises(TypeError, match="X has dates or durations"):
            use(rows)
    with pytest.raises(TypeError, match="X has dates or durations"):
        network.report(rows, iris[1])


@pytest.mark.parametrize("kind", ["numpy", "numpy durations", "python", "objects"])
def test_dates_are_no_targets(iris, kind):
    y = [day for (day,) in TIMES[kind]]
    model = ChaosCausalPrunedMLPRegressor(max_iter=3)
    for values in (y, pd.Series(y)):
        assert_refused(model, iris[0], values, TypeError, "y has dates or durations")


def test_dates_are_no_targets_of_a_score_and_no_weights(iris):
    X = iris[0]
    model = ChaosCausalPrunedMLPRegressor((3,), prune_criterion="magnitude", max_iter=3)
    model.fit(X, X[:, 0])
    for scored in (model, model.compact()):
        with pytest.raises(TypeError, match="y has dates or durations"):
            scored.score(X, np.asarray(DATES))
    ones = [np.ones((4, 3)), np.ones((3, 1))], [np.ones(3), np.ones(1)]
    ones[0][0] = ones[0][0].astype("m8[s]")
    with pytest.raises(TypeError, match="weight_init must be .*datetime.timedelta"):
        model.set_params(weight_init=ones).fit(X, X[:, 0])


def test_values_that_are_no_numbers_are_named(iris):
    frame = pd.DataFrame({"a": DATES.to_period("D")})
    with pytest.raises(TypeError, match="X or y has a value that is no number .float"):
        classifier().fit(frame, iris[1])


class Unshown:
    def __repr__(self):
        raise RuntimeError("x")


@pytest.mark.parametrize("value", [Unshown(), {i: i for i in range(10_000)}, "\ud800"])
@pytest.mark.parametrize("name", ["memory", "random_state"])
def test_values_that_cannot_be_shown(iris, name, value):
    with pytest.raises(ValueError, match=f"{name}=.*") as caught:
        classifier(**{name: value}).fit(*iris)
    assert len(str(caught.value)) < 500


def test_dates_may_be_labels(iris):
    X, y = iris
    days = np.asarray(DATES[:3])[y]

    model = classifier(prune_criterion="magnitude").fit(X, days)

    assert set(model.predict(X)) <= set(days) and model.classes_.dtype.kind == "M"


@pytest.mark.parametrize("dtype", ["S", object])
def test_labels_of_bytes(iris, dtype):
    X, y = iris
    y = np.array([b"a", b"b", b"c"], dtype=dtype)[y]
    words = "labels that are bytes", "b'a'", "label.decode()"
    assert_refused(classifier(), X, y, TypeError, *words)
    mixed = np.where(y == b"c", "c", y.astype(object))
    assert_refused(classifier(), X, mixed, TypeError, *words)
    decoded = [label.decode() for label in y]
    model = classifier(prune_criterion="magnitude").fit(X, decoded)
    assert model.classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "sample_weight, words",
    [
        (np.zeros(150), ["sample_weight", "zero", "positive"]),
        (np.full(150, -1.0), ["sample_weight", "negative", "-1.0"]),
        (np.ones(149), ["sample_weight", "(149,)", "(150,)"]),
        (np.ones((150, 1)), ["sample_weight", "(150, 1)"]),
        (np.full(150, np.nan), ["sample_weight", "NaN"]),
    ],
    ids=["zero", "negative", "short", "2-D", "nan"],
)
def test_sample_weight(iris, sample_weight, words):
    assert_refused(classifier(), *iris, ValueError, *words, sample_weight=sample_weight)


def test_weights_of_held_out_rows_must_not_vanish(iris):
    X, y = iris
    X, y = X[:55], y[:55]
    model = classifier(validation_fraction=0.05, class_weight={0: 0.0, 1: 1.0})
    assert_refused(model, X, y, ValueError, "class_weight", "zero", "validation rows")


# numpy warns where the kernels run as plain Python
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    "engine, criterion", [("numba", "chaos_causality"), ("torch", "magnitude")]
)
def test_divergence(diabetes, engine, criterion):
    X, y = diabetes
    model = ChaosCausalPrunedMLPRegressor(
        (3,),
        activation="identity",
        learning_rate_init=50.0,
        max_iter=20,
        **PLAIN,
        engine=engine,
        prune_criterion=criterion,
    )
    words = "no longer finite", "learning_rate_init=50.0", "Use a smaller learning"
    assert_refused(model, X, y, ValueError, *words)


def test_criterion_that_returns_nonsense(iris):
    short = classifier(prune_criterion=lambda record: record.weights[:-1])
    assert_refused(short, *iris, ValueError, "21 scores", "(20,)")
    nan = classifier(prune_criterion=lambda record: record.weights * np.nan)
    assert_refused(nan, *iris, ValueError, "21 scores", "21 NaN")


def test_criterion_without_its_parts(iris):
    class NoWindows:
        needs = ("trajectories",)
        has_significance_rule = False

        def score(self, record):
            return record.weights

    class NoDecision(NoWindows):
        needs = ()
        has_significance_rule = True

    model = classifier(prune_criterion=NoWindows())
    assert_refused(model, *iris, TypeError, "prune_criterion", "ChaosCausality")
    model = classifier(prune_criterion=NoDecision(), prune_ratio=None)
    assert_refused(model, *iris, ValueError, "significance rule", "keep", "None")
    NoWindows.needs = ("gradients",)
    assert_refused(
        classifier(prune_criterion=NoWindows()), *iris, TypeError, "'trajectories'"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, np.zeros(2), None])
def test_target_that_is_no_number(iris, value):
    def target(targets, outputs):
        return value

    model = classifier(prune_criterion=ChaosCausality(target=target))
    error = TypeError if value is None else ValueError
    assert_refused(model, *iris, error, "target" if value is not None else "")


def test_more_lags_than_auto_can_serve(iris):
    model = classifier(
        max_iter=30, prune_criterion=ChaosCausality(max_lag=80), prune_ratio=None
    )
    words = "max_lag=80 needs 242", "record_every=1 may"
    assert_refused(model, *iris, ValueError, *words)


def test_significance_rule_needs_windows(iris):
    assert_refused(
        classifier(prune_ratio=None, max_iter=2),
        *iris,
        ValueError,
        "prune_ratio=None",
        "the record has 6 windows",
        "max_lag=1 would fit",
        "max_iter=6 would give 17 windows",
    )


def test_significance_rule_needs_windows_after_an_early_stop(iris):
    criterion = ChaosCausality(record_every=1)
    model = classifier(
        prune_ratio=None, max_iter=20, target_score=0.1, prune_criterion=criterion
    )
    words = "the record has 3 windows", "target_score or a callback ended"
    assert_refused(model, *iris, ValueError, *words)


def test_nothing_significant(iris):
    criterion = ChaosCausality(significance_level=1e-300)
    model = classifier(prune_ratio=None, max_iter=30, prune_criterion=criterion)
    assert_refused(
        model, *iris, ValueError, "none of the 21 weights", "significance_level"
    )


def test_regressor_data(diabetes):
    X, y = diabetes
    model = ChaosCausalPrunedMLPRegressor()
    broken = y.copy()
    broken[5] = np.inf
    assert_refused(model, X, broken, ValueError, "y contains infinity")
    assert_refused(model, X, y.astype(str) + "x", ValueError, "could not convert")
    assert_refused(model, X, y * 1e305, ValueError, "y ranges from", "scale it")
