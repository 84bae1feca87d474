"""The view of a running study on a terminal: states, confirmations, incidents, time left."""

import io

import pytest
from rich.console import Console as RichConsole
from study_fixtures import METRIC, TAU, definition

from conspo_study.definition import Confirmation
from conspo_study.records import EventKind, TrialEvent, TrialRole, TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import StudyTable, TrialRow
from conspo_study.terminal import live_view
from conspo_study.terminal.activity import Activity, as_reported
from conspo_study.terminal.console import Console
from conspo_study.terminal.live_view import View
from conspo_study.text import printable

CONFIRM = Confirmation(seeds=(7, 8, 9))


def row(trial, state=TrialState.FINISHED, **changes):
    fields = {"params": {TAU: 1.0}, "seeds": (0, 1), "steps": 4, "step": 4}
    if state is TrialState.FINISHED:
        fields |= {"values": {0: 0.5, 1: 0.6}, "wall_s": 60.0}
    if trial.startswith("c"):
        fields |= {"role": TrialRole.CONFIRMATION, "of": "t0000", "seeds": (7, 8, 9)}
    return TrialRow(trial, state, **{**fields, **changes})


def shown(table, study=None, width=200, height=40, doing=as_reported):
    console = RichConsole(width=width, record=True, file=io.StringIO())
    console.print(View(study or definition(), 2, doing).render(table, width, height))
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


def test_only_the_best_and_the_last_of_many_ended_trials_are_shown():
    rows = (*(row(f"t{n:04d}") for n in range(20)), row("t0020", TrialState.RUNNING))
    lines = shown(StudyTable(rows=rows))
    named = ["t0000", *(f"t{n:04d}" for n in range(12, 21))]
    assert [line.split()[0] for line in lines[1:-2]] == named
    assert lines[1].startswith("t0000 ★") and lines[-2] == "and 11 finished"


