"""Tables of text: for the terminal, as Markdown and as CSV."""

from __future__ import annotations

import textwrap
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
LABEL = "label"
_NARROWEST_TITLE = 12


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of unescaped text, ready for a renderer."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    own: frozenset[str] = frozenset()
    """Titles that name the program's own quantities, which LaTeX typesets: never a user's."""


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

    Nothing is cut as long as leaving out whole columns will do, and a line below names those: first
    columns with the same cell in every row, then those behind the seed counts, then settings, each
    from the right. The first column, the label, and what stands before the seed counts stay.
    Causes, which are long, are never shown.
    """
    from rich.console import Console

    console = Console(width=10_000)
    shown = [index for index, name in enumerate(table.titles) if name != CAUSE]
    hidden: list[int] = []
    for index in _in_order_of_leaving(table):
        if console.measure(_drawn(table, title, shown, hidden)).maximum <= width:
            break
        shown.remove(index)
        hidden.append(index)
    return _drawn(table, title, shown, hidden)


def _in_order_of_leaving(table: TextTable) -> list[int]:
    """Columns that a narrow terminal may do without, the least important first."""
    titles = table.titles
    seeds = titles.index(SEEDS) if SEEDS in titles else len(titles)
    kept = {0, seeds - 1, seeds} | {i for i, name in enumerate(titles) if name in (LABEL, CAUSE)}
    free = [index for index in reversed(range(len(titles))) if index not in kept]
    alike = [i for i in free if len(table.rows) > 1 and len({row[i] for row in table.rows}) == 1]
    behind = [index for index in free if index > seeds]
    return list(dict.fromkeys([*alike, *behind, *free]))


def _drawn(table: TextTable, title: str, shown: Sequence[int], hidden: Sequence[int]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    names = ", ".join(table.titles[index] for index in sorted(hidden))
    drawn = Table(title=Text(visible(title)), title_justify="left", box=SIMPLE_HEAD)
    if hidden:
        drawn.caption = Text(f"Not shown here: {visible(names)}")
        drawn.caption_justify = "left"
    for index in shown:
        widest = max((len(row[index]) for row in table.rows), default=0)
        drawn.add_column(Text(_on_lines(visible(table.titles[index]), widest)), no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(Text(visible(row[index])) for index in shown))
    return drawn


def _on_lines(title: str, width: int) -> str:
    """A title on as many lines as its column is narrower, broken at spaces and slashes."""
    lines = textwrap.wrap(
        title.replace("/", "/ "), max(width, _NARROWEST_TITLE), break_long_words=False
    )
    return "\n".join(lines).replace("/ ", "/")


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
        table.own,
    )


def _is_numeric(cell: str) -> bool:
    return cell == ABSENT or cell[:1].isdecimal() or (cell[:1] in "+-[<−" and len(cell) > 1)
