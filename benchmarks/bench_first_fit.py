"""Time the first fit: of an installation, of a process, and of the workers of a search.

Run ``python benchmarks/bench_first_fit.py``; the Markdown tables are printed.

- Processes: new ones that import scikit-learn, torch and skorch and load a table, and
  go on to nothing else, to a first fit with default parameters, or to that of
  scikit-learn's ``MLPClassifier``, which needs scikit-learn alone. *Cold* is a fit
  whose kernels have to be compiled, into an empty folder of ``NUMBA_CACHE_DIR``;
  *warm* is one that finds them there.
- Parts: where the CPU seconds of a process with a warm fit go, one after the other.
- Kernels: what the compilation of each takes before a cold fit, with the functions
  that it calls and has not in common with one before.
- Search: ``GridSearchCV`` over nine fits and a last one, with one process and with two
  workers of joblib, in a new process each. What a worker costs is half of the CPU
  seconds that two take more than one process: two jobs win where their fits take twice
  as long. Cold workers compile the same kernels at the same time.

Seconds are CPU seconds of whole processes, of their workers, too, on one thread each,
with Python's own start, but those of parts and kernels, which are measured within. All
are measured in turn; they are medians, and the ratios medians of ratios within a turn.
Searches have one turn. What is aimed at is printed beside the ratios; above 1.2 times
that, the script fails.
"""

import json
import os
import resource
import subprocess
import sys
from importlib.metadata import version
from statistics import median
from tempfile import TemporaryDirectory

PACKAGES = ("skchaosprune", "scikit-learn", "torch", "skorch", "numba")
N_TURNS = 3
AIMS = {"warm": 1.3, "cold": 6.0, "worker": 1.5}
SLACK = 1.2  # for a busy machine

LOAD = """
from sklearn.datasets import load_iris
X, y = load_iris(return_X_y=True)
"""
IMPORTS = "import sklearn, torch, skorch" + LOAD
FIT = """
from skchaosprune import ChaosCausalPrunedMLP
ChaosCausalPrunedMLP(random_state=0).fit(X, y)
"""
FIT_OF_SKLEARN = """
from sklearn.neural_network import MLPClassifier
MLPClassifier(random_state=0).fit(X, y)
"""

PARTS = f"""
import json, time
PARTS = {{
    "Python": "",
    "import scikit-learn, torch and skorch, load the table": {IMPORTS!r},
    "import numba": "import numba",
    "import the estimator": "from skchaosprune import ChaosCausalPrunedMLP",
    "first fit": {FIT!r},
    "second fit": {FIT!r},
}}
seconds, before = {{}}, 0.0
for name, code in PARTS.items():
    exec(code)
    seconds[name], before = time.process_time() - before, time.process_time()
print(json.dumps(seconds))
"""

KERNELS = f"""
import json, time
{IMPORTS}
from numba.core import event

class Kernels(event.Listener):
    running, seconds = [], {{}}

    def on_start(self, event):
        self.running.append(time.process_time())

    def on_end(self, event):
        start = self.running.pop()
        if not self.running:  # the others are called by a kernel
            name = event.data["dispatcher"].py_func.__name__
            self.seconds[name] = time.process_time() - start

kernels = Kernels()
event.register("numba:compile", kernels)
{FIT}
print(json.dumps(kernels.seconds))
"""

SEARCH = """
from sklearn import datasets
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale
from skchaosprune import ChaosCausalPrunedMLP
X, y = getattr(datasets, "load_{table}")(return_X_y=True)
grid = {{"prune_ratio": [0.3, 0.5, 0.7]}}
model = ChaosCausalPrunedMLP(random_state=0)
GridSearchCV(model, grid, cv=3, n_jobs={n_jobs}).fit(scale(X), y)
"""
SEARCHES = (  # table, and is it cold
    ("iris", True),
    ("iris", False),
    ("breast_cancer", False),
    ("digits", False),
)


