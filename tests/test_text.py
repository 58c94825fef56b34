"""Text for messages and tables: short, aligned, and with nothing hidden in it."""

import re
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skchaosprune import (
    ChaosCausalPrunedMLP,
    granger_causality,
    largest_lyapunov_exponent,
    pruning_path,
    to_onnx,
)
from skchaosprune._text import brief, brief_list, pad, shorten, width_of, wrap
from skchaosprune.compact import CompactMLP
from skchaosprune.criteria import ChaosCausality, FixedMasks, Intervention
from skchaosprune.display import CausalityDisplay, LyapunovDisplay, PruningCurveDisplay
from tests.helpers import small

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates, too
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126))


class Rude:
    """Cannot be shown."""

    def __repr__(self):
        raise RuntimeError("no")


@given(ANY_TEXT | ANY_TEXT.map(lambda text: text * 50), st.integers(8, 60))
def test_a_short_name_is_one_narrow_line_without_control_characters(name, width):
    short = shorten(name, width)
    assert width_of(short) <= width
    assert len(short) <= 4 * width + 3
    assert short.isprintable()
    assert short.splitlines() in ([short], [])
    assert shorten(short, width) == short


@given(PLAIN, st.integers(8, 60))
def test_a_plain_name_is_changed_only_where_it_is_too_long(name, width):
    short = shorten(name, width)
    if len(name) <= width:
        assert short == name
    else:
        head, _, tail = short.rpartition("...")
        assert len(short) == width
        assert name.startswith(short[: (width - 3) // 2])
        assert name.endswith(short[-((width - 3) // 2) :])


WIDTHS_AND_ESCAPES = [
    ("abc", 3, "abc"),
    ("身長", 4, "身長"),
    ("ｆ", 2, "ｆ"),  # full width
    ("ﾊﾝ", 2, "ﾊﾝ"),  # half width
    ("a\u0301", 1, "a\u0301"),
    ("\u1112\u1161\u11ab", 2, "\u1112\u1161\u11ab"),  # a Korean letter in parts
    ("👩", 2, "👩"),
    ("\x1b[31m", 8, r"\x1b[31m"),
    ("a\nb", 4, r"a\nb"),
    ("a\u202eb", 8, r"a\u202eb"),  # turns the direction of what follows
    ("\ud800", 6, r"\ud800"),
    ("a" + 5 * "\u0301", 13, "a" + 3 * "\u0301" + 2 * r"\u0301"),
]


def test_widths_and_escapes():
    for text, width, short in WIDTHS_AND_ESCAPES:
        assert shorten(text) == short
        assert width_of(short) == width
        assert pad(short, 20).startswith(short)
        assert width_of(pad(short, 20)) == width_of(pad(short, 20, right=True)) == 20


@given(ANY_TEXT, st.integers(2, 60))
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(text, width):
    lines = wrap(text, width)
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_short_value_is_written_as_python_does():
    values = None, 0.5, -3, "a", [1, 2], (50, 30), {"a": 1}, np.float64(0.5), True, int
    for value in values:
        assert brief(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        "身" * 10**6,
        list(range(10**6)),
        {number: "x" * 10_000 for number in range(1000)},
        np.zeros((1000, 1000)),
        np.array(["x" * 10_000] * 50),
        pd.DataFrame({"x" * 10_000: range(100)}),
        10**5000,
        Fraction(1, 10**4000),
        Rude(),
        [Rude()],
        type("Long" * 1000, (), {})(),
        ChaosCausality(target="x" * 10_000),
        "\ud800\x1b\n",
    ],
    ids=lambda value: type(value).__name__[:20],
)
def test_a_value_of_any_kind_is_one_short_line(value):
    text = brief(value)
    assert 0 < width_of(text) <= 200
    assert text.isprintable()


def test_a_list_shows_its_first_and_says_how_many_there_are():
    assert brief_list(["a", "b"]) == "['a', 'b']"
    assert brief_list(np.arange(9)) == "[0, 1, 2, 3, 4, ... 9 in all]"
    assert len(brief_list(["x" * 10_000] * 10_000)) < 250
    assert brief_list(np.array([True, False])) == "[True, False]"


# Errors

LONG = "長x\x1b\n" * 20_000
X = np.random.RandomState(0).standard_normal((30, 3))
Y = np.arange(30) % 2


def fit(**changes):
    small(**changes).fit(X, Y)


def fit_classes(labels):
    """Return a fit on long labels, ten rows of each."""
    y = np.array([f"{label}{LONG}" for label in labels] * 10, dtype=object)
    model = small(max_iter=1, prune_criterion="intervention")
    return model.fit(np.resize(X, (len(y), 3)), y)


def compact_of_named():
    names = [f"{number}{LONG}" for number in range(200)]
    frame = pd.DataFrame(np.resize(X, (30, 200)), columns=names)
    return small(max_iter=1).fit(frame, Y).compact(), frame


def predict_other_names():
    compact, frame = compact_of_named()
    compact.predict(frame.rename(columns={frame.columns[7]: LONG}))


def load_long_path(folder):
    path = folder.joinpath(*["長" * 60] * 10, "n.npz")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK nothing")
    CompactMLP.load_npz(path)


FAILURES = {
    "choice": lambda: fit(activation=LONG),
    "choice of another type": lambda: fit(activation=[LONG] * 1000),
    "number": lambda: fit(learning_rate_init=LONG),
    "huge int": lambda: fit(max_iter=-(10**5000)),
    "rude": lambda: fit(max_iter=Rude()),
    "bool": lambda: fit(keep_connected=np.zeros(10**6)),
    "prune_ratio": lambda: fit(prune_ratio={LONG: LONG}),
    "prune_ratio too high": lambda: fit(prune_ratio=1 - Fraction(1, 10**900)),
    "hidden_layer_sizes": lambda: fit(hidden_layer_sizes=[3] * 10**5 + [0]),
    "weight_init": lambda: fit(weight_init=[[LONG] * 1000]),
    "shapes of weight_init": lambda: fit(
        hidden_layer_sizes=[1] * 500, weight_init=([X] * 500, [X] * 500)
    ),
    "random_state": lambda: fit(random_state=LONG),
    "n_jobs": lambda: fit(n_jobs=LONG),
    "callbacks": lambda: fit(callbacks={LONG: LONG}),
    "names of callbacks": lambda: fit(callbacks=[(LONG, Rude())] * 1000),
    "criterion": lambda: fit(prune_criterion=[LONG] * 1000),
    "criterion by name": lambda: fit(prune_criterion=LONG),
    "parameter of a criterion": lambda: fit(prune_criterion=ChaosCausality(test=LONG)),
    "points": lambda: fit(prune_criterion=Intervention(points=[LONG] * 1000)),
    "masks": lambda: fit(prune_criterion=FixedMasks([X] * 1000)),
    "window_size": lambda: fit(
        prune_criterion=ChaosCausality(theiler_window=10**4000), max_iter=3
    ),
    "memory": lambda: fit(memory=LONG.replace("\x1b", "").replace("\n", "")),
    "device": lambda: fit(device=LONG),
    "nested parameter": lambda: small(prune_criterion=LONG).set_params(
        prune_criterion__max_lag=3
    ),
    "one class": lambda: fit_classes("a"),
    "unknown labels": lambda: fit_classes(range(15)).placebo_test(X, [LONG] * 30),
    "columns": predict_other_names,
    "prune_ratios": lambda: pruning_path(small(), X, Y, LONG),
    "cv": lambda: pruning_path(small(), X, Y, [0.5], cv=[]),
    "no estimator": lambda: pruning_path(type("L" * 10**4, (), {}), X, Y, [0.5]),
    "export of what is no network": lambda: to_onnx(type("L" * 10**4, (), {})(), "x"),
    "weights of a display": lambda: LyapunovDisplay(
        lyapunov_exponents=X, target_series=Y
    ).plot(weights=[LONG] * 1000),
    "criterion without tests": lambda: CausalityDisplay.from_estimator(
        small(prune_criterion=lambda record: np.abs(record.weights)).fit(X, Y)
    ),
    "parameters of a search": lambda: PruningCurveDisplay.from_search(
        {
            "params": [{f"{number}{LONG}": 1 for number in range(100)}],
            "split0_test_score": np.ones(1),
        }
    ),
    "metric": lambda: PruningCurveDisplay.from_search({"params": []}, metric=LONG),
    "exponent": lambda: largest_lyapunov_exponent(X, theiler_window=10**4000),
    "lag": lambda: granger_causality(X[:, 0], X, max_lag=10**4000),
    "test": lambda: granger_causality(X[:, 0], X, test=LONG),
}


@pytest.mark.parametrize("case", FAILURES)
def test_errors_stay_short_and_in_one_line(case):
    with pytest.raises((ValueError, TypeError)) as caught:
        FAILURES[case]()
    text = str(caught.value)
    assert width_of(text) < 2000
    assert text.isprintable()


def test_a_path_in_an_error_is_short(tmp_path):
    with pytest.raises(ValueError, match="is not a network that") as caught:
        load_long_path(tmp_path)
    assert width_of(str(caught.value)) < 2000


def test_columns_of_another_order_are_told_from_the_first_that_differs():
    compact, frame = compact_of_named()
    with pytest.raises(ValueError, match="column 7 is the first that differs"):
        compact.predict(frame.rename(columns={frame.columns[7]: "other"}))
    with pytest.raises(ValueError, match=r"200 in all\], and column 3 is the first"):
        compact.predict(frame.iloc[:, :3])


# Reports


@pytest.fixture(scope="module")
def named_report():
    """A report on Chinese names, long ones, and ones with control characters."""
    names = ["身長" * 100, "体重", "b\x1b[31m\n\u202e", "e" + "\u0301" * 100, "\ud800"]
    frame = pd.DataFrame(
        np.random.RandomState(0).standard_normal((30, 5)), columns=names
    )
    y = np.where(frame.iloc[:, 0] > 0, "いいえ" * 1000, "はい")
    return small().fit(frame, y).report(frame, y), names


def test_columns_of_a_report_are_aligned(named_report):
    report, names = named_report
    lines = str(report).splitlines()
    table = [line for line in lines if re.search(r"\d\.\d{3}$", line)]
    assert len(table) > 10
    assert len({width_of(line) for line in table}) == 1
    assert all(width_of(line) <= 88 for line in lines)
    assert any("体重" in line for line in table)


def test_control_characters_of_names_are_seen_in_a_report(named_report):
    report, names = named_report
    for text in (str(report), repr(report), report._repr_html_()):
        assert r"b\x1b[31m\n\u202e" in text
        assert r"\ud800" in text
        assert "\x1b" not in text and "\u202e" not in text and "\ud800" not in text
        assert len(text) < 20_000


def test_dictionaries_and_tables_keep_whole_names(named_report):
    report, names = named_report
    listed = report.to_dict()["strongest_features"]
    shown = {each["name"] for each in listed}
    assert shown == set(names)


def test_progress_lines_of_any_class_are_short(capsys):
    kind = type("Long" * 1000, (ChaosCausalPrunedMLP,), {})
    small(kind, verbose=1, max_iter=2).fit(X, Y)
    assert all(len(line) < 100 for line in capsys.readouterr().out.splitlines())
