"""Assumed speeds of GPUs. None of these numbers has been measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

GIB = 2**30
TOKENS_PER_S: Mapping[str, float] = MappingProxyType(
    {"transformers": 3_000 * 1.78e9, "vllm": 12_000 * 1.78e9}
)
"""v x N of a full engine on a GPU of 80 GB, by engine: a plausible rate with a 1.5B model."""
FLOPS: Mapping[str, float] = MappingProxyType({"float32": 2.5e13, "bfloat16": 2.5e14})
"""f: about 40 % of the float32 rate of an H100, and a quarter of its bfloat16 rate."""
BYTES_PER_S = 2e12
"""Weights that a GPU of 80 GB reads from its memory in a second: 60 % of an H100's."""
STEP_S: Mapping[str, float] = MappingProxyType({"transformers": 0.03, "vllm": 0.006})
"""Seconds of a decoding step beside reading the weights, by engine: launching kernels."""
SYNC_S = 3.0
"""Seconds in which a vLLM engine wakes and receives weights, before every draw."""
START_S: Mapping[str, float] = MappingProxyType({"transformers": 30.0, "vllm": 150.0})
"""Seconds in which a trial starts: processes, model, the engine's compilation and graphs."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed of a class of GPUs."""

    least: int
    """GiB of the smallest of the class."""
    relative: float
    """Speed of arithmetic and memory, against a GPU of 80 GB."""
    like: str


SPEEDS = (
    Speed(60, 1.0, "an H100"),
    Speed(36, 0.4, "an A100 of 40 GB"),
    Speed(0, 0.2, "an A10 or RTX 4090"),
)
"""Classes of GPUs by their memory, largest first."""


def speed_of(gpu_bytes: int | None) -> Speed:
    """The class of a GPU of this size; None: the largest."""
    if gpu_bytes is None:
        return SPEEDS[0]
    return next(speed for speed in SPEEDS if gpu_bytes >= speed.least * GIB)
