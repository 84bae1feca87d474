"""Metrics equal their definitions, counted out, and no undecided verdict raises one."""

import itertools
import random
from dataclasses import replace
from fractions import Fraction

import pytest

from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import EvalRow, Verdict
from conspo_study.statistics.accuracy import majority_correct, pass_at_k, vote_classes


def rows(verdicts: str, problem: str = "p", answers: str | None = None) -> list[EvalRow]:
    """One sampled row per letter: c correct, w wrong, n no answer, t timeout, k killed, b for a bad
    gold answer."""
    names = {"c": "correct", "w": "wrong", "n": "no_answer", "t": "timeout", "k": "killed"}
    names |= {"b": "gold_bad"}
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
        found = majority_correct(vote_classes(answers, correct), correct)
        assert found == pytest.approx(expected)


def test_majority_does_not_depend_on_order() -> None:
    results = set()
    for order in itertools.permutations([("1", True), ("1", True), ("2", False), ("3", False)]):
        answers, correct = zip(*order, strict=True)
        results.add(majority_correct(vote_classes(answers, correct), correct))
    assert results == {1.0}


@pytest.mark.parametrize(
    ("answers", "correct", "keys", "classes"),
    [
        # Right answers equal the gold answer, so they equal each other, however they are written.
        (("1/2", "0.5", "7"), (True, True, False), (), [0, 0, 1]),
        (("7", "7 ", " 7"), (False,) * 3, (), [0, 0, 0]),
        (("7", "", "  "), (False,) * 3, (), [0, None, None]),
        # Equal keys join; different keys part what the shortened texts would join.
        (("0.7", "7/10", "8"), (False,) * 3, ("7/10", "7/10", "8"), [0, 0, 1]),
        (("1...9", "1...9"), (False,) * 2, ("a", "b"), [0, 1]),
        # An answer whose key could not be found is that of the same text.
        (("0.7", "0.7", "7/10", "8"), (False,) * 4, ("", "7/10", "7/10", ""), [0, 0, 0, 1]),
        # A key is no text.
        (("8", "9"), (False,) * 2, ("", "8"), [0, 1]),
        # One answer, judged right and wrong, is one class; so are its equals.
        (("1", "1", "2"), (True, False, True), (), [0, 0, 0]),
        ((), (), (), []),
    ],
)
def test_equal_answers_are_of_one_class(
    answers: tuple[str, ...],
    correct: tuple[bool, ...],
    keys: tuple[str, ...],
    classes: list[int | None],
) -> None:
    assert vote_classes(answers, correct, keys) == classes


def test_right_answers_in_several_spellings_outvote_fewer_equal_wrong_ones() -> None:
    spelt = ["0.75", "\\frac{3}{4}", "\\dfrac34", "0.7", "0.7"]
    data = [replace(row, answer=text) for row, text in zip(rows("cccww"), spelt, strict=True)]
    assert evaluation_metrics(data, 5)["eval/s/maj@5"] == 1.0


def test_stored_votes_join_wrong_answers_that_differ_in_spelling() -> None:
    data = rows("ccwwww", answers="113456")
    assert evaluation_metrics(data, 6)["eval/s/maj@6"] == 1.0
    votes = [0, 0, 1, 1, 1, 2]
    stored = [replace(row, vote=vote) for row, vote in zip(data, votes, strict=True)]
    assert evaluation_metrics(stored, 6)["eval/s/maj@6"] == 0.0
    assert evaluation_metrics(stored, 4)["eval/s/maj@4"] == 0.5


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


def test_an_undecided_response_counts_as_wrong_and_the_other_bound_is_told() -> None:
    data = [*rows("cwtk", "p"), *rows("cccc", "q"), greedy("timeout", "p"), greedy("correct", "q")]
    assert evaluation_metrics(data, 4) == {
        "eval/s/avg@4": (0.25 + 1.0) / 2,
        "eval/s/avg@4/decided": (0.5 + 1.0) / 2,
        "eval/s/pass@4": 1.0,
        "eval/s/maj@4": (0.25 + 1.0) / 2,
        "eval/s/greedy": 0.5,
        "eval/s/greedy/decided": 1.0,
        "eval/s/undecided": 3.0,
    }


