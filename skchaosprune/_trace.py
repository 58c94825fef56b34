"""Which raw columns each column is made of that fitted transformers hand on."""

import copy
import re

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion

from skchaosprune._affine import find_columns, is_identity
from skchaosprune._unwrap import NAMELESS, list_steps

# What stands for the name of a column while a transformer names what it makes of it.
_MARK, _MARKS = "\x02{}\x03", re.compile("\x02(\\d+)\x03")


def trace_columns(transformers):
    """Find the raw columns behind each column that transformers hand on.

    The transformers say so themselves: each names its columns, by
    ``get_feature_names_out``, after those that it gets.

    Parameters
    ----------
    transformers : list of transformers
        Fitted, one after the other.

    Returns
    -------
    sources : list of set of int or None
        For each column the raw ones, none where that is not known; None where even the
        number of columns is not known.
    """
    n_columns = getattr(transformers[0], "n_features_in_", None)
    if n_columns is None:
        return None
    return _follow(transformers, [{column} for column in range(n_columns)])


def _follow(steps, sources):
    for step in steps:
        sources = _trace(step, sources)
        if sources is None:
            return None
    return sources


def _trace(step, sources):
    if isinstance(step, ColumnTransformer):
        return _trace_parts(step, sources)
    if isinstance(step, FeatureUnion):
        parts = [
            _follow(list_steps(part), sources)
            for _, part in step.transformer_list
            if part != "drop"
        ]
        return None if None in parts else sum(parts, [])
    if is_identity(step):
        return sources
    names = _name_by_marks(step, len(sources))
    if names is None:
        return None
    return [
        set().union(*(sources[int(column)] for column in _MARKS.findall(name)))
        for name in names
    ]


def _trace_parts(step, sources):
    """Trace what a ColumnTransformer joins, one part after the other."""
    joined = []
    for name, part, columns in step.transformers_:
        places = find_columns(step, columns)
        if len(places) == 0 or (isinstance(part, str) and part == "drop"):
            continue  # never fitted
        made = step.output_indices_[name]
        n_columns = made.stop - made.start
        if len(places) == 1:  # all is made of it, whatever it is called
            joined += [sources[places[0]]] * n_columns
            continue
        traced = _follow(list_steps(part), [sources[place] for place in places])
        if traced is None or len(traced) != n_columns:
            traced = [set()] * n_columns
        joined += traced
    return joined


def _name_by_marks(step, n_columns):
    """Ask a transformer for the names of its columns; None if it knows none."""
    marks = np.array(
        [_MARK.format(column) for column in range(n_columns)], dtype=object
    )
    shadow = copy.copy(step)
    try:
        if hasattr(shadow, "feature_names_in_"):
            shadow.feature_names_in_ = marks
        return shadow.get_feature_names_out(marks)
    except NAMELESS:
        return None
