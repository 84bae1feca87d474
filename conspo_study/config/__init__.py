"""Typed settings of a run: one frozen class per stage, importable without torch.

`RunConfig` holds all stages. `parse_config`, `parse_assignments` and `with_overrides` build one
from untrusted input and raise ConfigError; `flatten` lists its settings by dotted path. The options
of an objective are a class, selected by `objective.name` and added by `register_options`.
"""

from conspo_study.config.build import (
    AnyRun,
    config_hash,
    flatten,
    is_function,
    parse_assignments,
    parse_config,
    parse_run,
    with_overrides,
)
from conspo_study.config.data import DataConfig
from conspo_study.config.errors import ConfigError, Problems
from conspo_study.config.function import FunctionConfig
from conspo_study.config.messages import described
from conspo_study.config.objectives import (
    OPTIONS,
    ObjectiveOptions,
    is_built_in,
    module_of_objective,
    options_named,
    register_options,
)
from conspo_study.config.objectives_policy_gradient import (
    DPPOOptions,
    DROOptions,
    ReinforceOptions,
    VESPOOptions,
)
from conspo_study.config.objectives_ratio import (
    AdvantageOptions,
    CISPOOptions,
    DAPOOptions,
    DrGRPOOptions,
    GMPOOptions,
    GRPOOptions,
    GSPOOptions,
    LUSPOOptions,
    MaxRLOptions,
    RLOOOptions,
    SAPOOptions,
)
from conspo_study.config.objectives_score import (
    ConSPOClippedRatioOptions,
    ConSPOLinearOptions,
    ConSPOOptions,
    ContrastiveOptions,
    DisCOOptions,
    TrustRegionOptions,
)
from conspo_study.config.reward import RewardConfig
from conspo_study.config.rollout import RolloutConfig
from conspo_study.config.stages import (
    EvaluationConfig,
    PolicyConfig,
    RunConfig,
)
from conspo_study.config.train import TrainConfig
from conspo_study.config.update import UpdateConfig

__all__ = [
    "OPTIONS",
    "AdvantageOptions",
    "AnyRun",
    "CISPOOptions",
    "ConSPOClippedRatioOptions",
    "ConSPOLinearOptions",
    "ConSPOOptions",
    "ConfigError",
    "ContrastiveOptions",
    "DAPOOptions",
    "DPPOOptions",
    "DROOptions",
    "DataConfig",
    "DisCOOptions",
    "DrGRPOOptions",
    "EvaluationConfig",
    "FunctionConfig",
    "GMPOOptions",
    "GRPOOptions",
    "GSPOOptions",
    "LUSPOOptions",
    "MaxRLOptions",
    "ObjectiveOptions",
    "PolicyConfig",
    "Problems",
    "RLOOOptions",
    "ReinforceOptions",
    "RewardConfig",
    "RolloutConfig",
    "RunConfig",
    "SAPOOptions",
    "TrainConfig",
    "TrustRegionOptions",
    "UpdateConfig",
    "VESPOOptions",
    "config_hash",
    "described",
    "flatten",
    "is_built_in",
    "is_function",
    "module_of_objective",
    "options_named",
    "parse_assignments",
    "parse_config",
    "parse_run",
    "register_options",
    "with_overrides",
]
