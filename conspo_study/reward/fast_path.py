"""The exact path for plain integers, which needs neither math-verify nor another process."""

from __future__ import annotations

import re

from conspo_study.records import Verdict

# Only the canonical spelling: signs, leading zeros, separators, spaces inside and the digits of
# other scripts are left to math-verify, whose reading of them is not ours to guess.
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def is_plain_integer(text: str) -> bool:
    """Whether `text` is an integer of at most 18 digits in its canonical ASCII spelling."""
    return _PLAIN_INTEGER.fullmatch(text) is not None


def decide(gold: str, answer: str) -> Verdict | None:
    """CORRECT or WRONG when both are plain integers; None means that math-verify must be asked.

    Two canonical spellings denote the same integer exactly when they are the same text.
    """
    if is_plain_integer(gold) and is_plain_integer(answer):
        return Verdict.CORRECT if gold == answer else Verdict.WRONG
    return None
