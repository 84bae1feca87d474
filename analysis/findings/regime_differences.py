"""Cells of a map minus a reference at the same E, with intervals that hold for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.findings.metric_difference import MARGIN, metric_difference
from analysis.findings.regimes import Cell, RegimeMap
from analysis.findings.study_family import declared_family
from analysis.statistics.equivalence import simultaneous_intervals
from analysis.statistics.intervals import FEWEST_SEEDS
from conspo_study.statistics.contrast import Contrast

CONFIDENCE = 0.95
BOUNDARY = 1.5
"""Cells closer to a reference than so many margins are on the boundary."""

REFERENCES = ("linear", "GRPO")
"""What cells are compared with unless something else is named."""

MapVerdict = Literal["better", "worse", "equivalent", "undecided", "not measured"]


@dataclass(frozen=True)
class CellDifference:
    """A cell minus the reference's cell, paired over the seeds and problems of both."""

    cell: Cell
    value: float | None
    """None where one of the two has no values, or they share no seed."""
    low: float | None
    high: float | None
    """Ends of the simultaneous interval; None without one."""
    seeds: int
    problems: int
    """0 where only the values by seed are known."""
    verdict: MapVerdict
    reason: str = ""
    """Why there is no interval."""


@dataclass(frozen=True)
class MapFamily:
    """All comparisons with one reference: their intervals hold together."""

    reference: str
    margin: float | None
    """Of equivalence, in units of the metric; None: nothing is equivalent."""
    size: int
    """Comparisons that were declared, measured or not: the intervals allow for all of them."""
    differences: tuple[CellDifference, ...]
    """One for every cell that is no reference, in the order of the map."""
    late: tuple[Literal["reference", "margin"], ...] = ()
    """Which of `reference` and `margin` were chosen when the map was made."""
    stages: int = 1
    """2 once boundary cells ran again: cells had two chances, and each has half of the error."""

    def of(self, cell: Cell) -> CellDifference | None:
        """None for a reference's own cell."""
        return next((found for found in self.differences if found.cell is cell), None)

    def having(self, verdict: MapVerdict) -> tuple[CellDifference, ...]:
        """The differences that came to this verdict."""
        return tuple(found for found in self.differences if found.verdict == verdict)

    @property
    def paired(self) -> str:
        """What the cells are paired over, as a clause: seeds alone where nothing else is known."""
        measured = [one for one in self.differences if one.value is not None]
        alone = sum(one.problems == 0 for one in measured)
        if alone and alone == len(measured):
            return "paired over seeds alone"
        return (
            f"paired over seeds and problems{f' ({alone} of them over seeds alone)' * (alone > 0)}"
        )

    @property
    def each(self) -> float:
        """Confidence of a single interval."""
        return 1 - (1 - CONFIDENCE) / self.stages / max(1, self.size)


def family_of(found: RegimeMap, reference: str, margin: float | None = None) -> MapFamily:
    """Every other cell minus the reference at the same E.

    Once boundary cells ran again, the intervals are those of two stages, each with half of the 5 %:
    what was far in the first stage is kept, and what was near has a second chance.

    margin: by default the one that the studies declare, else 0.02 of an accuracy and none of other
    metrics, of which nothing is then equivalent. `better` and `worse`: the interval leaves out 0.
    `equivalent`: it lies within the margin, whether or not it leaves out 0. On fewer than three
    seeds all are undecided. Raises ValueError for a reference that no cell has, and for studies
    that declare different margins.
    """
    known = {name.casefold(): name for name in found.objectives}
    name = known.get(reference.casefold())
    if name is None:
        raise ValueError(
            f"no objective is called {reference!r}; known: {', '.join(known.values())}"
        )
    usual = _usual_margins(found)
    if margin is None and len(usual) > 1:
        told = ", ".join(f"{one:g}" for one in usual)
        raise ValueError(f"the studies declare different margins, {told}: choose with --margin")
    late: list[Literal["reference", "margin"]] = []
    late += [] if name in _usual_references(found) else ["reference"]
    late += [] if margin is None or usual == [margin] else ["margin"]
    margin = next(iter(usual), None) if margin is None else margin
    cells = [cell for cell in found.cells if cell.objective != name]
    pairs = [_contrast(cell, found.cell(name, cell.steps)) for cell in cells]
    stages = 2 if any(cell.before is not None for cell in found.cells) else 1
    intervals = simultaneous_intervals(
        [contrast if isinstance(contrast, Contrast) else None for contrast, _, _, _ in pairs],
        1 - (1 - CONFIDENCE) / stages,
    )
    differences = []
    for cell, (contrast, seeds, problems, reason), ends in zip(
        cells, pairs, intervals, strict=True
    ):
        value = contrast.value if isinstance(contrast, Contrast) else contrast
        low, high = ends or (None, None)
        few = seeds < FEWEST_SEEDS and value is not None
        verdict = "undecided" if few else _verdict(value, low, high, margin, found.better)
        differences.append(CellDifference(cell, value, low, high, seeds, problems, verdict, reason))
    return MapFamily(name, margin, len(cells), tuple(differences), tuple(late), stages)


