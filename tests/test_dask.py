"""Searches on a dask cluster: the bits of this process, from others and threads."""

import faulthandler

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info

from skchaosprune import ChaosCausalPrunedMLP
from tests.helpers import assert_same_fit
from tests.test_readme import FOLDER, run_blocks

pytestmark = [
    pytest.mark.filterwarnings("ignore:Persisting input arguments"),
]


@pytest.fixture
def distributed():
    return pytest.importorskip("distributed", reason="the extra 'dask'")


@pytest.fixture(autouse=True)
def no_hanging():
    """End the process with a traceback of every thread if a test hangs."""
    faulthandler.dump_traceback_later(600, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def make_search(**changes):
    options = {"hidden_layer_sizes": (8,), "max_iter": 20, "random_state": 0}
    model = ChaosCausalPrunedMLP(**options | changes)
    return GridSearchCV(
        model, {"prune_ratio": [0.3, 0.5, 0.7]}, cv=2, error_score="raise"
    )


def thread_limits():
    pools = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
    return sorted(pools), torch.get_num_threads()


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs, has_memory", [(None, False), (2, True)])
def test_threads_of_one_worker_give_the_same(
    distributed, iris, tmp_path, n_jobs, has_memory
):
    serial = make_search().fit(*iris)
    before = thread_limits()
    memory = str(tmp_path / "memory") if has_memory else None
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=3,
            processes=False,
            dashboard_address=None,
            local_directory=str(tmp_path),
            memory_limit=0,
        ) as cluster,
        distributed.Client(cluster, timeout=60),
        joblib.parallel_config(backend="dask"),
    ):
        search = make_search(n_jobs=n_jobs, memory=memory).fit(*iris)

    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(
            search.cv_results_[name], serial.cv_results_[name]
        )
    assert_same_fit(search.best_estimator_, serial.best_estimator_)
    assert thread_limits() == before


@pytest.mark.slow
def test_the_page_runs_and_another_process_gives_the_same(
    distributed, tmp_path, monkeypatch
):
    class OneProcess(distributed.LocalCluster):
        """Half as many processes to start, which takes the longest."""

        def __init__(self, **options):
            super().__init__(**options | {"n_workers": 1})

    monkeypatch.setattr("dask.distributed.LocalCluster", OneProcess)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    blocks, names = run_blocks(FOLDER / "docs" / "distributed.md")

    assert len(blocks) == 5
    X, y = names["X"], names["y"]
    model = names["model"].set_params(chaoscausalprunedmlp__memory=None)
    serial = GridSearchCV(model, names["grid"], cv=3, refit=False).fit(X, y)
    for search in (names["search"], names["quick"], names["spread"]):
        for fold in range(3):
            name = f"split{fold}_test_score"
            np.testing.assert_array_equal(
                search.cv_results_[name], serial.cv_results_[name]
            )
    entries = list(tmp_path.rglob("output.pkl"))
    assert len(entries) == 3  # one per fold, whoever made it
