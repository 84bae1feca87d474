"""Registers `conspo` with verl. Importing this module is enough: it is verl's entry point.

verl imports it in each of its processes (entry point group `verl.plugins`), and mentions an error
only in its debug log. So all that is done to verl's modules is done later, and says on stderr when
it fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from conspo_study.integrations.verl.after_import import after_import


def install() -> None:
    """Register estimator and loss, now or as soon as verl's modules are imported."""
    after_import("verl.trainer.ppo.core_algos", _loudly(_register))
    after_import("verl.trainer.ppo.ray_trainer", _loudly(_wrap))


def _register(core_algos: Any) -> None:
    from conspo_study.integrations.verl.estimator import estimator
    from conspo_study.integrations.verl.policy_loss import policy_loss
    from conspo_study.integrations.verl.trainer_settings import NAME

    core_algos.register_adv_est(NAME)(estimator)
    core_algos.register_policy_loss(NAME)(policy_loss)


def _wrap(ray_trainer: Any) -> None:
    from conspo_study.integrations.verl.estimator import wrap_compute_advantage

    wrap_compute_advantage(ray_trainer)


def _loudly(action: Callable[[Any], None]) -> Callable[[Any], None]:
    def act(module: Any) -> None:
        try:
            action(module)
        except Exception as error:  # verl would go on without a word, for runs that do not use it
            print(
                f"conspo-study: no objective `conspo` in this verl, {module.__name__} is not what "
                f"is known of verl 0.9: {type(error).__name__}: {error}",
                file=sys.stderr,
                flush=True,
            )

    return act


install()
