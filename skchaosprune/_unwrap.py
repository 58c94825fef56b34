"""The network inside a fitted model, and what is around it."""

import copy
from dataclasses import dataclass, replace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skchaosprune._text import brief, shorten

# What get_feature_names_out raises of transformers that cannot name their columns.
NAMELESS = AttributeError, NotImplementedError, TypeError, ValueError


@dataclass(frozen=True)
class Parts:
    """What a model is made of.

    Attributes
    ----------
    transformers : list of transformers
        What changes the rows before the network, in this order; no Pipelines.
    target_transformers : list of transformers
        What changes the targets before the network, in this order.
    network : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
        Fitted or not.
    """

    transformers: list
    target_transformers: list
    network: BaseEstimator

    def transform(self, X):
        """Return rows as the network takes them."""
        for transformer in self.transformers:
            X = transformer.transform(X)
        return X

    def transform_target(self, y):
        """Return targets as the network takes them."""
        for transformer in self.target_transformers:
            y = np.ravel(transformer.transform(np.reshape(y, (-1, 1))))
        return y

    def is_target_reversed(self, low, high):
        """Tell whether of two outputs of the network the larger is the lower target."""
        outputs = np.array([[low], [high]])
        for transformer in reversed(self.target_transformers):
            outputs = np.reshape(transformer.inverse_transform(outputs), (2, 1))
        return outputs[1, 0] < outputs[0, 0]

    def name_columns(self):
        """Return the names of the network's inputs; None where a step knows none."""
        names = None
        try:
            for transformer in self.transformers:
                names = transformer.get_feature_names_out(names)
        except NAMELESS:
            return None
        return names


def take_apart(model, caller):
    """Find the network in a fitted model.

    Parameters
    ----------
    model : estimator, Pipeline, search or TransformedTargetRegressor
        One of our estimators, or any of the others around one, also nested.
    caller : str
        The function that needs it.

    Returns
    -------
    parts : Parts
        The network and what is around it.

    Raises
    ------
    TypeError
        If there is none.
    ValueError
        If a search has not refitted its best estimator.
    NotFittedError
        If a search or a TransformedTargetRegressor is not fitted.
    """
    *before, last = list_steps(model)
    inner = _look_inside(last)
    if inner is not None:
        parts = take_apart(inner, caller)
        is_of_target = _changes_targets(last)
        of_target = [last.transformer_] if is_of_target else []
        return replace(
            parts,
            transformers=before + parts.transformers,
            target_transformers=of_target + parts.target_transformers,
        )
    around = "Pipeline, search or TransformedTargetRegressor with one in it"
    return Parts(before, [], _check_network(last, caller, around))


def last_step(model, caller):
    """Return one of our estimators, fitted or not, out of its Pipeline.

    Parameters
    ----------
    model : estimator or Pipeline
        One of our estimators, or a Pipeline that ends in one.
    caller : str
        The function that needs it.

    Returns
    -------
    network : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
        The estimator.

    Raises
    ------
    TypeError
        If there is none.
    """
    last = model[-1] if isinstance(model, Pipeline) else model
    around = "Pipeline that ends in one (of a search its best_estimator_)"
    return _check_network(last, caller, around)


def _check_network(model, caller, around):
    """Return a model that is one of our estimators; ``around`` is what else may be."""
    if not hasattr(type(model), "weight_table"):
        got = brief(model) if isinstance(model, type) else shorten(type(model).__name__)
        raise TypeError(
            f"{caller} needs a ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor, "
            f"or a {around}. Got {got} instead."
        )
    return model


def put_network(model, network):
    """Return a fitted model with another network in its place.

    Parameters
    ----------
    model : estimator, Pipeline, search or TransformedTargetRegressor
        As :func:`take_apart` takes it. It stays as it is.
    network : estimator
        Fitted.

    Returns
    -------
    changed : estimator
        The network alone, or what is around it in a new copy that shares all other
        steps; of a search the best estimator.
    """
    if not isinstance(model, Pipeline):
        inner = _look_inside(model)
        if inner is None:
            return network
        if not _changes_targets(model):
            return put_network(inner, network)
        changed = copy.copy(model)
        changed.regressor_ = put_network(inner, network)
        return changed
    last = real_steps(model)[-1]
    changed = copy.copy(model)
    changed.steps = [
        (name, put_network(step, network) if step is last else step)
        for name, step in model.steps
    ]
    return changed


def real_steps(pipeline):
    """List the steps of a Pipeline that do something to rows it predicts.

    Samplers of imbalanced-learn have a part in ``fit`` alone.
    """
    steps = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    return [step for step in steps if not hasattr(step, "fit_resample")]


def list_steps(model):
    """List what a Pipeline does, also one of Pipelines; else the model itself."""
    if not isinstance(model, Pipeline) or not real_steps(model):
        return [model]
    return [part for step in real_steps(model) for part in list_steps(step)]


def _look_inside(model):
    """Return what a search or a TransformedTargetRegressor has fitted; else None."""
    if _changes_targets(model):
        check_is_fitted(model)
        return model.regressor_
    # others have one of these, too, like TunedThresholdClassifierCV
    is_search = hasattr(model, "refit") and hasattr(model, "error_score")
    if isinstance(model, type) or not is_search:
        return None
    check_is_fitted(model)
    if not hasattr(model, "best_estimator_"):
        raise ValueError(
            f"this {shorten(type(model).__name__)} has no best_estimator_, as it was "
            f"fitted with refit={brief(model.refit)}. Fit it with refit=True."
        )
    return model.best_estimator_


def _changes_targets(model):
    # takes long to import, and a fit does without it
    from sklearn.compose import TransformedTargetRegressor

    return isinstance(model, TransformedTargetRegressor)
