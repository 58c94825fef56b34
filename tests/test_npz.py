"""Files of compact networks: small, complete, and known before they are inflated."""

import json
import os
import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from skchaosprune import CompactMLP, compact
from tests.test_compact import LABELS, is_damaged, make_network, make_rows


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.npz"


def load(path):
    """The header, as a dictionary, and the data of a file."""
    with np.load(path, allow_pickle=False) as stored:
        assert stored.files == ["header", "data"]
        return json.loads(stored["header"].tobytes()), stored["data"]


def write(path, header, data):
    """Write a file of a header, as a dictionary or text, and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    header = np.frombuffer(text, dtype=np.uint8)
    np.savez_compressed(path, header=header, data=data)


# What is written


NAMES = np.array([f"feature {place}" for place in range(7)])
NETWORKS = {
    "50 parameters": make_network((5, 7, 1), "logistic"),
    "names": make_network(
        (5, 7, 1), "logistic", classes=["no", "yes"], feature_names_in=NAMES
    ),
    "regressor": make_network(
        (5, 7, 1), "identity", target_mean=-123.4567890123, target_scale=9.87654321e-5
    ),
    "five layers": make_network((60, 30, 20, 10, 5, 3), "logistic", density=0.1),
    "sparse": make_network((784, 300, 10), density=0.05),
    "all inputs": make_network((8, 3), n_features_in=8, selected_features=np.arange(8)),
}


def n_bytes_needed(network, dtype):
    """Bytes of numbers, places, labels and names, each in their smallest type."""
    texts = [getattr(network, name, ()) for name in ("classes_", "feature_names_in_")]
    total = sum(len(str(text).encode()) + 1 for part in texts for text in part)
    total += np.dtype(dtype).itemsize * network.n_parameters_
    sizes = network.layer_sizes_
    if sizes[0] < network.n_features_in_:
        total += np.min_scalar_type(network.n_features_in_).itemsize * sizes[0]
    for W in network.coefs_:
        if np.count_nonzero(W) < W.size:
            place = np.min_scalar_type(len(W)).itemsize
            total += place * (np.count_nonzero(W) + W.shape[1])
    return total


def test_files_have_few_bytes_above_the_numbers(path):
    for name, network in NETWORKS.items():
        for dtype in ("float64", "float32"):
            network.save_npz(path, dtype=dtype)

            above = path.stat().st_size - n_bytes_needed(network, dtype)
            assert above <= 600, (name, dtype, above)


def test_single_precision_rounds(path):
    for name, network in NETWORKS.items():
        network.save_npz(path, dtype="float32")
        other = CompactMLP.load_npz(path)

        assert other.storage_ == network.storage_
        for parts in ("coefs_", "intercepts_"):
            for ours, theirs in zip(
                getattr(other, parts), getattr(network, parts), strict=True
            ):
                assert ours.dtype == np.float64
                assert_array_equal(ours, np.float32(theirs), err_msg=name)
        assert other.target_scale_ == network.target_scale_


def test_dtypes_that_do_not_suffice(path):
    network = make_network(intercepts=[np.zeros(5), np.array([0.0, 1e40, 0.0])])
    for dtype, kind in [("float16", ValueError), (None, TypeError)]:
        with pytest.raises(kind, match="dtype=.* use one of 'float64', 'float32'"):
            network.save_npz(path, dtype=dtype)
    with pytest.raises(ValueError, match="too large for dtype='float32'.*scale X"):
        network.save_npz(path, dtype="float32")
    assert not path.exists()


def test_all_bits_come_back(path):
    rng = np.random.RandomState(0)
    W = rng.standard_normal((40, 30)) * (rng.uniform(size=(40, 30)) < 0.1)
    W[:, 0], W[:9, 1], W[0, 2] = -0.0, [5e-324, *[-0.0] * 8], 1.7e308
    for coefs in (W, sparse.csc_array(W), np.where(W, W, 1.0)):
        network = make_network((40, 30, 2), coefs=[coefs, np.ones((30, 2))])
        network.save_npz(path)
        other = CompactMLP.load_npz(path)

        assert other.storage_ == network.storage_
        assert other.nbytes == network.nbytes
        for ours, theirs in zip(other.coefs_, network.coefs_, strict=True):
            assert ours.tobytes() == theirs.tobytes()


def test_labels_come_back_with_their_dtype(path):
    texts = np.array(["\ud83d\ude00", "a\0b", "\U0001f600" * 300, "", *"efgh"])
    others = ["<U9", ">U9", "S4", ">i2", "f4", "?", "M8[ns]", "m8[s]", "c16", "g"]
    for dtype in others:
        classes = np.arange(3).astype(dtype)
        if dtype == "?":
            classes = classes[:2]
        network = make_network(
            (6, 5, len(classes)), classes=classes, feature_names_in=texts
        )
        network.save_npz(path)
        other = CompactMLP.load_npz(path)

        assert_array_equal(other.classes_, classes, strict=True)
        assert_array_equal(other.feature_names_in_, texts, strict=True)


def test_texts_of_numpy_need_no_pickle(path):
    strings = pytest.importorskip("numpy.dtypes").StringDType()
    names = np.array(list("abcdefgh"), dtype=strings)
    network = make_network(classes=np.array(["ä", "", "cow"], dtype=strings))
    network.feature_names_in_ = names

    network.save_npz(path)

    other = CompactMLP.load_npz(path)
    assert other.classes_.tolist() == ["ä", "", "cow"]
    assert other.feature_names_in_.tolist() == names.tolist()


def test_the_target_is_written_as_floats(path):
    network = make_network((6, 5, 1), "identity", target_mean=3, target_scale=True)
    network.save_npz(path)

    assert repr(load(path)[0]["target"]) == "[3.0, 1.0]"
    X = make_rows(n_features=8)[0]
    assert_array_equal(CompactMLP.load_npz(path).predict(X), network.predict(X))


# What is refused


WRONG = {
    "format": ["skchaosprune.CompactMLP/1", "skchaosprune.CompactMLP/3", 2, None],
    "activation": ["gelu", 0, None],
    "out_activation": ["tanh", "identity", []],
    "loss": ["hinge", "squared_error"],
    "n_features_in": [8.0, True, 5, -1, "8", None, 300, 10**30],
    "layer_sizes": [[6, 5], [6, 5, 3, 3], [6, 5, 4], [5, 6, 3], [6], [], 3, None],
    "storage": [["csr", "dense"], ["dense"], ["dense", "sparse"], None, "ab"],
    "n_values": [[2, None], [None], [30.0, None], [None, -1], [None, 2**70], None],
    "dtype": ["float32", "float16", "int64", "<f8", None, 8],
    "target": [[0.0], [0.0, 1.0, 2.0], ["a", 1.0], None, [None, 1.0], [np.nan, 1.0]],
    "classes": [None, "O", "V8", "f4,f4", "<i4", "U0", "(2,)i4", "<U3", 8, ["<i8"]],
    "feature_names_in": ["<U2", "<i8", "S1", "<U2000000000000"],
    "more": [0],
}


def test_headers_that_do_not_fit_are_refused(path):
    make_network().save_npz(path)
    header, data = load(path)
    for name, values in WRONG.items():
        rest = {key: value for key, value in header.items() if key != name}
        for other in (*[header | {name: value} for value in values], rest):
            if other != header:
                write(path, other, data)
                assert is_damaged(path), (name, other)
    padded = json.dumps(header).encode() + 100_000 * b" "
    for text in (b"", b"[]", b"{", b"1", b"\xff", 9_000 * b"[", padded):
        write(path, text, data)
        assert is_damaged(path), text[:10]
    for other in (data[:-1], data[1:], np.append(data, data[:1]), data.view("i1")):
        write(path, header, other)
        assert is_damaged(path), other.shape
    write(path, header, data)
    assert repr(CompactMLP.load_npz(path)) == repr(make_network())


def test_a_full_row_of_256_weights(path):
    W = np.zeros((256, 3))
    W[:, 1], W[-1, 2] = np.arange(256) + 1.0, 5.0
    network = make_network((256, 3), coefs=[sparse.csc_array(W)])
    network.save_npz(path)
    assert_array_equal(CompactMLP.load_npz(path).coefs_[0], W)


def test_places_that_do_not_fit_are_refused(monkeypatch, path):
    W = np.zeros((9, 4))
    W[:2], W[8] = 1.0, 2.0
    for storage in "csr", "dense":
        coefs = [sparse.csc_array(W) if storage == "csr" else W]
        make_network((9, 4), coefs=coefs, classes=range(4)).save_npz(path)
        header, data = load(path)
        assert header["n_values"] == [12] and header["storage"] == [storage]
        # 9 selected features, 4 biases, 12 values, 4 counts, 12 columns
        counts, columns = 9 + 4 * 8 + 12 * 8, 9 + 4 * 8 + 12 * 8 + 4
        for place, value in [
            (counts, 2),
            (counts, 4),
            (counts, 255),
            (columns, 9),
            (columns, 1),
            (columns, 255),
            (columns + 1, 8),
        ]:
            other = data.copy()
            other[place] = value
            write(path, header, other)
            assert is_damaged(path), (storage, place, value)


def test_texts_that_do_not_fit_are_refused(path):
    make_network(classes=["ant", "bee", "cöw"]).save_npz(path)
    header, data = load(path)
    texts = "antbeecöw".encode()
    assert data.tobytes().endswith(b"\3\3\3" + texts)
    start = data[: -len(texts) - 3].tobytes()
    for end in (
        b"\3\3\3antbeecow!",
        b"\3\3\3antbeeco",
        b"\3\3\4" + texts + b"!",
        b"\3\3\xff" + texts,
        b"\3\3\3antbee\xffow",
        b"\3\3\0antbee" + bytes(3),
        b"\3\3\3antbeebee",
    ):
        write(path, header, np.frombuffer(start + end, dtype=np.uint8))
        assert is_damaged(path), end


def test_small_files_of_huge_networks_are_refused(path):
    n = 3_000
    names = {"layer_sizes": [1, 1, 3], "n_values": [None, None], "n_features_in": n}
    make_network((1, 1, 3), n_features_in=n, selected_features=[0]).save_npz(path)
    header, data = load(path)
    for changes, n_more in [
        # a dense layer that is all zeros in the file
        ({"layer_sizes": [n, n, 3]}, 8 * (n * n + 4 * n - 6)),
        # values and places of a dense layer
        ({"layer_sizes": [n, n, 3], "n_values": [0, 0]}, n * 8 + n),
        # inputs that take no bytes in the file
        ({"n_features_in": 10**9, "layer_sizes": [10**9, 1, 3]}, 0),
        # short texts in a long type
        ({"feature_names_in": "<U100000"}, n),
    ]:
        write(path, header | names | changes, np.append(data, np.zeros(n_more, "u1")))
        with pytest.raises(ValueError, match="max_bytes|damaged"):
            CompactMLP.load_npz(path, max_bytes=2**20)


def test_the_smallest_max_bytes(monkeypatch, path):
    monkeypatch.setattr(compact, "_CSR_FROM_SIZE", 1)
    classes = LABELS["unusual"]
    for density in (0.05, 1.0):
        network = make_network((60, 50, 3), density=density, classes=classes)
        network.save_npz(path)
        n_bytes = 0
        for step in 2 ** np.arange(20)[::-1]:
            try:
                CompactMLP.load_npz(path, max_bytes=int(n_bytes + step))
            except ValueError:
                n_bytes += int(step)
        loaded = network.nbytes + network.classes_.astype(str).nbytes
        assert loaded <= n_bytes + 1 <= 3 * loaded


@pytest.mark.parametrize(
    "max_bytes, kind",
    [(0, ValueError), (-1, ValueError), (True, TypeError), (1e9, TypeError)],
)
def test_max_bytes_is_checked(path, max_bytes, kind):
    make_network().save_npz(path)
    text = rf"max_bytes={max_bytes!r} must be an int in \[1, inf\)"
    with pytest.raises(kind, match=text.replace("+", r"\+")):
        CompactMLP.load_npz(path, max_bytes=max_bytes)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="there is no /dev/zero")
def test_a_file_without_end_is_refused():
    with pytest.raises(ValueError, match="max_bytes=1000000 .* of /dev/zero"):
        CompactMLP.load_npz("/dev/zero", max_bytes=1_000_000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
def test_pipes_are_read_to_their_end(tmp_path, path):
    make_network().save_npz(path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write(content):
        try:
            pipe.write_bytes(content)
        except BrokenPipeError:
            pass

    for content in path.read_bytes(), bytes(10_000_000):
        writer = threading.Thread(target=write, args=[content])
        writer.start()
        if content.startswith(b"PK"):
            assert repr(CompactMLP.load_npz(pipe)) == repr(make_network())
        else:
            with pytest.raises(ValueError, match="max_bytes=1000000"):
                CompactMLP.load_npz(pipe, max_bytes=1_000_000)
        writer.join()


# Sparse weights of a network that is made by hand


def make_sparse(W, **changes):
    return make_network((4, 3, 2), coefs=[W, np.ones((3, 2))], **changes)


def test_sparse_weights_stay_sparse():
    W = sparse.coo_array(np.arange(12.0).reshape(4, 3) % 4)
    X = np.random.RandomState(0).standard_normal((5, 6))
    expected = make_sparse(W.toarray())

    for kind in "csr", "csc", "coo", "lil", "dok":
        given = W.asformat(kind, copy=True)
        network = make_sparse(given)
        assert network.storage_ == ("csr", "dense")
        assert_array_equal(network.coefs_[0], W.toarray())
        assert_array_equal(network.predict(X), expected.predict(X))
        assert network.n_weights_ == expected.n_weights_
        given *= 0
        assert_array_equal(network.coefs_[0], W.toarray())


def test_zeros_that_are_stored_are_no_weights():
    W = sparse.csc_array(np.eye(4, 3))
    W.data[1] = 0.0

    network = make_sparse(W)

    assert network.n_weights_ == 2 + 6
    assert network.n_parameters_ == 2 + 6 + 5
