"""The verbs that run a study."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import tyro

from conspo_study.commands.options import Count, Flag, StudyOptions
from conspo_study.commands.study_files import packaged_studies, run_study_file, study_file
from conspo_study.commands.typed_paths import Folder
from conspo_study.commands.verb import Verb
from conspo_study.extras import require
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.study import Outcome, Study
    from conspo_study.terminal.console import Console


@dataclass(frozen=True, kw_only=True)
class Run(StudyOptions, Verb):
    """Run a study: a packaged one by name, or a file.

        conspo run margin_sweep --dry-run
        conspo run margin_sweep --set objective.tau=0.3 --name warmer
        conspo run my_study.py --seeds 0,1,2

    The same as running the study's file with Python.
    """

    BAD_INPUT: ClassVar[tuple[type[Exception], ...]] = (StudyError,)

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY")]
    """Name of a packaged study, or path of a study file (.py). Comes before the options."""

    @property
    def silent(self) -> bool:
        return self.quiet

    @classmethod
    def description(cls) -> str:
        return f"{super().description()}\n\nPackaged studies: {', '.join(packaged_studies())}."

    def run(self, console: Console) -> int:
        require("running a study", "study")
        options = {field.name: getattr(self, field.name) for field in fields(StudyOptions)}
        return run_study_file(study_file(self.study), StudyOptions(**options))


@dataclass(frozen=True, kw_only=True)
class Resume(Verb):
    """Continue a study that was interrupted, and report it.

    It needs nothing but the results directory.
    """

    BAD_INPUT: ClassVar[tuple[type[Exception], ...]] = (StudyError,)

    folder: Folder
    """Results directory of the study."""
    takeover: Flag = False
    """Continue although a driver elsewhere, now silent, never released the study."""
    allow_changes: Flag = False
    """Continue although data or code have changed since the study began."""
    retry_failed: Flag = False
    """Also run again, from their last checkpoint, trials that the machine made fail."""
    wait_for_nodes: Count = None
    """On a cluster: wait until this many nodes have room for a worker, and ask for them."""
    trust_code: Flag = False
    """Run code that study.json names: modules of its own, and models that bring code."""
    quiet: Flag = False
    """Print only the final table and paths."""

    @property
    def silent(self) -> bool:
        return self.quiet

    def run(self, console: Console) -> int:
        require("running a study", "study")
        from conspo_study.commands.carry_out import carry_out

        return carry_out(lambda: self._continue(console), report, console)

    def declared(self) -> Study:
        """The study to continue. Raises StudyError where it would run code without permission."""
        from conspo_study.study import Study, UntrustedCode

        try:
            return Study.of_folder(self.folder, trust_code=self.trust_code)
        except UntrustedCode as error:
            raise error.typed(self._typed()) from None

    def _typed(self) -> str:
        options = [("--takeover", self.takeover), ("--allow-changes", self.allow_changes)]
        given = [option for option, on in options if on]
        return " ".join(["conspo resume", shlex.quote(str(self.folder)), *given])

    def _continue(self, console: Console) -> Outcome:
        study = self.declared()
        console.heading(study)
        return study.run_in(
            self.folder,
            resume=True,
            takeover=self.takeover,
            allow_changes=self.allow_changes,
            retry_failed=self.retry_failed,
            expected_nodes=self.wait_for_nodes or 0,
            console=console,
        )


@dataclass(frozen=True, kw_only=True)
class Extend(Resume):
    """Raise the budget of a study, and continue it."""

    trials: Annotated[int, tyro.conf.arg(metavar="N")]
    """The whole new budget, anchors and ended trials included."""

    def _typed(self) -> str:
        return f"{super()._typed().replace('resume', 'extend', 1)} --trials {self.trials}"

    def declared(self) -> Study:
        """The study with its new budget. Raises StudyError for one that is not larger."""
        study = super().declared()
        if self.trials <= study.trials:
            raise StudyError(
                f"the study in {self.folder} has a budget of {study.trials} trials already: ask "
                "for more"
            )
        from pydantic import ValidationError

        from conspo_study.definition import definition_problems
        from conspo_study.results.folder import refuse_links
        from conspo_study.study import Study

        refuse_links(self.folder)
        try:
            Study.model_validate({**study.frozen(), "trials": self.trials})
        except ValidationError as error:
            raise StudyError("; ".join(definition_problems(error))) from error
        return study.model_copy(update={"trials": self.trials})


def report(folder: Path) -> None:
    """Analyse a study that has ended."""
    from analysis import print_report

    print_report(folder)
