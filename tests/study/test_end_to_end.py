"""The real thing in miniature: Ray, Tune, Train, the verifier, the log, the report, the signals."""

import json
import os
import signal
import subprocess
import sys

import pytest
from studies_under_fire import (
    LIMIT_S,
    ROOT,
    SCRIPT,
    assert_no_process_outlives,
    assert_nothing_is_lost,
    wait_for,
    what_happened,
)

from conspo_study.records import TrialState
from conspo_study.results.log import read_log
from conspo_study.results.rows import read_eval_rows, read_steps
from conspo_study.results.table import build_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A cache of its own, shared by the studies of this file."""
    return {**os.environ, "CONSPO_STUDY_CACHE": str(tmp_path_factory.mktemp("cache"))}


def command(results, *arguments):
    return [
        *(sys.executable, str(SCRIPT), "--preset", "quick", "--results", str(results)),
        *arguments,
    ]


def run(environment, results, *arguments):
    return subprocess.run(
        command(results, *arguments),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment,
    )


def table_of(results):
    return build_table(read_log(results / "margin_sweep" / "log.jsonl"))


@pytest.fixture(scope="module")
def finished(environment, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    return results, run(environment, results, "--trials", "7")


def test_an_ended_trial_keeps_its_last_checkpoint_alone(finished):
    results, _ = finished
    for row in table_of(results).all_rows:
        folder = results / "margin_sweep" / "ray" / f"margin_sweep-{row.id}"
        assert len(list(folder.glob("checkpoint_*"))) == 1, row


def test_what_ray_has_to_say_is_not_printed(finished):
    _, process = finished
    assert "worker processes have been started" not in process.stdout + process.stderr


def test_a_study_ends_with_every_trial_accounted_for(finished):
    results, process = finished
    assert process.returncode == 0, process.stdout + process.stderr
    table = table_of(results)
    assert table.finished
    assert len(table.rows) == 7
    assert all(row.state in (TrialState.FINISHED, TrialState.PRUNED) for row in table.rows)
    for row in table.rows:
        assert row.state is TrialState.FINISHED or row.step in row.bars
        assert not (row.label and row.bars)
    anchors = [row for row in table.rows if row.label]
    assert len(anchors) == 5
    assert all(row.state is TrialState.FINISHED and row.step == 4 for row in anchors)


def test_every_trial_has_its_rows_for_both_seeds(finished):
    results, _ = finished
    for row in table_of(results).rows:
        folder = results / "margin_sweep" / "trials" / row.id
        steps = read_steps(folder / "steps.jsonl")
        last = max(step["step"] for step in steps)
        assert [(s["seed"], s["step"]) for s in steps] == [
            (seed, step) for seed in (0, 1) for step in range(1, last + 1)
        ]
        evaluated = read_eval_rows(folder)
        assert {r.seed for r in evaluated} == {0, 1}
        final = [r for r in evaluated if r.step == 4 and r.problem_set == "chain/hard"]
        sampled = [r.verdict == "correct" for r in final if r.sample >= 0]
        if row.state is TrialState.FINISHED:
            assert row.value == pytest.approx(sum(sampled) / len(sampled))


def test_the_output_is_a_table_and_paths_and_no_noise(finished):
    results, process = finished
    assert "t0000 finished" in process.stdout
    assert "Best of the search:" in process.stdout
    folder = results / "margin_sweep"
    for name in ("tables/trials.md", "tables/trials.csv"):
        assert (folder / name).stat().st_size > 100
    for name in ("accuracy_against_margin", "learning_curves"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 5_000
        assert (folder / "figures" / f"{name}.pdf").stat().st_size > 2_000
    assert process.stderr == ""
    assert "(RayTrainWorker" not in process.stdout


def test_nothing_in_the_log_or_snapshot_names_this_machine(finished):
    results, _ = finished
    for name in ("log.jsonl", "snapshot.json", "study.json"):
        text = (results / "margin_sweep" / name).read_text()
        assert str(results) not in text
        assert str(ROOT) not in text


def test_what_was_found_is_measured_again_on_fresh_seeds_and_problems(finished):
    results, process = finished
    table = table_of(results)
    best = table.best()
    assert {row.of for row in table.confirmations} >= {best.id}
    assert all(row.seeds == (1000, 1001, 1002) for row in table.confirmations)
    for row in table.confirmations:
        evaluated = read_eval_rows(results / "margin_sweep" / "trials" / row.id)
        assert {r.problem_id.split("-")[2] for r in evaluated} == {"test"}
    assert "onfirmed on fresh seeds" in process.stdout
    assert (results / "margin_sweep/tables/confirmation.csv").stat().st_size > 100


def test_no_process_outlives_the_study(finished, environment):
    assert_no_process_outlives(environment)


def test_a_finished_study_is_reported_again_and_not_run_again(finished, environment):
    results, _ = finished
    before = (results / "margin_sweep" / "log.jsonl").read_bytes()
    again = run(environment, results, "--trials", "7")
    assert again.returncode == 0
    assert "Best of the search:" in again.stdout
    assert (results / "margin_sweep" / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly_and_resume_completes_the_same_trials(
    finished, environment, tmp_path, number, status
):
    process = subprocess.Popen(
        command(tmp_path, "--trials", "7"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    log = tmp_path / "margin_sweep" / "log.jsonl"
    try:
        wait_for(
            lambda: log.exists() and log.read_text().count('"event":"finished"') >= 1,
            LIMIT_S,
            "the first finished trial",
        )
        process.send_signal(number)
        output, _ = process.communicate(timeout=180)
    finally:
        process.kill()
    assert process.returncode == status, output
    assert "--resume" in output
    assert "Traceback" not in output
    assert_no_process_outlives(environment)
    assert not table_of(tmp_path).finished

    resumed = run(environment, tmp_path, "--trials", "7", "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert_nothing_is_lost(tmp_path / "margin_sweep")
    assert what_happened(tmp_path / "margin_sweep") == what_happened(finished[0] / "margin_sweep")


def test_a_trial_that_diverges_fails_with_its_cause(environment, tmp_path):
    process = run(
        *(environment, tmp_path, "--trials", "5"),
        *("--set", "update.learning_rate=1e30", "--set", "update.max_skipped_steps=1"),
    )
    rows = table_of(tmp_path).rows
    assert len(rows) == 5
    assert {row.state for row in rows} <= {TrialState.FAILED, TrialState.FINISHED}
    failed = [row for row in rows if row.state is TrialState.FAILED]
    assert failed, process.stdout
    assert all("diverged" in row.cause for row in failed), [row.cause for row in failed]
    assert "diverged" in process.stdout


def test_two_workers_run_a_trial_through_ray(environment, tmp_path):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two CPU cores")
    process = run(
        *(environment, tmp_path, "--trials", "5", "--seeds", "0"),
        *("--set", "train.workers=2", "--set", "train.steps=2"),
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert all(row.state is TrialState.FINISHED for row in table_of(tmp_path).rows)
    config = json.loads((tmp_path / "margin_sweep/trials/t0000/config.json").read_text())
    assert config["config"]["train"]["workers"] == 2
