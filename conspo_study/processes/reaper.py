"""Ends every process of a study when its driver is gone, however it went.

A driver that is killed with SIGKILL cannot clean up, and of the processes that it started only some
end by themselves, some a minute later: meanwhile a resumed study would share its files with them.
So a driver marks its environment, which all its descendants inherit, and starts a process of its
own for `main`, which needs nothing but the standard library.

That waits for its standard input to end, which the kernel sees to, and then kills every process
that carries the mark. It does not carry it itself. A process that writes a title over its
environment, as Ray's agents do, loses the mark: so the descendants of marked processes are noted
while they all still run. A reaper that is killed is replaced. Linux only (it reads /proc).
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from conspo_study.processes.identity import kill, stat_of

MARK = "CONSPO_STUDY_RUN"
"""The environment variable whose value is different for every driver."""
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from conspo_study.processes.reaper import main; main(*sys.argv[2:])"
)
_WATCH_S = 2.0
"""Between two looks at what runs: less than a process needs to start and take a title."""
_LONGEST_S = 30.0
_PAUSE_S = 0.05
_START_AGAIN_S = 0.2
"""Pause before a reaper that was killed is replaced."""
_IN_ORDER = b"."
"""Sent by a driver that leaves the block."""
_ROUNDS_WITHOUT_ANY = 3
"""A process that is just being started may not be visible in one look."""


@contextmanager
def reaper(*folders: Path) -> Iterator[str]:
    """Mark processes started inside the block, and end those that remain when the block, or this
    process, ends. Yields the mark. folders: removed when this process ends inside the block."""
    mark = uuid.uuid4().hex
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    arguments = [Path(__file__).parents[2].resolve(), mark, *folders]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            # Out of reach of what a terminal or a shell sends to the driver's group.
            start_new_session=True,
        )

    process, over, turn = start(), threading.Event(), threading.Lock()

    def start_again() -> None:
        nonlocal process
        while process.wait() is not None and not over.wait(_START_AGAIN_S):
            with turn:
                if not over.is_set():
                    process = start()

    os.environ[MARK] = mark
    watching = threading.Thread(target=start_again, daemon=True)
    watching.start()
    try:
        yield mark
    finally:
        del os.environ[MARK]
        with turn:
            over.set()
        with suppress(OSError):  # it was killed
            process.communicate(_IN_ORDER)
        watching.join()


class Family:
    """The processes of a driver, as far as they have been seen."""

    def __init__(self, mark: str):
        self._mark = f"{MARK}={mark}".encode()
        self._known: set[tuple[int, int]] = set()
        """Process number and start; see `identity`."""

    def look(self) -> set[tuple[int, int]]:
        """The living members: marked, with a parent that is one, or seen before."""
        pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        alive = {pid: stat for pid in pids if (stat := stat_of(pid)) is not None}
        alive.pop(os.getpid(), None)
        members = {pid for pid, stat in alive.items() if (pid, stat.start) in self._known}
        members |= {pid for pid in alive.keys() - members if self._carries_mark(pid)}
        added = members
        while added:
            added = {pid for pid, stat in alive.items() if stat.parent in added} - members
            members |= added
        self._known = {(pid, alive[pid].start) for pid in members}
        return self._known

    def _carries_mark(self, pid: int) -> bool:
        with suppress(OSError):
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return False


def reap(family: Family) -> None:
    """Kill every process of the family, until there are none."""
    deadline = time.monotonic() + _LONGEST_S
    rounds = 0
    while rounds < _ROUNDS_WITHOUT_ANY and time.monotonic() < deadline:
        killed = [kill(pid, start) for pid, start in family.look()]
        rounds = 0 if any(killed) else rounds + 1
        time.sleep(_PAUSE_S)


def main(mark: str, *folders: str) -> None:
    """Wait for the driver of `mark` to end, then for the end of its processes. folders: removed
    when the driver could not do so itself."""
    family = Family(mark)
    while not select.select([sys.stdin], [], [], _WATCH_S)[0]:
        family.look()
    in_order = sys.stdin.buffer.read(1) == _IN_ORDER
    reap(family)
    if not in_order:
        for folder in folders:
            rmtree(folder, ignore_errors=True)
