"""Rewards by a user's own function, called in checking processes like the verifier's."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from conspo_study.records import Answered, Judgement, Verdict
from conspo_study.reward.answers import final_answer, shorten
from conspo_study.reward.pool import Pool, Reply

if TYPE_CHECKING:  # the checking process imports this package and does without pydantic
    from conspo_study.config import RewardConfig


class Scorer:
    """Rewards responses by the function at an import path; a context manager that may be used from
    any thread.

    A reward from the threshold up is CORRECT, below it WRONG; None is UNDECIDED and a failure of
    the function ERROR. A call that passes the deadline is TIMEOUT, one whose process dies KILLED.
    The batched form is called once per process for all responses, with the deadline of each added.
    """

    def __init__(self, path: str, config: RewardConfig) -> None:
        self._pool = Pool(config.workers, config.memory_mb, [path, *filter(None, sys.path)])
        self._workers, self._deadline_s = config.workers, config.deadline_s
        self._threshold = config.threshold
        self._lock = threading.Lock()
        self._last_error = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._pool.close()

    @property
    def last_error(self) -> str:
        """What the function failed with last, and where."""
        return self._last_error

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgement on each response, in order.

        Raises RewardUnavailable where the function cannot be loaded, VerifierUnavailable when no
        process can be started.
        """
        if not answered:
            return []
        items = [
            {"prompt": one.prompt, "response": one.response, "problem": asdict(one.problem)}
            for one in answered
        ]
        with self._lock:
            size = -(-len(items) // self._workers) if self._pool.hello()["batched"] else 1
            parts = [items[i : i + size] for i in range(0, len(items), size)]
            replies = self._pool.ask([{"items": part} for part in parts], self._deadline_s * size)
        results = [
            result
            for part, reply in zip(parts, replies, strict=True)
            for result in self._results(reply, len(part))
        ]
        return [
            Judgement(verdict, shorten(final_answer(one.response) or ""), graded)
            for one, (verdict, graded) in zip(answered, results, strict=True)
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
            self._last_error = str(score["error"])
            return Verdict.ERROR, None
        return (Verdict.CORRECT if score >= self._threshold else Verdict.WRONG), float(score)
