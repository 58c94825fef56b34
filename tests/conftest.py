"""Shared data and fitted models; scikit-learn's array checks need the flag below."""

import os
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # before scipy is imported

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, scale

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._kernels import blocks
from skchaosprune._kernels.full_batch import Objective
from tests.helpers import small

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


@pytest.fixture(scope="session")
def frame_model():
    """A regressor on strings, bools and missing values, its target scaled; its rows."""
    pd = pytest.importorskip("pandas")
    rng, n_rows = np.random.default_rng(0), 300
    cities = [f"city {place}" for place in range(14)]
    X = pd.DataFrame(
        {
            "age": rng.integers(20, 50, n_rows).astype(float),
            "city": rng.choice(cities, n_rows, p=np.arange(14, 0, -1) / 105),
            "smoker": rng.random(n_rows) < 0.3,
        }
    )
    y = 100.0 * X["age"] + 500.0 * (X["city"] == "city 1") - 900.0 * X["smoker"]
    X.loc[::10, "age"] = np.nan
    X.loc[5::10, "city"] = np.nan
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    strings = OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((numbers, ["age"]), (strings, ["city", "smoker"]))
    network = small(ChaosCausalPrunedMLPRegressor, max_iter=40)
    model = TransformedTargetRegressor(
        make_pipeline(columns, network), transformer=StandardScaler()
    )
    return model.fit(X, y), X, y


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

    monkeypatch.setattr(blocks, "_WEIGHTS_PER_THREAD", 1)
    monkeypatch.setattr(blocks, "_BLOCK_SIZE", 32)
    monkeypatch.setattr(blocks, "ThreadPoolExecutor", make_pool)
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
