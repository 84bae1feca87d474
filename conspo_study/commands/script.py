"""The command line that all study scripts share.

Exit status: 0 done, or nothing to do; 1 no trial finished, or the study had to stop (disk full,
taken over); 2 bad input, nothing was run; 128 + signal when interrupted: 130 for Ctrl-C, 143 for
SIGTERM. After the last two kinds, --resume continues.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic import ValidationError

from analysis import print_report
from conspo_study.cluster.surroundings import settle
from conspo_study.commands.carry_out import Report, carry_out
from conspo_study.commands.options import StudyChoice, StudyOptions, joined
from conspo_study.commands.parsing import parse
from conspo_study.commands.pieces import piece_of
from conspo_study.commands.plan_text import print_plan
from conspo_study.commands.study_files import handed_over
from conspo_study.config import ConfigError, RunConfig, parse_assignments, with_overrides
from conspo_study.config.fields import NAME, fields_named
from conspo_study.config.setting_files import read_settings
from conspo_study.definition import definition_problems
from conspo_study.definition.function import unknown_names
from conspo_study.definition.presets import preset_for
from conspo_study.forecast.placement import gpu_gib
from conspo_study.plugins import refuse_while_importing
from conspo_study.processes.output import lasting_output
from conspo_study.records import StudyError
from conspo_study.study import Outcome, Study
from conspo_study.terminal.console import Console
from conspo_study.tracking.known import parse_trackers

BuildStudy = Callable[[RunConfig], Study] | Callable[[], Study]
"""The study to run, given the configuration that its trials share; without a parameter, one that
needs no preset, such as one of a training function."""


@lasting_output()
def main(
    build: BuildStudy,
    description: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    *,
    embedded: Mapping[str, Any] | None = None,
    report: Report = print_report,
) -> int:
    """Parse the command line, run the study, report; returns the process's exit status.

    `defaults` are the study's own changes to the preset, which `--set` overrides; `embedded` are
    more of them for the preset `embedded` alone, such as a learning rate, which fits no other
    model. Bad input ends with one message on standard error and status 2 before any work starts.
    """
    refuse_while_importing()
    handover = handed_over.get()
    if handover is not None:
        handover.begun = True
        options = handover.options
    else:
        options = parse(StudyOptions, sys.argv[1:], description=description or "")
    own = {**(defaults or {}), **((embedded or {}) if options.preset == "embedded" else {})}
    status = run_study(build, options, own, report)
    if handover is not None:
        handover.status = status
    return status


def run_study(
    build: BuildStudy, options: StudyOptions, defaults: Mapping[str, Any], report: Report
) -> int:
    """Run the study as the options have it; returns the exit status."""
    console = Console(quiet=options.quiet)

    def run() -> Outcome | None:
        settle()
        _check(options)
        track = trackers_named(joined(options.track))
        study = chosen_study(build, options, defaults)
        if options.dry_run:
            print_plan(
                study,
                console,
                preset=options.preset if _takes_base(build) else None,
                every_setting=options.all,
                folder=options.results / study.name,
                gpu_memory=options.gpu_memory,
                probe_steps=options.probe,
            )
            return None
        console.heading(study)
        return study.run(
            options.results,
            resume=options.resume,
            takeover=options.takeover,
            allow_changes=options.allow_changes,
            retry_failed=options.retry_failed,
            expected_nodes=options.wait_for_nodes or 0,
            track=track,
            gpu_memory=options.gpu_memory,
            console=console,
        )

    return carry_out(run, report, console)


def chosen_study(build: BuildStudy, options: StudyChoice, defaults: Mapping[str, Any]) -> Study:
    """The declared study with what the command line changes. Raises StudyError or ConfigError."""
    if not _takes_base(build):
        return _without_preset(cast(Callable[[], Study], build), options)
    try:
        preset = preset_for(options.preset, gpu_gib(options.gpu_memory))
    except ValueError as error:
        raise StudyError(str(error)) from error
    overrides = _overrides(options)
    if options.data_dir is not None:
        overrides = {"data.folder": str(options.data_dir), **overrides}
    base = with_overrides(preset, overrides, _fitting(defaults, overrides))
    try:
        declared = cast(Callable[[RunConfig], Study], build)(base)
        study = Study.model_validate({**declared.frozen(), **_changes(declared, options)})
    except ConfigError as error:
        raise _of_its_objective(error, overrides) from None
    except ValidationError as error:
        raise _of_its_objective(ConfigError(definition_problems(error)), overrides) from None
    except ValueError as error:
        raise StudyError(str(error)) from error
    if searched := sorted(study.space.keys() & overrides.keys()):
        raise ConfigError(list(map(_fixed, searched)))
    return study


def _overrides(options: StudyChoice) -> dict[str, Any]:
    """The settings of `--config` and `--set`. Raises ConfigError."""
    given = parse_assignments(joined(options.set))
    return given if options.config is None else {**read_settings(options.config), **given}


def _takes_base(build: BuildStudy) -> bool:
    return bool(inspect.signature(build).parameters)


def _without_preset(build: Callable[[], Study], options: StudyChoice) -> Study:
    """A study that needs no preset, with what the command line changes. Raises as
    `chosen_study`."""
    for name, default in (("preset", StudyChoice.preset), ("data_dir", None)):
        if getattr(options, name) != default:
            raise StudyError(f"--{name.replace('_', '-')}: this study is declared without a preset")
    overrides = _overrides(options)
    try:
        declared = build()
    except ConfigError:
        raise
    except ValueError as error:
        raise StudyError(str(error)) from error
    function = declared.function
    problems = [*unknown_names(overrides, function, ())] if function is not None else []
    problems += [_fixed(path) for path in sorted(declared.space.keys() & overrides.keys())]
    if problems:
        raise ConfigError(problems)
    changes = {
        **_changes(declared, options),
        "base": with_overrides(declared.base, overrides).model_dump(mode="json"),
    }
    try:
        return Study.model_validate({**declared.frozen(), **changes})
    except ValidationError as error:
        raise ConfigError(definition_problems(error)) from None


def _fixed(path: str) -> str:
    return (
        f"{path}: this study searches it; --set and --config cannot fix it. Take it out of the "
        "space in a copy of the study's file, or choose another study"
    )


def trackers_named(names: tuple[str, ...]) -> tuple[str, ...]:
    """The trackers of a `--track`. Raises StudyError for those that cannot be used here."""
    try:
        return parse_trackers(",".join(names))
    except ValueError as error:
        raise StudyError(str(error)) from error


def _check(options: StudyOptions) -> None:
    """Raise StudyError for options that mean nothing together."""
    for name in ("takeover", "allow_changes", "retry_failed"):
        if getattr(options, name) and not options.resume:
            option = name.replace("_", "-")
            raise StudyError(f"--{option} is about a study that has begun: add --resume")
    if options.all and not options.dry_run:
        raise StudyError("--all is about what a plan shows: add --dry-run")
    if options.probe is not None and not options.dry_run:
        raise StudyError("--probe measures for a plan: add --dry-run")
    if options.probe is not None and options.probe < 2:
        raise StudyError("--probe takes 2 steps or more: the first is not measured")


def _fitting(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The study's own defaults, without those of an objective that the user replaced."""
    name = overrides.get(NAME)
    return {
        path: value
        for path, value in defaults.items()
        if name is None or not path.startswith("objective.") or fields_named(path, name)
    }


def _changes(declared: Study, options: StudyChoice) -> dict[str, Any]:
    changes = piece_of(declared, options.only) if options.only else {}
    if options.trials is not None:
        changes["trials"] = options.trials
    if options.seeds:
        changes["seeds"] = joined(options.seeds)
    if options.name is not None:
        changes["name"] = options.name
    if options.sampler is not None:
        changes["sampler"] = {**declared.sampler.model_dump(), "name": options.sampler}
    if not options.confirm:
        changes["confirm"] = None
    return changes


def _of_its_objective(error: ConfigError, overrides: Mapping[str, Any]) -> ConfigError:
    """The error itself, or one sentence where the objective is not the one the study is about."""
    name = overrides.get(NAME)
    foreign = f"unknown setting of the objective {name}"
    if name is None or not any(foreign in problem for problem in error.problems):
        return error
    paths = dict.fromkeys(
        word.rstrip(":")
        for problem in error.problems
        if foreign in problem
        for word in problem.split()
        if word.startswith("objective.")
    )
    return ConfigError(
        [
            f"objective.name = {name!r}: this study sets or searches {', '.join(paths)}, which the "
            f"objective {name} does not have; leave objective.name as it is, or choose another "
            "study, such as baselines"
        ]
    )
