"""C code of an embedded network: one header, without memory of its own."""

import re
import textwrap
from pathlib import Path

import numpy as np

from skchaosprune import __version__
from skchaosprune._export.embedded import LIMIT
from skchaosprune._text import brief, shorten

_LONGEST_NAME = 40
_LONGEST_STRING = 4095  # bytes of a literal that every C99 compiler takes

# In all code below, @ stands for the name, and LIMIT for that of integers.

_FLOAT_ACTIVATIONS = {
    "relu": """
static inline float @_relu(float z)
{
    return z < 0.0f ? 0.0f : z;
}""",
    "tanh": """
static inline float @_tanh(float z)
{
    return tanhf(z);
}""",
    "logistic": """
static inline float @_logistic(float z)
{
    float e = expf(-fabsf(z));
    return (z < 0.0f ? e : 1.0f) / (1.0f + e);
}""",
}

_INTEGER_ACTIVATIONS = {
    "relu": """
/* An activation out of a sum, without so many of its bits. */
static inline int16_t @_relu(int32_t sum, unsigned bits)
{
    if (sum <= 0)
        return 0;
    sum = (sum + (((int32_t)1 << bits) >> 1)) >> bits;
    return sum < LIMIT ? (int16_t)sum : LIMIT;
}""",
    "identity": """
/* An activation out of a sum, without so many of its bits. */
static inline int16_t @_identity(int32_t sum, unsigned bits)
{
    int32_t size = sum < 0 ? -sum : sum;
    size = (size + (((int32_t)1 << bits) >> 1)) >> bits;
    size = size < LIMIT ? size : LIMIT;
    return (int16_t)(sum < 0 ? -size : size);
}""",
}

_ROUND = """
/* An integer activation; what is too large, or no number, is cut off. */
static inline int16_t @_round(float value)
{
    if (!(value > -LIMIT.0f))
        return -LIMIT;
    if (value > LIMIT.0f)
        return LIMIT;
    return (int16_t)(value < 0.0f ? value - 0.5f : value + 0.5f);
}"""

_PREDICT_ONE_OF_TWO = """
static inline int @_predict(const float *x)
{
    float z[1];
    @_logits(x, z);
    return z[0] > 0.0f;
}"""

_PREDICT_ONE_OF_MANY = """
static inline int @_predict(const float *x)
{
    float z[N_OUTPUTS];
    int i, best = 0;
    @_logits(x, z);
    for (i = 1; i < N_OUTPUTS; i++)
        if (z[i] > z[best])
            best = i;
    return best;
}"""

_PREDICT_VALUE = """
static inline float @_predict(const float *x)
{
    float z[1];
    @_logits(x, z);
    return SCALED;
}"""

_PROBABILITIES_OF_TWO = """
static inline void @_predict_proba(const float *x, float *p)
{
    float z[1];
    @_logits(x, z);
    p[0] = @_logistic(-z[0]);
    p[1] = @_logistic(z[0]);
}"""

_PROBABILITIES_OF_MANY = """
static inline void @_predict_proba(const float *x, float *p)
{
    float largest, total = 0.0f;
    int i;
    @_logits(x, p);
LOGARITHMS
    largest = p[0];
    for (i = 1; i < N_OUTPUTS; i++)
        if (p[i] > largest)
            largest = p[i];
    for (i = 0; i < N_OUTPUTS; i++)
        total += p[i] = expf(p[i] - largest);
    for (i = 0; i < N_OUTPUTS; i++)
        p[i] /= total;
}"""

# of logistic outputs, which may all vanish
_LOGARITHMS = """\
    for (i = 0; i < N_OUTPUTS; i++)
        p[i] = (p[i] < 0.0f ? p[i] : 0.0f) - log1pf(expf(-fabsf(p[i])));
"""


