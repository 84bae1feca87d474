"""A report as one page: what the numbers support first, then tables, figures and circumstances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.load.study import StudyResults
from analysis.report.tables import ReportTable
from analysis.tables import html
from analysis.tables.paper_layout import PaperTable
from analysis.tables.text_table import TextTable
from conspo_study.records import EventKind, TrialState
from conspo_study.text import first_line

NO_FAILURES = "No trial failed."
NO_INCIDENTS = "No failure was absorbed."


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure as it was written."""

    name: str
    """Of its files, without an ending."""
    title: str
    caption: str
    trials: tuple[str, ...]
    """References of the trials that are drawn."""
    paths: tuple[Path, ...]
    """The PDF, then the PNG."""


@dataclass(frozen=True, slots=True)
class StudyPart:
    """A study's share of a report."""

    key: str
    """Its name in the manifest, and of its folder where a report has several."""
    study: StudyResults
    alarms: tuple[str, ...]
    """What comes first: that no trial finished, or how many failed, and why."""
    summary: tuple[str, ...]
    notes: tuple[str, ...]
    absent: tuple[str, ...]
    """Which figures it does not support, and why."""
    failed: tuple[str, ...]
    """What could not be made, and why: figures that met an error, or all that needs a definition
    that is lost."""
    tables: tuple[ReportTable, ...]
    figures: tuple[ReportFigure, ...]


def report_page(
    parts: Sequence[StudyPart], joint: Sequence[ReportTable], notes: Sequence[str]
) -> str:
    """The page. joint: tables over all studies. notes: why one of them is missing."""
    several = len(parts) > 1
    title = "Report: " + ", ".join(part.study.name for part in parts)
    body = [f"<h1>{html.text(title, 200)}</h1>"]
    if several:
        links = [f'<li><a href="#{_anchor(part)}">{html.text(part.key)}</a></li>' for part in parts]
        body += ["<nav><ul>", *links, "</ul></nav>"]
        together = [*map(_table, joint), html.listed(notes)]
        body.append(html.section("All studies together", together))
    for part in parts:
        content = _study(part)
        body += [html.section(part.key, content, _anchor(part))] if several else content
    return html.page(title, body)


def _anchor(part: StudyPart) -> str:
    return f"study-{part.key}"


def _study(part: StudyPart) -> list[str]:
    study = part.study
    return [
        f'<p class="meta">{html.text(_about(study), 2000)}</p>',
        html.listed(part.alarms, "failures"),
        html.section("What the numbers support", [html.listed(part.summary, "claims")], level=3),
        html.section(
            "What is missing, and why",
            [html.listed([*part.failed, *part.notes, *part.absent])],
            level=3,
        ),
        *map(_table, part.tables),
        html.section("Figures", map(_figure, part.figures), level=3),
        html.section("Failures", [_failures(study)], level=3),
        html.section("Absorbed failures", [_incidents(study)], level=3),
        html.section("Configuration", [_configuration(study)], level=3),
        html.section("Where it comes from", [_origin(study)], level=3),
    ]


def _about(study: StudyResults) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in study.table.counts.items() if n)
    over = "ended" if study.table.finished else "not ended when this page was made"
    aim = f"the {'largest' if study.direction == 'max' else 'smallest'} {study.metric}"
    aim = "what is not known" if study.problem else aim
    seeds = ", ".join(map(str, study.seeds)) or "none"
    return (
        f"{len(study.table.rows)} trials of the search ({counts or 'none yet'}); "
        f"{len(study.table.confirmations)} confirmations. Selected by {aim}; "
        f"seeds of the search: {seeds}. The study has {over}."
    )


def _table(table: ReportTable) -> str:
    shown = (
        html.paper_table(table.table)
        if isinstance(table.table, PaperTable)
        else html.text_table(table.table)
    )
    files = ", ".join(path.name for path in table.paths)
    # The sentences of the other tables are the summary, which the page begins with.
    notes = table.sentences if table.name.startswith("methods") else ()
    body = [shown, html.listed(notes), f'<p class="meta">Files: {html.text(files)}</p>']
    return html.section(table.title, body, level=3)


def _figure(figure: ReportFigure) -> str:
    png = next(path for path in figure.paths if path.suffix == ".png")
    files = ", ".join(path.name for path in figure.paths)
    shown = html.figure(png.read_bytes(), figure.caption, figure.title)
    meta = f'<p class="meta">Files: {html.text(files)}</p>'
    return html.section(figure.title, [shown, meta], level=4)


def _failures(study: StudyResults) -> str:
    failed = [row for row in study.table.all_rows if row.state is TrialState.FAILED]
    if not failed:
        return html.listed([NO_FAILURES])
    rows = [(row.id, row.label, str(row.step), first_line(row.cause)) for row in failed]
    table = html.text_table(TextTable(("trial", "label", "at step", "cause"), tuple(rows)))
    whole = [
        html.folded(f"The whole cause of {row.id}", html.lines(row.cause))
        for row in failed
        if len(row.cause.split("\n")) > 1
    ]
    return "\n".join([table, *whole[: html.MOST_ROWS]])


def _incidents(study: StudyResults) -> str:
    """One row per kind and trial, with the last detail."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for logged in study.events:
        event = logged.event
        if event.kind is EventKind.INCIDENT:
            key = (str(event.data.get("type", "")), event.trial or "the study")
            count = found.get(key, (0, ""))[0] + int(event.data.get("count", 1))
            found[key] = (count, str(event.data.get("detail", "")))
    if not found:
        return html.listed([NO_INCIDENTS])
    rows = [(kind, trial, str(n), detail) for (kind, trial), (n, detail) in sorted(found.items())]
    return html.text_table(TextTable(("kind", "of", "times", "last detail"), tuple(rows)))


def _configuration(study: StudyResults) -> str:
    definition = dict(study.definition)
    base = definition.pop("base", {})
    declared = [(name, _compact(value)) for name, value in definition.items() if value is not None]
    parts = [html.settings(declared)]
    if isinstance(base, Mapping):
        parts.append(html.folded("Settings that all trials start from", html.settings(_flat(base))))
    return "\n".join(parts)


def _origin(study: StudyResults) -> str:
    git = study.snapshot.get("git")
    commit = git if isinstance(git, dict) else {}
    dirty = {True: "yes", False: "no"}.get(commit.get("dirty"), "not known")  # type: ignore[arg-type]
    rows: list[tuple[str, object]] = [
        ("definition", study.table.hash or "not known"),
        ("commit at the last start", commit.get("hash") or "not known"),
        ("uncommitted changes", dirty),
        ("sources at the first start", study.code.get("hash") or "not known"),
        *((f"data {name}", value) for name, value in study.data.items()),
        *((f"accepted change {n}", text) for n, text in enumerate(study.table.changes, start=1)),
    ]
    circumstances = _flat(
        {
            key: study.snapshot[key]
            for key in ("python", "packages", "hardware", "argv")
            if key in study.snapshot
        }
    )
    return (
        html.settings(rows)
        + "\n"
        + html.folded(
            "Packages, hardware and command of the last start",
            html.settings(circumstances) if circumstances else "",
        )
    )


def _flat(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name, value in data.items():
        path = f"{prefix}{name}"
        rows += (
            _flat(value, f"{path}.") if isinstance(value, Mapping) else [(path, _compact(value))]
        )
    return rows


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
