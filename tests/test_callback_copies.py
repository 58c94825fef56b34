"""Copies of callbacks: each training its own, with its own files, linked together."""

import io
import os
import re
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, Checkpoint, LoadInitState, TrainEndCheckpoint

from skchaosprune import pruning_path
from skchaosprune._training.copies import CallbackCopies
from tests.helpers import assert_same_fit, small

CHECKPOINTS = {
    "best": lambda folder: Checkpoint(monitor="train_loss_best", dirname=folder),
    "last": lambda folder: TrainEndCheckpoint(dirname=folder),
}

never_loads = pytest.warns(UserWarning, match="LoadInitState loads nothing here")


def is_dense(net):
    return all(bool((W != 0.0).all()) for W in net.module_.coefs)


def keep_best_of_dense(folder, monitor=is_dense):
    return Checkpoint(monitor=monitor, dirname=str(folder), load_best=True)


def folders(path):
    """Names of the folders that hold files, sorted, below a path."""
    found = {file.parent.relative_to(path) for file in path.rglob("*.pt")}
    return sorted(folder.as_posix() for folder in found)


def test_a_checkpoint_of_the_sparse_training_is_not_that_of_the_dense_one(
    iris, tmp_path
):
    checkpoint = keep_best_of_dense(tmp_path, "train_loss_best")
    plain = small(max_iter=30).fit(*iris)

    model = small(max_iter=30, callbacks=[checkpoint]).fit(*iris)

    assert_same_fit(model, plain)  # the loss falls in every epoch
    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]


def test_a_training_never_loads_what_another_saved(iris, tmp_path):
    model = small(callbacks=[keep_best_of_dense(tmp_path)])

    with pytest.raises(FileNotFoundError, match="02-sparse"):  # as skorch has it
        model.fit(*iris)


def test_every_training_has_a_folder(iris, tmp_path):
    options = {"prune_ratio": 0.5, "n_rounds": 2}
    model = small(callbacks=[TrainEndCheckpoint(dirname=str(tmp_path))], **options)

    for _ in range(2):
        model.fit(*iris)

    names = ["01-dense", "02-round-2", "03-sparse"]
    expected = [f"fit-{fit}/{name}" for fit in (1, 2) for name in names]
    assert folders(tmp_path) == expected


def test_folders_that_are_there_are_not_used_again(iris, tmp_path):
    (tmp_path / "fit-2" / "01-dense").mkdir(parents=True)
    (tmp_path / "fit-2" / "01-dense" / "old.pt").touch()
    for _ in range(2):
        small(callbacks=[TrainEndCheckpoint(dirname=str(tmp_path))]).fit(*iris)

    dense = [name for name in folders(tmp_path) if "dense" in name]
    assert dense == ["fit-2/01-dense", "fit-3/01-dense", "fit-4/01-dense"]
    assert len(list((tmp_path / "fit-2").rglob("*.*"))) == 1


def test_every_ratio_of_a_path_has_a_folder(iris, tmp_path):
    model = small(callbacks=[TrainEndCheckpoint(dirname=str(tmp_path))])

    pruning_path(model, *iris, prune_ratios=[0.3, 0.5], cv=2)

    names = ["01-dense", "02-sparse", "03-sparse"]
    expected = [f"fit-{fold}/{name}" for fold in (1, 2) for name in names]
    assert folders(tmp_path) == expected


def test_callbacks_that_share_a_dirname_share_the_folders(iris, tmp_path):
    callbacks = [make(str(tmp_path)) for make in CHECKPOINTS.values()]
    small(callbacks=callbacks).fit(*iris)

    assert len(folders(tmp_path)) == 2
    for folder in folders(tmp_path):
        names = {path.name for path in (tmp_path / folder).iterdir()}
        assert {"params.pt", "train_end_params.pt"} <= names


def test_a_checkpoint_without_a_dirname_writes_below_the_current_one(
    iris, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    small(callbacks=[TrainEndCheckpoint, ("b", Checkpoint("train_loss_best"))]).fit(
        *iris
    )

    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]


