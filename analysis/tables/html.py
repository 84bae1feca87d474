"""HTML from the templates in `analysis/data`; text from studies can never become markup.

Jinja2 escapes every expression of a template. Before that, each is made printable and cut to
`LONGEST` characters, whatever filters a template applies.
"""

from __future__ import annotations

import base64
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


def _image(path: Path) -> Markup:
    """Attributes of an `img` that holds a PNG, at a width that gives the type of all figures one
    size."""
    content = path.read_bytes()
    wide = int.from_bytes(content[16:20]) * _PAGE_PIXELS // PNG_PIXELS
    encoded = base64.b64encode(content).decode()
    return Markup(f'src="data:image/png;base64,{encoded}"{f" width={wide}" if wide else ""}')


def _paper_cell(cell: Cell, column: Column) -> Markup:
    return Markup(cell_text(cell, column, _MARKS, escape))
