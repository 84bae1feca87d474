"""DAPO's loss (arXiv 2503.14476, eq. 8): decoupled clips and a mean over tokens, no KL term.

    l_it = -min(rho_it A_i, clip(rho_it, 1 - clip_low, 1 + clip_high) A_i),   clip_high > clip_low
    A_i = (r_i - mean r) / (std r + epsilon)

Eq. 8 has the number of tokens inside the expectation over prompts, which is a mean over the tokens
of each group, then over groups (`group_token_mean`; SkyRL's `prompt_mean`). verl, TRL and OpenRLHF
take one mean over all tokens of a batch: the default, here over the whole optimiser step. verl
takes it in each micro-batch, where it is neither, and depends on the micro-batch size.

DAPO's dynamic sampling belongs to the rollouts (`rollout.refill_rounds`), and its soft penalty of
overlong responses to the rewards of the batch. Both are off unless asked for: they would change
what the objectives of a comparison share.
"""

from __future__ import annotations

from conspo_study.config import DAPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.aggregation import group_token_mean, token_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.clipping import clip_metrics, token_surrogate
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(DAPOOptions)
def dapo(batch: GroupBatch, options: DAPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = the mean over tokens of l that `aggregation` names."""
    low, high = options.clip_low, options.clip_high
    advantages_B = normalised_advantages(batch, options)
    loss_T = token_surrogate(batch, advantages_B, low, high)
    if options.aggregation == "token_mean":
        loss = token_mean(batch, loss_T)
    else:
        loss = group_token_mean(batch, loss_T)
    metrics = clip_metrics(batch.ratio_T, advantages_B[batch.rollout_T], low, high)
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)
