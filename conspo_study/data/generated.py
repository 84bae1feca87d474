"""Generated tasks: endless training problems, and held-out ones for evaluation.

A hash of a problem assigns it to the train, dev or test split, so the splits are disjoint whatever
the seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass

from conspo_study.records import Problem

SPLITS = ("train", "dev", "test")
TRAINING = "train"
"""Level of the problems that are trained on, for `GeneratedTask.draw`."""

_DRAWS_PER_PROBLEM = 400
"""Draws per requested problem after which a level counts as exhausted. About one draw in ten is of
the requested split."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One problem of a task."""

    key: str
    """Text that distinguishes it from all other problems of the task."""
    text: str
    answer: str

    @property
    def split(self) -> str:
        """The split of the problem: 80 % of all are train, 10 % dev, 10 % test."""
        return split_of(self.key)


def split_of(key: str) -> str:
    """The split of the problem with this key."""
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 10
    return {0: "test", 1: "dev"}.get(bucket, "train")


@dataclass(frozen=True, slots=True)
class GeneratedTask:
    """A task whose problems are drawn at random."""

    name: str
    levels: tuple[str, ...]
    """Names of the levels that are evaluated, written as `name/level`."""
    draw: Callable[[random.Random, str], Drawn]
    """(random numbers, a level or `TRAINING`) -> a problem of any split."""

    def training_problem(self, seed: int, index: int) -> Problem:
        """Problem `index` of the endless training stream `seed`; never a held-out one."""
        rng = random.Random(f"{self.name}-train:{seed}:{index}")
        while (drawn := self.draw(rng, TRAINING)).split != "train":
            pass
        return Problem(id=f"{self.name}-train-{index}", text=drawn.text, answer=drawn.answer)

    def evaluation_problems(self, level: str, split: str = "dev", count: int = 96) -> list[Problem]:
        """The first `count` problems of a fixed list of distinct problems.

        split: `dev` or `test`. Raises ValueError for an unknown level or split, or too large a
        count.
        """
        if level not in self.levels:
            known = ", ".join(self.levels)
            raise ValueError(f"unknown level {level!r} of {self.name}; known: {known}")
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r} of {self.name}; known: {', '.join(SPLITS)}")
        rng = random.Random(f"{self.name}-{level}-{split}")
        problems: dict[str, Problem] = {}
        for _ in range(_DRAWS_PER_PROBLEM * max(count, 1)):
            if len(problems) >= count:
                break
            drawn = self.draw(rng, level)
            if drawn.split == split and drawn.key not in problems:
                problems[drawn.key] = Problem(
                    id=f"{self.name}-{level}-{split}-{len(problems)}",
                    text=drawn.text,
                    answer=drawn.answer,
                    level=level,
                )
        if len(problems) < count:
            raise ValueError(
                f"{self.name}/{level} has about {len(problems)} problems in split {split!r}, fewer "
                f"than the {count} requested: lower evaluation.problems_per_set or final_problems"
            )
        return list(problems.values())
