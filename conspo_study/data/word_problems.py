"""The generated task `word_problems`: short stories about things that are counted, each with a
question whose answer takes one operation or two.

    Mia has 4 boxes with 6 pens each. How many pens does Mia have?          24

Every number, the answer included, is in 1..99.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from conspo_study.data.generated import TRAINING, Drawn, GeneratedTask

NAMES = ("Anna", "Ben", "Emma", "Jack", "Lily", "Mia", "Sam", "Tom")
THINGS = ("apples", "balls", "books", "cards", "coins", "cups", "eggs", "pens")


class _Story:
    """Two people, a thing, and numbers that are drawn as they are asked for."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.one, self.other = rng.sample(NAMES, 2)
        self.things = rng.choice(THINGS)

    def number(self, least: int, most: int) -> int:
        return self._rng.randint(least, most)


def _gain(of: _Story) -> tuple[str, int]:
    a, b = of.number(3, 60), of.number(2, 39)
    return f"{of.one} has {a} {of.things} and buys {b} more. {_how_many(of)}", a + b


def _loss(of: _Story) -> tuple[str, int]:
    a = of.number(10, 60)
    b = of.number(2, a - 1)
    return f"{of.one} has {a} {of.things} and gives {b} to {of.other}. {_left(of)}", a - b


def _product(of: _Story) -> tuple[str, int]:
    a, b = of.number(2, 9), of.number(2, 9)
    return f"{of.one} has {a} boxes with {b} {of.things} each. {_how_many(of)}", a * b


def _share(of: _Story) -> tuple[str, int]:
    a, b = of.number(2, 9), of.number(2, 9)
    question = f"How many {of.things} does each friend get?"
    return f"{of.one} shares {a * b} {of.things} among {a} friends. {question}", b


def _more(of: _Story) -> tuple[str, int]:
    a, b = of.number(3, 60), of.number(2, 39)
    text = f"{of.other} has {a} {of.things}. {of.one} has {b} more than {of.other}."
    return f"{text} {_how_many(of)}", a + b


def _fewer(of: _Story) -> tuple[str, int]:
    a = of.number(10, 60)
    b = of.number(2, a - 1)
    text = f"{of.other} has {a} {of.things}. {of.one} has {b} fewer than {of.other}."
    return f"{text} {_how_many(of)}", a - b


def _product_and_gain(of: _Story) -> tuple[str, int]:
    a, b, c = of.number(2, 9), of.number(2, 9), of.number(2, 18)
    text = f"{of.one} has {a} boxes with {b} {of.things} each and buys {c} more."
    return f"{text} {_how_many(of)}", a * b + c


def _product_and_loss(of: _Story) -> tuple[str, int]:
    a, b = of.number(2, 9), of.number(3, 9)
    c = of.number(2, a * b - 1)
    text = f"{of.one} buys {a} bags of {b} {of.things} and gives {c} to {of.other}."
    return f"{text} {_left(of)}", a * b - c


def _loss_and_gain(of: _Story) -> tuple[str, int]:
    a = of.number(10, 60)
    b, c = of.number(2, a - 1), of.number(2, 39)
    text = f"{of.one} has {a} {of.things}, loses {b} of them and finds {c} others."
    return f"{text} {_how_many(of)}", a - b + c


def _together(of: _Story) -> tuple[str, int]:
    a, b = of.number(3, 30), of.number(2, 39)
    text = f"{of.one} has {a} {of.things}. {of.other} has {b} more than {of.one}."
    return f"{text} How many {of.things} do they have together?", 2 * a + b


def _how_many(of: _Story) -> str:
    return f"How many {of.things} does {of.one} have?"


def _left(of: _Story) -> str:
    return f"How many {of.things} does {of.one} have left?"


LEVELS: Mapping[str, tuple[Callable[[_Story], tuple[str, int]], ...]] = MappingProxyType(
    {
        "one_step": (_gain, _loss, _product, _share, _more, _fewer),
        "two_steps": (_product_and_gain, _product_and_loss, _loss_and_gain, _together),
    }
)
"""Kinds of problems of each level, drawn uniformly. Only the first level is trained on."""


def _problem(rng: random.Random, level: str) -> Drawn:
    kinds = LEVELS["one_step" if level == TRAINING else level]
    text, answer = rng.choice(kinds)(_Story(rng))
    return Drawn(text, text, str(answer))


WORD_PROBLEMS = GeneratedTask("word_problems", tuple(LEVELS), _problem)
