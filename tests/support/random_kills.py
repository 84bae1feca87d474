"""Disturbs whichever process of a running study a random generator chooses, at a random moment.

As a script it disturbs studies as often as asked and prints a table:
`random_kills.py SEED DISTURBANCES FOLDER`.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from studies_under_fire import (
    SCRIPT,
    Sweep,
    assert_no_process_outlives,
    assert_nothing_is_lost,
    study_arguments,
    wait_for,
    what_happened,
)

from conspo_study.processes.identity import stat_of

KINDS = {
    "trial driver": (b"ray::TrialDriver",),
    "controller": (b"ray::TrainController",),
    "worker": (b"ray::RayTrainWorker",),
    "queue": (b"ray::_QueueActor",),
    "fork server": (b"conspo_study.processes.fork_server",),
    "reaper": (b"conspo_study.processes.reaper",),
    "verifier": (b"conspo_study.reward.worker",),
    "raylet": (b"/raylet/raylet",),
    "GCS": (b"/gcs/gcs_server",),
    "agent": (b"dashboard/agent.py", b"runtime_env/agent", b"DashboardAgent", b"RuntimeEnvAgent"),
    "dashboard": (b"dashboard/dashboard.py", b"ray-dashboard", b"DashboardHead"),
    "log monitor": (b"log_monitor.py",),
}
"""Kind of process to parts of its command line."""
DRIVER, GROUP, BOTH = "driver", "group", "driver and reaper"
END_S = 400
"""Longest time in which a disturbed study must get on."""


@dataclass
class Record:
    """What was done, and what came of it."""

    disturbed: Counter[str] = field(default_factory=Counter)
    """By kind of process and signal."""
    ended: Counter[str] = field(default_factory=Counter)
    """Lives of drivers, by exit status."""
    studies: int = 0
    """Studies that came to their end, each the same as the undisturbed one."""

    def lines(self):
        yield from (f"{count:4} {what}" for what, count in sorted(self.disturbed.items()))
        ended = ", ".join(f"{count} with {status}" for status, count in self.ended.items())
        yield f"{self.ended.total()} lives of drivers: {ended}; {self.studies} studies, all equal"


def processes_of(driver):
    """Processes below a driver, by kind, with the driver itself."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        if (stat := stat_of(int(path.name))) is not None:
            parents[int(path.name)] = stat.parent
    below, added = {driver}, {driver}
    while added:
        added = {pid for pid, parent in parents.items() if parent in added} - below
        below |= added
    found = {DRIVER: [driver]}
    for pid in sorted(below - {driver}):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            for kind, parts in KINDS.items():
                if any(part in command for part in parts):
                    found.setdefault(kind, []).append(pid)
    return found


def disturb(driver, generator, record):
    """Kill, or stop for a while, one process of the study, or end several together."""
    found = processes_of(driver)
    kind = generator.choice([*found, GROUP, BOTH])
    if kind == GROUP:
        number = generator.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
        record.disturbed[f"{number.name} to the group"] += 1
        os.killpg(driver, number)
    elif kind == BOTH:
        record.disturbed["SIGKILL to driver and reaper"] += 1
        for pid in (*found.get("reaper", ()), driver):
            os.kill(pid, signal.SIGKILL)
    else:
        pid = generator.choice(found[kind])
        frozen = kind != "reaper" and generator.random() < 0.25
        record.disturbed[f"{'SIGSTOP' if frozen else 'SIGKILL'} to {kind}"] += 1
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGKILL)
            if frozen:
                time.sleep(generator.uniform(0.5, 5))
                os.kill(pid, signal.SIGCONT)


class UnderFire:
    """A study that is disturbed, life after life, until it is done."""

    def __init__(self, environment, results, generator, record):
        self.environment, self.results = environment, results
        self.folder = results / "margin_sweep"
        self.generator, self.record = generator, record
        self.lives = 0

    def live(self, disturbances):
        """Run a driver and disturb it until it ends; returns how many disturbances are left, and
        whether the study is complete."""
        resume = ["--resume"] if (self.folder / "study.json").exists() else []
        self.lives += 1
        output = self.results.parent / f"life{self.lives}.txt"
        with output.open("wb") as file:
            driver = subprocess.Popen(
                [sys.executable, str(SCRIPT), *study_arguments(self.results, *resume)],
                stdout=file,
                stderr=file,
                env=self.environment,
                start_new_session=True,
            )
        try:
            while disturbances and self._comes_to_a_moment(driver):
                disturb(driver.pid, self.generator, self.record)
                disturbances -= 1
            driver.wait(END_S)
        finally:
            driver.kill()
            driver.wait()
        self.record.ended[str(driver.returncode)] += 1
        # Ray's agents take a while to notice that nobody ends them.
        assert_no_process_outlives(self.environment, seconds=90)
        # While Ray's core ends, SIGTERM ends the process as it would any; and once the study is
        # complete, so does every signal.
        ends = {0, 1, 129, 130, 143, -signal.SIGKILL, -signal.SIGTERM}
        if b'"event":"study_finished"' in (self.folder / "log.jsonl").read_bytes():
            ends.add(-signal.SIGHUP)
        assert driver.returncode in ends, output.read_text()
        assert "Traceback" not in output.read_text(), output.read_text()
        return disturbances, driver.returncode == 0

    def _comes_to_a_moment(self, driver):
        """Wait for a random number of further events, and a little longer; False if it ended."""
        events = self._events() + self.generator.randrange(14)
        wait_for(
            lambda: driver.poll() is not None or self._events() >= events,
            END_S,
            f"event {events} of {self.folder}",
        )
        deadline = time.monotonic() + self.generator.uniform(0, 2)
        while driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return driver.poll() is None

    def _events(self):
        with suppress(OSError):
            return (self.folder / "log.jsonl").read_bytes().count(b"\n")
        return 0


def under_fire(undisturbed, seed, disturbances, folder, deadline):
    """Disturb studies until there were as many disturbances, or time is up, and let each study come
    to its end; returns the record. Raises AssertionError for a study that is not `undisturbed`."""
    generator, record = random.Random(seed), Record()
    temporary = folder / "t"
    temporary.mkdir(parents=True)
    environment = {**undisturbed.environment, "TMPDIR": str(temporary)}
    environment.pop("RAY_ADDRESS", None)
    shared = set(Path("/dev/shm").iterdir())
    expected = what_happened(undisturbed.folder)
    while disturbances and time.monotonic() < deadline:
        place = folder / f"study{record.studies}"
        place.mkdir()
        study, complete = UnderFire(environment, place / "results", generator, record), False
        while not complete:
            if time.monotonic() > deadline:
                disturbances = 0
            disturbances, complete = study.live(disturbances)
        assert_nothing_is_lost(study.folder)
        assert what_happened(study.folder) == expected
        assert not (study.folder / "driver.json").exists()
        record.studies += 1
        assert set(Path("/dev/shm").iterdir()) <= shared
        assert list(temporary.iterdir()) == []
    return record


def main(seed, disturbances, folder):
    place = Path(folder)
    undisturbed = Sweep.run(place / "undisturbed")
    started = time.monotonic()
    record = under_fire(undisturbed, seed, disturbances, place / "fire", started + 3600)
    print(*record.lines(), f"{time.monotonic() - started:.0f} s", sep="\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
