"""One process per tracker beside a study: its failure or hang never affects the study."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import SEEK_END
from pathlib import Path

from conspo_study.files import make_folders, open_to_append
from conspo_study.results.names import TRACKING
from conspo_study.results.reading import open_stored
from conspo_study.text import printable

LOOK_S = 2.0
"""Seconds between two readings of the results."""
END_S = 30.0
"""Longest that a study waits at its end for all its trackers together."""
_KILLED_S = 5.0
"""Longest wait for a killed process: it may be blocked on a disk."""
_LAST_BYTES = 4096

Tell = Callable[[str, str], None]
"""Called with a problem, and a command that helps."""


@contextmanager
def tracking(
    folder: Path, names: Sequence[str], tell: Tell, end_s: float | None = END_S
) -> Iterator[Trackers]:
    """Send the study in `folder` to each tracker while the block runs, and then the remaining
    results, for at most `end_s` seconds (None: without limit).

    tell: called once for each tracker that fails, without any other effect.
    """
    trackers = Trackers(folder, tell)
    for name in names:
        trackers.start(name)
    try:
        yield trackers
    finally:
        trackers.end(end_s)


class Trackers:
    """The trackers' processes."""

    def __init__(self, folder: Path, tell: Tell):
        self.failed: list[str] = []
        """Names of trackers that did not send everything."""
        self._folder, self._tell = folder, tell
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: list[threading.Thread] = []

    def start(self, name: str) -> None:
        """Start a tracker; an error is reported like any other failure of it."""
        try:
            place = self._folder / TRACKING
            make_folders(place, 1)
            with os.fdopen(open_to_append(self._log(name), 1), "r+b") as output:
                output.truncate()
                process = subprocess.Popen(
                    [sys.executable, "-m", "conspo_study.tracking", str(self._folder), name],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    # Not reached by Ctrl-C: it ends when its standard input is closed.
                    start_new_session=True,
                )
        except OSError as error:
            self._fail(name, str(error))
            return
        self._processes[name] = process
        watcher = threading.Thread(target=self._watch, args=(name, process), daemon=True)
        watcher.start()
        self._watchers.append(watcher)

    @property
    def all_ended(self) -> bool:
        """Whether all processes have ended."""
        return all(process.poll() is not None for process in self._processes.values())

    def end(self, seconds: float | None) -> None:
        """Let all send the remaining results; kill those that need longer than `seconds`."""
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
        deadline = None if seconds is None else time.monotonic() + seconds
        for name, process in self._processes.items():
            try:
                process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._fail(name, f"not done within {seconds:.0f} s")
                process.kill()
            except BaseException:  # an interrupt while waiting
                for other in self._processes.values():
                    other.kill()
                raise
        for watcher in self._watchers:
            watcher.join(_KILLED_S)

    def _watch(self, name: str, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if status and name not in self.failed:
            self._fail(name, self._last_words(name) or f"its process ended with status {status}")

    def _fail(self, name: str, why: str) -> None:
        self.failed.append(name)
        self._tell(
            f"tracking to {name} failed: {why}. The study is not affected. "
            f"Log: {self._log(name)}. To send everything later:",
            f"conspo track {shlex.quote(str(self._folder))} --to {name}",
        )

    def _log(self, name: str) -> Path:
        return self._folder / TRACKING / f"{name}.log"

    def _last_words(self, name: str) -> str:
        try:
            with open_stored(self._log(name), None) as file:
                file.seek(max(0, file.seek(0, SEEK_END) - _LAST_BYTES))
                output = file.read(_LAST_BYTES).decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else ""
        return printable(last).rstrip(".")
