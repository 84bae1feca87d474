"""Rewards by a custom function, called in checking processes like the verifier's."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from conspo_study.records import Answered, Judgement, Verdict
from conspo_study.reward.answers import final_answer, shorten
from conspo_study.reward.pool import Reply
from conspo_study.reward.process_judge import ProcessJudge

if TYPE_CHECKING:  # the checking process imports this package, but not pydantic
    from conspo_study.config import RewardConfig


class Scorer(ProcessJudge):
    """Rewards responses by the function at an import path; usable from any thread.

    A reward of at least the threshold is CORRECT, a smaller one WRONG; None is UNDECIDED, a failure
    of the function ERROR. A call that exceeds the deadline is TIMEOUT, one whose process dies
    KILLED. The batched form is called once per process, with the sum of its responses' deadlines.
    """

    def __init__(self, path: str, config: RewardConfig) -> None:
        super().__init__(config, [path, *filter(None, sys.path)])
        self._workers, self._threshold = config.workers, config.threshold

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgement on each response, in order.

        Raises RewardUnavailable if the function cannot be loaded, VerifierUnavailable if no process
        can be started, RuntimeError after `close`.
        """
        if not answered:
            return []
        items = [
            {"prompt": a.prompt, "response": a.response, "problem": asdict(a.problem)}
            for a in answered
        ]
        with self._lock:
            self._refuse_if_closed()
            size = -(-len(items) // self._workers) if self._pool.hello()["batched"] else 1
            parts = [items[i : i + size] for i in range(0, len(items), size)]
            replies = self._pool.ask([{"items": part} for part in parts], self._deadline_s * size)
        results = [
            result
            for part, reply in zip(parts, replies, strict=True)
            for result in self._results(reply, len(part))
        ]
        return [
            Judgement(verdict, shorten(final_answer(a.response) or ""), graded)
            for a, (verdict, graded) in zip(answered, results, strict=True)
        ]

    def _results(self, reply: Reply, count: int) -> Iterator[tuple[Verdict, float | None]]:
        if isinstance(reply, Verdict) or "scores" not in reply:
            lost = reply if isinstance(reply, Verdict) else Verdict(reply["verdict"])
            yield from [(lost, None)] * count
            return
        for score in reply["scores"]:
            yield self._result(score)

    def _result(self, score: Any) -> tuple[Verdict, float | None]:
        if score is None:
            return Verdict.UNDECIDED, None
        if isinstance(score, dict):
            self.last_error = str(score["error"])
            return Verdict.ERROR, None
        return (Verdict.CORRECT if score >= self._threshold else Verdict.WRONG), float(score)
