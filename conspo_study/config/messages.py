"""Messages about invalid settings, one line each: where, what is wrong, and what to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from conspo_study.config.errors import Problems
from conspo_study.config.fields import AcceptedValues, accepted_values, options_of, spelled
from conspo_study.config.objectives import OPTIONS
from conspo_study.config.stages import RunConfig
from conspo_study.config.synonyms import setting_meant
from conspo_study.text import counted

_LONGEST_VALUE = 120
_NOUNS = {
    "whole": "a whole number",
    "number": "a number",
    "truth": "true or false",
    "text": "text",
    "list": "a list",
    "mapping": "a mapping",
    "null": "null",
}
_STANDS_FOR = ("objective", "data")
"""Groups whose name people type for one of its settings."""
_LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of")


def described(error: ValidationError, model: type[BaseModel], data: Any) -> list[tuple[str, str]]:
    """The problems of `data` as a `model`: pairs of a dotted setting, or of a stage, and a line."""
    lines_by_path: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        location = detail["loc"]
        field, depth = _field_at(model, location, data)
        path = ".".join(map(str, location[:depth]))
        lines = lines_by_path.setdefault(path, [])
        if detail["type"] == "extra_forbidden":
            lines.append(f"{shown(path)}: unknown setting{_hint(path, location, model, data)}")
        elif isinstance(problems := detail.get("ctx", {}).get("error"), Problems):
            lines += problems.problems
        elif field is None or detail["type"] in ("value_error", "finite_number"):
            lines.append(_as_it_is(path, location[depth : depth + 1], detail))
        elif detail["type"] == "missing" and depth == len(location):
            lines.append(f"{path}: is needed, {_takes(accepted_values(field))}")
        elif not lines:  # one line for all alternatives of a type
            given = _at(data, location[:depth], detail["input"])
            lines.append(_mismatch(path, field, given, detail, depth))
    return [(path, line) for path, lines in lines_by_path.items() for line in lines]


def shown(text: str) -> str:
    """The text with control characters, and all else that is invisible, written out."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def shortened(value: Any) -> str:
    """The repr of a value, cut if it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def settings_of_objectives() -> dict[str, list[str]]:
    """The names of the objectives that have each dotted setting."""
    objectives: dict[str, list[str]] = {}
    for name, options in sorted(OPTIONS.items()):
        for field in options.model_fields:
            objectives.setdefault(f"objective.{field}", []).append(name)
    return objectives


def unknown(path: str, known: Sequence[str], objective: str = "") -> str:
    """The end of an `unknown setting` message: the setting or option that was probably meant."""
    others = settings_of_objectives()
    if path in others and objective:
        return f" of the objective {objective}; it belongs to {_some(others[path])}"
    if path in RunConfig.model_fields and path not in _STANDS_FOR:
        first = next((name for name in known if name.startswith(f"{path}.")), path)
        return f": it is a group of settings, such as {first}"
    meant = setting_meant(path, [*known, *(other for other in others if other not in known)])
    if meant is None:
        return ""
    if meant.startswith("--"):
        return f" (did you mean the option {meant}?)"
    if meant not in known and meant in others:
        return f" ({meant} is a setting of {_some(others[meant])})"
    return f" (did you mean {meant}?)"


def _hint(path: str, location: Sequence[Any], model: type[BaseModel], data: Any) -> str:
    parent: Any = model
    for part in location[:-1]:
        field = parent.model_fields.get(part) if parent else None
        parent = _model_in(field, part, data) if field else None
    if parent is None:
        return ""
    prefix = ".".join(map(str, location[:-1]))
    known = [f"{prefix}.{name}".lstrip(".") for name in parent.model_fields]
    known += [name for name in _settings(data) if model is RunConfig and name not in known]
    return unknown(path, known, _objective(data) if prefix == "objective" else "")


def _settings(data: Any) -> Iterator[str]:
    for stage, field in RunConfig.model_fields.items():
        kind = _model_in(field, stage, data)
        yield from (f"{stage}.{name}" for name in (kind.model_fields if kind else ()))


def _as_it_is(path: str, inside: Sequence[Any], detail: Any) -> str:
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    where = ": ".join(filter(None, [path, *map(str, inside)]))
    given = detail["input"]
    value = f" = {shortened(given)}" if isinstance(given, str | int | float | bool) else ""
    return shown(f"{where}{value}: {message}" if where else message)


def _mismatch(path: str, field: FieldInfo, given: Any, detail: Any, depth: int) -> str:
    accepted = accepted_values(field)
    if detail["type"] in _LIMITS and not isinstance(given, list | tuple | Mapping):
        message = f"should be {accepted.limits or detail['msg'].removeprefix('Input should be ')}"
    elif detail["type"] == "too_short" and not given:
        message = f"needs at least {counted(detail['ctx']['min_length'], 'item')}"
    else:
        message = _takes(accepted, given)
    inside = detail["loc"][depth:]
    if isinstance(given, list | tuple | Mapping) and inside:
        part = detail["msg"].removeprefix("Input ")
        message = f"{message}; {_place(inside[0])} {part}"
    return shown(f"{path} = {shortened(given)}: {message}")


def _place(part: Any) -> str:
    return f"item {part + 1}" if isinstance(part, int) else f"{part!r}"


def _takes(accepted: AcceptedValues, given: Any = None) -> str:
    """`takes a number greater than 0, or null`, with an example if one helps."""
    nouns = [_NOUNS[kind] for kind in _NOUNS if kind in accepted.kinds and kind != "null"]
    if accepted.limits and nouns:
        nouns[0] += f" {accepted.limits}"
    nouns += [spelled(word) for word in accepted.words]
    nullable = "null" in accepted.kinds
    listed = _or(nouns or ["another value"]) + (", or null for none" if nullable else "")
    text = f"should be {listed}" if accepted.words and len(nouns) == len(accepted.words) else ""
    text = text or f"takes {listed}"
    close = difflib.get_close_matches(
        str(given), [w for w in accepted.words if isinstance(w, str)], n=1
    )
    if close:
        return f"{text} (did you mean {close[0]}?)"
    if "list" in accepted.kinds:
        example = given if isinstance(given, str) else (accepted.example or ["..."])[0]
        return f'{text}, such as ["{example}"]'
    if "mapping" in accepted.kinds:
        return f'{text}, such as {{"name": 1}}'
    if accepted.kinds <= {"text", "null"} and not accepted.words and isinstance(given, int | float):
        return f'{text}: write "{spelled(given)}"'
    if accepted.words or accepted.example is None or accepted.kinds & {"text", "truth"}:
        return text
    return f"{text}, such as {spelled(accepted.example)}"


def _field_at(model: Any, location: Sequence[Any], data: Any) -> tuple[FieldInfo | None, int]:
    """The innermost field named by a location, and the number of parts that lead to it."""
    field, depth = None, len(location)
    for index, part in enumerate(location):
        if model is None or part not in model.model_fields:
            # After a single setting, the rest of the location lies inside its value.
            return field, index if field is not None and model is None else depth
        field = model.model_fields[part]
        model = _model_in(field, part, data)
    return (field if model is None else None), depth


def _model_in(field: FieldInfo, part: Any, data: Any) -> type[BaseModel] | None:
    """The class of a group of settings; None for a single setting."""
    if part == "objective":
        return options_of(_objective(data))
    parts = [field.annotation, *get_args(field.annotation)]
    return next((p for p in parts if isinstance(p, type) and issubclass(p, BaseModel)), None)


def _objective(data: Any) -> str:
    for name in ("base", "objective"):
        data = data.get(name, data if name == "base" else {}) if isinstance(data, Mapping) else {}
    return str(data.get("name", "conspo")) if isinstance(data, Mapping) else "conspo"


def _at(data: Any, location: Sequence[Any], otherwise: Any) -> Any:
    """The part of the data at a location; `otherwise` if there is none."""
    for part in location:
        if not isinstance(data, Mapping) or part not in data:
            return otherwise
        data = data[part]
    return data


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")


def _or(texts: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))
