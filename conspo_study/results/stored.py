"""The reader of `study.json`, which is untrusted, may be gone, and may be of another version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from conspo_study.results.names import DEFINITION, LOG, SNAPSHOT
from conspo_study.results.nearby import no_study_in
from conspo_study.results.reading import stored_object
from conspo_study.text import reason

SCHEMA = 1
"""The version of `study.json` that is written and read."""
MOST_TRIALS = 10**9
"""Of a definition that is no mistake."""
_TYPES = {
    **{"metric": str, "trials": int},
    **{"space": dict | None, "base": dict | None, "confirm": dict | None, "also": list | None},
}
"""JSON types of the fields of a definition that are read without the definition's own class."""


class Fault(Enum):
    """Why a `study.json` is of no use."""

    NO_STUDY = auto()
    """The folder holds no study."""
    OTHER_SCHEMA = auto()
    """Another version of this package wrote it."""
    LOST = auto()
    """It is gone or damaged; the log may still hold all that was measured."""


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """What `study.json` holds; nothing where it is of no use."""

    folder: Path
    fields: Mapping[str, Any] = field(default_factory=dict)
    """All of the file, with a `definition` whose fields have the types that they should have."""
    fault: Fault | None = None
    problem: str = ""
    """The fault in one sentence, with what to do."""

    @property
    def name(self) -> str:
        """Name of the study, or else of its folder."""
        return str(self.fields.get("name", self.folder.name))

    @property
    def definition(self) -> Mapping[str, Any]:
        """The definition; empty where there is none."""
        definition: Mapping[str, Any] = self.fields.get("definition", {})
        return definition


def read_study(folder: Path) -> StoredStudy:
    """The study that `folder` holds, as far as `study.json` tells. Never raises."""
    path = folder / DEFINITION
    try:
        fields = stored_object(path)
        if fields.get("schema") != SCHEMA:
            problem = (
                f"{path} has schema {fields.get('schema')!r}, this version reads {SCHEMA}: use the "
                f"version that began the study (its commit is in {SNAPSHOT}), or a newer one"
            )
            return StoredStudy(folder, fault=Fault.OTHER_SCHEMA, problem=problem)
        definition = fields.get("definition")
        if not isinstance(definition, dict):
            raise ValueError("it holds no definition")
        for name, kind in _TYPES.items():
            if not isinstance(definition.get(name), kind):
                what = f"a damaged {name}" if name in definition else f"no {name}"
                raise ValueError(f"its definition has {what}")
        if not 0 <= definition["trials"] <= MOST_TRIALS:
            raise ValueError(f"its definition has a budget of {definition['trials']:.6g} trials")
    except (FileNotFoundError, NotADirectoryError):
        if (folder / LOG).exists():
            problem = f"{path} is gone; restore it from a copy"
            return StoredStudy(folder, fault=Fault.LOST, problem=problem)
        return StoredStudy(folder, fault=Fault.NO_STUDY, problem=no_study_in(folder))
    except (OSError, ValueError) as error:
        problem = f"{path} cannot be read: {reason(error)}; restore it from a copy"
        return StoredStudy(folder, fault=Fault.LOST, problem=problem)
    return StoredStudy(folder, fields)
