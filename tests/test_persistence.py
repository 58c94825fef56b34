"""A fitted estimator survives every way of keeping it, and holds numpy only."""

import copy
import io
import json
import pickle
import subprocess
import sys
import zipfile
from functools import partial
from inspect import signature

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io as sio
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skops.io.exceptions import UntrustedTypesFoundException

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    __version__,
    _persistence,
)
from skchaosprune.criteria import CRITERIA, Magnitude
from tests.helpers import small

pytestmark = pytest.mark.slow

HEAVY = {"torch", "skorch", "numba", "statsmodels", "matplotlib", "onnx", "skl2onnx"}


def keep_skops(model, path):
    sio.dump(model, path)
    return sio.load(path, trusted=sio.get_untrusted_types(file=path))


def keep_joblib(model, path, mmap_mode=None):
    joblib.dump(model, path)
    return joblib.load(path, mmap_mode=mmap_mode)


WAYS = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model, path: pickle.loads(cloudpickle.dumps(model)),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "joblib": keep_joblib,
    "joblib, memory map": lambda model, path: keep_joblib(model, path, "r"),
    "skops": keep_skops,
}


@pytest.fixture(scope="module")
def kept(iris, diabetes):
    """Fitted models of all kinds, each with its rows."""
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    words = np.array(["setosa", "versicolor", "virginica"], dtype=object)[y]
    options = {"max_iter": 40, "random_state": 0}
    pipeline = make_pipeline(StandardScaler(), ChaosCausalPrunedMLP((6,), **options))
    return {
        "defaults": (ChaosCausalPrunedMLP(max_iter=30, random_state=0).fit(X, y), X),
        "names": (ChaosCausalPrunedMLP((6,), **options).fit(frame, words), frame),
        "pipeline": (pipeline.fit(X, y), X),
        "regressor": (
            ChaosCausalPrunedMLPRegressor((5, 4), max_iter=10, random_state=0).fit(
                *diabetes
            ),
            diabetes[0],
        ),
    }


def outputs(model, X):
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)
    return model.predict(X)


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_back_is_the_same(kept, way, tmp_path):
    for name, (model, X) in kept.items():
        other = WAYS[way](model, tmp_path / name)

        np.testing.assert_array_equal(outputs(other, X), outputs(model, X))
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        ours, theirs = (getattr(m, "steps", [(0, m)])[-1][1] for m in (model, other))
        assert set(vars(theirs)) == set(vars(ours))
        pd.testing.assert_frame_equal(theirs.weight_table(), ours.weight_table())
        shares = [m.placebo_test(n_repeats=2).causal_share for m in (ours, theirs)]
        assert shares[0] == shares[1]
        assert theirs.compact().n_parameters_ == ours.compact().n_parameters_
        with pytest.raises(NotFittedError):
            clone(theirs).predict(X)


@pytest.mark.parametrize("way", WAYS)
def test_a_compact_network_comes_back(kept, way, tmp_path):
    model, X = kept["names"]
    compact = model.compact()

    other = WAYS[way](compact, tmp_path / "model")

    assert set(vars(other)) == set(vars(compact))
    np.testing.assert_array_equal(other.predict_proba(X), compact.predict_proba(X))


def load_skops(content):
    return sio.loads(content, trusted=sio.get_untrusted_types(data=content))


@pytest.mark.parametrize(
    "dump, load",
    [(pickle.dumps, pickle.loads), (sio.dumps, load_skops)],
    ids=["pickle", "skops"],
)
def test_another_version_warns(kept, monkeypatch, dump, load):
    (classifier, X), (regressor, rows) = kept["names"], kept["regressor"]
    cases = (classifier, X), (classifier.compact(), X), (regressor, rows)
    contents = [dump(model) for model, _ in cases]
    monkeypatch.setattr(_persistence, "__version__", "77.0")

    for (model, X), content in zip(cases, contents, strict=True):
        text = (
            f"{type(model).__name__} was saved with skchaosprune {__version__} and is "
            f"loaded with 77.0; .* Fit again, or load it with skchaosprune "
            f"{__version__}."
        )
        with pytest.warns(InconsistentVersionWarning, match=text):
            other = load(content)

        assert set(vars(other)) == set(vars(model))
        np.testing.assert_array_equal(outputs(other, X), outputs(model, X))
        load(dump(other))  # is of this version now, and does not warn


