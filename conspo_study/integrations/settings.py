"""The objective that a foreign training script names, checked as a study checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from conspo_study.config import ConfigError, ObjectiveOptions, is_built_in, parse_config
from conspo_study.config.messages import described
from conspo_study.objective.trial_step import try_objective

ObjectiveLike = str | Mapping[str, Any] | ObjectiveOptions | type[ObjectiveOptions]
"""A name or import path, `{"name": ..., setting: value}`, options, or a class of options."""


def objective_options(objective: ObjectiveLike, **settings: Any) -> ObjectiveOptions:
    """The options of an objective, built-in or of one's own (`my_module:MyObjective`).

    Raises ConfigError listing every wrong setting, or PluginError for an objective of one's own
    that cannot be loaded or fails on a small batch.
    """
    if isinstance(objective, ObjectiveOptions):
        options = _changed(objective, settings) if settings else objective
    else:
        named = dict(objective) if isinstance(objective, Mapping) else {"name": objective}
        options = parse_config({"objective": {**named, **settings}}).objective
    if not is_built_in(options.name):
        try_objective(options)
    return options


def _changed(options: ObjectiveOptions, settings: Mapping[str, Any]) -> ObjectiveOptions:
    given = {**options.model_dump(), "name": options.name, **settings}
    try:
        return type(options).model_validate(given)
    except ValidationError as error:
        lines = [line for _, line in described(error, type(options), given)]
        raise ConfigError(lines) from None
