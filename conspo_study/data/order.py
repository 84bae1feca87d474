"""The order of training problems.

It is a function of seed and position alone, so a resumed run needs no state.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from conspo_study.data.generated import GeneratedTask
from conspo_study.records import Problem


class TrainingStream(Protocol):
    """An endless sequence of training problems with random access."""

    def problem(self, position: int) -> Problem:
        """The problem at `position` = 0, 1, 2, ...; always the same one."""
        ...


class GeneratedStream:
    """A generated task: an endless stream of new problems."""

    def __init__(self, task: GeneratedTask, seed: int) -> None:
        self._task = task
        self._seed = seed

    def problem(self, position: int) -> Problem:
        """See `TrainingStream`."""
        return self._task.training_problem(self._seed, position)


class ShuffledStream:
    """A list of problems, each visited once per epoch, reshuffled every epoch."""

    def __init__(self, problems: Sequence[Problem], seed: int) -> None:
        if not problems:
            raise ValueError("there are no problems to train on")
        self._problems = problems
        self._seed = seed

    def problem(self, position: int) -> Problem:
        """See `TrainingStream`."""
        return self._problems[problem_index(self._seed, position, len(self._problems))]


def problem_index(seed: int, position: int, size: int) -> int:
    """Index, among `size` problems, of the one at `position` of the endless shuffled order
    `seed`."""
    epoch, offset = divmod(position, size)
    return _permutation(seed, epoch, size)[offset]


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, size: int) -> tuple[int, ...]:
    order = list(range(size))
    random.Random(f"order:{seed}:{epoch}").shuffle(order)
    return tuple(order)
