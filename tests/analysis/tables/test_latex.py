"""Text as LaTeX can run no command, whatever it holds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.tables.latex import latex_head, latex_seeds, latex_text

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


def test_only_the_programs_own_titles_become_symbols() -> None:
    assert latex_head("M/tau", {"M/tau"}) == r"$M/\tau$"
    assert latex_head("p (Holm)", {"p (Holm)"}) == "$p$ (Holm)"
    assert latex_head("tau", {"M/tau"}) == "tau"
    assert latex_seeds("n = 3") == "$n = 3$" and latex_seeds("n = $3$") == r"n = \$3\$"
    assert latex_seeds("n = 2–3") == r"$n = 2$\textendash{}3"
