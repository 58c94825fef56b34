"""scikit-learn's own checks; none is expected to fail, none is skipped."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor


# the checks train on a handful of unscaled rows, of which fit rightly complains
@pytest.mark.filterwarnings("ignore:X is not scaled:UserWarning")
@pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude:UserWarning")
@pytest.mark.filterwarnings("ignore:The outputs of the pruned network:UserWarning")
@parametrize_with_checks(
    [
        ChaosCausalPrunedMLP(),
        ChaosCausalPrunedMLP((8,), max_iter=40, prune_ratio=0.8, n_swaps=2),
        ChaosCausalPrunedMLPRegressor(),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
