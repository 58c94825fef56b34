"""One thread per fit, limits that are restored, Ctrl-C inside numba, and the exit."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from itertools import count

import pytest
import torch
from skorch.callbacks import Callback
from threadpoolctl import threadpool_info, threadpool_limits

from skchaosprune._fit import plan as planning
from skchaosprune._kernels import blocks
from skchaosprune._training import threads
from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c
from tests.helpers import small


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if "blas" in str(pool)}


def threads_of_a_new_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.mark.parametrize("first_out", ["main", "other"])
def test_threads_are_limited_and_restored(first_out):
    before, before_blas = torch.get_num_threads(), blas_threads()
    entered, leave = threading.Event(), threading.Event()
    seen = []

    def other_fit():
        with one_thread_per_fit():
            entered.set()
            leave.wait(10)
        seen.append(torch.get_num_threads())

    torch.set_num_threads(2)
    try:
        thread = threading.Thread(target=other_fit)
        with one_thread_per_fit():
            thread.start()
            assert entered.wait(10)
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
            if first_out == "other":
                leave.set()
                thread.join()
                assert blas_threads() == {1}  # this fit is still running
                assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        if first_out == "main":
            assert blas_threads() == {1}  # the other fit is still running
            leave.set()
            thread.join()
        assert blas_threads() == before_blas
        assert seen == [2]
        assert threads_of_a_new_thread() == 2
    finally:
        torch.set_num_threads(before)


def test_a_thread_that_kept_the_limit_of_another_fit_restores_all_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    first_used, fits_are_over = threading.Event(), threading.Event()

    def fit_later():
        torch.get_num_threads()
        first_used.set()
        fits_are_over.wait()
        with one_thread_per_fit():
            pass

    thread = threading.Thread(target=fit_later)
    try:
        with one_thread_per_fit():
            thread.start()
            first_used.wait()
        fits_are_over.set()
        thread.join()
        assert threads_of_a_new_thread() == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_fit_within_a_fit_leaves_the_limits_of_the_outer_one():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread_per_fit():
            with one_thread_per_fit():
                pass
            assert torch.get_num_threads() == 1
            assert blas_threads() == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "moment", ["torch.set_num_threads", "_let_any_thread_set_blas"]
)
def test_ctrl_c_while_threads_are_limited(monkeypatch, moment):
    before, before_blas = torch.get_num_threads(), blas_threads()
    owner, name = (torch, "set_num_threads") if "." in moment else (threads, moment)
    function, calls = getattr(owner, name), []

    def interrupt_once(*args):
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        function(*args)

    monkeypatch.setattr(owner, name, interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        with one_thread_per_fit():
            pass  # pragma: no cover

    assert blas_threads() == before_blas
    assert torch.get_num_threads() == before
    with one_thread_per_fit():
        assert blas_threads() == {1}
    assert blas_threads() == before_blas


@pytest.mark.parametrize(
    "moment", ["torch.set_num_threads", "_let_any_thread_set_blas"]
)
def test_after_ctrl_c_while_threads_are_restored_the_next_fit_does(monkeypatch, moment):
    before = torch.get_num_threads()
    owner, name = (torch, "set_num_threads") if "." in moment else (threads, moment)
    function, calls = getattr(owner, name), []

    def interrupt_second(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        function(*args)

    with threadpool_limits(2, user_api="blas"):
        torch.set_num_threads(2)
        monkeypatch.setattr(owner, name, interrupt_second)
        with pytest.raises(KeyboardInterrupt):
            with one_thread_per_fit():
                assert len(calls) == 1
        with one_thread_per_fit():
            assert blas_threads() == {1}
        assert blas_threads() == {2}
        assert torch.get_num_threads() == threads_of_a_new_thread() == 2
        torch.set_num_threads(before)


def fit_once():
    """Enter and leave in a frame of its own, as a fit does."""
    with one_thread_per_fit():
        assert torch.get_num_threads() == 1
        assert blas_threads() == {1}


def press_ctrl_c(function, place):
    """Press Ctrl-C at one of the places where Python looks for it.

    It looks where a function of Python begins and where one of C has returned.
    """
    n_seen = 0

    def profile(frame, event, argument):
        nonlocal n_seen
        if event in ("call", "c_return"):
            n_seen += 1
            if n_seen - 1 == place:
                raise KeyboardInterrupt

    gc.disable()  # others, like hypothesis, have functions that it calls
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
        gc.enable()


@pytest.mark.parametrize(
    "keep", [False, True], ids=["forgotten", "the traceback is kept"]
)
def test_ctrl_c_anywhere_in_the_limits_is_made_up_for(keep):
    def enter_and_leave():
        with one_thread_per_fit():
            pass

    before, kept, n_late = torch.get_num_threads(), [], 0
    with threadpool_limits(2, user_api="blas"):
        torch.set_num_threads(2)
        for place in count():
            fit_once()
            assert blas_threads() == {2}, place
            assert torch.get_num_threads() == threads_of_a_new_thread() == 2, place
            try:
                press_ctrl_c(enter_and_leave, place)
                break
            except KeyboardInterrupt as error:
                kept += [error] if keep else []
            n_late += blas_threads() != {2} or torch.get_num_threads() != 2
        torch.set_num_threads(before)
    assert place > 50
    assert n_late <= (2 if keep else 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_no_thread_outlives_blocks_that_were_interrupted(thread_counts, error):
    begun, n_before = [], threading.active_count()

    def work(block):
        begun.append(block)
        time.sleep(0.01)

    def interrupt(n_done):
        raise error

    with pytest.raises(error) as caught:
        blocks.run_in_blocks(work, 1000, 2, interrupt)

    end = time.monotonic() + 10
    while threading.active_count() > n_before and time.monotonic() < end:
        time.sleep(0.01)
    assert caught.tb is not None  # it keeps all frames of the call
    assert threading.active_count() == n_before
    assert len(begun) < 8
    assert thread_counts == [2]


def test_ctrl_c_inside_numba_is_still_ctrl_c():
    def wrapped(kind):
        try:
            raise kind
        except kind as error:
            raise SystemError("a result with an exception set") from error

    with pytest.raises(KeyboardInterrupt):
        with unwrap_ctrl_c():
            wrapped(KeyboardInterrupt)
    with pytest.raises(SystemError):
        with unwrap_ctrl_c():
            wrapped(ValueError)


EXIT_DURING_FITS = """
import threading
from sklearn.datasets import load_iris
from skchaosprune import ChaosCausalPrunedMLP

