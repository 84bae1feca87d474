"""Rows of one dataclass as Parquet files: one per seed and step of a trial."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from conspo_study.files import finite
from conspo_study.results.decoding import MOST_DECODED, decoded


@dataclass(frozen=True, slots=True)
class RowFiles:
    """How the rows of one kind are stored."""

    kind: type
    """The dataclass of a row; its fields are the columns, and only optional ones may be null. A
    field with a default has a column only where some row differs from it."""
    prefix: str
    """Of the files' names: `<prefix>-<seed>-<step>.parquet`."""
    metadata: Mapping[bytes, bytes]
    """Of the schema: which kind of rows it is, and in which version."""
    called: str
    """The rows, in messages."""

    def path(self, folder: Path, seed: int, step: int) -> Path:
        """Where the rows of (seed, step) of the trial in `folder` lie."""
        return folder / f"{self.prefix}-{seed}-{step:05d}.parquet"

    def stored(self, folder: Path) -> list[tuple[int, int]]:
        """Seed and step of every file of the trial in `folder`, in order."""
        pattern = re.compile(rf"{self.prefix}-(\d+)-(\d{{5,}})\.parquet")
        names = [pattern.fullmatch(path.name) for path in folder.glob(f"{self.prefix}-*.parquet")]
        return sorted((int(name[1]), int(name[2])) for name in names if name)

    def encoded(self, rows: Sequence[Any], without_statistics: Collection[str] = ()) -> bytes:
        """The content of a file of `rows`.

        without_statistics: columns of long texts, whose least and greatest would only take room.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            field.name: [_storable(getattr(row, field.name)) for row in rows]
            for field in fields(self.kind)
            if field.default is MISSING
            or any(getattr(row, field.name) != field.default for row in rows)
        }
        sink = pa.BufferOutputStream()
        table = pa.table(columns, schema=self.schema(columns))
        described = [name for name in columns if name not in without_statistics]
        pq.write_table(table, sink, compression="zstd", write_statistics=described)
        content: bytes = sink.getvalue().to_pybytes()
        return content

    def read(
        self,
        paths: Iterable[Path],
        columns: Sequence[str] | None = None,
        most: int = MOST_DECODED,
    ) -> Any:
        """The rows of all files as one `pyarrow.Table`.

        columns: by default all. most: bytes of memory that the rows may take. Raises ValueError
        naming a file that is not of this kind, or with which they would take more.
        """
        import pyarrow as pa

        schema = self.schema()
        names = schema.names if columns is None else columns
        tables: list[Any] = []
        for path in paths:

            def accept(found: Any, path: Path = path) -> None:
                if not found.equals(self.schema(found.names), check_metadata=True):
                    raise ValueError(
                        f"{path} does not have the columns of {self.called}, version 1"
                    )

            left = most - sum(table.nbytes for table in tables)
            table = decoded(path, accept, columns, most=left)
            for field in fields(self.kind):
                if field.name in names and field.name not in table.column_names:
                    column = pa.array([field.default] * len(table), schema.field(field.name).type)
                    table = table.append_column(schema.field(field.name), column)
            tables.append(table.select(names))
        return pa.concat_tables(tables) if tables else schema.empty_table().select(names)

    def schema(self, names: Iterable[str] | None = None) -> Any:
        """The `pyarrow.Schema` of a file with all columns, or with those of `names` and those that
        none lacks."""
        import pyarrow as pa

        types = {
            **{"int": pa.int64(), "int | None": pa.int64()},
            **{"str": pa.string(), "str | None": pa.string(), "float | None": pa.float64()},
        }
        here = None if names is None else set(names)
        return pa.schema(
            [
                pa.field(field.name, types[str(field.type)], nullable="None" in str(field.type))
                for field in fields(self.kind)
                if here is None or field.default is MISSING or field.name in here
            ],
            metadata=dict(self.metadata),
        )


def _storable(value: Any) -> Any:
    """Text that UTF-8 can hold, as a model may emit half of a surrogate pair; a finite number."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return finite(value)
