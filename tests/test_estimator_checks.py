"""scikit-learn's own checks; none is expected to fail, none is skipped."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor


@parametrize_with_checks([ChaosCausalPrunedMLP(), ChaosCausalPrunedMLPRegressor()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)
