"""Text can be printed anywhere: ours is ASCII, that of users is escaped."""

import ast
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import skchaosprune
from skchaosprune import ChaosCausalPrunedMLP, pruning_path
from skchaosprune._text import printable, width_of
from tests.helpers import small

FOLDER = Path(skchaosprune.__file__).parent

# Of Japan, China, Korea, Taiwan, Russia, Western Europe and nowhere.
ENCODINGS = "cp932 gbk cp949 big5 koi8-r cp1252 ascii".split()
NAMES = {"ASCII": ["size", "height", "age"], "others": ["größe", "高さ", "возраст"]}
LABELS = {"ASCII": ["no", "yes"], "others": ["no", "où€"]}

# Axis labels of figures.
NOT_PRINTED = {"\n(mean ± standard error)"}


class Größe(ChaosCausalPrunedMLP):
    """A subclass whose name is printed."""


def make_rows(which):
    values = np.random.RandomState(0).standard_normal((30, 3))
    labels = np.array(LABELS[which])[(values[:, 0] > 0).astype(int)]
    return pd.DataFrame(values, columns=NAMES[which]), labels


@pytest.fixture(scope="module")
def shown():
    """A report and a compact network of a fit on names of each kind."""
    parts = {}
    for which in NAMES:
        X, y = make_rows(which)
        model = small(max_iter=3).fit(X, y)
        parts[which] = [model.report(X, y), model.compact()]
    return parts


@pytest.fixture
def output(monkeypatch):
    """Start a standard output of some encoding; gives what was printed since."""

    def start(encoding):
        raw = io.BytesIO()
        file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
        monkeypatch.setattr(sys, "stdout", file)
        return lambda: raw.getvalue().decode(encoding)

    return start


def escape(text, encoding):
    return text.encode(encoding, "backslashreplace").decode(encoding)


def assert_shows_all(printed, shown, encoding):
    """All that was printed: of the first fit as it is, of the other escaped."""
    for part in shown["ASCII"]:
        assert repr(part).isascii()
        assert repr(part) in printed
    for name in [*NAMES["others"], LABELS["others"][1]]:
        assert escape(name, encoding) in printed


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_process_of_any_encoding_prints(shown, encoding, tmp_path):
    path = tmp_path / "shown"
    path.write_bytes(pickle.dumps([*shown["ASCII"], *shown["others"]]))
    code = "import joblib, sys\nfor each in joblib.load(sys.argv[1]):\n    print(each)"
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert_shows_all(result.stdout.decode(encoding), shown, encoding)


def test_letters_are_escaped_that_the_output_does_not_have(shown, output):
    for encoding in [*ENCODINGS, "utf-8", "utf-16"]:
        printed = output(encoding)
        for part in [*shown["ASCII"], *shown["others"]]:
            print(part)
        assert_shows_all(printed(), shown, encoding)


def test_notebooks_and_repr_have_all_letters(shown, output):
    report, _ = shown["others"]
    output("ascii")

    for name in [*NAMES["others"], LABELS["others"][1]]:
        assert name in repr(report)
        assert name in report._repr_html_()


def test_an_output_without_encoding(shown, monkeypatch):
    report, _ = shown["others"]
    for stream in io.StringIO(), None:
        monkeypatch.setattr(sys, "stdout", stream)
        assert str(report) == repr(report)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", [ChaosCausalPrunedMLP, Größe])
def test_a_verbose_fit_prints(encoding, kind, output):
    rows, printed = make_rows("others"), output(encoding)
    model = small(kind, max_iter=3, verbose=2)

    model.fit(*rows)
    pruning_path(model, *rows, [0.5], cv=2)

    owner = escape(kind.__name__, encoding)
    assert f"[{owner}] dense training: epoch 3/3, loss" in printed()
    assert "[pruning_path] fold 2/2, prune_ratio=0.5: score" in printed()


def texts_of(tree):
    """All texts in a module but docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node.value


def test_texts_of_the_package_are_ascii():
    texts = {
        text
        for path in FOLDER.rglob("*.py")
        for text in texts_of(ast.parse(path.read_text(encoding="utf-8")))
    }

    assert len(texts) > 500
    assert {text for text in texts if not text.isascii()} == NOT_PRINTED


def is_text_without_encoding(call):
    """Tell whether a call reads or writes text as the machine encodes it."""
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if getattr(call.func, "id", None) == "open":
        return not (len(call.args) > 1 and "b" in call.args[1].value)
    return getattr(call.func, "attr", None) in ("read_text", "write_text")


def test_text_files_are_utf8_everywhere():
    """Whatever the encoding of the machine."""
    root = Path(__file__).parents[1]
    places = [
        f"{path.relative_to(root)}:{node.lineno}"
        for folder in ("skchaosprune", "tests", "benchmarks", "examples", "docs")
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and is_text_without_encoding(node)
    ]

    assert places == []


@pytest.mark.parametrize("encoding", ["no such encoding", "rot13", 5])
def test_streams_of_a_strange_encoding_get_ascii(monkeypatch, encoding):
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(encoding=encoding))

    assert printable("a \xe9") == r"a \xe9"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_columns_of_a_report_stay_in_line(shown, output, encoding):
    report, _ = shown["others"]
    printed = output(encoding)
    print(report)

    lines = printed().splitlines()
    heading = lines.index("importances of the strongest inputs")
    n_features = len(report.strongest_features)
    rows = lines[1:heading] + lines[heading + 1 : heading + 1 + n_features]
    assert len(rows) > n_features + 10
    assert len({width_of(row) for row in rows}) == 1
