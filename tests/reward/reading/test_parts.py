"""The parts of the reader: sums, brackets, layout, units."""

import re
from fractions import Fraction

import pytest

from conspo_study.reward.reading.arithmetic import computed
from conspo_study.reward.reading.brackets import is_balanced, split, unwrapped
from conspo_study.reward.reading.layout import Malformed, plain_layout
from conspo_study.reward.reading.units import read_unit


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("256+37", 293),
        ("2+3\\cdot 4", 14),
        ("(2+3)\\cdot 4", 20),
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("7-3-2", 2),
        ("24/4/2", 3),
        ("\\frac{1}{2}+\\frac{1}{3}", Fraction(5, 6)),
        ("2^{-1}", Fraction(1, 2)),
        ("1,000+1", 1001),
        ("50\\%", Fraction(1, 2)),
    ],
)
def test_sums_are_computed_exactly(text, value):
    assert computed(text) == value


@pytest.mark.parametrize(
    "text", ["", "x+1", "1/0", "2^{1000}", "(1+2", "1+2)", "9^{9^{9}}", "(" * 300, "1+" * 300 + "1"]
)
def test_what_is_no_small_sum_has_no_value(text):
    assert computed(text) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1,2", ["1", "2"]),
        ("(1,2),3", ["(1,2)", "3"]),
        ("[1,2),(3,4]", ["[1,2)", "(3,4]"]),
        ("\\{1,2\\},3", ["\\{1,2\\}", "3"]),
        ("f(1,2)", ["f(1,2)"]),
        ("1,", ["1", ""]),
        (")1,2", [")1", "2"]),
    ],
)
def test_only_outermost_commas_separate(text, parts):
    assert split(text, re.compile(","))[0] == parts


@pytest.mark.parametrize(
    ("text", "inside"), [("(1)", "1"), ("(1)(2)", None), ("(", None), ("()", ""), ("((1)", None)]
)
def test_only_one_pair_around_everything_is_taken_off(text, inside):
    assert unwrapped(text, "(", ")") == inside


@pytest.mark.parametrize(
    ("text", "balanced"), [("[1,2)", True), ("(1", False), (")(", False), ("\\{1\\}", True)]
)
def test_each_bracket_has_another(text, balanced):
    assert is_balanced(text) is balanced


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\\dfrac12", "\\frac{1}{2}"),
        ("\\frac 3{4}", "\\frac{3}{4}"),
        ("\\sqrt2", "\\sqrt{2}"),
        ("\\left(1\\right)", "(1)"),
        ("$5$", "5"),
        ("\\phantom{4}2", "2"),
        ("x\\leq 1", "x\\le 1"),
        ("\\mathrm{cm}", "\\text{cm}"),
    ],
)
def test_one_layout_of_many(text, plain):
    assert plain_layout(text) == plain


@pytest.mark.parametrize("text", ["{", "}", "\\frac{1}", "\\sqrt[3", "{" * 50 + "}" * 50])
def test_an_open_argument_is_malformed(text):
    with pytest.raises(Malformed):
        plain_layout(text)


@pytest.mark.parametrize(
    ("one", "other"), [("cm", "centimeters"), ("m/s", "meters per second"), ("cm^2", "sq cm")]
)
def test_spellings_of_one_unit(one, other):
    assert read_unit(one, spaced=True) == read_unit(other, spaced=True)


def test_other_units_scales_and_hedges_are_none_of_it():
    assert read_unit("cm", spaced=True) != read_unit("cm^2", spaced=True)
    assert read_unit("m/s", spaced=True) != read_unit("m s", spaced=True)
    assert read_unit("million", spaced=True).scale == 10**6
    assert read_unit("x", spaced=False) is None
    assert read_unit("apples or 7 pears", spaced=True) is None
    assert read_unit("apples, maybe", spaced=True) is None
