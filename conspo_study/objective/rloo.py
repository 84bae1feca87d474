"""RLOO (arXiv 2402.14740): the mean reward of the other rollouts as each one's baseline.

    A_i = r_i - mean of the others' r = G/(G - 1) (r_i - mean r)
    l_it = -min(rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i)

The paper defines the advantage for the on-policy gradient, and packages differ in what carries it.
SkyRL and verl, where it is an advantage estimator, have PPO's loss on token ratios with clips of
0.2 and one mean over tokens: the default here, without verl's dual clip. TRL's RLOOTrainer clips
the ratio of the whole sequence, exp(sum_t log rho), takes the mean over rollouts, and subtracts a
KL from the rewards.
"""

from __future__ import annotations

from conspo_study.config import RLOOOptions
from conspo_study.objective.advantages import advantage_metrics, leave_one_out_advantages
from conspo_study.objective.aggregation import token_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.clipping import clip_metrics, token_surrogate
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(RLOOOptions)
def rloo(batch: GroupBatch, options: RLOOOptions, _: Progress) -> ObjectiveOutput:
    """loss = mean of l over all tokens of the step."""
    low, high = options.clip_low, options.clip_high
    advantages_B = leave_one_out_advantages(batch)
    loss = token_mean(batch, token_surrogate(batch, advantages_B, low, high))
    metrics = clip_metrics(batch.ratio_T, advantages_B[batch.rollout_T], low, high)
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)
