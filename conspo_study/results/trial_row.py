"""One trial, as the log says of it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from conspo_study.records import Bar, Collapse, TrialRole, TrialState
from conspo_study.text import printable, setting_text


@dataclass(frozen=True, slots=True)
class TrialRow:
    """What the log says about one trial."""

    id: str
    state: TrialState = TrialState.WAITING
    role: TrialRole = TrialRole.SEARCH
    of: str = ""
    """Id of the search trial that this one confirms; empty for a search trial."""
    label: str = ""
    """Name of the anchor that this trial is, empty for a searched one."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Dotted settings that distinguish the trial from the study's base configuration."""
    config_hash: str = ""
    seeds: tuple[int, ...] = ()
    """The seeds that belong to the trial, whether or not they have values."""
    bars: Mapping[int, Bar] = field(default_factory=dict)
    """Step -> the pruning threshold there; a number in studies that version 0.2 began."""
    step: int = 0
    """Last step that was reported."""
    steps: int | None = None
    """Steps of a whole run; None before the first report."""
    values: Mapping[int, float] = field(default_factory=dict)
    """Value of the study's metric per seed at the trial's end; empty while it runs."""
    also: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    """The study's further objectives: values per seed at the trial's end, by metric."""
    recorded_value: float | None = None
    """The mean that was logged, for ends that carry no values per seed."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Last reported value of each metric, mean over seeds."""
    seed_metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Last reported value of each metric per seed."""
    cause: str = ""
    """Why the trial failed. Untrusted text."""
    collapses: Mapping[int, Collapse] = field(default_factory=dict)
    """The seeds that stopped at a collapse, also of a trial that runs; their values are those of
    their policies as they were then."""
    untrained: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """What each seed reported at step 0; empty where nothing was measured there."""
    machine: bool = False
    """Whether the machine made it fail, so that it may be tried again."""
    incidents: Mapping[str, int] = field(default_factory=dict)
    """How often each type of failure was absorbed."""
    wall_s: float | None = None
    """Seconds from its start to its end, without those in which it was paused."""
    pauses: Mapping[int, float] = field(default_factory=dict)
    """The rungs at which it has paused: step to mean over seeds of the study's metric there."""
    earlier_s: float = 0.0
    """Seconds that it ran before its last pause."""
    tokens_per_s: float | None = None

    @property
    def value(self) -> float | None:
        """Mean of `values`; for a pruned trial at the step where it was stopped."""
        return statistics.fmean(self.values.values()) if self.values else self.recorded_value

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def collapsed(self) -> dict[int, int]:
        """The step at which each seed that has collapsed stopped."""
        return {seed: collapse.step for seed, collapse in self.collapses.items()}

    @property
    def missing_seeds(self) -> tuple[int, ...]:
        """Seeds without a value: the mean of such a trial compares with no other."""
        return tuple(seed for seed in self.seeds if seed not in self.values)


def changed(row: TrialRow, **changes: Any) -> TrialRow:
    """`dataclasses.replace`, in a fifth of its time: a row is made for nearly every event."""
    made: TrialRow = object.__new__(TrialRow)
    for take, put in _FIELDS.values():
        put(made, take(row))
    for name, value in changes.items():
        _FIELDS[name][1](made, value)
    return made


_FIELDS = {
    name: (slot.__get__, slot.__set__)
    for name, slot in ((field.name, vars(TrialRow)[field.name]) for field in fields(TrialRow))
}
"""Of each field, what reads and what writes it."""


def settings_of(row: TrialRow) -> str:
    """The trial's parameters without their stage names, after its label."""
    values = " ".join(
        f"{path.rpartition('.')[2]}={setting_text(value, 4)}" for path, value in row.params.items()
    )
    return printable(f"[{row.label}] {values}" if row.label else values)
