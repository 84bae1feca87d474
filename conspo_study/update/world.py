"""The data-parallel workers of a trial, seen from one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from conspo_study.records import Part, add_parts

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class World:
    """Worker `rank` of `size`. With one worker every operation is the identity.

    All operations are collective: every worker must call them, in the same order.
    """

    rank: int = 0
    size: int = 1

    def sum(self, values: Iterable[float]) -> list[float]:
        """Element-wise sum over workers, in float64."""
        tensor = torch.tensor(list(values), dtype=torch.float64)
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor.tolist()

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add the gradients of all workers, in place, as one flat buffer per dtype.

        A parameter without gradient counts as zero, so that a worker without groups takes part.
        """
        if self.size == 1:
            return
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            by_dtype.setdefault(parameter.dtype, []).append(parameter.grad)
        for grads in by_dtype.values():
            flat = torch.cat([grad.reshape(-1) for grad in grads])
            dist.all_reduce(flat)
            for grad, total in zip(
                grads, torch.split(flat, [g.numel() for g in grads]), strict=True
            ):
                grad.copy_(total.view_as(grad))

    def copy_from_first(self, parameters: Iterable[Tensor]) -> None:
        """Give all workers the values of rank 0: warm starts of two machines may differ by
        rounding, and replicas that differ at the start stay different for ever."""
        if self.size > 1:
            with torch.no_grad():
                for parameter in parameters:
                    dist.broadcast(parameter, src=0)

    def gather(self, item: Item) -> list[Item]:
        """The items of all workers, by rank."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        dist.all_gather_object(items, item)
        return items

    def metrics(self, parts: Mapping[str, Part]) -> dict[str, float]:
        """Exact metrics over workers: parts are added before they are divided or compared.

        Workers may know different names (one without groups knows none); empty ones are left out.
        """
        merged: dict[str, Part] = {}
        for found in self.gather(dict(parts)):
            add_parts(merged, found)
        values = {name: part.value for name, part in merged.items()}
        return {name: value for name, value in values.items() if value is not None}
