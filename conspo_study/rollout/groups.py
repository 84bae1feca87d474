"""Forms the groups that the objective compares, and counts the discarded ones.

Groups without contrast are dropped here, before any denominator is formed: dividing by groups that
cannot contribute would silently scale the loss down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Literal

from conspo_study.records import Group, Judgement, Problem, Rollout, Verdict


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """Counts of sampled groups by outcome; `sampled` is the sum of the five kinds that follow
    it."""

    sampled: int = 0
    """All groups, one per problem."""
    valid: int = 0
    """Groups with contrast, which are trained on."""
    all_correct: int = 0
    """Groups without contrast whose rollouts are all correct."""
    all_wrong: int = 0
    """Groups without contrast whose rollouts are all wrong."""
    too_small: int = 0
    """Groups with fewer than two rollouts of decided verdict."""
    gold_bad: int = 0
    """Problems whose gold answer the verifier cannot parse."""
    rollouts: int = 0
    """Rollouts of all sampled groups."""
    timed_out: int = 0
    """Rollouts dropped because their check passed its deadline."""
    killed: int = 0
    """Rollouts dropped because the process that checked them died."""
    unrewarded: int = 0
    """Rollouts dropped because a custom reward function returned None for them, or failed."""

    def __add__(self, other: GroupCounts) -> GroupCounts:
        return GroupCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def fractions(self) -> dict[str, float]:
        """The fraction of sampled groups of each kind, and the fraction of undecided rollouts."""
        groups, rollouts = max(1, self.sampled), max(1, self.rollouts)
        return {
            "valid_fraction": self.valid / groups,
            "all_correct_fraction": self.all_correct / groups,
            "all_wrong_fraction": self.all_wrong / groups,
            "too_small_fraction": self.too_small / groups,
            "gold_bad_fraction": self.gold_bad / groups,
            "dropped_rollout_fraction": (self.timed_out + self.killed + self.unrewarded) / rollouts,
        }


def form_groups(
    problems: Sequence[Problem],
    prompts: Sequence[Sequence[int]],
    rollouts: Sequence[Sequence[Rollout]],
    judgements: Sequence[Sequence[Judgement]],
    contrast: Literal["verdicts", "rewards"] = "verdicts",
) -> tuple[list[Group], GroupCounts]:
    """The valid groups, in the order of the problems, and the counts of all groups.

    `prompts[i]` are the tokens of `problems[i]`, `rollouts[i]` the responses and `judgements[i]`
    their verdicts. contrast: the quantity that must differ within a group, verdicts or, for an
    objective that reads rewards alone, rewards.
    """
    groups: list[Group] = []
    counts = GroupCounts()
    for problem, prompt, responses, verdicts in zip(
        problems, prompts, rollouts, judgements, strict=True
    ):
        decided = [
            (rollout, judgement)
            for rollout, judgement in zip(responses, verdicts, strict=True)
            if judgement.verdict.decided
        ]
        group = Group(
            problem_id=problem.id,
            prompt_tokens=tuple(prompt),
            rollouts=tuple(rollout for rollout, _ in decided),
            judgements=tuple(judgement for _, judgement in decided),
        )
        count = _classify(group, verdicts, contrast)
        counts += count
        if count.valid:
            groups.append(group)
    return groups, counts


def _classify(group: Group, verdicts: Sequence[Judgement], contrast: str) -> GroupCounts:
    if any(judgement.verdict is Verdict.GOLD_BAD for judgement in verdicts):
        return GroupCounts(sampled=1, gold_bad=1, rollouts=len(verdicts))
    size, correct = len(group.rollouts), sum(group.correct)
    kinds = [judgement.verdict for judgement in verdicts]
    differs = 0 < correct < size or (contrast == "rewards" and len(set(group.rewards)) > 1)
    return GroupCounts(
        sampled=1,
        valid=int(size >= 2 and differs),
        all_correct=int(size >= 2 and not differs and correct == size),
        all_wrong=int(size >= 2 and not differs and correct == 0),
        too_small=int(size < 2),
        rollouts=len(verdicts),
        timed_out=kinds.count(Verdict.TIMEOUT),
        killed=kinds.count(Verdict.KILLED),
        unrewarded=kinds.count(Verdict.UNDECIDED) + kinds.count(Verdict.ERROR),
    )
