"""Options of the objectives that weigh log-likelihoods: policy gradients without a clipped ratio.

Their weights are constant: the loss is a weight times an advantage times log pi_theta, token by
token, where those of `objectives_ratio` differentiate the ratio itself (CISPO excepted).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from conspo_study.config.objectives import register_options
from conspo_study.config.objectives_ratio import AdvantageOptions

_DIVERGENCE_LIMITS = {"tv": 0.2, "kl": 0.05}


@register_options
class DPPOOptions(AdvantageOptions):
    """DPPO (arXiv 2602.04879): limits how far each token's probability moves, not its ratio."""

    corrects_tokens: ClassVar[bool] = True

    name: Literal["dppo"] = "dppo"
    """Divergence proximal policy optimisation."""
    divergence: Literal["tv", "kl"] = "tv"
    """Distance of a token's probability from the old one, token against rest: `tv`, the absolute
    difference, or `kl`, the KL divergence from the old policy, in nats."""
    delta_low: float | None = Field(None, gt=0)
    """Largest distance of a token that negative advantages push down; None: 0.2 for `tv`, 0.05 for
    `kl`."""
    delta_high: float | None = Field(None, gt=0)
    """Largest distance of a token that positive advantages push up; None: as for `delta_low`."""
    ratio_cap: float = Field(20.0, gt=0)
    """Largest weight: a bound on the ratio itself, not on its distance from 1."""

    @property
    def limits(self) -> tuple[float, float]:
        """The largest distances downwards and upwards."""
        usual = _DIVERGENCE_LIMITS[self.divergence]
        low = usual if self.delta_low is None else self.delta_low
        return low, usual if self.delta_high is None else self.delta_high


@register_options
class ReinforceOptions(AdvantageOptions):
    """REINFORCE with a group baseline, by default RGRA (arXiv 2603.18756): no ratio, no clip."""

    corrects_tokens: ClassVar[bool] = True

    name: Literal["reinforce"] = "reinforce"
    """REINFORCE with group-relative advantages."""
    scale: Literal["std", "none"] = "std"
    """Scale of the advantages: `std`, divided by the group standard deviation, as published, or
    `none`, rewards minus the group mean, which `std_ddof` and `std_epsilon` do not change."""


@register_options
class DROOptions(AdvantageOptions):
    """DRO (arXiv 2405.19107): a quadratic penalty on token log-ratios instead of clipping."""

    corrects_tokens: ClassVar[bool] = True

    name: Literal["dro"] = "dro"
    """Direct reward optimisation."""
    beta: float = Field(gt=0)
    """Coefficient of the penalty beta/2 d^2 on log-ratios d; a token has no gradient left at
    d = A / beta nats. It has no default."""


@register_options
class VESPOOptions(AdvantageOptions):
    """VESPO (arXiv 2602.10693): a smooth weight by the ratio of the whole sequence."""

    corrects_tokens: ClassVar[bool] = True

    name: Literal["vespo"] = "vespo"
    """Variational sequence-level soft policy optimisation."""
    k_positive: float = Field(2.0, gt=0)
    """Exponent k of the weight e^lambda w^k e^(-lambda w) where A >= 0; larger values damp
    sequences that have become unlikely."""
    lambda_positive: float = Field(3.0, gt=0)
    """Rate lambda of that weight where A >= 0; larger values damp sequences that have become
    likely."""
    k_negative: float = Field(3.0, gt=0)
    """Exponent k where A < 0."""
    lambda_negative: float = Field(2.0, gt=0)
    """Rate lambda where A < 0."""
