"""Weigh and time networks as C code: sparse and dense, in floats and in integers.

Run ``python benchmarks/bench_c.py``; the Markdown tables are printed. It needs gcc.
Bytes for Cortex-M need arm-none-eabi-gcc with newlib, instructions qemu-system-arm, and
emlearn's rows emlearn; what is missing is left out.

On breast_cancer, wine, digits and diabetes, 75 % of the rows for training, each network
has 64 hidden units and the defaults but for the share of weights pruned, behind a
StandardScaler. The C files are made of the whole pipeline; integers are measured on the
training rows.

- Bytes: of the object, compiled with -Os, code and constants, and what linking it adds
  to an empty program, with newlib's nano variant, unused functions dropped. Cortex-M4F
  has a floating-point unit, Cortex-M0+ has none.
- emlearn stores dense weights, and takes no Pipeline: its networks are given scaled
  rows, and have no scaler in them. "emlearn, compact" is the pruned network without
  dead units, "emlearn, dense" the network before pruning. Both are of the form that it
  calls loadable; its inline form raises an error for such networks in 0.23.2.
- Instructions of ``predict`` for a row, the mean over 20 held-out rows, in qemu; for
  the Cortex-M0+ on a Cortex-M0, which has the same instructions. In
  single precision what comes out is compared with the estimator's predictions, in
  integers with those of the same file on this machine (the tests hold these against
  Python, bit for bit).
- Time on this machine, one thread: onnxruntime on our own ONNX file, one row per call
  and 1,000 rows, as a multiple of a C loop over rows (gcc -O2), in turn; medians.
"""

import contextlib
import ctypes
import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import onnxruntime
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
)
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    to_c,
    to_onnx,
)

PACKAGES = ("skchaosprune", "numpy", "onnxruntime", "emlearn")
TABLES = {
    "breast_cancer": load_breast_cancer,
    "wine": load_wine,
    "digits": load_digits,
    "diabetes": load_diabetes,
}
RATIOS = (0.9, 0.95, 0.97)
DTYPES = ("float32", "int16", "int8")
N_ROWS = 20  # that are predicted in qemu
N_TURNS = 15
ARM, QEMU = "arm-none-eabi-gcc", "qemu-system-arm"
SMALL = "-std=c99 -Os -ffunction-sections -fdata-sections -Wl,--gc-sections".split()
LINK = "-nostartfiles -T link.ld --specs=nano.specs".split()


@dataclass(frozen=True)
class Core:
    """A processor: how to compile for it, and a machine of qemu that has one."""

    flags: tuple
    machine: str


CORES = {
    "Cortex-M0+": Core(("-mcpu=cortex-m0plus",), "microbit"),
    "Cortex-M4F": Core(
        ("-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"), "mps2-an386"
    ),
}

LINKER_SCRIPT = """
ENTRY(start)
MEMORY {
  flash (rx) : ORIGIN = 0, LENGTH = 256K
  ram (rwx) : ORIGIN = 0x20000000, LENGTH = 16K
}
stack_top = ORIGIN(ram) + LENGTH(ram);
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > flash
  .ARM.exidx : { *(.ARM.exidx*) } > flash
  .data : { *(.data*) } > ram
  .bss : { *(.bss*) *(COMMON) } > ram
}
"""

# Writes each prediction, then the ticks that all of them took and those of a loop whose
# instructions are known: one instruction takes one nanosecond of qemu's clock.
PROGRAM = """
#define TICKS (*(volatile unsigned *)0xE000E018)
extern unsigned stack_top;
int main(void);
static int call(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
void start(void)
{
#ifdef __ARM_FP
    *(volatile unsigned *)0xE000ED88 |= 0xFu << 20;
    __asm__ volatile("dsb; isb");
#endif
    main();
    call(0x18, (void *)0x20026);
}
__attribute__((section(".vectors"), used))
const void *const vectors[] = {&stack_top, (const void *)start};
static void write_hex(unsigned value)
{
    char text[10] = "        \\n";
    int i;
    for (i = 0; i < 8; i++)
        text[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15];
    call(4, text);
}
volatile RESULT sink;
int main(void)
{
    unsigned i, before, after;
    union { RESULT value; unsigned bits; } out;
    for (i = 0; i < N_ROWS; i++) {
        out.value = PREDICTION;
        write_hex(out.bits);
    }
    *(volatile unsigned *)0xE000E014 = 0xFFFFFF;
    TICKS = 0;
    *(volatile unsigned *)0xE000E010 = 5;
    before = TICKS;
    for (i = 0; i < N_ROWS; i++)
        sink = PREDICTION;
    after = TICKS;
    write_hex((before - after) & 0xFFFFFF);
    i = 1000000;
    before = TICKS;
    __asm__ volatile("1: subs %0, %0, #1\\n bne 1b" : "+l"(i) : : "cc");
    after = TICKS;
    write_hex((before - after) & 0xFFFFFF);
    return 0;
}
"""


