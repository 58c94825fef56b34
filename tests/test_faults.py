"""Several fits at once, forks, Ctrl-C at any moment: no hang, and the same bits.

Most of it happens in one other process, which is killed when it hangs: it has two
threads and numba's own thread pool, whatever this one has.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_info, threadpool_limits

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._fit import saliencies
from skchaosprune._kernels import (
    ablation,
    blocks,
    full_batch,
    granger,
    lyapunov,
    sgd,
)
from skchaosprune._network import importance
from skchaosprune._training import net, threads

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks into /proc"),
]

TIMEOUT = 240  # seconds, for what takes about ten

FITS = {
    "numba": {},
    "torch": {"engine": "torch", "prune_criterion": "magnitude"},
    "intervention": {"prune_criterion": "intervention", "n_jobs": 2},
}
ARRAYS = ("coefs_", "intercepts_", "masks_", "weight_scores_", "p_values_")
ARRAYS += ("feature_importances_",)


def make_model(**changes):
    return ChaosCausalPrunedMLP((24,), max_iter=2, random_state=0).set_params(**changes)


def load_rows():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


def fingerprint(model):
    """Hash the bits of what was learned."""
    digest = hashlib.sha256()
    for name in ARRAYS:
        value = getattr(model, name)
        for part in value if isinstance(value, list) else [value]:
            digest.update(b"" if part is None else part.tobytes())
    return digest.hexdigest()


def fit(name):
    return fingerprint(make_model(**FITS[name]).fit(*load_rows()))


CODE = f"""
import faulthandler, json
from tests import test_faults
faulthandler.dump_traceback_later({TIMEOUT}, exit=True)
print(json.dumps(test_faults.try_everything()))
"""
TWO_THREADS = {
    "MKL_NUM_THREADS": "2",  # dask sets it to 1 in the process that starts workers
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "2",
    "PYTHONHASHSEED": "1",
    "NUMBA_THREADING_LAYER": "workqueue",  # aborts where two threads enter it at once
}


@pytest.fixture(scope="module")
def found():
    """What ``try_everything`` finds in a new process; a hang is a failure."""
    # newer Pythons warn of any fork in a process with threads
    warn = "-Werror", "-Wignore:This process:DeprecationWarning"
    process = subprocess.Popen(
        [sys.executable, *warn, "-c", CODE],
        cwd=Path(__file__).parents[1],
        env=os.environ | TWO_THREADS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=TIMEOUT + 30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children, too
        out, err = process.communicate()
    if process.returncode != 0 or err:
        pytest.fail(f"the other process ended with {process.returncode}: {err}")
    return json.loads(out)


def fit_serially():
    return [fit(name) for name in FITS]


def fit_in_threads():
    together = threading.Barrier(2 * len(FITS))

    def fit_together(name):
        together.wait()
        return fit(name)

    with ThreadPoolExecutor(together.parties) as pool:
        return list(pool.map(fit_together, [*FITS, *FITS]))


def fit_in_joblib(backend):
    parallel = Parallel(2, backend=backend, timeout=TIMEOUT)
    return parallel(delayed(fit)(name) for name in FITS)


def fit_in_pool():
    with get_context("fork").Pool(2) as pool:
        return pool.map_async(fit, FITS).get(TIMEOUT)


def call_in_fork(function):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(TIMEOUT // 2)
        try:
            os.write(writer, json.dumps(function()).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        content = answer.read()
    os.waitpid(child, 0)
    return json.loads(content)


WAYS = {
    "serial": fit_serially,
    "threads": fit_in_threads,
    "joblib threads": partial(fit_in_joblib, "threading"),
    "fork": partial(call_in_fork, fit_serially),
    "fork pool": fit_in_pool,
}


def start_thread_pools():
    np.ones((500, 500)) @ np.ones((500, 500))
    torch.ones((500, 500)) @ torch.ones((500, 500))


def count_threads():
    """Threads of each BLAS, and those of torch."""
    pools = threadpool_info()
    blas = [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]
    return [*blas, torch.get_num_threads()]


def fork_while_others_fit():
    """Fork while one thread is fitting and holds the lock of all that enter or leave.

    Return the numbers of threads before it, in the child, and in the child after a fit.
    """
    before = count_threads()
    forked, inside = threading.Event(), threading.Event()

    def fit_for_long():
        with threads.one_thread_per_fit(), threads._fits_lock:
            inside.set()
            forked.wait()

    def fit_in_child():
        started = count_threads()
        fit("numba")
        return started, count_threads()

    thread = threading.Thread(target=fit_for_long)
    thread.start()
    inside.wait()
    child = call_in_fork(fit_in_child)
    forked.set()
    thread.join()
    return before, *child, count_threads()


def try_everything():
    blocks._WEIGHTS_PER_THREAD = 1  # small nets use threads, too
    start_thread_pools()
    return {
        "bits": {name: way() for name, way in WAYS.items()},
        "threads": fork_while_others_fit(),
        "interrupted": interrupt_fits(),
    }


@pytest.fixture(scope="module")
def bits_of_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        bits = fit_serially()
    torch.set_num_threads(before)
    assert len(set(bits)) == len(FITS)
    return bits


@pytest.mark.parametrize("way", WAYS)
def test_fits_at_once_learn_the_same_bits(way, bits_of_one_thread, found):
    n_times = 2 if way == "threads" else 1
    assert found["bits"][way] == bits_of_one_thread * n_times


def test_fits_in_new_processes_learn_the_same_bits(bits_of_one_thread):
    assert fit_in_joblib("loky") == bits_of_one_thread


def test_a_fork_forgets_the_fits_of_other_threads(found):
    before, started, *after = found["threads"]

    assert set(before) == {2}
    assert set(started) == {1, 2}  # BLAS is limited, torch counts by thread
    assert after == [before, before]


# What goes on when Ctrl-C is pressed: the options of the fit, the function that runs
# then, and which of its calls (None: any one).
PHASES = {
    "dense training": ({}, sgd, "train_rows", None),
    "exponents": ({}, lyapunov, "_exponents", None),
    "causality": ({}, granger, "_test_causes", None),
    "exponents in threads": ({"n_jobs": 2}, lyapunov, "_exponents", None),
    "causality in threads": ({"n_jobs": 2}, granger, "_test_causes", None),
    "second round": ({"n_rounds": 2}, net, "train", 1),
    "swaps": ({"prune_ratio": 0.95, "n_swaps": 9}, full_batch, "_add_rows", None),
    "descent": ({"prune_ratio": 0.95, "n_swaps": 0}, full_batch, "_add_rows", None),
    "diagonal": ({"prune_ratio": 0.9}, saliencies, "gauss_newton_diagonal", None),
    "matrix": ({"prune_ratio": 0.95}, saliencies, "gauss_newton_matrix", None),
    "sparse training": ({}, net, "train", 1),
    "torch": (FITS["torch"], net, "train", 0),
    "intervention": (FITS["intervention"], ablation, "_ablate_block", None),
    "importances": (
        {"importance": "permutation"},
        importance,
        "_losses_from_first_layer",
        None,
    ),
}


class CtrlC:
    """Count and time the calls of a function, and press Ctrl-C in one of them."""

    def __init__(self, owner, name):
        self.watched = getattr(owner, name)
        self.seconds = []
        self.choose(None, 0.0)
        setattr(owner, name, self)

    def choose(self, call, delay):
        """Press Ctrl-C in this call, so many seconds after it began."""
        self.call, self.delay = call, delay
        self.n_calls = self.n_running = 0
        self.was_running, self.timer = False, None

    def __call__(self, *args, **kwargs):
        is_chosen = self.n_calls == self.call
        self.n_calls += 1
        self.n_running += 1
        begin = time.perf_counter()
        try:
            if is_chosen and self.delay == 0.0:
                self.press()
            elif is_chosen:
                self.timer = threading.Timer(self.delay, self.press)
                self.timer.start()
            return self.watched(*args, **kwargs)
        finally:
            self.n_running -= 1
            self.seconds.append(time.perf_counter() - begin)

    def press(self):
        self.was_running = self.n_running > 0
        os.kill(os.getpid(), signal.SIGINT)


def is_interrupted(model, watch):
    """Fit until Ctrl-C; False where it came too late."""
    parameters, threads, tasks = model.get_params(), count_threads(), count_tasks()
    is_finished = False
    try:
        model.fit(*load_rows())
        is_finished = True
        if watch.timer is not None:
            watch.timer.join()
    except KeyboardInterrupt:
        pass
    if is_finished:
        return False
    assert vars(model) == parameters
    assert count_threads() == threads
    end = time.monotonic() + 10
    while has_more_tasks(tasks) and time.monotonic() < end:
        time.sleep(0.01)  # workers end the block that they have begun
    assert not has_more_tasks(tasks)
    return True


def count_tasks():
    """Threads of Python and of the process."""
    return threading.active_count(), len(os.listdir("/proc/self/task"))


def has_more_tasks(tasks):
    """Whether more are running than then; those of an earlier fit may have ended."""
    return any(now > then for now, then in zip(count_tasks(), tasks, strict=True))


def interrupt_fits():
    """Press Ctrl-C in each phase: at the begin of a call, and at random in it.

    Twice, and 40 times in the calls of a descent and of swaps, which are short.

    Return whether each fit was interrupted, and whether the function was running.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells may ignore it
    rng = np.random.RandomState(0)
    found = {}
    for phase, (options, owner, name, call) in PHASES.items():
        watch = CtrlC(owner, name)
        bits = fingerprint(make_model(**options).fit(*load_rows()))
        n_calls, found[phase] = watch.n_calls, []
        n_times = 20 if phase in ("descent", "swaps") else 1
        for share in [0.0, *rng.uniform(0.0, 0.5, size=1)] * n_times:
            chosen = rng.randint(n_calls) if call is None else call
            watch.choose(chosen, share * watch.seconds[chosen])
            model = make_model(**options)
            was_interrupted = is_interrupted(model, watch)
            found[phase].append((was_interrupted, watch.was_running))
            watch.choose(None, 0.0)
        assert fingerprint(model.fit(*load_rows())) == bits
        setattr(owner, name, watch.watched)
    return found


def test_ctrl_c_at_any_moment_leaves_nothing_behind(found):
    phases = found["interrupted"]

    n_interrupted = sum(hit for phase in phases.values() for hit, _ in phase)
    assert n_interrupted >= 15, phases
    assert all([True, True] in phase for phase in phases.values()), phases
