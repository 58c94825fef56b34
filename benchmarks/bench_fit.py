"""Time a whole fit against training two networks with torch, skorch and scikit-learn.

Run ``python benchmarks/bench_fit.py``; the Markdown tables are printed.

A fit trains a dense network and records it, scores its weights by chaos and causality,
prunes, and trains the sparse network: default parameters, but for 32 hidden units, 50
epochs, one round, no target score, and a constant learning rate and no penalty, as the
others have. It competes with two trainings alone, of the same dense network for as many
epochs, without recording, scoring or pruning:

- *torch*: ``nn.Sequential`` and ``torch.optim.SGD``, float64, with batches sliced in
  the order of ``torch.randperm``; no data loader.
- *skorch*: ``NeuralNetClassifier`` of the same module, without validation split and
  printing.
- *MLPClassifier* of scikit-learn: ``solver="sgd"`` without momentum, the same learning
  rate, L2 penalty 0, no early stopping.

All run on one thread, on scaled data of scikit-learn, and the fit is warm: everything
is imported and compiled. They are measured in turn; the ratios are medians of the
ratios within a turn. At batch size 1 the others train for five epochs, and their time
is multiplied by ten: their epochs all cost the same. So does the second training, in
all cases.

The second table says where a fit spends its time: *training* is the dense and the
sparse training with the copies of the weights, *target* the target series, *exponents*
the Lyapunov exponents, *tests* the Granger tests, *rest* everything else, checks of the
data included.

The third one says the same of fits with default parameters, but for fewer epochs on
large tables, at a ratio that is trained again and at one that takes a descent:
*descent* is that, with its swaps.
"""

import argparse
import os
import warnings
from contextlib import ExitStack
from importlib.metadata import version
from statistics import median
from time import perf_counter
from unittest.mock import patch

import bench_memory
import bench_scaling
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale
from skorch import NeuralNetClassifier

from skchaosprune import ChaosCausalPrunedMLP
from skchaosprune._fit import pruning, results, scoring
from skchaosprune._kernels import lyapunov
from skchaosprune._training import net as _network
from skchaosprune._training.threads import one_thread_per_fit

PACKAGES = ("skchaosprune", "numpy", "numba", "scikit-learn", "skorch", "torch")
TABLES = {"breast_cancer": load_breast_cancer, "digits": load_digits}
HIDDEN = 32
N_EPOCHS = 50
LEARNING_RATE = ChaosCausalPrunedMLP().learning_rate_init
# The parts of a fit: the function that does each, where it is looked up.
PARTS = {
    "training": (_network, "train"),
    "exponents": (lyapunov, "_exponents"),
    "tests": (scoring, "score_weights"),
    "descent": (pruning, "descend"),
    "swaps": (pruning, "swap_weights"),
    "importances": (results, "explain"),
}
# Whole fits, by batch size, as a share of two trainings of each competitor: what was
# aimed at; the script fails above twice of it, as machines differ.
AIMS = {
    1: {"torch": 0.05, "skorch": 0.02, "MLPClassifier": 0.08},
    32: {"torch": 0.2, "skorch": 0.08, "MLPClassifier": 0.3},
}


def fit_ours(X, y, batch_size):
    """Fit with the default parameters, but for those that the comparison fixes."""
    model = ChaosCausalPrunedMLP(
        (HIDDEN,),
        learning_rate="constant",
        alpha=0.0,
        batch_size=batch_size,
        max_iter=N_EPOCHS,
        n_rounds=1,
        target_score=None,
        random_state=0,
    )
    return model.fit(X, y)


def make_module(X, y):
    """Return the dense network: one output per class, one in all for two."""
    n_classes = len(np.unique(y))
    n_outputs = 1 if n_classes == 2 else n_classes
    return torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], HIDDEN, dtype=torch.float64),
        torch.nn.ReLU(),
        torch.nn.Linear(HIDDEN, n_outputs, dtype=torch.float64),
        *([torch.nn.Flatten(0)] if n_outputs == 1 else []),
    )


def make_loss(y):
    """Return the loss's class, and the type of the labels that it takes."""
    if len(np.unique(y)) == 2:
        return torch.nn.BCEWithLogitsLoss, np.float64
    return torch.nn.CrossEntropyLoss, np.int64


def train_torch(X, y, batch_size, n_epochs):
    """Train in a bare torch loop."""
    loss_class, dtype = make_loss(y)
    net, loss_function = make_module(X, y), loss_class()
    optimizer = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE)
    X, y = torch.from_numpy(X), torch.from_numpy(y.astype(dtype))
    for _ in range(n_epochs):
        for rows in torch.split(torch.randperm(len(X)), batch_size):
            optimizer.zero_grad()
            loss = loss_function(net(X[rows]), y[rows])
            loss.backward()
            optimizer.step()


def train_skorch(X, y, batch_size, n_epochs):
    """Train the same module with skorch."""
    loss_class, dtype = make_loss(y)
    NeuralNetClassifier(
        make_module(X, y),
        criterion=loss_class,
        optimizer=torch.optim.SGD,
        lr=LEARNING_RATE,
        max_epochs=n_epochs,
        batch_size=batch_size,
        classes=np.unique(y),
        train_split=None,
        iterator_train__shuffle=True,
        verbose=0,
    ).fit(X, y.astype(dtype))


