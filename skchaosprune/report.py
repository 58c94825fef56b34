"""The report of a fit: the network before and after pruning, in one table."""

import html
from dataclasses import asdict, dataclass
from time import perf_counter

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import (
    accuracy_score,
    check_scoring,
    f1_score,
    r2_score,
    root_mean_squared_error,
)

from skchaosprune import _validation
from skchaosprune._importances import rank_features
from skchaosprune._names import take_snapshot
from skchaosprune._network.masks import effective_sparsity
from skchaosprune._path import PruningPath, name_score, pruning_path
from skchaosprune._text import brief, pad, printable, shorten, width_of, wrap
from skchaosprune._to_c import embed
from skchaosprune._unwrap import put_network, take_apart
from skchaosprune.compact import serialize_npz, serialize_onnx

__all__ = ["PruningPath", "PruningReport", "pruning_path", "pruning_report"]

PruningPath.__module__ = __name__  # its public home, for pickles and documentation

# What a report compares: label and number format of each row, in their order.
_MEASURES = {
    "accuracy": ("accuracy", ".4f"),
    "f1": ("F1", ".4f"),
    "r2": ("R2", ".4f"),
    "rmse": ("root mean squared error", ".5g"),
    "n_weights": ("weights", ","),
    "effective_sparsity": ("effective sparsity", ".4f"),
    "n_hidden_units": ("hidden units", ","),
    "n_features": ("inputs used", ","),
    "flops": ("FLOPs per row", ","),
    "effective_flops": ("FLOPs without dead weights", ","),
    "npz_bytes": ("bytes, npz", ","),
    "onnx_bytes": ("bytes, ONNX", ","),
    "c_bytes": ("bytes of constants, C", ","),
    "multiply_adds": ("multiply-adds per row, C", ","),
    "latency_1_row": ("predict 1 row, us", ",.1f"),
    "latency_1000_rows": ("predict 1,000 rows, us", ",.1f"),
}

_N_PLACEBOS = 5  # an intervention's take long
_N_TURNS, _MOST_SECONDS = 50, 1.0  # of each network, when latencies are measured
_N_NAMES = 10  # features shown
_LINE_LENGTH = 88

_CELL = "border: none; color: inherit; white-space: normal; vertical-align: top"
_LEFT = f"{_CELL}; width: 18em; text-align: left; padding: 0.15em 1em 0.15em 0"
_RIGHT = f"{_CELL}; text-align: right; padding: 0.15em 0 0.15em 1em"
_HEAD = "border-bottom: 1px solid currentColor; padding-top: 0.5em"
_TEXT = "text-align: left"


