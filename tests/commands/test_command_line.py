"""Asking a results directory: what it says of a study, and that only what may write does."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from study_fixtures import TAU, definition

from conspo_study.commands.command_line import main
from conspo_study.records import EventKind, StudyError, TrialEvent
from conspo_study.results.lease import Lease
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.log import LogContent, ResultsLog, read_log
from conspo_study.results.table import TableBuilder
from conspo_study.results.verdict import keep_verdict
from conspo_study.study import Study
from conspo_study.terminal.status import study_status

ROOT = Path(__file__).resolve().parents[2]
FROZEN = ROOT / "tests" / "assets" / "results_v2"


@pytest.fixture(autouse=True)
def code(monkeypatch):
    """These tests must not fail because somebody edits a file while they run."""
    identity = {"hash": "c0de", "git": None, "files": {}}
    monkeypatch.setattr("conspo_study.study.claim.code_identity", lambda **_: identity)


@pytest.fixture
def frozen(tmp_path):
    return Path(shutil.copytree(FROZEN, tmp_path / "two aims"))


@pytest.fixture
def launched(monkeypatch):
    """Replaces Ray and the report by a record of what would have run; every trial finishes."""
    calls = []

    def launch(study, folder, log, plan, console, retried, expected_nodes):
        calls.append(study.trials)
        for number in range(len(log.table.rows), study.trials):
            trial = f"t{number:04d}"
            suggestion = {"params": {TAU: float(number)}, "seeds": [0, 1]}
            log.append(TrialEvent(EventKind.SUGGESTED, trial, suggestion))
            values = {"0": 0.5, "1": 0.6}
            log.append(TrialEvent(EventKind.FINISHED, trial, {"step": 4, "values": values}))
        return True

    monkeypatch.setattr("conspo_study.cluster.launch.launch", launch)
    monkeypatch.setattr(
        "conspo_study.commands.run.report", lambda folder: print("report of", folder)
    )
    return calls


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study that was interrupted before its first trial."""
    with monkeypatch.context() as context:
        context.setattr("conspo_study.cluster.launch.launch", lambda *arguments: False)
        return definition(Study, name="short", trials=4).run(tmp_path).folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_status_tells_all_of_a_study_and_writes_nothing(frozen, capsys):
    before = contents(frozen)
    assert main(["status", str(frozen)]) == 0
    said = capsys.readouterr().out
    for line in (
        "driver     not running",
        "trials     3 finished, 2 pruned, 1 failed; budget 6",
        "open       c0001 at step 2 of 4",
        "failed     t0004 at step 1: diverged: \\x1b[31m gradient = nan",
        "incidents  1 x node_lost, 3 x worker_restart, 1 x checkpoint_damaged, all recovered",
        "best       t0003 0.625 ± 0.035 (n = 2, finished)",
        "confirmed  t0000 as c0000 0.420 ± 0.020 (n = 3, finished)",
        "accepted   code: git 0123456789ab there",
        f"next       conspo resume {shlex.quote(str(frozen))}",
    ):
        assert line in said, said
    assert "\x1b" not in said
    assert contents(frozen) == before


