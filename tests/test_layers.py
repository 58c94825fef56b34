"""The architecture is a test: which file may import what."""

import ast
from pathlib import Path

import pytest

import skchaosprune

FOLDER = Path(skchaosprune.__file__).parent

# What each file may import at its top, from outside the standard library.
MAY_IMPORT = {
    "__init__": set(),
    "_jit": {"numba"},
    "_kernels": {"numpy", "_jit"},
    "_lyapunov": {"numpy", "_jit"},
    "_granger": {"numpy", "scipy", "_jit"},
    "_pruning": {"numpy"},
    "_mlp": {"numpy", "scipy", "_pruning"},
    "_progress": {"sklearn"},
    "_recording": {"numpy"},
    "_importance": {"numpy", "_mlp"},
    "_onnx": {"numpy", "sklearn", "compact"},
    "_persistence": {"sklearn", "__version__"},
    "compact": {"numpy", "scipy", "sklearn", "_mlp", "_persistence"},
    "display": {"numpy", "sklearn", "_pruning"},
    "report": {
        "numpy",
        "scipy",
        "sklearn",
        "_onnx",
        "_pruning",
        "_validation",
        "display",
    },
    "_ablation": {"numpy", "_jit", "_kernels", "_mlp"},
    "_legcnet": {"_validation", "criteria"},
    "_validation": {"numpy", "sklearn"},
    "criteria": {
        "joblib",
        "numpy",
        "scipy",
        "sklearn",
        "_ablation",
        "_granger",
        "_lyapunov",
        "_recording",
        "_validation",
    },
    "_search": {"numpy", "_kernels", "_pruning"},
    "_network": {
        "numpy",
        "sklearn",
        "skorch",
        "threadpoolctl",
        "torch",
        "_kernels",
        "_mlp",
    },
    "estimators": {
        "joblib",
        "numpy",
        "scipy",
        "sklearn",
        "__version__",
        "_importance",
        "_mlp",
        "_persistence",
        "_progress",
        "_pruning",
        "_recording",
        "_validation",
        "compact",
    },
}
# And inside functions, where heavy packages stay unloaded until they are needed.
MAY_IMPORT_LATE = {
    "criteria": {"statsmodels"},
    "estimators": {
        "_ablation",
        "_network",
        "_search",
        "criteria",
        "pandas",
        "report",
    },
    "compact": {"_network", "_onnx"},
    "_onnx": {"onnx"},
    "display": {"estimators", "matplotlib", "report"},
    "report": {"_network"},
}
STANDARD_LIBRARY = {
    "collections",
    "concurrent",
    "contextlib",
    "copy",
    "dataclasses",
    "dis",
    "functools",
    "html",
    "importlib",
    "inspect",
    "io",
    "itertools",
    "math",
    "numbers",
    "os",
    "pathlib",
    "pickle",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "warnings",
}


def imported(node):
    """Names of the modules of one import statement; ours without the package."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif node.module == "skchaosprune":
        names = [f"skchaosprune.{alias.name}" for alias in node.names]
    else:
        names = [node.module]
    for name in names:
        parts = name.split(".")
        yield parts[1] if parts[0] == "skchaosprune" else parts[0]


def imports_of(path):
    tree = ast.parse(path.read_text())
    top = {name for node in tree.body if is_import(node) for name in imported(node)}
    everywhere = {
        name for node in ast.walk(tree) if is_import(node) for name in imported(node)
    }
    return top, everywhere


def is_import(node):
    return isinstance(node, ast.Import | ast.ImportFrom)


def test_every_file_has_its_layer():
    assert {path.stem for path in FOLDER.glob("*.py")} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_imports(name):
    top, everywhere = imports_of(FOLDER / f"{name}.py")

    assert top - STANDARD_LIBRARY <= MAY_IMPORT[name]
    late = everywhere - STANDARD_LIBRARY - MAY_IMPORT[name]
    assert late <= MAY_IMPORT_LATE.get(name, set())


def test_no_relative_imports():
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level > 0)
