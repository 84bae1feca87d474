"""Verdicts for responses: the entry of this package."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from conspo_study.records import Answered, Judgement, Verdict
from conspo_study.reward.answers import MAX_ANSWER_CHARS, final_answer, shorten
from conspo_study.reward.fast_path import decide, is_plain_integer
from conspo_study.reward.pool import Pool
from conspo_study.reward.screen import screened

if TYPE_CHECKING:  # the checking process imports this package and does without pydantic
    from conspo_study.config import RewardConfig

_Question = tuple[str, str | None]


class Verifier:
    """Judges responses; a context manager that may be used from any thread, by several at once.

    Plain integers are compared in this process. Everything else goes to math-verify in separate
    processes, which are started on first need: a run on integer answers never starts one. Batches
    of several threads that need those processes take turns.
    """

    def __init__(self, config: RewardConfig) -> None:
        self._pool = Pool(config.workers, config.memory_mb)
        self._deadline_s = config.deadline_s
        self._lock = threading.Lock()
        self._closed = False
        self._sound_golds: dict[str, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Ids of the checking processes, empty until one was needed and after `close`."""
        return self._pool.pids

    def close(self) -> None:
        """End the checking processes, after the batches that are under way."""
        with self._lock:
            self._closed = True
            self._pool.close()

    @property
    def last_error(self) -> str:
        """See `Judge`: this one has none."""
        return ""

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgement on each response, as `verify` has it."""
        return self.verify([(one.problem.answer, one.response) for one in answered])

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """The judgement on each (gold answer, response text) of `pairs`, in order.

        Takes at most about `deadline_s` for each distinct pair, divided by `workers`, plus the
        start of the processes. Raises VerifierUnavailable when no checking process can be started,
        and RuntimeError after `close`.
        """
        if self._closed:
            raise RuntimeError("the verifier is closed; make a new one")
        questions = [(_bare(gold), final_answer(response)) for gold, response in pairs]
        verdicts: dict[_Question, Verdict] = {}
        hard: list[_Question] = []
        for question in dict.fromkeys(questions):
            verdict = _decide_here(*question)
            if verdict is None:
                hard.append(question)
            else:
                verdicts[question] = verdict
        if hard:
            verdicts |= self._ask(hard)
        return [Judgement(verdicts[question], shorten(question[1] or "")) for question in questions]

    def _ask(self, questions: list[_Question]) -> dict[_Question, Verdict]:
        """Verdicts on distinct questions with the help of the checking processes."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the verifier is closed; make a new one")
            bad = self._bad_golds({gold: None for gold, _ in questions})
            asked = [
                (gold, answer)
                for gold, answer in questions
                if gold not in bad and answer is not None
            ]
            verdicts: dict[_Question, Verdict] = dict(zip(asked, self._check(asked), strict=True))
        for question in questions:
            if question not in verdicts:
                verdicts[question] = Verdict.GOLD_BAD if question[0] in bad else Verdict.NO_ANSWER
        return verdicts

    def _check(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        requests = [{"gold": gold, "answer": answer} for gold, answer in pairs]
        replies = self._pool.ask(requests, self._deadline_s)
        return [r if isinstance(r, Verdict) else Verdict(r["verdict"]) for r in replies]

    def _bad_golds(self, golds: dict[str, None]) -> set[str]:
        """Those of `golds` that do not verify against themselves; conclusions are remembered.

        A gold answer that cannot be checked in time is bad for this batch only: the next batch
        tries again, as the cause may have been the machine.
        """
        unknown = [gold for gold in golds if gold not in self._sound_golds and _askable(gold)]
        verdicts = self._check([(gold, gold) for gold in unknown])
        for gold, verdict in zip(unknown, verdicts, strict=True):
            if verdict not in (Verdict.TIMEOUT, Verdict.KILLED):
                self._sound_golds[gold] = verdict is Verdict.CORRECT
        return {
            gold
            for gold in golds
            if not is_plain_integer(gold) and not self._sound_golds.get(gold, False)
        }


def _bare(gold: str) -> str:
    r"""`gold` without a `\boxed{}` around it."""
    return final_answer(gold) or gold.strip()


def _askable(gold: str) -> bool:
    return not is_plain_integer(gold) and len(gold) <= MAX_ANSWER_CHARS


def _decide_here(gold: str, answer: str | None) -> Verdict | None:
    """The verdict that needs no other process, or that none is spent on; or None.

    Only a gold answer that is a plain integer is known to be sound without asking, so that a bad
    one is GOLD_BAD whatever the response.
    """
    if answer is None:
        return Verdict.NO_ANSWER if is_plain_integer(gold) else None
    # What is written as the gold answer is, stays a question whether the gold answer is sound.
    return decide(gold, answer) or (screened(answer) if answer != gold else None)
