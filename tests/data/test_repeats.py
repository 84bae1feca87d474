"""Repeated problems are found as the comparison with benchmarks finds them, and only faster."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from conspo_study.data.golds import meaning
from conspo_study.data.overlap import normalised
from conspo_study.data.repeats import _NO_LETTERS, _NO_SIGNS, letters, repeats, signs
from conspo_study.records import Problem

PIECES = [
    *"aA1.,; $\\{}*'+-=^_/<>|!\n\t“’ß²½ﬁſ设，　Σ\u2028K",
    *("\\left", "\\Left", "\\dfrac", "\\frac", "\\begin{array}", "\\end{a*}", "\\text", "\\ldots"),
    *("\\quad", "\\qquad", "\\leqslant", "x", "\\1", "\\\\1", "\\-"),
]


def problems(*rows):
    return [Problem(str(i), text, answer) for i, (text, answer) in enumerate(rows)]


def found(*rows):
    result = repeats(problems(*rows))
    return result.same, result.contradictory


def test_copies_that_differ_in_typesetting_are_one_problem():
    assert found(("What is $1+1$?", "2"), ("a", "1"), ("what is \\(1 + 1\\)", "2.0")) == (
        ((0, 2),),
        (),
    )


def test_copies_with_different_answers_contradict_each_other():
    assert found(("1+2?", "3"), ("b", "1"), ("1 + 2 ?", "8"), ("1+2 ?", "3")) == ((), ((0, 2, 3),))


def test_texts_that_only_the_warning_takes_for_one_contradict_nothing():
    assert found(("3*14=?", "42"), ("31*4=?", "124")) == ((), ())
    assert found(("$2^{3}4$", "32"), ("$2^{34}$", "1")) == ((), ())
    assert found(("Find $f'(1)$.", "1"), ("Find $f(1)$.", "2")) == ((), ())
    assert found(("Find $A$.", "1"), ("Find $a$.", "2")) == ((), ())


def test_a_problem_without_answer_or_without_text_contradicts_none():
    assert found(("q", ""), ("q", "2")) == (((0, 1),), ())
    assert found(("?", "1"), ("!?".strip("!"), "2"), ("$$", "3")) == ((), ())
    assert found() == ((), ())


def test_answers_are_compared_by_meaning():
    alike = [
        ("0.5", ".50", "1/2", "$\\dfrac{1}{2}$", "\\boxed{0.5}", "+0.5", "5e-1", "x=0.5"),
        ("1,000", "1000", "1{,}000", "1000.", "1e3", "1000.00"),
        ("0", "-0", "0.0", "0e5"),
        ("7-2\\pi", "7 - 2 \\pi", "7-2\\,\\pi"),
        ("(B)", "B", "\\text{(B)}", "\\textbf{B}"),
        ("4.5e33", "4.50e33", "45e32"),
        ("30^\\circ", "30", "30^{\\circ}", "30\\%"),
    ]
    keys = [{meaning(answer) for answer in answers} for answers in alike]
    assert all(len(key) == 1 for key in keys)
    assert len(set.union(*keys)) == len(alike)
    for a, b in (
        ("1,2", "12"),
        ("\\frac{1}{23}", "\\frac{12}{3}"),
        ("1e99999999", "1"),
        ("1/0", "0"),
    ):
        assert meaning(a) != meaning(b)


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=12))
@settings(max_examples=400)
def test_the_fast_comparison_finds_what_normalising_all_texts_does(texts):
    by_text = {}
    for position, text in enumerate(texts):
        by_text.setdefault(normalised(text), []).append(position)
    expected = sorted(tuple(g) for text, g in by_text.items() if text and len(g) > 1)
    assert repeats(problems(*((text, "1") for text in texts))).same == tuple(expected)


def test_signs_and_letters_are_those_of_the_normalised_text():
    rng = random.Random(0)
    texts = ["".join(rng.choices(PIECES, k=rng.randint(0, 9))) for _ in range(3000)]
    for text, found in zip(texts, signs(texts), strict=True):
        bare = normalised(text).encode()
        assert found == bare.translate(None, _NO_SIGNS), text
        assert letters(text) == bare.lower().translate(None, _NO_LETTERS), text


def test_long_answers_and_texts_take_linear_time():
    for piece in ("1", "\\text{", "\\boxed{", "{", ",000", "$", "\\frac{1}{", "e5", "x="):
        meaning(piece * 20_000)
    assert repeats(problems((" " * 100_000, "1"), ("\\" * 100_000, "1"))).same == ()
