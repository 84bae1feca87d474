"""A table of text as Markdown, CSV and LaTeX files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis.load.text import markdown_text
from analysis.tables.latex_tables import tabular
from analysis.tables.text_table import TextTable, to_csv, to_markdown
from conspo_study.files import write_atomic


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
            ".tex": tabular(table, caption, stem.name),
        },
    )


def write_files(stem: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write texts by ending, each file whole or not at all; returns the paths."""
    # Not with_suffix: a name such as `table.1` would lose its ending.
    paths = {stem.with_name(stem.name + ending): text for ending, text in texts.items()}
    for path, text in paths.items():
        write_atomic(path, text.encode())
    return list(paths)
