"""One thread reads a fitted estimator while another one fits it again."""

import sys
import threading

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skchaosprune import ChaosCausalPrunedMLPRegressor
from skchaosprune._names import take_snapshot, unwrap
from skchaosprune.display import ImportanceDisplay, NetworkDisplay
from tests.helpers import small

N_READS = 150


@pytest.fixture
def refitted():
    """Two fits of one estimator, which have nothing in common."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((40, 5))
    wide, narrow = small(hidden_layer_sizes=(4,)), small(hidden_layer_sizes=(3, 2))
    wide.fit(X, np.where(X[:, 0] > 0.0, "a", "b"))
    narrow.fit(X[:, :2], np.digitize(X[:, 0], [-1.0, 1.0]) + 7)
    return wide, [vars(wide), vars(narrow)], X


READS = {
    "weight_table": lambda model, X: len(model.weight_table()),
    "compact": lambda model, X: model.compact().layer_sizes_[-1],
    "to_torch": lambda model, X: model.to_torch().n_outputs,
    "report": lambda model, X: model.criterion_,
    "names": lambda model, X: [len(layer) for layer in unwrap(model)[1]],
    "predict": lambda model, X: _predict(model, X),
    "snapshot": lambda model, X: take_snapshot(model).weight_table(),
    "network": lambda model, X: _draw(NetworkDisplay, model),
    "importance": lambda model, X: _draw(ImportanceDisplay, make_pipeline(model)),
}


def _predict(model, X):
    snapshot = take_snapshot(model)
    labels = snapshot.predict(X[:, : snapshot.n_features_in_])
    assert set(labels) <= set(snapshot.classes_)


def _draw(kind, model):
    from matplotlib.figure import Figure

    kind.from_estimator(model, ax=Figure(layout="constrained").subplots())


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_of_one_fit(refitted, name):
    model, states, X = refitted
    errors, stop, interval = [], threading.Event(), sys.getswitchinterval()

    def fit_again_and_again():
        place = 0
        while not stop.is_set():
            place = 1 - place
            model.__dict__ = dict(states[place])  # as fit does in the end

    thread = threading.Thread(target=fit_again_and_again)
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(N_READS if name not in ("network", "importance") else 10):
            try:
                READS[name](model, X)
            except Exception as error:
                errors.append(error)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert errors == []


@pytest.mark.parametrize("n_columns", [2, 5])
def test_labels_are_of_the_network_that_predicts(refitted, n_columns, monkeypatch):
    model, (wide, narrow), X = refitted
    before, after = (wide, narrow) if n_columns == 5 else (narrow, wide)
    model.__dict__ = dict(before)
    expected = model.predict(X[:, :n_columns])
    logits = type(model)._logits

    def fit_meanwhile(self, X):
        model.__dict__ = dict(after)
        return logits(self, X)

    monkeypatch.setattr(type(model), "_logits", fit_meanwhile)

    np.testing.assert_array_equal(model.predict(X[:, :n_columns]), expected)


def test_units_of_the_target_are_of_the_network_that_predicts(monkeypatch):
    X = np.random.RandomState(0).standard_normal((40, 3))
    model = small(ChaosCausalPrunedMLPRegressor).fit(X, X[:, 0])
    before = vars(model)
    expected, logits = model.predict(X), type(model)._logits
    after = vars(small(ChaosCausalPrunedMLPRegressor).fit(X, 1e3 * X[:, 0]))

    def fit_meanwhile(self, X):
        model.__dict__ = dict(after)
        return logits(self, X)

    monkeypatch.setattr(type(model), "_logits", fit_meanwhile)

    model.__dict__ = dict(before)
    np.testing.assert_array_equal(model.predict(X), expected)
