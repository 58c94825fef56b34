"""Train a network, record it, and score its weights."""

import hashlib
import inspect
import pickle
from dataclasses import dataclass, replace

import joblib
import numpy as np

from skchaosprune._network import mlp
from skchaosprune._scale import is_scaled
from skchaosprune._text import brief
from skchaosprune._training import net
from skchaosprune._training.plan import TrainingRun, Watch
from skchaosprune._training.recording import (
    SnapshotRecorder,
    TrainingRecord,
    WindowRecorder,
    lock,
    snapshot_iterations,
)
from skchaosprune.criteria import WeightScores, runs_only_our_code, score_weights

_BY_NAME = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class Scored:
    """A finished training, what was recorded of it, and the criterion's verdict."""

    run: TrainingRun
    record: TrainingRecord
    verdict: WeightScores


def train_and_score(training, resources, progress, round_number=1):
    """Train and score, or take both from memory.

    Parameters
    ----------
    training : ScoredTraining
        What to train, and how it is scored.
    resources : Resources
        Callbacks, threads and cache.
    progress : Progress
        Told of the two phases.
    round_number : int, default=1
        The first round alone is cached.

    Returns
    -------
    scored : Scored
        The run, the record and the verdict.
    """
    if round_number > 1 or resources.memory is None:
        return _train_and_score(training, resources, round_number, progress)
    scored = _recall(training, resources, progress)
    if not progress.phases:
        progress.say("dense training and scoring: taken from memory")
        for name in _phases(round_number):
            progress.skip(name)
    return scored


def _recall(training, resources, progress):
    """Take the first round from memory, or train, score and keep it there.

    What is damaged is forgotten: first the entry, then all entries, then memory itself.
    """
    key, began = joblib.hash(training), []
    arguments = key, training, resources, progress, began
    ignored = ["training", "resources", "progress", "began"]
    cached = resources.memory.cache(_train_and_pack, ignore=ignored)

    def forget_entry():
        if cached.check_call_in_cache(*arguments):  # else the next line trains
            cached.call_and_shelve(*arguments).clear()

    for forget in (lambda: None, forget_entry, lambda: cached.clear(warn=False)):
        try:
            forget()
            return _unpack(cached(*arguments), key)
        except MemoryError:
            raise
        except Exception as error:  # whatever damage leads to
            if began:  # no, this comes from the training
                raise
            if isinstance(error, OSError):  # which may pass: other entries stay
                break
    return _train_and_score(training, resources, 1, progress)


def _train_and_pack(key, training, resources, progress, began):
    """Return the pickle of a first round, and its digest."""
    began.append(True)
    scored = _train_and_score(training, resources, 1, progress)
    content = pickle.dumps(scored, protocol=5)
    return _digest(key, content), content


def _unpack(entry, key):
    """Return the first round of a key; load no byte that has changed."""
    digest, content = entry
    if digest != _digest(key, content):
        raise ValueError("an entry of memory is damaged, or not the one of its key")
    return pickle.loads(content)


def _digest(key, content):
    return hashlib.sha256(key.encode() + content).hexdigest()


def _phases(round_number):
    """Name the phases of a round."""
    if round_number == 1:
        return "dense training", "scoring"
    return f"round {round_number}: training", f"round {round_number}: scoring"


def _train_and_score(training, resources, round_number, progress):
    """Train and score; without callbacks all depends on ``training`` alone."""
    names = _phases(round_number)
    folder = "dense" if round_number == 1 else f"round-{round_number}"
    watch = _make_watch(training, resources.n_jobs)
    if watch.recorder is not None:
        _tell_of_sample(training, progress)
    # not may_stop: the record is planned for the whole training
    with progress.training(names[0], training.n_epochs) as epochs:
        run = net.train(
            training.network,
            training.data,
            training.params,
            n_epochs=training.n_epochs,
            mask=training.mask,
            seed=training.order_seed,
            validation=training.validation,
            watch=watch,
            target_score=training.target_score,
            callbacks=resources.copy_callbacks(folder),
            epochs=epochs,
        )
    record = _make_record(training, run, watch)
    n_weights = training.network.n_weights
    with progress.scoring(names[1], n_weights) as on_progress:
        seen = replace(
            record,
            data=training.data if "data" in training.criterion.needs else None,
            n_jobs=resources.n_jobs,
            on_progress=on_progress,
        )
        if not runs_only_our_code(training.criterion):
            seen = seen.read_only()
        verdict = score_weights(training.criterion, seen)
        on_progress(n_weights)
    return Scored(run, record, verdict)


