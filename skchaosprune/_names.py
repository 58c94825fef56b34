"""Names of features, units and layers, and the estimator that they belong to."""

from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from skchaosprune._text import brief
from skchaosprune._unwrap import take_apart


def read_fit(model, feature_names=None, caller="from_estimator"):
    """Return the network in a fitted model, and the names of its units."""
    parts = take_apart(model, caller)
    network = take_snapshot(parts.network)
    return network, name_units_of(parts, network, feature_names)


def name_units_of(parts, network, feature_names=None):
    """Names of all units of a network in a model; of the features as given, or asked.

    Transformers are asked for the names of the features where the fit saw none.
    """
    if feature_names is None and not hasattr(network, "feature_names_in_"):
        names = parts.name_columns()
        if names is not None and len(names) == network.n_features_in_:
            feature_names = names
    return name_units(network, feature_names)


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
    elif isinstance(feature_names, str) or not hasattr(feature_names, "__len__"):
        raise TypeError(
            f"feature_names={brief(feature_names)} must be a sequence of names, one "
            "for each feature, or None."
        )
    if feature_names is not None and len(feature_names) != model.n_features_in_:
        raise ValueError(
            f"feature_names has {len(feature_names)} names, and the estimator was "
            f"fitted on {model.n_features_in_} features; give one for each."
        )
    sizes = [model.n_features_in_, *(b.size for b in model.intercepts_)]
    outputs = [vars(model).get("_target_name", "y")]  # older pickles have none
    if is_classifier(model):
        outputs = model.classes_[-model.n_outputs_ :]
    return unit_names(sizes, feature_names, outputs)


def name_target(y):
    """Name of a regression target: that of a pandas Series, or y."""
    is_series = getattr(y, "ndim", 1) == 1  # of a data frame it would be a column
    name = getattr(y, "name", None) if is_series else None
    return "y" if name is None or name == "" else str(name)


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
