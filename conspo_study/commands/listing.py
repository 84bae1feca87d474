"""Studies under a folder, a line for each."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from conspo_study.records import StudyError
from conspo_study.results.folder import read_definition, read_table
from conspo_study.results.lease import read_lease
from conspo_study.results.names import DEFINITION, LEASE, LOG
from conspo_study.results.nearby import studies_under
from conspo_study.text import one_line, printable

_HEAD = ("study", "state", "trials", "best", "last change")
_WIDTHS = (10, 11, 9, 16)
"""Of the columns after the first."""
_NARROWEST_NAME = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A study among others."""

    folder: Path
    state: str
    """running, ended, stopped, damaged; `elsewhere` with a driver on another host."""
    trials: str
    """Trials with a result, of the budget."""
    best: str
    changed: float
    """When the log was last written to, in seconds since 1970."""
    problem: str = ""
    """Why nothing more is known."""


def listing(root: Path) -> list[str]:
    """The studies under `root` as lines that fit the terminal, the latest first.

    Raises StudyError where there is no such folder.
    """
    if not root.is_dir():
        raise StudyError(
            f"there is no folder {root}: name the one that holds results directories, "
            "conspo ls FOLDER"
        )
    entries = sorted(map(entry_of, studies_under(root)), key=lambda one: -one.changed)
    if not entries:
        return [f"no studies under {root}"]
    space = shutil.get_terminal_size().columns - sum(_WIDTHS) - len(_WIDTHS)
    names = [_name(entry.folder, root) for entry in entries]
    width = max(_NARROWEST_NAME, min(space, max(map(len, [*names, _HEAD[0]]))))
    lines = [_row(_HEAD, width)]
    for name, entry in zip(names, entries, strict=True):
        moment = datetime.fromtimestamp(entry.changed).strftime("%Y-%m-%d %H:%M")
        lines.append(_row((name, entry.state, entry.trials, entry.best, moment), width))
    return lines + [entry.problem for entry in entries if entry.problem]


def entry_of(folder: Path) -> Entry:
    """What there is to say of a study in one line; a damaged one says why."""
    paths = [path for name in (LOG, DEFINITION) if (path := folder / name).exists()]
    changed = paths[0].stat().st_mtime
    try:
        table = read_table(folder)
        definition = read_definition(folder)["definition"]
        budget = int(definition["trials"])
        best = table.best("min" if definition.get("direction") == "min" else "max")
    except (StudyError, KeyError, TypeError, ValueError) as error:
        problem = one_line(error)
        where = "" if str(folder) in problem else f"{folder / DEFINITION}: "
        return Entry(folder, "damaged", "", "", changed, printable(f"{where}{problem}"))
    ended = table.finished and budget <= max(len(table.rows), table.trials or 0)
    value = "" if best is None or best.value is None else f"{best.value:.3f}"
    trials = f"{table.with_result} of {budget}"
    return Entry(folder, _state(folder, ended), trials, value, changed)


def _state(folder: Path, ended: bool) -> str:
    """Of a driver on another host it takes seconds to tell whether it lives: `conspo status`."""
    try:
        holder = read_lease(folder / LEASE)
    except (OSError, ValueError):
        return "unclear"
    if holder is not None and not holder.here:
        return "elsewhere"
    if holder is not None and holder.alive:
        return "running"
    return "ended" if ended else "stopped"


def _name(folder: Path, root: Path) -> str:
    return printable("." if folder == root else str(folder.relative_to(root)))


def _row(cells: tuple[str, ...], width: int) -> str:
    name, *others = cells
    shown = name if len(name) <= width else f"{name[: width - 1]}…"
    columns = (f"{text:<{w}}" for text, w in zip(others, _WIDTHS, strict=True))
    return " ".join([f"{shown:<{width}}", *columns]).rstrip()
