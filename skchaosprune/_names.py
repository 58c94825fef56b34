"""Names of features, units and layers, and the estimator that they belong to."""

from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skchaosprune._text import brief, shorten


def last_step(estimator, caller):
    """Return one of our estimators, out of its pipeline; ``caller`` needs it."""
    model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not hasattr(type(model), "weight_table"):
        is_class = isinstance(model, type)
        got = brief(model) if is_class else shorten(type(model).__name__)
        raise TypeError(
            f"{caller} needs a ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor, "
            "or a Pipeline that ends in one (of a search its best_estimator_). Got "
            f"{got} instead."
        )
    return model


def read_fit(estimator, feature_names=None):
    """Return a fitted estimator, out of its pipeline, and the names of its units."""
    model = take_snapshot(last_step(estimator, "from_estimator"))
    if feature_names is None and not hasattr(model, "feature_names_in_"):
        feature_names = _ask_transformers(estimator)
    return model, name_units(model, feature_names)


def take_snapshot(model):
    """Return a fitted estimator as it is now, whatever other threads fit meanwhile.

    A fit replaces all that was learned in one step, and changes none of it.
    """
    snapshot = object.__new__(type(model))
    snapshot.__dict__ = model.__dict__.copy()  # in one step of the interpreter
    if "coefs_" not in vars(snapshot):  # quicker than to ask for each row
        check_is_fitted(snapshot)
    return snapshot


def name_units(model, feature_names=None):
    """Names of all units; of the features as given, as seen in fit, or x0, x1, ..."""
    if feature_names is None:
        feature_names = getattr(model, "feature_names_in_", None)
    if feature_names is not None and len(feature_names) != model.n_features_in_:
        raise ValueError(
            f"feature_names has {len(feature_names)} names, and the estimator was "
            f"fitted on {model.n_features_in_} features; give one for each."
        )
    sizes = [model.n_features_in_, *(b.size for b in model.intercepts_)]
    outputs = ["y"]
    if is_classifier(model):
        outputs = model.classes_[-model.n_outputs_ :]
    return unit_names(sizes, feature_names, outputs)


def _ask_transformers(estimator):
    """Feature names that a pipeline hands to its last step; None if it knows none."""
    if not isinstance(estimator, Pipeline) or len(estimator) == 1:
        return None
    try:
        return estimator[:-1].get_feature_names_out()
    except (AttributeError, ValueError):  # not every transformer can
        return None


def unit_names(layer_sizes, inputs=None, outputs=None):
    """Name the units layer by layer; those without a name are x0, h1_0 and y0."""
    prefixes = ["x", *(f"h{layer}_" for layer in range(1, len(layer_sizes) - 1)), "y"]
    names = [
        [f"{prefix}{unit}" for unit in range(size)]
        for prefix, size in zip(prefixes, layer_sizes, strict=True)
    ]
    for layer, given in (0, inputs), (-1, outputs):
        if given is not None:
            names[layer] = [str(name) for name in given]
    return names


def name_layers(n_layers):
    """Name the layers, inputs and outputs included."""
    hidden = [f"hidden {layer}" for layer in range(1, n_layers - 1)]
    return ["inputs", *hidden, "outputs"]
