"""The rows of a trial: JSON lines per training step, one Parquet file per evaluation."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from conspo_study.files import finite, open_to_append, write_all, write_atomic
from conspo_study.records import MOST_TEXT, CreditRow, EvalRow, number_that_fit, text_bytes
from conspo_study.results.decoding import MOST_DECODED
from conspo_study.results.event_data import MOST_SEED, MOST_STEPS
from conspo_study.results.names import EVALUATIONS, INNER
from conspo_study.results.parquet import RowFiles
from conspo_study.results.reading import stored_lines
from conspo_study.text import reason
from conspo_study.untrusted import parse_json

_FILES = RowFiles(EvalRow, EVALUATIONS, {b"conspo_eval": b"1"}, "evaluation rows")
MEASURED = tuple(field.name for field in fields(EvalRow) if field.name != "response")
"""Columns of evaluation rows that numbers are computed from: all but the response's text."""


def append_step_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append one training step to `steps.jsonl`; `row` holds `seed`, `step` and its metrics.

    A number that is not finite is stored as null, "could not be measured": a diagnostic must not
    end a run. One process writes the file at a time. Raises OSError naming the file.
    """
    line = json.dumps(finite(row), allow_nan=False)
    fd = open_to_append(path, INNER)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            # A killed writer left half a line, which would swallow this one, or an editor a whole.
            content = os.pread(fd, size, 0)
            if _is_whole(content[content.rfind(b"\n") + 1 :]):
                line = "\n" + line
            else:
                os.ftruncate(fd, content.rfind(b"\n") + 1)
        write_all(fd, line.encode() + b"\n")
    except OSError as error:
        raise OSError(error.errno, f"cannot append a row ({error.strerror})", str(path)) from error
    finally:
        os.close(fd)


def read_steps(path: Path) -> list[dict[str, Any]]:
    """Rows of `steps.jsonl` ordered by seed and step, the last one for each (seed, step).

    A missing file has no rows; a torn last line is left out, and empty lines are. Raises ValueError
    naming a bad line.
    """
    try:
        *lines, last = stored_lines(path).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {reason(error)}") from error
    latest: dict[tuple[int, int], dict[str, Any]] = {}
    for number, line in enumerate([*lines, *([last] if _is_whole(last) else [])], start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            seed, step = int(row["seed"]), int(row["step"])
            if abs(seed) > MOST_SEED or not 0 <= step <= MOST_STEPS:
                raise ValueError("its seed or step is none")
            latest[seed, step] = row
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise ValueError(
                f"{path}: line {number} is not a JSON object with seed and step; delete that line"
            ) from error
    return [latest[key] for key in sorted(latest)]


def _is_whole(line: bytes) -> bool:
    """Whether a line without a newline is a row nevertheless."""
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def append_credits(path: Path, seed: int, step: int, rows: Sequence[CreditRow]) -> None:
    """Append the credits of a training step to `credits.jsonl`: one line with a list per field.

    Numbers that are not finite and errors are treated as by `append_step_row`.
    """
    columns = {
        field.name: [getattr(row, field.name) for row in rows] for field in fields(CreditRow)
    }
    append_step_row(path, {"seed": seed, "step": step, **columns})


def read_credits(path: Path) -> list[dict[str, Any]]:
    """One dictionary per credit of `credits.jsonl`: `seed`, `step` and the fields of `CreditRow`.

    Ordered and read as by `read_steps`: of a step that was trained again the last line counts.
    Raises ValueError naming a step whose lists are missing or differ in length.
    """
    names = [field.name for field in fields(CreditRow)]
    credits: list[dict[str, Any]] = []
    for line in read_steps(path):
        here = {"seed": line["seed"], "step": line["step"]}
        try:
            rows = zip(*(line[name] for name in names), strict=True)
            credits += [here | dict(zip(names, row, strict=True)) for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: the line of seed {here['seed']}, step {here['step']} does not hold a "
                "list of equal length for each field of a credit; delete that line"
            ) from error
    return credits


def eval_path(folder: Path, seed: int, step: int) -> Path:
    """Where the evaluation of (seed, step) of the trial in `folder` lies."""
    return _FILES.path(folder, seed, step)


def write_eval_rows(path: Path, rows: Sequence[EvalRow]) -> None:
    """Write the rows of one evaluation as Parquet, whole or not at all; replaces an older file.

    Of their responses the first ones that fit `MOST_TEXT` are kept, those of the greedy samples
    before the first sampled one of every problem, and so on.
    """
    write_atomic(path, _FILES.encoded(_with_room(rows), ("response",)), INNER)


def _with_room(rows: Sequence[EvalRow]) -> Sequence[EvalRow]:
    """The rows, those whose responses have no room without them; it does not matter in which order
    they come, and a second time nothing changes."""
    sizes = [text_bytes(row.response) for row in rows]
    if sum(sizes) <= MOST_TEXT:
        return rows
    problems: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        problems[row.problem_set].add(row.problem_id)
    place = {
        (name, problem): number
        for name, ids in problems.items()
        for number, problem in enumerate(sorted(ids))
    }

    def turn(i: int) -> tuple[int, int, str]:
        row = rows[i]
        return row.sample, place[row.problem_set, row.problem_id], row.problem_set

    order = sorted(range(len(rows)), key=turn)
    kept = set(order[: number_that_fit(sizes[i] for i in order)])
    return [row if i in kept else replace(row, response=None) for i, row in enumerate(rows)]


def stored_evaluations(folder: Path) -> list[tuple[int, int]]:
    """Seed and step of every evaluation of the trial in `folder`, in order."""
    return _FILES.stored(folder)


def read_eval_table(
    folder: Path,
    chosen: Collection[tuple[int, int]] | None = None,
    columns: Sequence[str] | None = None,
    most: int = MOST_DECODED,
) -> Any:
    """Evaluations of the trial in `folder` as one `pyarrow.Table` with EvalRow's columns.

    chosen: seeds and steps whose evaluations are read; by default all. columns: by default all.
    most: bytes of memory that the rows may take. Raises ValueError naming a file that is not such
    a table, or with which they would take more.
    """
    if chosen is None:
        chosen = stored_evaluations(folder)
    return _FILES.read((eval_path(folder, *pair) for pair in chosen), columns, most)


def read_eval_rows(
    folder: Path, chosen: Collection[tuple[int, int]] | None = None
) -> list[EvalRow]:
    """Evaluations of the trial in `folder`, as `read_eval_table`."""
    return [EvalRow(**row) for row in read_eval_table(folder, chosen).to_pylist()]