@dataclass(frozen=True, repr=False)
class PruningReport:
    """A network before and after pruning, in one table.

    Made by :func:`pruning_report` and :meth:`ChaosCausalPrunedMLP.report`. Prints as a
    plain table and is an HTML table in notebooks. Names that the standard output cannot
    show are escaped in the printed table; ``repr(report)``, for a file, has them as
    they are. "Before" is the dense network when it was scored, "after" the pruned one;
    both are measured in their compact form, in the same way.

    Attributes
    ----------
    estimator : str
        Name of the estimator's class.
    n_samples : int
        Rows that were scored.
    positive_class : str or None
        The class that F1 is of; None for a regressor and for more than two classes,
        where it is the unweighted mean over the classes that are there.
    before, after : dict
        From the name of a measure to its value. Of a classifier ``accuracy`` and
        ``f1``, of a regressor ``r2`` and ``rmse``, the root mean squared error, and the
        scores asked for by their names. Then
        ``n_weights``; ``effective_sparsity``, the share of weights that are zero or on
        no path from input to output; ``n_hidden_units`` and ``n_features``, those on
        such a path; ``flops``, one multiplication per row for each kept weight, as in
        the paper, and ``effective_flops``, the same without weights on no path;
        ``npz_bytes`` and ``onnx_bytes`` on disk; ``c_bytes``, the constants of the C
        form in single precision, which a microcontroller keeps in flash beside the
        code, and its ``multiply_adds`` per row; ``latency_1_row`` and
        ``latency_1000_rows``, medians of the time that ``predict`` takes on one
        thread, in microseconds. After ``forget_training()`` all before pruning but
        ``n_weights`` and ``flops`` are None.
    rank_agreement : float or None
        Spearman correlation of the feature importances before and after, in [-1, 1];
        None where one of them is constant.
    causal_share, placebo_share : float or None
        Share of the weights of the dense network that the criterion calls causal (an
        intervention on the rows of the report), and the mean of the same share for five
        placebos; see :meth:`ChaosCausalPrunedMLP.placebo_test`. None where there is no
        placebo.
    unused_features : list of str
        Inputs that change nothing any more.
    strongest_features : list of dict
        ``name`` and the importances ``before`` and ``after``, of the ten features that
        are the most important after pruning.
    notes : dict
        Why ``npz_bytes``, ``onnx_bytes``, ``c_bytes``, ``placebo_share`` or what is in
        ``before`` are None, where they are.

    See Also
    --------
    pruning_path : Held-out scores over many prune ratios.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skchaosprune import ChaosCausalPrunedMLP
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0,
    ...                              prune_criterion="magnitude")
    >>> report = model.fit(X, y).report(X, y)
    >>> report.before["n_weights"], report.after["n_weights"]
    (42, 21)
    >>> report.to_dict()["ratio"]["n_weights"]
    0.5
    """

    estimator: str
    n_samples: int
    positive_class: str | None
    before: dict
    after: dict
    rank_agreement: float | None
    causal_share: float | None
    placebo_share: float | None
    unused_features: list
    strongest_features: list
    notes: dict

    @property
    def ratio(self):
        """After divided by before; None where one is missing or before is not > 0."""
        return {
            name: _divide(self.after[name], value)
            for name, value in self.before.items()
        }

    def to_dict(self):
        """Return everything in nested plain Python values, ready for JSON.

        Returns
        -------
        report : dict
            The attributes, and the ``ratio`` of after to before for each measure.
        """
        return asdict(self) | {"ratio": self.ratio}

    def __repr__(self):
        return self._format(str)

    def __str__(self):
        return self._format(printable)

    def _format(self, show):
        """Lay out the table; ``show`` is applied to all of its text."""
        measures, features, facts = (
            [tuple(map(show, row)) for row in rows]
            for rows in (self._measures(), self._features(), self._facts())
        )
        heading = "importances of the strongest inputs"
        features = [(f"  {name}", *numbers) for name, *numbers in features]
        table = [("", "before", "after", "ratio"), *measures, *features]
        columns = zip(*table, strict=True)
        first, *others = (max(map(width_of, column)) for column in columns)
        first = max(first, *(width_of(label) for label, _ in facts))
        lines = [
            "  ".join(
                [pad(label, first)]
                + [
                    pad(text, width, right=True)
                    for text, width in zip(texts, others, strict=True)
                ]
            )
            for label, *texts in table
        ]
        lines.insert(1 + len(measures), heading)
        for label, text in facts:
            parts = wrap(text, max(30, _LINE_LENGTH - first - 2)) or [""]
            labels = [label] + [""] * (len(parts) - 1)
            lines += [
                f"{pad(label, first)}  {part}"
                for label, part in zip(labels, parts, strict=True)
            ]
        return "\n".join([show(self._title()), *lines])

    def _repr_html_(self):
        """Return a static table; names and labels, which are user input, escaped."""
        rows = [
            _html_row("th", ("", "before", "after", "ratio"), _HEAD),
            *(_html_row("td", row) for row in self._measures()),
            _html_row("th", ("importances of the strongest inputs",), _HEAD),
            *(_html_row("td", row) for row in self._features()),
            _html_row("th", ("",), _HEAD),
            *(_html_row("td", row, last=_TEXT) for row in self._facts()),
        ]
        return (
            '<table style="border-collapse: collapse; table-layout: fixed; '
            'width: 38em; color: inherit; background: none">'
            '<caption style="caption-side: top; text-align: left; color: inherit; '
            f'font-weight: bold">{html.escape(self._title())}</caption>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    def _title(self):
        return (
            f"{shorten(self.estimator)} before and after pruning, on "
            f"{self.n_samples:,} row{'' if self.n_samples == 1 else 's'}"
        )

    def _measures(self):
        """Label, before, after and ratio of each measure, as text."""
        of = "macro"
        if self.positive_class is not None:
            of = f"class {shorten(self.positive_class)}"
        return [
            (
                f"F1 ({of})" if name == "f1" else label,
                _show(self.before[name], form),
                _show(self.after[name], form),
                _show(self.ratio[name], ".3f"),
            )
            for name, (label, form) in self._labels().items()
        ]

    def _labels(self):
        """Label and number format of each measure; scores asked for come first."""
        labels = {name: _MEASURES.get(name) for name in self.before}
        return {
            name: (shorten(name.replace("_", " ")), ".4f") if known is None else known
            for name, known in labels.items()
        }

    def _features(self):
        return [
            (
                shorten(feature["name"]),
                _show(feature["before"], ".4f"),
                _show(feature["after"], ".4f"),
                _show(_divide(feature["after"], feature["before"]), ".3f"),
            )
            for feature in self.strongest_features
        ]

    def _facts(self):
        """Label and text of what is no pair of numbers."""
        unused = [
            shorten(name) if name.strip() else repr(name)
            for name in self.unused_features[:_N_NAMES]
        ]
        n_more = len(self.unused_features) - len(unused)
        names = ", ".join(unused) + (f" and {n_more} more" if n_more else "")
        facts = [
            ("importances' rank agreement", _show(self.rank_agreement, ".4f")),
            ("share of weights called causal", _show(self.causal_share, ".4f")),
            ("the same of the placebo", _show(self.placebo_share, ".4f")),
            ("inputs not used", names or "none"),
        ]
        labels = {
            "placebo_share": "no placebo",
            "npz_bytes": "no npz",
            "onnx_bytes": "no ONNX",
            "c_bytes": "no C",
            "before": "no dense network",
        }
        return facts + [
            (labels[name], shorten(note, 500)) for name, note in self.notes.items()
        ]


def pruning_report(model, X, y, scoring=None):
    """Compare a fitted model before and after pruning, in one table.

    Parameters
    ----------
    model : estimator, Pipeline, search or TransformedTargetRegressor
        Fitted: a :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, or any of the others around one, also
        nested.
    X : array-like, sparse array or data frame of shape (n_samples, n_features)
        Rows to score on, best held-out ones, as ``model.predict`` takes them.
    y : array-like of shape (n_samples,)
        Their targets, as ``model.predict`` gives them.
    scoring : str, callable, list, dict or None, default=None
        Scores to add, as in scikit-learn, like ``"roc_auc"`` or
        ``["balanced_accuracy", "neg_log_loss"]``. Computed by the whole model, with the
        dense and with the pruned network in it.

    Returns
    -------
    report : PruningReport
        Prints as a table, is one in notebooks, and has ``to_dict()``. Scores are in
        units of ``y``, features those of ``X``; sizes and times are those of the
        network alone.

    Raises
    ------
    TypeError
        If ``model`` contains none of our estimators.
    ValueError
        If ``X``, ``y`` or ``scoring`` are not valid or do not fit.
    NotFittedError
        If ``model`` is not fitted.

    Warns
    -----
    UserWarning
        If most rows are far out of the range of the fit.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skchaosprune import ChaosCausalPrunedMLP, pruning_report
    >>> X, y = load_iris(return_X_y=True)
    >>> mlp = ChaosCausalPrunedMLP((6,), max_iter=40, random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> report = pruning_report(model, X, y, scoring="neg_log_loss")
    >>> report.after["accuracy"] == model.score(X, y)
    True
    """
    return make_report(model, X, y, scoring=scoring)


def make_report(model, X, y, feature_names=None, scoring=None):
    """Compare a fitted model before and after pruning.

    Parameters
    ----------
    model, X, y, scoring
        As :func:`pruning_report` takes them.
    feature_names : sequence of str or None, default=None
        Names of the columns of ``X``; None takes those seen in fit.

    Returns
    -------
    report : PruningReport
        The comparison.
    """
    parts = take_apart(model, "pruning_report")
    estimator = take_snapshot(parts.network)
    inputs, encoded = parts.transform(X), parts.transform_target(y)
    rows, targets = _validation.check_rows(
        estimator,
        inputs,
        encoded,
        order="C",
        reset=False,
        y_numeric=is_regressor(estimator),
    )
    # of the same fit, whatever other threads fit meanwhile
    ranking = rank_features(put_network(model, estimator), feature_names=feature_names)
    compact, notes = estimator.compact(), {}
    if parts.target_transformers:
        targets = np.ravel(y)  # what the whole model predicts

    def score(network):
        return _score(put_network(model, network), network, X, targets, scoring)

    before, after = _compare(estimator, compact, rows, score, notes)
    # of the inputs as they came, as names of columns are compared once more
    causal_share, placebo_share = _test_placebo(estimator, inputs, encoded, notes)
    estimator._warn_if_unlike(inputs)
    classes = getattr(compact, "classes_", None)
    is_binary = classes is not None and len(classes) == 2
    return PruningReport(
        estimator=type(estimator).__name__,
        n_samples=rows.shape[0],
        positive_class=str(classes[1]) if is_binary else None,
        before=before,
        after=after,
        rank_agreement=_rank_agreement(ranking),
        causal_share=causal_share,
        placebo_share=placebo_share,
        unused_features=_unused_features(ranking, compact.unused_features_),
        strongest_features=_strongest_features(ranking),
        notes=notes,
    )


# What a report measures.


def _compare(estimator, compact, rows, score, notes):
    """Return what is measured of the dense and of the pruned network."""
    after = score(compact) | {"n_weights": estimator.flops_}
    after |= _count(compact, estimator.coefs_) | {"flops": estimator.flops_}
    dense_coefs = estimator.dense_coefs_
    if dense_coefs is None:
        before, networks = dict.fromkeys(after), [(after, compact)]
        notes["before"] = "forget_training() dropped it"
    else:
        dense = estimator._compact(dense_coefs, estimator.dense_intercepts_)
        before = score(dense) | _count(dense, dense_coefs)
        networks = [(before, dense), (after, compact)]
    before |= {"n_weights": estimator.n_weights_, "flops": estimator.dense_flops_}
    for measured, network in networks:
        for name, serialize in ("npz", serialize_npz), ("onnx", serialize_onnx):
            key = f"{name}_bytes"
            measured[key] = _file_size(serialize, network, key, notes)
        measured |= _measure_c(network, notes)
    some = np.arange(1000) % rows.shape[0]
    for name, part in ("1_row", rows[:1]), ("1000_rows", rows[some]):
        times = _measure_latencies([network for _, network in networks], part)
        for (measured, _), time in zip(networks, times, strict=True):
            measured[f"latency_{name}"] = time
    return {key: before.get(key) for key in after}, after  # in the same order


def _score(model, compact, X, y, scoring):
    """Score a model by what it predicts; ``compact`` is the network in it."""
    ours = _score_predictions(model, compact, X, y)
    asked = _score_by(model, X, y, scoring)
    for name in _MEASURES.keys() & asked.keys():
        same = ours.get(name, np.nan)
        if same is not None and not np.isclose(asked[name], same):
            raise ValueError(
                f"scoring={brief(scoring)} calls a score {name!r}, which is another "
                "measure of the report; give it a name of its own, as in "
                f"scoring={{'my_{name}': ...}}."
            )
    return ours | asked


def _score_by(model, X, y, scoring):
    """Scores asked for, by their names."""
    if scoring is None:
        return {}
    scores = check_scoring(model, scoring)(model, X, y)
    if not isinstance(scores, dict):
        is_name = isinstance(scoring, str)
        scores = {scoring if is_name else name_score(model, scoring): scores}
    return {name: float(score) for name, score in scores.items()}


def _score_predictions(model, compact, X, y):
    predicted = model.predict(X)
    if not is_classifier(compact):
        r2 = float(r2_score(y, predicted)) if len(y) > 1 else None
        return {"r2": r2, "rmse": float(root_mean_squared_error(y, predicted))}
    # the mean over one class is the F1 of that class
    # the same classes for both networks, whatever these predict
    labels = compact.classes_[1:] if len(compact.classes_) == 2 else np.unique(y)
    f1 = f1_score(y, predicted, labels=labels, average="macro", zero_division=0.0)
    return {"accuracy": float(accuracy_score(y, predicted)), "f1": float(f1)}


def _count(compact, coefs):
    """What is left of a network with the weights ``coefs``."""
    return {
        "effective_sparsity": effective_sparsity([W != 0.0 for W in coefs]),
        "n_hidden_units": sum(compact.layer_sizes_[1:-1]),
        "n_features": len(compact.selected_features_),
        "effective_flops": compact.n_weights_,
    }


def _file_size(serialize, compact, key, notes):
    """Size of the file; None, with the reason in ``notes``, where there can be none."""
    try:
        return len(serialize(compact))
    except (ImportError, ValueError) as error:  # no onnx, or labels it does not support
        notes[key] = str(error)
        return None


def _measure_c(compact, notes):
    """Size and work of the C form; None where a number does not fit into it."""
    try:
        network = embed(compact)
    except ValueError as error:
        notes["c_bytes"] = str(error)
        return {"c_bytes": None, "multiply_adds": None}
    return {"c_bytes": network.nbytes, "multiply_adds": network.n_multiply_adds}


def _measure_latencies(networks, X):
    """Median microseconds of ``predict(X)``; the networks take turns."""
    from skchaosprune._training.threads import one_thread_per_fit

    def measure(network):
        start = perf_counter()
        network.predict(X)
        return perf_counter() - start

    # a second thread of BLAS waits wherever the machine is busy, often for long
    with one_thread_per_fit():
        seconds = sum(measure(network) for network in networks)  # warms up, too
        n_turns = int(np.clip(_MOST_SECONDS / seconds, 5, _N_TURNS))
        times = [[measure(network) for network in networks] for _ in range(n_turns)]
    return (1e6 * np.median(times, axis=0)).tolist()


def _test_placebo(estimator, X, y, notes):
    """Causal share and placebo share; None, with the reason in ``notes``."""
    from skchaosprune._placebo import run_placebo_test

    try:
        result = run_placebo_test(estimator, X, y, _N_PLACEBOS, random_state=0)
    except ValueError as error:  # the data are valid: there is nothing to compare
        notes["placebo_share"] = str(error)
        return None, None
    return result.causal_share, result.placebo_share


def _rank_agreement(ranking):
    pair = ranking.dense_importances, ranking.importances
    if any(np.ptp(importances) == 0.0 for importances in pair):
        return None
    return float(spearmanr(*pair).statistic)


def _unused_features(ranking, unused_inputs):
    """Names of the features all of whose inputs change nothing."""
    unused = set(unused_inputs.tolist())
    pairs = zip(ranking.names, ranking.inputs, strict=True)
    return [name for name, inputs in pairs if unused.issuperset(inputs)]


def _strongest_features(ranking):
    before, after = ranking.dense_importances.tolist(), ranking.importances.tolist()
    order = np.lexsort((-ranking.dense_importances, -ranking.importances))
    return [
        {
            "name": ranking.names[feature],
            "before": before[feature],
            "after": after[feature],
        }
        for feature in order[:_N_NAMES]
    ]


# How a report looks.


def _divide(after, before):
    if after is None or before is None or before <= 0:
        return None
    return after / before


def _show(value, form):
    return "-" if value is None else format(value, form)


def _html_row(tag, cells, style="", last=""):
    """Write a row; the last cell goes on to the end of the table."""
    parts = []
    for place, text in enumerate(cells):
        styles = [_RIGHT if place else _LEFT, style]
        span = ""
        if place == len(cells) - 1 < 3:
            span, styles = f' colspan="{4 - place}"', [*styles, last]
        css = "; ".join(filter(None, styles))
        parts.append(f'<{tag}{span} style="{css}">{html.escape(text)}</{tag}>')
    return f"<tr>{''.join(parts)}</tr>"
