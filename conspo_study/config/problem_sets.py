"""Problem sets as listed in a configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from conspo_study.records import GENERATED, set_name, set_source


def as_entries(given: Any) -> Any:
    """`{"heldout": "path"}` as `["heldout=path"]`; anything else unchanged."""
    return (
        [f"{name}={path}" for name, path in given.items()] if isinstance(given, Mapping) else given
    )


def name_problems(entries: Iterable[str]) -> list[str]:
    """Problems with the names of sets: used twice, or reserved."""
    problems = []
    seen: set[str] = set()
    for entry in entries:
        name = set_name(entry)
        if name in seen:
            problems.append(f"{name} is the name of two sets: give them different names")
        seen.add(name)
        if name != entry and name in GENERATED:
            problems.append(f"{name} is a generated task: give {set_source(entry)} another name")
    return problems
