"""Weights on their way to engines on the same machine, through memory without a name.

The memory is freed by the kernel when nobody has it open any more: nothing is left behind by a
process that is killed, and the size of /dev/shm, which containers keep small, is no limit.
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
"""The name under which vLLM's configuration refers to the receiving end."""
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
"""The safetensors format's names of number formats."""


class SharedMemoryChannel:
    """A `WeightChannel`: one copy of the weights in `dtype`, which all engines read."""

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

    The library's own function wants a folder to write into, or a second copy of all of them.
    """
    found = list(tensors)
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in found:
        start, end = end, end + tensor.numel() * dtype.itemsize
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    file.write(len(text).to_bytes(8, "little") + text)
    for _, tensor in found:
        plain = tensor.detach().to("cpu", dtype).contiguous().reshape(-1)
        file.write(plain.view(torch.uint8).numpy().data)
