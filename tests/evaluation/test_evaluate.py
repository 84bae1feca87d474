"""Evaluation rows tell which answers of a problem are equal, where their texts do not."""

from collections.abc import Mapping, Sequence

import pytest

from conspo_study.evaluation.evaluate import evaluate
from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import (
    Answered,
    EvalRow,
    FinishStatus,
    Judgement,
    Problem,
    Rollout,
    Verdict,
)


def rows_of(responses: Mapping[str, str], keys: Mapping[str, str]) -> list[EvalRow]:
    """responses: by problem, a letter each; `a` and `A` are right. keys: of some of the letters."""
    problems = [Problem(name, "?", "a") for name in responses]

    def sample(problems: Sequence[Problem]) -> list[list[Rollout]]:
        return [
            [Rollout((1,), (0.0,), FinishStatus.STOPPED, text) for text in responses[problem.id]]
            for problem in problems
        ]

    def judge(answered: Sequence[Answered]) -> list[Judgement]:
        return [
            Judgement(
                Verdict.CORRECT if item.response in "aA" else Verdict.WRONG,
                item.response.strip(),
                key=keys.get(item.response, ""),
            )
            for item in answered
        ]

    def greedy(problems: Sequence[Problem]) -> list[list[Rollout]]:
        return [responses[:1] for responses in sample(problems)]

    return evaluate("s", problems, sample, greedy, judge, lambda problem: "?", seed=0, step=0)


def votes(rows: Sequence[EvalRow], problem: str) -> list[int | None]:
    return [row.vote for row in rows if row.problem_id == problem and row.sample >= 0]


@pytest.mark.parametrize("keys", [{}, {"a": "1", "A": "1", "b": "2", "c": "3"}])
def test_no_vote_is_stored_where_the_texts_tell_as_much(keys: dict[str, str]) -> None:
    rows = rows_of({"p": "aAbbc ", "q": "bc"}, keys)
    assert {row.vote for row in rows} == {None}
    assert evaluation_metrics(rows, 5)["eval/s/maj@5"] == 0.5  # a and A against two b


def test_votes_follow_the_keys_of_the_problems_where_they_tell_more() -> None:
    rows = rows_of({"p": "bBaA C", "q": "abc"}, {"b": "2", "B": "2", "a": "1", "A": "1"})
    assert votes(rows, "p") == [0, 0, 1, 1, None, 2]
    assert votes(rows, "q") == [None, None, None]
    assert [row.vote for row in rows if row.sample < 0] == [None, None]
    assert evaluation_metrics(rows, 3)["eval/s/maj@3"] == pytest.approx((0 + 1 / 3) / 2)
