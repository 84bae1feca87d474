"""The published results of the paper (arXiv 2605.12969, v3), as far as they are known."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

SOURCE = "arXiv 2605.12969, v3"
BASE = "base"
"""The method of rows that show the model before training."""
AVERAGE = "Average"
"""The benchmark of averages that the paper states."""
BENCHMARKS = ("AIME24", "AIME25", "AIME26", "HMMT25", "MATH500", "AMC", "OlympiadBench")
"""In the order of the paper's columns."""

CAVEATS = (
    "The paper evaluates every 100 steps and reports the best evaluation of each method: its "
    "numbers select the checkpoint on the benchmarks themselves, which biases them upwards.",
    "The numbers are from the paper's text and a public extraction of its tables. A cell that "
    "neither gives is absent; neither gives a number of runs or an interval.",
)
"""Notes to show wherever the numbers are."""

_COLUMNS = ["table", "model", "train_data", "method", "benchmark", "metric", "score"]


@dataclass(frozen=True, slots=True)
class Published:
    """One published number."""

    table: int
    """Of the paper."""
    model: str
    train_data: str
    """Empty for the untrained model."""
    method: str
    benchmark: str
    """One of `BENCHMARKS`, or `AVERAGE`."""
    metric: str
    """`avg@32`, `pass@1`, or `mean` of an average."""
    score: float
    """In percent."""


@cache
def published_results() -> tuple[Published, ...]:
    """All known numbers, in the order of the tables."""
    text = files("analysis").joinpath("data/published_results.csv").read_text("utf-8")
    return parse_results(text)


def published_score(table: int, model: str, method: str, benchmark: str) -> float | None:
    """The number in percent; None where it is unknown."""
    return _by_cell().get((table, model, method, benchmark))


def parse_results(text: str) -> tuple[Published, ...]:
    """Rows of CSV text. Raises ValueError naming the line that cannot be right."""
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames != _COLUMNS:
        raise ValueError(f"published results need the columns {', '.join(_COLUMNS)}")
    rows: list[Published] = []
    cells: set[tuple[int, str, str, str]] = set()
    for row in reader:
        try:
            found = _parse(row)
            cell = (found.table, found.model, found.method, found.benchmark)
            if cell in cells:
                raise ValueError(f"{' / '.join(map(str, cell))} appears twice")
        except (TypeError, ValueError) as error:
            raise ValueError(f"line {reader.line_num} of the published results: {error}") from error
        cells.add(cell)
        rows.append(found)
    return tuple(rows)


def _parse(row: dict[str, str]) -> Published:
    score = float(row["score"])
    if not (math.isfinite(score) and 0 <= score <= 100):
        raise ValueError(f"score {row['score']} is no percentage; an absent cell has no row")
    if row["benchmark"] not in (*BENCHMARKS, AVERAGE):
        raise ValueError(f"unknown benchmark {row['benchmark']!r}")
    return Published(
        table=int(row["table"]),
        model=row["model"],
        train_data=row["train_data"],
        method=row["method"],
        benchmark=row["benchmark"],
        metric=row["metric"],
        score=score,
    )


@cache
def _by_cell() -> dict[tuple[int, str, str, str], float]:
    return {
        (row.table, row.model, row.method, row.benchmark): row.score for row in published_results()
    }
