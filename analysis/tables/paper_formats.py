"""Tables in the paper's layout as Markdown and CSV, and all formats written to files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pandas as pd

from analysis.load.text import markdown_text
from analysis.tables.latex import to_latex
from analysis.tables.paper_layout import (
    Cell,
    Column,
    Mark,
    PaperTable,
    column_title,
    number_text,
    suffix_text,
)
from analysis.tables.text_table import ABSENT, to_csv
from conspo_study.files import write_atomic

_FIELDS = ["block", "method", "benchmark", "source", "detail"]
_FIELDS += ["value", "low", "high", "n", "stated", "mark"]


def write_paper_table(table: PaperTable, stem: Path) -> list[Path]:
    """Write `stem`.md, `stem`.csv and `stem`.tex, each whole or not at all."""
    texts = {
        ".md": paper_markdown(table),
        ".csv": to_csv(paper_frame(table)),
        ".tex": to_latex(table),
    }
    # Not with_suffix: a name such as `table.1` would lose its ending.
    paths = {stem.with_name(stem.name + ending): text for ending, text in texts.items()}
    for path, text in paths.items():
        write_atomic(path, text.encode())
    return list(paths)


def paper_markdown(table: PaperTable) -> str:
    """Title, table and notes."""
    names = [f"{column.benchmark} {column_title(column, table)}" for column in table.columns]
    titles = ["Method", *(markdown_text(name.rstrip()) for name in names)]
    lines = [titles, ["---", *["---:"] * len(table.columns)]]
    for block, rows in groupby(table.rows, lambda row: row.block):
        if block:
            lines.append([f"*{markdown_text(block)}*", *[""] * len(table.columns)])
        lines += [
            [markdown_text(row.method), *map(_cell, row.cells, table.columns)] for row in rows
        ]
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = "".join(f"- {markdown_text(note, 1000)}\n" for note in table.notes)
    return f"**{markdown_text(table.title)}**\n\n{body}\n{notes}"


def paper_frame(table: PaperTable) -> pd.DataFrame:
    """One row per cell, gaps included: block, method, benchmark, source, detail, value, low, high
    (percentages, unrounded), n (seeds; none for published numbers), stated, mark."""
    records = [
        {
            "block": row.block,
            "method": row.method,
            "benchmark": column.benchmark,
            "source": column.source.value,
            "detail": column.detail,
            "value": cell.value,
            "low": cell.low,
            "high": cell.high,
            "n": cell.seeds,
            "stated": cell.stated,
            "mark": cell.mark.value,
        }
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    ]
    return pd.DataFrame(records, columns=_FIELDS).astype({"n": "Int64"})


def _cell(cell: Cell, column: Column) -> str:
    if cell.value is None:
        return ABSENT
    sign = {Mark.BEST: "**{}**", Mark.SECOND: "<u>{}</u>"}.get(cell.mark, "{}")
    number = sign.format(number_text(cell.value, column.source))
    return number + ("†" if cell.stated else "") + markdown_text(suffix_text(cell, column))
