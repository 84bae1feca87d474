"""Bounds of texts kept for reading: each is cut, and a file takes the first ones that fit."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LONGEST_TEXT = 4_000
"""Characters of a response, a prompt or a gold answer; a longer one is cut, with a note."""
MOST_TEXT = 2 << 20
"""Bytes of UTF-8 that all texts of one file may have: the responses of an evaluation, or the
prompts and gold answers of a trial."""
_JOINED = 32
"""Most characters by which a cut comes earlier so as not to divide what is read as one."""
_ZERO_WIDTH_JOINER = "\u200d"


def cut(text: str, most: int = LONGEST_TEXT) -> str:
    """The text, or its first `most` characters and a line that says how many more there are.

    A letter is not divided from its accents, nor an emoji from its parts.
    """
    if len(text) <= most:
        return text
    end = most
    while end > max(0, most - _JOINED) and _goes_on(text, end):
        end -= 1
    return f"{text[:end]}\n… {len(text) - end:,} more characters"


def text_bytes(text: str | None) -> int:
    """Bytes that a text takes in a file; 0 for None."""
    return len(text.encode("utf-8", "backslashreplace")) if text else 0


def number_that_fit(sizes: Iterable[int], most: int = MOST_TEXT) -> int:
    """How many texts of these sizes, in bytes, come before the first that exceeds `most` in all."""
    total = count = 0
    for size in sizes:
        total += size
        if total > most:
            break
        count += 1
    return count


def _goes_on(text: str, place: int) -> bool:
    """Whether the character at `place` belongs to the one before it."""
    before, here = text[place - 1], text[place]
    return (
        unicodedata.category(here) in ("Mn", "Mc", "Me")
        or _ZERO_WIDTH_JOINER in (before, here)
        or "\U0001f3fb" <= here <= "\U0001f3ff"  # skin tones
        or ("\udc00" <= here <= "\udfff" and "\ud800" <= before <= "\udbff")
    )
