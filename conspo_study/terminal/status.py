"""Status of a study, from its results directory alone; nothing is written, and a running study is
not disturbed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from conspo_study.records import EventKind, StudyError, TrialState
from conspo_study.results.collapse import collapse_rate
from conspo_study.results.folder import events_to_show
from conspo_study.results.lease import beats, read_lease
from conspo_study.results.log import LoggedEvent
from conspo_study.results.names import LEASE
from conspo_study.results.outcome import failure_lines, missing_lines, used_up
from conspo_study.results.own_code import missing_code_lines
from conspo_study.results.pace import seconds_left
from conspo_study.results.stored import StoredStudy, read_study
from conspo_study.results.trial_row import TrialRow, settings_of
from conspo_study.results.undecided import value_without_undecided
from conspo_study.results.verdict import kept_verdict
from conspo_study.text import duration, first_line, printable, reason

DriverState = Literal["running", "none", "dead", "silent", "unreadable"]
_LONGEST_CAUSE = 300


@dataclass(frozen=True, slots=True)
class Driver:
    """The process that drives the study."""

    state: DriverState
    """`none` without a lease; `dead` if its process on this machine is gone; `silent` if a
    driver on another machine sends no heartbeats."""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A trial that has begun and not ended."""

    trial: str
    settings: str
    step: int
    steps: int | None
    seconds_left: float | None
    """Estimated from the times of its reports; None while there are too few."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A trial and its value."""

    trial: str
    of: str
    settings: str
    state: TrialState
    value: float | None
    spread: float | None
    n: int
    """Number of seeds in the mean `value`."""
    decided: float | None
    """`value` without the responses that have no verdict; None where all have one."""


@dataclass(frozen=True, slots=True)
class Status:
    """A study at one moment; plain data, `as_json` for machines and `lines` for people."""

    alarms: tuple[str, ...]
    """Lines that come first: that no trial finished, or how many failed and why."""
    name: str
    folder: str
    metric: str
    """Empty if the definition cannot be read."""
    driver: Driver
    finished: bool
    trials: int | None
    """Budget, confirmations not included; None if unknown."""
    used_up: str
    """A sentence if the space was used up before the budget; empty otherwise."""
    counts: Mapping[str, int]
    open: tuple[Progress, ...]
    failed: Mapping[str, str]
    """Trial -> step and cause, in one line."""
    collapsed: Mapping[str, str]
    """Trial -> how many of its seeds collapsed, and of what."""
    missing: tuple[str, ...]
    """Files that are missing or cannot be read, and what to restore."""
    incidents: Mapping[str, int]
    best: Measured | None
    confirmations: tuple[Measured, ...]
    verdict: str
    """What the last report says, if nothing has happened since; else empty."""
    changes: tuple[str, ...]
    next: str
    """The next thing to do, mostly a command."""

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """One fact a line."""
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items() if count)
        state = "not running" if self.driver.state == "none" else self.driver.state
        driver = f"{state} {self.driver.who}".strip()
        facts = [("failed", line) for line in self.alarms]
        facts += [("study", f"{self.name} in {self.folder}"), ("driver", driver)]
        budget = "unknown" if self.trials is None else self.trials
        facts.append(("trials", f"{counts or 'none begun'}; budget {budget}"))
        facts += [("missing", line) for line in self.missing]
        facts += [("space", self.used_up)] if self.used_up else []
        facts += [("open", _progress(trial)) for trial in self.open]
        facts += [("failed", f"{trial} at {cause}") for trial, cause in self.failed.items()]
        facts += [("collapsed", f"{trial}: {what}") for trial, what in self.collapsed.items()]
        incidents = ", ".join(f"{count} x {kind}" for kind, count in self.incidents.items())
        facts += [("incidents", f"{incidents}, all recovered")] if incidents else []
        facts += [("best", f"{_measured(self.best)}  by {self.metric}")] if self.best else []
        facts += [("confirmed", f"{row.of} as {_measured(row)}") for row in self.confirmations]
        facts += [("verdict", self.verdict)] if self.verdict else []
        facts += [("accepted", change) for change in self.changes]
        facts.append(("next", self.next))
        return [f"{title:<11}{printable(text)}" for title, text in facts]


