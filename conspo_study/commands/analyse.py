"""The verbs that read results and write tables and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from conspo_study.commands import exits
from conspo_study.commands.options import Flag, Name, OptionalPath
from conspo_study.commands.typed_paths import Folder, TypedPath
from conspo_study.commands.verb import Verb
from conspo_study.records import StudyError

if TYPE_CHECKING:
    from conspo_study.terminal.console import Console

Folders = Annotated[
    tuple[TypedPath, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="PATH ...", help_behavior_hint=""),
]


@dataclass(frozen=True)
class Report(Verb):
    """Write tables, figures and one HTML page of studies.

        conspo report results/margin_sweep
        conspo report results/baselines results/ablation --out both

    The exit status is 1 when some figure or table could not be made.
    """

    folders: Folders = ()
    """Results directories, one or several."""
    out: OptionalPath = None
    """Folder to write to; several studies need one. Else the results directory."""

    def run(self, console: Console) -> int:
        from analysis.report import print_reports

        if not self.folders:
            raise StudyError("name a results directory: conspo report results/STUDY")
        if self.out is None and len(self.folders) > 1:
            raise StudyError(
                "several studies need a folder of their own for the report: add --out FOLDER"
            )
        made = print_reports(self.folders, self.out or self.folders[0])
        return exits.OK if made else exits.NO_RESULT


@dataclass(frozen=True)
class Compare(Verb):
    """Print the differences between two studies.

    Trial by trial.
    """

    first: Folder
    """A results directory."""
    second: Folder
    """The results directory that is subtracted from it."""
    markdown: Flag = False
    """Print a Markdown table."""

    def run(self, console: Console) -> int:
        from analysis.report import print_comparison

        print_comparison(self.first, self.second, markdown=self.markdown)
        return exits.OK


@dataclass(frozen=True)
class Paper(Verb):
    """Write the paper's tables beside what studies measured."""

    out: Folder
    """Folder to write to."""
    studies: Folders = ()
    """Results directories, none or several."""
    table: Annotated[Literal[1, 2, 3, 4, 5, 6, 9], tyro.conf.arg(metavar="N")] = 1
    """The published table to stand beside: 1 to 6, or 9."""
    model: Name = None
    """The model of that table, where it has several."""
    metric: Annotated[str, tyro.conf.arg(metavar="NAME")] = "avg"
    """avg, pass@K, maj@K or greedy."""
    reference: Name = None
    """Compare methods with this one instead of every pair."""
    confirmed: Flag = False
    """Use confirmations instead of the search's trials."""

    def run(self, console: Console) -> int:
        from analysis.report import write_paper

        for path in write_paper(
            self.out,
            self.studies,
            number=self.table,
            model=self.model,
            metric=self.metric,
            reference=self.reference,
            confirmed=self.confirmed,
        ):
            print(f"wrote {path}")
        return exits.OK
