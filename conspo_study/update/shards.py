"""Reading and writing this worker's share of tensors that are sharded over all workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard

from conspo_study.update.world import World


def own_part(tensor: Tensor) -> Tensor:
    """The rows of a sharded tensor that this worker holds, else the tensor; shares its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor. Collective if it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_name(stem: str, world: World) -> str:
    """Name of this worker's safetensors file; `stem.safetensors` unless the world is sharded."""
    part = f"-{world.rank + 1:05d}-of-{world.size:05d}" if world.sharded else ""
    return f"{stem}{part}.safetensors"


def load_weights(model: nn.Module, folder: Path) -> None:
    """Fill the model from the `model*.safetensors` of a transformers folder, in place.

    A worker of a sharded model reads its rows only. Raises ValueError naming a tensor that is
    missing, that the model does not have or whose shape differs; SafetensorError and OSError for a
    file that cannot be read.
    """
    targets = model.state_dict()
    missing = dict(targets)
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118, the handle is no mapping
                if name not in targets:
                    raise ValueError(f"{path.name} holds {name!r}, which the model does not have")
                _fill(targets[name], file, name)
                missing.pop(name, None)
    filled = {own_part(targets[name]).data_ptr() for name in targets.keys() - missing.keys()}
    # Tied weights are stored once, under one of their names.
    lost = [name for name, tensor in missing.items() if own_part(tensor).data_ptr() not in filled]
    if lost:
        raise ValueError(f"{folder.name} lacks {lost[0]!r} and {len(lost) - 1} other tensors")


def _fill(target: Tensor, file: Any, name: str) -> None:
    shape = tuple(file.get_slice(name).get_shape())
    if shape != tuple(target.shape):
        raise ValueError(f"{name!r} has shape {shape}, the model's has {tuple(target.shape)}")
    part = own_part(target)
    with torch.no_grad():
        if part.shape == target.shape:
            part.copy_(file.get_tensor(name))
        elif len(part):
            start = _first_row(target)
            part.copy_(file.get_slice(name)[start : start + len(part)])


def _first_row(tensor: Tensor) -> int:
    """Index of the first row that this worker holds of a tensor that is divided by rows."""
    assert isinstance(tensor, DTensor) and tensor.placements == (Shard(0),)
    rank, workers = tensor.device_mesh.get_local_rank(), tensor.device_mesh.size()
    return min(rank * -(-len(tensor) // workers), len(tensor))
