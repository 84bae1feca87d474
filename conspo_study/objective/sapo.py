"""SAPO (arXiv 2511.20347): a sigmoid gate that fades a token out as its ratio leaves 1.

    l_it = -A_i (4/tau) sigmoid(tau (rho_it - 1)),   tau = gate_tau_positive where A_i > 0,
                                                           gate_tau_negative elsewhere

The derivative by log pi is -A rho times the gate weight 4 p (1 - p), p = sigmoid(tau (rho - 1)):
exactly 1 at rho = 1, whatever tau. The value is -2 A/tau there, so the loss is not 0 on-policy.
verl, TRL and SkyRL agree on the mean over tokens, then rollouts; Trinity-RFT takes one over tokens.
"""

from __future__ import annotations

import torch

from conspo_study.config import SAPOOptions
from conspo_study.objective.advantages import advantage_metrics, normalised_advantages
from conspo_study.objective.aggregation import sequence_mean
from conspo_study.objective.batch import GroupBatch, Progress
from conspo_study.objective.output import ObjectiveOutput, mean_of
from conspo_study.objective.registry import register


@register(SAPOOptions)
def sapo(batch: GroupBatch, options: SAPOOptions, _: Progress) -> ObjectiveOutput:
    """loss = (1/B) sum over rollouts of the mean over their tokens of l."""
    advantages_B = normalised_advantages(batch, options)
    advantages_T = advantages_B[batch.rollout_T]
    positive, negative = options.gate_tau_positive, options.gate_tau_negative
    tau_T = torch.full_like(advantages_T, negative).masked_fill(advantages_T > 0, positive)
    gate_T = torch.sigmoid(tau_T * (batch.ratio_T - 1))
    loss_T = batch.corrected(-advantages_T * 4 / tau_T * gate_T)
    metrics = {"gate_weight": mean_of((4 * gate_T * (1 - gate_T)).detach())}
    return ObjectiveOutput(
        sequence_mean(batch, loss_T), metrics | advantage_metrics(advantages_B), advantages_B
    )
