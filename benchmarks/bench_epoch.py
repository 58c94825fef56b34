"""Time one epoch of our net, recording, against a bare torch loop without recording.

Run ``python benchmarks/bench_epoch.py``; the Markdown tables are printed.

The problem is scikit-learn's breast cancer data, scaled: 569 rows, 30 inputs, two
classes, hence one output; one hidden layer of ReLU units, SGD at a constant rate,
float64, one thread.

- *bare torch*: ``nn.Sequential``, ``BCEWithLogitsLoss`` and ``torch.optim.SGD``, with
  batches sliced in the order of ``torch.randperm``; no data loader, no recording.
- *ours, recording*: the numba engine with a record of all weights at every iteration,
  windows of 50 records with overlap 0.1, and the misclassification rate over all rows
  at every window's end; the windows themselves are dropped.
- *ours, recording and exponents*: the Lyapunov exponents of every window as well. Their
  cost grows with weights times windows; the default ``record_every="auto"`` spreads
  about 150 windows over the training, and recording every iteration is the worst case.
- *torch engine, recording*: as *ours, recording*, with ``engine="torch"``.

Our nets are driven through ``train``, as ``fit`` does it for the dense phase,
but without scoring, pruning and retraining around it. The time is that from the end of
the first epoch to the end of the last one: setting the net up is not counted, what
skorch does in every epoch is. Before timing, an epoch of each engine is compared with
the bare loop from the same weights in the same order. All are then measured in turn;
the tables show medians, and the ratios are medians of ratios within a turn.

Three more tables are of steps without recording, each beside what it replaces:

- *A large table*: a 784-50-30-10 net in batches of 128 beside the bare loop in float32
  and in float64 (``CrossEntropyLoss``), on random rows and on rows of MNIST's kind, of
  which a fifth is not zero, in blocks as those of an image are.
- *Rows of zeros*: one-hot rows, one per step, beside the same steps of all entries.
- *Pruned networks*: single steps of kept weights alone beside those of all weights
  under the mask, also where fits prefer the latter, as more than .15 is kept.
"""

import argparse
import os
from importlib.metadata import version
from statistics import median
from time import perf_counter
from unittest.mock import patch

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._network import mlp
from skchaosprune._training import epoch
from skchaosprune._training import net as _network
from skchaosprune._training.plan import Watch
from skchaosprune._training.recording import WindowRecorder, count_windows
from skchaosprune._training.threads import one_thread_per_fit
from skchaosprune.criteria import ChaosCausality

PACKAGES = ("skchaosprune", "numpy", "numba", "scikit-learn", "skorch", "torch")
BATCH_SIZES = (1, 32, 128)
HIDDEN_SIZES = (8, 64)
OURS = {
    "ours, recording": ("numba", False),
    "ours, recording and exponents": ("numba", True),
    "torch engine, recording": ("torch", False),
}
# Mean over all cells, with slack for a busy machine.
LARGEST_MEAN_RATIO = {
    "ours, recording": 0.3,
    "torch engine, recording": 2.5,
}


def make_task(X, y, hidden, batch_size, engine, alpha=0.0):
    """Return what a fit computes before its first epoch."""
    model = ChaosCausalPrunedMLP(
        hidden,
        loss="log_loss",
        learning_rate="constant",  # what the bare loop does
        alpha=alpha,
        batch_size=batch_size,
        engine=engine,
        random_state=0,
    )
    return model._plan(X, y, None).training


def drop_window(window, out):
    """Stand in for the exponents."""
    out.fill(0.0)


def make_recorder(task, n_epochs, exponents):
    """Return a recorder of every iteration; without exponents it drops its windows."""
    criterion = ChaosCausality()
    reduce_window = criterion.reduce_window if exponents else drop_window
    window = criterion.window_size, criterion.window_overlap
    return WindowRecorder(
        count_windows(n_epochs * task.iterations_per_epoch, *window),
        task.network.n_weights,
        window_size=criterion.window_size,
        window_overlap=criterion.window_overlap,
        record_every=1,
        reduce_window=reduce_window,
    )


class Clock:
    """Note when each epoch ends."""

    def __init__(self):
        self.ends = []

    def begin(self):
        """Epochs are timed from end to end."""

    def end(self, number, loss, params):
        """Note the time; the training goes on."""
        self.ends.append(perf_counter())


def train_recorded(task, n_epochs, exponents):
    """Train and record; return the seconds per epoch and the weights."""
    watch = Watch(
        recorder=make_recorder(task, n_epochs, exponents),
        target=lambda params: task.data.mean_error(params, task.network),
    )
    return train_ours(task, n_epochs, watch)


def train_ours(task, n_epochs, watch=Watch(), share=1.0):
    """Train a share of the weights; return the seconds per epoch and the weights."""
    clock = Clock()
    is_kept = np.random.RandomState(0).uniform(size=task.network.n_weights) < share
    run = _network.train(
        task.network,
        task.data,
        task.params,
        n_epochs=n_epochs,
        mask=is_kept,
        seed=task.order_seed,
        watch=watch,
        epochs=clock,
    )
    return (clock.ends[-1] - clock.ends[0]) / max(1, n_epochs - 1), run.params


