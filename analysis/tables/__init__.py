"""Tables of unescaped text, and their renderers: terminal, Markdown, CSV, LaTeX and HTML.

A `TextTable` has plain cells, a `PaperTable` numbers with intervals and marks.
"""

from analysis.tables.paper_layout import PaperTable
from analysis.tables.text_table import TextTable, to_csv, to_markdown, to_rich

__all__ = ["PaperTable", "TextTable", "to_csv", "to_markdown", "to_rich"]
