"""A whole study where little can be taken for granted: no home, no name, one core of several, a
temporary folder with a long path, and a reader of its output who leaves."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conspo_study.cluster.surroundings import ROOM
from conspo_study.records import EventKind, TrialState
from conspo_study.results.log import read_log
from conspo_study.results.table import build_table

SCRIPT = Path(__file__).parents[1] / "support" / "small_study.py"
STRANGER = ("unshare", "-U", "--map-user=12345", "--map-group=12345")


def can_be_a_stranger():
    try:
        return subprocess.run([*STRANGER, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.skipif(not can_be_a_stranger(), reason="no user namespaces here")
def test_a_study_runs_where_little_can_be_taken_for_granted(tmp_path):
    script, results = tmp_path / "small.py", tmp_path / "with blanks"
    shutil.copy(SCRIPT, script)
    long = tmp_path / ("x" * ROOM)
    long.mkdir()
    absent = ("HOME", "USER", "LOGNAME", "CONSPO_STUDY_CACHE", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in absent}
    here = str(Path(__file__).resolve().parents[2])
    core = str(min(os.sched_getaffinity(0)))
    study = [sys.executable, str(script), "--preset", "quick", f"--results={results}"]
    command = shlex.join([*STRANGER, "taskset", "-c", core, *study])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -2; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**environment, "TMPDIR": str(long), "PYTHONPATH": here},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2 and done.stderr == ""
    events = read_log(results / "small" / "log.jsonl")
    table = build_table(events)
    assert table.finished and [row.state for row in table.rows] == [TrialState.FINISHED] * 2
    order = [
        e.event.kind for e in events if e.event.kind in (EventKind.STARTED, EventKind.FINISHED)
    ]
    assert order == [EventKind.STARTED, EventKind.FINISHED] * 2, "one at a time, as planned"
    assert not (tmp_path / "~").exists()
