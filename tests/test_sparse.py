"""The kernel that trains kept weights alone, against the training of all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skchaosprune._kernels import sparse
from skchaosprune._kernels.sgd import ACTIVATIONS
from skchaosprune._kernels.sparse import train_kept
from skchaosprune._training.plan import Divergence
from tests.networks import (
    OUTPUTS,
    initial,
    make_data,
    make_plan,
    random_mask,
    train_plan,
)


@settings(max_examples=50, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 9), max_size=3),
    output=st.sampled_from(list(OUTPUTS)),
    activation=st.sampled_from(list(ACTIVATIONS)),
    momentum=st.sampled_from([0.0, 0.6]),
    alpha=st.sampled_from([0.0, 0.3]),
    learning_rate=st.sampled_from(["cosine", "constant"]),
    n_passes=st.sampled_from([1, 3]),
    shuffle=st.booleans(),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_kept_weights_alone_are_trained_to_the_same_bits(
    hidden, output, share, seed, **changes
):
    plan = make_plan(hidden, output, learning_rate_init=0.02, **changes)
    data, params = make_data(plan, seed), initial(plan, seed)
    mask = np.random.RandomState(seed).uniform(size=plan.n_weights) < share
    options = {"n_epochs": 2, "mask": mask, "seed": seed}

    found = train_kept(plan, data, params, **options, largest=1e15)

    try:
        expected = train_plan(plan, data=data, params=params, **options).params
    except Divergence:  # as deep networks without a bend may
        assert found is None
    else:
        np.testing.assert_array_equal(found, expected)


def test_short_calls_find_the_same(monkeypatch):
    plan = make_plan()
    rows = plan, make_data(plan), initial(plan), random_mask(plan)
    options = {"n_epochs": 3, "seed": 3, "largest": 1e15}
    whole = train_kept(*rows, **options)
    monkeypatch.setattr(sparse, "_KERNEL_CALL_SIZE", 1)

    np.testing.assert_array_equal(train_kept(*rows, **options), whole)


def test_divergence_is_seen():
    plan = make_plan(
        learning_rate="constant", learning_rate_init=1e200, activation="identity"
    )
    data, params = make_data(plan), initial(plan)
    for n_kept in (0, 5):
        mask = np.arange(plan.n_weights) < n_kept
        options = {"n_epochs": 4, "mask": mask, "seed": 3}

        assert train_kept(plan, data, params, **options, largest=1e15) is None
        with pytest.raises(Divergence):
            train_plan(plan, data=data, params=params, **options)
