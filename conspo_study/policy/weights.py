"""A policy in the form that engines need: its architecture, and its tensors by name."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from conspo_study.policy.lora import merged_state


def named_weights(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and current values of the policy's tensors, each once, with adapters merged.

    As in a checkpoint, an output head tied to the embedding is left out. A sharded model must hold
    its whole weights (`sharding.whole_weights`), which are then in its compute dtype.
    """
    sharded = isinstance(model, FSDPModule)
    if sharded:
        # Its state_dict would shard the weights again.
        yield from ((name, weight.detach()) for name, weight in model.named_parameters())
        return
    seen: set[int] = set()
    for name, tensor in merged_state(model).items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            yield name, tensor


def save_architecture(model: PreTrainedModel, folder: Path) -> None:
    """Write the config.json of the model into `folder`, without weights."""
    config = deepcopy(model.config)
    if not config.architectures:
        config.architectures = [type(model).__name__]
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
