"""Uses of memory, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conspo_study.text import size_text

ON_GPU, IN_MEMORY = "GPU memory", "memory"
PROCESS_BYTES = 500_000_000
"""Memory of a worker without a policy: Python, PyTorch, transformers and Ray, or a CUDA
context."""


@dataclass(frozen=True, slots=True)
class Item:
    """One use of memory."""

    name: str
    bytes: float
    arithmetic: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a worker: what is always there, and the largest of its activities, which take
    turns."""

    where: str
    """`GPU memory` or `memory`."""
    standing: tuple[Item, ...]
    updating: tuple[Item, ...]
    """Of the passes over a micro-batch."""
    stepping: tuple[Item, ...]
    """Of the optimiser's step."""
    sampling: tuple[Item, ...]
    sending: tuple[Item, ...]
    """Of weights on their way to vLLM engines."""
    host: tuple[Item, ...]
    """Main memory of a worker on a GPU, and of the engine beside it."""

    @property
    def bytes(self) -> float:
        """Total at the peak."""
        return total(self.standing) + max(total(items) for _, items in self.activities())

    @property
    def host_bytes(self) -> float:
        """Main memory at the peak; 0 where `where` is main memory."""
        return total(self.host)

    def activities(self) -> Iterator[tuple[str, tuple[Item, ...]]]:
        """The activities, in the order of a step, in words that follow `more`."""
        yield "in an update", self.updating
        yield "in an optimiser step", self.stepping
        yield "while sampling", self.sampling
        yield "while sending weights", self.sending

    def peak(self) -> tuple[str, list[Item]]:
        """The activity at the peak, and all items there, largest first."""
        when, items = max(self.activities(), key=lambda activity: total(activity[1]))
        return when, sorted((*self.standing, *items), key=lambda item: -item.bytes)

    def lines(self) -> list[str]:
        """The total and its arithmetic, for people."""
        more = ", ".join(
            f"{size_text(total(items))} more {when}" for when, items in self.activities() if items
        )
        standing = size_text(total(self.standing))
        lines = [f"about {size_text(self.bytes)} of {self.where}: {standing} all the time, {more}"]
        for when, items in (
            ("", self.standing),
            ("update: ", self.updating),
            ("optimiser step: ", self.stepping),
            ("sampling: ", self.sampling),
            ("sending weights: ", self.sending),
        ):
            lines += [f"{when}{size_text(i.bytes)} {i.name} = {i.arithmetic}" for i in items]
        return lines

    def host_lines(self) -> list[str]:
        """The main memory beside a GPU and its arithmetic, for people; none without a GPU."""
        if not self.host:
            return []
        lines = [f"about {size_text(self.host_bytes)} of main memory beside the GPU"]
        return lines + [f"{size_text(i.bytes)} {i.name} = {i.arithmetic}" for i in self.host]


def total(items: Sequence[Item]) -> float:
    """Bytes of all items."""
    return sum(item.bytes for item in items)
