"""LaTeX tables: aligned numbers, intervals, widths, and that TeX sets every one that is shipped."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latex_structure import assert_sound, columns, rows

from analysis.findings.confirmation import confirmation_of
from analysis.findings.measured import labelled
from analysis.findings.paper_tables import TABLES
from analysis.load.study import load_study
from analysis.report.paper import write_published_tables
from analysis.report.tables import confirmation_report, method_reports, trials_report
from analysis.tables.latex_tables import paper_tabular, tabular
from analysis.tables.latex_widths import SIZES, TEXT_WIDTH_PT, text_ems
from analysis.tables.numbers import ABSENT
from analysis.tables.paper_layout import Cell, Column, PaperTable, Row, Source, laid_out
from analysis.tables.text_table import TextTable

PDFLATEX, TECTONIC = shutil.which("pdflatex"), shutil.which("tectonic")
TITLES = ("setting", "tau", "score", "difference", "95 % CI", "p (Holm)", "rate", "seeds")
MEASURED = TextTable(
    TITLES,
    (
        ("a", "0.1", "0.742 ± 0.012", "+0.031", "[-0.021, +0.031]", "< 0.001", "1e-05", "3"),
        ("b", "10", "0.7 ± 0.1", "-12.5", ABSENT, "0.04", "0.00025", "2 of 3"),
        ("c", ABSENT, "0.742", ABSENT, "[1e-05, 2.5]", ABSENT, "3e-04", ABSENT),
    ),
    frozenset({"tau", "p (Holm)"}),
)
HOSTILE = [
    r"\input{x}",
    "50% of $x$ & y_1^2 # ~ {a} \\\\ [2cm]",
    "line\nbreak\x1b[31m",
    "% a comment",
]


def five_metrics() -> PaperTable:
    """Five benchmarks and their average, with intervals, as a paper would print them."""
    names = ("AIME 2024", "AIME 2025", "HMMT 2025", "MATH-500", "OlympiadBench", "Average")
    found = tuple(Column(name, Source.OURS, "avg@32, n = 3", 3) for name in names)
    methods = ("base", "GRPO", "DAPO", "ConSPO (no margin)", "ConSPO (margin, cosine schedule)")
    rows = [
        Row(
            "",
            method,
            tuple(Cell(9.5 + 15 * i + j, 8 + 15 * i, 12 + 15 * i, seeds=3) for j in range(6)),
        )
        for i, method in enumerate(methods)
    ]
    return laid_out("Five benchmarks", found, rows, ("[low, high]: 95 % CI.",))


def width_pt(latex: str) -> float:
    """What the table's comment says of its width; what fits has no such comment."""
    stated = re.search("% About ([0-9]+) pt wide", latex)
    return float(stated[1]) if stated else 0.0


def test_numbers_are_aligned_at_the_decimal_marker() -> None:
    latex = tabular(MEASURED, "c", "t")
    assert_sound(latex)
    assert columns(latex) == [
        "l",
        "S[table-format=2.1]",
        "S[table-format=1.3(3),separate-uncertainty,table-align-uncertainty=false]",
        "S[table-format=+2.3,retain-explicit-plus]",
        "r",
        "S[table-format=<1.3]",
        "S[table-format=1.5e-1,group-minimum-digits=13,table-align-exponent=false]",
        "S[table-format=1.0]",
    ]
    first, second, third = rows(latex)[-3:]
    assert first[1:4] == ["0.1", "0.742 +- 0.012", "+0.031"]
    assert first[4:] == ["$[-0.021, +0.031]$", "< 0.001", "1e-5", "3"]
    assert second[4:] == [r"\textendash{}", "0.04", "0.00025", "{2 of 3}"]
    assert third[1] == r"{\textendash{}}" and third[4] == r"$[1 \times 10^{-5}, 2.5]$"


def test_heads_of_the_programs_own_settings_are_typeset_and_users_are_text() -> None:
    assert rows(tabular(MEASURED, "c", "t"))[0][:2] == ["setting", r"{$\tau$}"]
    assert r"{$p$ (Holm)}" in rows(tabular(MEASURED, "c", "t"))[0]
    users = TextTable(("tau", "M/tau", "$x$"), (("1", "2", "3"),), frozenset({"M/tau"}))
    assert rows(tabular(users, "c", "t"))[0] == ["{tau}", r"{$M/\tau$}", r"{\$x\$}"]


