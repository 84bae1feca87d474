"""Dr. GRPO (arXiv 2503.20783): GRPO without its biases towards length and difficulty.

    l_it = -min(rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i)
    A_i = r_i - mean r,   r in {0, 1}

The paper drops the division by the response length and by the std. Its code divides the sum over
tokens by L, the configured response limit, and by the number of rollouts: the default. TRL's loss
of this name keeps the std unless `scale_rewards` is "none". verl's `seq-mean-token-sum-norm` does
not divide by the number of rollouts, and its L is the padded width of the batch unless configured.
Rewards of -1 and 1 would double the loss, which the others do not notice.
"""

from __future__ import annotations

from conspo_study.config import DrGRPOOptions
from conspo_study.objective.advantages import advantage_metrics, centered_rewards
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.clipping import clip_metrics, token_surrogate
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(DrGRPOOptions)
def dr_grpo(batch: GroupBatch, options: DrGRPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/(B L)) sum over all tokens of l.

    Raises ValueError when neither the options nor the batch, spread over workers, has L.
    """
    limit = options.max_response_length or batch.max_response_length
    if limit is None:
        raise ValueError(
            "dr_grpo divides by the response limit, which a part of a step cannot know: "
            "give the batch its max_response_length"
        )
    low, high = options.clip_low, options.clip_high
    advantages_B = centered_rewards(batch)
    loss_T = token_surrogate(batch, advantages_B, low, high)
    loss = loss_T.sum() / (batch.totals.rollouts * limit)
    metrics = clip_metrics(batch.ratio_T, advantages_B[batch.rollout_T], low, high)
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)
