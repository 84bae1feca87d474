"""Remarks on a problem set: what was repaired in reading it, and what to know before using it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from conspo_study.data.golds import oddities
from conspo_study.records import Problem
from conspo_study.text import counted

ROWS_NAMED = 5
"""Maximum number of rows that a remark names."""
_PARTICULARS = re.compile(r":.*|'.*'|\".*\"|\d+", re.DOTALL)
"""The part of a reason that differs between rows of one kind."""
NUMBERED = "no id, numbered by row"
REPAIRED = "LaTeX commands repaired that escape sequences had damaged (a form feed and rac: \\frac)"
REMOVED = "control characters removed"
FINAL = "final answer taken from a worked solution"
LAST_TURN = "last message of the user taken from a chat, without the other messages"
E_NOTATION = "answers in e-notation, such as 4.5e33"
MARKS = "answers with marks around them, such as $42$ or 42."
SAME = "the same problem several times with the same answer, all kept"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that several rows of a set have in common."""

    what: str
    where: tuple[str, ...] = ()
    """The rows, or rows of one problem, `3 = 8`; empty for a remark on the whole set."""
    noun: str = "row"
    """What `where` counts."""

    def __str__(self) -> str:
        if not self.where:
            return self.what
        named = ", ".join(self.where[:ROWS_NAMED])
        more = len(self.where) - ROWS_NAMED
        label = "rows" if len(self.where) > 1 or "=" in named else "row"
        tail = f", and {more} more" if more > 0 else ""
        return f"{self.what}: {counted(len(self.where), self.noun)} ({label} {named}{tail})"


@dataclass(slots=True)
class Audit:
    """Collects remarks while a set is read."""

    rows: dict[str, list[int]] = field(default_factory=dict)
    """Numbers of rows by remark."""
    remarks: list[Remark] = field(default_factory=list)

    def note(self, what: str, row: int) -> None:
        """Add a row to a remark, once."""
        rows = self.rows.setdefault(what, [])
        if rows[-1:] != [row]:
            rows.append(row)

    def forget(self, row: int) -> None:
        """Take the latest row, which is left out, from all remarks."""
        for rows in self.rows.values():
            if rows[-1:] == [row]:
                rows.pop()

    def note_answer(self, answer: str, row: int) -> None:
        """Remark on the spelling of an answer."""
        e_notation, marks = oddities(answer)
        if e_notation:
            self.note(E_NOTATION, row)
        if marks:
            self.note(MARKS, row)

    def note_repeats(self, groups: Iterable[Sequence[int]], numbers: Sequence[int]) -> None:
        """Remark on groups of the same problem, given as positions. numbers: rows of positions."""
        where = tuple(" = ".join(str(numbers[one]) for one in group) for group in groups)
        if where:
            self.remarks.append(Remark(SAME, where, "problem"))

    def result(self) -> tuple[Remark, ...]:
        """All remarks."""
        of_rows = (Remark(what, tuple(map(str, rows))) for what, rows in self.rows.items() if rows)
        whole = [remark for remark in self.remarks if not remark.where]
        return (*whole, *of_rows, *(remark for remark in self.remarks if remark.where))


def contradiction(problems: Sequence[Problem], group: Sequence[int], numbers: Sequence[int]) -> str:
    """The reason for which all problems of a group are left out."""
    shown = [f"{problems[one].answer[:40]!r} (row {numbers[one]})" for one in group[:ROWS_NAMED]]
    more = f" and {len(group) - ROWS_NAMED} more" if len(group) > ROWS_NAMED else ""
    return f"the same problem has different answers: {', '.join(shown)}{more}"


def by_kind(rows: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Rows and the reasons to leave them out, by kind of reason: how many, and the first of them in
    words, `row 4: answer is missing, and 2 more (rows 7, 9)`."""
    kinds: dict[str, list[tuple[int, str]]] = {}
    for number, reason in rows:
        kinds.setdefault(_PARTICULARS.sub("", reason), []).append((number, reason))
    return [(len(alike), _in_words(alike)) for alike in kinds.values()]


def _in_words(alike: Sequence[tuple[int, str]]) -> str:
    (number, reason), *others = alike
    if not others:
        return f"row {number}: {reason}"
    named = ", ".join(str(number) for number, _ in others[:ROWS_NAMED])
    dots = ", ..." if len(others) > ROWS_NAMED else ""
    label = "row" if len(others) == 1 else "rows"
    return f"row {number}: {reason}, and {len(others)} more ({label} {named}{dots})"
