"""Settings of the criterion that a fit used."""


def recall_setting(model, name, default):
    """Value of a parameter of the criterion that was fitted."""
    _, params, *_ = model._fitted_with
    if params is None:  # not one of the registry
        return getattr(model.prune_criterion, name, default)
    return params.get(name, default)
