"""The commands that read results and write tables and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from conspo_study.commands.typed_paths import TypedPath


@dataclass(frozen=True)
class Report:
    """Write tables, figures and one HTML page of a study, or of several in one folder."""

    folders: Annotated[tuple[TypedPath, ...], tyro.conf.Positional]
    """Results directories."""
    out: TypedPath | None = None
    """Where to write; by default into the results directory. Several studies need it."""


@dataclass(frozen=True)
class Compare:
    """Print the differences between two studies, trial by trial."""

    first: Annotated[TypedPath, tyro.conf.Positional]
    """A results directory."""
    second: Annotated[TypedPath, tyro.conf.Positional]
    """The results directory that is subtracted from it."""
    markdown: bool = False
    """Print a Markdown table."""


@dataclass(frozen=True)
class Paper:
    """Write the tables of the paper, and beside them what studies measured."""

    out: Annotated[TypedPath, tyro.conf.Positional]
    """The folder to write to."""
    studies: Annotated[tuple[TypedPath, ...], tyro.conf.Positional] = ()
    """Results directories."""
    table: Literal[1, 2, 3, 4, 5, 6, 9] = 1
    """The published table to stand beside."""
    model: str | None = None
    """Which of the table's models, if it has several."""
    metric: str = "avg"
    """avg, pass@K, maj@K or greedy."""
    reference: str | None = None
    """Compare methods with this one, not every pair."""
    confirmed: bool = False
    """Use confirmations instead of the search's trials."""


def report(command: Report) -> int:
    """Returns 1 when some figure or table could not be made."""
    from analysis.report.report import print_reports

    if command.out is None and len(command.folders) > 1:
        raise ValueError(
            "several studies need a folder of their own for the report: add --out FOLDER"
        )
    if not command.folders:
        raise ValueError("name a results directory")
    return 0 if print_reports(command.folders, command.out or command.folders[0]) else 1


def compare(command: Compare) -> int:
    """Print the comparison."""
    from analysis.report.compare import print_comparison

    print_comparison(command.first, command.second, markdown=command.markdown)
    return 0


def paper(command: Paper) -> int:
    """Write the tables, and print their paths."""
    from analysis.report.paper import write_paper

    for path in write_paper(
        command.out,
        command.studies,
        number=command.table,
        model=command.model,
        metric=command.metric,
        reference=command.reference,
        confirmed=command.confirmed,
    ):
        print(f"wrote {path}")
    return 0
