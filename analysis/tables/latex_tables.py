"""Tables of text and tables in the paper's layout as LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, zip_longest

from analysis.tables.latex import latex_seeds, latex_text
from analysis.tables.latex_columns import (
    NARROWEST_EMS,
    LatexColumn,
    NumberFormat,
    column_of,
    number_format,
    on_lines,
)
from analysis.tables.latex_layout import MOST_ON_A_PAGE, LatexTable, line, table_text
from analysis.tables.latex_widths import text_ems
from analysis.tables.numbers import ABSENT, interval
from analysis.tables.paper_layout import Cell, Column, Mark, PaperTable, number_text
from analysis.tables.paper_layout import Row as PaperRow
from analysis.tables.text_table import TextTable

_MARKS = {Mark.BEST: r"\textbf{{{}}}", Mark.SECOND: r"\underline{{{}}}"}
_LONGEST_NAME_EMS = 9.0
"""Of a line of a method's name beside intervals."""
_CLOSE, _APART = "[-1pt]", "[2pt]"


def tabular(table: TextTable, caption: str, name: str) -> str:
    r"""A table of text, its numbers aligned at the decimal marker. name: it is referred to by
    `\ref{tab:name}`."""
    columns = [
        column_of([row[index] for row in table.rows], title, table.own)
        for index, title in enumerate(table.titles)
    ]
    rows = zip(*(one.cells for one in columns), strict=True)
    return table_text(
        LatexTable(
            *(caption, name, tuple(columns)),
            head=_bottom_up([one.head for one in columns]),
            body=tuple(map(line, rows)),
            long=len(table.rows) > MOST_ON_A_PAGE,
        )
    )


def paper_tabular(table: PaperTable, name: str) -> str:
    r"""A table of methods by benchmarks: below a number, small, its interval, and its n where rows
    differ in it. name: it is referred to by `\ref{tab:name}`."""
    shared, heads = _heads(table)
    columns, lines = [], []
    for index, column in enumerate(table.columns):
        cells = [row.cells[index] for row in table.rows]
        found = [number_text(one.value, column.source) for one in cells if one.value is not None]
        form = number_format(found) or NumberFormat(False, "", 1, 1, 0, "")
        fine = [text for cell in cells for text in _fine_print(cell, column)]
        head = [column.benchmark, *heads[index]]
        columns.append(
            LatexColumn(
                *(form.spec, (), tuple(_number(cell, column, form) for cell in cells)),
                ems=max(form.ems, *map(text_ems, head)),
                fine_ems=max(map(text_ems, fine), default=0.0),
            )
        )
    names = [_name_lines(row, table.columns) for row in table.rows]
    widest = max((text_ems(text) for texts in names for text in ["Method", *texts]), default=0.0)
    least = min(widest, NARROWEST_EMS) if max(map(len, names), default=1) == 1 else math.inf
    first = LatexColumn("l", (), (), widest, least_ems=least)
    numbers = zip(*(one.cells for one in columns), strict=True)
    rows = zip(table.rows, names, numbers, strict=True)
    for number, (block, found_rows) in enumerate(groupby(rows, lambda one: one[0].block)):
        lines += [r"\midrule"] if number else []
        if block:
            lines.append(line([_span(len(columns) + 1, "l", latex_text(block))]))
        for row, name_lines, shown in found_rows:
            lines += _lines(row, name_lines, shown, table.columns)
    return table_text(
        LatexTable(
            *(table.title, name, (first, *columns)),
            head=tuple(_head_lines(table, shared, heads)),
            body=tuple(lines),
            notes=table.notes,
        )
    )


def _bottom_up(titles: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Titles of several lines as rows, with the last line of each in the last."""
    height = max(map(len, titles), default=0)
    padded = [[""] * (height - len(title)) + list(title) for title in titles]
    return tuple(line(texts) for texts in zip(*padded, strict=True))


def _heads(table: PaperTable) -> tuple[str, list[list[str]]]:
    """What the heads of all columns say, and what each says besides: source, metric, n."""
    several = len({column.source for column in table.columns}) > 1
    parts = [
        [*([column.source.value] if several else []), *filter(None, column.detail.rsplit(", ", 1))]
        for column in table.columns
    ]
    if len(table.columns) > 1 and all(own == parts[0] for own in parts):
        return ", ".join(map(latex_seeds, parts[0])), [[] for _ in parts]
    return "", parts


def _head_lines(table: PaperTable, shared: str, heads: Sequence[Sequence[str]]) -> list[str]:
    groups = [(name, len(list(own))) for name, own in groupby(table.columns, _benchmark)]
    names = [
        f"{{{latex_text(name)}}}" if width == 1 else _span(width, "c", latex_text(name))
        for name, width in groups
    ]
    lines = []
    if shared:
        lines = [line(["", _span(len(table.columns), "c", shared)])]
        lines += [rf"\cmidrule(l){{2-{len(table.columns) + 1}}}"]
    below = list(zip_longest(*heads, fillvalue=""))
    lines.append(line(["" if below else "Method", *names]))
    column = 2
    for _, width in groups:
        if width > 1:
            lines.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    for number, texts in enumerate(below, start=1):
        cells = [f"{{{latex_seeds(text)}}}" for text in texts]
        lines.append(line(["Method" if number == len(below) else "", *cells]))
    return lines


def _name_lines(row: PaperRow, columns: Sequence[Column]) -> list[str]:
    """The name of a method, on several lines where there is small print to stand beside them."""
    beside = any(map(_fine_print, row.cells, columns))
    return on_lines(row.method, _LONGEST_NAME_EMS) if beside else [row.method]


def _lines(
    row: PaperRow, name: Sequence[str], numbers: Sequence[str], columns: Sequence[Column]
) -> list[str]:
    small = zip_longest(*map(_fine_print, row.cells, columns), fillvalue="")
    below = [
        [rf"{{\scriptsize {_fine(text)}}}" if text else "" for text in texts] for texts in small
    ]
    blank = [""] * len(columns)
    found = zip_longest(map(latex_text, name), [numbers, *below])
    cells = [[text or "", *(texts or blank)] for text, texts in found]
    ends = [*[_CLOSE] * (len(cells) - 1), _APART if below else ""]
    return [line(one, end) for one, end in zip(cells, ends, strict=True)]


def _fine_print(cell: Cell, column: Column) -> list[str]:
    """What stands below a number."""
    ends = [] if cell.low is None else [interval(cell.low, cell.high, ".1f")]
    return ends + (
        [] if cell.seeds == column.seeds or cell.value is None else [f"n = {cell.seeds}"]
    )


def _fine(text: str) -> str:
    return f"${text}$" if text.startswith("[") and text != ABSENT else latex_seeds(text)


def _number(cell: Cell, column: Column, form: NumberFormat) -> str:
    if cell.value is None:
        return f"{{{latex_text(ABSENT)}}}"
    number = number_text(cell.value, column.source)
    if not cell.mark and not cell.stated:
        return number
    dagger = r"\rlap{{\dag}}" if cell.stated else ""
    return form.padded(number, _MARKS.get(cell.mark, "{}") + dagger)


def _benchmark(column: Column) -> str:
    return column.benchmark


def _span(width: int, place: str, text: str) -> str:
    return rf"\multicolumn{{{width}}}{{{place}}}{{{text}}}"
