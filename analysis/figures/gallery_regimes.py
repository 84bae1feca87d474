"""Figures of a map of objectives over off-policyness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from analysis.figures.data_regimes import ANGLE, angle_frame, difference_frame
from analysis.figures.draw_regimes import angle_figure, difference_map, rate_map
from analysis.figures.entry import FigureEntry
from analysis.findings.regime_differences import MapFamily
from analysis.findings.regime_tables import searched_frame
from analysis.findings.regimes import RegimeMap
from analysis.load.text import metric_label, visible
from analysis.tables.numbers import number


def regime_figures(found: RegimeMap, families: Sequence[MapFamily]) -> Iterator[FigureEntry | str]:
    """A map for every reference, values by what was chosen over, and the credit angle; or the
    reason why one cannot be drawn."""
    for family in families:
        yield _differences(found, family)
    yield _rates(found)
    if families:
        yield _angles(found, families[0])


def _differences(found: RegimeMap, family: MapFamily) -> FigureEntry | str:
    name = visible(family.reference)
    frame = difference_frame(found, family)
    if frame["value"].isna().all():
        return (
            f"No map of differences to {name}: no cell and its reference have both been measured."
        )
    scale = 100.0 if found.share else 1.0
    margin = ""
    if family.margin is not None:
        margin = f"{number(scale * family.margin, '.3g')}{' points' if found.share else ''}"
    hatched = f" Hatched: it lies within {margin}." if margin else ""
    caption = (
        f"{metric_label(found.metric)} minus that of {name} at the same E, each at its own best of "
        f"{', '.join(found.chosen_over) or 'nothing'}, {family.paired}. Colour: the "
        f"simultaneous 95 % interval ({family.size} comparisons) leaves out 0.{hatched} "
        f"Blank: undecided. A cross with a fraction: seeds that collapsed."
    )
    draw = partial(
        difference_map,
        frame,
        reference=name,
        margin=margin,
        scale=scale,
        better=found.better,
    )
    stem = "map_minus_" + "".join(c if c.isalnum() else "_" for c in family.reference)[:40]
    return FigureEntry(stem, f"Map: minus {name}", caption, _trials(found), draw)


def _rates(found: RegimeMap) -> FigureEntry | str:
    if len(found.chosen_over) != 1:
        return "No figure of values by learning rate: the best is chosen over no single setting."
    path, frame = found.chosen_over[0], searched_frame(found)
    numbers = frame[path].map(lambda value: isinstance(value, int | float))
    if not numbers.all() or frame["value"].isna().all():
        return f"No figure of values by {path}: it is no number, or no trial has finished."
    caption = (
        f"{metric_label(found.metric)} in the search, by {path}: mean over "
        f"{frame['n'].max()} seeds. Framed: the best of its row, which was measured again."
    )
    draw = partial(rate_map, frame, path=path, metric=metric_label(found.metric))
    trials = tuple(row.id for cell in found.cells for row in cell.searched)
    return FigureEntry("map_by_rate", "Values by what is chosen over", caption, trials, draw)


def _angles(found: RegimeMap, family: MapFamily) -> FigureEntry | str:
    frame = angle_frame(found, family)
    if frame.empty:
        return (
            f"No figure of the credit angle: no measured run of a temperature has logged {ANGLE}."
        )
    caption = (
        f"Difference to {visible(family.reference)} against the angle between a run's credits and "
        "those of the linear objective, mean over its steps and seeds, with simultaneous 95 % "
        f"intervals ({family.size} comparisons), cut off where they leave the axis. "
        "Without cells in a trust region."
    )
    scale = 100.0 if found.share else 1.0
    draw = partial(angle_figure, frame, reference=visible(family.reference), scale=scale)
    return FigureEntry("map_credit_angle", "Credit angle", caption, _trials(found), draw)


def _trials(found: RegimeMap) -> tuple[str, ...]:
    return tuple(cell.run.id for cell in found.cells if cell.run)
