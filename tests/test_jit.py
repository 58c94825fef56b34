"""Kernels compile whatever has become of their cache, and where there is none."""

import errno
import importlib.util
import linecache
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching
from numba.core.cpu import CPUContext

import skchaosprune
from skchaosprune._kernels import cache
from skchaosprune._kernels import jit as jit_module
from skchaosprune._kernels.jit import jit

SOURCE = """
def double(x):
    return 2 * x


def triple(x):
    return 3 * x
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module of two functions, whose kernels are kept in ``tmp_path / "cache"``."""
    (tmp_path / "functions.py").write_text(SOURCE, encoding="utf-8")
    path = tmp_path / "functions.py"
    spec = importlib.util.spec_from_file_location("functions", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "functions", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    monkeypatch.setattr(cache, "_has_warned", False)
    return module


def call_anew(function, *values):
    """Call as a new process does; return the results and how many kernels it found."""
    kernel = jit(function)
    return [kernel(value) for value in values], sum(kernel.stats.cache_hits.values())


def test_kernels_are_kept_and_found(functions):
    assert call_anew(functions.double, 21, 1.5) == ([42, 3.0], 0)
    assert call_anew(functions.double, 21, 1.5) == ([42, 3.0], 2)


def test_options_are_safe(functions):
    kernel = jit(functions.double)

    assert kernel.targetoptions["nogil"]
    assert not any(kernel.targetoptions.get(name) for name in ("fastmath", "parallel"))


def flip(content, rng):
    content = bytearray(content)
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(content)


DAMAGES = {
    "empty": lambda content, rng: b"",
    "cut": lambda content, rng: content[: rng.integers(1, len(content))],
    "random": lambda content, rng: rng.bytes(len(content)),
    "a pickle of something else": lambda content, rng: pickle.dumps("something else"),
    "a flipped bit": flip,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_a_miss_and_heals(functions, tmp_path, damage):
    rng = np.random.default_rng(0)
    call_anew(functions.double, 21)
    for suffix in ("nbc", "nbi"):  # a damaged index leaves files behind
        (path,) = tmp_path.glob(f"cache/*/*.{suffix}")
        whole = path.read_bytes()
        for _ in range(30 if damage == "a flipped bit" else 1):
            path.write_bytes(DAMAGES[damage](whole, rng))
            assert call_anew(functions.double, 21)[0] == [42]
            assert call_anew(functions.double, 21) == ([42], 1)


def test_kernels_are_found_without_what_compiles_them(functions, monkeypatch):
    """What numba loads to compile takes longer than most fits."""

    def refuse(context):
        raise AssertionError

    call_anew(functions.double, 21)
    with monkeypatch.context() as unable:
        unable.setattr(CPUContext, "refresh", refuse)
        assert call_anew(functions.double, 21) == ([42], 1)
    assert call_anew(functions.double, 21, 1.5) == ([42, 3.0], 1)
    monkeypatch.setattr("skchaosprune._kernels.cache.rtsys", None)
    assert call_anew(functions.double, 21) == ([42], 1)  # by all that numba loads


def test_a_kernel_in_the_place_of_another_is_not_run(functions, tmp_path):
    """The index may name the wrong file: one for floats in the place of integers'."""
    call_anew(functions.double, 21, 1.5)
    first, second = sorted(tmp_path.glob("cache/*/*.nbc"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)

    assert call_anew(functions.double, 21, 1.5)[0] == [42, 3.0]
    assert call_anew(functions.double, 21, 1.5) == ([42, 3.0], 2)


def test_a_kernel_in_the_place_of_another_function_is_not_run(functions, tmp_path):
    call_anew(functions.double, 21)
    call_anew(functions.triple, 14)
    double, triple = sorted(tmp_path.glob("cache/*/*.nbc"))
    triple.write_bytes(double.read_bytes())

    assert call_anew(functions.triple, 14) == ([42], 0)
    assert call_anew(functions.triple, 14) == ([42], 1)


def upgrade(functions):
    """Load the module again, after a change of its source."""
    path = Path(functions.__file__)
    path.write_text(SOURCE.replace("2 *", "20 *"), encoding="utf-8")
    functions.__spec__.loader.exec_module(functions)
    linecache.clearcache()


def test_a_kernel_of_an_earlier_version_is_not_run(functions, monkeypatch):
    """As after a full disk or a kill: the new index is there, the new kernel is not."""

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    call_anew(functions.double, 21)
    upgrade(functions)
    with monkeypatch.context() as full:
        full.setattr(caching.IndexDataCacheFile, "_save_data", fail)
        with pytest.warns(UserWarning, match="No space left"):
            assert call_anew(functions.double, 21) == ([420], 0)

    assert call_anew(functions.double, 21) == ([420], 0)
    assert call_anew(functions.double, 21) == ([420], 1)


def test_an_earlier_process_that_saves_late_is_no_harm(functions):
    old = jit(functions.double)
    upgrade(functions)
    call_anew(functions.double, 21)
    old(21)

    assert call_anew(functions.double, 21)[0] == [420]


def test_a_change_in_any_kernel_is_a_miss(functions, monkeypatch):
    """numba compiles in what a kernel calls, and looks at its own file only."""
    call_anew(functions.double, 21)
    monkeypatch.setattr(cache, "_SOURCES", "of another version")

    assert call_anew(functions.double, 21) == ([42], 0)
    assert call_anew(functions.double, 21) == ([42], 1)


def test_odd_files_beside_the_kernels_are_left_out(tmp_path, monkeypatch):
    for name in ("jit.py", "sgd.py"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    before = cache._hash_sources()

    (tmp_path / "folder.py").mkdir()
    (tmp_path / ".#jit.py").symlink_to("user@host.1:2")  # the lock of an editor
    (tmp_path / "broken.py").symlink_to("nowhere")
    assert cache._hash_sources() == before
    (tmp_path / "sgd.py").write_text("changed", encoding="utf-8")
    assert cache._hash_sources() != before


def test_files_are_none_of_those_of_numba(functions, tmp_path):
    call_anew(functions.double, 21)
    ours = {path.name for path in tmp_path.glob("cache/*/*.nb?")}
    numba.njit(cache=True)(functions.double)(21)

    others = {path.name for path in tmp_path.glob("cache/*/*.nb?")} - ours
    assert len(ours) == len(others) == 2
    assert call_anew(functions.double, 21) == ([42], 1)


def test_a_full_disk_warns_once_and_the_kernels_run(functions, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(caching.IndexDataCacheFile, "_save_index", fail)
        with pytest.warns(UserWarning, match="No space left.*NUMBA_CACHE_DIR") as seen:
            assert call_anew(functions.double, 21, 1.5) == ([42, 3.0], 0)
            assert call_anew(functions.triple, 14) == ([42], 0)

    assert len(seen) == 1
    call_anew(functions.double, 21)
    assert call_anew(functions.double, 21) == ([42], 1)


def test_a_damaged_cache_on_a_full_disk_is_a_miss(functions, tmp_path, monkeypatch):
    call_anew(functions.double, 21)
    for path in tmp_path.glob("cache/*/*.nb?"):
        path.write_bytes(b"")

    def fail(*args):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(caching.IndexDataCacheFile, "_open_for_write", fail)
    with pytest.warns(UserWarning, match="Read-only file system"):
        assert call_anew(functions.double, 21) == ([42], 0)


def test_numba_keeps_the_kernels_itself_if_its_parts_have_changed(
    functions, tmp_path, monkeypatch
):
    monkeypatch.setattr(jit_module, "CheckedCache", None)

    assert call_anew(functions.double, 21) == ([42], 0)
    assert call_anew(functions.double, 21) == ([42], 1)


def test_a_kernel_without_any_place_for_a_cache(functions, monkeypatch):
    def fail(*args):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(caching.FunctionCache, "__init__", fail)
    assert call_anew(functions.double, 21) == ([42], 0)


# All kernels are decorated, which may fail; one small one is compiled.
_CALL = """
import importlib, pkgutil
import skchaosprune
from skchaosprune import _kernels
from skchaosprune._kernels import jit, sgd
for module in pkgutil.iter_modules(_kernels.__path__):
    importlib.import_module(f"skchaosprune._kernels.{module.name}")
logistic = jit.jit(sgd._logistic.py_func)
print(skchaosprune.__file__, logistic.stats.cache_path, logistic(0.0))
"""


def call_in_child(tmp_path, environment, *, before=""):
    """Run ``_CALL`` on a copy of the package, each warning an error."""
    copy = tmp_path / "skchaosprune"
    package = Path(skchaosprune.__file__).parent
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for kernel in copy.rglob("*.py"):  # stops even the superuser
        (kernel.parent / "__pycache__").touch()
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", before + _CALL],
        cwd=tmp_path,
        env=os.environ | {"NUMBA_DISABLE_JIT": "0"} | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_a_kernel_where_no_cache_is_writable(tmp_path):
    places = ("HOME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR")
    result = call_in_child(tmp_path, dict.fromkeys(places, "/dev/null/cache"))

    assert (result.returncode, result.stderr) == (0, "")
    copy = tmp_path / "skchaosprune" / "__init__.py"
    assert result.stdout.split() == [str(copy), "None", "0.5"]


_NO_SPACE = """
import resource, warnings
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # bytes of a file, at most
warnings.simplefilter("always")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_kernel_where_the_disk_is_full(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    result = call_in_child(tmp_path, environment, before=_NO_SPACE)

    assert result.returncode == 0
    assert result.stdout.split()[-1] == "0.5"
    assert result.stderr.count("UserWarning") == 1
    assert "Compiled kernels cannot be kept in" in result.stderr
    assert not list(tmp_path.glob("cache/*/*.nbc"))