def test_a_pickle_without_a_version_warns(kept):
    model, _ = kept["defaults"]
    state = vars(model).copy()

    with pytest.warns(InconsistentVersionWarning, match="saved with .* pre-0.1.0"):
        ChaosCausalPrunedMLP().__setstate__(state)

    assert state == vars(model)


def test_a_state_with_the_tuple_of_earlier_times_is_read(kept):
    for name in ("defaults", "regressor"):
        model, X = kept[name]
        state = model.__getstate__()
        names = "_criterion_name", "_criterion_params", "_loss", "_score_seed"
        state["_fitted_with"] = tuple(state.pop(attribute) for attribute in names)

        other = type(model).__new__(type(model))
        other.__setstate__(state)

        assert set(vars(other)) == set(vars(model))
        np.testing.assert_array_equal(outputs(other, X), outputs(model, X))
        assert repr(other.criterion_) == repr(model.criterion_)
        assert "_fitted_with" in state  # it is left as it was


def test_skops_asks_for_one_more_type_with_a_criterion_object(iris):
    model = small(prune_criterion=Magnitude()).fit(*iris)
    assert sio.get_untrusted_types(data=sio.dumps(model)) == [
        "skchaosprune.criteria.Magnitude",
        "skchaosprune.estimators.ChaosCausalPrunedMLP",
    ]


def test_skops_asks_for_one_type_only(kept):
    for name in ("defaults", "names", "pipeline", "regressor"):
        model, _ = kept[name]
        kind = "Regressor" if name == "regressor" else ""
        assert sio.get_untrusted_types(data=sio.dumps(model)) == [
            f"skchaosprune.estimators.ChaosCausalPrunedMLP{kind}"
        ]


TRACES = []


def leave_trace(*args):
    TRACES.append("was run")


class _Payload:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self):
        return leave_trace, ()


OURS = ["skchaosprune.estimators.ChaosCausalPrunedMLP"]


def test_skops_refuses_what_is_not_trusted(kept):
    model = copy.copy(kept["defaults"][0])
    with pytest.raises(UntrustedTypesFoundException, match=OURS[0]):
        sio.loads(sio.dumps(model))
    model.callbacks = [partial(leave_trace)]
    content = sio.dumps(model)
    with pytest.raises(UntrustedTypesFoundException, match="leave_trace"):
        sio.loads(content, trusted=OURS)
    assert TRACES == []


