r"""Divides a text at its outermost level, outside all braces, brackets and parentheses."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

_MARK = re.compile(r"\\\{|\\\}|\\langle\b|\\rangle\b|\\[a-zA-Z]+|\\.|[(){}\[\]]", re.DOTALL)
_OPENING = {"(", "[", "{", r"\{", r"\langle", r"\begin"}
_CLOSING = {")", "]", "}", r"\}", r"\rangle", r"\end"}


def split(text: str, separator: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """The parts of `text` between outermost separators, and the separators.

    Brackets of different kinds close each other, since an interval may be half-open.
    """
    parts: list[str] = []
    found: list[str] = []
    start = 0
    for separating in _outermost(text, separator):
        parts.append(text[start : separating.start()].strip())
        found.append(separating.group().strip())
        start = separating.end()
    parts.append(text[start:].strip())
    return parts, found


def _outermost(text: str, separator: re.Pattern[str]) -> Iterator[re.Match[str]]:
    groups = deque(_groups(text))
    for found in separator.finditer(text):
        while groups and groups[0][1] <= found.start():
            groups.popleft()
        if not groups or found.start() < groups[0][0]:
            yield found


def _groups(text: str) -> Iterator[tuple[int, int]]:
    """Where the outermost brackets begin and end; one that is not closed ends with the text."""
    start = depth = 0
    for mark in _MARK.finditer(text):
        if mark.group() in _OPENING:
            start = start if depth else mark.start()
            depth += 1
        elif mark.group() in _CLOSING and depth:
            depth -= 1
            if not depth:
                yield start, mark.end()
    if depth:
        yield start, len(text) + 1


def is_balanced(text: str) -> bool:
    """Whether each bracket is closed, by one of any kind."""
    depth = 0
    for mark in _MARK.finditer(text):
        if mark.group() in _OPENING:
            depth += 1
        elif mark.group() in _CLOSING:
            depth -= 1
            if depth < 0:
                return False
    return depth == 0


def unwrapped(text: str, opening: str, closing: str) -> str | None:
    """What is between `opening` and `closing` if one pair of them encloses the whole text."""
    if not (text.startswith(opening) and text.endswith(closing)) or len(text) < 2:
        return None
    inside = text[len(opening) : -len(closing)]
    if closing == "}" and inside.endswith("\\"):
        return None
    return inside.strip() if is_balanced(inside) else None
