"""HTML from the templates in `analysis/data`; text from studies can never become markup.

Jinja2 escapes every expression of a template. Before that, each is made printable and cut to
`LONGEST` characters, whatever filters a template applies.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.load.text import visible
from analysis.tables.paper_layout import Cell, Column, Mark, PaperTable, cell_text, column_heading
from analysis.tables.text_table import numeric_columns
from conspo_study.text import counted

PNG_PIXELS, _PAGE_PIXELS = 200, 128
"""Per inch of a figure: of its PNG, and on the page."""
LONGEST = 1000
MOST_ROWS = 200
"""A longer table or text is cut, with a note of how much is missing."""

LARGEST_EMBEDDED = 300_000
"""Bytes of a table's file up to which the page holds it."""
_TYPES = {
    ".csv": "text/csv;charset=utf-8",
    ".tex": "application/x-tex",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

_MARKS = {Mark.BEST: "<strong>{}</strong>", Mark.SECOND: "<u>{}</u>"}


def render(template: str, **values: Any) -> str:
    """A template of `analysis/data` with these values.

    Raises jinja2.UndefinedError for a value that the template uses and that is missing.
    """
    return environment().get_template(template).render(values)


def source(name: str) -> str:
    """The text of a file of `analysis/data`."""
    made = environment()
    assert made.loader is not None
    return made.loader.get_source(made, name)[0]


@cache
def environment() -> Environment:
    """The templates of `analysis/data` and what they may call."""
    made = Environment(
        loader=PackageLoader("analysis", "data"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_safe,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {
        "visible": visible,
        "file_data": _file_data,
        "small": _small,
        "image": _image,
        "column_heading": column_heading,
        "paper_cell": _paper_cell,
    }
    made.tests["paper_table"] = lambda table: isinstance(table, PaperTable)
    made.globals |= {
        "MOST_ROWS": MOST_ROWS,
        "counted": counted,
        "numeric_columns": numeric_columns,
        "zip": zip,
    }
    return made


def _safe(value: object) -> str:
    return value if isinstance(value, Markup) else visible(str(value), LONGEST)


def _file_data(path: Path) -> Markup:
    """A file as the address of a link or an image, so that the page needs no file beside it."""
    content = base64.b64encode(path.read_bytes()).decode()
    return Markup(f"data:{_TYPES[path.suffix]};base64,{content}")


def _small(paths: Sequence[Path]) -> list[Path]:
    """Tables as CSV and LaTeX that are not too large to be part of the page."""
    return [
        path
        for path in paths
        if path.suffix in (".csv", ".tex") and path.stat().st_size <= LARGEST_EMBEDDED
    ]


def _image(path: Path) -> Markup:
    """Attributes of an `img` that holds a figure, at a width that gives the type of all figures one
    size."""
    inches = _inches(path)
    width = f" width={round(inches * _PAGE_PIXELS)}" if inches else ""
    return Markup(f'src="{_file_data(path)}"{width}')


def _inches(path: Path) -> float | None:
    """The width of a figure; None where its file does not tell."""
    content = path.read_bytes()
    if path.suffix == ".png":
        return int.from_bytes(content[16:20]) / PNG_PIXELS
    points = re.search(rb'<svg [^>]*?width="([0-9.]+)pt"', content[:4000])
    return float(points[1]) / 72 if points else None


def _paper_cell(cell: Cell, column: Column) -> Markup:
    return Markup(cell_text(cell, column, _MARKS, escape))
