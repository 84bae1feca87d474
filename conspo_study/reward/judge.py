"""Judges of responses: the verifier, custom functions, and weighted sums of rewards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from conspo_study.records import Answered, Judgement, Verdict
from conspo_study.reward.functions import Scorer
from conspo_study.reward.verifier import Verifier

if TYPE_CHECKING:  # the checking process imports this package, but not pydantic
    from conspo_study.config import RewardConfig


class Judge(Protocol):
    """Rewards responses; usable from any thread."""

    @property
    def last_error(self) -> str:
        """Last error of a custom reward function, with its line; empty if there was none."""
        ...

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """The judgement on each response, in order."""
        ...


@contextmanager
def make_judge(config: RewardConfig) -> Iterator[Judge]:
    """The judge of a configuration; its processes end with the block."""
    with ExitStack() as stack:
        first, *further = [stack.enter_context(_judge_named(name, config)) for name in config.names]
        weighted = list(zip(config.extra.values(), further, strict=True))
        yield Combined(first, weighted) if weighted else first


@contextmanager
def _judge_named(name: str, config: RewardConfig) -> Iterator[Judge]:
    from conspo_study.config.reward import reward_path

    path = reward_path(name)
    with Verifier(config) if path is None else Scorer(path, config) as judge:
        yield judge


class Combined:
    """A reward that decides correctness, plus weighted rewards that only advantages read."""

    def __init__(self, first: Judge, further: Sequence[tuple[float, Judge]]):
        self._first, self._further = first, further

    @property
    def last_error(self) -> str:
        """See `Judge`."""
        judges = [self._first, *(judge for _, judge in self._further)]
        return next((judge.last_error for judge in judges if judge.last_error), "")

    def judge(self, answered: Sequence[Answered]) -> list[Judgement]:
        """See `Judge`. A response is undecided if any of the rewards is."""
        judgements = self._first.judge(answered)
        for weight, judge in self._further:
            others = judge.judge(answered)
            judgements = [_sum(*pair, weight) for pair in zip(judgements, others, strict=True)]
        return judgements


def _sum(first: Judgement, other: Judgement, weight: float) -> Judgement:
    if not first.verdict.decided:
        return first
    if not other.verdict.decided:
        # GOLD_BAD would discard the problem, which the deciding reward accepted.
        verdict = Verdict.UNDECIDED if other.verdict is Verdict.GOLD_BAD else other.verdict
        return replace(first, verdict=verdict, graded=None)
    return replace(first, graded=first.reward + weight * other.reward)
