"""The data sent to a tracker, runs with their points and ends, and the interface of a tracker."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from conspo_study.records import TrialRole, TrialState
from conspo_study.text import printable


@dataclass(frozen=True, slots=True)
class Run:
    """One seed of one trial: a run, in the words of trackers."""

    study: str
    metric: str
    """The metric that the study selects by."""
    trial: str
    seed: int
    role: TrialRole
    of: str
    """Id of the trial that this one confirms; empty for a search trial."""
    label: str
    """Name of the baseline; empty for a searched trial."""
    params: Mapping[str, Any]
    """Dotted settings that distinguish the trial."""
    searched: tuple[str, ...] = ()
    """All dotted settings in which trials of the study may differ."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The trial's whole configuration by stage."""

    @property
    def group(self) -> str:
        """The trial's id and label, in characters that are safe in paths and URLs; shared by its
        seeds."""
        label = re.sub(r"[^A-Za-z0-9.]+", "_", self.label).strip("_.")
        return f"{self.trial}-{label}" if label else self.trial

    @property
    def name(self) -> str:
        """Unique in the study."""
        return f"{self.group}-seed{self.seed}"

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags to filter runs by."""
        confirms = [f"confirms {self.of}"] if self.of else []
        return (self.role.value, *confirms, *([self.label] if self.label else []))


@dataclass(frozen=True, slots=True)
class Point:
    """The metrics of one run at one step: of its training step, its evaluation, or both."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a trial ended."""

    state: TrialState
    """Of the trial; `COLLAPSED` for a seed that collapsed, whatever became of the others."""
    step: int
    value: float | None
    """Of the study's metric, for the run's seed."""
    cause: str = ""
    """Why it failed, or how the seed collapsed. Untrusted text."""
    wall_s: float | None = None
    incidents: int = 0
    """Failures from which the trial recovered."""

    @property
    def sentence(self) -> str:
        """State, step and cause in one line without control characters."""
        cause = printable(self.cause)
        return f"{self.state.value} at step {self.step}" + (f": {cause}" if cause else "")


class Tracked(Protocol):
    """A run inside a tracker, open for points."""

    last: int
    """The last step that the tracker has; -1 for none."""

    def log(self, points: Sequence[Point]) -> None:
        """Add points with ascending steps, all after `last`."""

    def close(self, ending: Ending | None) -> None:
        """Close the run; `ending` is None if the trial has not ended and may be continued."""


class Tracker(Protocol):
    """A destination for runs. Any error ends the tracking, not the study."""

    def holds(self, run: Run) -> bool:
        """Whether the tracker has any data of the run."""

    def begin(self, run: Run) -> Tracked:
        """Open the run, replacing or continuing the stored data, so that nothing is there twice."""
