"""Options of the objectives on scores.

Options live apart from the objectives so that a configuration can be checked without torch. Those
of the objectives with advantages and importance ratios are in `objectives_ratio`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from conspo_study.config.objectives import ObjectiveOptions, register_options


class ContrastiveOptions(ObjectiveOptions):
    """Temperature and margin of an InfoNCE contrast; the defaults are ConSPO's published ones."""

    tau: float = Field(10.0, gt=0)
    """Contrastive temperature; small values concentrate credit on the hardest rollouts."""
    margin: float = Field(0.01, ge=0)
    """Target margin M, in the unit that `margin_unit` names."""
    margin_unit: Literal["score", "tau"] = "score"
    """`score`: M is in units of the score (nats per token), as in the paper.
    `tau`: M is a multiple of tau. Only M/tau enters the gradient, so sweeps use this one."""
    schedule: Literal["cosine", "linear", "constant", "off"] = "cosine"
    """Course of the margin from 0 to M over the warm-up; the paper uses `cosine`.
    `constant` applies M from the first step, `off` never applies it."""
    alpha: float = Field(0.3, gt=0, le=1)
    """Fraction of training over which the margin rises to M."""

    @property
    def target_margin(self) -> float:
        """M in units of the score."""
        return self.margin * self.tau if self.margin_unit == "tau" else self.margin


@register_options
class ConSPOOptions(ContrastiveOptions):
    """ConSPO (arXiv 2605.12969, eq. 13)."""

    name: Literal["conspo"] = "conspo"
    """Contrastive sequence-level policy optimisation."""


@register_options
class ConSPOLinearOptions(ObjectiveOptions):
    """ConSPO's ablation without InfoNCE: the difference of mean scores. Nothing to set."""

    name: Literal["conspo_linear"] = "conspo_linear"
    """Linear score difference."""


@register_options
class ConSPOClippedRatioOptions(ContrastiveOptions):
    """ConSPO's ablation that contrasts GRPO's clipped ratios instead of log-likelihoods.

    Temperature and margin are in units of the ratio here.
    """

    name: Literal["conspo_clipped_ratio"] = "conspo_clipped_ratio"
    """InfoNCE on clipped ratios."""
    clip_low: float = Field(0.2, gt=0, le=1)
    """Ratios of wrong rollouts below 1 - clip_low are clipped."""
    clip_high: float = Field(0.2, gt=0)
    """Ratios of correct rollouts above 1 + clip_high are clipped."""


@register_options
class DisCOOptions(ObjectiveOptions):
    """DisCO (arXiv 2505.12366); the defaults are those of the authors' scripts."""

    name: Literal["disco"] = "disco"
    """Discriminative constrained optimisation."""
    score: Literal["log_likelihood", "ratio"] = "log_likelihood"
    """`log_likelihood`: mean over tokens of log pi. `ratio`: mean of pi / pi_old, unclipped."""
    aggregate: Literal["log_sum_exp", "mean"] = "log_sum_exp"
    """How wrong rollouts are aggregated: `log_sum_exp` is DisCO, `mean` is DisCO-b."""
    tau: float = Field(10.0, gt=0)
    """Temperature of `log_sum_exp`. The authors use 10 with `log_likelihood`, 1 with `ratio`."""
    kl_limit: float = Field(1e-4, ge=0)
    """delta, the KL(pi_old || pi_theta) per token that costs nothing."""
    kl_penalty: float = Field(1e3, ge=0)
    """beta, the weight of the KL beyond the limit; 0 switches the constraint off."""
    penalty: Literal["code", "paper"] = "code"
    """`code`: the excess, held constant, times the KL, as the released code has it.
    `paper`: the squared excess, whose gradient is twice as large."""
