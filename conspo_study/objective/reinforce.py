"""REINFORCE with a group's mean reward as baseline: no ratio, no clip.

    l_it = -A_i log pi_theta(o_it),   A_i = (r_i - mean r) / (std r + epsilon)   (scale = "std")
                                      A_i = r_i - mean r                         (scale = "none")

The default is RGRA (arXiv 2603.18756, eq. 2) without its KL term: GRPO's advantages, and the mean
over the tokens of a rollout, then over rollouts. Off-policy it has no correction, and nothing stops
a token. verl and OpenRLHF call other things by this name: `reinforce_plus_plus_baseline` and
`reinforce_baseline` subtract the group's mean, whiten over the whole batch, and keep PPO's clipped
ratios. The value of the loss contains log pi and does not measure progress.
"""

from __future__ import annotations

from conspo_study.config import ReinforceOptions
from conspo_study.objective.advantages import (
    advantage_metrics,
    centered_rewards,
    normalised_advantages,
)
from conspo_study.objective.aggregation import sequence_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(ReinforceOptions)
def reinforce(batch: GroupBatch, options: ReinforceOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/B) sum over rollouts of the mean over their tokens of l."""
    if options.scale == "std":
        advantages_B = normalised_advantages(batch, options)
    else:
        advantages_B = centered_rewards(batch)
    loss_T = batch.corrected(-advantages_B[batch.rollout_T] * batch.logprobs_T)
    loss = sequence_mean(batch, loss_T)
    return ObjectiveOutput(loss, advantage_metrics(advantages_B), advantages_B)
