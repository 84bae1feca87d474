"""Signals, a full disk or another driver end a study in its course. It can always go on.

Real processes and real signals; only what Ray would run is replaced.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from study_fixtures import definition

from conspo_study.commands.carry_out import carry_out
from conspo_study.processes.interrupts import STOP_S
from conspo_study.results.log import read_log
from conspo_study.results.table import build_table
from conspo_study.study import Study
from conspo_study.terminal.console import Console

TESTS = Path(__file__).resolve().parents[1]
PATIENCE_S = 60
DRIVER = """
import resource, signal, sys, time, types
from pathlib import Path
from study_fixtures import TAU, definition
from conspo_study.processes import interrupts
from conspo_study.study import claim
from conspo_study.commands.carry_out import carry_out
from conspo_study.terminal.console import Console
from conspo_study.records import EventKind, TrialEvent
from conspo_study.study import Study

def suggest(log, number):
    data = {{"params": {{TAU: 1.0}}, "seeds": [0, 1]}}
    log.append(TrialEvent(EventKind.SUGGESTED, f"t{{number:04d}}", data))

def launch(study, folder, log, plan, console, retried, expected_nodes):
    if not log.table.rows:
        suggest(log, 0)
{body}

# These tests must not fail because somebody edits a file while they run.
claim.code_identity = lambda **_: {{"hash": "c0de", "git": None, "files": {{}}}}
sys.modules["conspo_study.cluster.launch"] = types.SimpleNamespace(launch=launch)
study = definition(Study)
run = lambda: study.run(Path(sys.argv[1]), resume="resume" in sys.argv)
raise SystemExit(carry_out(run, lambda folder: print("reported"), Console()))
"""
WAITS = """
    print("running", flush=True)
    while True:
        time.sleep(0.01)
"""
TUNE = """
    stopped = []
    signal.signal(signal.SIGUSR1, lambda number, frame: stopped.append(number))
    print("running", flush=True)
    while not stopped:
        time.sleep(0.01)
{after}
    return False
"""
STOPS = """
    print("stopping", flush=True)
"""
FILLS = """
    size = log.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 400, limits[1]))
    for number in range(1, 100):
        try:
            suggest(log, number)
        except OSError:
            if {swallows}:
                return False
            raise RuntimeError("wrapped by somebody")
"""
COMPLETES = """
    return True
"""


SIGNALS = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
# Says so only inside the `try`: a signal before it would end the study in order.
HANGS = """
    try:
        print("{says}", flush=True)
        time.sleep(60)
    finally:
        time.sleep(60)
