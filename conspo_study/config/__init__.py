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
    ConSPOClippedRatioOptions,
    ConSPOLinearOptions,
    ConSPOOptions,
    ContrastiveOptions,
    DisCOOptions,
    ObjectiveOptions,
    register_options,
)
from conspo_study.config.objectives_ratio import (
    AdvantageOptions,
    CISPOOptions,
    DAPOOptions,
    DrGRPOOptions,
    GMPOOptions,
    GRPOOptions,
    GSPOOptions,
    SAPOOptions,
)
from conspo_study.config.rollout import RolloutConfig
from conspo_study.config.stages import (
    DataConfig,
    EvaluationConfig,
    PolicyConfig,
    RewardConfig,
    RunConfig,
    TrainConfig,
    UpdateConfig,
)

__all__ = [
    "AdvantageOptions",
    "CISPOOptions",
    "ConSPOClippedRatioOptions",
    "ConSPOLinearOptions",
    "ConSPOOptions",
    "ConfigError",
    "ContrastiveOptions",
    "DAPOOptions",
    "DataConfig",
    "DisCOOptions",
    "DrGRPOOptions",
    "EvaluationConfig",
    "GMPOOptions",
    "GRPOOptions",
    "GSPOOptions",
    "ObjectiveOptions",
    "PolicyConfig",
    "RewardConfig",
    "RolloutConfig",
    "RunConfig",
    "SAPOOptions",
    "TrainConfig",
    "UpdateConfig",
    "config_hash",
    "flatten",
    "parse_assignments",
    "parse_config",
    "register_options",
    "with_overrides",
]