def train_sklearn(X, y, batch_size, n_epochs):
    """Train scikit-learn's network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it ends on purpose
        MLPClassifier(
            (HIDDEN,),
            solver="sgd",
            alpha=0.0,
            batch_size=batch_size,
            learning_rate_init=LEARNING_RATE,
            momentum=0.0,
            max_iter=n_epochs,
            tol=0.0,
            n_iter_no_change=n_epochs,
            random_state=0,
        ).fit(X, y)


OTHERS = {
    "torch": train_torch,
    "skorch": train_skorch,
    "MLPClassifier": train_sklearn,
}


def seconds(function, *arguments):
    """Time one call."""
    start = perf_counter()
    function(*arguments)
    return perf_counter() - start


def measure(X, y, batch_size, n_repeats):
    """Return the seconds of every contestant, one value per turn."""
    n_epochs = 5 if batch_size == 1 else N_EPOCHS
    fit_ours(X, y, batch_size)  # compiles what is left to compile
    times = {name: [] for name in ("ours", *OTHERS)}
    for _ in range(n_repeats):
        times["ours"].append(seconds(fit_ours, X, y, batch_size))
        for name, train in OTHERS.items():
            one_training = seconds(train, X, y, batch_size, n_epochs)
            times[name].append(2 * one_training * N_EPOCHS / n_epochs)
    return times


def split_time(fit, *arguments):
    """Return the seconds that one fit spends in each of its parts."""
    spent = dict.fromkeys(["training", "target", *PARTS], 0.0)

    def timed(part, function):
        def call(*arguments, **settings):
            start = perf_counter()
            result = function(*arguments, **settings)
            spent[part] += perf_counter() - start
            return result

        return call

    make_target = scoring._make_target

    def make_timed_target(training):
        return timed("target", make_target(training))

    with ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            replacement = timed(part, getattr(owner, name))
            stack.enter_context(patch.object(owner, name, replacement))
        stack.enter_context(patch.object(scoring, "_make_target", make_timed_target))
        whole = seconds(fit, *arguments)
    # both at the end of each window
    spent["training"] -= spent["exponents"] + spent["target"]
    return spent | {"rest": whole - sum(spent.values())}


def fit_shape(X, y, prune_ratio, max_iter):
    """Fit with default parameters."""
    ChaosCausalPrunedMLP(
        prune_ratio=prune_ratio, max_iter=max_iter, random_state=0
    ).fit(X, y)


def make_shapes():
    """Return tables of five shapes, and the epochs of a fit."""
    cancer, digits = (load(return_X_y=True) for load in TABLES.values())
    return {
        "569 x 30, 2 classes": (scale(cancer[0]), cancer[1], 100),
        "1,797 x 64, 10 classes": (scale(digits[0]), digits[1], 100),
        "5,000 x 100, one-hot": (*bench_scaling.make_one_hot(5_000, 100, False), 20),
        "100,000 x 20": (*bench_memory.make_rows(100_000, 20), 5),
        "2,000 x 990": (*bench_memory.make_rows(2_000, 990), 5),
    }


def median_ratio(times, name):
    """Median over the turns of our time over a competitor's."""
    pairs = zip(times["ours"], times[name], strict=True)
    return median(ours / other for ours, other in pairs)


def print_ratios(cells):
    """Print the time of our fit, and its ratios to the others."""
    print("A whole fit, as a share of two trainings alone (aim):\n")
    print("| table | batch size | ours, ms |", " | ".join(OTHERS), "|")
    print("| --- | ---: | ---: |" + " ---: |" * len(OTHERS))
    for (table, batch_size), times in cells.items():
        values = [
            f"{median_ratio(times, name):.3f} ({AIMS[batch_size][name]})"
            for name in OTHERS
        ]
        ours = f"{1000 * median(times['ours']):.0f}"
        print(f"| {table} | {batch_size} | {ours} |", " | ".join(values), "|")


def print_parts(parts, what):
    """Print where the time goes, in shares of a fit."""
    names = list(next(iter(parts.values()))[0])
    print(f"| table | {what} | seconds |", " | ".join(names), "|")
    print("| --- | ---: | ---: |" + " ---: |" * len(names))
    for (table, setting), turns in parts.items():
        shares = [
            median(turn[name] / sum(turn.values()) for turn in turns) for name in names
        ]
        whole = median(sum(turn.values()) for turn in turns)
        values = " | ".join(f"{share:.0%}" for share in shares)
        print(f"| {table} | {setting} | {whole:.2f} | {values} |")


def print_environment():
    """Print the versions of the packages and the number of CPUs."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{versions}; {os.cpu_count()} CPUs, one thread used.")


def main():
    """Measure every cell and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    n_repeats = parser.parse_args().repeats
    cells, parts, shapes = {}, {}, {}
    with one_thread_per_fit():
        for table, load in TABLES.items():
            X, y = load(return_X_y=True)
            X = scale(X)
            for batch_size in AIMS:
                cell = table, batch_size
                cells[cell] = measure(X, y, batch_size, n_repeats)
                parts[cell] = [
                    split_time(fit_ours, X, y, batch_size) for _ in range(n_repeats)
                ]
        for name, (X, y, n_epochs) in make_shapes().items():
            for ratio in (0.5, 0.9):
                fit_shape(X[:300], y[:300], ratio, 1)  # compiles what is left
                turn = split_time(fit_shape, X, y, ratio, n_epochs)
                shapes[name, ratio] = [turn]
    print_ratios(cells)
    print("\nWhere a fit spends its time:\n")
    print_parts(parts, "batch size")
    print("\nWhere a default fit spends its time:\n")
    print_parts(shapes, "prune_ratio")
    print_environment()
    for (table, batch_size), times in cells.items():
        for name, aim in AIMS[batch_size].items():
            ratio = median_ratio(times, name)
            assert ratio <= 2 * aim, f"{table}, {batch_size}: {ratio:.3f} of {name}"


if __name__ == "__main__":
    main()
