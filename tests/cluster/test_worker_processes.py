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


KEPT = """
import json, sys, time
from pathlib import Path
import ray
from conspo_study.cluster.worker_processes import end_all
from conspo_study.results.names import worker_file

ray.init(address="auto", log_to_driver=False)

@ray.remote(num_cpus=0)
class Controller:
    def reserve(self):
        from ray.util.placement_group import placement_group
        group = placement_group([{"CPU": 1}])
        assert group.wait(60)
        return group.id.hex()

def state(group):
    return ray.util.placement_group_table()[group]["state"]

folder = Path(sys.argv[1])
for job in (None, "ff000000"):
    controller = Controller.remote()
    group = ray.get(controller.reserve.remote())
    ray.kill(controller)
    time.sleep(1)
    before = state(group)
    named = group if job is None else group[: -len(job)] + job
    for number, text in enumerate((named, "no id", None)):
        record = {"node": "gone", "pid": 1, "start": 1, "placement_group": text}
        worker_file(folder, number).write_text(json.dumps(record))
    end_all(folder)
    deadline = time.monotonic() + 20
    while job is None and state(group) != "REMOVED" and time.monotonic() < deadline:
        time.sleep(0.1)
    print(before, state(group), sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.slow
@pytest.mark.ray
def test_what_a_lost_run_keeps_reserved_is_given_back_and_nobody_elses(shared_ray, tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", KEPT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **shared_ray},
    )
    assert process.stdout.splitlines() == ["CREATED REMOVED []", "CREATED CREATED []"], process