def choose_name(name, path):
    """Return what names in C start with: ``name``, or ``my_net`` for ``my-net.h``."""
    given = f"name={brief(name, 60)}"
    if not isinstance(name, str | None):
        raise TypeError(f"{given} must be a string, or None for the name of the file.")
    if name is None:
        given = f"the name of the file, {brief(Path(path).name, 60)},"
        name = re.sub(r"[^A-Za-z0-9_]", "_", Path(path).stem)
    pattern = rf"[A-Za-z][A-Za-z0-9_]{{0,{_LONGEST_NAME - 1}}}"
    if re.fullmatch(pattern, name) is None:
        raise ValueError(
            f"{given} cannot be the start of names in C. Give a letter and up to "
            f"{_LONGEST_NAME - 1} letters, digits and underscores, like name='network'."
        )
    return name


def serialize(network, *, name, out_activation, classes, target, feature_names):
    """Return the bytes of the header that :func:`skchaosprune.to_c` describes.

    Parameters
    ----------
    network : Embedded
        The network, with the scalers before it.
    name : str
        What all names in the file start with.
    out_activation : {"identity", "logistic", "softmax"}
        Of the outputs.
    classes : ndarray of shape (n_classes,) or None
        Class labels; None for a regressor.
    target : tuple of two float32
        Mean and scale of a regressor's target.
    feature_names : sequence of str or None
        Names of the values of a row.

    Returns
    -------
    content : bytes
        Of the file, in ASCII.
    """
    body = _Body(network)
    logits = body.write_logits()
    if classes is None:
        predict = [_write_prediction(*target)]
    else:
        n_outputs = len(network.layers[-1].biases)
        predict = _write_classifier(n_outputs, out_activation, body.helpers)
    code = [*body.helpers.values(), logits, *predict]
    parts = [
        _introduce(network, name, classes, feature_names),
        _define(network, name, classes),
        *(_fill(part, name) for part in code),
        f"#endif /* {name}_PREDICT_H */\n",
    ]
    return "\n\n".join(parts).encode("ascii")


def _fill(code, name):
    return code.strip("\n").replace("LIMIT", str(LIMIT)).replace("@", name)


# Comments, macros and numbers.


def _introduce(network, name, classes, feature_names):
    """Write the comment at the top."""
    sizes = [network.n_inputs, *(len(layer.biases) for layer in network.layers)]
    functions = [f"float {name}_predict(const float *x)", "    the prediction"]
    if classes is not None:
        functions = [
            f"int {name}_predict(const float *x)",
            "    the index of the most probable class",
            f"void {name}_predict_proba(const float *x, float *p)",
            "    one probability per class",
        ]
    lines = [
        f"{name}: a neural network of {'-'.join(map(str, sizes))} units, written by "
        f"skchaosprune {__version__}.",
        "",
        *functions,
        "",
        f"{network.nbytes:,} bytes of constants, {network.n_multiply_adds:,} "
        "multiply-adds per row.",
    ]
    if feature_names is not None:
        lines += ["", f"The {network.n_features} values of x:"]
        pairs = enumerate(map(_comment, feature_names))
        lines += [f"{place:5}  {feature}" for place, feature in pairs]
    rest = "\n".join(f" * {line}".rstrip() for line in lines[1:])
    return f"/* {lines[0]}\n{rest}\n */"


def _define(network, name, classes):
    """Write the guard, what is included, and the macros."""
    prefix = name.upper()
    lines = [
        f"#ifndef {name}_PREDICT_H",
        f"#define {name}_PREDICT_H",
        "",
        "#include <math.h>",
        "#include <stdint.h>",
        "",
        f"#define {prefix}_N_FEATURES {network.n_features}",
    ]
    if classes is not None:
        labels = [_literal(str(label)) for label in classes]
        lines += [
            f"#define {prefix}_N_CLASSES {len(labels)}",
            f"#define {prefix}_CLASS_LABELS {{ \\",
            *(f"    {label}, \\" for label in labels[:-1]),
            f"    {labels[-1]} }}",
        ]
    return "\n".join(lines)


def _comment(text):
    """Write a name within a comment: no end or start of one, and no trigraph."""
    text = shorten(text, 70).encode("ascii", "backslashreplace").decode("ascii")
    return re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", text)


