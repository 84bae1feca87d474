"""A GPU that is pretended on a CPU, to find mistakes about devices where there is no GPU.

Its tensors hold their values on the CPU, say that they are on the device `pretended:0`, and refuse
what those of a real GPU refuse: to meet tensors of the CPU in one operation, unless these are
scalars or indices, and to become arrays of numpy. Every operation is computed by the CPU's kernel,
so results are the CPU's, up to the rounding of operations that are taken apart.

Importing this registers the device and replaces some functions of torch, for the whole process:
only for processes of their own.
"""

import torch
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "pretended"
CPU = torch.device("cpu")
aten = torch.ops.aten
waits = []
"""Every wait for the device, by its position among the operations that it was asked for."""
operations = 0
"""How many operations the device was asked for."""


class _Stream:
    def synchronize(self):
        waits.append(operations)


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]

    def current_stream(self, device=None):
        return _Stream()


_setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
DEVICE = torch.device(NAME, 0)


def _pretended(device):
    return device is not None and torch.device(device).type == NAME


class OnDevice(torch.Tensor):
    """A tensor on the device; its values are those of `inner`."""

    @staticmethod
    def __new__(cls, inner, requires_grad=False):
        made = torch.Tensor._make_subclass(
            cls, inner.detach(), requires_grad, dispatch_device=True, device_for_backend_keys=DEVICE
        )
        made.inner = inner
        return made

    def __repr__(self):
        return f"OnDevice({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})


class PretendedGpu(TorchDispatchMode):
    """A block in which tensors can be made on the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        # Outside of inference mode, autograd has taken composite operations apart already.
        if torch.is_inference_mode_enabled() and _is_composite(func):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return _computed(func, args, kwargs)


def _is_composite(func):
    key = "CompositeImplicitAutograd"
    named = func.name()
    return func is not _DEVICE_OF and torch._C._dispatch_has_kernel_for_dispatch_key(named, key)


_DEVICE_OF = torch.ops.prim.device.default
_COPIES = {aten._to_copy.default, aten.copy_.default, aten._copy_from.default}
_INDEXED = {
    aten.index.Tensor: 2,
    aten.index_put_.default: 2,
    aten.index_put.default: 2,
    aten._index_put_impl_.default: 2,
}
"""Operations with indices, which may be on the CPU, and the position of the values to put."""


def _computed(func, args, kwargs):
    """The result of an operation, by the CPU, on the device that it belongs to."""
    global operations
    if func is _DEVICE_OF:
        return DEVICE
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    here = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    asked = kwargs.get("device")
    if func is aten.copy_.default:
        on_device = isinstance(args[0], OnDevice)
    else:
        on_device = bool(here) if asked is None else _pretended(asked)
    if here and func not in _COPIES:
        _refuse_company(func, args, tensors)
    operations += bool(here) or on_device
    if _pretended(asked):
        kwargs = {**kwargs, "device": CPU}
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    args = tuple(CPU if isinstance(arg, torch.device) and _pretended(arg) else arg for arg in args)
    found = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if func._schema.is_mutable and args and found is _inner(args[0]):
        return args[0]  # an operation in place
    if not on_device:
        return found
    return tree_map(lambda t: OnDevice(t) if type(t) is torch.Tensor else t, found)


def _refuse_company(func, args, tensors):
    """Raise RuntimeError for an operation on tensors of the device and of the CPU."""
    if func in _INDEXED:
        if not isinstance(args[0], OnDevice):
            raise RuntimeError(f"{func}: a tensor of the CPU is indexed by one of {DEVICE}")
        tensors = [arg for arg in args[2:] if isinstance(arg, torch.Tensor)]
    if any(not isinstance(tensor, OnDevice) and tensor.dim() for tensor in tensors):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, {DEVICE}")


def _inner(value):
    return value.inner if isinstance(value, OnDevice) else value


def _with_index(value):
    """A device by name gets its index, which torch would ask a real backend for."""
    named = isinstance(value, (str, torch.device))
    return DEVICE if named and _pretended(value) else value


_device_constructors()  # remembers torch.tensor for blocks under `torch.device`, before it changes
_to, _numpy, _tolist = torch.Tensor.to, torch.Tensor.numpy, torch.Tensor.tolist
_tensor, _module_to = torch.tensor, torch.nn.Module.to


def _moved(self, *args, **kwargs):
    named = {key: _with_index(value) for key, value in kwargs.items()}
    return _to(self, *map(_with_index, args), **named)


def _as_array(self, *args, **kwargs):
    if isinstance(self, OnDevice):
        raise TypeError(f"a tensor of {DEVICE} is no array of numpy; use Tensor.cpu() first")
    return _numpy(self, *args, **kwargs)


def _as_list(self):
    return _tolist(_inner(self))


def _made(data, *args, **kwargs):
    if _pretended(kwargs.get("device")):
        return _tensor(data, *args, **{**kwargs, "device": CPU}).to(DEVICE)
    return _tensor(data, *args, **kwargs)


def _module_moved(self, *args, **kwargs):
    """Module.to assigns to `.data`, which tensors of two classes cannot do."""
    place = args[0] if args else kwargs.get("device")
    if not isinstance(place, (str, torch.device)) or not _pretended(place):
        return _module_to(self, *args, **kwargs)
    moved = {}  # tied weights stay one tensor
    for module in self.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and not isinstance(parameter, OnDevice):
                if id(parameter) not in moved:
                    copy = OnDevice(parameter.detach().clone())
                    moved[id(parameter)] = torch.nn.Parameter(copy, parameter.requires_grad)
                module._parameters[name] = moved[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None and not isinstance(buffer, OnDevice):
                module._buffers[name] = OnDevice(buffer.detach().clone())
    return self


torch.Tensor.to, torch.Tensor.numpy, torch.Tensor.tolist = _moved, _as_array, _as_list
torch.tensor, torch.nn.Module.to = _made, _module_moved
