"""Options of the objectives that weight importance ratios by group advantages.

For those that weigh log-likelihoods see `objectives_policy_gradient`.

`clip_low` and `clip_high` are always distances from ratio 1; limits of another kind have other
names (`ratio_cap`, `log_clip`), because implementations use one name for both.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from conspo_study.config.objectives import ObjectiveOptions, register_options


class AdvantageOptions(ObjectiveOptions):
    """Advantages A = (r - mean r) / (std r + std_epsilon), normalised within each group."""

    contrast: ClassVar[Literal["verdicts", "rewards"]] = "rewards"

    std_ddof: Literal[0, 1] = 1
    """Delta degrees of freedom (ddof) of the group standard deviation: 1 as in the reference
    implementations, 0 for the identity in Proposition 1 of the ConSPO paper."""
    std_epsilon: float = Field(1e-6, ge=0)
    """Constant added to the group standard deviation, in units of the reward. 0 requires rewards
    that differ within every group."""


class TokenClipOptions(ObjectiveOptions):
    """PPO's clipped surrogate on the ratio of each token."""

    contrast: ClassVar[Literal["verdicts", "rewards"]] = "rewards"
    corrects_tokens: ClassVar[bool] = True

    clip_low: float = Field(0.2, gt=0, le=1)
    """Lower clip range: token ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(0.2, gt=0)
    """Upper clip range: token ratios above 1 + clip_high are clipped."""


@register_options
class GRPOOptions(TokenClipOptions, AdvantageOptions):
    """GRPO without a KL term: clipped ratios, normalised advantages, mean over sequences."""

    name: Literal["grpo"] = "grpo"
    """Group relative policy optimisation."""


@register_options
class DAPOOptions(TokenClipOptions, AdvantageOptions):
    """DAPO (arXiv 2503.14476): GRPO with a larger upper clip range and a mean over tokens."""

    name: Literal["dapo"] = "dapo"
    """Decoupled clip and dynamic sampling policy optimisation."""
    clip_high: float = Field(0.28, gt=0)
    """Upper clip range: token ratios above 1 + clip_high are clipped."""
    aggregation: Literal["token_mean", "group_token_mean"] = "token_mean"
    """Loss aggregation: `token_mean`, a mean over all tokens of the step, as in implementations, or
    `group_token_mean`, a mean over the tokens of each group, then over groups, as in eq. 8."""


@register_options
class DrGRPOOptions(TokenClipOptions):
    """Dr. GRPO (arXiv 2503.20783): no division by response length or by standard deviation."""

    name: Literal["dr_grpo"] = "dr_grpo"
    """GRPO done right."""
    max_response_length: int | None = Field(None, ge=1)
    """Constant L, in tokens, by which token sums are divided; None: `rollout.max_new_tokens`."""


@register_options
class GMPOOptions(AdvantageOptions):
    """GMPO (arXiv 2507.20673): the geometric mean of clipped ratios."""

    name: Literal["gmpo"] = "gmpo"
    """Geometric-mean policy optimisation."""
    log_clip: float = Field(0.4, gt=0)
    """Clip range of token log-ratios, in nats: above +log_clip for positive advantages, below
    -log_clip for others. The default bounds ratios to about 0.67 and 1.49."""


@register_options
class GSPOOptions(AdvantageOptions):
    """GSPO (arXiv 2507.18071): clips the length-normalised ratio of the sequence."""

    name: Literal["gspo"] = "gspo"
    """Group sequence policy optimisation."""
    clip_low: float = Field(3e-4, gt=0, le=1)
    """Lower clip range: sequence ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(4e-4, gt=0)
    """Upper clip range: sequence ratios above 1 + clip_high are clipped."""


@register_options
class LUSPOOptions(AdvantageOptions):
    """LUSPO (arXiv 2602.05261): GSPO without the division by the response length."""

    name: Literal["luspo"] = "luspo"
    """Length-unbiased sequence policy optimisation."""
    clip_low: float = Field(2e-3, gt=0, le=1)
    """Lower clip range: sequence ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(2.5e-3, gt=0)
    """Upper clip range: sequence ratios above 1 + clip_high are clipped."""


@register_options
class RLOOOptions(TokenClipOptions):
    """RLOO (arXiv 2402.14740): the mean reward of the other rollouts as baseline."""

    name: Literal["rloo"] = "rloo"
    """REINFORCE leave-one-out, in PPO's clipped surrogate."""


@register_options
class MaxRLOptions(TokenClipOptions):
    """MaxRL (arXiv 2602.02710): advantages divided by the group's mean reward."""

    name: Literal["maxrl"] = "maxrl"
    """Maximum-likelihood reinforcement learning, in PPO's clipped surrogate."""
    mean_epsilon: float = Field(1e-6, ge=0)
    """Constant added to the group's mean reward, in units of the reward."""


@register_options
class CISPOOptions(AdvantageOptions):
    """CISPO (arXiv 2506.13585): clipped ratios as constant weights of log-likelihoods."""

    corrects_tokens: ClassVar[bool] = True

    name: Literal["cispo"] = "cispo"
    """Clipped importance-sampling policy optimisation."""
    ratio_cap: float = Field(5.0, gt=0)
    """Largest weight: a bound on the ratio itself, not on its distance from 1."""
    ratio_floor: float | None = Field(None, ge=0)
    """Smallest weight, as a ratio; None, as in the paper, bounds weights from above only."""

    @model_validator(mode="after")
    def _the_floor_is_below_the_cap(self) -> Self:
        if self.ratio_floor is not None and self.ratio_floor > self.ratio_cap:
            raise ValueError(f"ratio_floor {self.ratio_floor} exceeds ratio_cap {self.ratio_cap}")
        return self


@register_options
class SAPOOptions(AdvantageOptions):
    """SAPO (arXiv 2511.20347): a smooth gate instead of clipping."""

    corrects_tokens: ClassVar[bool] = True

    name: Literal["sapo"] = "sapo"
    """Soft adaptive policy optimisation."""
    gate_tau_positive: float = Field(1.0, gt=0)
    """Steepness of the gate for positive advantages."""
    gate_tau_negative: float = Field(1.05, gt=0)
    """Steepness of the gate for other advantages; the larger default damps wrong rollouts
    sooner."""
