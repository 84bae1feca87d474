"""The generated task `chain`: sums and differences of small numbers, worked out step by step.

A problem is the prompt `7+5-3+8=?` and a newline; a full solution is `7+5=12-3=9+8=17`, a newline
and `\\boxed{17}`. Operands are 1..9 and every running total stays in 0..50, so that each number is
one token.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conspo_study.data.generated import TRAINING, Drawn, GeneratedTask, split_of

MAX_TOTAL = 50
TRAIN_TERMS = (2, 6)
"""Fewest and most terms of a training expression, drawn uniformly."""
LEVEL_TERMS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"easy": (3, 3), "medium": (4, 4), "hard": (6, 6), "ood": (7, 8)}
)
"""Fewest and most terms per evaluation level; `ood` is longer than any training expression."""
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
        """The split of the expression."""
        return split_of(self.text)


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


def _problem(rng: random.Random, level: str) -> Drawn:
    terms = TRAIN_TERMS if level == TRAINING else LEVEL_TERMS[level]
    expression = _draw(rng, *terms)
    return Drawn(expression.text, expression.prompt, str(expression.total))


CHAIN = GeneratedTask("chain", tuple(LEVEL_TERMS), _problem)


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
