"""The paper's experiment on MNIST, done again.

Called by ``python benchmarks/reproduce_paper.py --mnist FILE``. FILE is an npz with
``X`` (pixels, 0 to 255) and ``y``, or a csv with the label first, then 784 pixels. The
paper's 42,000 rows are the training file of Kaggle's "Digit Recognizer", train.csv,
which can be given as it is. The report that comes with this script was made from an npz
of 42,000 rows drawn with ``numpy.random.RandomState(0)`` from all 70,000 of MNIST.

As in the paper: 70 % of the rows train (stratified, seed 0), pixels / 255, a network
784-50-30-10 with logistic hidden units, N(0, 1) for its initial weights, rate .5,
batches of 128, at most 50 epochs; a training ends with the epoch in which the training
accuracy reaches .92. The paper's text is unclear about output and loss; here they are
softmax and log loss, as ``legcnet_params("mnist", ...)`` has them. Epochs count from 0,
so that the one printed is ``n_iter_ - 1``.

The dense network of the tables is the one that stops at .92, from which magnitude
pruning takes its ranking, too. That of a LEGCNet fit goes on to the end of its record,
50 epochs for FT and 5 for PT, whatever accuracy it reaches.
"""

import copy
import gc
import warnings
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from authors_protocol import AUTHORS_EXPONENTS, Table, make_authors_record
from bench_memory import read_peak, reset_peak
from reporting import format_table, half_interval, spread, timed
from scipy.stats import sem
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

from skchaosprune import ChaosCausalPrunedMLP, granger_causality, legcnet_params
from skchaosprune._to_c import embed
from skchaosprune.compact import serialize_npz

SEEDS = range(5)
N_PIXELS = 784
LAGS = (14, 16, 18, 20)  # 63 windows have room for 20
LEVEL = 0.05


@dataclass(frozen=True)
class PaperFigures:
    """What the paper says of a network; alpha is that of the three layers."""

    accuracy: float
    f1: float
    alphas: tuple
    epochs: int | None = None
    pruned: float | None = None


PAPER = {
    "dense": PaperFigures(0.9121, 0.8669, (2.19, 1.51, 1.94), 27, 0.0),
    "LEGCNet-FT": PaperFigures(0.9165, 0.8781, (2.24, 1.51, 2.29), 30, 0.34),
    "LEGCNet-PT": PaperFigures(0.9152, 0.8408, (2.19, 1.51, 2.73), 29, 0.32),
    "random, as many as FT": PaperFigures(0.9119, 0.8627, (2.30, 1.70, 2.00)),
    "magnitude, as many as FT": PaperFigures(0.9121, 0.8669, (2.19, 1.55, 1.96)),
}


# %% The rows


def load_mnist(path):
    """Load pixels in [0, 1] and labels from an npz or a csv.

    Raises
    ------
    ValueError
        If these are not pixels from 0 to 255, or not labels from 0 to 9.
    """
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            X, y = arrays["X"], arrays["y"]
    else:
        encoding = "utf-8-sig"  # a mark at the beginning is no part of the label
        with open(path, encoding=encoding) as file:
            has_header = "label" in file.readline()
        options = {"delimiter": ",", "ndmin": 2, "encoding": encoding}
        table = np.loadtxt(path, skiprows=int(has_header), **options)
        X, y = table[:, 1:], table[:, 0]
    X = X.reshape(len(X), -1)
    if not (X.min() >= 0 and 1 < X.max() <= 255):
        raise ValueError(
            f"{path} has pixels from {X.min()} to {X.max()}; give MNIST with pixels "
            "from 0 to 255."
        )
    if not np.isin(y, range(10)).all():
        raise ValueError(f"{path} has other labels than 0 to 9; give MNIST's digits.")
    return X / 255.0, y.astype(int)


def split_rows(X, y, train_size, seed):
    """Split rows by class, and call them a table of the paper."""
    parts = train_test_split(X, y, train_size=train_size, random_state=seed, stratify=y)
    X_train, X_test, y_train, y_test = parts
    return Table("mnist", X_train, y_train, X_test, y_test, "arg-max")


def load_table(path):
    """Load and split as the paper did."""
    return split_rows(*load_mnist(path), train_size=0.7, seed=0)


# %% What is measured


@dataclass(frozen=True)
class Network:
    """A trained network; shares in percent of all weights.

    ``never_moved`` counts pruned weights that no step of the dense training changed,
    ``seconds`` and ``megabytes`` are those of the whole fit (None where the network is
    a part of one).
    """

    epochs: int
    reached: bool
    accuracy: float
    f1: float
    pruned: float
    never_moved: float
    n_kept: int
    alphas: tuple
    npz_bytes: int
    c_bytes: int
    multiply_adds: int
    seconds: float | None
    megabytes: float | None


