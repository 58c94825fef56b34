"""A budget of inputs: who stays, how many, and what else goes with the others."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import make_friedman1
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from skchaosprune import (
    ChaosCausalPrunedMLP,
    ChaosCausalPrunedMLPRegressor,
    one_standard_error,
    to_c,
    to_onnx,
)
from skchaosprune._fit import descent, inputs
from skchaosprune._fit.counts import plan_cuts, plan_descent
from skchaosprune._fit.inputs import choose_inputs
from skchaosprune._network.masks import keep_best, keep_significant
from skchaosprune.criteria import FixedMasks, WeightScores
from tests import naive
from tests.helpers import assert_same_fit, count_trainings, flat, small
from tests.test_importance import HIDDEN, OUTPUTS, make_subject

REAL, NOISE = 5, 20

# Ways from the dense network to the pruned one.
WAYS = [
    {},
    {"retrain": "rewind"},
    {"retrain": "finetune", "n_rounds": 3},
    {"prune_ratio": 0.9, "n_swaps": 4},
    {"prune_ratio": 0.0},
    {"prune_scope": "layer"},
    {"keep_connected": False},
    {"hidden_layer_sizes": ()},
    {"hidden_layer_sizes": (4, 3)},
]


def make_xor(n_rows, seed):
    """Make two inputs that count only together, among twenty of noise."""
    X = np.random.RandomState(seed).standard_normal((n_rows, 2 + NOISE))
    return X, (X[:, 0] * X[:, 1] > 0.0).astype(int)


@pytest.fixture(scope="module")
def friedman():
    X, y = make_friedman1(500, REAL + NOISE, noise=1.0, random_state=0)
    return scale(X), y


def room(n_inputs, scope):
    """Weights of a network of 7 hidden and 3 output units."""
    layers = [n_inputs * 7, 7 * 3]
    return layers if scope == "layer" else [sum(layers)]


def test_counts_of_the_rounds():
    sizes = 12, 7, 3
    for scope, ratio, most, n_rounds in (
        ("global", 0.5, 3, 4),
        ("global", 0.95, 3, 4),
        ("global", 0.3, 12, 5),
        ("layer", 0.5, 3, 4),
        ("layer", 0.0, 1, 1),
    ):
        weights, last = room(12, scope), room(most, scope)
        asked = [n - round(ratio * n) for n in weights]
        left = np.minimum(asked, last)
        cuts = plan_cuts(sizes, ratio, scope, most, n_rounds)
        assert len(cuts) == n_rounds
        for number, (n_kept, n_inputs) in enumerate(cuts, start=1):
            share = number / n_rounds
            assert n_inputs == round(12 * (most / 12) ** share)
            for n, end, found, most_kept in zip(
                weights, left, n_kept, room(n_inputs, scope), strict=True
            ):
                assert found == min(round(n * (end / n) ** share), most_kept)
        for path in cuts, plan_descent(sizes, ratio, scope, most):
            assert path[-1].n_kept.tolist() == left.tolist()
            assert path[-1].n_inputs == most
            steps = [[*cut.n_kept, cut.n_inputs] for cut in path]
            assert (np.diff(steps, axis=0) <= 0).all()


def test_masks_of_some_inputs():
    # as if the others were not there
    for seed in range(20):
        rng = np.random.RandomState(seed)
        sizes = (6, *rng.randint(2, 5, size=seed % 3), 2)
        chosen = np.isin(np.arange(6), rng.choice(6, size=3, replace=False))
        names = naive.name_weights(sizes)
        order = rng.permutation(len(names))
        is_there = [layer > 0 or chosen[source] for layer, source, _ in names]
        number = np.cumsum(is_there) - 1
        smaller = [number[k] for k in order if is_there[k]]
        few, whole = (3, *sizes[1:]), np.array([len(names)])
        n_kept = np.array([rng.randint(len(sizes), len(smaller) + 1)])
        significant = rng.uniform(size=len(names)) < 0.5

        for keep_connected in (True, False):
            how = {"keep_connected": keep_connected}
            found = keep_best(order, n_kept, sizes, **how, inputs=chosen)
            expected = keep_best(np.array(smaller), n_kept, few, **how)
            assert_array_equal(found[is_there], expected)
            assert found.sum() == n_kept
            every = keep_best(order, whole, sizes, **how, inputs=chosen)
            assert_array_equal(every, is_there)
            found = keep_significant(significant, order, sizes, **how, inputs=chosen)
            expected = keep_significant(
                significant[is_there], np.array(smaller), few, **how
            )
            assert_array_equal(found[is_there], expected)
            assert not found[~np.array(is_there)].any()


def test_inputs_are_ranked_by_their_gradients():
    for hidden in HIDDEN:
        for output in OUTPUTS:
            subject = make_subject(hidden, output=output, n_features=4)
            network, params, data = subject.network, subject.params, subject.data
            order = np.argsort(-naive.gradient_importances(params, network, data))
            mask = np.concatenate([part.ravel() for part in subject.masks])
            for n_inputs in range(1, 5):
                chosen = choose_inputs(network, data, params, mask, n_inputs)
                best = sorted(order[:n_inputs])
                assert np.flatnonzero(chosen).tolist() == best


def test_inputs_with_weights_come_first(monkeypatch):
    # though their outputs are not finite
    subject = make_subject(n_features=4)
    mask = np.ones(subject.network.n_weights, dtype=bool)
    mask[: 2 * 4] = False  # of the first two inputs
    monkeypatch.setattr(
        inputs, "gradient_importances", lambda _: np.array([0.0, 0.0, np.nan, np.nan])
    )
    args = subject.network, subject.data, subject.params, mask
    assert choose_inputs(*args, 2).tolist() == [False, False, True, True]
    assert choose_inputs(*args, 3).tolist() == [True, False, True, True]


def test_no_more_inputs_than_asked_for(cancer, diabetes):
    for kind, (X, y) in (
        (ChaosCausalPrunedMLP, cancer),
        (ChaosCausalPrunedMLPRegressor, diabetes),
    ):
        X, y = X[:100], y[:100]
        for way in WAYS:
            for most in (1, 3):
                options = {"hidden_layer_sizes": (5,), "max_features": most} | way
                model = small(kind, **options).fit(X, y)
                assert_is_within(model, most)


def assert_is_within(model, most):
    in_use = model.features_in_use_
    assert in_use.dtype == bool and in_use.shape == (model.n_features_in_,)
    assert 1 <= in_use.sum() <= most
    assert model.masks_[0].any(axis=1).sum() <= most
    assert_array_equal(np.flatnonzero(in_use), model.compact().selected_features_)
    assert not model.feature_importances_[~in_use].any()
    # exactly the weights that the ratio asks for, or more
    sizes = [W.shape for W in model.masks_]
    rooms = [most * sizes[0][1], *(a * b for a, b in sizes[1:])]
    layers = [mask.size for mask in model.masks_]
    if model.prune_scope == "global":
        rooms, layers = [sum(rooms)], [sum(layers)]
    left = [n - round(model.prune_ratio * n) for n in layers]
    assert model.flops_ == sum(map(min, zip(left, rooms, strict=True)))
    gone = flat(model.masks_) == 0
    assert_array_equal(gone, model.pruned_in_round_ > 0)
    assert model.pruned_in_round_.max() <= model.n_rounds_ + 1  # swapped out


def test_inputs_go_step_by_step(cancer, monkeypatch):
    numbers, chosen, measure = [30], [], descent.measure_saliencies

    def find_inputs(mask):
        return mask[: 30 * 5].reshape(30, 5).any(axis=1)

    def choose(network, data, params, mask, n_inputs):
        assert find_inputs(mask).sum() <= numbers[-1]
        assert not params[: mask.size][~mask].any()
        numbers.append(n_inputs)
        inputs = choose_inputs(network, data, params, mask, n_inputs)
        chosen.append((data, inputs))
        return inputs

    def spy(network, objective, params, mask, n_kept):
        data, inputs = chosen[-1]
        assert data is objective.data
        assert not find_inputs(mask)[~inputs].any()
        # lost inputs may take more weights with them than have to go
        args, n_left = (network, objective, params, mask), np.array([mask.sum()])
        for some, all_stay in zip(
            measure(*args, n_left + 9), measure(*args, n_left), strict=True
        ):
            assert_array_equal(some, all_stay)
        return measure(*args, n_kept)

    monkeypatch.setattr(descent, "choose_inputs", choose)
    monkeypatch.setattr(descent, "measure_saliencies", spy)
    model = small(hidden_layer_sizes=(5,), max_features=3, prune_ratio=0.9, n_swaps=0)
    assert model.fit(*cancer).retrain_ == "descent"
    assert len(set(numbers)) > 10 and numbers[-1] == 3
    assert sorted(numbers, reverse=True) == numbers

    # by the solver: at once, or in five rounds where a descent is in the way
    masks = count_trainings(monkeypatch)
    small(hidden_layer_sizes=(5,), max_features=3, target_score=0.999).fit(*cancer)
    assert [find_inputs(mask).sum() for mask in masks] == [30, 19, 12, 8, 5, 3]


def test_the_real_inputs_stay(friedman):
    for model, (X, y), n_real in (
        (ChaosCausalPrunedMLPRegressor(random_state=0), friedman, REAL),
        (ChaosCausalPrunedMLP(random_state=0), make_xor(500, 0), 2),
    ):
        dense = model.set_params(max_features=None).fit(X, y)
        assert dense.features_in_use_.all()
        model.set_params(max_features=n_real).fit(X, y)
        assert np.flatnonzero(model.features_in_use_).tolist() == list(range(n_real))
    new = make_xor(2000, 1)
    assert model.score(*new) > 0.9
    # by the solver, too: what is trained ranks
    options = {"prune_criterion": "magnitude", "n_rounds": 2, "max_features": REAL}
    model = ChaosCausalPrunedMLPRegressor(random_state=0, **options).fit(*friedman)
    assert np.flatnonzero(model.features_in_use_).tolist() == list(range(REAL))


def test_a_share_of_the_inputs_and_no_limit(iris, cancer):
    X, y = cancer[0][:100, :10], cancer[1][:100]
    for share, n_inputs in ((0.3, 3), (0.29, 2), (0.01, 1), (0.99, 9)):
        model = small(max_features=share, prune_ratio=0.0).fit(X, y)
        assert model.features_in_use_.sum() == n_inputs
    # in floating point .29 * 100 is a little below 29
    wide = np.tile(X, 10)
    assert small(max_features=0.29)._plan(wide, y, None).schedule.most_inputs == 29
    for no_limit in (1.0, 4, 1000, np.int64(4)):
        free = small(max_features=no_limit).fit(*iris)
        assert_same_fit(free, small().fit(*iris))
        assert free.retrain_ == "rewind"


def test_names_of_the_inputs_in_use(cancer):
    pd = pytest.importorskip("pandas")
    X, y = cancer
    model = small(max_features=2).fit(X, y)
    first, second = np.flatnonzero(model.features_in_use_)
    # those of no use come by what they were to the dense network
    features = model.report(X, y).strongest_features[2:]
    before = [feature["before"] for feature in features]
    assert before == sorted(before, reverse=True) and len(set(before)) == 8
    names = model.get_feature_names_in_use()
    assert names.tolist() == [f"x{first}", f"x{second}"] and names.dtype == object
    own = [f"c{column}" for column in range(30)]
    wanted = [f"c{first}", f"c{second}"]
    assert model.get_feature_names_in_use(own).tolist() == wanted
    model.fit(pd.DataFrame(X, columns=own), y)
    assert model.get_feature_names_in_use().tolist() == wanted
    with pytest.raises(ValueError, match="has 2 names, .* fitted on 30 features"):
        model.get_feature_names_in_use(["a", "b"])
    for names in (5, "a" * 30):
        with pytest.raises(TypeError, match="feature_names=.* a sequence of names"):
            model.get_feature_names_in_use(names)


def test_the_significance_rule_keeps_to_the_inputs(cancer):
    options = {"hidden_layer_sizes": (6,), "prune_criterion": "intervention"}
    options |= {"prune_ratio": None, "max_iter": 30}
    free = small(**options).fit(*cancer)
    model = small(**options, max_features=3).fit(*cancer)
    assert free.features_in_use_.sum() > 3
    assert 1 <= model.features_in_use_.sum() <= 3
    assert model.retrain_ == "rewind" and model.n_rounds_ == 1
    # no weight more but the best path
    assert (flat(model.masks_) & ~flat(free.masks_)).sum() <= 2
    # inputs with significant weights come first, though others drive outputs more
    options |= {"hidden_layer_sizes": (), "prune_criterion": OneInput()}
    for keep_connected in (True, False):
        model = small(**options, max_features=1, keep_connected=keep_connected)
        assert np.flatnonzero(model.fit(*cancer).features_in_use_) == [OneInput.input]


class OneInput:
    """A criterion that finds the weights of one input significant."""

    needs, has_significance_rule, input = (), True, 9

    def get_params(self, deep=True):
        return {}

    def score(self, record):
        keep = np.arange(record.n_weights) == self.input
        return WeightScores(keep.astype(float), keep=keep)


def test_what_cannot_be(iris, cancer):
    for value, kind in (
        *((value, ValueError) for value in (0, -1, 0.0, 1.5, np.nan, np.inf)),
        *((value, TypeError) for value in ("sqrt", True, [3], 1j)),
    ):
        with pytest.raises(kind, match="max_features=.* an int of at least 1, a share"):
            small(max_features=value).fit(*iris)
    masks = [np.ones((4, 3), dtype=bool), np.ones((3, 3), dtype=bool)]
    for criterion in (
        FixedMasks(masks),
        lambda record: WeightScores(
            np.ones(21), keep=np.ones(21, dtype=bool), is_final=True
        ),
    ):
        with pytest.raises(ValueError, match="max_features=2 cannot be used, as"):
            small(prune_criterion=criterion, max_features=2).fit(*iris)
    with pytest.raises(ValueError, match="prune_ratio=0.99 .* fewer than one weight"):
        small(prune_ratio=0.99, max_features=2).fit(*iris)
    # inputs whose weights lead nowhere are not in use
    masks = [np.eye(4, 3) > 0, np.repeat([[False], [True], [False]], 3, axis=1)]
    model = small(prune_criterion=FixedMasks(masks), activation="tanh").fit(*iris)
    assert model.features_in_use_.tolist() == [False, True, False, False]
    # fewer weights than inputs that may be in use
    model = small(prune_ratio=0.97, max_features=20).fit(*cancer)
    assert model.flops_ == 3 and model.features_in_use_.sum() == 2
    # without a ratio there are weights of other inputs to swap, but not without both
    options = {"prune_ratio": 0.0, "retrain": "descent", "n_swaps": 2}
    model = small(**options, max_features=2).fit(*iris)
    assert len(model.search_loss_curve_) == 3 and model.features_in_use_.sum() == 2
    assert small(**options).fit(*iris).search_loss_curve_ is None


def test_search_over_both(friedman, monkeypatch, tmp_path):
    masks = count_trainings(monkeypatch)
    kind, options = ChaosCausalPrunedMLPRegressor, {"hidden_layer_sizes": (8,)}
    model = small(kind, memory=str(tmp_path), max_iter=30, **options)
    grid = {"prune_ratio": [0.2, 0.8, 0.999], "max_features": [None, 5, 1]}
    search = GridSearchCV(model, grid, refit=one_standard_error, cv=3)
    with (
        pytest.warns(FitFailedWarning, match="9 fits failed"),  # those of .999
        pytest.warns(UserWarning, match="scores are non-finite"),
    ):
        search.fit(*friedman)

    table = search.cv_results_
    scores = np.array([table[f"split{fold}_test_score"] for fold in range(3)])
    mean = scores.mean(axis=0)
    best = np.nanargmax(mean)
    least = mean[best] - scores[:, best].std(ddof=1) / np.sqrt(3)
    close = [
        (-params["prune_ratio"], params["max_features"] or 25)
        for params, score in zip(table["params"], mean, strict=True)
        if score >= least
    ]
    chosen = search.best_params_
    assert min(close)[0] == -chosen["prune_ratio"]
    assert chosen["max_features"] == min(close)[1] == REAL
    in_use = search.best_estimator_.features_in_use_
    assert np.flatnonzero(in_use).tolist() == list(range(REAL))
    # one dense training per fold and for the refit; the rest are sparse ones
    assert sum(mask.all() for mask in masks) == 3 + 1


def test_exports_read_the_inputs_in_use_alone(cancer, tmp_path):
    X, y = cancer
    model = make_pipeline(StandardScaler(), small(max_features=3)).fit(X, y)
    in_use = model[-1].features_in_use_
    changed = np.where(in_use, X, 1e3)
    expected = model.predict_proba(X)
    assert_allclose(model.predict_proba(changed), expected, rtol=1e-12)
    compact = model[-1].compact()
    assert compact.layer_sizes_[0] == in_use.sum() == 3

    to_c(model, tmp_path / "net.h")
    header = (tmp_path / "net.h").read_text(encoding="utf-8")
    read = [int(place) for place in np.flatnonzero(in_use)]
    assert str(read)[1:-1] in header.replace("\n", " ")

    onnxruntime = pytest.importorskip("onnxruntime")
    to_onnx(model, tmp_path / "net.onnx", X)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    names = [part.name for part in session.get_inputs()]
    for rows in (X, changed):
        (_, found) = session.run(None, {names[0]: rows.astype(np.float32)})
        assert_allclose(found, expected, atol=1e-5)


def test_fit_says_how_many_weights_go(cancer, capsys):
    small(max_features=3, verbose=1).fit(*cancer)
    # 30 inputs, 3 hidden units and 1 output have 93 weights, three inputs 12 of them
    line = "max_features=3: at most 3 of 30 inputs stay, 35 more weights go than "
    assert f"{line}prune_ratio=0.5 asks for" in capsys.readouterr().out
    small(max_features=3, verbose=1, prune_ratio=0.95).fit(*cancer)
    assert "stay, 0 more weights go than prune_ratio=0.95" in capsys.readouterr().out
    # 45 of 90 and 2 of 3 stay of the layers, then 9 and 2
    small(max_features=3, verbose=1, prune_scope="layer").fit(*cancer)
    assert "stay, 36 more weights go than prune_ratio=0.5" in capsys.readouterr().out
    small(max_features=30, verbose=1).fit(*cancer)
    assert "max_features" not in capsys.readouterr().out
