r"""Divides a text at its outermost level, outside all braces, brackets and parentheses."""

from __future__ import annotations

import re
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
    levels = _levels(text)
    for found in separator.finditer(text):
        if levels is None or levels[found.start()] == 0:
            yield found


def _levels(text: str) -> bytearray | None:
    """The depth of each character up to 255; None if there are no brackets."""
    depth, last = 0, 0
    levels = bytearray(len(text) + 1)
    any_bracket = False
    for mark in _MARK.finditer(text):
        sign = mark.group()
        if sign in _OPENING:
            step = 1
        elif sign in _CLOSING:
            step = -1
        else:
            continue
        any_bracket = True
        if depth:
            levels[last : mark.start()] = bytes([min(depth, 255)]) * (mark.start() - last)
        last = mark.start()
        if step < 0:
            end = mark.end()
            levels[last:end] = bytes([min(max(depth, 1), 255)]) * (end - last)
            last = end
        depth = max(0, depth + step)
    if depth:
        levels[last:] = bytes([min(depth, 255)]) * (len(levels) - last)
    return levels if any_bracket else None


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
    depth = 0
    for mark in _MARK.finditer(inside):
        if mark.group() in _OPENING:
            depth += 1
        elif mark.group() in _CLOSING:
            depth -= 1
            if depth < 0:
                return None
    return inside.strip() if depth == 0 else None
