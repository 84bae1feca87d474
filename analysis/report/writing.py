"""The report of one or several studies: tables, figures, a page and a manifest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.findings.confirmation import confirmation_of
from analysis.findings.detectable import detectable_lines
from analysis.findings.matching import differing_data
from analysis.findings.measured import Trial, labelled
from analysis.findings.missing_values import missing_value_notes
from analysis.findings.regimes import is_mapped
from analysis.findings.summary import summary_lines
from analysis.findings.verdict import verdict_sentence
from analysis.load.study import StudyResults, StudyUnreadable, load_studies
from analysis.load.text import visible
from analysis.report.contents import Reference, Report, ReportTable, StudyReport
from analysis.report.figures import write_figures
from analysis.report.manifest import manifest
from analysis.report.page import report_page
from analysis.report.regimes import map_report
from analysis.report.tables import (
    confirmation_report,
    diagnosis_report,
    method_reports,
    trials_report,
)
from conspo_study.files import make_folders, write_atomic, write_json_atomic
from conspo_study.records import TrialState
from conspo_study.results.folder import refuse_links
from conspo_study.results.outcome import failure_lines, missing_lines
from conspo_study.results.own_code import missing_code_lines
from conspo_study.results.verdict import keep_verdict
from conspo_study.text import counted, first_line

PAGE, MANIFEST = "report.html", "manifest.json"

_METHODS = (
    ("methods", "Methods: labelled search trials", False),
    ("methods-confirmed", "Methods: confirmed on fresh seeds", True),
)
"""Names and titles of the tables by method, and whether they hold confirmations."""


def write_report(folder: Path, out: Path | None = None) -> StudyReport:
    """`write_reports` of one study, by default into its own folder."""
    return write_reports([folder], out or folder).studies[0]


def write_reports(
    folders: Sequence[Path], out: Path, tell: Callable[[str], None] = lambda what: None
) -> Report:
    """Write `report.html`, `manifest.json`, `tables/` and `figures/` into `out`, over older ones.

    With several studies each has its tables and figures in a folder of its own, and `tables/` holds
    those over all of them. Works at any stage of a study; the notes name what has no data yet. The
    same results give the same files.

    tell: called with what is being done. Raises StudyUnreadable when a directory cannot be read;
    nothing is written then.
    """
    for folder in folders:
        if folder.resolve() == out.resolve():
            refuse_links(folder)
    studies = load_studies(folders, log_alone=True)
    several = len(studies) > 1
    keys = _keys(studies)
    names = dict(zip(map(id, studies), keys, strict=True))

    def refer(study: StudyResults, trial: str) -> str:
        return f"{names[id(study)]}/{trial}"

    reports = [
        _study_report(study, key, out / key if several else out, refer, tell)
        for study, key in zip(studies, keys, strict=True)
    ]
    notes: list[str] = []
    joint = _method_tables(studies, out / "tables", refer, notes) if several else []
    write_atomic(out / PAGE, report_page(reports, joint, notes).encode())
    write_json_atomic(out / MANIFEST, manifest(reports, joint, out))
    if out.resolve() == studies[0].folder.resolve():
        keep_verdict(out, reports[0].verdict, len(studies[0].events))
    paths = [out / PAGE, out / MANIFEST, *(path for table in joint for path in table.paths)]
    return Report(tuple(reports), tuple(notes), tuple(paths))


def failure_notes(study: StudyResults) -> list[str]:
    """The failed trials with their causes, and the recovered failures by type."""
    failed = [row for row in study.table.all_rows if row.state is TrialState.FAILED]
    notes = [
        f"{row.id} failed at step {row.step}: {visible(first_line(row.cause))}" for row in failed
    ]
    incidents = study.table.all_incidents
    if incidents:
        counts = ", ".join(f"{count} {visible(name)}" for name, count in sorted(incidents.items()))
        trials = [row.id for row in study.table.all_rows if row.incidents]
        where = f" (in {', '.join(trials)})" if trials else ""
        notes.append(f"Recovered failures: {counts}{where}.")
    return notes


def _study_report(
    study: StudyResults, key: str, folder: Path, refer: Reference, tell: Callable[[str], None]
) -> StudyReport:
    tell(f"tables of {study.name}")
    tables, figures = folder / "tables", folder / "figures"
    make_folders(tables, 1)
    make_folders(figures, 1)
    summary = [*summary_lines(study), *detectable_lines(study)]
    alarms = [f"{line}." for line in failure_lines(study.folder, study.table)]
    missing = missing_lines(study.folder, study.table, study.definition, count_rows=True)
    missing += missing_code_lines(study.definition)
    notes = [*(f"{line}." for line in missing), *failure_notes(study), *missing_value_notes(study)]
    written = [trials_report(study, tables, [*alarms, *summary], refer)]
    confirmation = confirmation_of(study)
    if confirmation is not None:
        written.append(confirmation_report(confirmation, tables, refer))
    if is_mapped(study):
        try:
            written.append(map_report(study, tables, refer))
        except StudyUnreadable:
            raise
        except ValueError as error:
            notes.append(f"No table map: {visible(str(error), 400)}.")
    written += _method_tables([study], tables, refer, notes)
    if (diagnosed := diagnosis_report(study, tables, refer)) is not None:
        written.append(diagnosed)
        trials = counted(len(diagnosed.rows), "trial")
        notes.append(f"Training went wrong in {trials}: the table findings says how and when.")
    drawn, skipped, failed = write_figures(study, figures, refer, tell)
    if study.problem:
        failed.append(f"Without a definition, this report uses the log alone: {study.problem}.")
    return StudyReport(
        key,
        study,
        verdict=verdict_sentence(study),
        alarms=tuple(alarms),
        summary=tuple(summary),
        notes=tuple(notes),
        skipped=tuple(skipped),
        failed=tuple(failed),
        tables=tuple(written),
        figures=tuple(drawn),
    )


def _method_tables(
    studies: Sequence[StudyResults], folder: Path, refer: Reference, notes: list[str]
) -> list[ReportTable]:
    """Tables of the labelled trials of all studies together, and of their confirmations."""
    make_folders(folder, 1)
    written: list[ReportTable] = []
    if all(study.function for study in studies) and not any(map(_has_evaluations, studies)):
        notes.append(
            "Tables of methods are left out: the training function handed in no evaluation rows."
        )
        return []
    if any(map(is_mapped, studies)):
        notes.append(
            "Tables of methods are left out, which compare every pair: each stratum is compared at "
            "its own best in the table map."
        )
        return []
    for name, title, confirmed in _METHODS:
        trials = [
            trial
            for study in studies
            for trial in labelled(study, study.table.confirmations if confirmed else None)
        ]
        try:
            _check_same_data(trials)
            written += method_reports(trials, folder, name, title, refer) if trials else []
        except ValueError as error:
            notes.append(f"No table {name}: {visible(str(error), 400)}.")
    return written


def _has_evaluations(study: StudyResults) -> bool:
    return any(study.evaluated_steps(row.id) for row in study.table.all_rows)


def _check_same_data(trials: Sequence[Trial]) -> None:
    """Raises ValueError naming problem sets that differ between the studies of the trials."""
    for trial in trials:
        first = trials[0].study
        if differing := differing_data(first, trial.study):
            raise ValueError(
                f"{first.name} and {trial.study.name} have different problems in "
                f"{', '.join(differing)}"
            )


def _keys(studies: Sequence[StudyResults]) -> list[str]:
    """A folder name for each study, no two alike."""
    keys: list[str] = []
    for study in studies:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", study.name).strip("._")[:60] or "study"
        taken = {key.casefold() for key in (*keys, "tables", "figures", PAGE, MANIFEST)}
        choices = [plain, *(f"{plain}-{number}" for number in range(2, len(studies) + 3))]
        keys.append(next(key for key in choices if key.casefold() not in taken))
    return keys
