"""Options of the objectives that contrast scores of correct and wrong rollouts.

Options are separate from objectives so that a configuration can be checked without torch. For the
objectives on importance ratios see `objectives_ratio`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from conspo_study.config.objectives import ObjectiveOptions, register_options


class TrustRegionOptions(ObjectiveOptions):
    """Limits to how far several optimiser steps on one rollout batch move the policy; all off.

    They are this package's own, not part of the ConSPO paper.
    """

    LATER: ClassVar[tuple[str, ...]] = ("clip_score", "kl_limit", "kl_penalty")

    clip_score: float | None = Field(None, gt=0)
    """Change of a rollout's score since it was sampled, in nats per token, beyond which it has no
    gradient in the direction that its credit pushes it, as PPO clips ratios (correct rollouts
    upwards, wrong ones downwards); None: no clipping, as in the paper."""
    kl_limit: float | None = Field(None, ge=0)
    """Largest KL(pi_old || pi_theta) of an optimiser step, in nats per token, without DisCO's
    penalty; None: no penalty, as in the paper."""
    kl_penalty: float = Field(1e3, ge=0)
    """Coefficient of the penalty on KL above `kl_limit`, without which it has no effect."""

    @property
    def limits_kl(self) -> bool:
        return self.kl_limit is not None and self.kl_penalty > 0

    @model_validator(mode="after")
    def _the_penalty_has_a_limit(self) -> Self:
        if (
            self.kl_limit is None
            and self.kl_penalty != type(self).model_fields["kl_penalty"].default
        ):
            raise ValueError(
                f"kl_penalty {self.kl_penalty:g} acts on KL above kl_limit, which is not set: set "
                "kl_limit, or leave kl_penalty out"
            )
        return self


class ContrastiveOptions(ObjectiveOptions):
    """Temperature and margin of an InfoNCE contrast; the defaults are those of the ConSPO paper."""

    tau: float = Field(10.0, gt=0)
    """Contrastive temperature, in units of the score (nats per token); small values concentrate
    credit on the hardest rollouts."""
    margin: float = Field(0.01, ge=0)
    """Target margin M, in the unit given by `margin_unit`."""
    margin_unit: Literal["score", "tau"] = "score"
    """Unit of `margin`: `score` (nats per token), as in the paper, or `tau`, multiples of tau.
    Sweeps use `tau`, because only M / tau enters the gradient."""
    schedule: Literal["cosine", "linear", "constant", "off"] = "cosine"
    """Schedule of the margin: `cosine` (as in the paper) and `linear` raise it from 0 to M over the
    warm-up, `constant` applies M from the first step, `off` applies no margin."""
    alpha: float = Field(0.3, gt=0, le=1)
    """Warm-up of the margin, as a fraction of the training steps."""

    @property
    def target_margin(self) -> float:
        """M in units of the score."""
        return self.margin * self.tau if self.margin_unit == "tau" else self.margin


@register_options
class ConSPOOptions(TrustRegionOptions, ContrastiveOptions):
    """ConSPO (arXiv 2605.12969, eq. 13)."""

    name: Literal["conspo"] = "conspo"
    """Contrastive sequence-level policy optimisation."""


@register_options
class ConSPOLinearOptions(TrustRegionOptions):
    """Ablation of ConSPO without InfoNCE: the difference of mean scores."""

    name: Literal["conspo_linear"] = "conspo_linear"
    """Linear score difference."""


@register_options
class ConSPOClippedRatioOptions(ContrastiveOptions):
    """Ablation of ConSPO that contrasts the clipped ratios of GRPO instead of log-likelihoods.

    Temperature and margin are in units of the ratio.
    """

    name: Literal["conspo_clipped_ratio"] = "conspo_clipped_ratio"
    """InfoNCE on clipped ratios."""
    clip_low: float = Field(0.2, gt=0, le=1)
    """Lower clip range: ratios of wrong rollouts below 1 - clip_low are clipped."""
    clip_high: float = Field(0.2, gt=0)
    """Upper clip range: ratios of correct rollouts above 1 + clip_high are clipped."""


@register_options
class DisCOOptions(ObjectiveOptions):
    """DisCO (arXiv 2505.12366); the defaults are those of the authors' scripts."""

    name: Literal["disco"] = "disco"
    """Discriminative constrained optimisation."""
    score: Literal["log_likelihood", "ratio"] = "log_likelihood"
    """Score of a rollout: `log_likelihood`, the mean over tokens of log pi, or `ratio`, the mean
    over tokens of pi / pi_old, unclipped."""
    aggregate: Literal["log_sum_exp", "mean"] = "log_sum_exp"
    """Aggregation of wrong rollouts: `log_sum_exp` is DisCO, `mean` is DisCO-b."""
    tau: float = Field(10.0, gt=0)
    """Temperature of `log_sum_exp`, in units of the score. The authors use 10 with
    `log_likelihood` and 1 with `ratio`."""
    kl_limit: float = Field(1e-4, ge=0)
    """Trust region delta: largest KL(pi_old || pi_theta), in nats per token, without a penalty."""
    kl_penalty: float = Field(1e3, ge=0)
    """Coefficient beta of the penalty on KL above the limit; 0 disables the constraint."""
    penalty: Literal["code", "paper"] = "code"
    """Form of the penalty: `code`, the excess (held constant) times KL, as in the authors' code, or
    `paper`, the squared excess, whose gradient is twice as large."""

    @property
    def limits_kl(self) -> bool:
        return self.kl_penalty > 0