def _make_watch(training, n_jobs):
    """Choose what is recorded of a training: what the criterion needs."""
    criterion, watch = training.criterion, Watch()
    if "trajectories" in criterion.needs:
        candidates = training.mask & _can_act(training)
        twin_params = criterion.perturb(
            lock(training.params), candidates, training.score_seed
        )
        watch = Watch(
            recorder=_make_recorder(training, n_jobs, twin_params is not None),
            target=_make_target(training),
            twin_params=twin_params,
        )
    if "snapshots" in criterion.needs:
        iterations = snapshot_iterations(criterion.points, training.n_iterations)
        recorder = SnapshotRecorder(iterations, training.params.size)
        watch = replace(watch, snapshots=recorder)
    return watch


def _can_act(training):
    """Flag the weights that a perturbation reaches others from: not those of zeros."""
    can_act = np.ones(training.network.n_weights, dtype=bool)
    fan_in, fan_out = training.network.layer_sizes[:2]
    is_used = (training.data.X != 0.0).sum(axis=0) > 0  # of an array or a CSR array
    can_act[: fan_in * fan_out] = np.repeat(is_used, fan_out)
    return can_act


def _make_recorder(training, n_jobs, has_twin):
    criterion = training.criterion
    return WindowRecorder(
        training.n_windows,
        training.network.n_weights,
        window_size=criterion.window_size,
        window_overlap=criterion.window_overlap,
        record_every=training.record_every,
        reduce_window=lambda window, out: criterion.reduce_window(window, out, n_jobs),
        has_twin=has_twin,
    )


def _make_target(training):
    """Build the function from flat parameters to the target's value."""
    network, target = training.network, training.criterion.target
    takes_weights = not callable(target) or _takes_weights(target)
    rows = _sample_rows(training, by_weight=takes_weights)
    if target == "loss":
        return lambda params: rows.mean_loss(params, network)
    if not callable(target):
        return lambda params: rows.mean_error(params, network)

    def call(params):
        z = rows.logits(params, network)
        outputs = mlp.outputs_from_logits(z, network.out_activation)
        weights = {"sample_weight": lock(rows.sample_weight)} if takes_weights else {}
        value = target(lock(rows.targets), outputs, **weights)
        if np.ndim(value) != 0 or not np.isfinite(value):
            raise ValueError(
                f"target={brief(target)} returned {brief(value)}; it must return one "
                "finite number from the targets and the outputs of the network."
            )
        return float(value)

    return call


def _tell_of_sample(training, progress):
    """Print where the target is not taken on all rows."""
    n_rows, most = _target_rows(training).n_rows, training.criterion.target_rows
    if most is not None and n_rows > most:
        progress.say(
            f"target_rows={most}: the target is taken on a sample of {n_rows} rows"
        )


def _target_rows(training):
    """Return the rows on which the target is taken, or of which it is a sample."""
    return training.validation or training.data


def _sample_rows(training, by_weight):
    """Return the rows of the target: all, or as many draws as the criterion asks for.

    The probability of a row is its weight's share of all weights. Draws are equally
    far apart on the weights, laid end to end in random order: no row is drawn twice
    unless its weight is that large, and a row that is drawn twice counts twice.

    W. G. Madow (1949). Annals of Mathematical Statistics 20, 333-354.
    """
    rows, n_draws = _target_rows(training), training.criterion.target_rows
    if n_draws is None or rows.n_rows <= n_draws:
        return rows
    rng = np.random.default_rng(training.score_seed)
    order = rng.permutation(rows.n_rows)
    weights = rows.sample_weight[order] if by_weight else np.ones(rows.n_rows)
    ends = np.cumsum(weights)
    points = (rng.random() + np.arange(n_draws)) * (ends[-1] / n_draws)
    drawn = np.searchsorted(ends[:-1], points, side="right")
    drawn, counts = np.unique(order[drawn], return_counts=True)
    return replace(
        rows,
        X=rows.X[drawn],
        y=rows.y[drawn],
        targets=rows.targets[drawn],
        sample_weight=counts / counts.mean(),
        total_weight=float(n_draws),
    )


def _takes_weights(function):
    """Return whether a function has ``sample_weight`` beside two other parameters."""
    try:
        _, _, *others = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # not every builtin has a signature
        return False
    return any(
        each.name == "sample_weight" and each.kind in _BY_NAME for each in others
    )


def _make_record(training, run, watch):
    """Gather what the criterion sees of a training, but for the rows."""
    record = TrainingRecord(
        network=training.network,
        initial_params=training.params,
        params=run.params,
        alive=training.mask,
        snapshots=None if watch.snapshots is None else watch.snapshots.snapshots,
        iterations_per_epoch=training.iterations_per_epoch,
        dense_fraction=training.dense_fraction,
        seed=training.score_seed,
    )
    recorder = watch.recorder
    if recorder is None:
        return record
    return replace(
        record,
        window_series=recorder.window_series,
        target_series=recorder.target_series,
        record_every=recorder.record_every,
        n_windows_planned=recorder.n_windows_planned,
        is_scaled=is_scaled(training.data.X),
    )
