"""Responses of training steps that are kept for reading: one Parquet file per seed and stored step.

What a file holds follows from its rows and its size limit alone, so a step that is run again writes
the same file, whatever was interrupted in between.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from conspo_study.files import write_atomic
from conspo_study.records import RolloutRow
from conspo_study.results.decoding import MOST_DECODED
from conspo_study.results.names import INNER, ROLLOUTS
from conspo_study.results.parquet import RowFiles

_FILES = RowFiles(RolloutRow, ROLLOUTS, {b"conspo_rollouts": b"1"}, "kept responses")
_ALL_COLUMNS = tuple(field.name for field in fields(RolloutRow))


def rollouts_path(folder: Path, seed: int, step: int) -> Path:
    """Where the kept responses of (seed, step) of the trial in `folder` lie."""
    return _FILES.path(folder, seed, step)


def stored_rollouts(folder: Path) -> list[tuple[int, int]]:
    """Seed and step of every file of the trial in `folder`, in order."""
    return _FILES.stored(folder)


def write_rollouts(path: Path, rows: Sequence[RolloutRow], limit: int) -> None:
    """Write the rows of one seed and step as Parquet, whole or not at all.

    limit: bytes of the file at most; groups that do not fit are left out, the last ones first, and
    without a single one that fits there is no file.
    """
    groups = sorted({row.group for row in rows})
    while groups:
        kept = [row for row in rows if row.group <= groups[-1]]
        encoded = _FILES.encoded(kept, _ALL_COLUMNS)
        if len(encoded) <= limit:
            write_atomic(path, encoded, INNER)
            return
        groups.pop()


def read_rollout_table(
    folder: Path,
    chosen: Collection[tuple[int, int]] | None = None,
    most: int = MOST_DECODED,
) -> Any:
    """Kept responses of the trial in `folder` as one `pyarrow.Table` with RolloutRow's columns.

    chosen: seeds and steps to read, of those that are stored; by default all. most: bytes of memory
    that the rows may take. Raises ValueError naming a file that is not such a table, or with which
    they would take more.
    """
    pairs = stored_rollouts(folder) if chosen is None else sorted(set(chosen))
    paths = (rollouts_path(folder, *pair) for pair in pairs)
    # A link that leads nowhere is there, too: it is refused by name.
    return _FILES.read((p for p in paths if p.exists() or p.is_symlink()), most=most)


def read_rollouts(folder: Path) -> list[RolloutRow]:
    """All kept responses of the trial in `folder`, as `read_rollout_table`."""
    return [RolloutRow(**row) for row in read_rollout_table(folder).to_pylist()]
