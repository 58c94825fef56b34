"""scikit-learn's callbacks: the tasks of a fit, nested, and what hears of them."""

import copy
import importlib
import json
import pickle
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import joblib
import numba
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    pruning_path,
)
from skchaosprune._kernels.jit import jit, jit_inner
from skchaosprune.criteria import FixedMasks
from tests import helpers

PHASES = ["dense training", "scoring", "sparse training"]


small = partial(helpers.small, max_iter=6)


class Recorder:
    """Writes every event as a line of a file, so that other processes are heard, too.

    ``act`` is called at each event and may raise, or ask for the end.
    """

    max_propagation_depth = None

    def __init__(self, path, act=None):
        self.path, self.act = path, act

    def setup(self, estimator, context):
        self._note("setup", context)

    def on_fit_task_begin(self, estimator, context):
        self._note("begin", context)

    def on_fit_task_end(self, estimator, context):
        return self._note("end", context)

    def teardown(self, estimator, context):
        self._note("teardown", context)

    def _note(self, event, context):
        place = []
        while context is not None:
            place.insert(0, (context.estimator_name, context.task_name))
            context = context.parent
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps([event, place]) + "\n")
        return self.act is not None and self.act(event, place[-1][1])

    def events(self, *, of=ChaosCausalPrunedMLP):
        """All events in one estimator: what, and the names of tasks from ``fit`` on."""
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            event, place = json.loads(line)
            names = [task for owner, task in place if owner == of.__name__]
            if names:
                found.append((event, *names))
        return found

    def count(self, event, *names):
        return self.events().count((event, *names))


@pytest.fixture
def callback():
    return pytest.importorskip(
        "sklearn.callback", reason="scikit-learn has no callbacks before 1.9"
    )


@pytest.fixture
def record(tmp_path, callback):
    return Recorder(tmp_path / "events")


def task(*names, inside=()):
    return [("begin", *names), *inside, ("end", *names)]


def epochs(phase, n_epochs):
    return task("fit", phase, inside=task("fit", phase, "epoch") * n_epochs)


@pytest.mark.parametrize(
    "kind, engine",
    [(ChaosCausalPrunedMLP, "numba"), (ChaosCausalPrunedMLPRegressor, "torch")],
)
def test_tasks_of_a_fit(kind, engine, iris, record):
    model = small(kind, n_rounds=2, dense_fraction=0.5, engine=engine, batch_size=32)
    model.set_callbacks(record).fit(*iris)

    parts = {("fit", name, "part") for name in (PHASES[1], "round 2: scoring")}
    events = record.events(of=kind)
    assert [event for event in events if event[1:] not in parts] == [
        ("setup", "fit"),
        ("begin", "fit"),
        *epochs("dense training", 3),
        *task("fit", "scoring"),
        *epochs("round 2: training", 3),
        *task("fit", "round 2: scoring"),
        *epochs("sparse training", 6),
        ("end", "fit"),
        ("teardown", "fit"),
    ]
    first = events.index(("begin", "fit", "scoring"))
    last = events.index(("end", "fit", "scoring"))
    n_parts = (last - first) // 2
    assert 10 <= n_parts <= 11
    assert events[first : last + 1] == task(
        "fit", "scoring", inside=task("fit", "scoring", "part") * n_parts
    )


def test_tasks_of_a_descent(iris, record):
    options = {"prune_ratio": 0.8, "max_iter": 2, "n_swaps": 4}
    model = small(**options).set_callbacks(record).fit(*iris)

    events = [event for event in record.events() if "scoring" not in event]
    n_rounds = model.n_rounds_
    assert events[2:-2] == [
        *epochs("dense training", 2),
        *task("fit", "descent", inside=task("fit", "descent", "round") * n_rounds),
        *task("fit", "swaps", inside=task("fit", "swaps", "swap") * 4),
    ]
    # nothing that they ask for ends it
    record.act = lambda event, name: event == "end" and name in ("round", "swap")
    told = clone(model).set_callbacks(record).fit(*iris)
    helpers.assert_same_fit(told, model)


