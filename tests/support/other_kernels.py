"""A pytest plugin, `-p other_kernels`: matrix products round as those of another CPU may.

Kernels differ in the order in which they add. Here every element of a product moves by up to the
rounding of a sum in the plainest order, by a share that the element's own bits decide: equal
operands give equal results, as on any one CPU, and operands in another batch give others.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

_ERROR = 0.35
"""Of eps times the sum of the products' sizes: what adding one by one hardly exceeds."""
_BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
_library = torch.library.Library("aten", "IMPL")


def _rounded_otherwise(name: str, *tensors: Tensor, **scales: Any) -> Tensor:
    """The operation's result, the same to rounding."""
    dtype = tensors[0].dtype
    if dtype == torch.bfloat16:  # products are summed in float32, as by any kernel
        return _rounded_otherwise(name, *(t.float() for t in tensors), **scales).to(dtype)
    product, sizes = _computed(name, tensors, scales), _computed(name, map(torch.abs, tensors), {})
    mixed = product.view(_BITS[dtype]).long() * 0x2545F4914F6CDD1D
    mixed = (mixed ^ (mixed >> 29)) * 0x1B873593CC9E2D51
    shares = (mixed >> 11).remainder(1 << 20).to(dtype) / (1 << 19) - 1
    return product + shares * sizes * (_ERROR * torch.finfo(dtype).eps)


def _computed(name: str, tensors: Any, scales: dict[str, Any]) -> Tensor:
    # The variant with `out` is an operation of its own, which is not replaced.
    *_, left, right = tensors = tuple(tensors)
    out = left.new_empty(*left.shape[:-1], right.shape[-1])
    getattr(torch.ops.aten, name).out(*tensors, **scales, out=out)
    return out


for _name in ("mm", "addmm", "bmm", "baddbmm"):
    _library.impl(_name, partial(_rounded_otherwise, _name), "CPU")
torch.backends.cuda.enable_flash_sdp(False)  # attention then is of products, also on a CPU
