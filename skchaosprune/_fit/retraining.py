"""Train what is left of a network, under its mask."""

from functools import partial

from skchaosprune._kernels import sparse
from skchaosprune._training import net
from skchaosprune._training.plan import Divergence


def train_sparse(plan, params, mask, epochs=None, *, name="sparse"):
    """Train under a mask, as the last training of a fit.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.
    params : ndarray of shape (n_parameters,)
        Where to start.
    mask : ndarray of bool of shape (n_weights,)
        True = kept.
    epochs : object or None, default=None
        Told of each epoch.
    name : str, default="sparse"
        Of the folders of callbacks.

    Returns
    -------
    run : TrainingRun
        The finished training.
    """
    training, schedule = plan.training, plan.schedule
    return net.train(
        training.network,
        training.data,
        params,
        n_epochs=schedule.n_epochs,
        mask=mask,
        seed=training.order_seed,
        validation=training.validation,
        target_score=schedule.target_score,
        callbacks=plan.resources.copy_callbacks(name),
        epochs=epochs,
    )


def make_trial(plan, params):
    """Return the function that trains a mask as the last training will.

    Parameters
    ----------
    plan : FitPlan
        Of the fit.
    params : ndarray of shape (n_parameters,)
        Where to start.

    Returns
    -------
    train : callable
        From a mask to flat parameters, or None where the training diverges.
    """
    training, schedule = plan.training, plan.schedule
    network = training.network

    def train(mask):
        try:
            return train_sparse(plan, params, mask, name="search").params
        except Divergence:
            return None

    in_kernel = network.engine == "numba" and network.batch_size == 1
    is_watched = plan.resources.callbacks is not None
    if not in_kernel or is_watched or schedule.target_score is not None:
        return train
    return partial(
        sparse.train_kept,
        network,
        training.data,
        params,
        n_epochs=schedule.n_epochs,
        seed=training.order_seed,
        largest=net.LARGEST_WEIGHT,
    )
