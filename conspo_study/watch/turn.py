"""Turns at reading files that may not answer, as on a network file system whose server is gone."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 5.0
"""Longest wait for a turn."""


class Turn:
    """Lets one thread at a time read the files in `folder`; the others do not wait for ever."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._mutex = threading.Lock()

    @contextmanager
    def taken(self, patience: float | None = None) -> Iterator[None]:
        """Hold the turn while the block runs. Raises OSError when it does not come within
        `patience` seconds, by default PATIENCE_S."""
        if not self._mutex.acquire(timeout=PATIENCE_S if patience is None else patience):
            why = "its files are being read for another request, and do not answer; ask again"
            raise OSError(errno.EAGAIN, why, str(self._folder))
        try:
            yield
        finally:
            self._mutex.release()
