"""One thread reads a fitted estimator while another one fits it again."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._names import read_fit
from skchaosprune.display import ImportanceDisplay, NetworkDisplay
from tests.helpers import small


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
    "weight_table": lambda model, X: model.weight_table().to_csv(),
    "compact": lambda model, X: model.compact().predict_proba(X).tolist(),
    "to_torch": lambda model, X: [p.tolist() for p in model.to_torch().parameters()],
    "report": lambda model, X: _report(model, X),
    "placebo_test": lambda model, X: _placebo_problem(model),
    "names": lambda model, X: read_fit(model)[1],
    "predict": lambda model, X: model.predict(X).tolist(),
    "predict_proba": lambda model, X: model.predict_proba(X).tolist(),
    "network": lambda model, X: _draw(NetworkDisplay, model),
    "importance": lambda model, X: _draw(ImportanceDisplay, make_pipeline(model)),
}


def _report(model, X):
    report = model.report(X, np.where(X[:, 0] > 0.0, "a", "b"))
    return report.before["n_weights"], report.after["accuracy"], report.rank_agreement


def _placebo_problem(model):
    with pytest.raises(ValueError, match=r"Magnitude\(\) has no placebo"):
        model.placebo_test()


def _draw(kind, model):
    from matplotlib.figure import Figure

    axes = Figure(layout="constrained").subplots()
    kind.from_estimator(model, ax=axes)
    return [text.get_text() for text in axes.texts + axes.get_yticklabels()]


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_of_one_fit(refitted, name):
    model, (before, after), X = refitted
    expected = READS[name](model, X)

    class Refitted(ChaosCausalPrunedMLP):
        """Fitted again by another thread, as soon as something is read."""

        def __getattribute__(self, attribute):
            value = super().__getattribute__(attribute)
            if self is model and attribute in before:
                self.__dict__ = dict(after)
            return value

    model.__class__ = Refitted
    assert READS[name](model, X) == expected


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
