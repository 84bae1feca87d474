"""Metrics equal their definitions, counted out, and never guess an undecided verdict."""

import itertools
from dataclasses import replace
from fractions import Fraction

import pytest

from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import EvalRow, Verdict
from conspo_study.statistics.accuracy import majority_correct, pass_at_k


def rows(verdicts: str, problem: str = "p", answers: str | None = None) -> list[EvalRow]:
    """One sampled row per letter: c correct, w wrong, n no answer, t timeout, k killed."""
    names = {"c": "correct", "w": "wrong", "n": "no_answer", "t": "timeout", "k": "killed"}
    return [
        EvalRow(0, 0, "s", problem, sample, names[letter], answer.strip(), 5, "stopped")
        for sample, (letter, answer) in enumerate(zip(verdicts, answers or verdicts, strict=True))
    ]


def greedy(verdict: str, problem: str = "p") -> EvalRow:
    return EvalRow(0, 0, "s", problem, -1, verdict, "", 5, "stopped")


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_response(n: int) -> None:
    for c in range(n + 1):
        responses = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            draws = list(itertools.combinations(responses, k))
            assert pass_at_k(n, c, k) == float(Fraction(sum(map(any, draws)), len(draws)))


def test_pass_at_k_is_exact_for_many_samples() -> None:
    assert pass_at_k(10_000, 1, 100) == 0.01
    assert pass_at_k(100_000, 99_999, 2) == 1.0


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0), (0, 0, 0)])
def test_pass_at_k_refuses_the_impossible(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


def test_majority_matches_counting_out_all_votes() -> None:
    for votes in itertools.product("abc ", repeat=4):
        answers = [vote.strip() for vote in votes]
        correct = [vote == "a" for vote in votes]
        cast = [answer for answer in answers if answer]
        most = max((cast.count(answer) for answer in cast), default=0)
        tied = {answer for answer in cast if cast.count(answer) == most}
        expected = ("a" in tied) / len(tied) if tied else 0.0
        assert majority_correct(answers, correct) == pytest.approx(expected)


def test_majority_does_not_depend_on_order() -> None:
    results = {
        majority_correct([answer for answer, _ in order], [right for _, right in order])
        for order in itertools.permutations([("1", True), ("1", True), ("2", False), ("3", False)])
    }
    assert results == {1.0}


def test_all_metrics_of_a_set() -> None:
    data = [*rows("ccww", "p", "1123"), *rows("wwnn", "q", "55  ")]
    data += [greedy("correct", "p"), greedy("no_answer", "q")]
    assert evaluation_metrics(data, 4) == {
        "eval/s/avg@4": 0.25,
        "eval/s/pass@4": 0.5,
        "eval/s/maj@4": 0.5,
        "eval/s/greedy": 0.5,
        "eval/s/undecided": 0.0,
    }


def test_undecided_rows_are_left_out_and_counted() -> None:
    data = [*rows("cwtk", "p"), *rows("cccc", "q"), greedy("timeout", "p"), greedy("wrong", "q")]
    metrics = evaluation_metrics(data, 4)
    assert metrics["eval/s/undecided"] == 3
    assert metrics["eval/s/avg@4"] == (0.5 + 1.0) / 2
    assert metrics["eval/s/pass@4"] == metrics["eval/s/maj@4"] == 1.0
    assert metrics["eval/s/greedy"] == 0.0


def test_a_metric_without_any_support_is_absent() -> None:
    assert evaluation_metrics(rows("tttt"), 4) == {"eval/s/undecided": 4.0}
    assert evaluation_metrics([], 4) == {}
    assert set(evaluation_metrics(rows("cw"), 4)) == {"eval/s/avg@4", "eval/s/undecided"}


def test_every_verdict_is_either_counted_or_judged() -> None:
    for verdict in Verdict:
        metrics = evaluation_metrics([greedy(verdict.value)], 1)
        assert (metrics["eval/s/undecided"] == 1) == (not verdict.decided)
        assert metrics.get("eval/s/greedy") == {
            Verdict.CORRECT: 1.0,
            Verdict.TIMEOUT: None,
            Verdict.KILLED: None,
            Verdict.GOLD_BAD: None,
            Verdict.UNDECIDED: None,
            Verdict.ERROR: None,
        }.get(verdict, 0.0)


def test_sets_are_kept_apart() -> None:
    other = EvalRow(0, 0, "chain/ood", "p", 0, "wrong", "1", 5, "stopped")
    metrics = evaluation_metrics([*rows("c"), other], 1)
    assert (metrics["eval/s/avg@1"], metrics["eval/chain/ood/avg@1"]) == (1.0, 0.0)


def test_repeated_and_mixed_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="sample 0 of problem 'p' appears twice"):
        evaluation_metrics([*rows("c"), *rows("c")], 1)
    later = EvalRow(0, 20, "s", "q", 0, "wrong", "1", 5, "stopped")
    with pytest.raises(ValueError, match="mixed"):
        evaluation_metrics([*rows("c"), later], 1)


def test_every_set_may_have_its_own_k() -> None:
    other = [replace(row, problem_set="t") for row in (*rows("c"), *rows("w", "q"))]
    metrics = evaluation_metrics([*rows("ccww"), *other], {"s": 4, "t": 1}.__getitem__)
    assert metrics["eval/s/avg@4"] == metrics["eval/t/avg@1"] == 0.5
    assert {name for name in metrics if "/t/" in name} == {
        f"eval/t/{kind}" for kind in ("avg@1", "pass@1", "maj@1", "undecided")
    }


def test_the_mean_reward_of_sampled_responses_is_over_problems_and_absent_without_one() -> None:
    rows = [
        EvalRow(0, 0, "s", problem, sample, "correct", "", 5, "stopped", reward)
        for problem, sample, reward in [("a", 0, 1.0), ("a", 1, 0.5), ("b", 0, 0.0), ("b", -1, 9.0)]
    ]
    assert evaluation_metrics(rows, 2)["eval/s/reward@2"] == pytest.approx((0.75 + 0.0) / 2)
    plain = [EvalRow(0, 0, "s", "a", 0, "correct", "", 5, "stopped")]
    assert "eval/s/reward@2" not in evaluation_metrics(plain, 2)
