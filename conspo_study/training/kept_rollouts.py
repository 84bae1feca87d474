"""Which responses of a training step are kept for reading, and what is said of each.

The groups of a step's first prompts are kept, whatever became of them: a group that was dropped
because all its answers were wrong says more about a run that does not learn than one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from conspo_study.config import RunConfig
from conspo_study.records import Judgement, Rollout, RolloutRow


@dataclass(frozen=True, slots=True)
class Push:
    """What an optimiser step made of a rollout; the fields are those of `RolloutRow`."""

    score: float
    credit: float
    advantage: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    """All that was drawn for one prompt."""

    place: int
    """Of the prompt among those of the step, over all workers."""
    problem_id: str
    prompt_tokens: Sequence[int]
    rollouts: Sequence[Rollout]
    judgements: Sequence[Judgement]


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
    pushes: Mapping[int, Push],
    decode: Callable[[Sequence[int]], str],
) -> Iterator[RolloutRow]:
    """The rows of `samples`. step: as rows count, from 1. pushes: by the `id` of the rollout; equal
    responses may stand in several groups and be pushed differently."""
    for sample in samples:
        prompt = decode(sample.prompt_tokens)
        for i, (rollout, judged) in enumerate(zip(sample.rollouts, sample.judgements, strict=True)):
            push = pushes.get(id(rollout))
            sampled = sum(rollout.logprobs) / len(rollout.logprobs)
            yield RolloutRow(
                seed=seed,
                step=step,
                group=sample.place,
                rollout=i,
                problem_id=sample.problem_id,
                prompt=prompt,
                response=rollout.text,
                verdict=judged.verdict.value,
                answer=judged.answer,
                score=push.score if push else sampled,
                credit=push.credit if push else None,
                advantage=push.advantage if push else None,
                response_tokens=len(rollout.tokens),
                status=rollout.status.value,
                reward=judged.graded if judged.verdict.decided else None,
            )
