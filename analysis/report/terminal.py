"""The console of reports, and the printing of commands that write tables and figures."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from analysis.load.text import visible
from analysis.tables.text_table import TextTable, to_rich

_PIPE_WIDTH = 1000
"""Columns of a file or a pipe, which no table has to fit."""


def plain_console() -> Console:
    """Standard output without rich's markup and highlights."""
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def print_written(
    tables: Mapping[str, TextTable],
    sentences: Sequence[str],
    written: Sequence[str],
    failed: Sequence[str],
) -> None:
    """Print tables by their titles, sentences, and what was written; errors go to standard
    error."""
    console = plain_console()
    # A file or a pipe gets whole lines.
    unwrapped = not console.is_terminal
    for title, table in tables.items():
        console.print(to_rich(table, title, console.width))
    for line in sentences:
        console.print(visible(line, 4000), soft_wrap=unwrapped)
    for what in written:
        console.print(f"wrote {what}", soft_wrap=unwrapped)
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
