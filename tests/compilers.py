"""C compilers, and functions of a header that they compile."""

import ctypes
import os
import subprocess
from contextlib import suppress
from functools import partial
from tempfile import TemporaryDirectory

import numpy as np
import pytest

STRICT = "-std=c99 -Wall -Wextra -Wconversion -pedantic -Werror".split()
SANITIZE = "-g -fsanitize=undefined,address -fno-sanitize-recover=all".split()


def _find(*flags):
    """List the compilers whose programs run; cc alone is one of the others."""
    found = [name for name in ("gcc", "clang", "cc") if _runs(name, *flags)]
    return [name for name in found if name != "cc"] or found


def _runs(compiler, *flags, language="c"):
    program = b"int main(void) { return 0; }"
    run = partial(subprocess.run, check=True, capture_output=True)
    with (
        suppress(OSError, subprocess.CalledProcessError),
        TemporaryDirectory() as folder,
    ):
        target = os.path.join(folder, "program")
        run([compiler, *flags, f"-x{language}", "-", "-o", target], input=program)
        run([target])
        return True
    return False


COMPILERS, SANITIZING = _find(), _find(*SANITIZE)
CPP = [name for name in COMPILERS if _runs(name, language="c++")]

needs_compiler = pytest.mark.skipif(
    not COMPILERS, reason="needs a C compiler: cc, gcc or clang"
)


def compile_c(compiler, source, target, *flags, strict=STRICT):
    """Compile a file; fail with what the compiler says."""
    command = [compiler, *strict, "-O1", *flags, str(source), "-o", str(target), "-lm"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


needs_cpp = pytest.mark.skipif(not CPP, reason="needs a C++ compiler: gcc or clang")

needs_sanitizer = pytest.mark.skipif(
    not SANITIZING, reason="needs a C compiler with undefined and address sanitizers"
)


class Compiled:
    """The functions of one header or of several, by the names that it was given."""

    def __init__(self, compiler, folder, headers):
        lines = [f'#include "{path}"' for path in headers.values()]
        for name, path in headers.items():
            kind = (
                "int"
                if "predict_proba" in path.read_text(encoding="utf-8")
                else "float"
            )
            declaration = f"{kind} predict_{name}(const float *x)"
            lines += [
                f"{declaration};",
                f"{declaration} {{ return {name}_predict(x); }}",
            ]
            if kind == "int":
                declaration = f"void proba_{name}(const float *x, float *p)"
                lines += [
                    f"{declaration};",
                    f"{declaration} {{ {name}_predict_proba(x, p); }}",
                ]
        source, target = folder / "library.c", folder / f"library_{compiler}.so"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        compile_c(compiler, source, target, "-shared", "-fPIC")
        self._library = ctypes.CDLL(str(target))

    def predict(self, name, X):
        """Return the index of the class, or the value, of each row."""
        function = self._library[f"predict_{name}"]
        if not hasattr(self._library, f"proba_{name}"):
            function.restype = ctypes.c_float
        return np.array([function(pointer(row)) for row in rows_of(X)])

    def predict_proba(self, name, X, n_classes):
        """Return the probabilities of each row."""
        function = self._library[f"proba_{name}"]
        probabilities = np.full((len(X), n_classes), np.nan, dtype=np.float32)
        for row, result in zip(rows_of(X), probabilities, strict=True):
            function(pointer(row), pointer(result))
        return probabilities


def rows_of(X):
    """Return rows in single precision."""
    return np.ascontiguousarray(X, dtype=np.float32)


def pointer(row):
    """Return the address of a row."""
    return row.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
