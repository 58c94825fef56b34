"""A sparse regression of the fall of the loss on the changes of the weights."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

from skchaosprune._validation import check_number
from skchaosprune.criteria._base import WeightScores, give_up, way_out
from skchaosprune.criteria._windows import WindowCriterion


class LossRegression(WindowCriterion):
    """Score weights by their part in the fall of the loss, in a sparse regression.

    To first order a step of plain SGD lowers the loss by a weighted sum of the squared
    changes of the weights. Summed over windows, the loss reductions are regressed on
    the squared changes with a non-negative Lasso; the score is the weight's coefficient
    times the root mean square of its regressor, in units of the loss. A weight with
    coefficient 0 is non-causal.

    Parameters
    ----------
    window_size : int, default=50
        Records per window; neighbouring windows share one.
    record_every : int or "auto", default="auto"
        Iterations from one record to the next. "auto" spreads about 150 windows over
        the planned training.
    penalty : float, default=0.01
        Of the Lasso, as a share in (0, 1) of the smallest one that leaves no weight.
    target_rows : int or None, default=20_000
        The most rows that the loss is taken on, as in :class:`ChaosCausality`.

    Notes
    -----
    Regressors are scaled to one root mean square, so that the penalty treats all
    weights alike; there is no intercept, as the expansion has none. There are many
    more weights than windows, and the Lasso keeps at most one weight per window: the
    others tie, and magnitude ranks them.

    References
    ----------
    .. [1] A. Shah, A. Challa, S. Danda, A. Mathur, S. Saha (2024). "A Granger-causal
       perspective on gradient descent with application to pruning".
       arXiv:2412.03035.

    Examples
    --------
    >>> from skchaosprune.criteria import LossRegression
    >>> LossRegression(penalty=0.1)
    LossRegression(penalty=0.1)
    """

    target = "loss"
    _purpose = "a regression"

    def __init__(
        self, window_size=50, record_every="auto", penalty=0.01, target_rows=20_000
    ):
        self.window_size = window_size
        self.record_every = record_every
        self.penalty = penalty
        self.target_rows = target_rows

    @property
    def window_overlap(self):
        """One record: every change counts, and counts once."""
        return 1.0 / self.window_size

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        check_number(self.window_size, "window_size", "int", 2)
        self._check_series()
        check_number(self.penalty, "penalty", "float", 0, 1, "neither")

    def reduce_window(self, window, out, n_jobs=None):
        """Sum squared changes; see :class:`ChaosCausality` for the parameters."""
        changes = np.diff(window, axis=0)
        np.einsum("tk,tk->k", changes, changes, out=out)

    def score(self, record):
        """Fit the loss reductions; see :class:`Criterion` for the parameters."""
        problem = self._obstacle(record)
        if problem is not None:
            return give_up(record, problem)
        reductions = -np.diff(record.target_series)
        squares = record.window_series[1:].astype(np.float64)
        scales = np.sqrt(np.mean(squares**2, axis=0))
        moving = record.alive & (scales > 0.0)
        squares = np.asfortranarray(squares[:, moving] / scales[moving])
        correlations = reductions @ squares / len(reductions)
        if not moving.any() or correlations.max() <= 0.0:
            way = way_out(record, "Use a smaller learning_rate_init, or train longer.")
            problem = (
                "no weight moves more where the loss falls more, so that the "
                f"regression keeps none. {way}"
            )
            return give_up(record, problem)
        penalty = self.penalty * correlations.max()
        scores = np.zeros(record.n_weights)
        scores[moving] = _regress(squares, reductions, penalty)
        n_still = int((record.alive & ~moving).sum())
        untested = {"the weight never moves": n_still} if n_still else {}
        return WeightScores(scores, keep=scores > 0.0, untested=untested)

    def _needed(self):
        return 10


def _regress(X, y, penalty):
    """Non-negative Lasso without intercept, to the last digits.

    Coordinate descent takes many sweeps for that, so it sweeps over a working set: the
    columns in use, and those that violate the conditions of an optimum most.
    """
    coef, working = np.zeros(X.shape[1]), np.zeros(X.shape[1], dtype=bool)
    while True:
        gradient = (y - X @ coef) @ X / len(y)
        gradient[working] = 0.0
        worst = np.argsort(-gradient)[:10]
        worst = worst[gradient[worst] > penalty * (1.0 + 1e-6)]
        if worst.size == 0:
            return coef
        working[worst] = True
        with warnings.catch_warnings():
            # of nearly equal columns any share may be in use, and none is wrong
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, path, _ = lasso_path(
                X[:, working],
                y,
                alphas=[penalty],
                positive=True,
                precompute=True,
                coef_init=coef[working],
                tol=1e-12,
                max_iter=100_000,
            )
        coef[working] = path[:, 0]
