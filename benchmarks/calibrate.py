"""How often the causality tests call pure noise causal, and what real exponents add.

Run it from the root of the repository (it takes some two minutes)::

    python benchmarks/calibrate.py --output benchmarks/calibrate.md

The first part puts Gaussian white noise in the place of the exponents. Nothing is
causal, so a rule of level .05 should call 5 % of the weights causal. The targets are
AR(1) series with coefficient 0.8 and curves like a training error: a decaying trend
plus noise. The rules are

- F: the F test at the one given lag p;
- default: the default of ``ChaosCausality``, F at the lags 1 to p with Bonferroni;
- bic: F at the one of the lags 1 to p that BIC picks for the target's own
  autoregression, which does not look at the weights;
- chi2: the chi-squared test at the one given lag p;
- authors: chi-squared at the lags 1 to 14, smallest p-value, no correction.

Whether F keeps its level is judged by the 99 % interval of a binomial count. For that
the weights must be independent, each with probability .05. Given a target they are
independent, as each has noise of its own, and if F is exact, their probability is .05
whatever the target. So if F is exact, the interval is valid with one target and with
many. With one it would judge that target alone, so many are drawn. Were the probability
.05 only on average over targets, weights with the same target would be correlated and
the interval too narrow; the last column shows the variance of F's counts between
targets, relative to the binomial one. Every cell draws targets and noise of its own.

At p = 1 F is exact given the target, whatever that looks like: the one column of noise
points in a random direction. At p > 1 the lags of one series share all but a few of
their values, so their directions are not independent, and F is an approximation. The
second table repeats the cells outside with more weights, to see whether that was
chance, and with p independent columns in place of the lags, for which F is exact again.

The second part takes the exponents and targets of fits (32 hidden units, and else the
estimator's defaults) on four tables that come with scikit-learn, scaled, and asks the
default rule (F, lags 1 to 5, Bonferroni) which weights are causal:

- own: a run's exponents against its own target;
- shuffled: the exponents of every weight in random order;
- shifted: the exponents of every weight moved round by a random number of windows;
- other run: a run's exponents against the targets of the runs with other seeds. They
  share the data and the trend of training, but start from other weights and see the
  rows in another order, so nothing in the one can cause the other;
- noise: white noise against the run's own target.

If exponents said something about their own run's error beyond the trend that all runs
share, own would exceed other run. The last column tests that: the share of all ways
to assign the targets to the runs in which at least as many weights are causal as with
every run's own; over all tables, the share in 100,000 random assignments. Weights are
no independent cases here, as all weights of a run share one target; runs are. All this
is done again with the differences from window to window.

A last table shows what the tests had to go by: weights that could not be tested,
windows in which a weight ranged over less than 1e-5 (their exponent is 0), and the
longest stretch of windows in which the target did not move.
"""

import argparse
from importlib.metadata import version
from itertools import permutations
from pathlib import Path

import numpy as np
from compare_ratios import TABLES
from scipy import stats
from sklearn.preprocessing import StandardScaler

from skchaosprune import ChaosCausalPrunedMLP, granger_causality
from skchaosprune._kernels.granger import _select_lag

LEVEL = 0.05
CONFIDENCE = 0.99
N_WINDOWS = (40, 60, 100, 150, 200)
LAGS = (1, 2, 3, 4, 5)
AUTHORS_LAGS = 14
RULES = ("F", "default", "bic", "chi2")
COMPARISONS = ("own", "shuffled", "shifted", "other run", "noise")


# Pure noise


def autoregression(rng, n_windows):
    """Draw a stationary AR(1) series."""
    shocks = rng.normal(size=n_windows)
    series = np.empty(n_windows)
    series[0] = shocks[0] / 0.6
    for t in range(1, n_windows):
        series[t] = 0.8 * series[t - 1] + shocks[t]
    return series


def training_curve(rng, n_windows):
    """Draw an error rate that falls from .3 with a noise of .01."""
    trend = 0.3 * np.exp(-5 * np.arange(n_windows) / n_windows)
    return trend + 0.01 * rng.normal(size=n_windows)


TARGETS = {"AR(1)": autoregression, "training curve": training_curve}


def call_by_rule(target, causes, max_lag):
    """Which causes each of RULES calls causal, ``(n_rules, n_causes)``."""
    p_values = granger_causality(target, causes, max_lag=max_lag).p_value
    chi2 = granger_causality(target, causes, max_lag=max_lag, test="ssr_chi2test")
    picked = _select_lag(target, max_lag)
    rules = [
        p_values[-1],
        max_lag * p_values.min(axis=0),
        p_values[picked - 1],
        chi2.p_value[-1],
    ]
    return np.array(rules) < LEVEL


