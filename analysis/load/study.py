"""A results directory as one object. Everything in it is untrusted and checked on the way in."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from analysis.load.digest import Digest, read_digest
from analysis.load.evaluations import read_evaluations, read_responses
from analysis.load.text import visible
from conspo_study.records import EventKind, set_name
from conspo_study.results.content import read_content
from conspo_study.results.lines import LogDamaged, LoggedEvent
from conspo_study.results.names import CONFIG, LOG, SNAPSHOT, STEPS, trial_folder
from conspo_study.results.reading import stored_object
from conspo_study.results.rows import read_steps, stored_evaluations
from conspo_study.results.stored import Fault, read_study
from conspo_study.results.table import StudyTable, TrialRow
from conspo_study.text import counted, reason

UNKNOWN_METRIC = "value of an unknown metric"
"""What stands for the metric of a study without a definition."""


class StudyUnreadable(ValueError):
    """A directory cannot be analysed; the message says why and what to do."""


class DefinitionLost(StudyUnreadable):
    """There is no `study.json` of use; the log may still hold all that was measured."""


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
    """All seeds that a trial of the search was planned with."""
    definition: Mapping[str, Any]
    snapshot: Mapping[str, Any]
    events: tuple[LoggedEvent, ...]
    table: StudyTable
    configs: Mapping[str, Mapping[str, Any]]
    """Trial id to its full configuration, confirmations included: the one in its folder, else what
    the definition and the log say of it."""
    data: Mapping[str, str] = field(default_factory=dict)
    """Problem set to the hash of its content, as it was before the first trial."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """Of the sources that the study began with: `hash` and, where known, the commit `git`."""
    derived: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What others compute of it once, by name."""
    problem: str = ""
    """Why there is no definition; then neither the metric nor its direction is known, and no trial
    is the best."""

    @property
    def function(self) -> str:
        """Import path of the user's training function; empty for the built-in training."""
        named = _object(self.definition, "base").get("function", "")
        return named if isinstance(named, str) else ""

    @cached_property
    def reports(self) -> pd.DataFrame:
        """What search trials reported: trial, seed, step, metric, value; a repeated step counts
        once. Of a large study `reported` takes a fraction of the time."""
        return self._reports(None)

    def reported(self, metric: str, trials: Iterable[str] | None = None) -> pd.DataFrame:
        """The rows of `reports` that hold `metric`, without that column.

        trials: of which, by default those of the search."""
        if trials is not None:
            return self._reports(metric, trials).drop(columns="metric")
        name = f"reported {metric}"
        if name not in self.derived:
            self.derived[name] = self._reports(metric).drop(columns="metric")
        return pd.DataFrame(self.derived[name].copy())

    def _reports(self, only: str | None, trials: Iterable[str] | None = None) -> pd.DataFrame:
        chosen = {row.id for row in self.table.rows} if trials is None else set(trials)
        latest = {
            (logged.event.trial, int(seed), int(data.get("step", 0)), name): float(value)
            for logged in self.events
            if logged.event.kind is EventKind.REPORTED and logged.event.trial in chosen
            for data in (logged.event.data,)  # parsed whenever it is asked for
            for seed, metrics in data.get("seeds", {}).items()
            for name, value in _selected(metrics, only)
            if isinstance(value, int | float)
        }
        rows = [(*key, value) for key, value in latest.items()]
        return pd.DataFrame(rows, columns=["trial", "seed", "step", "metric", "value"])

    @cached_property
    def steps(self) -> pd.DataFrame:
        """`steps_of` all search trials."""
        return self.steps_of(row.id for row in self.table.rows)

    def steps_of(self, trials: Iterable[str]) -> pd.DataFrame:
        """One row per trial, seed and training step, one column per metric.

        Raises StudyUnreadable naming a damaged line.
        """
        rows = [{**step, "trial": trial} for trial in trials for step in self.step_rows(trial)]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["trial", "seed", "step"])

    def step_rows(self, trial: str) -> list[dict[str, Any]]:
        """The rows of `steps.jsonl` of a trial, by seed and step. Raises StudyUnreadable naming a
        damaged line."""
        try:
            return read_steps(self.trial_folder(trial) / STEPS)
        except ValueError as error:
            raise StudyUnreadable(str(error)) from error

    def step_means(self, trial: str, metrics: Sequence[str]) -> dict[str, Mapping[int, float]]:
        """Means of metrics over the training steps that have them, by metric and seed; what has
        none is left out. Of a digest, only those metrics that it keeps. Raises StudyUnreadable as
        `steps_of`."""
        if self.digest is not None:
            kept = self.digest.means.get(trial, {})
            return {metric: kept[metric] for metric in metrics if metric in kept}
        steps = self.steps_of([trial])
        found: dict[str, Mapping[int, float]] = {}
        for metric in metrics:
            if metric in steps:
                values = pd.to_numeric(steps[metric], errors="coerce").groupby(steps["seed"])
                known = values.mean().dropna().items()
                found[metric] = {int(str(seed)): float(value) for seed, value in known}
        return {metric: by_seed for metric, by_seed in found.items() if by_seed}

    @cached_property
    def digest(self) -> Digest | None:
        """What stands for the files of the trials; None where they are there. Raises
        StudyUnreadable naming a damaged file."""
        try:
            return read_digest(self.folder)
        except (OSError, ValueError) as error:
            raise StudyUnreadable(str(error)) from error

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """`evaluations_of` all search trials."""
        return self.evaluations_of(row.id for row in self.table.rows)

    def evaluations_of(
        self,
        trials: Iterable[str],
        columns: Sequence[str] | None = None,
        steps: Collection[int] | None = None,
    ) -> pd.DataFrame:
        """One row per response: `columns` (by default all that the files have, without the text of
        the response) and trial.

        steps: which evaluations; files of others are not opened. Raises StudyUnreadable naming a
        damaged file.
        """
        folders = {trial: self.trial_folder(trial) for trial in trials}
        try:
            return read_evaluations(folders, columns, steps)
        except ValueError as error:
            raise StudyUnreadable(str(error)) from error

    def responses_of(self, trials: Iterable[str]) -> pd.DataFrame:
        """One row per evaluated response with all that is stored of it and of its problem; see
        `read_responses`. Raises StudyUnreadable naming a damaged file."""
        try:
            return read_responses({trial: self.trial_folder(trial) for trial in trials})
        except ValueError as error:
            raise StudyUnreadable(str(error)) from error

    @cached_property
    def varying(self) -> tuple[str, ...]:
        """Dotted settings that parameters of search trials name and that differ between trials; a
        parameter of a function as `params.<name>`."""
        named = sorted({_path(path) for row in self.table.rows for path in row.params})
        return tuple(
            path
            for path in named
            if len({json.dumps(self.setting(r, path), sort_keys=True) for r in self.table.rows}) > 1
        )

    def setting(self, row: TrialRow, path: str) -> Any:
        """Value of a dotted setting in a trial: from its full configuration, else its
        parameters."""
        given = {_path(name): value for name, value in row.params.items()}
        return _dotted(self.configs.get(row.id, {}), path, given.get(path))

    def has_setting(self, row: TrialRow, path: str) -> bool:
        """Whether a trial has a dotted setting; it may be null."""
        absent = object()
        config = self.configs.get(row.id, {})
        named = {_path(name) for name in row.params}
        return path in named or _dotted(config, path, absent) is not absent

    def sets_of(self, trial: str) -> list[str]:
        """Names of a trial's problem sets, as it lists them; none where that is damaged."""
        sets = _object(self.configs.get(trial, {}), "evaluation").get("sets")
        listed = sets if isinstance(sets, list) else []
        return [set_name(entry) for entry in listed if isinstance(entry, str)]

    @property
    def counts(self) -> str:
        """Search trials by state, as `3 finished, 1 failed`."""
        return ", ".join(f"{n} {state}" for state, n in self.table.counts.items() if n)

    def __repr__(self) -> str:
        ended = "ended" if self.table.finished else "not ended"
        trials = f"{counted(len(self.table.rows), 'trial')} ({self.counts or 'none yet'})"
        best = "none" if self.best is None else f"{self.best.id} with {self.best.value:.3f}"
        return visible(f"<StudyResults {self.name}: {trials}, {ended}, best trial {best}>", 300)

    @cached_property
    def best(self) -> TrialRow | None:
        """The trial that the study selects; see `StudyTable.best`."""
        return None if self.problem else self.table.best(self.direction)

    def evaluated_steps(self, trial: str) -> set[int]:
        """Steps at which the trial was evaluated, from the names of its evaluation files.

        Reports between evaluations repeat the metrics of the last one.
        """
        known: dict[str, set[int]] = self.derived.setdefault("evaluated steps", {})
        if trial not in known:
            stored = stored_evaluations(self.trial_folder(trial))
            known[trial] = {step for _, step in stored}
        return set(known[trial])

    def trial_folder(self, trial: str) -> Path:
        """Where the files of `trial` lie."""
        return trial_folder(self.folder, trial)


