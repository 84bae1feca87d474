"""Texts that nobody writes have a verdict, whatever they are compared with."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conspo_study.records import Verdict
from conspo_study.reward.reading import judge, key_of, read

FRAGMENTS = (
    *"0123456789+-*/^_=<>!|(){}[].,;:%$&'~ xyeiABCZ",
    *(
        "\\frac",
        "\\sqrt",
        "\\text{",
        "\\pm",
        "\\%",
        "^\\circ",
        "\\cup",
        "\\infty",
        "\\le ",
        "\\in ",
    ),
    *(
        "\\{",
        "\\}",
        "\\overline{3}",
        "\\times 10^{",
        "e9",
        " and ",
        " or ",
        " million",
        " cm",
        "_{8}",
    ),
    *(
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "\\\\",
        "a.m.",
        "\\approx",
        "\\mathbb{R}",
        "√",
        "²",
        "½",
    ),
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)
HUGE = (
    "1e5000",
    "9" * 4096,
    "1" * 2000 + "e4000",
    "Z" * 4000 + "_{36}",
    "\\frac{" + "1" * 2000 + "}{" + "3" * 2000 + "}",
    "1e4999=1e4999",
    "5" + "\\text{" + " million" * 12 + "}",
)
GOLDS = (
    "5",
    "\\frac{0}{3}",
    "3:2",
    "x+1",
    "4:30 \\text{ pm}",
    "(0,1)",
    "x=1,y=2",
    "37_8",
    "45^\\circ",
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(TEXTS, st.sampled_from(GOLDS)), TEXTS)
def test_no_pair_raises(gold, answer):
    verdict = judge(read(gold), read(answer), lambda one, other: one == other)
    assert isinstance(verdict, Verdict)
    assert isinstance(key_of(read(answer)), str)


@pytest.mark.parametrize("answer", HUGE, ids=range(len(HUGE)))
def test_numbers_too_long_to_write_are_decided(answer):
    for gold in (*GOLDS, *HUGE):
        verdict = judge(read(gold), read(answer), lambda one, other: one == other)
        assert verdict.decided or gold in HUGE
        assert verdict is not Verdict.CORRECT or gold == answer
    key_of(read(answer))
