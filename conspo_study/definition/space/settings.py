"""Fits a space to the settings that it is about, so that what is stored is what is run.

A range of a setting that takes whole numbers has whole numbers only. A setting that only some
objectives have exists where one of them is chosen, when the objective is a choice of the space. And
a value that stands for a text, such as the name of a prompt, is that text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conspo_study.config import ConfigError, RunConfig, flatten, with_overrides
from conspo_study.config.fields import NAME, AcceptedValues, accepted_values, field_of, options_of
from conspo_study.config.values import key_of
from conspo_study.definition.space.dimensions import Choice, Range, Space, When
from conspo_study.definition.space.points import ordered

_OBJECTIVE = "objective."


def fitted(space: Space, base: RunConfig) -> dict[str, Choice | Range]:
    """The space with what follows from its settings written out. Space that cannot be fitted, such
    as one with conditions in a circle, is returned as it is."""
    try:
        order = ordered(space)
    except ValueError:
        return dict(space)
    space = _with_held_values(space, base)
    done: dict[str, Choice | Range] = {}
    for path, _ in order:
        found = space[path]
        if isinstance(found, Range) and any(
            kind.whole for kind in what_it_holds(base, space, path)
        ):
            found = found.model_copy(update={"integer": True})
        needed = objectives_with(space, path)
        if needed is not None:
            where = _objectives_where(found, {**space, **done})
            if not _about_objective(found) and (where is None or not set(where) <= set(needed)):
                own = When(path=NAME, values=tuple(needed))
                when = (*found.conditions, own) if found.conditions else own
                found = found.model_copy(update={"when": when})
        done[path] = found
    return {path: done[path] for path in space}


def held(value: Any, base: RunConfig, path: str, others: Mapping[str, Any] | None = None) -> Any:
    """The text that a setting makes of a value; any other value unchanged, and what is refused."""
    if not isinstance(value, str) and not callable(value):
        return value
    try:
        found = flatten(with_overrides(base, {**(others or {}), path: value}))[path]
    except (ConfigError, KeyError):
        return value
    return found if isinstance(found, str) else value


def _with_held_values(space: Space, base: RunConfig) -> dict[str, Choice | Range]:
    meant: dict[str, dict[Any, Any]] = {}
    for path, dimension in space.items():
        if isinstance(dimension, Choice):
            where = existing(space, path, {}) or {}
            changed = {key_of(v): held(v, base, path, where) for v in dimension.values}
            meant[path] = {k: v for k, v in changed.items() if k != key_of(v)}
    found = {}
    for path, dimension in space.items():
        changes: dict[str, Any] = {}
        if isinstance(dimension, Choice) and meant[path]:
            changes["values"] = tuple(meant[path].get(key_of(v), v) for v in dimension.values)
        if any(meant.get(when.path) for when in dimension.conditions):
            conditions = tuple(_renamed(when, meant) for when in dimension.conditions)
            changes["when"] = conditions if isinstance(dimension.when, tuple) else conditions[0]
        found[path] = dimension.model_copy(update=changes) if changes else dimension
    return found


def _renamed(when: When, meant: Mapping[str, Mapping[Any, Any]]) -> When:
    own = meant.get(when.path, {})
    values = tuple(own.get(key_of(value), value) for value in when.values)
    return when.model_copy(update={"values": values})


def objectives(space: Space) -> Sequence[str] | None:
    """The objectives that the space chooses from; None where it does not."""
    chosen = space.get(NAME)
    if not isinstance(chosen, Choice):
        return None
    return [name for name in chosen.values if isinstance(name, str)]


def objectives_with(space: Space, path: str) -> Sequence[str] | None:
    """Those of the space's objectives that have the setting; None where all of them have, or none,
    or the space does not choose the objective."""
    names = objectives(space)
    if names is None or not path.startswith(_OBJECTIVE) or path == NAME:
        return None
    found = [name for name in names if _has(name, path)]
    return found if 0 < len(found) < len(names) else None


def what_it_holds(base: RunConfig, space: Space, path: str) -> list[AcceptedValues]:
    """What the setting may hold, in every objective of the space that has it; nothing for a setting
    that there is not."""
    names = objectives(space)
    if names is None or not path.startswith(_OBJECTIVE):
        field = field_of(base, path)
        return [] if field is None else [accepted_values(field)]
    own = path.removeprefix(_OBJECTIVE)
    kinds = [options_of(name) for name in names]
    return [
        accepted_values(kind.model_fields[own])
        for kind in kinds
        if kind and own in kind.model_fields
    ]


def existing(space: Space, path: str, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """`params` and what else must hold for the dimension to exist; None where it cannot."""
    found = dict(params)
    for when in space[path].conditions:
        if when.path in found:
            if not when.allows(found[when.path]):
                return None
            continue
        other = space.get(when.path)
        for value in when.values:
            if other is None or not other.contains(value):
                continue
            tried = existing(space, when.path, {**found, when.path: value})
            if tried is not None:
                found = tried
                break
        else:
            return None
    return found


def _about_objective(dimension: Choice | Range) -> bool:
    return any(when.path == NAME for when in dimension.conditions)


def _has(name: str, path: str) -> bool:
    options = options_of(name)
    return options is not None and path.removeprefix(_OBJECTIVE) in options.model_fields


def _objectives_where(dimension: Choice | Range, space: Space) -> Sequence[str] | None:
    """The objectives that its conditions leave it, through other dimensions too; None for all."""
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
