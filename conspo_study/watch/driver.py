"""State of a study's driver, in the words of `status`, without waiting for an answer."""

from __future__ import annotations

import time
from pathlib import Path

from conspo_study.results.lease import HEARTBEAT_S, PATIENCE, read_lease


class DriverWatch:
    """Looks at a lease again and again; a driver elsewhere is judged by what changed in between."""

    def __init__(self, path: Path):
        self.path = path
        self._heartbeat: tuple[str, int] | None = None
        self._seen = 0.0
        """When the heartbeat was first what it is, by this process's clock."""

    def look(self) -> dict[str, str]:
        """`state` (running, none, dead, silent, unreadable) and `who` it is."""
        try:
            holder = read_lease(self.path)
        except (OSError, ValueError):
            return {"state": "unreadable", "who": self.path.name}
        if holder is None:
            return {"state": "none", "who": ""}
        if holder.here:
            return {"state": "running" if holder.alive else "dead", "who": str(holder)}
        now, heartbeat = time.monotonic(), (holder.token, holder.heartbeat)
        if heartbeat != self._heartbeat:
            self._heartbeat, self._seen = heartbeat, now
        silent = now - self._seen > PATIENCE * HEARTBEAT_S
        return {"state": "silent" if silent else "running", "who": str(holder)}