class WritesFile(Callback):
    """A callback of the user's own, which keeps a file in its ``dirname``."""

    def __init__(self, dirname):
        self.dirname = dirname

    def on_train_end(self, net, **kwargs):
        with (self.dirname / "own.pt").open("x", encoding="utf-8"):
            pass


def test_own_callbacks_with_a_dirname_get_folders_that_are_there(iris, tmp_path):
    callback = WritesFile(tmp_path)
    small(callbacks=[callback]).fit(*iris)

    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]
    assert callback.dirname == tmp_path


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_searches_with_checkpoints_score_as_without(iris, tmp_path, n_jobs):
    grid, options = {"prune_ratio": [0.2, 0.5, 0.7]}, {"cv": 3, "n_jobs": n_jobs}
    plain = GridSearchCV(small(), grid, **options).fit(*iris)
    model = small(callbacks=[keep_best_of_dense(tmp_path, "train_loss_best")])

    search = GridSearchCV(model, grid, error_score="raise", **options).fit(*iris)

    name = "mean_test_score"
    np.testing.assert_array_equal(search.cv_results_[name], plain.cv_results_[name])
    assert len(folders(tmp_path)) == 2 * (3 * 3 + 1)


def test_fits_in_threads_have_their_own_folders(iris, tmp_path):
    plain, together = small().fit(*iris), threading.Barrier(4)

    def fit(_):
        callback = keep_best_of_dense(tmp_path, "train_loss_best")
        together.wait()
        return small(callbacks=[callback]).fit(*iris)

    with ThreadPoolExecutor(4) as pool:
        for model in pool.map(fit, range(4)):
            assert_same_fit(model, plain)
    assert len(folders(tmp_path)) == 8


@pytest.mark.parametrize("remake", [lambda model: model, clone])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_no_training_starts_from_a_checkpoint_of_another(iris, tmp_path, kind, remake):
    checkpoint = CHECKPOINTS[kind](str(tmp_path))
    callbacks = [checkpoint, ("load", LoadInitState(checkpoint))]
    model = remake(small(callbacks=callbacks))

    for _ in range(2):
        with never_loads:
            model.fit(*iris)

    assert_same_fit(model, small().fit(*iris))


def test_nothing_is_loaded_in_a_grid_of_callbacks(iris, tmp_path):
    checkpoint = TrainEndCheckpoint(dirname=str(tmp_path))
    grid = {"callbacks": [None, [LoadInitState(checkpoint), checkpoint]]}

    with never_loads:
        search = GridSearchCV(small(), grid, error_score="raise").fit(*iris)

    without, with_ = search.cv_results_["mean_test_score"]
    assert without == with_


def test_nothing_is_loaded_from_other_folders(iris, tmp_path):
    small(callbacks=[TrainEndCheckpoint(dirname=str(tmp_path))]).fit(*iris)
    elsewhere = TrainEndCheckpoint(dirname=str(tmp_path / "fit-1" / "02-sparse"))
    for load in (LoadInitState(elsewhere), ("load", LoadInitState(elsewhere))):
        with never_loads:
            model = small(callbacks=[load]).fit(*iris)
        assert_same_fit(model, small().fit(*iris))


class Follower(Callback):
    def __init__(self, leader):
        self.leader = leader

    def on_epoch_end(self, net, **kwargs):
        net.history.record("leader_saw", self.leader.n_seen_)


class Leader(Callback):
    def __init__(self, step=1):
        self.step = step

    def initialize(self):
        self.n_seen_ = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.n_seen_ += self.step


@pytest.mark.parametrize("remake", [lambda model: model, clone])
def test_copies_refer_to_copies(iris, remake):
    leaders = [Leader(1), Leader(10)]
    callbacks = [Leader(5), *leaders, Follower(leaders[1])]

    model = remake(small(max_iter=3, callbacks=callbacks)).fit(*iris)

    for history in model.history_, model.dense_history_:
        assert [row["leader_saw"] for row in history] == [10, 20, 30]
    assert not hasattr(leaders[1], "n_seen_")