def say(text):
    """Print how far the script is."""
    print(text, flush=True)


def measure_fit(model, X, y):
    """Fit; return the CPU seconds, and the peak in MB above the memory before."""
    gc.collect()
    reset_peak()
    before = read_peak()
    _, seconds = timed(model.fit, X, y)
    return seconds, (read_peak() - before) / 1e6


def copy_dense(model):
    """Return the dense network of a fit as an estimator."""
    dense = copy.copy(model)
    dense.coefs_, dense.intercepts_ = model.dense_coefs_, model.dense_intercepts_
    dense.masks_ = [np.ones(W.shape, dtype=bool) for W in dense.coefs_]
    dense.sparsity_, dense.n_iter_ = 0.0, model.n_iter_dense_
    dense.flops_ = model.dense_flops_
    return dense


def score_classes(network, table):
    """Return accuracy and macro F1 on the test rows."""
    predicted = network.predict(table.X_test)
    f1 = f1_score(table.y_test, predicted, average="macro", zero_division=0.0)
    return np.mean(predicted == table.y_test), f1


def count_sizes(compact):
    """Return the bytes of npz and of constants in C (float32), and multiply-adds."""
    network = embed(compact)
    return len(serialize_npz(compact)), network.nbytes, network.n_multiply_adds


def measure(table, network, cost=(None, None)):
    """Measure a network on the test rows."""
    accuracy, f1 = score_classes(network, table)
    npz_bytes, c_bytes, multiply_adds = count_sizes(network.compact())
    pruned = np.concatenate([~mask.ravel() for mask in network.masks_])
    reached = network.score(table.X_train, table.y_train) >= table.benchmark
    return Network(
        epochs=network.n_iter_ - 1,
        reached=bool(reached),
        accuracy=accuracy,
        f1=f1,
        pruned=100.0 * pruned.mean(),
        never_moved=100.0 * np.mean(pruned & never_moved(network)),
        n_kept=network.flops_,
        alphas=tuple(power_law_alpha(W) for W in network.coefs_),
        npz_bytes=npz_bytes,
        c_bytes=c_bytes,
        multiply_adds=multiply_adds,
        seconds=cost[0],
        megabytes=cost[1],
    )


def never_moved(model):
    """Mask of the weights that the dense training left as they were."""
    pairs = zip(model.initial_coefs_, model.dense_coefs_, strict=True)
    return np.concatenate([(before == after).ravel() for before, after in pairs])


