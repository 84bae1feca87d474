"""The types of runs that were read, and the errors and bounds of reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from analysis.load.text import visible

MOST_BYTES = 64 << 20
"""Of one file."""
MOST_ROWS = 2_000_000
"""Values of the metric in all files together."""


class RunsUnreadable(ValueError):
    """A file of runs cannot be used; the message says which, where, and what to type."""

    def __init__(self, path: Path, problem: str, line: int | None = None):
        where = "" if line is None else f", line {line}"
        super().__init__(f"{visible(str(path), 300)}{where}: {problem}")


class Row(NamedTuple):
    """One value of the metric."""

    setting: str
    seed: int
    step: int | None
    problem: str | None
    value: float
    """May be nan or infinite, as it stands in the file."""
    line: int | None
    """Line of a table, from 1; None in a log, whose rows have their step."""
    path: Path


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read."""

    metric: str | None = None
    """None takes the only one."""
    setting: tuple[str, ...] = ("setting",)
    """Columns of a table that together name the setting."""
    seed: str = "seed"
    """Column of a table that holds the seed."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Values of one metric, in the order of the files."""

    metric: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """What was decided while reading, in sentences for people."""


def one_metric(path: Path, known: Sequence[str], asked: str | None) -> str:
    """The metric that is asked for, or the only one. Raises RunsUnreadable naming those there
    are."""
    listed = ", ".join(visible(name, 60) for name in known[:30]) + (
        f" and {len(known) - 30} more" if len(known) > 30 else ""
    )
    if not known:
        raise RunsUnreadable(path, "it has no metric: no column or entry with numbers")
    if asked is None:
        if len(known) > 1:
            raise RunsUnreadable(path, f"it has several metrics; name one: --metric, of {listed}")
        return known[0]
    if asked not in known:
        raise RunsUnreadable(path, f"it has no metric '{visible(asked, 60)}', but {listed}")
    return asked