class Wrapper(Callback):
    """Calls another callback at every second epoch."""

    def __init__(self, inner, dirname=None):
        self.inner = inner
        self.dirname = dirname

    def initialize(self):
        self.inner.initialize()
        return self

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) % 2 == 0:
            self.inner.on_epoch_end(net, **kwargs)


@pytest.mark.parametrize("remake", [lambda model: model, clone])
def test_callbacks_may_hold_others_that_are_not_listed(iris, tmp_path, remake):
    inner = Checkpoint("train_loss_best", dirname=str(tmp_path))
    model = remake(small(callbacks=[Wrapper(inner), Wrapper(Leader())])).fit(*iris)

    assert_same_fit(model, small().fit(*iris))
    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]


class Followers(Callback):
    def __init__(self, leaders):
        self.leaders = leaders

    def on_epoch_end(self, net, **kwargs):
        seen = [leader.n_seen_ for leader in self.leaders["all"]]
        net.history.record("leaders_saw", seen)


@pytest.mark.parametrize("remake", [lambda model: model, clone])
def test_copies_refer_to_copies_in_lists_and_dicts(iris, remake):
    leaders = [Leader(1), Leader(10)]
    callbacks = [Followers({"all": leaders}), ("last", leaders[1]), leaders[0]]

    model = remake(small(max_iter=2, callbacks=callbacks)).fit(*iris)

    assert [row["leaders_saw"] for row in model.history_] == [[0, 0], [1, 10]]


class Value(Callback):
    """Two of these may look alike, and are not the same."""

    def __init__(self, function, array=None):
        self.function = function
        self.array = array

    def __eq__(self, other):
        return True


class RecordsValue(Callback):
    def __init__(self, of):
        self.of = of

    def on_epoch_end(self, net, **kwargs):
        net.history.record("value", self.of.function())


@pytest.mark.parametrize("remake", [lambda model: model, clone])
@pytest.mark.parametrize("is_listed", [False, True])
def test_callbacks_that_look_alike_are_not_mixed_up(iris, remake, is_listed):
    first, second = Value(lambda: 1, np.zeros(5000)), Value(lambda: 2, np.zeros(5000))
    callbacks = [first, *([second] if is_listed else []), RecordsValue(second)]

    model = remake(small(max_iter=2, callbacks=callbacks)).fit(*iris)

    assert [row["value"] for row in model.history_] == [2, 2]


class Holder(Callback):
    """Runs callbacks that it holds, wherever it does."""

    def __init__(self, held):
        self.held = held

    def each(self):
        held = self.held
        return vars(held).values() if isinstance(held, SimpleNamespace) else held

    def initialize(self):
        for callback in self.each():
            callback.initialize()
        return self

    def on_train_end(self, net, **kwargs):
        for callback in self.each():
            callback.on_train_end(net, **kwargs)


HOLDERS = {
    "list": lambda callback: [callback],
    "set": lambda callback: {callback},
    "deque": lambda callback: deque([callback]),
    "namespace": lambda callback: SimpleNamespace(a=callback),
    "array": lambda callback: np.array([callback], dtype=object),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_files_are_private_wherever_a_callback_is_held(iris, tmp_path, holder):
    inner = TrainEndCheckpoint(dirname=str(tmp_path))
    small(callbacks=[Holder(HOLDERS[holder](inner))]).fit(*iris)

    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]


class EveryEpoch:
    def __call__(self, net):
        return True


@pytest.mark.parametrize("remake", [lambda model: model, clone])
def test_a_monitor_that_is_an_object_does_not_part_callbacks(iris, tmp_path, remake):
    checkpoint = Checkpoint(EveryEpoch(), dirname=tmp_path)
    callbacks = [LoadInitState(checkpoint), checkpoint]

    with never_loads:
        model = remake(small(callbacks=callbacks)).fit(*iris)
    assert_same_fit(model, small().fit(*iris))


def test_callbacks_that_a_net_has_used_may_be_used_again(iris, tmp_path):
    checkpoint = TrainEndCheckpoint(dirname=str(tmp_path)).initialize()
    small(callbacks=[checkpoint]).fit(*iris)

    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]


class WithProperty(Callback):
    dirname = property(lambda self: "d")


