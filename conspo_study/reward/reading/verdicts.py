"""The verdict on an answer, from what it and the gold answer say."""

from __future__ import annotations

import re

from conspo_study.records import Verdict
from conspo_study.reward.reading.compare import Comparison, FormulasEqual
from conspo_study.reward.reading.contents import needs_algebra
from conspo_study.reward.reading.kinds import Chain, Formula, Garbage, Labelled, Reading
from conspo_study.reward.reading.numerals import Numeral
from conspo_study.reward.reading.read import ODD_TEXT

_COMPUTABLE = re.compile(r"\d|\\(?:sum|prod|int|lim)\b")


class _NeedsAlgebra(Exception):
    """A formula has to be compared."""


def judge(gold: Reading, answer: Reading, formulas: FormulasEqual) -> Verdict:
    """The verdict on an answer by a gold answer that can be read."""
    if isinstance(gold, Garbage):
        return Verdict.GOLD_BAD
    if isinstance(answer, Garbage):
        return Verdict.UNPARSABLE
    try:
        same = Comparison(formulas).same(gold, answer)
    except ODD_TEXT:
        return Verdict.UNPARSABLE
    if same:
        return Verdict.CORRECT
    return Verdict.UNEVALUATED if _is_unevaluated(gold, answer) else Verdict.WRONG


def judge_without_algebra(gold: Reading, answer: Reading) -> Verdict | None:
    """The same where no formula has to be compared; None otherwise."""
    if needs_algebra(gold):
        return None
    try:
        return judge(gold, answer, _refuse)
    except _NeedsAlgebra:
        return None


def _refuse(gold: str, answer: str) -> bool:
    raise _NeedsAlgebra


def _is_unevaluated(gold: Reading, answer: Reading) -> bool:
    if not isinstance(gold, Numeral):
        return False
    value = answer.value if isinstance(answer, Labelled) else answer
    if isinstance(value, Numeral):
        return value.value == gold.value and not value.reduced
    if isinstance(value, Chain):
        return any(map(_COMPUTABLE.search, value.sides))
    return isinstance(value, Formula) and _COMPUTABLE.search(value.text) is not None
