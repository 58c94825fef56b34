"""Training of one network: a skorch net whose epochs run in a kernel or in torch."""

import copy
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np
import torch
from scipy.sparse import csr_matrix, issparse
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import PassthroughScoring
from skorch.dataset import Dataset
from skorch.exceptions import SkorchException
from skorch.helper import predefined_split

from skchaosprune._text import shorten
from skchaosprune._training.batches import Batches, as_tensor
from skchaosprune._training.callbacks import (
    NEVER_WRITE,
    Report,
    StopTraining,
    acts_in_batches,
    is_raised_by_callback,
)
from skchaosprune._training.engine import (
    explain_obstacle,
    first_obstacle_in_modules,
    first_obstacle_in_optimizer,
    first_obstacle_to_kernel,
)
from skchaosprune._training.epoch import KernelEpochs
from skchaosprune._training.learner import Learner
from skchaosprune._training.module import (
    MLPLoss,
    MLPModule,
    make_optimizer,
    nonlinearity,
    optimizer_settings,
)
from skchaosprune._training.plan import LARGEST_WEIGHT, Divergence, TrainingRun, Watch
from skchaosprune._training.threads import stop_at_exit


class _PrunableNet:
    """What our skorch classifier and regressor share: the epoch, and when to stop.

    Training is skorch's: its fit loop, optimiser, history and callbacks. Only the
    epoch is ours: one numba kernel where that is the same thing, else a torch loop
    without data loaders. The mask is applied after every step and every callback.
    """

    def prepare(
        self, plan, data, params, *, mask, seed, validation, watch, target_score
    ):
        """Set the plan, the rows, the initial parameters and what is recorded."""
        self._plan, self._data, self._validation = plan, data, validation
        self._watch, self._target_score = watch, target_score
        self._penalty = plan.alpha / data.total_weight
        self._rng = np.random.RandomState(seed)
        self._iteration = 0
        self.initialize()
        kinds = {type(callback) for _, callback in self.callbacks_}
        self._is_watched = not kinds <= set(NEVER_WRITE)
        self._mask = as_tensor(mask.astype(np.float64), self.device)
        self._own = Learner(
            self.module_,
            self.optimizer_,
            as_tensor(params, self.device),
            self._mask,
            None if watch.recorder is None else watch.recorder.buffer,
        )
        self._twin = None
        if watch.twin_params is not None:
            self._twin = self._make_twin()
            self._left_at = self._own.state()
        self._epoch = 0
        self._squares = data.squared_norms()
        self._batches = self._held_out = None
        self._kernel = None
        self._known_step = None

    def _make_twin(self):
        """Copy module and optimiser, to start from the twin's parameters."""
        self._refuse_callbacks_in_batches()
        module, optimizer = copy.deepcopy(self.module_), self.optimizer_
        return Learner(
            module,
            make_optimizer(type(optimizer), module.parameters(), **optimizer.defaults),
            as_tensor(self._watch.twin_params, self.device),
            self._mask,
            self._watch.recorder.twin_buffer,
        )

    def _refuse_callbacks_in_batches(self):
        for _, callback in self.callbacks_:
            if acts_in_batches(callback):
                name = shorten(type(callback).__name__)
                self._refuse_callback(f"callback {name} acts inside a batch")

    def _refuse_callback(self, what):
        raise ValueError(
            "trajectory='perturbation' trains a twin on the same steps, but "
            f"{what}, for one of the two only. Use trajectory='weights' or leave the "
            "callback out."
        )

    def get_default_callbacks(self):
        """Return skorch's callbacks for the losses of an epoch, and the best so far."""
        return [
            ("train_loss", PassthroughScoring("train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring("valid_loss")),
        ]

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks; one that raises KeyboardInterrupt ends the training."""
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt as error:
            if is_raised_by_callback(error):
                raise StopTraining from None
            raise
        self.settle(check=method_name == "on_epoch_begin")
        if method_name == "on_epoch_end" and self._has_reached_target_score():
            raise StopTraining

    def settle(self, check=False):
        """Go on with what callbacks may have written, under the mask."""
        if not self._is_watched:
            return
        if check:  # takes long
            self._own.check_parts(self.module_)
        self._own.settle(self.optimizer_)

    def finish(self):
        """Return the parameters that the training has led to."""
        self.settle(check=True)  # the last callback may have ended the training
        self._check_finite()
        return self.numpy_params().copy()

    def _has_reached_target_score(self):
        if self._target_score is None:
            return False
        score = self._data.score(self.numpy_params(), self._plan)
        return score >= self._target_score

    def numpy_params(self):
        """Return the flat parameters as numpy; on the CPU a view, not a copy."""
        return self.module_.flat.detach().cpu().numpy()

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train for one epoch, or compute the validation loss."""
        if iterator is None:
            return
        acting = any(acts_in_batches(callback) for _, callback in self.callbacks_)
        if training:
            loss = self._train_epoch(acting)
        elif acting:
            self._validate_in_batches()
        else:
            loss = self._validation.mean_loss(self.numpy_params(), self._plan)
        if not acting:
            # callbacks that look at batches find the epoch as one
            n_rows = (self._data if training else self._validation).n_rows
            self.history.new_batch()
            self.history.record_batch(f"{prefix}_loss", loss)
            self.history.record_batch(f"{prefix}_batch_size", n_rows)

    def _validate_in_batches(self):
        if self._held_out is None:
            self._held_out = Batches(self._validation, self.device)
        order, size = np.arange(self._validation.n_rows), self._plan.batch_size
        with torch.no_grad():
            for X, y, targets, weights in self._held_out.run(order, size):
                self.notify("on_batch_begin", batch=(X, y), training=False)
                z = self.module_(X)
                loss = self.criterion_(z, targets, weights)
                self._end_batch("valid", (X, y), loss, z)

    def _end_batch(self, prefix, batch, loss, z):
        self.history.record_batch(f"{prefix}_loss", loss.item())
        self.history.record_batch(f"{prefix}_batch_size", len(z))
        training = prefix == "train"
        self.notify(
            "on_batch_end", batch=batch, training=training, loss=loss, y_pred=z.detach()
        )

    def _train_epoch(self, acting):
        """Return the mean loss of an epoch of training."""
        if self._twin is not None:
            if not torch.equal(self._own.state(), self._left_at):
                self._refuse_callback("a callback changed weights or momentum")
            if self._own.has_new_optimizer:
                self._refuse_callback("a callback replaced the optimiser")
            self._twin.follow(self._own)
        order = self._plan.draw_order(self._data.n_rows, self._rng)
        share = self._plan.decay(self._epoch, self.max_epochs)
        self._epoch += 1
        sizes = self._plan.measure_rows(self._squares, order, self._data.total_weight)
        self.engine_ = self._choose_engine()
        if self.engine_ == "numba":
            total = self._run_kernel(order, sizes, share)
            self._step_for_schedulers()
        else:
            total = self._run_torch(order, sizes, share, acting)
        self._check_finite()
        if self._twin is not None:
            self._left_at = self._own.state()
        return total / order.size

    def _choose_engine(self):
        """Return the engine of the next epoch; callbacks may change it."""
        obstacle = first_obstacle_to_kernel(self._plan, self.callbacks)
        if obstacle is None:
            obstacle = first_obstacle_in_optimizer(self._own)
        if obstacle is None and self._is_watched:
            obstacle = first_obstacle_in_modules(self._own, self.criterion_, self._plan)
        if obstacle is None:
            return "numba"
        if self._plan.engine == "numba":
            raise ValueError(explain_obstacle(obstacle))
        return "torch"

    def _step_for_schedulers(self):
        """Step the optimiser once if it has a new scheduler.

        A scheduler replaces the method ``step``, and warns unless it is called before
        its own. Without gradients the step changes nothing. Another optimiser is left
        alone, as its step would import torch's compiler.
        """
        step = vars(self.optimizer_).get("step")
        if step not in (None, self._known_step):
            self.optimizer_.zero_grad()
            step()
            self._known_step = step

    def _run_kernel(self, order, sizes, share):
        """Return the summed loss of an epoch in the numba kernel."""
        group = self.optimizer_.param_groups[0]
        rate, momentum = share * float(group["lr"]), float(group["momentum"])
        weights = self._plan.weigh_steps(
            self._data.sample_weight, sizes, rate, momentum
        )
        if self._kernel is None:
            self._kernel = KernelEpochs(
                self._plan,
                self._data,
                self._mask.numpy(),
                self._penalty,
                shows_result_only=self._watch.recorder is None and not self._is_watched,
            )
        learners = [self._own] if self._twin is None else [self._own, self._twin]
        self._kernel.begin(learners, order, weights, rate, momentum)
        position, total, recorder = 0, 0.0, self._watch.recorder
        while position < order.size:
            stop = self._next_stop(position)
            answers = [
                self._kernel.run(learner, position, stop, self._iteration, recorder)
                for learner in learners
            ]
            position, self._iteration, n_filled, loss = answers[0]
            total += loss
            self._after_records(n_filled)
            self._take_snapshot()
        return total

    def _next_stop(self, position):
        """Return the place in the order up to which the kernel may run in one call."""
        stop = self._kernel.next_stop(position)
        snapshots = self._watch.snapshots
        if snapshots is not None and snapshots.next_iteration is not None:
            due = snapshots.next_iteration - self._iteration
            stop = min(stop, position + due * self._plan.batch_size)
        return stop

    def _run_torch(self, order, sizes, share, acting):
        """Return the summed loss of an epoch in torch."""
        if self._batches is None:
            self._batches = Batches(self._data, self.device)
        bounds = as_tensor(sizes[:, np.newaxis], self.device)
        keeps_rate = not acting and self._own.keeps_rate(self.criterion_)
        if keeps_rate:  # all rows at once
            bounds = self._own.bound_rows(bounds, share, self._plan)
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for *batch, bound in self._batches.run(order, self._plan.batch_size, bounds):
            stop_at_exit()
            if acting:
                self.notify("on_batch_begin", batch=batch[:2], training=True)
            if not keeps_rate:
                bound = self._own.bound_rows(bound, share, self._plan)
            loss, z = self._take_step(batch, bound, share, acting)
            total.add_(loss.detach().reshape(()), alpha=len(z))
            if acting:
                self._end_batch("train", batch[:2], loss, z)
            self._record_step()
        return total.item()

    def _take_step(self, batch, factors, share, acting):
        """Return the loss of a batch and its logits, after a step of all learners."""
        how = self.criterion_, self._penalty, factors
        answer = self._own.compute_gradient(batch, *how)
        if acting:
            self.notify(
                "on_grad_computed",
                named_parameters=list(self.module_.named_parameters()),
                batch=batch[:2],
                training=True,
            )
        self._own.step(share)
        if self._twin is not None:
            self._twin.compute_gradient(batch, *how)
            self._twin.step(share)
        return answer

    def _record_step(self):
        """Record the weights and take a snapshot, if they are due."""
        self._iteration += 1
        recorder = self._watch.recorder
        if recorder is not None and self._iteration % recorder.record_every == 0:
            self._own.record(recorder.n_filled)
            if self._twin is not None:
                self._twin.record(recorder.n_filled)
            self._after_records(recorder.n_filled + 1)
        self._take_snapshot()

    def _after_records(self, n_filled):
        """Close the window if it is full."""
        recorder = self._watch.recorder
        if recorder is None:
            return
        recorder.n_filled = n_filled
        if n_filled == recorder.buffer.shape[0]:
            self._check_finite()
            target = self._watch.target(self.numpy_params())
            if not np.isfinite(target):
                self._refuse_divergence("The target series is no longer finite")
            recorder.close_window(target)

    def _take_snapshot(self):
        """Take a snapshot if one is due."""
        snapshots = self._watch.snapshots
        if snapshots is not None and snapshots.next_iteration == self._iteration:
            self._check_finite()
            snapshots.take(self.numpy_params())

    def _check_finite(self):
        what = f"weights are no longer finite, or beyond {LARGEST_WEIGHT:.0e},"
        if not self._own.is_finite():
            self._refuse_divergence(f"The {what}")
        if self._twin is not None and not self._twin.is_finite():
            other = " or perturbation_size"
            self._refuse_divergence(f"The perturbed twin's {what}", other)

    def _refuse_divergence(self, what, other=""):
        rate = self._plan.learning_rate_init
        lower, momentum = f"{min(rate / 10, 0.01):.3g}", self._plan.momentum
        facts = f"learning_rate_init={rate} and momentum={momentum}"
        advice = f"Use a smaller learning_rate_init (try {lower}){other}."
        limit = 2.0 * (1.0 + momentum)  # of gradient descent on the penalty alone
        is_alpha = self._plan.solver == "sgd" and rate * self._penalty >= limit
        if is_alpha:
            total = self._data.total_weight
            facts += f", and alpha={self._plan.alpha}"
            advice = (
                f"Use an alpha below {limit:g} / learning_rate_init times the number "
                f"of rows, {limit * total / rate:.3g} here, or a smaller "
                "learning_rate_init."
            )
        raise Divergence(
            f"{what} in epoch {len(self.history)}: the training diverges with {facts}.",
            advice,
            is_alpha,
        )


class ClassifierNet(_PrunableNet, NeuralNetClassifier):
    """A skorch classifier; callbacks see class codes 0 to n_classes - 1."""


class RegressorNet(_PrunableNet, NeuralNetRegressor):
    """A skorch regressor; callbacks see the standardised target."""


def _build_net(plan, n_epochs, validation, callbacks):
    """Return a skorch net that is not prepared."""
    net_class = ClassifierNet if plan.is_classifier else RegressorNet
    split = None
    if validation is not None:
        split = predefined_split(Dataset(_for_skorch(validation.X), validation.y))
    return net_class(
        MLPModule,
        module__layer_sizes=plan.layer_sizes,
        module__activation=plan.activation,
        criterion=MLPLoss,
        criterion__loss=plan.loss,
        criterion__out_activation=plan.out_activation,
        criterion__n_outputs=plan.layer_sizes[-1],
        lr=plan.learning_rate_init,
        max_epochs=n_epochs,
        batch_size=plan.batch_size,
        train_split=split,
        callbacks=callbacks,
        predict_nonlinearity=nonlinearity(plan.is_classifier, plan.out_activation),
        use_caching=False,
        verbose=0,
        device=plan.device,
        # data loaders draw from torch's global generator unless they have their own
        iterator_train__generator=torch.Generator("cpu"),
        iterator_valid__generator=torch.Generator("cpu"),
        **optimizer_settings(
            plan.solver, plan.momentum, partial(make_optimizer, torch.optim.SGD)
        ),
    )


def _run_epochs(net, data, validation):
    """Train a prepared net until its epochs are over or a callback ends it."""
    X, y = _for_skorch(data.X), data.y
    with torch.enable_grad():
        with suppress(StopTraining), _explain_missing_valid_loss(validation):
            net.notify("on_train_begin", X=X, y=y)
            # not skorch's fit or partial_fit, which swallow Ctrl-C
            net.fit_loop(X, y)
        with suppress(StopTraining):
            net.notify("on_train_end", X=X, y=y)


def _for_skorch(X):
    """Return rows for skorch, which takes a row of a sparse matrix as a matrix."""
    return csr_matrix(X) if issparse(X) else X


@contextmanager
def _explain_missing_valid_loss(validation):
    """Raise a helpful error if a callback looks for the loss of missing rows."""
    try:
        yield
    # which of these depends on the callback
    except (KeyError, ValueError, SkorchException) as error:
        if validation is not None or "valid_loss" not in str(error):
            raise
        raise ValueError(
            "A callback looks for valid_loss, which needs rows that are held out: set "
            "validation_fraction, for example to 0.2, or let the callback monitor "
            "'train_loss' ('train_loss_best' for a Checkpoint)."
        ) from error


def _plain_history(history):
    """Return one plain dict per epoch that was trained to its end, without batches."""
    return [
        {key: _plain(value) for key, value in epoch.items() if key != "batches"}
        for epoch in history
        if "train_loss" in epoch
    ]


def _plain(value):
    """Turn numbers and arrays of numpy or torch into those of Python."""
    return value.tolist() if hasattr(value, "tolist") else value


@torch.inference_mode(False)  # the caller's may be on
def train(
    plan,
    data,
    params,
    *,
    n_epochs,
    mask,
    seed,
    validation=None,
    watch=Watch(),
    target_score=None,
    callbacks=None,
    epochs=None,
):
    """Train a network from given parameters, under a mask.

    Parameters
    ----------
    plan : TrainingPlan
        Architecture and optimiser.
    data, validation : TrainingData
        Training rows, and rows held out for ``valid_loss`` (or None).
    params : ndarray of shape (n_parameters,)
        Flat initial parameters.
    n_epochs : int
        Epochs, at most.
    mask : ndarray of bool of shape (n_weights,)
        True for the weights that are trained; the others are 0 throughout.
    seed : int
        Of the row order; the same seed repeats it.
    watch : Watch
        What is recorded.
    target_score : float or None
        Stop at the end of the epoch in which the training score reaches it.
    callbacks : list or None
        skorch callbacks, for this training alone.
    epochs : object or None
        Has ``begin()``, called when an epoch begins, and ``end(number, loss, params)``,
        called when it has ended: ``params`` is a function that returns the flat
        parameters, and a true answer ends the training.

    Returns
    -------
    run : TrainingRun
        Parameters, history, and the engine of the last epoch.

    Raises
    ------
    ValueError
        If a weight is no longer finite, ``engine="numba"`` cannot be honoured, or a
        callback would act on one of two twins only.
    """
    callbacks = list(callbacks or ())
    if epochs is not None:
        callbacks.append(("report", Report(epochs)))
    net = _build_net(plan, n_epochs, validation, callbacks)
    net.prepare(
        plan,
        data,
        params,
        mask=mask,
        seed=seed,
        validation=validation,
        watch=watch,
        target_score=target_score,
    )
    _run_epochs(net, data, validation)
    history = _plain_history(net.history)
    if not history:
        raise ValueError(
            "A callback ended the training before its first epoch was over; let it "
            "train for one epoch at least."
        )
    return TrainingRun(net.finish(), history, net.engine_)
