"""A sign of life from the head node of the Ray cluster, where the drivers of trials run."""

from __future__ import annotations

import time
from collections.abc import Callable

_ANSWER_S, _PAUSE_S = 5.0, 0.5
HEAD = {"node:__internal_head__": 0.001}
"""Resources that only the head node has."""


def head_answers(stopping: Callable[[], bool]) -> bool:
    """Wait until the head node has run a task that was sent after this call; returns False once
    `stopping()`.

    There is no other limit: whatever watches the cluster ends the process when the head is gone.
    Until then nobody can know whether a process died alone or with its node.
    """
    import ray
    from ray.exceptions import RayError

    sign = ray.remote(num_cpus=0, resources=HEAD, max_retries=0)(_nothing)
    while not stopping():
        try:
            ray.get(sign.options(name="sign of life").remote(), timeout=_ANSWER_S)
            return True
        except RayError:
            time.sleep(_PAUSE_S)
    return False


def _nothing() -> None:
    """Run on the node that is asked."""
