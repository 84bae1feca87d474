"""The table says what the log says: ends are ends, means are over all seeds, pruned never wins."""

from typing import Any

import pytest

from conspo_study.records import EventKind, TrialEvent, TrialState
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.table import StudyTable, build_table


def fold(*events: tuple[str, str, dict[str, Any]]) -> StudyTable:
    return build_table(
        LoggedEvent(seq, "", TrialEvent(EventKind(kind), trial, data))
        for seq, (kind, trial, data) in enumerate(events, start=1)
    )


def suggested(trial: str, **data: Any) -> tuple[str, str, dict[str, Any]]:
    return ("suggested", trial, {"params": {"objective.tau": 1}, "seeds": [0, 1], **data})


def finished(trial: str, *values: float) -> tuple[str, str, dict[str, Any]]:
    by_seed = {str(seed): value for seed, value in enumerate(values)}
    return ("finished", trial, {"step": 80, "values": by_seed, "wall_s": 9.0})


def test_no_events_give_an_empty_table() -> None:
    table = fold()
    assert table.rows == () and table.best() is None and not table.finished
    assert table.counts == dict.fromkeys(TrialState, 0)


def test_states_follow_the_last_event() -> None:
    events = [suggested(f"t{index}") for index in range(5)]
    events += [("started", f"t{index}", {}) for index in range(1, 5)]
    events += [finished("t2", 0.5, 0.7), ("pruned", "t3", {"step": 20, "values": {"0": 0.2}})]
    events += [("failed", "t4", {"cause": "diverged", "step": 7})]
    table = fold(*events)
    assert [row.state.value for row in table.rows] == [
        "waiting",
        "running",
        "finished",
        "pruned",
        "failed",
    ]
    assert table.rows[4].cause == "diverged" and table.rows[4].step == 7
    assert set(table.counts.values()) == {1}


def test_value_and_spread_are_over_seeds() -> None:
    row = fold(suggested("t0"), finished("t0", 0.5, 0.7)).rows[0]
    assert row.value == pytest.approx(0.6)
    assert row.spread == pytest.approx(0.2 / 2**0.5)
    assert row.wall_s == 9.0


def test_one_seed_has_no_spread() -> None:
    assert fold(suggested("t0", seeds=[0]), finished("t0", 0.5)).rows[0].spread is None


def test_pruned_failed_and_incomplete_trials_never_win() -> None:
    table = fold(
        *[suggested(f"t{index}") for index in range(4)],
        finished("t0", 0.1, 0.1),
        ("pruned", "t1", {"step": 20, "values": {"0": 0.9, "1": 0.9}}),
        ("failed", "t2", {"value": 0.9, "cause": ""}),
        finished("t3", 0.9),
    )
    best = table.best()
    assert best is not None and best.id == "t0"
    assert table.rows[3].missing_seeds == (1,)


def test_ties_go_to_the_smaller_id_in_both_directions() -> None:
    events = [suggested("t1"), suggested("t0"), finished("t1", 0.5, 0.5), finished("t0", 0.5, 0.5)]
    for direction in ("max", "min"):
        best = fold(*events).best(direction)  # type: ignore[arg-type]
        assert best is not None and best.id == "t0"


def test_the_last_report_counts_and_what_it_lacks_is_out_of_date() -> None:
    reports = [
        {"step": 20, "steps": 80, "metrics": {"a": 1, "b": 2}, "seeds": {"0": {"a": 1}, "1": {}}},
        {
            "step": 25,
            "steps": 80,
            "metrics": {"a": 3, "c": None, "d": "text"},
            "seeds": {"0": {"b": 5}},
        },
    ]
    row = fold(suggested("t0"), *[("reported", "t0", report) for report in reports]).rows[0]
    assert row.metrics == {"a": 3}
    assert row.seed_metrics == {0: {"b": 5}}
    assert (row.step, row.steps) == (25, 80)


def test_a_late_report_does_not_revive_a_stopped_trial() -> None:
    row = fold(
        suggested("t0"),
        ("pruned", "t0", {"step": 20, "values": {"0": 0.2}}),
        ("reported", "t0", {"step": 25, "metrics": {"a": 1}}),
    ).rows[0]
    assert (row.state, row.step, dict(row.metrics)) == (TrialState.PRUNED, 20, {})


def test_a_failed_trial_that_starts_again_is_running_without_its_old_cause() -> None:
    row = fold(suggested("t0"), ("failed", "t0", {"cause": "x"}), ("started", "t0", {})).rows[0]
    assert (row.state, row.cause) == (TrialState.RUNNING, "")


def test_the_first_end_of_a_finished_trial_stands() -> None:
    row = fold(suggested("t0"), finished("t0", 0.5, 0.5), ("failed", "t0", {"cause": "x"})).rows[0]
    assert (row.state, row.cause, row.value) == (TrialState.FINISHED, "", 0.5)


def test_a_trial_queued_again_on_resume_is_one_row() -> None:
    table = fold(
        ("study_started", "", {"hash": "h"}),
        suggested("t0"),
        ("study_started", "", {"hash": "h", "resumed": True}),
        suggested("t0"),
        ("study_finished", "", {}),
    )
    assert len(table.rows) == 1 and table.finished and table.hash == "h"


def test_a_row_is_found_by_its_id() -> None:
    table = fold(suggested("t0"), suggested("t1"))
    assert table.row("t1") is table.rows[1]
    with pytest.raises(KeyError):
        table.row("t2")


def test_contradictions_name_the_event() -> None:
    with pytest.raises(ValueError, match=r"event 2 \(suggested\).*other parameters"):
        fold(suggested("t0"), suggested("t0", params={"objective.tau": 2}))
    with pytest.raises(ValueError, match=r"event 1 \(started\).*never suggested"):
        fold(("started", "t0", {}))
    with pytest.raises(ValueError, match=r"event 2 \(reported\)"):
        fold(suggested("t0"), ("reported", "t0", {"step": "many"}))