X, y = load_iris(return_X_y=True)
options = {"max_iter": 2, "prune_criterion": "magnitude", "engine": ENGINE}
ready = threading.Semaphore(0)

def fit_for_ever():
    while True:
        ChaosCausalPrunedMLP((4,), **options).fit(X - X.mean(0), y)
        ready.release()

for _ in range(3):
    threading.Thread(target=fit_for_ever, daemon=True).start()
for _ in range(6):
    ready.acquire()
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_python_can_exit_while_daemon_threads_fit(engine):
    code = EXIT_DURING_FITS.replace("ENGINE", repr(engine))
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stderr) == (0, "")


FIT_AFTER_THE_MAIN_THREAD = """
import threading
import numpy as np
from sklearn.datasets import load_iris
from skchaosprune import ChaosCausalPrunedMLP

X, y = load_iris(return_X_y=True)
model = ChaosCausalPrunedMLP((3000,), max_iter=26, batch_size=5, random_state=0)
scores = model.fit(X, y).weight_scores_

def fit():
    threading.main_thread().join()
    model.set_params(n_jobs=2).fit(X, y)
    print(np.array_equal(model.weight_scores_, scores))

threading.Thread(target=fit).start()
"""


@pytest.mark.slow
def test_a_thread_can_fit_after_the_main_thread_has_ended():
    # pools of threads refuse tasks then, and daemon threads are not ended yet
    code = FIT_AFTER_THE_MAIN_THREAD
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


def test_the_exit_ends_fits_and_lets_no_thread_begin_another(
    monkeypatch, request, iris
):
    gc.disable()  # nothing else may free a net in a circle
    request.addfinalizer(gc.enable)
    monkeypatch.setattr(threads, "_is_exiting", False)
    begun, ends, nets, devices = threading.Event(), [], [], []
    monkeypatch.setattr(
        planning, "check_device", lambda device: devices.append(threads._is_exiting)
    )
    torch_fit = small(engine="torch", max_iter=10**6)
    kernel_fit = small(engine="numba", max_iter=10**6)

    class Begun(Callback):
        def on_epoch_end(self, net, **kwargs):
            nets.append(weakref.ref(net))
            begun.set()

    def fit_until_ended(model):
        for _ in range(2):
            try:
                model.set_params(callbacks=[Begun()]).fit(*iris)
            except SystemExit as error:
                ends.append(error)

    for model in (torch_fit, kernel_fit):
        begun.clear()
        threads._is_exiting = False
        thread = threading.Thread(target=fit_until_ended, args=(model,))
        thread.start()
        begun.wait()
        threads._end_fits()
        thread.join(10)
        assert not thread.is_alive()
    assert len(ends) == 4
    # freed during the exit, a tensor aborts the process; so no error may hold one
    assert nets and all(net() is None for net in nets)
    assert devices == [False, False]  # nor may another fit ask torch for the device
    fit_once()  # what else runs in the main thread at the exit may fit


def test_the_exit_waits_only_so_long(monkeypatch):
    monkeypatch.setattr(threads, "_is_exiting", False)
    monkeypatch.setattr(threads, "_LONGEST_WAIT", 0.05)
    entered, leave, ends = threading.Event(), threading.Event(), []

    def fit_that_hangs():
        try:
            with one_thread_per_fit():
                entered.set()
                leave.wait()
                threads.stop_at_exit()
        except SystemExit:
            ends.append("late")

    thread = threading.Thread(target=fit_that_hangs)
    thread.start()
    entered.wait()
    threads._end_fits()
    assert thread.is_alive()
    leave.set()
    thread.join(10)

    assert ends == ["late"]
