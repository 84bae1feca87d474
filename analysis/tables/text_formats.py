"""A table of text as Markdown, CSV and LaTeX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.load.text import markdown_text
from analysis.tables.latex import latex_text
from analysis.tables.text_table import TextTable, numeric_columns, to_csv, to_markdown
from conspo_study.files import write_atomic

MOST_ON_A_PAGE = 40
"""Rows of a table that still fits a page."""


def write_text_table(
    table: TextTable, frame: pd.DataFrame, caption: str, sentences: Sequence[str], stem: Path
) -> list[Path]:
    """Write `stem`.md (with the sentences), `stem`.csv (the frame, unrounded) and `stem`.tex."""
    listed = "".join(f"- {markdown_text(line, 1000)}\n" for line in sentences)
    return write_files(
        stem,
        {
            ".md": f"{listed}\n{to_markdown(table)}",
            ".csv": to_csv(frame),
            ".tex": to_tabular(table, caption, stem.name),
        },
    )


def write_files(stem: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write texts by ending, each file whole or not at all; returns the paths."""
    # Not with_suffix: a name such as `table.1` would lose its ending.
    paths = {stem.with_name(stem.name + ending): text for ending, text in texts.items()}
    for path, text in paths.items():
        write_atomic(path, text.encode())
    return list(paths)


def to_tabular(table: TextTable, caption: str, name: str) -> str:
    r"""A `table`, or a `longtable` where there are more rows than a page has; needs the package
    booktabs, and the latter longtable, which takes no two-column text. Columns of numbers are
    aligned to the right. name: the table is referred to by `\ref{tab:name}`.
    """
    columns = "".join("r" if right else "l" for right in numeric_columns(table))
    titled = [rf"\caption{{{latex_text(caption, 400)}}}", rf"\label{{tab:{name}}}"]
    head, rows = [r"\toprule", _line(table.titles), r"\midrule"], map(_line, table.rows)
    if len(table.rows) > MOST_ON_A_PAGE:
        lines = [rf"\begin{{longtable}}{{{columns}}}", f"{''.join(titled)}" r"\\"]
        lines += [*head, r"\endhead", *rows, r"\bottomrule", r"\end{longtable}"]
    else:
        lines = [r"\begin{table}", r"\centering\small", *titled, rf"\begin{{tabular}}{{{columns}}}"]
        lines += [*head, *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join([*lines, ""])


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"
