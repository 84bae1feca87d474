"""Reads inequalities as the intervals of their solutions."""

from __future__ import annotations

import re
from collections.abc import Callable

from conspo_study.reward.reading.kinds import Formula, Interval, Reading, Union
from conspo_study.reward.reading.labels import is_label
from conspo_study.reward.reading.rules import rule

_ALL_BUT = re.compile(r"\\mathbb ?\{?R\}? ?(?:\\setminus|\\backslash|-|/) ?\\\{(.+)\\\}")


def between(low: Reading | None, high: Reading | None) -> Interval:
    """An open interval; None stands for infinity."""
    return Interval(low or Formula(r"-\infty"), high or Formula(r"\infty"), True, True)


def all_but(excluded: Reading) -> Union:
    """All numbers but one."""
    return Union((between(None, excluded), between(excluded, None)))


def without_one(text: str) -> str | None:
    """The number of a text that says that all numbers are meant but one."""
    found = _ALL_BUT.fullmatch(text)
    return found[1] if found and "," not in found[1] else None


def intersection(intervals: list[Interval]) -> Interval | None:
    """Of two half-lines that meet, one open to each side."""
    infinite = Formula(r"-\infty"), Formula(r"\infty")
    above = [one for one in intervals if one.high == infinite[1] and one.low != infinite[0]]
    below = [one for one in intervals if one.low == infinite[0] and one.high != infinite[1]]
    if len(intervals) != 2 or len(above) != 1 or len(below) != 1:
        return None
    return Interval(above[0].low, below[0].high, above[0].low_open, below[0].high_open)


@rule(
    accepted=[
        ("(0,7.5)", "0<x<7.5"),
        (r"m\ge\sqrt{5}", r"[\sqrt{5},\infty)"),
        ("[2,5)", r"x \in [2,5)"),
        (r"(-\infty,0)\cup(3,\infty)", r"x<0 \text{ or } x>3"),
        ("-2 < x < 5", r"x>-2 \text{ and } x<5"),
        (r"(-\infty, 2) \cup (2, \infty)", r"x \neq 2"),
    ],
    refused=[("(0,7.5)", "0<x<8"), ("[2,5)", "(2,5)"), ("42", r"0 \le x \le 100")],
)
def inequality(
    sides: list[str], signs: list[str], read: Callable[[str], Reading]
) -> Interval | Union | None:
    """An inequality is the interval of its solutions.

    read: the reading of a side.
    """
    if signs == [r"\ne"] and _is_unknown(sides[0]):
        return all_but(read(sides[1]))
    flipped = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
    signs = [{"<=": r"\le", ">=": r"\ge"}.get(sign, sign) for sign in signs]
    if not set(signs) <= set(flipped):
        return None
    source = "".join(part for pair in zip(sides, [*signs, ""], strict=True) for part in pair)
    if len(sides) == 3 and signs[0] in (">", r"\ge"):
        sides, signs = sides[::-1], [flipped[sign] for sign in signs[::-1]]
    if len(sides) == 3:
        if not _is_unknown(sides[1]) or not set(signs) <= {"<", r"\le"}:
            return None
        low, high = (read(side) for side in (sides[0], sides[2]))
        return Interval(low, high, signs[0] == "<", signs[1] == "<", source)
    if len(sides) != 2 or _is_unknown(sides[0]) == _is_unknown(sides[1]):
        return None
    if _is_unknown(sides[1]):
        sides, signs = sides[::-1], [flipped[signs[0]]]
    end = read(sides[1])
    opened = signs[0] in "<>"
    infinity = Formula(r"\infty")
    if signs[0] in (">", r"\ge"):
        return Interval(end, infinity, opened, True, source)
    return Interval(Formula(r"-\infty"), end, True, opened, source)


def _is_unknown(side: str) -> bool:
    """Whether a side of an inequality is what it is solved for."""
    return is_label(side) and not re.search(r"[+\-*/]", side)
