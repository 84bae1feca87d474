"""A table in the layout of the paper: methods in rows, benchmarks in columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from analysis.tables.numbers import ABSENT, interval

MARKED = (
    "Bold: best of the column; underlined: second best; ties share a mark. This is not a "
    "significance test."
)
GAPS = "An absent cell might be the best of its column."
STATED = "†: an average that the paper states; not all of its cells are known."


class Source(StrEnum):
    """The source of a column's numbers."""

    PAPER = "paper"
    OURS = "ours"
    BEST = "ours, best evaluation"
    DIFFERENCE = "difference"


class Mark(StrEnum):
    """The rank of a cell in its column."""

    NONE = ""
    BEST = "best"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class Cell:
    """A percentage, or a gap."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % CI; None where there is none or none was asked for."""
    no_interval: str = ""
    """Why there is no interval although one was asked for."""
    seeds: int | None = None
    """n; None for a published number."""
    stated: bool = False
    """An average that the paper states and that its known cells do not give."""
    mark: Mark = Mark.NONE


@dataclass(frozen=True, slots=True)
class Column:
    """The benchmark of a column, the source of its numbers, and how they were measured."""

    benchmark: str
    source: Source
    detail: str
    """`avg@32`, or `avg@8, n = 3`; empty for a difference."""
    seeds: int | None = None
    """The n of all its cells; None where they differ and show their own."""


@dataclass(frozen=True, slots=True)
class Row:
    """A method and its cells, one for each column."""

    block: str
    """The model that was trained, where a table has several; else empty."""
    method: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """A table that is ready for a renderer. Its text is unescaped."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def laid_out(
    title: str, columns: Sequence[Column], rows: Sequence[Row], notes: Iterable[str]
) -> PaperTable:
    """The table with its best cells marked, block by block, and its notes completed."""
    blocks = dict.fromkeys(row.block for row in rows)
    ranked = [
        row for block in blocks for row in _marked([r for r in rows if r.block == block], columns)
    ]
    cells = [cell for row in ranked for cell in row.cells]
    reasons = {cell.no_interval: None for cell in cells if cell.no_interval}
    needed = [
        *(f"No interval: {reason}." for reason in reasons),
        *([MARKED] if any(cell.mark for cell in cells) else []),
        *([GAPS] if any(cell.value is None for cell in cells) else []),
        *([STATED] if any(cell.stated for cell in cells) else []),
    ]
    return PaperTable(title, tuple(columns), tuple(ranked), (*notes, *needed))


def column_title(column: Column, table: PaperTable) -> str:
    """The second line of a column's heading: how it was measured, and by whom if that differs."""
    several = len({other.source for other in table.columns}) > 1
    return ", ".join(filter(None, (column.source.value if several else "", column.detail)))


def column_heading(column: Column, table: PaperTable) -> str:
    """The whole heading of a column in one line."""
    return f"{column.benchmark} {column_title(column, table)}".strip()


def cell_text(
    cell: Cell, column: Column, marks: Mapping[Mark, str], escape: Callable[[str], str]
) -> str:
    """A number with its mark, its dagger, its interval, and its n where rows differ in it.

    marks: formats around the number, such as `**{}**`. escape: makes text safe for the renderer.
    """
    if cell.value is None:
        return escape(ABSENT)
    number = marks.get(cell.mark, "{}").format(escape(number_text(cell.value, column.source)))
    ends = "" if cell.low is None else f" {interval(cell.low, cell.high, '.1f')}"
    seeds = "" if cell.seeds == column.seeds else f" (n = {cell.seeds})"
    return number + escape(("†" if cell.stated else "") + ends + seeds)


def number_text(value: float, source: Source = Source.OURS) -> str:
    """A percentage with one decimal, a difference with its sign."""
    return f"{value:+.1f}" if source is Source.DIFFERENCE else f"{value:.1f}"


def _marked(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Cells that are shown equal tie; a lone number is not the best of anything."""
    marks: list[dict[str, Mark]] = []
    for index, column in enumerate(columns):
        values = [row.cells[index].value for row in rows]
        known = sorted((value for value in values if value is not None), reverse=True)
        shown = [number_text(value) for value in known]
        compared = len(shown) > 1 and column.source is not Source.DIFFERENCE
        ranked = list(dict.fromkeys(shown)) if compared else []
        marks.append(dict(zip(ranked, (Mark.BEST, Mark.SECOND), strict=False)))
    return [
        replace(
            row,
            cells=tuple(
                cell
                if cell.value is None
                else replace(cell, mark=ranks.get(number_text(cell.value), Mark.NONE))
                for cell, ranks in zip(row.cells, marks, strict=True)
            ),
        )
        for row in rows
    ]
