"""Run fits in processes, compare them over tables, and format what comes out."""

import time

import numpy as np
from joblib import Parallel, delayed
from scipy import stats


def timed(function, *args, **kwargs):
    """Call a function; return its result and its CPU seconds."""
    start = time.process_time()
    result = function(*args, **kwargs)
    return result, time.process_time() - start


def run_cells(run_cell, cells, n_jobs, save=None):
    """Run cells in processes, each to a list of rows, and print how far they are.

    ``save`` takes the rows of each cell as soon as they are there.
    """
    results, start = [], time.perf_counter()
    parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    done = parallel(delayed(run_cell)(*arguments) for arguments in cells)
    for number, rows in enumerate(done, start=1):
        results += rows
        if save is not None:
            save(rows)
        elapsed = time.perf_counter() - start
        left = elapsed / number * (len(cells) - number)
        label = f"{rows[0]['table']} {rows[0]['seed']}: " if rows else ""
        print(
            f"{label}{number}/{len(cells)}, {elapsed:.0f} s, about {left:.0f} s left",
            flush=True,
        )
    return results


def wilcoxon_p(differences):
    """Two-sided p-value of the signed-rank test; zeros count as in Pratt (1959).

    Exact up to 13 differences, with ties and zeros, too, and up to 50 without.
    """
    differences = np.round(differences, 5)  # equal differences are ties
    if not differences.any():
        return 1.0
    return stats.wilcoxon(differences, zero_method="pratt").pvalue


def half_interval(differences):
    """Half of the 95 % interval of a mean by Student's t; NaN for a single value."""
    if len(differences) < 2:
        return np.nan
    return stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)


def spread(values, digits, best=None):
    """Write mean, standard deviation and, by ``best``, the best."""
    text = f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"
    return text if best is None else f"{text} ({best(values):.{digits}f})"


def format_table(header, rows):
    """Format a table in Markdown; all columns but the first are numbers."""
    lines = ["| " + " | ".join(header) + " |"]
    lines += ["|---" + "|---:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [*lines, ""]


def short(number):
    """Format a ratio or a p-value without its leading zero."""
    return f"{number:g}".removeprefix("0") if number else "0"


def format_p(p):
    """Format a p-value."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