def make_bare_net(task, dtype):
    """Return a plain torch net with the task's initial weights."""
    coefs, intercepts = mlp.unflatten(task.params, task.network.layer_sizes)
    layers = []
    for W, b in zip(coefs, intercepts, strict=True):
        layer = torch.nn.Linear(*W.shape, dtype=torch.float64)
        layer.weight.data = torch.tensor(W.T.copy())
        layer.bias.data = torch.tensor(b)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1]).to(dtype)


def train_bare(task, n_epochs, draw_order=torch.randperm, dtype=torch.float64):
    """Train without recording; return the seconds per epoch and the net."""
    net = make_bare_net(task, dtype)
    optimizer = torch.optim.SGD(net.parameters(), lr=task.network.learning_rate_init)
    loss_function = torch.nn.BCEWithLogitsLoss()
    X, targets = torch.from_numpy(task.data.X), torch.from_numpy(task.data.targets)
    X, targets = X.to(dtype), targets.to(dtype)
    if targets.shape[1] > 1:
        loss_function, targets = torch.nn.CrossEntropyLoss(), targets.argmax(dim=1)
    ends = []
    for _ in range(n_epochs):
        for rows in torch.split(draw_order(len(X)), task.network.batch_size):
            optimizer.zero_grad()
            loss = loss_function(net(X[rows]), targets[rows])
            loss.backward()
            optimizer.step()
        ends.append(perf_counter())
    return (ends[-1] - ends[0]) / max(1, n_epochs - 1), net


def check_same_epoch(task):
    """Compare the weights after one epoch in the same order."""
    rng = np.random.RandomState(task.order_seed)
    _, net = train_bare(task, 1, lambda n: torch.from_numpy(rng.permutation(n)))
    layers = [layer for layer in net if isinstance(layer, torch.nn.Linear)]
    expected = mlp.flatten(
        [layer.weight.detach().numpy().T for layer in layers],
        [layer.bias.detach().numpy() for layer in layers],
    )
    _, params = train_recorded(task, 1, exponents=False)
    np.testing.assert_allclose(params, expected, rtol=1e-9, atol=1e-12)