@dataclass(frozen=True)
class Code:
    """C code of a network: what to include, a call that predicts ``ROW``, its type."""

    include: str
    predict: str
    result: str
    options: tuple = ()

    def call(self, row):
        """Return the call for one row."""
        return self.predict.replace("ROW", row)


def fit_networks():
    """Yield the table, the ratio, the fitted pipeline, and rows of both parts."""
    for table, load in TABLES.items():
        X, y = load(return_X_y=True)
        kind = ChaosCausalPrunedMLP
        if table == "diabetes":
            kind = ChaosCausalPrunedMLPRegressor
        X, X_test, y, y_test = train_test_split(X, y, random_state=0)
        for ratio in RATIOS:
            mlp = kind(prune_ratio=ratio, random_state=0)
            model = make_pipeline(StandardScaler(), mlp).fit(X, y)
            yield table, ratio, model, X, y, X_test, y_test


def our_code(folder, model, X, y, dtype):
    """Return the C code of a pipeline."""
    to_c(model, folder / f"{dtype}.h", X, y, name="net", dtype=dtype)
    result = "int" if hasattr(model, "predict_proba") else "float"
    return Code(f'#include "{dtype}.h"', "net_predict(ROW)", result)


def emlearn_code(folder, name, coefs, intercepts, mlp):
    """Return emlearn's C code of a network: inline, or what it has for a regressor."""
    from emlearn.net import convert_sklearn_mlp

    class Network:
        n_layers_ = len(coefs) + 1
        coefs_, intercepts_ = coefs, intercepts
        activation, out_activation_ = mlp.activation_, mlp.out_activation_

    is_classifier = hasattr(mlp, "classes_")
    kind = "classifier" if is_classifier else "regressor"
    with contextlib.chdir(folder):  # it compiles in tmp
        converted = convert_sklearn_mlp(Network, "loadable", return_type=kind)
    converted.save(name=name, file=str(folder / f"{name}.h"))
    function = f"{name}_predict" if is_classifier else f"{name}_regress1"
    return Code(
        f'#include "{name}.h"',
        f"{function}(ROW, {coefs[0].shape[0]})",
        "int" if is_classifier else "float",
        ("-I", str(Path(importlib.util.find_spec("emlearn").origin).parent)),
    )


def run(folder, *command):
    """Run a command and return what it prints."""
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stderr}")
    return result.stdout + result.stderr  # qemu writes to the latter


# Bytes and instructions of a microcontroller.


def compile_for(folder, core, code, source, *flags):
    """Compile a program for a processor; return its bytes of code and constants."""
    (folder / "program.c").write_text(f"{code.include}\n{source}", encoding="utf-8")
    options = ("-mthumb", "-masm-syntax-unified", *core.flags, *code.options, *flags)
    run(folder, ARM, *SMALL, *options, "program.c", "-o", "out", "-lm")
    line = run(folder, "arm-none-eabi-size", "out").splitlines()[1].split()
    return int(line[0]) + int(line[1])


def object_bytes(folder, core, code):
    """Bytes of the object of one function that predicts."""
    declaration = f"{code.result} use(const float *x)"
    source = f"{declaration};\n{declaration} {{ return {code.call('x')}; }}\n"
    return compile_for(folder, core, code, source, "-c")


