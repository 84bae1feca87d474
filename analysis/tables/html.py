"""Pieces of a page that stands alone: no network, no scripts, every text escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from importlib.resources import files

from analysis.load.text import visible
from analysis.tables.paper_layout import (
    Cell,
    Column,
    Mark,
    PaperTable,
    column_title,
    number_text,
    suffix_text,
)
from analysis.tables.text_table import ABSENT, TextTable

MOST_ROWS = 200
"""A longer table ends there, and says so."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing from anywhere else."""


def text(value: object, limit: int = 1000) -> str:
    """Any text as HTML without markup of its own; controls are spelled out."""
    return html.escape(visible(str(value), limit), quote=True)


def page(title: str, body: Iterable[str]) -> str:
    """A whole document."""
    style = files("analysis").joinpath("data/report.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, body: Iterable[str], anchor: str = "", level: int = 2) -> str:
    """A heading and what is under it; nothing when there is nothing."""
    parts = [part for part in body if part]
    if not parts:
        return ""
    name = f' id="{text(anchor)}"' if anchor else ""
    heading = f"<h{level}>{text(title)}</h{level}>"
    return "\n".join([f"<section{name}>", heading, *parts, "</section>"])


def listed(lines: Iterable[str], kind: str = "") -> str:
    """Sentences, one bullet each; nothing when there are none."""
    items = [f"<li>{text(line)}</li>" for line in lines]
    mark = f' class="{kind}"' if kind else ""
    return "\n".join([f"<ul{mark}>", *items, "</ul>"]) if items else ""


def lines(value: str, most: int = 200) -> str:
    """Text with its line breaks, of so many lines at most."""
    found = value.split("\n")
    cut = [f"… {len(found) - most} more lines"] if len(found) > most else []
    return "<pre>" + "\n".join(map(text, found[:most] + cut)) + "</pre>"


def folded(title: str, body: str) -> str:
    """What opens at a click."""
    return f"<details><summary>{text(title)}</summary>\n{body}\n</details>" if body else ""


def figure(png: bytes, caption: str, alt: str) -> str:
    """An image that is part of the page."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{text(alt)}">\n'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def text_table(table: TextTable, most: int = MOST_ROWS) -> str:
    """A table of text; columns whose cells are numbers or gaps are set to the right."""
    numeric = [
        bool(table.rows) and all(_numeric(row[index]) for row in table.rows)
        for index in range(len(table.titles))
    ]
    head = "".join(
        _cell(title, right, "th") for title, right in zip(table.titles, numeric, strict=True)
    )
    rows = [
        "".join(_cell(cell, right) for cell, right in zip(row, numeric, strict=True))
        for row in table.rows[:most]
    ]
    return _table(head, rows) + _cut(len(table.rows), most)


def paper_table(table: PaperTable) -> str:
    """A table in the paper's layout, with its marks."""
    names = [
        f"{column.benchmark} {column_title(column, table)}".strip() for column in table.columns
    ]
    head = _cell("Method", False, "th") + "".join(_cell(name, True, "th") for name in names)
    rows = [
        _cell(f"{row.block} {row.method}".strip(), False)
        + "".join(map(_paper_cell, row.cells, table.columns))
        for row in table.rows
    ]
    return _table(head, rows)


def settings(rows: Sequence[tuple[str, object]]) -> str:
    """Names and values."""
    return _table("", [f"<th>{text(name)}</th><td>{text(value)}</td>" for name, value in rows])


def _table(head: str, rows: Iterable[str]) -> str:
    top = [f"<thead><tr>{head}</tr></thead>"] if head else []
    body = [f"<tr>{row}</tr>" for row in rows]
    return "\n".join(
        ['<div class="wide"><table>', *top, "<tbody>", *body, "</tbody>", "</table></div>"]
    )


def _cut(rows: int, most: int) -> str:
    if rows <= most:
        return ""
    return f'\n<p class="gap">{rows - most} more rows are in the CSV file.</p>'


def _cell(value: str, right: bool, tag: str = "td") -> str:
    mark = ' class="number"' if right else ""
    return f"<{tag}{mark}>{text(value, 300)}</{tag}>"


def _paper_cell(cell: Cell, column: Column) -> str:
    if cell.value is None:
        return f'<td class="number">{ABSENT}</td>'
    sign = {Mark.BEST: "<strong>{}</strong>", Mark.SECOND: "<u>{}</u>"}.get(cell.mark, "{}")
    number = sign.format(text(number_text(cell.value, column.source)))
    stated = "†" if cell.stated else ""
    return f'<td class="number">{number}{stated}{text(suffix_text(cell, column))}</td>'


def _numeric(cell: str) -> bool:
    return cell == ABSENT or cell[:1].isdecimal() or (cell[:1] in "+-[<−" and len(cell) > 1)
