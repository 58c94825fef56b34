"""Feature importances of a fitted model, by any rule, named and grouped."""

from dataclasses import dataclass, replace

import numpy as np

from skchaosprune import _validation
from skchaosprune._names import name_units_of, take_snapshot
from skchaosprune._network import mlp
from skchaosprune._network.importance import (
    IMPORTANCES,
    Explainable,
    explain_uniform,
    normalise_importances,
    rank_inputs,
)
from skchaosprune._text import brief
from skchaosprune._trace import trace_columns
from skchaosprune._unwrap import take_apart
from skchaosprune._warn import warn_all


def feature_importances(model, X=None, y=None, rule=None, group=True):
    """Return the importance of each feature, by its name.

    Parameters
    ----------
    model : estimator, Pipeline, search or TransformedTargetRegressor
        Fitted: a :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, or any of the others around one, also
        nested.
    X : array-like or data frame of shape (n_samples, n_features), default=None
        Rows as ``model.predict`` takes them; None takes what the fit has computed on
        its training rows.
    y : array-like of shape (n_samples,), default=None
        Their targets; only for ``rule="permutation"``.
    rule : {"gradient", "connection", "permutation", "causal"} or None, default=None
        As the parameter ``importance`` of the estimators; None takes the rule of the
        fit. Nothing is fitted again.
    group : bool, default=True
        Add up the columns that a pipeline makes of one feature, as a one-hot encoder
        does; "permutation" with rows shuffles them as one. Columns made of several
        features, or of unknown ones, stay on their own. False takes the columns that
        reach the network.

    Returns
    -------
    importances : pandas.Series or structured ndarray
        Of the pruned network, >= 0, with a sum of 1, in the order of the columns of
        ``X``. Features that do not reach the network are left out. Without pandas an
        array with the fields feature and importance.

    Raises
    ------
    TypeError
        If ``model`` contains none of our estimators.
    ValueError
        If the rule is not valid, needs rows or targets, or has no evidence to go by;
        if ``X`` or ``y`` is not valid.
    NotFittedError
        If ``model`` is not fitted.

    Warns
    -----
    UserWarning
        If the rule finds nothing, and all features are reported as equally important;
        if most rows of ``X`` are far out of the range of the fit.

    See Also
    --------
    ImportanceDisplay : Draws them, with their directions.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skchaosprune import ChaosCausalPrunedMLP, feature_importances
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> mlp = ChaosCausalPrunedMLP((8,), max_iter=40, random_state=0)
    >>> model = make_pipeline(StandardScaler(), mlp).fit(X, y)
    >>> feature_importances(model, rule="connection").idxmax()
    'petal width (cm)'
    """
    ranking = rank_features(model, X, y, rule, group)
    try:
        import pandas as pd
    except ImportError:
        names = np.array(ranking.names, dtype=object)
        fields = ["feature", "importance"]
        return np.rec.fromarrays([names, ranking.importances], names=fields)
    index = pd.Index(ranking.names, dtype=object, name="feature")
    return pd.Series(ranking.importances, index, name="importance")


@dataclass(frozen=True)
class Ranking:
    """How important the features of a model are, and which way they act.

    Attributes
    ----------
    names : list of str
        Of the features.
    importances, dense_importances : ndarray of shape (n_features,)
        Of the pruned and of the dense network, >= 0, each with a sum of 1; the latter
        None where it was forgotten.
    directions : ndarray of shape (n_features, n_outputs) or None
        Of the pruned network, in [-1, 1]; see
        :func:`skchaosprune._network.importance.gradient_directions`. NaN for features
        of several columns; None where the rule has none.
    columns : list
        The column of the raw rows that each feature is, by name or position; None for
        features made of several.
    inputs : list of list of int
        The columns that the network takes of each feature.
    rule : str
        That ranked them.
    """

    names: list
    importances: np.ndarray
    dense_importances: np.ndarray | None
    directions: np.ndarray | None
    columns: list
    inputs: list
    rule: str


def rank_features(model, X=None, y=None, rule=None, group=True, *, feature_names=None):
    """Rank the features of a fitted model.

    Parameters
    ----------
    model, X, y, rule, group
        As :func:`feature_importances` takes them.
    feature_names : sequence of str or None, default=None
        Names of the columns of ``X`` where they are grouped, else of those that reach
        the network; None takes those of the fit.

    Returns
    -------
    ranking : Ranking
        Names, importances and directions.
    """
    parts = take_apart(model, "feature_importances")
    network = take_snapshot(parts.network)
    fitted_rule = vars(network).get("_importance", network.importance)
    rule = fitted_rule if rule is None else rule
    _validation.choice(*IMPORTANCES)(rule, "rule")
    names, columns, groups = _group_columns(parts, network, group, feature_names)
    if X is None and rule == fitted_rule:
        sparse, dense = network.feature_importances_, network.dense_feature_importances_
        directions = vars(network).get("feature_directions_")  # older pickles: none
    else:
        data = _prepare_rows(parts, network, X, y, rule)
        sparse, dense, directions = _measure(network, data, rule, groups)
    is_reversed = False
    if parts.target_transformers:
        mean, scale = network._target_units()
        is_reversed = parts.is_target_reversed(mean - scale, mean + scale)
    return Ranking(
        names=names,
        importances=_add_up(sparse, groups),
        dense_importances=_add_up(dense, groups),
        directions=_pick(directions, groups, -1.0 if is_reversed else 1.0),
        columns=columns,
        inputs=groups,
        rule=rule,
    )


