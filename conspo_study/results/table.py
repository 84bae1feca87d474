"""Events folded into one row per trial."""

from __future__ import annotations

import statistics
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Literal

from conspo_study.records import (
    Bar,
    Collapse,
    EventKind,
    TrialEvent,
    TrialRole,
    TrialState,
    read_bar,
)
from conspo_study.results.event_data import (
    by_seed,
    collapses_of,
    number_of,
    numbers_of,
    seed_of,
    step_of,
)
from conspo_study.results.lines import LoggedEvent
from conspo_study.text import printable, setting_text

_CAUSES_OF_THE_MACHINE = (
    *("the trial's processes died", "the trial ended after step", "the workers died"),
    *("out of memory: ", "rollout "),
)


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


@dataclass(frozen=True)
class StudyTable:
    """All trials of a study, each kind in the order in which it was suggested."""

    rows: tuple[TrialRow, ...] = ()
    """The search trials. Whatever ranks or counts trials means these."""
    confirmations: tuple[TrialRow, ...] = ()
    """Runs of chosen settings on seeds and problems that did not choose them."""
    hash: str = ""
    """Hash of the study's definition, from its last start."""
    trials: int | None = None
    """Budget in search trials, from its last start; None in logs that do not say it."""
    changes: tuple[str, ...] = ()
    """What was accepted as different from the study's beginning, over all starts."""
    incidents: Mapping[str, int] = field(default_factory=dict)
    """How often each type of failure was absorbed that belongs to no single trial."""
    finished: bool = False
    """Whether the study came to its end."""

    @property
    def all_rows(self) -> tuple[TrialRow, ...]:
        """Search trials, then confirmations."""
        return self.rows + self.confirmations

    @property
    def counts(self) -> dict[TrialState, int]:
        """Search trials per state, all states present."""
        found = Counter(row.state for row in self.rows)
        return {state: found[state] for state in TrialState}

    @property
    def with_result(self) -> int:
        """Search trials that came to their last step, finished or collapsed."""
        return sum(row.state.has_result for row in self.rows)

    @property
    def all_incidents(self) -> dict[str, int]:
        """Absorbed failures of the study and of all its trials, by type."""
        total = Counter(self.incidents)
        for row in self.all_rows:
            total.update(row.incidents)
        return dict(total)

    def row(self, trial: str) -> TrialRow:
        """The row of a trial of any role. Raises KeyError for one that was never suggested."""
        return self._by_id[trial]

    @cached_property
    def _by_id(self) -> dict[str, TrialRow]:
        return {row.id: row for row in self.all_rows}

    def best(self, direction: Literal["max", "min"] = "max") -> TrialRow | None:
        """The trial with a result that has the best mean over all its seeds; ties go to the smaller
        id.

        Pruned and failed trials never win, nor does one that lacks the value of a seed.
        """
        sign = -1.0 if direction == "max" else 1.0
        ranked = [
            (sign * row.value, row.id, row)
            for row in self.rows
            if row.state.has_result and row.value is not None and not row.missing_seeds
        ]
        return min(ranked)[2] if ranked else None


class TableBuilder:
    """A table that grows with the log: an event costs the same however long the log is.

    One thread adds; any thread may read.
    """

    def __init__(self, events: Iterable[LoggedEvent] = ()):
        self._mutex = threading.Lock()
        self._rows: dict[str, TrialRow] = {}
        self._study = StudyTable()
        """All but the rows."""
        self._snapshot: StudyTable | None = None
        for logged in events:
            self.add(logged)

    @property
    def table(self) -> StudyTable:
        """All events added so far; the same object until another is added."""
        with self._mutex:
            if self._snapshot is None:
                rows = tuple(self._rows.values())
                self._snapshot = replace(
                    self._study,
                    rows=tuple(row for row in rows if row.role is TrialRole.SEARCH),
                    confirmations=tuple(row for row in rows if row.role is not TrialRole.SEARCH),
                )
            return self._snapshot

    def row(self, trial: str) -> TrialRow:
        """That of `table`, which need not be made for it. Raises KeyError as there."""
        with self._mutex:
            return self._rows[trial]

    def check(self, logged: LoggedEvent) -> None:
        """Raises ValueError naming the event when it contradicts those before it."""
        self._fold(logged)

    def add(self, logged: LoggedEvent) -> None:
        """Take in the next event. Raises ValueError as `check`; the table is then as before."""
        result = self._fold(logged)
        with self._mutex:
            if isinstance(result, StudyTable):
                self._study = result
            else:
                self._rows[result.id] = result
            self._snapshot = None

    def _fold(self, logged: LoggedEvent) -> StudyTable | TrialRow:
        """What the event makes of the study, or of the one row that it concerns."""
        event = logged.event
        try:
            if not event.trial:
                return _study_after(self._study, event)
            known = self._rows.get(event.trial)
            if event.kind is EventKind.SUGGESTED:
                return self._suggested(known, event)
            if known is None:
                raise ValueError(f"trial {event.trial} was never suggested")
            return _advanced(known, event.kind, event.data)
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:
            raise ValueError(
                f"event {logged.seq} ({event.kind.value}) of the log: {error}"
            ) from error

    def _suggested(self, known: TrialRow | None, event: TrialEvent) -> TrialRow:
        data = event.data
        row = TrialRow(
            id=event.trial,
            role=TrialRole(data.get("role", TrialRole.SEARCH)),
            of=str(data.get("of", "")),
            label=str(data.get("label", "")),
            params=dict(data.get("params", {})),
            config_hash=str(data.get("config_hash", "")),
            seeds=tuple(map(seed_of, data.get("seeds", ()))),
            bars={step_of(step): read_bar(bar) for step, bar in data.get("bars", {}).items()},
        )
        if known is not None:
            if _identity(known) != _identity(row):
                raise ValueError(
                    f"trial {row.id} was suggested before with other parameters, seeds or bars"
                )
            return known
        confirmed = self._rows.get(row.of)
        if row.role is TrialRole.CONFIRMATION and (
            confirmed is None or confirmed.role is not TrialRole.SEARCH
        ):
            raise ValueError(f"trial {row.id} confirms {row.of!r}, which is no search trial")
        return row


