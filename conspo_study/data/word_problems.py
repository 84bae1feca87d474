"""The generated task `word_problems`: short stories about things that are counted, each with a
question whose answer takes one addition or multiplication, or two.

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
    a, b = of.number(3, 20), of.number(2, 9)
    return f"{of.one} has {a} {of.things} and buys {b} more. {_how_many(of)}", a + b


def _more(of: _Story) -> tuple[str, int]:
    a, b = of.number(3, 20), of.number(2, 9)
    text = f"{of.other} has {a} {of.things}. {of.one} has {b} more than {of.other}."
    return f"{text} {_how_many(of)}", a + b


def _together(of: _Story) -> tuple[str, int]:
    a, b = of.number(3, 20), of.number(2, 9)
    return f"{of.one} has {a} {of.things} and {of.other} has {b}. {_of_both(of)}", a + b


def _boxes(of: _Story) -> tuple[str, int]:
    a, b = of.number(2, 9), of.number(2, 9)
    return f"{of.one} has {a} boxes with {b} {of.things} each. {_how_many(of)}", a * b


def _price(of: _Story) -> tuple[str, int]:
    a, b = of.number(2, 9), of.number(2, 9)
    text = f"{of.one} buys {a} {of.things} for {b} dollars each."
    return f"{text} How many dollars does {of.one} pay?", a * b


def _times(of: _Story) -> tuple[str, int]:
    a, b = of.number(2, 9), of.number(2, 9)
    text = f"{of.other} has {a} {of.things}. {of.one} has {b} times as many."
    return f"{text} {_how_many(of)}", a * b


def _boxes_and_more(of: _Story) -> tuple[str, int]:
    a, b, c = of.number(2, 9), of.number(2, 9), of.number(2, 9)
    text = f"{of.one} has {a} boxes with {b} {of.things} each and buys {c} more."
    return f"{text} {_how_many(of)}", a * b + c


def _two_gains(of: _Story) -> tuple[str, int]:
    a, b, c = of.number(3, 20), of.number(2, 9), of.number(2, 9)
    text = f"{of.one} has {a} {of.things}, buys {b} more and gets {c} from {of.other}."
    return f"{text} {_how_many(of)}", a + b + c


def _more_together(of: _Story) -> tuple[str, int]:
    a, b = of.number(3, 20), of.number(2, 9)
    text = f"{of.one} has {a} {of.things}. {of.other} has {b} more than {of.one}."
    return f"{text} {_of_both(of)}", a + (a + b)


def _times_together(of: _Story) -> tuple[str, int]:
    a, b = of.number(2, 9), of.number(2, 9)
    text = f"{of.one} has {a} {of.things}. {of.other} has {b} times as many."
    return f"{text} {_of_both(of)}", a + a * b


def _how_many(of: _Story) -> str:
    return f"How many {of.things} does {of.one} have?"


def _of_both(of: _Story) -> str:
    return f"How many {of.things} do they have together?"


LEVELS: Mapping[str, tuple[Callable[[_Story], tuple[str, int]], ...]] = MappingProxyType(
    {
        "one_step": (_gain, _more, _together, _boxes, _price, _times),
        "two_steps": (_boxes_and_more, _two_gains, _more_together, _times_together),
    }
)
"""Kinds of problems of each level, drawn uniformly. Only the first level is trained on."""


def _problem(rng: random.Random, level: str) -> Drawn:
    kinds = LEVELS["one_step" if level == TRAINING else level]
    text, answer = rng.choice(kinds)(_Story(rng))
    return Drawn(text, text, str(answer))


WORD_PROBLEMS = GeneratedTask("word_problems", tuple(LEVELS), _problem)
