"""Typed configuration of a run: one frozen class per stage, importable without torch."""

from conspo_study.config.build import (
    ConfigError,
    config_hash,
    flatten,
    parse_assignments,
    parse_config,
    with_overrides,
)
from conspo_study.config.objectives import (
    ConSPOOptions,
    GRPOOptions,
    ObjectiveOptions,
    register_options,
)
from conspo_study.config.stages import (
    DataConfig,
    EvaluationConfig,
    PolicyConfig,
    RewardConfig,
    RolloutConfig,
    RunConfig,
    TrainConfig,
    UpdateConfig,
)

__all__ = [
    "ConSPOOptions",
    "ConfigError",
    "DataConfig",
    "EvaluationConfig",
    "GRPOOptions",
    "ObjectiveOptions",
    "PolicyConfig",
    "RewardConfig",
    "RolloutConfig",
    "RunConfig",
    "TrainConfig",
    "UpdateConfig",
    "config_hash",
    "flatten",
    "parse_assignments",
    "parse_config",
    "register_options",
    "with_overrides",
]
