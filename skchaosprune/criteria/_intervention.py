"""Interventions: the exact rise of the loss without one weight."""

from dataclasses import replace

import numpy as np
from scipy.special import stdtr

from skchaosprune._text import brief
from skchaosprune._validation import check_bool, check_number
from skchaosprune.criteria._base import (
    Criterion,
    WeightScores,
    check_overflow,
    check_seed,
    give_up,
    make_rng,
)

# Where an intervention looks at a training, as shares of its steps.
POINTS = (0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85, 1.0)


class Intervention(Criterion):
    """Score weights by the effect of do(w = 0): the exact rise of the loss.

    At several points of the training, and on a fixed sample of training rows, each
    weight alone is set to 0 and the loss computed anew, without any expansion. The
    score is the mean rise over rows and points; negative where the loss falls.

    Parameters
    ----------
    points : sequence of float, default=(.1, .2, .3, .4, .55, .7, .85, 1)
        Where to look at the training, as shares in (0, 1] of its planned steps. Points
        that an early stop never reached are left out.
    n_rows : int, default=200
        Training rows in the sample, at most.
    significance_level : float, default=0.5
        A weight is causal when the p-value of a one-sided t-test of its effect over the
        rows is smaller. At 0.5 that is any positive mean effect, at 0.05 one that is
        clear: few rows feel most weights, so that the test has little power.
    placebo : bool, default=False
        Permute the labels of the sample: what is left of the scores when the loss means
        nothing.
    random_state : int or None, default=None
        Seed of the sample and of the placebo; None takes it from the estimator's
        ``random_state``.

    Notes
    -----
    Zeroing one weight changes one pre-activation, so all interventions of a layer are
    rank-one changes of what follows, and are computed together: with one hidden layer
    of 32 units that takes 0.3 to 1.6 times as long as one dense training of 50 epochs;
    more with further hidden layers. The test takes the
    trained networks as given and asks about new rows like those in the sample, which
    the networks were trained on. A row of ``sample_weight`` 2 counts as two rows: the
    number of rows is the ``N`` of ``alpha``.

    References
    ----------
    .. [1] J. Pearl (2009). Causality, chapter 3. Cambridge University Press.

    Examples
    --------
    >>> from skchaosprune.criteria import Intervention
    >>> Intervention(n_rows=100)
    Intervention(n_rows=100)
    """

    needs = ("snapshots", "data")
    has_significance_rule = True

    def __init__(
        self,
        points=POINTS,
        n_rows=200,
        significance_level=0.5,
        placebo=False,
        random_state=None,
    ):
        self.points = points
        self.n_rows = n_rows
        self.significance_level = significance_level
        self.placebo = placebo
        self.random_state = random_state

    def check_parameters(self):
        """Raise an error that names the first parameter that is not valid."""
        _check_points(self.points)
        check_number(self.n_rows, "n_rows", "int", 2)
        level = self.significance_level
        check_number(level, "significance_level", "float", 0, 1, "neither")
        check_bool(self.placebo, "placebo")
        check_seed(self.random_state)

    def score(self, record):
        """Intervene on every weight.

        Parameters
        ----------
        record : TrainingRecord
            With ``snapshots`` and ``data``.

        Returns
        -------
        scores : WeightScores
            With p-values and the decision at ``significance_level``.
        """
        from skchaosprune._kernels.ablation import ablate_weights

        if len(record.snapshots) == 0:
            problem = (
                f"the training ended before the first of points={self.points} of its "
                "planned steps; use smaller points, a higher target_score, or a "
                "callback that stops later."
            )
            nothing = np.full(record.n_weights, np.nan)
            return give_up(record, problem, p_values=nothing)
        rng = make_rng(self, record)
        rows = self._sample_rows(record, rng)
        if self.placebo:
            rows = _permute_targets(rows, rng)

        def show(share):
            if record.on_progress is not None:
                record.on_progress(round(share * record.n_weights))

        effects, errors = ablate_weights(
            record.snapshots, record.network, rows, show, record.n_jobs
        )
        check_overflow(effects + errors if rows.total_weight > 1.0 else effects)
        tested = record.alive & (errors > 0.0)
        p_values = np.full(record.n_weights, np.nan)
        t = effects[tested] / errors[tested]
        p_values[tested] = stdtr(rows.total_weight - 1.0, -t)
        return WeightScores(
            effects,
            p_values,
            keep=p_values < self.significance_level,
            untested=_count_reasons(effects, record.alive & ~tested),
        )

    def make_placebo(self, record, rng):
        """Return the record with the rows of the sample, their labels permuted.

        Parameters
        ----------
        record : TrainingRecord
            With ``data``.
        rng : numpy.random.Generator
            Draws the permutation.

        Returns
        -------
        placebo : TrainingRecord
            A copy.
        """
        rows = self._sample_rows(record, make_rng(self, record))
        if np.all(rows.targets == rows.targets[:1]):
            raise ValueError(
                f"all {len(rows.targets)} rows of the sample have the same target, and "
                "permuting them changes nothing; give rows with different ones."
            )
        return replace(record, data=_permute_targets(rows, rng))

    def _sample_rows(self, record, rng):
        """Draw at most ``n_rows`` rows, whatever their weights, which they keep."""
        data = record.data
        rows = np.arange(data.n_rows)
        if len(rows) > self.n_rows:
            rows = np.sort(rng.choice(rows, self.n_rows, replace=False))
        weights = data.sample_weight[rows]
        return replace(
            data,
            X=data.X[rows],
            y=data.y[rows],
            targets=data.targets[rows],
            sample_weight=weights / weights.mean(),
            total_weight=data.total_weight * (len(rows) / data.n_rows),
        )


def _check_points(points):
    text = (
        f"points={brief(points)} must be a non-empty sequence of shares of the "
        "training in (0, 1], like (0.5, 1.0)."
    )
    try:
        shares = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(text) from error
    if shares.ndim != 1:
        raise TypeError(text)
    if shares.size == 0 or not np.all((shares > 0.0) & (shares <= 1.0)):
        raise ValueError(text)


def _permute_targets(rows, rng):
    return replace(rows, targets=rng.permutation(rows.targets))


def _count_reasons(effects, untested):
    """Why effects could not be tested: reason -> how many."""
    idle = untested & (effects == 0.0)
    counts = {
        "no row of the sample feels it": int(idle.sum()),
        "its effect does not vary over the sample": int((untested & ~idle).sum()),
    }
    return {reason: count for reason, count in counts.items() if count}
