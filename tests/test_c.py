"""The C header: compiled, it predicts what the estimator predicts."""

import re
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import (
    ColumnTransformer,
    make_column_selector,
    make_column_transformer,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from skchaosprune import ChaosCausalPrunedMLP, to_c
from skchaosprune._affine import Affine, compose
from skchaosprune._export import c, embedded
from skchaosprune._network import mlp
from skchaosprune._to_c import embed
from tests.compilers import (
    COMPILERS,
    CPP,
    SANITIZE,
    SANITIZING,
    Compiled,
    compile_c,
    needs_compiler,
    needs_cpp,
    needs_sanitizer,
)
from tests.helpers import small
from tests.test_compact import ACTIVATIONS, KINDS, fit, make_network, make_rows

HIDDEN = [(), (9,), (20, 15), (9, 8, 7)]


def sizes_of_sums(network, rows):
    """Sums of |w x| on the way to the outputs of each row, with what they grow to."""
    values, sizes = rows[:, network.selected_features_], 0.0
    pairs = list(zip(network.coefs_, network.intercepts_, strict=True))
    for W, b in pairs:
        sizes = sizes @ np.abs(W) if np.ndim(sizes) else 0.0
        sizes = sizes + np.abs(values) @ np.abs(W) + np.abs(b)
        values = values @ W + b
        if W is not pairs[-1][0]:
            values = mlp.activate(values, network.activation_)
    return sizes.max(axis=1)


def assert_same_outputs(code, name, network, X):
    """Compare with the network on the same rows in single precision."""
    rows = np.float32(X).astype(np.float64)
    expected = network.predict(rows)
    found = code.predict(name, X)
    compact = network.compact() if hasattr(network, "compact") else network
    sums = sizes_of_sums(compact, rows)
    tolerance = 2e-6 * np.maximum(1.0, sums / 30.0)
    if not hasattr(network, "classes_"):
        # a probability moves by a quarter of what enters it
        tolerance = 4.0 * tolerance * compact.target_scale_ + 1e-6 * np.abs(expected)
        assert (np.abs(found - expected) <= tolerance).all()
        return True
    right = network.predict_proba(rows)
    probabilities = code.predict_proba(name, X, len(network.classes_))
    error = np.abs(probabilities - right).max(axis=1)
    assert (error <= tolerance).all(), (error / tolerance).max()
    second, first = np.sort(right, axis=1)[:, -2:].T
    clear = first - second > 1e-5
    assert_array_equal(network.classes_[found[clear]], expected[clear])
    return clear.any()


@pytest.fixture(scope="module")
def X():
    return make_rows(500, seed=3)[0]


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_networks(tmp_path, X, kind):
    models, headers = {}, {}
    for place, activation in enumerate(ACTIVATIONS):
        for depth, hidden in enumerate(HIDDEN):
            name = f"{activation}_{depth}"
            ratio = [0.0, 0.5, 0.9][(place + depth) % 3]
            model = fit(kind, hidden, ratio=ratio, activation=activation)
            models[name], headers[name] = model, tmp_path / f"{name}.h"
            model.to_c(headers[name])
    models["constant"], headers["constant"] = fit(kind, ratio=1.1), tmp_path / "c.h"
    to_c(models["constant"], headers["constant"], name="constant")
    assert models["constant"].compact().layer_sizes_[0] == 0

    for compiler in COMPILERS:
        code = Compiled(compiler, tmp_path, headers)
        clear = [assert_same_outputs(code, name, m, X) for name, m in models.items()]
        assert kind == "regressor" or all(clear[:-1])  # but of the constant network


@needs_compiler
def test_wide_layers_and_one_input(tmp_path):
    rng = np.random.RandomState(0)
    networks = {
        # columns and counts of 8 and of 16 bits, sparse and dense
        "wide": make_network((300, 400, 3), density=0.02),
        "full": make_network(
            (1000, 20, 2),
            coefs=[
                rng.standard_normal(shape) * (rng.uniform(size=shape) < 0.6) / 20.0
                for shape in ((1000, 20), (20, 2))
            ],
            activation="tanh",
        ),
        "two": make_network((257, 1), "logistic", density=0.5),
        # the largest column and the largest count of 8 bits, and one more
        "edge": make_network(
            (257, 1),
            "logistic",
            n_features_in=257,
            density=0.4,
            selected_features=np.arange(257),
        ),
        "last": make_network(
            (256, 1),
            "logistic",
            n_features_in=256,
            density=0.4,
            selected_features=np.arange(256),
        ),
        "half": make_network(
            (500, 2),
            coefs=[
                (np.arange(500) % 2 == 0)[:, None]
                * np.arange(1, 501)[:, None]
                * np.ones(2)
                / 1000
            ],
        ),
        "zeros": make_network((5, 3), coefs=[np.zeros((5, 3))]),
        "scaled": make_network((3, 1), "identity", target_scale=0.5),
        "one": make_network((1, 4, 1), "identity", target_mean=5.0, target_scale=3.0),
        "many": make_network((5, 70_000 // 5, 4), density=0.3, activation="logistic"),
    }
    headers = {}
    for name, network in networks.items():
        headers[name] = tmp_path / f"{name}.h"
        to_c(network, headers[name])
    assert "wide_sparse_8_16(" in headers["wide"].read_text(encoding="utf-8")
    assert "two_sparse_8_16(" in headers["two"].read_text(encoding="utf-8")
    assert "full_sparse_16_16(" in headers["full"].read_text(encoding="utf-8")
    assert "one_dense(" in headers["one"].read_text(encoding="utf-8")

    code = Compiled(COMPILERS[0], tmp_path, headers)
    for name, network in networks.items():
        X = np.random.RandomState(0).standard_normal((20, network.n_features_in_))
        assert_same_outputs(code, name, network, X)


@st.composite
def networks(draw):
    sizes = draw(st.lists(st.integers(1, 40), min_size=2, max_size=5))
    out_activation = draw(st.sampled_from(["identity", "logistic", "softmax"]))
    sizes[-1] = 1 if out_activation == "identity" else sizes[-1]
    if out_activation == "softmax":
        sizes[-1] = max(2, sizes[-1])
    rng = np.random.RandomState(draw(st.integers(0, 2**31 - 1)))
    density = draw(st.sampled_from([0.0, 0.03, 0.1, 0.3, 1.0]))
    scale = 10.0 ** draw(st.integers(-3, 1))
    shapes = zip(sizes[:-1], sizes[1:], strict=True)
    return make_network(
        tuple(sizes),
        out_activation,
        activation=draw(st.sampled_from(ACTIVATIONS)),
        coefs=[
            scale * rng.standard_normal(shape) * (rng.uniform(size=shape) < density)
            for shape in shapes
        ],
        intercepts=[rng.standard_normal(size) for size in sizes[1:]],
    )


@needs_compiler
@settings(max_examples=40, deadline=None)
@given(network=networks(), seed=st.integers(0, 1000))
def test_any_network(tmp_path_factory, network, seed):
    folder = tmp_path_factory.mktemp("any")
    to_c(network, folder / "any.h")
    code = Compiled(COMPILERS[0], folder, {"any": folder / "any.h"})
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((50, network.n_features_in_))
    assert_same_outputs(code, "any", network, X)


# The scalers


def make_pipelines():
    """Pipelines of a raw frame whose columns are far from 0, by name."""
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.standard_normal((200, 5)), columns=list("abcde"))
    X = X * [1.0, 1e-3, 1.0, 1e4, 1.0] + [0.0, 5.0, 1e4, -1e4, 3.0]
    y = np.where(X["a"] + X["c"] > 1e4, "yes", "no")
    scalers = {
        "standard": [StandardScaler()],
        "mean": [StandardScaler(with_std=False)],
        "spread": [StandardScaler(with_mean=False)],
        "minmax": ["passthrough", MinMaxScaler(feature_range=(-1, 3))],
        "maxabs": [MaxAbsScaler()],
        "robust": [RobustScaler(), None],
        "plain": [RobustScaler(with_centering=False, with_scaling=False)],
        "twice": [MinMaxScaler((-1, 3)), StandardScaler()],
        "same": [
            ColumnTransformer(
                [
                    ("m", MaxAbsScaler(), ["a", "e"]),
                    ("again", MaxAbsScaler(), slice(None, "c")),
                    ("steps", "passthrough", slice(0, 5, 4)),
                ]
            )
        ],
        "nested": [make_pipeline(StandardScaler(), MaxAbsScaler())],
        "select": [StandardScaler(), SelectKBest(k=3)],
        "columns": [
            ColumnTransformer(
                [
                    ("s", StandardScaler(), ["d", "a"]),
                    ("p", "passthrough", [4]),
                    ("m", make_pipeline(MinMaxScaler()), slice("b", "c")),
                    ("again", RobustScaler(), lambda frame: ["a"]),
                ]
            ),
        ],
        "rest": [
            make_column_transformer(
                (StandardScaler(), [False, False, True, True, False]),
                ("drop", "b"),
                remainder=MaxAbsScaler(),
            )
        ],
        "weighted": [
            ColumnTransformer(
                [("s", StandardScaler(), ["c"]), ("m", MinMaxScaler(), ["a", "e"])],
                transformer_weights={"m": -3.0},
            ),
            StandardScaler(),
        ],
        "empty": [
            ColumnTransformer(
                [
                    ("n", StandardScaler(), []),
                    ("o", RobustScaler(), make_column_selector(dtype_include=object)),
                    ("d", make_column_transformer(("drop", ["a"])), ["a"]),
                    ("s", StandardScaler(), [-1, 0]),
                ]
            )
        ],
        "inner": [make_pipeline("passthrough", StandardScaler())],
        "left": [
            make_column_transformer(
                (StandardScaler(), slice(1, 4)), remainder="passthrough"
            )
        ],
    }
    models = {
        name: make_pipeline(*steps, small(max_iter=3, prune_ratio=0.2))
        for name, steps in scalers.items()
    }
    return {name: model.fit(X, y) for name, model in models.items()}, X


@needs_compiler
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # of rows that are not scaled
def test_scalers_before_the_network(tmp_path):
    models, X = make_pipelines()
    headers = {name: tmp_path / f"{name}.h" for name in models}
    for name, model in models.items():
        to_c(model, headers[name])
        text = headers[name].read_text(encoding="utf-8")
        assert f"#define {name.upper()}_N_FEATURES 5\n" in text
        assert " *     3  d\n" in text
    assert "centre" in headers["standard"].read_text(encoding="utf-8")
    assert "centre" not in headers["maxabs"].read_text(encoding="utf-8")

    code = Compiled(COMPILERS[0], tmp_path, headers)
    rows = X.astype(np.float32)
    for name, model in models.items():
        right = model.predict_proba(rows.astype(np.float64))
        found = code.predict_proba(name, rows, 2)
        # steps without a scaler see numbers of 1e4
        is_raw = name in ("plain", "mean", "spread", "columns", "maxabs", "same")
        assert np.abs(found - right).max() < (1e-3 if is_raw else 2e-6), name


@needs_compiler
def test_a_scaler_of_single_precision(tmp_path):
    """MinMaxScaler computes with its rounded min_, and so does the file."""
    X = np.float32(make_rows(100)[0] + 1e3)
    y = (X[:, 0] > 1e3).astype(int)
    model = make_pipeline(MinMaxScaler((-1, 1)), small(max_iter=5)).fit(X, y)
    assert model[0].min_.dtype == np.float32
    to_c(model, tmp_path / "net.h")
    code = Compiled(COMPILERS[0], tmp_path, {"net": tmp_path / "net.h"})
    right = model.predict_proba(X.astype(np.float64))
    assert np.abs(code.predict_proba("net", X, 2) - right).max() < 2e-6


@needs_compiler
@pytest.mark.parametrize("offset", [1e4, 1e6])
def test_means_that_are_far_from_zero_cost_no_digits(tmp_path, cancer, offset):
    X, y = cancer
    model = make_pipeline(StandardScaler(), small(max_iter=20)).fit(X + offset, y)
    to_c(model, tmp_path / "far.h")
    code = Compiled(COMPILERS[0], tmp_path, {"far": tmp_path / "far.h"})

    rows = np.float32(X + offset)
    right = model.predict_proba(rows.astype(np.float64))
    assert np.abs(code.predict_proba("far", rows, 2) - right).max() < 2e-6


# The file


@needs_sanitizer
def test_names_and_labels_are_only_text(tmp_path):
    names = ["*/ int x;", "/* a */", "??/", "???/", "\\", "é\n\x00*/", "*//*/", "%d"]
    labels = np.array(['a"b', "c\\", "??/x", "é\n%s", "\x01" + "1"])
    network = make_network(
        (8, 3, 5),
        classes=labels,
        n_features_in=8,
        selected_features=np.arange(8),
        feature_names_in=np.array(names, dtype=object),
    )
    to_c(network, tmp_path / "t.h", name="t")
    header = (tmp_path / "t.h").read_bytes()
    assert header.isascii()
    assert header.count(b"*/") == header.count(b"/*")
    source = tmp_path / "main.c"
    source.write_text(
        '#include <stdio.h>\n#include "t.h"\n#include "t.h"\n'
        "int main(void) { static const char *const labels[] = T_CLASS_LABELS;\n"
        "int i; float x[T_N_FEATURES] = {0}, p[T_N_CLASSES];\n"
        't_predict_proba(x, p); printf("%d|", t_predict(x));\n'
        'for (i = 0; i < T_N_CLASSES; i++) printf("%s|", labels[i]);\nreturn 0; }\n',
        encoding="utf-8",
    )
    for compiler in SANITIZING:
        compile_c(compiler, source, tmp_path / "main", *SANITIZE)
        run = subprocess.run(tmp_path / "main", capture_output=True, check=True)
        code, *rest = run.stdout.decode().split("|")
        assert rest == [*labels, ""]
        assert labels[int(code)] == network.predict(np.zeros((1, 8)))[0]


@needs_compiler
def test_names_that_differ_by_case(tmp_path):
    first, second = make_network(), make_network((4, 3, 3), n_features_in=8)
    headers = {"net": tmp_path / "a.h", "Net": tmp_path / "b.h"}
    for (name, path), network in zip(headers.items(), (first, second), strict=True):
        to_c(network, path, name=name)
        text = path.read_text(encoding="utf-8").replace(
            "NET_", f"{name}_"
        )  # macros are alike
        path.write_text(text, encoding="utf-8")
    code = Compiled(COMPILERS[0], tmp_path, headers)
    X = np.random.RandomState(0).standard_normal((20, 8))
    assert_same_outputs(code, "net", first, X)
    assert_same_outputs(code, "Net", second, X)


@needs_cpp
def test_several_headers_in_one_program_also_of_cpp(tmp_path):
    first, second = make_network((6, 4, 3), density=0.3), make_network()
    X = np.random.RandomState(0).standard_normal((50, 8))
    to_c(first, tmp_path / "a.h")
    to_c(second, tmp_path / "b.h", X, dtype="int16")
    source = tmp_path / "main.cpp"
    source.write_text(
        '#include "a.h"\n#include "b.h"\n#include "a.h"\n'
        "int main() { float x[A_N_FEATURES] = {0};\n"
        "return 10 * a_predict(x) + b_predict(x); }\n",
        encoding="utf-8",
    )
    labels = [network.predict(np.zeros((1, 8)))[0] for network in (first, second)]
    strict = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-xc++"]
    for compiler in CPP:
        for standard in "c++98", "c++20":
            flags = [f"-std={standard}", "-Wno-long-long"]  # of the system's headers
            compile_c(compiler, source, tmp_path / "main", *flags, strict=strict)
            run = subprocess.run(tmp_path / "main")
            assert run.returncode == 10 * labels[0] + labels[1]


def read_arrays(text):
    """All constant arrays of a header: names, C types and values as they stand."""
    pattern = r"static const (\w+) (\w+)\[\] = \{([^}]*)\};"
    return {
        name: (kind, [word.strip() for word in body.split(",")])
        for kind, name, body in re.findall(pattern, text)
    }


def test_numbers_read_back_as_they_are(tmp_path, cancer):
    X, y = cancer
    model = make_pipeline(StandardScaler(), small(max_iter=5)).fit(X * 1e-3 + 1, y)
    to_c(model, tmp_path / "net.h")
    arrays = read_arrays((tmp_path / "net.h").read_text(encoding="utf-8"))
    mlp_ = model[-1]

    kind, centre = arrays["centre"]
    assert kind == "float"
    used = mlp_.compact().selected_features_
    assert_array_equal(
        np.array([np.float32(word.removesuffix("f")) for word in centre]),
        np.float32(model[0].mean_[used]),
    )
    compact = mlp_.compact()
    inputs = compose(Affine.identity(model[0]), model[0]).select(used)
    network = embedded.embed(
        compact.coefs_, compact.intercepts_, compact.activation_, inputs
    )
    words = arrays["weights_1"][1]
    values = np.array([np.float32(word.removesuffix("f")) for word in words])
    assert_array_equal(values, network.layers[0].values)
    assert all(word.endswith("f") for word in words)


def test_print_options_of_numpy_change_nothing(tmp_path, fitted):
    fitted.to_c(tmp_path / "net.h")
    expected = (tmp_path / "net.h").read_bytes()
    with np.printoptions(legacy="1.13", precision=2):
        fitted.to_c(tmp_path / "net.h")
    assert (tmp_path / "net.h").read_bytes() == expected
    for value in (0.1, 1 / 3, 3.4e38, 1e-45, -0.0, 1e-4, 123456.79, 1e6, 2.5):
        single = np.float32(value)
        text = c._number(single)
        assert re.fullmatch(r"-?\d+\.\d+(e[+-]\d+)?f", text)
        assert np.float32(text[:-1]).tobytes() == single.tobytes()


def test_bytes_are_those_of_the_file(tmp_path):
    widths = {"float": 4, "int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2}
    widths["int32_t"] = 4
    for density in 0.05, 0.3, 0.7, 1.0:
        for dtype in embedded.DTYPES:
            network = make_network((300, 20, 3), density=density)
            rows = np.random.RandomState(0).standard_normal((50, 302))
            with warnings.catch_warnings(action="ignore"):  # of points lost
                network.to_c(tmp_path / "net.h", rows, dtype=dtype)
            text = (tmp_path / "net.h").read_text(encoding="utf-8")
            n_bytes = sum(
                widths[kind] * len(words) for kind, words in read_arrays(text).values()
            )
            assert f"{n_bytes:,} bytes of constants" in text
            if dtype == "float32":
                assert embed(network).nbytes == n_bytes
                n_weights = sum(
                    len(words)
                    for name, (_, words) in read_arrays(text).items()
                    if name.startswith("weights")
                )
                assert embed(network).n_multiply_adds == n_weights


def test_columns_of_the_row_where_that_is_smaller():
    """Without a mean, a sparse first layer needs no list of its inputs."""
    for n_features, density in (60, 0.05), (60, 0.9), (400, 0.05), (400, 0.5):
        network = make_network(
            (40, 6, 2),
            density=density,
            n_features_in=n_features,
            selected_features=np.arange(40) + n_features - 40,
        )
        found = embed(network)
        W = np.float32(network.coefs_[0])
        width = 1 if n_features <= 256 else 2
        listed = [min(5 * np.count_nonzero(W) + 6, W.nbytes) + 40 * width]
        direct = [np.count_nonzero(W) * (4 + width) + 6, 4 * 6 * n_features]
        rest = sum(a.nbytes for a in found.layers[1].arrays if a is not None) + 6 * 4
        assert found.nbytes - rest == min(listed + direct)
        assert (found.columns is None) == (min(direct) <= listed[0])


def test_each_layer_takes_what_is_smaller():
    for density in np.linspace(0.02, 1.0, 20):
        network = make_network((40, 30, 5), density=density)
        for layer in embed(network).layers:
            sparse = 5 * np.count_nonzero(layer.weights) + len(
                layer.biases
            )  # a value and a column each, a count per unit
            stored = sum(a.nbytes for a in layer.arrays if a is not None)
            assert stored - layer.biases.nbytes == min(sparse, layer.weights.nbytes)
            assert layer.is_dense == (sparse >= layer.weights.nbytes)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_nothing_but_constants_and_the_stack(tmp_path, dtype):
    """No static variable, nothing but two headers, no name without the prefix."""
    X = make_rows(50)[0]
    fit(hidden=(9, 8)).to_c(tmp_path / "net.h", X, dtype=dtype, name="My_net2")
    text = (tmp_path / "net.h").read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)

    assert re.findall(r"#include (\S+)", code) == ["<math.h>", "<stdint.h>"]
    assert "alloc" not in code
    for line in code.splitlines():
        if "static" in line:
            assert "static const" in line or "static inline" in line
        if line.startswith(("static inline", "#define", "#ifndef")):
            assert "My_net2_" in line or "MY_NET2_" in line
    assert max(map(len, code.splitlines())) <= 88


def test_the_same_file_each_time(tmp_path, fitted, iris):
    fitted.to_c(tmp_path / "a.h", name="net")
    fitted.compact().to_c(tmp_path / "b.h", name="net")
    to_c(make_pipeline("passthrough", fitted), tmp_path / "c.h", name="net")
    to_c(Pipeline([("only", Pipeline([("net", fitted)]))]), str(tmp_path / "net.h"))
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1


# What is refused


def test_what_is_refused(tmp_path, fitted, iris):
    X, y = iris
    path = tmp_path / "net.h"
    path.write_text("of yesterday", encoding="utf-8")
    network = fitted.compact()
    for step, transformer in {
        "PolynomialFeatures": PolynomialFeatures(),
        r"MinMaxScaler\(clip=True\)": MinMaxScaler(clip=True),
        "Normalizer": make_column_transformer((make_pipeline(Normalizer()), [0])),
        "Doubled": Doubled(k=2),
    }.items():
        model = make_pipeline(transformer, small(max_iter=2)).fit(X, y)
        with pytest.raises(TypeError, match=rf"Got the step {step}\. Export the last"):
            to_c(model, path)
    for model in (
        LogisticRegression().fit(X, y),
        make_pipeline("passthrough"),
        Pipeline([]),
        ChaosCausalPrunedMLP,
        None,
        "x",
    ):
        with pytest.raises(TypeError, match="to_c takes a fitted ChaosCausalPrunedMLP"):
            to_c(model, path)
    fit_first = make_pipeline(StandardScaler().fit(X), StandardScaler(), fitted)
    for model in small(), make_pipeline(StandardScaler(), fitted), fit_first:
        with pytest.raises(NotFittedError):
            to_c(model, path)
    with pytest.raises(TypeError, match=r"Got the step Own\."):
        to_c(make_pipeline(Own(), fitted), path)
    with pytest.raises(ValueError, match="no hidden layer without units; make the"):
        to_c(make_network((3, 0, 2)), path)
    for n_columns in 2, 6:
        scaler = StandardScaler().fit(np.eye(6)[:, :n_columns])
        with pytest.raises(
            ValueError, match=f"make {n_columns} features, and it takes"
        ):
            to_c(make_pipeline(scaler, fitted), path)
    nothing = ColumnTransformer(
        [("s", StandardScaler(), [0, 1, 2, 3])], transformer_weights={"s": 0.0}
    )
    with pytest.raises(ValueError, match="has a 0; drop this part"):
        to_c(make_pipeline(nothing.fit(X), fitted), path)
    with pytest.raises(TypeError, match="name=3 must be a string, or None"):
        to_c(network, path, name=3)
    for name in "2net", "a-b", "", "a" * 41, "é":
        with pytest.raises(ValueError, match="name=.* cannot be the start of names"):
            to_c(network, path, name=name)
    with pytest.raises(ValueError, match="dtype='float64' is not known"):
        to_c(network, path, dtype="float64")
    for label in "a\0", "b\ud800", "c" * 4096:
        with pytest.raises(ValueError, match="the class label"):
            to_c(make_network(classes=np.array(["x", "y", label], dtype=object)), path)
    for changes, what in (
        ({"coefs": [np.full((3, 1), 1e39)], "intercepts": [[0.0]]}, "a weight"),
        ({"target_mean": 1e39}, "the mean of the target"),
        ({"target_scale": 1e39}, "the scale of the target"),
        ({"target_scale": 1e-39}, "is too small for the single precision of C"),
    ):
        with pytest.raises(ValueError, match=what):
            to_c(make_network((3, 1), "identity", **changes), path)
    wide = make_network((1, 1), "identity", n_features_in=70_000)
    with pytest.raises(ValueError, match="up to 65535 features .* model has 70000"):
        to_c(wide, path)
    assert path.read_text(encoding="utf-8") == "of yesterday"
    assert [each.name for each in tmp_path.iterdir()] == ["net.h"]


def test_names_from_files():
    for path, name in (
        ("net.h", "net"),
        ("a/my-net.v2.h", "my_net_v2"),
        (Path("a b.hpp"), "a_b"),
        ("x" * 40, "x" * 40),
    ):
        assert c.choose_name(None, path) == name
    for path in "2-x.h", ".hidden", "ü.h", "", "x" * 41:
        with pytest.raises(ValueError, match="the name of the file, '.*', cannot be"):
            c.choose_name(None, path)
    for path in 5, None:
        with pytest.raises(TypeError):
            c.choose_name(None, path)


class Own(TransformerMixin, BaseEstimator):
    """A transformer without attributes."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X

    def __sklearn_is_fitted__(self):
        return True


class Doubled(SelectKBest):
    """A selector that does more."""

    def transform(self, X):
        return 2.0 * super().transform(X)


def test_labels_of_other_types(tmp_path):
    for classes, text in (
        (np.array([False, True]), ["False", "True"]),
        (np.array([-1.0, 2.0]), ["-1.0", "2.0"]),
        (np.array(["2020-01-01", "2021-01-01"], "M8[D]"), ["2020-01-01", "2021-01-01"]),
    ):
        network = make_network((3, 1), "logistic", classes=classes)
        network.to_c(tmp_path / "net.h")
        found = re.findall(
            r'"([^"]*)"', (tmp_path / "net.h").read_text(encoding="utf-8")
        )
        assert found == text


def test_estimators_need_no_compact(tmp_path, fitted_regressor, diabetes):
    fitted_regressor.to_c(tmp_path / "net.h")
    text = (tmp_path / "net.h").read_text(encoding="utf-8")
    assert "static inline float net_predict(const float *x)" in text
    assert "predict_proba" not in text and "N_CLASSES" not in text