def _literal(text):
    """Write a string: UTF-8, with escapes for all but plain letters."""
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the class label {brief(text, 40)} has half of a surrogate pair, and C "
            "files hold UTF-8 only. Fit on labels without it."
        ) from error
    if len(content) > _LONGEST_STRING or 0 in content:
        raise ValueError(
            f"the class label {brief(text, 40)} has more than {_LONGEST_STRING} bytes "
            "or a NUL, which ends a string in C. Fit on other labels."
        )
    letters = [
        chr(code) if 32 <= code < 127 and chr(code) not in '"\\?' else f"\\{code:03o}"
        for code in content
    ]
    return f'"{"".join(letters)}"'


def _number(value):
    """Write a number, so that it reads back as the same single-precision one."""
    if not isinstance(value, np.float32):
        return str(value)
    # not by str(), which options of numpy change
    is_plain = value == 0.0 or 1e-4 <= abs(value) < 1e6
    write = np.format_float_positional if is_plain else np.format_float_scientific
    return f"{write(value, unique=True, trim='0')}f"


def _array(name, values):
    """Write a constant array."""
    kind = "float" if values.dtype == np.float32 else f"{values.dtype.name}_t"
    rows = textwrap.wrap(", ".join(map(_number, values)), 80, break_on_hyphens=False)
    body = "\n".join(f"        {row}" for row in rows)
    return f"    static const {kind} {name}[] = {{\n{body}}};"


# Functions.


class _Body:
    """The function from a row to what enters the output activation, in the making."""

    def __init__(self, network):
        self.network = network
        self.helpers = {}  # functions that are called, by their names
        self._is_float = network.dtype == "float32"
        self._number = "float" if self._is_float else "int16_t"
        self._constants, self._variables, self._steps = [], [], []

    def write_logits(self):
        """Return the function; ``helpers`` are complete then."""
        source = self._add_inputs() if self.network.n_inputs else None
        *hidden, last = self.network.layers
        for depth, layer in enumerate(hidden, start=1):
            source = self._add_hidden(layer, depth, source)
        self._add_outputs(last, len(self.network.layers), source)
        lines = [*self._constants, *self._variables, *self._steps]
        return (
            "/* What enters the output activation. */\n"
            "static inline void @_logits(const float *x, float *z)\n"
            "{\n" + "\n".join(lines) + "\n}"
        )

    def _add_inputs(self):
        """Pick, centre and round the inputs; return where they are."""
        network, value = self.network, "x[i]"
        if network.columns is not None:
            value = f"x[{self._keep('inputs', network.columns)}[i]]"
        if network.centre is not None:
            value = f"{value} - {self._keep('centre', network.centre)}[i]"
        if network.steps is not None:
            step = _number(network.steps[0])
            if network.steps.size > 1:
                step = f"{self._keep('steps', network.steps)}[i]"
            value = self._round(f"({value}) * {step}")
        if value == "x[i]":
            return "x"
        self._declare(self._number, "inside", network.n_inputs)
        self._loop(network.n_inputs, f"inside[i] = {value};")
        return "inside"

    def _add_hidden(self, layer, depth, source):
        """Compute the outputs of a hidden layer; return where they are."""
        activation, hidden = self.network.activation, f"hidden_{depth}"
        self._declare(self._number, hidden, len(layer.biases))
        if self._is_float:
            self._add_sums(layer, depth, source, hidden)
            if activation == "identity":
                return hidden
            self.helpers[activation] = _FLOAT_ACTIVATIONS[activation]
            value = f"@_{activation}({hidden}[i])"
        else:
            sums = self._declare("int32_t", f"sums_{depth}", len(layer.biases))
            self._add_sums(layer, depth, source, sums)
            if layer.shifts is None:
                self.helpers[activation] = _FLOAT_ACTIVATIONS[activation]
                scales = self._keep(f"scales_{depth}", layer.scales)
                z = f"@_{activation}((float){sums}[i] * {scales}[i])"
                value = self._round(f"{LIMIT}.0f * {z}")
            else:
                self.helpers[activation] = _INTEGER_ACTIVATIONS[activation]
                shifts = self._keep(f"shifts_{depth}", layer.shifts)
                value = f"@_{activation}({sums}[i], {shifts}[i])"
        self._loop(len(layer.biases), f"{hidden}[i] = {value};")
        return hidden

    def _add_outputs(self, layer, depth, source):
        """Compute what the function returns in ``z``."""
        if self._is_float:
            self._add_sums(layer, depth, source, "z")
        else:
            sums = self._declare("int32_t", f"sums_{depth}", len(layer.biases))
            self._add_sums(layer, depth, source, sums)
            scales = self._keep(f"scales_{depth}", layer.scales)
            value = f"(float){sums}[i] * {scales}[i]"
            self._loop(len(layer.biases), f"z[i] = {value};")

    def _add_sums(self, layer, depth, source, sums):
        """Compute the sums of a layer."""
        n_units = len(layer.biases)
        biases = self._keep(f"biases_{depth}", layer.biases)
        if source is None:
            self._loop(n_units, f"{sums}[i] = {biases}[i];")
            self._steps.append("    (void)x;")
            return
        weights = self._keep(f"weights_{depth}", layer.values)
        if layer.is_dense:
            function, places = "dense", str(layer.weights.shape[1])
        else:
            parts = layer.counts, layer.columns
            function = "_".join(["sparse", *(str(8 * part.itemsize) for part in parts)])
            counts = self._keep(f"counts_{depth}", layer.counts)
            places = f"{counts}, {self._keep(f'columns_{depth}', layer.columns)}"
        self.helpers[function] = _write_sums(function, layer, self._is_float)
        self._steps.append(
            f"    @_{function}({n_units}, {places},\n"
            f"        {weights}, {biases}, {source}, {sums});"
        )

    def _round(self, value):
        self.helpers["round"] = _ROUND
        return f"@_round({value})"

    def _keep(self, name, values):
        self._constants.append(_array(name, values))
        return name

    def _declare(self, kind, name, size):
        self._variables.append(f"    {kind} {name}[{size}];")
        return name

    def _loop(self, n_turns, line):
        counter = "    unsigned i;"
        if counter not in self._variables:
            self._variables.append(counter)
        self._steps.append(f"    for (i = 0; i < {n_turns}; i++)\n        {line}")


