"""A torch device in software that refuses what a GPU does, and computes on the CPU.

Tensors on it are no tensors of the CPU for torch: they have no memory that numpy can
see, and an operation on tensors of both raises an error. Sums and products come out
with other last bits than on the CPU, the same ones every time. So code that passes here
is likely to do so on a GPU, of which there may be none.

:func:`register` changes torch for the whole process, and comes before the first
gradient is computed there.
"""

import gc

import torch
from torch.utils import _pytree as pytree

NAME = "software"

# What a GPU adds up in another order.
ROUNDED = {"addmm", "dot", "mean", "mm", "sum", "_log_softmax"}
ROUNDED |= {"_log_softmax_backward_data"}


class SoftwareTensor(torch.Tensor):
    """A tensor on the device; ``on_cpu`` holds its numbers, also those of a view."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    n_reads = 0  # how often numbers have gone to the CPU, which waits for them

    @staticmethod
    def __new__(cls, on_cpu):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            on_cpu.size(),
            strides=on_cpu.stride(),
            storage_offset=on_cpu.storage_offset(),
            dtype=on_cpu.dtype,
            device=torch.device(NAME, 0),
        )
        tensor.on_cpu = on_cpu
        return tensor

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, operation._schema.name
        if name == "aten::copy_":
            cls.n_reads += not isinstance(args[0], SoftwareTensor)
            _numbers(args[0]).copy_(_numbers(args[1]))
            return args[0]
        if name == "aten::_to_copy":
            is_read = torch.device(kwargs.pop("device", NAME)).type == "cpu"
            cls.n_reads += is_read
            copy = operation(args[0].on_cpu, **kwargs)
            return copy if is_read else cls(copy)
        if name == "aten::_local_scalar_dense":
            cls.n_reads += 1
            return operation(args[0].on_cpu)
        return _compute(operation, args, kwargs)

    @property
    def data(self):
        """As of any tensor."""
        return super().data

    @data.setter
    def data(self, other):
        torch.Tensor.data.__set__(self, other)
        self.on_cpu = other.on_cpu

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copy = SoftwareTensor(self.on_cpu.clone())
            if isinstance(self, torch.nn.Parameter):
                copy = torch.nn.Parameter(copy, self.requires_grad)
            memo[id(self)] = copy
        return memo[id(self)]

    def __repr__(self):
        return f"SoftwareTensor({self.on_cpu})"


def _numbers(tensor):
    return tensor.on_cpu if isinstance(tensor, SoftwareTensor) else tensor


def _compute(operation, args, kwargs):
    """Compute on the CPU, and wrap what comes out; what was changed stays itself."""
    leaves, structure = pytree.tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    scalars = [] if _writes(operation) else [0]  # welcome from the CPU, as on a GPU
    for tensor in tensors:
        is_here = isinstance(tensor, SoftwareTensor)
        if not is_here and tensor.ndim not in scalars:
            raise RuntimeError(f"{operation} of tensors on {NAME} and on the CPU")
    places = [
        torch.device("cpu") if isinstance(leaf, torch.device) else _numbers(leaf)
        for leaf in leaves
    ]
    args, kwargs = pytree.tree_unflatten(places, structure)
    result = operation(*args, **kwargs)
    known = {id(_numbers(tensor)): tensor for tensor in tensors}
    if isinstance(result, torch.Tensor) and id(result) in known:
        return known[id(result)]
    if operation._schema.name.removeprefix("aten::") in ROUNDED:
        result = _round_otherwise(result)
    return pytree.tree_map_only(torch.Tensor, SoftwareTensor, result)


def _round_otherwise(numbers):
    """Change the last bit of about half of the numbers."""
    is_changed = (numbers.contiguous().view(torch.int64) & 2) != 0
    return torch.where(is_changed, numbers * (1.0 + 2.0**-52), numbers)


def _writes(operation):
    """Return whether an operation writes into its first argument."""
    alias = operation._schema.arguments[0].alias_info
    return alias is not None and alias.is_write


def _make_factory(operation):
    def make(*args, device=None, pin_memory=None, **kwargs):
        return SoftwareTensor(operation(*args, device="cpu", **kwargs))

    return make


def register():
    """Let ``torch.device("software")`` be one."""
    torch.utils.backend_registration._setup_privateuseone_for_python_backend(NAME)
    register.library = torch.library.Library("aten", "IMPL")  # lives as long as this
    for name in ("empty.memory_format", "empty_strided"):
        packet, _, overload = name.partition(".")
        operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
        register.library.impl(name, _make_factory(operation), "PrivateUse1")


def count_bytes():
    """Count the bytes of all tensors on the device, those of views as well."""
    gc.collect()
    objects = gc.get_objects()  # of which isinstance would wake some up
    tensors = [each for each in objects if issubclass(type(each), SoftwareTensor)]
    return sum(tensor.on_cpu.nbytes for tensor in tensors)
