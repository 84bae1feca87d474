"""Which problem is trained on when.

The order is a function of the seed and the position alone, so a resumed run needs no state.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from conspo_study.data.arithmetic import training_problem
from conspo_study.records import Problem


class TrainingStream(Protocol):
    """An endless sequence of training problems that can be entered anywhere."""

    def problem(self, position: int) -> Problem:
        """The problem at `position` = 0, 1, 2, ...; always the same one."""
        ...


class ChainStream:
    """The generated task: new problems for ever."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def problem(self, position: int) -> Problem:
        """See `TrainingStream`."""
        return training_problem(self._seed, position)


class ShuffledStream:
    """A list of problems, each visited once per epoch, in a new order every epoch."""

    def __init__(self, problems: Sequence[Problem], seed: int) -> None:
        if not problems:
            raise ValueError("there are no problems to train on")
        self._problems = problems
        self._seed = seed

    def problem(self, position: int) -> Problem:
        """See `TrainingStream`."""
        return self._problems[problem_index(self._seed, position, len(self._problems))]


def problem_index(seed: int, position: int, size: int) -> int:
    """Which of `size` problems stands at `position` of the endless shuffled order `seed`."""
    epoch, offset = divmod(position, size)
    return _permutation(seed, epoch, size)[offset]


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, size: int) -> tuple[int, ...]:
    order = list(range(size))
    random.Random(f"order:{seed}:{epoch}").shuffle(order)
    return tuple(order)
