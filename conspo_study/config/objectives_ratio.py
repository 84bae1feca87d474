"""Options of the objectives that weigh importance ratios with group advantages.

A `clip_low` or `clip_high` is always a distance from ratio 1; limits of another kind have other
names (`ratio_cap`, `log_clip`), since implementations give them the same one.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from conspo_study.config.objectives import ObjectiveOptions, register_options


class AdvantageOptions(ObjectiveOptions):
    """The normalisation A = (r - mean r) / (std r + std_epsilon) within each group."""

    contrast: ClassVar[Literal["verdicts", "rewards"]] = "rewards"

    std_ddof: Literal[0, 1] = 1
    """Degrees of freedom of the group standard deviation: 1 as every implementation that divides
    by it, 0 for the identity with the discriminative form (Proposition 1 of the ConSPO paper)."""
    std_epsilon: float = Field(1e-6, ge=0)
    """Added to the group standard deviation. 0 needs rewards that differ in every group."""


@register_options
class GRPOOptions(AdvantageOptions):
    """GRPO without KL term: clipped ratios, std-normalised advantages, mean over sequences."""

    name: Literal["grpo"] = "grpo"
    """Group relative policy optimisation."""
    clip_low: float = Field(0.2, gt=0, le=1)
    """Ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(0.2, gt=0)
    """Ratios above 1 + clip_high are clipped."""


@register_options
class DAPOOptions(AdvantageOptions):
    """DAPO (arXiv 2503.14476): GRPO with a higher upper clip and a mean over tokens."""

    name: Literal["dapo"] = "dapo"
    """Decoupled clip and dynamic sampling policy optimisation."""
    clip_low: float = Field(0.2, gt=0, le=1)
    """Ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(0.28, gt=0)
    """Ratios above 1 + clip_high are clipped."""
    aggregation: Literal["token_mean", "group_token_mean"] = "token_mean"
    """`token_mean`: one mean over all tokens of the step, as implementations have it.
    `group_token_mean`: a mean over the tokens of each group, then over groups, as eq. 8 reads."""


@register_options
class DrGRPOOptions(ObjectiveOptions):
    """Dr. GRPO (arXiv 2503.20783): no division by a length of a response or by a std."""

    contrast: ClassVar[Literal["verdicts", "rewards"]] = "rewards"
    name: Literal["dr_grpo"] = "dr_grpo"
    """GRPO done right."""
    clip_low: float = Field(0.2, gt=0, le=1)
    """Ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(0.2, gt=0)
    """Ratios above 1 + clip_high are clipped."""
    max_response_length: int | None = Field(None, ge=1)
    """L, the constant that token sums are divided by. None: the response limit of the rollouts."""


@register_options
class GMPOOptions(AdvantageOptions):
    """GMPO (arXiv 2507.20673): the geometric mean of clipped ratios."""

    name: Literal["gmpo"] = "gmpo"
    """Geometric-mean policy optimisation."""
    log_clip: float = Field(0.4, gt=0)
    """Log-ratios above this where the advantage is positive, below its negative elsewhere, are
    clipped; the default bounds ratios to about 0.67 and 1.49."""


@register_options
class GSPOOptions(AdvantageOptions):
    """GSPO (arXiv 2507.18071): clipping of the sequence's length-normalised ratio."""

    name: Literal["gspo"] = "gspo"
    """Group sequence policy optimisation."""
    clip_low: float = Field(3e-4, gt=0, le=1)
    """Sequence ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(4e-4, gt=0)
    """Sequence ratios above 1 + clip_high are clipped."""


@register_options
class CISPOOptions(AdvantageOptions):
    """CISPO (arXiv 2506.13585): capped ratios as constant weights of log-likelihoods."""

    name: Literal["cispo"] = "cispo"
    """Clipped importance-sampling policy optimisation."""
    ratio_cap: float = Field(5.0, gt=0)
    """Largest weight: the ratio itself, not its distance from 1."""
    ratio_floor: float | None = Field(None, ge=0)
    """Smallest weight, as a ratio; None, as the paper, bounds weights from above only."""

    @model_validator(mode="after")
    def _the_floor_is_below_the_cap(self) -> Self:
        if self.ratio_floor is not None and self.ratio_floor > self.ratio_cap:
            raise ValueError(f"ratio_floor {self.ratio_floor} exceeds ratio_cap {self.ratio_cap}")
        return self


@register_options
class SAPOOptions(AdvantageOptions):
    """SAPO (arXiv 2511.20347): a smooth gate in place of the clip."""

    name: Literal["sapo"] = "sapo"
    """Soft adaptive policy optimisation."""
    gate_tau_positive: float = Field(1.0, gt=0)
    """Steepness of the gate where the advantage is positive."""
    gate_tau_negative: float = Field(1.05, gt=0)
    """Steepness of the gate elsewhere; the steeper gate tames wrong rollouts sooner."""
