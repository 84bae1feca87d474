"""The rows of a trial: JSON lines per training step, one Parquet file per evaluation."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from conspo_study.files import finite, open_to_append, write_all, write_atomic
from conspo_study.records import CreditRow, EvalRow
from conspo_study.results.event_data import MOST_SEED, MOST_STEPS
from conspo_study.results.names import EVALUATIONS, INNER
from conspo_study.results.parquet import RowFiles
from conspo_study.results.reading import stored_lines
from conspo_study.text import reason
from conspo_study.untrusted import parse_json

_FILES = RowFiles(EvalRow, EVALUATIONS, {b"conspo_eval": b"1"}, "evaluation rows")


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
    """Write the rows of one evaluation as Parquet, whole or not at all; replaces an older file."""
    write_atomic(path, _FILES.encoded(rows), INNER)


def stored_evaluations(folder: Path) -> list[tuple[int, int]]:
    """Seed and step of every evaluation of the trial in `folder`, in order."""
    return _FILES.stored(folder)


def read_eval_table(folder: Path, chosen: Collection[tuple[int, int]] | None = None) -> Any:
    """Evaluations of the trial in `folder` as one `pyarrow.Table` with EvalRow's columns.

    chosen: seeds and steps whose evaluations are read; by default all. Raises ValueError naming a
    file that is not such a table.
    """
    if chosen is None:
        chosen = stored_evaluations(folder)
    return _FILES.read(eval_path(folder, *pair) for pair in chosen)


def read_eval_rows(
    folder: Path, chosen: Collection[tuple[int, int]] | None = None
) -> list[EvalRow]:
    """Evaluations of the trial in `folder`, as `read_eval_table`."""
    return [EvalRow(**row) for row in read_eval_table(folder, chosen).to_pylist()]
