"""A penalty on the KL divergence of the whole step beyond a limit, as DisCO has it (2505.12366).

    KL = mean over the step's tokens of (log pi_old - log pi_theta),   h = max(KL - limit, 0)
    penalty = (coefficient h, held constant) KL     `code`: the authors' code
              coefficient h^2                       `paper`: twice that gradient

The KL is that of the whole optimiser step over all workers, over the groups with contrast. The
authors' code applies the hinge to each micro-batch, so that its size changes the method. On-policy
KL is 0 and the penalty inactive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from conspo_study.objective.batch import GroupBatch
from conspo_study.objective.output import of_the_step
from conspo_study.records import Mean, Part


@dataclass(frozen=True, slots=True)
class KLHinge:
    """The constraint of an objective: `add` it to its loss."""

    limit: float
    """Largest KL without a penalty, in nats per token."""
    coefficient: float
    form: Literal["code", "paper"] = "code"

    def add(
        self, loss: Tensor, batch: GroupBatch, name: str, sizes_B: Tensor
    ) -> tuple[Tensor, dict[str, Part]]:
        """The loss with this worker's share of the penalty, and `constraint_kl`, `hinge_active` and
        `penalty_share`.

        name: of the objective, for the error. sizes_B: sizes of its credits, |dJ/ds|: [B].

        Raises ValueError when a batch spread over workers does not say the KL of the whole step.
        """
        kl = batch.kl_old
        if kl is None:
            raise ValueError(
                f"{name} limits the KL divergence of the whole step, which a part of it cannot "
                "know: give the batch its kl_old"
            )
        excess = max(kl - self.limit, 0.0)
        metrics: dict[str, Part] = {
            "constraint_kl": of_the_step(batch, kl),
            "hinge_active": of_the_step(batch, float(excess > 0)),
            "penalty_share": self._share(batch, sizes_B, excess),
        }
        return loss + self._penalty(batch, excess), metrics

    def _slope(self, excess: float) -> float:
        """d penalty / d KL."""
        slope = self.coefficient * excess
        return 2 * slope if self.form == "paper" else slope

    def _penalty(self, batch: GroupBatch, excess: float) -> Tensor:
        """This worker's share, by tokens, of the penalty: its value and its gradient."""
        own_kl = -batch.log_ratio_T.sum() / batch.totals.tokens
        linear = self._slope(excess) * own_kl
        if self.form == "code":
            return linear
        share = len(batch.logprobs_T) / batch.totals.tokens
        return linear - linear.detach() + self.coefficient * excess**2 * share

    @torch.no_grad()
    def _share(self, batch: GroupBatch, sizes_B: Tensor, excess: float) -> Mean:
        """The penalty's part of |d loss / d log pi| summed over tokens, both terms apart.

        Not its part of the loss, whose other term has no sign and crosses 0.
        """
        contrast = float(sizes_B.sum()) / batch.totals.groups
        weight = self._slope(excess) * len(batch.logprobs_T) / batch.totals.tokens
        return Mean(weight, weight + contrast)
