"""scikit-learn's own checks; none is expected to fail, none is skipped."""

import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor

# the checks train on a handful of unscaled rows, of which fit rightly complains
pytestmark = pytest.mark.filterwarnings(
    "ignore:X is not scaled:UserWarning",
    "ignore:The weights are ranked by magnitude:UserWarning",
    "ignore:The outputs of the pruned network:UserWarning",
)


@parametrize_with_checks(
    [
        ChaosCausalPrunedMLP(),
        ChaosCausalPrunedMLP((8,), max_iter=40, prune_ratio=0.8, n_swaps=2),
        ChaosCausalPrunedMLPRegressor(),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_scikit_learn_checks_with_few_inputs():
    # in rounds of the solver, as a descent amplifies the rounding of sample weights
    limits = {"max_features": 3, "n_rounds": 2, "max_iter": 40}
    results = check_estimator(ChaosCausalPrunedMLP((8,), **limits))
    assert {result["status"] for result in results} == {"passed"}
