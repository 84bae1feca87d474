"""Recognises answers that hand an expression of the question back."""

from __future__ import annotations

import re
from functools import lru_cache

from conspo_study.reward.reading.brackets import split, unwrapped
from conspo_study.reward.reading.kinds import Chain, Formula, Labelled, Reading
from conspo_study.reward.reading.layout import Malformed, plain_layout, squeezed
from conspo_study.reward.reading.numerals import Numeral, read_numeral
from conspo_study.reward.reading.outside import without_surroundings

MAX_PROBLEM_CHARS = 20_000
"""Length of a problem's text that is read."""

_SEGMENT = re.compile(
    r"\$\$(.+?)\$\$|(?<!\\)\$(.+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)
_BRACED_LETTER = re.compile(r"\{(\w)\}")
_SIDE = re.compile(r"\\(?:approx|le|ge|ne|in|equiv)\b|[=<>]|[,;]|\\text ?\{[^{}]*\}")
_PART = re.compile(r"[,;]|\\text ?\{[^{}]*\}")


def is_echo(problem: str, gold: str, answer: str, reading: Reading) -> bool:
    """Whether an answer is an expression of the problem's text, and not written as the gold
    answer is.

    reading: that of the answer. A question may well mention the number that answers it, but not in
    another form than the answer's, such as a fraction that is to be written as a decimal.
    """
    if isinstance(reading, Numeral):
        known = read_numeral(gold)
        if reading.reduced and (known is None or known.form == reading.form):
            return False
    elif not isinstance(reading, Formula | Chain | Labelled):
        return False
    written = _written(answer)
    return bool(written) and written != _written(gold) and written in expressions(problem)


@lru_cache(maxsize=4096)
def expressions(problem: str) -> frozenset[str]:
    """The formulas of a problem, and the sides and parts of them, without spaces."""
    found: set[str] = set()
    for segment in _SEGMENT.finditer(problem[:MAX_PROBLEM_CHARS]):
        try:
            plain = plain_layout(next(filter(None, segment.groups())))
        except Malformed:
            continue
        parts = [plain, *split(plain, _PART)[0], *split(plain, _SIDE)[0]]
        found.update(_bare(part) for part in parts)
    return frozenset(found - {""})


def _written(text: str) -> str:
    try:
        return _bare(plain_layout(text))
    except Malformed:
        return ""


def _bare(plain: str) -> str:
    bare = _BRACED_LETTER.sub(r"\1", squeezed(without_surroundings(plain)))
    inside = unwrapped(bare, "(", ")")
    return bare if inside is None or "," in inside else inside
