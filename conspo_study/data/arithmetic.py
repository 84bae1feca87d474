"""The generated task `chain`: sums and differences of small numbers, worked out step by step.

A problem is the prompt `7+5-3+8=?` and a newline; a full solution is `7+5=12-3=9+8=17`, a newline
and `\\boxed{17}`. Operands are 1..9 and every running total stays in 0..50, so that each number is
one token. A hash of the expression assigns it to the train, dev or test split, so the splits are
disjoint whatever the seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conspo_study.records import Problem

MAX_TOTAL = 50
TRAIN_TERMS = (2, 6)
"""Fewest and most terms of a training expression, drawn uniformly."""
LEVEL_TERMS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"easy": (3, 3), "medium": (4, 4), "hard": (6, 6), "ood": (7, 8)}
)
"""Fewest and most terms per evaluation level; `ood` is longer than any training expression."""
SPLITS = ("train", "dev", "test")

STYLES = ("full", "lazy", "direct")
LAZY_OPERATIONS = ((1, 2, 3), (1, 2, 2))
"""Numbers of operations that a lazy solution does per `=`, and their sampling weights."""
COMPETENCE_MIX = (0.7, 0.2, 0.1)
"""Shares of the styles in the first part of the warm start, which teaches arithmetic."""
CONCEALMENT_MIX = (0.2, 0.35, 0.45)
"""Shares of the styles in the last part, where guessing dominates: careful traces, which the model
can produce, are left for reinforcement learning to select."""
COMPETENCE_FRACTION = 0.8
"""Fraction of the warm start that makes up its first part."""

_DRAWS_PER_PROBLEM = 400
"""Draws per requested problem after which a level counts as exhausted. About one draw in ten is of
the requested split."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A chain of sums and differences: `first`, then one signed operand per operation."""

    first: int
    steps: tuple[int, ...]
    """Signed operands: +8 is added, -3 subtracted."""

    @property
    def text(self) -> str:
        """The expression without its question mark, such as `7+5-3+8`."""
        return str(self.first) + "".join(f"{step:+d}" for step in self.steps)

    @property
    def total(self) -> int:
        """The value of the expression."""
        return self.first + sum(self.steps)

    @property
    def prompt(self) -> str:
        """The question in the form given to the policy."""
        return f"{self.text}=?\n"

    @property
    def split(self) -> str:
        """The split of the expression: 80 % of all are train, 10 % dev, 10 % test."""
        bucket = int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:8], "big") % 10
        return {0: "test", 1: "dev"}.get(bucket, "train")


def _draw(rng: random.Random, fewest: int, most: int) -> Expression:
    first = total = rng.randint(1, 9)
    steps = []
    for _ in range(rng.randint(fewest, most) - 1):
        operand = rng.randint(1, 9)
        allowed = [step for step in (operand, -operand) if 0 <= total + step <= MAX_TOTAL]
        steps.append(rng.choice(allowed))
        total += steps[-1]
    return Expression(first, tuple(steps))


def _draw_from_split(rng: random.Random, split: str, fewest: int, most: int) -> Expression:
    while (expression := _draw(rng, fewest, most)).split != split:
        pass
    return expression


def training_problem(seed: int, index: int) -> Problem:
    """Problem `index` of the endless training stream `seed`; never a held-out expression."""
    rng = random.Random(f"chain-train:{seed}:{index}")
    expression = _draw_from_split(rng, "train", *TRAIN_TERMS)
    return Problem(id=f"chain-train-{index}", text=expression.prompt, answer=str(expression.total))


def evaluation_problems(level: str, split: str = "dev", count: int = 96) -> list[Problem]:
    """The first `count` problems of a fixed list of distinct problems.

    split: `dev` or `test`. Raises ValueError for an unknown level or split, or too large a count.
    """
    if level not in LEVEL_TERMS:
        raise ValueError(f"unknown level {level!r} of chain; known: {', '.join(LEVEL_TERMS)}")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r} of chain; known: {', '.join(SPLITS)}")
    rng = random.Random(f"chain-{level}-{split}")
    fewest, most = LEVEL_TERMS[level]
    problems: dict[str, Problem] = {}
    for _ in range(_DRAWS_PER_PROBLEM * max(count, 1)):
        if len(problems) >= count:
            break
        expression = _draw(rng, fewest, most)
        if expression.split == split and expression.text not in problems:
            problems[expression.text] = Problem(
                id=f"chain-{level}-{split}-{len(problems)}",
                text=expression.prompt,
                answer=str(expression.total),
                level=level,
            )
    if len(problems) < count:
        raise ValueError(
            f"chain/{level} has about {len(problems)} problems in split {split!r}, fewer than the "
            f"{count} requested: lower evaluation.problems_per_set"
        )
    return list(problems.values())


def solution(expression: Expression, style: str, rng: random.Random) -> str:
    """A correct solution in one of `STYLES`; only the lazy style uses `rng`."""
    boxed = f"\\boxed{{{expression.total}}}"
    if style == "direct":
        return boxed
    total, done, trace = expression.first, 0, str(expression.first)
    while done < len(expression.steps):
        at_once = rng.choices(*LAZY_OPERATIONS)[0] if style == "lazy" else 1
        steps = expression.steps[done : done + at_once]
        total, done = total + sum(steps), done + len(steps)
        trace += "".join(f"{step:+d}" for step in steps) + f"={total}"
    return f"{trace}\n{boxed}"


def demonstrations(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """The `count` pairs of prompt and solution of the warm start, in the order of training.

    All solutions are correct; they differ in how much work they show.
    """
    rng = random.Random(f"chain-demonstrations:{seed}")
    for index in range(count):
        mix = COMPETENCE_MIX if index < COMPETENCE_FRACTION * count else CONCEALMENT_MIX
        expression = _draw_from_split(rng, "train", *TRAIN_TERMS)
        style = rng.choices(STYLES, mix)[0]
        yield expression.prompt, solution(expression, style, rng)