def study_status(folder: Path, wait: Callable[[float], None] = time.sleep) -> Status:
    """The status of the study in `folder`, running or not.

    wait: called between two looks at the heartbeats of a driver on another machine. Without a
    readable definition, most of the status comes from the log. Raises StudyError if the folder
    holds no study, or its log cannot be read.
    """
    content = events_to_show(folder)
    table, events = content.builder.table, content.events
    stored, problems = _declared(folder, bool(table.rows))
    definition = stored.definition
    driver = driver_of(folder, wait)
    budget = table.trials if problems else int(definition["trials"])
    finished = table.finished and (budget or 0) <= max(len(table.rows), table.trials or 0)
    rows = table.all_rows
    verdict = kept_verdict(folder, len(events))
    best = table.best("min" if definition.get("direction") == "min" else "max")
    return Status(
        alarms=tuple(failure_lines(folder, table)),
        name=stored.name,
        folder=str(folder),
        metric=str(definition.get("metric", "")),
        driver=driver,
        finished=finished,
        trials=budget,
        used_up=used_up(table, budget) if finished and budget else "",
        counts={state.value: count for state, count in table.counts.items()},
        open=tuple(_open(row, events) for row in rows if row.state is TrialState.RUNNING),
        failed={
            row.id: f"step {row.step}: {first_line(row.cause)[:_LONGEST_CAUSE]}"
            for row in rows
            if row.state is TrialState.FAILED
        },
        collapsed={row.id: text for row in rows if (text := _collapsed(row, definition))},
        incidents=table.all_incidents,
        missing=(
            *problems,
            *missing_lines(folder, table, definition),
            *missing_code_lines(definition),
        ),
        # Without a definition it is not known whether more of the metric is better.
        best=None if best is None or problems else _measurement(best, definition),
        confirmations=tuple(_measurement(row, definition) for row in table.confirmations),
        verdict=verdict,
        changes=table.changes,
        next=_next(folder, driver, finished, bool(verdict)),
    )


def _declared(folder: Path, begun: bool) -> tuple[StoredStudy, list[str]]:
    """Content of `study.json`, and problems that make it useless. Raises StudyError if the log has
    no trial either."""
    stored = read_study(folder)
    if stored.problem and not begun:
        raise StudyError(stored.problem)
    return stored, [f"{stored.problem}. What follows is from the log alone"] * bool(stored.problem)


def driver_of(folder: Path, wait: Callable[[float], None] = time.sleep) -> Driver:
    """The driver of the study in `folder`; `wait` as for `study_status`."""
    path = folder / LEASE
    try:
        holder = read_lease(path)
    except ValueError:
        return Driver("unreadable", str(path))
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {reason(error)}") from error
    if holder is None:
        return Driver("none")
    if holder.here:
        return Driver("running" if holder.alive else "dead", str(holder))
    if beats(path, wait=wait):
        return Driver("running", str(holder)) if path.exists() else Driver("none")
    return Driver("dead" if holder.ended_with_its_boot else "silent", str(holder))


def _open(row: TrialRow, events: Sequence[LoggedEvent]) -> Progress:
    return Progress(row.id, settings_of(row), row.step, row.steps, _seconds_left(row, events))


def _seconds_left(row: TrialRow, events: Sequence[LoggedEvent]) -> float | None:
    """Remaining time by `pace.seconds_left`."""
    reports: list[tuple[float, int]] = []
    for logged in events:
        if logged.event.trial != row.id:
            continue
        if logged.event.kind is EventKind.STARTED:
            reports = []
        elif logged.event.kind is EventKind.REPORTED:
            moment = datetime.fromisoformat(logged.time).timestamp()
            with suppress(ValueError):  # a line that somebody made up
                reports.append((moment, int(logged.event.data.get("step", 0))))
    return seconds_left(row, reports[0], reports[-1]) if reports else None


def _collapsed(row: TrialRow, definition: Mapping[str, Any]) -> str:
    metric, direction = (str(definition.get(name, "")) for name in ("metric", "direction"))
    rate = collapse_rate(row, metric, direction or "max")
    return f"{rate.sentence}: {'; '.join(rate.reasons)}"[:_LONGEST_CAUSE] if rate.seeds else ""


def _measurement(row: TrialRow, definition: Mapping[str, Any]) -> Measured:
    decided = value_without_undecided(row, str(definition.get("metric", "")))
    values = row.value, row.spread, len(row.values), decided
    return Measured(row.id, row.of, settings_of(row), row.state, *values)


def _next(folder: Path, driver: Driver, finished: bool, reported: bool) -> str:
    typed = shlex.quote(str(folder))
    command = f"conspo resume {typed}"
    if driver.state == "running":
        return "running: Ctrl-C in its terminal, or `kill` with its process id, stops it cleanly"
    if finished:
        return f"open {typed}/report.html" if reported else f"conspo report {typed}"
    if driver.state in ("silent", "unreadable"):
        return f"if that driver is dead: {command} --takeover"
    return command


def _progress(trial: Progress) -> str:
    left = "" if trial.seconds_left is None else f", about {duration(trial.seconds_left)} left"
    return f"{trial.trial} at step {trial.step} of {trial.steps or '?'}{left}  {trial.settings}"


def _measured(row: Measured) -> str:
    if row.value is None:
        return f"{row.trial} {row.state.value}  {row.settings}"
    spread = f" ± {row.spread:.3f}" if row.spread is not None else ""
    seeds = f"n = {row.n}, {row.state.value}"
    if row.decided is not None:
        seeds += f"; {row.decided:.3f} without undecided responses"
    return f"{row.trial} {row.value:.3f}{spread} ({seeds})  {row.settings}"
