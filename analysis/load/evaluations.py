"""Evaluation rows of many trials, read by column and by several threads."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from conspo_study.records import EvalRow
from conspo_study.results.rows import eval_path, stored_evaluations

FIELDS = tuple(field.name for field in fields(EvalRow) if field.default is MISSING)
"""Fields that every file has."""
_VERSION = b"1"
_REPEATING = {"problem_set", "problem_id", "verdict", "answer", "status"}
"""Few different texts in many rows: read as codes into a dictionary."""


def read_evaluations(
    folders: Mapping[str, Path],
    columns: Sequence[str] | None = None,
    steps: Collection[int] | None = None,
) -> pd.DataFrame:
    """One row per response: `columns` (by default all fields of EvalRow), then trial.

    folders: of the trials, by id; one without evaluations has no rows. steps: which evaluations;
    files of others are not opened. Texts are pandas strings. Raises ValueError naming a file that
    is not readable or not of this version, and for a column that is no field.
    """
    chosen = list(FIELDS if columns is None else columns)
    if unknown := set(chosen) - set(FIELDS):
        raise ValueError(f"no column {', '.join(sorted(unknown))}; known: {', '.join(FIELDS)}")
    paths = [
        (trial, path) for trial, folder in folders.items() for path in sorted(_files(folder, steps))
    ]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        tables = list(pool.map(lambda item: _read(item[1], chosen), paths))
    if not tables:
        return pd.DataFrame(columns=[*chosen, "trial"])
    frame: pd.DataFrame = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    rows = [table.num_rows for table in tables]
    trials = pd.Series([trial for trial, _ in paths], dtype=str).repeat(rows)
    texts = [name for name in chosen if name in _REPEATING]
    return frame.astype(dict.fromkeys(texts, str)).assign(trial=trials.array)


def _files(folder: Path, steps: Collection[int] | None) -> Iterator[Path]:
    for seed, step in stored_evaluations(folder):
        if steps is None or step in steps:
            yield eval_path(folder, seed, step)


def _read(path: Path, columns: Sequence[str]) -> Any:
    repeating = [name for name in columns if name in _REPEATING]
    try:
        with pq.ParquetFile(path, read_dictionary=repeating) as file:
            schema = file.schema_arrow
            if (
                tuple(schema.names)[: len(FIELDS)] != FIELDS
                or not {field.name for field in fields(EvalRow)}.issuperset(schema.names)
                or (schema.metadata or {}).get(b"conspo_eval") != _VERSION
            ):
                raise ValueError(
                    f"{path} does not have the columns of evaluation rows, version "
                    f"{_VERSION.decode()}"
                )
            return file.read(columns=list(columns), use_threads=False).replace_schema_metadata()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not readable as Parquet: {error}") from error
