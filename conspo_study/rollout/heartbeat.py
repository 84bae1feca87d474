"""A sign of life of a process, for others to read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread


class Heartbeat:
    """A counter of progress in the first 8 bytes of a file."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR)
        self._count = 0

    def beat(self) -> None:
        """Increase the counter."""
        self._count += 1
        os.pwrite(self._file, self._count.to_bytes(8, "little"), 0)

    @contextmanager
    def while_growing(self, file: Path, every_s: float = 1.0) -> Iterator[None]:
        """Take it for progress, inside the block, that a file grows: the log of a library that
        reports on long work by nothing else. every_s: seconds between looks at it."""
        ended = Event()

        def watch() -> None:
            size = file.stat().st_size
            while not ended.wait(every_s):
                before, size = size, file.stat().st_size
                if size > before:
                    self.beat()

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
