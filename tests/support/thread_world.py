"""Data-parallel workers as threads of one process: fast, and each with its own model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from conspo_study.update.wire import decoded, encoded
from conspo_study.update.world import World

PATIENCE_S = 30


@dataclass
class Board:
    """Where the workers leave what the others gather."""

    items: list[Any]
    barrier: threading.Barrier


@dataclass(frozen=True)
class ThreadWorld(World):
    """A `World` whose every operation goes through a board that the workers share."""

    board: Board = field(default_factory=lambda: Board([None], threading.Barrier(1)))

    def gather(self, item):
        return [decoded(message) for message in self._exchanged(encoded(item))]

    def _exchanged(self, item):
        self.board.items[self.rank] = item
        self.board.barrier.wait(PATIENCE_S)
        items = list(self.board.items)
        self.board.barrier.wait(PATIENCE_S)  # nobody writes the next item before all have read
        return items

    def sum(self, values):
        return [sum(column) for column in zip(*self.gather(list(values)), strict=True)]

    def sum_gradients(self, parameters):
        parameters = list(parameters)
        grads = self._exchanged([None if p.grad is None else p.grad.clone() for p in parameters])
        for parameter, found in zip(parameters, zip(*grads, strict=True), strict=True):
            parameter.grad = sum(grad for grad in found if grad is not None)


def run_threads(size: int, work: Callable[[World], Any]) -> list[Any]:
    """`work(world)` of each of `size` workers, by rank. Raises what a worker raised."""
    board = Board([None] * size, threading.Barrier(size))

    def run(rank: int) -> Any:
        try:
            return work(ThreadWorld(rank, size, board=board))
        except BaseException:
            board.barrier.abort()  # the others would wait in vain
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(run, rank) for rank in range(size)]
        errors = [e for future in futures if (e := future.exception())]
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    if errors:
        raise errors[0]
    return [future.result() for future in futures]
