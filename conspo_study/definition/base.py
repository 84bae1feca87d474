"""Settings that all trials of a study share: of the built-in training, or of a function."""

from __future__ import annotations

from typing import Any

from conspo_study.config import AnyRun, FunctionConfig, RunConfig, is_function
from conspo_study.definition.function import function_config
from conspo_study.definition.presets import preset_for


def as_base(given: Any) -> AnyRun:
    """The base of a study, which may be given as a preset's name or as stored settings.

    Raises ValueError for an unknown name, ConfigError and pydantic's ValidationError for settings.
    """
    if isinstance(given, FunctionConfig):
        return given
    if is_function(given):
        return function_config(given)
    return preset_for(given) if isinstance(given, str) else RunConfig.model_validate(given)


def tracked_metrics(config: AnyRun) -> list[str] | None:
    """Metrics that are known at evaluations; None for a function, which reports what it likes."""
    if isinstance(config, FunctionConfig):
        return None
    settings = config.evaluation
    greedy = ["greedy"] if settings.greedy else []
    graded = config.evaluation_reward.graded
    return [
        f"eval/{name}/{kind}"
        for name in settings.tracked_sets
        for k in [settings.samples_for(name)]
        for kind in (
            *(f"avg@{k}", f"pass@{k}", f"maj@{k}"),
            *([f"reward@{k}"] if graded else []),
            *greedy,
        )
    ]
