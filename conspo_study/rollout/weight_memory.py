"""Sends weights to engines on the same machine, through anonymous shared memory.

The kernel frees the memory when no process has it open: a killed process leaves nothing behind, and
the size of /dev/shm, which containers keep small, is no limit.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, BinaryIO

import torch

from conspo_study.rollout.engine import PolicyWeights
from conspo_study.rollout.engine_actor import memory_path
from conspo_study.rollout.engine_pool import EngineProcess
from conspo_study.rollout.weight_shapes import KnownShapes, Shapes

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
"""Names of data types in the safetensors format."""


class SharedMemoryChannel:
    """A `WeightChannel` with one copy of the weights in `dtype`, which all engines read."""

    def __init__(self, dtype: torch.dtype):
        self._dtype = dtype
        self._shapes = KnownShapes()

    @contextmanager
    def sending(
        self, weights: PolicyWeights, version: str, engines: Mapping[int, EngineProcess]
    ) -> Iterator[dict[int, Future[Any]]]:
        """See `WeightChannel`."""
        memory = os.memfd_create("weights")
        with os.fdopen(memory, "wb") as file:
            write_tensors(file, self._shapes.of(weights), weights.tensors(), self._dtype)
            file.flush()
            details = {"path": memory_path(memory)}
            yield {
                number: engine.call("load_weights", details, version)
                for number, engine in engines.items()
            }


def write_tensors(
    file: BinaryIO,
    shapes: Shapes,
    tensors: Iterable[tuple[str, torch.Tensor]],
    dtype: torch.dtype,
) -> None:
    """Write `tensors`, which have these names and shapes, in the safetensors format, as `dtype`.

    The library's own function needs a folder to write into or a second copy of all tensors; here
    each is written when its turn comes. Raises ValueError for a tensor that is not the announced
    one.
    """
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes:
        start, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of 8 bytes
    file.write(len(text).to_bytes(8, "little") + text)
    for (name, shape), (found, tensor) in zip(shapes, tensors, strict=True):
        if (name, shape) != (found, tuple(tensor.shape)):
            raise ValueError(f"{found} {tuple(tensor.shape)} comes where {name} {shape} should")
        plain = tensor.detach().to("cpu", dtype).contiguous().reshape(-1)
        file.write(plain.view(torch.uint8).numpy().data)