def power_law_alpha(W):
    """Exponent of a power law through the eigenvalues of ``W.T @ W`` that are not 0.

    NaN with a warning where powerlaw is missing.
    """
    if find_spec("powerlaw") is None:
        warnings.warn("alpha needs powerlaw; pip install powerlaw.", stacklevel=2)
        return np.nan
    import powerlaw

    eigenvalues = np.linalg.svd(W, compute_uv=False) ** 2
    eigenvalues = eigenvalues[eigenvalues > 1e-10 * eigenvalues[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(powerlaw.Fit(eigenvalues, verbose=False).power_law.alpha)


# %% The networks of one initialisation


def fit(table, seed, variant, **options):
    """Fit with the paper's settings; return the model and its cost.

    Both are None where the criterion cannot decide.
    """
    params = legcnet_params("mnist", variant) | {"random_state": seed}
    model = ChaosCausalPrunedMLP(**params | options)
    try:
        cost = measure_fit(model, table.X_train, table.y_train)
    except ValueError as error:
        if "prune_ratio=None" not in str(error):
            raise
        say(f"initialisation {seed}, LEGCNet-{variant.upper()} left out: {error}")
        return None, None
    criterion = type(model.criterion_).__name__
    say(f"initialisation {seed}, {variant}, {criterion}: {cost[0]:.0f} s")
    return model, cost


def train_all(table, seed):
    """Train every network from one initialisation.

    Returns
    -------
    networks : dict
        Name in :data:`PAPER` -> Network; without those that could not be decided.
        "50 epochs" is the dense network of the FT fit.
    study : list of Pruned
        What other choices than ours would prune; see :func:`study_masks`.
    """
    networks, study, ratio = {}, [], 0.0
    model, cost = fit(table, seed, "pt")
    if model is not None:
        networks["LEGCNet-PT"] = measure(table, model, cost)
    ft, cost = fit(table, seed, "ft")
    if ft is not None:
        networks["LEGCNet-FT"] = measure(table, ft, cost)
        networks["50 epochs"] = measure(table, copy_dense(ft))
        study, ratio = study_masks(table, seed, ft), ft.sparsity_
    options = {"prune_criterion": "magnitude", "prune_ratio": ratio}
    model, cost = fit(table, seed, "ft", **options)
    networks["dense"] = measure(table, copy_dense(model))
    if ft is not None:
        networks["magnitude, as many as FT"] = measure(table, model, cost)
        # random masks need no dense training, of which one epoch is left
        options |= {"prune_criterion": "random", "dense_fraction": 1 / model.max_iter}
        model, cost = fit(table, seed, "ft", **options)
        networks["random, as many as FT"] = measure(table, model, cost)
    return networks, study


# %% Why so many are pruned


@dataclass(frozen=True)
class Pruned:
    """What a record and a target would prune; shares in percent of all weights.

    ``untested`` weights have the same exponent in every window; ``by_lag`` counts those
    that were tested and found not causal, by the number of lags; ``f_test`` does so
    with the exact test at 14 lags; ``near`` are p-values from .03 to .07.
    """

    record: str
    target: str
    untested: float
    by_lag: tuple
    f_test: float
    near: float


def study_masks(table, seed, model):
    """Test the exponents of an FT fit and of the authors' record anew."""
    record, theirs = record_as_authors(table, seed, model)
    test_error = [record.misclassification(point) for point in theirs.snapshots_]
    found = []
    for name, exponents in (
        ("ours", model.lyapunov_exponents_),
        ("the authors'", theirs.lyapunov_exponents_),
    ):
        for target, series in (
            ("training rows", model.target_series_),
            ("test rows", np.array(test_error)),
        ):
            found.append(Pruned(name, target, *test_again(series, exponents)))
    return found


def record_as_authors(table, seed, model):
    """Train again, with the authors' record; return the criterion and the fit."""
    params = legcnet_params("mnist", "ft")
    criterion = params["prune_criterion"].set_params(**AUTHORS_EXPONENTS["FT"])
    initial = model.initial_coefs_, model.initial_intercepts_
    record = make_authors_record(
        criterion, table, initial, params["max_iter"], "test", True, model.batch_size
    )
    # a record that is complete stops at no score, the sparse training at the first
    record.record_every = "auto"
    theirs, _ = fit(table, seed, "ft", prune_criterion=record, target_score=0.0)
    return record, theirs


def test_again(series, exponents):
    """Return the shares of Pruned for one target series."""
    p_values = granger_causality(
        series, exponents, max_lag=LAGS[-1], test="ssr_chi2test"
    ).p_value
    exact = granger_causality(series, exponents, max_lag=LAGS[0]).p_value
    tested = ~np.isnan(p_values).all(axis=0)

    def smallest(p_values, lag):
        return np.fmin.reduce(p_values[:lag, tested], axis=0)

    def percent(is_so):
        return 100.0 * np.count_nonzero(is_so) / tested.size

    by_lag = tuple(percent(smallest(p_values, lag) >= LEVEL) for lag in LAGS)
    p = smallest(p_values, LAGS[0])
    return (
        percent(~tested),
        by_lag,
        percent(smallest(exact, LAGS[0]) >= LEVEL),
        percent((p > 0.03) & (p < 0.07)),
    )


def warm_up(table):
    """Compile all kernels, so that no fit is charged for it."""
    rows = slice(0, 500)
    X, y = table.X_train[rows], table.y_train[rows]
    params = legcnet_params("mnist", "pt") | {"prune_ratio": 0.5, "dense_fraction": 1.0}
    ChaosCausalPrunedMLP(**params | {"batch_size": 1, "max_iter": 3}).fit(X, y)
    options = {"prune_ratio": 0.99, "n_swaps": 1, "batch_size": 32, "max_iter": 60}
    ChaosCausalPrunedMLP((50, 30), **options).fit(X, y)


def run(table):
    """Train all networks from all initialisations; return two lists over these."""
    warm_up(table)
    results = [train_all(table, seed) for seed in SEEDS]
    return tuple(zip(*results, strict=True))


# %% The report

HEADER = [
    "network",
    "epochs, paper",
    "epochs",
    "accuracy, paper",
    "accuracy",
    "macro F1, paper",
    "macro F1",
    "% pruned, paper",
    "% pruned",
    "of which never moved, % of all weights",
    "weights kept",
    "alpha of layers 1, 2, 3, paper",
    "alpha of layers 1, 2, 3",
]
COST_HEADER = [
    "network",
    "CPU seconds",
    "peak MB",
    "bytes, npz",
    "bytes in C, float32",
    "multiply-adds",
]


def report(table, results, studies):
    """Return the lines of all tables, from what :func:`run` returns."""
    names = [name for name in PAPER if any(name in found for found in results)]
    found = {name: pick(results, name) for name in names}
    return [
        "## MNIST, 784-50-30-10",
        "",
        f"{len(table.X_train):,} training and {len(table.X_test):,} test rows. Paper: "
        "its one row. Ours: mean ± standard deviation (best) over "
        f"{len(results)} initialisations, with the masks of `legcnet_params`. Of PT "
        "this has windows of 50 records and 7 lags, as those of FT would be too few to "
        "be tested. Epochs count from 0.",
        "",
        *format_table(HEADER, [network_row(*item) for item in found.items()]),
        describe_stops(results),
        "",
        "A power law through 30 and 10 eigenvalues, those of layers 2 and 3, says next "
        "to nothing; WeightWatcher itself asks for 50. They are here as the paper has "
        "them.",
        "",
        *report_differences(results),
        "### What a fit costs",
        "",
        "Of the whole fit, which trains a dense network and a sparse one; with random "
        "masks one epoch of the dense one. CPU seconds, on one core; the peak is what "
        "the fit takes beyond the loaded table. In C a layer is stored in full where "
        "that takes less, so its multiply-adds are more than the weights kept.",
        "",
        *format_table(COST_HEADER, [cost_row(*item) for item in found.items()]),
        *report_study(table, studies, pick(results, "LEGCNet-FT")),
    ]


def pick(results, name):
    """Return a network of all initialisations that have it."""
    return [networks[name] for networks in results if name in networks]


def network_row(name, found):
    """Return the cells of a network beside those of the paper."""
    paper, n_missing = PAPER[name], len(SEEDS) - len(found)
    late = sum(not network.reached for network in found)

    def cell(measure, digits, best):
        return spread([getattr(n, measure) for n in found], digits, best)

    return [
        f"{name} (n = {len(found)})" if n_missing else name,
        "" if paper.epochs is None else paper.epochs,
        cell("epochs", 1, min) + (f", {late} never" if late else ""),
        f"{paper.accuracy:.4f}",
        cell("accuracy", 4, max),
        f"{paper.f1:.4f}",
        cell("f1", 4, max),
        "" if paper.pruned is None else f"{paper.pruned:.2f}",
        cell("pruned", 2, max),
        f"{np.mean([network.never_moved for network in found]):.2f}",
        f"{np.mean([network.n_kept for network in found]):,.0f}",
        ", ".join(f"{alpha:.2f}" for alpha in paper.alphas),
        ", ".join(
            spread(alphas, 2)
            for alphas in zip(*(network.alphas for network in found), strict=True)
        ),
    ]


def cost_row(name, found):
    """Return the cells of what a network costs."""
    sizes = ("npz_bytes", "c_bytes", "multiply_adds")
    means = [np.mean([getattr(n, size) for n in found]) for size in sizes]
    cost = ["", ""]
    if found[0].seconds is not None:
        cost = [spread([n.seconds for n in found], 1)]
        cost.append(spread([n.megabytes for n in found], 0))
    return [name, *cost, *(f"{value:,.0f}" for value in means)]


def describe_stops(results):
    """Say how the dense network that stops compares with the one that goes on."""
    dense, longer = pick(results, "dense"), pick(results, "50 epochs")
    n_reached = sum(network.reached for network in dense)
    text = (
        "The dense network of the table stops at a training accuracy of .92, which it "
        f"reached in {n_reached} of {len(dense)} initialisations. "
    )
    if longer:
        text += (
            "That of an FT fit goes on to the end of its record, after 50 epochs: "
            f"accuracy {spread([n.accuracy for n in longer], 4)}, macro F1 "
            f"{spread([n.f1 for n in longer], 4)}, alpha of layer 1 "
            f"{spread([n.alphas[0] for n in longer], 2)}."
        )
    return text


def report_differences(results):
    """Compare with the dense network, paired over initialisations."""
    rows, findings = [], []
    for name in list(PAPER)[1:]:
        pairs = [(n["dense"], n[name]) for n in results if name in n]
        if not pairs:
            continue
        changes = np.array([difference(*pair) for pair in pairs]).T
        theirs = difference(PAPER["dense"], PAPER[name])
        cells = [
            cell
            for change, paper in zip(changes, theirs, strict=True)
            for cell in (
                "" if np.isnan(paper) else f"{paper:+.2f}",
                f"{np.mean(change):+.2f} ± {sem(change):.2f}",
            )
        ]
        rows.append([name, *cells, len(pairs)])
        findings.append(f"{name}: {describe_changes(changes)}")
    header = ["network"]
    for measure_name in ("epochs, %", "accuracy", "macro F1"):
        header += [f"{measure_name}, paper", measure_name]
    if not rows:
        return []
    return [
        "### Against the dense network",
        "",
        "Paired over initialisations, ± standard error: epochs in percent of the dense "
        "network's, accuracy and F1 in points.",
        "",
        *format_table([*header, "pairs"], rows),
        "What differs beyond the 95 % interval of the mean (Student's t): "
        f"{'; '.join(findings)}.",
        "",
    ]


def difference(dense, sparse):
    """Return the changes of epochs, in percent, and of accuracy and F1, in points."""
    epochs = np.nan
    if sparse.epochs is not None:
        epochs = 100.0 * ((sparse.epochs + 1) / (dense.epochs + 1) - 1.0)
    return (
        epochs,
        100.0 * (sparse.accuracy - dense.accuracy),
        100.0 * (sparse.f1 - dense.f1),
    )


def describe_changes(changes):
    """Say which of epochs, accuracy and F1 differ from the dense network's."""
    found = []
    words = (("more epochs", "fewer epochs"), ("accuracy up", "accuracy down"))
    words += (("F1 up", "F1 down"),)
    for (more, less), values in zip(words, changes, strict=True):
        if abs(np.mean(values)) > half_interval(values):
            found.append(more if np.mean(values) > 0.0 else less)
    return ", ".join(found) or "nothing"


def report_study(table, studies, ft):
    """Say what else would be pruned."""
    rows = []
    for places in zip(*filter(None, studies), strict=True):
        by_lag = np.mean([pruned.by_lag for pruned in places], axis=0)
        shares = [
            np.mean([pruned.untested for pruned in places]),
            *by_lag,
            np.mean([pruned.f_test for pruned in places]),
            np.mean([pruned.near for pruned in places]),
        ]
        cells = [f"{share:.2f}" for share in shares]
        rows.append([f"{places[0].record}, {places[0].target}", *cells])
    if not rows:
        return []
    header = ["record, error", "untested", *(f"not causal, {n} lags" for n in LAGS)]
    header += [f"by the F test, {LAGS[0]} lags", f"p .03 to .07, {LAGS[0]} lags"]
    return [
        "### Why so many weights are pruned",
        "",
        *describe_untested(table, ft),
        "",
        *format_table(header, rows),
        *describe_lags(studies),
        "",
    ]


def describe_untested(table, ft):
    """Explain the columns, and say how many weights cannot be tested."""
    n_dark = np.count_nonzero(table.X_train.max(axis=0) == 0.0)
    never = np.mean([network.never_moved for network in ft])
    return [
        "Percent of all weights, mean over initialisations. FT prunes two kinds: "
        "weights that cannot be tested, as their exponent is 0 in every window (it is "
        "where a weight moves by less than 1e-5), and weights that were tested and "
        f"found not causal, here by the largest number of lags. {n_dark} of the "
        f"{table.X_train.shape[1]} pixels are 0 in all training rows; {never:.2f} % of "
        "the weights never moved. The error is that of the training rows, as in "
        "`legcnet_params`, or that of the test rows, as in the authors' code. The "
        "authors' record has the weights before each step, and exponents over 20 steps "
        "instead of 3; with these, and 20 lags instead of the paper's 14, their masks "
        f"on other data sets come out again. {LAGS[-1]} lags are the most that 63 "
        "windows have room for. The regression then has two degrees of freedom left; "
        "the F test takes that into account, the chi-squared test does not.",
    ]


def describe_lags(studies):
    """Set the shares with few and with many lags beside the paper's."""
    first = [study[0] for study in studies if study]
    by_lag = np.mean([pruned.by_lag for pruned in first], axis=0)
    untested = np.mean([pruned.untested for pruned in first])
    return [
        f"The paper prunes {PAPER['LEGCNet-FT'].pruned} %. The {untested:.1f} % that "
        "cannot be tested are more than that alone. Without them our record prunes "
        f"{by_lag[0]:.2f} % with {LAGS[0]} lags and {by_lag[-1]:.2f} % with "
        f"{LAGS[-1]}. What the paper did with such weights, and which settings made "
        "its masks, is not known; none were published for MNIST.",
    ]
