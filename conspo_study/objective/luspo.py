"""LUSPO (arXiv 2602.05261): GSPO's loss of each sequence times its length.

    l_i = -T_i min(R_i A_i, clip(R_i, 1 - clip_low, 1 + clip_high) A_i),   R_i = exp( mean log rho )

GSPO divides by the length of a response, so that a token of a long one weighs less. Here every
token weighs the same, and the gradient is about T times GSPO's: mind gradient clipping. The clips
are those of the paper's section 5.1, which TRL's paper index repeats; TRL's `loss_type="luspo"`
itself defaults to 0.2, and to token ratios unless `importance_sampling_level` is "sequence".
"""

from __future__ import annotations

from conspo_study.config import LUSPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.gspo import sequence_losses
from conspo_study.objective.output import ObjectiveOutput
from conspo_study.objective.registry import register


@register(LUSPOOptions)
def luspo(batch: GroupBatch, options: LUSPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/B) sum over rollouts of l."""
    advantages_B = normalised_advantages(batch, options)
    loss_B, metrics = sequence_losses(batch, advantages_B, options.clip_low, options.clip_high)
    loss = (batch.lengths_B * loss_B).sum() / batch.totals.rollouts
    return ObjectiveOutput(loss, metrics | advantage_metrics(advantages_B), advantages_B)