def run_python(code, folder):
    """Run code in a new process with its kernels in a folder.

    Returns what it prints and its CPU seconds, with those of its own processes.
    """
    settings = {"NUMBA_CACHE_DIR": folder, "OMP_NUM_THREADS": "1"}
    settings["PYTHONWARNINGS"] = "ignore"
    environment = os.environ | settings
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has bytecode
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result.stdout, seconds


def run_cold(code):
    """Run code in a new process that finds no kernels."""
    with TemporaryDirectory() as folder:
        return run_python(code, folder)


def median_ratio(turns, name, other):
    """Median over the turns of the ratio of two of their seconds."""
    return median(turn[name] / turn[other] for turn in turns)


def compare_processes(folder):
    """Print what new processes take; return the seconds of the imports and ratios."""
    turns = [
        {
            "imports and table alone": run_python(IMPORTS, folder)[1],
            "`MLPClassifier`": run_python(LOAD + FIT_OF_SKLEARN, folder)[1],
            "warm": run_python(IMPORTS + FIT, folder)[1],
            "cold": run_cold(IMPORTS + FIT)[1],
        }
        for _ in range(N_TURNS)
    ]
    print("| process | CPU seconds | times imports |", "|---|---:|---:|", sep="\n")
    ratios = {}
    for name in turns[0]:
        ratios[name] = median_ratio(turns, name, "imports and table alone")
        seconds = median(turn[name] for turn in turns)
        print(f"| {name} | {seconds:.2f} | {ratios[name]:.2f} |")
    imports = median(turn["imports and table alone"] for turn in turns)
    return imports, {name: ratios[name] for name in ("warm", "cold")}


def split(title, run, code):
    """Print the median seconds of the parts that a process tells of."""
    turns = [json.loads(run(code)[0]) for _ in range(N_TURNS)]
    print(f"\n| {title} | CPU seconds |", "|---|---:|", sep="\n")
    for name in turns[0]:
        print(f"| {name} | {median(turn[name] for turn in turns):.2f} |")
    total = median(sum(turn.values()) for turn in turns)
    print(f"| all | {total:.2f} |")


def compare_searches(folder, imports):
    """Print what searches take; return the ratio of a worker to imports.

    That of the smallest table: longer fits slow each other down where cores are shared.
    """
    print(
        "\n| search | one process | two workers | one worker more | times imports |",
        "|---|---:|---:|---:|---:|",
        sep="\n",
    )
    costs = []
    for table, is_cold in SEARCHES:
        run = run_cold if is_cold else lambda code: run_python(code, folder)
        one, two = (
            run(SEARCH.format(table=table, n_jobs=n_jobs))[1] for n_jobs in (1, 2)
        )
        cost = (two - one) / 2
        name = f"{table}, cold" if is_cold else table
        print(
            f"| {name} | {one:.1f} | {two:.1f} | {cost:.1f} | {cost / imports:.2f} |",
            flush=True,
        )
        if not is_cold:
            costs.append(cost / imports)
    return costs[0]


def main():
    """Measure, print the tables, and hold the ratios against the aims."""
    with TemporaryDirectory() as folder:
        run_python(IMPORTS + FIT, folder)  # compiles, and fills the page cache
        imports, ratios = compare_processes(folder)
        split("part of a warm process", lambda code: run_python(code, folder), PARTS)
        split("kernel", run_cold, KERNELS)
        ratios["worker"] = compare_searches(folder, imports)
    print("\n| times the imports | measured | aim |", "|---|---:|---:|", sep="\n")
    for name, aim in AIMS.items():
        print(f"| {name} | {ratios[name]:.2f} | {aim:g} |")
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"\n{versions}; {os.cpu_count()} CPUs.")
    for name, aim in AIMS.items():
        ratio = ratios[name]
        assert ratio <= SLACK * aim, f"{name}: {ratio:.2f}, the aim is {aim:g}"


if __name__ == "__main__":
    main()
