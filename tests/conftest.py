"""Shared data and fitted models; scikit-learn's array checks need the flag below."""

import os
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before scipy is imported

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.preprocessing import scale

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._kernels.full_batch import Objective
from skchaosprune.criteria import _blocks

# Files whose tests start processes: one after the other, and from one pool of joblib's.
PROCESSES = {"test_dask.py", "test_faults.py", "test_files.py", "test_memory.py"}
PROCESSES |= {
    "test_callback_copies.py",
    "test_path.py",
    "test_progress.py",
    "test_readme.py",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each worker whole files, and one of them all files with processes."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "processes" if file.rpartition("/")[2] in PROCESSES else file

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def iris():
    X, y = load_iris(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="session")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="session")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="session")
def fitted(iris):
    """A small pruned classifier; tests read it and never change it."""
    return ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0).fit(*iris)


@pytest.fixture(scope="session")
def fitted_regressor(diabetes):
    return ChaosCausalPrunedMLPRegressor((5,), max_iter=10, random_state=0).fit(
        *diabetes
    )


@pytest.fixture
def pyplot():
    """Draw on no screen; at the end all that is open, as layouts warn only then."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_backend()
    pyplot.switch_backend("agg")
    yield pyplot
    for number in pyplot.get_fignums():
        pyplot.figure(number).canvas.draw()
    pyplot.close("all")
    pyplot.switch_backend(before)


@pytest.fixture
def thread_counts(monkeypatch):
    """Let small nets use threads, too; how many they took, each time they did."""
    counts = []

    def make_pool(n_threads):
        counts.append(n_threads)
        return ThreadPoolExecutor(n_threads)

    monkeypatch.setattr(_blocks, "_WEIGHTS_PER_THREAD", 1)
    monkeypatch.setattr(_blocks, "_BLOCK_SIZE", 32)
    monkeypatch.setattr(_blocks, "ThreadPoolExecutor", make_pool)
    return counts


@pytest.fixture
def rounds(monkeypatch):
    """Grows by (start, mask, iterations at most, result) with each minimisation."""
    found, minimise = [], Objective.minimise

    def spy(self, params, mask, n_iterations):
        result = minimise(self, params, mask, n_iterations)
        found.append((params.copy(), mask.copy(), n_iterations, result))
        return result

    monkeypatch.setattr(Objective, "minimise", spy)
    return found
