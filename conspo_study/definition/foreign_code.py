"""Modules outside of this package that a study runs: plugins, custom objectives, rewards and
training functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from conspo_study.config import AnyRun, FunctionConfig, is_built_in, module_of_objective
from conspo_study.config.reward import reward_path
from conspo_study.definition.space import Choice, Dimension
from conspo_study.plugins import OBJECTIVES, module_of, path_of

OBJECTIVE, REWARD, EXTRA = "objective.name", "reward.name", "reward.extra"


class Setting(Protocol):
    """Settings of a baseline."""

    @property
    def params(self) -> Mapping[str, Any]: ...


class Settings(Protocol):
    """Parts of a study definition that name code."""

    @property
    def base(self) -> AnyRun: ...

    @property
    def space(self) -> Mapping[str, Dimension]: ...

    @property
    def anchors(self) -> Sequence[Setting]: ...

    @property
    def plugins(self) -> Sequence[str]: ...


def objectives_of(study: Settings) -> tuple[str, ...]:
    """Names of all objectives that a trial may have."""
    if isinstance(study.base, FunctionConfig):
        return ()
    return _values(study, OBJECTIVE, study.base.objective.name)


def rewards_of(study: Settings) -> tuple[str, ...]:
    """Names of all rewards that a trial may have."""
    if isinstance(study.base, FunctionConfig):
        return ()
    names = [*_values(study, REWARD, study.base.reward.name), study.base.evaluation_reward.name]
    extras = [study.base.reward.extra, *(a.params.get(EXTRA, {}) for a in study.anchors)]
    return tuple(dict.fromkeys([*names, *(name for extra in extras for name in _keys(extra))]))


def imports_of(study: Settings) -> tuple[str, ...]:
    """Modules to import before a configuration of the study can be read: its `plugins`, and those
    of objectives that are registered under a name. Objectives with an import path or an entry point
    need none."""
    own = [name for name in objectives_of(study) if not is_built_in(name)]
    registered = [module_of_objective(name) for name in own if path_of(name, OBJECTIVES) is None]
    return tuple(dict.fromkeys([*study.plugins, *filter(None, registered)]))


def modules_of(study: Settings) -> tuple[str, ...]:
    """All modules outside of this package that trials run. Raises ValueError for an objective or a
    reward that other processes cannot find."""
    function = [study.base.function] if isinstance(study.base, FunctionConfig) else []
    objectives = [module_of_objective(name) for name in objectives_of(study)]
    rewards = [module_of(path) for path in map(reward_path, rewards_of(study)) if path]
    return tuple(
        dict.fromkeys(
            [*study.plugins, *filter(None, objectives), *rewards, *map(module_of, function)]
        )
    )


def _values(study: Settings, path: str, of_base: str) -> tuple[str, ...]:
    """Values of a setting in the base, the space and the baselines."""
    searched = study.space.get(path)
    values = searched.values if isinstance(searched, Choice) else ()
    anchors = [anchor.params[path] for anchor in study.anchors if path in anchor.params]
    return tuple(dict.fromkeys(map(str, [of_base, *values, *anchors])))


def _keys(extra: Any) -> list[str]:
    return [str(name) for name in extra] if isinstance(extra, Mapping) else []
