"""The data-parallel workers of a trial, seen from one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from conspo_study.records import Part, add_parts
from conspo_study.update.wire import MalformedMessage, decoded, encoded

Item = TypeVar("Item")
BUCKET_ELEMENTS = 1 << 24
"""Elements of gradients that are added up at once: 64 MiB in float32, enough to make the start of a
message cheap, and the only memory that the sum needs."""

_START_BYTES = 4096
"""Of a message with its length, exchanged at once; most messages have no more."""
MOST_BYTES = 1 << 31
"""Of one worker's message; the responses of a step are some hundred megabytes at most."""


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
        """The items of all workers, by rank: of the types that `wire` knows.

        Raises RuntimeError, naming the worker, on all workers for a message beyond `MOST_BYTES` and
        for one that is malformed.
        """
        if self.size == 1:
            return [item]
        message = encoded(item)
        starts = self._of_all(len(message).to_bytes(8, "little") + message, _START_BYTES)
        lengths = [int.from_bytes(start[:8], "little") for start in starts]
        for rank, length in enumerate(lengths):
            if length > MOST_BYTES:
                raise RuntimeError(f"worker {rank} announced a message of {length} bytes")
        rest = max(lengths) + 8 - _START_BYTES
        rests = self._of_all(message[_START_BYTES - 8 :], rest) if rest > 0 else [b""] * self.size
        items = []
        for rank, length in enumerate(lengths):
            try:
                items.append(decoded((starts[rank][8:] + rests[rank])[:length]))
            except MalformedMessage as error:
                raise RuntimeError(f"worker {rank} sent a malformed message: {error}") from error
        return items

    def _of_all(self, text: bytes, size: int) -> list[bytes]:
        """The first `size` bytes of each worker's text, with zeros after a shorter one."""
        mine = torch.frombuffer(bytearray(text[:size].ljust(size, b"\0")), dtype=torch.uint8)
        found = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(found, mine)
        return [each.numpy().tobytes() for each in found]

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
