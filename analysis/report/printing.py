"""A report on the terminal: its tables, its sentences, and the files that were written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from analysis.load.text import visible
from analysis.report.terminal import plain_console
from analysis.report.writing import PAGE, write_reports
from analysis.tables.text_table import to_rich
from conspo_study.text import counted, speak_plainly


def print_report(folder: Path) -> None:
    """Write the report of `folder` into it, and print it.

    Raises StudyUnreadable when the directory cannot be read.
    """
    print_reports([folder], folder)


def print_reports(folders: Sequence[Path], out: Path) -> bool:
    """`write_reports`, then print tables, sentences and files; errors go to standard error.

    Returns False when a figure or a table could not be made.
    """
    speak_plainly()
    console = plain_console()
    # A file or a pipe gets whole lines.
    unwrapped = not console.is_terminal
    with console.status("report") as status:  # on a terminal only

        def show(what: str) -> None:
            status.update(Text(f"report: {visible(what, 60)}"))

        report = write_reports(folders, out, show)
    for study in report.studies:
        for line in study.alarms:
            console.print(visible(line, 1000), style="bold", soft_wrap=unwrapped)
        for name, title in (("trials", study.study.name), ("confirmation", "confirmation")):
            if table := study.text_table(name):
                console.print(to_rich(table, title, console.width))
        for line in [*study.summary, *study.notes]:
            console.print(visible(line, 1000), soft_wrap=unwrapped)
        if study.skipped:
            console.print(
                f"{counted(len(study.skipped), 'figure')} skipped; {PAGE} gives the reasons."
            )
    files = [path for study in report.studies for path in study.paths] + list(report.paths)
    for line in [*report.notes, *map(_wrote, _by_folder(files))]:
        console.print(line, soft_wrap=unwrapped)
    several = len(report.studies) > 1
    for study in report.studies:
        name = f"{visible(study.study.name, 60)}: " if several else ""
        console.print(visible(f"{name}{study.verdict}", 1000), style="bold", soft_wrap=unwrapped)
    errors = [line for study in report.studies for line in study.failed]
    for line in errors:
        print(f"error: {line}", file=sys.stderr)
    return not errors


def _by_folder(paths: Sequence[Path]) -> list[list[Path]]:
    """The paths by folder, in the order in which they were written."""
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    return list(folders.values())


def _wrote(paths: Sequence[Path]) -> str:
    """One line for a folder; files that differ only in their ending are named once."""
    names: dict[str, list[str]] = {}
    for path in paths:
        names.setdefault(path.stem, []).append(path.suffix.removeprefix("."))
    shown = ", ".join(f"{stem}.{'|'.join(endings)}" for stem, endings in names.items())
    return f"wrote {paths[0].parent}: {shown}"
