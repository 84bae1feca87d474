"""Reports on their way from Ray Train's controller to Ray Tune, through the trial's driver.

Ray's callback for this hands reports to the main thread of the driver's process, which then waits
for room in a queue that the driver's function fills, too: when the last report of a trial arrives
while the function returns, each waits for the other, for ever. Here the function itself passes
every report on, one after the other, and returns after the last.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any
from uuid import uuid4

from ray.exceptions import RayError
from ray.train import UserCallback
from ray.util.queue import Queue


class Relay(UserCallback):  # type: ignore[misc]
    """Puts what rank 0 reports into a queue; runs in Ray Train's controller."""

    def __init__(self, queue: Queue):
        self._queue = queue

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any
    ) -> None:
        """Called when all workers have reported; returns when the report is in the queue."""
        self._queue.put(metrics[0])


def fit(
    make_trainer: Callable[[UserCallback], Any],
    report: Callable[[dict[str, Any]], None],
    run: str,
) -> None:
    """Fit the trainer that `make_trainer` makes with a callback, and pass the reports of its
    workers to `report`, in order, in this thread.

    run: its name, which Ray's pages show for the queue in between. Raises what the trainer's `fit`
    raises, after every report that came before.
    """
    # Ray refuses the name of another actor, even of one that is just ending.
    name = f"{run} reports {uuid4().hex[:8]}"
    queue = Queue(actor_options={"num_cpus": 0, "name": name})
    trainer = make_trainer(Relay(queue))
    errors: list[BaseException] = []

    def train() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            errors.append(error)  # raised in the waiting thread
        with suppress(RayError):  # without a queue the other thread has already ended
            queue.put(None)

    # A daemon: when Tune ends this function early, the process must not wait for the trainer.
    Thread(target=train, daemon=True).start()
    try:
        while (metrics := queue.get()) is not None:
            report(metrics)
    finally:
        queue.shutdown(force=True)
    if errors:
        raise errors[0]
