"""A policy in the form that engines need: its architecture, and its tensors by name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import torch
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel

from conspo_study.policy.cache import cached_folder
from conspo_study.policy.lora import merged_state


def named_weights(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and current values of the policy's tensors, each once, with adapters merged one by one.

    As in a checkpoint, an output head tied to the embedding is left out. A sharded model must hold
    its whole weights (`sharding.whole_weights`), which are then in its compute dtype.
    """
    sharded = isinstance(model, FSDPModule)
    if sharded:
        # Its state_dict would shard the weights again.
        yield from ((name, weight.detach()) for name, weight in model.named_parameters())
        return
    seen: set[int] = set()
    for name, tensor, merged in merged_state(model):
        if not merged:  # the memory of merged weights is used again for others
            if tensor.data_ptr() in seen:
                continue
            seen.add(tensor.data_ptr())
        yield name, tensor


def architecture_folder(model: PreTrainedModel) -> Path:
    """A folder with the config.json of the model, without weights, written now if not cached.

    Models of one architecture have one folder, whatever trial they belong to: vLLM keeps what it
    compiles by the folder's path.
    """
    config = deepcopy(model.config)
    if not config.architectures:
        config.architectures = [type(model).__name__]
    name = hashlib.sha256(config.to_json_string(use_diff=False).encode()).hexdigest()[:16]
    return cached_folder(f"architecture-{name}", config.save_pretrained, print)