def object_array():
    buffer = io.BytesIO()
    np.save(buffer, np.array([_Payload()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "part, change, error",
    [
        ("schema.json", lambda old: old[:-9], json.JSONDecodeError),
        ("schema.json", lambda old: pickle.dumps(_Payload()), UnicodeDecodeError),
        (".npy", lambda old: object_array(), ValueError),
        (".npy", lambda old: pickle.dumps(_Payload()), ValueError),
        (".npy", lambda old: old[:-9], ValueError),
        (".npy", lambda old: None, KeyError),
    ],
)
def test_a_damaged_skops_file_is_an_error_and_not_run(kept, part, change, error):
    content = sio.dumps(kept["defaults"][0])
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        with zipfile.ZipFile(buffer, "w") as new:
            for name in old.namelist():
                member = old.read(name)
                if name.endswith(part):
                    member = change(member)
                if member is not None:
                    new.writestr(name, member)

    with pytest.raises(error):
        sio.loads(buffer.getvalue(), trusted=OURS)
    assert TRACES == []


def test_half_of_a_skops_file_is_an_error(kept):
    content = sio.dumps(kept["defaults"][0])
    with pytest.raises(zipfile.BadZipFile):
        sio.loads(content[: len(content) // 2], trusted=OURS)


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude:UserWarning")
def test_a_fit_holds_numpy_only(name, iris):
    """Whatever the criterion, given by its name."""
    plain = (bool, int, float, str, type(None))

    def check(value, where):
        if isinstance(value, dict):
            for key, part in value.items():
                check(part, f"{where}[{key!r}]")
        elif isinstance(value, list | tuple):
            for part in value:
                check(part, where)
        elif isinstance(value, np.ndarray):
            assert type(value) is np.ndarray, where
        else:
            assert type(value) in plain, f"{where} is a {type(value)}"

    model = small(hidden_layer_sizes=(6,), max_iter=15, prune_criterion=name).fit(*iris)
    for attribute, value in vars(model).items():
        check(value, attribute)


def test_prediction_and_looking_need_no_torch(kept, tmp_path):
    cases = [kept["names"], kept["regressor"]]
    cases = [(model, X, model.compact()) for model, X in cases]
    joblib.dump(cases, tmp_path / "models")
    cases[0][2].save_npz(tmp_path / "models.npz")
    code = f"""
import sys, joblib
from skchaosprune import CompactMLP
cases = joblib.load(sys.argv[1])
from_npz, (_, X, compact) = CompactMLP.load_npz(sys.argv[1] + ".npz"), cases[0]
assert (from_npz.predict_proba(X) == compact.predict_proba(X)).all()
for model, X, compact in cases:
    for network in (model, compact, model.compact()):
        network.predict(X)
        if hasattr(network, "classes_"):
            network.predict_proba(X)
    repr(model); model._repr_html_(); model.feature_importances_
print(sorted({HEAVY!r} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "models")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_a_small_fit_is_a_small_file(fitted):
    assert len(pickle.dumps(fitted)) < 200_000


# A part of the attributes is missing, as in pickles of another version.


def without(model, name):
    other = object.__new__(type(model))
    state = model.__getstate__()
    del state[name]
    other.__setstate__(state)
    return other


def test_a_missing_attribute_is_named(kept):
    for model, X in (kept["names"], kept["regressor"]):
        for part in (model, model.compact()):
            learned = set(vars(part)) - set(signature(type(part)).parameters)
            for name in learned - {"feature_names_in_"}:
                with pytest.raises(AttributeError, match=f"lacks '{name}': another"):
                    getattr(without(part, name), name)
        for name in ("coefs_", "_loss", "activation_"):
            with pytest.raises(AttributeError, match=f"lacks '{name}'.* Fit again"):
                without(model, name).report(X[:9], model.predict(X[:9]))
        with pytest.raises(AttributeError, match="lacks '_criterion_name'"):
            repr(without(model, "_criterion_name").criterion_)


def test_a_missing_parameter_is_named(kept):
    model, X = kept["defaults"]
    for name in model.get_params().keys() - model._added.keys():
        other = without(model, name)
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        with pytest.raises(AttributeError, match=f"lacks '{name}'"):
            clone(other)


def test_parameters_that_earlier_versions_lacked_are_what_these_did(kept):
    for kind, added in (
        ("defaults", {"learning_rate": "constant", "n_swaps": 0, "max_features": None}),
        ("regressor", {"learning_rate": "constant", "loss": "squared_error"}),
    ):
        model, X = kept[kind]
        for name, value in added.items():
            other = clone(without(model, name))
            assert (
                other.get_params()
                == clone(model).set_params(**{name: value}).get_params()
            )


def test_the_version_warning_comes_first(kept, monkeypatch):
    model, X = kept["defaults"]
    content = pickle.dumps(without(model, "intercepts_"))
    monkeypatch.setattr(_persistence, "__version__", "77.0")

    with pytest.warns(InconsistentVersionWarning, match="loaded with 77.0"):
        other = pickle.loads(content)
    with pytest.raises(AttributeError, match="lacks 'intercepts_'"):
        other.predict(X)


def test_what_was_never_there_is_an_ordinary_error(kept):
    regressor, _ = kept["regressor"]
    for model in (small(), kept["defaults"][0], regressor, regressor.compact()):
        with pytest.raises(AttributeError, match="object has no attribute 'coef_'"):
            repr(model.coef_)
    with pytest.raises(AttributeError, match="object has no attribute 'coefs_'"):
        repr(small().coefs_)
    for model in (regressor, regressor.compact()):
        with pytest.raises(AttributeError, match="object has no attribute 'classes_'"):
            repr(model.classes_)
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'"):
        regressor.compact().predict_proba(None)


def test_the_names_of_what_is_learned_are_complete(kept):
    for model, _ in (kept["defaults"], kept["regressor"]):
        for part in (model, model.compact()):
            optional = {"feature_names_in_", "classes_"}
            learned = set(vars(part)) - set(signature(type(part)).parameters)
            assert learned - optional == part._learned - optional


def test_an_init_that_forgets_a_parameter_is_no_damaged_pickle():
    class Forgetful(ChaosCausalPrunedMLP):
        def __init__(self, other=1):
            super().__init__()

    with pytest.raises(AttributeError, match="object has no attribute 'other'"):
        Forgetful().get_params()
    with pytest.raises(AttributeError, match="object has no attribute 'other'"):
        repr(Forgetful().other)
