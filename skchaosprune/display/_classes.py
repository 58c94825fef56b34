"""The class that a display is about."""

import numpy as np
from sklearn.base import is_classifier

from skchaosprune._text import brief, brief_list, shorten


def read_classes(model, target):
    """Return the labels of a classifier, and check that one of them is the target.

    Parameters
    ----------
    model : estimator
        Fitted.
    target : label or None
        As the user gave it.

    Returns
    -------
    classes : list
        The labels; empty for a regressor.
    place : int or None
        Where the target is among them, None for None.

    Raises
    ------
    ValueError
        If there is no such class.
    """
    if not is_classifier(model):
        if target is not None:
            raise ValueError(
                f"target={brief(target)} is for classifiers; leave it out, as "
                f"{shorten(type(model).__name__)} predicts numbers."
            )
        return [], None
    classes = np.asarray(model.classes_).tolist()
    if target is None:
        return classes, None
    if np.ndim(target) > 0 or target not in classes:
        raise ValueError(
            f"target={brief(target)} is no class of the model; its classes are "
            f"{brief_list(classes)}."
        )
    return classes, classes.index(target)
