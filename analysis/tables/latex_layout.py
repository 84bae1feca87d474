r"""A LaTeX table around its columns: font size by width, caption, label, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from analysis.tables.latex import latex_text
from analysis.tables.latex_columns import LatexColumn
from analysis.tables.latex_widths import SIZES, TEXT_WIDTH_PT

MOST_ON_A_PAGE = 40
"""Rows of a table that still fits a page."""
_STEPS = ((r"\small", 6), (r"\small", 4), (r"\footnotesize", 4), (r"\scriptsize", 3))
"""Font sizes and spaces beside columns in pt: the first at which a table fits is used."""

_LONGEST_EMS = 18.0
"""Of text that is not broken into lines as long as the table fits."""


@dataclass(frozen=True, slots=True)
class LatexTable:
    """A table that is ready to be set. Its parts are LaTeX, but caption and notes are text."""

    caption: str
    name: str
    r"""It is referred to by `\ref{tab:name}`."""
    columns: tuple[LatexColumn, ...]
    head: tuple[str, ...]
    """Whole lines between the upper two rules."""
    body: tuple[str, ...]
    """Whole lines after them."""
    notes: tuple[str, ...] = ()
    long: bool = False
    """Whether it breaks over pages."""


def table_text(table: LatexTable) -> str:
    r"""A `table` environment, or a `longtable`, which takes no two-column text; comments before it
    name the packages that it needs, and its width where that is more than a page's.
    """
    size, space, width, argument = _fitted(table.columns)
    packages = "booktabs,siunitx" + (",longtable" if table.long else "")
    lines = [rf"% Needs \usepackage[T1]{{fontenc}} and \usepackage{{{packages}}}."]
    if width > TEXT_WIDTH_PT:
        lines += [
            f"% About {width:.0f} pt wide, and a text block has {TEXT_WIDTH_PT:.0f} pt: leave out "
            "columns, or turn it."
        ]
    font = rf"{size}\setlength{{\tabcolsep}}{{{space}pt}}"
    titled = rf"\caption{{{latex_text(table.caption, 400)}}}\label{{tab:{table.name}}}"
    top = [r"\toprule", *table.head, r"\midrule"]
    if table.long:
        lines += [rf"\begingroup{font}", rf"\begin{{longtable}}{{{argument}}}", titled + r"\\"]
        lines += [*top, r"\endhead", *table.body, r"\bottomrule", r"\end{longtable}", r"\endgroup"]
        return "\n".join([*lines, ""])
    lines += [r"\begin{table}", r"\centering", titled, font, rf"\begin{{tabular}}{{{argument}}}"]
    lines += [*top, *table.body, r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        notes = [rf"\par {latex_text(note, 1000)}" for note in table.notes]
        lines += [r"\begin{minipage}{\linewidth}\footnotesize", *notes, r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def width_pt(columns: Sequence[LatexColumn], size: str, space: float) -> float:
    """The width of columns at a font size, with so much space beside each but at the edges."""
    fine = SIZES[r"\scriptsize"]
    widths = (max(SIZES[size] * one.ems, fine * one.fine_ems) for one in columns)
    return sum(widths) + 2 * space * (len(columns) - 1)


def line(cells: Sequence[str], end: str = "") -> str:
    r"""A row of a tabular. end: what follows its `\\`, such as `[2pt]`."""
    return " & ".join(cells) + r" \\" + end


def _fitted(columns: Sequence[LatexColumn]) -> tuple[str, int, float, str]:
    """Font size, space beside columns, width, and the argument of the tabular: long text is broken
    into lines, and other text too where the table would not fit."""
    for longest, (size, space) in product((_LONGEST_EMS, 0.0), _STEPS):
        held = [
            replace(one, ems=one.least_ems) if one.least_ems < one.ems > longest else one
            for one in columns
        ]
        width = width_pt(held, size, space)
        if width <= TEXT_WIDTH_PT:
            break
    broken = [one is not before for one, before in zip(held, columns, strict=True)]
    extra = max(0.0, TEXT_WIDTH_PT - width) / max(1, sum(broken))
    specs = (
        rf">{{\raggedright\arraybackslash}}p{{{SIZES[size] * one.ems + extra:.1f}pt}}"
        if cut
        else one.spec
        for one, cut in zip(held, broken, strict=True)
    )
    width = max(width, TEXT_WIDTH_PT) if any(broken) else width
    return size, space, width, f"@{{}}{''.join(specs)}@{{}}"
