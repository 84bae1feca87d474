"""The common part of judges that compute in checking processes."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from conspo_study.reward.pool import Pool

if TYPE_CHECKING:  # the checking process imports this package, but not pydantic
    from conspo_study.config import RewardConfig


class ProcessJudge:
    """A pool of checking processes, used by one thread at a time; a context manager.

    In a fork of this process, the judge starts processes of its own.
    arguments: the command line of the processes, as for `Pool`.
    """

    def __init__(self, config: RewardConfig, arguments: Sequence[str] = ()) -> None:
        self.last_error = ""
        """Last error of a custom reward function, with its line; empty if there was none."""
        self._pool = Pool(config.workers, config.memory_mb, arguments)
        self._deadline_s = config.deadline_s
        self._lock = threading.Lock()
        self._closed = False
        _JUDGES.add(self)

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

    def renew(self) -> None:
        """In a fork: leave the processes, and a lock that a thread may have held, to the parent."""
        self._lock = threading.Lock()
        self._pool.disown()


_JUDGES: weakref.WeakSet[ProcessJudge] = weakref.WeakSet()


def _renew_all() -> None:
    for judge in list(_JUDGES):
        judge.renew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew_all)
