"""A process is told from a later one of its number, and a zombie from one that runs."""

import os
import subprocess
import sys

import pytest

from conspo_study.processes.identity import kill, start_of, stat_of


@pytest.fixture
def child():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    yield process
    process.kill()
    process.wait()


def test_a_start_is_told_while_a_process_runs(child):
    start = start_of(child.pid)
    assert start is not None and start >= start_of(os.getpid())
    assert stat_of(child.pid).parent == os.getpid()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_of(child.pid) is None, "a zombie does nothing"
    child.wait()
    assert start_of(child.pid) is None


def test_only_the_process_that_started_then_is_killed(child):
    start = start_of(child.pid)
    assert not kill(child.pid, start + 1)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=0.2)
    assert kill(child.pid, start, wait_s=10)
    assert child.wait(timeout=1) == -9
    assert not kill(child.pid, start)
