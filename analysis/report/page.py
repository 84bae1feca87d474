"""A report as one HTML page: question and verdict, the differences, and the rest by tab.

It works from a double click, without a network. Its one script is named by its hash in the page's
content security policy: no other can run, whatever a study's texts hold.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from analysis.load.study import StudyResults
from analysis.report.contents import ReportTable, StudyReport
from analysis.report.sections import sections_of
from analysis.tables.html import MOST_ROWS, render, source
from analysis.tables.text_table import TextTable
from conspo_study.records import EventKind, TrialState
from conspo_study.records.nested import flattened
from conspo_study.text import counted, first_line

_UNKNOWN = "unknown"


def report_page(
    studies: Sequence[StudyReport], joint: Sequence[ReportTable], notes: Sequence[str]
) -> str:
    """The page. joint: tables over all studies. notes: why one of them is missing."""
    several = len(studies) > 1
    script = source("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return render(
        "report.html",
        title="Report: " + ", ".join(report.study.name for report in studies),
        parts=[_part(report, f"{report.key}/" if several else "") for report in studies],
        joint=joint,
        notes=notes,
        script=Markup(script),
        script_hash=digest,
    )


def _part(report: StudyReport, folder: str) -> dict[str, Any]:
    """The values that the template shows of a study. folder: of its files, seen from the page."""
    study = report.study
    failed = [row for row in study.table.all_rows if row.state is TrialState.FAILED]
    causes = {row.id: row.cause.split("\n") for row in failed if "\n" in row.cause}
    definition = {name: value for name, value in study.definition.items() if value is not None}
    base = definition.pop("base", {})
    return {
        "report": report,
        "folder": folder,
        "question": str(study.definition.get("question") or ""),
        "sections": sections_of(report),
        "about": _about(study),
        "missing": [*report.notes, *report.skipped],
        "failed": TextTable(
            ("trial", "label", "step", "cause"),
            tuple((row.id, row.label, str(row.step), first_line(row.cause)) for row in failed),
        ),
        "causes": dict(list(causes.items())[:MOST_ROWS]),
        "incidents": _incidents(study),
        "definition": _texts(definition),
        "base": _texts(flattened(base)) if isinstance(base, Mapping) else {},
        "provenance": _provenance(study),
        "circumstances": _texts(
            flattened(
                {
                    name: study.snapshot[name]
                    for name in ("python", "packages", "hardware", "argv")
                    if name in study.snapshot
                }
            )
        ),
    }


def _about(study: StudyResults) -> str:
    over = "has ended" if study.table.finished else "had not ended when this page was made"
    largest = "largest" if study.direction == "max" else "smallest"
    aim = _UNKNOWN if study.problem else f"{largest} {study.metric}"
    return (
        f"{counted(len(study.table.rows), 'search trial')} ({study.counts or 'none yet'}), "
        f"{counted(len(study.table.confirmations), 'confirmation')}. Selection: {aim}. "
        f"Search seeds: {', '.join(map(str, study.seeds)) or 'none'}. The study {over}."
    )


def _incidents(study: StudyResults) -> TextTable:
    """One row per type and trial, with the last detail."""
    rows: dict[tuple[str, str], tuple[int, str]] = {}
    for logged in study.events:
        event = logged.event
        if event.kind is EventKind.INCIDENT:
            key = (str(event.data.get("type", "")), event.trial or "(study)")
            count = rows.get(key, (0, ""))[0] + int(event.data.get("count", 1))
            rows[key] = (count, str(event.data.get("detail", "")))
    return TextTable(
        ("type", "trial", "count", "last detail"),
        tuple((kind, trial, str(n), detail) for (kind, trial), (n, detail) in sorted(rows.items())),
    )


def _provenance(study: StudyResults) -> dict[str, str]:
    git = study.snapshot.get("git")
    commit = git if isinstance(git, dict) else {}
    return {
        "definition": study.table.hash or _UNKNOWN,
        "commit at the last start": commit.get("hash") or _UNKNOWN,
        "uncommitted changes": {True: "yes", False: "no"}.get(commit.get("dirty"), _UNKNOWN),  # type: ignore[arg-type]
        "sources at the first start": study.code.get("hash") or _UNKNOWN,
        **{f"data {name}": value for name, value in study.data.items()},
        **{f"accepted change {n}": text for n, text in enumerate(study.table.changes, start=1)},
    }


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }
