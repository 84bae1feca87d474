"""A worker process of Ray Train dies, freezes or fills its disk: trials through the real Ray."""

import json
import os
import re
import resource
import signal

import pytest
from running_trials import TrialRunner
from studies_under_fire import wait_for
from trials_under_fire import (
    STEPS,
    leftovers,
    make_spec,
    run_plain,
    untimed,
    what_it_left,
)

from conspo_study.results.incidents import read_incidents

pytestmark = [pytest.mark.slow, pytest.mark.ray]

TWO_WORKERS = {"train.workers": 2}


@pytest.fixture(scope="module")
def runner(tmp_path_factory, tiny_policy):
    """A Ray for all trials; they find the policy of this session in their cache."""
    folder = tmp_path_factory.mktemp("runner")
    with TrialRunner(folder, CONSPO_STUDY_CACHE=str(tiny_policy.parent)) as runner:
        yield runner


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
    reported = json.loads(reports[-1]["seeds"])
    assert {seed: untimed(metrics) for seed, metrics in reported.items()} == {
        seed: untimed(metrics) for seed, metrics in last.items()
    }


def kinds(spec):
    return [row["type"] for row in read_incidents(spec.folder) if row["type"] != "degenerate_step"]


def test_reports_that_wait_for_a_busy_study_arrive_before_the_trial_ends(runner, tmp_path):
    """Ray's own relay of reports waits for itself forever when a trial ends in this state."""
    spec = make_spec(tmp_path, **{"train.steps": 4, "evaluation.every": 2})
    reports = runner.start(spec, slow_s=3).reports()
    assert [report["step"] for report in reports] == [0, 1, 2, 3, 4]


def test_a_worker_killed_in_a_step_is_replaced(runner, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    trial = runner.start(spec)
    worker = trial.wait_for_worker(rows=2 * 12)
    (record,) = (json.loads(path.read_text()) for path in spec.run_folder.glob("worker-?.json"))
    assert record["pid"] == worker and re.fullmatch("[0-9a-f]{36}", record["placement_group"])
    os.kill(worker, signal.SIGKILL)
    reports = trial.reports()
    assert_undisturbed(spec, reports, undisturbed)
    assert kinds(spec) == ["worker_restarted"]
    assert json.loads(reports[-1]["incidents"]) == read_incidents(spec.folder)


def test_one_of_two_workers_killed_takes_the_other_along_and_both_are_replaced(runner, tmp_path):
    whole = make_spec(tmp_path / "whole", **TWO_WORKERS)
    runner.start(whole).reports()
    spec = make_spec(tmp_path / "killed", **TWO_WORKERS)
    trial = runner.start(spec)
    trial.wait_for_worker(rows=2 * 12)
    pids = [json.loads(path.read_text())["pid"] for path in spec.run_folder.glob("worker-?.json")]
    assert len(pids) == 2
    os.kill(max(pids), signal.SIGKILL)
    assert trial.reports()[-1]["step"] == STEPS
    assert what_it_left(spec) == what_it_left(whole)
    assert kinds(spec) == ["worker_restarted"]


def test_a_worker_killed_while_it_writes_a_checkpoint_is_replaced(runner, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    trial = runner.start(spec)

    def writes_a_checkpoint():
        return any(spec.run_folder.glob("checkpoint_*.partial"))

    trial.kill_worker_while(writes_a_checkpoint, rows=2 * 6)  # the first checkpoint is written
    assert_undisturbed(spec, trial.reports(), undisturbed)
    assert kinds(spec) == ["worker_restarted", "checkpoint_damaged"]


def test_a_frozen_worker_is_ended_and_replaced(tiny_policy, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    settings = {
        "CONSPO_STUDY_CACHE": str(tiny_policy.parent),
        "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "3",
    }
    with TrialRunner(tmp_path, **settings) as runner:
        trial = runner.start(spec)
        frozen = trial.wait_for_worker(rows=2 * 12)
        os.kill(frozen, signal.SIGSTOP)
        wait_for(lambda: frozen not in runner.processes(), 60, "the end of the frozen worker")
        assert_undisturbed(spec, trial.reports(), undisturbed)
    assert kinds(spec) == ["worker_restarted"]
    assert "hanging" in read_incidents(spec.folder)[0]["detail"]


def test_workers_that_die_again_and_again_fail_the_trial_with_the_count(runner, tmp_path):
    spec = make_spec(tmp_path, **{"train.checkpoint_every": STEPS})
    trial = runner.start(spec)
    killed, rows = [], 2 * 15  # the others die before step 15, even where the test hears of it late
    for _ in range(3):
        killed.append(trial.wait_for_worker(rows + 2, other_than=killed))
        rows = trial.rows()
        os.kill(killed[-1], signal.SIGKILL)
    last = trial.reports()[-1]
    assert last["failure"].startswith("the workers died 3 times: ActorDiedError: ")
    assert kinds(spec) == ["worker_restarted"] * 2
    assert len(json.loads(last["incidents"])) >= 2


def test_a_worker_whose_disk_is_full_fails_the_trial_by_name(runner, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    trial = runner.start(spec)
    worker = trial.wait_for_worker(rows=2 * 12)
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    last = trial.reports()[-1]
    assert last["failure"].startswith("disk full: ")
    assert kinds(spec) == []
    assert leftovers(spec) == []
    again = runner.start(spec)  # there is room again
    assert_undisturbed(spec, again.reports(), undisturbed)


def test_ray_trains_own_record_of_a_run_cannot_stand_in_the_way(runner, undisturbed, tmp_path):
    spec = make_spec(tmp_path)
    spec.run_folder.mkdir(parents=True)
    (spec.run_folder / "checkpoint_manager_snapshot.json").write_text('{"ray_version": ')
    assert_undisturbed(spec, runner.start(spec).reports(), undisturbed)
    assert kinds(spec) == ["ray_state_set_aside"]
