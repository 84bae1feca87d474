"""What the fault tests of whole studies share: commands, conditions, conservation checks."""

import os
import subprocess
import sys
import time
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


def wait_for(condition, seconds, what):
    """Poll until `condition()` is truthy and return it. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.1)
    return found


def processes_with(marker):
    """Living processes, apart from this one, that carry `marker` in their environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                environ = (process / "environ").read_bytes()
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker.encode() in environ and state != "Z":
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found.append(f"{process.name} {command[:120]}")
    return found


def assert_no_process_outlives(environment, seconds=30):
    """No process of a study with this environment's cache is left, soon after its driver."""
    marker = environment["CONSPO_STUDY_CACHE"]
    try:
        wait_for(lambda: not processes_with(marker), seconds, "the end of all processes")
    except TimeoutError as error:
        raise AssertionError(f"{error}: {processes_with(marker)}") from None


def what_happened(folder):
    """All of a study that its definition determines: trials, curves, responses; no times."""
    rows = build_table(read_log(folder / "log.jsonl")).all_rows
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
    """Conservation: every trial that was planned has one ending, and no half-written file stays."""
    events = read_log(folder / "log.jsonl")
    table = build_table(events)
    assert table.finished
    assert all(row.state in (TrialState.FINISHED, TrialState.PRUNED) for row in table.all_rows)
    for row in table.all_rows:
        mine = [logged.event.kind for logged in events if logged.event.trial == row.id]
        assert mine.count(EventKind.SUGGESTED) == 1
        assert mine.count(EventKind.FINISHED) + mine.count(EventKind.PRUNED) == 1
    leftovers = [p for p in folder.rglob("*.tmp") if "ray" not in p.relative_to(folder).parts]
    assert leftovers == []
