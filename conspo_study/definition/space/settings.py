"""Fits a space to its settings, so that the stored definition is what runs.

A range of a setting that takes whole numbers gets whole numbers only. If the space chooses the
objective, a setting that only some objectives have exists where one of them is chosen. And a value
that stands for a text, such as the name of a prompt, becomes that text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conspo_study.config import AnyRun, ConfigError, FunctionConfig, flatten, with_overrides
from conspo_study.config.fields import NAME, AcceptedValues, accepted_values, field_of, options_of
from conspo_study.config.values import key_of
from conspo_study.definition.space.dimensions import Choice, Range, Space, When
from conspo_study.definition.space.points import ordered

_OBJECTIVE = "objective."


def fitted(space: Space, base: AnyRun) -> dict[str, Choice | Range]:
    """The space with the consequences of its settings filled in. A space that cannot be fitted,
    such as one with circular conditions, is returned unchanged, as is that of a function, whose
    parameters have no consequences."""
    if isinstance(base, FunctionConfig):
        return dict(space)
    try:
        order = ordered(space)
    except ValueError:
        return dict(space)
    space = _with_held_values(space, base)
    done: dict[str, Choice | Range] = {}
    for path, _ in order:
        dimension = space[path]
        if isinstance(dimension, Range) and any(
            kind.whole for kind in what_it_holds(base, space, path)
        ):
            dimension = dimension.model_copy(update={"integer": True})
        needed = objectives_with(space, path)
        if needed is not None:
            where = _objectives_where(dimension, {**space, **done})
            if not _about_objective(dimension) and (where is None or not set(where) <= set(needed)):
                chosen = When(path=NAME, values=tuple(needed))
                when = (*dimension.conditions, chosen) if dimension.conditions else chosen
                dimension = dimension.model_copy(update={"when": when})
        done[path] = dimension
    return {path: done[path] for path in space}


def held(value: Any, base: AnyRun, path: str, others: Mapping[str, Any] | None = None) -> Any:
    """The text that the setting converts a value to; other and refused values unchanged."""
    if not isinstance(value, str) and not callable(value):
        return value
    try:
        converted = flatten(with_overrides(base, {**(others or {}), path: value}))[path]
    except (ConfigError, KeyError):
        return value
    return converted if isinstance(converted, str) else value


def _with_held_values(space: Space, base: AnyRun) -> dict[str, Choice | Range]:
    meant: dict[str, dict[Any, Any]] = {}
    for path, dimension in space.items():
        if isinstance(dimension, Choice):
            where = existing(space, path, {}) or {}
            changed = {key_of(v): held(v, base, path, where) for v in dimension.values}
            meant[path] = {k: v for k, v in changed.items() if k != key_of(v)}
    fitted_space = {}
    for path, dimension in space.items():
        changes: dict[str, Any] = {}
        if isinstance(dimension, Choice) and meant[path]:
            changes["values"] = tuple(meant[path].get(key_of(v), v) for v in dimension.values)
        if any(meant.get(when.path) for when in dimension.conditions):
            conditions = tuple(_renamed(when, meant) for when in dimension.conditions)
            changes["when"] = conditions if isinstance(dimension.when, tuple) else conditions[0]
        fitted_space[path] = dimension.model_copy(update=changes) if changes else dimension
    return fitted_space


def _renamed(when: When, meant: Mapping[str, Mapping[Any, Any]]) -> When:
    texts = meant.get(when.path, {})
    values = tuple(texts.get(key_of(value), value) for value in when.values)
    return when.model_copy(update={"values": values})


def objectives(space: Space) -> Sequence[str] | None:
    """Objectives that the space chooses from; None if it chooses none."""
    chosen = space.get(NAME)
    if not isinstance(chosen, Choice):
        return None
    return [name for name in chosen.values if isinstance(name, str)]


def objectives_with(space: Space, path: str) -> Sequence[str] | None:
    """Objectives of the space that have the setting; None if all of them have it, or none, or the
    space does not choose the objective."""
    names = objectives(space)
    if names is None or not path.startswith(_OBJECTIVE) or path == NAME:
        return None
    having = [name for name in names if _has(name, path)]
    return having if 0 < len(having) < len(names) else None


def what_it_holds(base: AnyRun, space: Space, path: str) -> list[AcceptedValues]:
    """Kinds of values of the setting, for every objective of the space that has it; empty for an
    unknown setting, and for a parameter of a function."""
    if isinstance(base, FunctionConfig):
        return []
    names = objectives(space)
    if names is None or not path.startswith(_OBJECTIVE):
        field = field_of(base, path)
        return [] if field is None else [accepted_values(field)]
    option = path.removeprefix(_OBJECTIVE)
    kinds = [options_of(name) for name in names]
    return [
        accepted_values(kind.model_fields[option])
        for kind in kinds
        if kind and option in kind.model_fields
    ]


def existing(space: Space, path: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """`params` and the further settings that the dimension needs to exist; None if it cannot."""
    needed = dict(params)
    for when in space[path].conditions:
        if when.path in needed:
            if not when.allows(needed[when.path]):
                return None
            continue
        other = space.get(when.path)
        for value in when.values:
            if other is None or not other.contains(value):
                continue
            tried = existing(space, when.path, {**needed, when.path: value})
            if tried is not None:
                needed = tried
                break
        else:
            return None
    return needed


def _about_objective(dimension: Choice | Range) -> bool:
    return any(when.path == NAME for when in dimension.conditions)


def _has(name: str, path: str) -> bool:
    options = options_of(name)
    return options is not None and path.removeprefix(_OBJECTIVE) in options.model_fields


def _objectives_where(dimension: Choice | Range, space: Space) -> Sequence[str] | None:
    """Objectives that its conditions allow, through other dimensions too; None for all."""
    left: list[str] | None = None
    for when in dimension.conditions:
        if when.path == NAME:
            names: Sequence[Any] | None = when.values
        else:
            other = space.get(when.path)
            names = None if other is None else _objectives_where(other, space)
        if names is not None:
            left = [name for name in (names if left is None else left) if name in names]
    return left
