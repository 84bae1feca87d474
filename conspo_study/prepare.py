"""Getting a policy ready to be trained: a warm start for the embedded one, a folder otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from conspo_study.config import PolicyConfig

OnProgress = Callable[[int, int, float], None]


def prepare_policy(config: PolicyConfig, on_progress: OnProgress | None = None) -> Path:
    """The folder to load the policy from.

    The embedded model is warm-started once and cached; `on_progress(step, steps, loss)` is called
    while that trains. Safe to call from many processes at once.
    """
    if config.model != "embedded":
        return Path(config.model).expanduser()
    from conspo_study.data.arithmetic import demonstrations
    from conspo_study.policy.warm_start import warm_start

    return warm_start(
        demonstrations,
        steps=config.warm_start_steps,
        seed=config.warm_start_seed,
        on_progress=on_progress,
    )
