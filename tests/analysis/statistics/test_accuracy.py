"""Metrics of stored rows equal those of the evaluation that wrote them, for any k, at any size."""

import dataclasses
import random
import time

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.accuracy import greedy_outcomes, sampled_outcomes, set_means
from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import EvalRow, Verdict
from conspo_study.statistics.accuracy import pass_at_k


def random_rows(seed: int, problems: int = 12, samples: int = 6, step: int = 0) -> list[EvalRow]:
    """Rows with every verdict, answers that agree up to spaces, votes at some problems, and gaps,
    in random order."""
    rng = random.Random(seed)
    readable = [verdict for verdict in Verdict if verdict is not Verdict.GOLD_BAD]
    frequent = [Verdict.CORRECT, Verdict.WRONG] * 5
    rows = [
        EvalRow(
            seed=seed,
            step=step,
            problem_set=problem_set,
            problem_id=f"p{problem}",
            sample=sample,
            verdict=rng.choice([*(Verdict if problem % 3 else readable), *frequent]).value,
            answer=rng.choice(["1", " 1", "2", "3\x1f", "3", "", "  "]),
            response_tokens=3,
            status="stopped",
            vote=rng.choice([0, 1, 2, None]) if problem % 2 and sample >= 0 else None,
        )
        for problem_set in ("a", "b")
        for problem in range(problems)
        for sample in range(-1, samples)
        if rng.random() < 0.9
    ]
    rng.shuffle(rows)
    return rows


def frame(rows: list[EvalRow]) -> pd.DataFrame:
    names = [field.name for field in dataclasses.fields(EvalRow)]
    return pd.DataFrame([dataclasses.astuple(row) for row in rows], columns=names)


@pytest.mark.parametrize("k", range(1, 8))
def test_means_are_those_of_the_evaluation(k: int) -> None:
    runs = [random_rows(seed, step=step) for seed in (0, 1) for step in (0, 5)]
    rows = frame([row for run in runs for row in run])
    outcomes, greedy = sampled_outcomes(rows), greedy_outcomes(rows)
    found: dict[tuple[int, int], dict[str, float]] = {(s, t): {} for s in (0, 1) for t in (0, 5)}
    for name, kind, values in [
        (f"avg@{k}", outcomes, outcomes.avg()),
        (f"pass@{k}", outcomes, outcomes.pass_at(k)),
        (f"maj@{k}", outcomes, outcomes.maj_at(k)),
        ("greedy", greedy, greedy.avg()),
        (f"avg@{k}/decided", outcomes, outcomes.avg_decided()),
        ("greedy/decided", greedy, greedy.avg_decided()),
    ]:
        for row in set_means(kind, values).itertuples():
            found[row.seed, row.step][f"eval/{row.problem_set}/{name}"] = row.value
    for run in runs:
        expected = evaluation_metrics(run, k)
        counted = {name: expected.pop(name) for name in list(expected) if "undecided" in name}
        assert found[run[0].seed, run[0].step] == pytest.approx(expected, rel=1e-12)
        own = rows[(rows["seed"] == run[0].seed) & (rows["step"] == run[0].step)]
        left_out = sum(kind(own).undecided.sum() for kind in (sampled_outcomes, greedy_outcomes))
        assert left_out == sum(counted.values())


def test_pass_at_k_is_exactly_that_of_the_evaluation() -> None:
    rows = frame(random_rows(3, problems=60, samples=40))
    outcomes = sampled_outcomes(rows)
    for k in (1, 7, 30):
        expected = [
            pass_at_k(int(n), int(c), k) if n >= k else np.nan
            for n, c in zip(outcomes.samples, outcomes.correct, strict=True)
        ]
        np.testing.assert_array_equal(outcomes.pass_at(k), expected)


def test_problems_of_different_trials_and_sets_stay_apart() -> None:
    rows = frame(random_rows(0))
    both = pd.concat([rows.assign(trial="t0"), rows.assign(trial="t1", verdict="wrong")])
    outcomes = sampled_outcomes(both)
    assert len(outcomes.keys) == 2 * len(sampled_outcomes(rows).keys)
    means = set_means(outcomes, outcomes.avg())
    assert set(means.loc[means["trial"] == "t1", "value"]) == {0.0}
    assert means.loc[means["trial"] == "t0", "value"].min() > 0


def test_a_problem_whose_gold_answer_cannot_be_read_has_no_value() -> None:
    rows = frame([EvalRow(0, 0, "s", "p", i, "gold_bad", "1", 1, "stopped") for i in range(3)])
    outcomes = sampled_outcomes(rows)
    assert outcomes.undecided.tolist() == [3]
    assert outcomes.samples.tolist() == outcomes.decided.tolist() == [0]
    for values in (outcomes.avg(), outcomes.pass_at(1), outcomes.maj_at(1)):
        assert np.isnan(values).all()
        assert set_means(outcomes, values).empty


def test_a_problem_without_a_verdict_is_not_solved() -> None:
    rows = frame([EvalRow(0, 0, "s", "p", i, "timeout", "1", 1, "stopped") for i in range(3)])
    outcomes = sampled_outcomes(rows)
    assert (outcomes.samples.tolist(), outcomes.undecided.tolist()) == ([3], [3])
    for values in (outcomes.avg(), outcomes.pass_at(1), outcomes.maj_at(1)):
        assert values.tolist() == [0.0]
    assert np.isnan(outcomes.avg_decided()).all()


def test_rows_without_votes_vote_by_text() -> None:
    rows = [
        EvalRow(0, 0, "s", "p", i, verdict, answer, 1, "stopped")
        for i, (verdict, answer) in enumerate(
            [("correct", "0.75"), ("correct", "3/4"), ("wrong", "1"), ("wrong", "2"), ("wrong", "")]
        )
    ]
    for table in (frame(rows), frame(rows).drop(columns="vote")):
        assert sampled_outcomes(table).maj_at(5).tolist() == [1.0]
    voted = frame(rows).assign(vote=[0, 0, 1, 1, None])
    assert sampled_outcomes(voted).maj_at(5).tolist() == [0.5]


def test_no_rows_have_no_outcomes() -> None:
    outcomes = sampled_outcomes(frame([]))
    assert len(outcomes.keys) == len(outcomes.avg()) == len(outcomes.pass_at(2)) == 0
    assert len(outcomes.maj_at(2)) == 0


def test_what_contradicts_itself_is_refused() -> None:
    rows = frame(random_rows(0))
    with pytest.raises(ValueError, match=r"sample \d of problem 'p\d+' appears twice"):
        sampled_outcomes(pd.concat([rows, rows]))
    with pytest.raises(ValueError, match="the verdict 'right'; known: correct, wrong"):
        sampled_outcomes(rows.assign(verdict="right"))
    with pytest.raises(ValueError, match="lack problem_set"):
        sampled_outcomes(rows.drop(columns="problem_set"))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        sampled_outcomes(rows).pass_at(0)


def test_many_rows_take_little_time() -> None:
    count = 200_000
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "seed": 0,
            "step": 0,
            "problem_set": "s",
            "problem_id": [f"p{index // 32}" for index in range(count)],
            "sample": np.tile(np.arange(32), count // 32),
            "verdict": rng.choice(["correct", "wrong"], count),
            "answer": rng.integers(50, size=count).astype(str),
        }
    )
    start = time.process_time()
    outcomes = sampled_outcomes(rows)
    assert np.isfinite(outcomes.maj_at(32)).all() and np.isfinite(outcomes.pass_at(5)).all()
    assert time.process_time() - start < 5.0
