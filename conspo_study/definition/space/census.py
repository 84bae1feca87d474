"""How much of a space can be run: settings that are valid one by one may not be so together."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from conspo_study.config import ConfigError, RunConfig, config_hash, with_overrides
from conspo_study.definition.space.dimensions import Space
from conspo_study.definition.space.points import MAX_POINTS, number_of_points, point, points

DRAWN = 1000
"""Random points by which a space is judged that has too many to try all."""
MOST_DRAWN = 10_000
"""Random points among which a single valid one is looked for."""
FEW = 20
"""Random points that are tried before all are listed."""


@dataclass(frozen=True, slots=True)
class Census:
    """The points of a space, or a sample of them."""

    whole: bool
    """Whether all points were looked at."""
    points: int
    """As many as were looked at."""
    invalid: int
    example: str
    """An invalid point, and why; empty without one."""
    hashes: frozenset[str]
    """The configurations of the valid points."""


def census(space: Space, base: RunConfig) -> Census:
    """Look at all points of a space that has few, and else at `DRAWN` random ones."""
    whole, found = _looked_at(space)
    invalid, count, example = 0, 0, ""
    hashes = set()
    for params in found:
        count += 1
        try:
            hashes.add(config_hash(with_overrides(base, params)))
        except ConfigError as error:
            invalid += 1
            example = example or f"{written(params)} ({error.problems[0]})"
    return Census(whole, count, invalid, example, frozenset(hashes))


def has_valid_point(space: Space, base: RunConfig, path: str | None = None) -> bool:
    """Whether one of its points, or of a sample of them, can be run; with `path`, one of those that
    have this dimension."""
    few = islice(_random(space), FEW)  # mostly the first is valid
    for params in chain(few, _looked_at(space, MOST_DRAWN)[1]):
        if path is not None and path not in params:
            continue
        try:
            with_overrides(base, params)
        except ConfigError:
            continue
        return True
    return False


def written(params: Any) -> str:
    """Settings as one reads them."""
    return ", ".join(f"{path} = {value!r}" for path, value in params.items()) or "no settings"


def _looked_at(space: Space, drawn: int = DRAWN) -> tuple[bool, Iterator[Any]]:
    if (number_of_points(space) or MAX_POINTS) < MAX_POINTS:
        return True, points(space)
    return False, islice(_random(space), drawn)


def _random(space: Space) -> Iterator[Any]:
    stream = random.Random(0)
    while True:
        yield point(space, [stream.random() for _ in space])