class WithScore(WritesFile):
    def __init__(self, dirname, f_score=0.5):
        super().__init__(dirname)
        self.f_score = f_score


def test_numbers_are_no_files(iris, tmp_path):
    small(callbacks=[WithScore(tmp_path)]).fit(*iris)

    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]


def test_one_folder_by_two_names_is_one(iris, tmp_path):
    names = [str(tmp_path), f"{tmp_path}{os.sep}", tmp_path / "a" / ".."]
    callbacks = [
        TrainEndCheckpoint(dirname=name, fn_prefix=str(number))
        for number, name in enumerate(names)
    ]
    small(callbacks=callbacks).fit(*iris)

    assert folders(tmp_path) == ["fit-1/01-dense", "fit-1/02-sparse"]


class Calls(Callback):
    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, net, **kwargs):
        net.history.record("called", self.function())


def count_seen(leader):
    return leader.n_seen_


class Counter(Leader):
    def count(self):
        return self.n_seen_


@pytest.mark.parametrize("remake", [lambda model: model, clone])
def test_copies_refer_to_copies_in_functions(iris, remake):
    leader = Counter()
    for function in (leader.count, partial(count_seen, leader)):
        model = remake(small(max_iter=2, callbacks=[leader, Calls(function)]))
        assert [row["called"] for row in model.fit(*iris).history_] == [1, 2]


@pytest.mark.parametrize("remake", [lambda model: model, clone])
def test_copies_refer_to_copies_in_chains(iris, remake):
    first = Leader()
    second = Follower(first)
    third = Follower(second)
    second.n_seen_ = 0
    callbacks = [third, second, first]

    model = remake(small(max_iter=2, callbacks=callbacks))
    copies = CallbackCopies(model.callbacks).copy("a")

    assert copies[0].leader is copies[1]
    assert copies[1].leader is copies[2]


class Locked(Callback):
    def __init__(self):
        self.lock = threading.Lock()


REFUSED = {
    "a lock": (lambda: [Locked()], "cannot be copied.*on_train_begin"),
    "a buffer": (
        lambda: [Checkpoint(f_params=io.BytesIO())],
        "f_params=<_io.BytesIO.*as dirname",
    ),
    "an absolute name": (
        lambda: [TrainEndCheckpoint(f_history=os.path.abspath("h"), fn_prefix="")],
        "f_history='.*not into the folder.*as dirname",
    ),
    "an absolute prefix": (
        lambda: [TrainEndCheckpoint(fn_prefix=os.path.abspath("h"))],
        "f_params='params.pt' and writes '.*hparams.pt', and not into the folder",
    ),
    "a folder above": (
        lambda: [("named", Checkpoint(f_optimizer="../o.pt"))],
        "f_optimizer='../o.pt' and writes .* not into the folder",
    ),
    "a property": (lambda: [WithProperty()], "dirname='d', which cannot be set"),
    "a pickle": (lambda: [Checkpoint(f_pickle="net.pkl")], "f_pickle='net.pkl', but"),
    "not a leaf": (lambda: [Leader(torch.ones(1, requires_grad=True) * 2)], "copied"),
    "a folder": (
        lambda: [TrainEndCheckpoint(fn_prefix="a/")],
        "f_params='params.pt' and writes 'a/params.pt', and not into the folder",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_private_is_refused_before_any_training(iris, case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        small(callbacks=make()).fit(*iris)


def test_a_dirname_that_cannot_be_made_is_an_error(iris, tmp_path):
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(OSError, match=re.escape(str(file))):
        small(callbacks=[Checkpoint(dirname=str(file))]).fit(*iris)


def test_callbacks_of_the_user_are_never_run(iris):
    leader = Leader()
    copies = CallbackCopies([leader])

    assert copies.copy("a")[0] is not copies.copy("b")[0]
    assert vars(leader) == {"step": 1}


def test_the_default_monitor_asks_for_rows_to_validate_on(iris, tmp_path):
    with pytest.raises(ValueError, match="set validation_fraction.*train_loss_best"):
        small(callbacks=[Checkpoint(dirname=str(tmp_path))]).fit(*iris)
