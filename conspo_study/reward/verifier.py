"""Verdicts by comparing final answers with gold answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conspo_study.records import Answered, Judgement, Verdict
from conspo_study.reward.answers import MAX_ANSWER_CHARS, final_answer, shorten
from conspo_study.reward.fast_path import decide, is_plain_integer
from conspo_study.reward.process_judge import ProcessJudge
from conspo_study.reward.screen import screened

if TYPE_CHECKING:  # the checking process imports this package, but not pydantic
    from conspo_study.config import RewardConfig

_Question = tuple[str, str | None]
"""Gold answer and final answer."""


class Verifier(ProcessJudge):
    """Judges responses; usable from several threads at once.

    Plain integers are compared in this process, everything else by math-verify in checking
    processes, which are started on first use: a run with integer answers never starts one. Threads
    that need these processes take turns.
    """

    def __init__(self, config: RewardConfig) -> None:
        super().__init__(config)
        self._sound_golds: dict[str, bool] = {}

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgement on each response, by `verify`."""
        return self.verify([(a.problem.answer, a.response) for a in answered])

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """The judgement on each (gold answer, response text) of `pairs`, in order.

        Takes at most about `deadline_s` per distinct pair, divided by `workers`, plus the start of
        the processes. Raises VerifierUnavailable if no checking process can be started, and
        RuntimeError after `close`.
        """
        self._refuse_if_closed()
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
        """Verdicts on distinct questions, by the checking processes."""
        with self._lock:
            self._refuse_if_closed()
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
        """The gold answers that do not verify against themselves; conclusions are cached.

        One that cannot be checked in time is bad for this batch only, since the machine may be the
        cause; the next batch checks it again.
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
    r"""`gold` without a surrounding `\boxed{}`."""
    return final_answer(gold) or gold.strip()


def _askable(gold: str) -> bool:
    return not is_plain_integer(gold) and len(gold) <= MAX_ANSWER_CHARS


def _decide_here(gold: str, answer: str | None) -> Verdict | None:
    """The verdict, if it needs no checking process; else None.

    Without a check only plain integers are known to be sound gold answers; an unsound gold answer
    is GOLD_BAD for any response.
    """
    if answer is None:
        return Verdict.NO_ANSWER if is_plain_integer(gold) else None
    # An answer equal to the gold answer needs a check of the gold answer itself.
    return decide(gold, answer) or (screened(answer) if answer != gold else None)