def measure(X, y, hidden, batch_size, n_steps, n_repeats):
    """Return the microseconds per step of each contestant, one value per turn."""
    tasks = {
        engine: make_task(X, y, (hidden,), batch_size, engine)
        for engine in ("numba", "torch")
    }
    for task in tasks.values():
        check_same_epoch(task)
    # compiles what is left to compile
    train_recorded(tasks["numba"], 60, exponents=True)
    steps_per_epoch = tasks["numba"].iterations_per_epoch
    n_epochs = 1 + -(-n_steps // steps_per_epoch)
    times = {name: [] for name in ("bare torch", *OURS)}
    for _ in range(n_repeats):
        times["bare torch"].append(train_bare(tasks["numba"], n_epochs)[0])
        for name, (engine, exponents) in OURS.items():
            times[name].append(train_recorded(tasks[engine], n_epochs, exponents)[0])
    return {
        name: [1e6 * seconds / steps_per_epoch for seconds in values]
        for name, values in times.items()
    }


def median_ratio(times, name):
    """Median over the turns of a contestant's time over the bare loop's."""
    pairs = zip(times[name], times["bare torch"], strict=True)
    return median(ours / bare for ours, bare in pairs)


def print_tables(cells):
    """Print the times and the ratios, one row per net and batch size."""
    head = "| batch size | hidden | bare torch | " + " | ".join(OURS) + " |"
    print("Microseconds per optimiser step:\n")
    print(head, "|" + " ---: |" * (3 + len(OURS)), sep="\n")
    for (hidden, batch_size), times in cells.items():
        values = [f"{median(times[name]):.1f}" for name in ("bare torch", *OURS)]
        print(f"| {batch_size} | {hidden} |", " | ".join(values), "|")
    print("\nRatios to bare torch (below 1: faster):\n")
    print(head, "|" + " ---: |" * (3 + len(OURS)), sep="\n")
    for (hidden, batch_size), times in cells.items():
        values = [f"{median_ratio(times, name):.3f}" for name in OURS]
        print(f"| {batch_size} | {hidden} | 1 |", " | ".join(values), "|")


def time_in_turn(contestants, n_steps, n_repeats):
    """Return the microseconds per step of functions of seconds, one value per turn."""
    times = {name: [] for name in contestants}
    for turn in range(n_repeats + 1):
        for name, run in contestants.items():
            seconds = run()
            if turn > 0:  # the first one compiles
                times[name].append(1e6 * seconds / n_steps)
    return times


def time_large_table(X, n_repeats):
    """Time batches of 128 beside bare torch; return the microseconds per step."""
    y = np.random.RandomState(0).randint(10, size=len(X))
    task = make_task(X, y, (50, 30), 128, "numba")
    contestants = {
        "torch, float32": lambda: train_bare(task, 2, dtype=torch.float32)[0],
        "torch, float64": lambda: train_bare(task, 2)[0],
        "ours": lambda: train_ours(task, 2)[0],
    }
    return time_in_turn(contestants, task.iterations_per_epoch, n_repeats)


def time_with_and_without(task, name, share, n_repeats):
    """Time steps with a kernel and without it, as its limit decides."""

    def train_with(limit):
        with patch.object(epoch, name, limit):
            return train_ours(task, 4, share=share)[0]

    contestants = {"dense": lambda: train_with(-1.0), "ours": lambda: train_with(1.0)}
    return time_in_turn(contestants, task.iterations_per_epoch, n_repeats)


def make_images(n_rows):
    """Return rows of 28 x 28 numbers, not zero in a square of 12 x 12 somewhere."""
    rng = np.random.RandomState(0)
    images = np.zeros((n_rows, 28, 28))
    for image, (top, left) in zip(images, rng.randint(4, 13, (n_rows, 2)), strict=True):
        image[top : top + 12, left : left + 12] = rng.uniform(size=(12, 12))
    return images.reshape(n_rows, -1)


def make_one_hot(n_rows, n_columns, n_categories):
    """Return rows of one-hot columns, and their random labels."""
    rng = np.random.RandomState(0)
    codes = rng.randint(n_categories, size=(n_rows, n_columns))
    X = np.eye(n_categories)[codes].reshape(n_rows, -1)
    return X, rng.randint(2, size=n_rows)


def print_turns(title, head, rows):
    """Print a table of medians, with ratios of turns to those of the first columns."""
    print(f"\n{title}\n")
    print(f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|", sep="\n")
    for label, times in rows.items():
        *others, ours = times.values()
        values = [f"{median(part):.2f}" for part in (*others, ours)]
        for other in others:
            pairs = zip(ours, other, strict=True)
            values.append(f"{median(a / b for a, b in pairs):.2f}")
        print(f"| {label} |", " | ".join(values), "|")


def print_steps(n_repeats):
    """Measure and print the steps without recording."""
    rng = np.random.RandomState(0)
    rows = {
        "random rows": time_large_table(rng.normal(size=(12_800, 784)), n_repeats),
        "a fifth not zero": time_large_table(make_images(12_800), n_repeats),
    }
    head = ["784-50-30-10, batches of 128", "torch, float32", "torch, float64", "ours"]
    head += ["ratio to float32", "ratio to float64"]
    print_turns("A large table, microseconds per step:", head, rows)

    rows = {}
    for n_columns, n_categories in ((10, 10), (20, 50)):
        X, y = make_one_hot(10_000, n_columns, n_categories)
        for alpha in (0.0, 2.0):
            task = make_task(X, y, (64,), 1, "numba", alpha)
            label = f"{n_columns} of {X.shape[1]} not zero, alpha={alpha:g}"
            name = "_LARGEST_LISTED_SHARE"
            rows[label] = time_with_and_without(task, name, 1.0, n_repeats)
    head = ["hidden units 64, single rows", "all entries", "ours", "ratio"]
    print_turns("Rows of zeros, microseconds per step:", head, rows)

    rows = {}
    for hidden, n_inputs, n_classes in (((64,), 30, 2), ((64,), 64, 10)):
        X = rng.normal(size=(10_000, n_inputs))
        y = rng.randint(n_classes, size=len(X))
        task = make_task(X, y, hidden, 1, "numba", alpha=2.0)
        sizes = "-".join(map(str, task.network.layer_sizes))
        for pruned in (0.8, 0.85, 0.9, 0.95):
            rows[f"{sizes}, {pruned:g} pruned"] = time_with_and_without(
                task, "_LARGEST_KEPT_SHARE", 1.0 - pruned, n_repeats
            )
    head = ["single rows", "all weights", "ours", "ratio"]
    print_turns("Pruned networks, microseconds per step:", head, rows)


def print_environment():
    """Print the versions of the packages and the number of CPUs."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{versions}; {os.cpu_count()} CPUs, one thread used.")


def main():
    """Measure every cell and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500, help="per measurement")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    X, y = load_breast_cancer(return_X_y=True)
    with one_thread_per_fit():
        cells = {
            (hidden, batch_size): measure(
                scale(X), y, hidden, batch_size, options.steps, options.repeats
            )
            for hidden in HIDDEN_SIZES
            for batch_size in BATCH_SIZES
        }
        print_tables(cells)
        print_steps(options.repeats)
    print_environment()
    for name, largest in LARGEST_MEAN_RATIO.items():
        mean = np.mean([median_ratio(times, name) for times in cells.values()])
        assert mean <= largest, f"{name}: {mean:.2f} times bare torch on average"


if __name__ == "__main__":
    main()
