"""Undecided responses are told with both bounds, for values of this version and of earlier ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.findings.missing_values import missing_value_notes
from analysis.findings.study_comparison import compare, comparison_lines
from analysis.findings.summary import summary_lines
from analysis.findings.undecided import undecided_notes
from analysis.load.study import load_study
from conspo_study.records import EvalRow, EventKind, TrialEvent
from conspo_study.results.log import ResultsLog
from conspo_study.results.rows import eval_path, write_eval_rows

SET = "eval/chain/hard"
METRIC = f"{SET}/avg@8"
LAST = 20


def ended(
    folder: Path, trial: str, verdicts: str, stored: dict[str, float], rows: bool = True
) -> None:
    """Write an ending of `trial`: of each seed two problems, the second always right.

    verdicts: of the first problem; c, w, t for a timeout, b for a bad gold answer. stored: metrics
    of each seed.
    """
    names = {"c": "correct", "w": "wrong", "t": "timeout", "b": "gold_bad"}
    own = folder / "trials" / trial
    for seed in (0, 1):
        if rows:
            data = [
                EvalRow(seed, LAST, "chain/hard", problem, i, names[letter], "1", 3, "stopped")
                for problem, letters in (("p", verdicts), ("q", "c" * len(verdicts)))
                for i, letter in enumerate(letters)
            ]
            write_eval_rows(eval_path(own, seed, LAST), data)
        else:
            eval_path(own, seed, LAST).unlink(missing_ok=True)
    with ResultsLog(folder / "log.jsonl") as log:
        seeds = {str(seed): stored for seed in (0, 1)}
        report = {"step": LAST, "steps": LAST, "seeds": seeds}
        values = {str(seed): stored[METRIC] for seed in (0, 1)}
        log.append(TrialEvent(EventKind.STARTED, trial))
        log.append(TrialEvent(EventKind.REPORTED, trial, report))
        log.append(TrialEvent(EventKind.FINISHED, trial, {"step": LAST, "values": values}))


@pytest.fixture
def study(make_study: Callable[..., Path], trial: Any) -> Path:
    return make_study([trial(1.0, 0.0, end="running"), trial(1.0, 5.0, end="running")])


def notes(folder: Path) -> list[str]:
    return undecided_notes(load_study(folder))


def test_both_bounds_are_told(study: Path) -> None:
    stored = {METRIC: 0.625, f"{METRIC}/decided": 0.75, f"{SET}/undecided": 2.0}
    ended(study, "t0000", "cwtt", stored)
    told = [
        "t0000: 4 responses without a verdict, counted as wrong: chain/hard avg@8 0.625, and "
        "0.750 without them."
    ]
    assert notes(study) == told
    assert summary_lines(load_study(study))[-1:] == told
    both = comparison_lines(compare(*_declared(study)))
    assert [line for line in both if "verdict" in line] == [f"A: {told[0]}", f"B: {told[0]}"]


def _declared(folder: Path) -> Any:
    path = folder / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": {"chain/hard": "0"}}))
    return load_study(folder), load_study(folder)


def test_a_value_of_an_earlier_version_is_called_what_it_is(study: Path) -> None:
    ended(study, "t0000", "cwtt", {METRIC: 0.75, f"{SET}/undecided": 2.0})
    assert notes(study) == [
        "t0000: 4 responses without a verdict, which chain/hard avg@8 0.750 leaves out, as "
        "earlier versions did; counted as wrong, they make it 0.625."
    ]
    ended(study, "t0001", "cwtt", {METRIC: 0.75, f"{SET}/undecided": 2.0}, rows=False)
    assert notes(study)[1] == (
        "t0001: 4 responses without a verdict, which chain/hard avg@8 0.750 leaves out, as "
        "earlier versions did."
    )


def test_what_is_not_open_is_not_told(study: Path) -> None:
    ended(study, "t0000", "bbbb", {METRIC: 1.0, f"{SET}/undecided": 4.0})
    ended(study, "t0001", "ccww", {METRIC: 0.75, f"{SET}/undecided": 0.0})
    assert notes(study) == []


def test_a_trial_without_any_verdict_has_one_bound(study: Path) -> None:
    ended(study, "t0000", "tttt", {METRIC: 0.0, f"{SET}/undecided": 8.0})
    for seed in (0, 1):
        rows = [
            EvalRow(seed, LAST, "chain/hard", "p", i, "killed", "1", 3, "stopped") for i in range(4)
        ]
        write_eval_rows(eval_path(study / "trials" / "t0000", seed, LAST), rows)
    assert notes(study) == [
        "t0000: 8 responses without a verdict, counted as wrong in chain/hard avg@8 0.000."
    ]


def test_a_bound_that_a_seed_lacks_is_no_gap(study: Path) -> None:
    ended(study, "t0000", "cwtt", {METRIC: 0.625, f"{SET}/undecided": 2.0})
    with ResultsLog(study / "log.jsonl") as log:
        seeds = {"0": {METRIC: 0.5, f"{METRIC}/decided": 0.7}, "1": {METRIC: 0.5}}
        log.append(TrialEvent(EventKind.REPORTED, "t0001", {"step": LAST, "seeds": seeds}))
        end = {"step": LAST, "values": {"0": 0.5, "1": 0.5}}
        log.append(TrialEvent(EventKind.FINISHED, "t0001", end))
    assert not [note for note in missing_value_notes(load_study(study)) if "decided" in note]


def test_many_trials_are_counted(make_study: Callable[..., Path], trial: Any) -> None:
    folder = make_study([trial(1.0, 0.0, end="running") for _ in range(9)])
    for number in range(9):
        value = 0.6 + 0.01 * (number == 4)
        stored = {METRIC: value, f"{METRIC}/decided": 0.75, f"{SET}/undecided": 2.0}
        ended(folder, f"t{number:04d}", "cwtt", stored)
    told = notes(folder)
    assert [note[:5] for note in told[:3]] == ["t0004", "t0000", "t0001"]
    assert told[6:] == ["3 more trials with responses that have no verdict."]
