"""Finds the fields of a problem in rows of other formats, such as those of GSM8K, MATH and verl.

A file has one column for the problem and one for the answer: the standard one if any row has it,
or else another usual one. Two that differ are refused, not chosen from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TEXTS = ("question", "prompt", "query", "instruction", "input", "messages")
ANSWERS = (
    *("ground_truth", "final_answer", "expected_answer", "gold_answer", "reference_answer"),
    *("correct_answer", "gold", "target", "label", "reward_model.ground_truth"),
)
WORKED = ("solution",)
"""Columns of a whole solution, whose final answer counts."""
_HASHES = "####"
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+")
_BRACE = re.compile(r"(?P<open>(?P<box>\\(?:boxed|fbox) ?)?\{)|(?P<close>\})|\\.", re.DOTALL)
"""Braces that are not escaped, with the box that they open."""
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}\s+[A-Za-z]{2,}")
_LONGEST_PLAIN = 100
"""Maximum length of a solution that is nothing but its answer, in characters."""


class ColumnError(ValueError):
    """Columns that cannot be told apart; the message says which, and what to change."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file that hold the fields of a problem; None for a field without one."""

    id: str | None
    text: str | None
    answer: str | None

    @property
    def worked(self) -> bool:
        """Whether the answer is to be found in a whole solution."""
        return (self.answer or "").lower() in WORKED

    @property
    def others(self) -> list[tuple[str, str]]:
        """The fields whose columns have names other than the standard ones, with these."""
        named = (("id", self.id), ("problem", self.text), ("answer", self.answer))
        return [(name, column) for name, column in named if column and column != name]


def find_columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """The columns of a file. Raises ColumnError for several that differ."""
    names: dict[str, Any] = {}
    for row in rows:
        names.update(row)
    return Columns(
        id=_named("id", names),
        text=_named("problem", names) or _one_of(TEXTS, names, rows, "problem", user_turn),
        answer=_named("answer", names)
        or _one_of(ANSWERS, names, rows, "answer", single)
        or _one_of(WORKED, names, rows, "answer", single),
    )


def value_of(row: Mapping[str, Any], column: str | None) -> Any:
    """The value of a column, which may lie inside another: `reward_model.ground_truth`. None where
    it is absent."""
    if column is None or column in row:
        return row.get(column) if column else None
    outer, _, inner = column.partition(".")
    nested = row.get(outer)
    return nested.get(inner) if inner and isinstance(nested, dict) else None


def user_turn(value: Any) -> Any:
    """The last message of the user in a chat; anything else unchanged."""
    if not is_chat(value):
        return value
    said = [turn.get("content") for turn in value if turn.get("role") == "user"]
    return _joined(said[-1]) if said else None


def is_chat(value: Any) -> bool:
    """Whether a value is a list of messages, each with a role."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and "role" in turn for turn in value)
    )


def final_answer(value: str, worked: bool) -> str | None:
    r"""The final answer of a solution: in a last line after `####`, or in its last `\boxed{}`.

    Boxes beside each other are one answer, with what is between them. worked: whether the text is a
    whole solution; if not, it is an answer unless it ends in `####`. None for one without.
    """
    before, hashes, last = value.rpartition(_HASHES)
    last = last.strip()
    if hashes and last and "\n" not in last and before.rstrip(" \t")[-1:] in ("", "\n"):
        return last.replace(",", "") if _GROUPED.fullmatch(last) else last
    if not worked:
        return value
    if boxed := _last_boxes(value):
        return boxed
    plain = value.strip()
    is_answer = "\n" not in plain and len(plain) <= _LONGEST_PLAIN and not _PROSE.search(plain)
    return plain if is_answer else None


def _named(name: str, columns: Iterable[str]) -> str | None:
    """The column of that name, written in any case."""
    same = [column for column in columns if column.lower() == name]
    return name if name in same else next(iter(same), None)


def _one_of(
    known: Sequence[str],
    columns: Iterable[str],
    rows: Sequence[Mapping[str, Any]],
    field: str,
    read: Callable[[Any], Any],
) -> str | None:
    """The column among `known` that has values; the first of several if they never differ."""
    candidates = [_named(name, columns) or name for name in known]
    found = [
        name for name in candidates if any(value_of(row, name) not in (None, "") for row in rows)
    ]
    for row in rows if len(found) > 1 else ():
        values = [str(read(value_of(row, name))).strip() for name in found]
        if any(value != values[0] for value in values):
            raise ColumnError(
                f"has no column {field}, but {' and '.join(found)}, which differ: rename the right "
                f"one to {field}"
            )
    return found[0] if found else None


def single(value: Any) -> Any:
    """The element of a list that has one; anything else unchanged."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _joined(content: Any) -> Any:
    """The text of a message that may come in parts; None if a part is no text."""
    if not isinstance(content, list):
        return content
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else None


def _last_boxes(text: str) -> str:
    """The content of the last box; if others end just before it, all of them as written."""
    spans = _boxes(text)
    if not spans:
        return ""
    first = last = len(spans) - 1
    while first and _is_between(text[spans[first - 1][1] : spans[first][0]]):
        first -= 1
    start, end = spans[first][0], spans[last][1]
    return text[start:end] if first < last else text[text.index("{", start) + 1 : end - 1]


def _is_between(text: str) -> bool:
    return len(text) <= _LONGEST_PLAIN and text.strip("$,;. \n") in ("", "and", "or")


def _boxes(text: str) -> list[tuple[int, int]]:
    r"""Where the outermost boxes begin and end, in order; those without an end are none."""
    spans: list[tuple[int, int]] = []
    open_at: list[int | None] = []
    for mark in _BRACE.finditer(text):
        if mark["open"]:
            open_at.append(mark.start() if mark["box"] else None)
        elif mark["close"] and open_at:
            start = open_at.pop()
            if start is not None:
                while spans and spans[-1][0] > start:  # it was inside this one
                    spans.pop()
                spans.append((start, mark.end()))
    return spans
