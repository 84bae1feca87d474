"""What can be asked of a results directory, without the script that made it.

    conspo status results/margin_sweep
    conspo resume results/margin_sweep

The study is rebuilt from its `study.json` alone. Exit status as of study scripts.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from conspo_study.commands import analyse
from conspo_study.commands.script import (
    EXIT_BAD_INPUT,
    EXIT_INTERRUPTED,
    EXIT_NO_RESULT,
    carry_out,
    print_plan,
    trackers_named,
)
from conspo_study.commands.typed_paths import TypedPath
from conspo_study.processes.output import lasting_output
from conspo_study.records import StudyError
from conspo_study.results.folder import DEFINITION, LOG, read_definition, read_table
from conspo_study.results.spread import measured_spread
from conspo_study.study import Outcome, Study
from conspo_study.terminal.console import Console
from conspo_study.terminal.status import driver_of, study_status
from conspo_study.tracking.known import how_to_look
from conspo_study.tracking.processes import LOOK_S, tracking
from conspo_study.watch import PORT, serve

Folder = Annotated[TypedPath, tyro.conf.Positional]


@dataclass(frozen=True)
class Status:
    """Where the study stands: its driver, its trials, the best so far, what to do next."""

    folder: Folder
    """The results directory."""
    json: bool = False
    """Print one JSON object, for machines."""


@dataclass(frozen=True)
class ShowPlan:
    """What the study in the directory means: work, time, disk, detectable differences."""

    folder: Folder
    """The results directory."""


@dataclass(frozen=True)
class Resume:
    """Continue the study where it was interrupted, and report it."""

    folder: Folder
    """The results directory."""
    takeover: bool = False
    """Continue although a driver on another host, which shows no sign of life, has not given the
    study back."""
    allow_changes: bool = False
    """Continue although data or code are not what the study began with."""
    quiet: bool = False
    """Print only the final table and paths."""


@dataclass(frozen=True)
class Extend:
    """Raise the budget of the study, and continue it."""

    folder: Folder
    """The results directory."""
    trials: int
    """The whole budget, anchors and ended trials included."""
    takeover: bool = False
    """As for resume."""
    allow_changes: bool = False
    """As for resume."""
    quiet: bool = False
    """Print only the final table and paths."""


@dataclass(frozen=True)
class Export:
    """Write the search as a file that optuna-dashboard opens; it is never read back."""

    folder: Folder
    """The results directory."""
    sqlite: TypedPath | None = None
    """The file to write; by default optuna.sqlite3 in the results directory."""


@dataclass(frozen=True)
class Repair:
    """Save what can be saved of a damaged log into a copy; the log itself is not touched."""

    folder: Folder
    """The results directory."""


@dataclass(frozen=True)
class Watch:
    """Serve a web page of the study, live or ended, to this machine; Ctrl-C ends it, not the study.
    It only reads."""

    folder: Folder
    """The results directory."""
    port: int = PORT
    """Port of the page; 0 takes any that is free."""
    host: str = "127.0.0.1"
    """Address to serve at. Whoever can reach it can read the study: there is no password."""


@dataclass(frozen=True)
class Track:
    """Send the study to trackers: what they do not have yet and, while it runs, what follows."""

    folder: Folder
    """The results directory."""
    to: str
    """tensorboard, wandb or trackio, or several of them, separated by commas."""


Command = (
    Annotated[Status, tyro.conf.subcommand("status")]
    | Annotated[ShowPlan, tyro.conf.subcommand("plan")]
    | Annotated[Resume, tyro.conf.subcommand("resume")]
    | Annotated[Extend, tyro.conf.subcommand("extend")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Repair, tyro.conf.subcommand("repair")]
    | Annotated[Watch, tyro.conf.subcommand("watch")]
    | Annotated[Track, tyro.conf.subcommand("track")]
    | Annotated[analyse.Report, tyro.conf.subcommand("report")]
    | Annotated[analyse.Compare, tyro.conf.subcommand("compare")]
    | Annotated[analyse.Paper, tyro.conf.subcommand("paper")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit status."""
    with lasting_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    command: Any = tyro.cli(
        Command,
        args=arguments,
        prog="conspo",
        description=__doc__,
    )
    console = Console(quiet=getattr(command, "quiet", False))
    if isinstance(command, Resume | Extend):
        return carry_out(lambda: _continue(command, console), _report, console)
    commands: dict[type, Callable[[Any, Console], None]] = {
        Status: _status,
        ShowPlan: _plan,
        Export: _export,
        Repair: _repair,
        Watch: _watch,
    }
    try:
        if isinstance(command, Track):
            return _track(command, console)
        if isinstance(command, analyse.Report):
            return analyse.report(command)
        if isinstance(command, analyse.Compare):
            return analyse.compare(command)
        if isinstance(command, analyse.Paper):
            return analyse.paper(command)
        commands[type(command)](command, console)
    except KeyboardInterrupt:
        console.line("Interrupted.")
        return EXIT_INTERRUPTED
    except (StudyError, ValueError, OSError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        print(f"error: {said}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


def _status(command: Status, console: Console) -> None:
    status = study_status(command.folder)
    if command.json:
        print(json.dumps(status.as_json(), indent=1))
        return
    for line in status.lines():
        console.line(line)


def _plan(command: ShowPlan, console: Console) -> None:
    spread = measured_spread(read_table(command.folder).rows)
    study = Study.of_folder(command.folder)
    plan = study.plan(spread=spread, folder=command.folder.resolve())
    print_plan(study, plan, console)


def _continue(command: Resume | Extend, console: Console) -> Outcome:
    study = Study.of_folder(command.folder)
    if isinstance(command, Extend):
        if command.trials <= study.trials:
            raise StudyError(
                f"the study in {command.folder} has a budget of {study.trials} trials already: "
                "ask for more"
            )
        study = study.model_copy(update={"trials": command.trials})
    console.heading(study)
    return study.run_in(
        command.folder,
        resume=True,
        takeover=command.takeover,
        allow_changes=command.allow_changes,
        console=console,
    )


def _report(folder: Path) -> None:
    # Only a study that has ended is analysed, and nothing else here needs the analysis.
    from analysis import print_report

    print_report(folder)


def _export(command: Export, console: Console) -> None:
    from conspo_study.results.export import export_sqlite
    from conspo_study.results.log import read_log

    definition = read_definition(command.folder)["definition"]
    path = command.sqlite or command.folder / "optuna.sqlite3"
    try:
        count = export_sqlite(path, definition, read_log(command.folder / LOG))
    except ValueError as error:
        raise StudyError(str(error)) from error
    console.line(
        f"wrote {path}: {count} trials; look at them with: optuna-dashboard "
        f"{shlex.quote(f'sqlite:///{path}')}"
    )


def _repair(command: Repair, console: Console) -> None:
    from conspo_study.results.repair import repair_log

    for line in repair_log(command.folder / LOG).lines():
        console.line(line)


def _watch(command: Watch, console: Console) -> None:
    if not any((command.folder / name).exists() for name in (DEFINITION, LOG)):
        inside = sorted(path.parent.name for path in command.folder.glob(f"*/{DEFINITION}"))
        there = f"; inside it are {', '.join(inside)}" if inside else ""
        raise StudyError(f"{command.folder} holds no study: it has no {DEFINITION}{there}")
    try:
        serve(command.folder, command.host, command.port, console.line)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "ports end at 65535"
        raise StudyError(
            f"the page cannot be served at {command.host}, port {command.port}: {why}; "
            "choose another with --port, or --port 0"
        ) from error


def _track(command: Track, console: Console) -> int:
    names = trackers_named(command.to)
    if not names:
        raise StudyError("--to names no tracker: give it tensorboard, wandb or trackio")
    folder, study = command.folder, str(read_definition(command.folder)["name"])
    following = tracking(folder.resolve(), names, console.notice, end_s=None)
    with following as trackers, suppress(KeyboardInterrupt):
        while driver_of(folder).state == "running" and not trackers.all_ended:
            time.sleep(LOOK_S)
    for name in names:
        if name not in trackers.failed:
            console.line(f"sent to {name}; look at it with: {how_to_look(name, folder, study)}")
    return EXIT_NO_RESULT if trackers.failed else 0
