"""Responses of a trial, page by page: those kept from training, and those of evaluations.

Filters are applied here, so that the browser never loads more than it shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conspo_study.watch.found import Found
from conspo_study.watch.question import Question


def find_responses(folder: Path, question: Mapping[str, str]) -> dict[str, Any]:
    """The responses that match `question`: the `rows` of one page; over all pages `total`, and
    `verdicts`, the count of each before the filter by verdict; `skipped`, files that were not read.

    question: `source` (training, evaluation); `seed`, `step`, `set`, `problem`, `verdict` and
    `finish` (all by default); `shortest` and `longest` (tokens); `text` (in the response, its
    answer, the prompt or the gold answer, whatever the case; no pattern); `sort` (score, credit,
    tokens; the largest first after a `-`); `offset`, `limit`. Raises ValueError for a malformed
    question or an unreadable file, naming it.
    """
    asked = Question.read(question)
    found = Found({"": folder}, asked)
    page = asked.ordered(found.table).slice(asked.offset, asked.limit).drop_columns("trial")
    return {
        "total": found.table.num_rows,
        "offset": asked.offset,
        "limit": asked.limit,
        "skipped": found.skipped,
        "verdicts": found.verdicts[""],
        "rows": [*found.rows(page)],
    }