@pytest.mark.slow
def test_results_are_the_same_bits(iris, record):
    model = small(prune_criterion="chaos_causality", max_iter=20)
    told = clone(model).set_callbacks(record).fit(*iris)
    model.fit(*iris)

    helpers.assert_same_fit(told, model)
    assert told.history_ == model.history_
    assert set(vars(told)) - set(vars(model)) == {"_skl_callbacks"}


@pytest.mark.parametrize(
    "early",
    [
        {"target_score": 0.8},
        {"callbacks": [EarlyStopping("train_loss", patience=2, threshold=0.5)]},
    ],
    ids=["target_score", "skorch callback"],
)
def test_as_many_epochs_as_there_were(early, iris, record):
    model = small(max_iter=60, **early).set_callbacks(record).fit(*iris)

    assert model.n_iter_dense_ < 60
    assert model.n_iter_ < 60
    for event in ("begin", "end"):
        dense = record.count(event, "fit", "dense training", "epoch")
        sparse = record.count(event, "fit", "sparse training", "epoch")
        assert (dense, sparse) == (model.n_iter_dense_, model.n_iter_)
    assert record.events()[-2] == ("end", "fit")


def test_a_stop_ends_the_last_training_only(iris, record):
    n_calls = count(1)
    record.act = lambda event, name: (
        (event, name) == ("end", "epoch") and (next(n_calls) in (2, 6 + 2))
    )
    model = small().set_callbacks(record).fit(*iris)

    assert model.n_iter_dense_ == 6
    assert model.n_iter_ == len(model.loss_curve_) == 2
    assert record.events()[-2] == ("end", "fit")


def test_a_stop_elsewhere_does_nothing(iris, record):
    record.act = lambda event, name: event == "end" and name != "epoch"
    told = small(n_rounds=2).set_callbacks(record).fit(*iris)

    model = small(n_rounds=2).fit(*iris)
    np.testing.assert_array_equal(told.coefs_[0], model.coefs_[0])


def test_masks_that_are_final_take_one_round(iris, record):
    masks = small().fit(*iris).masks_
    model = small(prune_criterion=FixedMasks(masks), n_rounds=3)
    model.set_callbacks(record).fit(*iris)

    assert [event[2] for event in record.events() if len(event) == 3] == [
        name for phase in PHASES for name in (phase, phase)
    ]
    assert record.events()[-2] == ("end", "fit")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_pipeline_in_a_grid_search(n_jobs, iris, record):
    search = GridSearchCV(
        make_pipeline(StandardScaler(), small()),
        {"chaoscausalprunedmlp__prune_ratio": [0.3, 0.6]},
        cv=2,
        n_jobs=n_jobs,
    )
    search.set_callbacks(record).fit(*iris)

    n_fits = 2 * 2 + 1
    for event in ("begin", "end"):
        assert record.count(event, "fit") == n_fits
        for phase in PHASES:
            assert record.count(event, "fit", phase) == n_fits
        for phase in (PHASES[0], PHASES[2]):
            assert record.count(event, "fit", phase, "epoch") == n_fits * 6
    lines = [
        json.loads(line)
        for line in record.path.read_text(encoding="utf-8").splitlines()
    ]
    assert [lines[0][0], lines[-1][0]] == ["setup", "teardown"]
    assert {event for event, _ in lines[1:-1]} == {"begin", "end"}
    deepest = max((place for _, place in lines), key=len)
    owners = ["GridSearchCV"] * 2 + ["Pipeline"] + ["ChaosCausalPrunedMLP"] * 3
    assert [owner for owner, _ in deepest] == owners
    assert not [name for name in vars(search.best_estimator_[-1]) if "_ctx" in name]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bars(n_jobs, iris, callback, capsys):
    pipeline = make_pipeline(StandardScaler(), small())
    grid = {"chaoscausalprunedmlp__prune_ratio": [0.3, 0.6]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=n_jobs)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=2)).fit(*iris)

    printed = capsys.readouterr().out
    for phase in PHASES:
        bars = [line for line in printed.splitlines() if f"MLP - {phase} #" in line]
        assert len(bars) == 5
        assert all("100%" in bar for bar in bars)


