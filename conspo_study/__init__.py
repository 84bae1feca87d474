"""Hyperparameter studies of ConSPO and its relatives on Ray Train, Ray Tune and Optuna.

    from conspo_study import Anchor, Choice, RunConfig, Study, main     # in a study file
    from conspo_study import PRESETS, Anchor, Choice, Study, load       # in a notebook

Each name is imported when it is first used. `Study` and `main` need the extra `study`; without it
they raise MissingPackage.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from conspo_study.extras import require

if TYPE_CHECKING:
    from analysis.report.loaded import load as load
    from conspo_study.commands.script import main as main
    from conspo_study.config import ConSPOOptions as ConSPOOptions
    from conspo_study.config import RunConfig as RunConfig
    from conspo_study.config import with_overrides as with_overrides
    from conspo_study.definition import Aim as Aim
    from conspo_study.definition import Anchor as Anchor
    from conspo_study.definition import Choice as Choice
    from conspo_study.definition import Comparisons as Comparisons
    from conspo_study.definition import Confirmation as Confirmation
    from conspo_study.definition import EarlyStopping as EarlyStopping
    from conspo_study.definition import Halving as Halving
    from conspo_study.definition import Range as Range
    from conspo_study.definition import Sampler as Sampler
    from conspo_study.definition import Value as Value
    from conspo_study.definition import When as When
    from conspo_study.definition.presets import EQUAL_CONDITIONS as EQUAL_CONDITIONS
    from conspo_study.definition.presets import METHODS as METHODS
    from conspo_study.definition.presets import PRESETS as PRESETS
    from conspo_study.study import Study as Study

__version__ = "0.2.0"
__all__ = [
    "EQUAL_CONDITIONS",
    "METHODS",
    "PRESETS",
    "Aim",
    "Anchor",
    "Choice",
    "Comparisons",
    "ConSPOOptions",
    "Confirmation",
    "EarlyStopping",
    "Halving",
    "Range",
    "RunConfig",
    "Sampler",
    "Study",
    "Value",
    "When",
    "load",
    "main",
    "with_overrides",
]

_HOMES = {
    "Aim": "conspo_study.definition",
    "Anchor": "conspo_study.definition",
    "Choice": "conspo_study.definition",
    "Comparisons": "conspo_study.definition",
    "ConSPOOptions": "conspo_study.config",
    "Confirmation": "conspo_study.definition",
    "EQUAL_CONDITIONS": "conspo_study.definition.presets",
    "EarlyStopping": "conspo_study.definition",
    "Halving": "conspo_study.definition",
    "METHODS": "conspo_study.definition.presets",
    "PRESETS": "conspo_study.definition.presets",
    "Range": "conspo_study.definition",
    "RunConfig": "conspo_study.config",
    "Sampler": "conspo_study.definition",
    "Study": "conspo_study.study",
    "Value": "conspo_study.definition",
    "When": "conspo_study.definition",
    "load": "analysis.report.loaded",
    "main": "conspo_study.commands.script",
    "with_overrides": "conspo_study.config",
}
_RUNNING = {"Study", "main"}
"""They run studies, which a light installation cannot."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _RUNNING:
        require(f"conspo_study.{name}", "study")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
