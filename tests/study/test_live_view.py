"""What a person sees of a running study: states, confirmations, incidents, time left."""

import io

import pytest
from rich.console import Console as RichConsole
from study_fixtures import METRIC, TAU, definition

from conspo_study import live_view
from conspo_study.console import Console
from conspo_study.definition import Confirmation
from conspo_study.live_view import View, printable
from conspo_study.records import EventKind, TrialEvent, TrialRole, TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import StudyTable, TrialRow

CONFIRM = Confirmation(seeds=(7, 8, 9))


def row(trial, state=TrialState.FINISHED, **changes):
    fields = {"params": {TAU: 1.0}, "seeds": (0, 1), "steps": 4, "step": 4}
    if state is TrialState.FINISHED:
        fields |= {"values": {0: 0.5, 1: 0.6}, "wall_s": 60.0}
    if trial.startswith("c"):
        fields |= {"role": TrialRole.CONFIRMATION, "of": "t0000", "seeds": (7, 8, 9)}
    return TrialRow(trial, state, **{**fields, **changes})


def shown(table, study=None):
    console = RichConsole(width=200, record=True, file=io.StringIO())
    console.print(View(study or definition(), 2).render(table))
    return [line.strip() for line in console.export_text().splitlines() if line.strip()]


def test_running_trials_follow_those_that_ended_and_confirmations_come_last():
    rows = (row("t0000"), row("t0001", TrialState.RUNNING, step=2), row("t0002", TrialState.PRUNED))
    again = (row("c0000"), row("c0001", TrialState.RUNNING, of="t0002", step=1))
    lines = shown(StudyTable(rows=rows, confirmations=again))
    assert [line.split()[0] for line in lines[1:-1]] == [
        "t0000",
        "t0002",
        "t0001",
        "c0000",
        "c0001",
    ]
    assert "pruned" in lines[2] and "2/4" in lines[3]
    assert "t0000 again: tau=1" in lines[4] and "1/4" in lines[5]


def test_only_the_last_of_many_ended_trials_are_shown():
    rows = (*(row(f"t{n:04d}") for n in range(20)), row("t0020", TrialState.RUNNING))
    lines = shown(StudyTable(rows=rows))
    assert [line.split()[0] for line in lines[1:-1]] == [f"t{n:04d}" for n in range(12, 21)]


def test_the_summary_counts_states_confirmations_and_incidents():
    rows = (row("t0000", incidents={"worker_restarted": 2}), row("t0001", TrialState.FAILED))
    table = StudyTable(
        rows=rows,
        confirmations=(
            row("c0000", incidents={"worker_restarted": 1}),
            row("c0001", TrialState.RUNNING),
        ),
        incidents={"disk": 1},
    )
    said = View(definition(), 2).summary(table)
    assert "1 finished, 1 failed of 6; 1 of 2 confirmations; best 0.550 (t0000)" in said
    assert "; 4 incidents; " in said
    assert "incident" not in View(definition(), 2).summary(StudyTable(rows=(row("t0000"),)))
    assert View(definition(), 2).summary(StudyTable()).endswith("starting of 6")


@pytest.mark.parametrize(
    ("changes", "ended", "again", "left"),
    [
        ({}, 2, (), "about 2 min left"),  # 4 trials of a minute, two at a time
        ({"lag": 0}, 2, (), "about 4 min left"),  # one at a time, whatever the room
        ({"confirm": CONFIRM}, 2, (), "about 4 min left"),  # and 3 of 90 s, for their 3 seeds
        ({"confirm": CONFIRM}, 6, (("c0000", 20.0),), "20 s left"),  # 2 more, as fast as the first
        ({"confirm": CONFIRM}, 6, (("c0000", 20.0), ("c0001", 20.0), ("c0002", 20.0)), "0 s left"),
    ],
)
def test_the_time_left_counts_what_is_still_to_be_confirmed(changes, ended, again, left):
    table = StudyTable(
        rows=tuple(row(f"t{n:04d}") for n in range(ended)),
        confirmations=tuple(row(trial, wall_s=seconds) for trial, seconds in again),
    )
    assert View(definition(**changes), 2).summary(table).endswith(f"; {left}")


def test_a_trials_time_left_follows_from_its_pace(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(live_view.time, "monotonic", lambda: now[0])
    view = View(definition(), 2)
    running = row("t0000", TrialState.RUNNING, step=0)
    assert view._left(running) == "starting"
    now[0] = 130.0
    assert view._left(row("t0000", TrialState.RUNNING, step=3)) == "10 s"


def test_a_mean_is_shown_only_of_all_seeds():
    metrics = {0: {METRIC: 0.5, "reward": 0.3}, 1: {METRIC: 0.7}}
    running = row("t0000", TrialState.RUNNING, seed_metrics=metrics)
    assert live_view.mean_over_seeds(running, METRIC) == pytest.approx(0.6)
    assert live_view.mean_over_seeds(running, "reward") is None


def test_a_cause_cannot_move_the_cursor():
    said = View(definition(), 1).sentence(row("t0000", TrialState.FAILED, cause="x\x1b[2J\ny"))
    assert said.endswith(": x\\x1b[2J\\ny")
    assert printable("naïve 7") == "naïve 7"


def test_without_a_terminal_every_ending_is_a_line(tmp_path, capsys):
    study = definition(confirm=CONFIRM)
    console = Console()
    with ResultsLog(tmp_path / "log.jsonl") as log:
        with console.live(study, log, 2):
            for trial, role in (("t0000", {}), ("c0000", {"role": "confirmation", "of": "t0000"})):
                data = {"params": {TAU: 1.0}, "seeds": [0], "label": "paper", **role}
                log.append(TrialEvent(EventKind.SUGGESTED, trial, data))
                end = {"step": 4, "values": {"0": 0.5}, "wall_s": 9.0}
                log.append(TrialEvent(EventKind.FINISHED, trial, end))
        lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "t0000 finished [paper] tau=1: chain/hard/avg@2 0.500 at step 4 after 9 s",
        "c0000 finished t0000 again: [paper] tau=1: chain/hard/avg@2 0.500 at step 4 after 9 s",
    ]


def test_the_heading_names_the_confirmation(capsys):
    Console().heading(definition(confirm=CONFIRM))
    Console().heading(definition())
    confirmed, plain = capsys.readouterr().out.splitlines()
    assert "6 trials x 2 seeds, then 3 x 3 to confirm, 4 steps each" in confirmed
    assert "6 trials x 2 seeds, 4 steps each" in plain
