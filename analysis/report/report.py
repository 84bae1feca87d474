"""Tables, figures and one page of one or several results directories.

conspo report results/margin_sweep                          # written into it
conspo report results/baselines results/ablation --out both # several in one folder
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.findings.confirmation import confirmation_of
from analysis.findings.detectable import detectable_lines
from analysis.findings.gaps import gap_notes
from analysis.findings.matching import differing_data
from analysis.findings.measured import Trial, labelled
from analysis.findings.summary import summary_lines
from analysis.load.study import StudyResults, load_studies
from analysis.load.text import visible
from analysis.report.figures import write_figures
from analysis.report.manifest import manifest, relative
from analysis.report.page import StudyPart, report_page
from analysis.report.tables import (
    Reference,
    ReportTable,
    confirmation_report,
    method_reports,
    trials_report,
)
from analysis.tables.text_table import TextTable, to_rich
from conspo_study.files import write_atomic, write_json_atomic
from conspo_study.records import TrialState
from conspo_study.results.outcome import failure_lines, missing_lines
from conspo_study.results.own_code import missing_code_lines
from conspo_study.text import first_line, speak_plainly

PAGE, MANIFEST = "report.html", "manifest.json"

_METHODS = (
    ("methods", "Named trials as methods, as the search measured them", False),
    ("methods-confirmed", "Named trials as methods, confirmed on fresh seeds", True),
)
"""Names and titles of the tables by method, and whether they hold confirmations."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was written of a study, and what there is to say."""

    name: str
    table: TextTable
    """The trials of the search."""
    confirmation: TextTable | None
    """None for a study without one."""
    alarms: tuple[str, ...]
    """What comes first: that no trial finished, or how many failed, and why."""
    summary: tuple[str, ...]
    notes: tuple[str, ...]
    """Which files are gone, which trials failed, what was absorbed, which cells are missing."""
    absent: tuple[str, ...]
    """Which figures the study does not support, and why."""
    failed: tuple[str, ...]
    """What could not be made, and why: figures that met an error, or all that needs a definition
    that is lost."""
    paths: tuple[Path, ...]
    """Its tables and figures."""


@dataclass(frozen=True, slots=True)
class Written:
    """A whole report."""

    studies: tuple[Report, ...]
    notes: tuple[str, ...]
    """Why a table over all studies is missing."""
    paths: tuple[Path, ...]
    """The page, the manifest, and tables over all studies."""


def write_report(folder: Path, out: Path | None = None) -> Report:
    """`write_reports` of one study; by default its own folder takes the report."""
    return write_reports([folder], out or folder).studies[0]


def write_reports(
    folders: Sequence[Path], out: Path, tell: Callable[[str], None] = lambda what: None
) -> Written:
    """Write `report.html`, `manifest.json`, `tables/` and `figures/` into `out`; older ones are
    replaced.

    With several studies each has its tables and figures in a folder of its own, and `tables/` holds
    those over all of them. Works at any stage of a study: what has no data yet is named in the
    notes. `tell` is told what is being done. The same results give the same files. Raises
    StudyUnreadable when a directory cannot be read; nothing is written then.
    """
    studies = load_studies(folders, log_alone=True)
    keys = _keys(studies)
    names = dict(zip(map(id, studies), keys, strict=True))

    def refer(study: StudyResults, trial: str) -> str:
        return f"{names[id(study)]}/{trial}"

    parts = [
        _part(study, key, out / key if len(studies) > 1 else out, refer, tell)
        for study, key in zip(studies, keys, strict=True)
    ]
    joint: list[ReportTable] = []
    notes: list[str] = []
    if len(studies) > 1:
        joint = _method_tables(studies, out / "tables", refer, notes)
    paths = [out / PAGE, out / MANIFEST]
    write_atomic(paths[0], report_page(parts, joint, notes).encode())
    tables = [table for part in parts for table in part.tables] + joint
    figures = [figure for part in parts for figure in part.figures]
    record = manifest(
        dict(zip(keys, studies, strict=True)),
        {_stem(table.paths[0], out): table for table in tables},
        {
            _stem(figure.paths[0], out): {
                "title": figure.title,
                "caption": figure.caption,
                "files": relative(figure.paths, out),
                "trials": list(figure.trials),
            }
            for figure in figures
        },
        out,
    )
    write_json_atomic(paths[1], record)
    paths += [path for table in joint for path in table.paths]
    return Written(tuple(map(_report, parts)), tuple(notes), tuple(paths))


def _part(
    study: StudyResults, key: str, folder: Path, refer: Reference, tell: Callable[[str], None]
) -> StudyPart:
    tell(f"tables of {study.name}")
    tables, figures = folder / "tables", folder / "figures"
    tables.mkdir(parents=True, exist_ok=True)
    figures.mkdir(exist_ok=True)
    summary = [*summary_lines(study), *detectable_lines(study)]
    alarms = [f"{line}." for line in failure_lines(study.folder, study.table)]
    gone = missing_lines(study.folder, study.table, study.definition, count_rows=True)
    gone += missing_code_lines(study.definition)
    notes = [*(f"{line}." for line in gone), *failure_notes(study), *gap_notes(study)]
    written = [trials_report(study, tables, [*alarms, *summary], refer)]
    confirmation = confirmation_of(study)
    if confirmation is not None:
        written.append(confirmation_report(confirmation, tables, refer))
    written += _method_tables([study], tables, refer, notes)
    drawn, absent, failed = write_figures(study, figures, refer, tell)
    if study.problem:
        failed.append(f"Without a definition this is from the log alone: {study.problem}.")
    said = tuple(alarms), tuple(summary), tuple(notes), tuple(absent), tuple(failed)
    return StudyPart(key, study, *said, tuple(written), tuple(drawn))


