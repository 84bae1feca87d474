"""A question about responses: which of them, in what order, which page of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from conspo_study.records import FinishStatus, Verdict

PAGE, LARGEST_PAGE = 20, 200
LONGEST_SEARCH = 200
"""Characters of a text that is searched for."""
FIELDS = (
    *("source", "seed", "step", "set", "problem", "verdict", "finish", "text"),
    *("shortest", "longest", "sort", "offset", "limit"),
)
SOURCES = ("training", "evaluation")
_SORTS = {"score": "score", "credit": "credit", "tokens": "response_tokens"}
_OF_TRAINING = {"score", "credit"}
"""Orders that only responses of training have."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; None and empty texts stand for no such wish."""

    source: str
    """`training` or `evaluation`."""
    seed: int | None
    step: int | None
    set: str
    """Name of an evaluated set."""
    problem: str
    """Id of a problem."""
    verdict: str
    finish: str
    """How the response ended; see `FinishStatus`."""
    text: str
    """Occurs in the response, its answer, the prompt or the gold answer, whatever the case."""
    shortest: int | None
    """Tokens."""
    longest: int | None
    column: str
    """Column that the rows are ordered by; empty for the order in which they are stored."""
    descending: bool
    offset: int
    limit: int

    @classmethod
    def read(cls, asked: Mapping[str, str], more: Collection[str] = ()) -> Question:
        """The question in the fields of an address; `more` are known besides. Raises ValueError
        saying what is malformed."""
        known = {*FIELDS, *more}
        if unknown := asked.keys() - known:
            raise ValueError(f"unknown filter {min(unknown)}; known: {', '.join(sorted(known))}")
        source = _one_of(asked, "source", SOURCES) or SOURCES[0]
        if source == "training" and asked.get("set"):
            raise ValueError("set is a filter of evaluations: training has one set")
        sort = asked.get("sort", "")
        order = _one_of({"sort": sort.removeprefix("-")}, "sort", _SORTS)
        if source == "evaluation" and order in _OF_TRAINING:
            raise ValueError(f"evaluated responses have no {order}; sort them by tokens")
        text = asked.get("text", "")
        if len(text) > LONGEST_SEARCH:
            raise ValueError(f"text is longer than {LONGEST_SEARCH} characters")
        return cls(
            source=source,
            seed=_number(asked, "seed"),
            step=_number(asked, "step"),
            set=asked.get("set", ""),
            problem=asked.get("problem", ""),
            verdict=_one_of(asked, "verdict", Verdict),
            finish=_one_of(asked, "finish", FinishStatus),
            text=text,
            shortest=_number(asked, "shortest"),
            longest=_number(asked, "longest"),
            column=_SORTS.get(order, ""),
            descending=sort.startswith("-"),
            offset=_number(asked, "offset") or 0,
            limit=min(_number(asked, "limit") or PAGE, LARGEST_PAGE),
        )

    def matching(self, table: Any, problems: Any = None) -> Any:
        """The rows of a `pyarrow.Table` that are asked for, but for their verdict.

        problems: a table with `prompt` and `gold`, to which the column `place` of the rows refers;
        None where they have these columns themselves.
        """
        import pyarrow.compute as pc

        wishes: list[tuple[str, Callable[[Any, Any], Any], Any]] = [
            ("problem_set", pc.equal, self.set),
            ("problem_id", pc.equal, self.problem),
            ("status", pc.equal, self.finish),
            ("response_tokens", pc.greater_equal, self.shortest),
            ("response_tokens", pc.less_equal, self.longest),
        ]
        for column, compare, value in wishes:
            if value not in ("", None):
                table = table.filter(compare(table[column], value))
        if not self.text or not len(table):
            return table

        def has(column: Any) -> Any:
            found = pc.match_substring(column, self.text, ignore_case=True)
            return pc.fill_null(found, fill_value=False)

        mask = pc.or_(has(table["response"]), has(table["answer"]))
        asked = table if problems is None else problems
        of_problem = pc.or_(has(asked["prompt"]), has(asked["gold"]))
        if problems is not None:
            of_problem = pc.fill_null(of_problem.take(table["place"]), fill_value=False)
        return table.filter(pc.or_(mask, of_problem))

    def ordered(self, table: Any) -> Any:
        """The rows in the order that is asked for; unknown values come last, equal ones stay in
        their order."""
        import pyarrow.compute as pc

        if not self.column:
            return table
        order = "descending" if self.descending else "ascending"
        return table.take(pc.sort_indices(table, sort_keys=[(self.column, order)]))


def _number(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"\d{1,12}", text):
        raise ValueError(f"{name} {text[:40]!r} is not a whole number")
    return int(text)


def _one_of(asked: Mapping[str, str], name: str, known: Iterable[str]) -> str:
    text, known = asked.get(name, ""), [*known]
    if text and text not in known:
        raise ValueError(f"unknown {name} {text[:40]!r}; known: {', '.join(known)}")
    return text
