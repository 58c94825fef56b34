"""How well the rules of feature_importances_ rank the inputs as SHAP values do.

Run it from the root of the repository (it takes some ten minutes, and needs shap)::

    python benchmarks/compare_importances.py --output benchmarks/compare_importances.md

Tables that come with scikit-learn are split into training and test rows and scaled. The
estimators are fitted with their defaults but for a few ratios and criteria, and each
rule ranks the inputs of the network that came out, from its training rows. The judge is
the mean absolute SHAP value of the same network, summed over the classes: of the
probabilities (of the prediction for a regressor), for test rows, against a background
of training rows. Agreement is Spearman's rank correlation over the inputs.

Two more rows tell what to expect. "SHAP, other rows" correlates the SHAP values of one
half of the test rows with those of the other half. "permutation, test rows" is
scikit-learn's ``permutation_importance`` of the test loss.
"""

import argparse
import tempfile
import time
import warnings
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP, ChaosCausalPrunedMLPRegressor
from skchaosprune._network import mlp
from skchaosprune._network.importance import IMPORTANCES, Explainable
from skchaosprune._training.threads import one_thread_per_fit

TABLES = {
    "breast_cancer": (load_breast_cancer, ChaosCausalPrunedMLP),
    "wine": (load_wine, ChaosCausalPrunedMLP),
    "digits": (load_digits, ChaosCausalPrunedMLP),
    "diabetes": (load_diabetes, ChaosCausalPrunedMLPRegressor),
}

# Criterion and ratio of each network that is explained; without pruning the criterion
# only serves the causal rule.
NETWORKS = {
    "dense": ("chaos_causal_magnitude", 0.0),
    "chaos_causal_magnitude, half pruned": ("chaos_causal_magnitude", 0.5),
    "chaos_causal_magnitude, 90 % pruned": ("chaos_causal_magnitude", 0.9),
    "chaos_causality, 90 % pruned": ("chaos_causality", 0.9),
    "magnitude, 90 % pruned": ("magnitude", 0.9),
}
OTHER_ROWS, ON_TEST_ROWS = "SHAP, other rows", "permutation, test rows"
ROWS = [*IMPORTANCES, ON_TEST_ROWS, OTHER_ROWS]

TEST_SHARE = 0.3
N_BACKGROUND = 50
N_EXPLAINED = 60
N_SHAP_PERMUTATIONS = 10
N_TIMINGS = 5


def split_table(name, seed):
    """Return scaled rows and targets to train on, and to test on."""
    load, kind = TABLES[name]
    X, y = load(return_X_y=True)
    stratify = y if kind is ChaosCausalPrunedMLP else None
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=TEST_SHARE, stratify=stratify, random_state=seed
    )
    scaler = StandardScaler().fit(X_train)
    return (scaler.transform(X_train), y_train), (scaler.transform(X_test), y_test)


