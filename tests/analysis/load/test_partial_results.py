"""Files that are missing or were changed on the way are shown, never averaged over in silence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.findings.accepted_changes import change_notes, ran_alike
from analysis.findings.frames import initial_value, trials_frame
from analysis.findings.pareto import front_of, pareto_front
from analysis.findings.summary import summary_lines
from analysis.findings.trials_table import trials_table
from analysis.load.study import load_study
from analysis.report.writing import failure_notes, write_report
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog

pytestmark = pytest.mark.usefixtures("few_figures", "unwritten")

Make = Callable[..., Path]
METRIC, EASY = "eval/chain/hard/avg@8", "eval/chain/easy/avg@8"
GIT = "code: git 1111 there, git 2222 here (1 file differs: train.py)"


def append(study: Path, kind: EventKind, trial: str = "", **data: Any) -> None:
    with ResultsLog(study / "log.jsonl") as log:
        log.append(TrialEvent(kind, trial, data))


def resume(study: Path, *changes: str) -> None:
    started = {"hash": "0123456789ab", "resumed": True, "changes": list(changes)}
    append(study, EventKind.STUDY_STARTED, **started)


def finish(study: Path, trial: str, value: float = 0.5, **data: Any) -> None:
    append(study, EventKind.FINISHED, trial, step=20, values={"0": value, "1": value}, **data)


def row(study: Path, trial: str) -> dict[str, str]:
    table = trials_table(load_study(study))
    found = next(cells for cells in table.rows if cells[0] == trial)
    return dict(zip(table.titles, found, strict=True))


def test_a_level_without_all_seeds_says_over_how_many_it_is(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 1.0, end="running")])
    seeds = {"0": {METRIC: 0.7, EASY: 0.9}, "1": {METRIC: 0.6}}
    append(study, EventKind.REPORTED, "t0000", step=20, steps=20, seeds=seeds)
    finish(study, "t0000")
    assert row(study, "t0000")["easy"] == "0.900 (1 of 2)"
    frame = trials_frame(load_study(study))
    assert frame[f"{EASY}/n"][0] == 1 and frame["n"][0] == 2


def test_a_benchmark_that_is_absent_is_a_gap(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 1.0), trial(1.0, 5.0, end="running")])
    seeds = {"0": {METRIC: 0.7}, "1": {METRIC: 0.6}}
    append(study, EventKind.REPORTED, "t0001", step=20, steps=20, seeds=seeds)
    finish(study, "t0001")
    assert row(study, "t0001")["easy"] == "–" and row(study, "t0000")["easy"] != "–"


def test_the_start_is_not_averaged_over_some_of_the_seeds(make_study: Make, trial: Any) -> None:
    study = make_study([trial(1.0, 1.0, end="waiting")])
    append(study, EventKind.STARTED, "t0000")
    report = {"step": 0, "steps": 20}
    append(study, EventKind.REPORTED, "t0000", seeds={"0": {METRIC: 0.2}}, **report)
    assert initial_value(load_study(study)) is None
    both = {"0": {METRIC: 0.2}, "1": {METRIC: 0.4}}
    append(study, EventKind.REPORTED, "t0000", seeds=both, **report)
    assert initial_value(load_study(study)) == pytest.approx(0.3)


def test_a_curve_without_all_seeds_is_named_so(make_study: Make, trial: Any, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    study = make_study([trial(1.0, 1.0, end="waiting")])
    append(study, EventKind.STARTED, "t0000")
    for step in (0, 10):
        data = {"step": step, "steps": 20, "seeds": {"0": {METRIC: 0.2}}}
        append(study, EventKind.REPORTED, "t0000", **data)
    drawn: list[str] = []
    import analysis.figures.gallery_training as report

    original = report.learning_curves

    def spy(*frames_and_curves: Any, **options: Any) -> Any:
        drawn.extend(curve.typeset for curve in frames_and_curves[-1])
        return original(*frames_and_curves, **options)

    monkeypatch.setattr(report, "learning_curves", spy)
    monkeypatch.setattr(report, "curves_to_show", lambda study: [report.Curve("t0000", "it", "it")])
    write_report(study)
    assert drawn == ["it, 1 of 2 seeds"]


def test_changes_on_the_way_are_named_with_the_trials_before_them(
    make_study: Make, trial: Any
) -> None:
    study = make_study(
        [trial(1.0, 0.0, schedule="off"), trial(1.0, 5.0, end="waiting"), trial(1.0, 1.0)]
    )
    assert change_notes(load_study(study)) == []
    resume(study)
    assert change_notes(load_study(study)) == [], "a resume alone changes nothing"
    resume(study, GIT)
    append(study, EventKind.STARTED, "t0001")
    finish(study, "t0001", 0.99)
    lines = summary_lines(load_study(study))
    note = f"Resumed with changes ({GIT}); ended before: t0000, t0002."
    assert note in lines
    assert any("The study was changed between these two trials" in line for line in lines)


def test_trials_compare_unless_a_change_lies_between_or_within_them(
    make_study: Make, trial: Any
) -> None:
    study = make_study([trial(1.0, 0.0), trial(1.0, 1.0), trial(1.0, 5.0, end="running")])
    resume(study, GIT)
    finish(study, "t0002")
    loaded = load_study(study)
    first, second, across = loaded.table.rows
    assert ran_alike(loaded, first, second)
    assert not ran_alike(loaded, first, across)
    assert not ran_alike(loaded, across, across), "it began before and ended after"


def test_a_change_before_the_first_trial_says_so(make_study: Make, trial: Any) -> None:
    study = make_study([])
    resume(study, "data: chain/hard has another content than when the study began")
    assert change_notes(load_study(study))[0].endswith("; ended before: none.")


def test_incidents_are_counted_by_type_in_the_notes(
    make_study: Make, trial: Any, confirm: Any
) -> None:
    study = make_study([trial(1.0, 5.0), trial(1.0, 1.0)])
    for type_, count, where in (
        ("worker_restarted", 1, "t0000"),
        ("worker_restarted", 2, "t0001"),
        ("disk_full", 1, ""),
        ("ba\x1bd", 1, "t0001"),
    ):
        append(study, EventKind.INCIDENT, where, type=type_, count=count, detail="x")
    assert failure_notes(load_study(study)) == [
        "Recovered failures: 1 ba\\x1bd, 1 disk_full, 3 worker_restarted (in t0000, t0001)."
    ]


@pytest.mark.parametrize(
    ("points", "signs", "front"),
    [
        ({"a": (0.9, 30), "b": (0.8, 20), "c": (0.7, 25)}, (1, -1), ["a", "b"]),
        ({"a": (0.9, 30), "b": (0.8, 20), "c": (0.7, 25)}, (1, 1), ["a"]),
        ({"a": (0.5, 1.0), "b": (0.5, 1.0), "c": (0.5, 2.0)}, (1, -1), ["a", "b"]),
        ({"a": (1.0, 1.0, 5.0), "b": (1.0, 1.0, 4.0)}, (1, 1, -1), ["b"]),
        ({}, (1, 1), []),
    ],
)
def test_the_front_is_what_nothing_beats(points: Any, signs: Any, front: list[str]) -> None:
    assert pareto_front(points, signs) == front


def test_the_summary_lists_the_front_of_complete_trials(
    make_study: Make, trial: Any, define: Any
) -> None:
    study = make_study([trial(1.0, 5.0, end="running") for _ in range(4)])
    define(study, also=[{"metric": "response_length", "direction": "min"}])

    def lengths(*values: float) -> dict[str, Any]:
        by_seed = {str(seed): value for seed, value in enumerate(values)}
        return {"also": {"response_length": by_seed}}

    finish(study, "t0000", 0.9, **lengths(18, 20))
    finish(study, "t0001", 0.7, **lengths(10, 12))
    finish(study, "t0002", 0.6, **lengths(15, 15))
    finish(study, "t0003", 0.95, **lengths(9))  # of one seed: a mean that compares with no other
    assert [row.id for row, _ in front_of(load_study(study))] == ["t0000", "t0001"]
    lines = summary_lines(load_study(study))
    start = next(i for i, line in enumerate(lines) if line.startswith("Pareto front"))
    assert "chain/hard avg@8 (max), response_length (min)" in lines[start]
    assert lines[start + 1].endswith(": 0.900, 19.000")
    assert lines[start + 2].endswith(": 0.700, 11.000")
    assert lines[start + 3].endswith("which biases them in its favour.")