def _method_tables(
    studies: Sequence[StudyResults], folder: Path, refer: Reference, notes: list[str]
) -> list[ReportTable]:
    """Tables of the labelled trials of all studies together, and of what was confirmed."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[ReportTable] = []
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


def _check_same_data(trials: Sequence[Trial]) -> None:
    """Raises ValueError naming problem sets that differ between the studies of the trials."""
    first = trials[0].study if trials else None
    for trial in trials:
        differing = differing_data(first, trial.study) if first else ()
        if first and differing:
            raise ValueError(
                f"{first.name} and {trial.study.name} have different problems in "
                f"{', '.join(differing)}"
            )


def _report(part: StudyPart) -> Report:
    shown = {table.name: table.table for table in part.tables}
    trials, confirmation = shown["trials"], shown.get("confirmation")
    assert isinstance(trials, TextTable)
    paths = [
        path for written in (part.tables, part.figures) for one in written for path in one.paths
    ]
    return Report(
        part.study.name,
        trials,
        confirmation if isinstance(confirmation, TextTable) else None,
        part.alarms,
        part.summary,
        part.notes,
        part.absent,
        part.failed,
        tuple(paths),
    )


def _keys(studies: Sequence[StudyResults]) -> list[str]:
    """A folder name for each study, no two alike."""
    keys: list[str] = []
    for study in studies:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", study.name).strip("._")[:60] or "study"
        taken = {key.casefold() for key in (*keys, "tables", "figures", PAGE, MANIFEST)}
        found = [plain, *(f"{plain}-{number}" for number in range(2, len(studies) + 3))]
        keys.append(next(key for key in found if key.casefold() not in taken))
    return keys


def _stem(path: Path, out: Path) -> str:
    return path.relative_to(out).as_posix().removesuffix(path.suffix)


def failure_notes(study: StudyResults) -> list[str]:
    """Which trials failed and why, and what was absorbed, by type."""
    failed = [row for row in study.table.all_rows if row.state is TrialState.FAILED]
    notes = [
        f"{row.id} failed at step {row.step}: {visible(first_line(row.cause))}" for row in failed
    ]
    absorbed = study.table.all_incidents
    if absorbed:
        counts = ", ".join(f"{count} {visible(name)}" for name, count in sorted(absorbed.items()))
        trials = [row.id for row in study.table.all_rows if row.incidents]
        where = f" (in {', '.join(trials)})" if trials else ""
        notes.append(f"Absorbed failures: {counts}{where}.")
    return notes


def print_report(folder: Path) -> None:
    """Write the report of `folder` into it, then print its table, its summary and what was written.

    Raises StudyUnreadable when the directory cannot be read.
    """
    print_reports([folder], folder)


def print_reports(folders: Sequence[Path], out: Path) -> bool:
    """`write_reports`, then print tables, summaries and what was written. Whether all of it could
    be made; what could not is named on standard error."""
    from rich.console import Console
    from rich.text import Text

    speak_plainly()
    console = Console(highlight=False, markup=False)
    with console.status("report") as status:  # on a terminal only

        def show(what: str) -> None:
            status.update(Text(f"report: {visible(what, 60)}"))

        written = write_reports(folders, out, show)
    if not console.is_terminal:
        # A file or a pipe has no width that the table would have to fit.
        console.width = 1000
    for report in written.studies:
        for line in report.alarms:
            console.print(visible(line, 1000), style="bold", soft_wrap=not console.is_terminal)
        console.print(to_rich(report.table, report.name, console.width))
        if report.confirmation is not None:
            console.print(to_rich(report.confirmation, "confirmation", console.width))
        for line in [*report.summary, *report.notes]:
            # On a terminal prose breaks between words, elsewhere not at all.
            console.print(visible(line, 1000), soft_wrap=not console.is_terminal)
        if report.absent:
            console.print(f"{len(report.absent)} figures do not apply; {PAGE} says why.")
    every = [path for report in written.studies for path in report.paths] + list(written.paths)
    for line in [*written.notes, *map(_wrote, _folders(every))]:
        console.print(line, soft_wrap=not console.is_terminal)
    failed = [line for report in written.studies for line in report.failed]
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
    return not failed


def _folders(paths: Sequence[Path]) -> list[list[Path]]:
    """The paths by folder, in the order in which they were written."""
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    return list(folders.values())


def _wrote(paths: Sequence[Path]) -> str:
    """One line for a folder: files that differ in their ending only are named once."""
    names: dict[str, list[str]] = {}
    for path in paths:
        names.setdefault(path.stem, []).append(path.suffix.removeprefix("."))
    shown = ", ".join(f"{stem}.{'|'.join(endings)}" for stem, endings in names.items())
    return f"wrote {paths[0].parent}: {shown}"
