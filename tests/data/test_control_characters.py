"""LaTeX that escape sequences broke is put together again, and what may be meant is left alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conspo_study.data.control_characters import _CONTROL, cleaned, is_clean

CERTAIN = (
    *(r"\frac{1}{2}", r"\forall x", r"\beta", r"\binom{n}{k}", r"\boxed{3}", r"\begin{array}"),
    *(
        r"\theta",
        r"\times 3",
        r"\text{ cm}",
        r"\triangle ABC",
        r"\textbf{(C)}",
        r"\rho",
        r"\right)",
    ),
    *(r"\nabla f", r"\notin A", r"\bar{x}", r"\tfrac12", r"\therefore"),
)
IN_MATHEMATICS = (r"\tan x", r"\tau", r"x \to 0", r"x \neq 4", r"3 \nmid n", r"\rangle", r"\neg p")


def read(latex):
    """What JSON makes of a single backslash."""
    return json.loads(f'"{latex}"', strict=False)


@pytest.mark.parametrize("latex", CERTAIN)
def test_a_command_that_nothing_else_could_be_is_repaired_anywhere(latex):
    for text in (f"Find {latex}.", f"${latex}$", latex):
        damaged = read(text)
        assert damaged != text and not is_clean(damaged)
        assert cleaned(damaged) == (text, True, False)


@pytest.mark.parametrize("latex", IN_MATHEMATICS)
@pytest.mark.parametrize("form", ["$a$ and ${}$", "$${}$$", "a \\\\( {} \\\\) b", "\\\\[{}\\\\]"])
def test_a_command_that_may_leave_a_word_is_repaired_in_mathematics(latex, form):
    text = form.replace("{}", latex)
    damaged = read(text)
    assert cleaned(damaged).text == text.replace("\\\\", "\\")
    answer = read(latex)
    assert cleaned(answer, mathematics=True) == (latex, True, False)


@pytest.mark.parametrize(
    "text",
    [
        "a\tan apple",
        "two\to three",
        "for (;;) {\n\treturn 1;\n\tdraw(a);}",
        "have\tequal\tperimeters",
        "if\not then",
        "i\nmid[i] = 3",
        "is $5$.\nneg. numbers",
        "one\r\night\r\nho",
        "such that\n$$\nu \\leq 1$$",  # a variable u
        "\n\ni. Either",
        "$$\ne^x$$",
        "π² ≤ 3\xa0cm\u2028b",
    ],
)
def test_tabs_and_line_ends_that_may_be_meant_stay(text):
    assert cleaned(text) == (text, False, False)


def test_other_control_characters_are_removed():
    assert cleaned("a di\x0bfference, the \x0cfirst\x00 \x1b[2J\x7f\x85") == (
        "a difference, the first [2J",
        False,
        True,
    )
    assert cleaned("$m=\x0c\\frac{1}{2}$, \x0crac{1}{3}") == (
        "$m=\\frac{1}{2}$, \\frac{1}{3}",
        True,
        True,
    )


def test_words_that_begin_like_the_rest_of_a_command_are_no_commands():
    for text in ("\x0cractions", "\x08etas", "\x0brexx"):
        assert cleaned(text) == (text[1:], False, True)


PIECES = [*"\a\b\t\n\v\f\r\0\x9f$\\()[] amx{", "rac", "heta", "eq", "an"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_control_character_stays_and_what_is_clean_is_not_changed(text):
    for mathematics in (False, True):
        assert not _CONTROL.search(cleaned(text, mathematics).text)
    if is_clean(text):
        assert cleaned(text) == (text, False, False)
