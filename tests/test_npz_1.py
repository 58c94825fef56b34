"""Files of the first format still load, and are known before they are inflated."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy
from numpy.testing import assert_array_equal
from scipy import sparse

from skchaosprune import CompactMLP, compact
from tests.test_compact import is_damaged, make_network, make_rows, save_first
from tests.test_npz import make_sparse

DATA = Path(__file__).parent / "data"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


@pytest.fixture
def arrays(path):
    """The arrays of a file with dense weights."""
    return save_first(make_network(), path)


@pytest.fixture
def sparse_arrays(monkeypatch, tmp_path):
    """The arrays of a file whose weights are all sparse."""
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 1)
    monkeypatch.setattr(compact, "_CSR_UP_TO_DENSITY", 1.0)
    return save_first(make_network(density=0.4), tmp_path / "sparse.npz")


@pytest.fixture
def read_values(monkeypatch):
    """Shapes of all arrays whose values are read from now on."""
    shapes, read = [], npy.read_array

    def count(*args, **kwargs):
        values = read(*args, **kwargs)
        shapes.append(values.shape)
        return values

    monkeypatch.setattr(npy, "read_array", count)
    return shapes


def peak_of(load):
    """What a call returns or raises, and the most bytes that it held."""
    tracemalloc.start()
    try:
        return load(), tracemalloc.get_traced_memory()[1]
    except ValueError as error:
        return error, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def make_wide(n_units, arrays):
    """Add a first layer of as many inputs and units; but no weights."""
    wide = {
        "n_features_in": np.array(n_units),
        "selected_features": np.arange(n_units),
        "intercept_0": np.zeros(n_units),
        "weights_1": np.zeros((3, n_units)),
    }
    del arrays["weights_0"]
    return arrays | wide


def write_zeros(path, name, shape):
    """Add an array of zeros to a file, which hardly grows."""
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.npy", "w") as file,
    ):
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(file, header)
        for _ in range(shape[0]):
            file.write(bytes(8 * shape[1]))


# Files of before


def test_files_of_the_first_version_load(path):
    X = np.arange(16.0).reshape(2, 8) / 8 - 1
    classifier = CompactMLP.load_npz(DATA / "classifier.npz")
    assert classifier.storage_ == ("csr", "csr")
    assert classifier.classes_.tolist() == ["ant", "", "öl"]
    assert classifier.feature_names_in_.tolist() == list("abcdefgh")
    assert classifier.predict(X).tolist() == ["", "ant"]
    probability = classifier.predict_proba(X)[0]
    assert probability == pytest.approx([0.35512966942738, 0.47951015777, 0.1653601])

    X = np.arange(12.0).reshape(2, 6) / 8 - 1
    regressor = CompactMLP.load_npz(DATA / "regressor.npz")
    assert regressor.storage_ == ("dense", "dense")
    assert regressor.predict(X) == pytest.approx([1.8115050309480525, 5.97229671014918])

    for network, name in (classifier, "classifier"), (regressor, "regressor"):
        ours, theirs = save_first(network, path), dict(np.load(DATA / f"{name}.npz"))
        assert ours.keys() == theirs.keys()
        for part, values in theirs.items():
            assert_array_equal(ours[part], values, strict=part != "target")


# Sizes


def test_a_small_file_with_a_huge_array_is_refused(path, arrays, read_values):
    n_units = 3_000
    np.savez_compressed(path, **make_wide(n_units, arrays))
    write_zeros(path, "weights_0", (n_units, n_units))
    assert path.stat().st_size < 200_000

    error, peak = peak_of(lambda: CompactMLP.load_npz(path, max_bytes=2**20))

    assert peak < 2**22
    assert read_values == []
    message = r"max_bytes=1048576 is less .*net\.npz or .* 72\d{6} bytes at least"
    with pytest.raises(ValueError, match=f"{message}.* larger max_bytes if you trust"):
        raise error


def test_the_smallest_max_bytes(path, arrays):
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path) as archive:
        n_bytes = sum(member.file_size for member in archive.infolist())
    n_bytes = max(n_bytes, path.stat().st_size)

    CompactMLP.load_npz(path, max_bytes=n_bytes)
    with pytest.raises(ValueError, match=f"{n_bytes} bytes at least"):
        CompactMLP.load_npz(path, max_bytes=n_bytes - 1)


def test_a_sparse_layer_is_never_dense(path, sparse_arrays):
    n_units = 40_000  # 13 GB, if dense
    arrays = make_wide(n_units, {"weights_0": None})
    arrays["weights_1"] = np.ones((3, n_units))
    places = np.arange(n_units + 1)
    kept = {name: sparse_arrays[name] for name in sparse_arrays if name[-1] not in "01"}
    arrays |= {"data_0": np.ones(n_units), "indices_0": places[:-1], "indptr_0": places}
    arrays["intercept_1"] = np.array([0.0, 1.0, 0.0])
    np.savez_compressed(path, **(kept | arrays))

    network, peak = peak_of(lambda: CompactMLP.load_npz(path))

    assert peak < 20e6
    assert network.storage_[0] == "csr"
    assert network.n_weights_ == 4 * n_units
    assert network.predict(np.ones((2, n_units))).tolist() == [1, 1]
    network.save_npz(path)
    assert CompactMLP.load_npz(path).nbytes <= network.nbytes


def test_without_memory_no_file_is_called_damaged(path, monkeypatch):
    make_network().save_npz(path)

    def fail(*args, **kwargs):
        raise MemoryError("no more")

    monkeypatch.setattr(npy, "read_array", fail)
    with pytest.raises(MemoryError, match="no more"):
        CompactMLP.load_npz(path)


# Headers


def replace_part(path, arrays, name, content, method=zipfile.ZIP_DEFLATED):
    """Write a file, one part of which has other bytes."""
    np.savez_compressed(path, **{key: arrays[key] for key in arrays if key != name})
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr(f"{name}.npy", content)


def dump(values, version=(1, 0)):
    buffer = io.BytesIO()
    npy.write_array(buffer, values, version=version)
    return buffer.getvalue()


def with_header(text):
    """An array whose header is this text."""
    text = text.ljust(118) + "\n"
    return npy.magic(1, 0) + struct.pack("<H", len(text)) + text.encode()


FIVE = "{'descr': '<f8', 'fortran_order': False, 'shape': (5,), }"
PARTS = {
    "another version": dump(np.zeros(5), version=(2, 0)),
    "a long header": with_header(FIVE + 2_000 * " ") + bytes(40),
    "too short": dump(np.zeros(5))[:-8],
    "too long": dump(np.zeros(5)) + bytes(8),
    "negative": with_header(FIVE.replace("(5", "(-5")) + bytes(40),
    "no array": b"no array",
    "nothing": b"",
    "deep": with_header(FIVE.replace("(5,)", 700 * "-" + "5")) + bytes(40),
    "structured": dump(np.zeros(5, dtype="f4,f4")),
    "of texts without letters": with_header(FIVE.replace("<f8", "<U0")),
}


def test_odd_headers_are_refused(path, arrays, read_values):
    for part, content in PARTS.items():
        replace_part(path, arrays, "intercept_0", content)

        assert is_damaged(path), part
        assert read_values == [], part
    replace_part(path, arrays, "intercept_0", with_header(FIVE) + bytes(40))
    CompactMLP.load_npz(path)


def test_other_compressions_are_refused(path, arrays, read_values):
    content = dump(arrays["intercept_0"])
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        replace_part(path, arrays, "intercept_0", content, method)

        assert is_damaged(path), method
        assert read_values == []


def test_encrypted_parts_are_refused(path, arrays):
    np.savez_compressed(path, **arrays)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)

    with pytest.raises(ValueError, match="encrypted"):
        CompactMLP.load_npz(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_names_that_come_twice_are_refused(path, arrays, read_values):
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("intercept_0.npy", dump(arrays["intercept_0"]))

    with pytest.raises(ValueError, match=r"holds intercept_0\.npy.* or is there twice"):
        CompactMLP.load_npz(path)
    assert read_values == []


ALWAYS = ["format", "n_layers", "n_features_in", "activation", "loss", "target"]
ALWAYS += ["selected_features", "intercept_1", "weights_1"]


def test_what_is_missing_is_named(path, arrays):
    for name in ALWAYS:
        rest = {key: values for key, values in arrays.items() if key != name}
        np.savez_compressed(path, **rest)

        with pytest.raises(ValueError, match=f"damaged: it has no {name}"):
            CompactMLP.load_npz(path)


def test_what_has_another_shape_is_named(path, arrays):
    for name in "target", "weights_1", "classes":
        np.savez_compressed(path, **(arrays | {name: arrays[name][:1]}))

        with pytest.raises(ValueError, match=f"damaged: its {name} has the shape"):
            CompactMLP.load_npz(path)


def test_other_names_are_refused(path, arrays):
    for name in "more.npy weights_0 weights.npy weights_00.npy data_0.npy".split():
        np.savez_compressed(path, **arrays)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, dump(arrays["intercept_0"]))

        assert is_damaged(path), name


def test_a_directory_of_many_names_is_refused(path, arrays):
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b""
        archive.writestr("weights_2.npy", 110_000 * b"PK\1\2")

    with pytest.raises(ValueError, match="too many parts"):
        CompactMLP.load_npz(path)


# Types and shapes

WRONG = {
    "n_layers": [2.0, True, 3, 10**9, -1, "2", [2]],
    "n_features_in": [8.5, True, 5, "8"],
    "format": [1, ["skchaosprune.CompactMLP/1"], b"skchaosprune.CompactMLP/1"],
    "activation": [0, b"relu"],
    "selected_features": [np.arange(6.0), np.arange(6) > 0, np.arange(7), np.arange(9)],
    "target": [np.zeros(3), np.zeros((2, 1)), ["0", "1"], [False, True], 1.0, [1j, 1]],
    "classes": [np.arange(4), np.array(0), np.zeros(3, dtype="f4,f4")],
    "feature_names_in": [list("abc"), np.array("abcdefgh")],
    "intercept_0": [np.zeros(5, dtype=int), np.zeros((5, 1)), np.zeros(4), ["a"] * 5],
    "weights_0": [np.zeros((6, 5)), np.zeros((5, 6), dtype=int), np.zeros(30)],
}


def test_wrong_types_and_shapes_are_seen_before_values(path, arrays, read_values):
    for name, wrong in [(key, wrong) for key in WRONG for wrong in WRONG[key]]:
        np.savez(path, **(arrays | {name: np.array(wrong)}))
        read_values.clear()

        assert is_damaged(path), (name, wrong)
        assert set(read_values) <= {()}, (name, wrong)


def test_wrong_shapes_of_sparse_parts(path, sparse_arrays, read_values):
    for name, wrong in [
        ("indptr_0", np.arange(5)),
        ("indptr_0", np.arange(7)),
        ("indptr_0", np.arange(6.0)),
        ("indices_0", np.arange(3)),
        ("data_0", np.ones(3)),
        ("data_0", np.ones(3, dtype=int)),
        ("weights_0", np.zeros((5, 6))),
    ]:
        np.savez(path, **(sparse_arrays | {name: wrong}))

        assert is_damaged(path), (name, wrong)
        assert set(read_values) <= {()}


def test_more_values_than_places_are_refused(path, sparse_arrays):
    for name in "data_0", "indices_0":
        sparse_arrays[name] = np.append(sparse_arrays[name], sparse_arrays[name][-1:])
    np.savez(path, **sparse_arrays)

    with pytest.raises(ValueError, match="more values than places"):
        CompactMLP.load_npz(path)


# Damage


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_damage_is_found_or_harmless(path, arrays, sparse_arrays, kind):
    np.savez_compressed(path, **(arrays if kind == "dense" else sparse_arrays))
    content, X = path.read_bytes(), make_rows(n_features=8)[0]
    expected = CompactMLP.load_npz(path).predict_proba(X)
    rng = np.random.RandomState(0)

    def damage(content):
        place, end = rng.randint(len(content)), rng.randint(len(content))
        yield content[:place]
        yield content[place:]
        yield content + rng.bytes(end)
        yield content + content[place:]
        yield content[:place] + content[max(place, end) :]
        for n_bits in (1, 3):
            flipped = bytearray(content)
            for _ in range(n_bits):
                flipped[rng.randint(len(content))] ^= 1 << rng.randint(8)
            yield bytes(flipped)

    pieces = [piece for _ in range(50) for piece in damage(content)]
    for piece in pieces:
        path.write_bytes(piece)
        try:
            other = CompactMLP.load_npz(path)
        except ValueError:
            continue
        assert_array_equal(other.predict_proba(X), expected)


def break_csc(W, what):
    parts = {"data": W.data, "indices": W.indices, "indptr": W.indptr}
    parts = {name: values.copy() for name, values in parts.items()}
    if what == "twice":
        parts["indices"][1] = parts["indices"][0]
    elif what == "outside":
        parts["indices"][1] = 4
    elif what == "NaN":
        parts["data"][0] = np.nan
    elif what == "descending":
        parts["indptr"][1:3] = parts["indptr"][2:0:-1]
    broken = sparse.csc_array((4, 3))
    for name, values in parts.items():
        setattr(broken, name, values)
    return broken


@pytest.mark.parametrize("what", "twice outside NaN descending".split())
def test_broken_sparse_weights_are_refused(path, what):
    good = sparse.csc_array(np.ones((4, 3)))
    make_sparse(good).save_npz(path)
    with pytest.raises(ValueError):
        make_sparse(break_csc(good, what))

    # and in a file, where the same parts are those of the transposed matrix
    broken, arrays = break_csc(good, what), save_first(make_sparse(good), path)
    parts = ("data", "indices", "indptr")
    arrays |= {f"{part}_0": getattr(broken, part) for part in parts}
    np.savez(path, **arrays)
    assert is_damaged(path)
