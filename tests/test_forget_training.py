"""An estimator that forgot its training predicts and explains as before."""

import copy
import json
import pickle
import threading

import numpy as np
import pytest
import skops.io as sio
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune.compact import serialize_npz
from skchaosprune.display import (
    CausalityDisplay,
    ImportanceDisplay,
    LyapunovDisplay,
    NetworkDisplay,
)
from tests.helpers import small

GONE = ["window_series_", "lyapunov_exponents_", "snapshots_"]
GONE += ["dense_coefs_", "dense_intercepts_"]


@pytest.fixture
def forgetful(fitted):
    return copy.copy(fitted).forget_training()


def assert_forgot(model):
    assert {name for name in GONE if vars(model)[name] is None} == set(GONE)


def test_only_the_training_goes(fitted, fitted_regressor, iris, diabetes):
    for model, (X, y) in (fitted, iris), (fitted_regressor, diabetes):
        other = copy.copy(model)
        for _ in range(2):
            assert other.forget_training() is other

        assert_forgot(other)
        assert vars(other).keys() == vars(model).keys()
        for name in vars(model).keys() - set(GONE):
            assert getattr(other, name) is getattr(model, name), name
        assert_array_equal(other.predict(X), model.predict(X))
        assert other.score(X, y) == model.score(X, y)
        assert serialize_npz(other.compact()) == serialize_npz(model.compact())
        assert str(other.to_torch()) == str(model.to_torch())
        assert repr(other.criterion_) == repr(model.criterion_)


def test_an_unfitted_estimator_has_nothing_to_forget():
    for kind in ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor:
        with pytest.raises(NotFittedError):
            kind().forget_training()


def test_it_stays_forgotten_until_the_next_fit(forgetful, fitted, iris):
    content = sio.dumps(forgetful)
    trusted = sio.get_untrusted_types(data=content)
    for other in (
        pickle.loads(pickle.dumps(forgetful)),
        sio.loads(content, trusted=trusted),
        copy.deepcopy(forgetful),
    ):
        assert_forgot(other)
        assert_array_equal(other.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
    sizes = [len(pickle.dumps(model)) for model in (forgetful, fitted)]
    assert sizes[0] < 0.6 * sizes[1]

    assert not hasattr(clone(forgetful), "coefs_")
    again = forgetful.fit(*iris)
    assert_array_equal(again.lyapunov_exponents_, fitted.lyapunov_exponents_)
    assert_array_equal(again.dense_coefs_[0], fitted.dense_coefs_[0])


def test_what_needs_the_training_says_so(forgetful, iris):
    pytest.importorskip("matplotlib").use("Agg")
    with pytest.raises(ValueError, match=r"forget_training\(\) dropped both.*again"):
        forgetful.placebo_test()
    with pytest.raises(ValueError, match=r"forget_training\(\) dropped them.*again"):
        LyapunovDisplay.from_estimator(forgetful)
    model = small(prune_criterion="intervention").fit(*iris)
    assert model.snapshots_ is not None
    assert_forgot(model.forget_training())
    for rows in ((), iris):
        with pytest.raises(ValueError, match=r"forget_training\(\) dropped both"):
            model.placebo_test(*rows)
    # what never was there was not forgotten
    model = small().fit(*iris).forget_training()
    with pytest.raises(ValueError, match="computes no exponents"):
        LyapunovDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="has no placebo"):
        model.placebo_test()

    for display in CausalityDisplay, ImportanceDisplay, NetworkDisplay:
        display.from_estimator(forgetful)
    table, expected = (m.weight_table() for m in (forgetful, model))
    assert np.isnan(table["dense"]).all() and not np.isnan(table["score"]).any()
    assert list(table) == list(expected)


def test_a_report_tells_what_is_gone(forgetful, fitted, iris):
    report, whole = (model.report(*iris) for model in (forgetful, fitted))

    known = {"n_weights", "flops"}
    assert list(report.before) == list(whole.before)
    for name, value in report.before.items():
        assert value == (whole.before[name] if name in known else None)
        assert (report.ratio[name] is None) == (name not in known)
        assert name.startswith("latency") or report.after[name] == whole.after[name]
    assert report.strongest_features == whole.strongest_features
    assert report.rank_agreement == whole.rank_agreement
    assert "forget_training() dropped both" in report.notes["placebo_share"]
    line = next(line for line in str(report).splitlines() if "accuracy" in line)
    assert line.split()[1::2] == ["-", "-"]
    for text in (str(report), report._repr_html_()):
        assert "no dense network" in text and "forget_training() dropped it" in text
    json.dumps(report.to_dict())


def test_other_threads_read_one_fit(fitted, iris):
    model, faults, stop = copy.copy(fitted), [], threading.Event()

    def read():
        while not stop.is_set():
            table = model.weight_table()
            if np.isnan(table["dense"]).any() != np.isnan(table["dense"]).all():
                faults.append("half")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(200):
        model.__dict__ = dict(vars(fitted))
        model.forget_training()
    stop.set()
    for reader in readers:
        reader.join()
    assert not faults