def test_a_policy_that_leaves_it_undecided_when_it_does_not_know_gains_nothing() -> None:
    metrics = evaluation_metrics(rows("cttttttt", answers="5" + "9" * 7), 8)
    assert (metrics["eval/s/avg@8"], metrics["eval/s/avg@8/decided"]) == (1 / 8, 1.0)
    assert metrics["eval/s/maj@8"] == 0.0


def test_undecided_is_worth_what_wrong_is() -> None:
    rng = random.Random(0)
    undecided = [verdict.value for verdict in Verdict if not verdict.decided]
    for _ in range(200):
        data = [
            replace(row, problem_id=problem, answer=rng.choice("123 ").strip())
            for problem in "pq"
            for row in rows("c" + "".join(rng.choice("cw") for _ in range(4)), problem)
        ]
        lost = [
            replace(row, verdict=rng.choice(undecided))
            if row.verdict == "wrong" and rng.random() < 0.5
            else row
            for row in data
        ]
        found = evaluation_metrics(lost, 3)
        wrong = evaluation_metrics(data, 3)
        count = sum(row.verdict in undecided for row in lost)
        assert found.pop("eval/s/undecided") == count
        high = found.pop("eval/s/avg@3/decided", None)
        assert (high is None) == (count == 0)
        assert high is None or high > wrong["eval/s/avg@3"]
        wrong.pop("eval/s/undecided")
        assert found == wrong


def test_a_problem_whose_gold_answer_cannot_be_read_is_left_out() -> None:
    # Some answers are refused before anyone looks at the gold answer.
    data = [*rows("bbwn", "p"), *rows("ccww", "q"), greedy("gold_bad", "p"), greedy("correct", "q")]
    metrics = evaluation_metrics(data, 4)
    assert metrics == {**evaluation_metrics(data[4:8] + data[9:], 4), "eval/s/undecided": 3.0}
    # The gold answer was read once, so the others could not be checked for another reason.
    metrics = evaluation_metrics(rows("cbbb"), 4)
    assert (metrics["eval/s/avg@4"], metrics["eval/s/avg@4/decided"]) == (0.25, 1.0)


def test_a_metric_without_any_support_is_absent() -> None:
    assert evaluation_metrics(rows("bbbb"), 4) == {"eval/s/undecided": 4.0}
    assert evaluation_metrics([], 4) == {}
    assert set(evaluation_metrics(rows("cw"), 4)) == {"eval/s/avg@4", "eval/s/undecided"}
    assert evaluation_metrics(rows("www"), 8) == {"eval/s/avg@8": 0.0, "eval/s/undecided": 0.0}


def test_nothing_decided_is_nothing_right() -> None:
    kinds = ("avg", "pass", "maj")
    expected = {**{f"eval/s/{kind}@4": 0.0 for kind in kinds}, "eval/s/undecided": 4.0}
    assert evaluation_metrics(rows("tttt"), 4) == expected


def test_every_verdict_is_either_counted_or_judged() -> None:
    for verdict in Verdict:
        metrics = evaluation_metrics([greedy(verdict.value)], 1)
        assert (metrics["eval/s/undecided"] == 1) == (not verdict.decided)
        expected = {Verdict.CORRECT: 1.0, Verdict.GOLD_BAD: None}.get(verdict, 0.0)
        assert metrics.get("eval/s/greedy") == expected


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


def test_a_response_without_a_verdict_has_the_reward_of_the_worst_one() -> None:
    def graded(*rewards: float | None) -> dict[str, float]:
        rows = [
            EvalRow(0, 0, "s", "a", i, "timeout" if r is None else "wrong", "", 5, "stopped", r)
            for i, r in enumerate(rewards)
        ]
        return {
            name.removeprefix("eval/s/"): value
            for name, value in evaluation_metrics(rows, 4).items()
            if "reward" in name
        }

    assert graded(1.0, 0.5, None, None) == {"reward@4": 0.375, "reward@4/decided": 0.75}
    assert graded(1.0, -0.5, None, None) == {"reward@4": -0.125, "reward@4/decided": 0.25}
    assert graded(1.0, 0.5) == {"reward@4": 0.75}
