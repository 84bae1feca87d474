"""The parts of a report as they were written: tables, figures, studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from analysis.load.study import StudyResults
from analysis.tables.paper_layout import PaperTable
from analysis.tables.text_table import TextTable

LARGEST_SVG = 200_000
"""Bytes up to which a figure is on the page as SVG, whatever its PNG has."""

Reference = Callable[[StudyResults, str], str]
"""Gives the name of a study's trial in the manifest."""


@dataclass(frozen=True, slots=True)
class TracedRow:
    """A row of a table and the trials that its numbers come from."""

    row: str
    """The text of its first column or columns."""
    trials: tuple[str, ...]
    """References of the trials of all its cells but those in `cells`."""
    cells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By column of the CSV file: cells that come from other trials."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table and its files."""

    name: str
    """The name of its files without an ending."""
    title: str
    table: TextTable | PaperTable
    sentences: tuple[str, ...]
    rows: tuple[TracedRow, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure and its files."""

    name: str
    """The name of its files without an ending."""
    title: str
    caption: str
    trials: tuple[str, ...]
    """References of the trials that are drawn."""
    paths: tuple[Path, ...]
    """The PDF, the SVG, then the PNG."""

    @property
    def shown(self) -> Path:
        """The file that the page holds: the SVG, or the PNG where many points make that smaller."""
        svg, png = self.paths[-2:]
        return svg if svg.stat().st_size <= max(LARGEST_SVG, png.stat().st_size) else png


@dataclass(frozen=True, slots=True)
class StudyReport:
    """The report of one study."""

    key: str
    """The study's name in the manifest, and of its folder where a report has several."""
    study: StudyResults
    verdict: str
    """What the study shows, in one sentence."""
    alarms: tuple[str, ...]
    """Sentences that come first: that no trial finished, or how many failed and why."""
    summary: tuple[str, ...]
    """The results in sentences."""
    notes: tuple[str, ...]
    """Missing files, failed trials, recovered failures and missing values."""
    skipped: tuple[str, ...]
    """The figures that the study has no data for, each with its reason."""
    failed: tuple[str, ...]
    """Errors: figures that could not be drawn, and a definition that is lost."""
    tables: tuple[ReportTable, ...]
    figures: tuple[ReportFigure, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of its tables and figures."""
        tables = (path for table in self.tables for path in table.paths)
        return (*tables, *(path for figure in self.figures for path in figure.paths))

    def text_table(self, name: str) -> TextTable | None:
        """The table `trials` or `confirmation`; None for a study without it."""
        for report in self.tables:
            if report.name == name and isinstance(report.table, TextTable):
                return report.table
        return None


@dataclass(frozen=True, slots=True)
class Report:
    """The report of one or several studies."""

    studies: tuple[StudyReport, ...]
    notes: tuple[str, ...]
    """Reasons why a table over all studies is missing."""
    paths: tuple[Path, ...]
    """The page, the manifest, and the files of tables over all studies."""
