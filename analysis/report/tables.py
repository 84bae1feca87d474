"""The tables of a report, written in all formats, with the trials behind every row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.findings.collapses import compared_rates, rate_of
from analysis.findings.confirmation import Confirmation, Confirmed
from analysis.findings.confirmation_summary import confirmation_lines
from analysis.findings.confirmation_table import confirmation_frame, confirmation_table
from analysis.findings.diagnoses import (
    advice_lines,
    diagnoses_frame,
    diagnoses_of_readable,
    diagnoses_table,
)
from analysis.findings.frames import trials_frame
from analysis.findings.measured import Trial, measured
from analysis.findings.method_differences import (
    AVERAGE,
    differences_frame,
    differences_table,
    method_differences,
    paired_text,
)
from analysis.findings.method_family import in_the_metric, methods_family, of_accuracy
from analysis.findings.paper_tables import measured_table
from analysis.findings.trials_table import trials_table
from analysis.load.published import BASE
from analysis.load.study import StudyResults
from analysis.load.text import visible
from analysis.report.contents import Reference, ReportTable, TracedRow
from analysis.tables.paper_formats import write_paper_table
from analysis.tables.text_formats import write_text_table

DIAGNOSES = "findings"
"""The table of what went wrong."""
MOST_EXAMINED = 300
"""Trials whose training steps a report reads to find it."""


def trials_report(
    study: StudyResults, folder: Path, sentences: Sequence[str], refer: Reference
) -> ReportTable:
    """The search trials."""
    table, frame = trials_table(study), trials_frame(study)
    title = f"{study.name}: search trials"
    paths = write_text_table(table, frame, title, sentences, folder / "trials")
    rows = [TracedRow(trial, (refer(study, trial),)) for trial in frame["trial"]]
    return ReportTable("trials", title, table, tuple(sentences), tuple(rows), tuple(paths))


def diagnosis_report(study: StudyResults, folder: Path, refer: Reference) -> ReportTable | None:
    """What the doctor found in the trials; None where all is well."""
    trials = study.table.all_rows
    found, unread = diagnoses_of_readable(study, trials[-MOST_EXAMINED:])
    if not found:
        return None
    table, frame, sentences = diagnoses_table(found), diagnoses_frame(found), advice_lines(found)
    if len(trials) > MOST_EXAMINED:
        sentences.append(
            f"The last {MOST_EXAMINED} of {len(trials)} trials were examined; conspo doctor "
            "examines all."
        )
    sentences += [f"Not examined: {visible(reason, 300)}." for reason in unread]
    title = f"{study.name}: what went wrong in training"
    paths = write_text_table(table, frame, title, sentences, folder / DIAGNOSES)
    rows = [TracedRow(one.trial.id, (refer(study, one.trial.id),)) for one in found]
    return ReportTable(DIAGNOSES, title, table, tuple(sentences), tuple(rows), tuple(paths))


def confirmation_report(confirmation: Confirmation, folder: Path, refer: Reference) -> ReportTable:
    """The winner and the baselines on fresh seeds and problems."""
    study = confirmation.study
    table, frame = confirmation_table(confirmation), confirmation_frame(confirmation)
    sentences = confirmation_lines(confirmation)
    title = f"{study.name}: confirmation on fresh seeds"
    paths = write_text_table(table, frame, title, sentences, folder / "confirmation")
    rows = [_confirmed_row(confirmation, trial, refer) for trial in confirmation.trials]
    return ReportTable("confirmation", title, table, tuple(sentences), tuple(rows), tuple(paths))


def _confirmed_row(confirmation: Confirmation, trial: Confirmed, refer: Reference) -> TracedRow:
    study, winner = confirmation.study, confirmation.winner
    search = (refer(study, trial.search.id),)
    run = (refer(study, trial.run.id),) if trial.run else ()
    best = (refer(study, winner.run.id),) if winner and winner.run else ()
    differences = ("difference", "difference_low", "difference_high", "difference_n")
    cells = {name: (*best, *run) for name in differences if trial is not winner}
    cells |= {"search_value": search, "search_n": search, "drop": (*search, *run)}
    return TracedRow(trial.run.id if trial.run else "", run, cells)


def method_reports(
    trials: Sequence[Trial], folder: Path, name: str, title: str, refer: Reference
) -> list[ReportTable]:
    """Methods by benchmark with intervals, and their paired differences where there are two.

    name, title: of the first; the second adds to them. Raises ValueError when the trials were not
    measured alike.
    """
    ours = measured(trials)
    table = measured_table(ours, title=title, intervals=True)
    origin: dict[str, tuple[str, ...]]
    origin = {trial.method: (refer(trial.study, trial.row.id),) for trial in trials}
    origin[BASE] = tuple(reference for references in origin.values() for reference in references)
    paths = write_paper_table(table, folder / name)
    rows = [TracedRow(row.method, origin[row.method]) for row in table.rows]
    tables = [ReportTable(name, title, table, table.notes, tuple(rows), tuple(paths))]
    family = methods_family(trials)
    metric, scores = in_the_metric(trials, ours)
    lower = trials[0].study.direction == "min"
    if metric == AVERAGE:  # the studies' direction and margin are those of another metric
        family, lower = of_accuracy(family), False
    differences = method_differences(scores, family, lower_is_better=lower)
    if differences:
        name, title = f"{name}-differences", f"{title}: paired differences"
        text = differences_table(differences, family.correction.author)
        rates = [(trial.method, rate_of(trial.study, trial.row)) for trial in trials]
        notes = (paired_text(family, metric), *compared_rates(rates))
        frame = differences_frame(differences)
        paths = write_text_table(text, frame, title, notes, folder / name)
        rows = [
            TracedRow(
                f"{item.method} minus {item.reference}",
                origin.get(item.method, ()) + origin.get(item.reference, ()),
            )
            for item in differences
        ]
        tables.append(ReportTable(name, title, text, notes, tuple(rows), tuple(paths)))
    return tables
