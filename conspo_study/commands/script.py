"""The command line that all study scripts share.

Exit status: 0 done, or nothing to do; 1 no trial finished, or the study had to stop (disk full,
taken over); 2 bad input, nothing was run; 128 + signal when interrupted: 130 for Ctrl-C, 143 for
SIGTERM. After the last two kinds, --resume continues.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import ValidationError

from analysis import print_report
from conspo_study.cluster.surroundings import settle
from conspo_study.commands.typed_paths import TypedPath
from conspo_study.config import (
    ConfigError,
    RunConfig,
    flatten,
    parse_assignments,
    with_overrides,
)
from conspo_study.config.synonyms import nearest
from conspo_study.definition import definition_problems
from conspo_study.definition.paper_runs import PAPER_RUNS, PaperRun
from conspo_study.definition.presets import PRESETS
from conspo_study.forecast.plan import Plan, titled
from conspo_study.plugins import refuse_while_importing
from conspo_study.processes.output import lasting_output
from conspo_study.records import StudyError
from conspo_study.results.folder import read_definition, read_table
from conspo_study.results.outcome import used_up
from conspo_study.seeds import parse_seeds
from conspo_study.study import Outcome, Study, StudyStopped
from conspo_study.study.next_steps import after_a_stop, after_the_end
from conspo_study.terminal.console import Console
from conspo_study.tracking.known import parse_trackers

BuildStudy = Callable[[RunConfig], Study]
"""The study to run, given the configuration that its trials share."""
Report = Callable[[Path], None]
"""Writes and prints tables and figures of a results directory."""

SEEDS = tyro.constructors.PrimitiveConstructorSpec(
    nargs="*",
    metavar="INT [INT ...]",
    instance_from_str=parse_seeds,
    is_instance=lambda value: isinstance(value, tuple),
    str_from_instance=lambda seeds: [str(seed) for seed in seeds],
)
"""`0 1 2`, or `0,1,2` as other options have it."""

EXIT_NO_RESULT = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Arguments:
    """Options of a study script."""

    preset: str = "embedded"
    """Starting configuration: embedded, quick (everything in miniature), smollm2 (one step of a
    released model), or one of the paper's runs, such as paper/qwen-1.5b."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = field(default=())
    """Change a setting, as stage.field=value; may be repeated."""
    data_dir: TypedPath | None = None
    """Folder with the files of named problem sets, such as aime24.jsonl; sets that it does not have
    are fetched from the hub."""
    trials: int | None = None
    """Budget in trials, anchors included."""
    seeds: Annotated[tuple[int, ...], SEEDS] = ()
    """Seeds of every trial: 0 1 2, or 0,1,2."""
    name: str | None = None
    """Name of the study and of its results directory."""
    results: TypedPath = Path("results")
    """Where results directories are made."""
    resume: bool = False
    """Continue this study where it was interrupted."""
    takeover: bool = False
    """With --resume: continue although a driver on another host, which shows no sign of life, has
    not given the study back."""
    allow_changes: bool = False
    """With --resume: continue although settings, data or code are not what the study began with."""
    sampler: str | None = None
    """What chooses the settings to try: tpe, gp, qmc, random or grid."""
    confirm: bool = True
    """Whether to run the winner and the anchors again on fresh seeds and problems."""
    track: str = ""
    """Also send the study to these, separated by commas: tensorboard, wandb, trackio. That changes
    nothing of the study, and may differ when it is resumed."""
    dry_run: bool = False
    """Print the resolved configuration and the plan, and stop."""
    quiet: bool = False
    """Print only the final table and paths."""


@lasting_output()
def main(
    build: BuildStudy,
    description: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    *,
    report: Report = print_report,
) -> int:
    """Parse the command line, run the study, report; returns the process's exit status.

    `defaults` are the study's own changes to the preset, which `--set` overrides. Bad input ends
    with one message on standard error and status 2 before any work starts.
    """
    refuse_while_importing()
    arguments = tyro.cli(Arguments, description=description)
    console = Console(quiet=arguments.quiet)

    def run() -> Outcome | None:
        settle()
        for name in ("takeover", "allow_changes"):
            if getattr(arguments, name) and not arguments.resume:
                option = name.replace("_", "-")
                raise StudyError(f"--{option} is about a study that has begun: add --resume")
        track = trackers_named(arguments.track)
        study = _study(build, arguments, defaults or {})
        if arguments.dry_run:
            print_preflight(study, console, PAPER_RUNS.get(arguments.preset))
            return None
        console.heading(study)
        return study.run(
            arguments.results,
            resume=arguments.resume,
            takeover=arguments.takeover,
            allow_changes=arguments.allow_changes,
            track=track,
            console=console,
        )

    return carry_out(run, report, console)


