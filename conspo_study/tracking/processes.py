"""One process per tracker beside a study, each free to fail, hang or be killed."""

from __future__ import annotations

import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from conspo_study.text import printable

LOOK_S = 2.0
"""Between two looks at what the study has stored."""
END_S = 30.0
"""Longest that the end of a study waits for its trackers, all together."""
_KILLED_S = 5.0
"""Longest wait for the end of what was killed: the kernel may be waiting for a disk."""
_LAST_BYTES = 4096

Tell = Callable[[str, str], None]
"""Takes what went wrong, and a command that helps."""


@contextmanager
def tracking(
    folder: Path, names: Sequence[str], tell: Tell, end_s: float | None = END_S
) -> Iterator[Trackers]:
    """Send what becomes of the study in `folder` to each of the trackers until the block ends, and
    then what is left, for at most `end_s` (None: however long it takes).

    tell: told once of each tracker that fails. Nothing else comes of it.
    """
    trackers = Trackers(folder, tell)
    for name in names:
        trackers.start(name)
    try:
        yield trackers
    finally:
        trackers.end(end_s)


class Trackers:
    """The processes, and what they came to."""

    def __init__(self, folder: Path, tell: Tell):
        self.failed: list[str] = []
        """Names of trackers that did not come to their end."""
        self._folder, self._tell = folder, tell
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchers: list[threading.Thread] = []

    def start(self, name: str) -> None:
        """Start one; that it cannot be started is a failure of the tracker."""
        try:
            place = self._folder / "tracking"
            place.mkdir(exist_ok=True)
            with self._said(name).open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "conspo_study.tracking", str(self._folder), name],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    # Out of reach of Ctrl-C: it ends when its standard input does.
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
        """Whether none is left that could send anything."""
        return all(process.poll() is not None for process in self._processes.values())

    def end(self, seconds: float | None) -> None:
        """Let all come to their end; kill what needs longer than `seconds`."""
        for process in self._processes.values():
            assert process.stdin is not None
            process.stdin.close()
        deadline = None if seconds is None else time.monotonic() + seconds
        for name, process in self._processes.items():
            try:
                process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._fail(name, f"it did not come to its end within {seconds:.0f} s")
                process.kill()
            except BaseException:  # an interrupt while waiting
                for one in self._processes.values():
                    one.kill()
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
            f"tracking to {name} ended: {why}. No study is touched by it. What it said "
            f"is in {self._said(name)}. To send everything later:",
            f"conspo track {shlex.quote(str(self._folder))} --to {name}",
        )

    def _said(self, name: str) -> Path:
        return self._folder / "tracking" / f"{name}.log"

    def _last_words(self, name: str) -> str:
        try:
            said = self._said(name).read_bytes()[-_LAST_BYTES:].decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else ""
        return printable(last).rstrip(".")
