"""A worker process of Ray Train dies, freezes or fills its disk: one trial, Ray and all."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from studies_under_fire import wait_for
from trials_under_fire import (
    STEPS,
    leftovers,
    make_spec,
    run_plain,
    untimed,
    what_it_left,
    write_spec,
)

from conspo_study.processes.reaper import MARK
from conspo_study.results.incidents import read_incidents

pytestmark = pytest.mark.slow

ONE_TRIAL = Path(__file__).resolve().parents[1] / "support" / "one_trial.py"
LIMIT_S = 600
TWO_WORKERS = {"train.workers": 2}


class Trial:
    """A trial that runs through Ray in a process of its own."""

    def __init__(self, spec, folder, **environment):
        self.spec = spec
        self.marker = f"CONSPO_TEST={folder}"
        self.output = folder / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(ONE_TRIAL), str(write_spec(spec, folder / "spec.json"))],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "CONSPO_TEST": str(folder), **environment},
            )

    def processes(self, title=""):
        """Process ids of the study's processes whose title holds `title`, apart from its driver."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                variables = (path / "environ").read_bytes().split(b"\0")
                command = (path / "cmdline").read_bytes().decode()
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            marked = any(name.startswith(f"{MARK}=".encode()) for name in variables)
            if marked and self.marker.encode() in variables and title in command and state != "Z":
                found.append(int(path.name))
        return found

    def rows(self):
        """Lines of `steps.jsonl`, repeated steps included."""
        steps = self.spec.folder / "steps.jsonl"
        return steps.read_bytes().count(b"\n") if steps.exists() else 0

    def wait_for_worker(self, rows, other_than=()):
        """The process id of the Train worker, once `steps.jsonl` has this many lines."""

        def worker():
            if self.process.poll() is not None:
                raise AssertionError(f"ended before its worker: {self.output.read_text()[-3000:]}")
            if self.rows() < rows:
                return None
            return [p for p in self.processes("ray::RayTrainWorker") if p not in other_than]

        return wait_for(worker, LIMIT_S, f"a worker with {rows} rows")[0]

    def reports(self):
        """All reports up to the end of the trial; all of its processes must be gone then."""
        try:
            self.process.wait(timeout=LIMIT_S)
        finally:
            self.process.kill()
        output = self.output.read_text()
        assert self.process.returncode == 0, output[-3000:]
        wait_for(lambda: not self.processes(), 60, "the end of all processes of the trial")
        # Ray says on the same stream what died.
        reports = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert reports[-1] == {"ended": ""}
        return reports[:-1]


@pytest.fixture
def start(tmp_path, tiny_policy, monkeypatch):
    """Starts a trial that finds the policy of this session in its cache."""
    trials = []

    def begin(spec, **environment):
        cache = str(tiny_policy.parent)
        trials.append(Trial(spec, tmp_path, CONSPO_STUDY_CACHE=cache, **environment))
        return trials[-1]

    yield begin
    for trial in trials:
        trial.process.kill()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_policy):
    spec = make_spec(tmp_path_factory.mktemp("undisturbed"))
    run_plain(spec, tiny_policy)
    reports = (spec.folder / "reports.jsonl").read_text().splitlines()
    return what_it_left(spec), json.loads(reports[-1])["seeds"]


def assert_undisturbed(spec, reports, undisturbed):
    left, last = undisturbed
    assert what_it_left(spec) == left
    assert leftovers(spec) == []
    assert reports[-1]["step"] == STEPS
    found = json.loads(reports[-1]["seeds"])
    assert {seed: untimed(metrics) for seed, metrics in found.items()} == {
        seed: untimed(metrics) for seed, metrics in last.items()
    }


def kinds(spec):
    return [row["type"] for row in read_incidents(spec.folder) if row["type"] != "degenerate_step"]


