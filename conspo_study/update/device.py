"""The device that a policy trains on, and waiting for it."""

from __future__ import annotations

import torch

CPU = torch.device("cpu")
GPU = "cuda"
"""Type of the device of a worker with a GPU."""


def device_of(gpus: float) -> torch.device:
    """The device of a training worker with this many GPUs, or a share of one: the current GPU, or
    the CPU for none."""
    return torch.device(GPU) if gpus else CPU


def wait_for(device: torch.device) -> None:
    """Wait until the device has done what this thread has asked for. A GPU's work is only begun by
    the calls that ask for it; a CPU's is done when they return.

    Not for other streams, which may hold a transfer to an engine that is lost.
    """
    if device.type != "cpu":
        torch.get_device_module(device).current_stream(device).synchronize()