def test_status_for_machines_is_one_json_object(frozen, capsys):
    assert main(["status", "--json", str(frozen)]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["counts"]["finished"] == 3
    assert status["best"]["trial"] == "t0003" and status["best"]["n"] == 2
    assert status["driver"] == {"state": "none", "who": ""}
    assert status["open"][0]["trial"] == "c0001"


def test_status_of_a_running_study_names_its_driver(frozen):
    with ResultsLog(frozen / "log.jsonl", Lease(frozen / "driver.json")):
        status = study_status(frozen)
        assert status.driver.state == "running"
        assert f"process {os.getpid()} on host {socket.gethostname()}" in status.driver.who
        assert status.next.startswith("running: Ctrl-C")


@pytest.mark.parametrize(
    ("change", "state", "advice"),
    [
        ({"process_start": 1}, "dead", "resume"),
        ({"scope": "another machine"}, "silent", "--takeover"),
        ({"pid": "no number"}, "unreadable", "--takeover"),
    ],
)
def test_status_judges_a_driver_that_is_gone(frozen, change, state, advice):
    path = frozen / "driver.json"
    lease = Lease(path)
    lease.acquire()
    holder = json.loads(path.read_text())
    lease.release()
    path.write_text(json.dumps({**holder, **change}))
    status = study_status(frozen, wait=lambda seconds: None)
    assert status.driver.state == state and advice in status.next


def test_status_believes_a_counter_that_moves(frozen):
    path = frozen / "driver.json"
    with ResultsLog(frozen / "log.jsonl", Lease(path)):
        holder = {**json.loads(path.read_text()), "scope": "another machine", "host": "elsewhere"}

        def wait(seconds):
            holder["heartbeat"] += 1
            path.write_text(json.dumps(holder))

        assert study_status(frozen, wait=wait).driver.state == "running"


@pytest.mark.parametrize(
    ("reports", "seconds"),
    [
        ([("10", 10)], None),
        ([("10", 10), ("15", 20)], 35),
        ([("10", 10), ("05", 20)], None),
        ([("10", 10), ("15", 20), None, ("40", 20), ("50", 30)], 60),
    ],
    ids=["one report", "two reports", "the clock jumped", "started again"],
)
def test_time_left_is_told_from_the_reports_since_the_last_start(
    frozen, monkeypatch, reports, seconds
):
    events = [e for e in read_log(frozen / "log.jsonl") if e.event.kind is not EventKind.REPORTED]
    for report in reports:
        moment, step = report or ("30", 0)
        kind = EventKind.REPORTED if report else EventKind.STARTED
        event = TrialEvent(kind, "c0001", {"step": step, "steps": 90})
        events.append(LoggedEvent(len(events) + 1, f"2026-01-01T00:00:{moment}.000Z", event))
    content = LogContent(events, TableBuilder(events))
    monkeypatch.setattr("conspo_study.terminal.status.events_to_show", lambda folder: content)
    assert study_status(frozen).open[0].seconds_left == seconds


def test_a_folder_without_a_study_is_refused(tmp_path, capsys):
    for command in ("status", "plan", "resume", "export", "repair"):
        assert main([command, str(tmp_path)]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ") and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_status_of_a_damaged_log_names_the_command_that_repairs_it(frozen, capsys):
    path = frozen / "log.jsonl"
    path.write_bytes(path.read_bytes().replace(b"0.31", b"0.32", 1))
    assert main(["status", str(frozen)]) == 2
    assert f"conspo repair {shlex.quote(str(frozen))}" in capsys.readouterr().err
    assert main(["repair", str(frozen)]) == 0
    assert "mv log.jsonl log.jsonl.damaged && mv log.jsonl.repaired-1 log.jsonl" in (
        capsys.readouterr().out
    )
    assert main(["status", str(frozen)]) == 2, "repair decides nothing"


def test_plan_shows_the_study_of_the_directory(folder, capsys):
    assert main(["plan", str(folder)]) == 0
    assert "4 (2 baselines, 2 searched) x 2 seeds" in capsys.readouterr().out


def test_resume_needs_the_directory_alone_and_reports(folder, launched, tmp_path, capsys):
    moved = folder.rename(tmp_path / "moved")
    assert main(["resume", str(moved)]) == 0
    assert launched == [4]
    assert f"report of {moved}" in capsys.readouterr().out
    assert study_status(moved).finished


def test_resuming_a_finished_study_says_so_and_exits_0(folder, launched, capsys):
    main(["resume", str(folder)])
    before = contents(folder)
    assert main(["resume", str(folder)]) == 0
    assert "Nothing to do: all trials of short have ended." in capsys.readouterr().out
    assert launched == [4] and contents(folder) == before
    assert study_status(folder).next == f"conspo report {folder}"
    keep_verdict(folder, "It is so.", len(list(read_log(folder / "log.jsonl"))))
    assert study_status(folder).next == f"open {folder}/report.html"


def test_extend_raises_the_budget_and_never_lowers_it(folder, launched, capsys):
    main(["resume", str(folder)])
    assert main(["extend", str(folder), "--trials", "6"]) == 0
    assert launched == [4, 6]
    assert study_status(folder).trials == 6
    for trials in ("6", "3"):
        assert main(["extend", str(folder), "--trials", trials]) == 2
        assert "has a budget of 6 trials already" in capsys.readouterr().err
    assert launched == [4, 6]


def test_an_interrupted_resume_says_how_to_go_on(folder, monkeypatch, capsys):
    monkeypatch.setattr("conspo_study.cluster.launch.launch", lambda *arguments: False)
    assert main(["resume", str(folder)]) == 130
    assert f"conspo resume {shlex.quote(str(folder))}" in capsys.readouterr().out


def test_export_writes_one_file_where_it_is_told_to(frozen, tmp_path, capsys):
    before = contents(frozen)
    assert main(["export", str(frozen), "--sqlite", str(tmp_path / "x.db")]) == 0
    assert f"optuna-dashboard sqlite:///{tmp_path / 'x.db'}" in capsys.readouterr().out
    assert (tmp_path / "x.db").stat().st_size > 10_000
    assert contents(frozen) == before


def test_a_definition_that_this_version_does_not_understand_is_refused(frozen):
    path = frozen / "study.json"
    stored = json.loads(path.read_text())
    stored["definition"]["surprise"] = 1
    path.write_text(json.dumps(stored))
    with pytest.raises(StudyError, match="surprise"):
        Study.of_folder(frozen)
    assert study_status(frozen).trials == 6, "its status can still be told"


def test_the_module_is_the_command(frozen):
    done = subprocess.run(
        [sys.executable, "-m", "conspo_study", "status", str(frozen)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert "\nstudy      two-aims in " in done.stdout
