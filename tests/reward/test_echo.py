"""Answers that hand an expression of the question back."""

import pytest

from conspo_study.config import RewardConfig
from conspo_study.records import Answered, Problem, Verdict
from conspo_study.reward import Verifier

FACTOR = r"Factor $x^2-1$ completely."
POWER = r"The number $\omega$ satisfies $\omega^5 = 1$ and $x+y=7$; compute $x + y$ when $a = 3$."
FRACTION = r"Write $\frac{3}{20}$ as a decimal, $0.15$ as a fraction. Reduce $\frac{84}{144}$."


@pytest.fixture(scope="module")
def verifier():
    with Verifier(RewardConfig(deadline_s=60)) as verifier:
        yield verifier


@pytest.mark.parametrize(
    ("problem", "gold", "answer", "verdict"),
    [
        (FACTOR, "(x-1)(x+1)", "x^2-1", Verdict.UNEVALUATED),
        (FACTOR, "(x-1)(x+1)", r"\left(x^{2}-1\right)", Verdict.UNEVALUATED),
        (FACTOR, "(x-1)(x+1)", "(x+1)(x-1)", Verdict.CORRECT),
        (FACTOR, "x^2-1", "x^2 - 1", Verdict.CORRECT),
        (POWER, "7", "x+y=7", Verdict.UNEVALUATED),
        (POWER, "7", "7", Verdict.CORRECT),
        (POWER, "3", "a=3", Verdict.UNEVALUATED),
        (POWER, "3", "3", Verdict.CORRECT),
        (FRACTION, "0.15", r"\frac{3}{20}", Verdict.UNEVALUATED),
        (FRACTION, "0.15", r"0.15", Verdict.CORRECT),
        (FRACTION, r"\frac{3}{20}", r"0.15", Verdict.UNEVALUATED),
        (FRACTION, r"\frac{7}{12}", r"\frac{84}{144}", Verdict.UNEVALUATED),
        (FRACTION, r"\frac{7}{12}", r"\frac{14}{24}", Verdict.CORRECT),
    ],
)
def test_an_expression_of_the_question_pays_only_as_the_gold_answer_is_written(
    verifier, problem, gold, answer, verdict
):
    answered = Answered(Problem("p", problem, gold), problem, rf"so \boxed{{{answer}}}")
    (judgement,) = verifier.judge([answered])
    assert judgement.verdict is verdict


@pytest.mark.parametrize(
    ("response", "in_thought", "verdict"),
    [
        (r"<think>\boxed{42}</think> It is 41.", False, Verdict.NO_ANSWER),
        (r"<think>\boxed{41}</think> It is \boxed{42}.", False, Verdict.CORRECT),
        (r"perhaps \boxed{41}</think>\boxed{42}", True, Verdict.CORRECT),
        (r"perhaps \boxed{42}", True, Verdict.NO_ANSWER),
        (r"perhaps \boxed{42}", False, Verdict.CORRECT),
        (r"\boxed{42}<think>no", False, Verdict.NO_ANSWER),
    ],
)
def test_only_what_follows_the_thoughts_is_an_answer(verifier, response, in_thought, verdict):
    answered = Answered(Problem("p", "?", "42"), "?", response, in_thought)
    assert verifier.judge([answered])[0].verdict is verdict


def test_the_mark_of_thoughts_is_a_setting():
    response = Answered(Problem("p", "?", "42"), "?", r"<r>\boxed{42}</r> It is 41.")
    for after, verdict in (("</r>", Verdict.NO_ANSWER), ("", Verdict.CORRECT)):
        with Verifier(RewardConfig(after=after)) as verifier:
            assert verifier.judge([response])[0].verdict is verdict
