"""The study page's server: what it tells, to whom, and that it leaves a study alone."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from watched_study import METRIC

from conspo_study.commands.command_line import main
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.lease import Lease
from conspo_study.results.log import ResultsLog
from conspo_study.results.verdict import keep_verdict
from conspo_study.terminal.status import study_status

ROOT = Path(__file__).resolve().parents[2]


def contents(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in [folder, *folder.rglob("*")]
    }


def test_a_study_is_told_as_status_tells_it(study, watch):
    told = watch(study).ask("study")
    status = study_status(study).as_json()
    assert told["counts"] == status["counts"]
    assert told["driver"] == status["driver"] == {"state": "none", "who": ""}
    assert told["best"] == status["best"]["trial"] == "t0000"
    assert told["incidents"] == status["incidents"]
    assert (told["problem"], told["damage"], told["bytes_left"]) == ("", "", 0)
    assert told["alarms"] == list(status["alarms"]) != []
    assert [(t["id"], t["state"]) for t in told["trials"]] == [
        ("t0000", "finished"),
        ("t0001", "failed"),
        ("t0002", "running"),
    ]
    finished, failed, running = told["trials"]
    assert (finished["value"], finished["values"]) == (0.6, {"0": 0.5, "1": 0.7})
    assert failed["cause"].startswith("it said <script>")
    assert running["latest"] == pytest.approx(0.55)
    assert {METRIC, "reward"} <= set(told["metrics"])


def test_question_and_verdict_are_told_as_the_report_left_them(study, watch):
    page = watch(study)
    assert (page.ask("study")["question"], page.ask("study")["verdict"]) == ("", "")
    stored = json.loads((study / "study.json").read_text())
    stored["definition"]["question"] = "Does it <b>?"
    (study / "study.json").write_text(json.dumps(stored))
    events = page.ask("study")["seq"]
    keep_verdict(study, "t0000 is best.", events)
    assert page.ask("study")["question"] == "Does it <b>?"
    assert page.ask("study")["verdict"] == study_status(study).verdict == "t0000 is best."
    assert "verdict    t0000 is best." in study_status(study).lines()
    with ResultsLog(study / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.REPORTED, "t0002", {"step": 40, "steps": 40, "seeds": {}}))
    assert page.ask("study")["verdict"] == study_status(study).verdict == ""


def test_the_metric_without_undecided_responses_is_told_beside_it(study, watch):
    with ResultsLog(study / "log.jsonl") as log:
        seeds = {"0": {METRIC: 0.5, f"{METRIC}/decided": 0.75}, "1": {METRIC: 0.6}}
        report = {"step": 40, "steps": 40, "seeds": seeds}
        log.append(TrialEvent(EventKind.REPORTED, "t0002", report))
        values = {"0": 0.7, "1": 0.8}
        log.append(TrialEvent(EventKind.FINISHED, "t0002", {"step": 40, "values": values}))
    told = {trial["id"]: trial["decided"] for trial in watch(study).ask("study")["trials"]}
    assert told == {"t0000": None, "t0001": None, "t0002": pytest.approx(0.675)}
    status = study_status(study)
    assert status.best.trial == "t0002" and status.best.decided == pytest.approx(0.675)
    (line,) = [line for line in status.lines() if line.startswith("best")]
    assert "0.750 ± 0.071 (n = 2, finished; 0.675 without undecided responses)" in line


def test_only_what_changed_is_told_again(study, watch):
    page = watch(study)
    first = page.ask("study")
    since = f"epoch={first['epoch']}&since={first['seq']}"
    again = page.ask(f"study?{since}")
    assert (again["trials"], again["reset"]) == ([], False)
    assert page.ask(f"curves?metric={METRIC}&{since}")["curves"] == {}
    with ResultsLog(study / "log.jsonl") as log:
        seeds = {"0": {METRIC: 0.9}, "1": {METRIC: 0.8}}
        log.append(
            TrialEvent(EventKind.REPORTED, "t0002", {"step": 40, "steps": 40, "seeds": seeds})
        )
    (changed,) = page.ask(f"study?{since}")["trials"]
    assert (changed["id"], changed["step"]) == ("t0002", 40)
    (curve,) = page.ask(f"curves?metric={METRIC}&{since}")["curves"].values()
    assert curve == {"steps": [0, 20, 40], "seeds": {"0": [0.5, 0.5, 0.9], "1": [0.6, 0.6, 0.8]}}
    other = page.ask(f"study?epoch={first['epoch'] + 7}&since={first['seq']}")
    assert (len(other["trials"]), other["reset"]) == (3, True)


def test_curves_of_evaluations_have_points_only_where_there_was_one(study, watch):
    curves = watch(study)
    assert curves.ask(f"curves?metric={METRIC}")["curves"]["t0000"]["steps"] == [0, 20, 40]
    reward = curves.ask("curves?metric=reward")["curves"]["t0000"]
    assert reward == {"steps": [0, 10, 20, 40], "seeds": {s: [0, 0.25, 0.5, 1] for s in "01"}}
    assert curves.ask("curves?metric=gap")["curves"] == {}
    assert curves.ask("curves?metric=<script>")["curves"] == {}


def test_a_trial_is_told_with_its_configuration_events_and_curves(study, watch):
    page = watch(study)
    told = page.ask("trial/t0001")
    assert told["config"]["objective"]["tau"] == 1.0
    assert [event["event"] for event in told["events"]] == ["suggested", "started", "failed"]
    assert told["bars"] == {"20": 0.1}
    told = page.ask("trial/t0000")
    assert told["stored"] == {"training": [[0, 1], [0, 11]], "evaluation": [[0, 0]]}
    curves = page.ask("trial/t0000/curves?points=1000")
    assert curves["curves"]["loss"]["seeds"]["1"][:3] == [1, 0.5, 0.33333]
    assert curves["curves"][METRIC]["steps"] == [0, 20, 40]
    assert len(page.ask("trial/t0000/curves?points=8")["curves"]["loss"]["steps"]) == 8
    same = page.ask(f"trial/t0000/curves?version={curves['version']}")
    assert same["curves"] == {} and same["version"] == curves["version"]


def test_rows_that_are_added_torn_or_damaged_are_read_as_far_as_they_are_rows(study, watch):
    page, path = watch(study), study / "trials/t0002/steps.jsonl"
    before = page.ask("trial/t0002/curves?points=1000")
    with path.open("a") as file:
        file.write('{"seed": 0, "step": 21, "loss": NaN}\n{"seed": 0, "step": 22, "los')
    now = page.ask("trial/t0002/curves?points=1000")
    assert now["version"] == before["version"] + 1 and now["problem"] == ""
    with path.open("a") as file:
        file.write('s": 0.5}\nnonsense\n{"seed": 0, "step": 23, "loss": 1e999, "x": [1]}\n')
    now = page.ask("trial/t0002/curves?points=1000")
    assert now["curves"]["loss"]["steps"][-2:] == [20, 22]
    assert "line 43 of steps.jsonl is malformed" in now["problem"]


def test_findings_come_with_the_curves_that_they_are_of(study, watch):
    page, path = watch(study), study / "trials/t0002/steps.jsonl"
    assert page.ask("trial/t0002/curves")["findings"] == []
    with path.open("a") as file:
        for step in range(21, 41):
            row = {"seed": 1, "step": step, "truncated_fraction": 0.5 if step > 30 else 0.0}
            file.write(json.dumps(row) + "\n")
    told = page.ask("trial/t0002/curves")
    (found,) = told["findings"]
    assert (found["name"], found["step"], found["seeds"]) == ("truncation", 33, "1 of 2")
    assert "0.5" in found["evidence"]["1"] and "max_new_tokens" in found["advice"]
    assert "findings" not in page.ask(f"trial/t0002/curves?version={told['version']}")


def test_responses_come_by_page_and_filter(study, watch):
    page = watch(study)
    found = page.ask("trial/t0000/responses?limit=5&offset=5")
    assert (found["total"], len(found["rows"])) == (12, 5)
    assert found["verdicts"] == {"correct": 3, "wrong": 6, "no_answer": 3}
    assert [(row["step"], row["group"], row["rollout"]) for row in found["rows"]] == [
        (1, 1, 1), (1, 1, 2), (1, 1, 3), (11, 1, 0), (11, 1, 1),
    ]  # fmt: skip
    wrong = page.ask("trial/t0000/responses?verdict=wrong&step=1&seed=0")
    assert [row["verdict"] for row in wrong["rows"]] == ["wrong"] * 4
    assert wrong["verdicts"]["correct"] == 2, "counts are those before the filter by verdict"
    long = page.ask("trial/t0000/responses?shortest=6&longest=7")
    assert {row["response_tokens"] for row in long["rows"]} == {6, 7} and long["total"] == 6
    evaluated = page.ask("trial/t0000/responses?source=evaluation")
    assert [row["sample"] for row in evaluated["rows"]] == [-1, 0]
    assert page.ask("trial/t0002/responses")["total"] == 0
    assert page.ask("trial/t0000/responses?seed=7")["total"] == 0


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("source=memory", "unknown source 'memory'; known: training, evaluation"),
        ("verdict=nice", "unknown verdict 'nice'; known: correct"),
        ("step=-1", "not a whole number"),
        ("offset=1e9", "not a whole number"),
        ("step=" + "9" * 40, "not a whole number"),
        ("sorted=yes", "unknown filter sorted; known: finish, limit, longest"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_so(study, watch, question, said):
    page = watch(study)
    assert said in page.ask(f"trial/t0000/responses?{question}", status=400)["error"]


def test_a_damaged_file_of_responses_is_named(study, watch):
    (study / "trials/t0000/rollouts-0-00001.parquet").write_bytes(b"PAR1 nonsense")
    page = watch(study)
    error = page.ask("trial/t0000/responses", status=400)["error"]
    assert "rollouts-0-00001.parquet is not readable" in error
    assert page.ask("trial/t0000/responses?step=11")["total"] == 4


@pytest.mark.parametrize(
    "path",
    ["api/trial/t9999", "api/trial/..%2F..", "api/trial/t0000/x", "api/", "..%2F..%2Fserver.py",
     "../study.json", "study.json", "page/main.js", "server.py", "vendor/", "vendor/LICENSE"],
)  # fmt: skip
def test_there_is_nothing_beside_the_page_and_its_questions(study, watch, path):
    assert watch(study).request(path)[0] == 404


def test_only_this_machine_is_asked(study, watch):
    page = watch(study)
    for host in ("localhost:80", "127.0.0.1", f"127.0.0.1:{page.server.server_port}", "[::1]:9"):
        assert page.request("api/study", {"Host": host})[0] == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
        status, _, body = page.request("api/study", {"Host": host})
        assert status == 403 and b"mini" not in body, host


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD"])
def test_nothing_can_be_sent(study, watch, method):
    assert watch(study).request("api/study", method=method)[0] == 501


@pytest.mark.parametrize(
    "path", ["", "main.js", "style.css", "vendor/uPlot.iife.min.js", "api/study", "api/nothing"]
)
def test_every_answer_carries_the_policy(study, watch, path):
    _, headers, _ = watch(study).request(path)
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy and "*" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Access-Control-Allow-Origin"] is None


def test_a_file_that_the_browser_has_is_not_sent_again(study, watch):
    page = watch(study)
    tag = page.request("main.js")[1]["ETag"]
    assert page.request("main.js", {"If-None-Match": tag})[::2] == (304, b"")


def test_watching_writes_nothing_and_holds_nothing(study, watch):
    before = contents(study)
    page = watch(study)
    for path in ("study", "curves?metric=reward", "trial/t0000", "trial/t0000/curves"):
        page.ask(path)
    page.ask("trial/t0000/responses")
    assert contents(study) == before
    with ResultsLog(study / "log.jsonl", Lease(study / "driver.json")) as log:
        log.append(TrialEvent(EventKind.STUDY_FINISHED))
        assert page.ask("study")["driver"]["state"] == "running"
    assert page.ask("study")["finished"]


def test_a_driver_that_died_is_told(study, watch):
    with ResultsLog(study / "log.jsonl", Lease(study / "driver.json")):
        lease = (study / "driver.json").read_text()
    (study / "driver.json").write_text(lease.replace(f'"pid": {os.getpid()}', '"pid": 4194304'))
    page = watch(study)
    assert page.ask("study")["driver"]["state"] == "dead"
    (study / "driver.json").write_text("{")
    assert page.ask("study")["driver"]["state"] == "unreadable"


def test_a_directory_without_a_study_says_so_until_there_is_one(tmp_path, watch):
    page = watch(tmp_path / "later")
    told = page.ask("study")
    assert "is not a results directory" in told["problem"] and told["trials"] == []
    assert page.ask("curves?metric=reward")["curves"] == {}
    (tmp_path / "later").mkdir()
    (tmp_path / "later/study.json").write_text(
        '{"schema": 1, "definition": {"metric": "m", "trials": 2}}'
    )
    told = page.ask("study")
    assert (told["problem"], told["metric"], told["best"]) == ("", "m", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "cannot be read"), ("[]", "no JSON object"), ('{"schema":9,"definition":{}}', "schema")],
)
def test_a_definition_that_cannot_be_read_is_told_and_the_log_shown(study, watch, text, problem):
    (study / "study.json").write_text(text)
    told = watch(study).ask("study")
    assert problem in told["problem"] and len(told["trials"]) == 3


@pytest.mark.parametrize("junk", [[], "x", 7, None, {"a": []}, [{"metric": []}, 5]])
def test_a_definition_of_anything_leaves_a_page(study, watch, junk):
    fields = ("metric", "direction", "also", "space", "base", "trials", "seeds")
    stored = {"schema": 1, "name": junk, "definition": dict.fromkeys(fields, junk)}
    (study / "study.json").write_text(json.dumps(stored))
    page = watch(study)
    told = page.ask("study")
    assert "its definition has a damaged" in told["problem"] and len(told["trials"]) == 3
    inside = {"also": [junk], "space": {"a": junk}, "base": {"evaluation": junk}, "seeds": junk}
    stored["definition"] = {"metric": "m", "direction": junk, "trials": 2, **inside}
    (study / "study.json").write_text(json.dumps(stored))
    told = page.ask("study")
    assert (told["problem"], len(told["trials"])) == ("", 3)
    assert page.ask("trial/t0000")["row"]["value"] == 0.6
    assert page.ask("curves?metric=eval/chain/hard/avg@2")["curves"]["t0000"]["steps"]


def test_numbers_that_json_does_not_have_become_null(study, watch):
    stored = json.loads((study / "study.json").read_text())
    stored["definition"]["space"] = {"a": {"low": float("nan"), "high": float("inf")}}
    (study / "study.json").write_text(json.dumps(stored))
    (study / "trials/t0000/config.json").write_text('{"config": {"a": {"b": [NaN, -Infinity]}}}')
    page = watch(study)
    assert page.ask("study")["space"] == {"a": {"low": None, "high": None}}
    assert page.ask("trial/t0000")["config"] == {"a": {"b": [None, None]}}


@pytest.fixture
def interruptible():
    """Processes that are started heed Ctrl-C: one in the background hands down that it does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_the_command_says_where_the_page_is_and_ends_quietly(study):
    command = [sys.executable, "-m", "conspo_study", "watch", str(study), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        said = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=120)
    assert re.search(rf"^watch {study} at http://127.0.0.1:\d+/\?token=[\w-]{{43}}  ", said)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_folder_or_port_that_will_not_do_is_named(study, watch, capsys):
    assert main(["watch", str(study / "trials")]) == 2
    assert "trials is not a results directory: it has no study.json" in capsys.readouterr().err
    taken = watch(study).server.server_port
    assert main(["watch", str(study), "--port", str(taken)]) == 2
    assert f"port {taken}: Address already in use; choose another" in capsys.readouterr().err
