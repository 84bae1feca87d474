"""Reads problem files: rows with the fields `id`, `problem` and `answer`, checked and repaired row
by row, then compared with each other."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from conspo_study.data import audit
from conspo_study.data.audit import Audit, Remark
from conspo_study.data.columns import (
    ColumnError,
    Columns,
    final_answer,
    find_columns,
    is_chat,
    single,
    user_turn,
    value_of,
)
from conspo_study.data.control_characters import cleaned, is_clean
from conspo_study.data.golds import is_missing
from conspo_study.data.repeats import repeats
from conspo_study.data.rows import ProblemFileError, Row, as_written, file_content, read_rows
from conspo_study.records import Problem

MAX_CHARACTERS = 100_000
"""Maximum length of a field; a longer one is probably a mistake, such as a whole file in one
row."""
ROWS_SHOWN = 20
"""Maximum number of unusable rows in a message."""
_FIELDS = frozenset({"id", "problem", "answer", "level"})
_COLUMNS_SHOWN = 12
_SETS_KEPT = 12
"""Files whose problems are remembered: a study reads each several times before it starts."""
_PLAIN = 100
"""Length below which a value is looked at as a whole, in characters."""
_LONGEST_MISSING = 12
"""Length that no text for a missing value exceeds, white space included."""
_WITHOUT_ANSWERS = "; if the reward reads no answers, set data.answers=optional"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is not a usable problem."""

    row: int
    """Line of the file, or position in its array, from 1."""
    reason: str


class ProblemSet(NamedTuple):
    """What a file holds."""

    problems: list[Problem]
    """The usable problems, in order."""
    bad: list[BadRow]
    """Rows that are left out, in order."""
    remarks: tuple[Remark, ...]
    """What was repaired, and what to know of the problems."""


def read_problems(
    path: Path, max_bad_rows: float, answers_required: bool = True
) -> tuple[list[Problem], list[BadRow]]:
    """The problems of a file and its unusable rows; see `read_set`."""
    found = read_set(path, max_bad_rows, answers_required)
    return found.problems, found.bad


def read_set(path: Path, max_bad_rows: float, answers_required: bool = True) -> ProblemSet:
    """The problems of a file, its unusable rows, and remarks.

    The optional field `level` becomes the problem's level; all other fields are kept in `extra`,
    for rewards. `id` and `answer` may be numbers. Problems whose answers contradict each other are
    unusable. max_bad_rows: largest fraction of unusable rows. answers_required: count a row without
    `answer` as unusable; if false, its answer is empty. Raises ProblemFileError for more unusable
    rows and for a file without usable ones.
    """
    problems, bad, remarks = _read(path, file_content(path), answers_required)
    _refuse_useless(path, problems, bad, max_bad_rows)
    return ProblemSet([*problems], [*bad], remarks)


@lru_cache(maxsize=_SETS_KEPT)
def _read(path: Path, content: bytes, answers_required: bool) -> ProblemSet:
    """The problems of a file with this content; see `read_set`."""
    rows = [*read_rows(path, content)]
    reader = _Reader(_columns(path, rows, answers_required), answers_required)
    problems: list[Problem] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    rows_by_id: dict[str, int] = {}
    for row in rows:
        try:
            problem = reader.problem(row)
            if problem.id in rows_by_id:
                raise ValueError(f"id {problem.id!r} repeats row {rows_by_id[problem.id]}")
        except ValueError as error:
            bad.append(BadRow(row.number, str(error)))
            reader.audit.forget(row.number)
            continue
        rows_by_id[problem.id] = row.number
        problems.append(problem)
        numbers.append(row.number)
    found = repeats(problems)
    reader.audit.note_repeats(found.same, numbers)
    if found.contradictory:
        dropped = {
            position: audit.contradiction(problems, group, numbers)
            for group in found.contradictory
            for position in group
        }
        bad += [BadRow(numbers[position], reason) for position, reason in dropped.items()]
        bad.sort(key=lambda one: one.row)
        problems = [one for position, one in enumerate(problems) if position not in dropped]
    return ProblemSet(problems, bad, reader.audit.result())


def _columns(path: Path, rows: Sequence[Row], answers_required: bool) -> Columns:
    """The columns of a file. Raises ProblemFileError if one that is needed is not there."""
    values = [row.value for row in rows if not row.fault]
    try:
        columns = find_columns(values)
    except ColumnError as error:
        raise ProblemFileError(f"{path}: {error}") from error
    for name, column in (("problem", columns.text), ("answer", columns.answer)):
        if values and column is None and (answers_required or name == "problem"):
            names = dict.fromkeys(key for row in values for key in row)
            given = ", ".join(map(repr, [*names][:_COLUMNS_SHOWN])) or "none"
            raise ProblemFileError(
                f"{path}: {name} is missing: of the columns {given} rename the right one to {name}"
                f"{_WITHOUT_ANSWERS if name == 'answer' else ''}"
            )
    return columns


def _refuse_useless(
    path: Path, problems: Sequence[Problem], bad: Sequence[BadRow], max_bad_rows: float
) -> None:
    """Raise ProblemFileError for too many unusable rows, and for no usable one."""
    if len(bad) > max_bad_rows * (len(problems) + len(bad)):
        raise ProblemFileError(
            f"{path}: {len(bad)} of {len(problems) + len(bad)} rows are unusable, more than "
            f"data.max_bad_rows={max_bad_rows:.3g} allows: correct or remove them, or raise it"
            f"{_about_answers(bad)}\n  " + "\n  ".join(_listed(bad))
        )
    if not problems:
        why = "; ".join(_listed(bad)) or "it needs one JSON object per line"
        raise ProblemFileError(f"{path}: the file has no problems; {why}{_about_answers(bad)}")


