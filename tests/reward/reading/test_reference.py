"""The table of rules at the end of docs/verifier.md."""

import re
from pathlib import Path

import pytest

from conspo_study.reward.reading import RULES, Rule
from conspo_study.reward.reading.reference import MARK, code, renewed, table

PAGE = Path(__file__).resolve().parents[3] / "docs/verifier.md"


def test_the_table_of_the_page_is_fresh():
    page = PAGE.read_text("utf-8")
    assert page == renewed(page), (
        "a rule has changed: run `python -m conspo_study.reward.reading.reference docs/verifier.md`"
    )
    assert "python -m conspo_study.reward.reading.reference docs/verifier.md" in page


def test_every_rule_is_a_row_of_three_cells():
    rows = table(RULES).splitlines()
    assert len(rows) == len(RULES) + 2
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)


def test_a_bar_in_a_rule_or_an_example_does_not_end_its_cell():
    row = table([Rule("", "a | b", (("|x|", r"\|v\|"),), ())]).splitlines()[2]
    assert row == r"| a \| b | `\|x\|` ← `\\|v\\|` |  |"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("x", "`x`"),
        ("a`b", "``a`b``"),
        ("`42`", "`` `42` ``"),
        ("``", "``` `` ```"),
        (" 42", "`  42 `"),
        ("4\u200b2", "`4[U+200B]2`"),
        ("\x1b[31m", "`[U+001B][31m`"),
        ("42\\", "`42\\`"),
    ],
)
def test_a_span_shows_its_text_and_ends_where_it_does(text, span):
    assert code(text) == span


def test_a_page_without_the_mark_is_refused():
    with pytest.raises(ValueError, match="no line"):
        renewed("# A page\n")


def test_what_stands_before_the_mark_is_kept():
    page = f"# A page\n\n{MARK}\n| an old table |\n"
    assert renewed(page).startswith(f"# A page\n\n{MARK}\n| rule |")
    assert "an old table" not in renewed(page)
