"""Tables 1 to 6 and 9 of the paper: its numbers, ours, or both with their difference.

The last column is the average over benchmarks. A row with an absent cell has no average of its own;
where the paper states one, that is shown as stated. All numbers are percentages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from analysis.findings.measured import Measured, Measurements
from analysis.load.published import (
    AVERAGE,
    BASE,
    BENCHMARKS,
    CAVEATS,
    SOURCE,
    Published,
    published_results,
    published_score,
)
from analysis.statistics.bootstrap import estimate
from analysis.tables.paper_layout import Cell, Column, PaperTable, Row, Source, laid_out
from conspo_study.text import counted

TABLES = (1, 2, 3, 4, 5, 6, 9)
"""The paper's tables of results."""

AVERAGES = "An average is over the cells of its row; with an absent cell there is none."


@dataclass(frozen=True, slots=True)
class _Side:
    """A source of numbers: its benchmarks, their headers, the cell of a method and a benchmark."""

    source: Source
    benchmarks: tuple[str, ...]
    detail: Callable[[str], str]
    cell: Callable[[str, str], Cell]
    seeds: int | None = None
    """The n of all cells; None where they differ, and for published numbers."""


def published_table(number: int) -> PaperTable:
    """A table as published, with its caveats. Raises ValueError for an unknown table."""
    models = _models(number)
    data = next(row.train_data for row in _table(number) if row.train_data)
    sides = [_published_side(number, model) for model in models]
    rows = [
        row
        for model, side in zip(models, sides, strict=True)
        for row in _rows([side], _methods(number, model), model if len(models) > 1 else "")
    ]
    title = f"Table {number} as published ({SOURCE}): {', '.join(models)}, trained on {data}"
    return laid_out(title, _columns(sides[:1]), rows, [*CAVEATS, AVERAGES])


def measured_table(
    ours: Measurements, number: int = 1, *, title: str = "", intervals: bool = False
) -> PaperTable:
    """Our numbers in the layout of a table: its methods first, in its order, then our others."""
    sides = [_our_side(ours, intervals)]
    rows = _rows(sides, _our_methods(ours, _methods(number)))
    title = title or f"Ours, in the layout of Table {number}"
    return laid_out(title, _columns(sides), rows, _our_notes(ours, intervals))


def side_by_side(
    ours: Measurements, number: int, model: str | None = None, *, intervals: bool = False
) -> PaperTable:
    """The paper's numbers, ours, and ours minus the paper's where both have a benchmark.

    Where our best evaluations are known (`measured(..., best=True)`), they have a column, and the
    difference is theirs: the paper reports best evaluations, too.

    model: the block of a table that has several. Raises ValueError for an unknown table or model,
    and when a model has to be chosen.
    """
    models = _models(number)
    if model not in (models if len(models) > 1 else [None, *models]):
        raise ValueError(f"Table {number} has the models {', '.join(models)}: name one of them")
    chosen = model or models[0]
    sides = [_published_side(number, chosen), _our_side(ours, intervals)]
    best = any(one.best for one in ours.methods.values())
    sides += [_best_side(ours)] if best else []
    methods = _methods(number, chosen)
    rows = _rows(sides, [*methods, *(m for m in _our_methods(ours, methods) if m not in methods)])
    notes = [*CAVEATS, *_our_notes(ours, intervals), *_difference_notes(best)]
    return laid_out(f"Table {number} ({SOURCE}, {chosen}) and ours", _columns(sides), rows, notes)


def _table(number: int) -> list[Published]:
    rows = [row for row in published_results() if row.table == number]
    if not rows:
        raise ValueError(f"no Table {number} of results is known; known: {TABLES}")
    return rows


def _models(number: int) -> list[str]:
    return list(dict.fromkeys(row.model for row in _table(number)))


def _methods(number: int, model: str | None = None) -> list[str]:
    rows = [row for row in _table(number) if model in (None, row.model)]
    return list(dict.fromkeys(row.method for row in rows))


def _our_methods(ours: Measurements, order: Sequence[str]) -> list[str]:
    first = [method for method in [BASE, *order] if method in ours.methods]
    return list(dict.fromkeys([*first, *ours.methods]))


def _published_side(number: int, model: str) -> _Side:
    # A benchmark is measured alike in all tables, so an empty column can say how.
    metrics = {row.benchmark: row.metric for row in published_results()}
    # Of the ablation and the 32B check only averages are known: columns of gaps would say nothing.
    whole = {row.benchmark for row in _table(number)} != {AVERAGE}
    benchmarks = BENCHMARKS if whole else ()

    def cell(method: str, benchmark: str) -> Cell:
        score = published_score(number, model, method, benchmark)
        if benchmark != AVERAGE:
            return Cell(score)
        parts = [published_score(number, model, method, name) for name in benchmarks]
        known = [part for part in parts if part is not None]
        if benchmarks and len(known) == len(parts):
            return Cell(fmean(known))
        return Cell(score, stated=score is not None)

    def detail(benchmark: str) -> str:
        return "" if benchmark == AVERAGE else metrics[benchmark]

    return _Side(Source.PAPER, benchmarks, detail, cell)


