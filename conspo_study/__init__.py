"""Hyperparameter studies of ConSPO and its relatives on Ray Train, Ray Tune and Optuna.

    from conspo_study import Anchor, Choice, Study, load

What is named here is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.load import load_study as load
    from conspo_study.config import with_overrides as with_overrides
    from conspo_study.definition import Anchor as Anchor
    from conspo_study.definition import Confirmation as Confirmation
    from conspo_study.space import Choice as Choice
    from conspo_study.space import Range as Range
    from conspo_study.space import When as When
    from conspo_study.study import Study as Study

__version__ = "0.1.0"
__all__ = ["Anchor", "Choice", "Confirmation", "Range", "Study", "When", "load", "with_overrides"]

_HOMES = {
    "Anchor": "conspo_study.definition",
    "Choice": "conspo_study.space",
    "Confirmation": "conspo_study.definition",
    "Range": "conspo_study.space",
    "Study": "conspo_study.study",
    "When": "conspo_study.space",
    "load": "analysis.load",
    "with_overrides": "conspo_study.config",
}
_NAMES_THERE = {"load": "load_study"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), _NAMES_THERE.get(name, name))


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
