"""Tables of text: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from analysis.load.text import csv_text, markdown_text, visible
from analysis.tables.numbers import ABSENT

if TYPE_CHECKING:
    from rich.table import Table

SEEDS, COLLAPSED, CAUSE = "n", "collapsed", "cause"
"""Titles of the columns of seed counts, of collapsed seeds and of causes."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of unescaped text, ready for a renderer."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def numeric_columns(table: TextTable) -> list[bool]:
    """True for columns whose cells are all numbers or absent; none in a table without rows."""
    return [
        bool(table.rows) and all(_is_numeric(row[index]) for row in table.rows)
        for index in range(len(table.titles))
    ]


def to_markdown(table: TextTable) -> str:
    """A GitHub-flavoured Markdown table."""
    titles, *rows = [tuple(map(markdown_text, row)) for row in (table.titles, *table.rows)]
    lines = [titles, ("---",) * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_rich(table: TextTable, title: str, width: int) -> Table:
    """A table for a terminal of `width` columns; rich's markup in cells has no effect.

    Causes are left out, and as many of the columns after the seed counts as do not fit; the files
    have all of them.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    count = table.titles.index(CAUSE) if CAUSE in table.titles else len(table.titles)
    while True:
        shown = Table(title=Text(visible(title)), title_justify="left", box=SIMPLE_HEAD)
        for name in table.titles[:count]:
            shown.add_column(Text(visible(name)), no_wrap=True)
        for row in table.rows:
            shown.add_row(*(Text(visible(cell)) for cell in row[:count]))
        needed = Console(width=10_000).measure(shown).maximum
        if needed <= width or table.titles[count - 1] == SEEDS:
            return shown
        count -= 1


def to_csv(frame: pd.DataFrame) -> str:
    """CSV with full-precision numbers, and text that no spreadsheet evaluates."""
    safe = frame.map(lambda value: csv_text(value) if isinstance(value, str) else value)
    safe.columns = pd.Index([csv_text(str(name)) for name in frame.columns])
    return safe.to_csv(index=False, lineterminator="\n")


def without_empty_columns(table: TextTable, optional: Sequence[str]) -> TextTable:
    """The table without those `optional` columns that are empty in every row."""
    empty = [
        name
        for index, name in enumerate(table.titles)
        if name in optional and not any(row[index] for row in table.rows)
    ]
    return without_columns(table, empty)


def without_columns(table: TextTable, names: Sequence[str]) -> TextTable:
    """The table without the columns of these titles."""
    keep = [index for index, name in enumerate(table.titles) if name not in names]
    return TextTable(
        tuple(table.titles[index] for index in keep),
        tuple(tuple(row[index] for index in keep) for row in table.rows),
    )


def _is_numeric(cell: str) -> bool:
    return cell == ABSENT or cell[:1].isdecimal() or (cell[:1] in "+-[<−" and len(cell) > 1)
