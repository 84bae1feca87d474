"""Exact comparison of plain integers, before anything is read."""

from __future__ import annotations

import re

from conspo_study.records import Verdict

# Only the canonical spelling. Plus signs, leading zeros, separators, inner spaces and digits of
# other scripts are left to the reader.
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def is_plain_integer(text: str) -> bool:
    """True if `text` is an integer of at most 18 digits in canonical ASCII spelling."""
    return _PLAIN_INTEGER.fullmatch(text) is not None


def decide(gold: str, answer: str) -> Verdict | None:
    """CORRECT or WRONG if both are plain integers; None if they must be read.

    Two canonical spellings denote the same integer if and only if they are the same text.
    """
    if is_plain_integer(gold) and is_plain_integer(answer):
        return Verdict.CORRECT if gold == answer else Verdict.WRONG
    return None