def test_intervals_and_counts_of_seeds_stand_below_the_numbers() -> None:
    names = [
        Column("A_1", Source.PAPER, "avg@32"),
        Column("A_1", Source.OURS, "avg@8, n = 2–3"),
        Column("A_1", Source.DIFFERENCE, ""),
        Column("B", Source.OURS, "avg@8, n = 3", 3),
    ]
    table = [
        Row("", "one", (Cell(70.0), Cell(68.4, 60.0, 75.5, seeds=3), Cell(-1.6), Cell())),
        Row(
            "", "[two]", (Cell(9.0, stated=True), Cell(5.0, seeds=2), Cell(0.5), Cell(5.0, seeds=3))
        ),
    ]
    latex = paper_tabular(laid_out("t", names, table, ("a note with 5 %",)), "t")
    assert_sound(latex)
    found = rows(latex)
    assert found[0] == ["", r"\multicolumn{3}{c}{A\_1}", None, None, "{B}"]
    assert r"\cmidrule(lr){2-4}" in latex
    assert found[1] == ["", "{paper}", "{ours}", "{difference}", "{ours}"]
    assert found[2] == ["", "{avg@32}", "{avg@8}", "{}", "{avg@8}"]
    assert found[3] == ["Method", "{}", r"{$n = 2$\textendash{}3}", "{}", "{$n = 3$}"]
    assert found[4] == ["one", r"{\textbf{70.0}}", r"{\textbf{68.4}}", "-1.6", r"{\textendash{}}"]
    assert found[5] == ["", "", r"{\scriptsize $[60.0, 75.5]$}", "", ""]
    assert found[6] == ["", "", r"{\scriptsize $n = 3$}", "", ""]
    second = [
        r"{\phantom{0}\underline{9.0}\rlap{\dag}}",
        r"{\phantom{0}\underline{5.0}}",
        "+0.5",
        "5.0",
    ]
    assert found[7] == [r"{[}two{]}", *second]
    assert found[8][2] == r"{\scriptsize $n = 2$}"
    assert r"\par a note with 5 \%" in latex


def test_what_all_heads_say_is_said_once() -> None:
    found = rows(paper_tabular(five_metrics(), "t"))
    assert found[0] == ["", r"\multicolumn{6}{c}{avg@32, $n = 3$}", *[None] * 5]
    assert found[1][:2] == ["Method", "{AIME 2024}"]


def test_five_metrics_with_intervals_fit_the_text_of_a_paper() -> None:
    latex = paper_tabular(five_metrics(), "t")
    assert_sound(latex)
    assert not width_pt(latex) and r"\scriptsize\setlength" not in latex
    assert [row[0] for row in rows(latex)[-4:]] == [
        "ConSPO (no",
        "margin)",
        "ConSPO (margin,",
        "cosine schedule)",
    ]


def test_a_table_that_is_too_wide_says_so_and_long_text_is_broken() -> None:
    wide = TextTable(tuple(f"column number {n}" for n in range(20)), (("a value", "1.5") * 10,))
    assert TEXT_WIDTH_PT < width_pt(tabular(wide, "c", "t")) < 2 * TEXT_WIDTH_PT
    long = TextTable(("trial", "evidence"), (("t0000", "truncated in every step " * 6),))
    latex = tabular(long, "c", "t")
    assert not width_pt(latex) and columns(latex)[1].startswith(r">{\raggedright")


