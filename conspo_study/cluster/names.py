"""What Ray's own pages call the processes of a trial.

The dashboard shows an actor by its class, its name and its repr. Ray Train gives its controller and
its workers neither a name nor a repr, and lets nobody else do so; the driver of a trial is ours to
name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def trial_driver(
    run: Callable[[dict[str, Any]], None],
    title_of: Callable[[Mapping[str, Any]], str],
    resources: Mapping[str, float],
) -> type:
    """The function as a class of Ray Tune's whose actors take `resources` and show `title_of`
    their configuration."""
    from ray import tune
    from ray.tune.trainable import wrap_function

    shown = {"__repr__": lambda self: title_of(self.config)}
    driver: type = tune.with_resources(
        type("TrialDriver", (wrap_function(run),), shown), dict(resources)
    )
    driver.__qualname__ = driver.__name__
    return driver
