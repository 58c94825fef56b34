"""Scalers and selections of columns before a network, as one affine map."""

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted


@dataclass(frozen=True, eq=False)
class Affine:
    """Features ``(x[columns] - mean) * factor + offset`` of rows ``x``.

    Attributes
    ----------
    n_columns : int
        Values of a row.
    names : sequence of str or None
        Their names.
    columns : ndarray of int of shape (n_features,)
        The column that each feature is made of.
    mean, factor, offset : ndarray of shape (n_features,)
        Numbers of each feature; the factor is not 0.
    """

    n_columns: int
    names: np.ndarray | None
    columns: np.ndarray
    mean: np.ndarray
    factor: np.ndarray
    offset: np.ndarray

    @classmethod
    def identity(cls, estimator):
        """Return the map that leaves the rows of a fitted estimator as they are."""
        n_columns = estimator.n_features_in_
        names = getattr(estimator, "feature_names_in_", None)
        zeros, ones = np.zeros(n_columns), np.ones(n_columns)
        return cls(n_columns, names, np.arange(n_columns), zeros, ones, zeros)

    def select(self, features):
        """Return the map to some of the features, given by their indices."""
        return replace(
            self,
            columns=self.columns[features],
            mean=self.mean[features],
            factor=self.factor[features],
            offset=self.offset[features],
        )

    def scale(self, mean=None, factor=None, offset=0.0):
        """Return the map followed by another one; None leaves the features as are."""
        mean = 0.0 if mean is None else mean
        factor = 1.0 if factor is None else factor
        # what is subtracted stays one number, as differences lose no digits
        return replace(
            self,
            mean=self.mean + (mean - self.offset) / self.factor,
            factor=self.factor * factor,
            offset=np.zeros_like(self.offset) + offset,
        )


def join(maps):
    """Return the features of several maps, one map after the other."""
    parts = {
        name: np.concatenate([getattr(each, name) for each in maps])
        for name in ("columns", "mean", "factor", "offset")
    }
    return replace(maps[0], **parts)


def compose(affine, step):
    """Return what a fitted step makes of the features of a map.

    Parameters
    ----------
    affine : Affine
        What comes before the step.
    step : transformer, "passthrough" or None
        A StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler, a selector of
        features, or a ColumnTransformer or Pipeline of these.

    Returns
    -------
    affine : Affine or None
        None where the step is something else.
    """
    if step is None or isinstance(step, str) or _is_identity(step):
        return affine
    if type(step) is Pipeline:
        for _, part in step.steps:
            affine = None if affine is None else compose(affine, part)
        return affine
    if type(step) is ColumnTransformer:
        return _compose_columns(affine, step)
    if isinstance(step, SelectorMixin):
        return affine.select(step.get_support(indices=True))
    if type(step) not in _SCALERS or getattr(step, "clip", False):
        return None
    check_is_fitted(step)
    return affine.scale(*_SCALERS[type(step)](step))


def _is_identity(step):
    return type(step) is FunctionTransformer and step.func is None


def _compose_columns(affine, step):
    check_is_fitted(step)
    parts = [
        compose(affine.select(_find_columns(step, columns)), part)
        for _, part, columns in step.transformers_
        if not (isinstance(part, str) and part == "drop")
    ]
    is_affine = bool(parts) and all(part is not None for part in parts)
    return join(parts) if is_affine else None


def _find_columns(step, columns):
    """Return the indices of columns that a ColumnTransformer calls by any name."""
    indices = np.arange(step.n_features_in_)
    if isinstance(columns, slice) and isinstance(columns.start or columns.stop, str):
        names = step.feature_names_in_.tolist()
        first = None if columns.start is None else names.index(columns.start)
        last = None if columns.stop is None else names.index(columns.stop) + 1
        return indices[first : last : columns.step]
    if isinstance(columns, Integral | slice):
        return np.atleast_1d(indices[columns])
    if isinstance(columns, str):
        columns = [columns]
    columns = list(columns)
    if columns and isinstance(columns[0], str):
        names = step.feature_names_in_.tolist()
        return np.array([names.index(name) for name in columns])
    return indices[np.array(columns, dtype=bool if _is_mask(columns) else np.intp)]


def _is_mask(columns):
    return bool(columns) and isinstance(columns[0], bool | np.bool_)


# What each scaler subtracts, multiplies with, and adds in the end.
_SCALERS = {
    StandardScaler: lambda scaler: (
        scaler.mean_ if scaler.with_mean else None,
        None if scaler.scale_ is None else 1.0 / scaler.scale_,
    ),
    MinMaxScaler: lambda scaler: (
        scaler.data_min_,
        scaler.scale_,
        scaler.feature_range[0],
    ),
    MaxAbsScaler: lambda scaler: (None, 1.0 / scaler.scale_),
    RobustScaler: lambda scaler: (
        scaler.center_ if scaler.with_centering else None,
        1.0 / scaler.scale_ if scaler.with_scaling else None,
    ),
}
