"""The kinds of answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from conspo_study.reward.reading.numerals import Numeral
from conspo_study.reward.reading.units import NO_UNIT, Unit


@dataclass(frozen=True, slots=True)
class Garbage:
    """A text that says nothing: empty, without letters and digits, or with open brackets."""


@dataclass(frozen=True, slots=True)
class Formula:
    """Mathematics that only computer algebra can compare, in plain layout."""

    text: str
    unit: Unit = NO_UNIT


@dataclass(frozen=True, slots=True)
class Words:
    """A name, a word, or a run of capital letters."""

    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A letter of a multiple choice, with what is written behind it."""

    letter: str
    rest: Reading | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of the day; half is `a`, `p` or empty."""

    hours: int
    minutes: int
    half: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """Numbers between colons."""

    parts: tuple[Numeral, ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A value with its name: `x = 5`, `f(x) = 2x`."""

    name: str
    value: Reading


@dataclass(frozen=True, slots=True)
class Chain:
    """Two or more sides that are said to be equal, in plain layout."""

    sides: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Several:
    """Two or more answers; kind is `list`, `set` or `tuple`: only tuples have an order."""

    parts: tuple[Reading, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers between two ends, of which an infinite one counts as open."""

    low: Reading
    high: Reading
    low_open: bool
    high_open: bool
    source: str = field(default="", compare=False)
    """The inequality of which these are the solutions; empty for an interval."""


@dataclass(frozen=True, slots=True)
class Union:
    """Intervals and sets, all of which count."""

    parts: tuple[Reading, ...]


Reading = (
    Numeral
    | Formula
    | Words
    | Choice
    | Clock
    | Ratio
    | Labelled
    | Chain
    | Several
    | Interval
    | Union
    | Garbage
)