def test_scores_of_every_epoch(iris, callback):
    X, y = pd.DataFrame(iris[0], columns=list("abcd")), np.array(list("xyz"))[iris[1]]
    weights = np.random.default_rng(0).uniform(size=150)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = small().set_callbacks(monitor).fit(X, y, sample_weight=weights)

    def score(coefs, intercepts):
        network = model._compact(coefs, intercepts)
        return accuracy_score(y, network.predict(X), sample_weight=weights)

    rows = monitor.get_logs().data
    scores = {row["task_id_path"]: row["accuracy"] for row in rows}
    assert list(scores) == [(0,), *((0, i, j) for i in (0, 2) for j in range(6))]
    assert scores[0, 0, 5] == score(model.dense_coefs_, model.dense_intercepts_)
    assert scores[0, 2, 5] == scores[0,] == score(model.coefs_, model.intercepts_)
    assert len(set(scores.values())) > 2


def test_scores_of_a_regressor(diabetes, callback):
    monitor = callback.ScoringMonitor(scoring="r2")
    model = small(ChaosCausalPrunedMLPRegressor).set_callbacks(monitor).fit(*diabetes)

    scores = [row["r2"] for row in monitor.get_logs().data]
    assert len(scores) == 13
    assert scores[0] == scores[-1] == model.score(*diabetes)


def test_fitted_estimators_are_copies_without_names_of_before(iris, record):
    class Keep(Recorder):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            kept.append((estimator, fitted_estimator))

    X, y = iris
    frame, kept = pd.DataFrame(X, columns=list("abcd")), []
    model = small().fit(frame, y)
    model.set_callbacks(Keep(record.path)).fit(X, y)

    fitted = [estimator for _, estimator in kept if estimator is not None]
    assert len(fitted) == 13
    answers = {estimator.predict_proba(X).tobytes() for estimator in fitted}
    assert len(answers) == 12  # the end of the last epoch is the end of fit
    assert all(estimator is model for estimator, _ in kept)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize(
    "moment",
    [("setup", "fit"), ("begin", "epoch"), ("end", "epoch"), ("end", "fit")],
    ids=" of ".join,
)
def test_a_failing_callback_leaves_nothing(error, moment, iris, record):
    def fail(*event):
        if event == moment:
            raise error

    record.act = fail
    model = small().set_callbacks(record)
    before = vars(model).copy()

    with pytest.raises(error):
        model.fit(*iris)

    assert vars(model) == before
    assert record.count("setup", "fit") == record.count("teardown", "fit") == 1


def test_invalid_parameters_reach_no_callback(iris, record):
    with pytest.raises(ValueError, match="max_iter"):
        small(max_iter=0).set_callbacks(record).fit(*iris)

    assert not record.path.exists()


# numpy warns where the kernels run as plain Python
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_failing_training_tears_down(iris, record):
    model = small(learning_rate_init=1e300).set_callbacks(record)
    with pytest.raises(ValueError, match="diverges"):
        model.fit(*iris)

    assert record.events()[-1] == ("teardown", "fit")
    assert "coefs_" not in vars(model)


def test_phases_from_memory(iris, tmp_path, record, capsys):
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    model = small(memory=memory, verbose=1)
    model.fit(*iris)
    capsys.readouterr()
    clone(model).set_params(prune_ratio=0.7).set_callbacks(record).fit(*iris)

    assert record.events()[1:-1] == task(
        "fit",
        inside=[
            *task("fit", "dense training"),
            *task("fit", "scoring"),
            *epochs("sparse training", 6),
        ],
    )
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("dense training and scoring: taken from memory")
    assert "sparse training: epoch 1/6" in printed[1]


def test_a_stop_does_not_enter_memory(iris, tmp_path, record):
    model = small(memory=str(tmp_path / "cache"))
    record.act = lambda event, name: (event, name) == ("end", "epoch")
    assert clone(model).set_callbacks(record).fit(*iris).n_iter_ == 1

    assert model.fit(*iris).n_iter_dense_ == model.n_iter_ == 6


def double(x):
    return 2.0 * x


