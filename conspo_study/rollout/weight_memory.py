"""Sends weights to engines on the same machine, through anonymous shared memory.

The kernel frees the memory when no process has it open: a killed process leaves nothing behind, and
the size of /dev/shm, which containers keep small, is no limit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, BinaryIO

import torch

from conspo_study.rollout.engine import PolicyWeights
from conspo_study.rollout.engine_actor import memory_path
from conspo_study.rollout.engine_pool import EngineProcess

SHARED_MEMORY = "conspo_shared_memory"
"""Name of the receiving side in vLLM's configuration."""
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
"""Names of data types in the safetensors format."""


class SharedMemoryChannel:
    """A `WeightChannel` with one copy of the weights in `dtype`, which all engines read."""

    def __init__(self, dtype: torch.dtype):
        self._dtype = dtype

    @contextmanager
    def sending(
        self, weights: PolicyWeights, version: str, engines: Mapping[int, EngineProcess]
    ) -> Iterator[dict[int, Future[Any]]]:
        """See `WeightChannel`."""
        memory = os.memfd_create("weights")
        with os.fdopen(memory, "wb") as file:
            write_tensors(file, weights.tensors(), self._dtype)
            file.flush()
            details = {"path": memory_path(memory)}
            yield {
                number: engine.call("load_weights", details, version)
                for number, engine in engines.items()
            }


def write_tensors(
    file: BinaryIO, tensors: Iterable[tuple[str, torch.Tensor]], dtype: torch.dtype
) -> None:
    """Write `tensors` in the safetensors format, as `dtype`.

    The library's own function needs a folder to write into or a second copy of all tensors.
    """
    named = list(tensors)
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in named:
        start, end = end, end + tensor.numel() * dtype.itemsize
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of 8 bytes
    file.write(len(text).to_bytes(8, "little") + text)
    for _, tensor in named:
        plain = tensor.detach().to("cpu", dtype).contiguous().reshape(-1)
        file.write(plain.view(torch.uint8).numpy().data)
