"""Kernels compile also where no cache directory is writable."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import skchaosprune
from skchaosprune._kernels.jit import jit


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


# All kernels are decorated, which may fail; one small one is compiled.
_CALL = """
import importlib, pkgutil
import skchaosprune
from skchaosprune import _kernels
from skchaosprune._kernels import sgd
for module in pkgutil.iter_modules(_kernels.__path__):
    importlib.import_module(f"skchaosprune._kernels.{module.name}")
print(skchaosprune.__file__, sgd._logistic.stats.cache_path, sgd._logistic(0.0))
"""


@pytest.mark.slow
def test_a_kernel_where_no_cache_is_writable(tmp_path):
    """A file in the place of a directory stops even the superuser."""
    package = Path(skchaosprune.__file__).parent
    copy = tmp_path / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for kernel in copy.rglob("*.py"):
        (kernel.parent / "__pycache__").touch()
    places = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    environment = os.environ | dict.fromkeys(places, "/dev/null/cache")

    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", _CALL],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == [str(copy / "__init__.py"), "None", "0.5"]
