r"""Recognises names: the left sides of equations that only say what a value is of."""

from __future__ import annotations

import re

from conspo_study.reward.reading.layout import TEXT

_SUBSCRIPT = re.compile(r"_ ?(?:\{[^{}]*\}|\w)")
_ARGUMENTS = re.compile(r"(?<=[a-zA-Z'}]) ?\([^()]*\)")
_COMPUTING = re.compile(
    r"\\(?:sum|prod|int|oint|lim|bmod|pmod|mod|binom|infty|pm|mp|max|min|sup|inf|pi|det)\b"
)
_PRIME = re.compile(r"\^ ?\{? ?(?:\\prime|\*|') ?\}?|'")
_NAME = re.compile(r"[a-zA-Z\\ |+\-*/()\[\]{},.:]+")
_LETTER = re.compile(r"[a-zA-Z]")
_SINGLE = re.compile(r"(?:\\[a-zA-Z]+|[a-zA-Z])(?:_\{?\w+\}?)?")


def is_label(text: str) -> bool:
    r"""Whether a text is a name: letters, also with indices, arguments, and joined by `+` or `-`,
    as in `x`, `a_{10}`, `f(2)`, `P(A \cup B)`, `m+n`, `\angle ABC`, `\text{Area}`."""
    rest, texts = TEXT.subn("", text)
    rest = _ARGUMENTS.sub("", _SUBSCRIPT.sub("", _PRIME.sub("", rest)))
    if _COMPUTING.search(rest):
        return False
    if not rest.strip():
        return texts > 0
    if rest.lstrip()[0] in "+-*/,.:":
        return False
    return _NAME.fullmatch(rest) is not None and _LETTER.search(rest) is not None


def is_variable(name: str) -> bool:
    """Whether a name without spaces is one letter, perhaps with an index."""
    return _SINGLE.fullmatch(name) is not None
