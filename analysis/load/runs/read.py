"""Reads files of runs, whatever trainer wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.load.runs.logs import log_rows
from analysis.load.runs.names import files_in
from analysis.load.runs.rows import MOST_BYTES, MOST_ROWS, Reading, Row, Runs, RunsUnreadable
from analysis.load.runs.tables import table_rows
from analysis.load.text import visible
from conspo_study.untrusted import read_regular

_BOM = b"\xef\xbb\xbf"


def read_runs(paths: Sequence[Path], reading: Reading) -> Runs:
    """The values of one metric in all files.

    paths: files, or folders of them. Each of several folders holds the runs of one setting, which
    has the folder's name. Raises RunsUnreadable for what cannot be used, OSError for what cannot
    be opened.
    """
    rows: list[Row] = []
    notes: list[str] = []
    metrics: dict[str, Path] = {}
    for path, inside in _files(paths):
        metric, its_rows, its_notes = _read(path, reading, inside)
        metrics.setdefault(metric, path)
        if len(metrics) > 1:
            (before, where), (after, _) = list(metrics.items())[:2]
            problem = f"its metric is {visible(after, 60)}, that of {where} {visible(before, 60)}"
            raise RunsUnreadable(path, f"{problem}: name one with --metric")
        rows += its_rows
        notes += its_notes
        if len(rows) > MOST_ROWS:
            raise RunsUnreadable(path, f"more than {MOST_ROWS:,} values: leave steps out")
    if not rows:
        raise RunsUnreadable(paths[0], "no row has a value of the metric")
    return Runs(next(iter(metrics)), tuple(rows), tuple(notes))


def _files(paths: Sequence[Path]) -> list[tuple[Path, Path | None]]:
    """Every file with the folder that names its setting."""
    folders = [path for path in paths if path.is_dir()]
    found: list[tuple[Path, Path | None]] = []
    for path in paths:
        if path in folders:
            inside = path if len(folders) > 1 else None
            found += [(file, inside) for file in files_in(path)]
        else:
            found.append((path, None))
    seen: set[Path] = set()
    for path, _ in found:
        if path.resolve() in seen:
            raise RunsUnreadable(path, "it is named twice: its runs would count twice")
        seen.add(path.resolve())
    return found


def _read(path: Path, reading: Reading, inside: Path | None) -> tuple[str, list[Row], list[str]]:
    content = read_regular(path, MOST_BYTES).removeprefix(_BOM)
    if not content.strip():
        raise RunsUnreadable(path, "it is empty")
    if content.lstrip()[:1] in (b"{", b"["):
        return log_rows(path, content, reading, inside)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise RunsUnreadable(path, "it is no text in UTF-8") from None
    return table_rows(path, text, reading, inside)
