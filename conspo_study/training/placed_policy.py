"""A policy on the device that trains it, whole or as this worker's shard."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from conspo_study.config import RunConfig
from conspo_study.policy.load import load_policy
from conspo_study.policy.sharding import shard
from conspo_study.update.device import device_of
from conspo_study.update.world import World


def load_placed(
    config: RunConfig, folder: Path, world: World
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The policy in `folder`, the same on all workers, and its tokenizer. Collective. Raises as
    `load_policy`."""
    model, tokenizer = load_policy(config.policy, folder)
    world.copy_from_first(model.parameters())
    device = device_of(config.train.gpus_per_worker)
    if world.sharded:
        shard(model, world.size, config.policy.precision, device.type)
    else:
        model.to(device)
    return model, tokenizer
