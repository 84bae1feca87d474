"""The bars of a trial: the values that it must reach at certain steps to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conspo_study.records import Bar, misses_bar


@dataclass(frozen=True, slots=True)
class Bars:
    """Decides where a trial that has fallen behind stops, from its own metrics alone.

    The bars are fixed before the trial starts, so the step at which it stops depends neither on
    when other trials report nor on how often it was interrupted.
    """

    metric: str = ""
    """The metric that is compared."""
    direction: str = "max"
    """`max` if more of it is better, `min` if less."""
    values: Mapping[int, Bar] = field(default_factory=dict)
    """Step -> the bar that must not be missed. A trial without bars runs to its end."""

    def missed(self, step: int, latest: Mapping[int, Mapping[str, Any]]) -> bool:
        """Whether the metrics by seed that were measured at `step` miss its bar.

        A trial with a seed that lacks the metric goes on; its ending names the missing metric.
        """
        if step not in self.values or any(self.metric not in seed for seed in latest.values()):
            return False
        values = {number: float(seed[self.metric]) for number, seed in latest.items()}
        return misses_bar(self.values[step], values, 1.0 if self.direction == "max" else -1.0)
