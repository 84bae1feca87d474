"""Searches on a recorded table: every setting was run once, and a search looks its values up.

A table holds, for each point of a grid, the metric of every seed at every evaluation. Searches of
any kind are then replayed in seconds, on equal budgets and as often as their luck has to average
out. What a search reports of a setting is what a real one would have read from its log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from conspo_study.definition import Choice, StudyDefinition
from conspo_study.files import write_atomic
from conspo_study.records import EventKind, misses_bar
from conspo_study.results.decoding import decoded
from conspo_study.results.event_data import with_text_seeds
from conspo_study.results.memory_log import MemoryLog
from conspo_study.search.search import Search, Suggestion, Wait

EMBEDDED_TASK = Path(__file__).with_name("embedded_task.parquet")
_META = b"conspo_recorded"
_COLUMNS = ("setting", "seed", "step", "value")

Curve = Mapping[int, Mapping[int, float]]
"""Step to seed to value."""


@dataclass(frozen=True)
class RecordedTask:
    """A grid of settings with what each of them measured."""

    metric: str
    direction: Literal["max", "min"]
    steps: int
    """Of a whole run."""
    space: Mapping[str, Sequence[Any]]
    """The grid: values of each dotted setting."""
    curves: Mapping[str, Curve]
    """By setting, as `key_of` writes it."""

    def curve(self, params: Mapping[str, Any]) -> Curve:
        """What a setting measured. Raises KeyError for one that was not recorded."""
        return self.curves[key_of({path: params[path] for path in self.space if path in params})]

    def choices(self) -> dict[str, Choice]:
        """The grid as a search space, without conditions."""
        return {path: Choice(values=tuple(values)) for path, values in self.space.items()}

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that every setting was run with."""
        return tuple(sorted(next(iter(self._finals.values()))))

    @cached_property
    def best(self) -> float:
        """The best mean at the last step of all settings."""
        means = [fmean(values.values()) for values in self._finals.values()]
        return max(means) if self.direction == "max" else min(means)

    @cached_property
    def _finals(self) -> dict[str, Mapping[int, float]]:
        return {setting: curve[self.steps] for setting, curve in self.curves.items()}


@dataclass(frozen=True, slots=True)
class Point:
    """A search after the end of one of its trials."""

    spent: int
    """Training steps so far, over all seeds."""
    value: float | None
    """The mean at the last step of the trial that the search would select now; None while no trial
    has come to it."""


def key_of(params: Mapping[str, Any]) -> str:
    """A setting as a text that is equal for equal settings."""
    return json.dumps(dict(params), sort_keys=True)


def replay(study: StudyDefinition, task: RecordedTask) -> Iterator[Point]:
    """Run a search, one trial at a time. It may have no confirmation.

    Raises KeyError for a setting that was not recorded.
    """
    log = MemoryLog()
    search = Search(study, log)
    spent = 0
    while isinstance(suggestion := search.suggest(), Suggestion):
        before = log.table.row(suggestion.trial).step
        search.started(suggestion.trial)
        step = _run(search, suggestion, task, before)
        spent += (step - before) * len(suggestion.seeds)
        best = log.table.best(task.direction)
        yield Point(spent, None if best is None else best.value)
    assert not isinstance(suggestion, Wait), "nothing runs that the search could wait for"


def _run(search: Search, suggestion: Suggestion, task: RecordedTask, before: int) -> int:
    """Let a trial run to its end, a rung or a bar; returns the step."""
    curve = task.curve(suggestion.params)
    last = suggestion.until or task.steps
    sign = 1.0 if task.direction == "max" else -1.0
    for step in sorted(step for step in curve if before <= step <= last):
        values = {seed: curve[step][seed] for seed in suggestion.seeds}
        by_seed = {str(seed): {task.metric: value} for seed, value in values.items()}
        search.reported(suggestion.trial, {"step": step, "steps": task.steps, "seeds": by_seed})
        bar = suggestion.bars.get(step)
        if step == last or (bar is not None and misses_bar(bar, values, sign)):
            break
    kind = EventKind.PRUNED
    if step == last:
        kind = EventKind.PAUSED if suggestion.until else EventKind.FINISHED
    ended = {"value": fmean(values.values()), "values": with_text_seeds(values)}
    search.ended(suggestion.trial, kind, {"step": step, **ended})
    return step


def embedded_task() -> RecordedTask:
    """The table that comes with the package: temperature, margin, group size and learning rate of
    ConSPO on the embedded model, on stale data (16 optimiser steps per rollout batch).

    All 108 settings of the grid ran for 24 training steps with 3 seeds, evaluated every fourth on
    96 problems: `benchmarks/searches.py --record` made it. For tests and comparisons of searches.
    """
    return read_task(EMBEDDED_TASK)


def write_task(path: Path, task: RecordedTask) -> None:
    """Write a table as Parquet. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        (setting, seed, step, value)
        for setting, curve in task.curves.items()
        for step, values in sorted(curve.items())
        for seed, value in sorted(values.items())
    ]
    columns = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    about = {
        "metric": task.metric,
        "direction": task.direction,
        "steps": task.steps,
        "space": {path: list(values) for path, values in task.space.items()},
    }
    table = pa.table(columns, _schema().with_metadata({_META: json.dumps(about).encode()}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(path, sink.getvalue().to_pybytes())


def read_task(path: Path) -> RecordedTask:
    """Read a table. Raises ValueError naming a file that is none."""
    about: dict[str, Any] = {}

    def accept(schema: Any) -> None:
        if not schema.equals(_schema()) or _META not in (schema.metadata or {}):
            raise ValueError(f"{path} is no recorded table")
        about.update(json.loads(schema.metadata[_META]))

    table = decoded(path, accept).to_pydict()
    curves: dict[str, dict[int, dict[int, float]]] = {}
    for setting, seed, step, value in zip(*(table[name] for name in _COLUMNS), strict=True):
        curves.setdefault(setting, {}).setdefault(step, {})[seed] = value
    return RecordedTask(about["metric"], about["direction"], about["steps"], about["space"], curves)


def _schema() -> Any:
    import pyarrow as pa

    types = (pa.string(), pa.int64(), pa.int64(), pa.float64())
    return pa.schema([pa.field(name, kind) for name, kind in zip(_COLUMNS, types, strict=True)])
