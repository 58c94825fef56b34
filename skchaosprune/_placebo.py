"""What a fit knows of its weights: the table of all, and the test against placebos."""

from dataclasses import replace

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch

from skchaosprune._fit.results import KEEP_BYTES
from skchaosprune._kernels.blocks import count_threads, run_in_threads
from skchaosprune._names import read_fit
from skchaosprune._network import mlp
from skchaosprune._text import brief, shorten
from skchaosprune._training.recording import TrainingRecord
from skchaosprune._validation import check_rng
from skchaosprune.criteria import check_dense_rows, runs_only_our_code


def weight_table(model):
    """Return a table with one row per weight.

    Parameters
    ----------
    model : estimator, Pipeline, search or TransformedTargetRegressor
        Fitted: a :class:`ChaosCausalPrunedMLP` or
        :class:`ChaosCausalPrunedMLPRegressor`, or any of the others around one, also
        nested.

    Returns
    -------
    table : pandas.DataFrame or structured ndarray
        As :meth:`ChaosCausalPrunedMLP.weight_table` describes it; a pipeline's
        transformers name the inputs.

    Raises
    ------
    TypeError
        If ``model`` contains none of our estimators.
    NotFittedError
        If ``model`` is not fitted.
    """
    return tabulate_weights(*read_fit(model, caller="weight_table"))


def tabulate_weights(model, unit_names):
    """Make the table of :meth:`ChaosCausalPrunedMLP.weight_table`.

    Parameters
    ----------
    model : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
        Fitted.
    unit_names : list of list of str
        Names of the units, layer by layer, inputs and outputs included.

    Returns
    -------
    table : pandas.DataFrame or structured ndarray
        One row per weight.
    """
    # numpy's strings are all as long as the longest, and lose a NUL at their end
    unit_names = [np.array(names, dtype=object) for names in unit_names]
    pairs = list(zip(unit_names[:-1], unit_names[1:], strict=True))
    n_weights = model.n_weights_
    missing, no_lags = np.full(n_weights, np.nan), np.zeros(n_weights, dtype=int)
    exponents, p_values = model.mean_lyapunov_exponents_, model.p_values_
    columns = {
        "layer": np.repeat(
            np.arange(1, model.n_layers_), [W.size for W in model.coefs_]
        ),
        "from": _join(np.repeat(above, len(below)) for above, below in pairs),
        "to": _join(np.tile(below, len(above)) for above, below in pairs),
        "initial": _join(model.initial_coefs_),
        "dense": missing if model.dense_coefs_ is None else _join(model.dense_coefs_),
        "final": _join(model.coefs_),
        "mean_lyapunov_exponent": missing if exponents is None else exponents,
        "p_value": missing if p_values is None else p_values,
        "best_lag": no_lags if model.best_lags_ is None else model.best_lags_,
        "score": model.weight_scores_,
        "pruned_in_round": model.pruned_in_round_,
        "kept": _join(model.masks_),
    }
    try:
        import pandas as pd
    except ImportError:
        return np.rec.fromarrays(list(columns.values()), names=list(columns))
    return pd.DataFrame(columns)


def _join(parts):
    return np.concatenate([np.ravel(part) for part in parts])


