"""Builds configurations from untrusted input: JSON, `--set` assignments, search suggestions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from conspo_study.config.errors import ConfigError
from conspo_study.config.fields import NAME, AcceptedValues, accepted_values, fields_named, is_word
from conspo_study.config.function import FunctionConfig
from conspo_study.config.messages import described, shown, unknown
from conspo_study.config.problem_sets import as_entries
from conspo_study.config.stages import RunConfig
from conspo_study.records import set_name

AnyRun = RunConfig | FunctionConfig
"""The configuration of a run: of the built-in training, or of a function of the user's."""
Run = TypeVar("Run", bound=AnyRun)
SETS, TRACKED = "evaluation.sets", "evaluation.tracked"
_NO_VALUE = ("none", "null", "nil")


def parse_config(data: Mapping[str, Any]) -> RunConfig:
    """Validate nested plain data. Raises ConfigError with all problems, each with its fix."""
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError([line for _, line in described(error, RunConfig, data)]) from None


def parse_run(data: Mapping[str, Any]) -> AnyRun:
    """`parse_config` for either kind of a run."""
    return _parsed_function(data) if is_function(data) else parse_config(data)


def is_function(data: Any) -> bool:
    """True if plain data describes a run of a training function."""
    return isinstance(data, Mapping) and "function" in data


def with_overrides(
    config: Run, overrides: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> Run:
    """A copy with dotted settings replaced: `{"objective.tau": 0.1}`.

    Another `objective.name` starts from that objective's defaults, since the options of the old one
    do not apply to it; other `evaluation.sets` reduce `evaluation.tracked` to the sets that remain.
    defaults: the study's changes to `config`, applied before `overrides`. Raises ConfigError with
    all problems.
    """
    given = {**(defaults or {}), **overrides}
    if isinstance(config, FunctionConfig):
        try:
            return cast(Run, _parsed_function(config.changed(given)))
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError([str(error)]) from None
    data = config.model_dump(mode="json")
    data["rollout"]["vllm_dtype"] = config.rollout.vllm_dtype  # `auto` of a CPU is written float32
    name = given.get(NAME, config.objective.name)
    if name != config.objective.name:
        data["objective"] = {"name": name}
    if TRACKED not in given and isinstance(sets := as_entries(given.get(SETS)), list | tuple):
        names = [set_name(entry) for entry in sets if isinstance(entry, str)]
        tracked = data["evaluation"]["tracked"]
        data["evaluation"]["tracked"] = [name for name in tracked if name in names]
    problems = []
    for path, value in given.items():
        stage, _, field = path.partition(".")
        if stage in data and field and "." not in field:
            data[stage][field] = value
        else:
            problems.append(f"{shown(path)}: unknown setting{unknown(path, [*flatten(config)])}")
    try:
        result = RunConfig.model_validate(data)
    except ValidationError as error:
        from_study = {path for path in defaults or {} if path not in overrides}
        for path, line in described(error, RunConfig, data):
            problems.append(line + (_SET_BY_STUDY if path in from_study else ""))
    if problems:
        raise ConfigError(problems)
    return cast(Run, result)


def _parsed_function(data: Mapping[str, Any]) -> FunctionConfig:
    try:
        return FunctionConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError([line for _, line in described(error, FunctionConfig, data)]) from None


_SET_BY_STUDY = (
    ". This study sets it by default: choose another study, or change the default in a copy of "
    "its file"
)


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Overrides from assignments such as `["objective.tau=0.1", ...]`.

    Values are JSON or plain text. For a setting of a known type, text needs no quotes, a list needs
    no brackets, and `None` means null. Raises ConfigError for a malformed assignment.
    """
    texts, problems = {}, []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            problems.append(
                f"{assignment!r} is not of the form stage.field=value, such as objective.tau=0.5"
            )
            continue
        texts[path.strip()] = text
    if problems:
        raise ConfigError(problems)
    name = texts.get(NAME)
    return {path: typed_value(text, path, name) for path, text in texts.items()}


def typed_value(text: str, path: str, objective: str | None) -> Any:
    """The value that the text typed for a setting means; objective: the name given with it."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        value = text
    alternatives = [accepted_values(field) for field in fields_named(path, objective)]
    if not alternatives:
        return value
    kinds = frozenset[str]().union(*(accepted.kinds for accepted in alternatives))
    words = tuple(word for accepted in alternatives for word in accepted.words)
    return _converted(text, value, AcceptedValues(kinds, words))


def _converted(text: str, value: Any, accepted: AcceptedValues) -> Any:
    bare = text.strip()
    if "null" in accepted.kinds and bare.lower() in _NO_VALUE:
        return None
    if is_word(value, accepted.words) or (isinstance(value, str) and "text" in accepted.kinds):
        return value
    if "list" in accepted.kinds and not isinstance(value, list | dict):
        inner = bare[1:-1] if bare[:1] + bare[-1:] == "[]" else bare
        return [item.strip().strip("'\"") for item in inner.split(",") if item.strip()]
    takes_text = "text" in accepted.kinds or any(isinstance(word, str) for word in accepted.words)
    if takes_text and accepted.kinds <= {"text", "null"}:
        return text  # a number, `true` or a bracket is text here
    return value


def flatten(config: AnyRun) -> dict[str, Any]:
    """All settings as dotted paths to JSON values; parameters of a function by their names."""
    if isinstance(config, FunctionConfig):
        return config.settings
    dumped = config.model_dump(mode="json")
    return {
        # A setting that the dump omits has its default.
        f"{stage}.{field}": dumped[stage].get(field, getattr(getattr(config, stage), field))
        for stage in RunConfig.model_fields
        for field in type(getattr(config, stage)).model_fields
    }


def config_hash(data: BaseModel | Mapping[str, Any]) -> str:
    """12 hex digits that identify the settings, whatever the order of keys."""
    plain = data.model_dump(mode="json") if isinstance(data, BaseModel) else data
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
