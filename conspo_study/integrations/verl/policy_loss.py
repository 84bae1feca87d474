"""The policy loss `conspo` of verl: -A log pi of each token, without ratios and clips."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from conspo_study.integrations.verl.trainer_settings import NAME


def policy_loss(
    old_log_prob: Tensor,
    log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """The loss of a micro-batch, whose gradients add up to the objective's.

    All tensors (B, L). advantages: those of the estimator `conspo`, for the same `loss_agg_mode`.

    Its value is the objective's linear part and measures no progress; only its gradient has a
    meaning. `actor/ppo_kl`, the mean of log pi_old - log pi, is 0 in the first update on a batch.

    Raises ValueError for importance weights, which would multiply the credits.
    """
    from verl.trainer.ppo.core_algos import agg_loss
    from verl.utils.torch_functional import masked_mean

    if rollout_is_weights is not None:
        raise ValueError(
            f"the policy loss {NAME} takes no importance weights: set "
            "algorithm.rollout_correction.rollout_is=null"
        )
    losses_BL = -advantages * torch.where(response_mask.bool(), log_prob, 0.0)
    loss: Tensor = agg_loss(
        loss_mat=losses_BL,
        loss_mask=response_mask,
        loss_agg_mode=loss_agg_mode,
        **config.global_batch_info,
    )
    with torch.no_grad():
        moved = masked_mean(old_log_prob - log_prob, response_mask)
    return loss, {"actor/ppo_kl": float(moved)}