def test_reports_that_wait_for_a_busy_study_arrive_before_the_trial_ends(start, tmp_path):
    """Ray's own relay of reports waits for itself, for ever, when a trial ends in this state."""
    spec = make_spec(tmp_path, **{"train.steps": 4, "evaluation.every": 2})
    reports = start(spec, SLOW_S="3").reports()
    assert [report["step"] for report in reports] == [0, 1, 2, 3, 4]


def test_a_worker_killed_in_a_step_is_replaced(start, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    trial = start(spec)
    os.kill(trial.wait_for_worker(rows=2 * 12), signal.SIGKILL)
    reports = trial.reports()
    assert_undisturbed(spec, reports, undisturbed)
    assert kinds(spec) == ["worker_restarted"]
    assert json.loads(reports[-1]["incidents"]) == read_incidents(spec.folder)


def test_one_of_two_workers_killed_takes_the_other_along_and_both_are_replaced(start, tmp_path):
    whole = make_spec(tmp_path / "whole", **TWO_WORKERS)
    start(whole).reports()
    spec = make_spec(tmp_path / "killed", **TWO_WORKERS)
    trial = start(spec)
    trial.wait_for_worker(rows=2 * 12)
    pids = [json.loads(path.read_text())["pid"] for path in spec.run_folder.glob("worker-?.json")]
    assert len(pids) == 2
    os.kill(max(pids), signal.SIGKILL)
    assert trial.reports()[-1]["step"] == STEPS
    assert what_it_left(spec) == what_it_left(whole)
    assert kinds(spec) == ["worker_restarted"]


def test_a_worker_killed_while_it_writes_a_checkpoint_is_replaced(start, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    trial = start(spec)
    worker = trial.wait_for_worker(rows=2 * 6)  # the first checkpoint is written
    deadline = time.monotonic() + LIMIT_S
    while not any(spec.run_folder.glob("checkpoint_*.partial")):
        assert time.monotonic() < deadline
    os.kill(worker, signal.SIGKILL)
    assert_undisturbed(spec, trial.reports(), undisturbed)
    assert kinds(spec) == ["worker_restarted", "checkpoint_damaged"]


def test_a_frozen_worker_is_ended_and_replaced(start, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    trial = start(spec, RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S="3")
    frozen = trial.wait_for_worker(rows=2 * 12)
    os.kill(frozen, signal.SIGSTOP)
    wait_for(lambda: frozen not in trial.processes(), 60, "the end of the frozen worker")
    assert_undisturbed(spec, trial.reports(), undisturbed)
    assert kinds(spec) == ["worker_restarted"]
    assert "hanging" in read_incidents(spec.folder)[0]["detail"]


def test_workers_that_die_again_and_again_fail_the_trial_with_the_count(start, tmp_path):
    spec = make_spec(tmp_path)
    trial = start(spec)
    killed, rows = [], 0
    for _ in range(3):
        killed.append(trial.wait_for_worker(rows + 2, other_than=killed))
        rows = trial.rows()
        os.kill(killed[-1], signal.SIGKILL)
    last = trial.reports()[-1]
    assert last["failure"].startswith("the workers died 3 times: ActorDiedError: ")
    assert kinds(spec) == ["worker_restarted"] * 2
    assert len(json.loads(last["incidents"])) >= 2


def test_a_worker_whose_disk_is_full_fails_the_trial_by_name(start, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    trial = start(spec)
    worker = trial.wait_for_worker(rows=2 * 12)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    last = trial.reports()[-1]
    assert last["failure"].startswith("disk full: ")
    assert kinds(spec) == []
    assert leftovers(spec) == []
    again = start(spec)  # there is room again
    assert_undisturbed(spec, again.reports(), undisturbed)


def test_ray_trains_own_record_of_a_run_cannot_stand_in_the_way(start, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    spec.run_folder.mkdir(parents=True)
    (spec.run_folder / "checkpoint_manager_snapshot.json").write_text('{"ray_version": ')
    assert_undisturbed(spec, start(spec).reports(), undisturbed)
    assert kinds(spec) == ["ray_state_set_aside"]
