"""Ends every process of a study when its driver is gone, however it went.

A driver that is killed with SIGKILL can clean up nothing, and what it has started ends by itself
only in part and some a minute later: meanwhile a resumed study would share its files with them. So
a driver marks its environment, which all its descendants inherit, and starts this program:

    python -I -S reaper.py MARK [FOLDER]

It waits for its standard input to end, which the kernel sees to, and then kills every process that
carries the mark. It does not carry it itself. A process that writes a title over its environment,
as Ray's agents do, loses the mark: so the descendants of marked processes are noted while they all
still run. The folder is one of the driver's own, which is removed when the driver could not do so
itself. Linux only (it reads /proc).
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

MARK = "CONSPO_STUDY_RUN"
"""The environment variable whose value is different for every driver."""
_WATCH_S = 2.0
"""Between two looks at what runs: less than a process needs to start and take a title."""
_LONGEST_S = 30.0
_PAUSE_S = 0.05
_IN_ORDER = b"."
"""What a driver says that leaves the block."""
_ROUNDS_WITHOUT_ANY = 3
"""A process that is just being started may not be visible in one look."""


@contextmanager
def reaper(folder: Path | None = None) -> Iterator[str]:
    """Mark what is started inside the block, and end what is left of it when the block, or this
    process, ends. Yields the mark. folder: what goes when this process ends inside the block."""
    mark = uuid.uuid4().hex
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, mark, *([str(folder)] if folder else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        # Out of reach of what a terminal or a shell sends to the driver's group.
        start_new_session=True,
    )
    os.environ[MARK] = mark
    try:
        yield mark
    finally:
        del os.environ[MARK]
        process.communicate(_IN_ORDER)


class Family:
    """The processes of a driver, as far as they have been seen."""

    def __init__(self, mark: str):
        self._mark = f"{MARK}={mark}".encode()
        self._known: set[tuple[int, str]] = set()
        """Process number and start time, which together name a process for good."""

    def look(self) -> set[tuple[int, str]]:
        """The living members, found by the mark, by a parent that is one, or seen before."""
        alive = {}
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):
                # Fields after the command's name, which may hold anything: state, parent, ...
                fields = (path / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    alive[int(path.name)] = (int(fields[1]), fields[19])
        alive.pop(os.getpid(), None)
        members = {pid for pid, (_, start) in alive.items() if (pid, start) in self._known}
        members |= {pid for pid in alive.keys() - members if self._carries_mark(pid)}
        found = members
        while found:
            found = {pid for pid, (parent, _) in alive.items() if parent in found} - members
            members |= found
        self._known = {(pid, alive[pid][1]) for pid in members}
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
        killed = [_kill(pid, start) for pid, start in family.look()]
        rounds = 0 if any(killed) else rounds + 1
        time.sleep(_PAUSE_S)


def _kill(pid: int, start: str) -> bool:
    """Kill the process if it is still the one that started then; whether it was."""
    with suppress(OSError):
        # The handle is of this process even if it ends and its number is given to another.
        handle = os.pidfd_open(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
            if stat.rpartition(")")[2].split()[19] == start:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                return True
        finally:
            os.close(handle)
    return False


if __name__ == "__main__":
    driver_family = Family(sys.argv[1])
    while not select.select([sys.stdin], [], [], _WATCH_S)[0]:
        driver_family.look()
    in_order = sys.stdin.buffer.read(1) == _IN_ORDER
    reap(driver_family)
    if not in_order:
        for abandoned in sys.argv[2:]:
            rmtree(abandoned, ignore_errors=True)
