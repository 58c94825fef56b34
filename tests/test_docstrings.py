"""Public docstrings say everything that numpydoc asks for."""

import inspect
import re
from importlib import import_module

from numpydoc.validate import validate

import skchaosprune
from skchaosprune import criteria

# Nobody makes these but us: their fields are attributes, not parameters.
RESULTS = ["GrangerCausalityResult", "report.PruningPath", "report.PruningReport"]

NOT_ASKED_FOR = {
    "ES01": "a summary that says it all needs no second paragraph",
    "EX01": "examples stand with classes and functions, not with every method",
    "GL01": "where a summary starts depends on the version of numpydoc",
    "RT02": "what is returned has a name, as in scikit-learn",
    "SA01": "not everything has a relative",
}
# Parts of a criterion have the parameters and results of the first one, and say so.
SAYS_WHERE = re.compile("see :class:`(Criterion|ChaosCausality)` for the parameters")
SAID_THERE = {"PR01", "RT01"}


def public_names():
    own = [f"criteria.{name}" for name in criteria.__all__ if not name.isupper()]
    return sorted({*skchaosprune.__all__, *own, *RESULTS})


def is_ours(thing):
    if isinstance(thing, property):
        thing = thing.fget
    return getattr(thing, "__module__", "").startswith("skchaosprune")


def public_members(name):
    """Public methods and properties of a class that are ours; none of a function."""
    module, _, last = f"skchaosprune.{name}".rpartition(".")
    thing = getattr(import_module(module), last)
    if not inspect.isclass(thing):
        return []
    return [
        member
        for member, value in inspect.getmembers(thing)
        if not member.startswith("_") and is_ours(value)
    ]


def problems_of(name):
    result = validate(f"skchaosprune.{name}")
    accepted = set(NOT_ASKED_FOR)
    if SAYS_WHERE.search(" ".join(result["docstring"].split())):
        accepted |= SAID_THERE
    if name in RESULTS:
        accepted.add("PR01")
    return [
        f"{name}: {code} {text}"
        for code, text in result["errors"]
        if code not in accepted
    ]


def test_docstrings():
    names = public_names()
    names += [f"{name}.{member}" for name in names for member in public_members(name)]

    problems = [problem for name in names for problem in problems_of(name)]

    assert problems == []


def test_members_are_walked():
    assert {"predict", "load_npz", "storage_"} <= set(public_members("CompactMLP"))
    assert "set_score_request" not in public_members("ChaosCausalPrunedMLP")
