"""Partial dependence: mean predictions while one column takes other values.

scikit-learn's function of this name takes the values of a grid from 1.7 on only, and
refuses columns of integers. Here a value is that of another row, so a column keeps its
type, and no value is new to the model.
"""

import warnings
from collections import Counter
from numbers import Integral, Number

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_array

from skchaosprune._network.rows import as_dense, check_dense_size
from skchaosprune._text import brief, brief_list, shorten

_MOST_VALUES = 40  # of a column of numbers
_MOST_CATEGORIES = 12


class Rows:
    """Rows of a table, and what its columns are called.

    Parameters
    ----------
    X : array-like or data frame of shape (n_samples, n_columns)
        As the model takes it.
    max_samples : int
        Rows to draw, with a fixed seed, if there are more.
    names : sequence of str or None
        Names of the columns; None takes their own, or x0, x1, and so on.

    Attributes
    ----------
    table : ndarray or data frame
        The rows drawn.
    labels : list
        What the table calls its columns.
    names : list of str
        What the columns are called in a plot.
    """

    def __init__(self, X, max_samples, names=None):
        self.is_frame = hasattr(X, "iloc")
        if not self.is_frame:
            X = check_array(X, accept_sparse="csr", dtype=None, ensure_all_finite=False)
        n_rows = X.shape[0]
        if n_rows > max_samples:
            drawn = np.random.default_rng(0).choice(n_rows, max_samples, replace=False)
            X = X.iloc[np.sort(drawn)] if self.is_frame else X[np.sort(drawn)]
        what = f"max_samples={max_samples}"
        check_dense_size(X, X.shape[0], what, "Use a smaller max_samples.")
        X = as_dense(X)
        self.table = X
        n_columns = X.shape[1]
        if names is not None and len(names) != n_columns:
            raise ValueError(
                f"feature_names has {len(names)} names, and X has {n_columns} columns; "
                "give one for each."
            )
        own = list(X.columns) if self.is_frame else [f"x{i}" for i in range(n_columns)]
        self.names = [str(name) for name in (own if names is None else names)]
        self.labels = own if self.is_frame else self.names

    def find(self, feature):
        """Position of a column, given by its label, its name or its position."""
        for labels in (self.labels, self.names):
            n_columns = labels.count(feature)
            if n_columns > 1:
                raise ValueError(
                    f"features has {brief(feature)}, the name of {n_columns} columns "
                    "of X; give their positions."
                )
            if n_columns:
                return labels.index(feature)
        is_position = isinstance(feature, Integral) and not isinstance(feature, bool)
        if is_position and 0 <= feature < len(self.names):
            return int(feature)
        raise ValueError(
            f"features has {brief(feature)}, which is no column of X; its "
            f"{len(self.names)} columns are {brief_list(self.labels)}."
        )

    def read(self, position):
        """Values of a column, and which of them are there."""
        if not self.is_frame:
            values = self.table[:, position]
            is_there = [value is not None and value == value for value in values]
            return values, np.array(is_there, dtype=bool)
        column = self.table.iloc[:, position]
        return column.to_numpy(dtype=object), column.notna().to_numpy()

    def list_categories(self, position):
        """Categories of a column in their order; None if they have none."""
        dtype = self.table.dtypes.iloc[position] if self.is_frame else None
        return list(dtype.categories) if getattr(dtype, "ordered", False) else None

    def fill(self, position, row):
        """Return the table with the value of one row in the whole column."""
        filled, rows = self.table.copy(), np.full(len(self.table), row)
        if self.is_frame:
            column = self.table.iloc[:, position].iloc[rows]
            filled.isetitem(position, column.set_axis(self.table.index))
        else:
            filled[:, position] = self.table[rows, position]
        return filled


def choose_values(rows, position):
    """Choose the values that a column takes, and the rows that have them.

    Parameters
    ----------
    rows : Rows
        The table.
    position : int
        The column.

    Returns
    -------
    values : ndarray of shape (n_values,)
        Numbers from the 1st to the 99th percentile, in order; or the most frequent
        strings, bools or others, as objects, those of an ordered categorical column in
        its order. Missing values are none.
    chosen : ndarray of shape (n_values,)
        A row with each of them.
    observed : ndarray of shape (n_observed,)
        All values that are there.
    """
    column, is_there = rows.read(position)
    observed, places = column[is_there], np.flatnonzero(is_there)
    if len(observed) == 0:
        raise ValueError(
            f"the column {brief(rows.names[position])} has no value in the "
            f"{len(column)} rows; name other columns in features, or give other rows."
        )
    if _are_numbers(observed):
        observed = observed.astype(float)
        values, first = _thin_out(observed)
    else:
        values, first = _count(observed, rows.list_categories(position))
    return values, places[first], observed


def _count(observed, categories):
    """Return the most frequent values, and where each is seen first."""
    listed = observed.tolist()
    values = [value for value, _ in Counter(listed).most_common(_MOST_CATEGORIES)]
    if categories is not None:
        values.sort(key=categories.index)
    first = [listed.index(value) for value in values]
    return np.array(values, dtype=object), np.array(first)


def _thin_out(numbers):
    """Return distinct numbers in order, without the outer ones if they are many."""
    values, first = np.unique(numbers, return_index=True)
    if len(values) <= _MOST_VALUES:
        return values, first
    low, high = np.quantile(numbers, [0.01, 0.99], method="nearest")
    inside = np.flatnonzero((values >= low) & (values <= high))
    steps = np.linspace(0, len(inside) - 1, _MOST_VALUES).round().astype(int)
    thinned = inside[np.unique(steps)]
    return values[thinned], first[thinned]


def _are_numbers(values):
    """Tell numbers from strings, bools and others."""
    kinds = {type(value) for value in values}
    is_bool = any(issubclass(kind, bool | np.bool_) for kind in kinds)
    return not is_bool and all(issubclass(kind, Number) for kind in kinds)


def average_predictions(model, rows, position, chosen):
    """Mean prediction over all rows, with the value of each chosen row in a column.

    Parameters
    ----------
    model : estimator
        Fitted.
    rows : Rows
        The table.
    position : int
        The column.
    chosen : ndarray of shape (n_values,)
        Rows with the values.

    Returns
    -------
    effects : ndarray of shape (n_outputs, n_values)
        Probabilities of all classes, or the value of a regressor.
    """
    predict = _find_method(model)
    means = []
    for count, row in enumerate(chosen):
        filled = rows.fill(position, row)
        with warnings.catch_warnings():
            if count > 0:  # the same again
                warnings.simplefilter("ignore")
            predictions = np.asarray(predict(filled))
        means.append(predictions.reshape(len(predictions), -1).mean(axis=0))
    return np.transpose(means)


def _find_method(model):
    """Return the method that predicts numbers."""
    method = "predict_proba" if is_classifier(model) else "predict"
    if not hasattr(model, method):
        raise TypeError(
            f"from_estimator needs a model with {method}, and "
            f"{shorten(type(model).__name__)} has none."
        )
    return getattr(model, method)
