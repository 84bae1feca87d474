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

from conspo_study.records import EvalRow
from conspo_study.results.decoding import decoded
from conspo_study.results.problems import read_problem_table
from conspo_study.results.rows import MEASURED, eval_path, stored_evaluations

FIELDS = tuple(field.name for field in fields(EvalRow) if field.default is MISSING)
"""Fields that every file has."""
_ALL = tuple(field.name for field in fields(EvalRow))
_VERSION = b"1"
_REPEATING = {"problem_set", "problem_id", "verdict", "answer", "status"}
"""Few different texts in many rows: read as codes into a dictionary."""


def read_evaluations(
    folders: Mapping[str, Path],
    columns: Sequence[str] | None = None,
    steps: Collection[int] | None = None,
) -> pd.DataFrame:
    """One row per response: `columns` (by default the fields of EvalRow that a file has, without
    the text of the response), then trial.

    folders: of the trials, by id; one without evaluations has no rows. steps: which evaluations;
    files of others are not opened. Texts are pandas strings; a field that a file lacks is null.
    Raises ValueError naming a file that is not readable or not of this version, and for a column
    that is no field.
    """
    if unknown := set(columns or ()) - set(_ALL):
        raise ValueError(f"no column {', '.join(sorted(unknown))}; known: {', '.join(_ALL)}")
    paths = [
        (trial, path) for trial, folder in folders.items() for path in sorted(_files(folder, steps))
    ]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        tables = list(pool.map(lambda item: _read(item[1], columns or MEASURED), paths))
    if not tables:
        return pd.DataFrame(columns=[*(columns or FIELDS), "trial"])
    table = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    chosen = columns or [name for name in _ALL if name in table.column_names]
    frame: pd.DataFrame = table.to_pandas().reindex(columns=chosen)
    rows = [table.num_rows for table in tables]
    trials = pd.Series([trial for trial, _ in paths], dtype=str).repeat(rows)
    texts = [name for name in chosen if name in _REPEATING]
    return frame.astype(dict.fromkeys(texts, str)).assign(trial=trials.array)


def read_responses(folders: Mapping[str, Path]) -> pd.DataFrame:
    """`read_evaluations` of all steps with `response`, `prompt` and `gold`, which are null where
    they were not kept. Raises ValueError like it."""
    rows = read_evaluations(folders, _ALL)
    same = ["trial", "problem_set", "problem_id"]
    problems = [
        read_problem_table(folder).to_pandas().assign(trial=trial)
        for trial, folder in folders.items()
    ]
    asked = pd.concat([pd.DataFrame(columns=[*same, "prompt", "gold"]), *problems])
    keys = dict.fromkeys(same, str)
    return rows.astype(keys).merge(asked.astype(keys), "left", same)


def _files(folder: Path, steps: Collection[int] | None) -> Iterator[Path]:
    for seed, step in stored_evaluations(folder):
        if steps is None or step in steps:
            yield eval_path(folder, seed, step)


def _read(path: Path, columns: Sequence[str]) -> Any:
    """The columns that the file has."""

    def accept(schema: Any) -> None:
        if (
            tuple(schema.names)[: len(FIELDS)] != FIELDS
            or not set(_ALL).issuperset(schema.names)
            or (schema.metadata or {}).get(b"conspo_eval") != _VERSION
        ):
            raise ValueError(
                f"{path} does not have the columns of evaluation rows, version {_VERSION.decode()}"
            )

    # A column that the file lacks is not asked for: the format ignores it.
    return decoded(path, accept, columns, _REPEATING).replace_schema_metadata()
