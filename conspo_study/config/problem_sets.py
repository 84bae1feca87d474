"""How a configuration names a problem set: by a name, by a path, or as `name=path`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_NAMED = re.compile(r"([A-Za-z0-9][\w.+-]{0,63})=(.+)", re.DOTALL)
"""A name may have no "/" or "@", which metrics are cut at."""
GENERATED = "chain"
"""The generated task; its levels are written `chain/hard`."""


def set_name(entry: str) -> str:
    """What metrics, tables and captions call the set: its own name, or else all that is written."""
    named = _NAMED.fullmatch(entry)
    return named[1] if named else entry


def set_source(entry: str) -> str:
    """What the set holds: the path of a file, the name of a known set, or a generated level."""
    named = _NAMED.fullmatch(entry)
    return named[2] if named else entry


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
