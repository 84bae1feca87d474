"""Verdicts by comparing final answers with gold answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from conspo_study.records import Answered, Judgement, Verdict
from conspo_study.reward.answers import (
    MAX_ANSWER_CHARS,
    final_answer,
    gold_answer,
    shorten,
)
from conspo_study.reward.echo import is_echo
from conspo_study.reward.fast_path import decide, is_plain_integer
from conspo_study.reward.process_judge import ProcessJudge
from conspo_study.reward.reading import Garbage, judge_without_algebra, key_of, read
from conspo_study.reward.reading.contents import needs_algebra
from conspo_study.reward.screen import screened

if TYPE_CHECKING:  # the checking process imports this package, but not pydantic
    from conspo_study.config import RewardConfig

_Question = tuple[str, str | None]
"""Gold answer and final answer."""

_read_gold = lru_cache(maxsize=16384)(read)
gold_of = lru_cache(maxsize=16384)(gold_answer)


class Verifier(ProcessJudge):
    """Judges responses; usable from several threads at once, and by itself:

        with Verifier() as verifier:
            judgements = verifier.verify([("\\frac{1}{2}", "so it is \\boxed{0.5}")])

    Numbers, words, lists and intervals of them are compared in this process, formulas by computer
    algebra in checking processes, which are started on first use. Threads that need these processes
    take turns.
    """

    def __init__(self, config: RewardConfig | None = None) -> None:
        if config is None:
            from conspo_study.config import RewardConfig

            config = RewardConfig()
        super().__init__(config)
        self._after = config.after
        self._sound_golds: dict[str, bool] = {}

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgement on each response, by `verify`; a right answer that only hands an
        expression of the problem's text back is UNEVALUATED."""
        questions = [
            (
                gold_of(a.problem.answer),
                final_answer(a.response, self._after, in_thought=a.in_thought),
            )
            for a in answered
        ]
        judgements = self._judgements(questions)
        return [
            replace(judgement, verdict=Verdict.UNEVALUATED)
            if judgement.verdict is Verdict.CORRECT and _is_echo(a.problem.text, *question)
            else judgement
            for a, question, judgement in zip(answered, questions, judgements, strict=True)
        ]

    def verify(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """The judgement on each (gold answer, response text) of `pairs`, in order.

        Takes at most about `deadline_s` CPU seconds per distinct pair, divided by `workers`, plus
        the start of the processes. Raises VerifierUnavailable if no checking process can be
        started, and RuntimeError after `close`.
        """
        return self._judgements(
            [(gold_of(gold), final_answer(response, self._after)) for gold, response in pairs]
        )

    def _judgements(self, questions: Sequence[_Question]) -> list[Judgement]:
        self._refuse_if_closed()
        judged: dict[_Question, Judgement] = {}
        hard: list[_Question] = []
        for question in dict.fromkeys(questions):
            judgement = _decide_here(*question)
            if judgement is None:
                hard.append(question)
            else:
                judged[question] = judgement
        if hard:
            judged |= self._ask(hard)
        return [judged[question] for question in questions]

    def _ask(self, questions: list[_Question]) -> dict[_Question, Judgement]:
        """Judgements on distinct questions, by the checking processes."""
        with self._lock:
            self._refuse_if_closed()
            bad = self._bad_golds({gold: None for gold, _ in questions})
            asked = [
                (gold, answer)
                for gold, answer in questions
                if gold not in bad and answer is not None
            ]
            checked = self._check(asked)
        verdicts = {
            question: Verdict.GOLD_BAD if question[0] in bad else Verdict.NO_ANSWER
            for question in questions
        }
        verdicts.update(zip(asked, checked, strict=True))
        return {question: _judgement(verdicts[question], question[1]) for question in questions}

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
        return {gold for gold in golds if not self._sound_golds.get(gold, False)}


def _is_echo(problem: str, gold: str, answer: str | None) -> bool:
    if answer is None or is_plain_integer(answer):
        return False
    return is_echo(problem, gold, answer, read(answer))


def _askable(gold: str) -> bool:
    return len(gold) <= MAX_ANSWER_CHARS


def _decide_here(gold: str, answer: str | None) -> Judgement | None:
    """The judgement, if it needs no computer algebra; else None."""
    if answer is not None and (verdict := decide(gold, answer)) is not None:
        return Judgement(verdict, answer, key=answer)
    if is_plain_integer(gold) and answer is None:
        return Judgement(Verdict.NO_ANSWER)
    if not _askable(gold) or isinstance(known := _read_gold(gold), Garbage):
        return _judgement(Verdict.GOLD_BAD, answer)
    if answer is None:
        return None if needs_algebra(known) else Judgement(Verdict.NO_ANSWER)
    # An answer equal to the gold answer is always checked.
    if answer != gold and (screen := screened(answer)) is not None:
        return Judgement(screen, shorten(answer))
    verdict = judge_without_algebra(known, reading := read(answer))
    if verdict is None:
        return None
    return Judgement(verdict, shorten(answer), key=key_of(reading))


def _judgement(verdict: Verdict, answer: str | None) -> Judgement:
    if answer is None:
        return Judgement(verdict)
    return Judgement(verdict, shorten(answer), key=key_of(read(answer)))