def build_table(events: Iterable[LoggedEvent]) -> StudyTable:
    """Fold the log. Raises ValueError naming the event that contradicts those before it."""
    return TableBuilder(events).table


def _study_after(study: StudyTable, event: TrialEvent) -> StudyTable:
    """The study after an event that belongs to no trial."""
    data = event.data
    if event.kind is EventKind.INCIDENT:
        return replace(study, incidents=_counted(study.incidents, data))
    if event.kind is EventKind.STUDY_FINISHED:
        return replace(study, finished=True)
    return replace(
        study,
        hash=str(data.get("hash", "")),
        trials=int(data["trials"]) if "trials" in data else None,
        changes=(*study.changes, *map(str, data.get("changes", ()))),
        finished=False,
    )


def _identity(row: TrialRow) -> tuple[Any, ...]:
    return row.params, row.seeds, row.role, row.of, row.bars


def _advanced(row: TrialRow, kind: EventKind, data: Mapping[str, Any]) -> TrialRow:
    if kind is EventKind.INCIDENT:
        return replace(row, incidents=_counted(row.incidents, data))
    if row.state.has_result:
        # Its value may already have been used: the first end stands.
        return row
    if kind is EventKind.STARTED:
        return replace(
            row,
            state=TrialState.RUNNING,
            cause="",
            machine=False,
            collapses={},
            values={},
            also={},
            recorded_value=None,
            wall_s=None,
        )
    if kind is EventKind.REPORTED:
        # A stopped worker may still report once; the end of its trial stands, and so does a pause.
        over = row.state.ended or row.state is TrialState.PAUSED
        return row if over else _reported(row, data)
    cause = str(data.get("cause", ""))
    wall_s = number_of(data.get("wall_s"))
    wall_s = None if wall_s is None else wall_s + row.earlier_s
    if kind is EventKind.PAUSED:
        there = statistics.fmean(by_seed(data["values"]).values())
        pauses = {**row.pauses, step_of(data["step"]): there}
        row = replace(row, pauses=pauses, earlier_s=wall_s or row.earlier_s)
    return replace(
        row,
        state=TrialState(kind.value),
        step=step_of(data.get("step") or row.step),
        values=by_seed(data.get("values") or {}),
        also={metric: by_seed(values) for metric, values in (data.get("also") or {}).items()},
        recorded_value=number_of(data.get("value")),
        cause=cause,
        machine=kind is EventKind.FAILED and _is_of_the_machine(data, cause),
        collapses=collapses_of(data) or row.collapses,
        wall_s=wall_s,
    )


def _reported(row: TrialRow, data: Mapping[str, Any]) -> TrialRow:
    # A report holds all that is up to date: what it lacks was measured at an earlier step only.
    seeds = {seed_of(seed): numbers_of(metrics) for seed, metrics in data.get("seeds", {}).items()}
    return replace(
        row,
        state=TrialState.RUNNING,
        step=step_of(data["step"]) if "step" in data else row.step,
        steps=step_of(data["steps"]) if "steps" in data else row.steps,
        metrics=numbers_of(data.get("metrics", {})),
        seed_metrics=seeds,
        collapses=collapses_of(data),
        untrained=_shared(seeds) if data.get("step") == 0 else row.untrained,
        tokens_per_s=number_of(data.get("tokens_per_s")),
    )


def _shared(seeds: Mapping[int, Mapping[str, float]]) -> dict[int, Mapping[str, float]]:
    """Metrics by seed that are kept once however many trials report the same: trials of one policy
    have the evaluation of the untrained one in common."""
    return {
        seed: _kept_once(tuple((n, v) for n, v in metrics.items() if not n.startswith("time/")))
        for seed, metrics in seeds.items()
    }


@lru_cache(maxsize=1024)
def _kept_once(metrics: tuple[tuple[str, float], ...]) -> Mapping[str, float]:
    return MappingProxyType(dict(metrics))


def _counted(incidents: Mapping[str, int], data: Mapping[str, Any]) -> dict[str, int]:
    """The counts after one more incident event."""
    kind, count = str(data["type"]), int(data.get("count", 1))
    return {**incidents, kind: incidents.get(kind, 0) + count}


def _is_of_the_machine(data: Mapping[str, Any], cause: str) -> bool:
    """Whether the machine made a trial fail; logs before version 0.3 say so by the cause alone."""
    return bool(data.get("machine", cause.startswith(_CAUSES_OF_THE_MACHINE)))


def settings_of(row: TrialRow) -> str:
    """The trial's parameters without their stage names, after its label."""
    values = " ".join(
        f"{path.rpartition('.')[2]}={setting_text(value, 4)}" for path, value in row.params.items()
    )
    return printable(f"[{row.label}] {values}" if row.label else values)
