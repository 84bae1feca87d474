"""Responses of training steps that are kept for reading: one Parquet file per seed and stored step.

What a file holds follows from its rows and its size limit alone, so a step that is run again writes
the same file, whatever was interrupted in between.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from conspo_study.records import RolloutRow
from conspo_study.results.atomic import write_atomic

_SCHEMA_VERSION = b"1"
_NAME = re.compile(r"rollouts-(\d+)-(\d{5,})\.parquet")


def rollouts_path(folder: Path, seed: int, step: int) -> Path:
    """Where the kept responses of (seed, step) of the trial in `folder` lie."""
    return folder / f"rollouts-{seed}-{step:05d}.parquet"


def stored_rollouts(folder: Path) -> list[tuple[int, int]]:
    """Seed and step of every file of the trial in `folder`, in order."""
    names = [_NAME.fullmatch(path.name) for path in folder.glob("rollouts-*.parquet")]
    return sorted((int(name[1]), int(name[2])) for name in names if name)


def write_rollouts(path: Path, rows: Sequence[RolloutRow], limit: int) -> None:
    """Write the rows of one seed and step as Parquet, whole or not at all.

    limit: bytes of the file at most; groups that do not fit are left out, the last ones first, and
    without a single one that fits there is no file.
    """
    groups = sorted({row.group for row in rows})
    while groups:
        encoded = _encoded([row for row in rows if row.group <= groups[-1]])
        if len(encoded) <= limit:
            write_atomic(path, encoded)
            return
        groups.pop()


def read_rollout_table(folder: Path, chosen: Collection[tuple[int, int]] | None = None) -> Any:
    """Kept responses of the trial in `folder` as one `pyarrow.Table` with RolloutRow's columns.

    chosen: seeds and steps to read, of those that are stored; by default all. Raises ValueError
    naming a file that is not such a table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    tables = []
    for seed, step in stored_rollouts(folder):
        if chosen is not None and (seed, step) not in chosen:
            continue
        path = rollouts_path(folder, seed, step)
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{path} is not readable as Parquet: {error}") from error
        if not table.schema.equals(schema, check_metadata=True):
            raise ValueError(f"{path} does not have the columns of kept responses, version 1")
        tables.append(table)
    return pa.concat_tables(tables) if tables else schema.empty_table()


def read_rollouts(folder: Path) -> list[RolloutRow]:
    """All kept responses of the trial in `folder`, as `read_rollout_table`."""
    return [RolloutRow(**row) for row in read_rollout_table(folder).to_pylist()]


def _encoded(rows: Sequence[RolloutRow]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        field.name: [_storable(getattr(row, field.name)) for row in rows]
        for field in fields(RolloutRow)
    }
    sink = pa.BufferOutputStream()
    table = pa.table(columns, schema=_schema())
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def _schema() -> Any:
    import pyarrow as pa

    types = {"int": pa.int64(), "str": pa.string(), "float | None": pa.float64()}
    return pa.schema(
        [
            pa.field(field.name, types[str(field.type)], nullable="None" in str(field.type))
            for field in fields(RolloutRow)
        ],
        metadata={b"conspo_rollouts": _SCHEMA_VERSION},
    )


def _storable(value: Any) -> Any:
    """Text that UTF-8 can hold, as a model may emit half of a surrogate pair; numbers that are
    finite, or null."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
