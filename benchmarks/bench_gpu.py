"""Time a whole fit on a GPU against training two networks with plain torch there.

Run ``python benchmarks/bench_gpu.py``; the Markdown tables are printed. Without a GPU
``--device cpu`` tries the script: plain torch then runs on the CPU, and so does the
fit, with ``engine="torch"`` and the importances of numpy.

The network has 784 inputs, 300 and 100 hidden units and 10 classes; the 29,400 rows are
random. A fit has default parameters, but for the batch size, the number of epochs and
``prune_criterion="magnitude"`` at .5. It competes with two trainings alone: of an
``nn.Sequential`` with ``torch.optim.SGD``, for as many epochs, with the rows on the
device, batches sliced in the order of ``torch.randperm``, no penalty, no schedule, in
float64 as in a fit, and in float32. They are measured in turn, warm; the ratios are
medians of the ratios within a turn.

The second table says where a fit spends its time, as in ``bench_fit.py``; the third,
how many operations torch starts in a step, views not counted: on a GPU, a step of such
a network takes about as long as starting them.
"""

import argparse
import warnings
from importlib.metadata import version
from statistics import median
from time import perf_counter

import bench_fit
import bench_memory
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._training.threads import one_thread_per_fit

PACKAGES = ("skchaosprune", "numpy", "skorch", "torch")
N_ROWS, N_FEATURES, HIDDEN = 29_400, 784, (300, 100)
BATCH_SIZES = (128, 1024)
AIM, SLACK = 1.3, 1.1  # machines differ
VIEWS = {"as_strided", "detach", "expand", "slice", "split", "t", "unsqueeze", "view"}


def fit_ours(X, y, device, batch_size, n_epochs):
    """Fit on the device."""
    ChaosCausalPrunedMLP(
        HIDDEN,
        prune_criterion="magnitude",
        batch_size=batch_size,
        max_iter=n_epochs,
        engine="torch",
        device=device,
        random_state=0,
    ).fit(X, y)


def make_module(dtype):
    """Return the dense network."""
    sizes = [N_FEATURES, *HIDDEN, bench_memory.N_CLASSES]
    layers = []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [torch.nn.Linear(fan_in, fan_out, dtype=dtype), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def train_torch(X, y, device, batch_size, n_epochs, dtype=torch.float64):
    """Train one network in a bare loop."""
    net, loss_function = make_module(dtype).to(device), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    X, y = torch.from_numpy(X).to(device, dtype), torch.from_numpy(y).to(device)
    for _ in range(n_epochs):
        order = torch.randperm(len(X), device=device)
        for rows in torch.split(order, batch_size):
            optimizer.zero_grad()
            loss_function(net(X[rows]), y[rows]).backward()
            optimizer.step()


def seconds(function, device, *arguments):
    """Time one call, and what it has started on the device."""
    start = perf_counter()
    function(*arguments)
    if device != "cpu":
        torch.cuda.synchronize(device)
    return perf_counter() - start


def measure(X, y, device, batch_size, n_epochs, n_repeats):
    """Return our seconds, and the ratios to two trainings of each type, by turn."""
    arguments = X, y, device, batch_size, n_epochs
    turns = {"ours": [], torch.float64: [], torch.float32: []}
    for turn in range(n_repeats + 1):
        ours = seconds(fit_ours, device, *arguments)
        ratios = {
            dtype: ours / (2.0 * seconds(train_torch, device, *arguments, dtype))
            for dtype in (torch.float64, torch.float32)
        }
        if turn > 0:  # the first one loads and allocates
            for name, value in ({"ours": ours} | ratios).items():
                turns[name].append(value)
    return {name: median(values) for name, values in turns.items()}


class CountOperations(TorchDispatchMode):
    """Count the operations that torch starts, without views."""

    def __init__(self):
        super().__init__()
        self.n_started = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Count an operation, then run it."""
        namespace, _, name = operation._schema.name.partition("::")
        self.n_started += namespace == "aten" and name not in VIEWS
        return operation(*args, **(kwargs or {}))


def count_per_step(train, X, y, device, batch_size):
    """Return the operations of a step, and of its share of what an epoch takes."""
    counts = []
    for n_epochs in (1, 3):
        with CountOperations() as counter:
            train(X, y, device, batch_size, n_epochs)
        counts.append(counter.n_started)
    return (counts[1] - counts[0]) / (2 * -(-len(X) // batch_size))


def print_ratios(cells):
    """Print the time of a fit, and its ratios to two trainings of plain torch."""
    aim = f"on a GPU at most {AIM} in float64 is the aim"
    print(f"A whole fit, as a share of two trainings of plain torch ({aim}):\n")
    print("| batch size | ours, s | float64 | float32 |")
    print("| ---: | ---: | ---: | ---: |")
    for batch_size, cell in cells.items():
        ratios = f"{cell[torch.float64]:.2f} | {cell[torch.float32]:.2f}"
        print(f"| {batch_size} | {cell['ours']:.2f} | {ratios} |")


def print_operations(X, y, device):
    """Print how many operations a step takes."""
    arguments = X[:2560], y[:2560], device, 128
    ours = count_per_step(fit_ours, *arguments) / 2  # a fit trains twice
    plain = count_per_step(train_torch, *arguments)
    print("\nOperations started in a step:\n\n| ours | plain torch |\n| ---: | ---: |")
    print(f"| {ours:.0f} | {plain:.0f} |")


def main():
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    device = options.device
    if device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no GPU; --device cpu tries the script without one.")
    warnings.filterwarnings("ignore", "X is not scaled")
    X, y = bench_memory.make_rows(N_ROWS, N_FEATURES)
    cells, parts = {}, {}
    with one_thread_per_fit():
        for batch_size in BATCH_SIZES:
            how = device, batch_size, options.epochs
            cells[batch_size] = measure(X, y, *how, options.repeats)
            turn = bench_fit.split_time(fit_ours, X, y, *how)
            parts[f"{N_ROWS} x {N_FEATURES}", batch_size] = [turn]
        print_ratios(cells)
        print("\nWhere a fit spends its time:\n")
        bench_fit.print_parts(parts, "batch size")
        print_operations(X, y, device)
    name = "the CPU" if device == "cpu" else torch.cuda.get_device_name(device)
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{versions}; on {name}.")
    for batch_size, cell in cells.items():
        ratio = cell[torch.float64]
        if device != "cpu":
            assert ratio <= SLACK * AIM, f"batch size {batch_size}: {ratio:.2f}"


if __name__ == "__main__":
    main()
