"""Numbers as tables and sentences show them; an unknown one is a dash, never 0 and never nan."""

from __future__ import annotations

import math

ABSENT = "–"
"""Shown in place of a value that is absent."""


def number(value: float | None, spec: str) -> str:
    """A number by a format specification such as `+.3f`."""
    return ABSENT if value is None or math.isnan(value) else f"{value:{spec}}"


def interval(low: float | None, high: float | None, spec: str) -> str:
    """`[0.701, 0.745]`; absent unless both ends are known."""
    ends = number(low, spec), number(high, spec)
    return ABSENT if ABSENT in ends else f"[{ends[0]}, {ends[1]}]"


def mean_and_sd(mean: float | None, sd: float | None) -> str:
    """`0.742 ± 0.012`, or the mean alone where the standard deviation is unknown."""
    spread = number(sd, ".3f")
    return number(mean, ".3f") + ("" if spread == ABSENT else f" ± {spread}")


def p_value(p: float | None) -> str:
    """Three decimals; `< 0.001` below that."""
    return "< 0.001" if p is not None and p < 0.001 else number(p, ".3f")
