"""The verdict of a study is one sentence, and claims no more than the tests behind it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from regime_results import points, small, write_map

from analysis.findings.verdict import verdict_sentence
from analysis.load.study import load_study
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog

Make = Callable[..., Path]


def ended(folder: Path) -> Path:
    with ResultsLog(folder / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.STUDY_FINISHED))
    return folder


def test_a_confirmed_winner_has_its_value_and_a_difference_to_each_baseline(
    make_study: Make, trial: Any, confirm: Any
) -> None:
    folder = make_study(
        [
            trial(10.0, 0.001, label="paper"),
            trial(0.3, 0.0, schedule="off", label="no margin"),
            trial(1.0, 20.0),
        ]
    )
    confirm(folder, "t0000", {10: 0.60, 11: 0.64, 12: 0.65})
    confirm(folder, "t0001", {10: 0.70, 11: 0.72, 12: 0.76})
    confirm(folder, "t0002", {10: 0.71, 11: 0.74, 12: 0.75})
    said = verdict_sentence(load_study(ended(folder)))
    assert said.startswith(
        "t0002 (tau 1, M/tau 20, cosine, alpha 0.3) has chain/hard avg@8 0.733 [0."
    )
    assert "on 3 fresh seeds; +0.103 [+0.0" in said and "], better than t0000 (paper); " in said
    assert "+0.007 [-0.0" in said and "], not shown to differ (" in said
    assert said.endswith("points would be, with probability 80%) from t0001 (no margin).")


def test_a_declared_family_is_counted_and_what_is_shown_is_named(
    make_study: Make, trial: Any, define: Any
) -> None:
    trials = [trial(1.0, 0.0, schedule="off", label=label) for label in ("a", "b", "c", "d")]
    trials[1].tau, trials[3].end = 0.1, "failed"
    folder = make_study(trials, seeds=[0, 1, 2], problems=40)
    define(folder, compare={"reference": "a", "correction": "holm"})
    said = verdict_sentence(load_study(ended(folder)))
    assert said == "3 comparisons with a: 1 worse (b), 1 undecided, 1 not measured."


def test_a_best_trial_that_selected_itself_claims_nothing(make_study: Make, trial: Any) -> None:
    folder = make_study([trial(0.3, 0.0, schedule="off"), trial(0.3, 20.0)])
    said = verdict_sentence(load_study(ended(folder)))
    assert "has the best chain/hard avg@8" in said and "on 2 seeds, of 2 trials" in said
    assert "no evidence that it is better and too few seeds for one. confirm= runs it" in said
    assert "better than" not in said


def test_a_baseline_without_values_is_named(make_study: Make, trial: Any, confirm: Any) -> None:
    folder = make_study([trial(10.0, 0.001, label="paper"), trial(1.0, 20.0)])
    confirm(folder, "t0000", {}, end="failed")
    confirm(folder, "t0001", {10: 0.71, 11: 0.74, 12: 0.75})
    said = verdict_sentence(load_study(ended(folder)))
    assert said.endswith("; not compared with t0000 (paper), which has no values yet.")


def test_two_seeds_of_labelled_trials_are_no_comparison(make_study: Make, trial: Any) -> None:
    folder = make_study([trial(1.0, 0.0, label="a"), trial(0.1, 0.0, label="b")])
    assert "comparison" not in verdict_sentence(load_study(ended(folder)))


def test_a_study_that_runs_says_so(make_study: Make, trial: Any) -> None:
    folder = make_study([trial(0.3, 0.0), trial(0.3, 20.0, end="running")])
    assert verdict_sentence(load_study(folder)).startswith("So far: t0000")


@pytest.mark.parametrize("end", ["failed", "running", "pruned"])
def test_without_a_result_there_is_none(make_study: Make, trial: Any, end: str) -> None:
    folder = make_study([trial(0.3, 0.0, end=end)])
    assert verdict_sentence(load_study(folder)) == "No verdict: no trial has finished."


def test_a_map_counts_its_cells_by_reference(tmp_path: Path) -> None:
    folder = write_map(tmp_path / "map", small(points(steps=(1,))), lambda label, _: 0.5)
    said = verdict_sentence(load_study(folder))
    assert said.startswith("2 cells minus linear: ") and "; 2 cells minus GRPO: " in said