def fit(name, train, **options):
    """Fit one estimator."""
    _, kind = TABLES[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The weights are ranked by magnitude")
        return kind(**options).fit(*train)


def make_subject(model, train, seed):
    """Show a fitted network to the rules as ``fit`` does."""
    X, y = train
    network = mlp.Network(
        (X.shape[1], *(W.shape[1] for W in model.coefs_)),
        model.activation_,
        model.out_activation_,
        model.loss,
        is_classifier(model),
    )
    return Explainable(
        network=network,
        params=mlp.flatten(model.coefs_, model.intercepts_),
        data=model._recall_rows(X, y),
        masks=model.masks_,
        p_values=model.p_values_,
        seed=seed,
    )


def shap_sizes(model, train, test, seed):
    """Absolute SHAP values of test rows, summed over the outputs: (n_rows, n_features).

    Sampled over permutations of the inputs, each forwards and backwards.
    """
    import shap

    rng = np.random.RandomState(seed)
    background = train[0][rng.choice(len(train[0]), N_BACKGROUND, replace=False)]
    size = min(N_EXPLAINED, len(test[0]))
    rows = test[0][rng.choice(len(test[0]), size, replace=False)]
    explainer = shap.PermutationExplainer(
        model.predict_proba if is_classifier(model) else model.predict,
        shap.maskers.Independent(background, max_samples=N_BACKGROUND),
        seed=seed,
    )
    n_evaluations = N_SHAP_PERMUTATIONS * (2 * rows.shape[1] + 1)
    values = explainer(rows, max_evals=n_evaluations, silent=True).values
    return np.abs(values).reshape(*rows.shape, -1).sum(axis=2)


def correlate(first, second):
    """Rank correlation; NaN where a ranking is all ties."""
    if len(first) < 3 or np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return np.nan
    return spearmanr(first, second).statistic


def find_in_use(model, train):
    """Flag the inputs that vary and have a kept weight."""
    return model.masks_[0].any(axis=1) & (np.ptp(train[0], axis=0) > 0.0)


def compare(model, train, test, seed):
    """Return row -> agreement over all inputs, and over those still in use."""
    subject = make_subject(model, train, seed)
    rankings = {rule: compute(subject) for rule, compute in IMPORTANCES.items()}
    if model.p_values_ is None:
        del rankings["causal"]
    shares = rankings["gradient"] / rankings["gradient"].sum()
    np.testing.assert_allclose(shares, model.feature_importances_, rtol=1e-9)
    scoring = "neg_log_loss" if is_classifier(model) else "neg_mean_squared_error"
    rankings[ON_TEST_ROWS] = permutation_importance(
        model, *test, scoring=scoring, n_repeats=5, random_state=seed
    ).importances_mean

    sizes = shap_sizes(model, train, test, seed)
    in_use = find_in_use(model, train)
    pairs = {row: (found, sizes.mean(axis=0)) for row, found in rankings.items()}
    pairs[OTHER_ROWS] = sizes[::2].mean(axis=0), sizes[1::2].mean(axis=0)
    return {
        row: (correlate(found, judge), correlate(found[in_use], judge[in_use]))
        for row, (found, judge) in pairs.items()
    }


def time_call(function):
    """Seconds of the fastest of some calls."""
    seconds = []
    for _ in range(N_TIMINGS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure_costs(name):
    """Return rule -> seconds for a dense network, and the seconds of one training."""
    train, _ = split_table(name, 0)
    options = {"prune_criterion": "magnitude", "prune_ratio": 0.0, "random_state": 0}
    fit(name, train, **options, max_iter=1)  # compiles
    # a fit trains twice, and magnitude costs nothing
    costs = {"training": time_call(lambda: fit(name, train, **options)) / 2}
    subject = make_subject(fit(name, train, **options), train, 0)
    with one_thread_per_fit():
        for rule, compute in IMPORTANCES.items():
            if rule != "causal":  # as much as connection
                costs[rule] = time_call(lambda compute=compute: compute(subject))
    return costs


def measure(seeds):
    """Return (network, row) -> table -> list of agreements, and shares in use."""
    agreements, shares = {}, {}
    for name, seed in product(TABLES, seeds):
        train, test = split_table(name, seed)
        with tempfile.TemporaryDirectory() as memory:
            for network, (criterion, ratio) in NETWORKS.items():
                model = fit(
                    name,
                    train,
                    prune_criterion=criterion,
                    prune_ratio=ratio,
                    retrain="rewind",  # as when it was measured
                    memory=memory,
                    random_state=seed,
                )
                for row, pair in compare(model, train, test, seed).items():
                    by_table = agreements.setdefault((network, row), {})
                    by_table.setdefault(name, []).append(pair)
                by_table = shares.setdefault(network, {})
                in_use = find_in_use(model, train)
                by_table.setdefault(name, []).append(in_use.mean())
    return agreements, shares


def table(title, columns, rows):
    """Format a Markdown table."""
    return [
        f"| {title} | " + " | ".join(columns) + " |",
        "|---|" + "---:|" * len(columns),
        *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows),
        "",
    ]


def cell(values):
    """Mean and standard deviation over seeds, and how many seeds had no ranking."""
    values = np.asarray(values)
    known = values[~np.isnan(values)]
    if not known.size:
        return "-"
    text = f"{known.mean():.2f}"
    if known.size > 1:
        text += f" ± {known.std(ddof=1):.2f}"
    missing = values.size - known.size
    return text + (f" ({missing} without)" if missing else "")


def mean(by_table, place):
    """Mean over tables of the mean over seeds."""
    means = [np.array(pairs)[:, place] for pairs in by_table.values()]
    means = [np.nanmean(values) for values in means if not np.isnan(values).all()]
    return f"{np.mean(means):.2f}" if means else "-"


def report_networks(agreements, shares):
    """One table per network, of all inputs."""
    lines = []
    for network in NETWORKS:
        rows = [
            (row, [cell([pair[0] for pair in by_table[name]]) for name in TABLES])
            for row in ROWS
            if (by_table := agreements.get((network, row))) is not None
        ]
        in_use = [f"{100 * np.mean(shares[network][name]):.0f} %" for name in TABLES]
        lines += table(network, TABLES, [*rows, ("inputs in use", in_use)])
    return lines


def report_means(agreements, place):
    """One table of the means over tables; ``place`` 1 is of the inputs in use."""
    rows = []
    for row in ROWS:
        found = [agreements.get((network, row), {}) for network in NETWORKS]
        rows.append((row, [mean(by_table, place) for by_table in found]))
    return table("mean over tables", NETWORKS, rows)


def report_costs(costs):
    """What the rules cost in units of the gradient rule, and of a training."""
    lines = []
    for unit, factor, title in (
        ("gradient", 1, "in units of the gradient rule"),
        ("training", 100, "in percent of one training"),
    ):
        rules = [rule for rule in costs["wine"] if rule not in ("training", unit)]
        rows = []
        for rule in rules:
            ratios = [factor * costs[name][rule] / costs[name][unit] for name in TABLES]
            # two digits, without an exponent
            rows.append((rule, [f"{float(f'{ratio:.2g}'):g}" for ratio in ratios]))
        lines += table(title, TABLES, rows)
    return lines


def report(agreements, shares, costs, seeds):
    """Format the results as Markdown."""
    packages = ("skchaosprune", "scikit-learn", "numpy", "numba", "torch", "shap")
    lines = [
        "# Feature importances against SHAP",
        "",
        "Printed by `python benchmarks/compare_importances.py --seeds "
        f"{' '.join(map(str, seeds))}`.",
        "",
        "Spearman's rank correlation with the mean absolute SHAP values of the same "
        "network on test rows: mean over seeds ± standard deviation. "
        f'"{OTHER_ROWS}" is the agreement of SHAP with itself, on two halves of the '
        f'rows; "{ON_TEST_ROWS}" is scikit-learn\'s `permutation_importance` of the '
        "test loss. Inputs in use vary in the training rows and have a kept weight. "
        "Seeds in which the criterion could test no weight have no causal ranking.",
        "",
        *report_networks(agreements, shares),
        "Mean over the tables, of all inputs:",
        "",
        *report_means(agreements, 0),
        "To agree on inputs that are not in use is easy. The same without them:",
        "",
        *report_means(agreements, 1),
        f"Cost for a network that is not pruned, best of {N_TIMINGS}:",
        "",
        *report_costs(costs),
        ", ".join(f"{name} {version(name)}" for name in packages) + ".",
    ]
    return "\n".join(lines) + "\n"


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--output", type=Path, help="also write the report to this file"
    )
    options = parser.parse_args()
    agreements, shares = measure(options.seeds)
    costs = {name: measure_costs(name) for name in TABLES}
    text = report(agreements, shares, costs, options.seeds)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