"""


def command(results, body, *arguments):
    return [sys.executable, "-c", DRIVER.format(body=body), str(results), *arguments]


PLACES = os.pathsep.join([str(TESTS.parent), str(TESTS / "support")])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PLACES}


def run(results, body, *arguments):
    return subprocess.run(
        command(results, body, *arguments),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=ENVIRONMENT,
    )


def ignore_hangup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def running(results, body, **how):
    """A study that has said that it is running."""
    with subprocess.Popen(
        command(results, body),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        **how,
    ) as process:
        try:
            assert process.stdout.readline() == "running\n", process.stderr.read()
            yield process
        finally:
            process.kill()


@pytest.fixture
def goes_on(monkeypatch, capsys):
    """A function that has the study resumed, here, and sees it come to its end."""
    identity = {"hash": "c0de", "git": None, "files": {}}
    monkeypatch.setattr("conspo_study.study.claim.code_identity", lambda **_: identity)
    monkeypatch.setattr("conspo_study.cluster.launch.launch", lambda *_: True)

    def resume(results):
        folder = results / "test"
        read_log(folder / "log.jsonl")
        capsys.readouterr()
        study = definition(Study)
        status = carry_out(lambda: study.run(results, resume=True), print, Console())
        printed = capsys.readouterr()
        assert printed.err == ""
        assert status == 1, "it is complete, and none of its trials has finished"
        assert str(folder) in printed.out.splitlines(), "it was reported"
        assert build_table(read_log(folder / "log.jsonl")).finished
        assert not (folder / "driver.json").exists()

    return resume


@SIGNALS
def test_a_signal_ends_a_study_that_can_be_resumed(tmp_path, goes_on, number, status):
    with running(tmp_path, WAITS) as study:
        study.send_signal(number)
        output, errors = study.communicate(timeout=PATIENCE_S)
    assert study.returncode == status
    assert errors == ""
    assert f"conspo resume {tmp_path / 'test'}" in output
    assert not (tmp_path / "test" / "driver.json").exists(), "the lease was given back"
    goes_on(tmp_path)


@SIGNALS
def test_tune_is_asked_to_stop_in_order(tmp_path, number, status):
    with running(tmp_path, TUNE.format(after=STOPS)) as study:
        study.send_signal(number)
        output, errors = study.communicate(timeout=PATIENCE_S)
    assert study.returncode == status
    assert output.startswith("stopping\n") and errors == ""


@SIGNALS
def test_a_second_signal_ends_it_at_once(tmp_path, goes_on, number, status):
    with running(tmp_path, TUNE.format(after=HANGS.format(says="stopping"))) as study:
        study.send_signal(number)
        assert study.stdout.readline() == "stopping\n"
        study.send_signal(number)
        _, errors = study.communicate(timeout=PATIENCE_S)
    assert study.returncode == status
    assert "stopped at once; continue with --resume" in errors and "Traceback" not in errors
    assert not (tmp_path / "test" / "driver.json").exists(), "the lease was given back"
    goes_on(tmp_path)


@pytest.mark.parametrize(
    "body", [TUNE.format(after=HANGS.format(says="stopping")), HANGS.format(says="running")]
)
def test_a_study_that_cannot_stop_in_order_is_ended_in_time(tmp_path, goes_on, body):
    """A signal to the whole process group ends Ray, which then answers nothing any more."""
    with running(tmp_path, body) as study:
        sent = time.monotonic()
        study.terminate()
        _, errors = study.communicate(timeout=PATIENCE_S)
        took = time.monotonic() - sent
    assert study.returncode == 143
    assert STOP_S <= took < 2 * STOP_S
    assert "not stopped in order within 4 s" in errors and "Traceback" not in errors
    assert not (tmp_path / "test" / "driver.json").exists(), "the lease was given back"
    goes_on(tmp_path)


def test_under_nohup_the_end_of_the_terminal_is_nothing(tmp_path):
    ignores = "    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
    with running(tmp_path, ignores + WAITS, preexec_fn=ignore_hangup) as study:
        study.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert study.poll() is None
        study.terminate()
        study.communicate(timeout=PATIENCE_S)
    assert study.returncode == 143


@SIGNALS
def test_after_tune_has_ended_a_signal_interrupts_at_once(tmp_path, goes_on, number, status):
    ended = "    signal.signal(signal.SIGUSR1, lambda *_: None)\n    interrupts.tune_has_ended()"
    with running(tmp_path, ended + WAITS) as study:
        study.send_signal(number)
        _, errors = study.communicate(timeout=PATIENCE_S)
    assert (study.returncode, errors) == (status, "")
    goes_on(tmp_path)


def test_handlers_that_a_library_set_are_taken_back(tmp_path):
    library = "    signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n"
    with running(tmp_path, library + "    interrupts.handle_again()" + WAITS) as study:
        study.terminate()
        study.communicate(timeout=PATIENCE_S)
    assert study.returncode == 143


def test_a_library_that_exits_on_sigterm_interrupts_the_study(tmp_path):
    library = "    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))\n"
    with running(tmp_path, library + WAITS) as study:
        study.terminate()
        output, _ = study.communicate(timeout=PATIENCE_S)
    assert study.returncode == 143 and "--resume" in output


@pytest.mark.parametrize("swallows", [True, False])
def test_a_full_disk_stops_the_study_with_one_message(tmp_path, goes_on, swallows):
    study = run(tmp_path, FILLS.format(swallows=swallows))
    assert study.returncode == 1
    assert "Traceback" not in study.stderr
    line, *steps = study.stderr.splitlines()
    assert "conspo resume" in steps[0] and len(steps) == 4
    assert line.startswith("error: no space left: ")
    assert "log.jsonl" in line and "--resume" in line
    assert "reported" not in study.stdout
    before = len(read_log(tmp_path / "test" / "log.jsonl"))
    goes_on(tmp_path)
    assert len(read_log(tmp_path / "test" / "log.jsonl")) == before + 2


def test_a_full_disk_elsewhere_stops_the_study_too(tmp_path):
    body = '    raise OSError(28, "No space left on device", "trials/t0000/config.json")'
    study = run(tmp_path, body)
    assert study.returncode == 1
    assert study.stderr.startswith("error: no space left: ") and "config.json" in study.stderr


def test_a_driver_that_was_replaced_stops_and_says_by_whom(tmp_path):
    with running(tmp_path, WAITS) as study:
        lease = tmp_path / "test" / "driver.json"
        theirs = {**json.loads(lease.read_text()), "host": "elsewhere", "token": "theirs"}
        other = tmp_path / "theirs.json"
        other.write_text(json.dumps(theirs))
        other.replace(lease)
        _, errors = study.communicate(timeout=PATIENCE_S)
    assert study.returncode == 1
    assert "was taken over by process" in errors and "on host elsewhere" in errors
    assert "Traceback" not in errors
    assert json.loads(lease.read_text()) == theirs


def test_a_killed_driver_is_followed_by_the_next(tmp_path):
    with running(tmp_path, WAITS) as study:
        pid = study.pid
        study.kill()
        study.communicate()
    resumed = run(tmp_path, COMPLETES, "resume")
    assert f"process {pid}" in resumed.stdout and "died" in resumed.stdout
    assert "reported" in resumed.stdout


def test_a_second_driver_is_refused_and_told_the_first(tmp_path):
    with running(tmp_path, WAITS) as study:
        started = time.strftime("%Y-", time.gmtime())
        second = run(tmp_path, COMPLETES, "resume")
        assert second.returncode == 2
        for part in (f"process {study.pid} on host", f"which began at {started}"):
            assert part in second.stderr
        assert study.poll() is None
