"""Reads problem files: JSON lines with the fields `id`, `problem` and `answer`, checked row by
row."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conspo_study.records import Problem

MAX_CHARACTERS = 100_000
"""Maximum length of a field; a longer one is probably a mistake, such as a whole file in one
row."""
ROWS_SHOWN = 20
"""Maximum number of unusable rows in a message."""
_FIELDS = frozenset({"id", "problem", "answer", "level"})


class ProblemFileError(ValueError):
    """An unusable problem file; the message says why and lists unusable rows."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not a usable problem."""

    row: int
    """Line of the file, from 1."""
    reason: str


def read_problems(
    path: Path, max_bad_rows: float, answers_required: bool = True
) -> tuple[list[Problem], list[BadRow]]:
    """The problems of a file, in order, and its unusable rows.

    The optional field `level` becomes the problem's level; all other fields are kept in `extra`,
    for rewards. `id` and `answer` may be numbers. max_bad_rows: largest fraction of unusable rows.
    answers_required: count a row without `answer` as unusable; if false, its answer is empty.
    Raises ProblemFileError for more unusable rows and for a file without usable ones.
    """
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n")
    except OSError as error:
        raise ProblemFileError(
            f"{path}: cannot be read ({error.strerror}); give the path of a problem file, relative "
            f"to {Path.cwd()}, or the name of a set"
        ) from error
    problems: list[Problem] = []
    bad: list[BadRow] = []
    rows_by_id: dict[str, int] = {}
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            problem = _parse(line, answers_required)
            if problem.id in rows_by_id:
                raise ValueError(f"id {problem.id!r} repeats row {rows_by_id[problem.id]}")
        except ValueError as error:
            bad.append(BadRow(row, str(error)))
            continue
        rows_by_id[problem.id] = row
        problems.append(problem)
    if len(bad) > max_bad_rows * (len(problems) + len(bad)):
        raise ProblemFileError(
            f"{path}: {len(bad)} of {len(problems) + len(bad)} rows are unusable, more than "
            f"data.max_bad_rows={max_bad_rows:.3g} allows: correct or remove them, or raise it"
            f"{_about_answers(bad)}\n  " + "\n  ".join(_listed(bad))
        )
    if not problems:
        why = "; ".join(_listed(bad)) or "it needs one JSON object per line"
        raise ProblemFileError(f"{path}: the file has no problems; {why}{_about_answers(bad)}")
    return problems, bad


def _about_answers(bad: Sequence[BadRow]) -> str:
    without = any(row.reason == "answer is missing" for row in bad)
    return "; if the reward reads no answers, set data.answers=optional" if without else ""


def _listed(bad: Sequence[BadRow]) -> list[str]:
    shown = [f"row {row.row}: {row.reason}" for row in bad[:ROWS_SHOWN]]
    return [*shown, f"and {len(bad) - len(shown)} more"] if len(bad) > len(shown) else shown


def _parse(line: bytes, answers_required: bool) -> Problem:
    """The problem of one row. Raises ValueError with the reason if the row is unusable."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start + 1})") from error
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at column {error.colno})") from error
    except (RecursionError, ValueError) as error:
        raise ValueError("is JSON with too deep nesting or too long a number") from error
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    level = row.get("level", "")
    name = _field(row, "id", numbers=True)
    if not name.isprintable():  # ids are shown on terminals
        raise ValueError(f"id {name!r} has unprintable characters")
    return Problem(
        id=name,
        text=_field(row, "problem", numbers=False),
        answer=_answer(row, answers_required),
        level=str(level) if isinstance(level, str | int | float) else "",
        extra={name: value for name, value in row.items() if name not in _FIELDS},
    )


def _answer(row: dict[str, Any], required: bool) -> str:
    if not required and row.get("answer") in (None, ""):
        return ""
    return _field(row, "answer", numbers=True)


def _field(row: dict[str, Any], name: str, *, numbers: bool) -> str:
    if name not in row or row[name] is None:
        raise ValueError(f"{name} is missing")
    value = row[name]
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}, which is not a number")
        value = str(value)
    if not isinstance(value, str):
        wanted = "text or a number" if numbers else "text"
        raise ValueError(f"{name} is a {type(value).__name__}, but {wanted} is needed")
    if not value.strip():
        raise ValueError(f"{name} is empty")
    if value.strip().lower() == "nan":
        raise ValueError(f"{name} is {value.strip()}, a missing value written as text")
    if len(value) > MAX_CHARACTERS:
        raise ValueError(f"{name} has {len(value)} characters, more than {MAX_CHARACTERS}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} contains a lone surrogate (half of a character pair)") from error
    return value


def content_hash(problems: Iterable[Problem], extra: bool = False) -> str:
    """SHA-256 over ids, texts and answers, in order.

    extra: include the other fields of the rows, which custom rewards may read.
    """
    digest = hashlib.sha256()
    for problem in problems:
        row: list[Any] = [problem.id, problem.text, problem.answer]
        row += [problem.extra] if extra else []
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
