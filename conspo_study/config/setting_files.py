"""Settings from a file in TOML, YAML or JSON: the same as `--set`, one file instead of many flags.

    [objective]                      objective:                    {"objective.tau": 0.5}
    tau = 0.5                          tau: 0.5

Settings stand in a table for their stage, or under their dotted name. Parameters of a training
function stand alone.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conspo_study.config.build import typed_value
from conspo_study.config.errors import ConfigError
from conspo_study.config.fields import NAME
from conspo_study.config.stages import RunConfig

MOST = 1 << 20
"""Bytes of the largest file of settings."""
ENDINGS = (".toml", ".yaml", ".yml", ".json")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings in a file, by dotted name, as `with_overrides` takes them.

    Numbers that YAML takes for text, such as 1e-4, are read as `--set` reads them. Raises
    ConfigError for a file that cannot be read, is none of these formats, or holds no settings.
    """
    found: dict[str, Any] = {}
    for setting, value in _flat(_content(path), path):
        if setting in found:
            raise ConfigError([f"{path}: {setting} is set twice"])
        found[setting] = value
    name = found.get(NAME)
    objective = name if isinstance(name, str) else None
    return {
        setting: typed_value(value, setting, objective) if isinstance(value, str) else value
        for setting, value in found.items()
    }


def _flat(content: Mapping[Any, Any], path: Path) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        _check_name(key, path)
        if isinstance(value, Mapping) and "." not in key:
            for name, one in value.items():
                _check_name(name, path)
                yield f"{key}.{name}", one
        elif value is not None or key not in RunConfig.model_fields:  # a stage without settings
            yield key, value


def _check_name(key: Any, path: Path) -> None:
    if not isinstance(key, str) or not key.strip() or key != key.strip() or "=" in key:
        raise ConfigError([f"{path}: {key!r} is no name of a setting"])


def _content(path: Path) -> Mapping[str, Any]:
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError([f"{path}: a file of settings ends in {', '.join(ENDINGS)}"])
    try:
        with path.open("rb") as file:
            raw = file.read(MOST + 1)
    except OSError as error:
        raise ConfigError([f"{path} cannot be read: {error.strerror}"]) from None
    if len(raw) > MOST:
        raise ConfigError([f"{path} is larger than a file of settings can be"])
    try:
        text = raw.decode("utf-8-sig")
        content = _parsed(text, path.suffix.lower())
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path}: {' '.join(str(error).split())}"]) from None
    if not isinstance(content, Mapping):
        raise ConfigError([f"{path} holds no settings: a table for each stage is expected"])
    return content


def _parsed(text: str, ending: str) -> Any:
    """Raises ValueError for another format."""
    if ending == ".toml":
        return tomllib.loads(text)
    if ending == ".json":
        return json.loads(text)
    import yaml  # type: ignore[import-untyped]  # Ray and transformers bring it

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        """YAML 1.2's truth values: `off` is a schedule, and `no` a word."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    words = re.compile("^(?:true|True|TRUE|false|False|FALSE)$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", words, list("tTfF"))
    try:
        return yaml.load(text, Loader)  # a safe loader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