def test_widths_are_those_of_computer_modern() -> None:
    """Against the font that matplotlib ships, up to the extra width of small sizes."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(get_data_path(), "fonts", "ttf", "cmr10.ttf")))
    font.set_size(10, 72)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[],.:;+-="
    for letter in letters:
        width = font.load_char(ord(letter)).linearHoriAdvance / 65536 / 10
        assert abs(text_ems(letter) - width) < 0.04, (letter, width)
    assert all(em > float(pt) for em, pt in zip(SIZES.values(), (9, 8, 7), strict=True))


@settings(deadline=None)
@given(st.lists(st.text(), min_size=4, max_size=4), st.booleans())
def test_any_text_makes_a_sound_table(texts: list[str], own: bool) -> None:
    table = TextTable((texts[0], "b"), ((texts[1], "1"), (texts[2], texts[3])))
    assert_sound(tabular(table, texts[0], "t"))
    columns = (Column(texts[0], Source.OURS, texts[1]), Column("b", Source.PAPER, texts[2]))
    cells = (Cell(1.0, 0.5, 1.5, seeds=2), Cell(2.0, stated=own))
    made = PaperTable(texts[0], columns, (Row(texts[2], texts[3], cells),), (texts[1],))
    assert_sound(paper_tabular(made, "t"))


@pytest.fixture
def shipped(make_study: Callable[..., Path], confirm: Any, trial: Any, tmp_path: Path) -> Path:
    """Every kind of table that a report has, as .tex files."""
    trials = [
        trial(1.0, 0.0, schedule="off", label="none"),
        trial(0.1, 5.0, label=HOSTILE[1]),
        trial(0.1, 20.0, label="large", collapses={1: 40}),
        *[trial(0.3, 1.0, end="waiting") for _ in range(40)],
    ]
    folder = make_study(trials, seeds=[0, 1, 2])
    for of in ("t0000", "t0001", "t0002"):
        confirm(folder, of, {10: 0.7, 11: 0.71, 12: 0.75})
    study, out = load_study(folder), tmp_path / "tables"
    out.mkdir()
    confirmation = confirmation_of(study)
    assert confirmation is not None
    trials_report(study, out, [], lambda study, trial: trial)
    confirmation_report(confirmation, out, lambda study, trial: trial)
    method_reports(labelled(study, None), out, "methods", "Methods", lambda study, trial: trial)
    write_published_tables(out)
    (out / "five.tex").write_text(paper_tabular(five_metrics(), "five"))
    (out / "measured.tex").write_text(tabular(MEASURED, "c", "measured"))
    hostile = TextTable(tuple(HOSTILE), (tuple(HOSTILE), tuple(HOSTILE)))
    (out / "hostile.tex").write_text(tabular(hostile, HOSTILE[1], "hostile"))
    return out


def test_every_table_of_a_report_is_sound(shipped: Path) -> None:
    texts = {path.name: path.read_text() for path in shipped.glob("*.tex")}
    assert {f"table_{n}.tex" for n in TABLES} | {"trials.tex", "methods-differences.tex"} <= set(
        texts
    )
    for name, text in texts.items():
        assert_sound(text)
        assert rf"\label{{tab:{name.removesuffix('.tex')}}}" in text
        assert "nan" not in text and "None" not in text
    assert r"\begin{longtable}" in texts["trials.tex"]


@pytest.mark.skipif(not (PDFLATEX or TECTONIC), reason="no TeX is installed")
def test_tex_sets_every_table_of_a_report_as_wide_as_it_says(shipped: Path) -> None:
    stems = sorted(path.stem for path in shipped.glob("*.tex"))
    inputs = [rf"\typeout{{NOW {stem}}}\input{{{stem}}}\clearpage" for stem in stems]
    lines = [
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{lmodern}",
        r"\usepackage{booktabs,siunitx,longtable}",
        rf"\setlength{{\textwidth}}{{{TEXT_WIDTH_PT}pt}}\begin{{document}}",
        *inputs,
        r"\end{document}",
    ]
    (shipped / "all.tex").write_text("\n".join(lines))
    options = (
        ["-interaction=nonstopmode", "-halt-on-error"] if PDFLATEX else ["--only-cached", "--print"]
    )
    command = [str(PDFLATEX or TECTONIC), *options, "all.tex"]
    done = subprocess.run(command, cwd=shipped, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    for stem, told in re.findall(r"NOW (\S+)(.*?)(?=NOW |\Z)", done.stdout, re.S):
        over = max(
            [float(pt) for pt in re.findall(r"Overfull \\hbox \(([\d.]+)pt", told)], default=0.0
        )
        stated = max(0.0, width_pt((shipped / f"{stem}.tex").read_text()) - TEXT_WIDTH_PT)
        assert over <= stated, f"{stem} is {over} pt too wide and says {stated}"
