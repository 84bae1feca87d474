"""The batch script for Slurm, sent what Slurm sends: the study is continued until it is done."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from studies_under_fire import (
    LIMIT_S,
    ROOT,
    assert_no_process_outlives,
    assert_nothing_is_lost,
    study_arguments,
    wait_for,
    what_happened,
)

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SCRIPT = ROOT / "docs" / "slurm.sbatch"


@pytest.fixture
def slurm(sweep, tmp_path):
    """The environment of a job, in which `scontrol` notes what it is asked."""
    commands = tmp_path / "bin"
    commands.mkdir()
    scontrol = commands / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    scontrol.chmod(0o755)
    python = Path(sys.executable).parent
    path = f"{commands}:{python}:{os.environ['PATH']}"
    return {**sweep.environment, "PATH": path, "SLURM_JOB_ID": "42"}


def test_a_job_that_slurm_stops_again_and_again_comes_to_the_undisturbed_study(
    sweep, slurm, tmp_path
):
    folder = tmp_path / "results" / "margin_sweep"
    command = ["bash", SCRIPT, "margin_sweep", *study_arguments(tmp_path / "results")]

    def reports():
        log = folder / "log.jsonl"
        return log.read_bytes().count(b'"event":"reported"') if log.exists() else 0

    def life(number, send=None):
        known = reports()
        environment = slurm | ({"SLURM_RESTART_COUNT": str(number)} if number else {})
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        ) as job:
            try:
                if send is not None:
                    wait_for(lambda: reports() > known + 1, LIMIT_S, "a report")
                    send(job.pid)
                output, _ = job.communicate(timeout=LIMIT_S)
            finally:
                if job.poll() is None:
                    os.killpg(job.pid, signal.SIGKILL)
        assert_no_process_outlives(slurm)
        return job.returncode, output

    # Before the time limit, `--signal=B:` reaches the shell alone.
    status, output = life(0, lambda job: os.kill(job, signal.SIGTERM))
    assert status == 143, output
    assert not (folder / "driver.json").exists()
    # Preemption and `scancel` reach every process, woken up first.
    status, output = life(1, lambda job: (os.killpg(job, signal.SIGCONT), os.killpg(job, 15)))
    assert status == 143, output
    assert not (folder / "driver.json").exists()
    assert (tmp_path / "asked").read_text() == "requeue 42\n" * 2
    # A node that fails, or a job that outlives KillWait, sends nothing that could be answered.
    status, output = life(2, lambda job: os.killpg(job, signal.SIGKILL))
    assert status == -signal.SIGKILL
    status, output = life(3)
    assert status == 0, output
    assert_nothing_is_lost(folder)
    assert what_happened(folder) == what_happened(sweep.folder)
