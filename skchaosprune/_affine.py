"""Scalers and selections of columns before a network, as one affine map."""

from collections import UserList
from collections.abc import Sequence
from dataclasses import dataclass, replace

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

from skchaosprune._text import shorten


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
    names: Sequence | None
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

    def multiply(self, weight):
        """Return the map whose features are multiplied by a number."""
        return replace(self, factor=weight * self.factor, offset=weight * self.offset)


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
    affine : Affine
        The map and the step.

    Raises
    ------
    TypeError
        If the step, or one in it, is something else.
    """
    if is_identity(step):
        return affine
    if type(step) is Pipeline:
        for _, part in step.steps:
            affine = compose(affine, part)
        return affine
    if type(step) is ColumnTransformer:
        return _compose_columns(affine, step)
    if getattr(type(step), "transform", None) is SelectorMixin.transform:
        return affine.select(step.get_support(indices=True))
    clips = getattr(step, "clip", False)
    if type(step) not in _SCALERS or clips:
        raise TypeError(
            'to_c takes a network alone or behind "passthrough", StandardScaler, '
            "MinMaxScaler, MaxAbsScaler, RobustScaler, selectors of features, and "
            "ColumnTransformers and Pipelines of these. Got the step "
            f"{shorten(type(step).__name__)}{'(clip=True)' if clips else ''}. Export "
            "the last step alone, and do what comes before outside of C, or use "
            "to_onnx(model, path, X)."
        )
    check_is_fitted(step)
    return affine.scale(*_SCALERS[type(step)](step))


def is_identity(step):
    """Tell whether a step leaves all features as they are."""
    if step is None or isinstance(step, str):
        return True
    return type(step) is FunctionTransformer and step.func is None


def _compose_columns(affine, step):
    """Join the features of the parts, one part after the other."""
    check_is_fitted(step)
    weights = step.transformer_weights or {}
    parts = [affine.select(np.arange(0))]
    for name, part, columns in step.transformers_:
        places = find_columns(step, columns)
        if len(places) == 0 or (isinstance(part, str) and part == "drop"):
            continue  # never fitted
        weight = weights.get(name, 1.0)
        if weight == 0.0:
            raise ValueError(
                f"transformer_weights={weights} has a 0; drop this part instead."
            )
        parts.append(compose(affine.select(places), part).multiply(weight))
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("columns", "mean", "factor", "offset")
    }
    return replace(affine, **joined)


def find_columns(step, columns):
    """Return the indices of columns, given by indices, names, a slice or a mask.

    A single index or name stands for one column, which the part gets as a vector.
    """
    indices = np.arange(step.n_features_in_)
    if isinstance(columns, UserList):  # of scikit-learn 1.6, warns where it is read
        columns = columns.data
    if isinstance(columns, slice):
        if not isinstance(columns.start or columns.stop, str):
            return indices[columns]
        names = step.feature_names_in_.tolist()
        first = None if columns.start is None else names.index(columns.start)
        last = None if columns.stop is None else names.index(columns.stop) + 1
        return indices[first:last]
    columns = [columns] if np.isscalar(columns) else list(columns)
    if columns and isinstance(columns[0], str):
        names = step.feature_names_in_.tolist()
        return np.array([names.index(name) for name in columns])
    is_mask = bool(columns) and isinstance(columns[0], bool | np.bool_)
    return indices[np.array(columns, dtype=bool if is_mask else np.intp)]


def _invert(scale):
    return None if scale is None else 1.0 / scale


# What each scaler subtracts, multiplies with, and adds in the end.
_SCALERS = {
    StandardScaler: lambda scaler: (
        scaler.mean_ if scaler.with_mean else None,
        _invert(scaler.scale_),
    ),
    # by its rounded min_, as it computes itself
    MinMaxScaler: lambda scaler: (
        (scaler.feature_range[0] - scaler.min_) / scaler.scale_,
        scaler.scale_,
        scaler.feature_range[0],
    ),
    MaxAbsScaler: lambda scaler: (None, _invert(scaler.scale_)),
    RobustScaler: lambda scaler: (scaler.center_, _invert(scaler.scale_)),
}
