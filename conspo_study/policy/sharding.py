"""Shards one model over the workers of a trial: each holds a part of every weight (FSDP2).

Shards, their gradients and the optimiser's state are float32. A decoder layer's whole weights exist
only while that layer computes, in its compute dtype. Gradients are reduce-scattered as they are
computed: each worker keeps the sum over all workers for its shard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from conspo_study.policy.logprobs import SHARDED_METHOD, token_logprobs


def shard(
    model: PreTrainedModel, workers: int, precision: str = "float32", device: str = "cpu"
) -> None:
    """Replace the whole weights of `model`, equal on all workers, by this worker's shard on
    `device`. Collective.

    The model may be on the CPU: layers move to the device one by one, so the device never holds the
    whole model. Raises ValueError for a model that does not name its decoder layers.
    """
    names = set(model._no_split_modules or ())
    layers = [module for module in model.modules() if type(module).__name__ in names]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} does not declare its decoder layers, by which it would be "
            "sharded: use another model or set train.sharding=replicate"
        )
    lower = torch.bfloat16 if precision == "bfloat16" else None
    mesh = init_device_mesh(device, (workers,))
    precise = torch.float32 if lower else None  # dtype of gradient sums; None: that of the weights
    policy = MixedPrecisionPolicy(param_dtype=lower, reduce_dtype=precise)
    for module in [*layers, model]:
        # Reshard the root, too: weights gathered in a pass without gradients would otherwise stay,
        # and be stale after the next update.
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        # Losses divide by sums over all workers, so gradients are added, not averaged; gloo
        # supports no other reduction.
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    setattr(model, SHARDED_METHOD, MethodType(token_logprobs, model))
    register_fsdp_forward_method(model, SHARDED_METHOD)


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Gather all weights of a sharded model on every worker inside the block, for sampling.

    Entering and leaving the block are collective; inside, workers compute independently. It needs
    memory for the whole weights in the compute dtype, besides the worker's shard. A model that is
    not sharded is unaffected.
    """
    parts = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def full_state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Iterate over names and whole tensors of the model's state, as constants.

    Tensors are float32 and on the model's device. Those of a model that is not sharded are its own,
    to be read but not kept; those of a sharded one are gathered one by one. That is collective:
    every worker must iterate to the end.
    """
    for name, tensor in model.state_dict().items():
        yield name, tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def save_sharded_policy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rank: int,
    workers: int,
    folder: Path,
) -> None:
    """Write a sharded model and its tokenizer as one transformers folder. Collective.

    Each worker writes some of the tensors as a whole, so no worker needs memory or time for all of
    them, and the folder loads like any other.
    """
    stored = dict(model.named_parameters())
    # Tied weights have one name in the parameters and several in the state.
    others = {name for name, _ in model.named_parameters(remove_duplicate=False)} - stored.keys()
    state = model.state_dict()
    total = sum(state[name].nbytes for name in state.keys() - others)
    files: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    before = 0
    for name, tensor in full_state(model):
        if name in others:
            continue
        owner = before * workers // total
        before += tensor.nbytes
        files[name] = f"model-{owner + 1:05d}-of-{workers:05d}.safetensors"
        if owner == rank:
            tensors[name] = tensor.to("cpu", copy=True).contiguous()
    if tensors:
        save_file(tensors, folder / files[next(iter(tensors))], metadata={"format": "pt"})
    if rank == 0:
        index = {"metadata": {"total_size": total}, "weight_map": files}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), "utf-8")
        model.config.save_pretrained(folder)
        if model.generation_config is not None:
            model.generation_config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
