"""Metrics as sums that workers and batches add up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Protocol, Self, TypeGuard


class Part(Protocol):
    """A metric still in parts: what workers and batches found, added up, is what one worker with
    one batch would have found. Nothing that is logged may depend on how the work was split."""

    def __add__(self, other: Self, /) -> Self: ...

    @property
    def value(self) -> float | None:
        """The metric, or None where there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean: a sum of values, or of values times weights, and the count or sum of weights."""

    total: float
    count: float

    def __add__(self, other: Mean, /) -> Mean:
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Peak:
    """The largest value; not a number when any of them is not."""

    value: float

    def __add__(self, other: Peak, /) -> Peak:
        return self if math.isnan(self.value) or self.value >= other.value else other


@dataclass(frozen=True, slots=True)
class Least:
    """The smallest value; not a number when any of them is not."""

    value: float

    def __add__(self, other: Least, /) -> Least:
        return self if math.isnan(self.value) or self.value <= other.value else other


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard deviation (ddof 0) of `count` values, from their sum and sum of squares."""

    count: int
    total: float
    squares: float

    def __add__(self, other: Spread, /) -> Spread:
        return Spread(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def value(self) -> float | None:
        if not self.count:
            return None
        return math.sqrt(max(0.0, self.squares / self.count - (self.total / self.count) ** 2))


@dataclass(frozen=True, slots=True)
class Correlation:
    """Pearson's r of `count` pairs (x, y), from sums; None where x or y does not vary."""

    count: int
    x: float
    y: float
    xx: float
    yy: float
    xy: float

    def __add__(self, other: Correlation, /) -> Correlation:
        return Correlation(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def value(self) -> float | None:
        n = self.count
        variances = (n * self.xx - self.x**2) * (n * self.yy - self.y**2)
        if not variances > 0:
            return None
        return max(-1.0, min(1.0, (n * self.xy - self.x * self.y) / math.sqrt(variances)))


@dataclass(frozen=True, slots=True)
class Angle:
    """The angle between two vectors x and y in degrees, from sums over their entries and those of
    d = y - x; None where one of them is 0.

    Of vectors that are nearly equal the sums of d keep the digits that a cosine near 1 would lose;
    of vectors of unlike length the product xy keeps what d loses.
    """

    xx: float
    yy: float
    xy: float
    dd: float
    xd: float

    def __add__(self, other: Angle, /) -> Angle:
        return Angle(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def value(self) -> float | None:
        x, y, d = math.sqrt(self.xx), math.sqrt(self.yy), math.sqrt(self.dd)
        if not x > 0 or not y > 0:
            return None
        if d > x / 2:  # far from equal
            return math.degrees(math.acos(max(-1.0, min(1.0, self.xy / x / y))))
        # The area that x spans with x + d is the one that it spans with d.
        sine = 0.0
        if d > 0:
            cosine = max(-1.0, min(1.0, self.xd / x / d))
            sine = math.sqrt(1 - cosine**2)
        if sine < 1e-7:  # parallel up to rounding
            sine = 0.0
        return math.degrees(math.atan2(d * sine, x + self.xd / x))


@dataclass(frozen=True, slots=True)
class Quantile:
    """The smallest value that at least `share` of all values do not exceed.

    `counts` says how often each value occurs. It is exact for the values it was given: whoever
    rounds them, to keep the different ones few, answers for the rounding.
    """

    share: float
    counts: Mapping[float, int]

    def __add__(self, other: Quantile, /) -> Quantile:
        together = Counter(self.counts)
        together.update(other.counts)
        return Quantile(self.share, together)

    @property
    def value(self) -> float | None:
        below, enough = 0, self.share * sum(self.counts.values())
        for value in sorted(self.counts):
            below += self.counts[value]
            if below >= enough:
                return value
        return None


def add_parts(into: dict[str, Part], found: Mapping[str, Part]) -> None:
    """Add the parts of `found` to those of `into`, name by name."""
    for name, part in found.items():
        into[name] = into[name] + part if name in into else part


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a reported value is a finite number, which `true` is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False
