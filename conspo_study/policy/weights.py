"""A policy as others see it who build the same model: its architecture, and its tensors by name."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule

from conspo_study.policy.lora import merged_state


def named_weights(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a checkpoint of the policy, with their present values, each once: merged, if
    it has adapters.

    An output head that is tied to the embedding is not among them, as in a checkpoint. A sharded
    model must hold its weights as a whole (`sharding.whole_weights`); they are then in the dtype
    that it computes in.
    """
    sharded = isinstance(model, FSDPModule)
    if sharded:
        # Its state_dict would divide the weights again.
        yield from ((name, weight.detach()) for name, weight in model.named_parameters())
        return
    seen: set[int] = set()
    for name, tensor in merged_state(model).items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            yield name, tensor


def save_architecture(model: Any, folder: Path) -> None:
    """Write the config.json of the model into `folder`, without any weights."""
    config = deepcopy(model.config)
    if not config.architectures:
        config.architectures = [type(model).__name__]
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
