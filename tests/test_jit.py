"""Kernels compile also where no cache directory is writable."""

import numba
import pytest

from skchaosprune._jit import jit


def double(x):
    return 2 * x


@pytest.mark.parametrize("writable", [True, False])
def test_kernels_compile_with_and_without_a_cache(monkeypatch, writable):
    options = []
    njit = numba.njit

    def fake_njit(*args, **given):
        if args:  # numba's own use of it
            return njit(*args, **given)
        options.append(given)
        if given.get("cache") and not writable:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(nogil=True)

    monkeypatch.setattr(numba, "njit", fake_njit)

    assert jit(double)(21) == 42
    assert all(given["nogil"] for given in options)
    assert len(options) == (1 if writable else 2)
    assert not any({"fastmath", "parallel"} & set(given) for given in options)
