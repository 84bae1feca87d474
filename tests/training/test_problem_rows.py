"""Texts kept of evaluations: the problems of a trial, once, and the text of each response."""

from dataclasses import replace

import pytest
from training_runs import CONFIG

from conspo_study.data.sources import evaluation_sets
from conspo_study.evaluation.metrics import evaluation_metrics
from conspo_study.records import LONGEST_TEXT, MOST_TEXT, Problem
from conspo_study.training.problem_rows import problem_rows


def prompts(problems):
    return [f"{problem.text} =" for problem in problems]


def test_sets_take_turns_and_what_every_evaluation_has_comes_first():
    sets = {
        "b": [Problem(f"b{i}", "1+1", "2") for i in (3, 1, 0, 2)],
        "a": [Problem("a0", "2+2", "")],
    }
    rows = problem_rows(sets, lambda name: 2, prompts)
    assert [(row.problem_set, row.problem_id) for row in rows] == [
        ("a", "a0"), ("b", "b1"), ("b", "b3"), ("b", "b0"), ("b", "b2"),
    ]  # fmt: skip
    assert [(rows[0].prompt, rows[0].gold), (rows[1].prompt, rows[1].gold)] == [
        ("2+2 =", None),
        ("1+1 =", "2"),
    ]


def test_no_more_prompts_are_written_than_a_file_holds():
    asked = []

    def counted(problems):
        asked.extend(problems)
        return prompts(problems)

    problems = [Problem(f"{i:06d}", "x" * 9000, "7") for i in range(100_000)]
    rows = problem_rows({"own": problems}, lambda name: 10, counted)
    assert [row.problem_id for row in rows] == [p.id for p in problems[: len(rows)]]
    assert 0.97 * MOST_TEXT < len(rows) * LONGEST_TEXT <= MOST_TEXT
    assert len(asked) < 2000
    assert rows[0].prompt.endswith(f"… {9002 - LONGEST_TEXT:,} more characters")


def test_every_evaluated_response_has_its_text_and_its_problem(whole):
    assert len(whole.asked) == 1, "the seeds share their problems"
    known = {(row.problem_set, row.problem_id): row for row in whole.asked[0]}
    problems = {
        (name, problem.id): problem
        for name, of_set in evaluation_sets(CONFIG.data, CONFIG.evaluation).items()
        for problem in of_set
    }
    assert known.keys() == problems.keys()
    assert known.keys() == {(row.problem_set, row.problem_id) for row in whole.evaluations}
    for key, row in known.items():
        assert problems[key].text in row.prompt and row.gold == problems[key].answer
    assert all(isinstance(row.response, str) for row in whole.evaluations)
    assert any(row.answer and row.answer in row.response for row in whole.evaluations)
    for row in whole.kept:
        assert row.gold and row.prompt


@pytest.mark.parametrize("step", [0, 2, 4])
def test_no_metric_depends_on_the_texts(whole, step):
    rows = [row for row in whole.evaluations if (row.seed, row.step) == (1, step)]
    without = [replace(row, response=None) for row in rows]
    k = CONFIG.evaluation.samples_for
    assert evaluation_metrics(rows, k) == evaluation_metrics(without, k)
