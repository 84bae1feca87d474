r"""Answers that no check is spent on, since it would end at its deadline or beyond reason.

A policy that learns to write them would otherwise cost seconds for each. What is recognised is
text: numbers too large to be written out, and depth or length that no final answer has. All else is
left to math-verify and its deadline.
"""

from __future__ import annotations

import math
import re

from conspo_study.records import Verdict

MAX_NESTING = 32
"""Braces inside each other."""
MAX_ELEMENTS = 256
"""Parts between commas."""
LARGEST_POWER = 1e6
"""Exponent of a numeral."""
LARGEST_FACTORIAL = 1_000_000
"""n of n! and of binomials over n."""

# Possessive, so that no text makes them try again and again.
_TOWER = re.compile(r"(?<!\d)\d++(?:[\s{]*+\^[\s{]*+\d++)+")
_FACTORIAL = re.compile(r"(?<!\d)(\d++)[\s})]*+!")
_BINOMIAL = re.compile(r"\\[dt]?binom[\s{]*+(\d++)")
_FLOAT_DIGITS = 300
_NUMERAL = re.compile(r"\d+")
_BRACES = re.compile(r"[{}]")


def screened(answer: str) -> Verdict | None:
    """UNPARSABLE for an answer that is too deep or has too many parts to be one, TIMEOUT for one
    that holds a number too large to compute; None for all others. Linear in the answer's length."""
    if answer.count(",") >= MAX_ELEMENTS or _depth(answer) > MAX_NESTING:
        return Verdict.UNPARSABLE
    named = [*_FACTORIAL.findall(answer), *_BINOMIAL.findall(answer)]
    if any(len(n) > 18 or int(n) > LARGEST_FACTORIAL for n in named):
        return Verdict.TIMEOUT
    # Of a power modulo a number math-verify computes nothing.
    if "mod" not in answer and any(
        _is_huge(_NUMERAL.findall(tower)) for tower in _TOWER.findall(answer)
    ):
        return Verdict.TIMEOUT
    return None


def _depth(answer: str) -> int:
    deepest = depth = 0
    for brace in _BRACES.findall(answer):
        depth += 1 if brace == "{" else -1
        deepest = max(deepest, depth)
    return deepest


def _is_huge(numerals: list[str]) -> bool:
    """Whether the tower of these numerals, from the ground up, has too large an exponent."""
    exponent = 1.0
    for numeral in reversed(numerals[1:]):
        base = float(numeral)
        if base <= 1:
            exponent = base
        else:
            digits = exponent * math.log10(base)
            exponent = 10.0**digits if digits < _FLOAT_DIGITS else math.inf
    return float(numerals[0]) > 1 and exponent > LARGEST_POWER