@pytest.mark.parametrize(("width", "height"), [(100, 30), (80, 24), (60, 16)])
def test_two_hundred_trials_fit_every_screen(width, height):
    """What runs and the best stay visible, each trial on one line, the rest is counted."""
    ended = [row(f"t{n:04d}", label="a label that is far too long " * 4) for n in range(180)]
    ended[7] = row("t0007", values={0: 0.9, 1: 0.8})
    many = {"seed_metrics": {0: {METRIC: 0.5}, 1: {METRIC: 0.7}}, "step": 2}
    running = [row(f"t{n:04d}", TrialState.RUNNING, **many) for n in range(180, 184)]
    waiting = [row(f"t{n:04d}", TrialState.WAITING) for n in range(184, 200)]
    table = StudyTable(rows=(*ended, *running, *waiting), incidents={"worker_restarted": 2})
    lines = shown(table, width=width, height=height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    first = [line.split()[0] for line in lines]
    assert all(one.id in first for one in running)
    best = lines[first.index("t0007")]
    assert best.split()[1] == "★" and "0.850 ± 0.071" in best
    hidden = next(line for line in lines if line.startswith("and "))
    counts = dict(reversed(part.split()) for part in hidden.removeprefix("and ").split(", "))
    assert sum(map(int, counts.values())) + len(lines[1 : lines.index(hidden)]) == 200
    assert counts["waiting"] == "16"
    said = " ".join(lines[first.index("and") :])
    assert "16 waiting, 4 running, 180 finished of 6" in said
    assert "2 incidents recovered: 2 worker_restarted" in said


def test_more_running_trials_than_lines_are_counted():
    running = tuple(row(f"t{n:04d}", TrialState.RUNNING) for n in range(40))
    lines = shown(StudyTable(rows=running), width=80, height=24)
    assert len(lines) < 24 and "and 24 running" in lines


def test_an_evaluation_is_visible_as_one():
    def doing(row):
        return Activity("evaluating", 4, 42.4) if row.id == "t0000" else Activity("starting", 0)

    rows = tuple(row(f"t000{n}", TrialState.RUNNING, step=2) for n in range(2))
    lines = shown(StudyTable(rows=rows), doing=doing)
    assert "evaluating 42 s" in lines[1] and "4/4" in lines[1]
    assert "starting" in lines[2]
    said = View(definition(), 2, doing).summary(StudyTable(rows=rows))
    assert said.endswith("; t0000 4/4 evaluating, t0001 starting")


def test_the_metric_is_shown_by_seed_where_there_is_room():
    metrics = {0: {METRIC: 0.5}, 1: {METRIC: 0.7}}
    table = StudyTable(rows=(row("t0000", TrialState.RUNNING, seed_metrics=metrics),))
    assert "0.600 (0.500 0.700)" in shown(table, width=140)[1]
    assert "0.600 ± 0.141" in shown(table, width=100)[1]


def test_the_metric_without_undecided_responses_is_told_where_there_are_some():
    own = {0: {METRIC: 0.5, f"{METRIC}/decided": 0.75}, 1: {METRIC: 0.6}}
    rows = [row("t0000", seed_metrics=own)]
    rows.append(row("t0001", seed_metrics={0: {METRIC: 0.5}, 1: {METRIC: 0.6}}))
    lines = shown(StudyTable(rows=tuple(rows)))
    assert lines[-1] == "without undecided responses: t0000 0.675"
    said = View(definition(), 2).sentence(rows[0])
    assert "avg@2 0.550 (0.675 without undecided responses) at step 4" in said
    assert "undecided" not in View(definition(), 2).sentence(rows[1])
    assert not any("undecided" in line for line in shown(StudyTable(rows=(rows[1],))))
    many = tuple(row(f"t{n:04d}", seed_metrics=own) for n in range(40))
    lines = shown(StudyTable(rows=many), width=60, height=16)
    assert len(lines) < 16 and max(map(len, lines)) <= 60
    assert "t0000 0.675, t0039 0.675, 38 more" in " ".join(lines[-2:])


def test_a_stop_that_was_asked_for_is_said(monkeypatch):
    table = StudyTable(rows=(row("t0000"),))
    assert "stopping" not in View(definition(), 2).summary(table)
    monkeypatch.setattr(live_view.interrupts, "stopping", lambda: True)
    assert View(definition(), 2).summary(table).endswith("Ctrl-C again stops at once")
    assert shown(table)[-1] == "stopping; Ctrl-C again stops at once"


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
    assert "; 4 incidents recovered: 3 worker_restarted, 1 disk; " in said
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


def test_the_time_left_follows_a_cluster_that_has_grown():
    running = [row(f"t{n:04d}", TrialState.RUNNING) for n in range(1, 5)]
    table = StudyTable(rows=(row("t0000"), *running))
    # 5 trials of a minute: by the two that there was room for at first, and by the four that run.
    assert "about 2 min left" in View(definition(), 2).summary(StudyTable(rows=(row("t0000"),)))
    assert View(definition(), 2).summary(table).endswith("; 75 s left")


def test_a_trials_time_left_follows_from_its_pace(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(live_view.time, "monotonic", lambda: now[0])
    view = View(definition(), 2)
    assert view._left(row("t0000", TrialState.RUNNING), 0) == ""
    now[0] = 130.0
    assert view._left(row("t0000", TrialState.RUNNING), 3) == "10 s"
    # One that is continued is told by the steps it has made since.
    assert view._left(row("t0001", TrialState.RUNNING, steps=400), 100) == ""
    now[0] = 330.0
    assert view._left(row("t0001", TrialState.RUNNING, steps=400), 200) == "7 min"


def test_a_mean_is_shown_only_of_all_seeds():
    metrics = {0: {METRIC: 0.5, "reward": 0.3}, 1: {METRIC: 0.7}}
    running = row("t0000", TrialState.RUNNING, seed_metrics=metrics)
    assert live_view.mean_over_seeds(running, METRIC) == pytest.approx(0.6)
    assert live_view.mean_over_seeds(running, "reward") is None


def test_a_cause_cannot_move_the_cursor():
    said = View(definition(), 1).sentence(row("t0000", TrialState.FAILED, cause="x\x1b[2J\ny"))
    assert said.endswith(": x\\x1b[2J"), "its first line alone"
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
