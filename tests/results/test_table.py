"""The table says what the log says: ends are ends, means are over all seeds, pruned never wins."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from conspo_study.records import EventKind, TrialEvent, TrialRole, TrialState
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.log import read_log
from conspo_study.results.table import StudyTable, TableBuilder, build_table

ASSETS = Path(__file__).parents[1] / "assets"
FROZEN = {
    "results_v1": "e1abc2d38087da58c4b662c115f698f237a49ad9db36be107a09f3877daa7840",
    "results_v2": "d627bb0b58db8676cc8f7456f6d2b4afd4b0df90be9b9aa95c12b1bc1de8c3a1",
}
"""Logs as they were written once. A change of either breaks every log that people have."""


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


def test_a_paused_trial_goes_on_and_its_times_add_up() -> None:
    pause = ("paused", "t0", {"step": 20, "values": {"0": 0.2}, "wall_s": 3.0})
    events = [suggested("t0"), ("started", "t0", {}), pause]
    late = ("reported", "t0", {"step": 20, "steps": 80, "seeds": {}})
    table = fold(*events, late)
    assert (table.rows[0].state.value, table.rows[0].value) == ("paused", 0.2)
    assert not table.rows[0].state.ended and table.best() is None
    stopped = ("pruned", "t0", {"step": 20, "values": {"0": 0.2}, "wall_s": 0.0})
    assert fold(*events, stopped).rows[0].wall_s == 3.0
    on = fold(*events, ("started", "t0", {}), finished("t0", 0.5, 0.7)).rows[0]
    assert (on.state.value, on.pauses, on.wall_s) == ("finished", {20: 0.2}, 12.0)


def test_no_events_give_an_empty_table() -> None:
    table = fold()
    assert table.rows == () and table.best() is None and not table.finished
    assert table.counts == dict.fromkeys(TrialState, 0)


def test_states_follow_the_last_event() -> None:
    events = [suggested(f"t{index}") for index in range(7)]
    events += [("started", f"t{index}", {}) for index in range(1, 7)]
    events += [finished("t2", 0.5, 0.7), ("pruned", "t3", {"step": 20, "values": {"0": 0.2}})]
    events += [("failed", "t4", {"cause": "diverged", "step": 7})]
    ends = {"0": {"step": 5, "cause": "no contrast"}, "1": {"step": 9, "cause": "diverged"}}
    events += [("collapsed", "t5", {"step": 80, "values": {"0": 0, "1": 0}, "collapsed": ends})]
    events += [("paused", "t6", {"step": 20, "values": {"0": 0.2}, "wall_s": 3.0})]
    table = fold(*events)
    assert [row.state.value for row in table.rows] == [
        "waiting",
        "running",
        "finished",
        "pruned",
        "failed",
        "collapsed",
        "paused",
    ]
    assert table.rows[5].collapsed == {0: 5, 1: 9} and table.rows[5].value == 0
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


def confirmation(trial: str, of: str) -> tuple[str, str, dict[str, Any]]:
    return suggested(trial, role="confirmation", of=of, seeds=[7, 8, 9])


def test_confirmations_stand_apart_from_the_search() -> None:
    table = fold(
        *[suggested("t0"), finished("t0", 0.5, 0.7), confirmation("c0", "t0"), suggested("t1")],
        ("finished", "c0", {"values": {"7": 0.9, "8": 0.9, "9": 0.9}}),
    )
    assert [row.id for row in table.rows] == ["t0", "t1"]
    assert [row.id for row in table.confirmations] == ["c0"]
    assert [row.id for row in table.all_rows] == ["t0", "t1", "c0"]
    confirmed = table.row("c0")
    assert (confirmed.role, confirmed.of) == (TrialRole.CONFIRMATION, "t0")
    assert table.row("t0").role is TrialRole.SEARCH
    best = table.best()
    assert best is not None and best.id == "t0", "a confirmation is no candidate"
    assert table.counts[TrialState.FINISHED] == 1


@pytest.mark.parametrize("of", ["", "t9", "c0"])
def test_a_confirmation_confirms_a_search_trial(of: str) -> None:
    with pytest.raises(ValueError, match="which is no search trial"):
        fold(suggested("t0"), confirmation("c0", "t0"), confirmation("c1", of))


def test_bars_and_further_objectives_are_read_by_step_and_seed() -> None:
    end = {"step": 4, "values": {"0": 0.5, "1": 0.7}, "also": {"length": {"0": 8, "1": 9}}}
    row = fold(suggested("t0", bars={"40": 0.31, "60": 0.4}), ("finished", "t0", end)).rows[0]
    assert row.bars == {40: 0.31, 60: 0.4}
    assert row.also == {"length": {0: 8.0, 1: 9.0}}


def test_bars_of_a_trial_never_change() -> None:
    with pytest.raises(ValueError, match="other parameters, seeds or bars"):
        fold(suggested("t0", bars={"40": 0.31}), suggested("t0", bars={"40": 0.32}))


def test_incidents_are_counted_by_type_and_change_no_state() -> None:
    table = fold(
        suggested("t0"),
        ("incident", "t0", {"type": "worker_restart", "count": 2, "detail": ""}),
        finished("t0", 0.5, 0.5),
        ("incident", "t0", {"type": "worker_restart"}),
        ("incident", "t0", {"type": "checkpoint_damaged", "count": 1}),
        ("incident", "", {"type": "node_lost", "count": 1}),
    )
    assert table.rows[0].incidents == {"worker_restart": 3, "checkpoint_damaged": 1}
    assert table.rows[0].state is TrialState.FINISHED
    assert table.incidents == {"node_lost": 1}
    assert table.all_incidents == {"worker_restart": 3, "checkpoint_damaged": 1, "node_lost": 1}


def test_starts_accumulate_changes_and_the_last_budget_counts() -> None:
    table = fold(
        ("study_started", "", {"hash": "a", "trials": 4, "changes": []}),
        ("study_started", "", {"hash": "b", "trials": 6, "changes": ["code: x there, y here"]}),
        ("study_started", "", {"hash": "b", "trials": 6, "changes": ["tau: 1 there, 2 here"]}),
    )
    assert table.changes == ("code: x there, y here", "tau: 1 there, 2 here")
    assert (table.hash, table.trials) == ("b", 6)


def test_a_table_that_grows_is_the_table_of_the_whole_at_every_event() -> None:
    events = read_log(ASSETS / "results_v2" / "log.jsonl")
    builder = TableBuilder()
    for number, logged in enumerate(events, start=1):
        builder.add(logged)
        assert builder.table == build_table(events[:number])


def test_a_table_that_was_handed_out_never_changes() -> None:
    events = read_log(ASSETS / "results_v2" / "log.jsonl")
    builder = TableBuilder(events[:5])
    before = builder.table
    said = repr(before)
    for logged in events[5:]:
        builder.add(logged)
    assert repr(before) == said and builder.table is not before


def test_a_contradiction_leaves_a_growing_table_as_it_was() -> None:
    builder = TableBuilder()
    with pytest.raises(ValueError, match="never suggested"):
        builder.add(LoggedEvent(1, "", TrialEvent(EventKind.STARTED, "t0")))
    assert builder.table == StudyTable()


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_logs_keep_their_bytes_and_load(name: str) -> None:
    path = ASSETS / name / "log.jsonl"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == FROZEN[name]
    assert build_table(read_log(path)).rows


def test_the_frozen_log_of_all_event_kinds_says_what_it_said() -> None:
    events = read_log(ASSETS / "results_v2" / "log.jsonl")
    later = {EventKind.STUDY_FINISHED, EventKind.COLLAPSED, EventKind.PAUSED}
    assert {logged.event.kind for logged in events} == set(EventKind) - later
    table = build_table(events)
    assert [(row.id, row.state.value) for row in table.all_rows] == [
        ("t0000", "finished"),
        ("t0001", "finished"),
        ("t0002", "pruned"),
        ("t0003", "finished"),
        ("t0004", "failed"),
        ("t0005", "pruned"),
        ("c0000", "finished"),
        ("c0001", "running"),
    ]
    best = table.best()
    assert best is not None and (best.id, best.value) == ("t0003", 0.625)
    assert best.also == {"response_length": {0: 7.5, 1: 7.5}}
    assert table.row("t0002").bars == {2: 0.31}
    assert table.row("t0003").incidents == {"worker_restart": 2, "checkpoint_damaged": 1}
    assert table.incidents == {"node_lost": 1}
    assert table.row("c0000").of == "t0000" and table.row("c0001").of == "t0003"
    assert table.trials == 6 and len(table.changes) == 1