def _our_side(ours: Measurements, intervals: bool) -> _Side:
    benchmarks = ours.benchmarks
    counts = sorted({len(scores.seeds) for scores in ours.scores.values()})
    n = "–".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) if counts else "0"

    def cell(method: str, benchmark: str) -> Cell:
        scores = ours.scores.get(method)
        wanted = benchmarks if benchmark == AVERAGE else (benchmark,)
        if scores is None or not all(name in scores.benchmarks for name in wanted):
            return Cell()
        part = scores.only(*wanted)
        seeds = len(scores.seeds)
        value = 100 * float(part.cells.mean())
        if not intervals:
            return Cell(value, seeds=seeds)
        found = estimate(part)
        if found.low is None or found.high is None:
            return Cell(value, no_interval=found.no_interval, seeds=seeds)
        # Accuracies end at 0 and 100, which Student's interval does not know.
        low, high = max(0.0, 100 * found.low), min(100.0, 100 * found.high)
        return Cell(value, low, high, seeds=seeds)

    def detail(benchmark: str) -> str:
        return f"{ours.metric_of(benchmark)}, n = {n}"

    return _Side(Source.OURS, benchmarks, detail, cell, counts[0] if len(counts) == 1 else None)


def _best_side(ours: Measurements) -> _Side:
    """Ours as the paper reports: every seed at its best evaluation."""
    last = _our_side(ours, intervals=False)

    def cell(method: str, benchmark: str) -> Cell:
        known = ours.methods[method].best if method in ours.methods else {}
        wanted = ours.benchmarks if benchmark == AVERAGE else (benchmark,)
        if method == BASE:
            return last.cell(method, benchmark)
        if not all(name in known for name in wanted):
            return Cell()
        seeds = last.cell(method, benchmark).seeds
        return Cell(100 * fmean(known[name] for name in wanted), seeds=seeds)

    return _Side(Source.BEST, last.benchmarks, last.detail, cell, last.seeds)


def _difference_notes(best: bool) -> list[str]:
    if not best:
        return ["Difference: ours at the last step minus the paper's best evaluation."]
    return [
        "Ours, best evaluation: every seed at the evaluation of all benchmarks whose average is "
        "best, as the paper reports. It is biased upwards like the paper's numbers, and the last "
        "step is not.",
        "Difference: our best evaluation minus the paper's.",
    ]


def _benchmarks(sides: Sequence[_Side]) -> list[str]:
    return [*dict.fromkeys(name for side in sides for name in side.benchmarks), AVERAGE]


def _holders(sides: Sequence[_Side], benchmark: str) -> list[_Side]:
    return [side for side in sides if benchmark in (*side.benchmarks, AVERAGE)]


def _comparable(sides: Sequence[_Side], benchmark: str) -> bool:
    """True when two sources have this column; an average needs the same benchmarks in both."""
    if benchmark == AVERAGE:
        return len(sides) > 1 and len({frozenset(side.benchmarks) for side in sides}) == 1
    return len({side.source is Source.PAPER for side in _holders(sides, benchmark)}) > 1


def _columns(sides: Sequence[_Side]) -> list[Column]:
    columns = []
    for name in _benchmarks(sides):
        columns += [
            Column(name, side.source, side.detail(name), side.seeds)
            for side in _holders(sides, name)
        ]
        if _comparable(sides, name):
            columns.append(Column(name, Source.DIFFERENCE, ""))
    return columns


def _rows(sides: Sequence[_Side], methods: Iterable[str], block: str = "") -> list[Row]:
    rows = []
    for method in methods:
        cells: list[Cell] = []
        for name in _benchmarks(sides):
            found = [side.cell(method, name) for side in _holders(sides, name)]
            cells += found
            if _comparable(sides, name):
                theirs, ours = found[0].value, found[-1].value
                cells.append(Cell(None if theirs is None or ours is None else ours - theirs))
        rows.append(Row(block, method, tuple(cells)))
    return rows


def _undecided_notes(method: str, one: Measured) -> list[str]:
    notes = []
    if one.undecided:
        decided = [f"{100 * value:.1f} on {name}" for name, value in one.decided.items()]
        left_out = f"; left out, it has {', '.join(decided)}" if decided else ""
        responses = counted(one.undecided, "response")
        notes.append(f"{method}: {responses} without a verdict, counted as wrong{left_out}.")
    if one.unreadable:
        responses = counted(one.unreadable, "response")
        notes.append(
            f"{method}: {responses} left out, since the gold answers of their problems cannot be "
            "read."
        )
    return notes


def _our_notes(ours: Measurements, intervals: bool) -> list[str]:
    notes = [
        "Ours: at the last step, mean over problems, then over n seeds"
        + (f"; generated sets: {ours.split} split." if ours.split else "."),
        AVERAGES,
        *(f"{note}." for note in ours.notes),
    ]
    for method, one in ours.methods.items():
        notes += [f"{method} ({one.origin}): {note}." for note in one.notes]
        notes += _undecided_notes(method, one)
    if intervals:
        notes.append("[low, high]: 95 % CI over seeds and problems.")
    return notes
