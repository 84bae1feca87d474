"""LaTeX tables are well formed, whatever the names in them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.findings.paper_tables import TABLES, published_table
from analysis.tables.latex import latex_text, to_latex
from analysis.tables.paper_layout import Cell, Column, PaperTable, Row, Source, laid_out

ATTACKS = [
    r"\input{/etc/passwd}",
    r"\write18{rm -rf /}",
    r"50% of $x$ & y_1^2 # ~ {a} | <b> \\ [2cm]",
    "line\nbreak\x1b[31m\x00\u202e",
    "% a comment",
    "^^5cinput{x}",
]

COMMAND = re.compile(
    r"\\(?:[{}$&#%_]|(?:text(?:backslash|asciicircum|asciitilde|less|greater|bar|quotedbl"
    r"|asciigrave|endash|emdash)|ldots|dag)\{\})"
)
MATH = re.compile(r"\$(?:-|\+|\\pm|\\times|\\alpha|\\tau)\$")


def assert_only_text(latex: str) -> None:
    """Nothing is left that LaTeX would act on, but the commands of the escapes themselves."""
    rest = MATH.sub("", COMMAND.sub("", latex))
    rest = re.sub(r"\{[\[\]*]?\}", "", rest)
    assert not set(rest) & set("\\{}$&#%_^~"), rest
    assert rest.isprintable()


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_cannot_run_commands(attack: str) -> None:
    assert_only_text(latex_text(attack))


@given(st.text())
def test_any_text_is_only_text(text: str) -> None:
    escaped = latex_text(text)
    assert_only_text(escaped)
    assert all(ord(character) < 0x180 for character in escaped)


def test_text_stays_readable() -> None:
    assert latex_text("ConSPO (no margin), M/tau 0.5") == "ConSPO (no margin), M/tau 0.5"
    assert latex_text("a_b & 5 %") == r"a\_b \& 5 \%"
    assert latex_text("--set x='' ``") == r"-{}-set x='{}' \textasciigrave{}\textasciigrave{}"
    assert latex_text("τ ± é 中") == r"$\tau$ $\pm$ é U+4E2D"
    assert latex_text("n = 2–3") == r"n = 2\textendash{}3"
    assert latex_text("x" * 500).endswith(r"x\ldots{}")


def body(latex: str) -> list[str]:
    inside = latex.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    return [line for line in inside.splitlines() if line.endswith(r"\\")]


def columns_of(line: str) -> int:
    spans = [int(width) for width in re.findall(r"\\multicolumn\{(\d+)\}", line)]
    return len(re.findall(r"(?<!\\)&", line)) + 1 + sum(width - 1 for width in spans)


@pytest.mark.parametrize("number", TABLES)
def test_every_row_has_as_many_cells_as_the_table_columns(number: int) -> None:
    table = published_table(number)
    latex = to_latex(table, "t")
    assert {columns_of(line) for line in body(latex)} == {len(table.columns) + 1}
    assert latex.count("{") == latex.count("}")
    assert r"\label{tab:t}" in latex[latex.index(r"\caption") :]
    assert r"\begin{tabular}{l" + "r" * len(table.columns) + "}" in latex
    assert [latex.count(rule) for rule in (r"\toprule", r"\bottomrule")] == [1, 1]
    assert "nan" not in latex and "None" not in latex


def test_cells_show_rank_gaps_intervals_and_signs() -> None:
    columns = [
        Column("A_1", Source.PAPER, "avg@32"),
        Column("A_1", Source.OURS, "avg@8, n = 3", 3),
        Column("A_1", Source.DIFFERENCE, ""),
        Column("B", Source.OURS, "avg@8, n = 3", 3),
    ]
    rows = [
        Row("", "one", (Cell(70.0), Cell(68.4, 60.0, 75.5, seeds=3), Cell(-1.6), Cell())),
        Row(
            "",
            "[two]",
            (Cell(60.0, stated=True), Cell(60.0, seeds=2), Cell(0.5), Cell(5.0, seeds=3)),
        ),
    ]
    latex = to_latex(laid_out("t", columns, rows, ("a note with 5 %",)), "t")
    lines = body(latex)
    assert lines[0] == r" & \multicolumn{3}{c}{A\_1} & B \\"
    assert r"\cmidrule(lr){2-4}" in latex
    assert lines[1] == (
        r"Method & paper, avg@32 & ours, avg@8, n = 3 & difference & ours, avg@8, n = 3 \\"
    )
    assert lines[2] == (
        r"one & \textbf{70.0} & \textbf{68.4} {[}60.0, 75.5{]} & $-$1.6 & \textendash{} \\"
    )
    assert lines[3] == (
        r"{[}two{]} & \underline{60.0}\dag{} & \underline{60.0} (n = 2) & $+$0.5 & 5.0 \\"
    )
    assert r"\par a note with 5 \%" in latex


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_names_break_no_table(attack: str) -> None:
    columns = (Column(attack, Source.OURS, attack),)
    latex = to_latex(
        PaperTable(attack, columns, (Row(attack, attack, (Cell(1.0),)),), (attack,)), "t"
    )
    assert [columns_of(line) for line in body(latex)] == [2, 2, 2, 2]
    unescaped = re.sub(r"\\[{}]", "", latex)
    assert unescaped.count("{") == unescaped.count("}")
    for word in ("input", "write18"):
        assert rf"\{word}" not in latex
