r"""Extraction of the last `\boxed{...}`."""

import time

import pytest

from conspo_study.reward.answers import MAX_ANSWER_CHARS, SHOWN_ANSWER_CHARS, final_answer, shorten


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("so \\boxed{17}", "17"),
        ("\\boxed{1} then \\boxed{2}.", "2"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\boxed{3}}", "3"),
        ("\\boxed{\\left\\{1,2\\right.}", "\\left\\{1,2\\right."),
        ("\\boxed{a \\\\}", "a \\\\"),
        ("\\boxed {7}", "7"),
        ("\\boxed{ 7\n}", "7"),
        ("put it in \\boxed, so \\boxed{7}; the \\boxed ends", "7"),
    ],
)
def test_the_last_complete_box_is_the_answer(response, answer):
    assert final_answer(response) == answer


@pytest.mark.parametrize(
    "response",
    [
        "",
        "17",
        "\\boxed",
        "\\boxed{}",
        "\\boxed{ \n}",
        "\\boxed{17",
        "\\boxed{\\frac{1}{2}",
        "\\boxed{17\\}",
        "\\boxed{\\",
        "\\boxed17",
        "#### 17",
    ],
)
def test_no_complete_nonempty_box_is_no_answer(response):
    assert final_answer(response) is None


def test_a_truncated_last_box_hides_an_earlier_one():
    assert final_answer("\\boxed{1}, therefore \\boxed{2") is None


def test_the_longest_answer_is_found_and_one_more_character_is_no_answer():
    longest = "1" * MAX_ANSWER_CHARS
    assert final_answer(f"\\boxed{{{longest}}}") == longest
    assert final_answer(f"\\boxed{{{longest}1}}") is None


@pytest.mark.parametrize("unit", ["\\boxed{", "{", "\\", "\\boxed", "\\boxed    ", "}", "a"])
def test_extraction_is_linear_on_megabyte_responses(unit):
    start = time.process_time()
    assert final_answer("\\boxed{" + unit * (2_000_000 // len(unit))) is None
    assert time.process_time() - start < 2


def test_recorded_answers_are_shortened_visibly():
    assert shorten("1" * SHOWN_ANSWER_CHARS) == "1" * SHOWN_ANSWER_CHARS
    assert len(shorten("1" * 4000)) == SHOWN_ANSWER_CHARS
    assert shorten("1" * 4000).endswith("…")


def test_thoughts_may_have_marks_of_any_kind():
    assert final_answer("[THINK]\\boxed{1}", "[/THINK]") is None
    assert final_answer("[THINK]\\boxed{1}[/THINK]\\boxed{2}", "[/THINK]") == "2"
    assert final_answer("\\boxed{1}", "[/THINK]", in_thought=True) is None
    assert final_answer("\\boxed{1}", "[/THINK]") == "1"
