"""skorch callbacks: which act inside a batch, which ended a training, our own."""

import dis
from functools import lru_cache

from skorch.callbacks import (
    Callback,
    EpochScoring,
    LRScheduler,
    PassthroughScoring,
    ProgressBar,
)

_BATCH_EVENTS = ("on_batch_begin", "on_batch_end", "on_grad_computed")

# What these do in a batch may be left out: EpochScoring collects predictions, which our
# nets tell it not to do (use_caching=False), and ProgressBar draws.
_MAY_MISS_BATCHES = (Callback, EpochScoring, ProgressBar)


class StopTraining(Exception):
    """Raised to end a training early; what was trained is kept."""


def acts_in_batches(callback):
    """Return whether a callback, an instance or a class, must see every batch."""
    kind = callback if isinstance(callback, type) else type(callback)
    steps_in_epochs = (
        isinstance(callback, LRScheduler) and callback.step_every == "epoch"
    )
    return _kind_acts_in_batches(kind, steps_in_epochs)


@lru_cache  # asked several times in every epoch
def _kind_acts_in_batches(kind, steps_in_epochs):
    exempt = _MAY_MISS_BATCHES
    if steps_in_epochs:
        exempt += (LRScheduler,)
    return any(
        getattr(kind, event) not in [getattr(other, event) for other in exempt]
        for event in _BATCH_EVENTS
    )


def is_raised_by_callback(error):
    """Return whether a callback raised this KeyboardInterrupt, as EarlyStopping does.

    Ctrl-C lands between any two instructions of any code; only a deliberate ``raise``
    in a callback's own method ends on a raise instruction there.
    """
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    operation = frame.f_code.co_code[trace.tb_lasti]
    owner = frame.f_locals.get("self")
    return dis.opname[operation] == "RAISE_VARARGS" and isinstance(owner, Callback)


class Report(Callback):
    """Report epochs to ``epochs``; comes after the user's callbacks."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_begin(self, net, **kwargs):
        """Report that an epoch begins."""
        self.epochs.begin()

    def on_epoch_end(self, net, **kwargs):
        """Report that an epoch has ended; end the training if asked to."""
        net.settle()  # the user's callbacks come before
        loss = net.history[-1, "train_loss"]
        if self.epochs.end(len(net.history), loss, net.numpy_params):
            raise StopTraining


# Callbacks of every training, after which there is nothing to take over.
NEVER_WRITE = (Report, PassthroughScoring)
