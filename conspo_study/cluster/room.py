"""Room for trials on a cluster whose nodes come and go.

A cluster that was there before the study may not have all its nodes yet, may lose some, and may get
more: what fits on it is counted again while the study runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from conspo_study.config import AnyRun
from conspo_study.forecast.placement import Node, place
from conspo_study.text import counted

COUNT_EVERY_S = 10.0
"""Time between two looks at the nodes while trials run."""
LOOK_EVERY_S = 1.0
"""The same while the study waits for nodes."""
TELL_EVERY_S = 60.0
"""Time between two lines about nodes that are still missing."""


def nodes_now() -> list[Node]:
    """The nodes of the connected cluster that are alive, each with all that it has."""
    import ray

    return [
        Node(int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
        for node in ray.nodes()
        if node["Alive"]
    ]


def wait_for_nodes(
    count: int,
    run: AnyRun,
    tell: Callable[[str], None],
    nodes: Callable[[], Sequence[Node]] = nodes_now,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once the cluster has `count` nodes with room for a worker of a trial of `run`.

    Until then Ray's autoscaler, where there is one, is asked for them. tell: gets a line a minute
    about what is missing. There is no limit to the wait: Ctrl-C ends it.
    """
    with _asked_for(run, count):
        waited = 0.0
        while (there := sum(_fits(node, run) for node in nodes())) < count:
            if waited % TELL_EVERY_S == 0:
                tell(
                    f"waiting for {counted(count, 'node')} with room for a worker "
                    f"({_worker(run)}): there {'is' if there == 1 else 'are'} {there}"
                )
            sleep(LOOK_EVERY_S)
            waited += LOOK_EVERY_S


class Room:
    """Number of trials of `run` that fit on the cluster at once, as its nodes are now."""

    def __init__(
        self,
        run: AnyRun,
        at_first: Sequence[Node],
        nodes: Callable[[], Sequence[Node]] = nodes_now,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._run, self._nodes, self._clock = run, nodes, clock
        self._count(at_first)

    def __call__(self) -> int:
        """The number, at most `COUNT_EVERY_S` old; at least 1, since a trial that finds no room
        waits for some."""
        if self._clock() - self._counted >= COUNT_EVERY_S:
            self._count(self._nodes())
        return self._trials

    def _count(self, nodes: Sequence[Node]) -> None:
        self._trials = max(1, place(self._run, nodes).trials)
        self._counted = self._clock()


def _fits(node: Node, run: AnyRun) -> bool:
    return node.cpus >= run.cpus_per_worker and node.gpus >= run.gpus_per_worker


def _worker(run: AnyRun) -> str:
    gpus = f" and {counted(run.gpus_per_worker, 'GPU')}" if run.gpus_per_worker else ""
    return counted(run.cpus_per_worker, "CPU core") + gpus


@contextmanager
def _asked_for(run: AnyRun, nodes: int) -> Iterator[None]:
    """Have the autoscaler make room for a worker a node, and for all workers of a trial, as long as
    the block lasts. Without an autoscaler nothing comes of it."""
    from ray.autoscaler.sdk import request_resources

    worker: dict[str, float] = {"CPU": run.cpus_per_worker}
    if run.gpus_per_worker:
        worker["GPU"] = run.gpus_per_worker
    request_resources(bundles=[worker] * max(nodes, run.train.workers))
    try:
        yield
    finally:
        request_resources(bundles=[])  # or it would outlive the study
