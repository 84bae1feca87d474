"""Tables in the paper's layout as Markdown, CSV and LaTeX files."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pandas as pd

from analysis.load.text import markdown_text
from analysis.tables.latex_tables import paper_tabular
from analysis.tables.paper_layout import Cell, Column, Mark, PaperTable, cell_text, column_heading
from analysis.tables.text_formats import write_files
from analysis.tables.text_table import to_csv

_FIELDS = ["block", "method", "benchmark", "source", "detail"]
_FIELDS += ["value", "low", "high", "n", "stated", "mark"]
_MARKS = {Mark.BEST: "**{}**", Mark.SECOND: "<u>{}</u>"}


def write_paper_table(table: PaperTable, stem: Path) -> list[Path]:
    """Write `stem`.md, `stem`.csv and `stem`.tex, each whole or not at all."""
    return write_files(
        stem,
        {
            ".md": paper_markdown(table),
            ".csv": to_csv(paper_frame(table)),
            ".tex": paper_tabular(table, stem.name),
        },
    )


def paper_markdown(table: PaperTable) -> str:
    """Title, table and notes as Markdown."""
    names = [column_heading(column, table) for column in table.columns]
    titles = ["Method", *map(markdown_text, names)]
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
    return cell_text(cell, column, _MARKS, markdown_text)
