"""Whole studies for fault tests: commands, conditions to wait for, conservation checks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from conspo_study.records import EventKind, TrialState
from conspo_study.results.kept import read_rollouts
from conspo_study.results.log import read_log
from conspo_study.results.rows import read_eval_rows, read_steps
from conspo_study.results.table import build_table

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "studies" / "margin_sweep.py"
KILL_AT = Path(__file__).with_name("kill_at.py")
LIMIT_S = 600


def study_arguments(results, *more):
    """Arguments of a sweep in miniature: five anchors, two searched trials, confirmations."""
    return ["--preset", "quick", "--trials", "7", "--results", str(results), *more]


def table_of(folder):
    """The table of trials of a results directory."""
    return build_table(read_log(folder / "log.jsonl"))


def run_study(environment, results, *more, point=None):
    """Run the sweep to its end, or to `point`, where its driver dies."""
    head = [str(SCRIPT)] if point is None else [str(KILL_AT), point, str(SCRIPT)]
    return subprocess.run(
        [sys.executable, *head, *study_arguments(results, *more)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env=environment,
    )


@dataclass(frozen=True)
class Sweep:
    """A sweep that nothing disturbed."""

    folder: Path
    """Its results directory."""
    process: subprocess.CompletedProcess
    environment: dict[str, str]
    """With a cache of its own, by which the processes of studies with it are found."""

    @classmethod
    def run(cls, place):
        environment = {**os.environ, "CONSPO_STUDY_CACHE": str(place / "cache")}
        process = run_study(environment, place / "results")
        assert process.returncode == 0, process.stdout + process.stderr
        return cls(place / "results" / "margin_sweep", process, environment)


def wait_for(condition, seconds, what):
    """Poll until `condition()` is truthy and return it. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.1)
    return value


def processes_with(marker):
    """Living processes, apart from this one, that carry `marker` in their environment."""
    processes = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                environ = (process / "environ").read_bytes()
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in environ and state != "Z":
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                processes.append(f"{process.name} {command[:120]}")
    return processes


def assert_no_process_outlives(environment, seconds=30):
    """Soon after its driver, no process of a study with this environment's cache is left."""
    marker = environment["CONSPO_STUDY_CACHE"]
    try:
        wait_for(lambda: not processes_with(marker), seconds, "the end of all processes")
    except TimeoutError as error:
        raise AssertionError(f"{error}: {processes_with(marker)}") from None


def what_happened(folder):
    """All of a study that its definition determines: trials, curves, responses; no times."""
    rows = table_of(folder).all_rows
    return {row.id: _trial(folder / "trials" / row.id, row) for row in rows}


def _trial(folder, row):
    timed = ("time/", "tokens_per_s", "peak_memory_gib", "mfu")
    return {
        "role": row.role,
        "of": row.of,
        "label": row.label,
        "params": dict(row.params),
        "seeds": row.seeds,
        "bars": dict(row.bars),
        "state": row.state,
        "step": row.step,
        "values": dict(row.values),
        "steps": [
            {name: value for name, value in step.items() if not name.startswith(timed)}
            for step in read_steps(folder / "steps.jsonl")
        ],
        "responses": read_eval_rows(folder),
        "kept": read_rollouts(folder),
    }


def assert_nothing_is_lost(folder):
    """Conservation: every planned trial has exactly one end, and no half-written file is left."""
    events = read_log(folder / "log.jsonl")
    table = build_table(events)
    assert table.finished
    assert all(row.state in (TrialState.FINISHED, TrialState.PRUNED) for row in table.all_rows)
    for row in table.all_rows:
        kinds = [logged.event.kind for logged in events if logged.event.trial == row.id]
        assert kinds.count(EventKind.SUGGESTED) == 1
        assert kinds.count(EventKind.FINISHED) + kinds.count(EventKind.PRUNED) == 1
    leftovers = [p for p in folder.rglob("*.tmp") if "ray" not in p.relative_to(folder).parts]
    assert leftovers == []


def python(place, *arguments, cwd=None, **variables):
    """Run Python with these arguments. place: a folder and the environment of its processes."""
    folder, environment = place
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=cwd or folder,
        env={**environment, **variables},
    )
