"""The task of a checking process that compares answers with gold answers by math-verify."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from conspo_study.records import Verdict

_ADVICE = "install the project's dependencies, then check `python -c 'import math_verify'`"


class MathTask:
    """Answers `{"gold": ..., "answer": ...}` with `{"verdict": ...}`."""

    retires_at = 0.25
    """Low, so that each pair has at least three quarters of the memory cap."""

    def __init__(self) -> None:
        try:
            self._judge = _load()
        except Exception as error:
            raise RuntimeError(
                "math-verify does not load in a checking process "
                f"({type(error).__name__}: {error}); {_ADVICE}"
            ) from error
        self.hello: dict[str, Any] = {"ready": True}

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"verdict": self._judge(request["gold"], request["answer"]).value}

    def exhausted(self, reply: dict[str, Any], share: float) -> bool:
        """True for a negative verdict close to the memory cap: math-verify and sympy catch
        MemoryError and then come to a negative conclusion."""
        return share > 0.5 and reply["verdict"] != Verdict.CORRECT


def _load() -> Callable[[str, str], Verdict]:
    """Import math-verify and return the function that judges an answer by a gold answer."""
    from math_verify import LatexExtractionConfig, parse, verify

    # A boxed answer is LaTeX. The default configuration also looks for bare numbers, and reads
    # `1/2(v+1 / 2) = ...` as 2 if it cannot parse the formula.
    extraction = (LatexExtractionConfig(boxed_match_priority=0),)

    def parsed(text: str) -> list[Any]:
        readings: list[Any] = parse(f"\\boxed{{{text}}}", extraction, parsing_timeout=None)
        return readings

    parsed_gold = lru_cache(maxsize=1024)(parsed)

    def understood(readings: list[Any]) -> bool:
        # A string among the readings is the text itself; if parsing failed there is nothing else.
        return any(not isinstance(reading, str) for reading in readings)

    def judge(gold: str, answer: str) -> Verdict:
        golds = parsed_gold(gold)
        if not understood(golds):
            return Verdict.GOLD_BAD
        answers = parsed(answer)
        # The order matters: verify is not symmetric.
        if verify(golds, answers, timeout_seconds=None):
            return Verdict.CORRECT
        return Verdict.WRONG if understood(answers) else Verdict.UNPARSABLE

    # The first call builds parser tables, which must not count against the first pair.
    judge("\\frac{1}{2}", "0.5")
    return judge