def call_by_authors(target, causes, max_lag):
    """Which causes the authors' rule calls causal."""
    result = granger_causality(target, causes, max_lag=max_lag, test="ssr_chi2test")
    return result.p_value.min(axis=0) < LEVEL


def call_by_lag(target, causes, max_lag):
    """Which causes F calls causal at the given lag."""
    return granger_causality(target, causes, max_lag=max_lag).p_value[-1] < LEVEL


def call_independent(rng, target, n_causes, lag):
    """Which causes F calls causal if their lags were independent columns of noise."""
    past = [target[lag - i : -i] for i in range(1, lag + 1)]
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(target) - lag), *past]))
    rest = target[lag:] - basis @ (basis.T @ target[lag:])
    columns = rng.normal(size=(n_causes, lag, len(rest)))
    columns -= (columns @ basis) @ basis.T
    cross = columns @ rest
    gram = columns @ columns.transpose(0, 2, 1)
    explained = (cross * np.linalg.solve(gram, cross[..., None])[..., 0]).sum(axis=1)
    df_denom = len(rest) - 2 * lag - 1
    statistic = explained / (rest @ rest - explained) / lag * df_denom
    return stats.f.sf(statistic, lag, df_denom) < LEVEL


def interval(n_weights):
    """Return the shares between which an exact test is with probability CONFIDENCE."""
    low, high = stats.binom.interval(CONFIDENCE, n_weights, LEVEL)
    return low / n_weights, high / n_weights


def measure_noise(rng, n_targets, n_weights):
    """Yield kind, n_windows, lag, share causal by each rule, and variance ratio of F.

    The variance is that of the counts of single targets, relative to the binomial one.
    """
    for kind, draw in TARGETS.items():
        for n in N_WINDOWS:
            for lag in LAGS:
                shares = []
                for _ in range(n_targets):
                    target, causes = draw(rng, n), rng.normal(size=(n, n_weights))
                    shares.append(call_by_rule(target, causes, lag).mean(axis=1))
                shares = np.array(shares)
                binomial = LEVEL * (1 - LEVEL) / n_weights
                ratio = shares[:, 0].var(ddof=1) / binomial
                yield kind, n, lag, shares.mean(axis=0), ratio


def measure_authors(rng, n_targets, n_weights):
    """Return the share that the authors' rule calls causal: kind -> n_windows."""
    results = {kind: {} for kind in TARGETS}
    for kind, draw in TARGETS.items():
        for n in N_WINDOWS:
            if n > 3 * AUTHORS_LAGS + 1:
                shares = [
                    call_by_authors(
                        draw(rng, n), rng.normal(size=(n, n_weights)), AUTHORS_LAGS
                    ).mean()
                    for _ in range(n_targets)
                ]
                results[kind][n] = np.mean(shares)
    return results


def measure_independent(rng, cells, n_targets, n_weights):
    """Yield kind, n_windows, lag, and share causal with lags and independent columns.

    For the cells in which F is outside the interval.
    """
    for kind, n, lag in cells:
        shares = []
        for _ in range(n_targets):
            target = TARGETS[kind](rng, n)
            called = call_by_lag(target, rng.normal(size=(n, n_weights)), lag)
            control = call_independent(rng, target, n_weights, lag)
            shares.append([called.mean(), control.mean()])
        yield kind, n, lag, *np.mean(shares, axis=0)


# Real exponents