def _write_sums(function, layer, is_float):
    """Write the function that computes the sums of a layer."""
    kind = "float" if is_float else f"{layer.values.dtype.name}_t"
    inputs, sums, cast = "int16_t", "int32_t", "(int32_t)"
    if is_float:
        inputs, sums, cast = "float", "float", ""
    places, count, place = "unsigned n_inputs", "n_inputs", "i"
    comment = "Sums over all inputs, for each unit."
    if not layer.is_dense:
        comment = (
            "Sums over some inputs, for each unit: how many, which, their weights."
        )
        kinds = [f"{part.dtype.name}_t" for part in (layer.counts, layer.columns)]
        places = f"const {kinds[0]} *counts, const {kinds[1]} *columns"
        count, place = "counts[unit]", "*columns++"
    return f"""
/* {comment} */
static inline void @_{function}(
    unsigned n_units, {places},
    const {kind} *weights, const {sums} *biases, const {inputs} *in, {sums} *out)
{{
    unsigned unit, i;
    for (unit = 0; unit < n_units; unit++) {{
        {sums} sum = biases[unit];
        for (i = 0; i < {count}; i++)
            sum += {cast}*weights++ * in[{place}];
        out[unit] = sum;
    }}
}}"""


def _write_prediction(mean, scale):
    scaled = "z[0]"
    if scale != 1.0:
        scaled += f" * {_number(scale)}"
    if mean != 0.0:
        scaled += f" + {_number(mean)}"
    return _PREDICT_VALUE.replace("SCALED", scaled)


def _write_classifier(n_outputs, out_activation, helpers):
    """Write the two functions of a classifier; ``helpers`` gets what they call."""
    if n_outputs == 1:
        helpers["logistic"] = _FLOAT_ACTIVATIONS["logistic"]
        return [_PREDICT_ONE_OF_TWO, _PROBABILITIES_OF_TWO]
    logarithms = _LOGARITHMS if out_activation == "logistic" else ""
    probabilities = _PROBABILITIES_OF_MANY.replace("LOGARITHMS\n", logarithms)
    return [
        code.replace("N_OUTPUTS", str(n_outputs))
        for code in (_PREDICT_ONE_OF_MANY, probabilities)
    ]
