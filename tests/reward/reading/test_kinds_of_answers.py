"""Pairs on which a reader that is a little too kind, or too strict, goes wrong."""

import pytest

from conspo_study.records import Verdict
from conspo_study.reward.reading import judge, read

EQUAL = [
    ("12345", "12,345"),
    ("\\frac{3}{4}", "-\\frac{3}{-4}"),
    ("2.75", "2 3/4"),
    ("5000", "5 000"),
    ("10^{5001}", "10^{5001}"),
    ("42", "\\mathbf{\\textit{42}}"),
    ("7", "\\text{7}"),
    ("ZZ_{36}", "zz_{36}"),
    ("(-\\infty, 3)", "x<3"),
    ("12,345", "12345"),
    ("0.5", ".5"),
    ("-5", "(-5)"),
]
DIFFERENT = [
    ("12345", "12, 345"),
    ("12, 345", "12345"),
    ("123", "1,2,3"),
    ("1,2,3", "123"),
    ("-\\frac{3}{4}", "-\\frac{3}{-4}"),
    ("2.75", "23/4"),
    ("23/4", "2 3/4"),
    ("10^{5000}", "10^{4999}"),
    ("10^{4000}", "10^{4001}"),
    ("5", "1e999999999"),
    ("0", "1e-999999999"),
    ("7", "\\text{70}"),
    ("5", "5\\text{ or }6"),
    ("293", "256+37=293=294"),
    ("5", "5=6=5"),
    ("[2, 3]", "(2, 3)"),
    ("1", "0/0"),
    ("5", "\\frac{5}{0}"),
    ("10_2", "2"),
    ("x = 5, y = 6", "x = 6, y = 5"),
]


def verdict(gold, answer):
    """The verdict where formulas are equal if they are written alike."""
    return judge(read(gold), read(answer), lambda first, second: first == second)


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_these_say_the_same(gold, answer):
    assert verdict(gold, answer) is Verdict.CORRECT


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_these_do_not(gold, answer):
    assert verdict(gold, answer).decided
    assert verdict(gold, answer) is not Verdict.CORRECT


def test_a_value_that_is_still_to_be_computed_is_told_from_a_wrong_one():
    assert verdict("42", "6 \\cdot 7") is Verdict.UNEVALUATED
    assert verdict("19", "\\frac{57}{3}") is Verdict.UNEVALUATED
    assert verdict("42", "41") is Verdict.WRONG
    assert verdict("42", "x") is Verdict.WRONG
