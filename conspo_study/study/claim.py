"""Decides whether a study may use a results directory.

`study.json` holds the definition, and hashes of data, models and code, that the study in it began
with. A study continues only as it began: every difference is named, and accepting one is recorded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from conspo_study.data.check import StudyData
from conspo_study.definition import StudyDefinition
from conspo_study.files import naming, write_atomic, write_json_atomic
from conspo_study.plugins import PluginSources, ship
from conspo_study.records import StudyError
from conspo_study.records.nested import flattened
from conspo_study.results.code import code_changes, code_identity
from conspo_study.results.folder import read_definition
from conspo_study.results.names import (
    DEFINITION,
    DIGEST,
    LEASE,
    LOG,
    PLUGINS,
    QUARANTINE,
    SNAPSHOT,
)
from conspo_study.results.snapshot import snapshot
from conspo_study.results.stored import SCHEMA
from conspo_study.results.table import StudyTable


@dataclass(frozen=True, slots=True)
class Claim:
    """A study that may run in a folder."""

    folder: Path
    study: StudyDefinition
    data: StudyData
    """The problem sets and models: hashes by name, and what is left out of the sets."""
    stored: Mapping[str, Any] | None
    """What `study.json` holds; None for a folder without a study."""
    table: StudyTable
    """What the log holds so far."""
    changes: tuple[str, ...]
    """Differences from what is stored, to be accepted by whoever runs the study."""
    plugins: PluginSources = field(default_factory=PluginSources)
    """The files of its own objectives and rewards, and where they lie."""
    retried: Collection[str] = ()
    """Failed trials that are to run again."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to run."""
        return nothing_left(self.table, self.study.trials, self.retried)

    def write(self) -> tuple[str, ...]:
        """Write `study.json`, `snapshot.json`, a copy of the plugins and, if any is, what is left
        out of the data; returns the accepted changes that the log does not have yet."""
        before: Mapping[str, Any] = self.stored or {}
        changes = [*before.get("changes", ()), *self.changes]
        write_json_atomic(
            self.folder / DEFINITION,
            {
                "schema": SCHEMA,
                "name": self.study.name,
                "hash": self.study.hash,
                "data": self.data.hashes,
                "code": code_identity(plugins=self.plugins.hashes),
                "modules": {
                    name: self._seen_from_here(place) for name, place in self.plugins.places.items()
                },
                "started_in": self._seen_from_here(Path.cwd()),
                "changes": changes,
                "definition": self.study.frozen(),
            },
        )
        with naming(self.folder / PLUGINS, "cannot copy the study's own code"):
            ship(self.plugins, self.folder / PLUGINS)
        seeds = [self.study.root_seed, *self.study.seeds]
        taken = snapshot(data_hashes=self.data.hashes, left_out=self.data.counts, seeds=seeds)
        write_json_atomic(self.folder / SNAPSHOT, taken)
        rows = [json.dumps(asdict(one)) + "\n" for one in self.data.left_out]
        if rows or (self.folder / QUARANTINE).exists():
            write_atomic(self.folder / QUARANTINE, "".join(rows).encode())
        return tuple(changes[len(self.table.changes) :])

    def _seen_from_here(self, place: Path | None) -> str | None:
        """A relative path, which moves with the results and names nobody's home; None for a place
        that does not lie, with the results, in the working directory."""
        here, folder = Path.cwd(), self.folder.resolve()
        if place is None or not (place.is_relative_to(here) and folder.is_relative_to(here)):
            return None
        return os.path.relpath(place, folder)


def nothing_left(table: StudyTable, trials: int, retried: Collection[str] = ()) -> bool:
    """Whether a study has come to its end under a budget of `trials`. retried: failed trials that
    are to run again."""
    return not retried and table.finished and trials <= max(len(table.rows), table.trials or 0)


def claim(
    folder: Path,
    study: StudyDefinition,
    data: StudyData,
    table: StudyTable,
    *,
    resume: bool,
    allow_changes: bool,
    plugins: PluginSources | None = None,
    retried: Collection[str] = (),
) -> Claim:
    """Check that `study` may run in `folder`, reading only. table: that of its log. plugins: the
    files of its own code. retried: failed trials that are to run again.

    Raises StudyError when the folder holds something else, or this study unfinished and `resume` is
    not set, or what the study began with has changed and `allow_changes` is not set.
    """
    plugins = plugins or PluginSources()
    if not (folder / DEFINITION).exists():
        if table.rows or _unexpected(folder):
            what = DEFINITION if table.rows else "study"
            raise StudyError(f"{folder} is not empty and holds no {what}: choose another --name")
        return Claim(folder, study, data, None, table, (), plugins, retried)
    stored = read_definition(folder)
    of_definition = _differences(stored["definition"], study.frozen())
    of_data = [
        f"data: {name} has another content than when the study began"
        for name, digest in data.hashes.items()
        if stored["data"].get(name, digest) != digest
    ]
    # Names that come and go are differences of the definition.
    changes = (*of_definition, *of_data)
    claimed = Claim(folder, study, data, stored, table, changes, plugins, retried)
    if not claimed.done and (folder / DIGEST).exists():
        raise StudyError(
            f"{folder} is a digest, a small copy of a finished study without the files of its "
            "trials: continue the study itself"
        )
    if not claimed.done and "code" in stored:
        of_code = code_changes(stored["code"], code_identity(plugins=plugins.hashes))
        claimed = replace(claimed, changes=(*changes, *of_code))
    if claimed.changes and not allow_changes:
        raise StudyError(
            f"the study in {folder} began with other settings, data or code:\n"
            + "\n".join(f"  {change}" for change in claimed.changes)
            + "\nrestore them, choose another --name, or accept this with --allow-changes, which "
            "is recorded: the trials on both sides of a change may not be comparable"
        )
    if study.trials < len(table.rows):
        raise StudyError(
            f"the study in {folder} already has {len(table.rows)} trials, which a budget of "
            f"{study.trials} would cut: ask for --trials {len(table.rows)} or more"
        )
    if table.rows and not resume and not claimed.done:
        ended = sum(row.state.ended for row in table.rows)
        raise StudyError(
            f"{folder} holds this study, {ended} of {study.trials} trials done: "
            "continue it with --resume, or choose another --name"
        )
    return claimed


def _unexpected(folder: Path) -> list[str]:
    """Unexpected files: anything but the leftovers of a start that was killed immediately."""
    if not folder.exists():
        return []
    names = (path.name for path in folder.iterdir())
    return [n for n in names if n not in (LOG, LEASE) and not n.endswith(".tmp")]


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    a, b = ({path: repr(v) for path, v in flattened(x).items()} for x in (before, now))
    return [
        f"{path}: {a.get(path, 'absent')} there, {b.get(path, 'absent')} here"
        for path in sorted(a.keys() | b.keys())
        if a.get(path) != b.get(path) and path not in ("trials", "question")
    ]
