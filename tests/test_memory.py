"""``memory=``: what is kept, what is taken from it, and that no result hears of it."""

import errno
import functools
import io
import pickle
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
)
from skchaosprune._fit import plan, scoring
from skchaosprune.criteria import CRITERIA, ChaosCausality, FixedMasks
from tests.helpers import assert_same_fit, count_trainings, small

pytestmark = [
    pytest.mark.slow,
    # joblib says so where a disk is slow
    pytest.mark.filterwarnings("ignore:Persisting input arguments"),
    # what the fits are worth is not asked here
    pytest.mark.filterwarnings("ignore:The weights are ranked by magnitude"),
    pytest.mark.filterwarnings("ignore:The outputs of the pruned network do not"),
]

FOLDER = Path(__file__).parents[1]

RATIOS = {"prune_ratio": [0.2, 0.3, 0.5, 0.7]}

# What a second fit does that differs in one thing: dense trainings, new entries.
SAME, NEW, BYPASSED = (0, 0), (1, 1), (1, 0)

INITIAL = [np.eye(4, 8), np.eye(8, 3)], [np.zeros(8), np.zeros(3)]

CHANGES = [
    ("hidden_layer_sizes", (7,), NEW),
    ("hidden_layer_sizes", [np.int64(8)], SAME),
    ("activation", "tanh", NEW),
    ("loss", "squared_error", NEW),
    ("solver", "adam", NEW),
    ("learning_rate_init", 0.02, NEW),
    ("momentum", 0.5, NEW),
    ("alpha", 0.1, NEW),
    ("batch_size", 2, NEW),
    ("batch_size", 1, SAME),  # what "auto" is here
    ("max_iter", 11, NEW),
    ("shuffle", False, NEW),
    ("weight_init", "normal", NEW),
    ("weight_init", INITIAL, NEW),
    ("learning_rate", "constant", NEW),
    ("target_score", 0.1, SAME),  # the record is completed first
    ("prune_criterion", "loss_regression", NEW),
    ("prune_criterion", ChaosCausality(), SAME),
    ("prune_criterion", ChaosCausality(significance_level=0.01), NEW),
    ("prune_criterion", ChaosCausality(target=lambda y, p: np.sum(p * y)), BYPASSED),
    ("prune_criterion", lambda record: np.abs(record.weights), BYPASSED),
    ("prune_ratio", 0.3, SAME),
    ("prune_scope", "layer", SAME),
    ("keep_connected", False, SAME),
    ("max_features", 2, SAME),
    ("dense_fraction", 0.9, NEW),
    ("dense_fraction", np.float64(1.0), SAME),
    ("n_rounds", 2, SAME),
    ("n_swaps", 0, SAME),
    ("retrain", "finetune", SAME),
    ("importance", "connection", SAME),
    ("class_weight", {0: 2.0, 1: 1.0, 2: 1.0}, NEW),
    ("class_weight", {0: 2.0, 1: 2.0, 2: 2.0}, SAME),  # weights have mean 1
    ("validation_fraction", 0.2, NEW),
    ("callbacks", [], BYPASSED),
    ("engine", "torch", NEW),
    ("engine", "numba", SAME),  # what "auto" is here
    ("device", "cpu:0", NEW),
    ("n_jobs", 2, SAME),
    ("memory", joblib.Memory, SAME),
    ("memory", Path, SAME),
    ("random_state", 1, NEW),
    ("random_state", None, BYPASSED),
    ("verbose", 1, SAME),
]


def quick(folder, kind=ChaosCausalPrunedMLP, **changes):
    options = {"hidden_layer_sizes": (8,), "prune_criterion": "chaos_causality"}
    options |= {"max_iter": 10, "n_rounds": 1, "memory": str(folder)}
    return small(kind, **options | changes)


