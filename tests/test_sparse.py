"""The kernel that trains kept weights alone, against the training of all."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from skorch.callbacks import Callback

from skchaosprune._kernels import sparse
from skchaosprune._kernels.sgd import ACTIVATIONS
from skchaosprune._training import epoch
from skchaosprune._training.plan import Divergence
from tests.helpers import assert_same_fit, small
from tests.networks import OUTPUTS, initial, make_data, make_plan, train_plan


def count_calls(largest_share, function, *args, **kwargs):
    """Call with another limit; return the result, or None, and the kernel's calls."""
    with (
        patch.object(epoch, "_LARGEST_KEPT_SHARE", largest_share),
        patch.object(sparse, "train_kept", wraps=sparse.train_kept) as kernel,
    ):
        try:
            return function(*args, **kwargs), kernel.call_count
        except Divergence:  # as deep networks without a bend may
            return None, kernel.call_count


@settings(max_examples=50, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=3),
    output=st.sampled_from(list(OUTPUTS)),
    activation=st.sampled_from(list(ACTIVATIONS)),
    learning_rate_init=st.sampled_from([0.02, 0.02, 0.02, 1e200]),
    momentum=st.sampled_from([0.0, 0.6]),
    alpha=st.sampled_from([0.0, 0.3]),
    learning_rate=st.sampled_from(["cosine", "constant"]),
    n_passes=st.sampled_from([1, 3]),
    shuffle=st.booleans(),
    share=st.floats(0.0, 1.0),
    call_size=st.sampled_from([1, 5000, 100_000_000]),
    is_sparse=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_kept_weights_alone_are_trained_to_the_same_bits(
    hidden, output, share, call_size, is_sparse, seed, **changes
):
    plan = make_plan(hidden, output, **changes)
    data, params = make_data(plan, seed), initial(plan, seed)
    mask = np.random.RandomState(seed).uniform(size=plan.n_weights) < share
    options = {"params": params, "n_epochs": 2, "mask": mask, "seed": seed}
    expected, n_calls = count_calls(-1.0, train_plan, plan, data=data, **options)
    assert n_calls == 0

    if is_sparse:
        data = replace(data, X=csr_array(data.X))
    with patch.object(epoch, "_KERNEL_CALL_SIZE", call_size):
        found, n_calls = count_calls(1.0, train_plan, plan, data=data, **options)

    assert n_calls > 0
    assert (found is None) == (expected is None)
    if found is not None:
        np.testing.assert_array_equal(found.params, expected.params)
        # a sum over the rows of each call, and then over the calls
        np.testing.assert_allclose(found.loss_curve, expected.loss_curve, rtol=1e-12)


def test_kept_weights_are_trained_alone_where_nobody_sees_the_others(iris):
    options = {"hidden_layer_sizes": (8,), "retrain": "rewind", "n_rounds": 2}
    options |= {"prune_ratio": 0.9, "max_iter": 5, "momentum": 0.5}
    for changes, n_epochs in (
        ({}, 5),  # only the last training has a mask that is sparse enough
        ({"n_rounds": 3}, 5),
        # the last but one is recorded, and as sparse
        ({"n_rounds": 5, "prune_ratio": 0.93, "prune_criterion": "loss_regression"}, 5),
        ({"validation_fraction": 0.2, "target_score": 0.2}, 1),
        ({"prune_criterion": "movement"}, 5),
        ({"prune_ratio": 0.8}, 0),
        ({"batch_size": 2}, 0),
        ({"callbacks": [Callback()]}, 0),
        ({"engine": "torch"}, 0),
    ):
        model = small(**options | changes)
        expected, _ = count_calls(-1.0, clone(model).fit, *iris)
        found, n_calls = count_calls(0.15, model.fit, *iris)

        assert n_calls == n_epochs, changes
        assert_same_fit(found, expected)
        assert found.history_ == expected.history_
