"""The data-parallel workers of a trial, seen from one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from conspo_study.records import Part, add_parts

Item = TypeVar("Item")
BUCKET_ELEMENTS = 1 << 24
"""Elements of gradients that are added up at once: 64 MiB in float32, enough to make the start of a
message cheap, and the only memory that the sum needs."""


@dataclass(frozen=True, slots=True)
class World:
    """Worker `rank` of `size`. With one worker every operation is the identity.

    All operations are collective: every worker must call them, in the same order.
    """

    rank: int = 0
    size: int = 1
    sharded: bool = False
    """True when each worker holds a share of every weight. All workers then score and
    back-propagate together, and gradients come out of that already added up."""

    def sum(self, values: Iterable[float]) -> list[float]:
        """Element-wise sum over workers, in float64."""
        tensor = torch.tensor(list(values), dtype=torch.float64)
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor.tolist()

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add the gradients of all workers, in place, in flat buffers of many parameters each.

        A parameter without gradient counts as zero, so that a worker without groups takes part.
        """
        if self.size == 1 or self.sharded:
            return
        for bucket in _buckets(parameters):
            grads = [_gradient(parameter) for parameter in bucket]
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

    def together(self, work: Callable[[], Item]) -> Item:
        """The result of `work()` on this worker. When it raises on one worker it raises on all, so
        that none waits for another that will not come.

        Raises what `work` raised here, or RuntimeError naming the workers on which it failed.
        """
        if self.size == 1:
            return work()
        error: Exception | None = None
        try:
            result = work()
        except Exception as raised:
            error = raised
        failures = self.gather(None if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        failed = [f"worker {rank}: {text}" for rank, text in enumerate(failures) if text]
        if failed:
            raise RuntimeError("; ".join(failed))
        return result

    def metrics(self, parts: Mapping[str, Part]) -> dict[str, float]:
        """Exact metrics over workers: parts are added before they are divided or compared.

        Workers may know different names (one without groups knows none); empty ones are left out.
        """
        merged: dict[str, Part] = {}
        for of_worker in self.gather(dict(parts)):
            add_parts(merged, of_worker)
        values = {name: part.value for name, part in merged.items()}
        return {name: value for name, value in values.items() if value is not None}


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(parameters: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Parameters of one dtype together, at most `BUCKET_ELEMENTS` unless one alone is larger."""
    open_buckets: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        bucket = open_buckets.setdefault(parameter.dtype, [])
        if bucket and sum(map(Tensor.numel, bucket)) + parameter.numel() > BUCKET_ELEMENTS:
            yield bucket
            bucket = open_buckets[parameter.dtype] = []
        bucket.append(parameter)
    yield from open_buckets.values()