def run_placebo_test(model, X, y, n_repeats, random_state):
    """Compare the share of causal weights with those of placebos.

    Parameters
    ----------
    model : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
        Fitted.
    X, y : array-likes or None
        Rows and their targets, for criteria that need some.
    n_repeats : int
        Placebos drawn.
    random_state : int, RandomState or None
        Seed of the draws.

    Returns
    -------
    result : Bunch
        See :meth:`ChaosCausalPrunedMLP.placebo_test`.
    """
    from skchaosprune._training.threads import one_thread_per_fit, unwrap_ctrl_c

    seed = np.random.SeedSequence(check_rng(random_state).randint(2**31))
    criterion = recall_criterion(model)
    data = None
    if "data" in criterion.needs:
        data = model._recall_rows(X, y)
        check_dense_rows(criterion, data.X, model.prune_criterion)
    record = recall_record(model, criterion, data)
    n_threads = 1  # code of the user's may not be made for more
    if runs_only_our_code(criterion):
        n_threads = count_threads(model.n_jobs, n_repeats)
    else:
        record = record.read_only()
    # either the placebos share the threads, or the weights of each
    template = replace(record, n_jobs=1) if n_threads > 1 else record

    def share_of_placebo(seed):
        placebo = criterion.make_placebo(template, np.random.default_rng(seed))
        return _causal_share(criterion, placebo)

    with one_thread_per_fit(), unwrap_ctrl_c():
        share = _causal_share(criterion, record)
        placebo_shares = np.array(
            run_in_threads(share_of_placebo, seed.spawn(n_repeats), n_threads)
        )
    return Bunch(
        causal_share=share,
        placebo_share=float(placebo_shares.mean()),
        placebo_shares=placebo_shares,
        p_value=float((1 + np.sum(placebo_shares >= share)) / (1 + n_repeats)),
    )


def _causal_share(criterion, record):
    p_values = criterion.score(record).p_values
    if p_values is None or np.isnan(p_values).all():
        raise ValueError(
            f"placebo_test has nothing to compare, as none of the {record.n_weights} "
            "weights could be tested on these rows."
        )
    return float(np.mean(p_values < criterion.significance_level))


def recall_criterion(model):
    """Return the criterion of a fit, not itself a placebo.

    Parameters
    ----------
    model : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
        Fitted.

    Returns
    -------
    criterion : Criterion
        One that has a placebo.

    Raises
    ------
    ValueError
        If it has none, could test nothing, or the estimator forgot what it saw.
    """
    criterion = model.criterion_
    if not criterion.has_placebo:
        raise ValueError(
            f"{brief(criterion)} has no placebo; fit with a criterion that has one, "
            "like 'chaos_causal_magnitude' or 'intervention'. One of your own needs "
            "make_placebo and significance_level."
        )
    if model.n_untested_ == model.n_weights_:
        raise ValueError(
            "placebo_test has nothing to compare, as no weight could be tested: "
            f"{shorten(', '.join(model.untested_reasons_), 300)}"
        )
    if model.dense_coefs_ is None:
        raise ValueError(
            "placebo_test needs the dense network and what was recorded of its "
            "training, and forget_training() dropped both. Call placebo_test before "
            "it, or fit again."
        )
    if criterion.placebo:
        criterion = clone(criterion).set_params(placebo=False)
    return criterion


def recall_record(model, criterion, data):
    """Rebuild what the criterion saw of the dense training, with rows of today.

    Parameters
    ----------
    model : ChaosCausalPrunedMLP or ChaosCausalPrunedMLPRegressor
        Fitted.
    criterion : Criterion
        From :func:`recall_criterion`.
    data : TrainingData or None
        Rows, where the criterion needs some.

    Returns
    -------
    record : TrainingRecord
        Of the first round.

    Raises
    ------
    ValueError
        If a part of it was too large to be kept.
    """
    for need, name, series in (
        ("trajectories", "windows", model.window_series_),
        ("snapshots", "snapshots", model.snapshots_),
    ):
        if need in criterion.needs and series is None:
            raise ValueError(
                f"the {name} of this fit took more than {KEEP_BYTES / 1e6:.0f} MB and "
                "were not kept; fit with a placebo in place of the criterion instead, "
                f"with placebo=True of {brief(criterion)}."
            )
    return TrainingRecord(
        network=model._recall_network(),
        initial_params=mlp.flatten(model.initial_coefs_, model.initial_intercepts_),
        params=mlp.flatten(model.dense_coefs_, model.dense_intercepts_),
        alive=np.ones(model.n_weights_, dtype=bool),
        window_series=model.window_series_,
        target_series=model.target_series_,
        snapshots=model.snapshots_,
        data=data,
        seed=model._score_seed,
        n_jobs=model.n_jobs,
    )
