"""A map as frames and tables, and in sentences that each carry their interval and family."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from scipy.special import betaincinv

from analysis.findings.collapses import rate_of
from analysis.findings.metric_difference import size_of
from analysis.findings.regime_differences import (
    BOUNDARY,
    CellDifference,
    MapFamily,
    MapVerdict,
    boundary_cells,
)
from analysis.findings.regimes import Cell, RegimeMap
from analysis.load.text import metric_label, visible
from analysis.tables.numbers import ABSENT, interval, number
from analysis.tables.text_table import TextTable, without_empty_columns
from conspo_study.records import is_number
from conspo_study.text import counted, setting_text

_MOST_NAMED = 40
"""Cells that one sentence names."""


def cells_frame(found: RegimeMap, families: Sequence[MapFamily]) -> pd.DataFrame:
    """One row per cell, unrounded: objective, e, study, trial, run (that its values are of), one
    column per setting that was chosen over, mean, low, high (95 %, over seeds and problems), n,
    problems, collapsed, search_value, search_n, change (search_value minus mean), and for every
    reference minus_<reference>, its _low, _high (simultaneous), _seeds and _verdict."""
    records = []
    for cell in found.cells:
        ends, chosen = cell.interval, cell.chosen
        record: dict[str, Any] = {
            "objective": cell.objective,
            "e": cell.steps,
            "study": cell.study.folder.name,
            "trial": chosen.id if chosen else "",
            "run": cell.run.id if cell.run else "",
            **{path: _setting(cell, path) for path in found.chosen_over},
            "mean": cell.mean,
            "low": ends.low if ends else None,
            "high": ends.high if ends else None,
            "n": len(cell.values),
            "problems": _problems(cell),
            "collapsed": len(cell.collapsed),
            "search_value": chosen.value if chosen else None,
            "search_n": len(chosen.values) if chosen else 0,
            "change": cell.change,
        }
        for family in families:
            one, name = family.of(cell), f"minus_{family.reference}"
            record |= {
                name: one.value if one else None,
                f"{name}_low": one.low if one else None,
                f"{name}_high": one.high if one else None,
                f"{name}_seeds": one.seeds if one else 0,
                f"{name}_verdict": one.verdict if one else "reference",
            }
        records.append(record)
    return pd.DataFrame(records)


def cells_table(found: RegimeMap, families: Sequence[MapFamily]) -> TextTable:
    """The cells as text; differences in points where the metric is an accuracy."""
    titles = ["E", "objective", *(path.rpartition(".")[2] for path in found.chosen_over)]
    titles += [metric_label(found.metric), "95 % CI", "n", "collapsed"]
    for family in families:
        titles += [f"minus {family.reference}", "simultaneous 95 % CI", f"to {family.reference}"]
    titles += ["search minus confirmed"]
    rows = []
    for cell in found.cells:
        ends = cell.interval
        row = [str(cell.steps), visible(cell.objective)]
        row += [_shown(_setting(cell, path)) for path in found.chosen_over]
        row += [number(cell.mean, ".3f"), interval(ends.low, ends.high, ".3f") if ends else ABSENT]
        row += [str(len(cell.values) or ABSENT), _collapses(cell)]
        for family in families:
            one = family.of(cell)
            row += [
                _points(found, one.value if one else None),
                _ends(found, one),
                "reference" if one is None else one.verdict,
            ]
        rows.append((*row, _points(found, cell.change)))
    table = TextTable(tuple(titles), tuple(rows), frozenset({"E", "n"}))
    return without_empty_columns(table, ("collapsed",))


def searched_frame(found: RegimeMap) -> pd.DataFrame:
    """One row per trial of the search: objective, e, trial, one column per setting that was chosen
    over, value, sd, n, collapsed, chosen (whether it was)."""
    records = [
        {
            "objective": cell.objective,
            "e": cell.steps,
            "trial": row.id,
            **{path: cell.study.setting(row, path) for path in found.chosen_over},
            "value": row.value,
            "sd": statistics.stdev(row.values.values()) if len(row.values) > 1 else None,
            "n": len(row.values),
            "collapsed": len(rate_of(cell.study, row).seeds),
            "chosen": cell.chosen is not None and cell.chosen.id == row.id,
        }
        for cell in found.cells
        for row in cell.searched
    ]
    return pd.DataFrame(records)


def map_lines(found: RegimeMap, families: Sequence[MapFamily]) -> list[str]:
    """The findings in sentences."""
    compared = (line for family in families for line in _family(found, family))
    return [*_setup(found), *compared, *_ends_of(found), *_boundary(found, families)]


def findings_table(found: RegimeMap, families: Sequence[MapFamily]) -> TextTable:
    """Every comparison that came to a verdict, a line each, the most certain kinds first."""
    order: tuple[MapVerdict, ...] = ("better", "worse", "equivalent")
    rows = [
        (
            f"at E {one.cell.steps}, {visible(one.cell.objective)} is {_is(verdict, family)}",
            _points(found, one.value),
            _ends(found, one),
            str(one.seeds),
            str(one.problems or ABSENT),
            f"{family.size} (minus {family.reference})",
        )
        for family in families
        for verdict in order
        for one in family.having(verdict)
    ]
    titles = ("finding", "difference", "simultaneous 95 % CI", "n", "problems", "family")
    return TextTable(titles, tuple(rows), frozenset({"n"}))


def _is(verdict: MapVerdict, family: MapFamily) -> str:
    reference = visible(family.reference)
    if verdict == "equivalent":
        return f"equivalent to {reference}, if no seed collapses"
    return f"{verdict} than {reference}"


def _setup(found: RegimeMap) -> Iterator[str]:
    measured = [cell for cell in found.cells if cell.values]
    over = ", ".join(found.chosen_over)
    how = f", each at its own best {over}" if over else ""
    yield (
        f"{counted(len(found.cells), 'cell')}: {counted(len(found.objectives), 'objective')} at "
        f"E {', '.join(map(str, found.steps))} (optimiser steps per rollout batch){how}; "
        f"{len(measured)} measured, by {metric_label(found.metric)}."
    )
    seeds = sorted({len(cell.values) for cell in measured})
    if seeds:
        fresh = "fresh seeds" if over else "seeds"
        yield f"Values are over {' or '.join(map(str, seeds))} {fresh}, collapsed ones included."


def _family(found: RegimeMap, family: MapFamily) -> Iterator[str]:
    size, margin = family.size, family.margin
    equal = "No margin of equivalence, so no cell is called equivalent"
    if margin is not None:
        equal = f"Equivalent: within {size_of(margin, found.share)}"
    verb = "was" if len(family.late) == 1 else "were"
    late = f" Its {' and its '.join(family.late)} {verb} chosen when the map was made."
    reference = visible(family.reference)
    counts = [
        f"{len(family.having(verdict))} {verdict}"
        for verdict in ("better", "worse", "equivalent", "undecided", "not measured")
        if family.having(verdict)
    ]
    stages = "" if family.stages == 1 else ", over both stages, of which each has half of the 5 %"
    yield (
        f"Minus {reference} at the same E: a family of {counted(size, 'comparison')}, "
        f"{family.paired}; its intervals hold together with 95 %{stages} (each has "
        f"{family.each:.3%}). {equal}. {', '.join(counts) or 'None measured'}."
        f"{late if family.late else ''}"
    )
    told: tuple[MapVerdict, ...] = ("better", "worse", "equivalent")
    for verdict in told:
        having = family.having(verdict)
        if having:
            named = "; ".join(_difference(found, one) for one in having[:_MOST_NAMED])
            more = len(having) - _MOST_NAMED
            rest = f"; and {more} more" if more > 0 else ""
            what = _is(verdict, family)
            yield f"{what[0].upper()}{what[1:]} (family of {size}): {named}{rest}."


def _difference(found: RegimeMap, one: CellDifference) -> str:
    shown = f"{_points(found, one.value)} {_ends(found, one)}"
    return f"{visible(one.cell.name)} {shown} (n = {one.seeds})"


def _ends_of(found: RegimeMap) -> Iterator[str]:
    """Collapses, what the confirmation changed, and what is missing."""
    fallen = [cell for cell in found.cells if cell.collapsed]
    if fallen:
        named = "; ".join(map(_collapse, fallen[:_MOST_NAMED]))
        yield f"Collapsed seeds (95 % interval of the rate, Clopper-Pearson): {named}."
    whole = sorted({len(cell.values) for cell in found.cells if cell.values and not cell.collapsed})
    if whole:
        none = ", ".join(
            f"none in {n} seeds leaves a rate up to {100 * _most(n):.0f} %" for n in whole
        )
        yield f"Intervals know nothing of collapses that did not occur: {none} (95 %)."
    changes = [cell.change for cell in found.cells if cell.change is not None]
    if changes:
        yield (
            f"Search minus confirmed, over {counted(len(changes), 'cell')}: "
            f"{_points(found, statistics.fmean(changes))} on average, from "
            f"{_points(found, min(changes))} to {_points(found, max(changes))}: selection, other "
            "seeds and other problems together."
        )
    for cell in found.cells:
        if cell.chosen is None:
            yield f"{visible(cell.name)}: no trial has finished."
        elif not cell.values:
            yield f"{visible(cell.name)}: {cell.chosen.id} is not confirmed yet, or failed again."


def _boundary(found: RegimeMap, families: Sequence[MapFamily]) -> Iterator[str]:
    cells = boundary_cells(found, families)
    again = sum(cell.before is not None for cell in found.cells)
    if again:
        yield (
            f"{counted(again, 'cell')}, references included, ran again on further seeds, which "
            "alone count there; the other cells are compared with their references on the earlier "
            "seeds. Differences that were kept because they were large are biased away from 0."
        )
    if cells:
        margins = dict.fromkeys(f.margin for f in families if f.margin is not None)
        near = " or ".join(size_of(BOUNDARY * margin, found.share) for margin in margins)
        near = near and f"closer than {near} to a reference, or "
        yield (
            f"{counted(len(cells), 'cell')} on a boundary ({near}collapsed on some seeds only): "
            "conspo map --again FILE.py writes the study that runs them on further seeds."
        )


def _collapse(cell: Cell) -> str:
    fallen, n = len(cell.collapsed), len(cell.values)
    low = 0.0 if fallen == 0 else float(betaincinv(fallen, n - fallen + 1, 0.025))
    high = 1.0 if fallen == n else float(betaincinv(fallen + 1, n - fallen, 0.975))
    return f"{visible(cell.name)} {fallen} of {n} {interval(low, high, '.2f')}"


def _most(seeds: int) -> float:
    """The largest rate of collapse that leaves all of so many seeds whole in 5 % of studies."""
    return float(1 - 0.05 ** (1 / seeds))


def _collapses(cell: Cell) -> str:
    return f"{len(cell.collapsed)} of {len(cell.values)}" if cell.collapsed else ""


def _problems(cell: Cell) -> int:
    scores = cell.scores
    return sum(len(one.problems) for one in scores.benchmarks.values()) if scores else 0


def _setting(cell: Cell, path: str) -> Any:
    return cell.study.setting(cell.chosen, path) if cell.chosen else None


def _shown(value: Any) -> str:
    return f"{value:.3g}" if is_number(value) else ABSENT if value is None else setting_text(value)


def _points(found: RegimeMap, value: float | None) -> str:
    return number(value if value is None else _scaled(found, value), _spec(found))


def _ends(found: RegimeMap, one: CellDifference | None) -> str:
    if one is None or one.low is None or one.high is None:
        return ABSENT
    return interval(_scaled(found, one.low), _scaled(found, one.high), _spec(found))


def _scaled(found: RegimeMap, value: float) -> float:
    return 100 * value if found.share else value


def _spec(found: RegimeMap) -> str:
    return "+.1f" if found.share else "+.3g"
