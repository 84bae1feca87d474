"""Responses of a trial, page by page: those kept from training, and those of evaluations.

Filters are applied here, so that the browser never loads more than it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conspo_study.records import Verdict
from conspo_study.results.kept import read_rollout_table, stored_rollouts
from conspo_study.results.rows import read_eval_table, stored_evaluations

PAGE, LARGEST_PAGE = 20, 200
TEXT = 20_000
"""Longest prompt or response that is sent whole; a longer one is cut, with a note."""
_FILTERS = {"source", "seed", "step", "verdict", "shortest", "longest", "offset", "limit"}


def find_responses(folder: Path, question: Mapping[str, str]) -> dict[str, Any]:
    """The responses that match `question`: the `rows` of one page; over all pages `total`, and
    `verdicts`, the count of each before the filter by verdict.

    question: `source` (training, evaluation), `seed` and `step` (all by default), `verdict`,
    `shortest` and `longest` (tokens), `offset`, `limit`. Raises ValueError for a malformed question
    or an unreadable file, naming it.
    """
    import pyarrow.compute as pc

    unknown = question.keys() - _FILTERS
    if unknown:
        raise ValueError(f"unknown filter {min(unknown)}; known: {', '.join(sorted(_FILTERS))}")
    source, verdict = question.get("source", "training"), question.get("verdict", "")
    if source not in ("training", "evaluation"):
        raise ValueError(f"unknown source {source[:40]!r}; known: training, evaluation")
    if verdict and verdict not in list(Verdict):
        raise ValueError(f"unknown verdict {verdict[:40]!r}; known: {', '.join(Verdict)}")
    seed, step = _number(question, "seed"), _number(question, "step")
    stored = stored_rollouts(folder) if source == "training" else stored_evaluations(folder)
    chosen = [pair for pair in stored if seed in (None, pair[0]) and step in (None, pair[1])]
    table = _read(folder, source, chosen)
    for bound, compare in (("shortest", pc.greater_equal), ("longest", pc.less_equal)):
        value = _number(question, bound)
        if value is not None:
            table = table.filter(compare(table["response_tokens"], value))
    counted = table["verdict"].value_counts().to_pylist()
    if verdict:
        table = table.filter(pc.equal(table["verdict"], verdict))
    offset = _number(question, "offset") or 0
    limit = min(_number(question, "limit") or PAGE, LARGEST_PAGE)
    rows = table.slice(offset, limit).to_pylist()
    return {
        "total": table.num_rows,
        "offset": offset,
        "limit": limit,
        "verdicts": {str(item["values"]): item["counts"] for item in counted},
        "rows": [{name: _short(value) for name, value in row.items()} for row in rows],
    }


def _read(folder: Path, source: str, chosen: list[tuple[int, int]]) -> Any:
    if source == "training":
        return read_rollout_table(folder, chosen)
    return read_eval_table(folder, chosen)


def _number(question: Mapping[str, str], name: str) -> int | None:
    text = question.get(name, "")
    if not text:
        return None
    if not re.fullmatch(r"\d{1,12}", text):
        raise ValueError(f"{name} {text[:40]!r} is not a whole number")
    return int(text)


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > TEXT:
        return f"{value[:TEXT]}\n… {len(value) - TEXT} more characters"
    return value