def families_of(
    found: RegimeMap, references: Sequence[str] = (), margin: float | None = None
) -> tuple[MapFamily, ...]:
    """A family for each reference: by default `linear` and `GRPO` as far as the map has them, else
    its first objective. Raises ValueError as `family_of`."""
    chosen = list(dict.fromkeys(references)) or _usual_references(found)
    return tuple(family_of(found, name, margin) for name in chosen)


def boundary_cells(found: RegimeMap, families: Sequence[MapFamily]) -> tuple[Cell, ...]:
    """The cells to run again on more seeds: closer to a reference than one and a half margins, if
    there is a margin, or collapsed on some of their seeds and not on others. Those that ran again
    already are not."""
    close = {
        id(one.cell)
        for family in families
        if family.margin is not None
        for one in family.differences
        if one.value is not None and abs(one.value) < BOUNDARY * family.margin
    }
    return tuple(
        cell
        for cell in found.cells
        if cell.before is None and (id(cell) in close or 0 < len(cell.collapsed) < len(cell.values))
    )


def _usual_margins(found: RegimeMap) -> list[float]:
    """Those that the studies declare, ascending; else 0.02 of an accuracy, none of others."""
    margins = (declared_family(study).margin for study in found.studies)
    declared = {margin for margin in margins if margin}
    return sorted(declared) or ([MARGIN] if found.share else [])


def _usual_references(found: RegimeMap) -> list[str]:
    usual = {name.casefold() for name in REFERENCES}
    names = {name.casefold(): name for name in found.objectives if name.casefold() in usual}
    chosen = [names[name.casefold()] for name in REFERENCES if name.casefold() in names]
    return chosen or [found.objectives[0]]


def _contrast(cell: Cell, reference: Cell | None) -> tuple[Contrast | float | None, int, int, str]:
    """The difference, or its value alone; seeds, problems, and why there is no error."""
    if reference is not None and reference.before is not None and cell.before is None:
        # The cell did not run again, and shares its seeds with the reference as it was.
        reference = reference.before
    if reference is None or not reference.values or not cell.values:
        lacking = "the reference" if reference is None or not reference.values else "this cell"
        return None, 0, 0, f"{lacking} has no values"
    one = metric_difference(cell.values, reference.values, (cell.scores, reference.scores))
    if one is None:
        return None, 0, 0, "no shared seed"
    return one.contrast or one.value, len(one.by_seed), one.problems, one.reason


def _verdict(
    value: float | None,
    low: float | None,
    high: float | None,
    margin: float | None,
    better: int,
) -> MapVerdict:
    if value is None:
        return "not measured"
    if low is None or high is None:
        return "undecided"
    if margin is not None and -margin < low and high < margin:
        return "equivalent"
    if low <= 0 <= high:
        return "undecided"
    return "better" if (low > 0) == (better > 0) else "worse"
