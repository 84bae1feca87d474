"""The origin of every number of a report: from table, row and cell to trial, configuration, code
and data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.load.study import StudyResults
from analysis.report.contents import ReportFigure, ReportTable, StudyReport
from analysis.report.sections import tab_of
from conspo_study.results.names import trial_folder
from conspo_study.results.table import TrialRow

SCHEMA = 1
READING = (
    "tables.<name>.rows: all cells of a row come from its trials, except those that cells names, "
    "by column of the CSV file. A trial has its configuration hash and its study; the study has "
    "the commit and the hashes of sources and data, which are of the problem sets' content. A "
    "figure's group is the tab of the page that it belongs to: diagnostics are checks of the code "
    "and of training, not results."
)


def manifest(
    reports: Sequence[StudyReport], joint: Sequence[ReportTable], out: Path
) -> dict[str, Any]:
    """The whole manifest as plain JSON data.

    joint: tables over all studies. out: the folder that paths are relative to.
    """
    tables = [*(table for report in reports for table in report.tables), *joint]
    figures = [figure for report in reports for figure in report.figures]
    return {
        "schema": SCHEMA,
        "reading": READING,
        "studies": {report.key: _study_record(report.study) for report in reports},
        "trials": {
            f"{report.key}/{row.id}": _trial_record(report.key, row)
            for report in reports
            for row in report.study.table.all_rows
        },
        "tables": {_stem(table, out): _table_record(table, out) for table in tables},
        "figures": {_stem(figure, out): _figure_record(figure, out) for figure in figures},
    }


def _study_record(study: StudyResults) -> dict[str, Any]:
    git = study.snapshot.get("git")
    return {
        "name": study.name,
        "definition_hash": study.table.hash,
        "metric": study.metric,
        "direction": study.direction,
        "git": git if isinstance(git, dict) else {"hash": None, "dirty": None},
        "code": {name: study.code.get(name) for name in ("hash", "git")},
        "data": dict(study.data),
        "accepted_changes": list(study.table.changes),
        "packages": study.snapshot.get("packages", {}),
        "events": len(study.events),
    }


def _trial_record(study: str, row: TrialRow) -> dict[str, Any]:
    return {
        "study": study,
        "config_hash": row.config_hash,
        "label": row.label,
        "role": row.role.value,
        "of": row.of,
        "seeds": list(row.seeds),
        "state": row.state.value,
        "step": row.step,
        "files": f"{trial_folder(Path(), row.id).as_posix()}/",
    }


def _table_record(table: ReportTable, out: Path) -> dict[str, Any]:
    return {
        "title": table.title,
        "files": _relative(table.paths, out),
        "rows": [
            {
                "row": row.row,
                "trials": list(row.trials),
                **({"cells": {k: list(v) for k, v in row.cells.items()}} if row.cells else {}),
            }
            for row in table.rows
        ],
    }


def _figure_record(figure: ReportFigure, out: Path) -> dict[str, Any]:
    return {
        "title": figure.title,
        "group": tab_of(figure.name).lower(),
        "caption": figure.caption,
        "files": _relative(figure.paths, out),
        "trials": list(figure.trials),
    }


def _relative(paths: Sequence[Path], out: Path) -> list[str]:
    """Paths inside `out`, with forward slashes: the folder can be moved."""
    return [path.relative_to(out).as_posix() for path in paths]


def _stem(part: ReportTable | ReportFigure, out: Path) -> str:
    """The path of its files in `out`, without an ending."""
    path = part.paths[0]
    return path.relative_to(out).as_posix().removesuffix(path.suffix)
