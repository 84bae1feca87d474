"""What `study.json` declares, as far as it can be read: the page shows a log without it, too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from conspo_study.results.own_code import missing_code_lines

SCHEMA = 1
"""The version of `study.json` that this code reads."""


_LOG_ALONE = "; restore it from a copy. What follows is from the log alone"


@dataclass(frozen=True, slots=True)
class Stored:
    """A study's declaration; everything in it is untrusted, and absent where it makes no sense."""

    name: str
    problem: str = ""
    """Why nothing else is known; empty when it is."""
    metric: str = ""
    direction: Literal["max", "min"] = "max"
    also: tuple[str, ...] = ()
    """Metrics of further objectives."""
    space: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    """The configuration that trials start from."""
    trials: int | None = None
    """Budget in search trials."""
    evaluated_every: int = 1
    """Steps between evaluations."""
    missing_code: tuple[str, ...] = ()
    """Sentences about own code of the study that is not found here."""


def read_stored(folder: Path) -> Stored:
    """The declaration of the study in `folder`. Never raises: what is wrong is its `problem`."""
    path = folder / "study.json"
    try:
        found = json.loads(path.read_bytes())
        definition = found.get("definition") if isinstance(found, dict) else None
        if not isinstance(definition, dict):
            raise ValueError("it holds no definition")
        if found.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}, the one that this version reads")
    except FileNotFoundError:
        if (folder / "log.jsonl").exists():
            return Stored(folder.name, f"{path} is gone{_LOG_ALONE}")
        return Stored(folder.name, f"{folder} holds no study: it has no study.json")
    except (OSError, ValueError, RecursionError) as error:
        return Stored(folder.name, f"{path} cannot be read: {error}{_LOG_ALONE}")
    also, base = definition.get("also"), _mapping(definition.get("base"))
    every = _mapping(base.get("evaluation")).get("every")
    trials = definition.get("trials")
    return Stored(
        name=str(found.get("name", folder.name)),
        metric=str(definition.get("metric", "")),
        direction="min" if definition.get("direction") == "min" else "max",
        also=tuple(
            str(_mapping(aim).get("metric", "")) for aim in (also if isinstance(also, list) else ())
        ),
        space={name: _mapping(of) for name, of in _mapping(definition.get("space")).items()},
        base=base,
        trials=trials if isinstance(trials, int) else None,
        missing_code=tuple(missing_code_lines(definition)),
        evaluated_every=max(1, every) if isinstance(every, int) else 1,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
