"""The architecture is a test: the order of the rooms, and where heavy packages live."""

import ast
import shutil
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import skchaosprune

FOLDER = Path(skchaosprune.__file__).parent

# Lowest first: a room imports from rooms before it, and from itself, late or not.
LAYERS = """
_persistence _validation _names _network _kernels _training criteria _export compact
_fit _placebo _path report display _base estimators _pipelines _legcnet
""".split()
HOMES = {
    "torch": "_training",
    "skorch": "_training",
    "numba": "_kernels",
    "statsmodels": "criteria",
    "onnx": "_export",
    "matplotlib": "display",
}


# From outside the standard library, anywhere; and what may be missing, late only.
DEPENDENCIES = {"joblib", "numba", "numpy", "scipy", "sklearn", "skchaosprune"}
DEPENDENCIES |= {"skorch", "statsmodels", "threadpoolctl", "torch"}
EXTRAS = {"matplotlib", "onnx", "pandas"}


def imported(path):
    """Names of all that a file imports, at its top or late, as lists of their parts."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from ([*node.module.split("."), alias.name] for alias in node.names)


def find_faults(folder):
    """List imports against the order of the rooms or out of a home, and circles."""
    files = {
        path.relative_to(folder)
        .with_suffix("")
        .as_posix()
        .replace("/__init__", ""): path
        for path in folder.rglob("*.py")
        if path != folder / "__init__.py"
    }
    faults, graph = [], {}
    for name, path in files.items():
        room, graph[name] = name.split("/")[0], set()
        for package, *rest in imported(path):
            if HOMES.get(package, room) != room:
                faults.append(f"{name} imports {package}")
            if package != "skchaosprune" or rest == ["__version__"]:
                continue
            if not rest:
                faults.append(f"{name} imports the package by its name")
                continue
            if LAYERS.index(rest[0]) > LAYERS.index(room):
                faults.append(f"{name} imports {rest[0]}")
            depths = range(len(rest), 0, -1)
            places = ["/".join(rest[:depth]) for depth in depths]
            graph[name].add(next(place for place in places if place in files))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        faults.append(f"circle: {' -> '.join(reversed(error.args[1]))}")
    return faults


def test_order_of_the_rooms():
    assert find_faults(FOLDER) == []


@pytest.mark.parametrize(
    ("name", "line", "fault"),
    [
        (
            "_network/mlp",
            "from skchaosprune._network import masks",
            "circle: _network/",
        ),
        ("compact", "from skchaosprune.report import x", "compact imports report"),
        ("_network/mlp", "import torch.nn", "_network/mlp imports torch"),
    ],
)
def test_what_is_planted_is_found(tmp_path, name, line, fault):
    folder = tmp_path / "skchaosprune"
    shutil.copytree(FOLDER, folder)
    with (folder / f"{name}.py").open("a") as file:
        file.write(f"\n\ndef late():\n    {line}\n")

    assert any(found.startswith(fault) for found in find_faults(folder))


@pytest.mark.parametrize(
    "room", ["_network", "_kernels", "_training", "criteria", "_fit"]
)
def test_steps_do_not_take_the_estimator(room):
    """Progress alone holds it, as scikit-learn's callbacks require."""
    names = {
        argument.arg
        for path in (FOLDER / room).rglob("*.py")
        if path.name != "progress.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.arguments)
        for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs)
    }
    assert not names & {"estimator", "model", "est", "clf"}


def test_packages_that_may_be_missing_are_imported_late():
    known = DEPENDENCIES | sys.stdlib_module_names
    for path in FOLDER.rglob("*.py"):
        top = {
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert {name.split(".")[0] for name in top} <= known, path
        assert {package for package, *_ in imported(path)} <= known | EXTRAS, path
