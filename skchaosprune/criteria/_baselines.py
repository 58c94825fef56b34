"""Criteria without windows: magnitude, movement, saliency, random, given masks."""

import numpy as np

from skchaosprune._text import brief
from skchaosprune.criteria._base import (
    Criterion,
    WeightScores,
    check_overflow,
    check_seed,
)


class Magnitude(Criterion):
    """Score weights by their absolute value after the dense training.

    The baseline of the pruning literature.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. Dally (2015). "Learning both weights and
       connections for efficient neural networks". NeurIPS 28.

    Examples
    --------
    >>> from skchaosprune.criteria import Magnitude
    >>> Magnitude().has_significance_rule
    False
    """

    def score(self, record):
        """Return ``|w|``; see :class:`Criterion` for the parameters."""
        return WeightScores(np.abs(record.weights))


class Movement(Criterion):
    """Score weights by how far training moved them away from zero.

    The score is ``w^2 - w_0^2``, with ``w_0`` the initial weight.

    Notes
    -----
    Movement pruning [1]_ sums minus the gradient times the weight over the steps of a
    training. Under plain SGD that is, up to the learning rate, the sum of each weight
    times its change; taken at the middle of each step it telescopes to half of the
    score here, which needs no record and holds for every solver.

    References
    ----------
    .. [1] V. Sanh, T. Wolf, A. Rush (2020). "Movement pruning: adaptive sparsity by
       fine-tuning". NeurIPS 33.

    Examples
    --------
    >>> from skchaosprune.criteria import Movement
    >>> Movement().needs
    ()
    """

    def score(self, record):
        """Return ``w^2 - w_0^2``; see :class:`Criterion` for the parameters."""
        return WeightScores(record.weights**2 - record.initial_weights**2)


class Saliency(Criterion):
    """Score weights by the second-order estimate of the rise of the loss without them.

    The score is ``w^2 E[g^2]``, where ``g`` is the gradient of the loss of one training
    row after the dense training: optimal brain damage with the empirical Fisher
    information in place of the Hessian's diagonal.

    References
    ----------
    .. [1] Y. LeCun, J. Denker, S. Solla (1989). "Optimal brain damage". NeurIPS 2.
    .. [2] L. Theis et al. (2018). "Faster gaze prediction with dense networks and
       Fisher pruning". arXiv:1801.05787.

    Examples
    --------
    >>> from skchaosprune.criteria import Saliency
    >>> Saliency().needs
    ('data',)
    """

    needs = ("data",)

    def score(self, record):
        """Return ``w^2 E[g^2]``; see :class:`Criterion` for the parameters."""
        from skchaosprune._kernels.ablation import squared_gradients

        squares = squared_gradients(record.params, record.network, record.data)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = record.weights**2 * squares
        check_overflow(scores)
        return WeightScores(scores)


class Random(Criterion):
    """Score weights at random: what any criterion has to beat.

    Parameters
    ----------
    random_state : int or None, default=None
        Seed of the scores; None takes it from the estimator's ``random_state``.

    Examples
    --------
    >>> from skchaosprune.criteria import Random
    >>> Random(random_state=0)
    Random(random_state=0)
    """

    def __init__(self, random_state=None):
        self.random_state = random_state

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        check_seed(self.random_state)

    def score(self, record):
        """Return uniform numbers; see :class:`Criterion` for the parameters."""
        seed = record.seed if self.random_state is None else self.random_state
        return WeightScores(np.random.RandomState(seed).uniform(size=record.n_weights))


class FixedMasks(Criterion):
    """Prune exactly the given masks, whatever was trained.

    ``prune_ratio``, ``prune_scope``, ``keep_connected`` and ``n_rounds`` of the
    estimator have no say.

    Parameters
    ----------
    masks : list of array-like of bool of shape (fan_in, fan_out)
        One per layer, shaped like ``coefs_``; True = kept. ``fit`` raises ValueError or
        TypeError, before any training, where they do not fit the network.

    Examples
    --------
    >>> import numpy as np
    >>> from skchaosprune.criteria import FixedMasks
    >>> FixedMasks([np.eye(2, dtype=bool), [[True], [True]]]).needs
    ()
    """

    has_significance_rule = True
    chooses_masks = True

    def __init__(self, masks):
        self.masks = masks

    def check_layer_sizes(self, layer_sizes):
        """Refuse masks that do not fit the network.

        Parameters
        ----------
        layer_sizes : tuple of int
            Units per layer, inputs and outputs included.
        """
        shapes = list(zip(layer_sizes[:-1], layer_sizes[1:], strict=True))
        text = f"masks must be a list of boolean arrays with shapes {brief(shapes)}"
        try:
            masks = [np.asarray(mask) for mask in self.masks]
        except (TypeError, ValueError) as error:
            raise TypeError(f"{text}; got {brief(self.masks)}.") from error
        if [mask.shape for mask in masks] != shapes:
            got = brief([mask.shape for mask in masks])
            raise ValueError(f"{text}; got shapes {got}.")
        if any(mask.dtype != bool for mask in masks):
            got = brief([str(mask.dtype) for mask in masks])
            raise TypeError(f"{text}; got dtypes {got}.")

    def score(self, record):
        """Return the masks; see :class:`Criterion` for the parameters."""
        keep = np.concatenate([np.ravel(mask) for mask in self.masks])
        return WeightScores(keep.astype(np.float64), keep=keep, is_final=True)
