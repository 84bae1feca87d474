"""The real thing in miniature: Ray, Tune, Train, the verifier, the log, the report, the signals."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from studies_under_fire import (
    LIMIT_S,
    ROOT,
    SCRIPT,
    assert_no_process_outlives,
    run_study,
    study_arguments,
    table_of,
    wait_for,
)

from conspo_study.records import TrialState
from conspo_study.results.rows import read_eval_rows, read_steps

pytestmark = [pytest.mark.slow, pytest.mark.ray]

TWO_TRIALS = Path(__file__).parents[1] / "support" / "two_trials.py"


def test_an_ended_trial_keeps_its_last_checkpoint_alone(sweep):
    for row in table_of(sweep.folder).all_rows:
        folder = sweep.folder / "ray" / f"margin_sweep-{row.id}"
        assert len(list(folder.glob("checkpoint_*"))) == 1, row


def test_what_ray_has_to_say_is_not_printed(sweep):
    assert "worker processes have been started" not in sweep.process.stdout + sweep.process.stderr


def test_a_study_ends_with_every_trial_accounted_for(sweep):
    table = table_of(sweep.folder)
    assert table.finished
    assert len(table.rows) == 7
    assert all(row.state in (TrialState.FINISHED, TrialState.PRUNED) for row in table.rows)
    for row in table.rows:
        assert row.state is TrialState.FINISHED or row.step in row.bars
        assert not (row.label and row.bars)
    anchors = [row for row in table.rows if row.label]
    assert len(anchors) == 5
    assert all(row.state is TrialState.FINISHED and row.step == 4 for row in anchors)


def test_every_trial_has_its_rows_for_both_seeds(sweep):
    for row in table_of(sweep.folder).rows:
        folder = sweep.folder / "trials" / row.id
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


def test_the_output_is_a_table_and_paths_and_no_noise(sweep):
    assert "t0000 finished" in sweep.process.stdout
    assert "Best search trial:" in sweep.process.stdout
    for name in ("tables/trials.md", "tables/trials.csv"):
        assert (sweep.folder / name).stat().st_size > 100
    for name in ("accuracy_against_margin", "learning_curves"):
        assert (sweep.folder / "figures" / f"{name}.png").stat().st_size > 5_000
        assert (sweep.folder / "figures" / f"{name}.pdf").stat().st_size > 2_000
    assert sweep.process.stderr == ""
    assert "(RayTrainWorker" not in sweep.process.stdout


def test_nothing_in_the_log_or_snapshot_names_this_machine(sweep):
    for name in ("log.jsonl", "snapshot.json", "study.json"):
        text = (sweep.folder / name).read_text()
        assert str(sweep.folder.parent) not in text
        assert str(ROOT) not in text


def test_what_was_found_is_measured_again_on_fresh_seeds_and_problems(sweep):
    table = table_of(sweep.folder)
    best = table.best()
    assert {row.of for row in table.confirmations} >= {best.id}
    assert all(row.seeds == (1000, 1001, 1002) for row in table.confirmations)
    for row in table.confirmations:
        evaluated = read_eval_rows(sweep.folder / "trials" / row.id)
        assert {r.problem_id.split("-")[2] for r in evaluated} == {"test"}
    assert "onfirmed on fresh seeds" in sweep.process.stdout
    assert (sweep.folder / "tables/confirmation.csv").stat().st_size > 100


def test_no_process_outlives_the_study(sweep):
    assert_no_process_outlives(sweep.environment)


def test_a_finished_study_is_reported_again_and_not_run_again(sweep):
    before = (sweep.folder / "log.jsonl").read_bytes()
    again = run_study(sweep.environment, sweep.folder.parent)
    assert again.returncode == 0
    assert "Best search trial:" in again.stdout
    assert (sweep.folder / "log.jsonl").read_bytes() == before


def test_ctrl_c_in_a_terminal_ends_it_cleanly(sweep, tmp_path):
    """It reaches every process of the study; `test_slurm` resumes after signals."""
    folder = tmp_path / "margin_sweep"

    def reported():
        log = folder / "log.jsonl"
        return log.exists() and '"event":"reported"' in log.read_text()

    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *study_arguments(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=sweep.environment,
        start_new_session=True,
    )
    try:
        wait_for(reported, LIMIT_S, "a report")
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output and "ERROR" not in output, output
    assert not (folder / "driver.json").exists()
    assert_no_process_outlives(sweep.environment)
    assert not table_of(folder).finished


def test_two_workers_run_a_trial_and_one_that_diverges_has_collapsed(shared_ray, tmp_path):
    workers = min(2, len(os.sched_getaffinity(0)))
    settings = {"train.workers": workers, "update.max_skipped_steps": 1}
    changes = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    process = subprocess.run(
        [sys.executable, str(TWO_TRIALS), "--preset=quick", f"--results={tmp_path}", *changes],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, **shared_ray},
    )
    folder = tmp_path / "two_trials"
    calm, wild = table_of(folder).rows
    assert calm.state is TrialState.FINISHED, process.stdout + process.stderr
    config = json.loads((folder / "trials/t0000/config.json").read_text())
    assert config["config"]["train"]["workers"] == workers
    assert wild.state is TrialState.COLLAPSED, wild.cause
    assert wild.step == wild.steps and wild.value is not None
    assert wild.collapses[0].cause.startswith("diverged: ")
    assert "diverged" in process.stdout
