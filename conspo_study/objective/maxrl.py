"""MaxRL (arXiv 2602.02710): advantages divided by the pass rate, as maximum likelihood weighs.

    A_i = (r_i - mean r) / (mean r + mean_epsilon)
    l_it = -min(rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i)

The gradient of log p is that of p divided by p: a prompt that is rarely solved weighs more. With
rewards of 0 and 1 a correct rollout has A = (1 - p)/p and a wrong one -1. The paper is about the
advantage; SkyRL and its authors' verl scripts carry it in PPO's loss on token ratios, with clips
of 0.2, one mean over tokens and an epsilon of 1e-6: the default here, without verl's dual clip.
prime-rl has no epsilon, and its DPPO loss.

The quotient needs rewards that are not negative. SkyRL and the authors' code divide by any mean, so
that a negative one pushes bad rollouts up and one near 0 gives advantages of any size. Here a group
whose mean is not above 0 has advantages of 0, as in prime-rl; `silent_groups` is their share.
"""

from __future__ import annotations

from conspo_study.config import MaxRLOptions
from conspo_study.objective.advantages import advantage_metrics, mean_normalised_advantages
from conspo_study.objective.aggregation import token_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.clipping import clip_metrics, token_surrogate
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register


@register(MaxRLOptions)
def maxrl(batch: GroupBatch, options: MaxRLOptions, _: Progress) -> ObjectiveOutput:
    """loss = mean of l over all tokens of the step."""
    low, high = options.clip_low, options.clip_high
    advantages_B, silent_Q = mean_normalised_advantages(batch, options.mean_epsilon)
    loss = token_mean(batch, token_surrogate(batch, advantages_B, low, high))
    metrics = clip_metrics(batch.ratio_T, advantages_B[batch.rollout_T], low, high)
    metrics["silent_groups"] = mean_of(silent_Q)
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)
