"""Reads answers: what a LaTeX text says, and whether two of them say the same.

`read` turns a text into its Reading, `judge` compares two and leaves formulas to a function that it
is given; `judge_without_algebra` is None where that function would be needed. All are pure
functions of untrusted text.
"""

from conspo_study.reward.reading.contents import key_of
from conspo_study.reward.reading.kinds import Garbage, Reading
from conspo_study.reward.reading.read import read
from conspo_study.reward.reading.rules import RULES, Rule
from conspo_study.reward.reading.verdicts import judge, judge_without_algebra

__all__ = [
    "RULES",
    "Garbage",
    "Reading",
    "Rule",
    "judge",
    "judge_without_algebra",
    "key_of",
    "read",
]