def fit_models(load, seeds):
    """Return one fit per seed."""
    X, y = load(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    return [ChaosCausalPrunedMLP((32,), random_state=seed).fit(X, y) for seed in seeds]


def share_causal(exponents, target):
    """Share of the weights whose exponents move that the default rule calls causal."""
    moving = np.ptp(exponents, axis=0) > 0
    p_values = granger_causality(target, exponents[:, moving]).p_value
    smallest = np.fmin.reduce(p_values, axis=0)  # NaN if no lag can be tested
    return (len(p_values) * smallest < LEVEL).mean()


def shift(rng, exponents):
    """Move every column round by its own random number of rows."""
    n, n_weights = exponents.shape
    rows = np.arange(n)[:, np.newaxis] - rng.integers(1, n, size=n_weights)
    return np.take_along_axis(exponents, rows % n, axis=0)


def compare_runs(rng, runs):
    """Return the shares by COMPARISONS, (5, n_runs), and own's under all assignments.

    The first of the assignments of targets to runs is the true one.
    """
    pairs = np.array([[share_causal(x, y) for _, y in runs] for x, _ in runs])
    n = len(runs)
    own = np.diag(pairs)
    shares = [
        own,
        [share_causal(rng.permuted(x, axis=0), y) for x, y in runs],
        [share_causal(shift(rng, x), y) for x, y in runs],
        (pairs.sum(axis=1) - own) / (n - 1),
        [share_causal(rng.normal(size=x.shape), y) for x, y in runs],
    ]
    assigned = [pairs[range(n), order].mean() for order in permutations(range(n))]
    return np.array(shares), np.array(assigned)


def longest_rest(target):
    """Share of the windows in the longest stretch in which the target stays put."""
    moves = np.flatnonzero(np.diff(target)) + 1
    return np.diff([0, *moves, len(target)]).max() / len(target)


def note_tests(model):
    """Return shares: of untested weights, of static windows, of the longest rest."""
    n_untested, exponents = model.n_untested_, model.lyapunov_exponents_
    is_static = np.mean(exponents == 0.0)
    return n_untested / model.n_weights_, is_static, longest_rest(model.target_series_)


def measure_fits(rng, seeds):
    """Return results on levels and on differences, and what they rest on, by table."""
    levels, differences, tests = {}, {}, {}
    for name, load in TABLES.items():
        models = fit_models(load, seeds)
        tests[name] = np.transpose([note_tests(model) for model in models])
        runs = [(model.lyapunov_exponents_, model.target_series_) for model in models]
        levels[name] = compare_runs(rng, runs)
        changes = [(np.diff(x, axis=0), np.diff(y)) for x, y in runs]
        differences[name] = compare_runs(rng, changes)
    return levels, differences, tests


# Report


def percent(share, digits=2):
    return f"{100 * share:.{digits}f}"


def table(*header):
    """Return the first two lines of a table."""
    return [f"| {' | '.join(header)} |", "|---|" + "---:|" * (len(header) - 1)]


def span(values, digits=1):
    return f"{percent(min(values), digits)} to {percent(max(values), digits)}"


def report_noise(cells, n_weights):
    """Format what the rules say of pure noise; return also the cells outside."""
    low, high = interval(n_weights)
    lines = table("target", "windows", "p", *RULES, "F within", "variance ratio")
    outside = []
    for kind, n, lag, shares, ratio in cells:
        within = low <= shares[0] <= high
        if not within:
            outside.append((kind, n, lag))
        row = [kind, str(n), str(lag), *map(percent, shares)]
        row += ["yes" if within else "**no**", f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(row)} |")
    f_shares, _, bic_shares, _ = np.transpose([shares for *_, shares, _ in cells])
    bic_within = ((low <= bic_shares) & (bic_shares <= high)).sum()
    most = np.transpose([shares for _, _, lag, shares, _ in cells if lag == max(LAGS)])
    one = np.mean([ratio for _, _, lag, _, ratio in cells if lag == 1])
    more = np.mean([ratio for _, _, lag, _, ratio in cells if lag > 1])
    lines += [
        "",
        f"F is within {percent(low)} to {percent(high)} in {len(cells) - len(outside)} "
        f"of {len(cells)} cells; by chance an exact test would miss "
        f"{(1 - CONFIDENCE) * len(cells):.1f}. It is never further than "
        f"{percent(np.abs(f_shares - LEVEL).max())} points from 5. With bic "
        f"{bic_within} cells are within. The variance ratio is {one:.2f} on average at "
        f"p = 1 and {more:.2f} beyond.",
        "",
        f"With p = {max(LAGS)} the default calls {span(most[1])} causal (Bonferroni is "
        f"too careful, as the tests of the lags are alike), bic {span(most[2])}, chi2 "
        f"{span(most[3])}.",
    ]
    return lines, outside


def report_independent(rows, n_weights):
    """Format the check of why F is not exact."""
    low, high = interval(n_weights)
    lines = ["", f"The cells outside, with {n_weights:,} weights each:", ""]
    lines += table(
        "target", "windows", "p", "lags of one series", "independent columns"
    )
    for *cell, lags, columns in rows:
        row = [str(value) for value in cell]
        for share in (lags, columns):
            outside = "" if low <= share <= high else " (outside)"
            row.append(percent(share) + outside)
        lines.append(f"| {' | '.join(row)} |")
    return [
        *lines,
        "",
        f"An exact test is within {percent(low)} to {percent(high)}. Beyond p = 1 F is "
        "an approximation, as the lags of one series share their values.",
    ]


def report_authors(results):
    """Format what the authors' rule says of pure noise."""
    windows = list(next(iter(results.values())))
    lines = table("target", *(f"{n} windows" for n in windows))
    for kind, shares in results.items():
        cells = [percent(shares[n], 1) for n in windows]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return lines


def at_least(assigned, own):
    """P-value: how often another assignment of the targets does as well."""
    return np.mean(assigned >= own - 1e-12)


def report_fits(rng, results):
    """Format how many weights of real runs are called causal."""
    lines = table("table", *COMPARISONS, "own, range", "own - other run", "p")
    p_values = {}
    for name, (shares, assigned) in results.items():
        means = shares.mean(axis=1)
        p_values[name] = at_least(assigned, assigned[0])
        row = [name, *(percent(mean, 1) for mean in means)]
        row += [span(shares[0], 0)]
        row += [f"{100 * (means[0] - means[3]):+.1f}", f"{p_values[name]:.3f}"]
        lines.append(f"| {' | '.join(row)} |")
    means = np.mean([shares.mean(axis=1) for shares, _ in results.values()], axis=0)
    drawn = [rng.choice(assigned, 100_000) for _, assigned in results.values()]
    joint = at_least(np.mean(drawn, axis=0), means[0])
    row = ["mean", *(percent(mean, 1) for mean in means), ""]
    row += [f"{100 * (means[0] - means[3]):+.1f}", f"{joint:.3f}"]
    lines.append(f"| {' | '.join(row)} |")
    found = [name for name, p_value in p_values.items() if p_value < LEVEL]
    by_name = dict(zip(COMPARISONS, (percent(mean, 1) for mean in means), strict=True))
    lines += [
        "",
        f"Runs call {by_name['own']} % of their weights causal with their own target, "
        f"{by_name['other run']} % with the targets of other runs, "
        f"{by_name['shuffled']} % with the order of the windows lost, and "
        f"{by_name['noise']} % of white noise. Own is more than chance assigns "
        f"(p < .05) in {', '.join(found) or 'no table'}; over all tables p is "
        f"{joint:.3f}.",
    ]
    return lines


def report_tests(tests):
    """Format how much there is to test, and how long the targets stay put."""
    lines = table(
        *("table", "untested weights", "static windows"),
        *("longest rest of the target, range", "fits at rest > 90 %"),
    )
    for name, (untested, static, rests) in tests.items():
        cells = [percent(untested.mean(), 1), percent(static.mean(), 1)]
        cells += [span(rests, 0), f"{(rests > 0.9).sum()} of {len(rests)}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def measure_and_report(options):
    """Measure everything and format it as Markdown."""
    rng = np.random.default_rng(options.seed)
    sizes = options.targets, options.weights
    many = 4 * options.targets, options.weights
    noise, outside = report_noise(list(measure_noise(rng, *sizes)), np.prod(sizes))
    if outside:
        rows = measure_independent(rng, outside, *many)
        noise += report_independent(rows, np.prod(many))
    authors = measure_authors(rng, *sizes)
    levels, differences, tests = measure_fits(rng, options.fits)
    packages = ("skchaosprune", "scikit-learn", "numpy", "scipy", "numba")
    return "\n".join(
        [
            "# How often the causality tests call noise causal",
            "",
            f"Printed by `python benchmarks/calibrate.py --seed {options.seed} "
            f"--targets {options.targets} --weights {options.weights} --fits "
            f"{' '.join(map(str, options.fits))}`; its docstring says what is "
            "measured. All shares are in percent, at level .05.",
            "",
            "## White noise in place of exponents",
            "",
            f"Per cell {np.prod(sizes):,} weights: {options.targets} targets with "
            f"{options.weights} each.",
            "",
            *noise,
            "",
            f"The authors' rule, {AUTHORS_LAGS} lags; it needs more than "
            f"{3 * AUTHORS_LAGS + 1} windows:",
            "",
            *report_authors(authors),
            "",
            "## Exponents of real runs",
            "",
            f"Default rule, 5 lags, {len(options.fits)} fits per table; share of the "
            "weights whose exponents move, mean over fits.",
            "",
            *report_fits(rng, levels),
            "",
            "The same with differences from window to window:",
            "",
            *report_fits(rng, differences),
            "",
            "What the tests have to go by:",
            "",
            *report_tests(tests),
            "",
            ", ".join(f"{name} {version(name)}" for name in packages) + ".",
            "",
        ]
    )


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", type=int, default=200, help="per cell")
    parser.add_argument("--weights", type=int, default=500, help="per target")
    parser.add_argument("--fits", type=int, nargs="+", default=list(range(6)))
    parser.add_argument(
        "--output", type=Path, help="also write the tables to this file"
    )
    options = parser.parse_args()
    text = measure_and_report(options)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
