"""Options of each objective, and the registry by which `objective.name` selects them.

Options live apart from the objectives so that a configuration can be checked without torch.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field

from conspo_study.config.stage import Stage


class ObjectiveOptions(Stage):
    """Base of all objective options. Subclasses fix `name` and add their own fields."""

    name: str
    """Which objective to minimise; one of the registered names."""


OPTIONS: dict[str, type[ObjectiveOptions]] = {}

Options = TypeVar("Options", bound=ObjectiveOptions)


def register_options(options: type[Options]) -> type[Options]:
    """Class decorator: make the options selectable by the default of their `name` field.

    Raises ValueError when the name is taken.
    """
    name = options.model_fields["name"].default
    if name in OPTIONS:
        raise ValueError(f"an objective named {name!r} is already registered")
    OPTIONS[name] = options
    return options


@register_options
class ConSPOOptions(ObjectiveOptions):
    """ConSPO (arXiv 2605.12969, eq. 13); the defaults are the published ones."""

    name: Literal["conspo"] = "conspo"
    """Contrastive sequence-level policy optimisation."""
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
class GRPOOptions(ObjectiveOptions):
    """GRPO without KL term: clipped ratios, std-normalised advantages, mean over sequences."""

    name: Literal["grpo"] = "grpo"
    """Group relative policy optimisation."""
    clip_low: float = Field(0.2, gt=0, le=1)
    """Ratios below 1 - clip_low are clipped."""
    clip_high: float = Field(0.2, gt=0)
    """Ratios above 1 + clip_high are clipped."""
    std_ddof: Literal[0, 1] = 1
    """Degrees of freedom of the group standard deviation: 1 as every implementation that divides
    by it, 0 for the identity with the discriminative form (Proposition 1 of the ConSPO paper)."""
    std_epsilon: float = Field(1e-6, ge=0)
    """Added to the group standard deviation."""
