"""Tells a process from a later one that bears the same number.

A process is known by its number and by when the kernel started it, in clock ticks since boot: that
never changes, while a time of day would move whenever the system's clock is set. Linux only (it
reads /proc), and no more than the standard library, since the reaper runs without any other.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class ProcessStat(NamedTuple):
    """The kernel's account of a process."""

    state: str
    """One letter; `Z` and `X` have ended."""
    parent: int
    start: int
    """In clock ticks since boot."""


def stat_of(pid: int) -> ProcessStat | None:
    """None when there is no such process, or none that still runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # After the command's name, which may hold anything, brackets and blanks among it.
    fields = text.rpartition(")")[2].split()
    if not fields or fields[0] in "ZX":
        return None
    return ProcessStat(fields[0], int(fields[1]), int(fields[19]))


def start_of(pid: int) -> int | None:
    """When the process started; None when it does not run."""
    stat = stat_of(pid)
    return None if stat is None else stat.start


def kill(pid: int, start: int, wait_s: float = 0.0) -> bool:
    """Kill the process if it is the one that started then, wait at most `wait_s` seconds for its
    end, and return whether it was."""
    with suppress(OSError):
        # The handle is of this process even if it ends and its number is given to another.
        handle = os.pidfd_open(pid)
        try:
            if start_of(pid) != start:
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(wait_s * 1000)
            return True
        finally:
            os.close(handle)
    return False
