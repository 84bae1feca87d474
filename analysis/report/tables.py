"""The tables of a report, written in all formats, every row with the trials that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from analysis.findings.comparisons import PAIRED, Comparison, compared, comparison_table
from analysis.findings.confirmation import Confirmation, Confirmed
from analysis.findings.confirmation_report import (
    confirmation_frame,
    confirmation_lines,
    confirmation_table,
)
from analysis.findings.frames import trials_frame
from analysis.findings.measured import Trial, measured
from analysis.findings.paper_tables import measured_table
from analysis.findings.trials_table import trials_table
from analysis.load.published import BASE
from analysis.load.study import StudyResults
from analysis.tables.paper_formats import write_paper_table
from analysis.tables.paper_layout import PaperTable
from analysis.tables.text_formats import write_text_table
from analysis.tables.text_table import TextTable

Reference = Callable[[StudyResults, str], str]
"""How a manifest names a trial of a study."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A row of a table and where its numbers come from."""

    row: str
    """What stands in its first column or columns."""
    trials: tuple[str, ...]
    """References of the trials of all its cells but those in `cells`."""
    cells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By column of the CSV file: cells that other trials go into."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table as it was written."""

    name: str
    """Of its files, without an ending."""
    title: str
    table: TextTable | PaperTable
    sentences: tuple[str, ...]
    rows: tuple[Traced, ...]
    paths: tuple[Path, ...]


def trials_report(
    study: StudyResults, folder: Path, sentences: Sequence[str], refer: Reference
) -> ReportTable:
    """The trials of the search."""
    table, frame = trials_table(study), trials_frame(study)
    title = f"{study.name}: trials of the search"
    paths = write_text_table(table, frame, title, sentences, folder / "trials")
    rows = [Traced(trial, (refer(study, trial),)) for trial in frame["trial"]]
    return ReportTable("trials", title, table, tuple(sentences), tuple(rows), tuple(paths))


def confirmation_report(confirmation: Confirmation, folder: Path, refer: Reference) -> ReportTable:
    """The winner and the anchors again, on seeds and problems that chose nothing."""
    study = confirmation.study
    table, frame = confirmation_table(confirmation), confirmation_frame(confirmation)
    sentences = confirmation_lines(confirmation)
    title = f"{study.name}: confirmation on fresh seeds"
    paths = write_text_table(table, frame, title, sentences, folder / "confirmation")
    rows = [_confirmed_row(confirmation, trial, refer) for trial in confirmation.trials]
    return ReportTable("confirmation", title, table, tuple(sentences), tuple(rows), tuple(paths))


def _confirmed_row(confirmation: Confirmation, trial: Confirmed, refer: Reference) -> Traced:
    study, winner = confirmation.study, confirmation.winner
    search = (refer(study, trial.search.id),)
    run = (refer(study, trial.run.id),) if trial.run else ()
    best = (refer(study, winner.run.id),) if winner and winner.run else ()
    differences = ("difference", "difference_low", "difference_high", "difference_n")
    cells = {name: (*best, *run) for name in differences if trial is not winner}
    cells |= {"search_value": search, "search_n": search, "drop": (*search, *run)}
    return Traced(trial.run.id if trial.run else "", run, cells)


def method_reports(
    trials: Sequence[Trial], folder: Path, name: str, title: str, refer: Reference
) -> list[ReportTable]:
    """Methods by benchmark with intervals, and their paired differences where there are two.

    name, title: of the first; the second adds to them.
    Raises ValueError when the trials were not measured alike.
    """
    ours = measured(trials)
    table = measured_table(ours, intervals=True)
    origin: dict[str, tuple[str, ...]]
    origin = {trial.method: (refer(trial.study, trial.row.id),) for trial in trials}
    origin[BASE] = tuple(name for names in origin.values() for name in names)
    paths = write_paper_table(table, folder / name)
    rows = [Traced(row.method, origin[row.method]) for row in table.rows]
    found = [ReportTable(name, title, table, table.notes, tuple(rows), tuple(paths))]
    comparisons = compared(ours.scores)
    if comparisons:
        stem = folder / f"{name}-differences"
        text = comparison_table(comparisons)
        title = f"{title}: paired differences"
        paths = write_text_table(text, _comparison_frame(comparisons), title, [PAIRED], stem)
        rows = [
            Traced(
                f"{one.method} minus {one.reference}", origin[one.method] + origin[one.reference]
            )
            for one in comparisons
        ]
        found.append(ReportTable(stem.name, title, text, (PAIRED,), tuple(rows), tuple(paths)))
    return found


def _comparison_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Unrounded, as fractions: method, minus, difference, low, high, p, p_holm, improvement, seeds,
    problems, no_interval_because."""
    return pd.DataFrame(
        [
            {
                "method": one.method,
                "minus": one.reference,
                "difference": one.difference.value if one.difference else None,
                "low": one.difference.low if one.difference else None,
                "high": one.difference.high if one.difference else None,
                "p": one.difference.p_value if one.difference else None,
                "p_holm": one.adjusted,
                "improvement": one.improvement,
                "seeds": one.difference.seeds if one.difference else 0,
                "problems": one.difference.problems if one.difference else 0,
                "no_interval_because": one.difference.refused if one.difference else "",
            }
            for one in comparisons
        ]
    )
