"""One model spread over the workers of a trial: each holds its share of every weight (FSDP2).

The shares are float32, and so are their gradients and the optimiser's state. A decoder layer's
whole weights exist only while that layer computes, in the dtype that it computes in. Gradients are
scattered as they arise: each worker keeps the sum over all workers of its share.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

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

from conspo_study.policy.logprobs import SHARDED_METHOD, token_logprobs


def shard(model: Any, workers: int, precision: str = "float32", device: str = "cpu") -> None:
    """Replace the whole weights of `model`, equal on all workers, by this worker's share on
    `device`. Collective.

    The model may still lie on the CPU: layers move to the device one by one, so that the device
    never holds the whole. Raises ValueError for a model that does not name its decoder layers.
    """
    names = set(model._no_split_modules or ())
    layers = [module for module in model.modules() if type(module).__name__ in names]
    if not layers:
        raise ValueError(
            f"{type(model).__name__} does not say which of its modules are layers, which sharding "
            "divides it by: use another model or train.sharding=replicate"
        )
    lower = torch.bfloat16 if precision == "bfloat16" else None
    mesh = init_device_mesh(device, (workers,))
    precise = torch.float32 if lower else None  # of sums of gradients; None: as the weights
    policy = MixedPrecisionPolicy(param_dtype=lower, reduce_dtype=precise)
    for module in [*layers, model]:
        # Also the root: weights that outlived a forward pass without gradients would be stale
        # after the next update.
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=True)
        # Losses divide by sums over all workers, so gradients are added, not averaged. gloo knows
        # no other reduction.
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    setattr(model, SHARDED_METHOD, MethodType(token_logprobs, model))
    register_fsdp_forward_method(model, SHARDED_METHOD)


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Hold all weights of a sharded model on every worker, for sampling. Collective at both ends.

    Inside, workers compute independently of each other. It needs memory for the whole weights in
    the dtype that the model computes in, beside the worker's share. Nothing happens to a model that
    is not sharded.
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
    """Names and whole tensors of the model's state, one after the other; constants.

    Tensors are float32 and on the model's device. Those of a model that is not sharded are its own,
    to be read and not kept; those of a sharded one are fetched from all workers when asked for.
    That is collective: every worker must go through all of them, whatever it does with them.
    """
    for name, tensor in model.state_dict().items():
        yield name, tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def save_sharded_policy(model: Any, tokenizer: Any, rank: int, workers: int, folder: Path) -> None:
    """Write a sharded model and its tokenizer as one transformers folder. Collective.

    Each worker writes some of the tensors, whole, so that no worker needs memory or time for all
    of them and the folder can be loaded as any other.
    """
    stored = dict(model.named_parameters())
    # Tied weights have one name among the parameters and several in the state.
    others = {name for name, _ in model.named_parameters(remove_duplicate=False)} - stored.keys()
    state = model.state_dict()
    total = sum(state[name].nbytes for name in state.keys() - others)
    files: dict[str, str] = {}
    own: dict[str, Tensor] = {}
    before = 0
    for name, tensor in full_state(model):
        if name in others:
            continue
        owner = before * workers // total
        before += tensor.nbytes
        files[name] = f"model-{owner + 1:05d}-of-{workers:05d}.safetensors"
        if owner == rank:
            own[name] = tensor.to("cpu", copy=True).contiguous()
    if own:
        save_file(own, folder / files[next(iter(own))], metadata={"format": "pt"})
    if rank == 0:
        index = {"metadata": {"total_size": total}, "weight_map": files}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), "utf-8")
        model.config.save_pretrained(folder)
        if model.generation_config is not None:
            model.generation_config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
