"""Window arithmetic, the one-window buffer, snapshots and twins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skchaosprune._training import recording
from skchaosprune._training.plan import Watch
from tests.networks import initial, make_plan, train_plan

OVERLAPS = st.sampled_from([0.0, 0.1, 0.5, 0.99]) | st.floats(0.0, 0.99)


@given(n_records=st.integers(0, 500), window_size=st.integers(1, 60), overlap=OVERLAPS)
def test_count_windows_lists_whole_windows(n_records, window_size, overlap):
    stride = recording.window_stride(window_size, overlap)
    starts = [s for s in range(0, n_records, stride) if s + window_size <= n_records]

    count = recording.count_windows(n_records, window_size, overlap)

    assert count == len(starts)
    assert stride >= 1
    if count:
        least = recording.count_records(count, window_size, overlap)
        assert least <= n_records < least + stride


def test_the_papers_stride():
    assert recording.window_stride(50, 0.1) == 45
    assert recording.window_stride(200, 0.1) == 180
    assert recording.window_stride(1, 0.1) == 1


@given(n_iterations=st.integers(10, 6754) | st.integers(6755, 10**6))
def test_auto_spreads_about_150_windows(n_iterations):
    every = recording.resolve_record_every("auto", n_iterations, 50, 0.1)
    n_windows = recording.count_windows(n_iterations // every, 50, 0.1)

    assert every >= 1
    if n_iterations >= 6755:
        assert 100 <= n_windows <= 225
    else:
        assert every == 1
    assert recording.resolve_record_every(7, n_iterations, 50, 0.1) == 7


@given(
    record_every=st.just("auto") | st.integers(1, 5),
    per_epoch=st.integers(1, 200),
    dense_fraction=st.sampled_from([1.0, 0.3, 0.1]),
)
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


def record(plan, *, twin_params=None, target=lambda params: 0.0, **changes):
    """Train and record; return the recorder, copies of the windows, and the run.

    Without ``changes`` every record is a window.
    """
    window = {"window_size": 1, "window_overlap": 0.0, "record_every": 1}
    changes = window | changes
    seen = []

    def reduce_window(buffer, out):
        seen.append(buffer.copy())
        out[:] = buffer.std(axis=0)

    recorder = recording.WindowRecorder(
        10**3,
        plan.n_weights,
        reduce_window=reduce_window,
        has_twin=twin_params is not None,
        **{name: changes.pop(name) for name in window},
    )
    watch = Watch(recorder, target, twin_params=twin_params)
    run = train_plan(plan, watch=watch, **changes)
    return recorder, np.array(seen), run


@pytest.mark.parametrize(
    "way",
    [{"batch_size": 1}, {"batch_size": 9}, {"batch_size": 9, "engine": "torch"}],
    ids=str,
)
@pytest.mark.parametrize("record_every, overlap", [(1, 0.1), (3, 0.0), (3, 0.6)])
def test_windows_are_slices_of_the_trajectory(way, record_every, overlap):
    plan, size = make_plan(**way), 6
    _, trajectory, _ = record(plan, n_epochs=9, record_every=record_every)
    trajectory = trajectory[:, 0]
    assert trajectory.std(axis=0).max() > 0.01  # copies, not views of the last state

    recorder, seen, _ = record(
        plan,
        n_epochs=9,
        record_every=record_every,
        window_size=size,
        window_overlap=overlap,
        target=lambda params: params[0],
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

    _, _, recorded = record(plan, window_size=10, window_overlap=0.1)

    np.testing.assert_array_equal(recorded.params, train_plan(plan).params)


WAYS = [
    {"engine": "numba", "momentum": 0.5},
    {"engine": "numba", "batch_size": 7},
    {"engine": "torch", "batch_size": 7, "momentum": 0.5, "alpha": 0.1},
    {"engine": "torch", "solver": "adam", "alpha": 0.5},
]


@pytest.mark.parametrize("way", WAYS)
def test_snapshots_are_the_weights_at_their_iterations(way):
    plan = make_plan(**way)
    mask = np.arange(plan.n_weights) != 1
    _, trajectory, _ = record(plan, mask=mask)
    last = len(trajectory)
    iterations = [1, 2, last // 2, last - 1, last, last + 1]
    recorder = recording.SnapshotRecorder(iterations, initial(plan).size)

    run = train_plan(plan, mask=mask, watch=Watch(snapshots=recorder))

    assert len(recorder.snapshots) == 5  # the sixth is never reached
    for i, iteration in enumerate(iterations[:5]):
        weights = recorder.snapshots[i, : plan.n_weights]
        np.testing.assert_array_equal(weights, trajectory[iteration - 1, 0])
    np.testing.assert_array_equal(recorder.snapshots[4], run.params)
    assert recorder.next_iteration == last + 1


def test_points_become_iterations():
    assert recording.snapshot_iterations((1.0, 0.1, 0.55), 1000) == [100, 550, 1000]
    assert recording.snapshot_iterations((0.1, 0.11, 1.0), 5) == [1, 5]


@pytest.mark.parametrize("way", WAYS)
def test_a_twin_takes_the_same_steps(way):
    plan = make_plan(**way, learning_rate="cosine")
    perturbed = initial(plan)
    perturbed[3] += 1e-3
    mask = np.arange(plan.n_weights) != 1
    options = {"window_size": 4, "window_overlap": 0.5, "record_every": 2, "mask": mask}

    _, apart, run = record(plan, twin_params=perturbed, **options)

    _, own, own_run = record(plan, **options)
    _, twins, _ = record(plan, params=perturbed, **options)
    assert np.abs(apart).max() > 1e-6
    np.testing.assert_array_equal(apart, twins - own)
    np.testing.assert_array_equal(run.params, own_run.params)
    assert np.all(apart[:, :, 1] == 0.0)  # a pruned weight does not differ
