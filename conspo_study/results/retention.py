"""Retention of checkpoints: the last of each ended trial, the best trials' first.

A running trial needs its last two. Of an ended one the last is worth keeping as long as there is
room; what must go, goes from the worst trials. The anchors', the best trial's and its
confirmation's always stay. A confirmation trains from the start and needs no checkpoint of the
trial that it confirms. Rows, and the responses that are kept for reading, stay too: those are
bounded as they are written.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import disk_usage, rmtree
from typing import Literal

from conspo_study.records import EventKind, StudyError, TrialEvent, TrialState
from conspo_study.records.checkpoints import PARTIAL, checkpoint_step
from conspo_study.results.incidents import Incident, IncidentType
from conspo_study.results.log import ResultsLog
from conspo_study.results.names import is_call_folder, ray_folder, run_folder
from conspo_study.results.table import StudyTable, TrialRow
from conspo_study.text import one_line

BUDGET = "CONSPO_STUDY_CHECKPOINTS_GIB"
"""Environment variable: GiB that the checkpoints of a study's ended trials may take together."""
SHARE = 0.5
"""Of what is free and what the study's checkpoints hold already: the budget unless it is set."""
LOOK_S = 2.0
"""Between two looks for trials that have ended."""
_END_S = 60.0
_RANK = {
    TrialState.FAILED: 0,
    TrialState.COLLAPSED: 1,
    TrialState.PRUNED: 2,
    TrialState.FINISHED: 3,
}


@dataclass(frozen=True, slots=True)
class Held:
    """A checkpoint on disk, or what is left of one."""

    path: Path
    size: int
    """Bytes."""
    step: int
    whole: bool


def budget_bytes(folder: Path) -> int:
    """What the checkpoints of ended trials may take in the results directory `folder`, which need
    not exist yet: what the environment sets, else a share of its disk. Raises StudyError for what
    is no amount."""
    text = os.environ.get(BUDGET)
    if text is None:
        folder = folder.absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        runs = ray_folder(folder).iterdir() if ray_folder(folder).is_dir() else ()
        held = sum(one.size for run in runs for one in held_in(run))
        return int(SHARE * (disk_usage(there).free + held))
    try:
        gib = float(text)
        if not 0 <= gib < float("inf"):
            raise ValueError
    except ValueError:
        raise StudyError(
            f"{BUDGET} is {text!r}: set it to the GiB that the checkpoints of ended trials may "
            "take, 0 or more"
        ) from None
    return int(gib * 2**30)


@contextmanager
def making_room(
    study: str,
    direction: Literal["max", "min"],
    folder: Path,
    log: ResultsLog,
    tell: Callable[[str], None],
) -> Iterator[None]:
    """Keep the checkpoints of trials that have ended within their budget while the block runs.

    What cannot be removed is logged as an incident of its trial. A failure ends the tidying and not
    the study: `tell` gets one line.
    """
    retention = Retention(folder, study, budget_bytes(folder))
    done = threading.Event()

    def look() -> None:
        ended = -1
        while True:
            last = done.wait(0 if ended < 0 else LOOK_S)
            table = log.table
            if ended != (ended := sum(row.state.ended for row in table.all_rows)):
                for trial, incident in retention.tidy(table, direction):
                    log.append(TrialEvent(EventKind.INCIDENT, trial, asdict(incident)))
            if last:
                return

    def tidy() -> None:
        try:
            look()
        except Exception as error:
            if log.failure is None:  # which stops the study anyway
                reason = one_line(error)
                tell(f"checkpoints of ended trials are no longer removed: {reason}")

    thread = threading.Thread(target=tidy, name="retention", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(_END_S)


class Retention:
    """Keeps the checkpoints of the study `study` in the folder `results` within `budget` bytes."""

    def __init__(self, results: Path, study: str, budget: int):
        self.results, self.study, self.budget = results, study, budget
        self._kept: dict[str, tuple[Held, ...]] = {}
        """What ended trials hold, by trial; each is looked at once."""

    def tidy(
        self, table: StudyTable, direction: Literal["max", "min"]
    ) -> list[tuple[str, Incident]]:
        """Remove what need not be kept; returns what could not be removed, by trial.

        Only ever touches `checkpoint_*` in `<results>/ray/<study>-<trial>` and its `seed-*`, of
        trials that have ended, and follows no link.
        """
        for row in table.all_rows:
            if row.state.ended and row.id not in self._kept:
                self._kept[row.id] = tuple(held_in(run_folder(self.results, self.study, row.id)))
        incidents = []
        of = {held: trial for trial, checkpoints in self._kept.items() for held in checkpoints}
        for held in to_remove(table, direction, self._kept, self.budget):
            trial = of[held]
            try:
                # Or one that was removed in part would be taken for whole after a kill.
                rmtree(held.path.rename(held.path.with_suffix(PARTIAL)))
            except OSError as error:
                what = f"{held.path.parent.name}/{held.path.name}: {error.strerror}"
                incidents.append((trial, Incident(IncidentType.CHECKPOINT_KEPT, what)))
            self._kept[trial] = tuple(other for other in self._kept[trial] if other != held)
        return incidents


def to_remove(
    table: StudyTable,
    direction: Literal["max", "min"],
    kept: Mapping[str, tuple[Held, ...]],
    budget: int,
) -> list[Held]:
    """What of `kept`, the checkpoints of ended trials by trial, must go to leave `budget` bytes.

    All but the last whole one of each trial, or of each of its calls, go in any case. The anchors',
    the best trial's and those of its confirmations never do, even where they alone exceed the
    budget.
    """
    removed: list[Held] = []
    last: dict[str, list[Held]] = {}
    for trial, checkpoints in kept.items():
        newest: dict[Path, Held] = {}
        for held in sorted(checkpoints, key=lambda held: held.step):
            if held.whole:
                newest[held.path.parent] = held
        last[trial] = list(newest.values())
        removed += [held for held in checkpoints if held not in last[trial]]
    best = table.best(direction)
    safe = {row.id for row in table.rows if row.label or row is best}
    safe |= {row.id for row in table.confirmations if best and row.of == best.id}
    total = sum(held.size for checkpoints in last.values() for held in checkpoints)
    for row in sorted(table.all_rows, key=lambda row: _worth(row, direction)):
        if total <= budget:
            break
        if last.get(row.id) and row.id not in safe:
            removed += last[row.id]
            total -= sum(held.size for held in last[row.id])
    return removed


def held_in(folder: Path) -> Iterator[Held]:
    """The checkpoints in a trial's folder, and in those of its calls, and what is left of some;
    none behind a link."""
    if folder.is_symlink() or folder.parent.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        name = checkpoint_step(path.name)
        if not path.is_dir() or path.is_symlink():
            continue
        if is_call_folder(path.name):
            yield from held_in(path)
        elif name:
            size = sum(inner.lstat().st_size for inner in path.rglob("*"))
            yield Held(path, size, step=name[0], whole=not name[1])


def _worth(row: TrialRow, direction: Literal["max", "min"]) -> tuple[int, float, str]:
    """Sorts the trial that can best be done without first."""
    value = row.value if row.value is not None else float("-inf")
    good = value if direction == "max" or row.value is None else -value
    return _RANK.get(row.state, len(_RANK)), good, row.id
