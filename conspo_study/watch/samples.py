"""Responses of several trials of a study to one question, to be read side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conspo_study.results.names import trial_folder
from conspo_study.watch.found import Found
from conspo_study.watch.question import LARGEST_PAGE, Question

MOST_TRIALS = 16
"""Trials of one question."""
_SAME = {
    "training": ("problem_id", "seed", "step", "group", "rollout"),
    "evaluation": ("problem_set", "problem_id", "seed", "step", "sample"),
}
"""Columns in which responses agree that different trials gave to the same problem at the same
place."""


def find_samples(
    folder: Path, trials: Sequence[str], question: Mapping[str, str]
) -> dict[str, Any]:
    """The responses of `trials` of the study in `folder` that match `question`: as
    `find_responses`, but each of the `rows` has its `trial`, and `verdicts` are by trial.

    question: what `find_responses` knows, and `by`: with `by=problem` the answer has `groups`
    instead of `rows`. A group is what the trials answered to a problem at the same seed, step and
    sample: these fields, and `rows`, at most one of each trial, in the order of `trials`; `total`,
    `offset` and `limit` then count groups. Raises ValueError for a malformed question, no trials,
    too many or one twice, and an unreadable file, naming it.
    """
    if not 0 < len(trials) <= MOST_TRIALS:
        raise ValueError(f"name 1 to {MOST_TRIALS} trials, such as trials=t0000,t0001")
    if len({*trials}) < len(trials):
        raise ValueError("a trial is named twice")
    asked = Question.read(question, more={"by"})
    by = question.get("by", "")
    if by not in ("", "problem"):
        raise ValueError(f"unknown by {by[:40]!r}; known: problem")
    if by and asked.column:
        raise ValueError("sort orders rows: groups by problem have an order of their own")
    found = Found({trial: trial_folder(folder, trial) for trial in trials}, asked)
    answer = {"offset": asked.offset, "skipped": found.skipped, "verdicts": found.verdicts}
    if by:
        limit = max(1, min(asked.limit, LARGEST_PAGE // len(trials)))
        total, groups = _groups(found, _SAME[asked.source], asked.offset, limit)
        return answer | {"total": total, "limit": limit, "groups": groups}
    page = asked.ordered(found.table).slice(asked.offset, asked.limit)
    rows = [*found.rows(page)]
    return answer | {"total": found.table.num_rows, "limit": asked.limit, "rows": rows}


def _groups(
    found: Found, same: Sequence[str], offset: int, limit: int
) -> tuple[int, list[dict[str, Any]]]:
    """The number of all groups, and those of one page."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = [(name, "ascending") for name in same]
    # Equal rows stay in the order of the trials: the sort is stable.
    table = found.table.take(pc.sort_indices(found.table, sort_keys=keys))
    if not len(table):
        return 0, []
    begins = pa.array([False] * (len(table) - 1))
    for name in same:
        column = table[name].combine_chunks()
        begins = pc.or_(begins, pc.not_equal(column[1:], column[:-1]))
    starts = [0, *(place + 1 for place in pc.indices_nonzero(begins).to_pylist())]
    ends = [*starts[1:], len(table)]
    groups = []
    for start, end in [*zip(starts, ends, strict=True)][offset : offset + limit]:
        first: dict[str, Any] = {}
        # More rows of one trial at the same place are of a file that is wrong.
        for row in found.rows(table.slice(start, min(end - start, LARGEST_PAGE))):
            first.setdefault(row["trial"], row)
        rows = [*first.values()]
        groups.append({name: rows[0][name] for name in same} | {"rows": rows})
    return len(starts), groups
