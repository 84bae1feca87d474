"""The problems that a trial is evaluated on, as they are stored for reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice, zip_longest

from conspo_study.records import MOST_TEXT, Problem, ProblemRow, cut, text_bytes

_BATCH = 512
"""Problems whose prompts are written at a time."""


def kept_gold(problem: Problem) -> str | None:
    """The gold answer as it is stored; None where the set has none."""
    return cut(problem.answer) if problem.answer else None


def problem_rows(
    sets: Mapping[str, Sequence[Problem]],
    often: Callable[[str], int],
    prompts: Callable[[Sequence[Problem]], Sequence[str]],
) -> list[ProblemRow]:
    """Rows of the problems of all `sets`, by name, until they exceed `MOST_TEXT`.

    Sets take turns; problems that more evaluations have come first, and then by id, the order in
    which evaluations keep responses. often: how many of a set's problems, the first ones, every
    evaluation of it has. prompts: those of problems, as the policy sees them.
    """
    rows: list[ProblemRow] = []
    left = MOST_TEXT
    waiting = _in_turn(sets, often)
    while batch := [*islice(waiting, _BATCH)]:
        for (name, problem), prompt in zip(batch, prompts([p for _, p in batch]), strict=True):
            row = ProblemRow(name, problem.id, cut(prompt), kept_gold(problem))
            left -= text_bytes(row.prompt) + text_bytes(row.gold)
            if left < 0:
                return rows
            rows.append(row)
    return rows


def _in_turn(
    sets: Mapping[str, Sequence[Problem]], often: Callable[[str], int]
) -> Iterator[tuple[str, Problem]]:
    """Set and problem: one of each set, then the next of each."""

    def ordered(name: str) -> list[tuple[str, Problem]]:
        parts = sets[name][: often(name)], sets[name][often(name) :]
        return [(name, p) for part in parts for p in sorted(part, key=lambda p: p.id)]

    rounds = zip_longest(*(ordered(name) for name in sorted(sets)))
    return (item for item in chain.from_iterable(rounds) if item is not None)
