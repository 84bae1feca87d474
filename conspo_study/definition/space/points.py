"""Points of a space: which dimensions exist, and the values that the search may suggest.

Nothing here depends on the order in which dimensions are listed: two spaces that compare equal give
the same points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any

from conspo_study.config.values import Value
from conspo_study.definition.space.dimensions import Choice, Range, Space

MAX_POINTS = 10_000
"""Number of points from which on a space of choices is not listed as a whole."""


def ordered(space: Space) -> list[tuple[str, Choice | Range]]:
    """Dimensions by name, each after those that its conditions refer to.

    Raises ValueError if conditions form a circle.
    """
    graph = TopologicalSorter(
        {path: [when.path for when in d.conditions] for path, d in sorted(space.items())}
    )
    try:
        graph.prepare()
    except CycleError as error:
        raise ValueError(f"conditions form a circle: {', '.join(error.args[1])}") from None
    dimensions = []
    while graph.is_active():
        ready = sorted(graph.get_ready())
        graph.done(*ready)
        dimensions += [(path, space[path]) for path in ready if path in space]
    return dimensions


def active(dimension: Choice | Range, params: Mapping[str, Any]) -> bool:
    """True if the dimension exists for `params`."""
    return all(when.holds(params) for when in dimension.conditions)


def contains(space: Space, params: Mapping[str, Any]) -> bool:
    """True if the search itself could have suggested exactly `params`."""
    existing = {path: dimension for path, dimension in space.items() if active(dimension, params)}
    return existing.keys() == params.keys() and all(
        dimension.contains(params[path]) for path, dimension in existing.items()
    )


def point(space: Space, coordinates: Sequence[float]) -> dict[str, Value]:
    """Settings at a point of the unit cube, one coordinate in [0, 1) per dimension.

    A dimension that does not exist at that point leaves its coordinate unused, so that a set of
    coordinates that fills the cube evenly fills every dimension evenly where it exists.
    """
    params: dict[str, Value] = {}
    for (path, dimension), coordinate in zip(ordered(space), coordinates, strict=True):
        if active(dimension, params):
            params[path] = dimension.at(coordinate)
    return params


def points(space: Space) -> Iterator[dict[str, Value]]:
    """Every point of a space of choices and whole numbers, each once.

    Raises ValueError naming a dimension that is a range of real numbers.
    """
    dimensions = [(path, dimension, dimension.listed) for path, dimension in ordered(space)]

    def extended(params: dict[str, Value], depth: int) -> Iterator[dict[str, Value]]:
        if depth == len(dimensions):
            yield params
            return
        path, dimension, listed = dimensions[depth]
        if listed is None:
            raise ValueError(f"{path} is a range and has no list of values")
        if not active(dimension, params):
            yield from extended(params, depth + 1)
            return
        for value in listed:
            yield from extended({**params, path: value}, depth + 1)

    yield from extended({}, 0)


def number_of_points(space: Space) -> int | None:
    """Number of points of the space, at most `MAX_POINTS`; None if it has a range of real
    numbers."""
    if any(dimension.listed is None for dimension in space.values()):
        return None
    return sum(1 for _ in islice(points(space), MAX_POINTS))
