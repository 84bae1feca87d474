"""The groups of a rollout batch, with everything that an optimiser step reads of them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from conspo_study.config import RunConfig
from conspo_study.records import FinishStatus, Group, Mean, Part, Rollout
from conspo_study.reward.shaping import overlong_penalty


@dataclass(frozen=True, slots=True)
class StepGroup:
    """A group of the rollout batch."""

    index: int
    """Place among the groups of all workers, from 0."""
    group: Group
    rewards: tuple[float, ...]
    """Reward of each rollout, as advantages read it: with the penalty for its length, if any."""
    sampled_T: Tensor
    """Log-probabilities that the sampler reported, rollout after rollout: [T]."""

    @classmethod
    def of(cls, index: int, group: Group, config: RunConfig) -> StepGroup:
        """A group as the configuration shapes its rewards."""
        rewards = group.rewards
        if config.reward.overlong_cache:
            penalties = [_penalty(rollout, config) for rollout in group.rollouts]
            rewards = tuple(map(operator.add, rewards, penalties))
        sampled_T = torch.tensor([logprob for r in group.rollouts for logprob in r.logprobs])
        return cls(index, group, rewards, sampled_T)

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        """The rollouts of the group."""
        return self.group.rollouts


def prompts_of(groups: Sequence[StepGroup]) -> list[tuple[int, ...]]:
    """The prompt of each rollout of the groups, in order."""
    return [group.group.prompt_tokens for group in groups for _ in group.rollouts]


def responses_of(groups: Sequence[StepGroup]) -> list[tuple[int, ...]]:
    """The response tokens of each rollout of the groups, in order."""
    return [rollout.tokens for group in groups for rollout in group.rollouts]


def by_group(groups: Sequence[StepGroup], values_T: Tensor) -> dict[int, Tensor]:
    """Values of the groups' tokens, [T], split by group index."""
    parts = torch.split(values_T, [len(group.sampled_T) for group in groups])
    return {group.index: part for group, part in zip(groups, parts, strict=True)}


def shaping_metrics(groups: Sequence[StepGroup], config: RunConfig) -> dict[str, Part]:
    """The mean reward that advantages read, and the mean penalty in it; nothing where no length is
    penalised."""
    if not config.reward.overlong_cache:
        return {}
    shaped = [reward for group in groups for reward in group.rewards]
    unshaped = [reward for group in groups for reward in group.group.rewards]
    return {
        "shaped_reward": Mean(sum(shaped), len(shaped)),
        "overlong_penalty": Mean(sum(shaped) - sum(unshaped), len(shaped)),
    }


def _penalty(rollout: Rollout, config: RunConfig) -> float:
    # A truncated response would have gone on, by one token at least.
    length = len(rollout.tokens) + (rollout.status is FinishStatus.TRUNCATED)
    return overlong_penalty(length, config.rollout.max_new_tokens, config.reward.overlong_cache)
