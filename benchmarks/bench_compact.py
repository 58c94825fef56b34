"""Time and weigh compact networks against the same networks before pruning.

Run ``python benchmarks/bench_compact.py``; the Markdown tables are printed.

- Storage: the product of a weight matrix with one row and with a thousand, dense and
  CSR, by size and density. Where CSR is at least as fast for both, ``CompactMLP``
  stores a layer so.
- Networks: on breast_cancer and digits, with the defaults but for 20 epochs, pruned by
  magnitude, and an untrained 784-300-100-10 net with a random mask, dead units removed.
  ``predict`` of the compact network against ``predict`` of the compact form of the
  dense network, and the sizes of both as files.
- Beside: ``predict`` of one row through the estimator, which validates more, and
  through onnxruntime.

Both sides are measured in turn, on one thread; times are medians, and the ratios are
medians of ratios within a turn.
"""

import os
from functools import partial
from importlib.metadata import version
from operator import matmul
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import onnxruntime
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

from skchaosprune import ChaosCausalPrunedMLP, CompactMLP
from skchaosprune.compact import compact_layers

PACKAGES = ("skchaosprune", "numpy", "scipy", "onnx", "onnxruntime")
SHAPES = (
    (32, 64),
    (64, 64),
    (64, 128),
    (128, 128),
    (128, 256),
    (256, 256),
    (784, 100),
    (784, 300),
)
DENSITIES = (0.3, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02)
RATIOS = (0.5, 0.9, 0.95, 0.99)
N_TURNS = 15


def seconds(function, n_calls):
    """Time ``n_calls`` calls, per call."""
    start = perf_counter()
    for _ in range(n_calls):
        function()
    return (perf_counter() - start) / n_calls


def compare(first, second):
    """Time two functions in turn: median seconds of each, and of second : first."""
    n_calls = max(1, round(2e-3 / max(seconds(first, 3), 1e-7)))
    turns = [
        (seconds(first, n_calls), seconds(second, n_calls)) for _ in range(N_TURNS)
    ]
    return (
        median(one for one, _ in turns),
        median(other for _, other in turns),
        median(other / one for one, other in turns),
    )


def compare_storage(rng):
    """Print CSR : dense for one row and a thousand."""
    print(
        "\nTime of a CSR product as a share of the dense one, one row / 1,000 rows:\n"
    )
    print("| weights | " + " | ".join(f"density {d}" for d in DENSITIES) + " |")
    print("|---|" + "---:|" * len(DENSITIES))
    for shape in SHAPES:
        cells = []
        for density in DENSITIES:
            dense = rng.standard_normal(shape[::-1])
            dense *= rng.random(dense.shape) < density
            sparse = csr_array(dense)
            ratios = []
            for n_rows in (1, 1000):
                columns = rng.standard_normal((shape[0], n_rows))
                *_, ratio = compare(
                    partial(matmul, dense, columns), partial(matmul, sparse, columns)
                )
                ratios.append(f"{ratio:.2f}")
            cells.append(" / ".join(ratios))
        n_weights = f"{shape[0]} x {shape[1]} = {shape[0] * shape[1]:,}"
        print(f"| {n_weights} | " + " | ".join(cells) + " |")


def trained_networks(name, load):
    """Yield the ratio, the dense and the compact network, and the estimator."""
    X, y = load(return_X_y=True)
    X = scale(X)
    dense = None
    for ratio in (0.0, *RATIOS):
        model = ChaosCausalPrunedMLP(
            prune_criterion="magnitude",
            prune_ratio=ratio,
            retrain="rewind",  # as when it was measured
            max_iter=20,
            random_state=0,
        ).fit(X, y)
        if dense is None:
            dense = model.compact()
        else:
            yield name, ratio, dense, model.compact(), model, X


def wide_networks(rng):
    """Yield the same for a large net of random weights."""
    sizes = (784, 300, 100, 10)
    coefs = [
        rng.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in)
        for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    intercepts = [rng.standard_normal(size) for size in sizes[1:]]
    X = rng.standard_normal((1000, sizes[0]))

    def make(coefs):
        smaller, biases, selected = compact_layers(coefs, intercepts, "relu")
        return CompactMLP(
            smaller,
            biases,
            activation="relu",
            out_activation="softmax",
            loss="log_loss",
            n_features_in=sizes[0],
            selected_features=selected,
            classes=np.arange(10),
        )

    dense = make(coefs)
    for ratio in RATIOS:
        kept = [W * (rng.random(W.shape) >= ratio) for W in coefs]
        yield "784-300-100-10", ratio, dense, make(kept), None, X


def file_sizes(network):
    """Bytes of the npz and the ONNX file."""
    with TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("net.npz", "net.onnx")]
        network.save_npz(paths[0])
        network.to_onnx(paths[1])
        return [os.path.getsize(path) for path in paths]


def onnx_session(network):
    """Open the ONNX form in onnxruntime, on one thread."""
    from skchaosprune.compact import serialize_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(serialize_onnx(network), options)


def compare_networks(cases):
    """Print sizes and latencies."""
    print(
        "\n| network | pruned | parameters | inputs | stored | npz, bytes (share of "
        "dense) | ONNX, bytes (share) | one row, us (share) | 1,000 rows, us (share) |"
    )
    print("|---|---:|---:|---:|---|---:|---:|---:|---:|")
    for name, ratio, dense, compact, _, X in cases:
        rows = np.resize(X, (1000, X.shape[1]))
        sizes = [
            f"{small:,} ({small / large:.2f})"
            for small, large in zip(file_sizes(compact), file_sizes(dense), strict=True)
        ]
        times = []
        for batch in (rows[:1], rows):
            _, after, share = compare(
                partial(dense.predict, batch), partial(compact.predict, batch)
            )
            times.append(f"{after * 1e6:,.0f} ({share:.2f})")
        print(
            f"| {name} | {ratio} | {compact.n_parameters_:,} | "
            f"{len(compact.selected_features_)} | {', '.join(compact.storage_)} | "
            f"{' | '.join(sizes)} | {' | '.join(times)} |"
        )


def compare_ways(cases):
    """Print one row through the estimator, the compact network and onnxruntime."""
    print(
        "\n| network | pruned | estimator : compact, one row | onnxruntime : compact, "
        "one row | onnxruntime : compact, 1,000 rows |"
    )
    print("|---|---:|---:|---:|---:|")
    for name, ratio, _, compact, model, X in cases:
        rows = np.resize(X, (1000, X.shape[1]))
        session = onnx_session(compact)
        cells = ["-"]
        if model is not None:
            *_, share = compare(
                partial(compact.predict, rows[:1]), partial(model.predict, rows[:1])
            )
            cells = [f"{share:.1f}"]
        for batch in (rows[:1], rows):
            feed = {"X": batch.astype(np.float32)}
            *_, share = compare(
                partial(compact.predict, batch), partial(session.run, None, feed)
            )
            cells.append(f"{share:.2f}")
        print(f"| {name} | {ratio} | {' | '.join(cells)} |")


def main():
    rng = np.random.default_rng(0)
    with threadpool_limits(1):
        compare_storage(rng)
        cases = [
            *trained_networks("breast_cancer", load_breast_cancer),
            *trained_networks("digits", load_digits),
            *wide_networks(rng),
        ]
        compare_networks(cases)
        compare_ways(cases)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{packages}; {os.cpu_count()} CPUs, one thread used.")


if __name__ == "__main__":
    main()
