"""The verb `plan`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from conspo_study.commands import exits
from conspo_study.commands.options import Count, Flag, StudyChoice, StudyOptions
from conspo_study.commands.study_files import (
    holds_study,
    is_file_name,
    packaged_studies,
    run_study_file,
    study_file,
)
from conspo_study.commands.typed_paths import typed_path
from conspo_study.commands.verb import Verb
from conspo_study.extras import require
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console


@dataclass(frozen=True, kw_only=True)
class Plan(StudyChoice, Verb):
    """Show what a study will do: settings, work, time, disk.

        conspo plan margin_sweep --preset quick
        conspo plan my_study.py
        conspo plan results/margin_sweep --all

    First what differs from the preset, then work, time, disk, memory, and the differences that the
    study can detect. Without --probe nothing is started, written or fetched.
    """

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY|PATH")]
    """A packaged study, a study file or a results directory. Comes before the options."""
    all: Flag = False
    """Print every setting, not only what differs from the preset."""
    probe: Count = None
    """First run N steps of one seed here, and plan with the time they take."""
    trust_code: Flag = False
    """Of a results directory: run code that its study.json names, as resuming it would."""

    def run(self, console: Console) -> int:
        folder = typed_path(self.study)
        if holds_study(folder) or not _is_study(self.study):
            self._plan_folder(folder, console)
            return exits.OK
        require("planning a study file", "study")
        choice = {field.name: getattr(self, field.name) for field in fields(StudyChoice)}
        return run_study_file(
            study_file(self.study),
            StudyOptions(**choice, dry_run=True, all=self.all, probe=self.probe),
        )

    def _plan_folder(self, folder: Path, console: Console) -> None:
        from conspo_study.commands.plan_text import print_plan
        from conspo_study.results.folder import read_table
        from conspo_study.results.spread import measured_spread
        from conspo_study.study import Study, UntrustedCode

        for field in fields(StudyChoice):
            if field.name == "gpu_memory":
                continue  # of the machine, not of the study
            if getattr(self, field.name) != field.default:
                raise StudyError(
                    f"{folder} holds a study that has begun, which is planned as it is: leave out "
                    f"--{'no-' if field.default is True else ''}{field.name.replace('_', '-')}"
                )
        if self.probe is not None:
            raise StudyError(f"{folder} holds a study that has begun: --probe is for one to begin")
        spread = measured_spread(read_table(folder).rows)
        try:
            study = Study.of_folder(folder, trust_code=self.trust_code)
        except UntrustedCode as error:
            raise error.typed(f"conspo plan {shlex.quote(self.study)}") from None
        place = folder.resolve()
        print_plan(
            study,
            console,
            every_setting=self.all,
            spread=spread,
            folder=place,
            gpu_memory=self.gpu_memory,
        )


def _is_study(word: str) -> bool:
    """Whether a word that names no study that has begun is meant as one to begin."""
    path = typed_path(word)
    named = word in packaged_studies() or is_file_name(word)
    return named or (path.name == word and not path.exists())