def load_study(folder: str | Path, *, log_alone: bool = False) -> StudyResults:
    """Load `results/<study>`; works on a running study too.

    log_alone: whether a study whose definition is lost is what its log and trials hold. Raises
    StudyUnreadable when it is no results directory, has no events, was written by a newer version
    or is damaged.
    """
    folder = Path(folder)
    stored = read_study(folder)
    if stored.fault is Fault.LOST and not log_alone:
        raise DefinitionLost(stored.problem)
    if stored.fault is not None and stored.fault is not Fault.LOST:
        raise StudyUnreadable(stored.problem)
    study, definition = stored.fields, stored.definition
    try:
        content = read_content(folder / LOG)
    except LogDamaged as error:
        raise StudyUnreadable(str(error)) from error
    except OSError as error:
        raise StudyUnreadable(f"{folder / LOG} cannot be read: {reason(error)}") from error
    events, table = content.events, content.builder.table
    if not events:
        raise StudyUnreadable(
            f"{folder} has no events yet: the study was defined but not started; start it with "
            f"conspo resume {shlex.quote(str(folder))}"
        )
    if table.hash and table.hash != study.get("hash") and not stored.problem:
        raise StudyUnreadable(
            f"{folder}: log.jsonl was written for definition {table.hash}, study.json is "
            f"{study.get('hash')}; restore the study.json that the log belongs to"
        )
    _check_starts(events, folder)
    configs = {row.id: _trial_config(row, folder, definition) for row in table.all_rows}
    return StudyResults(
        folder=folder,
        name=stored.name,
        metric=str(definition.get("metric", UNKNOWN_METRIC)),
        direction="min" if definition.get("direction") == "min" else "max",
        seeds=tuple(sorted({seed for row in table.rows for seed in row.seeds})),
        definition=definition,
        snapshot=_read_optional(folder / SNAPSHOT),
        events=tuple(events),
        table=table,
        configs=configs,
        data=_object(study, "data"),
        code=_object(study, "code"),
        problem=stored.problem,
    )


