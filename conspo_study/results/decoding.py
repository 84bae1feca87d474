"""Decodes a Parquet file of unknown origin, as far as it stays within bounds.

A few kilobytes of the format can stand for gigabytes: equal rows take no room, and texts that
repeat stand in it once. Rows and sizes that the file declares are checked first; they may be wrong,
so it is decoded in small batches with every text stored once, and the rest is left where the rows
would take more memory than allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from conspo_study.results.reading import stored_bytes
from conspo_study.text import reason, size_text

MOST_STORED = 1 << 30
"""Bytes of the largest file of rows."""
MOST_ROWS = 1 << 22
"""Rows of a file."""
MOST_DECODED = 1 << 30
"""Bytes that the rows of a file take in memory."""
_BATCH = 1 << 14


def decoded(
    path: Path,
    accept: Callable[[Any], None],
    columns: Sequence[str] | None = None,
    coded: Collection[str] = (),
    most: int = MOST_DECODED,
) -> Any:
    """The rows of a Parquet file of a results directory as a `pyarrow.Table`.

    accept: called with the schema of the file before anything is decoded; raises ValueError for
    another than it should be. columns: those to read, by default all. coded: columns of texts that
    are returned as codes into a dictionary. most: bytes that the rows may take in memory. Raises
    ValueError naming the file where it is unreadable, not accepted or too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pa.py_buffer(stored_bytes(path, MOST_STORED))
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            schema = file.schema_arrow
            accept(schema)
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        if sum(group.num_rows for group in groups) > MOST_ROWS:
            raise ValueError(f"{path} is refused: it has more than {MOST_ROWS:,} rows")
        if sum(group.total_byte_size for group in groups) > most:
            raise _too_large(path, most)
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        batches, size, rows = [], 0, 0
        with pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts) as file:
            for batch in file.iter_batches(_BATCH, columns=columns, use_threads=False):
                size, rows = size + _size(batch), rows + batch.num_rows
                if size > most or rows > MOST_ROWS:
                    raise _too_large(path, most)
                batches.append(batch)
            table = pa.Table.from_batches(batches, None if batches else file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not readable as Parquet: {reason(error)}") from error
    for position, name in enumerate(table.column_names):
        if name in texts and name not in coded:
            table = table.set_column(
                position, schema.field(name), table[name].cast(schema.field(name).type)
            )
    return table.replace_schema_metadata(schema.metadata)


def _size(batch: Any) -> int:
    """Bytes of a batch in memory with every text written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            lengths = pc.cast(pc.binary_length(column.dictionary), pa.int64())
            size += pc.sum(lengths.take(column.indices)).as_py() or 0
            size += 4 * len(column)
        else:
            size += column.nbytes
    return size


def _too_large(path: Path, most: int) -> ValueError:
    return ValueError(
        f"{path} is refused: its rows would take more than {size_text(most)} of memory"
    )
