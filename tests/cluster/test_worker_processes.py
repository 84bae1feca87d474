"""Only the recorded worker is ended, in whatever state it is, and nobody who bears its number."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from studies_under_fire import wait_for

from conspo_study.cluster.worker_processes import end
from conspo_study.processes.identity import start_of

SLEEPER = "import time; time.sleep(300)"


@pytest.fixture
def sleeper():
    """Starts a process with this title."""
    started = []

    def start(title):
        process = subprocess.Popen([sys.executable, "-c", SLEEPER, title])
        started.append(process)
        cmdline = Path(f"/proc/{process.pid}/cmdline")
        # A process that has just replaced its program has no command line for a moment.
        wait_for(lambda: title.encode() in cmdline.read_bytes(), 30, f"a process called {title}")
        return process, start_of(process.pid)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_frozen_worker_is_ended(sleeper):
    process, start = sleeper("ray::RayTrainWorker")
    os.kill(process.pid, signal.SIGSTOP)
    end(process.pid, start)
    assert process.wait(timeout=5) == -signal.SIGKILL


@pytest.mark.parametrize(("title", "later"), [("ray::RayTrainWorker", 1), ("editor", 0)])
def test_another_process_of_that_number_is_left_alone(sleeper, title, later):
    process, start = sleeper(title)
    end(process.pid, start + later)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.2)


def test_a_process_that_is_gone_is_no_error():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    end(process.pid, 1)
