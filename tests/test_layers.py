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
_text _warn _persistence _callback_params _validation _weights _files _unwrap _names
_selection _affine _trace _network _scale _kernels _training criteria _export _to_c
compact _fit _placebo _importances _path report display _base estimators _pipelines
_legcnet
""".split()
HOMES = {
    "torch": "_training",
    "skorch": "_training",
    "numba": "_kernels",
    "statsmodels": "criteria",
    "onnx": "_export",
    "onnxruntime": "_export",
    "skl2onnx": "_export",
    "matplotlib": "display",
}
# From outside the standard library; what may be missing is imported late only.
DEPENDENCIES = {"joblib", "numpy", "scipy", "sklearn", "skchaosprune", "threadpoolctl"}
MAY_BE_MISSING = {"matplotlib", "onnx", "onnxruntime", "pandas", "skl2onnx"}
KNOWN = DEPENDENCIES | HOMES.keys() | MAY_BE_MISSING | sys.stdlib_module_names


def imported(nodes):
    """Names of all that is imported, as lists of their parts; calls as one of them."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module.split(".") if node.level == 0 else ["."]
            yield from ([*start, alias.name] for alias in node.names)
            if start == ["importlib"]:
                yield ["importlib"]
        elif isinstance(node, ast.Name) and node.id == "__import__":
            yield ["importlib"]


def find_faults(folder):
    """List imports against the order of the rooms or out of a home, and circles."""
    files = {
        str(path.relative_to(folder).with_suffix("")).replace("/__init__", ""): path
        for path in sorted(folder.rglob("*.py"))
    }
    rooms = {name.split("/")[0] for name in files} - {"__init__"}
    faults = [f"{room} has no place in LAYERS" for room in rooms ^ set(LAYERS)]
    graph = {name: set() for name in files}
    rank = {room: place for place, room in enumerate(LAYERS)}
    for name, path in files.items():
        room = name.split("/")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        by_name = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        if "skchaosprune" in by_name:
            faults.append(f"{name} imports the package by its name, with all rooms")
        late = {package for package, *_ in imported(tree.body)} & MAY_BE_MISSING
        faults += [f"{name} imports {package} at its top" for package in late]
        for package, *rest in imported(ast.walk(tree)):
            if HOMES.get(package, room) != room or package not in KNOWN:
                faults.append(f"{name} imports {package}")
            elif package == "importlib" and name != "__init__":
                if rest[:1] != ["metadata"]:  # tells versions, imports nothing
                    faults.append(f"{name} imports by a call")
            elif package == "skchaosprune" and rest and rest != ["__version__"]:
                places = ["/".join(rest[:depth]) for depth in range(len(rest), 0, -1)]
                place = next((place for place in places if place in files), None)
                if place is None or place == "__init__":
                    faults.append(f"{name} imports {rest[0]}, which is no room")
                elif rank.get(rest[0], 0) > rank.get(room, 0):
                    faults.append(f"{name} imports {rest[0]}")
                else:
                    graph[name].add(place)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        faults.append(f"circle: {' -> '.join(reversed(error.args[1]))}")
    return faults


def test_order_of_the_rooms():
    assert find_faults(FOLDER) == []


PLANTED = {
    "from skchaosprune._network import masks": "circle: _network/",
    "from skchaosprune.report import make_report": "_network/mlp imports report",
    "import skchaosprune.report as r": "_network/mlp imports the package by its name",
    "from skchaosprune import pruning_path": "_network/mlp imports pruning_path, which",
    "from .masks import keep_best": "_network/mlp imports .",
    "from importlib import import_module": "_network/mlp imports by a call",
    "__import__('torch')": "_network/mlp imports by a call",
    "import torch.nn": "_network/mlp imports torch",
    "import requests": "_network/mlp imports requests",
}


@pytest.mark.parametrize("line", PLANTED)
def test_what_is_planted_is_found(tmp_path, line):
    folder = tmp_path / "skchaosprune"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "_new.py").touch()
    with (folder / "_network" / "mlp.py").open("a", encoding="utf-8") as file:
        file.write(f"\n\ndef late():\n    {line}\n")

    faults = find_faults(folder)

    assert "_new has no place in LAYERS" in faults
    assert any(fault.startswith(PLANTED[line]) for fault in faults)


def test_steps_do_not_take_the_estimator():
    """Progress alone holds it, as scikit-learn's callbacks require."""
    names = {
        argument.arg
        for room in ("_network", "_kernels", "_training", "criteria", "_fit")
        for path in (FOLDER / room).rglob("*.py")
        if path.name != "progress.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.arguments)
        for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs)
    }
    assert not names & {"estimator", "model", "est", "clf", "fitted"}
