"""The peak memory of a training process."""

from __future__ import annotations

import torch

from conspo_study.update.resident import peak_resident_bytes

GIB = 2**30


def peak_memory_gib(device: torch.device) -> float:
    """Peak memory since the process began, in GiB: of PyTorch's tensors on a GPU, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    return peak_resident_bytes() / GIB
