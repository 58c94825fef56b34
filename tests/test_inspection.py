"""Feature selection and inspection of scikit-learn, and shap, with the estimators."""

import warnings

import numba
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.base import is_classifier
from sklearn.feature_selection import RFE, RFECV, SelectFromModel
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._network.importance import IMPORTANCES
from skchaosprune.criteria import FixedMasks
from tests.helpers import small

pytestmark = pytest.mark.slow

# What the target is made of, and the two columns that matter most, in order.
EFFECTS = np.array([-1.5, 0.0, 0.7, 3.0, 0.0, 0.3])
INFORMATIVE = [3, 0]

# Rules that look at the network; evidence of causality is something else.
DESCRIPTIVE = [rule for rule in IMPORTANCES if rule != "causal"]


@pytest.fixture(scope="module")
def planted():
    """Rows, and a target that is linear in some of the six columns."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((240, 6))
    return X, X @ EFFECTS + 0.1 * rng.standard_normal(240)


def make_model(kind, **options):
    shared = {"hidden_layer_sizes": (8,), "activation": "tanh", "max_iter": 15}
    return small(kind, **shared | {"learning_rate_init": 0.01} | options)


def targets_of(kind, y):
    """The target itself, or three classes of it."""
    if kind is ChaosCausalPrunedMLPRegressor:
        return y
    return np.array(["low", "middle", "high"])[np.digitize(y, [-1.0, 1.0])]


@pytest.fixture(
    scope="module",
    params=[ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor],
    ids=["classifier", "regressor"],
)
def problem(request, planted):
    """An estimator that is not fitted, rows and targets."""
    X, y = planted
    return make_model(request.param), X, targets_of(request.param, y)


@pytest.fixture(scope="module")
def fitted_problem(problem):
    model, X, y = problem
    return make_model(type(model)).fit(X, y), X, y


def outputs_of(model):
    """What an explainer asks."""
    return model.predict_proba if is_classifier(model) else model.predict


def columns(selector):
    return np.flatnonzero(selector.get_support()).tolist()


# Scikit-learn.


def test_select_from_model(problem):
    model, X, y = problem
    for rule in DESCRIPTIVE:
        model = make_model(type(model), importance=rule)
        selector = SelectFromModel(model, threshold="mean").fit(X, y)

        assert columns(selector) == sorted(INFORMATIVE)
        np.testing.assert_array_equal(selector.transform(X), X[:, sorted(INFORMATIVE)])
        np.testing.assert_allclose(selector.threshold_, 1 / 6)


def test_select_from_fitted_model(fitted_problem):
    model, X, _ = fitted_problem
    importances = model.feature_importances_
    threshold = (importances[3] + importances[0]) / 2

    at_most_one = SelectFromModel(
        model, prefit=True, max_features=1, threshold=-np.inf
    ).fit(X)
    above = SelectFromModel(model, prefit=True, threshold=threshold).fit(X)
    all_of_them = SelectFromModel(model, prefit=True, threshold=0.0).fit(X)

    assert columns(at_most_one) == columns(above) == INFORMATIVE[:1]
    assert columns(all_of_them) == list(range(6))


def test_select_by_the_dense_network(fitted_problem):
    model, X, _ = fitted_problem
    selector = SelectFromModel(
        model, prefit=True, importance_getter="dense_feature_importances_"
    ).fit(X)

    assert columns(selector) == sorted(INFORMATIVE)


def test_selection_before_a_model(problem):
    model, X, y = problem
    pipe = make_pipeline(StandardScaler(), SelectFromModel(model), model).fit(X, y)

    assert pipe[-1].n_features_in_ == 2
    assert pipe.score(X, y) > 0.8


def test_recursive_elimination(problem):
    model, X, y = problem
    selector = RFE(model, n_features_to_select=1).fit(X, y)

    assert columns(selector) == INFORMATIVE[:1]
    assert selector.ranking_[INFORMATIVE].tolist() == [1, 2]
    assert sorted(selector.ranking_) == [1, 2, 3, 4, 5, 6]
    assert selector.estimator_.n_features_in_ == 1


def test_recursive_elimination_with_folds(problem):
    model, X, y = problem
    selector = RFECV(model, cv=2, step=2, min_features_to_select=2).fit(X, y)

    assert selector.support_[INFORMATIVE].all()
    assert selector.cv_results_["mean_test_score"].min() > 0.8


def test_scikit_learns_permutation_importance(fitted_problem):
    model, X, y = fitted_problem
    result = permutation_importance(model, X, y, n_repeats=5, random_state=0)

    means = result.importances_mean
    assert np.argsort(means)[::-1][:2].tolist() == INFORMATIVE
    assert np.abs(means[EFFECTS == 0.0]).max() < 0.05 * means.max()


def test_partial_dependence(fitted_problem):
    model, X, _ = fitted_problem

    def curve(column):
        """Both ends of a column, and mean outputs; of the class "high", the first."""
        ends = {"grid_resolution": 2, "percentiles": (0.0, 1.0)}
        result = partial_dependence(model, X, [column], **ends)
        return result["grid_values"][0], result["average"][0]

    def by_hand(column, values):
        means = []
        for value in values:
            moved = X.copy()
            moved[:, column] = value
            means.append(outputs_of(model)(moved).mean(axis=0))
        return [np.atleast_1d(mean)[0] for mean in means]

    changes = []
    for column in range(6):
        values, means = curve(column)
        np.testing.assert_allclose(means, by_hand(column, values), rtol=1e-10)
        changes.append(means[1] - means[0])
    assert changes[3] > 0.0 > changes[0]
    assert np.argsort(np.abs(changes))[::-1][:2].tolist() == INFORMATIVE


# shap.


@pytest.fixture(scope="module")
def shap():
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        # shap sets up its colours in ways that matplotlib is to drop
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        # compiling its functions takes longer than running them
        patch.setattr(numba.config, "DISABLE_JIT", True)
        return pytest.importorskip("shap")


EXPLAINERS = {
    "auto": lambda shap, f, rows: shap.Explainer(f, shap.maskers.Independent(rows)),
    "permutation": lambda shap, f, rows: shap.PermutationExplainer(
        f, shap.maskers.Independent(rows), seed=0
    ),
    "kernel": lambda shap, f, rows: shap.KernelExplainer(f, rows),
}


@pytest.mark.parametrize("kind", EXPLAINERS)
def test_shap(shap, fitted_problem, kind):
    model, X, _ = fitted_problem
    function, background, rows = outputs_of(model), X[:40], X[40:80]
    expected = function(rows)

    found = EXPLAINERS[kind](shap, function, background)(rows)

    # one value per row, feature and, for a classifier, class; they add up
    assert found.values.shape == (40, 6, *expected.shape[1:])
    np.testing.assert_allclose(
        found.base_values,
        np.broadcast_to(function(background).mean(axis=0), expected.shape),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        found.base_values + found.values.sum(axis=1), expected, rtol=1e-6, atol=1e-8
    )
    sizes = np.abs(found.values).reshape(40, 6, -1).mean(axis=0).sum(axis=1)
    assert np.argsort(sizes)[::-1][:2].tolist() == INFORMATIVE
    assert spearmanr(sizes, model.feature_importances_).statistic > 0.8


def test_shap_of_a_pruned_input_is_zero(shap, planted):
    X, y = planted
    masks = [np.zeros((6, 4), dtype=bool), np.ones((4, 3), dtype=bool)]
    masks[0][INFORMATIVE] = True
    model = make_model(
        ChaosCausalPrunedMLP, prune_criterion=FixedMasks(masks), hidden_layer_sizes=4
    ).fit(X, targets_of(ChaosCausalPrunedMLP, y))

    explainer = EXPLAINERS["permutation"](shap, model.predict_proba, X[:40])
    sizes = np.abs(explainer(X[40:80]).values).max(axis=(0, 2))

    assert sizes[INFORMATIVE].min() > 0.1
    np.testing.assert_allclose(np.delete(sizes, INFORMATIVE), 0.0, atol=1e-12)
    np.testing.assert_array_equal(model.feature_importances_ > 0.0, sizes > 1e-12)