def entries(folder):
    """What lies in the cache, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("output.pkl")}


@pytest.fixture
def trainings(monkeypatch):
    """Grows by one mask with each training."""
    return count_trainings(monkeypatch)


def count_dense(trainings):
    return sum(mask.all() for mask in trainings)


def assert_second_fit(models, rows, folder, trainings, expected):
    """Fit twice; compare what the second fit trained and kept, and its results."""
    kept = []
    for model, (X, y, *weights) in zip(models, rows, strict=True):
        trainings.clear()
        model.fit(X, y, *weights)
        kept.append(len(entries(folder)))
    assert (count_dense(trainings), kept[1] - kept[0]) == expected
    assert kept[0] == 1
    if model.random_state is not None:
        plain = clone(model).set_params(memory=None)
        assert_same_fit(model, plain.fit(X, y, *weights))


@pytest.mark.parametrize(("name", "value", "expected"), CHANGES)
def test_a_parameter_makes_a_new_entry_where_it_must(
    iris, tmp_path, trainings, name, value, expected
):
    if value is joblib.Memory:
        value = joblib.Memory(str(tmp_path), verbose=0)
    elif value is Path:
        value = tmp_path
    models = [quick(tmp_path), quick(tmp_path).set_params(**{name: value})]

    assert_second_fit(models, [iris, iris], tmp_path, trainings, expected)


def test_every_parameter_is_looked_at():
    looked_at = {name for name, _, _ in CHANGES}
    assert looked_at == set(ChaosCausalPrunedMLP().get_params(deep=False))
    assert looked_at >= set(ChaosCausalPrunedMLPRegressor().get_params(deep=False))


def test_a_target_score_makes_a_new_entry_where_it_may_end_the_training(
    iris, tmp_path, trainings
):
    for target_score in (0.4, 2):
        folder = tmp_path / str(target_score)
        options = {"prune_criterion": "magnitude"}
        models = [quick(folder, **options) for _ in range(2)]
        models[1].set_params(target_score=target_score)
        assert_second_fit(models, [iris, iris], folder, trainings, NEW)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


# From the rows of the first fit to those of the second.
ROWS = {
    "a value": (lambda X, y: (changed(X, (0, 0), 9.0), y), NEW),
    "a label": (lambda X, y: (X, changed(y, 0, 1)), NEW),
    "their order": (lambda X, y: (X[::-1], y[::-1]), NEW),
    "weights": (lambda X, y: (X, y, 1.0 + y), NEW),
    "twice the weights": (lambda X, y: (X, y, np.full(len(X), 2.0)), NEW),
    "small weights": (lambda X, y: (X, y, np.full(len(X), 0.125)), SAME),
    "single precision": (lambda X, y: (X.astype(np.float32), y), SAME),
    "memory layout": (lambda X, y: (np.asfortranarray(X), np.repeat(y, 2)[::2]), SAME),
    "lists": (lambda X, y: (X.tolist(), y.tolist()), SAME),
    "a frame": (lambda X, y: (pd.DataFrame(X).add_prefix("f"), pd.Series(y)), SAME),
    "a type of y": (lambda X, y: (X, y.astype(np.int16)), SAME),
}


@pytest.mark.parametrize("change", ROWS)
def test_other_values_make_a_new_entry_and_other_types_do_not(
    iris, tmp_path, trainings, change
):
    change, expected = ROWS[change]
    for kind, n_features in (
        (ChaosCausalPrunedMLP, 4),
        (ChaosCausalPrunedMLPRegressor, 1),  # a column may have any strides
    ):
        X, y = iris[0][:, :n_features], iris[1]
        X = X.astype(np.float32).astype(np.float64)  # in both precisions the same
        folder = tmp_path / kind.__name__
        models = [quick(folder, kind) for _ in range(2)]

        rows = (X, y), change(X, y)
        assert_second_fit(models, rows, folder, trainings, expected)


def test_names_of_classes_are_no_part_of_the_key(iris, tmp_path, trainings):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])
    models = [quick(tmp_path) for _ in range(2)]
    rows = (X, y), (X, names[y])
    assert_second_fit(models, rows, tmp_path, trainings, SAME)


def test_another_version_makes_a_new_entry(iris, tmp_path, trainings, monkeypatch):
    quick(tmp_path).fit(*iris)
    monkeypatch.setattr(plan, "list_versions", lambda: "skchaosprune 0.0.0")
    quick(tmp_path).fit(*iris)

    assert count_dense(trainings) == len(entries(tmp_path)) == 2


PACKAGES = ["numpy", "scipy", "numba", "torch", "skorch", "scikit-learn"]


@pytest.mark.parametrize("package", PACKAGES)
def test_versions_of_others_are_a_part_of_the_key(package):
    text = f"{package} {version(package)}"
    assert text in plan.list_versions().split(", ")


def flip_bit(content, rng):
    content = bytearray(content)
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(content)


def dump_instead(value):
    def dump(content, rng):
        buffer = io.BytesIO()
        joblib.dump(value, buffer)
        return buffer.getvalue()

    return dump


def with_digest(content):
    return scoring._digest("", content), content


DAMAGES = {
    "a flipped bit": (flip_bit, 40),
    "cut": (lambda content, rng: content[: rng.integers(len(content))], 5),
    "empty": (lambda content, rng: b"", 1),
    "another type": (dump_instead({"a": 1}), 1),
    "an array": (dump_instead(np.arange(3.0)), 1),
    "a wrong digest": (dump_instead(("0" * 64, b"abc")), 1),
    "another pickle": (dump_instead(with_digest(pickle.dumps([1, 2]))), 1),
    "a digest of no pickle": (
        dump_instead(with_digest(b"abc")),
        1,
    ),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_computed_again(iris, tmp_path, trainings, damage, compress):
    rng = np.random.default_rng(0)
    make, n_times = DAMAGES[damage]
    memory = joblib.Memory(tmp_path, verbose=0, compress=compress)
    model = quick(tmp_path, prune_criterion="magnitude").set_params(memory=memory)
    plain = clone(model).set_params(memory=None).fit(*iris)
    model.fit(*iris)
    (path,) = entries(tmp_path)
    whole = path.read_bytes()
    for _ in range(n_times):
        path.write_bytes(make(whole, rng))
        trainings.clear()
        for n_trainings in (1, 1):  # then it is whole again
            assert_same_fit(model.fit(*iris), plain)
            assert model.dense_history_ == plain.dense_history_
            if damage != "a flipped bit":  # which may be in nothing that is read
                assert count_dense(trainings) == n_trainings


def test_a_damaged_entry_is_forgotten_alone(iris, tmp_path, trainings):
    for max_iter in (3, 8):
        quick(tmp_path, prune_criterion="magnitude", max_iter=max_iter).fit(*iris)
    damaged, other = entries(tmp_path)
    before = entries(tmp_path)[other]
    damaged.write_bytes(b"")
    trainings.clear()

    for max_iter in (3, 8):
        quick(tmp_path, prune_criterion="magnitude", max_iter=max_iter).fit(*iris)
    assert count_dense(trainings) == 1
    assert entries(tmp_path)[other] == before


def test_an_error_of_the_training_comes_once(iris, tmp_path, trainings):
    model = quick(tmp_path, learning_rate_init=1e300, prune_criterion="magnitude")

    with pytest.raises(ValueError, match="diverges"):
        model.fit(*iris)
    assert len(trainings) == 1
    assert not entries(tmp_path)


def test_an_error_of_the_disk_wipes_no_entries(iris, tmp_path, trainings, monkeypatch):
    plain = quick(tmp_path).fit(*iris)
    before = entries(tmp_path)
    trainings.clear()

    def fail(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(joblib.memory.MemorizedFunc, "__call__", fail)
    assert_same_fit(quick(tmp_path).fit(*iris), plain)
    assert count_dense(trainings) == 1
    assert entries(tmp_path) == before


def test_an_entry_in_the_place_of_another_is_computed_again(iris, tmp_path, trainings):
    for max_iter in (3, 8):
        quick(tmp_path, prune_criterion="magnitude", max_iter=max_iter).fit(*iris)
    one, other = entries(tmp_path)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    trainings.clear()

    for max_iter in (3, 8):
        model = quick(tmp_path, prune_criterion="magnitude", max_iter=max_iter)
        assert model.fit(*iris).n_iter_dense_ == max_iter
    assert count_dense(trainings) == 2


def test_a_damaged_entry_that_cannot_be_removed_is_left_alone(
    iris, tmp_path, trainings, monkeypatch
):
    """As in a folder of others, which cannot be written."""
    plain = quick(tmp_path).fit(*iris)
    (path,) = entries(tmp_path)
    content = dump_instead({"a": 1})(b"", None)
    path.write_bytes(content)
    trainings.clear()
    backend = type(joblib.Memory(tmp_path, verbose=0).store_backend)
    for name in ("clear_item", "clear_path"):
        monkeypatch.setattr(backend, name, lambda *args: None)

    assert_same_fit(quick(tmp_path).fit(*iris), plain)
    assert count_dense(trainings) == 1
    assert path.read_bytes() == content


FIT_AGAIN = """
import sys
from sklearn.datasets import load_iris
from tests.helpers import small
model = small(memory=sys.argv[1]).fit(*load_iris(return_X_y=True))
print(model.coefs_[0].sum())
"""


def test_a_damaged_source_is_no_harm_in_a_new_process(tmp_path):
    """joblib keeps the source of what it caches, and reads it once per process."""
    command = [sys.executable, "-W", "error", "-c", FIT_AGAIN, str(tmp_path)]
    run = functools.partial(subprocess.check_output, command, cwd=FOLDER)
    first = run()
    (path,) = tmp_path.rglob("func_code.py")
    whole = path.read_bytes()
    for damaged in (b"\xa0" + whole[1:], b""):
        path.write_bytes(damaged)
        assert run() == first
        assert path.read_bytes() == whole


def test_a_lack_of_memory_is_no_damage(iris, tmp_path, trainings, monkeypatch):
    model = quick(tmp_path).fit(*iris)
    before = entries(tmp_path)

    def fail(content):
        raise MemoryError

    with monkeypatch.context() as poor:
        poor.setattr(scoring.pickle, "loads", fail)
        with pytest.raises(MemoryError):
            model.fit(*iris)
    trainings.clear()
    model.fit(*iris)
    assert count_dense(trainings) == 0
    assert entries(tmp_path) == before


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), Path.unlink])
def test_a_lost_file_of_an_entry_does_no_harm(iris, tmp_path, damage):
    model = quick(tmp_path).fit(*iris)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"output.pkl", "metadata.json"} <= {path.name for path in files}
    for path in files:
        damage(path)
        assert_same_fit(quick(tmp_path).fit(*iris), model)


def test_a_full_disk_loses_no_training(iris, tmp_path, monkeypatch, trainings):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(joblib.numpy_pickle, "dump", fail)
    with pytest.warns(Warning, match="Unable to cache to disk.*No space left"):
        model = quick(tmp_path).fit(*iris)

    assert count_dense(trainings) == 1
    assert_same_fit(model, quick(None, memory=None).fit(*iris))


@pytest.mark.parametrize("below", [False, True])
def test_a_folder_that_cannot_be_made_is_an_error(iris, tmp_path, trainings, below):
    file = tmp_path / "file"
    file.touch()
    folder = file / "folder" if below else file

    with pytest.raises(ValueError, match=r"memory='.*file.*cannot be used as a folder"):
        quick(folder).fit(*iris)
    assert not trainings


def test_a_memory_whose_folder_is_gone_makes_it_again_or_says_so(iris, tmp_path):
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    shutil.rmtree(tmp_path / "cache")
    model = quick(None, memory=memory).fit(*iris)
    assert len(entries(tmp_path)) == 1

    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").touch()
    with pytest.raises(ValueError, match="memory=Memory.*cannot be used as a folder"):
        model.fit(*iris)


def test_own_code_is_run_every_time(iris, tmp_path, trainings):
    for factor in (1.0, 1000.0, 1000.0):  # the code of a function cannot be compared
        own = ChaosCausality(target=lambda y, z, factor=factor: factor * np.sum(z * y))
        quick(tmp_path, prune_criterion=own).fit(*iris)
    assert count_dense(trainings) == 3


def test_memory_serves_every_criterion_of_ours(iris, tmp_path, trainings):
    masks = FixedMasks([np.ones((4, 8), bool), np.ones((8, 3), bool)])
    for number, criterion in enumerate([*CRITERIA, masks]):
        folder = tmp_path / str(number)
        for prune_ratio in (0.3, 0.5):
            model = quick(folder, prune_criterion=criterion, prune_ratio=prune_ratio)
            model.fit(*iris)
            plain = clone(model).set_params(memory=None).fit(*iris)
            assert_same_fit(model, plain)
        assert len(entries(folder)) == 1


def test_memory_maps_do_not_leak_into_a_fit(iris, tmp_path):
    memory = joblib.Memory(tmp_path, mmap_mode="r", verbose=0)
    for engine in ("numba", "torch"):
        for _ in range(2):
            model = quick(tmp_path, engine=engine, batch_size=1, retrain="finetune")
            model.set_params(memory=memory).fit(*iris)
    for value in vars(model).values():
        parts = value if isinstance(value, list) else [value]
        assert not any(isinstance(part, np.memmap) for part in parts)


def assert_same_search(a, b):
    for name in a.cv_results_:
        if name.startswith(("split", "mean_test", "std_test", "rank_test")):
            np.testing.assert_array_equal(a.cv_results_[name], b.cv_results_[name])


def test_a_grid_over_ratios_trains_the_dense_network_once_per_fold(
    iris, tmp_path, trainings
):
    options = {"cv": 3, "refit": False, "error_score": "raise"}
    search = GridSearchCV(quick(tmp_path), RATIOS, **options).fit(*iris)

    assert count_dense(trainings) == len(entries(tmp_path)) == 3
    plain = GridSearchCV(quick(tmp_path, memory=None), RATIOS, **options).fit(*iris)
    assert_same_search(search, plain)


def test_jobs_share_the_memory(iris, tmp_path, trainings):
    options = {"cv": 3, "refit": False, "error_score": "raise"}
    serial = GridSearchCV(quick(tmp_path / "one"), RATIOS, **options).fit(*iris)
    searches, kept = [], []
    for _ in range(2):
        search = GridSearchCV(quick(tmp_path / "two"), RATIOS, n_jobs=2, **options)
        searches.append(search.fit(*iris))
        kept.append(entries(tmp_path / "two"))

    assert len(kept[0]) == 3
    assert kept[0] == kept[1]  # the second search trained no dense network
    for search in searches:
        assert_same_search(serial, search)
