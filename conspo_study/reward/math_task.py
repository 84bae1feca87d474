"""The task of a checking process that compares answers with gold answers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from conspo_study.records import Verdict
from conspo_study.reward.reading import judge, read
from conspo_study.reward.reading.contents import formulas_in

_ADVICE = "install the project's dependencies, then check `python -c 'import math_verify'`"


class MathTask:
    """Answers `{"gold": ..., "answer": ...}` with `{"verdict": ...}`."""

    retires_at = 0.25
    """Low, so that each pair has at least three quarters of the memory cap."""

    def __init__(self) -> None:
        from conspo_study.reward.formulas import FormulaChecker

        try:
            self._formulas = FormulaChecker()
        except Exception as error:
            raise RuntimeError(
                "math-verify does not load in a checking process "
                f"({type(error).__name__}: {error}); {_ADVICE}"
            ) from error
        self._gold = lru_cache(maxsize=1024)(read)
        self.hello: dict[str, Any] = {"ready": True}

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        gold = self._gold(request["gold"])
        if not all(map(self._formulas.understood, formulas_in(gold))):
            return {"verdict": Verdict.GOLD_BAD.value}
        verdict = judge(gold, read(request["answer"]), self._formulas.equal)
        return {"verdict": verdict.value}

    def exhausted(self, reply: dict[str, Any], share: float) -> bool:
        """True for a negative verdict close to the memory cap: sympy catches MemoryError and then
        comes to a negative conclusion."""
        return share > 0.5 and reply["verdict"] != Verdict.CORRECT
