"""The search space of a study: dotted settings of `RunConfig` mapped to what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from conspo_study.config.stage import Stage

Value = float | int | str | bool


class When(Stage):
    """A dimension exists only where another, listed before it, has one of these values."""

    path: str
    values: tuple[Value, ...]

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether `params`, chosen so far, meet the condition."""
        return params.get(self.path) in self.values


class Choice(Stage):
    """One of a few values."""

    kind: Literal["choice"] = "choice"
    values: tuple[Value, ...] = Field(min_length=1)
    when: When | None = None

    def contains(self, value: Any) -> bool:
        """Whether the search could suggest `value`."""
        return value in self.values


class Range(Stage):
    """A real number in [low, high], uniform in it or in its logarithm."""

    kind: Literal["range"] = "range"
    low: float
    high: float
    log: bool = False
    when: When | None = None

    @model_validator(mode="after")
    def _is_an_interval(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("a range needs low < high, and 0 < low on a logarithmic scale")
        return self

    def contains(self, value: Any) -> bool:
        """Whether the search could suggest `value`."""
        return isinstance(value, int | float) and self.low <= value <= self.high


Dimension = Annotated[Choice | Range, Field(discriminator="kind")]
Space = Mapping[str, Dimension]


def contains(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether the search itself could have suggested exactly `params`."""
    active = {
        path: dimension
        for path, dimension in space.items()
        if dimension.when is None or dimension.when.holds(params)
    }
    return active.keys() == params.keys() and all(
        dimension.contains(params[path]) for path, dimension in active.items()
    )
