import time

import pytest

from conspo_study.records import Verdict
from conspo_study.reward.screen import screened


@pytest.mark.parametrize(
    "answer",
    [
        "9^{9^{9^{9}}}",
        "x^{9^{9^{9}}}",
        "2 ^ {10000000}",
        "2^{" + "9" * 400 + "}",
        "99999999!",
        "(99999999)!",
        "\\binom{10000000}{5000000}",
        "1+\\dbinom {10000000} {2}",
    ],
)
def test_numbers_too_large_to_compute_are_not_checked(answer):
    assert screened(answer) is Verdict.UNEVALUATED


@pytest.mark.parametrize(
    "answer",
    [
        "\\frac{1}{" * 300 + "2" + "}" * 300,
        "\\sqrt{" * 100 + "2" + "}" * 100,
        "\\{" + ",".join(map(str, range(700))) + "\\}",
    ],
)
def test_what_no_answer_looks_like_is_none(answer):
    assert screened(answer) is Verdict.UNPARSABLE


@pytest.mark.parametrize(
    "answer",
    [
        "2^{2^{3}}",
        "2^{2^{10}}",
        "2^{1000}",
        "10^{100}",
        "1^{9^{9}}",
        "9^{0^{9}}",
        "3^{3^{3^{3^{3}}}} \\bmod 1000",
        "100! / 99!",
        "\\binom{100}{50}",
        "x^{2}+y^{3}",
        "12345678901234567890",
        "\\frac{\\sqrt{2+\\sqrt{2+\\sqrt{2}}}}{2}",
        "(" + ",".join(map(str, range(50))) + ")",
        "10000000",
        "",
    ],
)
def test_answers_that_can_be_checked_are(answer):
    assert screened(answer) is None


def test_screening_is_linear_whatever_the_text():
    for text in ("9^" * 2000 + "9", "{" * 4096, "9" * 4096, "^{" * 2048, "!" * 4096, "9 " * 2048):
        start = time.process_time()
        screened(text)
        assert time.process_time() - start < 1.0
