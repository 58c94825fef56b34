"""Choice of the engine: the numba kernel, or torch where that does something else."""

import torch

from skchaosprune._text import brief, shorten
from skchaosprune._training.callbacks import acts_in_batches
from skchaosprune._training.module import MLPLoss


def first_obstacle_to_kernel(plan, callbacks):
    """Return why a planned training cannot run in the numba kernel, or None."""
    if plan.engine == "torch":
        return "engine='torch' was asked for"
    if plan.solver != "sgd":
        return f"the solver is {brief(plan.solver)}, not 'sgd'"
    if not plan.is_on_cpu:
        return f"device={brief(plan.device)} is not the CPU"
    for callback in callbacks or ():
        if isinstance(callback, tuple | list):
            callback = callback[1]
        if acts_in_batches(callback):
            kind = callback if isinstance(callback, type) else type(callback)
            return f"callback {shorten(kind.__name__)} acts inside a batch"
    return None


def first_obstacle_in_optimizer(learner):
    """Return why the next epoch cannot run in the numba kernel, or None.

    Callbacks may have changed the optimiser of the learner, or replaced it.
    """
    optimizer = learner.optimizer
    if type(optimizer) is not torch.optim.SGD:
        return (
            f"a callback replaced the optimiser by {shorten(type(optimizer).__name__)}"
        )
    if not all(part.requires_grad for part in learner.module.parameters()):
        return "some parameters are frozen"
    if len(optimizer.param_groups) != 1:
        return "the optimiser has several parameter groups"
    group = optimizer.param_groups[0]
    if not learner.is_all_of(group["params"]):
        return "the optimiser updates some of the parameters only"
    for name in ("dampening", "weight_decay", "nesterov", "maximize"):
        if group[name]:
            return f"the optimiser's {name} is {group[name]}"
    if group["momentum"] and not learner.shares_velocity():
        return "a callback replaced the optimiser or its momentum"
    return None


def first_obstacle_in_modules(learner, loss, plan):
    """Return why the next epoch cannot run in the numba kernel, or None.

    Callbacks may have changed what torch computes.
    """
    if learner.module.activation != plan.activation:
        return "a callback changed the activation"
    if type(loss) is not MLPLoss:
        return f"a callback replaced the loss by {shorten(type(loss).__name__)}"
    planned = plan.loss, plan.out_activation, plan.layer_sizes[-1]
    if (loss.loss, loss.out_activation, loss.n_outputs) != planned:
        return "a callback changed the loss"
    if learner.has_hooks(loss):
        return "a callback added hooks, or replaced a method"
    return None


def explain_obstacle(obstacle):
    """Return the error message of ``engine="numba"`` where torch is needed."""
    return (
        f"engine='numba' cannot be honoured: {obstacle}. Use engine='auto' or "
        "engine='torch'."
    )


def check_device(device):
    """Raise a ValueError if torch does not know a device, or has no float64 there."""
    reason = "it is not a name or a torch.device"
    if isinstance(device, str | torch.device):
        try:
            torch.zeros(1, dtype=torch.float64, device=device).cpu()
            return
        except (RuntimeError, AssertionError, TypeError) as error:
            reason = shorten(str(error).splitlines()[0], 300)
    raise ValueError(
        f"device={brief(device)} cannot be used: {reason}. Use 'cpu', or 'cuda' where "
        "torch finds a GPU."
    )