def load_studies(folders: Sequence[Path], *, log_alone: bool = False) -> list[StudyResults]:
    """Load several results directories, each on its own: nothing of theirs is merged.

    log_alone: as for `load_study`. Raises StudyUnreadable as there, and for a directory that is
    named twice.
    """
    places = [folder.resolve() for folder in folders]
    for place, folder in zip(places, folders, strict=True):
        if places.count(place) > 1:
            raise StudyUnreadable(f"{folder} is named twice: its trials would count twice")
    return [load_study(folder, log_alone=log_alone) for folder in folders]


def _check_starts(events: Sequence[LoggedEvent], folder: Path) -> None:
    """One definition, unless a person accepted another one at some start of the study."""
    known = ""
    for logged in events:
        if logged.event.kind is not EventKind.STUDY_STARTED:
            continue
        data = logged.event.data
        if not data.get("hash"):
            continue
        if known and data["hash"] != known and not data.get("changes"):
            raise StudyUnreadable(
                f"{folder}: line {logged.seq} of log.jsonl starts definition {data['hash']}, the "
                f"lines before it belong to {known}: logs of two studies were joined; restore the "
                "log of one"
            )
        known = str(data["hash"])


def _trial_config(row: TrialRow, folder: Path, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The trial's configuration, which must be the one that the log speaks of."""
    path = trial_folder(folder, row.id) / CONFIG
    written = _read_optional(path)
    stages = _object(written, "config")
    config = dict(_declared_config(row, definition))
    config |= {name: stage for name, stage in stages.items() if isinstance(stage, dict)}
    differing = [
        f"{name} {found!r}, not {wanted!r}"
        for name, wanted in row.params.items()
        if (found := _dotted(config, _path(name), wanted)) != wanted
    ]
    if written.get("seeds", list(row.seeds)) != list(row.seeds):
        differing.append(f"seeds {written['seeds']}, not {list(row.seeds)}")
    if differing:
        raise StudyUnreadable(
            f"{path} is not of the trial that the log calls {row.id}: it has "
            f"{visible('; '.join(differing), 300)}; restore the files of this study"
        )
    return config


def _declared_config(row: TrialRow, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The base of the study with the trial's parameters; defaults of another objective than the
    base's are not in it."""
    confirm = _object(definition, "confirm") if row.of else {}
    changes = {**row.params, **_object(confirm, "overrides")}
    base = _object(definition, "base")
    config = {stage: dict(_object(base, stage)) for stage in base}
    name = changes.get("objective.name", _dotted(config, "objective.name", None))
    if config and name != _dotted(config, "objective.name", None):
        config["objective"] = {}
    for path, value in changes.items() if config else ():
        stage, _, setting = _path(path).partition(".")
        config.setdefault(stage, {})[setting] = value
    return config


def _path(name: str) -> str:
    """The dotted path of a setting in a configuration; a parameter of a function has no dot."""
    return name if "." in name else f"params.{name}"


def _dotted(config: Mapping[str, Any], name: str, default: Any) -> Any:
    stage, _, setting = name.partition(".")
    return _object(config, stage).get(setting, default)


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that should be an object; what is none counts as absent."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _selected(metrics: Mapping[str, Any], only: str | None) -> Iterable[tuple[str, Any]]:
    if only is None:
        return metrics.items()
    return [(only, metrics[only])] if only in metrics else []


def _read_optional(path: Path) -> dict[str, Any]:
    try:
        return stored_object(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StudyUnreadable(
            f"{path} cannot be read: {reason(error)}; restore it from a copy"
        ) from error
