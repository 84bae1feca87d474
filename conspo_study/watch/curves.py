"""Curves in memory: all metrics of a trial by step and seed, thinned to what a plot can show.

Arrays of doubles, since a large study has millions of values; NaN where one is missing.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

GAP = math.nan


class Curves:
    """Every metric of one trial. Steps ascend; adding a step again replaces its values."""

    def __init__(self) -> None:
        self.steps = array("q")
        self._values: dict[str, dict[int, array[float]]] = {}

    @property
    def metrics(self) -> Collection[str]:
        """Names, in the order in which they were first seen."""
        return self._values.keys()

    def add(self, step: int, seed: int, metrics: Mapping[str, Any]) -> None:
        """Add what one seed measured at a step; values that are not numbers become gaps."""
        place = bisect_left(self.steps, step)
        if place == len(self.steps):
            self.steps.append(step)
        elif self.steps[place] != step:
            self.steps.insert(place, step)
            for values in chain.from_iterable(map(dict.values, self._values.values())):
                values.insert(place, GAP)
        for name, value in metrics.items():
            if type(value) not in (float, int):
                continue
            values = self._values.setdefault(name, {}).setdefault(seed, array("d"))
            # A series ends where it was last measured.
            while len(values) <= place:
                values.append(GAP)
            try:
                values[place] = value
            except OverflowError:  # an integer too large for a float
                values[place] = GAP

    def shown(
        self,
        metric: str,
        points: int,
        steps: Collection[int] | None = None,
        evenly: bool = False,
    ) -> dict[str, Any] | None:
        """The curve of a metric as JSON data, with about `points` steps at most: `steps`, and
        `seeds`, by seed a list of the same length with None for gaps. None without any value.

        steps: the steps to show; all by default. evenly: at equal distances, the same for all
        curves of the same steps, instead of where the curve is lowest and highest.
        """
        seeds = {
            seed: values[:] + array("d", [GAP]) * (len(self.steps) - len(values))
            for seed, values in sorted(self._values.get(metric, {}).items())
        }
        places = [
            place
            for place, step in enumerate(self.steps)
            if (steps is None or step in steps)
            and any(math.isfinite(values[place]) for values in seeds.values())
        ]
        if not places:
            return None
        if evenly:
            kept = spaced([self.steps[place] for place in places], points)
        else:
            means = [_mean([values[place] for values in seeds.values()]) for place in places]
            kept = thinned(means, points)
        chosen = [places[i] for i in kept]
        return {
            "steps": [self.steps[place] for place in chosen],
            "seeds": {
                str(seed): [rounded(values[place]) for place in chosen]
                for seed, values in seeds.items()
            },
        }

    @property
    def seeds(self) -> list[int]:
        """The seeds that have any metric, ascending."""
        return sorted({seed for values in self._values.values() for seed in values})

    def points(self, metric: str, seed: int) -> list[tuple[int, float]]:
        """Step and value of a seed's metric, where it is finite."""
        values = self._values.get(metric, {}).get(seed, ())
        pairs = zip(self.steps, values, strict=False)  # a series ends where it was last measured
        return [(step, value) for step, value in pairs if math.isfinite(value)]


def thinned(values: Sequence[float], points: int) -> list[int]:
    """Indices of about `points` of the values: both ends, and the lowest and highest value of each
    of equally long stretches in between, so that no spike is lost."""
    if len(values) <= max(points, 4):
        return list(range(len(values)))
    stretches = max(1, (points - 2) // 2)
    inner = len(values) - 2
    chosen = {0, len(values) - 1}
    for number in range(stretches):
        first = 1 + number * inner // stretches
        stretch = range(first, 1 + (number + 1) * inner // stretches)
        if stretch:
            chosen |= {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
    return sorted(chosen)


def spaced(steps: Sequence[int], points: int) -> list[int]:
    """Indices of about `points` of the steps: the last of each of equally long stretches."""
    stretch = max(1, -(-(steps[-1] + 1) // max(points, 1)))
    last = {step // stretch: index for index, step in enumerate(steps)}
    return sorted(last.values())


def rounded(value: float) -> float | None:
    """The value with five digits, more than a plot shows; None if it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite)
