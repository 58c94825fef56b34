"""Parameters of callbacks, by skorch's names."""

import copy

import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler
from torch import nn

from tests.helpers import small


class Stop(Callback):
    """End the training after some epochs."""

    def __init__(self, n_epochs=5):
        self.n_epochs = n_epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n_epochs:
            raise KeyboardInterrupt


def make_list():
    return [("e", EarlyStopping(patience=7)), EpochScoring("accuracy"), Stop(4), Stop]


def test_names_are_those_of_skorch():
    params = small(callbacks=make_list()).get_params()
    named = {name for name in params if name.startswith("callbacks__")}
    net = NeuralNetClassifier(nn.Linear(1, 1), callbacks=make_list()).initialize()

    theirs = {f"callbacks__{name}" for name, _ in net.callbacks_}
    theirs -= {f"callbacks__{name}" for name, _ in net.get_default_callbacks()}
    assert {name for name in named if name.count("__") == 1} == theirs
    assert "callbacks__e__patience" in named
    assert "callbacks__Stop_1__n_epochs" in named
    for name in named - {"callbacks__Stop_2"}:  # theirs is an instance by now
        if name.count("__") == 2:
            assert net.get_params()[name] == params[name], name


def test_a_parameter_is_set_and_used(iris):
    model = small(callbacks=[("s", Stop(5))])

    assert model.set_params(callbacks__s__n_epochs=3).fit(*iris).n_iter_ == 3
    assert model.get_params()["callbacks__s__n_epochs"] == 3
    assert "callbacks__s" not in model.get_params(deep=False)
    model.set_params(callbacks__s=Stop(2), prune_ratio=0.3)
    assert model.fit(*iris).n_iter_ == 2 and model.prune_ratio == 0.3
    model.set_params(callbacks__s=Stop, callbacks__s__n_epochs=4)
    assert model.fit(*iris).n_iter_ == 4
    model.set_params(callbacks__s=None)
    assert model.callbacks == [] and model.fit(*iris).n_iter_ == 12


def test_callbacks_without_names_have_those_of_their_classes(iris):
    given = make_list()[2:]
    model = small(callbacks=given)

    model.set_params(callbacks__Stop_1__n_epochs=9, callbacks__Stop_2__n_epochs=3)

    assert model.fit(*iris).n_iter_ == 3
    assert given[0].n_epochs == 9 and given[1] is Stop  # the list is a new one
    model.set_params(callbacks=[Stop(6)], callbacks__Stop__n_epochs=2)
    assert model.fit(*iris).n_iter_ == 2


def test_a_grid_over_the_parameter_of_a_callback(iris):
    stop = Stop(5)
    search = GridSearchCV(
        small(callbacks=[("s", stop)]),
        [{"callbacks__s__n_epochs": [2, 4]}, {"callbacks__s": [Stop(3), None]}],
        cv=2,
        scoring=lambda model, X, y: model.n_iter_,
    ).fit(*iris)

    assert search.cv_results_["mean_test_score"].tolist() == [2, 4, 3, 12]
    assert stop.n_epochs == 5
    assert clone(search.best_estimator_).get_params().keys()


@pytest.mark.parametrize(
    "params, words",
    [
        ({"callbacks__x__patience": 3}, "'callbacks__x__patience' is of no callback"),
        ({"callbacks__x": None}, r"there are \['callbacks__e', "),
        ({"callbacks__e__speed": 3}, "Invalid parameter 'speed'"),
        ({"callbacks": None, "callbacks__e__patience": 3}, r"there are \[\]"),
        ({"callbacks__": None}, "is of no callback"),
        (
            {"callbacks__e": None, "callbacks__e__patience": 3},
            "None is no callback with a 'patience'",
        ),
        ({"prune_rate": 0.1, "callbacks__e__patience": 3}, "Invalid parameter"),
    ],
)
def test_what_cannot_be_set_is_an_error_and_changes_nothing(params, words):
    given = make_list()
    model = small(callbacks=given)
    before = copy.deepcopy(given)

    with pytest.raises(ValueError, match=words):
        model.set_params(**params)

    assert given[0][1].get_params() == before[0][1].get_params()
    assert (
        model.get_params().keys() >= {"callbacks__e__patience"} or not model.callbacks
    )


def test_names_may_have_two_underscores():
    model = small(callbacks=[("a", Stop(1)), ("a__b", Stop(2))])
    model.set_params(callbacks__a__b__n_epochs=7, callbacks__a__n_epochs=5)
    assert [callback.n_epochs for _, callback in model.callbacks] == [5, 7]
    assert clone(model).set_params(**model.get_params()).get_params().keys()


@pytest.mark.parametrize("callbacks", [None, [], 3, "abc", Stop(), [3], [("a", 1, 2)]])
def test_get_params_of_any_callbacks(callbacks):
    model = small(callbacks=callbacks)

    assert model.get_params()["callbacks"] is callbacks
    assert repr(model)


def test_a_scheduler_by_its_policy(iris):
    model = small(callbacks=[LRScheduler("StepLR", step_size=1, gamma=0.5)])
    model.set_params(callbacks__LRScheduler__policy="ConstantLR")

    assert model.callbacks[0].policy == "ConstantLR"
