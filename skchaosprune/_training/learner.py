"""A module with its optimiser, mask and momentum: the trained network, or its twin."""

import torch

from skchaosprune._training.plan import LARGEST_WEIGHT

# Where torch keeps what others have registered.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_GRADIENT_HOOKS = "_backward_hooks", "_post_accumulate_grad_hooks"
_HOOKS += ("_backward_pre_hooks", *_GRADIENT_HOOKS)
_HOOKS += ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


class Learner:
    """A module, what updates it, and the buffer that its weights are recorded in.

    Parameters
    ----------
    module : MLPModule
        Gets the initial parameters.
    optimizer : torch.optim.Optimizer
        Optimiser of the module.
    params : torch.Tensor of shape (n_parameters,)
        Flat initial parameters.
    mask : torch.Tensor of shape (n_weights,)
        1.0 for the weights that are trained, 0.0 for those that stay zero.
    buffer : ndarray of shape (window_size, n_weights) or None
        One window of records.

    Attributes
    ----------
    weights : torch.Tensor of shape (n_weights,)
        View of the weights in the module's parameters.
    velocity : torch.Tensor of shape (n_parameters,)
        Momentum of SGD, which the kernel and the optimiser share.
    has_new_optimizer : bool
        Whether a callback replaced the optimiser.
    """

    def __init__(self, module, optimizer, params, mask, buffer):
        self.module, self.optimizer, self.buffer = module, optimizer, buffer
        self.has_new_optimizer = False
        self._mask, self._pruned = mask, mask == 0.0
        self._is_dense = not self._pruned.any()
        self._coefs = [*module.coefs]
        self._parts = [*self._coefs, *module.intercepts]
        self._views = [part.data for part in self._parts]
        self._flat = module.flat
        module.flat.copy_(params)
        self.weights = module.flat[: mask.numel()]
        self.weights.mul_(mask)
        self.velocity = torch.zeros_like(module.flat)
        if isinstance(optimizer, torch.optim.SGD):
            for part, velocity in self._parts_of_velocity():
                optimizer.state[part]["momentum_buffer"] = velocity

    def _parts_of_velocity(self):
        """Pair each parameter of the module with its part of ``velocity``."""
        sizes = [part.numel() for part in self._parts]
        velocities = torch.split(self.velocity, sizes)
        for part, velocity in zip(self._parts, velocities, strict=True):
            yield part, velocity.view(part.shape)

    def shares_velocity(self):
        """Return whether the optimiser keeps its momentum in ``velocity``."""
        for part, velocity in self._parts_of_velocity():
            buffer = self.optimizer.state[part].get("momentum_buffer")
            if buffer is None or buffer.data_ptr() != velocity.data_ptr():
                return False
        return True

    def is_all_of(self, parts):
        """Return whether these are the parameters of the module, in any order."""
        return set(map(id, parts)) == set(map(id, self._parts))

    def has_hooks(self, loss):
        """Return whether torch calls code of others in a step."""
        owners = [self.module, loss, self.optimizer, *self._parts]
        has_any = any(getattr(owner, name, None) for owner in owners for name in _HOOKS)
        step = vars(self.optimizer).get("step")
        is_ours = step is None or hasattr(step, "_wrapped_by_lr_sched")
        replaced = "forward" in vars(self.module) or "forward" in vars(loss)
        return has_any or replaced or not is_ours

    def keeps_rate(self, loss):
        """Return whether the rate stays as it is unless a callback acts in a batch."""
        return type(self.optimizer) is torch.optim.SGD and not self.has_hooks(loss)

    def bound_rows(self, sizes, share, plan):
        """Return the factors of the rows of a batch, at a share of the rate.

        None where nothing is bounded, as with another optimiser than SGD. Groups of
        parameters have the factors of the one with the largest steps.
        """
        if not isinstance(self.optimizer, torch.optim.SGD):
            return None
        groups = self.optimizer.param_groups
        rate = share * max(group["lr"] for group in groups)
        return plan.bound_rows(sizes, rate, max(g["momentum"] for g in groups))

    def compute_gradient(self, batch, loss_function, penalty, factors):
        """Return the loss of a batch and its logits, with the gradient in place.

        ``penalty`` is what the gradient gains per unit of a weight, ``factors`` what
        the gradients of the rows are multiplied by, ``(n_rows, 1)`` or None.
        """
        X, _, targets, sample_weight = batch
        self.optimizer.zero_grad()
        z = self.module(X)
        if factors is not None and z.requires_grad:
            z.register_hook(lambda slopes: slopes * factors)
        loss = loss_function(z, targets, sample_weight)
        if penalty > 0.0 and self._has_gradient_hooks():
            squares = sum(torch.sum(W * W) for W in self._coefs)
            (loss + 0.5 * penalty * squares).backward()
            return loss, z
        loss.backward()
        if penalty > 0.0:  # the same in fewer operations
            self._add_penalty(penalty)
        return loss, z

    def _has_gradient_hooks(self):
        """Return whether others see, or change, the gradient of weights as it comes."""
        return any(getattr(W, name) for W in self._coefs for name in _GRADIENT_HOOKS)

    @torch.no_grad()
    def _add_penalty(self, penalty):
        """Add the gradient of the penalty to that of the loss."""
        coefs = [W for W in self._coefs if W.requires_grad]
        for W in coefs:
            if W.grad is None:  # the loss does not reach it
                W.grad = torch.zeros_like(W)
        if coefs:  # one operation; torch.optim has no public one either
            torch._foreach_add_([W.grad for W in coefs], coefs, alpha=penalty)

    def step(self, share):
        """Take one step at a share of the rate; masked weights stay zero."""
        groups = self.optimizer.param_groups if share < 1.0 else []
        groups = [group for group in groups if "lr" in group]
        rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = share * rate
        self.optimizer.step()
        for group, rate in zip(groups, rates, strict=True):
            # the step itself may have changed it
            is_as_set = group["lr"] == share * rate
            group["lr"] = rate if is_as_set else group["lr"] / share
        if not self._is_dense:
            self.weights.mul_(self._mask)

    def check_parts(self, module):
        """Raise ValueError if the module or one of its parameters is another object."""
        parts = [*module.coefs, *module.intercepts] if module is self.module else []
        if not self.is_all_of(parts):
            raise ValueError(
                "A callback replaced the module or one of its parameters, and the fit "
                "would go on with the old ones. Write the values into the parameters, "
                "as in net.module_.coefs[0].data.copy_(values)."
            )

    def settle(self, optimizer):
        """Take over what callbacks have written; masked weights are zero again.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            The one to step from now on.
        """
        moved = [
            (part, view, part.data.clone())  # which may be another view of ours
            for part, view in zip(self._parts, self._views, strict=True)
            if not part.is_set_to(view)
        ]
        for part, view, values in moved:  # somebody assigned to part.data
            _check_shape(part, view)
            view.copy_(values)
            part.data = view
        if self.module.flat is not self._flat:  # module.cpu() and its kin make another
            self.module.flat = self._flat
        self.weights.masked_fill_(self._pruned, 0.0)
        self.has_new_optimizer |= optimizer is not self.optimizer
        self.optimizer = optimizer

    def record(self, row):
        """Copy the weights into a row of the buffer."""
        self.buffer[row] = self.weights.detach().cpu().numpy()

    def follow(self, other):
        """Take over the optimiser's settings and the frozen parameters of another."""
        for own_group, group in zip(
            self.optimizer.param_groups, other.optimizer.param_groups, strict=True
        ):
            own_group.update({key: group[key] for key in group if key != "params"})
        for own_part, part in zip(
            self.module.parameters(), other.module.parameters(), strict=True
        ):
            own_part.requires_grad_(part.requires_grad)

    def state(self):
        """Return a copy of the parameters and of the momentum of SGD."""
        return torch.cat([self.module.flat, self.velocity])

    def is_finite(self):
        """Return whether no parameter is NaN or beyond ``LARGEST_WEIGHT``."""
        return bool((self.module.flat.abs() <= LARGEST_WEIGHT).all())


def _check_shape(part, view):
    if part.shape != view.shape:
        raise ValueError(
            f"A callback gave a parameter of shape {tuple(view.shape)} values of shape "
            f"{tuple(part.shape)}; the shape of a network cannot change in a fit."
        )
