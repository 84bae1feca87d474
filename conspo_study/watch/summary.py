"""A study in one line of the list of studies: its state, its verdict and its results so far."""

from __future__ import annotations

import time
from math import inf
from pathlib import Path
from typing import Any

from conspo_study.results.names import DEFINITION, LEASE, LOG
from conspo_study.results.tail import LogFollower
from conspo_study.results.verdict import kept_verdict
from conspo_study.text import printable
from conspo_study.watch.driver import DriverWatch
from conspo_study.watch.log_tail import told_left
from conspo_study.watch.stored import read_stored

MOST_VALUES = 200
"""Results in a sparkline: of the latest trials."""


class Summary:
    """The study in `folder`, without curves: only its table is kept. Not thread-safe."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._log = LogFollower(folder / LOG)
        self._driver = DriverWatch(folder / LEASE)
        self.read = -inf
        """When the log was last looked at, by the clock of this process."""

    def advance(self, seconds: float) -> None:
        """Read what is new in the log, for about so many seconds at most. A log that cannot be
        read stays as it is."""
        self.read = time.monotonic()
        try:
            for _ in self._log.new(seconds):
                pass
        except OSError:
            return

    def told(self) -> dict[str, Any]:
        """The line as JSON data. Never raises: what is wrong is its `problem`."""
        log, stored, table = self._log, read_stored(self.folder), self._log.builder.table
        best = stored.best(table)
        return {
            "name": stored.name,
            "problem": stored.problem or (str(log.damage) if log.damage else ""),
            "question": stored.question,
            "verdict": kept_verdict(self.folder, log.seq),
            "metric": stored.metric,
            "direction": stored.direction,
            "driver": self._driver.look(),
            "finished": table.finished,
            "budget": stored.budget(table),
            "counts": {state.value: count for state, count in table.counts.items() if count},
            "best": best and {"id": best.id, "label": best.label, "value": best.value},
            "values": [
                row.value if row.state.has_result and not row.missing_seeds else None
                for row in table.rows[-MOST_VALUES:]
                if row.state.ended
            ],
            "changed": self._changed(),
            "bytes_left": told_left(log.left),
            "folder": printable(str(self.folder)),
        }

    def _changed(self) -> float:
        """When the log was last written to, in seconds since 1970; 0 where nothing tells."""
        for name in (LOG, DEFINITION):
            try:
                return (self.folder / name).stat().st_mtime
            except OSError:
                continue
        return 0.0
