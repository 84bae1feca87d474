"""A trial's scores are those that its logged values were computed from, at its last step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.findings.final_scores import final_scores
from analysis.load.study import StudyResults, load_study
from analysis.statistics.bootstrap import difference
from conspo_study.records import EvalRow
from conspo_study.results.rows import eval_path, write_eval_rows
from conspo_study.results.table import TrialRow

LAST = 20
VERDICTS = {"c": "correct", "w": "wrong", "b": "gold_bad"}


@pytest.fixture
def scored(make_study: Callable[..., Path], trial: Any, define: Any) -> Callable[..., Any]:
    """Makes a study of one trial: by seed, the answers to its problems, as `cw` letters."""

    def make(
        answers: dict[int, list[str]], values: dict[int, float], metric: str = "avg@2"
    ) -> tuple[StudyResults, TrialRow]:
        folder = make_study([trial(1.0, 1.0)], seeds=list(answers))
        define(folder, metric=f"eval/chain/hard/{metric}")
        for seed, problems in answers.items():
            rows = [
                EvalRow(seed, LAST, "chain/hard", f"p{k}", i, VERDICTS[one], "1", 3, "stopped")
                for k, letters in enumerate(problems)
                for i, one in enumerate(letters)
            ]
            write_eval_rows(eval_path(folder / "trials" / "t0000", seed, LAST), rows)
        study = load_study(folder)
        (row,) = study.table.rows
        return study, replace(row, values=values)

    return make


def test_a_seed_that_was_asked_less_counts_with_its_mean(scored: Any) -> None:
    answers = {0: ["cc", "cw", "ww", "cw"], 1: ["cc", "ww"], 2: ["cw", "cw", "cc", "cc"]}
    study, row = scored(answers, {0: 0.5, 1: 0.5, 2: 0.75})
    found = final_scores(study, row)
    assert found is not None and found.seeds == (0, 1, 2)
    (table,) = found.benchmarks.values()
    expected = [[1, 0.5, 0, 0.5], [1, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]
    assert table.values.tolist() == expected
    both = difference(found, found)
    assert both is not None and both.seeds == 3 and "judged" not in both.no_interval


def test_a_problem_whose_answer_cannot_be_read_has_no_score(scored: Any) -> None:
    """So that an interval is refused where there are many of them."""
    answers = {seed: ["cc", "cw", "bb", "bb"] for seed in (0, 1, 2)}
    study, row = scored(answers, dict.fromkeys(answers, 0.75))
    found = final_scores(study, row)
    assert found is not None
    (table,) = found.benchmarks.values()
    assert np.isnan(table.values[:, 2:]).all() and not np.isnan(table.values[:, :2]).any()
    both = difference(found, found)
    assert both is not None and both.no_interval.startswith("50% of the problems")


@pytest.mark.parametrize(
    ("values", "metric"), [({0: 0.5, 1: 0.6}, "avg@2"), ({0: 0.5, 1: 0.5}, "reward")]
)
def test_responses_that_do_not_give_the_values_are_none(
    scored: Any, values: Any, metric: str
) -> None:
    study, row = scored({0: ["cc", "ww"], 1: ["cw", "cw"]}, values, metric)
    assert final_scores(study, row) is None