def carry_out(run: Callable[[], Outcome | None], report: Report, console: Console) -> int:
    """Run a study, report what came of it, say what can be done next, and return the process's exit
    status; None from `run` is nothing to report."""
    try:
        outcome = run()
        if outcome is None:
            return 0
        if not outcome.complete:
            console.prose(
                "Interrupted; all that was logged is kept. The study's script goes on with "
                "--resume, and from anywhere:"
            )
            console.lines(after_a_stop(outcome.folder, outcome.track))
            return outcome.exit_status
        if not outcome.ran:
            console.line(f"Nothing to do: all trials of {outcome.folder.name} have ended.")
        report(outcome.folder)
        if not console.quiet:
            trials = read_definition(outcome.folder)["definition"]["trials"]
            if spent := used_up(read_table(outcome.folder), trials):
                console.prose(f"{spent[0].upper()}{spent[1:]}.")
            console.line("Next:")
            console.lines(after_the_end(outcome.folder, trials, outcome.track, bool(spent)))
        return outcome.exit_status
    except (ConfigError, StudyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except StudyStopped as error:
        print("\n".join([f"error: {error}", *error.next_steps]), file=sys.stderr)
        return EXIT_NO_RESULT
    except KeyboardInterrupt:
        console.line("Interrupted.")
        return EXIT_INTERRUPTED


def trackers_named(text: str) -> tuple[str, ...]:
    """The trackers of a `--track`. Raises StudyError for those that cannot be used here."""
    try:
        return parse_trackers(text)
    except ValueError as error:
        raise StudyError(str(error)) from error


def _study(build: BuildStudy, arguments: Arguments, defaults: Mapping[str, Any]) -> Study:
    if arguments.preset not in PRESETS:
        hint = nearest(arguments.preset, PRESETS)
        raise StudyError(
            f"unknown preset {arguments.preset!r}{hint}; known: {', '.join(sorted(PRESETS))}"
        )
    overrides = parse_assignments(arguments.set)
    if arguments.data_dir is not None:
        overrides = {"data.folder": str(arguments.data_dir), **overrides}
    base = with_overrides(PRESETS[arguments.preset], overrides, defaults)
    changes: dict[str, Any] = {
        key: value
        for key, value in {
            "trials": arguments.trials,
            "seeds": arguments.seeds or None,
            "name": arguments.name,
        }.items()
        if value is not None
    }
    try:
        declared = build(base)
        if arguments.sampler is not None:
            sampler = declared.sampler.model_dump()
            changes["sampler"] = {**sampler, "name": arguments.sampler}
        if not arguments.confirm:
            changes["confirm"] = None
        study = Study.model_validate({**declared.frozen(), **changes})
    except ValidationError as error:
        raise ConfigError(definition_problems(error)) from None
    searched = sorted(study.space.keys() & overrides.keys())
    if searched:
        raise ConfigError(
            [
                f"{path}: this study searches it; --set cannot fix it. Take it out of the space in "
                "a copy of the study's file, or choose another study"
                for path in searched
            ]
        )
    return study


def print_preflight(study: Study, console: Console, paper: PaperRun | None) -> None:
    """Print what a run would do. Raises StudyError, at the end, when it could not begin."""
    origins = paper.origins(study.base) if paper else {}
    for path, value in flatten(study.base).items():
        searched = study.space.get(path)
        mark = f"  ({origins[path]})" if path in origins and searched is None else ""
        console.line(f"{path} = {value!r}{mark}" if searched is None else f"{path} ~ {searched!r}")
    console.line("")
    for name, value in study.frozen().items():
        if name not in ("base", "space", "anchors"):
            console.line(f"{name} = {value!r}")
    console.line("")
    for anchor in study.anchors:
        console.line(f"anchor {anchor.label}: {anchor.params}")
    console.line("")
    print_plan(study, study.plan(), console)


def print_plan(study: Study, plan: Plan, console: Console) -> None:
    """Print the plan and what there is to say of the data. Raises StudyError, at the end, with what
    forbids a run here."""
    found = study.preflight(plan)
    for line in [*plan.lines(), *(part for text in found.lines() for part in titled("data", text))]:
        console.line(line)
    if found.problems:
        raise StudyError("\n".join(f"cannot run: {problem}" for problem in found.problems))
