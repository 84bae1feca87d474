"""The configuration of the reward stage."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import Field, model_validator

from conspo_study.config.stage import Stage
from conspo_study.config.values import CodePath
from conspo_study.plugins import REWARDS, PluginError, path_of

MATH = "math"
"""Name of the built-in reward, which compares final answers with gold answers."""


class RewardConfig(Stage):
    """Rewards of responses."""

    LATER: ClassVar[tuple[str, ...]] = ("name", "threshold", "extra")

    name: CodePath = MATH
    """Reward of a response: `math` (1 if the final answer equals the gold answer, else 0), or a
    custom function, by import path (`my_module:score`) or by its entry point in an installed
    package."""
    threshold: float = 0.5
    """Smallest reward of `name` that counts as correct, for avg@k and for objectives that compare
    correct with wrong responses. Objectives with advantages read the reward itself."""
    extra: dict[str, float] = Field(default_factory=dict)
    """Additional rewards with their weights, such as `{"my_module:is_formatted": 0.2}`. Their
    weighted sum is added to the reward that advantages read; it never decides correctness."""
    after: str = "</think>"
    """Mark at the end of a model's thoughts: the answer is looked for behind the last one, and a
    response whose thought is never closed has none. Empty: in the whole response."""
    workers: int = Field(1, ge=1)
    """Verifier processes of each training worker."""
    deadline_s: float = Field(5.0, gt=0)
    """Time limit of a check; beyond it the check is killed with verdict `timeout`. Of `math`, CPU
    seconds of its process, so that a busy machine decides no verdict; a check that hangs without
    computing ends after ten times that and 30 seconds. Of a custom function, seconds by the clock,
    in which it may wait for a network."""
    memory_mb: int = Field(1024, ge=256)
    """Memory limit of a verifier process, in MiB of address space beyond its size at start-up."""
    overlong_cache: int = Field(0, ge=0)
    """Soft overlong punishment of DAPO: length in tokens, before the response limit, over which a
    penalty grows to -1. 0 disables it, as is needed to compare objectives on equal rewards."""

    @model_validator(mode="after")
    def _rewards_are_known(self) -> Self:
        for name in self.names:
            reward_path(name)
        if self.name in self.extra:
            raise ValueError(f"extra adds {self.name} to itself: remove it from reward.extra")
        return self

    @property
    def graded(self) -> bool:
        """True if rewards may differ from the verifier's 0 or 1."""
        return self.names != (MATH,)

    @property
    def names(self) -> tuple[str, ...]:
        """All rewards, first the one that decides correctness."""
        return (self.name, *self.extra)


def reward_path(name: str) -> str | None:
    """The import path of a reward; None for `math`. Raises PluginError for an unknown name."""
    path = None if name == MATH else path_of(name, REWARDS)
    if path is None and name != MATH:
        raise PluginError(
            f"unknown reward {name!r}: use {MATH}, the import path of a function such as "
            "my_module:score, or the name of an entry point of an installed package"
        )
    return path
