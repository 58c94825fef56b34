"""Whole models with a compact network."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skchaosprune import CompactMLP, to_compact
from tests.helpers import small
from tests.test_compact import make_rows

PREDICT = """
import pickle, sys
model, X = pickle.load(sys.stdin.buffer)
sys.stdout.write(repr(model.predict(X).tolist()))
heavy = {"torch", "skorch", "numba", "onnx", "skl2onnx"}
assert not heavy & set(sys.modules)
"""


def test_compact_pipelines():
    X, _ = make_rows(90, 5)
    y = np.array(["ant", "bee", "cow"])[(X[:, 0] > 0) * 1 + (X[:, 1] > 0.5)]
    names = [f"x{i}" for i in range(5)]
    frame = pd.DataFrame(X, columns=names)
    inner = Pipeline([("none", "passthrough"), ("net", small())], verbose=True)
    scale = ColumnTransformer([("all", StandardScaler(), names)])
    model = Pipeline([("scale", scale), ("off", None), ("inner", inner)], memory=None)
    model.set_output(transform="pandas").set_params(inner__verbose=False)
    model.fit(frame, y)
    network = model[-1][-1]

    compact = to_compact(model)

    assert isinstance(compact[-1][-1], CompactMLP)
    assert model[-1][-1] is network  # as it was
    assert compact[0] is model[0]
    assert [name for name, _ in compact.steps] == ["scale", "off", "inner"]
    assert compact.get_params()["inner__none"] == "passthrough"
    assert_array_equal(compact.feature_names_in_, names)
    assert_array_equal(compact.classes_, model.classes_)
    assert_array_equal(compact.predict(frame), model.predict(frame))
    assert_allclose(compact.predict_proba(frame), model.predict_proba(frame))
    assert_array_equal(
        compact[:-1].get_feature_names_out(), model[:-1].get_feature_names_out()
    )
    done = subprocess.run(
        [sys.executable, "-c", PREDICT],
        input=pickle.dumps((compact, frame)),
        capture_output=True,
        check=False,
    )
    assert done.stdout.decode() == repr(model.predict(frame).tolist()), done.stderr

    alone = to_compact(network)
    assert isinstance(alone, CompactMLP) and to_compact(alone) is alone
    pair = [("one", small()), ("two", small())]
    for other, got in [
        (VotingClassifier(pair), "VotingClassifier"),
        (make_pipeline(StandardScaler(), Ridge()), "Ridge"),
        (GridSearchCV(model, {}), "GridSearchCV"),
        (Pipeline([("none", "passthrough")]), "Pipeline"),
        (None, "NoneType"),
    ]:
        with pytest.raises(TypeError, match=f"of a search its best.* Got {got} instea"):
            to_compact(other)
    with pytest.raises(NotFittedError):
        to_compact(make_pipeline(StandardScaler(), small()))
