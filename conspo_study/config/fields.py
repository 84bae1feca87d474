"""The values that a setting accepts, read from the type of its field."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from conspo_study.config.objectives import OPTIONS, ObjectiveOptions
from conspo_study.config.stages import RunConfig
from conspo_study.config.values import key_of

NAME = "objective.name"
_PHRASES = {
    "gt": "greater than",
    "ge": "greater than or equal to",
    "lt": "less than",
    "le": "less than or equal to",
    "multiple_of": "a multiple of",
}


@dataclass(frozen=True, slots=True)
class AcceptedValues:
    """The values that a setting accepts."""

    kinds: frozenset[str]
    """Some of: whole, number, truth, text, list, mapping, null, other."""
    words: tuple[Any, ...] = ()
    """The members of an enumeration, accepted besides the kinds."""
    limits: str = ""
    """The range in words, `greater than 0 and less than 1`; empty without one."""
    example: Any = None
    """The setting's default."""

    @property
    def whole(self) -> bool:
        """True if all accepted numbers are integers."""
        return "whole" in self.kinds and not self.kinds & {"number", "other"}

    @property
    def numeric(self) -> bool:
        """True if numbers of a range are accepted."""
        return bool(self.kinds & {"whole", "number", "other"})


def accepted_values(field: FieldInfo) -> AcceptedValues:
    """The values that a field of a configuration class accepts."""
    kinds: set[str] = set()
    words: list[Any] = []
    for part in _parts(field.annotation):
        if isinstance(part, _Word):
            words.append(part.value)
        else:
            kinds.add(_kind(part))
    limits = dict(_limits([*field.metadata, *_nested(field.annotation)]))
    phrase = " and ".join(
        f"{_PHRASES[name]} {limits[name]:g}" for name in _PHRASES if name in limits
    )
    example = None if field.is_required() else field.get_default(call_default_factory=True)
    return AcceptedValues(frozenset(kinds), tuple(words), phrase, example)


def field_of(config: RunConfig, path: str) -> FieldInfo | None:
    """The field of a dotted setting of `config`; None for an unknown setting."""
    stage, _, name = path.partition(".")
    settings = getattr(config, stage, None) if stage in RunConfig.model_fields else None
    return type(settings).model_fields.get(name) if settings is not None else None


def options_of(name: Any) -> type[ObjectiveOptions] | None:
    """The options class of an objective, built in or custom; None for an unknown name."""
    try:
        return type(RunConfig.model_validate({"objective": {"name": name}}).objective)
    except (ValueError, TypeError):  # some of its settings may have no default
        return OPTIONS.get(name) if isinstance(name, str) else None


def fields_named(path: str, name: Any = None) -> list[FieldInfo]:
    """The fields that a dotted setting can refer to when the objective is `name`; without one, the
    fields of all known objectives."""
    stage, _, field = path.partition(".")
    if stage not in RunConfig.model_fields:
        return []
    chosen = None if name is None else options_of(name)
    kinds: Sequence[Any] = [RunConfig.model_fields[stage].annotation]
    if stage == "objective":
        kinds = list(OPTIONS.values()) if chosen is None else [chosen]
    return [kind.model_fields[field] for kind in kinds if field in kind.model_fields]


@dataclass(frozen=True, slots=True)
class _Word:
    value: Any


def _parts(annotation: Any) -> Iterator[Any]:
    """The alternatives of a union type, with the members of an enumeration as `_Word`."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    if isinstance(annotation, NewType):
        annotation = annotation.__supertype__
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _parts(part)
    elif origin is Literal:
        yield from (_Word(value) for value in get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        yield from (_Word(member.value) for member in annotation)
    else:
        yield origin or annotation


def _kind(part: Any) -> str:
    if part is None or part is type(None):
        return "null"
    if not isinstance(part, type):
        return "other"
    for bases, kind in (
        (bool, "truth"),
        (int, "whole"),
        ((float, Decimal), "number"),
        (str, "text"),
        ((Mapping, BaseModel), "mapping"),
        ((Sequence, set, frozenset), "list"),
    ):
        if issubclass(part, bases):
            return kind
    return "other"


def _nested(annotation: Any) -> Iterator[Any]:
    """Annotations inside a type, such as the limits of `PositiveInt | None`."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        for extra in arguments[1:]:
            yield from extra.metadata if isinstance(extra, FieldInfo) else [extra]
        arguments = arguments[:1]
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        for part in arguments:
            yield from _nested(part)


def _limits(metadata: Sequence[Any]) -> Iterator[tuple[str, float]]:
    for constraint in metadata:
        for name in _PHRASES:
            if isinstance(limit := getattr(constraint, name, None), int | float):
                yield name, limit


def spelled(value: Any) -> str:
    """A value as it is typed: JSON's null, true and false, text in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(spelled(item) for item in value)}]"
    return repr(value)


def is_word(value: Any, words: Sequence[Any]) -> bool:
    """True if the value is a member of the enumeration."""
    return key_of(value) in map(key_of, words)
