"""What becomes of a user's functions, objects and children of Criterion."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

from skchaosprune.criteria import (
    CRITERIA,
    ChaosCausality,
    Criterion,
    FixedMasks,
    Magnitude,
    WeightScores,
    get_criterion,
    runs_only_our_code,
)
from tests.helpers import assert_same_fit, flat, small

WINDOWS = ("window_size", "window_overlap", "record_every", "reduce_window", "target")
WINDOWS += ("too_few_windows",)

RECORD = SimpleNamespace(weights=np.arange(3.0))


class Plain:
    """An object of a user: what a criterion has in any case, and a parameter."""

    needs = ()
    has_significance_rule = False

    def __init__(self, placebo=False):
        self.placebo = placebo

    def __repr__(self):
        return "Plain()"

    def score(self, record):
        return record.weights


class Rich(Plain, BaseEstimator):
    """Has every hook."""

    significance_level = 0.2
    has_exponents = True

    def check_parameters(self):
        self.needs = ("data",)

    def check_layer_sizes(self, layer_sizes):
        raise ValueError(f"no network of {layer_sizes}")

    def make_placebo(self, record, rng):
        return "placebo"

    def perturb(self, params, candidates, seed):
        return params + seed


def test_functions_and_objects_become_criteria():
    magnitude = Magnitude()
    assert get_criterion(magnitude) is magnitude
    for own in (np.abs, Plain()):
        criterion = get_criterion(own)
        assert isinstance(criterion, Criterion)
        assert repr(criterion) == repr(own)
        assert get_criterion(criterion) is criterion
    assert get_criterion(lambda record: 3).score(RECORD) == 3


def test_every_hook_has_a_default():
    for criterion in map(get_criterion, [np.abs, Plain(), Magnitude()]):
        assert (criterion.needs, criterion.target) == ((), "auto")
        assert not criterion.has_significance_rule
        assert not criterion.has_exponents
        assert not criterion.has_placebo
        assert not criterion.placebo
        assert not criterion.chooses_masks
        assert criterion.significance_level is None
        assert criterion.check_parameters() is None
        assert criterion.check_layer_sizes((3, 2)) is None
        assert criterion.perturb(np.zeros(3), np.ones(2, bool), 0) is None
        with pytest.raises(NotImplementedError, match="has no placebo"):
            criterion.make_placebo(RECORD, None)


def test_the_hooks_of_an_object_are_used():
    own = Rich(placebo=True)
    criterion = get_criterion(own)

    assert criterion.significance_level == 0.2
    assert criterion.has_exponents
    assert criterion.has_placebo
    assert criterion.chooses_masks  # as it looks at the layers
    assert criterion.make_placebo(RECORD, None) == "placebo"
    assert criterion.perturb(1, None, 2) == 3
    with pytest.raises(ValueError, match="no network of .3, 2"):
        criterion.check_layer_sizes((3, 2))
    np.testing.assert_array_equal(criterion.score(RECORD), RECORD.weights)
    criterion.check_parameters()
    assert criterion.needs == ("data",)  # of today, not of when it was wrapped
    real = clone(criterion).set_params(placebo=False)
    assert (real.placebo, criterion.placebo) == (False, True)
    own.significance_level = None
    assert not criterion.has_placebo


def test_a_proxy_hands_over_what_it_forwards(iris):
    class Proxy:
        """Has the parts that are asked for, and forwards all others."""

        def __init__(self, behind):
            self.behind = behind
            for part in ("needs", "has_significance_rule", "score", *WINDOWS):
                setattr(self, part, getattr(behind, part))

        def __getattr__(self, name):
            return getattr(self.__dict__["behind"], name)

    behind = ChaosCausality(max_lag=1, trajectory="perturbation")
    model = small(prune_criterion=Proxy(behind), hidden_layer_sizes=(6,)).fit(*iris)

    assert_same_fit(
        model, small(prune_criterion=behind, hidden_layer_sizes=(6,)).fit(*iris)
    )
    assert model.lyapunov_exponents_ is not None
    assert model.placebo_test(n_repeats=1).placebo_shares.shape == (1,)

    def score(record):
        threads.add(threading.current_thread())
        return behind.score(record)

    threads, model.prune_criterion.score = set(), score
    model.set_params(n_jobs=2).placebo_test(n_repeats=2)
    assert threads == {threading.main_thread()}  # may not be made for others


def test_parameters_are_checked_before_parts_are_read(iris):
    class Late(Plain):
        @property
        def has_significance_rule(self):
            return {"yes": True, "no": False}[self.placebo]

        def check_parameters(self):
            raise ValueError("yes or no")

    with pytest.raises(ValueError, match="yes or no"):
        small(prune_criterion=Late("perhaps")).fit(*iris)


@pytest.mark.parametrize("keep_connected", [True, False])
@pytest.mark.parametrize("kind", [bool, int, np.uint8, list])
def test_a_decision_of_any_type_is_a_mask(iris, kind, keep_connected):
    class Decided(Criterion):
        has_significance_rule = True

        def score(self, record):
            keep = record.weights > 0.0
            keep = keep.tolist() if kind is list else keep.astype(kind)
            return WeightScores(record.weights, keep=keep)

    model = small(
        prune_criterion=Decided(), prune_ratio=None, keep_connected=keep_connected
    ).fit(*iris)

    masks, dense = flat(model.masks_), flat(model.dense_coefs_)
    assert masks.dtype == bool
    if not keep_connected:
        np.testing.assert_array_equal(masks, dense > 0.0)


def test_a_child_is_asked_for_its_parts():
    class Broken(Criterion):
        """Has no score."""

    class Snapshots(Magnitude):
        needs = ("snapshots",)

    class Trajectories(Magnitude):
        needs = ("trajectories",)

    class Unknown(Magnitude):
        needs = "data"

    with pytest.raises(TypeError, match="score"):
        Broken()
    for kind, words in (
        (Snapshots, r"Snapshots\(\) with needs=\('snapshots',\) has no valid points"),
        (Trajectories, "no valid window_size, .*reduce_window, too_few_windows"),
        (Unknown, "needs='data' has no valid needs"),
    ):
        with pytest.raises(TypeError, match=words):
            get_criterion(kind())


def test_what_is_no_criterion():
    for given in (3, None, Magnitude, Plain, object(), ["magnitude"]):
        with pytest.raises(TypeError, match="prune_criterion=.* must be one of 'chaos"):
            get_criterion(given)


def test_code_of_the_user_is_known():
    class Own(Magnitude):
        """A child may do anything."""

    ours = [kind() for kind in CRITERIA.values()] + [FixedMasks([])]
    others = [np.abs, Plain(), Own(), ChaosCausality(target=np.mean)]

    assert all(runs_only_our_code(criterion) for criterion in ours)
    assert not any(runs_only_our_code(get_criterion(own)) for own in others)


def write_weights(record):
    record.weights[:] = 0.0
    return record.weights


def write_rows(record):
    record.data.X[0] = 0.0
    return record.weights


def write_snapshots(record):
    record.snapshots[:] = 0.0
    return record.weights


class Writes(Plain):
    needs = ("data", "snapshots")
    points = (0.5,)

    def __init__(self, write):
        self.write = write

    def score(self, record):
        return self.write(record)


@pytest.mark.parametrize("write", [write_weights, write_rows, write_snapshots])
def test_a_criterion_cannot_change_the_training(iris, write):
    X, y = np.array(iris[0], order="C"), iris[1]

    inherits = type("Inherits", (Writes, Criterion), {})
    criteria = [Writes(write), inherits(write)]
    criteria += [write] if write is write_weights else []
    for criterion in criteria:
        with pytest.raises(ValueError, match="read-only"):
            small(prune_criterion=criterion).fit(X, y)

    np.testing.assert_array_equal(X, iris[0])


def test_a_target_cannot_change_the_rows(iris):
    def target(targets, outputs):
        targets[:] = 0.0
        return 0.0

    with pytest.raises(ValueError, match="read-only"):
        small(prune_criterion=ChaosCausality(target=target), max_iter=80).fit(*iris)
