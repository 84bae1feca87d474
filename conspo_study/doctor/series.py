"""A metric of a seed over its training steps, smoothed, and the step at which something set in."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from conspo_study.records import is_number

WINDOW = 5
"""Steps whose median is one value of a smoothed metric: a single step is noise."""
HOLD = 5
"""Successive smoothed values that a condition has to hold for."""


Metrics = Callable[[str], Sequence[tuple[int, float]]]
"""The training steps of one seed: gives step and value of a metric where it was measured, in the
order of the steps."""


@dataclass(frozen=True, slots=True)
class Point:
    """A smoothed value."""

    step: int
    """The last step of its window."""
    value: float


Smooth = tuple[Point, ...]
"""In the order of the steps; empty for a metric of fewer than `WINDOW` steps."""


def metrics_of(rows: Sequence[Mapping[str, Any]]) -> Metrics:
    """The metrics of rows of `steps.jsonl`: of one seed, in the order of the steps."""

    @cache  # several rules read the same
    def metric(name: str) -> list[tuple[int, float]]:
        return [(int(row["step"]), row[name]) for row in rows if is_number(row.get(name))]

    return metric


@lru_cache(maxsize=64)  # several rules ask the same of a seed
def smooth(metrics: Metrics, *names: str) -> Smooth:
    """Medians over `WINDOW` steps of the sum of some metrics, over the steps that have any."""
    sums: defaultdict[int, float] = defaultdict(float)
    for name in names:
        for step, value in metrics(name):
            sums[step] += value
    known = [(step, sums[step]) for step in sorted(sums) if math.isfinite(sums[step])]
    return tuple(
        Point(known[end - 1][0], statistics.median(value for _, value in known[end - WINDOW : end]))
        for end in range(WINDOW, len(known) + 1)
    )


def onset(points: Smooth, holds: Callable[[Point], bool]) -> Point | None:
    """The first of `HOLD` successive points for which `holds`; None where it never does so long."""
    found = [holds(point) for point in points]
    ends = range(HOLD, len(points) + 1)
    starts = (end - HOLD for end in ends if all(found[end - HOLD : end]))
    first = next(starts, None)
    return None if first is None else points[first]


def peaks(points: Smooth) -> Iterator[tuple[Point, Point]]:
    """Every point with the highest up to it, the first of equal ones."""
    yield from _extremes(points, lambda new, old: new > old)


def lows(points: Smooth) -> Iterator[tuple[Point, Point]]:
    """Every point with the lowest up to it, the first of equal ones."""
    yield from _extremes(points, lambda new, old: new < old)


def _extremes(
    points: Smooth, better: Callable[[float, float], bool]
) -> Iterator[tuple[Point, Point]]:
    best: Point | None = None
    for point in points:
        if best is None or better(point.value, best.value):
            best = point
        yield point, best


def at(points: Smooth, step: int) -> float | None:
    """The latest value up to a step; None where there is none."""
    place = bisect_right(points, step, key=lambda point: point.step)
    return points[place - 1].value if place else None
