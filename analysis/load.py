"""A results directory as one object. Everything in it is untrusted and checked on the way in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from conspo_study.records import EventKind
from conspo_study.results.log import LogDamaged, LoggedEvent, read_log
from conspo_study.results.rows import read_eval_table, read_steps
from conspo_study.results.table import StudyTable, TrialRow, build_table

SCHEMA = 1
"""The version of `study.json` that this code reads."""


class StudyUnreadable(ValueError):
    """A directory cannot be analysed; the message says why and what to do."""


@dataclass(frozen=True)
class StudyResults:
    """A study as its results directory shows it at the moment of loading."""

    folder: Path
    name: str
    metric: str
    """The metric that the study selects by."""
    direction: Literal["max", "min"]
    """Whether more of it is better."""
    seeds: tuple[int, ...]
    """All seeds that a trial of the study was planned with."""
    definition: Mapping[str, Any]
    snapshot: Mapping[str, Any]
    events: tuple[LoggedEvent, ...]
    table: StudyTable
    configs: Mapping[str, Mapping[str, Any]]
    """Trial id to its full configuration; a trial that never started has none."""

    @cached_property
    def reports(self) -> pd.DataFrame:
        """Reported metrics: trial, seed, step, metric, value; a repeated step counts once."""
        latest = {
            (logged.event.trial, int(seed), int(logged.event.data["step"]), name): float(value)
            for logged in self.events
            if logged.event.kind is EventKind.REPORTED
            for seed, metrics in logged.event.data.get("seeds", {}).items()
            for name, value in metrics.items()
            if isinstance(value, int | float)
        }
        rows = [(*key, value) for key, value in latest.items()]
        return pd.DataFrame(rows, columns=["trial", "seed", "step", "metric", "value"])

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row per trial, seed and training step, one column per metric.

        Raises StudyUnreadable naming a damaged line.
        """
        try:
            rows = [
                {**step, "trial": row.id}
                for row in self.table.rows
                for step in read_steps(self.trial_folder(row.id) / "steps.jsonl")
            ]
        except ValueError as error:
            raise StudyUnreadable(str(error)) from error
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["trial", "seed", "step"])

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """One row per evaluated response: trial and the fields of EvalRow.

        Raises StudyUnreadable naming a damaged file.
        """
        try:
            frames = [
                read_eval_table(self.trial_folder(row.id)).to_pandas().assign(trial=row.id)
                for row in self.table.rows
            ]
        except ValueError as error:
            raise StudyUnreadable(str(error)) from error
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @property
    def best(self) -> TrialRow | None:
        """The trial that the study selects; see `StudyTable.best`."""
        return self.table.best(self.direction)

    def evaluated_steps(self, trial: str) -> set[int]:
        """Steps at which the trial was evaluated, from the names of its evaluation files.

        Reports between evaluations repeat the metrics of the last one.
        """
        names = [path.stem for path in self.trial_folder(trial).glob("eval-*-*.parquet")]
        endings = [name.rpartition("-")[2] for name in names]
        return {int(ending) for ending in endings if ending.isdecimal()}

    def trial_folder(self, trial: str) -> Path:
        """Where the files of `trial` lie."""
        return self.folder / "trials" / trial


def load_study(folder: Path) -> StudyResults:
    """Load `results/<study>`; works on a running study too.

    Raises StudyUnreadable when it is no results directory, has no events, was written by a newer
    version or is damaged.
    """
    if not (folder / "study.json").is_file():
        raise StudyUnreadable(f"{folder} is not a results directory: it has no study.json")
    study = _read_object(folder / "study.json")
    _check_schema(study, folder)
    definition = study.get("definition")
    if not isinstance(definition, dict) or "metric" not in definition:
        raise StudyUnreadable(f"{folder / 'study.json'} has no definition with a metric")
    try:
        events = read_log(folder / "log.jsonl")
        table = build_table(events)
    except FileNotFoundError:
        events, table = [], StudyTable()
    except LogDamaged as error:
        raise StudyUnreadable(str(error)) from error
    except ValueError as error:
        raise StudyUnreadable(f"{folder}: {error}") from error
    if not events:
        raise StudyUnreadable(f"{folder} has no events yet: the study was defined but not started")
    if table.hash and table.hash != study.get("hash"):
        raise StudyUnreadable(
            f"{folder}: log.jsonl was written for definition {table.hash}, study.json is "
            f"{study.get('hash')}; restore the study.json that the log belongs to"
        )
    return StudyResults(
        folder=folder,
        name=str(study.get("name", folder.name)),
        metric=str(definition["metric"]),
        direction="min" if definition.get("direction") == "min" else "max",
        seeds=tuple(sorted({seed for row in table.rows for seed in row.seeds})),
        definition=definition,
        snapshot=_read_optional(folder / "snapshot.json"),
        events=tuple(events),
        table=table,
        configs={
            row.id: _read_optional(folder / "trials" / row.id / "config.json").get("config", {})
            for row in table.rows
        },
    )


def _check_schema(study: Mapping[str, Any], folder: Path) -> None:
    schema = study.get("schema")
    if not isinstance(schema, int):
        raise StudyUnreadable(f"{folder / 'study.json'} names no schema version")
    if schema > SCHEMA:
        raise StudyUnreadable(
            f"{folder} has schema {schema}, this version reads up to {SCHEMA}: update conspo-study"
        )


def _read_optional(path: Path) -> dict[str, Any]:
    return _read_object(path) if path.is_file() else {}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StudyUnreadable(f"{path} is not JSON ({error}); restore it from a copy") from error
    if not isinstance(data, dict):
        raise StudyUnreadable(f"{path} is not a JSON object; restore it from a copy")
    return data
