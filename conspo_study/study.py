"""A study from declaration to results directory.

results/<name>/
  study.json       the frozen definition and its hash
  snapshot.json    code, packages, hardware, data hashes
  log.jsonl        every event, checksummed: the truth
  trials/<id>/     configuration, one row per step, one row per evaluated response
  ray/             checkpoints and whatever Ray keeps; never read back except checkpoints
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conspo_study.console import Console
from conspo_study.definition import StudyDefinition, StudyError
from conspo_study.plan import Plan, make_plan
from conspo_study.records import EventKind, TrialEvent, TrialState
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.results.snapshot import snapshot, write_json_atomic
from conspo_study.results.table import build_table

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How `Study.run` ended."""

    folder: Path
    complete: bool
    """False when it was interrupted and can be resumed."""

    @property
    def finished(self) -> int:
        """Trials that ran to their end."""
        table = build_table(read_log(self.folder / "log.jsonl"))
        return table.counts[TrialState.FINISHED]


class Study(StudyDefinition):
    """A declared study that can be planned and run."""

    def plan(self, cpus: int | None = None, gpus: int = 0) -> Plan:
        """What running this study means, computed without starting anything."""
        return make_plan(self, cpus if cpus is not None else _usable_cpus(), gpus)

    def run(
        self, results_root: Path, *, resume: bool = False, console: Console | None = None
    ) -> Outcome:
        """Run all trials that the results directory does not already hold.

        Raises StudyError before any work when the definition, the data, the machine or the
        directory does not allow it.
        """
        console = console or Console()
        data_hashes = self._check_data()
        folder = (results_root / self.name).resolve()
        if self._claim(folder, resume, data_hashes):
            return Outcome(folder, complete=True)
        with ResultsLog(folder / "log.jsonl") as log:
            log.append(
                TrialEvent(EventKind.STUDY_STARTED, data={"hash": self.hash, "resumed": resume})
            )
            from conspo_study.launch import launch

            complete = launch(self, folder, log, console)
            if complete:
                log.append(TrialEvent(EventKind.STUDY_FINISHED))
        return Outcome(folder, complete)

    def _check_data(self) -> dict[str, str]:
        from conspo_study.data.sources import data_hashes

        try:
            return data_hashes(self.base.data, self.base.evaluation)
        except (ValueError, OSError) as error:
            raise StudyError(str(error)) from error

    def _claim(self, folder: Path, resume: bool, data_hashes: dict[str, str]) -> bool:
        """Make or check the results directory; True when the study in it is already complete."""
        # What another cluster can place is known once it is connected.
        problems = () if os.environ.get("RAY_ADDRESS") else self.plan().problems
        if problems:
            raise StudyError("\n".join(problems))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise StudyError(
                f"the results directory {folder} cannot be written ({error.strerror}): "
                "choose another with --results"
            ) from error
        if not (folder / "study.json").exists():
            if any(folder.iterdir()):
                raise StudyError(f"{folder} is not empty and holds no study: choose another --name")
            self._write_definition(folder, data_hashes)
            return False
        before = read_definition(folder)
        if before["hash"] != self.hash:
            changes = "\n".join(_differences(before["definition"], self.frozen()))
            raise StudyError(
                f"{folder} holds a study of the same name with another definition:\n{changes}\n"
                "choose another --name, or remove that directory"
            )
        if before["data"] != data_hashes:
            changed = [n for n, h in data_hashes.items() if before["data"].get(n) != h]
            raise StudyError(
                f"the data of the study in {folder} have changed since it began: "
                f"{', '.join(changed)}; restore them, or choose another --name"
            )
        log = folder / "log.jsonl"
        events = read_log(log) if log.exists() else []
        table = build_table(events)
        if table.finished and len(table.rows) >= self.trials:
            return True
        if table.rows and not resume:
            ended = sum(row.state.ended for row in table.rows)
            raise StudyError(
                f"{folder} holds this study, {ended} of {self.trials} trials done: "
                "continue it with --resume, or choose another --name"
            )
        self._write_definition(folder, data_hashes)
        return False

    def _write_definition(self, folder: Path, data_hashes: dict[str, str]) -> None:
        write_json_atomic(
            folder / "study.json",
            {
                "schema": SCHEMA,
                "name": self.name,
                "hash": self.hash,
                "data": data_hashes,
                "definition": self.frozen(),
            },
        )
        write_json_atomic(
            folder / "snapshot.json",
            snapshot(data_hashes=data_hashes, seeds=[self.root_seed, *self.seeds]),
        )


def read_definition(folder: Path) -> dict[str, Any]:
    """The contents of study.json. Raises StudyError when it is unreadable or of another schema."""
    path = folder / "study.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} cannot be read: {error}") from error
    if data.get("schema") != SCHEMA:
        raise StudyError(f"{path} has schema {data.get('schema')!r}; this version reads {SCHEMA}")
    return data


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    a, b = _flat(before), _flat(now)
    return [
        f"  {path}: {a.get(path, 'absent')!r} there, {b.get(path, 'absent')!r} here"
        for path in sorted(a.keys() | b.keys())
        if a.get(path) != b.get(path) and path != "trials"
    ]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        items = value.items()
        return {
            k: v for key, sub in items for k, v in _flat(sub, f"{path}.{key}".strip(".")).items()
        }
    return {path: value}


def _usable_cpus() -> int:
    return len(os.sched_getaffinity(0))
