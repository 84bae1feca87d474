"""Problem sets as a configuration lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from conspo_study.records import set_name, set_source

GENERATED = "chain"
"""The generated task; its levels are written `chain/hard`."""


def as_entries(given: Any) -> Any:
    """`{"mine": "path"}` as `["mine=path"]`; anything else unchanged."""
    return (
        [f"{name}={path}" for name, path in given.items()] if isinstance(given, Mapping) else given
    )


def name_problems(entries: Iterable[str]) -> list[str]:
    """Names that are given twice, or that mean something else already."""
    problems = []
    seen: set[str] = set()
    for entry in entries:
        name = set_name(entry)
        if name in seen:
            problems.append(f"{name} is the name of two sets: give each a name of its own")
        seen.add(name)
        if name != entry and name == GENERATED:
            problems.append(f"{name} is the generated task: give {set_source(entry)} another name")
    return problems
