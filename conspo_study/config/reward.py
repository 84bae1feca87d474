"""The configuration of the reward stage."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from conspo_study.config.stage import Stage
from conspo_study.plugins import REWARDS, PluginError, import_path, path_of

MATH = "math"
"""The reward that compares final answers by math-verify."""


class RewardConfig(Stage):
    """How responses are rewarded."""

    LATER: ClassVar[tuple[str, ...]] = ("name", "threshold", "extra")

    name: str = MATH
    """`math`: 1 for a final answer that equals the gold answer, else 0. Or an own function by its
    import path, `my_module:score`, or by the name that an installed package gives it."""
    threshold: float = 0.5
    """Reward of `name` from which a response counts as correct, for avg@k and for objectives that
    compare correct with wrong responses. Objectives with advantages read the reward itself."""
    extra: dict[str, float] = Field(default_factory=dict)
    """Further rewards and their weights, `{"my_module:is_formatted": 0.2}`: weight times reward is
    added to what advantages read, and does not decide what is correct."""
    workers: int = Field(1, ge=1)
    """Verifier processes per training worker."""
    deadline_s: float = Field(5.0, gt=0)
    """Seconds after which a check is killed and its verdict is `timeout`."""
    memory_mb: int = Field(1024, ge=256)
    """Address space cap of a verifier process above its size at start-up, in MiB."""
    overlong_cache: int = Field(0, ge=0)
    """Tokens before the response limit over which a length penalty grows to -1 (DAPO's soft
    overlong punishment); 0 switches it off. It changes the reward that objectives share, so it
    must be off when objectives are compared."""

    @field_validator("name", mode="before")
    @classmethod
    def _a_function_stands_for_its_import_path(cls, given: Any) -> Any:
        return import_path(given) if callable(given) else given

    @model_validator(mode="after")
    def _rewards_are_known(self) -> Self:
        for name in self.names:
            reward_path(name)
        if self.name in self.extra:
            raise ValueError(f"extra adds {self.name} to itself: leave it out of reward.extra")
        return self

    @property
    def graded(self) -> bool:
        """Whether a reward may be more than the verifier's verdict."""
        return self.names != (MATH,)

    @property
    def names(self) -> tuple[str, ...]:
        """All rewards, the one that decides first."""
        return (self.name, *self.extra)


def reward_path(name: str) -> str | None:
    """The import path of a reward; None for `math`. Raises PluginError for an unknown name."""
    path = None if name == MATH else path_of(name, REWARDS)
    if path is None and name != MATH:
        raise PluginError(
            f"unknown reward {name!r}: it is {MATH}, the import path of a function such as "
            "my_module:score, or the name that an installed package gives one"
        )
    return path
