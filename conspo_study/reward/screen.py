r"""Rejects answers whose check would run into its deadline, without checking them.

A policy that learns to write such answers would cost seconds for each. They are recognised by their
text: numbers too large to compute, and depth or length that no final answer has. Each is decided,
since an answer that is left undecided would pay where a wrong one does not. All others are left to
computer algebra and its deadline.
"""

from __future__ import annotations

import math
import re

from conspo_study.records import Verdict

MAX_NESTING = 32
"""Maximum depth of nested braces."""
MAX_ELEMENTS = 256
"""Maximum number of parts between commas."""
LARGEST_POWER = 1e6
"""Largest exponent of a number."""
LARGEST_FACTORIAL = 1_000_000
"""Largest n of n! and of binomial coefficients of n."""

# Possessive quantifiers avoid catastrophic backtracking.
_TOWER = re.compile(r"(?<!\d)\d++(?:[\s{]*+\^[\s{]*+\d++)+")
_FACTORIAL = re.compile(r"(?<!\d)(\d++)[\s})]*+!")
_BINOMIAL = re.compile(r"\\[dt]?binom[\s{]*+(\d++)")
_FLOAT_DIGITS = 300
_NUMERAL = re.compile(r"\d+")
_BRACES = re.compile(r"[{}]")


def screened(answer: str) -> Verdict | None:
    """UNPARSABLE for an answer with too deep nesting or too many parts, UNEVALUATED for one with a
    number too large to compute, None for all others. Linear in the answer's length."""
    if answer.count(",") >= MAX_ELEMENTS or _depth(answer) > MAX_NESTING:
        return Verdict.UNPARSABLE
    named = [*_FACTORIAL.findall(answer), *_BINOMIAL.findall(answer)]
    if any(len(n) > 18 or int(n) > LARGEST_FACTORIAL for n in named):
        return Verdict.UNEVALUATED
    # The parser does not evaluate powers modulo a number.
    if "mod" not in answer and any(
        _is_huge(_NUMERAL.findall(tower)) for tower in _TOWER.findall(answer)
    ):
        return Verdict.UNEVALUATED
    return None


def _depth(answer: str) -> int:
    deepest = depth = 0
    for brace in _BRACES.findall(answer):
        depth += 1 if brace == "{" else -1
        deepest = max(deepest, depth)
    return deepest


def _is_huge(numerals: list[str]) -> bool:
    """True if the power tower of these numerals, from the base up, has too large an exponent."""
    exponent = 1.0
    for numeral in reversed(numerals[1:]):
        base = float(numeral)
        if base <= 1:
            exponent = base
        else:
            digits = exponent * math.log10(base)
            exponent = 10.0**digits if digits < _FLOAT_DIGITS else math.inf
    return float(numerals[0]) > 1 and exponent > LARGEST_POWER
