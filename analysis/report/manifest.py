"""Where every number of a report comes from: table, row and cell to trial, configuration, code and
data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.load.study import StudyResults
from analysis.report.tables import ReportTable
from conspo_study.results.table import TrialRow

SCHEMA = 1
READING = (
    "tables.<name>.rows: all cells of a row come from its trials, except those that cells names, "
    "by column of the CSV file. A trial has its configuration hash and its study; the study has "
    "the commit and the hashes of sources and data, which are of the problem sets' content."
)


def study_record(study: StudyResults) -> dict[str, Any]:
    """Definition, code, data and packages of a study."""
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


def trial_record(study: str, row: TrialRow) -> dict[str, Any]:
    """Identity of a trial. study: the key of its study in the manifest."""
    return {
        "study": study,
        "config_hash": row.config_hash,
        "label": row.label,
        "role": row.role.value,
        "of": row.of,
        "seeds": list(row.seeds),
        "state": row.state.value,
        "step": row.step,
        "files": f"trials/{row.id}/",
    }


def table_record(table: ReportTable, out: Path) -> dict[str, Any]:
    """Files and rows of a table. out: what paths are relative to."""
    return {
        "title": table.title,
        "files": relative(table.paths, out),
        "rows": [
            {
                "row": row.row,
                "trials": list(row.trials),
                **({"cells": {k: list(v) for k, v in row.cells.items()}} if row.cells else {}),
            }
            for row in table.rows
        ],
    }


def relative(paths: Sequence[Path], out: Path) -> list[str]:
    """Paths inside `out`, with forward slashes: a folder that is moved keeps a true manifest."""
    return [path.relative_to(out).as_posix() for path in paths]


def manifest(
    studies: Mapping[str, StudyResults],
    tables: Mapping[str, ReportTable],
    figures: Mapping[str, Mapping[str, Any]],
    out: Path,
) -> dict[str, Any]:
    """The whole manifest as plain JSON data.

    studies: by their key. tables, figures: by their path in `out`, without an ending.
    """
    return {
        "schema": SCHEMA,
        "reading": READING,
        "studies": {key: study_record(study) for key, study in studies.items()},
        "trials": {
            f"{key}/{row.id}": trial_record(key, row)
            for key, study in studies.items()
            for row in study.table.all_rows
        },
        "tables": {name: table_record(table, out) for name, table in tables.items()},
        "figures": dict(figures),
    }
