"""The comparison of two results directories, printed: `conspo compare results/a results/b`."""

from __future__ import annotations

from pathlib import Path

from analysis.findings.study_comparison import compare, comparison_lines, comparison_table
from analysis.load.study import load_studies
from analysis.report.terminal import plain_console
from analysis.tables.text_table import to_markdown, to_rich


def print_comparison(
    a: Path, b: Path, *, markdown: bool = False, margin: float | None = None
) -> None:
    """Print the table of differences and the sentences about it.

    margin: as for `compare`. Raises StudyUnreadable or ValueError for studies that cannot be read
    or compared.
    """
    first, second = load_studies([a, b])
    comparison = compare(first, second, margin)
    table = comparison_table(comparison)
    if markdown:
        print(to_markdown(table))
    else:
        console = plain_console()
        console.print(to_rich(table, "differences (B - A)", console.width))
    for line in comparison_lines(comparison):
        print(line)
