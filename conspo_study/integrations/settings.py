"""The objective that a foreign training script names, checked as a study checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conspo_study.config import ObjectiveOptions, is_built_in, parse_config
from conspo_study.objective.trial_step import try_objective

ObjectiveLike = str | Mapping[str, Any] | ObjectiveOptions | type[ObjectiveOptions]
"""A name or import path, `{"name": ..., setting: value}`, options, or a class of options."""


def objective_options(objective: ObjectiveLike, **settings: Any) -> ObjectiveOptions:
    """The options of an objective, built-in or of one's own (`my_module:MyObjective`).

    Raises ConfigError listing every wrong setting, or PluginError for an objective of one's own
    that cannot be loaded or fails on a small batch.
    """
    if isinstance(objective, ObjectiveOptions):
        given: dict[str, Any] = {"name": objective.name, **objective.model_dump(), **settings}
        options = objective if not settings else type(objective).model_validate(given)
    else:
        named = dict(objective) if isinstance(objective, Mapping) else {"name": objective}
        options = parse_config({"objective": {**named, **settings}}).objective
    if not is_built_in(options.name):
        try_objective(options)
    return options