def _prepare_rows(parts, network, X, y, rule):
    """Return rows as the network takes them; None where the rule needs none."""
    if rule not in ("gradient", "permutation"):
        return None
    if X is None or (y is None and rule == "permutation"):
        needs, call = ("X", "X") if rule == "gradient" else ("X and y", "X, y")
        raise ValueError(
            f"rule={brief(rule)} needs {needs} for importances that fit has not "
            f"computed: feature_importances(model, {call}, rule={brief(rule)})."
        )
    X = parts.transform(X)
    rows = _validation.check_rows(
        network, X, order="C", reset=False, ensure_min_samples=2
    )
    network._warn_if_unlike(X)
    if y is not None:
        return network._recall_rows(X, parts.transform_target(y))
    n_rows = rows.shape[0]
    return mlp.TrainingData(rows, None, None, np.ones(n_rows), float(n_rows))


def _measure(network, data, rule, groups):
    """Return importances in the pruned and the dense network, and directions.

    Per column; the second are None if the dense network was forgotten, the last if the
    rule has none.
    """
    if rule == "causal" and network.p_values_ is None:
        raise ValueError(
            "rule='causal' needs p_values_, and prune_criterion="
            f"{brief(network.prune_criterion)} tests nothing. Use another rule, or fit "
            "with a criterion that does, like 'chaos_causal_magnitude'."
        )
    pruned = Explainable(
        network=network._recall_network(),
        params=mlp.flatten(network.coefs_, network.intercepts_),
        data=data,
        masks=network.masks_,
        p_values=network.p_values_,
        seed=network._score_seed,
        groups=groups,
    )
    importances, directions = rank_inputs(rule, pruned)
    if not importances.any():
        warn_all([explain_uniform(rule, network.effective_sparsity_ < 1.0)])
    dense = None
    if network.dense_coefs_ is not None:
        params = mlp.flatten(network.dense_coefs_, network.dense_intercepts_)
        masks = [np.ones_like(mask) for mask in network.masks_]
        subject = replace(pruned, params=params, masks=masks)
        dense = normalise_importances(IMPORTANCES[rule](subject))
    return normalise_importances(importances), dense, directions


def _add_up(values, groups):
    """Sum up the values of the columns of each group."""
    if values is None:
        return None
    return np.array([values[columns].sum() for columns in groups])


def _pick(directions, groups, sign):
    """Directions of single columns, times a sign; NaN for groups of several."""
    if directions is None:
        return None
    is_one = np.array([len(columns) == 1 for columns in groups])
    first = sign * directions[[columns[0] for columns in groups]]
    return np.where(is_one[:, np.newaxis], first, np.nan)


def _group_columns(parts, network, group, feature_names):
    """Return names of the features, their raw columns, and those in the network.

    What is made of several raw columns, or of unknown ones, has None in their place.
    """
    made_of = None
    if group and parts.transformers:
        made_of = trace_columns(parts.transformers)
    if made_of is None or len(made_of) != network.n_features_in_:
        names = name_units_of(parts, network, feature_names)[0]
        raw = [None] * len(names) if parts.transformers else _list_columns(network)
        return names, raw, [[column] for column in range(len(names))]

    raw = _list_columns(parts.transformers[0])
    names_of_raw = _name_raw(raw, feature_names)
    own_names = name_units_of(parts, network)[0]
    features = {}  # those of one raw column first, in the order of these
    for column, sources in enumerate(made_of):
        key = (0, *sources) if len(sources) == 1 else (1, column)
        features.setdefault(key, []).append(column)
    keys = sorted(features)
    own_names = [
        f"transformed {name}" if name in names_of_raw else name for name in own_names
    ]
    return (
        [own_names[key] if is_own else names_of_raw[key] for is_own, key in keys],
        [None if is_own else raw[key] for is_own, key in keys],
        [features[key] for key in keys],
    )


def _list_columns(step):
    """Names of the columns that a fitted step takes, or else their positions."""
    names = getattr(step, "feature_names_in_", None)
    return list(range(step.n_features_in_) if names is None else names)


def _name_raw(columns, feature_names):
    """Name the raw columns: as given, by themselves, or x0, x1, ..."""
    if feature_names is None:
        return [f"x{c}" if isinstance(c, int) else str(c) for c in columns]
    if len(feature_names) != len(columns):
        raise ValueError(
            f"feature_names has {len(feature_names)} names, and X has {len(columns)} "
            "columns; give one for each."
        )
    return [str(name) for name in feature_names]