def linked_bytes(folder, core, code):
    """Bytes that a prediction adds to an empty program."""
    (folder / "link.ld").write_text(LINKER_SCRIPT, encoding="utf-8")
    sizes = [
        compile_for(
            folder,
            core,
            code,
            f"float x[64]; volatile {code.result} sink;\n"
            f"void start(void);\nvoid start(void) {{ {line} for (;;); }}\n",
            *LINK,
        )
        for line in ("", f"sink = {code.call('x')};")
    ]
    return sizes[1] - sizes[0]


def run_in_qemu(folder, core, code, X):
    """Return the predictions of some rows, and the mean number of instructions."""
    (folder / "link.ld").write_text(LINKER_SCRIPT, encoding="utf-8")
    rows = [
        "{" + ", ".join(f"{value!s}f" for value in row) + "}" for row in np.float32(X)
    ]
    program = PROGRAM.replace("N_ROWS", str(len(X))).replace("RESULT", code.result)
    program = program.replace("PREDICTION", code.call("rows[i]"))
    array = f"static const float rows[][{X.shape[1]}] = {{{', '.join(rows)}}};\n"
    compile_for(folder, core, code, array + program, *LINK)
    printed = run(
        folder,
        *f"{QEMU} -M {core.machine} -kernel out -nographic -icount shift=0".split(),
        *"-semihosting-config enable=on,target=native".split(),
        *"-monitor none -serial none".split(),
    )
    *bits, ticks, ticks_of_loop = (int(word, 16) for word in printed.split())
    kind = np.float32 if code.result == "float" else np.int32
    predictions = np.array(bits, dtype=np.uint32).view(kind)
    return predictions, ticks * 2e6 / ticks_of_loop / len(X)


# Accuracy and time on this machine.


def compile_here(folder, code, n_features):
    """Return a function that predicts rows in a loop of C."""
    declaration = f"void many(const float *x, int n, {code.result} *out)"
    call = code.call(f"(x + i * {n_features})")
    (folder / "many.c").write_text(
        f"{code.include}\n{declaration};\n{declaration}\n{{\n    int i;\n"
        f"    for (i = 0; i < n; i++)\n        out[i] = {call};\n}}\n",
        encoding="utf-8",
    )
    target = folder / f"{code.include.split()[1].strip(chr(34))}.so"
    flags = "-std=c99 -O2 -fPIC -shared".split()
    run(folder, "gcc", *flags, *code.options, "many.c", "-o", str(target), "-lm")
    function = ctypes.CDLL(str(target)).many

    def predict(X):
        X = np.ascontiguousarray(X, dtype=np.float32)
        out = np.empty(len(X), dtype=np.int32 if code.result == "int" else np.float32)
        function(
            X.ctypes.data_as(ctypes.c_void_p),
            len(X),
            out.ctypes.data_as(ctypes.c_void_p),
        )
        return out

    return predict


def score(model, predicted, y):
    """Accuracy of the indices of classes, or R2."""
    if hasattr(model, "classes_"):
        return accuracy_score(y, model.classes_[predicted])
    return r2_score(y, predicted)


