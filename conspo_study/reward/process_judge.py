"""The common part of judges that compute in checking processes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from conspo_study.reward.pool import Pool

if TYPE_CHECKING:  # the checking process imports this package, but not pydantic
    from conspo_study.config import RewardConfig


class ProcessJudge:
    """A pool of checking processes, used by one thread at a time; a context manager.

    arguments: the command line of the processes, as for `Pool`.
    """

    def __init__(self, config: RewardConfig, arguments: Sequence[str] = ()) -> None:
        self.last_error = ""
        """Last error of a custom reward function, with its line; empty if there was none."""
        self._pool = Pool(config.workers, config.memory_mb, arguments)
        self._deadline_s = config.deadline_s
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """Ids of the checking processes; empty before they are needed and after `close`."""
        return self._pool.pids

    def close(self) -> None:
        """End the checking processes, after the current batches."""
        with self._lock:
            self._closed = True
            self._pool.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RuntimeError("the checking processes are closed: create a new judge")
