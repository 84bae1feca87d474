"""The valid part of a space: settings that are valid one by one may not be valid together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from conspo_study.config import AnyRun, ConfigError, config_hash, with_overrides
from conspo_study.definition.space.dimensions import Space
from conspo_study.definition.space.points import MAX_POINTS, number_of_points, point, points

DRAWN = 1000
"""Number of random points that represent a space with too many points to try all."""
MOST_DRAWN = 10_000
"""Number of random points among which a single valid one is searched."""
FEW = 20
"""Number of random points that are tried before all are listed."""


@dataclass(frozen=True, slots=True)
class Census:
    """The points of a space, or a sample of them."""

    whole: bool
    """True if all points were tried."""
    points: int
    """Number of points that were tried."""
    invalid: int
    """Number of invalid points among them."""
    example: str
    """An invalid point with the reason; empty without one."""
    hashes: frozenset[str]
    """Hashes of the configurations of the valid points."""


def census(space: Space, base: AnyRun) -> Census:
    """Try all points of a small space, or `DRAWN` random ones of a large one."""
    whole, tried = _points_to_try(space)
    invalid, count, example = 0, 0, ""
    hashes = set()
    for params in tried:
        count += 1
        try:
            hashes.add(config_hash(with_overrides(base, params)))
        except ConfigError as error:
            invalid += 1
            example = example or f"{written(params)} ({error.problems[0]})"
    return Census(whole, count, invalid, example, frozenset(hashes))


def has_valid_point(space: Space, base: AnyRun, path: str | None = None) -> bool:
    """True if a point of the space, or of a sample of it, can be run; with `path`, a point that has
    this dimension."""
    few = islice(_random(space), FEW)  # mostly the first is valid
    for params in chain(few, _points_to_try(space, MOST_DRAWN)[1]):
        if path is not None and path not in params:
            continue
        try:
            with_overrides(base, params)
        except ConfigError:
            continue
        return True
    return False


def written(params: Any) -> str:
    """Settings as text."""
    return ", ".join(f"{path} = {value!r}" for path, value in params.items()) or "no settings"


def _points_to_try(space: Space, drawn: int = DRAWN) -> tuple[bool, Iterator[Any]]:
    if (number_of_points(space) or MAX_POINTS) < MAX_POINTS:
        return True, points(space)
    return False, islice(_random(space), drawn)


def _random(space: Space) -> Iterator[Any]:
    stream = random.Random(0)
    while True:
        yield point(space, [stream.random() for _ in space])