def test_kernels_that_are_compiled(iris, capsys, tmp_path, monkeypatch):
    """One line before the first, from whatever thread; none for those in the cache."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    monkeypatch.setattr(double, "__module__", "skchaosprune.of_this_test")

    def lines_of_a_fit(verbose, *kernels):
        def criterion(record):
            with ThreadPoolExecutor(1) as pool:
                for kernel in kernels:
                    pool.submit(kernel, 1.0).result()
            print("compiled")
            return record.weights

        small(prune_criterion=criterion, verbose=verbose).fit(*iris)
        return capsys.readouterr().out.splitlines()

    lines_of_a_fit(1)  # compiles all others
    inner = jit_inner(double)
    others = (
        numba.njit(types.FunctionType(double.__code__, {})),
        numba.njit(lambda x: inner(x)),
    )
    for kernels, expected in (
        ((jit(double), numba.njit(double)), "once per installation"),
        ((jit(double),), None),
        (others, None),  # code of no module; what a kernel calls
        ((numba.njit(double),), "again in every process: no cache folder"),
    ):
        lines = lines_of_a_fit(1, *kernels)
        told = [line for line in lines if "compiling kernels" in line]
        if expected is None:
            assert not told
            continue
        (line,) = told
        assert line.startswith(f"[ChaosCausalPrunedMLP] compiling kernels, {expected}")
        assert lines.index(line) == lines.index("compiled") - 1
    assert lines_of_a_fit(0, numba.njit(double)) == ["compiled"]


def test_path(iris, record):
    model = small(retrain="rewind")
    path = pruning_path(clone(model).set_callbacks(record), *iris, [0.3, 0.8], cv=2)

    np.testing.assert_array_equal(
        path.scores, pruning_path(model, *iris, [0.3, 0.8], cv=2).scores
    )
    phases = [event[2] for event in record.events() if len(event) == 3]
    rounds = [f"round {i}: {what}" for i in range(2, 6) for what in ("training", "")]
    expected = [*PHASES, *rounds, "sparse training"]
    expected = [name if name[-1] != " " else f"{name}scoring" for name in expected]
    assert phases[::2] == phases[1::2] == expected * 2
    for event in ("setup", "begin", "end", "teardown"):
        assert record.count(event, "fit") == 2


def test_a_path_ends_what_a_failing_ratio_has_begun(iris, record):
    def fail_in_round_two(weights):
        if np.count_nonzero(weights.alive) < weights.alive.size:
            raise ValueError("no more rounds")
        return np.abs(weights.weights)

    model = small(prune_criterion=fail_in_round_two, retrain="rewind").set_callbacks(
        record
    )
    with pytest.warns(FitFailedWarning, match="no more rounds"):
        pruning_path(model, *iris, [0.8, 0.3], cv=2)

    begun = sorted(event[1:] for event in record.events() if event[0] == "begin")
    ended = sorted(event[1:] for event in record.events() if event[0] == "end")
    assert begun == ended
    assert ("fit", "round 2: scoring") in ended


@pytest.mark.parametrize(
    "keep",
    [clone, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["clone", "deepcopy", "pickle"],
)
def test_copies_have_the_callbacks(keep, iris, record):
    model = small().set_callbacks(record).fit(*iris)
    kept = keep(model)
    assert record.count("begin", "fit") == 1
    kept.fit(*iris)

    assert record.count("begin", "fit") == record.count("teardown", "fit") == 2
    model.set_callbacks().fit(*iris)
    assert record.count("begin", "fit") == 2
    np.testing.assert_array_equal(kept.predict(iris[0]), model.predict(iris[0]))


def forget_package():
    """Take the package out of what is imported; return its modules."""
    names = [name for name in sys.modules if name.split(".")[0] == "skchaosprune"]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture(params=[None, types.ModuleType("callback")], ids=["none", "empty"])
def package_without_api(request, monkeypatch):
    """The package, imported anew where scikit-learn has no callbacks."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", request.param)
    before = forget_package()
    try:
        yield importlib.import_module("skchaosprune")
    finally:
        forget_package()
        sys.modules.update(before)


def test_without_the_api(package_without_api, iris, capsys):
    kind = package_without_api.ChaosCausalPrunedMLP

    model = small(kind, verbose=1).fit(*iris)

    assert kind is not ChaosCausalPrunedMLP
    assert not hasattr(model, "set_callbacks")
    lines = capsys.readouterr().out.splitlines()
    for phase in ("dense training: epoch 6/6", "scoring: weight 21/21"):
        assert f"[ChaosCausalPrunedMLP] {phase}" in "\n".join(lines)
    assert "sparse training: epoch 6/6" in lines[-1]
