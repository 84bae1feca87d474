r"""Tables as LaTeX with booktabs. All text is escaped, so that none can run a command.

The document needs `\usepackage{booktabs}` and, with pdfTeX, a T1 font encoding.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

from analysis.load.text import LIMIT, visible
from analysis.tables.paper_layout import Cell, Column, Mark, PaperTable, cell_text, column_title

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # Behind a line break these would be its arguments.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "`": r"\textasciigrave{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "†": r"\dag{}",
    "α": r"$\alpha$",
    "τ": r"$\tau$",
}
_MARKS = {Mark.BEST: r"\textbf{{{}}}", Mark.SECOND: r"\underline{{{}}}"}

# Two in a row would become a dash or a quotation mark.
_LIGATURE = re.compile(r"([-',])(?=\1)")


def latex_text(text: str, limit: int = LIMIT) -> str:
    """Escaped text; characters that LaTeX may not print are spelled out."""
    shown = visible(text, limit)
    escaped = "".join(_SPECIAL.get(character) or _plain(character) for character in shown)
    return _LIGATURE.sub(r"\1{}", escaped)


def to_latex(table: PaperTable, name: str) -> str:
    r"""A `table` environment: caption, tabular, notes. It is referred to by `\ref{tab:name}`."""
    groups = [(name, list(found)) for name, found in groupby(table.columns, lambda c: c.benchmark)]
    details = [column_title(column, table) for column in table.columns]
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\label{{tab:{name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        _line(["", *(_spanning(name, len(found)) for name, found in groups)]),
        *_rules([len(found) for _, found in groups]),
        _line(["Method", *map(latex_text, details)]),
    ]
    for block, rows in groupby(table.rows, lambda row: row.block):
        lines.append(r"\midrule")
        if block:
            lines.append(
                _line([rf"\multicolumn{{{len(details) + 1}}}{{l}}{{{latex_text(block)}}}"])
            )
        for row in rows:
            cells = map(_cell, row.cells, table.columns)
            lines.append(_line([latex_text(row.method), *cells]))
    notes = [rf"\par {latex_text(note, 1000)}" for note in table.notes]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _plain(character: str) -> str:
    """ASCII and accented Latin letters unchanged, anything else by its code point."""
    latin = ord(character) < 0x180 and unicodedata.category(character)[0] == "L"
    return character if character.isascii() or latin else f"U+{ord(character):04X}"


def _spanning(name: str, width: int) -> str:
    text = latex_text(name)
    return text if width == 1 else rf"\multicolumn{{{width}}}{{c}}{{{text}}}"


def _rules(widths: list[int]) -> list[str]:
    """Lines under the names that span several columns."""
    rules, column = [], 2
    for width in widths:
        if width > 1:
            rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    return rules


def _cell(cell: Cell, column: Column) -> str:
    def escape(text: str) -> str:
        return latex_text(text).replace("-", "$-$").replace("+", "$+$")

    return cell_text(cell, column, _MARKS, escape)


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
