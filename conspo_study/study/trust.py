"""Code that a results directory names, and the permission that running it needs.

`study.json` may come from anybody, and names modules to import and models that bring code. To run a
study's own script is to trust it; `conspo resume`, which has nothing but the directory, asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conspo_study.records import StudyError
from conspo_study.results.own_code import own_modules
from conspo_study.text import printable

OPTION = "--trust-code"
_REMOTE = "trust_remote_code"


class UntrustedCode(StudyError):
    """A study would run code that only its `study.json` names; nothing was imported."""

    def __init__(self, folder: Path, named: list[str]):
        self.what = (
            f"the study in {folder} would run code that its study.json names: {'; '.join(named)}"
        )
        super().__init__(f"{self.what}. With trust_code=True it is run")

    def typed(self, command: str) -> StudyError:
        """The error for somebody who typed `command`."""
        return StudyError(f"{self.what}. If you trust it: {command} {OPTION}")


def code_named(definition: Mapping[str, Any]) -> list[str]:
    """What a stored definition would run, a clause for each kind; empty for a study without code of
    its own. Imports nothing."""
    plugins = definition.get("plugins")
    named = [str(one) for one in plugins] if isinstance(plugins, list) else []
    modules = list(dict.fromkeys([*named, *own_modules(definition)]))
    clauses = []
    if modules:
        clauses.append(f"the module{'s' if modules[1:] else ''} {', '.join(modules)}")
    if models := remote_models(definition):
        of = " or ".join(models)
        clauses.append(f"the code that comes with the model {of} (policy.{_REMOTE})")
    return [printable(clause) for clause in clauses]


def remote_models(definition: Mapping[str, Any]) -> list[str]:
    """The models whose own code a study may run: all that it names, where any of its settings
    allows that."""
    settings = list(_settings(definition))
    allowed = (value for name, value in settings if name.rpartition(".")[2] == _REMOTE)
    if all(value is False for value in allowed):
        return []
    named = [value for name, value in settings if name in ("model", "policy.model")]
    each = (one for value in named for one in (value if isinstance(value, list) else [value]))
    return list(dict.fromkeys(map(str, each)))


def _settings(data: Any) -> Iterator[tuple[str, Any]]:
    """All fields at any depth with their values; of a choice, the list of its values."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            yield str(name), value.get("values", value) if isinstance(value, Mapping) else value
            yield from _settings(value)
    elif isinstance(data, list | tuple):
        for one in data:
            yield from _settings(one)
