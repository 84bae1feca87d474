"""CISPO (MiniMax-M1, arXiv 2506.13585): REINFORCE with capped importance weights.

    l_it = -w_it A_i log pi_theta(o_it),   w = min(rho, ratio_cap), held constant

Every token keeps a gradient, also beyond the cap. The paper does not publish its cap. The same
name means different limits elsewhere: TRL's `epsilon_high` is the cap itself (5.0 recommended, the
default here), verl caps at 1 + clip_ratio_high and adds a floor at 1 - clip_ratio_low, SkyRL's
defaults bound weights to [0, 5]. `ratio_floor` adds a floor. The value of the loss contains
log pi and does not measure progress; only its gradient means anything.
"""

from __future__ import annotations

from conspo_study.config import CISPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.aggregation import token_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register


@register(CISPOOptions)
def cispo(batch: GroupBatch, options: CISPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = mean of l over all tokens of the step."""
    advantages_B = normalised_advantages(batch, options)
    ratio_T = batch.ratio_T.detach()
    weight_T = ratio_T.clamp(options.ratio_floor, options.ratio_cap)
    loss_T = batch.corrected(-weight_T * advantages_B[batch.rollout_T] * batch.logprobs_T)
    # All tokens count, as in verl and SkyRL; TRL counts those with a positive advantage only.
    metrics = {"cap_hit": mean_of(ratio_T > options.ratio_cap)}
    return ObjectiveOutput(
        token_mean(batch, loss_T), metrics | advantage_metrics(advantages_B), advantages_B
    )
