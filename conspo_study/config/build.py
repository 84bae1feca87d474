"""Building configurations from untrusted input: JSON, `--set` assignments, search suggestions."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from conspo_study.config.objectives import OPTIONS
from conspo_study.config.stages import RunConfig


class ConfigError(ValueError):
    """A configuration cannot be used. `problems` holds one line per problem."""

    def __init__(self, problems: Sequence[str]):
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count > 1 else ''} in the configuration:"
        super().__init__("\n  - ".join([head, *self.problems]))


def parse_config(data: Mapping[str, Any]) -> RunConfig:
    """Validate nested plain data. Raises ConfigError listing all problems, each with its fix."""
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        lines = [_describe(detail, data) for detail in error.errors(include_url=False)]
        raise ConfigError(lines) from None


def with_overrides(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """A copy with dotted settings replaced: `{"objective.tau": 0.1}`.

    Choosing another `objective.name` starts from that objective's defaults, since the options of
    the old one do not apply to it. Raises ConfigError listing all problems.
    """
    data = config.model_dump(mode="json")
    name = overrides.get("objective.name", config.objective.name)
    if name != config.objective.name:
        data["objective"] = {"name": name}
    unknown = []
    for path, value in overrides.items():
        stage, _, field = path.partition(".")
        if stage in data and field and "." not in field:
            data[stage][field] = value
        else:
            unknown.append(f"{path}: unknown setting{_nearest(path, _all_paths(config))}")
    problems = list(unknown)
    try:
        result = parse_config(data)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return result


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """`["objective.tau=0.1", ...]` as overrides; values are JSON, or else plain text."""
    overrides, problems = {}, []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            problems.append(
                f"{assignment!r} is not of the form stage.field=value, such as objective.tau=0.5"
            )
            continue
        try:
            overrides[path.strip()] = json.loads(text)
        except json.JSONDecodeError:
            overrides[path.strip()] = text
    if problems:
        raise ConfigError(problems)
    return overrides


def flatten(config: RunConfig) -> dict[str, Any]:
    """All settings as dotted paths to JSON values."""
    return {
        f"{stage}.{field}": value
        for stage, fields in config.model_dump(mode="json").items()
        for field, value in fields.items()
    }


def config_hash(data: BaseModel | Mapping[str, Any]) -> str:
    """12 hex digits that change exactly when a setting changes, whatever the key order."""
    plain = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _describe(detail: Any, data: Mapping[str, Any]) -> str:
    location = [str(part) for part in detail["loc"]]
    path = ".".join(location) or "configuration"
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown setting{_nearest(path, _known_paths(location, data))}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(detail["input"], str | int | float | bool):
        return f"{path} = {detail['input']!r}: {message}"
    return f"{path}: {message}"


def _known_paths(location: Sequence[str], data: Mapping[str, Any]) -> list[str]:
    if len(location) == 1:
        return list(RunConfig.model_fields)
    stage = location[0]
    if stage == "objective":
        name = data.get("objective", {}).get("name", "conspo")
        fields = OPTIONS[name].model_fields
    else:
        fields = type(getattr(RunConfig(), stage)).model_fields
    return [f"{stage}.{field}" for field in fields]


def _all_paths(config: RunConfig) -> list[str]:
    return list(flatten(config))


def _nearest(name: str, known: Sequence[str]) -> str:
    """` (did you mean ...?)`, looking for the field name in other stages too."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not close:
        by_field = {path.rpartition(".")[2]: path for path in known}
        close = [
            by_field[field]
            for field in difflib.get_close_matches(name.rpartition(".")[2], by_field, n=1)
        ]
    return f" (did you mean {close[0]}?)" if close else ""
