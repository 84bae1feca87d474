"""Limits how often a trial is started again, from its last checkpoint, after a process died.

A crash may be the trial's own: a few without progress between them, and the trial has failed. That
a machine was lost or taken away says nothing about the trial, so many of those are borne. That its
workers found no room yet is no death at all.
"""

from __future__ import annotations

from collections.abc import Iterable

CRASHES = 2
"""Crashes without progress after which the next one is the last."""
LOSSES = 10
"""The same of lost machines."""
_LOST_TEXTS = ("its node has died", "the actor's node was")


class Restarts:
    """Counts deaths since the last progress, which is a step that was never reported before."""

    def __init__(self) -> None:
        self._step = -1
        self._crashes = self._losses = 0

    def allowed(self, step: int, lost: bool = False) -> bool:
        """Count a death; returns whether to start again.

        step: the last that was reported before it, -1 for none. lost: whether the machine was lost.
        """
        if step > self._step:
            self._step, self._crashes, self._losses = step, 0, 0
        self._crashes += not lost
        self._losses += lost
        return self._crashes <= CRASHES and self._losses <= LOSSES

    @property
    def deaths(self) -> int:
        """Counted since the last progress."""
        return self._crashes + self._losses


def found_no_room(error: BaseException) -> bool:
    """Whether Ray Train gave up since the cluster had no room for the workers for so long."""
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

    return isinstance(getattr(error, "controller_failure", None), WorkerGroupStartupTimeoutError)


def is_lost_machine(errors: Iterable[BaseException]) -> bool:
    """Whether Ray says that a process died with its node, or with a node that was taken away."""
    from ray.exceptions import NodeDiedError, RayActorError

    return any(
        isinstance(error, NodeDiedError)
        or (isinstance(error, RayActorError) and error.preempted)
        or (isinstance(error, RayActorError) and any(text in str(error) for text in _LOST_TEXTS))
        for error in errors
    )


def is_short_node(error: BaseException) -> bool:
    """Whether Ray ended a worker since its node had little memory left, as it may have again."""
    from ray.exceptions import OutOfMemoryError

    return isinstance(error, OutOfMemoryError)
