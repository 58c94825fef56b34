"""One thread per fit, limits that are restored, and Ctrl-C inside numba."""

import threading

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from skchaosprune._training import threads
from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c


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
