"""Window arithmetic and the one-window buffer."""

import numpy as np
import pytest

from skchaosprune._training import recording
from skchaosprune._training.net import train
from skchaosprune._training.plan import Watch
from tests.test_kernels import initial, make_data, make_plan


@pytest.mark.parametrize("window_size", [1, 5, 50])
@pytest.mark.parametrize("window_overlap", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("n_records", [0, 1, 4, 5, 49, 50, 51, 95, 500])
def test_count_windows_lists_whole_windows(n_records, window_size, window_overlap):
    stride = recording.window_stride(window_size, window_overlap)
    starts = [s for s in range(0, n_records, stride) if s + window_size <= n_records]

    count = recording.count_windows(n_records, window_size, window_overlap)

    assert count == len(starts)
    assert stride >= 1
    if count:
        least = recording.count_records(count, window_size, window_overlap)
        assert least <= n_records < least + stride


def test_the_papers_stride():
    assert recording.window_stride(50, 0.1) == 45
    assert recording.window_stride(200, 0.1) == 180
    assert recording.window_stride(1, 0.1) == 1


@pytest.mark.parametrize("n_iterations", [10, 3000, 6755, 20_000, 45_500, 10**6])
def test_auto_spreads_about_150_windows(n_iterations):
    every = recording.resolve_record_every("auto", n_iterations, 50, 0.1)
    n_windows = recording.count_windows(n_iterations // every, 50, 0.1)

    assert every >= 1
    if n_iterations >= 6755:
        assert 100 <= n_windows <= 225
    else:
        assert every == 1
    assert recording.resolve_record_every(7, n_iterations, 50, 0.1) == 7


@pytest.mark.parametrize("record_every", ["auto", 1, 3])
@pytest.mark.parametrize("per_epoch", [1, 7, 150])
@pytest.mark.parametrize("dense_fraction", [1.0, 0.3, 0.1])
def test_promised_max_iter_gives_the_windows(record_every, per_epoch, dense_fraction):
    def windows(max_iter):
        n_iterations = max(1, round(dense_fraction * max_iter)) * per_epoch
        every = recording.resolve_record_every(record_every, n_iterations, 50, 0.1)
        return recording.count_windows(n_iterations // every, 50, 0.1)

    max_iter = recording.epochs_for_windows(
        17, 50, 0.1, record_every, per_epoch, dense_fraction
    )

    assert windows(max_iter) >= 17
    shorter = max_iter - round(1 / dense_fraction) - 1
    assert shorter < 1 or windows(shorter) < 17


def test_auto_cannot_give_any_number_of_windows():
    plan = 50, 0.1, "auto", 150, 1.0
    assert recording.epochs_for_windows(200, *plan) is not None
    assert recording.epochs_for_windows(242, *plan) is None
    assert recording.epochs_for_windows(242, 50, 0.1, 1, 150, 1.0) is not None


def record_all(plan, data, params, n_epochs, record_every, **window):
    """Return the windows as the recorder reduces them, copied, and the target."""
    seen = []

    def reduce_window(buffer, out):
        seen.append(buffer.copy())
        out[:] = buffer.std(axis=0)

    n_records = n_epochs * plan.count_batches(len(data.X)) // record_every
    recorder = recording.WindowRecorder(
        recording.count_windows(n_records, **window),
        plan.n_weights,
        record_every=record_every,
        reduce_window=reduce_window,
        **window,
    )
    run = train(
        plan,
        data,
        params,
        n_epochs=n_epochs,
        mask=np.ones(plan.n_weights, dtype=bool),
        seed=0,
        watch=Watch(recorder=recorder, target=lambda params: params[0]),
    )
    return recorder, seen, run


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize("batch_size", [1, 10])
@pytest.mark.parametrize("record_every", [1, 3])
@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.6])
def test_windows_are_slices_of_the_trajectory(
    engine, batch_size, record_every, overlap
):
    plan = make_plan(engine=engine, batch_size=batch_size)
    data, params = make_data(plan), initial(plan)
    size = 6
    # a window of one record is the trajectory itself
    _, trajectory, _ = record_all(
        plan, data, params, 9, record_every, window_size=1, window_overlap=0.0
    )
    trajectory = np.concatenate(trajectory)
    assert trajectory.std(axis=0).max() > 0.01  # copies, not views of the last state

    recorder, seen, run = record_all(
        plan, data, params, 9, record_every, window_size=size, window_overlap=overlap
    )

    stride = recording.window_stride(size, overlap)
    n_windows = recording.count_windows(len(trajectory), size, overlap)
    assert recorder.n_windows == len(seen) == n_windows > 1
    for i, window in enumerate(seen):
        expected = trajectory[i * stride : i * stride + size]
        np.testing.assert_array_equal(window, expected)
        assert recorder.target_series[i] == expected[-1, 0]
        reduced = expected.std(axis=0).astype(np.float32)
        np.testing.assert_array_equal(recorder.window_series[i], reduced)


def test_recording_changes_no_weight():
    plan = make_plan(momentum=0.5)
    data, params = make_data(plan), initial(plan)
    mask = np.ones(plan.n_weights, dtype=bool)
    plain = train(plan, data, params, n_epochs=3, mask=mask, seed=0)

    _, _, recorded = record_all(
        plan, data, params, 3, 1, window_size=10, window_overlap=0.1
    )

    np.testing.assert_array_equal(recorded.params, plain.params)


def train_watched(plan, **watch):
    mask = np.ones(plan.n_weights, dtype=bool)
    mask[1] = False
    return train(
        plan,
        make_data(plan),
        initial(plan),
        n_epochs=5,
        mask=mask,
        seed=0,
        watch=Watch(**watch),
    )


WAYS = [
    {"engine": "numba", "momentum": 0.5},
    {"engine": "numba", "batch_size": 7},
    {"engine": "torch", "batch_size": 7, "momentum": 0.5, "alpha": 0.1},
    {"engine": "torch", "solver": "adam", "alpha": 0.5},
]


@pytest.mark.parametrize("way", WAYS)
def test_snapshots_are_the_weights_at_their_iterations(way):
    plan = make_plan(**way)
    trajectory = []
    recorder = recording.WindowRecorder(
        10**4,
        plan.n_weights,
        window_size=1,
        window_overlap=0.0,
        record_every=1,
        reduce_window=lambda window, out: trajectory.append(window[0].copy()),
    )
    train_watched(plan, recorder=recorder, target=lambda params: 0.0)
    last = len(trajectory)
    iterations = [1, 2, last // 2, last - 1, last, last + 1]
    snapshots = recording.SnapshotRecorder(iterations, initial(plan).size)

    run = train_watched(plan, snapshots=snapshots)

    assert len(snapshots.snapshots) == 5  # the sixth is never reached
    for i, iteration in enumerate(iterations[:5]):
        weights = snapshots.snapshots[i, : plan.n_weights]
        np.testing.assert_array_equal(weights, trajectory[iteration - 1])
    np.testing.assert_array_equal(snapshots.snapshots[4], run.params)
    assert snapshots.next_iteration == last + 1


def test_points_become_iterations():
    assert recording.snapshot_iterations((1.0, 0.1, 0.55), 1000) == [100, 550, 1000]
    assert recording.snapshot_iterations((0.1, 0.11, 1.0), 5) == [1, 5]


@pytest.mark.parametrize("way", WAYS)
def test_a_twin_takes_the_same_steps(way):
    plan = make_plan(**way)
    params = initial(plan)
    perturbed = params.copy()
    perturbed[3] += 1e-3

    def record(twin_params=None, start=params):
        seen = []
        recorder = recording.WindowRecorder(
            10**4,
            plan.n_weights,
            window_size=4,
            window_overlap=0.5,
            record_every=2,
            reduce_window=lambda window, out: seen.append(window.copy()),
            has_twin=twin_params is not None,
        )
        mask = np.ones(plan.n_weights, dtype=bool)
        mask[1] = False
        run = train(
            plan,
            make_data(plan),
            start,
            n_epochs=5,
            mask=mask,
            seed=0,
            watch=Watch(recorder, lambda params: 0.0, twin_params=twin_params),
        )
        return np.array(seen), run.params

    apart, weights = record(perturbed)

    own, own_weights = record()
    twins, _ = record(start=perturbed)
    assert np.abs(apart).max() > 1e-6
    np.testing.assert_array_equal(apart, twins - own)
    np.testing.assert_array_equal(weights, own_weights)
    assert np.all(apart[:, :, 1] == 0.0)  # a pruned weight does not differ