def compare_time(folder, model, predict, X):
    """Time of onnxruntime as a multiple of C's: one row per call, and 1,000 rows."""
    to_onnx(model, folder / "net.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "net.onnx", options)
    rows = np.resize(np.float32(X), (1000, X.shape[1]))
    single, turns = {"X": rows[:1]}, []
    for _ in range(N_TURNS):
        start = perf_counter()
        predict(rows)
        after_c = perf_counter()
        for _ in range(100):
            session.run(None, single)
        after_single = perf_counter()
        session.run(None, {"X": rows})
        end = perf_counter()
        per_row = (after_c - start) / 1000
        turns.append(
            (
                per_row * 1e6,
                (after_single - after_c) / 100 / per_row,
                (end - after_single) / 1000 / per_row,
            )
        )
    return [median(column) for column in zip(*turns, strict=True)]


# The tables.


def agree(found, expected):
    """Whether a microcontroller says what Python says."""
    if found.dtype == np.float32:
        return bool(np.allclose(found, expected, rtol=1e-5))
    return bool((found == expected).all())


def weigh(folder, code, X, expected):
    """Return the bytes and instructions of some code, as text."""
    if shutil.which(ARM) is None:
        return ["-"] * 6
    cells = [
        f"{weigh_one(folder, core, code):,}"
        for weigh_one in (object_bytes, linked_bytes)
        for core in CORES.values()
    ]
    for core in CORES.values():
        if shutil.which(QEMU) is None:
            cells.append("-")
            continue
        found, n_instructions = run_in_qemu(folder, core, code, X)
        same = "" if agree(found, expected) else " (other predictions)"
        cells.append(f"{n_instructions:,.0f}{same}")
    return cells


def measure(folder, table, ratio, model, X, y, X_test, y_test):
    """Return the rows of both tables for one network."""
    mlp, compact = model[-1], model[-1].compact()
    scaled, size = model[0].transform(X_test), "-".join(map(str, compact.layer_sizes_))
    codes = {dtype: our_code(folder, model, X, y, dtype) for dtype in DTYPES}
    rows, times = [], None
    for name, code in codes.items():
        predict = compile_here(folder, code, X.shape[1])
        accuracy = score(mlp, predict(X_test), y_test)
        some = X_test[:N_ROWS]
        expected = predict(some)
        if name == "float32":
            expected = model.predict(some)
            if hasattr(mlp, "classes_"):
                expected = np.searchsorted(mlp.classes_, expected)
        cells = weigh(folder, code, some, expected)
        rows.append((table, ratio, size, f"to_c, {name}", f"{accuracy:.3f}", *cells))
        if name == "float32":
            times = (table, ratio, *compare_time(folder, model, predict, X_test))
    if importlib.util.find_spec("emlearn") is not None:
        networks = {"compact": (compact.coefs_, compact.intercepts_)}
        networks["dense"] = (mlp.dense_coefs_, mlp.dense_intercepts_)
        for name, (coefs, intercepts) in networks.items():
            inputs = scaled
            if name == "compact":
                inputs = scaled[:, compact.selected_features_]
            code = emlearn_code(folder, name, coefs, intercepts, mlp)
            predict = compile_here(folder, code, inputs.shape[1])
            predicted = predict(inputs)
            if not hasattr(mlp, "classes_"):
                mean, scale = compact.target_mean_, compact.target_scale_
                predicted = predicted * scale + mean
            accuracy = score(mlp, predicted, y_test)
            some = inputs[:N_ROWS]
            cells = weigh(folder, code, some, predict(some))
            size = "-".join(str(len(W)) for W in coefs) + f"-{len(intercepts[-1])}"
            rows.append(
                (table, ratio, size, f"emlearn, {name}", f"{accuracy:.3f}", *cells)
            )
    return rows, times


def main():
    rows, times = [], []
    for table, ratio, model, *data in fit_networks():
        with TemporaryDirectory() as folder, threadpool_limits(1):
            some, time = measure(Path(folder), table, ratio, model, *data)
        rows += some
        times.append(time)
    head = ["table", "pruned", "units", "code", "accuracy or R2"]
    head += [
        f"{what}, {core}"
        for what in ("object, bytes", "linked, bytes", "instructions")
        for core in ("M0+", "M4F")
    ]
    print(f"\n| {' | '.join(head)} |\n|---|---:|---|---|{'---:|' * 7}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")
    head = ["table", "pruned", "C, us per row", "onnxruntime, one row : C"]
    head += ["onnxruntime, 1,000 rows : C"]
    print(f"\n| {' | '.join(head)} |\n|---|---:|---:|---:|---:|")
    for table, ratio, per_row, single, many in times:
        print(f"| {table} | {ratio} | {per_row:.2f} | {single:.0f} | {many:.1f} |")
    found = [name for name in PACKAGES if importlib.util.find_spec(name) is not None]
    packages = ", ".join(f"{name} {version(name)}" for name in found)
    tools = [
        subprocess.run(
            [tool, "--version"], capture_output=True, text=True
        ).stdout.splitlines()[0]
        for tool in ("gcc", ARM, QEMU)
        if shutil.which(tool) is not None
    ]
    print(f"\n{packages}; {'; '.join(tools)}; {os.cpu_count()} CPUs, one used.")


if __name__ == "__main__":
    main()
