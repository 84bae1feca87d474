"""Events folded into one row per trial."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from conspo_study.records import EventKind, TrialState
from conspo_study.results.lines import LoggedEvent


@dataclass(frozen=True, slots=True)
class TrialRow:
    """What the log says about one trial."""

    id: str
    state: TrialState = TrialState.WAITING
    label: str = ""
    """Name of the anchor that this trial is, empty for a searched one."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Dotted settings that distinguish the trial from the study's base configuration."""
    config_hash: str = ""
    seeds: tuple[int, ...] = ()
    """The seeds that belong to the trial, whether or not they have values."""
    step: int = 0
    """Last step that was reported."""
    steps: int | None = None
    """Steps of a whole run; None before the first report."""
    values: Mapping[int, float] = field(default_factory=dict)
    """Value of the study's metric per seed at the trial's end; empty while it runs."""
    recorded_value: float | None = None
    """The mean that was logged, for ends that carry no values per seed."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Last reported value of each metric, mean over seeds."""
    seed_metrics: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """Last reported value of each metric per seed."""
    cause: str = ""
    """Why the trial failed. Untrusted text."""
    wall_s: float | None = None
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
    def missing_seeds(self) -> tuple[int, ...]:
        """Seeds without a value: the mean of such a trial compares with no other."""
        return tuple(seed for seed in self.seeds if seed not in self.values)


@dataclass(frozen=True, slots=True)
class StudyTable:
    """All trials of a study in the order in which they were suggested."""

    rows: tuple[TrialRow, ...] = ()
    hash: str = ""
    """Hash of the study's definition, from its last start."""
    finished: bool = False
    """Whether the study came to its end."""

    @property
    def counts(self) -> dict[TrialState, int]:
        """Trials per state, all states present."""
        found = Counter(row.state for row in self.rows)
        return {state: found[state] for state in TrialState}

    def row(self, trial: str) -> TrialRow:
        """The row of a trial. Raises KeyError for one that was never suggested."""
        for row in self.rows:
            if row.id == trial:
                return row
        raise KeyError(trial)

    def best(self, direction: Literal["max", "min"] = "max") -> TrialRow | None:
        """The finished trial with the best mean over all its seeds; ties go to the smaller id.

        Pruned and failed trials never win, nor does one that lacks the value of a seed.
        """
        sign = -1.0 if direction == "max" else 1.0
        ranked = [
            (sign * row.value, row.id, row)
            for row in self.rows
            if row.state is TrialState.FINISHED and row.value is not None and not row.missing_seeds
        ]
        return min(ranked)[2] if ranked else None


def build_table(events: Iterable[LoggedEvent]) -> StudyTable:
    """Fold the log. Raises ValueError naming the event that contradicts those before it."""
    rows: dict[str, TrialRow] = {}
    study = StudyTable()
    for logged in events:
        kind, trial, data = logged.event.kind, logged.event.trial, logged.event.data
        try:
            if kind is EventKind.STUDY_STARTED:
                study = replace(study, hash=str(data.get("hash", "")), finished=False)
            elif kind is EventKind.STUDY_FINISHED:
                study = replace(study, finished=True)
            elif kind is EventKind.SUGGESTED:
                rows[trial] = _suggested(rows.get(trial), trial, data)
            elif trial not in rows:
                raise ValueError(f"trial {trial} was never suggested")
            else:
                rows[trial] = _advanced(rows[trial], kind, data)
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"event {logged.seq} ({kind.value}) of the log: {error}") from error
    return replace(study, rows=tuple(rows.values()))


def _suggested(known: TrialRow | None, trial: str, data: Mapping[str, Any]) -> TrialRow:
    row = TrialRow(
        id=trial,
        label=str(data.get("label", "")),
        params=dict(data.get("params", {})),
        config_hash=str(data.get("config_hash", "")),
        seeds=tuple(int(seed) for seed in data.get("seeds", ())),
    )
    if known is None:
        return row
    if (known.params, known.seeds) != (row.params, row.seeds):
        raise ValueError(f"trial {trial} was suggested before with other parameters or seeds")
    return known


def _advanced(row: TrialRow, kind: EventKind, data: Mapping[str, Any]) -> TrialRow:
    if row.state is TrialState.FINISHED:
        # Its value may already have been used: the first end stands.
        return row
    if kind is EventKind.STARTED:
        return replace(
            row, state=TrialState.RUNNING, cause="", values={}, recorded_value=None, wall_s=None
        )
    if kind is EventKind.REPORTED:
        # A stopped worker may still report once; the end of its trial stands.
        return row if row.state.ended else _reported(row, data)
    return replace(
        row,
        state=TrialState(kind.value),
        step=int(data.get("step") or row.step),
        values={int(seed): float(v) for seed, v in (data.get("values") or {}).items()},
        recorded_value=_number(data.get("value")),
        cause=str(data.get("cause", "")),
        wall_s=_number(data.get("wall_s")),
    )


def _reported(row: TrialRow, data: Mapping[str, Any]) -> TrialRow:
    # A report holds all that is up to date: what it lacks was measured at an earlier step only.
    seeds = {int(seed): _numbers(metrics) for seed, metrics in data.get("seeds", {}).items()}
    return replace(
        row,
        state=TrialState.RUNNING,
        step=int(data["step"]) if "step" in data else row.step,
        steps=int(data["steps"]) if "steps" in data else row.steps,
        metrics=_numbers(data.get("metrics", {})),
        seed_metrics=seeds,
        tokens_per_s=_number(data.get("tokens_per_s")),
    )


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What can be averaged; a null says that a metric could not be measured."""
    return {name: float(v) for name, v in metrics.items() if isinstance(v, int | float)}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