def _about_answers(bad: Sequence[BadRow]) -> str:
    without = any(row.reason == "answer is missing" for row in bad)
    return _WITHOUT_ANSWERS if without else ""


def _listed(bad: Sequence[BadRow]) -> list[str]:
    shown = [f"row {row.row}: {row.reason}" for row in bad[:ROWS_SHOWN]]
    return [*shown, f"and {len(bad) - len(shown)} more"] if len(bad) > len(shown) else shown


class _Reader:
    """Turns the rows of one file into problems, and remarks on what it finds."""

    def __init__(self, columns: Columns, answers_required: bool):
        self.audit = Audit()
        self._columns = columns
        self._answers_required = answers_required
        self._read = {*_FIELDS, columns.id, columns.text, columns.answer}
        if columns.worked:
            self._read.discard(columns.answer)
        if columns.others:
            others = ", ".join(f"{column} as {name}" for name, column in columns.others)
            self.audit.remarks.append(Remark(f"read from other columns: {others}"))

    def problem(self, row: Row) -> Problem:
        """The problem of one row. Raises ValueError with the reason if the row is unusable."""
        if row.fault:
            raise ValueError(row.fault)
        values, read = row.value, self._read
        level = values.get("level", "")
        return Problem(
            id=self._id(row),
            text=self._text(row),
            answer=self._answer(row),
            level=str(level) if isinstance(level, str | int | float) else "",
            extra={name: value for name, value in values.items() if name not in read},
        )

    def _id(self, row: Row) -> str:
        column = self._columns.id
        value = None if column is None else row.value.get(column)
        if value is None or value == "":
            self.audit.note(audit.NUMBERED, row.number)
            return str(row.number) if column is None else f"row {row.number}"
        name = value if _is_plain(value) else _checked(value, "id", numbers=True)
        if name.lower() == "nan":
            raise ValueError(f"id is {name}, a missing value written as text")
        if not name.isprintable():  # ids are shown on terminals
            raise ValueError(f"id {name!r} has unprintable characters")
        return name

    def _text(self, row: Row) -> str:
        value = value_of(row.value, self._columns.text)
        if type(value) is str and self._is_usual(value):
            return value
        if is_chat(value):
            if len(value) > 1:
                self.audit.note(audit.LAST_TURN, row.number)
            value = user_turn(value)
        text = _checked(value, "problem", numbers=False)
        _refuse_missing(text, "problem")
        return text if is_clean(text) else self._cleaned(text, row.number)

    @staticmethod
    def _is_usual(text: str) -> bool:
        """Whether nothing about a text needs a closer look, as with most."""
        of_usual_length = _LONGEST_MISSING < len(text) <= MAX_CHARACTERS
        return of_usual_length and text.isascii() and is_clean(text) and not text.isspace()

    def _answer(self, row: Row) -> str:
        column = self._columns.answer
        value = single(value_of(row.value, column))
        if _is_plain(value) and value.isdigit():
            return str(value)  # most answers are whole numbers, and nothing is wrong with them
        if isinstance(value, float) and math.isfinite(value):
            value = single(value_of(as_written(row), column))
        if not self._answers_required and (
            value in (None, "") or (isinstance(value, str) and is_missing(value))
        ):
            return ""
        answer = _checked(value, "answer", numbers=True)
        if self._columns.worked or "####" in answer:
            answer = self._final(answer, row.number)
        _refuse_missing(answer, "answer")
        if not is_clean(answer):
            answer = self._cleaned(answer, row.number, is_answer=True)
        self.audit.note_answer(answer, row.number)
        return answer

    def _final(self, solution: str, row: int) -> str:
        if self._columns.worked and not is_clean(solution):
            solution = cleaned(solution).text
        answer = final_answer(solution, self._columns.worked)
        if answer is None:
            raise ValueError(
                f"{self._columns.answer} has no final answer in \\boxed{{}} or after ####"
            )
        if answer != solution:
            self.audit.note(audit.FINAL, row)
        return answer

    def _cleaned(self, text: str, row: int, is_answer: bool = False) -> str:
        result = cleaned(text, mathematics=is_answer)
        if result.removed and is_answer:
            raise ValueError(f"answer {text[:40]!r} has control characters")
        if result.repaired:
            self.audit.note(audit.REPAIRED, row)
        if result.removed:
            self.audit.note(audit.REMOVED, row)
        if not result.text.strip():
            raise ValueError("problem is empty but for control characters")
        return result.text


def _is_plain(value: Any) -> bool:
    """Whether a value is a short text of one line without anything unusual, seen at a glance."""
    return (
        type(value) is str
        and value.isascii()
        and value.isprintable()
        and 0 < len(value) < _PLAIN
        and value[0] != " "
    )


def _refuse_missing(text: str, name: str) -> None:
    if len(text) <= _LONGEST_MISSING and is_missing(text):
        advice = ": an answer that is the word is \\text{none}" if name == "answer" else ""
        raise ValueError(f"{name} is {text.strip()}, a missing value written as text{advice}")


def _checked(value: Any, name: str, *, numbers: bool) -> str:
    """The value of a field as text. Raises ValueError with the reason if it is unusable."""
    if value is None:
        raise ValueError(f"{name} is missing")
    if numbers and isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}, which is not a number")
        value = str(value)
    if not isinstance(value, str):
        wanted = "text or a number" if numbers else "text"
        raise ValueError(f"{name} is a {type(value).__name__}, but {wanted} is needed")
    if not value or value.isspace():
        raise ValueError(f"{name} is empty")
    if len(value) > MAX_CHARACTERS:
        raise ValueError(f"{name} has {len(value)} characters, more than {MAX_CHARACTERS}")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{name} contains a lone surrogate (half of a character pair)"
            ) from error
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
