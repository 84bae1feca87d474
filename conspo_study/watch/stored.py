"""The declaration of a study as its page shows it; a log is shown without it, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from conspo_study.results.own_code import missing_code_lines
from conspo_study.results.stored import Fault, read_study
from conspo_study.results.table import StudyTable, TrialRow

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Stored:
    """A study's declaration; everything in it is untrusted, and absent where it makes no sense."""

    name: str
    problem: str = ""
    """Why nothing else is known; empty when it is."""
    question: str = ""
    """What the study is to answer."""
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

    def budget(self, table: StudyTable) -> int | None:
        """Search trials that the study may have, from its log where nothing else tells."""
        return table.trials if self.trials is None else self.trials

    def best(self, table: StudyTable) -> TrialRow | None:
        """The best search trial. None without a definition: only it tells whether the metric is to
        be maximised."""
        return None if self.problem else table.best(self.direction)


def read_stored(folder: Path) -> Stored:
    """The declaration of the study in `folder`. Never raises: what is wrong is its `problem`."""
    stored = read_study(folder)
    if stored.problem:
        rest = "" if stored.fault is Fault.NO_STUDY else ". What follows is from the log alone"
        return Stored(stored.name, stored.problem + rest)
    definition = stored.definition
    also, base = definition.get("also"), _mapping(definition.get("base"))
    every = _mapping(base.get("evaluation")).get("every")
    return Stored(
        name=stored.name,
        question=str(definition.get("question") or "")[:_LONGEST],
        metric=definition["metric"],
        direction="min" if definition.get("direction") == "min" else "max",
        also=tuple(
            str(_mapping(aim).get("metric", "")) for aim in (also if isinstance(also, list) else ())
        ),
        space={name: _mapping(of) for name, of in _mapping(definition.get("space")).items()},
        base=base,
        trials=definition["trials"],
        missing_code=tuple(missing_code_lines(definition)),
        evaluated_every=max(1, every) if isinstance(every, int) else 1,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
