"""The environment of `make test-oldest` has the lower bounds of pyproject.toml."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

FOLDER = Path(__file__).parents[1]
PYPROJECT = (FOLDER / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINNED_IN_MAKEFILE = "torch"


def lower_bounds(lines):
    """Names and smallest versions of requirements like "numpy>=2.0"."""
    bounds = {}
    for requirement in map(Requirement, lines):
        (clause,) = requirement.specifier
        assert clause.operator == ">=", requirement
        bounds[canonicalize_name(requirement.name)] = Version(clause.version)
    return bounds


BOUNDS = lower_bounds(PROJECT["dependencies"] + EXTRAS["tests"])


def test_every_lower_bound_is_pinned():
    lines = (FOLDER / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and line[0] != "#")
    pinned = {canonicalize_name(name): Version(pins[name]) for name in pins}

    for name in BOUNDS.keys() - {PINNED_IN_MAKEFILE}:
        assert pinned.get(name) == BOUNDS[name], name


@pytest.mark.parametrize("extra", EXTRAS)
def test_extras_agree_on_lower_bounds(extra):
    names = {line: canonicalize_name(Requirement(line).name) for line in EXTRAS[extra]}
    shared = [line for line in EXTRAS[extra] if names[line] in BOUNDS]

    for name, bound in lower_bounds(shared).items():
        assert bound == BOUNDS[name], name
