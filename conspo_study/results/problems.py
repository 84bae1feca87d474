"""The problems that a trial was evaluated on: prompts and gold answers, once for all evaluations.

The built-in training writes one file at every start of a trial; each call of a training function
has one of its own, to which later evaluations add.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from conspo_study.files import write_atomic
from conspo_study.records import MOST_TEXT, ProblemRow, number_that_fit, text_bytes
from conspo_study.results.names import INNER, PROBLEMS
from conspo_study.results.parquet import RowFiles

MOST_FILES = 64
"""Files of a trial that are read: one, or one for each seed."""
MOST_MEMORY = 2 * MOST_FILES * MOST_TEXT
"""Bytes of memory that the rows of a trial may take."""

_FILES = RowFiles(ProblemRow, PROBLEMS, {b"conspo_problems": b"1"}, "evaluated problems")


def problems_path(folder: Path, seed: int | None = None) -> Path:
    """Where the problems of the trial in `folder` lie, or those of its call for `seed`."""
    return folder / (f"{PROBLEMS}.parquet" if seed is None else f"{PROBLEMS}-{seed}.parquet")


def write_problems(path: Path, rows: Sequence[ProblemRow]) -> None:
    """Write the rows as Parquet, whole or not at all; replaces an older file. Rows from the first
    on that exceeds `MOST_TEXT` are left out."""
    kept = rows[: number_that_fit(map(_size, rows))]
    write_atomic(path, _FILES.encoded(kept, ("prompt", "gold")), INNER)


def add_problems(path: Path, rows: Iterable[ProblemRow]) -> None:
    """Write the rows of problems that the file does not have yet behind those that it has; a
    damaged file is replaced."""
    known: dict[tuple[str, str], ProblemRow] = {}
    if path.exists():
        with suppress(ValueError):
            table = _FILES.read([path], most=MOST_MEMORY)
            known = {
                (row["problem_set"], row["problem_id"]): ProblemRow(**row)
                for row in table.to_pylist()
            }
    before = len(known)
    for row in rows:
        known.setdefault((row.problem_set, row.problem_id), row)
    if len(known) > before:
        write_problems(path, [*known.values()])


def read_problem_table(folder: Path) -> Any:
    """The evaluated problems of the trial in `folder` as a `pyarrow.Table` with ProblemRow's
    columns, each problem once; empty for a trial of an earlier version.

    Raises ValueError naming a file that is not such a table.
    """
    import pyarrow as pa

    pattern = re.compile(rf"{PROBLEMS}(-\d+)?\.parquet")
    paths = [path for path in folder.glob(f"{PROBLEMS}*.parquet") if pattern.fullmatch(path.name)]
    table = _FILES.read(sorted(paths)[:MOST_FILES], most=MOST_MEMORY)
    seen: set[tuple[str, str]] = set()
    first = []
    for place, key in enumerate(
        zip(table["problem_set"].to_pylist(), table["problem_id"].to_pylist(), strict=True)
    ):
        if key not in seen:
            seen.add(key)
            first.append(place)
    return table.take(pa.array(first, pa.int64()))


def _size(row: ProblemRow) -> int:
    return sum(map(text_bytes, (row.problem_set, row.problem_id, row.prompt, row.gold)))
