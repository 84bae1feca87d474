"""Finds problems that a set holds several times, and those among them whose answers differ."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from conspo_study.data.golds import meaning
from conspo_study.data.overlap import normalised
from conspo_study.records import Problem

_SIGNS = b"0123456789+-=^_/<>" + bytes(range(0xE4, 0xEA))
"""Digits, operators, and the first bytes of Chinese characters in UTF-8."""
_LETTERS = b"0123456789abcdefghijklmnopqrstuvwxyz"
_END = "\0"
"""What no text contains, since control characters are removed in reading."""
_NO_SIGNS = bytes(range(256)).translate(None, _SIGNS + _END.encode())
_NO_LETTERS = bytes(range(256)).translate(None, _LETTERS)
_ESCAPED = re.compile(r"\\[-\\0-9+=^_/<>\u0080-\U0010ffff]")
"""Signs that the normaliser drops, with the backslash before them."""
_REWRITTEN = re.compile(
    r"\\(?:[0-9]|left|right|display|text|q?quad|limits|mathrm|operat|begin|end|[dt]frac|[lg]eqsl|"
    r"[lc]dots)",
    re.IGNORECASE,
)
"""Commands that the normaliser drops or renames."""
_PARTICULARS = re.compile(r"\d+|['*~&]|(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
"""Numbers, variables and marks: the normaliser reads `3*14` and `31*4`, `f'(1)` and `f(1)`, `a` and
`A` as the same, which is right for a warning, but not for leaving a problem out."""
_APOSTROPHES = str.maketrans("’‘′`", "''''")


@dataclass(frozen=True, slots=True)
class Repeats:
    """Positions of problems that are in a set several times, by problem."""

    same: tuple[tuple[int, ...], ...]
    """Those whose answers agree."""
    contradictory: tuple[tuple[int, ...], ...]
    """Those whose answers differ."""


def repeats(problems: Sequence[Problem]) -> Repeats:
    """The problems that are there several times, in the order of their first occurrence."""
    same: list[tuple[int, ...]] = []
    contradictory: list[tuple[int, ...]] = []
    for group in _grouped(problems):
        if len(_answers(problems, group)) < 2:
            same.append(group)
            continue
        parts: dict[Hashable, list[int]] = {}
        for position in group:
            parts.setdefault(_particulars(problems[position].text), []).append(position)
        for part in parts.values():
            if len(part) > 1:
                agree = len(_answers(problems, part)) < 2
                (same if agree else contradictory).append(tuple(part))
    return Repeats(tuple(same), tuple(contradictory))


def _answers(problems: Sequence[Problem], group: Sequence[int]) -> set[Hashable]:
    """The different answers of a group; a problem without an answer contradicts none."""
    return {meaning(problems[one].answer) for one in group if problems[one].answer}


def _grouped(problems: Sequence[Problem]) -> list[tuple[int, ...]]:
    """Positions of problems with equal normalised texts.

    Normalising all texts takes longer than reading them. Texts whose signs or letters differ are
    not equal, which is seen much faster and leaves few.
    """
    texts = [problem.text for problem in problems]
    groups = _by_key(range(len(texts)), signs(texts))
    for key in (letters, normalised):
        alike = [one for group in groups.values() if len(group) > 1 for one in group]
        groups = _by_key(alike, [key(texts[one]) for one in alike])
    groups.pop("", None)  # nothing but marks
    return sorted(tuple(group) for group in groups.values() if len(group) > 1)


def _by_key(positions: Sequence[int], keys: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for position, key in zip(positions, keys, strict=True):
        groups.setdefault(key, []).append(position)
    return groups


def signs(texts: Sequence[str]) -> list[bytes]:
    """Digits, operators and places of Chinese characters in each of the normalised texts, which do
    not contain the character 0."""
    if not texts:
        return []
    plain = (text if text.isascii() else unicodedata.normalize("NFKC", text) for text in texts)
    bare = _ESCAPED.sub("", _END.join(plain))
    return bare.encode("utf-8").translate(None, _NO_SIGNS).split(_END.encode())


def letters(text: str) -> bytes:
    """Digits and Latin letters of the normalised text."""
    as_it_is = text.isascii() and not _REWRITTEN.search(text)
    plain = text if as_it_is else normalised(text)
    return plain.encode("utf-8").lower().translate(None, _NO_LETTERS)


def _particulars(text: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
    return tuple(_PARTICULARS.findall(plain))
