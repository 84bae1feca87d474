"""DRO (arXiv 2405.19107; arXiv 2501.12599): a quadratic penalty on log-ratios in place of a clip.

    l_it = -(A_i log pi_theta(o_it) - beta/2 d_it^2),   d = log pi_theta - log pi_old

The derivative by log pi is -(A - beta d): a token stops at d = A/beta, and returns from beyond. So
beta is in units of the advantage per nat, and must be given, as in verl (`dro_beta`); the example
in Tinker's documentation has 0.05. The papers learn a value function (2405.19107) or subtract the
mean reward of the group (2501.12599), and penalise whole sequences; verl and Tinker penalise tokens
and leave the advantage to the caller. Here it is verl's for groups, divided by the std. verl takes
one mean over tokens, as here; Tinker sums. An importance weight multiplies all of l, as in verl.
"""

from __future__ import annotations

from conspo_study.config import DROOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.aggregation import token_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(DROOptions)
def dro(batch: GroupBatch, options: DROOptions, _: Progress) -> ObjectiveOutput:
    """loss = mean of l over all tokens of the step."""
    advantages_B = normalised_advantages(batch, options)
    gain_T = advantages_B[batch.rollout_T] * batch.logprobs_T
    penalty_T = options.beta / 2 * batch.log_ratio_T**2
    loss = token_mean(batch, batch.corrected(penalty_T - gain_T))
    return ObjectiveOutput(loss, advantage_metrics(advantages_B), advantages_B)
