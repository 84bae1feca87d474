"""The responses of a training step that are kept for reading.

The groups of a step's first prompts are kept, trained on or not: a group that was dropped because
all its answers were wrong says more about a run that does not learn than one with contrast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conspo_study.config import RunConfig
from conspo_study.records import Judgement, Problem, Rollout, RolloutRow
from conspo_study.training.problem_rows import kept_gold
from conspo_study.training.step_result import Signal


@dataclass(frozen=True, slots=True)
class Sample:
    """All responses to one prompt, with their verdicts."""

    place: int
    """Place of the prompt among those of the step, over all workers."""
    problem: Problem
    prompt_tokens: Sequence[int]
    rollouts: Sequence[Rollout]
    judgements: Sequence[Judgement]
    group: int | None
    """Place, among this worker's groups of the step, of the group that its rollouts with a decided
    verdict formed; None when they had no contrast."""


def kept_positions(config: RunConfig, step: int) -> range:
    """Positions in the training order whose groups are kept at `step`, which counts from 0.

    They belong to the first round of a step that refills, so they are known before it is sampled,
    and are the same for any number of workers.
    """
    every, rollout = config.train.store_rollouts_every, config.rollout
    if not every or step % every:
        return range(0)
    first = step * (rollout.refill_rounds + 1) * rollout.prompts_per_step
    return range(first, first + min(config.train.store_rollouts_groups, rollout.prompts_per_step))


def kept_rows(
    seed: int,
    step: int,
    samples: Sequence[Sample],
    signals: Sequence[Sequence[Signal]],
    decode: Callable[[Sequence[int]], str],
) -> Iterator[RolloutRow]:
    """The rows of `samples`.

    step: as rows count, from 1. signals: by group and rollout of this worker's groups of the step.
    """
    for sample in samples:
        prompt, gold = decode(sample.prompt_tokens), kept_gold(sample.problem)
        of_group = iter(() if sample.group is None else signals[sample.group])
        for i, (rollout, judged) in enumerate(zip(sample.rollouts, sample.judgements, strict=True)):
            signal = next(of_group, None) if judged.verdict.decided else None
            sampler_score = sum(rollout.logprobs) / len(rollout.logprobs)
            yield RolloutRow(
                seed=seed,
                step=step,
                group=sample.place,
                rollout=i,
                problem_id=sample.problem.id,
                prompt=prompt,
                response=rollout.text,
                verdict=judged.verdict.value,
                answer=judged.answer,
                score=signal.score if signal else sampler_score,
                credit=signal.credit if signal else None,
                advantage=signal.advantage if signal else None,
                response_tokens=len(rollout.tokens),
                status=rollout.status.value,
                reward=judged.graded if judged.verdict.decided else None,
                gold=gold,
            )
