"""Problems of a search space, each with the name of its setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from conspo_study.config import AnyRun, ConfigError, flatten, with_overrides
from conspo_study.config.fields import NAME
from conspo_study.config.values import key_of, kind_of
from conspo_study.definition.space.census import has_valid_point
from conspo_study.definition.space.dimensions import Choice, Range, Space
from conspo_study.definition.space.points import MAX_POINTS, number_of_points, ordered
from conspo_study.definition.space.settings import existing, objectives_with, what_it_holds

_SINGLE = {"null", "true or false", "a number", "text"}


def space_problems(space: Space, base: AnyRun, sampler: str) -> list[str]:
    """Problems of the space, each after the name of its setting."""
    problems = [f"{path}: {p}" for path, dimension in space.items() for p in dimension.problems()]
    problems += [*_range_problems(space, base), *_condition_problems(space)]
    if not problems:
        lines = (line for path in space for line in _value_problems(space, base, path))
        problems += dict.fromkeys(lines)
    if not problems:
        problems += _sampler_problems(space, sampler)
    if not problems and space and not has_valid_point(space, base):
        problems.append("no combination of its values is a valid configuration: change one of them")
    return problems


def value_problem(given: Any, held: Any) -> str | None:
    """Reason to refuse a value that the setting converts to `held`: pydantic takes "0.1" for 0.1
    and True for 1, and two spellings of a value would count as two values."""
    for item, converted in _pairs(given, held):
        given_kind, kind = kind_of(item), kind_of(converted)
        if given_kind != kind and {given_kind, kind} <= _SINGLE:
            return f"{item!r} is {given_kind}, and the setting holds {kind}: write {converted!r}"
    return None


def _pairs(given: Any, held: Any) -> Iterator[tuple[Any, Any]]:
    """A value with its converted form, and their items in pairs."""
    yield given, held
    if isinstance(given, list | tuple) and isinstance(held, list | tuple):
        for item, converted in zip(given, held, strict=False):
            yield from _pairs(item, converted)
    if isinstance(given, Mapping) and isinstance(held, Mapping):
        for name in given.keys() & held.keys():
            yield from _pairs(given[name], held[name])


def _range_problems(space: Space, base: AnyRun) -> Iterator[str]:
    for path, dimension in space.items():
        kinds = what_it_holds(base, space, path)
        if isinstance(dimension, Range) and kinds and not all(kind.numeric for kind in kinds):
            words = dict.fromkeys(repr(word) for kind in kinds for word in kind.words)
            if any("truth" in kind.kinds for kind in kinds):
                words |= {"True": None, "False": None}
            given = f"values=({', '.join(words or ['...'])})"
            yield f"{path}: takes no range of numbers: write Choice({given})"


def _condition_problems(space: Space) -> Iterator[str]:
    for path, dimension in space.items():
        for when in dimension.conditions:
            other = space.get(when.path)
            if not isinstance(other, Choice):
                yield (
                    f"{path}: exists where {when.path} has some value, which must be a choice of "
                    "this space"
                )
                continue
            unknown = [value for value in when.values if not other.contains(value)]
            if unknown or not when.values:
                yield f"{path}: exists where {when.path} is {unknown}, which it never is"
            needed = objectives_with(space, path)
            lacking = [name for name in when.values if needed and name not in needed]
            if when.path == NAME and lacking and needed:
                yield (
                    f"{path}: exists where {NAME} is {', '.join(map(str, lacking))}, which has no "
                    f"such setting: write when=When(path={NAME!r}, values={tuple(needed)!r})"
                )
    try:
        ordered(space)
    except ValueError as error:
        yield str(error)
        return
    for path in space:
        if existing(space, path, {}) is None and _conditions_are_possible(space, path):
            yield f"{path}: its conditions exclude each other, so it never exists"


def _conditions_are_possible(space: Space, path: str) -> bool:
    """True if each condition by itself can hold; if not, another line reports it."""
    return all(
        isinstance(other := space.get(when.path), Choice) and any(map(other.contains, when.values))
        for when in space[path].conditions
    )


def _value_problems(space: Space, base: AnyRun, path: str) -> Iterator[str]:
    dimension = space[path]
    where = existing(space, path, {}) or {}
    values = (
        dimension.values if isinstance(dimension, Choice) else (dimension.at(0), dimension.at(1))
    )
    known: dict[Any, Any] = {}
    for value in values:
        try:
            held = flatten(with_overrides(base, {**where, path: value}))[path]
        except ConfigError as error:
            lines = [line for line in error.problems if line.startswith(path)]
            if not lines and _has_a_place(space, base, path, value):
                continue
            for line in lines or error.problems:
                yield line if lines else f"{path} = {value!r}: {line}"
            continue
        if problem := value_problem(value, held):
            yield f"{path}: {problem}"
        elif key_of(held) in known:
            yield (
                f"{path}: {known[key_of(held)]!r} and {value!r} are the same: the values of a "
                "choice must be distinct"
            )
        known[key_of(held)] = value


def _has_a_place(space: Space, base: AnyRun, path: str, value: Any) -> bool:
    """True if a value that is invalid with the base's other settings is valid with others."""
    fixed = Choice(values=(value,), when=space[path].when)
    return has_valid_point({**space, path: fixed}, base, path)


def _sampler_problems(space: Space, sampler: str) -> Iterator[str]:
    for path, dimension in space.items():
        if sampler == "grid" and dimension.listed is None:
            yield (
                f"{path}: is a range, which a grid cannot list: list its values in a Choice, "
                "or use the sampler qmc"
            )
        if sampler == "gp" and dimension.conditions:
            on = " and ".join(when.path for when in dimension.conditions)
            forced = objectives_with(space, path)
            advice = (
                f"only {', '.join(forced)} have it: search each objective in a study of its own"
                if forced
                else "drop its `when`"
            )
            yield (
                f"{path}: exists only for some values of {on}, which the sampler gp cannot model: "
                f"{advice}, or use the sampler tpe"
            )
    if sampler == "grid" and number_of_points(space) == MAX_POINTS:
        yield f"a grid of {MAX_POINTS} points or more: list fewer values, or use the sampler qmc"
