"""Names of a trial's processes on Ray's own pages.

The dashboard shows an actor by its class, its name and its repr. Ray Train gives its controller and
its workers neither a name nor a repr; the driver of a trial can be named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def trial_driver(
    run: Callable[[dict[str, Any]], None],
    title_of: Callable[[Mapping[str, Any]], str],
    resources: Mapping[str, float],
) -> type:
    """A trainable class of Ray Tune that runs the function with `resources`, and whose actors show
    `title_of` their configuration."""
    from ray import tune
    from ray.tune.trainable import wrap_function

    shown = {"__repr__": lambda self: title_of(self.config)}
    driver: type = tune.with_resources(
        type("TrialDriver", (wrap_function(run),), shown), dict(resources)
    )
    driver.__qualname__ = driver.__name__
    return driver
