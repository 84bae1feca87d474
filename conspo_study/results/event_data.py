"""Numbers in a log's events, parsed within bounds: a log may be damaged or foreign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from conspo_study.records import Collapse

Number = TypeVar("Number", int, float)

MOST_STEPS, MOST_SEED = 10**9, 2**63 - 1
"""Largest step and seed that are read."""
_SHOWN = 40
"""Characters of a number that is none."""


def collapses_of(data: Mapping[str, Any]) -> dict[int, Collapse]:
    """The collapses that an event names."""
    return {
        seed_of(seed): Collapse(step_of(end["step"]), str(end.get("cause", "")))
        for seed, end in (data.get("collapsed") or {}).items()
    }


def by_seed(values: Mapping[str, Any]) -> dict[int, float]:
    """Values by seed."""
    return {seed_of(seed): float(value) for seed, value in values.items()}


def with_text_seeds(values: Mapping[int, Number]) -> dict[str, Number]:
    """Values by seed as JSON holds them, of which `by_seed` is the inverse."""
    return {str(seed): value for seed, value in values.items()}


def step_of(value: Any) -> int:
    """Steps are counted and drawn: no study has as many as a mistaken number says."""
    step = int(value)
    if not 0 <= step <= MOST_STEPS:
        raise ValueError(f"{str(value)[:_SHOWN]} is no step")
    return step


def seed_of(value: Any) -> int:
    """A seed. Raises ValueError for what is none."""
    seed = int(value)
    if not -MOST_SEED <= seed <= MOST_SEED:
        raise ValueError(f"{str(value)[:_SHOWN]} is no seed")
    return seed


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What can be averaged; a null says that a metric could not be measured."""
    if set(map(type, metrics.values())) == {float}:  # nearly always, and in a tenth of the time
        return dict(metrics)
    return {name: float(v) for name, v in metrics.items() if isinstance(v, int | float)}


def number_of(value: Any) -> float | None:
    """A number; None for what was not measured."""
    return None if value is None else float(value)
