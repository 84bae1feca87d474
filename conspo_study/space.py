"""The search space of a study: dotted settings of `RunConfig` mapped to what they may be.

Nothing here depends on the order in which dimensions are listed: two spaces that compare equal give
the same points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from conspo_study.config.stage import Stage

Value = float | int | str | bool

MAX_POINTS = 10_000
"""Spaces of choices with as many points are not walked through as a whole."""


class When(Stage):
    """A dimension exists only where another has one of these values."""

    path: str
    values: tuple[Value, ...]

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether `params` meet the condition; never where the other does not exist either."""
        return params.get(self.path) in self.values


class Choice(Stage):
    """One of a few values."""

    kind: Literal["choice"] = "choice"
    values: tuple[Value, ...] = Field(min_length=1)
    when: When | None = None

    @model_validator(mode="after")
    def _values_are_distinct(self) -> Self:
        if len(set(self.values)) != len(self.values):
            raise ValueError("the values of a choice must be distinct")
        return self

    def contains(self, value: Any) -> bool:
        """Whether the search could suggest `value`."""
        return value in self.values

    def at(self, coordinate: float) -> Value:
        """The value at `coordinate` in [0, 1); each has an equal share."""
        return self.values[int(coordinate * len(self.values))]


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

    def at(self, coordinate: float) -> float:
        """The value at `coordinate` in [0, 1)."""
        if self.log:
            ratio = math.log(self.high / self.low)
            value = self.low * math.exp(coordinate * ratio)
        else:
            value = self.low + coordinate * (self.high - self.low)
        return min(max(value, self.low), self.high)  # rounding may have left the interval


Dimension = Annotated[Choice | Range, Field(discriminator="kind")]
Space = Mapping[str, Dimension]


def ordered(space: Space) -> list[tuple[str, Choice | Range]]:
    """The dimensions by name, each after the one that its condition is about.

    Raises ValueError when conditions run in a circle.
    """
    graph = TopologicalSorter(
        {path: [d.when.path] if d.when else [] for path, d in sorted(space.items())}
    )
    try:
        graph.prepare()
    except CycleError as error:
        raise ValueError(f"conditions run in a circle: {', '.join(error.args[1])}") from None
    found = []
    while graph.is_active():
        ready = sorted(graph.get_ready())
        graph.done(*ready)
        found += [(path, space[path]) for path in ready if path in space]
    return found


def active(dimension: Choice | Range, params: Mapping[str, Any]) -> bool:
    """Whether the dimension exists where `params` hold."""
    return dimension.when is None or dimension.when.holds(params)


def contains(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether the search itself could have suggested exactly `params`."""
    existing = {path: dimension for path, dimension in space.items() if active(dimension, params)}
    return existing.keys() == params.keys() and all(
        dimension.contains(params[path]) for path, dimension in existing.items()
    )


def point(space: Space, coordinates: Sequence[float]) -> dict[str, Value]:
    """The params at a point of the unit cube, one coordinate in [0, 1) per dimension.

    A dimension that does not exist at that point leaves its coordinate unused, so that a set of
    coordinates that fills the cube evenly fills every dimension evenly where it exists.
    """
    params: dict[str, Value] = {}
    for (path, dimension), coordinate in zip(ordered(space), coordinates, strict=True):
        if active(dimension, params):
            params[path] = dimension.at(coordinate)
    return params


def points(space: Space) -> Iterator[dict[str, Value]]:
    """Every point of a space of choices, each once.

    Raises ValueError naming a dimension that is a range.
    """
    dimensions = ordered(space)

    def extended(params: dict[str, Value], depth: int) -> Iterator[dict[str, Value]]:
        if depth == len(dimensions):
            yield params
            return
        path, dimension = dimensions[depth]
        if isinstance(dimension, Range):
            raise ValueError(f"{path} is a range and has no list of values")
        if not active(dimension, params):
            yield from extended(params, depth + 1)
            return
        for value in dimension.values:
            yield from extended({**params, path: value}, depth + 1)

    yield from extended({}, 0)


def number_of_points(space: Space) -> int | None:
    """How many points the space has, at most `MAX_POINTS`; None where it has a range."""
    if any(isinstance(dimension, Range) for dimension in space.values()):
        return None
    return sum(1 for _ in islice(points(space), MAX_POINTS))
