"""Whether an answer equals a gold answer, by math-verify; runs in a checking process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from conspo_study.records import Verdict

_ADVICE = "install the project's dependencies, then check `python -c 'import math_verify'`"


class MathTask:
    """Judges `{"gold": ..., "answer": ...}` as `{"verdict": ...}`."""

    retires_at = 0.25
    """Retiring early leaves each pair at least three quarters of the memory cap."""

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
        """Whether memory ran out, as far as that can be told: math-verify and sympy swallow
        MemoryError and go on to another, negative conclusion, so whatever was concluded by "no"
        close to the cap is not a conclusion."""
        return share > 0.5 and reply["verdict"] != Verdict.CORRECT


def _load() -> Callable[[str, str], Verdict]:
    """Import math-verify and return the function that judges an answer by a gold answer."""
    from math_verify import LatexExtractionConfig, parse, verify

    # The default configuration also looks for bare numbers and then reads `1/2(v+1 / 2) = ...` as
    # 2 when the formula itself is beyond it; a boxed answer is LaTeX or nothing.
    extraction = (LatexExtractionConfig(boxed_match_priority=0),)

    def parsed(text: str) -> list[Any]:
        found: list[Any] = parse(f"\\boxed{{{text}}}", extraction, parsing_timeout=None)
        return found

    parsed_gold = lru_cache(maxsize=1024)(parsed)

    def understood(readings: list[Any]) -> bool:
        # A string among the readings is the text itself, which is all there is if parsing failed.
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

    # The first call builds parser tables, which must not be charged to the first pair.
    judge("\\frac{1}{2}", "0.5")
    return judge
